/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_incoming_pvt.h"

#define NS_PER_US UINT64_C(1000)
#define LINGER_US 1000000u

static bool
has_compat(const struct lm_session *s, uint64_t arg)
{
	(void)arg;
	return s->peer.compat != NULL;
}

static bool
has_commit(const struct lm_session *s, uint64_t arg)
{
	(void)arg;
	return s->peer.commit;
}

static bool
is_closed(const struct lm_session *s, uint64_t arg)
{
	(void)arg;
	return s->peer.closed;
}

static int
map_members(struct lm_incoming *in, const struct lm_compat *theirs)
{
	unsigned int i;

	for (i = 0; i < theirs->nb_members; i++)
		in->source[in->members[i]] = i;
	in->nb_source = theirs->nb_members;
	return 0;
}

static int
compare(struct lm_incoming *in, struct lm_record_verdict *verdict)
{
	struct lm_compat *theirs;
	int ret;

	ret = lm_compat_decode(in->s.peer.compat, in->s.peer.compat_bytes, &theirs);
	if (ret != 0)
		return lm_session_fail(&in->s, ret, "the source's compatibility record: %s",
			ret == -ENOTSUP ? "has an item that is not known here" : strerror(-ret));
	in->members = calloc(theirs->nb_members + 1, sizeof(*in->members));
	if (in->members == NULL)
		ret = lm_session_fail(&in->s, -ENOMEM, "no memory");
	if (ret == 0)
		ret = lm_compat_compare(theirs, in->conf.compat, verdict->text,
			sizeof(verdict->text), in->members);
	if (ret == 0)
		ret = map_members(in, theirs);
	else
		lm_session_fail(&in->s, ret, "it does not fit: %s", verdict->text);
	lm_compat_destroy(theirs);
	return ret;
}

static int
meet(struct lm_incoming *in)
{
	struct lm_record_verdict verdict = { 0 };
	struct lm_session *s = &in->s;
	int ret;

	ret = lm_session_thread(s, "lm-control", lm_session_peer_main, s);
	if (ret != 0)
		return lm_session_fail(s, ret, "starting a thread: %s", strerror(-ret));
	ret = lm_session_wait(s, "compatibility record", s->deadline_us, 0, has_compat, 0);
	if (ret != 0)
		return ret;
	ret = compare(in, &verdict);
	verdict.error = (uint32_t)-ret;
	if (ret != 0) {
		if (verdict.text[0] == '\0')
			memcpy(verdict.text, s->report.why, sizeof(verdict.text) - 1);
		lm_session_send(s, LM_RECORD_VERDICT, &verdict, sizeof(verdict));
		return ret;
	}
	ret = lm_session_send(s, LM_RECORD_VERDICT, &verdict, sizeof(verdict));
	return ret == 0 ? lm_incoming_bulk_start(in) : ret;
}

static uint64_t
us_since(uint64_t began_ns)
{
	return (lm_clock_ns() - began_ns) / NS_PER_US;
}

static unsigned int
arcs_to_resuming(const struct lm_incoming *in)
{
	enum lm_state path[LM_STATE_PATH_MAX];
	unsigned int i, most = 1;
	int nb;

	for (i = 0; i < in->io->nb; i++) {
		nb = lm_state_path(LM_STATE_RUNNING, LM_STATE_RESUMING,
			lm_group_caps(in->s.group, i)->flags, path);
		most = nb > (int)most ? (unsigned int)nb : most;
	}
	return most;
}

/* Before the source stops: what can take long is done by then. */
static int
prepare(struct lm_incoming *in)
{
	struct lm_record_took took = { 0 };
	struct lm_session *s = &in->s;
	uint64_t began = lm_clock_ns();
	int ret = 0;

	in->moved = true;
	if (in->io->nb != 0)
		ret = lm_group_go(s->group, LM_STATE_RESUMING);
	if (ret != 0)
		return lm_session_fail_group(s, ret);
	took.took_us = us_since(began);
	took.arc_us = in->arc_us = took.took_us / arcs_to_resuming(in);
	return lm_session_send(s, LM_RECORD_PREPARED, &took, sizeof(took));
}

/* RESUMING > STOP: at the latest now a device says whether it took its state. */
static int
end_load(struct lm_incoming *in)
{
	struct lm_record_took took = { .arc_us = in->arc_us };
	struct lm_session *s = &in->s;
	uint64_t began = lm_clock_ns();
	int ret = 0;

	if (in->io->nb != 0)
		ret = lm_group_go(s->group, LM_STATE_STOP);
	if (ret != 0)
		return lm_session_fail_group(s, ret);
	took.took_us = us_since(began);
	return lm_session_send(s, LM_RECORD_LOADED, &took, sizeof(took));
}

static int
await_commit(struct lm_incoming *in)
{
	struct lm_session *s = &in->s;
	int ret;

	ret = lm_session_wait(s, "COMMIT", 2 * s->deadline_us, 0, has_commit, 0);
	pthread_mutex_lock(&s->lock);
	/* A cancel that came in between has won: nobody runs here. */
	if (ret == 0 && s->cancelled)
		ret = -ECANCELED;
	s->committed = ret == 0;
	pthread_mutex_unlock(&s->lock);
	return ret == -ECANCELED ? lm_session_fail(s, ret, "cancelled") : ret;
}

/* Whether the source is still there does not matter any more. */
static int
run(struct lm_incoming *in)
{
	struct lm_record_took took = { .arc_us = in->arc_us };
	struct lm_session *s = &in->s;
	const struct iovec iov = { &took, sizeof(took) };
	uint64_t began = lm_clock_ns();
	int ret = 0;

	if (in->conf.commit != NULL)
		ret = in->conf.commit(in->conf.ctx);
	if (ret != 0)
		return lm_session_fail(s, ret, "what has to come before the devices run: %s",
			strerror(-ret));
	if (in->io->nb != 0)
		ret = lm_group_go(s->group, LM_STATE_RUNNING);
	if (ret != 0)
		return lm_session_fail_group(s, ret);
	if (in->conf.running != NULL)
		in->conf.running(in->conf.ctx);
	took.took_us = us_since(began);
	lm_channel_send(s->channel, LM_CHANNEL_CONTROL, LM_RECORD_RUNNING, &iov, 1);
	return 0;
}

static const struct {
	enum lm_phase phase;
	int (*fn)(struct lm_incoming *in);
} steps[] = {
	{ LM_PHASE_MEET, meet },
	{ LM_PHASE_SETUP, prepare },
	{ LM_PHASE_PRECOPY, lm_incoming_load },
	{ LM_PHASE_LOAD, end_load },
	{ LM_PHASE_COMMIT, await_commit },
	{ LM_PHASE_RESUME, run },
};
#define NB_STEPS (sizeof(steps) / sizeof(steps[0]))

/*
 * What was loaded never runs here. After COMMIT the source waits for our word that it may run, and
 * gets it only when the devices are known to be empty.
 */
static enum lm_outcome
give_up(struct lm_incoming *in)
{
	struct lm_session *s = &in->s;
	enum lm_outcome outcome;
	int ret = 0;

	if (!s->committed)
		lm_session_abort(s);
	if (in->moved && in->io->nb != 0)
		ret = lm_group_reset(s->group);
	if (s->committed && ret == 0)
		lm_session_abort(s);
	pthread_mutex_lock(&s->lock);
	outcome = ret != 0 ? LM_OUTCOME_LOST : s->cancelled && s->report.error == -ECANCELED ?
		LM_OUTCOME_CANCELLED : LM_OUTCOME_FAILED;
	pthread_mutex_unlock(&s->lock);
	return outcome;
}

static void
sum_up(struct lm_incoming *in)
{
	struct lm_report *r = &in->s.report;
	const struct lm_ram_report *ram;
	unsigned int i;

	memset(&r->ram, 0, sizeof(r->ram));
	r->device_bytes = 0;
	for (i = 0; i < lm_channel_bulk(in->s.channel); i++) {
		ram = &in->bulks[i].ram;
		r->ram.transferred_bytes += ram->transferred_bytes;
		r->ram.normal_pages += ram->normal_pages;
		r->ram.duplicate_pages += ram->duplicate_pages;
		r->ram.compressed_bytes += ram->compressed_bytes;
	}
	for (i = 0; i < in->io->nb; i++)
		r->device_bytes += in->io->members[i].offset;
}

enum lm_outcome
lm_incoming_run(struct lm_incoming *in)
{
	struct lm_session *s = &in->s;
	enum lm_outcome outcome = LM_OUTCOME_COMPLETED;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < NB_STEPS && ret == 0; i++) {
		lm_session_phase(s, steps[i].phase);
		ret = steps[i].fn(in);
	}
	lm_session_phase(s, LM_PHASE_CLEANUP);
	if (ret != 0)
		outcome = give_up(in);
	lm_session_phase_end(s);
	pthread_mutex_lock(&s->lock);
	sum_up(in);
	s->report.outcome = outcome;
	/* Closed at once, what we said last could be lost with what we have not read. */
	for (i = 0; i < LINGER_US / LM_SESSION_SLICE_US && !is_closed(s, 0); i++)
		lm_session_wait_locked(s, lm_clock_after_us(LM_SESSION_SLICE_US));
	pthread_mutex_unlock(&s->lock);
	lm_session_tell(s);
	return outcome;
}

int
lm_incoming_cancel(struct lm_incoming *in)
{
	int ret = 0;

	pthread_mutex_lock(&in->s.lock);
	if (in->s.committed)
		ret = -EALREADY;
	else
		in->s.cancelled = true;
	pthread_cond_broadcast(&in->s.bell);
	pthread_mutex_unlock(&in->s.lock);
	return ret;
}

void
lm_incoming_report(struct lm_incoming *in, struct lm_report *report)
{
	pthread_mutex_lock(&in->s.lock);
	*report = in->s.report;
	pthread_mutex_unlock(&in->s.lock);
}

int
lm_incoming_member(struct lm_incoming *in, unsigned int member, struct lm_member_report *report)
{
	if (member >= in->s.report.nb_members)
		return -ENOENT;
	lm_session_member(&in->s, in->io, member, report);
	return 0;
}

int
lm_incoming_create(const struct lm_incoming_conf *conf, struct lm_incoming **incoming)
{
	struct lm_incoming *in = calloc(1, sizeof(*in));
	unsigned int nb = lm_group_count(conf->group);
	int ret;

	if (in == NULL)
		return -ENOMEM;
	in->conf = *conf;
	in->s.group = conf->group;
	in->s.timeline = conf->timeline;
	in->s.deadline_us = conf->deadline_us;
	in->s.progress = conf->progress;
	in->s.ctx = conf->ctx;
	ret = lm_session_init(&in->s, nb);
	in->source = calloc(nb + 1, sizeof(*in->source));
	if (in->source == NULL)
		ret = -ENOMEM;
	if (ret == 0 && conf->compat == NULL)
		ret = lm_compat_create(conf->group, conf->ram, &in->compat);
	if (conf->compat == NULL)
		in->conf.compat = in->compat;
	if (ret == 0)
		ret = lm_io_create(&in->s, nb, &in->io);
	if (ret != 0) {
		lm_incoming_destroy(in);
		return ret;
	}
	in->s.channel = conf->channel;
	*incoming = in;
	return 0;
}

void
lm_incoming_destroy(struct lm_incoming *in)
{
	if (in == NULL)
		return;
	if (in->s.channel != NULL)
		lm_channel_break(in->s.channel);
	pthread_mutex_lock(&in->s.lock);
	in->s.ending = true;
	pthread_cond_broadcast(&in->s.bell);
	pthread_mutex_unlock(&in->s.lock);
	lm_io_revoke(in->io);
	lm_session_fini(&in->s);
	if (in->io != NULL)
		lm_incoming_unqueue(in);
	lm_io_drop(in->io);
	lm_compat_destroy(in->compat);
	free(in->members);
	free(in->source);
	free(in);
}
