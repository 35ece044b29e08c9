/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_outgoing_pvt.h"

int
lm_outgoing_quiesce(struct lm_outgoing *o)
{
	int ret;

	if (o->conf.quiesce == NULL)
		return 0;
	o->quiesced = true;
	ret = o->conf.quiesce(o->conf.ctx);
	return ret == 0 ? 0 : lm_session_fail(&o->s, ret, "holding the queues: %s", strerror(-ret));
}

int
lm_outgoing_stop(struct lm_outgoing *o)
{
	int ret;

	ret = lm_group_go(o->s.group, LM_STATE_STOP_COPY);
	return ret == 0 ? 0 : lm_session_fail_group(&o->s, ret);
}

/* R6: all devices are stopped; what they wrote last is in no earlier report. */
int
lm_outgoing_final_harvest(struct lm_outgoing *o)
{
	int ret;

	ret = lm_outgoing_harvest(o);
	if (ret != 0 || o->conf.stopped == NULL)
		return ret;
	ret = o->conf.stopped(o->conf.ctx);
	return ret == 0 ? 0 : lm_session_fail(&o->s, ret, "what is said after the stop: %s",
			strerror(-ret));
}

void
lm_outgoing_break(struct lm_outgoing *o)
{
	lm_session_abort(&o->s);
	lm_channel_break(o->s.channel);
}

int
lm_outgoing_transfer(struct lm_outgoing *o)
{
	bool ram_done = o->sender == NULL;
	int ret = 0, error = 0;

	o->io->saving = true;
	if (!ram_done)
		lm_ram_sender_start(o->sender, true, UINT64_MAX);
	do {
		ret = lm_outgoing_save(o);
		if (ret == 0 && lm_session_check(&o->s) != 0)
			ret = -ECANCELED;
	} while (ret == 0);
	ret = ret > 0 ? 0 : ret;
	while (!ram_done) {
		ram_done = lm_ram_sender_done(o->sender, LM_SESSION_SLICE_US, &error);
		if (!ram_done && (ret != 0 || lm_session_check(&o->s) != 0))
			lm_outgoing_break(o);
	}
	if (ret == 0 && error != 0)
		ret = lm_session_fail_send(&o->s, error, "sending RAM");
	if (o->sender != NULL) {
		pthread_mutex_lock(&o->s.lock);
		lm_ram_sender_report(o->sender, &o->s.report.ram);
		o->s.report.ram.remaining_bytes = 0;
		pthread_mutex_unlock(&o->s.lock);
	}
	return ret == 0 ? lm_outgoing_fence(o, true) : ret;
}

static bool
is_loaded(const struct lm_session *s, uint64_t arg)
{
	(void)arg;
	return s->peer.loaded;
}

int
lm_outgoing_await_loaded(struct lm_outgoing *o)
{
	unsigned int i;

	pthread_mutex_lock(&o->s.lock);
	for (i = 0; i < o->io->nb; i++)
		o->s.report.device_bytes += o->io->members[i].offset;
	o->s.report.device_remaining_bytes = 0;
	o->s.report.round_trips++;
	pthread_mutex_unlock(&o->s.lock);
	return lm_session_wait(&o->s, "word that it has loaded", 2 * o->s.deadline_us, 0, is_loaded,
		0);
}

static bool
is_running(const struct lm_session *s, uint64_t arg)
{
	(void)arg;
	return s->peer.running;
}

/*
 * From the first byte of COMMIT that the kernel takes, the destination may run. Until then nobody
 * does, and a cancel that comes first wins.
 */
int
lm_outgoing_commit(struct lm_outgoing *o)
{
	struct lm_session *s = &o->s;
	uint64_t before;
	int ret;

	lm_channel_hold(s->channel, LM_CHANNEL_CONTROL);
	ret = lm_session_check(s);
	pthread_mutex_lock(&s->lock);
	if (ret == 0 && s->cancelled)
		ret = -ECANCELED;
	s->committed = ret == 0;
	pthread_mutex_unlock(&s->lock);
	before = lm_channel_conn_sent_bytes(s->channel, LM_CHANNEL_CONTROL);
	if (ret == 0) {
		ret = lm_channel_send_held(s->channel, LM_CHANNEL_CONTROL, LM_RECORD_COMMIT, NULL,
			0);
		pthread_mutex_lock(&s->lock);
		if (ret != 0 && lm_channel_conn_sent_bytes(s->channel, LM_CHANNEL_CONTROL) ==
				before)
			s->committed = false;
		pthread_mutex_unlock(&s->lock);
	}
	lm_channel_release(s->channel, LM_CHANNEL_CONTROL);
	if (ret == -ECANCELED && s->cancelled)
		return lm_session_fail(s, ret, "cancelled");
	if (ret != 0)
		return lm_session_fail_send(s, ret, "sending COMMIT");
	pthread_mutex_lock(&s->lock);
	s->report.round_trips++;
	pthread_mutex_unlock(&s->lock);
	return lm_session_wait(s, "word that it runs", 2 * s->deadline_us, LM_WAIT_FINAL,
		is_running, 0);
}

/* The devices have gone; what is left of them here is stopped. Nothing of this can fail it. */
int
lm_outgoing_finish(struct lm_outgoing *o)
{
	lm_group_go(o->s.group, LM_STATE_STOP);
	lm_outgoing_untrack(o);
	return 0;
}

enum lm_outcome
lm_outgoing_revive(struct lm_outgoing *o)
{
	struct lm_session *s = &o->s;
	bool cancelled;
	int ret = 0;

	lm_session_abort(s);
	if (o->moved)
		ret = lm_group_recover(s->group);
	lm_outgoing_untrack(o);
	if (o->quiesced && o->conf.resume != NULL)
		o->conf.resume(o->conf.ctx);
	pthread_mutex_lock(&s->lock);
	cancelled = s->report.error == -ECANCELED && s->cancelled;
	pthread_mutex_unlock(&s->lock);
	if (ret != 0)
		return LM_OUTCOME_LOST;
	return cancelled ? LM_OUTCOME_CANCELLED : LM_OUTCOME_FAILED;
}
