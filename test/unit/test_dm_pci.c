/* SPDX-License-Identifier: BSD-3-Clause */

/* Configuration space and MSI-X: every width at every place, masks, sizing, reset. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/pci_regs.h>

#include "dm_pci.h"

struct fixture {
	struct dm_pci pci;
	bool bus_master;
	unsigned int flr;
	unsigned int irqs[DM_PCI_MAX_VECTORS];
	unsigned int window_reads;
	uint8_t window[4];
};

static void
on_bus_master(void *ctx, bool on)
{
	((struct fixture *)ctx)->bus_master = on;
}

static void
on_flr(void *ctx)
{
	struct fixture *x = ctx;

	x->flr++;
	dm_pci_reset(&x->pci);
}

static void
on_window_read(void *ctx, uint8_t data[4])
{
	((struct fixture *)ctx)->window_reads++;
	memcpy(data, "wind", 4);
}

static void
on_window_write(void *ctx, const uint8_t data[4])
{
	memcpy(((struct fixture *)ctx)->window, data, 4);
}

static void
on_irq(void *ctx, uint16_t vector)
{
	((struct fixture *)ctx)->irqs[vector]++;
}

static const struct dm_pci_ops ops = {
	.bus_master = on_bus_master,
	.flr = on_flr,
	.window_read = on_window_read,
	.window_write = on_window_write,
	.irq = on_irq,
};

static int
setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	const struct dm_pci_ids ids = {
		.vendor = 0x1af4, .device = 0x1041, .class_code = 0x020000, .revision = 1,
		.sub_vendor = 0x1af4, .sub_device = 0x1100,
	};
	uint8_t cap;

	dm_pci_init(&x->pci, &ops, x);
	dm_pci_identify(&x->pci, &ids);
	dm_pci_add_bar(&x->pci, 0, 0x10000, true);
	dm_pci_add_bar(&x->pci, 2, 0x1000, false);
	assert_int_equal(dm_pci_add_msix(&x->pci, 2, 20), 0);
	assert_int_equal(dm_pci_add_express(&x->pci), 0);
	cap = dm_pci_add_cap(&x->pci, PCI_CAP_ID_VNDR, 20);
	dm_pci_allow(&x->pci, cap + 16, UINT32_MAX, 4);
	x->pci.window = cap + 16;
	dm_pci_seal(&x->pci);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	free(*state);
	return 0;
}

static uint32_t
rd(struct fixture *x, uint32_t offset, uint32_t width)
{
	uint32_t v = 0;

	dm_pci_config_read(&x->pci, offset, &v, width);
	return v;
}

static void
wr(struct fixture *x, uint32_t offset, uint32_t width, uint32_t v)
{
	dm_pci_config_write(&x->pci, offset, &v, width);
}

static void
test_header(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(rd(x, 0, 4), 0x10411af4);
	assert_int_equal(rd(x, 8, 4), 0x02000001);
	assert_int_equal(rd(x, 0x2c, 4), 0x11001af4);
	assert_int_equal(rd(x, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, PCI_STATUS_CAP_LIST);
	assert_int_equal(rd(x, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(rd(x, 0x100, 4), 0); /* no extended capabilities */
}

static void
test_widths(void **state)
{
	struct fixture *x = *state;
	uint8_t all[256];
	uint32_t at, width, i;

	dm_pci_config_read(&x->pci, 0, all, sizeof(all));
	for (width = 1; width <= 4; width++)
		for (at = 0; at + width <= 256; at++)
			for (i = 0; i < width; i++)
				assert_int_equal(rd(x, at, width) >> (8 * i) & 0xff, all[at + i]);
}

/* Whatever is written, in whatever width: identity and structure stay. */
static void
test_read_only(void **state)
{
	struct fixture *x = *state;
	uint32_t fixed[] = { 0, 8, 0x2c, 0x34, 0x40, 0x44, 0x48 };
	uint32_t before[7], at, width;
	size_t i;

	for (i = 0; i < 7; i++)
		before[i] = rd(x, fixed[i], 4);
	for (width = 1; width <= 4; width++)
		for (at = 0; at + width <= 0x4c; at++) {
			wr(x, at, width, 0);
			wr(x, at, width, UINT32_MAX);
		}
	for (i = 0; i < 7; i++)
		if (fixed[i] != 0x40) /* MSI-X control has two writable bits */
			assert_int_equal(rd(x, fixed[i], 4), before[i]);
	assert_int_equal(rd(x, 0x40, 4), before[4] | 0xc0000000);
}

static void
test_bar_sizing(void **state)
{
	struct fixture *x = *state;

	wr(x, 0x10, 4, UINT32_MAX);
	wr(x, 0x14, 4, UINT32_MAX);
	wr(x, 0x18, 4, UINT32_MAX);
	wr(x, 0x1c, 4, UINT32_MAX);
	assert_int_equal(rd(x, 0x10, 4), 0xffff0004); /* 64 KiB, 64-bit */
	assert_int_equal(rd(x, 0x14, 4), 0xffffffff);
	assert_int_equal(rd(x, 0x18, 4), 0xfffff000);
	assert_int_equal(rd(x, 0x1c, 4), 0);
	wr(x, 0x12, 2, 0x1234);
	assert_int_equal(rd(x, 0x10, 4), 0x12340004);
}

static void
test_bus_master(void **state)
{
	struct fixture *x = *state;

	assert_false(x->bus_master);
	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_true(x->bus_master);
	wr(x, PCI_COMMAND + 1, 1, 0);
	assert_true(x->bus_master);
	wr(x, PCI_COMMAND, 1, 0);
	assert_false(x->bus_master);
	wr(x, PCI_COMMAND, 4, PCI_COMMAND_MASTER);
	dm_pci_reset(&x->pci);
	assert_false(x->bus_master);
	assert_int_equal(rd(x, PCI_COMMAND, 2), 0);
}

static void
test_flr(void **state)
{
	struct fixture *x = *state;
	uint32_t devctl = 0x4c + PCI_EXP_DEVCTL;

	assert_int_equal(rd(x, 0x4c, 1), PCI_CAP_ID_EXP);
	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	wr(x, devctl, 1, 0xff);
	assert_int_equal(x->flr, 0);
	wr(x, devctl, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(x->flr, 1);
	assert_int_equal(rd(x, devctl, 2) & PCI_EXP_DEVCTL_BCR_FLR, 0);
	assert_false(x->bus_master);
	wr(x, devctl + 1, 1, 0x80);
	assert_int_equal(x->flr, 2);
}

static void
test_window(void **state)
{
	struct fixture *x = *state;
	uint8_t at = x->pci.window;

	rd(x, at - 4, 4);
	assert_int_equal(x->window_reads, 0);
	assert_int_equal(rd(x, at, 4), 0x646e6977);
	wr(x, at, 4, 0x04030201);
	assert_memory_equal(x->window, "\1\2\3\4", 4);
}

static void
msix_control(struct fixture *x, uint16_t vector, uint32_t value)
{
	dm_pci_msix_write(&x->pci, vector * 16u + 12, &value, 4);
}

static void
test_msix(void **state)
{
	struct fixture *x = *state;
	uint8_t all[0x1000];
	uint32_t v;

	assert_int_equal(rd(x, 0x42, 2), 19);
	assert_int_equal(rd(x, 0x44, 4), 2);
	assert_int_equal(rd(x, 0x48, 4), 0x802);
	dm_pci_msix_read(&x->pci, 12, &v, 4);
	assert_int_equal(v, 1); /* masked after reset, as 6.8.2 wants */
	/* but a driver behind VFIO never touches the table */
	assert_true(dm_pci_msix_raise(&x->pci, 0));
	assert_false(dm_pci_msix_raise(&x->pci, 20));

	msix_control(x, 3, 1);
	assert_false(dm_pci_msix_raise(&x->pci, 3));
	dm_pci_msix_read(&x->pci, 0x800, &v, 4);
	assert_int_equal(v, 8);
	msix_control(x, 3, 0);
	assert_int_equal(x->irqs[3], 1);
	dm_pci_msix_read(&x->pci, 0x800, &v, 4);
	assert_int_equal(v, 0);

	wr(x, 0x42, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_false(dm_pci_msix_raise(&x->pci, 19));
	msix_control(x, 19, 0);
	assert_int_equal(x->irqs[19], 0);
	wr(x, 0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(x->irqs[19], 1);

	memset(all, 0xff, sizeof(all));
	dm_pci_msix_write(&x->pci, 0, all, sizeof(all));
	dm_pci_msix_read(&x->pci, 0, all, sizeof(all));
	assert_int_equal(all[20 * 16 - 1], 0xff);
	assert_int_equal(all[20 * 16], 0);
}

static void
test_cap_space(void **state)
{
	struct fixture *x = *state;
	uint8_t at = (uint8_t)rd(x, PCI_CAPABILITY_LIST, 1);
	unsigned int nb = 0;

	while (dm_pci_add_cap(&x->pci, PCI_CAP_ID_VNDR, 16) != 0)
		nb++;
	assert_int_equal(nb, 6); /* 0x9c to 0xff */
	for (nb = 0; at != 0; nb++) {
		assert_true(at >= 0x40 && at % 4 == 0 && nb < 16);
		at = (uint8_t)rd(x, at + 1u, 1);
	}
	assert_int_equal(nb, 9);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_header), T(test_widths), T(test_read_only), T(test_bar_sizing),
		T(test_bus_master), T(test_flr), T(test_window), T(test_msix), T(test_cap_space),
	};

	return cmocka_run_group_tests_name("dm_pci", tests, NULL, NULL);
}
