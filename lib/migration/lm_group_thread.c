/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_group_pvt.h"
#include "lm_thread_os.h"
#include "lm_timeline.h"

#define NS_PER_US UINT64_C(1000)

static void *
member_main(void *arg)
{
	struct lm_member *m = arg;
	struct lm_group *g = m->group;
	uint64_t began;
	int ret;

	pthread_mutex_lock(&g->lock);
	for (;;) {
		while (m->turn != LM_MEMBER_ORDERED && !m->ending)
			pthread_cond_wait(&m->wake, &g->lock);
		if (m->turn != LM_MEMBER_ORDERED)
			break;
		m->turn = LM_MEMBER_BUSY;
		pthread_mutex_unlock(&g->lock);
		began = lm_clock_ns();
		ret = m->job(m, m->ctx);
		pthread_mutex_lock(&g->lock);
		m->work.error = ret;
		m->work.took_us = (lm_clock_ns() - began) / NS_PER_US;
		m->since_ns = 0;
		m->turn = LM_MEMBER_IDLE;
		pthread_cond_broadcast(&g->bell);
	}
	m->gone = true;
	pthread_cond_broadcast(&g->bell);
	lm_group_unref_locked(g);
	return NULL;
}

int
lm_member_thread_start(struct lm_member *m)
{
	struct lm_group *g = m->group;
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "lm-%.12s", m->name);
	pthread_mutex_lock(&g->lock);
	g->refs++;
	pthread_mutex_unlock(&g->lock);
	ret = lm_thread_os_start(name, member_main, m);
	if (ret != 0) {
		pthread_mutex_lock(&g->lock);
		g->refs--;
		pthread_mutex_unlock(&g->lock);
	}
	return ret;
}

static int
call_begin(struct lm_member *m, uint64_t deadline_us, enum lm_state from, enum lm_state to,
		const char *name)
{
	int ret = 0;

	pthread_mutex_lock(&m->group->lock);
	if (m->forsaken) {
		ret = -ECANCELED;
	} else {
		m->since_ns = lm_clock_ns();
		m->call_deadline_us = deadline_us;
		m->call_from = from;
		m->call_to = to;
		if (name != NULL)
			snprintf(m->call, sizeof(m->call), "%s", name);
		else
			snprintf(m->call, sizeof(m->call), "%s > %s", lm_state_name(from),
					lm_state_name(to));
		m->work.nb_calls++;
		atomic_fetch_add(&m->nb_calls, 1);
		/* Who waits has computed an end without this call's. */
		pthread_cond_broadcast(&m->group->bell);
	}
	pthread_mutex_unlock(&m->group->lock);
	return ret;
}

int
lm_member_call_begin(struct lm_member *m, const char *name, uint64_t deadline_us)
{
	return call_begin(m, deadline_us, LM_STATE_ERROR, LM_STATE_ERROR, name);
}

int
lm_member_arc_begin(struct lm_member *m, enum lm_state from, enum lm_state to)
{
	return call_begin(m, m->deadline_us, from, to, NULL);
}

void
lm_member_call_end(struct lm_member *m)
{
	pthread_mutex_lock(&m->group->lock);
	m->since_ns = 0;
	pthread_mutex_unlock(&m->group->lock);
}

static uint64_t
call_ends_ns(const struct lm_member *m)
{
	if (m->since_ns == 0 || m->call_deadline_us == 0 ||
			m->call_deadline_us > (UINT64_MAX - m->since_ns) / NS_PER_US)
		return UINT64_MAX;
	return m->since_ns + m->call_deadline_us * NS_PER_US;
}

/* A transition has several phases: its time and calls are those of all. */
static void
take_result_locked(struct lm_member *m, const struct lm_member_result *work)
{
	uint64_t took_us = m->result.took_us;
	unsigned int nb_calls = m->result.nb_calls;

	m->result = *work;
	m->result.took_us += took_us;
	m->result.nb_calls += nb_calls;
	m->slow_us = work->took_us;
	m->taking_part = false;
}

static void
give_up_locked(struct lm_member *m)
{
	const struct lm_member_result late = {
		.outcome = LM_STATE_LOST,
		.at = LM_STATE_ERROR,
		.failed_from = m->call_from,
		.failed_to = m->call_to,
		.error = -ETIMEDOUT,
		.took_us = (lm_clock_ns() - m->since_ns) / NS_PER_US,
		.nb_calls = m->work.nb_calls,
	};

	m->forsaken = true;
	atomic_store(&m->lost, true);
	take_result_locked(m, &late);
	lm_timeline_add(m->timeline, "lost", m->call, m->result.took_us, -ETIMEDOUT);
}

/* Longest last time first, so that the slow ones do not come to stand at the end of a lane. */
static int
compare_slowest(const void *a, const void *b)
{
	const struct lm_member *ma = *(struct lm_member *const *)a;
	const struct lm_member *mb = *(struct lm_member *const *)b;

	if (ma->slow_us != mb->slow_us)
		return ma->slow_us < mb->slow_us ? 1 : -1;
	return ma->index < mb->index ? -1 : 1;
}

struct run {
	struct lm_member *order[LM_GROUP_MAX_MEMBERS];
	unsigned int nb;      /* in order[] */
	unsigned int started; /* flags are in begun[] */
	bool begun[LM_GROUP_MAX_MEMBERS];
	lm_member_job_t job;
	void *ctx;
};

static bool
lane_is_busy(const struct run *r, const struct lm_member *m)
{
	unsigned int i;

	if (m->lane == 0)
		return false;
	for (i = 0; i < r->nb; i++)
		if (r->begun[i] && r->order[i]->taking_part && r->order[i]->lane == m->lane)
			return true;
	return false;
}

static void
order_locked(struct lm_member *m, const struct run *r)
{
	/* Where it is stays known from job to job. */
	m->work = (struct lm_member_result){
		.outcome = LM_STATE_REFUSED,
		.at = m->work.at,
		.failed_from = LM_STATE_ERROR,
		.failed_to = LM_STATE_ERROR,
	};
	m->job = r->job;
	m->ctx = r->ctx;
	m->turn = LM_MEMBER_ORDERED;
	pthread_cond_signal(&m->wake);
}

static void
start_what_can_locked(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nb; i++) {
		if (r->begun[i] || lane_is_busy(r, r->order[i]))
			continue;
		r->begun[i] = true;
		r->started++;
		order_locked(r->order[i], r);
	}
}

/* Take results of who is done, give up who is late. @return members still at work; when to look */
static unsigned int
collect_locked(struct run *r, uint64_t *look_ns)
{
	uint64_t now = lm_clock_ns(), ends;
	unsigned int i, at_work = 0;
	struct lm_member *m;

	*look_ns = UINT64_MAX;
	for (i = 0; i < r->nb; i++) {
		m = r->order[i];
		if (!r->begun[i] || !m->taking_part)
			continue;
		if (m->turn == LM_MEMBER_IDLE) {
			take_result_locked(m, &m->work);
			continue;
		}
		ends = call_ends_ns(m);
		if (ends <= now) {
			give_up_locked(m);
			continue;
		}
		at_work++;
		*look_ns = ends < *look_ns ? ends : *look_ns;
	}
	return at_work;
}

static void
wait_locked(struct lm_group *g, uint64_t until_ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / UINT64_C(1000000000)),
		.tv_nsec = (long)(until_ns % UINT64_C(1000000000)),
	};

	if (until_ns == UINT64_MAX)
		pthread_cond_wait(&g->bell, &g->lock);
	else
		pthread_cond_timedwait(&g->bell, &g->lock, &until);
}

/* A lost member takes no part: its thread may still be inside the provider. */
static void
choose(struct lm_group *g, struct run *r)
{
	struct lm_member *m;
	unsigned int i;

	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		if (!m->taking_part)
			continue;
		if (atomic_load(&m->lost)) {
			m->result.error = -ENODEV;
			m->result.outcome = LM_STATE_LOST;
			m->taking_part = false;
			continue;
		}
		r->order[r->nb++] = m;
	}
	qsort(r->order, r->nb, sizeof(r->order[0]), compare_slowest);
}

void
lm_group_run(struct lm_group *g, lm_member_job_t job, void *ctx)
{
	struct run r = { .job = job, .ctx = ctx };
	uint64_t look_ns;
	unsigned int at_work;

	choose(g, &r);
	pthread_mutex_lock(&g->lock);
	for (;;) {
		start_what_can_locked(&r);
		at_work = collect_locked(&r, &look_ns);
		if (at_work == 0 && r.started == r.nb)
			break;
		if (at_work != 0)
			wait_locked(g, look_ns);
	}
	pthread_mutex_unlock(&g->lock);
}
