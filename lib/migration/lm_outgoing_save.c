/* SPDX-License-Identifier: BSD-3-Clause */

/* Members' states on their way out; in the threads of the group, in slices. */

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_outgoing_pvt.h"

/* A call may take the slice, a send, and whatever a device takes for one read. */
#define CALL_US(s) (LM_SESSION_SLICE_US + 2 * (s)->deadline_us)
#define AGAIN_US 1000u

static int
send_early(struct lm_io *io, unsigned int member)
{
	struct lm_io_member *m = &io->members[member];
	const struct lm_record_early early = { .member = member, .generation = m->generation };
	const struct iovec iov = { (void *)(uintptr_t)&early, sizeof(early) };

	m->early_sent = true;
	return lm_channel_send(io->session->channel,
		lm_channel_of_member(io->session->channel, member), LM_RECORD_EARLY, &iov, 1);
}

static int
send_data(struct lm_io *io, unsigned int member, uint32_t len)
{
	struct lm_io_member *m = &io->members[member];
	const struct lm_record_device dev = { .member = member, .offset = m->offset };
	const struct iovec iov[2] = {
		{ (void *)(uintptr_t)&dev, sizeof(dev) },
		{ m->buf, len },
	};

	m->offset += len;
	if (!io->saving)
		m->early_bytes += len;
	m->pending_bytes -= len < m->pending_bytes ? len : m->pending_bytes;
	return lm_channel_send(io->session->channel,
		lm_channel_of_member(io->session->channel, member), LM_RECORD_DEVICE, iov, 2);
}

static int
send_end(struct lm_io *io, unsigned int member)
{
	struct lm_io_member *m = &io->members[member];
	const struct lm_record_device dev = { .member = member, .offset = m->offset };
	const struct iovec iov = { (void *)(uintptr_t)&dev, sizeof(dev) };

	m->ended = true;
	m->pending_bytes = 0;
	return lm_channel_send(io->session->channel,
		lm_channel_of_member(io->session->channel, member), LM_RECORD_DEVICE_END, &iov, 1);
}

/* What a read gave. @return 1: go on; 0: that was it for now; -EAGAIN: wait; else -errno */
static int
take_read(struct lm_io *io, unsigned int member, int n)
{
	struct lm_io_member *m = &io->members[member];
	int ret;

	if (n > (int)LM_RECORD_DATA_BYTES)
		return -EPROTO;
	if (n > 0) {
		ret = send_data(io, member, (uint32_t)n);
		if (ret == 0 && m->early_known && !m->early_sent && m->offset >= m->early_target)
			ret = send_early(io, member);
		return ret == 0 ? 1 : ret;
	}
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n != 0 && (n != -ENOMSG || io->saving))
		return n == -ENOMSG ? -EPROTO : n;
	if (io->saving)
		return send_end(io, member);
	m->drained = true;
	/* Without numbers, the first time that there is nothing more is all there was. */
	return !m->early_sent && !m->has_info ? send_early(io, member) : 0;
}

static void
wait_readable(const struct lm_provider *p)
{
	const struct timespec nap = { .tv_nsec = AGAIN_US * 1000 };
	struct lm_mig_info info = { .poll_fd = -1 };
	struct pollfd fd = { .events = POLLIN };

	if (p->ops->info != NULL && p->ops->info(p->dev, &info) == 0 && info.poll_fd >= 0) {
		fd.fd = info.poll_fd;
		poll(&fd, 1, LM_SESSION_SLICE_US / 1000);
		return;
	}
	clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
}

static int
save_slice(void *ctx, unsigned int member, const struct lm_provider *p)
{
	struct lm_io *io = ctx;
	struct lm_io_member *m = lm_io_enter(io, member);
	uint64_t until_ns = lm_clock_after_us(LM_SESSION_SLICE_US);
	unsigned int calls = 0;
	int ret = 1, n;

	if (m->ended || m->drained || (!m->reading && !io->saving))
		ret = 0;
	while (ret == 1 && lm_clock_ns() < until_ns) {
		n = p->ops->read(p->dev, m->buf, LM_RECORD_DATA_BYTES);
		calls++;
		if (!lm_io_lock(io, m)) {
			ret = -ECANCELED;
			break;
		}
		ret = take_read(io, member, n);
		lm_io_unlock(m);
		if (ret == -EAGAIN) {
			wait_readable(p);
			ret = 1;
		}
	}
	if (calls > 0)
		lm_group_count_call(io->group, member, calls);
	lm_io_leave(io);
	return ret < 0 ? ret : 0;
}

int
lm_outgoing_save(struct lm_outgoing *o)
{
	unsigned int i;
	int ret;

	if (o->io->nb == 0)
		return 1;
	ret = lm_group_each(o->s.group, o->io->saving ? "saving its state" :
		"reading its early state", CALL_US(&o->s), save_slice, o->io);
	if (ret == -EPIPE || ret == -ECONNRESET || ret == -ECANCELED)
		return lm_session_fail_send(&o->s, ret, "sending device state");
	if (ret != 0)
		return lm_session_fail_group(&o->s, ret);
	for (i = 0; i < o->io->nb; i++) {
		const struct lm_io_member *m = &o->io->members[i];

		if (!m->ended && (o->io->saving || (m->reading && !m->drained)))
			return 0;
	}
	return 1;
}

/* Also makes some devices begin their next save (mlx5). */
static int
ask_info(void *ctx, unsigned int member, const struct lm_provider *p)
{
	struct lm_io *io = ctx;
	struct lm_io_member *m = lm_io_enter(io, member);
	struct lm_mig_info info = { .poll_fd = -1 };
	int ret = 0;

	if (p->ops->info != NULL)
		ret = p->ops->info(p->dev, &info);
	if (!lm_io_lock(io, m)) {
		lm_io_leave(io);
		return -ECANCELED;
	}
	m->drained = false;
	m->has_info = info.has_precopy;
	if (m->reading && info.reinit && (m->early_known || m->early_sent)) {
		m->reinits++;
		m->generation++;
		m->early_known = false;
		m->early_sent = false;
	}
	if (m->reading && info.has_precopy && !m->early_known) {
		m->early_known = true;
		m->early_target = m->offset + info.initial_bytes;
		if (info.initial_bytes == 0 && !m->early_sent)
			ret = send_early(io, member);
	}
	if (info.has_stop_copy)
		m->pending_bytes = info.stop_copy_bytes;
	else if (info.has_precopy)
		m->pending_bytes = info.initial_bytes + info.dirty_bytes;
	lm_io_unlock(m);
	lm_io_leave(io);
	return ret;
}

int
lm_outgoing_info(struct lm_outgoing *o)
{
	int ret;

	if (o->io->nb == 0)
		return 0;
	ret = lm_group_each(o->s.group, "telling how much it has", CALL_US(&o->s), ask_info, o->io);
	if (ret == -EPIPE || ret == -ECONNRESET || ret == -ECANCELED)
		return lm_session_fail_send(&o->s, ret, "sending device state");
	return ret == 0 ? 0 : lm_session_fail_group(&o->s, ret);
}

bool
lm_outgoing_early_done(struct lm_outgoing *o)
{
	const struct lm_io_member *m;
	bool done = true;
	unsigned int i;

	pthread_mutex_lock(&o->s.lock);
	for (i = 0; i < o->io->nb && done; i++) {
		m = &o->io->members[i];
		if (m->reading)
			done = m->early_sent && o->s.peer.acked[i] == m->generation + 1;
	}
	pthread_mutex_unlock(&o->s.lock);
	return done;
}

uint64_t
lm_outgoing_pending(struct lm_outgoing *o)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < o->io->nb; i++)
		bytes += o->io->members[i].pending_bytes;
	return bytes;
}
