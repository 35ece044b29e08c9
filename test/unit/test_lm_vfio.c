/* SPDX-License-Identifier: BSD-3-Clause */

/* The provider over the kernel's VFIO, against a kernel that fails wherever it is told to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "lm_pci_mig.h"
#include "lm_vfio.h"
#include "vfio_fake.h"

#define DIM(array) (sizeof(array) / sizeof((array)[0]))
#define NB_ARCS 18u

static const uint64_t sets[] = { 1, 3, 5, 7 }; /* of flags */
static struct lm_pci *pci;
static struct lm_vfio *vfio;
static struct lm_provider p;
static struct lm_caps caps;

static void
provider_open(void)
{
	pci = vfio_fake_open();
	assert_int_equal(lm_vfio_open(pci, &vfio), 0);
	p = lm_vfio_provider(vfio);
	memset(&caps, 0, sizeof(caps));
	assert_int_equal(p.ops->caps(p.dev, &caps), 0);
}

static void
provider_close(void)
{
	lm_vfio_close(vfio);
	vfio_fake_close(pci);
}

static struct lm_state_machine
machine(void)
{
	return (struct lm_state_machine){
		.flags = caps.flags, .arcs = p.ops->arcs, .nb_arcs = p.ops->nb_arcs,
		.state = p.ops->state, .reset = p.ops->reset,
	};
}

static int
go(enum lm_state to)
{
	struct lm_state_machine m = machine();
	struct lm_state_result result;

	return lm_state_walk(&m, p.dev, to, &result);
}

/* Everything that there is now, as a session would. */
static uint32_t
read_all(uint8_t *buf, uint32_t at, uint32_t piece)
{
	int n;

	for (;;) {
		assert_true(at <= VFIO_FAKE_BLOB_BYTES);
		n = p.ops->read(p.dev, buf + at, piece);
		if (n == -EAGAIN)
			continue;
		if (n <= 0) {
			assert_int_equal(n, vfio_fake.state == LM_STATE_STOP_COPY ? 0 : -ENOMSG);
			return at;
		}
		at += (uint32_t)n;
	}
}

static int
setup(void **state)
{
	(void)state;
	vfio_fake_init();
	return 0;
}

static void
test_what_it_offers(void **state)
{
	struct lm_state_machine m;
	unsigned int i;

	(void)state;
	for (i = 0; i < DIM(sets); i++) {
		vfio_fake_init();
		vfio_fake.flags = sets[i];
		vfio_fake.has_log = i % 2 == 0;
		provider_open();
		m = machine();
		assert_int_equal(lm_state_machine_check(&m, NULL), 0);
		assert_int_equal(caps.flags, sets[i]);
		assert_int_equal(caps.dirty.present, i % 2 == 0);
		assert_int_equal(p.ops->dirty_start != NULL, i % 2 == 0);
		assert_string_equal(caps.device, "1dd8:1003");
		assert_string_equal(caps.provider, "fake_vfio_pci");
		assert_int_equal(vfio_fake.opted_in, (sets[i] & LM_STATE_F_PRE_COPY) != 0);
		provider_close();
	}
	vfio_fake_init();
	vfio_fake.flags = 0;
	pci = vfio_fake_open();
	assert_int_equal(lm_vfio_open(pci, &vfio), -ENOTTY);
	assert_non_null(strstr(lm_pci_strerror(pci), "(fake_vfio_pci) cannot migrate"));
	vfio_fake.flags = LM_STATE_F_P2P; /* a kernel that talks nonsense */
	assert_int_equal(lm_vfio_open(pci, &vfio), -EPROTO);
	vfio_fake_close(pci);
}

/* One stream from PRE_COPY to STOP_COPY, closed with it; then a load on the "other side". */
static void
test_stream(void **state)
{
	uint8_t buf[VFIO_FAKE_BLOB_BYTES + 1000] = { 0 };
	uint32_t at;
	int fd;

	(void)state;
	provider_open();
	assert_int_equal(go(LM_STATE_PRE_COPY), 0);
	fd = vfio_fake.stream_fd;
	vfio_fake.most_bytes = 700;
	vfio_fake.nb_intr = 3;
	vfio_fake.nb_again = 2;
	at = read_all(buf, 0, 1000);
	assert_int_equal(at, VFIO_FAKE_BLOB_BYTES / 2);
	assert_int_equal(go(LM_STATE_STOP_COPY), 0);
	assert_int_equal(vfio_fake.stream_fd, fd);
	at = read_all(buf, at, 1000);
	assert_int_equal(at, VFIO_FAKE_BLOB_BYTES);
	assert_memory_equal(buf, vfio_fake.blob, VFIO_FAKE_BLOB_BYTES);
	assert_int_equal(go(LM_STATE_STOP), 0);
	assert_int_equal(vfio_fake.stream_fd, -1);
	assert_int_equal(p.ops->read(p.dev, buf, 1), -EBADF);
	assert_int_equal(go(LM_STATE_RESUMING), 0);
	vfio_fake.nb_intr = 2;
	assert_int_equal(p.ops->write(p.dev, buf, 3000), 0);
	assert_int_equal(p.ops->write(p.dev, buf + 3000, VFIO_FAKE_BLOB_BYTES - 3000), 0);
	assert_memory_equal(vfio_fake.loaded, vfio_fake.blob, VFIO_FAKE_BLOB_BYTES);
	/* more than it takes: said, not waited for */
	assert_int_equal(p.ops->write(p.dev, buf, 1), -EIO);
	assert_int_equal(go(LM_STATE_STOP), 0);
	assert_int_equal(p.ops->write(p.dev, buf, 1), -EBADF);
	assert_int_equal(go(LM_STATE_RUNNING), 0);
	assert_int_equal(vfio_fake.stream_fd, -1);
	provider_close();
}

/* Where a driver cannot be waited for its reads wait; where it can they do not. */
static void
test_poll(void **state)
{
	struct lm_mig_info info = { .poll_fd = -1 };

	(void)state;
	provider_open();
	assert_int_equal(go(LM_STATE_STOP_COPY), 0);
	assert_int_equal(p.ops->info(p.dev, &info), 0);
	assert_int_equal(info.poll_fd, vfio_fake.stream_fd);
	assert_int_equal(vfio_fake.nonblock_fd, vfio_fake.stream_fd);
	assert_true(info.has_stop_copy && !info.has_precopy);
	assert_int_equal(info.stop_copy_bytes, VFIO_FAKE_BLOB_BYTES);
	/* never for writes, which have no way to go on half-way */
	assert_int_equal(go(LM_STATE_STOP), 0);
	assert_int_equal(go(LM_STATE_RESUMING), 0);
	assert_int_not_equal(vfio_fake.nonblock_fd, vfio_fake.stream_fd);
	provider_close();
	vfio_fake_init();
	vfio_fake.polls = false;
	provider_open();
	assert_int_equal(go(LM_STATE_STOP_COPY), 0);
	assert_int_equal(p.ops->info(p.dev, &info), 0);
	assert_int_equal(info.poll_fd, -1);
	assert_int_equal(vfio_fake.nonblock_fd, -1);
	provider_close();
}

/* A storm of pauses before the switch-over is patience; after it, a broken driver. */
static void
test_pauses(void **state)
{
	uint8_t buf[64];
	unsigned int i;

	(void)state;
	provider_open();
	assert_int_equal(go(LM_STATE_PRE_COPY), 0);
	vfio_fake.nb_pause = 1000;
	for (i = 0; i < 1000; i++)
		assert_int_equal(p.ops->read(p.dev, buf, sizeof(buf)), -ENOMSG);
	assert_int_equal(p.ops->read(p.dev, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(go(LM_STATE_STOP_COPY), 0);
	vfio_fake.nb_pause = 1;
	assert_int_equal(p.ops->read(p.dev, buf, sizeof(buf)), -EPROTO);
	assert_int_equal(p.ops->read(p.dev, buf, 0), -EINVAL);
	provider_close();
}

static void
test_sizes(void **state)
{
	struct lm_mig_info info = { .poll_fd = -1 };
	uint8_t buf[64];

	(void)state;
	vfio_fake.saves_when_asked = true;
	provider_open();
	assert_int_equal(go(LM_STATE_PRE_COPY), 0);
	assert_int_equal(p.ops->read(p.dev, buf, sizeof(buf)), -ENOMSG);
	assert_int_equal(p.ops->info(p.dev, &info), 0); /* which begins the save */
	assert_true(info.has_precopy && info.reinit);
	assert_int_equal(info.initial_bytes, VFIO_FAKE_BLOB_BYTES / 2);
	assert_int_equal(info.dirty_bytes, 77);
	assert_int_equal(p.ops->read(p.dev, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(go(LM_STATE_RUNNING), 0);
	assert_int_equal(p.ops->info(p.dev, &info), 0);
	assert_int_equal(vfio_fake.infos, 1);
	provider_close();
	/* a kernel that knows less: flags there mean nothing, and nothing is not an error */
	vfio_fake_init();
	vfio_fake.has_reinit = false;
	vfio_fake.has_sizes = false;
	provider_open();
	assert_int_equal(go(LM_STATE_PRE_COPY), 0);
	memset(&info, 0, sizeof(info));
	assert_int_equal(p.ops->info(p.dev, &info), 0);
	assert_true(info.has_precopy && !info.reinit && !info.has_stop_copy);
	vfio_fake.has_precopy_info = false;
	memset(&info, 0, sizeof(info));
	assert_int_equal(p.ops->info(p.dev, &info), 0);
	assert_false(info.has_precopy);
	provider_close();
}

/* One failing arc: the walk knows where the device is, and the device can be used again. */
static void
fail_arc(const struct lm_state_arc *arc, enum vfio_fake_fault fault)
{
	uint8_t buf[VFIO_FAKE_BLOB_BYTES + 1000];

	assert_int_equal(go(arc->from), 0);
	vfio_fake.fault = fault;
	vfio_fake.fault_from = arc->from;
	vfio_fake.fault_to = arc->to;
	vfio_fake.fault_error = -EBUSY;
	assert_int_equal(go(arc->to), -EBUSY);
	assert_int_equal(vfio_fake.fault, VFIO_FAKE_NO_FAULT);
	assert_int_not_equal(vfio_fake.state, LM_STATE_ERROR);
	if (vfio_fake.resets > 0)
		assert_int_equal(vfio_fake.state, LM_STATE_RUNNING);
	assert_true(fault != VFIO_FAKE_ERROR || vfio_fake.resets == 1);
	assert_int_equal(go(LM_STATE_RUNNING), 0);
	assert_int_equal(vfio_fake.stream_fd, -1);
	assert_int_equal(go(LM_STATE_STOP_COPY), 0);
	assert_int_equal(read_all(buf, 0, 999), VFIO_FAKE_BLOB_BYTES);
}

/* Every arc of every kind of device, failing in every way. */
static void
test_every_arc_fails(void **state)
{
	unsigned int i, row, fault, nb = 0;
	enum lm_state next;

	(void)state;
	for (i = 0; i < DIM(sets) * NB_ARCS * 3; i++) {
		row = i / DIM(sets) % NB_ARCS;
		fault = VFIO_FAKE_BEFORE + i / DIM(sets) / NB_ARCS;
		vfio_fake_init();
		vfio_fake.flags = sets[i % DIM(sets)];
		provider_open();
		assert_int_equal(p.ops->nb_arcs, NB_ARCS);
		if (lm_state_next(p.ops->arcs[row].from, p.ops->arcs[row].to, caps.flags,
				&next) == 0 && next == p.ops->arcs[row].to) {
			fail_arc(&p.ops->arcs[row], fault);
			nb++;
		}
		provider_close();
	}
	assert_int_equal(nb, 3 * (6 + 8 + 9 + 15));
}

/* All that a source and a destination do; stops at the first error. */
static int
whole_life(void)
{
	const struct lm_range range = { .addr = 0, .len_bytes = 64 * 4096 };
	struct lm_mig_info info = { .poll_fd = -1 };
	uint8_t buf[VFIO_FAKE_BLOB_BYTES];
	uint64_t page = 4096, bits = 0;
	int ret;

	ret = lm_vfio_open(pci, &vfio);
	if (ret != 0)
		return ret;
	p = lm_vfio_provider(vfio);
	memset(&caps, 0, sizeof(caps));
	p.ops->caps(p.dev, &caps);
	ret = caps.dirty.present ? p.ops->dirty_start(p.dev, &range, 1, &page) : -ENOTTY;
	if (ret == 0)
		ret = go(LM_STATE_PRE_COPY);
	if (ret == 0)
		ret = p.ops->info(p.dev, &info);
	if (ret == 0)
		ret = p.ops->read(p.dev, buf, sizeof(buf)) > 0 ? 0 : -EIO;
	if (ret == 0)
		ret = go(LM_STATE_STOP_COPY);
	if (ret == 0)
		ret = p.ops->read(p.dev, buf, sizeof(buf)) > 0 ? 0 : -EIO;
	if (ret == 0)
		ret = p.ops->dirty_report(p.dev, 0, 64 * 4096, page, &bits);
	if (ret == 0)
		ret = go(LM_STATE_STOP);
	if (ret == 0)
		ret = p.ops->dirty_stop(p.dev);
	if (ret == 0)
		ret = go(LM_STATE_RESUMING);
	if (ret == 0)
		ret = p.ops->write(p.dev, buf, 100);
	return ret == 0 ? go(LM_STATE_RUNNING) : ret;
}

/* Each system call of it fails once: no stream is left, and all works the next time. */
static void
test_every_call_fails(void **state)
{
	unsigned int call, nb_failed = 0;
	int ret;

	(void)state;
	for (call = 1; ; call++) {
		vfio_fake_init();
		pci = vfio_fake_open();
		vfio_fake.fail_call = call;
		vfio = NULL;
		ret = whole_life();
		lm_vfio_close(vfio);
		if (vfio_fake.calls < call)
			break;
		nb_failed += ret != 0;
		vfio_fake.fail_call = 0;
		assert_int_equal(lm_vfio_open(pci, &vfio), 0);
		p = lm_vfio_provider(vfio);
		assert_int_equal(p.ops->reset(p.dev), 0);
		lm_vfio_close(vfio);
		vfio_fake.logs = false;
		assert_int_equal(whole_life(), 0);
		provider_close();
	}
	assert_int_equal(ret, 0);
	vfio_fake_close(pci);
	/* All but what may fail: the opt-in, and the log's last stop. */
	assert_true(call > 30);
	assert_in_range(nb_failed, call - 3, call - 1);
}

static void
test_reset(void **state)
{
	(void)state;
	vfio_fake.reset_when_running = true;
	provider_open();
	assert_int_equal(go(LM_STATE_STOP_COPY), 0);
	assert_int_equal(p.ops->reset(p.dev), 0);
	assert_int_equal(vfio_fake.state, LM_STATE_RUNNING);
	assert_int_equal(vfio_fake.stream_fd, -1);
	assert_int_equal(vfio_fake.resets, 2);
	/* out of ERROR nothing else is tried */
	vfio_fake.state = LM_STATE_ERROR;
	assert_int_equal(p.ops->reset(p.dev), -EINVAL);
	vfio_fake.reset_when_running = false;
	assert_int_equal(p.ops->reset(p.dev), 0);
	provider_close();
}

static void
test_log(void **state)
{
	const struct lm_range ranges[2] = {
		{ .addr = 0x100000, .len_bytes = 0x200000 },
		{ .addr = 0x400000, .len_bytes = 0x40000 },
	};
	const uint64_t big = UINT64_C(16) << 30; /* more than one report's bitmap holds */
	uint64_t bits[8] = { 0 }, page = 4096, *large;

	(void)state;
	provider_open();
	assert_int_equal(caps.dirty.align_pages, 64);
	assert_true(caps.dirty.ends_with_stop_copy);
	assert_int_equal(p.ops->dirty_report(p.dev, 0x100000, 4096, page, bits), -EINVAL);
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), 0);
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), -EINVAL);
	assert_int_equal(vfio_fake.nb_ranges, 2);
	assert_int_equal(vfio_fake.first_range[0], 0x100000);
	assert_int_equal(vfio_fake.first_range[1], 0x200000);
	vfio_fake.dirty[0x100] = true;
	vfio_fake.dirty[0x100 + 65] = true;
	bits[0] = 2;
	assert_int_equal(p.ops->dirty_report(p.dev, 0x100000, 0x200000, page, bits), 0);
	assert_int_equal(bits[0], 3); /* ORed */
	assert_int_equal(bits[1], 2);
	memset(bits, 0, sizeof(bits));
	assert_int_equal(p.ops->dirty_report(p.dev, 0x100000, 0x200000, page, bits), 0);
	assert_int_equal(bits[0] | bits[1], 0);
	large = calloc(big / 4096 / 64, sizeof(*large));
	vfio_fake.reports = 0;
	vfio_fake.dirty[7] = true;
	assert_int_equal(p.ops->dirty_report(p.dev, 0, big, page, large), 0);
	assert_int_equal(vfio_fake.reports, 2);
	assert_int_equal(large[0], 1 << 7);
	free(large);
	assert_int_equal(p.ops->dirty_stop(p.dev), 0);
	provider_close();
}

/* It runs, and not by us: after a reset that left it on, or for who had the device before. */
static void
test_log_left_on(void **state)
{
	const struct lm_range range = { .addr = 0x100000, .len_bytes = 0x200000 };
	uint64_t page = 4096;

	(void)state;
	vfio_fake.reset_keeps_log = true;
	provider_open();
	assert_int_equal(p.ops->dirty_start(p.dev, &range, 1, &page), 0);
	assert_int_equal(p.ops->reset(p.dev), 0);
	provider_close();
	assert_false(vfio_fake.logs);
	vfio_fake.logs = true;
	vfio_fake.log_page_size = 0x10000;
	provider_open();
	assert_int_equal(p.ops->dirty_start(p.dev, &range, 1, &page), 0);
	assert_int_equal(page, 0x10000);
	provider_close();
}

/* Ranges that share a word of 64 pages are refused: one of them would be read as the other. */
static void
test_log_ranges(void **state)
{
	struct lm_range ranges[2] = {
		{ .addr = 0, .len_bytes = 100 * 4096 },
		{ .addr = 110 * 4096, .len_bytes = 100 * 4096 },
	};
	uint64_t page = 4096;

	(void)state;
	provider_open();
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), -ENOTSUP);
	ranges[1].addr = 127 * 4096;
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), -ENOTSUP);
	assert_int_equal(vfio_fake.log_starts, 0);
	ranges[1].addr = 50 * 4096;
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), -EINVAL);
	ranges[1].addr = 128 * 4096;
	ranges[1].len_bytes = 4095;
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), -EINVAL);
	ranges[1].len_bytes = 4096;
	vfio_fake.log_page_size = 3;
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), -EPROTO);
	vfio_fake.log_page_size = 0;
	page = 4096;
	assert_int_equal(p.ops->dirty_start(p.dev, ranges, 2, &page), 0);
	provider_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_what_it_offers, setup),
		cmocka_unit_test_setup(test_stream, setup),
		cmocka_unit_test_setup(test_poll, setup),
		cmocka_unit_test_setup(test_pauses, setup),
		cmocka_unit_test_setup(test_sizes, setup),
		cmocka_unit_test_setup(test_every_arc_fails, setup),
		cmocka_unit_test_setup(test_every_call_fails, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(test_log, setup),
		cmocka_unit_test_setup(test_log_left_on, setup),
		cmocka_unit_test_setup(test_log_ranges, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
