/* SPDX-License-Identifier: BSD-3-Clause */

/* The provider over vfio-user, against a real server; also with libvfio-user's refusals. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lm_pci_mig.h"
#include "lm_vfio.h"
#include "vu_device.h"

#define MAP_BYTES 0x100000u
#define MAP_IOVA 0x400000u

static struct vu_device dev;
static struct lm_pci *pci;
static struct lm_vfio *vfio;
static struct lm_provider p;
static struct lm_caps caps;

static void
begin(bool strict, uint64_t flags)
{
	vu_device_init(&dev);
	dev.conf.strict = strict;
	dev.mig_flags = flags;
	assert_int_equal(vu_device_start(&dev, true), 0);
	assert_int_equal(lm_pci_open_vfio_user(dev.path, NULL, &pci), 0);
	assert_int_equal(lm_vfio_open(pci, &vfio), 0);
	p = lm_vfio_provider(vfio);
	memset(&caps, 0, sizeof(caps));
	assert_int_equal(p.ops->caps(p.dev, &caps), 0);
}

static void
end(void)
{
	lm_vfio_close(vfio);
	lm_pci_close(pci);
	vu_device_stop(&dev);
}

static int
go(enum lm_state to)
{
	const struct lm_state_machine m = {
		.flags = caps.flags, .arcs = p.ops->arcs, .nb_arcs = p.ops->nb_arcs,
		.state = p.ops->state, .reset = p.ops->reset,
	};
	struct lm_state_result result;

	return lm_state_walk(&m, p.dev, to, &result);
}

static void
migrate(bool strict, uint64_t flags)
{
	uint8_t buf[VU_STATE_BYTES * 2], wanted[VU_STATE_BYTES];
	struct lm_mig_info info = { .poll_fd = -1 };
	uint32_t at = 0;
	int n;

	begin(strict, flags);
	assert_int_equal(caps.flags, flags);
	assert_string_equal(caps.provider, "vfio-user");
	memcpy(wanted, dev.blob, sizeof(wanted));
	if ((flags & LM_STATE_F_PRE_COPY) != 0) {
		assert_int_equal(go(LM_STATE_PRE_COPY), 0);
		assert_int_equal(p.ops->info(p.dev, &info), 0);
		assert_int_equal(p.ops->read(p.dev, buf, sizeof(buf)), -ENOMSG);
	}
	assert_int_equal(go(LM_STATE_STOP_COPY), 0);
	while ((n = p.ops->read(p.dev, buf + at, 700)) > 0)
		at += (uint32_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(at, VU_STATE_BYTES);
	assert_memory_equal(buf, wanted, sizeof(wanted));
	assert_int_equal(go(LM_STATE_STOP), 0);
	memset(dev.blob, 0, sizeof(dev.blob));
	/* libvfio-user takes no MIG_DATA_WRITE while stopped, but RESUMING is none of these */
	assert_int_equal(go(LM_STATE_RESUMING), 0);
	assert_int_equal(p.ops->write(p.dev, buf, 1000), 0);
	assert_int_equal(p.ops->write(p.dev, buf + 1000, VU_STATE_BYTES - 1000), 0);
	assert_int_equal(p.ops->write(p.dev, buf, 1), -EINVAL);
	assert_int_equal(go(LM_STATE_RUNNING), 0);
	assert_memory_equal(dev.blob, wanted, sizeof(wanted));
	end();
}

static void
test_migrate(void **state)
{
	(void)state;
	migrate(false, 7);
	migrate(false, 3);
	migrate(true, 5); /* what libvfio-user offers */
	migrate(true, 1);
}

/* libvfio-user refuses a reset of a stopped device, and does not touch its state by one. */
static void
test_reset(void **state)
{
	static const enum lm_state from[] = {
		LM_STATE_STOP, LM_STATE_STOP_COPY, LM_STATE_RESUMING, LM_STATE_PRE_COPY,
	};
	unsigned int i;
	uint32_t at;

	(void)state;
	begin(true, 5);
	for (i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		assert_int_equal(lm_pci_mig_set_state(pci, from[i]), 0);
		dev.resets = 0;
		assert_int_equal(p.ops->reset(p.dev), 0);
		assert_int_equal(dev.resets, 1);
		assert_int_equal(lm_pci_mig_state(pci, &at), 0);
		assert_int_equal(at, LM_STATE_RUNNING);
	}
	end();
}

static void
log_by_rule(bool strict)
{
	const struct lm_range range = { .addr = MAP_IOVA, .len_bytes = MAP_BYTES };
	uint64_t bits[MAP_BYTES / 4096 / 64] = { 0 }, page = 4096;
	struct lm_pci_dma dma = {
		.iova = MAP_IOVA, .size_bytes = MAP_BYTES,
		.prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE,
	};

	begin(strict, 5);
	assert_true(caps.dirty.present && caps.dirty.whole_ranges && caps.dirty.fixed_page_size);
	dma.fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(dma.fd, MAP_BYTES), 0);
	assert_int_equal(lm_pci_dma_map(pci, &dma), 0);
	dev.log_first_page = MAP_IOVA / 4096;
	assert_int_equal(p.ops->dirty_start(p.dev, &range, 1, &page), 0);
	assert_int_equal(page, 4096);
	dev.log_pages[1] = 5;
	bits[1] = 2;
	assert_int_equal(p.ops->dirty_report(p.dev, MAP_IOVA, MAP_BYTES, page, bits), 0);
	assert_int_equal(bits[0], 0);
	assert_int_equal(bits[1], 7); /* ORed */
	assert_int_equal(p.ops->dirty_report(p.dev, MAP_IOVA, MAP_BYTES / 2, page, bits),
			strict ? -EINVAL : 0);
	assert_int_equal(p.ops->dirty_stop(p.dev), 0);
	assert_false(dev.is_logging);
	/* one that runs already is not ours: stopped, and started anew */
	dev.is_logging = true;
	assert_int_equal(p.ops->dirty_start(p.dev, &range, 1, &page), 0);
	end();
	assert_false(dev.is_logging);
	close(dma.fd);
}

static void
test_log(void **state)
{
	(void)state;
	log_by_rule(false);
	log_by_rule(true);
}

static void
test_no_log(void **state)
{
	(void)state;
	vu_device_init(&dev);
	dev.ops.log_start = NULL;
	dev.ops.log_stop = NULL;
	dev.ops.log_report = NULL;
	assert_int_equal(vu_device_start(&dev, true), 0);
	assert_int_equal(lm_pci_open_vfio_user(dev.path, NULL, &pci), 0);
	assert_int_equal(lm_vfio_open(pci, &vfio), 0);
	assert_null(lm_vfio_provider(vfio).ops->dirty_start);
	end();
}

static void
test_no_migration(void **state)
{
	(void)state;
	vu_device_init(&dev);
	dev.ops.mig_flags = NULL;
	dev.ops.mig_state_get = NULL;
	dev.ops.mig_state_set = NULL;
	dev.ops.mig_read = NULL;
	dev.ops.mig_write = NULL;
	dev.ops.mig_precopy_info = NULL;
	dev.ops.mig_data_size = NULL;
	assert_int_equal(vu_device_start(&dev, true), 0);
	assert_int_equal(lm_pci_open_vfio_user(dev.path, NULL, &pci), 0);
	assert_int_equal(lm_vfio_open(pci, &vfio), -ENOTTY);
	assert_non_null(strstr(lm_pci_strerror(pci), "offers no migration"));
	lm_pci_close(pci);
	vu_device_stop(&dev);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_migrate),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_no_log),
		cmocka_unit_test(test_no_migration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
