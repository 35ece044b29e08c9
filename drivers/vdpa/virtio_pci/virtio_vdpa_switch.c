/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lm_thread.h"
#include "virtio_vdpa.h"

/*
 * Switches that nobody waits for, by a thread of the device's own that sleeps otherwise: back to
 * direct when a relay has come to index 0, and the rest of a switch to relay that was too slow for
 * rte_vhost's event thread.
 */

#define SWITCH_DRAIN_US 200000 /* for the chains that the function still has at the wrap */
#define SWITCH_LATE_US 100000  /* between two tries of a late switch */

struct virtio_vdpa_switcher {
	struct virtio_vdpa *dev;
	struct lm_thread thread;
	int wakefd;
	_Atomic bool stop;
};

static bool
switch_possible(struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa *dev = q->dev;

	return atomic_load(&dev->configured) && !atomic_load(&dev->log_on) &&
		!atomic_load(&dev->lost) && virtio_vdpa_can_return(dev) &&
		virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY;
}

/* Locked. The queue may have gone on since the worker told of it. */
static void
switch_back_locked(struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa_deadline d = virtio_vdpa_deadline_start(q->dev, "wrap");
	struct virtio_vdpa *dev = q->dev;
	uint64_t left;
	int ret = 0;

	if (!switch_possible(q) || virtio_vdpa_park(q, virtio_vdpa_deadline_left_us(&d)) != 0)
		return;
	if (q->broken || virtio_vdpa_relay_held(q->relay) == VIRTIO_VDPA_RELAY_PASSING) {
		virtio_vdpa_release(q);
		return;
	}
	left = virtio_vdpa_relay_outstanding(q->relay);
	ret = virtio_vdpa_mode_direct(q, &d);
	virtio_vdpa_release(q);
	virtio_vdpa_event(dev, d.phase, "given up, chains", left, ret);
	if (ret != 0) {
		VDPA_LOG(WARNING, dev, "queue %u: not direct at the wrap (%s); starting anew",
			q->index, strerror(-ret));
		virtio_vdpa_restart(dev, "wrap failed");
		return;
	}
	virtio_vdpa_nudge(q);
	virtio_vdpa_count(dev, VIRTIO_VDPA_WRAPS, 1);
	virtio_vdpa_switcher_wake(dev->switcher);
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_WRAP_US, virtio_vdpa_now_us() - q->held_since_us);
}

/* @return when to look at the queue again. */
static uint64_t
switch_queue(struct virtio_vdpa_queue *q)
{
	uint8_t held = atomic_load_explicit(&q->held, memory_order_acquire);
	uint64_t now = virtio_vdpa_now_us();

	if (held == VIRTIO_VDPA_RELAY_PASSING) {
		q->held_since_us = 0;
		return UINT64_MAX;
	}
	if (q->held_since_us == 0)
		q->held_since_us = now;
	if (held == VIRTIO_VDPA_RELAY_HELD && now < q->held_since_us + SWITCH_DRAIN_US)
		return q->held_since_us + SWITCH_DRAIN_US;
	pthread_mutex_lock(&q->dev->lock);
	switch_back_locked(q);
	atomic_store(&q->held, VIRTIO_VDPA_RELAY_PASSING);
	pthread_mutex_unlock(&q->dev->lock);
	q->held_since_us = 0;
	return UINT64_MAX;
}

static uint64_t
switch_late(struct virtio_vdpa *dev)
{
	int ret;

	pthread_mutex_lock(&dev->lock);
	ret = dev->late ? virtio_vdpa_log_late(dev) : 0;
	pthread_mutex_unlock(&dev->lock);
	return ret == 0 ? UINT64_MAX : virtio_vdpa_now_us() + SWITCH_LATE_US;
}

static lm_thread_ret_t
switch_main(void *arg)
{
	struct virtio_vdpa_switcher *s = arg;
	struct pollfd pfd = { .fd = s->wakefd, .events = POLLIN };
	uint64_t next, at, now;
	eventfd_t n;
	uint16_t i;

	while (!atomic_load_explicit(&s->stop, memory_order_acquire)) {
		virtio_vdpa_notifier_sync(s->dev);
		next = switch_late(s->dev);
		for (i = 0; i < s->dev->nb_queues; i++) {
			at = switch_queue(&s->dev->queue[i]);
			next = RTE_MIN(next, at);
		}
		now = virtio_vdpa_now_us();
		if (next <= now)
			continue;
		poll(&pfd, 1, next == UINT64_MAX ? -1 : (int)((next - now) / 1000) + 1);
		eventfd_read(s->wakefd, &n);
	}
	return LM_THREAD_RETURN;
}

int
virtio_vdpa_switcher_create(struct virtio_vdpa *dev, struct virtio_vdpa_switcher **switcher)
{
	struct virtio_vdpa_switcher *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return -ENOMEM;
	s->dev = dev;
	s->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = s->wakefd < 0 ? -errno : lm_thread_create(&s->thread, "lm-switch", switch_main, s);
	if (ret != 0) {
		if (s->wakefd >= 0)
			close(s->wakefd);
		free(s);
		return ret;
	}
	*switcher = s;
	return 0;
}

void
virtio_vdpa_switcher_destroy(struct virtio_vdpa_switcher *s)
{
	atomic_store_explicit(&s->stop, true, memory_order_release);
	virtio_vdpa_switcher_wake(s);
	lm_thread_join(&s->thread);
	close(s->wakefd);
	free(s);
}

void
virtio_vdpa_switcher_wake(struct virtio_vdpa_switcher *s)
{
	eventfd_write(s->wakefd, 1);
}
