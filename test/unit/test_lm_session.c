/* SPDX-License-Identifier: BSD-3-Clause */

/* Whole migrations between two sides in one process, of devices that are made up. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_converge.h"
#include "mig_rig.h"

#define F_SC LM_STATE_F_STOP_COPY
#define F_P2P LM_STATE_F_P2P
#define F_PRE LM_STATE_F_PRE_COPY
#define F_ALL (F_SC | F_P2P | F_PRE)

static const uint64_t flag_sets[] = { F_SC, F_SC | F_P2P, F_SC | F_PRE, F_ALL };

static void
assert_moved(struct rig *r)
{
	unsigned int i;

	if (r->out_outcome != LM_OUTCOME_COMPLETED || r->in_outcome != LM_OUTCOME_COMPLETED)
		print_error("source %s: %s\ndestination %s: %s\n", lm_outcome_name(r->out_outcome),
			r->out_report.why, lm_outcome_name(r->in_outcome), r->in_report.why);
	assert_int_equal(r->out_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(r->in_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(rig_compare(r), 0);
	for (i = 0; i < r->nb; i++) {
		assert_true(mig_fake_runs(&r->dst.fakes[i]));
		assert_int_equal(r->src.fakes[i].state, LM_STATE_STOP);
		assert_memory_equal(r->src.fakes[i].content, r->dst.fakes[i].content,
			r->src.fakes[i].content_bytes);
	}
	assert_int_equal(mig_fake_twice, 0);
}

static void
test_all_sets(void **state)
{
	struct lm_member_report m;
	struct rig r;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		rig_open(&r, 1, flag_sets[i], 1 << 20);
		rig_storm(&r, true);
		rig_migrate(&r);
		assert_moved(&r);
		assert_true(r.out_report.ram.normal_pages >= RIG_PAGES / 3);
		assert_true(r.out_report.ram.duplicate_pages > 0);
		assert_true(r.out_report.device_bytes >= 1 << 20);
		assert_int_equal(r.out_report.round_trips, 2);
		assert_int_equal(lm_outgoing_member(r.out, 0, &m), 0);
		assert_int_equal(m.bytes, r.out_report.device_bytes);
		assert_true((flag_sets[i] & F_PRE) == 0 ? m.early_bytes == 0 : m.early_bytes > 0);
		assert_true(m.downtime_calls > 0 && m.downtime_calls < m.calls);
		assert_int_equal(lm_outgoing_member(r.out, 1, &m), -ENOENT);
		rig_end(&r);
		rig_close(&r);
	}
}

/* Breaks when a member's state goes to another, or when one connection is taken for all. */
static void
test_many_devices(void **state)
{
	struct rig r;
	unsigned int bulk;

	(void)state;
	for (bulk = 1; bulk <= 5; bulk += 2) {
		rig_open(&r, RIG_DEVS, F_ALL, 300000);
		r.bulk = bulk;
		rig_storm(&r, true);
		rig_migrate(&r);
		assert_moved(&r);
		rig_end(&r);
		rig_close(&r);
	}
}

static void
test_zstd(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1000);
	r.out_conf.zstd = true;
	rig_migrate(&r);
	assert_moved(&r);
	assert_true(r.out_report.ram.compressed_bytes > 0);
	assert_true(r.out_report.ram.transferred_bytes < r.out_report.ram.compressed_bytes / 4);
	rig_end(&r);
	rig_close(&r);
}

#define UNTOLD_WRITES 64u

/* The last moment at which devices run: from here on they have written something. */
static int
let_it_write(void *ctx)
{
	struct rig *r = ctx;
	uint64_t enough = r->storm_writes + UNTOLD_WRITES;
	unsigned int i;

	for (i = 0; i < 100000 && r->storm_writes < enough; i++)
		usleep(100);
	return r->storm_writes >= enough ? 0 : -ETIMEDOUT;
}

/* The negative control: a device that does not tell what it wrote is caught by the comparison. */
static void
test_hidden_marks_are_seen(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1 << 20);
	r.src.fakes[0].hide_marks = true;
	r.out_conf.quiesce = let_it_write;
	r.out_conf.ctx = &r;
	rig_storm(&r, true);
	rig_migrate(&r);
	assert_int_equal(r.out_outcome, LM_OUTCOME_COMPLETED);
	assert_true(rig_compare(&r) > 0);
	rig_end(&r);
	rig_close(&r);
}

/* Breaks when an acknowledgement of old initial data is taken for one of the new. */
static void
test_reinit(void **state)
{
	struct lm_member_report m;
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1 << 20);
	r.src.fakes[0].reinit_at = 2;
	rig_migrate(&r);
	assert_moved(&r);
	assert_int_equal(lm_outgoing_member(r.out, 0, &m), 0);
	assert_int_equal(m.reinits, 1);
	assert_true(m.early_bytes >= 2 * r.src.fakes[0].initial_bytes);
	rig_end(&r);
	rig_close(&r);
}

static void
test_without_info(void **state)
{
	struct lm_member_report m;
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1 << 20);
	r.src.fakes[0].has_info = false;
	rig_migrate(&r);
	assert_moved(&r);
	assert_int_equal(lm_outgoing_member(r.out, 0, &m), 0);
	assert_true(m.early_bytes >= r.src.fakes[0].initial_bytes);
	rig_end(&r);
	rig_close(&r);
}

static void
test_devices_only_and_ram_only(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1 << 20);
	r.out_conf.ram = NULL;
	r.out_conf.tracker = NULL;
	r.in_conf.ram = NULL;
	rig_migrate(&r);
	assert_int_equal(r.out_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(r.in_outcome, LM_OUTCOME_COMPLETED);
	assert_true(mig_fake_runs(&r.dst.fakes[0]));
	rig_end(&r);
	rig_close(&r);
}

/* A mismatch leaves both sides as they were, and is told in words, before anything stops. */
static void
test_refused(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1000);
	r.out_conf.ram = NULL;
	r.out_conf.tracker = NULL;
	rig_migrate(&r);
	assert_int_equal(r.out_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(r.in_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(r.out_report.error, -EXDEV);
	assert_non_null(strstr(r.out_report.why,
		"the destination refuses: 0 RAM regions at the source and 1 here"));
	assert_int_equal(r.out_report.phase, LM_PHASE_CLEANUP);
	assert_true(mig_fake_runs(&r.src.fakes[0]));
	assert_int_equal(r.src.fakes[0].infos, 0);
	rig_end(&r);
	r.out_conf.ram = r.src.ram;
	r.out_conf.tracker = r.src.tracker;
	rig_migrate(&r);
	assert_moved(&r);
	rig_end(&r);
	rig_close(&r);
}

static int
hold(void *ctx)
{
	rig_storm(ctx, false);
	return 0;
}

static void
let_go(void *ctx)
{
	rig_storm(ctx, true);
}

static int
say_last(void *ctx)
{
	struct rig *r = ctx;

	assert_int_equal(r->src.fakes[0].state, LM_STATE_STOP_COPY);
	memset(r->src.memory, 0x5a, 100);
	lm_ram_mark(r->src.ram, lm_ram_get(r->src.ram, 0)->addr, 100);
	return 0;
}

static int
say_nothing(void *ctx)
{
	(void)ctx;
	return -ENOSPC;
}

/* What is written after the stop arrives; who cannot write it runs on. */
static void
test_stopped(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1 << 20);
	r.out_conf.ctx = &r;
	r.out_conf.stopped = say_nothing;
	rig_migrate(&r);
	assert_int_equal(r.out_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(r.out_report.error, -ENOSPC);
	assert_non_null(strstr(r.out_report.why, "after the stop"));
	assert_true(mig_fake_runs(&r.src.fakes[0]));
	rig_end(&r);
	r.out_conf.stopped = say_last;
	rig_migrate(&r);
	assert_moved(&r);
	assert_int_equal(r.dst.memory[99], 0x5a);
	rig_end(&r);
	rig_close(&r);
}

static void
test_does_not_converge(void **state)
{
	uint64_t whole_us;
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1 << 20);
	/* What all of it takes here, first round and all: enough for as many more as are wanted. */
	rig_migrate(&r);
	assert_moved(&r);
	whole_us = r.out_report.total_us;
	rig_end(&r);
	rig_refill(&r);
	rig_storm(&r, true);
	r.out_conf.quiesce = hold;
	r.out_conf.resume = let_go;
	r.out_conf.ctx = &r;
	r.out_conf.downtime_limit_us = 1;
	r.out_conf.precopy_us = 100000 + 4 * whole_us;
	rig_migrate(&r);
	assert_int_equal(r.out_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(r.out_report.error, -ETIME);
	assert_non_null(strstr(r.out_report.why, "it does not converge"));
	assert_true(r.out_report.rounds >= 3);
	assert_true(mig_fake_runs(&r.src.fakes[0]));
	rig_end(&r);
	/* Told to, it switches over all the same. */
	r.out_conf.force_after_us = 50000;
	r.out_conf.precopy_us = 5000000;
	rig_migrate(&r);
	assert_moved(&r);
	assert_true(r.out_report.expected_downtime_us > 1);
	rig_end(&r);
	rig_close(&r);
}

/* What was measured is what the next prediction says. */
static void
test_prediction(void **state)
{
	struct lm_calibration c = { 0 };
	struct rig r;

	(void)state;
	rig_open(&r, 1, F_ALL, 1 << 20);
	r.out_conf.calibration = &c;
	r.src.fakes[0].arc_us = 20000;
	r.dst.fakes[0].arc_us = 20000;
	rig_migrate(&r);
	assert_moved(&r);
	/* Two arcs to stop, one to end the load, two to run. */
	assert_true(r.out_report.phases[LM_PHASE_STOP].predicted_us >= 40000);
	assert_true(r.out_report.phases[LM_PHASE_STOP].measured_us >= 40000);
	assert_true(r.out_report.phases[LM_PHASE_LOAD].predicted_us >= 20000);
	assert_true(r.out_report.phases[LM_PHASE_RESUME].measured_us >= 40000);
	assert_true(r.out_report.downtime_us >= 100000);
	assert_true(r.out_report.expected_downtime_us >= 100000);
	assert_int_equal(c.runs, 1);
	rig_end(&r);
	rig_refill(&r);
	rig_migrate(&r);
	assert_moved(&r);
	assert_int_equal(c.runs, 2);
	rig_end(&r);
	rig_close(&r);
}

static int
break_off(void *ctx)
{
	struct rig *r = ctx;

	lm_channel_break(r->dst.channel);
	return 0;
}

static int
refuse(void *ctx)
{
	(void)ctx;
	return -EIO;
}

/*
 * Breaks when a source runs again on a guess: the connection is gone after COMMIT, and the other
 * process lives.
 */
static void
test_undecided(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 2, F_ALL, 100000);
	r.in_conf.commit = break_off;
	r.in_conf.ctx = &r;
	rig_migrate(&r);
	assert_int_equal(r.in_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(r.out_outcome, LM_OUTCOME_UNDECIDED);
	assert_int_equal(lm_outgoing_cancel(r.out), -EALREADY);
	assert_int_equal(r.src.fakes[0].state, LM_STATE_STOP_COPY);
	assert_int_equal(lm_outgoing_resolve(r.out, false), LM_OUTCOME_COMPLETED);
	/* Decided is decided. */
	assert_int_equal(lm_outgoing_resolve(r.out, true), LM_OUTCOME_COMPLETED);
	assert_int_equal(r.src.fakes[0].state, LM_STATE_STOP);
	assert_int_equal(mig_fake_twice, 0);
	rig_end(&r);
	rig_close(&r);
}

/* The destination's own word lets the source run, also after COMMIT. */
static void
test_abort_after_commit(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 2, F_ALL, 100000);
	r.in_conf.commit = refuse;
	rig_migrate(&r);
	assert_int_equal(r.in_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(r.out_outcome, LM_OUTCOME_FAILED);
	assert_non_null(strstr(r.out_report.why,
		"the destination gave up: what has to come before"));
	assert_true(mig_fake_runs(&r.src.fakes[0]));
	assert_int_equal(r.dst.fakes[0].resets, 1);
	assert_int_equal(mig_fake_twice, 0);
	rig_end(&r);
	rig_close(&r);
}

static void
test_converge(void **state)
{
	struct lm_converge c = { 0 };
	unsigned int i;

	(void)state;
	lm_converge_add(&c, 100);
	lm_converge_add(&c, 50);
	assert_int_equal(lm_converge_verdict(&c), LM_CONVERGE_UNKNOWN);
	lm_converge_add(&c, 40);
	assert_int_equal(lm_converge_verdict(&c), LM_CONVERGE_CONVERGING);
	for (i = 0; i < 3; i++)
		lm_converge_add(&c, 41);
	assert_int_equal(lm_converge_verdict(&c), LM_CONVERGE_FLAT);
	lm_converge_add(&c, 60);
	lm_converge_add(&c, 80);
	assert_int_equal(lm_converge_verdict(&c), LM_CONVERGE_DIVERGING);
	for (i = 0; i < 3; i++)
		lm_converge_add(&c, 0);
	assert_int_equal(lm_converge_verdict(&c), LM_CONVERGE_CONVERGING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_sets),
		cmocka_unit_test(test_many_devices),
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_hidden_marks_are_seen),
		cmocka_unit_test(test_reinit),
		cmocka_unit_test(test_without_info),
		cmocka_unit_test(test_devices_only_and_ram_only),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_does_not_converge),
		cmocka_unit_test(test_prediction),
		cmocka_unit_test(test_undecided),
		cmocka_unit_test(test_abort_after_commit),
		cmocka_unit_test(test_converge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
