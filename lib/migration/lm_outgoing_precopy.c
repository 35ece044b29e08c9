/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_outgoing_pvt.h"

#define NS_PER_US UINT64_C(1000)
#define US_PER_S UINT64_C(1000000)
#define PROBE_BYTES (4u * 1024 * 1024)
/* Less than this says more about threads than about the connections. */
#define RATE_BYTES (1u * 1024 * 1024)
#define IDLE_ROUND_US 10000u

static uint64_t
us_since(uint64_t began_ns)
{
	return (lm_clock_ns() - began_ns) / NS_PER_US;
}

static bool
is_fenced(const struct lm_session *s, uint64_t id)
{
	return s->peer.fenced >= id;
}

int
lm_outgoing_fence(struct lm_outgoing *o, bool last)
{
	const struct lm_record_fence fence = {
		.id = ++o->fence,
		.flags = last ? LM_FENCE_F_LAST : 0,
	};
	const struct iovec iov = { (void *)(uintptr_t)&fence, sizeof(fence) };
	unsigned int i;
	int ret = 0;

	for (i = 1; i <= lm_channel_bulk(o->s.channel) && ret == 0; i++)
		ret = lm_channel_send(o->s.channel, i, LM_RECORD_FENCE, &iov, 1);
	if (ret != 0)
		return lm_session_fail_send(&o->s, ret, "sending a fence");
	return lm_session_wait(&o->s, "answer to a fence", o->s.deadline_us, 0, is_fenced,
		fence.id);
}

/* The rate of the connections, from what was sent and taken in. */
static void
note_rate(struct lm_outgoing *o, uint64_t bytes, uint64_t took_us)
{
	uint64_t rate;

	took_us = took_us > o->rtt_us ? took_us - o->rtt_us : 1;
	if (bytes < RATE_BYTES)
		return;
	rate = (uint64_t)((double)bytes * (double)US_PER_S / (double)took_us);
	o->bytes_per_s = o->bytes_per_s == 0 ? rate : (o->bytes_per_s + rate) / 2;
	pthread_mutex_lock(&o->s.lock);
	o->s.report.bytes_per_s = o->bytes_per_s;
	pthread_mutex_unlock(&o->s.lock);
}

int
lm_outgoing_probe(struct lm_outgoing *o)
{
	static const uint8_t nothing[LM_RECORD_DATA_BYTES];
	const struct iovec iov = { (void *)(uintptr_t)nothing, sizeof(nothing) };
	unsigned int i, nb = lm_channel_bulk(o->s.channel);
	uint64_t began, sent;
	int ret;

	began = lm_clock_ns();
	ret = lm_outgoing_fence(o, false);
	o->rtt_us = us_since(began);
	pthread_mutex_lock(&o->s.lock);
	o->s.report.rtt_us = o->rtt_us;
	pthread_mutex_unlock(&o->s.lock);
	began = lm_clock_ns();
	for (i = 0, sent = 0; sent < PROBE_BYTES && ret == 0; i++, sent += sizeof(nothing)) {
		ret = lm_channel_send(o->s.channel, 1 + i % nb, LM_RECORD_PROBE, &iov, 1);
		if (ret != 0)
			ret = lm_session_fail_send(&o->s, ret, "measuring the connections");
	}
	if (ret == 0)
		ret = lm_outgoing_fence(o, false);
	if (ret == 0)
		note_rate(o, sent, us_since(began));
	return ret;
}

static bool
any_pre_copy(const struct lm_outgoing *o)
{
	unsigned int i;

	for (i = 0; i < o->io->nb; i++)
		if ((lm_group_caps(o->s.group, i)->flags & LM_STATE_F_PRE_COPY) != 0)
			return true;
	return false;
}

/* A device that did not answer is named by its group. */
static int
fail_tracker(struct lm_outgoing *o, int error, const char *what)
{
	return lm_session_fail(&o->s, error, "%s: %s", what, error == -ETIMEDOUT ?
		lm_group_strerror(o->s.group) : strerror(-error));
}

/*
 * Tracking runs before the first page is sent: all is dirty from then on, so that no write falls
 * between.
 */
static int
track(struct lm_outgoing *o)
{
	int ret = 0;

	if (o->conf.ram == NULL)
		return 0;
	if (o->conf.tracker != NULL) {
		ret = lm_tracker_start(o->conf.tracker);
		o->tracking = ret == 0 || ret == -ETIMEDOUT;
		if (ret != 0)
			return fail_tracker(o, ret, "starting dirty tracking");
	}
	ret = lm_ram_cpu_start(o->conf.ram, NULL);
	if (ret != 0)
		return lm_session_fail(&o->s, ret, "starting to track CPU writes: %s",
			strerror(-ret));
	o->cpu_tracking = true;
	lm_ram_mark_all(o->conf.ram);
	return 0;
}

void
lm_outgoing_untrack(struct lm_outgoing *o)
{
	if (o->tracking)
		lm_tracker_stop(o->conf.tracker);
	if (o->cpu_tracking)
		lm_ram_cpu_stop(o->conf.ram);
	o->tracking = false;
	o->cpu_tracking = false;
}

int
lm_outgoing_setup(struct lm_outgoing *o)
{
	uint64_t began;
	unsigned int i;
	int ret;

	ret = track(o);
	if (ret != 0)
		return ret;
	o->moved = true;
	began = lm_clock_ns();
	ret = lm_group_go(o->s.group, LM_STATE_PRE_COPY);
	if (ret != 0)
		return lm_session_fail_group(&o->s, ret);
	/* Devices of one kind cost the same on both sides, until they have shown it. */
	o->source_arc_us = any_pre_copy(o) ? us_since(began) : o->s.peer.prepared_took.arc_us;
	for (i = 0; i < o->io->nb; i++)
		o->io->members[i].reading =
			(lm_group_caps(o->s.group, i)->flags & LM_STATE_F_PRE_COPY) != 0;
	pthread_mutex_lock(&o->s.lock);
	o->s.report.setup_us = us_since(o->s.began_ns);
	pthread_mutex_unlock(&o->s.lock);
	return 0;
}

int
lm_outgoing_harvest(struct lm_outgoing *o)
{
	uint64_t began = lm_clock_ns();
	struct lm_sink sink;
	int ret = 0;

	if (o->tracking) {
		sink = lm_sink_ram(o->conf.ram);
		ret = lm_tracker_harvest(o->conf.tracker, &sink);
		if (ret != 0)
			return fail_tracker(o, ret, "reading dirty pages");
	}
	if (o->cpu_tracking) {
		ret = lm_ram_cpu_harvest(o->conf.ram);
		if (ret != 0)
			return lm_session_fail(&o->s, ret, "reading CPU writes: %s",
				strerror(-ret));
	}
	o->harvest_us = us_since(began);
	return 0;
}

static uint64_t
ram_dirty(const struct lm_outgoing *o, bool all)
{
	uint64_t bytes;

	if (o->conf.ram == NULL)
		return 0;
	bytes = lm_ram_dirty_bytes(o->conf.ram, false);
	return all ? bytes + lm_ram_dirty_bytes(o->conf.ram, true) : bytes;
}

/* RAM in the background, members' states in the threads of the group. */
static int
send_round(struct lm_outgoing *o, uint64_t budget_bytes)
{
	bool ram_done = o->sender == NULL || budget_bytes == 0, read_all = false;
	int ret = 0, error = 0;

	if (!ram_done)
		lm_ram_sender_start(o->sender, false, budget_bytes);
	while (ret == 0 && !(ram_done && read_all)) {
		if (!read_all) {
			ret = lm_outgoing_save(o);
			/* Once in a round is enough while RAM is on its way. */
			read_all = ret == 1 || ret < 0;
			ret = ret < 0 ? ret : 0;
		}
		if (!ram_done)
			ram_done = lm_ram_sender_done(o->sender, read_all ? LM_SESSION_SLICE_US : 0,
				&error);
		if (ret == 0)
			ret = lm_session_check(&o->s);
		lm_session_tell(&o->s);
	}
	/* Workers use what is ours until they are done. */
	if (!ram_done)
		lm_outgoing_break(o);
	while (!ram_done)
		ram_done = lm_ram_sender_done(o->sender, o->s.deadline_us, &error);
	if (ret == 0 && error != 0)
		ret = lm_session_fail_send(&o->s, error, "sending RAM");
	return ret;
}

static int
arcs(const struct lm_outgoing *o, enum lm_state from, enum lm_state to)
{
	enum lm_state path[LM_STATE_PATH_MAX];
	int most = 0, nb;
	unsigned int i;

	for (i = 0; i < o->io->nb; i++) {
		nb = lm_state_path(from == LM_STATE_PRE_COPY && !o->io->members[i].reading ?
				LM_STATE_RUNNING : from, to,
				lm_group_caps(o->s.group, i)->flags, path);
		most = nb > most ? nb : most;
	}
	return most;
}

static uint64_t
predict(struct lm_outgoing *o)
{
	const struct lm_predict in = {
		.ram_bytes = ram_dirty(o, true),
		.device_bytes = lm_outgoing_pending(o),
		.bytes_per_s = o->bytes_per_s,
		.rtt_us = o->rtt_us,
		.harvest_us = o->harvest_us,
		.source_arc_us = o->source_arc_us,
		.dest_arc_us = o->s.peer.prepared_took.arc_us,
		.stop_arcs = (unsigned int)arcs(o, LM_STATE_PRE_COPY, LM_STATE_STOP_COPY),
		.resume_arcs = (unsigned int)arcs(o, LM_STATE_STOP, LM_STATE_RUNNING),
		.calibration = o->conf.calibration,
	};
	struct lm_report *r = &o->s.report;
	uint64_t us;

	pthread_mutex_lock(&o->s.lock);
	us = lm_predict_downtime(&in, r->phases);
	r->expected_downtime_us = us;
	r->verdict = lm_converge_verdict(&o->converge);
	r->device_remaining_bytes = in.device_bytes;
	r->ram.remaining_bytes = in.ram_bytes;
	if (o->sender != NULL)
		lm_ram_sender_report(o->sender, &r->ram);
	pthread_mutex_unlock(&o->s.lock);
	return us;
}

static int
one_round(struct lm_outgoing *o)
{
	uint64_t began = lm_clock_ns(), sent = lm_channel_sent_bytes(o->s.channel), took_us, left;
	struct lm_report *r = &o->s.report;
	int ret;

	ret = lm_outgoing_info(o);
	if (ret == 0)
		ret = send_round(o, ram_dirty(o, false));
	if (ret == 0)
		ret = lm_outgoing_fence(o, false);
	if (ret != 0)
		return ret;
	took_us = us_since(began);
	note_rate(o, lm_channel_sent_bytes(o->s.channel) - sent, took_us);
	ret = lm_outgoing_harvest(o);
	if (ret == 0)
		ret = lm_outgoing_info(o);
	if (ret != 0)
		return ret;
	left = ram_dirty(o, false) + lm_outgoing_pending(o);
	lm_converge_add(&o->converge, left);
	pthread_mutex_lock(&o->s.lock);
	r->rounds++;
	r->ram.dirty_pages_per_s = ram_dirty(o, false) / LM_RAM_PAGE_BYTES * US_PER_S /
		(took_us == 0 ? 1 : took_us);
	pthread_mutex_unlock(&o->s.lock);
	return 0;
}

/* Nothing to send and still not ready: an acknowledgement is on its way, or a device is slow. */
static void
idle(struct lm_outgoing *o)
{
	pthread_mutex_lock(&o->s.lock);
	lm_session_wait_locked(&o->s, lm_clock_after_us(IDLE_ROUND_US));
	pthread_mutex_unlock(&o->s.lock);
}

int
lm_outgoing_precopy(struct lm_outgoing *o)
{
	const struct lm_outgoing_conf *c = &o->conf;
	uint64_t began = lm_clock_ns(), us;
	unsigned int i;
	bool early;
	int ret;

	pthread_mutex_lock(&o->s.lock);
	for (i = 0; c->ram != NULL && i < lm_ram_count(c->ram); i++)
		o->s.report.ram.total_bytes += lm_ram_get(c->ram, i)->size_bytes;
	pthread_mutex_unlock(&o->s.lock);
	for (;;) {
		ret = one_round(o);
		if (ret != 0)
			return ret;
		us = predict(o);
		early = lm_outgoing_early_done(o);
		lm_session_tell(&o->s);
		if (early && (us <= c->downtime_limit_us ||
				(c->force_after_us != 0 && us_since(began) >= c->force_after_us)))
			return 0;
		if (us_since(began) >= c->precopy_us)
			return lm_session_fail(&o->s, -ETIME, early ?
				"it does not converge (%s): %" PRIu64 " ms of downtime expected, "
				"%" PRIu64 " allowed" :
				"initial data was not loaded in time (%s; %" PRIu64 ", "
				"%" PRIu64 ")",
				lm_converge_name(lm_converge_verdict(&o->converge)),
				us / 1000,
				c->downtime_limit_us / 1000);
		if (!early || ram_dirty(o, false) == 0)
			idle(o);
	}
}
