/* SPDX-License-Identifier: BSD-3-Clause */

/* Groups whose members fail, are late, and come back. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group_rig.h"

static const uint64_t flag_sets[] = { F_SC, F_SC | F_P2P, F_SC | F_PRE, F_ALL };

/* The others end the phase they are in, and go no further. */
static void
test_failure_ends_the_phase(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 3, F_ALL, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_PRE_COPY), 0);
	fail_at(&r.devs[1], LM_STATE_PRE_COPY, LM_STATE_PRE_COPY_P2P, -EBUSY, LM_STATE_PRE_COPY);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), -EBUSY);
	assert_int_equal(r.devs[0].state, LM_STATE_PRE_COPY_P2P);
	assert_int_equal(r.devs[2].state, LM_STATE_PRE_COPY_P2P);
	assert_int_equal(r.devs[1].state, LM_STATE_RUNNING);
	assert_int_equal(lm_group_result(r.g, 1)->outcome, LM_STATE_RECOVERED);
	assert_int_equal(lm_group_result(r.g, 1)->failed_to, LM_STATE_PRE_COPY_P2P);
	assert_non_null(strstr(lm_group_strerror(r.g), "dev1: PRE_COPY > PRE_COPY_P2P"));
	assert_int_equal(lm_group_go(r.g, LM_STATE_RUNNING), 0);
	assert_all_at(&r, LM_STATE_RUNNING);
	rig_close(&r);
}

/* Every arc, every way to fail, for every set of flags: the source is brought back. */
static void
test_recover_from_any_arc(void **state)
{
	static const int rets[] = { -EIO, 0, 1 };
	unsigned int set, a, ret, leaves;
	struct rig r;
	int got;

	(void)state;
	for (set = 0; set < DIM(flag_sets); set++) {
		for (a = 0; a < dev_ops.nb_arcs; a++) {
			for (ret = 0; ret < DIM(rets); ret++) {
				const struct lm_state_arc *arc = &dev_ops.arcs[a];
				const enum lm_state left[] = { arc->from, arc->to, LM_STATE_ERROR };

				leaves = (a + ret) % DIM(left);
				rig_open(&r, 2, flag_sets[set], true);
				fail_at(&r.devs[1], arc->from, arc->to, rets[ret], left[leaves]);
				got = lm_group_go(r.g, LM_STATE_PRE_COPY);
				if (got == 0)
					got = lm_group_go(r.g, LM_STATE_STOP_COPY);
				/* What fails on its way back is reset. */
				assert_int_equal(lm_group_recover(r.g), 0);
				assert_all_at(&r, LM_STATE_RUNNING);
				assert_int_equal(lm_group_go(r.g, LM_STATE_RESUMING) != 0 ||
						lm_group_recover(r.g) == 0, 1);
				assert_int_equal(lm_group_recover(r.g), 0);
				assert_all_at(&r, LM_STATE_RUNNING);
				rig_close(&r);
			}
		}
	}
}

/* Breaks when a stopped device with a whole load in it is run instead. */
static void
test_reset_runs_nothing_loaded(void **state)
{
	struct rig r;
	unsigned int i;

	(void)state;
	rig_open(&r, 2, F_ALL, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_RESUMING), 0);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP), 0);
	history.nb = 0;
	assert_int_equal(lm_group_reset(r.g), 0);
	assert_int_equal(history.nb, 0);
	assert_all_at(&r, LM_STATE_RUNNING);
	for (i = 0; i < r.nb; i++)
		assert_int_equal(r.devs[i].resets, 1);
	r.devs[1].reset_fails = true;
	assert_int_equal(lm_group_reset(r.g), -EIO);
	assert_int_equal(lm_group_result(r.g, 1)->outcome, LM_STATE_LOST);
	rig_close(&r);
}

static void
test_recover_says_what_it_cannot(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 2, F_SC | F_P2P, false);
	fail_at(&r.devs[0], LM_STATE_RUNNING_P2P, LM_STATE_STOP, -EIO, LM_STATE_ERROR);
	r.devs[0].reset_fails = true;
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), -EIO);
	assert_int_equal(lm_group_result(r.g, 0)->outcome, LM_STATE_LOST);
	assert_int_equal(lm_group_recover(r.g), -EIO);
	assert_non_null(strstr(lm_group_strerror(r.g), "dev0"));
	/* The other one works all the same. */
	assert_int_equal(r.devs[1].state, LM_STATE_RUNNING);
	r.devs[0].reset_fails = false;
	assert_int_equal(lm_group_recover(r.g), 0);
	assert_int_equal(lm_group_result(r.g, 0)->outcome, LM_STATE_RESET);
	assert_all_at(&r, LM_STATE_RUNNING);
	rig_close(&r);
}

static void
rig_late(struct rig *r, struct dev **late)
{
	const struct lm_member_conf slow = { .name = "slow", .provider.ops = &dev_ops,
			.deadline_us = LATE_US };
	struct lm_member_conf conf = slow;

	rig_open(r, 2, F_SC | F_P2P, false);
	*late = &r->devs[r->nb];
	(*late)->id = r->nb++;
	(*late)->flags = F_SC | F_P2P;
	(*late)->state = LM_STATE_RUNNING;
	pthread_mutex_init(&(*late)->lock, NULL);
	pthread_cond_init(&(*late)->open, NULL);
	(*late)->gated = true;
	fail_at(*late, LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, 0, LM_STATE_RUNNING);
	conf.provider.dev = *late;
	assert_int_equal(lm_group_add(r->g, &conf), 2);
}

static void
test_late_member_is_lost_and_found(void **state)
{
	unsigned int calls;
	struct dev *late;
	struct rig r;

	(void)state;
	rig_late(&r, &late);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), -ETIMEDOUT);
	assert_true(late->waiting && !late->returned);
	assert_true(lm_group_lost(r.g, 2));
	assert_false(lm_group_lost(r.g, 0));
	assert_int_equal(lm_group_result(r.g, 2)->outcome, LM_STATE_LOST);
	assert_int_equal(lm_group_result(r.g, 2)->failed_from, LM_STATE_RUNNING);
	assert_non_null(strstr(lm_group_strerror(r.g), "slow: RUNNING > RUNNING_P2P: no answer"));
	/* It holds up nobody, and is not spoken to. */
	calls = late->calls;
	assert_int_equal(lm_group_recover(r.g), -ENODEV);
	assert_int_equal(r.devs[0].state, LM_STATE_RUNNING);
	assert_int_equal(r.devs[1].state, LM_STATE_RUNNING);
	assert_int_equal(late->calls, calls);
	assert_int_equal(late->resets, 0);
	/* Its late call returns: nothing follows by itself; then it goes on from where it is. */
	late->gated = false;
	open_gate(late);
	wait_for(&late->returned);
	assert_int_equal(late->calls, calls);
	while (lm_group_recover(r.g) != 0)
		;
	assert_int_equal(late->resets, 0);
	assert_all_at(&r, LM_STATE_RUNNING);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	assert_all_at(&r, LM_STATE_STOP_COPY);
	rig_close(&r);
}

static void
test_destroy_with_a_late_member(void **state)
{
	static struct rig r; /* its device stays in use */
	struct dev *late;

	(void)state;
	rig_late(&r, &late);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), -ETIMEDOUT);
	rig_close(&r);
	open_gate(late);
	wait_for(&late->returned);
}

static int
each_count(void *ctx, unsigned int member, const struct lm_provider *provider)
{
	struct rig *r = ctx;

	assert_ptr_equal(provider->dev, &r->devs[member]);
	lm_group_count_call(r->g, member, member);
	return member == 1 ? -ENOSPC : 0;
}

static int
each_gate(void *ctx, unsigned int member, const struct lm_provider *provider)
{
	(void)ctx;
	if (member == 0)
		gate(provider->dev);
	return 0;
}

static void
test_each(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 3, F_ALL, false);
	assert_int_equal(lm_group_each(r.g, "reading", 0, each_count, &r), -ENOSPC);
	assert_int_equal(lm_group_result(r.g, 0)->error, 0);
	assert_int_equal(lm_group_result(r.g, 1)->error, -ENOSPC);
	assert_int_equal(lm_group_result(r.g, 2)->nb_calls, 3);
	assert_non_null(strstr(lm_group_strerror(r.g), "dev1: reading: No space"));
	assert_int_equal(lm_group_each(r.g, "waiting", LATE_US, each_gate, &r), -ETIMEDOUT);
	assert_true(lm_group_lost(r.g, 0));
	assert_non_null(strstr(lm_group_strerror(r.g), "dev0: waiting: no answer"));
	open_gate(&r.devs[0]);
	wait_for(&r.devs[0].returned);
	while (lm_group_recover(r.g) != 0)
		;
	assert_false(lm_group_lost(r.g, 0));
	rig_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failure_ends_the_phase),
		cmocka_unit_test(test_recover_from_any_arc),
		cmocka_unit_test(test_reset_runs_nothing_loaded),
		cmocka_unit_test(test_recover_says_what_it_cannot),
		cmocka_unit_test(test_late_member_is_lost_and_found),
		cmocka_unit_test(test_destroy_with_a_late_member),
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
