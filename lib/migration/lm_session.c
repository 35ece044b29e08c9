/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_session_pvt.h"
#include "lm_thread_os.h"
#include "lm_timeline.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_S UINT64_C(1000000000)
#define LAST_WORDS_US 200000u

int
lm_session_init(struct lm_session *s, unsigned int nb_members)
{
	pthread_condattr_t attr;
	unsigned int i;

	if (s->deadline_us == 0)
		s->deadline_us = LM_SESSION_DEADLINE_US;
	s->peer.acked = calloc(nb_members + 1, sizeof(*s->peer.acked));
	s->calls_before = calloc(nb_members + 1, sizeof(*s->calls_before));
	s->calls_at_stop = calloc(nb_members + 1, sizeof(*s->calls_at_stop));
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->bell, &attr);
	pthread_condattr_destroy(&attr);
	s->report.nb_members = nb_members;
	if (s->peer.acked == NULL || s->calls_before == NULL || s->calls_at_stop == NULL)
		return -ENOMEM;
	for (i = 0; i < nb_members; i++)
		s->calls_before[i] = lm_group_calls(s->group, i);
	s->began_ns = lm_clock_ns();
	s->phase_ns = s->began_ns;
	return 0;
}

void
lm_session_fini(struct lm_session *s)
{
	if (s->channel != NULL)
		lm_channel_break(s->channel);
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_broadcast(&s->bell);
	while (s->threads != 0)
		pthread_cond_wait(&s->bell, &s->lock);
	pthread_mutex_unlock(&s->lock);
	lm_channel_destroy(s->channel);
	pthread_cond_destroy(&s->bell);
	pthread_mutex_destroy(&s->lock);
	free(s->peer.acked);
	free(s->peer.compat);
	free(s->calls_before);
	free(s->calls_at_stop);
}

int
lm_session_thread(struct lm_session *s, const char *name, void *(*fn)(void *), void *arg)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	s->threads++;
	pthread_mutex_unlock(&s->lock);
	ret = lm_thread_os_start(name, fn, arg);
	if (ret != 0)
		lm_session_thread_end(s);
	return ret;
}

void
lm_session_thread_end(struct lm_session *s)
{
	pthread_mutex_lock(&s->lock);
	s->threads--;
	pthread_cond_broadcast(&s->bell);
	pthread_mutex_unlock(&s->lock);
}

int
lm_session_fail(struct lm_session *s, int error, const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&s->lock);
	if (s->report.error == 0) {
		s->report.error = error;
		va_start(args, fmt);
		vsnprintf(s->report.why, sizeof(s->report.why), fmt, args);
		va_end(args);
		lm_timeline_add(s->timeline, lm_phase_name(s->report.phase), "failed", 0, error);
	}
	pthread_mutex_unlock(&s->lock);
	return error;
}

int
lm_session_fail_group(struct lm_session *s, int error)
{
	return lm_session_fail(s, error, "%s", lm_group_strerror(s->group));
}

static bool
peer_is_gone(const struct lm_session *s, uint64_t arg)
{
	(void)s;
	(void)arg;
	return false;
}

int
lm_session_last_words(struct lm_session *s)
{
	return lm_session_wait(s, "word", LAST_WORDS_US, LM_WAIT_FINAL, peer_is_gone, 0);
}

int
lm_session_fail_send(struct lm_session *s, int error, const char *what)
{
	if (error == -EPIPE || error == -ECONNRESET || error == -ECANCELED) {
		int ret = lm_session_last_words(s);

		if (ret != -ETIMEDOUT)
			return ret;
	}
	return lm_session_fail(s, error, "%s: %s", what, error == -ETIMEDOUT ?
		"the peer does not take it" : strerror(-error));
}

void
lm_session_phase_end(struct lm_session *s)
{
	uint64_t now = lm_clock_ns(), bytes;
	struct lm_phase_report *p;

	bytes = s->channel == NULL ? 0 : s->outgoing ? lm_channel_sent_bytes(s->channel) :
		lm_channel_received_bytes(s->channel);
	pthread_mutex_lock(&s->lock);
	p = &s->report.phases[s->report.phase];
	p->measured_us += (now - s->phase_ns) / NS_PER_US;
	p->bytes += bytes - s->phase_sent_bytes;
	s->report.total_us = (now - s->began_ns) / NS_PER_US;
	lm_timeline_add(s->timeline, lm_phase_name(s->report.phase), "end",
		bytes - s->phase_sent_bytes, s->report.error);
	pthread_mutex_unlock(&s->lock);
	s->phase_ns = now;
	s->phase_sent_bytes = bytes;
}

void
lm_session_phase(struct lm_session *s, enum lm_phase phase)
{
	unsigned int i;

	if (phase != LM_PHASE_MEET)
		lm_session_phase_end(s);
	pthread_mutex_lock(&s->lock);
	s->report.phase = phase;
	lm_timeline_add(s->timeline, lm_phase_name(phase), "begin", 0, 0);
	pthread_mutex_unlock(&s->lock);
	if (phase == LM_PHASE_QUIESCE)
		for (i = 0; i < s->report.nb_members; i++)
			s->calls_at_stop[i] = lm_group_calls(s->group, i);
	lm_session_tell(s);
}

void
lm_session_tell(struct lm_session *s)
{
	struct lm_report report;

	if (s->progress == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->report.total_us = (lm_clock_ns() - s->began_ns) / NS_PER_US;
	report = s->report;
	pthread_mutex_unlock(&s->lock);
	s->progress(s->ctx, &report);
}

void
lm_session_wait_locked(struct lm_session *s, uint64_t until_ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / NS_PER_S),
		.tv_nsec = (long)(until_ns % NS_PER_S),
	};

	pthread_cond_timedwait(&s->bell, &s->lock, &until);
}

/* What ends every wait. Under the lock. @return 0: nothing does */
static int
ended_locked(const struct lm_session *s, unsigned int flags)
{
	if (s->peer.aborted)
		return -EREMOTEIO;
	if ((flags & LM_WAIT_FINAL) == 0 && s->cancelled)
		return -ECANCELED;
	return s->peer.closed ? s->peer.closed_error : 0;
}

static int
fail_ended(struct lm_session *s, int error)
{
	char text[sizeof(s->peer.text)];

	if (error == -ECANCELED)
		return lm_session_fail(s, error, "cancelled");
	pthread_mutex_lock(&s->lock);
	memcpy(text, s->peer.text, sizeof(text));
	pthread_mutex_unlock(&s->lock);
	return lm_session_fail(s, error, "%s", text);
}

int
lm_session_check(struct lm_session *s)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	ret = ended_locked(s, 0);
	pthread_mutex_unlock(&s->lock);
	return ret == 0 ? 0 : fail_ended(s, ret);
}

int
lm_session_wait(struct lm_session *s, const char *what, uint64_t wait_us, unsigned int flags,
		bool (*ready)(const struct lm_session *s, uint64_t arg), uint64_t arg)
{
	uint64_t until_ns = lm_clock_after_us(wait_us);
	int ret = 0;
	bool is_ready;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		is_ready = ready(s, arg);
		ret = is_ready ? 0 : ended_locked(s, flags);
		if (is_ready || ret != 0)
			break;
		if (lm_clock_ns() >= until_ns) {
			ret = -ETIMEDOUT;
			break;
		}
		lm_session_wait_locked(s, until_ns);
	}
	pthread_mutex_unlock(&s->lock);
	if (ret == 0 || (ret == -ETIMEDOUT && ready == peer_is_gone))
		return ret;
	if (ret == -ETIMEDOUT)
		return lm_session_fail(s, ret, "no %s from the %s in %" PRIu64 " ms", what,
			s->outgoing ? "destination" : "source",
			wait_us / 1000);
	return fail_ended(s, ret);
}

int
lm_session_send(struct lm_session *s, uint16_t type, const void *payload, size_t len_bytes)
{
	const struct iovec iov = { (void *)(uintptr_t)payload, len_bytes };
	char what[32];
	int ret;

	ret = lm_channel_send(s->channel, LM_CHANNEL_CONTROL, type, &iov, 1);
	if (ret == 0)
		return 0;
	snprintf(what, sizeof(what), "sending %s", lm_record_name(type));
	return lm_session_fail_send(s, ret, what);
}

void
lm_session_abort(struct lm_session *s)
{
	struct lm_record_abort ab = { 0 };
	const struct iovec iov = { &ab, sizeof(ab) };
	bool deaf;

	/* Held first: what the thread that reads control says is said, or never. */
	lm_channel_hold(s->channel, LM_CHANNEL_CONTROL);
	pthread_mutex_lock(&s->lock);
	ab.error = (uint32_t)-(s->report.error != 0 ? s->report.error : -ECANCELED);
	snprintf(ab.text, sizeof(ab.text), "%.500s", s->report.why);
	deaf = s->peer.deaf;
	pthread_mutex_unlock(&s->lock);
	if (!deaf)
		lm_channel_send_held(s->channel, LM_CHANNEL_CONTROL, LM_RECORD_ABORT, &iov, 1);
	lm_channel_release(s->channel, LM_CHANNEL_CONTROL);
}

void
lm_session_member(struct lm_session *s, const struct lm_io *io, unsigned int member,
		struct lm_member_report *report)
{
	uint64_t calls = lm_group_calls(s->group, member);

	memset(report, 0, sizeof(*report));
	snprintf(report->name, sizeof(report->name), "%s", lm_group_name(s->group, member));
	report->calls = calls - s->calls_before[member];
	if (s->calls_at_stop[member] != 0)
		report->downtime_calls = calls - s->calls_at_stop[member];
	if (io == NULL)
		return;
	report->bytes = io->members[member].offset;
	report->early_bytes = io->members[member].early_bytes;
	report->reinits = io->members[member].reinits;
}
