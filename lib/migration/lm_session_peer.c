/* SPDX-License-Identifier: BSD-3-Clause */

/* The control connection is read by a thread of its own, so that a death is seen at any time. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_session_pvt.h"

static int
take_verdict(struct lm_session *s, const struct lm_record *rec)
{
	const struct lm_record_verdict *v = rec->payload;

	if (s->peer.has_verdict)
		return -EPROTO;
	s->peer.has_verdict = true;
	s->peer.verdict_error = v->error == 0 ? 0 : v->error < 4096 ? -(int)v->error : -EPROTO;
	memcpy(s->peer.verdict_text, v->text, sizeof(v->text));
	return 0;
}

static int
take_prepared(struct lm_session *s, const struct lm_record *rec)
{
	s->peer.prepared = true;
	memcpy(&s->peer.prepared_took, rec->payload, sizeof(s->peer.prepared_took));
	return 0;
}

static int
take_ack(struct lm_session *s, const struct lm_record *rec)
{
	const struct lm_record_early *e = rec->payload;

	if (e->member >= s->report.nb_members || e->generation == UINT32_MAX)
		return -EPROTO;
	s->peer.acked[e->member] = e->generation + 1;
	return 0;
}

static int
take_fenced(struct lm_session *s, const struct lm_record *rec)
{
	const struct lm_record_fence *f = rec->payload;

	if (f->id > s->peer.fenced)
		s->peer.fenced = f->id;
	return 0;
}

static int
take_loaded(struct lm_session *s, const struct lm_record *rec)
{
	s->peer.loaded = true;
	memcpy(&s->peer.loaded_took, rec->payload, sizeof(s->peer.loaded_took));
	return 0;
}

static int
take_running(struct lm_session *s, const struct lm_record *rec)
{
	if (!s->committed)
		return -EPROTO;
	s->peer.running = true;
	memcpy(&s->peer.running_took, rec->payload, sizeof(s->peer.running_took));
	return 0;
}

static int
take_compat(struct lm_session *s, const struct lm_record *rec)
{
	if (s->peer.compat != NULL)
		return -EPROTO;
	s->peer.compat = malloc(rec->len_bytes + 1);
	if (s->peer.compat == NULL)
		return -ENOMEM;
	memcpy(s->peer.compat, rec->payload, rec->len_bytes);
	s->peer.compat_bytes = rec->len_bytes;
	return 0;
}

static int
take_commit(struct lm_session *s, const struct lm_record *rec)
{
	(void)rec;
	s->peer.commit = true;
	return 0;
}

static int
take_abort(struct lm_session *s, const struct lm_record *rec)
{
	const struct lm_record_abort *a = rec->payload;

	s->peer.aborted = true;
	s->peer.abort_error = a->error < 4096 ? -(int)a->error : -EPROTO;
	snprintf(s->peer.text, sizeof(s->peer.text), "the %s gave up: %s",
		s->outgoing ? "destination" : "source", a->text);
	return 0;
}

static int
take_alive(struct lm_session *s, const struct lm_record *rec)
{
	(void)s;
	(void)rec;
	return 0;
}

#define OUT 0x1u
#define IN 0x2u

static const struct {
	uint16_t type;
	unsigned int sides; /* who may receive it */
	int (*fn)(struct lm_session *s, const struct lm_record *rec);
} takes[] = {
	{ LM_RECORD_VERDICT, OUT, take_verdict },
	{ LM_RECORD_PREPARED, OUT, take_prepared },
	{ LM_RECORD_EARLY_ACK, OUT, take_ack },
	{ LM_RECORD_FENCED, OUT, take_fenced },
	{ LM_RECORD_LOADED, OUT, take_loaded },
	{ LM_RECORD_RUNNING, OUT, take_running },
	{ LM_RECORD_COMPAT, IN, take_compat },
	{ LM_RECORD_COMMIT, IN, take_commit },
	{ LM_RECORD_ABORT, OUT | IN, take_abort },
	{ LM_RECORD_ALIVE, OUT | IN, take_alive },
};
#define NB_TAKES (sizeof(takes) / sizeof(takes[0]))

static int
take(struct lm_session *s, const struct lm_record *rec)
{
	unsigned int i;
	int ret = -EPROTO;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < NB_TAKES; i++)
		if (takes[i].type == rec->type && (takes[i].sides & (s->outgoing ? OUT : IN)) != 0)
			ret = takes[i].fn(s, rec);
	pthread_cond_broadcast(&s->bell);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

void
lm_session_closed(struct lm_session *s, unsigned int conn, int error)
{
	const char *peer = s->outgoing ? "destination" : "source";
	const char *why = lm_channel_strerror(s->channel, conn);

	pthread_mutex_lock(&s->lock);
	s->peer.deaf = s->peer.deaf || conn == LM_CHANNEL_CONTROL;
	if (s->peer.aborted || s->peer.closed) {
		/* What was said before is better. */
		s->peer.closed = true;
		pthread_cond_broadcast(&s->bell);
		pthread_mutex_unlock(&s->lock);
		return;
	}
	s->peer.closed = true;
	/* Broken here, and not because somebody cancelled. */
	s->peer.closed_error = error == -ECANCELED ? -ECONNRESET : error;
	if (error == -ETIMEDOUT) {
		snprintf(s->peer.text, sizeof(s->peer.text),
			"no sign of life from the %s in %" PRIu64 " ms", peer,
			lm_channel_silence_us(s->channel) / 1000);
	} else if (error == -EPROTO && why[0] == '\0') {
		snprintf(s->peer.text, sizeof(s->peer.text), "the %s does not keep to the order",
			peer);
	} else if (error == -ECANCELED) {
		snprintf(s->peer.text, sizeof(s->peer.text), "a connection to the %s broke", peer);
	} else if (why[0] != '\0') {
		snprintf(s->peer.text, sizeof(s->peer.text), "what the %s sends is bad: %s", peer,
			why);
	} else {
		snprintf(s->peer.text, sizeof(s->peer.text), "the %s is gone: %s", peer,
			strerror(-error));
	}
	pthread_cond_broadcast(&s->bell);
	pthread_mutex_unlock(&s->lock);
}

/* Under the connection's hold. Once COMMIT is on its way, or here, it would not be true. */
static void
tell_why(struct lm_session *s, int error)
{
	struct lm_record_abort ab = { .error = (uint32_t)-error };
	const struct iovec iov = { &ab, sizeof(ab) };
	bool decided;

	pthread_mutex_lock(&s->lock);
	decided = s->committed || s->peer.commit || s->peer.aborted;
	snprintf(ab.text, sizeof(ab.text), "%.500s", s->peer.text);
	pthread_mutex_unlock(&s->lock);
	if (!decided)
		lm_channel_send_held(s->channel, LM_CHANNEL_CONTROL, LM_RECORD_ABORT, &iov, 1);
}

/*
 * Who is gone hears nothing, but who sends what cannot be understood does: it is told why before
 * anybody, who now sees the end, breaks the connection; see lm_session_abort().
 */
static void
control_ends(struct lm_session *s, int error)
{
	bool bad = error == -EPROTO ||
		lm_channel_strerror(s->channel, LM_CHANNEL_CONTROL)[0] != '\0';

	if (bad)
		lm_channel_hold(s->channel, LM_CHANNEL_CONTROL);
	lm_session_closed(s, LM_CHANNEL_CONTROL, error);
	if (bad) {
		tell_why(s, error);
		lm_channel_release(s->channel, LM_CHANNEL_CONTROL);
	}
}

void *
lm_session_peer_main(void *session)
{
	struct lm_session *s = session;
	struct lm_record rec = { 0 };
	int ret;

	do {
		ret = lm_channel_recv(s->channel, LM_CHANNEL_CONTROL, &rec,
			lm_channel_silence_us(s->channel));
		if (ret == 0)
			ret = take(s, &rec);
	} while (ret == 0 && rec.type != LM_RECORD_ABORT);
	control_ends(s, ret);
	/* Nobody takes what is being sent: whoever sends is told. */
	lm_channel_break(s->channel);
	lm_session_thread_end(s);
	return NULL;
}
