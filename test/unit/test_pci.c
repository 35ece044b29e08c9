/* SPDX-License-Identifier: BSD-3-Clause */

/* lib/pciaccess against a function that may be hostile: registers, doorbells, interrupts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pci_fake.h"

struct fixture {
	struct fake_pci fake;
	struct lm_pci *pci;
};

static struct fixture fixture;

static int
setup(void **state)
{
	fake_init(&fixture.fake);
	/* 0x40 power management, 0x50 MSI-X, 0x60 vendor */
	fixture.fake.config[0x34] = 0x40;
	fake_cap(&fixture.fake, 0x40, 0x01, 0x50);
	fake_cap(&fixture.fake, 0x50, 0x11, 0x60);
	fake_cap(&fixture.fake, 0x60, 0x09, 0x00);
	fake_start(&fixture.fake);
	fixture.pci = fake_open(&fixture.fake);
	*state = &fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *x = *state;

	lm_pci_close(x->pci);
	fake_fini(&x->fake);
	return 0;
}

static bool
readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void
test_open(void **state)
{
	struct fixture *x = *state;
	uint64_t first, last;

	assert_string_equal(lm_pci_name(x->pci), "fake0");
	assert_true(lm_pci_alive(x->pci));
	assert_int_equal(lm_pci_bar_size(x->pci, 0), FAKE_BAR0_BYTES);
	assert_int_equal(lm_pci_bar_size(x->pci, 1), 0);
	assert_int_equal(lm_pci_bar_size(x->pci, 6), 0);
	assert_int_equal(lm_pci_irq_count(x->pci), FAKE_VECTORS);
	assert_int_equal(lm_pci_iova_range(x->pci, 0, &first, &last), 0);
	assert_int_equal(first, 0);
	assert_int_equal(last, (UINT64_C(1) << 48) - 1);
	assert_int_equal(lm_pci_iova_range(x->pci, 1, &first, &last), -ENOENT);
	assert_int_equal(lm_pci_page_size(x->pci), 4096);
}

static void
test_open_fails_in_words(void **state)
{
	struct lm_pci *pci = NULL;

	(void)state;
	assert_int_equal(lm_pci_open_vfio_user("/nonexistent/x.sock", NULL, &pci), -ENOENT);
	assert_null(pci);
	assert_non_null(strstr(lm_pci_strerror(NULL), "/nonexistent/x.sock"));
}

static void
test_config(void **state)
{
	struct fixture *x = *state;
	uint32_t v = 0x12345678;

	assert_int_equal(lm_pci_config_write(x->pci, 0xfc, &v, 4), 0);
	v = 0;
	assert_int_equal(lm_pci_config_read(x->pci, 0xfc, &v, 4), 0);
	assert_int_equal(v, 0x12345678);
	assert_int_equal(lm_pci_config_read(x->pci, 0xfd, &v, 4), -EINVAL);
	assert_non_null(strstr(lm_pci_strerror(x->pci), "0xfd"));
	assert_int_equal(lm_pci_config_read(x->pci, UINT32_MAX, &v, 4), -EINVAL);
	assert_int_equal(lm_pci_config_read(x->pci, 0, &v, 0), -EINVAL);
	x->fake.config[4] = 0x00;
	assert_int_equal(lm_pci_bus_master(x->pci, true), 0);
	assert_int_equal(x->fake.config[4], 0x06);
	assert_int_equal(lm_pci_bus_master(x->pci, false), 0);
	assert_int_equal(x->fake.config[4], 0x02);
}

static void
test_capabilities(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(lm_pci_find_cap(x->pci, 0x01, 0), 0x40);
	assert_int_equal(lm_pci_find_cap(x->pci, 0x09, 0), 0x60);
	assert_int_equal(lm_pci_find_cap(x->pci, 0x09, 0x50), 0x60);
	assert_int_equal(lm_pci_find_cap(x->pci, 0x01, 0x50), 0);
	assert_int_equal(lm_pci_find_cap(x->pci, 0x05, 0), 0);
	/* Hostile lists: a search ends, and finds nothing that is not there. */
	fake_cap(&x->fake, 0x60, 0x09, 0x60); /* itself */
	assert_int_equal(lm_pci_find_cap(x->pci, 0x05, 0), 0);
	fake_cap(&x->fake, 0x60, 0x09, 0x40); /* a circle */
	assert_int_equal(lm_pci_find_cap(x->pci, 0x05, 0), 0);
	fake_cap(&x->fake, 0x60, 0x09, 0x3c); /* into the header */
	x->fake.config[0x3c] = 0x05;
	assert_int_equal(lm_pci_find_cap(x->pci, 0x05, 0), 0);
	fake_cap(&x->fake, 0x60, 0x09, 0xff); /* the last word, unaligned */
	x->fake.config[0xfc] = 0x05;
	assert_int_equal(lm_pci_find_cap(x->pci, 0x05, 0), 0xfc);
	fake_cap(&x->fake, 0x60, 0xff, 0x70); /* no device there */
	fake_cap(&x->fake, 0x70, 0x0a, 0x00);
	assert_int_equal(lm_pci_find_cap(x->pci, 0x0a, 0), 0);
	x->fake.config[0x06] = 0; /* no list at all */
	assert_int_equal(lm_pci_find_cap(x->pci, 0x01, 0), 0);
}

static void
test_bar_access(void **state)
{
	struct fixture *x = *state;
	uint64_t v = UINT64_C(0x1122334455667788), got, fd_offset;
	uint32_t len, writes;
	int fd;

	for (len = 1; len <= 8; len *= 2) {
		/* trapped, mapped, and the part of BAR 2 that is not mapped */
		memset(x->fake.bar0, 0, 16);
		assert_int_equal(lm_pci_bar_write(x->pci, 0, 8, &v, len), 0);
		assert_memory_equal(x->fake.bar0 + 8, &v, len);
		assert_int_equal(x->fake.bar0[8 + len], 0);
		writes = x->fake.nb_writes;
		assert_int_equal(lm_pci_bar_write(x->pci, 2, 0x10, &v, len), 0);
		assert_memory_equal(x->fake.bar2 + 0x10, &v, len);
		assert_int_equal(x->fake.nb_writes, writes);
		assert_int_equal(lm_pci_bar_write(x->pci, 2, FAKE_BAR2_MAPPED, &v, len), 0);
		assert_int_equal(x->fake.nb_writes, writes + 1);
		got = 0;
		assert_int_equal(lm_pci_bar_read(x->pci, 2, FAKE_BAR2_MAPPED, &got, len), 0);
		assert_memory_equal(&got, &v, len);
		got = 0;
		assert_int_equal(lm_pci_bar_read(x->pci, 2, 0x10, &got, len), 0);
		assert_memory_equal(&got, &v, len);
	}
	assert_int_equal(lm_pci_bar_read(x->pci, 0, 2, &got, 4), -EINVAL);
	assert_int_equal(lm_pci_bar_read(x->pci, 0, 0, &got, 3), -EINVAL);
	assert_int_equal(lm_pci_bar_read(x->pci, 0, 0, &got, 16), -EINVAL);
	assert_int_equal(lm_pci_bar_read(x->pci, 0, FAKE_BAR0_BYTES, &got, 4), -EINVAL);
	assert_int_equal(lm_pci_bar_read(x->pci, 0, UINT64_MAX - 3, &got, 4), -EINVAL);
	assert_int_equal(lm_pci_bar_write(x->pci, 1, 0, &got, 4), -EINVAL);
	assert_int_equal(lm_pci_bar_write(x->pci, 7, 0, &got, 4), -EINVAL);

	assert_non_null(lm_pci_bar_ptr(x->pci, 2, 0, FAKE_BAR2_MAPPED));
	assert_null(lm_pci_bar_ptr(x->pci, 2, 8, FAKE_BAR2_MAPPED));
	assert_null(lm_pci_bar_ptr(x->pci, 2, UINT64_MAX, 2));
	assert_null(lm_pci_bar_ptr(x->pci, 0, 0, 4));
	fd = lm_pci_bar_fd(x->pci, 2, 0x1000, 0x1000, &fd_offset);
	assert_true(fd >= 0);
	assert_int_equal(fd_offset, 0x1000);
	assert_int_equal(lm_pci_bar_fd(x->pci, 2, 0x1000, 0x1001, &fd_offset), -ENOTSUP);
	assert_int_equal(lm_pci_bar_fd(x->pci, 0, 0, 4096, &fd_offset), -ENOTSUP);
}

/* A round trip: what was posted before it has been handled when it returns. */
static void
settle(struct lm_pci *pci)
{
	uint8_t v;

	assert_int_equal(lm_pci_config_read(pci, 0, &v, 1), 0);
}

static void
test_doorbells(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_doorbell db;
	eventfd_t count;
	uint32_t writes;

	/* eventfd: nothing is written to the register, and a full counter does not block */
	assert_int_equal(lm_pci_doorbell_init(x->pci, 4, FAKE_DOORBELL, 2, &db), 0);
	writes = x->fake.nb_writes;
	lm_pci_doorbell_ring(&db, 3);
	assert_int_equal(eventfd_read(x->fake.doorbell_fd, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(eventfd_write(x->fake.doorbell_fd, UINT64_MAX - 1), 0);
	lm_pci_doorbell_ring(&db, 3);
	settle(x->pci);
	assert_int_equal(x->fake.nb_writes, writes);
	/* the width is another one: a register write */
	assert_int_equal(lm_pci_doorbell_init(x->pci, 4, FAKE_DOORBELL, 4, &db), 0);
	lm_pci_doorbell_ring(&db, 0x10003);
	settle(x->pci);
	assert_int_equal(x->fake.nb_writes, writes + 1);
	assert_int_equal(*(uint32_t *)(x->fake.bar4 + FAKE_DOORBELL), 0x10003);
	/* an eventfd for one value says nothing about others */
	assert_int_equal(lm_pci_doorbell_init(x->pci, 4, FAKE_MATCH_DOORBELL, 2, &db), 0);
	lm_pci_doorbell_ring(&db, 9);
	settle(x->pci);
	assert_int_equal(*(uint16_t *)(x->fake.bar4 + FAKE_MATCH_DOORBELL), 9);
	assert_false(readable(x->fake.match_fd));
	/* mapped */
	writes = x->fake.nb_writes;
	assert_int_equal(lm_pci_doorbell_init(x->pci, 2, 0x1000, 2, &db), 0);
	lm_pci_doorbell_ring(&db, 0xabcd);
	assert_int_equal(*(uint32_t *)(x->fake.bar2 + 0x1000), 0xabcd);
	settle(x->pci);
	assert_int_equal(x->fake.nb_writes, writes);

	assert_int_equal(lm_pci_doorbell_init(x->pci, 2, FAKE_BAR2_BYTES, 2, &db), -EINVAL);
	assert_int_equal(lm_pci_doorbell_init(x->pci, 2, 1, 2, &db), -EINVAL);
	assert_int_equal(lm_pci_doorbell_init(x->pci, 2, 0, 8, &db), -EINVAL);
}

static void
test_interrupts(void **state)
{
	struct fixture *x = *state;
	int fds[3], i;

	for (i = 0; i < 3; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(lm_pci_irq_set(x->pci, FAKE_VECTORS, 1, fds), -EINVAL);
	assert_int_equal(lm_pci_irq_set(x->pci, 1, UINT32_MAX, fds), -EINVAL);
	assert_int_equal(x->fake.config[0x53] & 0x80, 0);

	assert_int_equal(lm_pci_irq_set(x->pci, 2, 2, fds), 0);
	assert_int_equal(x->fake.config[0x53] & 0x80, 0x80); /* MSI-X enable */
	assert_int_equal(lm_pci_irq_set(x->pci, 5, 1, &fds[2]), 0);
	assert_true(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 3));
	assert_false(readable(fds[0]));
	assert_true(readable(fds[1]));
	assert_false(readable(fds[2]));
	/* unbinding one leaves the others */
	assert_int_equal(lm_pci_irq_set(x->pci, 2, 1, (int[]){ -1 }), 0);
	assert_false(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 2));
	assert_true(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 5));
	assert_true(readable(fds[2]));
	/* a mixed set, as a device with some queues off has it */
	assert_int_equal(lm_pci_irq_set(x->pci, 0, 3, (int[]){ fds[0], -1, fds[2] }), 0);
	assert_true(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 0));
	assert_false(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 1));
	assert_true(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 2));
	assert_true(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 3));
	assert_true(readable(fds[0]));

	assert_int_equal(lm_pci_irq_disable(x->pci), 0);
	assert_false(lm_vu_server_irq_trigger(x->fake.server, LM_VU_IRQ_MSIX, 3));
	assert_int_equal(x->fake.config[0x53] & 0x80, 0);
	for (i = 0; i < 3; i++)
		close(fds[i]);
}

static void
test_reset_and_feature(void **state)
{
	struct fixture *x = *state;
	uint8_t data[64] = { 0 };

	assert_int_equal(lm_pci_reset(x->pci), 0);
	assert_int_equal(x->fake.nb_resets, 1);
	/* PROBE | GET of migration: this function has none */
	assert_int_equal(lm_pci_feature(x->pci, 1 | 1u << 16 | 1u << 18, data, 0, sizeof(data)),
			-ENOTTY);
}

/* A device whose process dies: every call says so, and the event fd wakes a poller. */
static void
test_death(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_doorbell db;
	struct pollfd p = { .fd = lm_pci_event_fd(x->pci), .events = POLLIN };
	uint32_t v;

	assert_int_equal(lm_pci_doorbell_init(x->pci, 4, 0, 2, &db), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	fake_stop(&x->fake);
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_int_equal(lm_pci_event_process(x->pci), -ENOTCONN);
	assert_false(lm_pci_alive(x->pci));
	assert_int_equal(lm_pci_bar_read(x->pci, 0, 0, &v, 4), -ENOTCONN);
	assert_non_null(strstr(lm_pci_strerror(x->pci), "fake0"));
	assert_int_equal(lm_pci_config_read(x->pci, 0, &v, 4), -ENOTCONN);
	assert_int_equal(lm_pci_reset(x->pci), -ENOTCONN);
	lm_pci_doorbell_ring(&db, 1);
}

/* A BAR whose file is shorter than the BAR: mapping it would be a SIGBUS at the first access. */
static void
test_short_file(void **state)
{
	struct fake_pci *f = &fixture.fake;
	struct lm_pci *pci;
	uint32_t v;

	(void)state;
	fake_init(f);
	assert_int_equal(ftruncate(f->bar2_fd, 0x1000), 0);
	fake_start(f);
	pci = fake_open(f);
	assert_null(lm_pci_bar_ptr(pci, 2, 0, 4));
	assert_int_equal(ftruncate(f->bar2_fd, FAKE_BAR2_BYTES), 0);
	assert_int_equal(lm_pci_bar_read(pci, 2, 0x1800, &v, 4), 0);
	lm_pci_close(pci);
	fake_fini(f);
}

static unsigned int
count_fds(void)
{
	unsigned int n = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* Opening, using and closing leaves no descriptor behind, also when the device dies in between. */
static void
test_no_leak(void **state)
{
	struct fixture *x = *state;
	unsigned int before, turn;
	struct lm_pci_doorbell db;
	struct lm_pci_mem mem;
	struct lm_pci *pci;

	/* Counted with the server gone: it closes its end in its own time. */
	lm_pci_close(x->pci);
	fake_stop(&x->fake);
	before = count_fds();
	fake_start(&x->fake);
	for (turn = 0; turn < 30; turn++) {
		pci = fake_open(&x->fake);
		assert_int_equal(lm_pci_mem_alloc(pci, 8192, &mem), 0);
		assert_int_equal(lm_pci_doorbell_init(pci, 4, FAKE_DOORBELL, 2, &db), 0);
		assert_int_equal(lm_pci_irq_set(pci, 0, 1, &x->fake.doorbell_fd), 0);
		if (turn == 29)
			fake_stop(&x->fake);
		lm_pci_mem_free(pci, &mem);
		lm_pci_close(pci);
		assert_int_equal(lm_pci_open_vfio_user("/nonexistent", NULL, &pci), -ENOENT);
	}
	assert_int_equal(count_fds(), before);
	fake_start(&x->fake);
	x->pci = fake_open(&x->fake);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test(test_open_fails_in_words),
		cmocka_unit_test_setup_teardown(test_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_access, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_and_feature, setup, teardown),
		cmocka_unit_test_setup_teardown(test_death, setup, teardown),
		cmocka_unit_test(test_short_file),
		cmocka_unit_test_setup_teardown(test_no_leak, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
