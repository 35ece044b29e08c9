/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lm_outgoing_pvt.h"

#define DYING_MS 1000u

static bool
has_verdict(const struct lm_session *s, uint64_t arg)
{
	(void)arg;
	return s->peer.has_verdict;
}

static bool
is_prepared(const struct lm_session *s, uint64_t arg)
{
	(void)arg;
	return s->peer.prepared;
}

static int
send_compat(struct lm_outgoing *o)
{
	void *payload;
	int len, ret;

	len = lm_compat_encode(o->conf.compat, &payload);
	if (len < 0)
		return lm_session_fail(&o->s, len, "the compatibility record: %s", strerror(-len));
	ret = lm_session_send(&o->s, LM_RECORD_COMPAT, payload, (size_t)len);
	free(payload);
	return ret;
}

/* Everything that the destination can refuse for is refused here; then it prepares. */
static int
meet(struct lm_outgoing *o)
{
	struct lm_session *s = &o->s;
	int ret;

	ret = lm_session_thread(s, "lm-control", lm_session_peer_main, s);
	if (ret != 0)
		return lm_session_fail(s, ret, "starting a thread: %s", strerror(-ret));
	ret = send_compat(o);
	if (ret == 0)
		ret = lm_session_wait(s, "verdict", s->deadline_us, 0, has_verdict, 0);
	if (ret == 0 && s->peer.verdict_error != 0)
		ret = lm_session_fail(s, s->peer.verdict_error, "the destination refuses: %s",
			s->peer.verdict_text);
	if (ret == 0)
		ret = lm_session_wait(s, "word that its devices are prepared", s->deadline_us, 0,
			is_prepared, 0);
	return ret == 0 ? lm_outgoing_probe(o) : ret;
}

/* The states, in order. A failure before COMMIT leads back to RUNNING, from wherever it is. */
static const struct {
	enum lm_phase phase;
	int (*fn)(struct lm_outgoing *o);
} steps[] = {
	{ LM_PHASE_MEET, meet },
	{ LM_PHASE_SETUP, lm_outgoing_setup },
	{ LM_PHASE_PRECOPY, lm_outgoing_precopy },
	{ LM_PHASE_QUIESCE, lm_outgoing_quiesce },
	{ LM_PHASE_STOP, lm_outgoing_stop },
	{ LM_PHASE_HARVEST, lm_outgoing_final_harvest },
	{ LM_PHASE_TRANSFER, lm_outgoing_transfer },
	{ LM_PHASE_LOAD, lm_outgoing_await_loaded },
	{ LM_PHASE_COMMIT, lm_outgoing_commit },
	{ LM_PHASE_CLEANUP, lm_outgoing_finish },
};
#define NB_STEPS (sizeof(steps) / sizeof(steps[0]))

static enum lm_outcome
set_outcome(struct lm_outgoing *o, enum lm_outcome outcome)
{
	lm_session_phase_end(&o->s);
	pthread_mutex_lock(&o->s.lock);
	o->s.report.outcome = outcome;
	pthread_mutex_unlock(&o->s.lock);
	lm_session_tell(&o->s);
	/* The destination waits for this, so that nothing of what it said last is lost. */
	if (outcome != LM_OUTCOME_UNDECIDED)
		lm_channel_break(o->s.channel);
	return outcome;
}

/*
 * After COMMIT. The destination's word, or its death, is proof that it does not run; nothing else
 * is. A process that dies closes its sockets a moment before it is dead.
 */
static bool
proven_not_running(struct lm_outgoing *o)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	unsigned int i;
	bool aborted;
	int dead;

	for (i = 0; i < DYING_MS; i++) {
		pthread_mutex_lock(&o->s.lock);
		aborted = o->s.peer.aborted;
		pthread_mutex_unlock(&o->s.lock);
		dead = lm_channel_peer_dead(o->s.channel);
		if (aborted || dead == 1)
			return true;
		if (dead < 0)
			return false;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	}
	return false;
}

static enum lm_outcome
after_failure(struct lm_outgoing *o)
{
	bool committed;

	pthread_mutex_lock(&o->s.lock);
	committed = o->s.committed;
	pthread_mutex_unlock(&o->s.lock);
	if (committed && !proven_not_running(o))
		return set_outcome(o, LM_OUTCOME_UNDECIDED);
	lm_session_phase(&o->s, LM_PHASE_CLEANUP);
	return set_outcome(o, lm_outgoing_revive(o));
}

static uint64_t
downtime_us(const struct lm_report *r)
{
	uint64_t us = 0;
	unsigned int i;

	for (i = LM_PHASE_QUIESCE; i <= LM_PHASE_RESUME; i++)
		us += r->phases[i].measured_us;
	return us;
}

/* COMMIT was measured until the destination was heard of: its own part is RESUME. */
static void
split_commit(struct lm_outgoing *o)
{
	struct lm_report *r = &o->s.report;
	struct lm_phase_report *commit = &r->phases[LM_PHASE_COMMIT];
	uint64_t took_us;

	pthread_mutex_lock(&o->s.lock);
	took_us = o->s.peer.running_took.took_us;
	if (took_us > commit->measured_us)
		took_us = commit->measured_us;
	commit->measured_us -= took_us;
	r->phases[LM_PHASE_RESUME].measured_us = took_us;
	r->downtime_us = downtime_us(r);
	pthread_mutex_unlock(&o->s.lock);
}

enum lm_outcome
lm_outgoing_run(struct lm_outgoing *o)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < NB_STEPS && ret == 0; i++) {
		lm_session_phase(&o->s, steps[i].phase);
		ret = steps[i].fn(o);
		if (ret == 0 && i < NB_STEPS - 3)
			ret = lm_session_check(&o->s);
	}
	if (ret != 0)
		return after_failure(o);
	split_commit(o);
	if (o->conf.calibration != NULL)
		lm_calibrate(o->conf.calibration, &o->s.report);
	return set_outcome(o, LM_OUTCOME_COMPLETED);
}

enum lm_outcome
lm_outgoing_resolve(struct lm_outgoing *o, bool source_runs)
{
	if (o->s.report.outcome != LM_OUTCOME_UNDECIDED)
		return o->s.report.outcome;
	lm_session_phase(&o->s, LM_PHASE_CLEANUP);
	if (source_runs)
		return set_outcome(o, lm_outgoing_revive(o));
	lm_outgoing_finish(o);
	return set_outcome(o, LM_OUTCOME_COMPLETED);
}

int
lm_outgoing_cancel(struct lm_outgoing *o)
{
	int ret = 0;

	pthread_mutex_lock(&o->s.lock);
	if (o->s.committed)
		ret = -EALREADY;
	else
		o->s.cancelled = true;
	pthread_cond_broadcast(&o->s.bell);
	pthread_mutex_unlock(&o->s.lock);
	return ret;
}

void
lm_outgoing_report(struct lm_outgoing *o, struct lm_report *report)
{
	pthread_mutex_lock(&o->s.lock);
	*report = o->s.report;
	pthread_mutex_unlock(&o->s.lock);
}

int
lm_outgoing_member(struct lm_outgoing *o, unsigned int member, struct lm_member_report *report)
{
	if (member >= o->s.report.nb_members)
		return -ENOENT;
	lm_session_member(&o->s, o->io, member, report);
	return 0;
}

int
lm_outgoing_create(const struct lm_outgoing_conf *conf, struct lm_outgoing **out)
{
	struct lm_outgoing *o = calloc(1, sizeof(*o));
	unsigned int nb = lm_group_count(conf->group);
	int ret;

	if (o == NULL)
		return -ENOMEM;
	o->conf = *conf;
	o->s.outgoing = true;
	o->s.group = conf->group;
	o->s.timeline = conf->timeline;
	o->s.deadline_us = conf->deadline_us;
	o->s.progress = conf->progress;
	o->s.ctx = conf->ctx;
	if (o->conf.downtime_limit_us == 0)
		o->conf.downtime_limit_us = LM_SESSION_DOWNTIME_US;
	if (o->conf.precopy_us == 0)
		o->conf.precopy_us = LM_SESSION_PRECOPY_US;
	ret = lm_session_init(&o->s, nb);
	o->s.report.downtime_limit_us = o->conf.downtime_limit_us;
	if (ret == 0 && conf->compat == NULL)
		ret = lm_compat_create(conf->group, conf->ram, &o->compat);
	if (conf->compat == NULL)
		o->conf.compat = o->compat;
	if (ret == 0)
		ret = lm_io_create(&o->s, nb, &o->io);
	o->s.channel = conf->channel;
	if (ret == 0 && conf->ram != NULL)
		ret = lm_ram_sender_create(&o->s, conf->ram, conf->zstd, &o->sender);
	if (ret != 0) {
		/* Threads that have begun end without the channel, which stays the caller's. */
		o->s.channel = NULL;
		lm_outgoing_destroy(o);
		return ret;
	}
	*out = o;
	return 0;
}

void
lm_outgoing_destroy(struct lm_outgoing *o)
{
	if (o == NULL)
		return;
	if (o->s.channel != NULL)
		lm_channel_break(o->s.channel);
	lm_io_revoke(o->io);
	lm_session_fini(&o->s);
	lm_io_drop(o->io);
	lm_ram_sender_destroy(o->sender);
	lm_compat_destroy(o->compat);
	free(o);
}
