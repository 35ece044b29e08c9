/* SPDX-License-Identifier: BSD-3-Clause */

/* Groups: who goes where before whom, and in how many calls. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group_rig.h"
#include "lm_timeline.h"

static const uint64_t flag_sets[] = { F_SC, F_SC | F_P2P, F_SC | F_PRE, F_ALL };

static void
test_order_out_and_in(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 3, F_ALL, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_PRE_COPY), 0);
	assert_all_at(&r, LM_STATE_PRE_COPY);
	history.nb = 0;
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	assert_all_at(&r, LM_STATE_STOP_COPY);
	assert_barrier(LM_STATE_PRE_COPY_P2P, LM_STATE_STOP_COPY, 3);
	history.nb = 0;
	assert_int_equal(lm_group_go(r.g, LM_STATE_RUNNING), 0);
	assert_all_at(&r, LM_STATE_RUNNING);
	assert_barrier(LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, 3);
	rig_close(&r);
}

static void
test_order_without_pre_copy(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 3, F_SC | F_P2P, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_PRE_COPY), 0);
	assert_all_at(&r, LM_STATE_RUNNING);
	assert_int_equal(history.nb, 0);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	assert_all_at(&r, LM_STATE_STOP_COPY);
	assert_barrier(LM_STATE_RUNNING_P2P, LM_STATE_STOP, 3);
	rig_close(&r);
}

/* The destination's way: all loads end before any device answers its peers. */
static void
test_order_load(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 3, F_ALL, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_RESUMING), 0);
	assert_all_at(&r, LM_STATE_RESUMING);
	history.nb = 0;
	assert_int_equal(lm_group_go(r.g, LM_STATE_RUNNING), 0);
	assert_barrier(LM_STATE_STOP, LM_STATE_RUNNING_P2P, 3);
	assert_barrier(LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, 3);
	rig_close(&r);
}

static void
test_all_sets_all_targets(void **state)
{
	static const enum lm_state tour[] = {
		LM_STATE_PRE_COPY, LM_STATE_STOP_COPY, LM_STATE_STOP, LM_STATE_RESUMING,
		LM_STATE_STOP, LM_STATE_RUNNING, LM_STATE_STOP_COPY, LM_STATE_RUNNING,
		LM_STATE_RESUMING, LM_STATE_RUNNING, LM_STATE_PRE_COPY, LM_STATE_RUNNING,
		LM_STATE_STOP, LM_STATE_STOP_COPY, LM_STATE_RESUMING, LM_STATE_STOP,
	};
	unsigned int set, i, nb;
	struct rig r;

	(void)state;
	for (set = 0; set < DIM(flag_sets); set++) {
		for (nb = 1; nb <= 2; nb++) {
			rig_open(&r, nb, flag_sets[set], true);
			for (i = 0; i < DIM(tour); i++) {
				enum lm_state to = tour[i];

				assert_int_equal(lm_group_go(r.g, to), 0);
				if (to == LM_STATE_PRE_COPY && (flag_sets[set] & F_PRE) == 0)
					to = LM_STATE_RUNNING;
				assert_all_at(&r, to);
				assert_int_equal(lm_group_result(r.g, 0)->at, to);
			}
			rig_close(&r);
		}
	}
}

/* One device: no barrier to wait at, and nothing asked twice. */
static void
test_few_calls(void **state)
{
	struct rig r;
	unsigned int before;

	(void)state;
	rig_open(&r, 1, F_ALL, false);
	before = r.devs[0].calls;
	assert_int_equal(before, 0);
	assert_int_equal(lm_group_go(r.g, LM_STATE_PRE_COPY), 0);
	/* Where is it, the arc, is it there. */
	assert_int_equal(r.devs[0].calls, 3);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	/* Two arcs, is it there. */
	assert_int_equal(r.devs[0].calls, 6);
	assert_int_equal(lm_group_result(r.g, 0)->nb_calls, 3);
	/* caps counts too. */
	assert_int_equal(lm_group_calls(r.g, 0), 7);
	rig_close(&r);
}

static void
test_peers_without_p2p(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 2, F_SC | F_PRE, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), -EXDEV);
	assert_non_null(strstr(lm_group_strerror(r.g), "P2P"));
	assert_int_equal(lm_group_go(r.g, LM_STATE_PRE_COPY), -EXDEV);
	assert_int_equal(history.nb, 0);
	rig_close(&r);
	rig_open(&r, 2, F_SC | F_PRE, true);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	rig_close(&r);
	rig_open(&r, 1, F_SC | F_PRE, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	rig_close(&r);
}

static void
test_no_such_target(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r, 1, F_ALL, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_RUNNING_P2P), -EINVAL);
	assert_int_equal(lm_group_go(r.g, LM_STATE_ERROR), -EINVAL);
	assert_int_equal(lm_group_go(r.g, LM_STATE_PRE_COPY), 0);
	/* It would run again on its way. */
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP), -EINVAL);
	assert_int_equal(lm_group_result(r.g, 0)->outcome, LM_STATE_REFUSED);
	assert_all_at(&r, LM_STATE_PRE_COPY);
	rig_close(&r);
	rig_open(&r, 0, F_ALL, false);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP), -ENODEV);
	rig_close(&r);
}

static void
test_parallel(void **state)
{
	struct rig r;
	unsigned int i;

	(void)state;
	rig_open(&r, MAX_DEVS, F_SC | F_P2P, false);
	for (i = 0; i < MAX_DEVS; i++)
		r.devs[i].rendezvous = MAX_DEVS;
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	assert_int_equal(history.most_inside, MAX_DEVS);
	rig_close(&r);
}

static void
test_lanes(void **state)
{
	const struct lm_group_conf conf = { 0 };
	struct lm_member_conf member = { .provider.ops = &dev_ops };
	struct rig r;
	char name[16];
	unsigned int i;

	(void)state;
	rig_open(&r, 0, F_ALL, false);
	lm_group_destroy(r.g);
	assert_int_equal(lm_group_create(&conf, &r.g), 0);
	for (i = 0; i < 6; i++) {
		struct dev *d = &r.devs[i];

		d->id = i;
		d->lane = 1 + i % 2;
		d->flags = F_ALL;
		d->state = LM_STATE_RUNNING;
		d->rendezvous = 2;
		snprintf(name, sizeof(name), "dev%u", i);
		member.name = name;
		member.lane = d->lane;
		member.provider.dev = d;
		assert_int_equal(lm_group_add(r.g, &member), i);
	}
	r.nb = 6;
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	assert_all_at(&r, LM_STATE_STOP_COPY);
	assert_int_equal(history.most_lane_inside[1], 1);
	assert_int_equal(history.most_lane_inside[2], 1);
	assert_int_equal(history.most_inside, 2);
	rig_close(&r);
}

static void
test_timeline(void **state)
{
	const struct lm_group_conf conf = { 0 };
	struct lm_timeline_event events[8];
	struct lm_member_conf member = { .name = "vf0", .provider.ops = &dev_ops };
	struct rig r;

	(void)state;
	memset(&r, 0, sizeof(r));
	history.nb = 0;
	r.devs[0].flags = F_ALL;
	r.devs[0].state = LM_STATE_RUNNING;
	member.provider.dev = &r.devs[0];
	assert_int_equal(lm_timeline_create("vf0", &member.timeline), 0);
	assert_int_equal(lm_group_create(&conf, &r.g), 0);
	assert_int_equal(lm_group_add(r.g, &member), 0);
	assert_int_equal(lm_group_go(r.g, LM_STATE_STOP_COPY), 0);
	assert_int_equal(lm_timeline_read(member.timeline, 0, events, DIM(events)), 3);
	assert_string_equal(events[0].phase, "arc");
	assert_string_equal(events[0].event, "RUNNING > RUNNING_P2P");
	assert_string_equal(events[2].event, "STOP > STOP_COPY");
	rig_close(&r);
	lm_timeline_destroy(member.timeline);
}

static void
test_add_refuses(void **state)
{
	struct lm_provider_ops few = dev_ops;
	struct lm_member_conf member = { .name = "dev0", .provider.ops = &dev_ops };
	struct rig r;

	(void)state;
	few.nb_arcs = 4;
	few.reset = NULL;
	rig_open(&r, 1, F_ALL, false);
	member.provider.dev = &r.devs[0];
	assert_int_equal(lm_group_add(r.g, &member), -EEXIST);
	member.name = "";
	assert_int_equal(lm_group_add(r.g, &member), -EINVAL);
	member.name = "a name of sixty-four characters, which is one more than what fits";
	assert_int_equal(lm_group_add(r.g, &member), -EINVAL);
	member.name = "few";
	member.provider.ops = &few;
	assert_int_equal(lm_group_add(r.g, &member), -EINVAL);
	assert_int_equal(lm_group_count(r.g), 1);
	assert_null(lm_group_name(r.g, 1));
	assert_string_equal(lm_group_name(r.g, 0), "dev0");
	assert_int_equal(lm_group_caps(r.g, 0)->flags, F_ALL);
	rig_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_out_and_in),
		cmocka_unit_test(test_order_without_pre_copy),
		cmocka_unit_test(test_order_load),
		cmocka_unit_test(test_all_sets_all_targets),
		cmocka_unit_test(test_few_calls),
		cmocka_unit_test(test_peers_without_p2p),
		cmocka_unit_test(test_no_such_target),
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_add_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
