/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_group_pvt.h"
#include "lm_timeline.h"

#define S(state) (1u << LM_STATE_##state)
#define P2P LM_STATE_F_P2P
#define PRE LM_STATE_F_PRE_COPY

#define MAX_PHASES 3u

/*
 * Who goes where in which phase of the way to a state: the first row that fits a member. No member
 * begins a phase before all have ended the one before. Rows with alone false only serve that
 * order, and are left out for a group of one.
 */
static const struct {
	enum lm_state to;
	unsigned int phase;
	unsigned int from; /* S() of states */
	uint64_t flags;    /* that the device has to have */
	enum lm_state target;
	bool alone;
} ways[] = {
	{ LM_STATE_PRE_COPY, 0, S(RUNNING) | S(RUNNING_P2P) | S(PRE_COPY_P2P), PRE,
		LM_STATE_PRE_COPY, true },

	{ LM_STATE_STOP_COPY, 0, S(RUNNING), P2P, LM_STATE_RUNNING_P2P, false },
	{ LM_STATE_STOP_COPY, 0, S(PRE_COPY), P2P | PRE, LM_STATE_PRE_COPY_P2P, false },
	{ LM_STATE_STOP_COPY, 1, ~S(STOP_COPY), 0, LM_STATE_STOP_COPY, true },

	{ LM_STATE_RUNNING, 0, S(RESUMING), 0, LM_STATE_STOP, false },
	{ LM_STATE_RUNNING, 1, S(STOP) | S(STOP_COPY), P2P, LM_STATE_RUNNING_P2P, false },
	{ LM_STATE_RUNNING, 2, ~S(RUNNING), 0, LM_STATE_RUNNING, true },

	{ LM_STATE_STOP, 0, S(RUNNING), P2P, LM_STATE_RUNNING_P2P, false },
	{ LM_STATE_STOP, 1, ~S(STOP), 0, LM_STATE_STOP, true },

	{ LM_STATE_RESUMING, 0, S(RUNNING), P2P, LM_STATE_RUNNING_P2P, false },
	{ LM_STATE_RESUMING, 1, ~S(RESUMING), 0, LM_STATE_RESUMING, true },
};
#define NB_WAYS (sizeof(ways) / sizeof(ways[0]))

/* The first question of a walk is answered from what the last one found out. */
int
lm_member_state(void *dev, enum lm_state *state)
{
	struct lm_member *m = dev;
	int ret;

	if (m->at_known) {
		m->at_known = false;
		*state = m->work.at;
		return 0;
	}
	ret = lm_member_call_begin(m, "telling its state", m->deadline_us);
	if (ret != 0)
		return ret;
	ret = m->provider.ops->state(m->provider.dev, state);
	lm_member_call_end(m);
	return ret;
}

static const struct lm_state_arc *
provider_row(const struct lm_provider_ops *ops, enum lm_state from, enum lm_state to)
{
	unsigned int i;

	for (i = 0; i < ops->nb_arcs; i++)
		if (ops->arcs[i].from == from && ops->arcs[i].to == to)
			return &ops->arcs[i];
	return NULL;
}

int
lm_member_arc(void *dev, enum lm_state from, enum lm_state to)
{
	struct lm_member *m = dev;
	const struct lm_state_arc *row = provider_row(m->provider.ops, from, to);
	uint64_t began;
	int ret;

	ret = lm_member_arc_begin(m, from, to);
	if (ret != 0)
		return ret;
	began = lm_clock_ns();
	ret = row->fn(m->provider.dev, from, to);
	lm_timeline_add(m->timeline, "arc", m->call, (lm_clock_ns() - began) / 1000, ret);
	lm_member_call_end(m);
	return ret;
}

int
lm_member_reset(void *dev)
{
	struct lm_member *m = dev;
	int ret;

	ret = lm_member_call_begin(m, "its reset", m->deadline_us);
	if (ret != 0)
		return ret;
	ret = m->provider.ops->reset(m->provider.dev);
	lm_timeline_add(m->timeline, "reset", "", 0, ret);
	lm_member_call_end(m);
	return ret;
}

/* After a walk: the result, and where the device is from now on. */
static void
note(struct lm_member *m, const struct lm_state_result *walk)
{
	m->work.outcome = walk->outcome;
	m->work.at = walk->at;
	m->work.failed_from = walk->failed_from;
	m->work.failed_to = walk->failed_to;
	m->at_known = walk->at != LM_STATE_ERROR;
}

static int
job_ask(struct lm_member *m, void *ctx)
{
	enum lm_state at = LM_STATE_ERROR;
	int ret;

	(void)ctx;
	ret = lm_member_state(m, &at);
	if (ret == 0 && lm_state_needs(at) != UINT64_MAX)
		m->work.at = at;
	else
		m->work.at = LM_STATE_ERROR;
	m->at_known = m->work.at != LM_STATE_ERROR;
	m->work.outcome = LM_STATE_REFUSED;
	return ret > 0 ? -EPROTO : ret;
}

static int
job_reset(struct lm_member *m, void *ctx)
{
	struct lm_state_result walk;
	int ret;

	(void)ctx;
	m->at_known = false;
	ret = lm_state_reset(&m->machine, m, &walk);
	note(m, &walk);
	return ret;
}

struct walk {
	enum lm_state target[LM_GROUP_MAX_MEMBERS];
};

static int
job_walk(struct lm_member *m, void *ctx)
{
	const struct walk *w = ctx;
	struct lm_state_result walk;
	int ret;

	ret = lm_state_walk(&m->machine, m, w->target[m->index], &walk);
	note(m, &walk);
	return ret;
}

static bool
way(const struct lm_group *g, const struct lm_member *m, enum lm_state to, unsigned int phase,
		enum lm_state *target)
{
	unsigned int i;

	if (m->work.at == LM_STATE_ERROR)
		return false;
	for (i = 0; i < NB_WAYS; i++) {
		if (ways[i].to != to || ways[i].phase != phase ||
				(ways[i].from & (1u << m->work.at)) == 0 ||
				(ways[i].flags & ~m->caps.flags) != 0 ||
				(!ways[i].alone && g->nb_members == 1))
			continue;
		*target = ways[i].target;
		return true;
	}
	return false;
}

static const char *
fate(const struct lm_member_result *r)
{
	static const char *const words[] = {
		[LM_STATE_REFUSED] = "it was left alone",
		[LM_STATE_ARRIVED] = "it went on",
		[LM_STATE_RECOVERED] = "it is back",
		[LM_STATE_RESET] = "it was reset and runs empty",
		[LM_STATE_LOST] = "it is lost, and may do DMA",
	};

	return words[r->outcome];
}

int
lm_group_verdict(struct lm_group *g)
{
	const struct lm_member_result *r;
	const struct lm_member *m;
	unsigned int i;
	char arc[48];

	g->error[0] = '\0';
	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		r = &m->result;
		if (r->error == 0)
			continue;
		if (r->failed_from != LM_STATE_ERROR)
			snprintf(arc, sizeof(arc), "%s > %s", lm_state_name(r->failed_from),
					lm_state_name(r->failed_to));
		else
			snprintf(arc, sizeof(arc), "%s", m->what != NULL ? m->what : m->call);
		if (r->error == -ETIMEDOUT && r->outcome == LM_STATE_LOST)
			snprintf(g->error, sizeof(g->error),
					"%s: %s: no answer in %" PRIu64 " ms; it is lost, and may "
					"do DMA",
					m->name, arc, r->took_us / 1000);
		else
			snprintf(g->error, sizeof(g->error), "%s: %s: %s; %s", m->name, arc,
					strerror(-r->error), fate(r));
		return r->error;
	}
	return 0;
}

static void
clear(struct lm_group *g)
{
	struct lm_member *m;
	unsigned int i;

	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		m->what = NULL;
		m->taking_part = false;
		m->result.error = atomic_load(&m->lost) ? -ENODEV : 0;
		m->result.outcome = atomic_load(&m->lost) ? LM_STATE_LOST : LM_STATE_ARRIVED;
		m->result.failed_from = LM_STATE_ERROR;
		m->result.failed_to = LM_STATE_ERROR;
		m->result.took_us = 0;
		m->result.nb_calls = 0;
	}
}

/* Ask those whose state is not known. */
static int
ask_unknown(struct lm_group *g)
{
	struct lm_member *m;
	unsigned int i;

	for (i = 0; i < g->nb_members; i++)
		g->members[i]->taking_part = !g->members[i]->at_known;
	lm_group_run(g, job_ask, NULL);
	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		if (m->result.error == 0 && m->work.at == LM_STATE_ERROR)
			m->result.error = -EIO;
	}
	return lm_group_verdict(g);
}

/* One phase for all that are not given up and have something to do in it. */
static void
run_phase(struct lm_group *g, enum lm_state to, unsigned int phase)
{
	struct walk w;
	struct lm_member *m;
	unsigned int i;

	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		m->taking_part = !atomic_load(&m->lost) && way(g, m, to, phase, &w.target[i]);
	}
	lm_group_run(g, job_walk, &w);
}

static bool
has_way(enum lm_state to)
{
	unsigned int i;

	for (i = 0; i < NB_WAYS; i++)
		if (ways[i].to == to)
			return true;
	return false;
}

/* Peers that cannot be held off each other would find one stopped while the other still sends. */
static bool
peers_are_safe(const struct lm_group *g)
{
	unsigned int i;

	if (g->nb_members < 2 || g->no_peer_dma)
		return true;
	for (i = 0; i < g->nb_members; i++)
		if ((g->members[i]->caps.flags & P2P) == 0)
			return false;
	return true;
}

int
lm_group_go(struct lm_group *g, enum lm_state to)
{
	unsigned int phase;
	int ret;

	clear(g);
	g->error[0] = '\0';
	if (!has_way(to))
		return -EINVAL;
	if (g->nb_members == 0)
		return -ENODEV;
	if (to != LM_STATE_RUNNING && !peers_are_safe(g)) {
		snprintf(g->error, sizeof(g->error),
				"not all devices have P2P states, and nobody said that they do no "
				"DMA to each other");
		return -EXDEV;
	}
	ret = ask_unknown(g);
	for (phase = 0; phase < MAX_PHASES && ret == 0; phase++) {
		run_phase(g, to, phase);
		ret = lm_group_verdict(g);
	}
	return ret;
}

/* A lost member whose late call has returned can be spoken to again. */
static void
find_again(struct lm_group *g)
{
	struct lm_member *m;
	unsigned int i;

	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		if (!atomic_load(&m->lost) || m->turn != LM_MEMBER_IDLE)
			continue;
		m->forsaken = false;
		m->at_known = false;
		m->work.at = LM_STATE_ERROR;
		atomic_store(&m->lost, false);
	}
	pthread_mutex_unlock(&g->lock);
}

/* Members that can be spoken to and are in one of these states, S(). */
static void
reset_those_at(struct lm_group *g, unsigned int states)
{
	struct lm_member *m;
	unsigned int i;

	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		m->taking_part = !atomic_load(&m->lost) && (states & (1u << m->work.at)) != 0;
	}
	lm_group_run(g, job_reset, NULL);
}

int
lm_group_recover(struct lm_group *g)
{
	struct lm_member *m;
	unsigned int i;

	find_again(g);
	clear(g);
	ask_unknown(g);
	/* Where it is nobody knows, or half a load is in it. */
	reset_those_at(g, S(ERROR) | S(RESUMING));
	for (i = 0; i < MAX_PHASES; i++)
		run_phase(g, LM_STATE_RUNNING, i);
	reset_those_at(g, ~S(RUNNING));
	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		if (!atomic_load(&m->lost) && m->work.at == LM_STATE_RUNNING)
			m->result.error = 0;
	}
	return lm_group_verdict(g);
}

int
lm_group_reset(struct lm_group *g)
{
	find_again(g);
	clear(g);
	reset_those_at(g, UINT_MAX);
	return lm_group_verdict(g);
}

struct each {
	int (*fn)(void *ctx, unsigned int member, const struct lm_provider *provider);
	void *ctx;
	const char *what;
	uint64_t deadline_us;
};

static int
job_each(struct lm_member *m, void *ctx)
{
	/* The caller's copy may be gone when a late one looks. */
	const struct each each = *(const struct each *)ctx;
	int ret;

	ret = lm_member_call_begin(m, each.what, each.deadline_us == LM_GROUP_OWN_DEADLINE ?
		m->deadline_us : each.deadline_us);
	if (ret != 0)
		return ret;
	ret = each.fn(each.ctx, m->index, &m->provider);
	lm_member_call_end(m);
	return ret;
}

int
lm_group_some(struct lm_group *g, const char *what, uint64_t deadline_us,
		bool (*who)(void *ctx, unsigned int member),
		int (*fn)(void *ctx, unsigned int member, const struct lm_provider *provider),
		void *ctx)
{
	struct each each = { .fn = fn, .ctx = ctx, .what = what, .deadline_us = deadline_us };
	unsigned int i;

	clear(g);
	if (g->nb_members == 0)
		return -ENODEV;
	for (i = 0; i < g->nb_members; i++) {
		g->members[i]->what = what;
		g->members[i]->taking_part = who == NULL || who(ctx, i);
	}
	lm_group_run(g, job_each, &each);
	return lm_group_verdict(g);
}

int
lm_group_each(struct lm_group *g, const char *what, uint64_t deadline_us,
		int (*fn)(void *ctx, unsigned int member, const struct lm_provider *provider),
		void *ctx)
{
	return lm_group_some(g, what, deadline_us, NULL, fn, ctx);
}

int
lm_group_next_call(struct lm_group *g, unsigned int member)
{
	struct lm_member *m = g->members[member];
	int ret = -ECANCELED;

	pthread_mutex_lock(&g->lock);
	if (!m->forsaken) {
		m->since_ns = lm_clock_ns();
		m->work.nb_calls++;
		atomic_fetch_add(&m->nb_calls, 1);
		ret = 0;
	}
	pthread_mutex_unlock(&g->lock);
	return ret;
}

void
lm_group_count_call(struct lm_group *g, unsigned int member, unsigned int calls)
{
	struct lm_member *m = g->members[member];

	pthread_mutex_lock(&g->lock);
	m->work.nb_calls += calls;
	pthread_mutex_unlock(&g->lock);
	atomic_fetch_add(&m->nb_calls, calls);
}
