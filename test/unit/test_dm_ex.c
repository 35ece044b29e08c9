/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What an exerciser does while it runs, and its checker. Catches a rate that is not kept, a page
 * that is not what its step says, a checker that sees nothing, and one that needs to be told.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ex_fake.h"

static int
setup(void **state)
{
	struct ex_fake *x = calloc(1, sizeof(*x));
	struct dm_ex_conf conf;

	dm_ex_conf_defaults(&conf);
	conf.state_bytes = 5 * LM_EX_STATE_BLOCK_BYTES + 8;
	ex_fake_init(x, &conf);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	ex_fake_fini(*state);
	free(*state);
	return 0;
}

/* The checker's closed form against a plain count of which step writes which page. */
static void
pages_by_counting(void **state)
{
	static const uint64_t strides[] = { 1, 2, 7, 37, 100 };
	struct ex_fake *x = *state;
	const uint64_t pages = EX_RAM_PAGES + EX_HIGH_PAGES;
	uint64_t want[EX_RAM_PAGES + EX_HIGH_PAGES], k, p;
	struct lm_ex_view view;
	unsigned int i;

	for (i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
		memset(fake_at(&x->fake, EX_RAM_IOVA, 1), 0, EX_RAM_PAGES * 4096);
		memset(fake_at(&x->fake, EX_HIGH_IOVA, 1), 0, EX_HIGH_PAGES * 4096);
		ex_start(x, 10000, strides[i]);
		ex_assert_sound(x);
		ex_run(x, 7);
		ex_assert_sound(x);
		ex_run(x, 40);
		ex_view(x, &view);
		assert_in_range(lm_ex_view_counter(&view, LM_EX_REG_STEPS), 460, 480);
		memset(want, 0, sizeof(want));
		for (k = 1; k <= lm_ex_view_counter(&view, LM_EX_REG_STEPS); k++)
			want[k * strides[i] % pages] = k;
		for (p = 0; p < pages; p++)
			assert_int_equal(lm_ex_page_want(&view, p), want[p]);
		ex_assert_sound(x);
	}
	assert_int_equal(x->fake.rules.total, 0);
}

static void
rate_is_kept(void **state)
{
	struct ex_fake *x = *state;
	uint64_t before;

	ex_start(x, 1000, 1);
	ex_run(x, 500);
	assert_in_range(ex_get(x, LM_EX_REG_STEPS), 499, 501);

	/* What a pause, or a device without its bus, missed is not made up for. */
	ex_put(x, LM_EX_REG_CONTROL, LM_EX_CONTROL_PAUSE);
	before = ex_get(x, LM_EX_REG_STEPS);
	ex_run(x, 100);
	assert_int_equal(ex_get(x, LM_EX_REG_STEPS), before);
	ex_put(x, LM_EX_REG_CONTROL, LM_EX_CONTROL_CONTINUE);
	x->fake.host.bus_master = false;
	ex_run(x, 100);
	assert_int_equal(ex_get(x, LM_EX_REG_STEPS), before);
	x->fake.host.bus_master = true;
	ex_run(x, 100);
	assert_in_range(ex_get(x, LM_EX_REG_STEPS), before + 99, before + 101);
	assert_in_range(x->device.ops->sleep(x->ex), 1, 1000);

	/* 0: all that it can. */
	memset(fake_at(&x->fake, EX_RAM_IOVA, 1), 0, EX_RAM_PAGES * 4096);
	memset(fake_at(&x->fake, EX_HIGH_IOVA, 1), 0, EX_HIGH_PAGES * 4096);
	ex_start(x, 0, 1);
	assert_int_equal(x->device.ops->poll(x->ex, x->fake.now_ns), 64);
	assert_int_equal(x->device.ops->sleep(x->ex), 0);
	ex_assert_sound(x);
}

static void
operations_complete(void **state)
{
	struct ex_fake *x = *state;

	ex_start(x, 1000, 1);
	ex_submit(x, 3);
	ex_run(x, 10);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS_DONE), 0);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS), 1);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS + 16), 3);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS + 24), 0);
	ex_assert_sound(x);
	ex_submit(x, 1);
	ex_run(x, 12);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS_DONE), 3);
	assert_int_equal(x->fake.irqs[0], 3);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS), 4);
	ex_assert_sound(x);
	ex_run(x, 30);
	/* More than the ring holds, and than the device takes at a time. */
	ex_submit(x, LM_EX_MAX_OPS + 1);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS_REFUSED), 1);
	x->submitted--;
	ex_run(x, 40);
	assert_int_equal(ex_get(x, LM_EX_REG_OPS_DONE), 4 + LM_EX_MAX_OPS);
	ex_assert_sound(x);
}

static void
configuration_is_checked(void **state)
{
	static const struct {
		uint32_t reg;
		uint64_t value;
	} bad[] = {
		{ LM_EX_REG_RATE, UINT64_C(1000000001) },
		{ LM_EX_REG_PAGES, EX_RAM_PAGES + EX_HIGH_PAGES + 1 },
		{ LM_EX_REG_PAGES, UINT64_MAX },
		{ LM_EX_REG_STRIDE, 0 },
		{ LM_EX_REG_STRIDE, 101 },
		{ LM_EX_REG_PAGE_WRITE, 56 },
		{ LM_EX_REG_PAGE_WRITE, 4104 },
		{ LM_EX_REG_PAGE_WRITE, 100 },
		{ LM_EX_REG_RING_SIZE, 3 },
		{ LM_EX_REG_RING_SIZE, 131072 },
		{ LM_EX_REG_NB_RANGES, 65 },
		{ LM_EX_REG_NB_RANGES, UINT64_MAX },
		{ LM_EX_REG_RANGES, 0x100800 },
		{ LM_EX_REG_RANGES + 8, 0 },
		{ LM_EX_REG_RANGES, UINT64_MAX - 0xfff },
	};
	struct ex_fake *x = *state;
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ex_configure(x, 1000, 1);
		ex_put(x, bad[i].reg, bad[i].value);
		ex_put(x, LM_EX_REG_CONTROL, LM_EX_CONTROL_START);
		assert_int_equal(ex_get(x, LM_EX_REG_STATUS), LM_EX_STATUS_BAD);
		assert_int_equal(x->fake.rules.count[DM_RULE_EX_CONFIG_BAD], i + 1);
	}
	ex_put(x, LM_EX_REG_STATE_BYTES, LM_EX_MAX_STATE_BYTES + 8);
	assert_int_equal(ex_get(x, LM_EX_REG_STATE_BYTES), 5 * LM_EX_STATE_BLOCK_BYTES + 8);
	ex_start(x, 1000, 1);
	ex_put(x, LM_EX_REG_SEED, 99);
	assert_int_equal(x->fake.rules.count[DM_RULE_EX_CONFIG_LIVE], 1);
	assert_int_equal(ex_get(x, LM_EX_REG_SEED), 1);
}

static void
unmapped_memory(void **state)
{
	struct ex_fake *x = *state;
	struct lm_ex_report report;

	ex_configure(x, 10000, 1);
	ex_put(x, LM_EX_REG_RANGES + 8, (EX_RAM_PAGES + 1) * LM_EX_PAGE_BYTES);
	ex_put(x, LM_EX_REG_CONTROL, LM_EX_CONTROL_START);
	ex_run(x, 20);
	ex_check(x, &report);
	assert_in_range(ex_get(x, LM_EX_REG_DMA_ERRORS), 1, 2);
	assert_int_equal(report.of_kind[LM_EX_DMA_ERROR], 1);
	assert_int_equal(report.of_kind[LM_EX_PAGE_UNMAPPED], 1);
	assert_int_equal(report.faults, 2);
}

/* Only the first bytes are the device's: the rest is somebody else's, who dirties it too. */
static void
part_of_a_page(void **state)
{
	struct ex_fake *x = *state;
	uint8_t *ram = fake_at(&x->fake, EX_RAM_IOVA, 4096);
	uint64_t seq = 0;

	ex_configure(x, 10000, 1);
	ex_put(x, LM_EX_REG_PAGE_WRITE, 1024);
	lm_ex_page_fill(ram + 2048, 77, 0, 5, 2048);
	ex_put(x, LM_EX_REG_CONTROL, LM_EX_CONTROL_START);
	ex_run(x, 30);
	ex_assert_sound(x);
	assert_int_equal(lm_ex_page_read(ram + 2048, 77, 0, 2048, &seq), 0);
	assert_int_equal(seq, 5);
	assert_int_equal(lm_ex_page_read(ram + 2048, 78, 0, 2048, &seq), -ESRCH);
	assert_int_equal(lm_ex_page_read(ram + 2048, 77, 0, 1024, &seq), -ESRCH);
	ram[4095] ^= 1;
	assert_int_equal(lm_ex_page_read(ram + 2048, 77, 0, 2048, &seq), -EBADMSG);
}

static void
expect_kind(struct ex_fake *x, enum lm_ex_fault_kind kind)
{
	struct lm_ex_report report;

	ex_check(x, &report);
	assert_int_equal(report.of_kind[kind], 1);
	assert_int_equal(report.faults, 1);
	assert_int_equal(report.findings[0].kind, kind);
}

static void
checker_sees(void **state)
{
	struct ex_fake *x = *state;
	uint8_t *page = fake_at(&x->fake, EX_RAM_IOVA + 5 * 4096, 4096), old[4096], last[4096];
	struct lm_ex_report report;
	char text[256];

	ex_start(x, 1000, 1);
	ex_submit(x, 2);
	ex_run(x, 10);
	memcpy(old, page, sizeof(old));
	ex_run(x, 300);
	memcpy(last, page, sizeof(last));
	ex_assert_sound(x);

	memcpy(page, old, sizeof(old));
	expect_kind(x, LM_EX_PAGE_STALE);
	ex_check(x, &report);
	assert_int_equal(report.findings[0].index, 5);
	assert_int_equal(report.findings[0].have, 5);
	assert_int_equal(report.findings[0].want, 5 + 3 * 101);
	assert_int_equal(report.findings[0].since, 5 + 101);
	lm_ex_finding_text(&report.findings[0], text, sizeof(text));
	assert_non_null(strstr(text, "page stale: number 5 at 0x105000 has 5, must have 308; "
			"the first write that is missing is 106"));

	memset(page, 0, 4096);
	expect_kind(x, LM_EX_PAGE_LOST);
	memcpy(page, last, 4096);
	page[4090] ^= 0x80;
	expect_kind(x, LM_EX_PAGE_TORN);
	memcpy(page, last, 4096);
	page[40] ^= 1;
	expect_kind(x, LM_EX_PAGE_ALIEN);
	lm_ex_page_fill(page, 1, 5, 5 + 4 * 101, 4096);
	expect_kind(x, LM_EX_PAGE_FUTURE);
	memcpy(page, last, 4096);

	x->ex->mods[2]++;
	x->ex->counters[DM_EX_COUNTER(LM_EX_REG_STATE_DIGEST)]++;
	expect_kind(x, LM_EX_STATE_WRONG);
	x->ex->counters[DM_EX_COUNTER(LM_EX_REG_STATE_DIGEST)]--;
	x->ex->mods[2]--;
	put8(&x->fake, EX_RING_IOVA + 32, 9);
	expect_kind(x, LM_EX_DONE_WRONG);
	put8(&x->fake, EX_RING_IOVA + 32, 2);
	x->ex->counters[DM_EX_COUNTER(LM_EX_REG_OPS_ACCEPTED)]++;
	expect_kind(x, LM_EX_OP_LOST);
	x->ex->counters[DM_EX_COUNTER(LM_EX_REG_OPS_ACCEPTED)]--;
	ex_assert_sound(x);
}

static void
access_rules(void **state)
{
	struct ex_fake *x = *state;
	uint32_t value = 0;

	x->device.ops->bar_read(x->ex, 0, 0, &value, 4);
	assert_int_equal(value, UINT32_MAX);
	x->device.ops->bar_write(x->ex, 0, LM_EX_REG_CONTROL, &value, 4);
	assert_int_equal(x->fake.rules.count[DM_RULE_ACCESS_WIDTH], 2);
	ex_put(x, LM_EX_REG_STEPS, 1);
	assert_int_equal(x->fake.rules.count[DM_RULE_WRITE_READ_ONLY], 1);
	assert_int_equal(ex_get(x, LM_EX_REG_MAGIC), LM_EX_MAGIC);
	assert_int_equal(ex_get(x, LM_EX_REGS_BYTES - 8), 0);
}

static void
options(void **state)
{
	static const char *const bad[] = {
		"", "caps", "caps=", "caps=p2p+", "caps=p2p+none", "strict=2", "state=-1",
		"state=7",
		"state=999T", "initial=101", "log-page-min=2048", "log-page-max=5000", "what=1",
		"state=1X", "log-ranges=257", "state=99999999999999999999",
	};
	struct dm_ex_conf conf;
	unsigned int i;

	(void)state;
	dm_ex_conf_defaults(&conf);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dm_ex_conf_parse(&conf, bad[i]), -EINVAL);
	assert_int_equal(dm_ex_conf_parse(&conf, "caps=pre_copy"), 0);
	assert_int_equal(conf.mig_flags, 5);
	assert_int_equal(dm_ex_conf_parse(&conf, "caps=p2p+pre_copy"), 0);
	assert_int_equal(conf.mig_flags, 7);
	assert_int_equal(dm_ex_conf_parse(&conf, "caps=stop_copy"), 0);
	assert_int_equal(conf.mig_flags, 1);
	assert_int_equal(dm_ex_conf_parse(&conf, "caps=none"), 0);
	assert_int_equal(conf.mig_flags, 0);
	assert_int_equal(dm_ex_conf_parse(&conf, "state=2G"), 0);
	assert_int_equal(conf.state_bytes, UINT64_C(1) << 31);
	assert_int_equal(dm_ex_conf_parse(&conf, "log-page-min=2M"), 0);
	assert_int_equal(dm_ex_conf_check(&conf), 0);
	assert_int_equal(dm_ex_conf_parse(&conf, "log-page-max=64K"), 0);
	assert_int_equal(dm_ex_conf_check(&conf), -EINVAL);
}

static void
fault_words(void **state)
{
	static const char *const bad[] = {
		"", "busy", "busy@", "busy@running", "busy@running-", "busy@running-nowhere",
		"lazy@running-stop", "slow@running-stop", "busy@running-stop=x", "read-fail",
		"read-fail=", "read-fail=-1", "busy@error-stop", "busy@*",
	};
	struct dm_ex_faults f = { .hits = 0 };
	uint64_t value;
	unsigned int i;

	(void)state;
	dm_ex_fault_clear(&f);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dm_ex_fault_parse(&f, bad[i]), -EINVAL);
	assert_int_equal(dm_ex_fault_parse(&f, "busy@stop_copy-*=2"), 0);
	assert_false(dm_ex_fault_arc(&f, DM_EX_BUSY, LM_STATE_STOP, LM_STATE_RUNNING, &value));
	assert_false(dm_ex_fault_arc(&f, DM_EX_HANG, LM_STATE_STOP_COPY, LM_STATE_STOP, &value));
	assert_true(dm_ex_fault_arc(&f, DM_EX_BUSY, LM_STATE_STOP_COPY, LM_STATE_STOP, &value));
	assert_true(dm_ex_fault_arc(&f, DM_EX_BUSY, LM_STATE_STOP_COPY, LM_STATE_STOP, &value));
	assert_false(dm_ex_fault_arc(&f, DM_EX_BUSY, LM_STATE_STOP_COPY, LM_STATE_STOP, &value));
	assert_int_equal(dm_ex_fault_parse(&f, "slow@*-*=50"), 0);
	assert_true(dm_ex_fault_arc(&f, DM_EX_SLOW, LM_STATE_STOP, LM_STATE_RUNNING, &value));
	assert_int_equal(value, 50);
	assert_int_equal(dm_ex_fault_parse(&f, "slow@*-*=0"), 0);
	assert_false(dm_ex_fault_arc(&f, DM_EX_SLOW, LM_STATE_STOP, LM_STATE_RUNNING, &value));
	assert_int_equal(dm_ex_fault_parse(&f, "read-fail=0"), 0);
	assert_true(dm_ex_fault_byte(&f, &f.read_fail, 0, 1));
	assert_false(dm_ex_fault_byte(&f, &f.read_fail, 0, 1));
	assert_int_equal(dm_ex_fault_parse(&f, "clear"), 0);
	assert_int_equal(f.read_fail, DM_EX_NEVER);
	assert_int_equal(f.hits, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_by_counting, setup, teardown),
		cmocka_unit_test_setup_teardown(rate_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(operations_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(configuration_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(unmapped_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(part_of_a_page, setup, teardown),
		cmocka_unit_test_setup_teardown(checker_sees, setup, teardown),
		cmocka_unit_test_setup_teardown(access_rules, setup, teardown),
		cmocka_unit_test(options),
		cmocka_unit_test(fault_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
