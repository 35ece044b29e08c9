/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Groups of devices that fail, hang and lie: the order over all of them, deadlines, and what is
 * left of a member that was given up.
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lm_group.h"
#include "lm_timeline.h"

#define DIM(a) (sizeof(a) / sizeof((a)[0]))
#define F_SC LM_STATE_F_STOP_COPY
#define F_P2P LM_STATE_F_P2P
#define F_PRE LM_STATE_F_PRE_COPY
#define F_ALL (F_SC | F_P2P | F_PRE)
#define LATE_US 100000u

static const uint64_t flag_sets[] = { F_SC, F_SC | F_P2P, F_SC | F_PRE, F_ALL };

/* All that devices did, in order. */
static struct {
	pthread_mutex_t lock;
	unsigned int nb;
	struct {
		unsigned int dev;
		enum lm_state from;
		enum lm_state to;
		bool end;
	} entry[4096];
	unsigned int inside; /* arcs being taken now */
	unsigned int most_inside;
	unsigned int lane_inside[8];
	unsigned int most_lane_inside[8];
} history = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct dev {
	unsigned int id;
	unsigned int lane;
	uint64_t flags;
	_Atomic int state;
	/* The arc that goes wrong. */
	enum lm_state bad_from;
	enum lm_state bad_to;
	int bad_ret;
	enum lm_state bad_leaves; /* the state after it failed */
	bool reset_fails;
	_Atomic unsigned int calls;
	_Atomic unsigned int resets;
	/* A gate in that arc: closed, it does not return. */
	bool gated;
	pthread_mutex_t lock;
	pthread_cond_t open;
	bool is_open;
	_Atomic bool waiting;
	_Atomic bool returned;
	/* Arcs wait until so many are inside at once; 0: none. */
	unsigned int rendezvous;
};

static void
enter(struct dev *d, enum lm_state from, enum lm_state to)
{
	pthread_mutex_lock(&history.lock);
	assert_true(history.nb + 1 < DIM(history.entry));
	history.entry[history.nb].dev = d->id;
	history.entry[history.nb].from = from;
	history.entry[history.nb].to = to;
	history.entry[history.nb++].end = false;
	if (++history.inside > history.most_inside)
		history.most_inside = history.inside;
	if (++history.lane_inside[d->lane] > history.most_lane_inside[d->lane])
		history.most_lane_inside[d->lane] = history.lane_inside[d->lane];
	pthread_mutex_unlock(&history.lock);
}

static void
leave(struct dev *d, enum lm_state from, enum lm_state to)
{
	pthread_mutex_lock(&history.lock);
	history.entry[history.nb].dev = d->id;
	history.entry[history.nb].from = from;
	history.entry[history.nb].to = to;
	history.entry[history.nb++].end = true;
	history.inside--;
	history.lane_inside[d->lane]--;
	pthread_mutex_unlock(&history.lock);
}

static void
gate(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->waiting = true;
	while (!d->is_open)
		pthread_cond_wait(&d->open, &d->lock);
	pthread_mutex_unlock(&d->lock);
	d->returned = true;
}

static void
open_gate(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->is_open = true;
	pthread_cond_broadcast(&d->open);
	pthread_mutex_unlock(&d->lock);
}

static void
wait_for(_Atomic bool *what)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	unsigned int i;

	for (i = 0; i < 20000 && !*what; i++)
		nanosleep(&nap, NULL);
	assert_true(*what);
}

/* Bounded: devices that are never inside together end the wait, and the check after it fails. */
static void
meet(unsigned int nb)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	unsigned int i;
	bool met = false;

	for (i = 0; i < 20000 && !met; i++) {
		pthread_mutex_lock(&history.lock);
		met = history.most_inside >= nb;
		pthread_mutex_unlock(&history.lock);
		if (!met)
			nanosleep(&nap, NULL);
	}
}

static int
dev_arc(void *dev, enum lm_state from, enum lm_state to)
{
	struct dev *d = dev;
	int ret = 0;

	d->calls++;
	enter(d, from, to);
	if (d->rendezvous != 0)
		meet(d->rendezvous);
	if ((enum lm_state)d->state != from) {
		ret = -EINVAL;
	} else if (from == d->bad_from && to == d->bad_to) {
		if (d->gated)
			gate(d);
		ret = d->bad_ret;
		d->state = (int)(ret == 0 ? to : d->bad_leaves);
	} else {
		d->state = (int)to;
	}
	leave(d, from, to);
	return ret;
}

static int
dev_caps(void *dev, struct lm_caps *caps)
{
	struct dev *d = dev;

	caps->flags = d->flags;
	return 0;
}

static int
dev_state(void *dev, enum lm_state *state)
{
	struct dev *d = dev;

	d->calls++;
	*state = (enum lm_state)d->state;
	return 0;
}

static int
dev_reset(void *dev)
{
	struct dev *d = dev;

	d->calls++;
	d->resets++;
	if (d->reset_fails)
		return -EIO;
	d->state = LM_STATE_RUNNING;
	return 0;
}

#define ARC(f, t, r) { LM_STATE_##f, LM_STATE_##t, LM_STATE_##r, dev_arc }
static const struct lm_state_arc arcs[] = {
	ARC(STOP, STOP_COPY, STOP),
	ARC(STOP_COPY, STOP, STOP),
	ARC(STOP, RESUMING, STOP),
	ARC(RESUMING, STOP, ERROR),
	ARC(RUNNING, STOP, RUNNING),
	ARC(STOP, RUNNING, STOP),
	ARC(RUNNING, RUNNING_P2P, RUNNING),
	ARC(RUNNING_P2P, RUNNING, RUNNING),
	ARC(RUNNING_P2P, STOP, RUNNING),
	ARC(STOP, RUNNING_P2P, STOP),
	ARC(RUNNING, PRE_COPY, RUNNING),
	ARC(PRE_COPY, RUNNING, RUNNING),
	ARC(PRE_COPY, STOP_COPY, RUNNING),
	ARC(PRE_COPY, PRE_COPY_P2P, RUNNING),
	ARC(PRE_COPY_P2P, PRE_COPY, RUNNING),
	ARC(PRE_COPY_P2P, RUNNING_P2P, RUNNING),
	ARC(RUNNING_P2P, PRE_COPY_P2P, RUNNING),
	ARC(PRE_COPY_P2P, STOP_COPY, RUNNING),
};

static const struct lm_provider_ops ops = {
	.name = "fake",
	.caps = dev_caps,
	.arcs = arcs,
	.nb_arcs = DIM(arcs),
	.state = dev_state,
	.reset = dev_reset,
};

#define MAX_DEVS 64u

struct rig {
	struct lm_group *g;
	struct dev devs[MAX_DEVS];
	unsigned int nb;
};

static void
rig_open(struct rig *r, unsigned int nb, uint64_t flags, bool no_peer_dma)
{
	const struct lm_group_conf conf = { .no_peer_dma = no_peer_dma };
	struct lm_member_conf member = { .provider.ops = &ops };
	char name[16];
	unsigned int i;

	memset(r, 0, sizeof(*r));
	r->nb = nb;
	pthread_mutex_lock(&history.lock);
	history.nb = 0;
	history.most_inside = 0;
	memset(history.most_lane_inside, 0, sizeof(history.most_lane_inside));
	pthread_mutex_unlock(&history.lock);
	assert_int_equal(lm_group_create(&conf, &r->g), 0);
	for (i = 0; i < nb; i++) {
		struct dev *d = &r->devs[i];

		d->id = i;
		d->flags = flags;
		d->state = LM_STATE_RUNNING;
		pthread_mutex_init(&d->lock, NULL);
		pthread_cond_init(&d->open, NULL);
		snprintf(name, sizeof(name), "dev%u", i);
		member.name = name;
		member.provider.dev = d;
		assert_int_equal(lm_group_add(r->g, &member), i);
	}
	assert_int_equal(lm_group_count(r->g), nb);
}

static void
rig_close(struct rig *r)
{
	lm_group_destroy(r->g);
}

static void
fail_at(struct dev *d, enum lm_state from, enum lm_state to, int ret, enum lm_state leaves)
{
	d->bad_from = from;
	d->bad_to = to;
	d->bad_ret = ret;
	d->bad_leaves = leaves;
}

static void
assert_all_at(const struct rig *r, enum lm_state state)
{
	unsigned int i;

	for (i = 0; i < r->nb; i++)
		assert_int_equal(r->devs[i].state, state);
}

/* No arc that begins in "late" begins before all members ended their arc into "early". */
static void
assert_barrier(enum lm_state early, enum lm_state late, unsigned int nb)
{
	unsigned int i, ended = 0, begun = 0;

	for (i = 0; i < history.nb; i++) {
		if (history.entry[i].end && history.entry[i].to == early)
			ended++;
		if (!history.entry[i].end && history.entry[i].from == early &&
				history.entry[i].to == late) {
			assert_int_equal(ended, nb);
			begun++;
		}
	}
	assert_int_equal(begun, nb);
}

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
		for (a = 0; a < DIM(arcs); a++) {
			for (ret = 0; ret < DIM(rets); ret++) {
				const enum lm_state left[] = { arcs[a].from, arcs[a].to,
						LM_STATE_ERROR };

				leaves = (a + ret) % DIM(left);
				rig_open(&r, 2, flag_sets[set], true);
				fail_at(&r.devs[1], arcs[a].from, arcs[a].to, rets[ret],
						left[leaves]);
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
	const struct lm_member_conf slow = { .name = "slow", .provider.ops = &ops,
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
	struct lm_member_conf member = { .provider.ops = &ops };
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

static void
test_timeline(void **state)
{
	const struct lm_group_conf conf = { 0 };
	struct lm_timeline_event events[8];
	struct lm_member_conf member = { .name = "vf0", .provider.ops = &ops };
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
	static const struct lm_provider_ops few = { .name = "few", .caps = dev_caps, .arcs = arcs,
			.nb_arcs = 4, .state = dev_state };
	struct lm_member_conf member = { .name = "dev0", .provider.ops = &ops };
	struct rig r;

	(void)state;
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
		cmocka_unit_test(test_failure_ends_the_phase),
		cmocka_unit_test(test_recover_from_any_arc),
		cmocka_unit_test(test_reset_runs_nothing_loaded),
		cmocka_unit_test(test_recover_says_what_it_cannot),
		cmocka_unit_test(test_late_member_is_lost_and_found),
		cmocka_unit_test(test_destroy_with_a_late_member),
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_add_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
