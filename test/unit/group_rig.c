/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "group_rig.h"

struct group_history history = { .lock = PTHREAD_MUTEX_INITIALIZER };

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

void
gate(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->waiting = true;
	while (!d->is_open)
		pthread_cond_wait(&d->open, &d->lock);
	pthread_mutex_unlock(&d->lock);
	d->returned = true;
}

void
open_gate(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->is_open = true;
	pthread_cond_broadcast(&d->open);
	pthread_mutex_unlock(&d->lock);
}

void
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

const struct lm_provider_ops dev_ops = {
	.name = "fake",
	.caps = dev_caps,
	.arcs = arcs,
	.nb_arcs = DIM(arcs),
	.state = dev_state,
	.reset = dev_reset,
};

void
rig_open(struct rig *r, unsigned int nb, uint64_t flags, bool no_peer_dma)
{
	const struct lm_group_conf conf = { .no_peer_dma = no_peer_dma };
	struct lm_member_conf member = { .provider.ops = &dev_ops };
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

void
rig_close(struct rig *r)
{
	lm_group_destroy(r->g);
}

void
fail_at(struct dev *d, enum lm_state from, enum lm_state to, int ret, enum lm_state leaves)
{
	d->bad_from = from;
	d->bad_to = to;
	d->bad_ret = ret;
	d->bad_leaves = leaves;
}

void
assert_all_at(const struct rig *r, enum lm_state state)
{
	unsigned int i;

	for (i = 0; i < r->nb; i++)
		assert_int_equal(r->devs[i].state, state);
}

void
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
