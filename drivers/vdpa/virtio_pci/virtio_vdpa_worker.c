/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio_net_if.h"
#include "virtio_vdpa.h"

/*
 * What relays and forwards kicks of one device, a round at a time; virtio_vdpa_runner.c says which
 * thread calls it. While there is work the eventfds are looked at now and then only; for sleeping,
 * both sides of every relay are asked to notify.
 */

#define WORKER_BURST 64
#define WORKER_EVENT_ROUNDS 32 /* rounds between two looks at the eventfds while polling */
#define WORKER_EVENTS 32

enum worker_source {
	SOURCE_WAKE,
	SOURCE_KICK,
	SOURCE_IRQ,
	SOURCE_DEVICE,
};

struct virtio_vdpa_worker {
	struct virtio_vdpa *dev;
	int epfd;
	int wakefd;
	uint32_t rounds;
	struct virtio_vdpa_seat *seat;
};

static int
worker_add(struct virtio_vdpa_worker *w, int fd, enum worker_source source, uint16_t index)
{
	struct epoll_event event = { .events = EPOLLIN,
		.data.u64 = (uint64_t)source << 32 | index };

	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static void
worker_broken(struct virtio_vdpa_queue *q, enum virtio_vdpa_relay_error error)
{
	q->broken = true;
	atomic_store_explicit(&q->error, (uint32_t)error, memory_order_relaxed);
	atomic_fetch_add_explicit(&q->errors, 1, memory_order_relaxed);
	VDPA_LOG(ERR, q->dev, "queue %u is stopped: %s", q->index,
		virtio_vdpa_relay_strerror(error));
	virtio_vdpa_event(q->dev, "relay", "queue stopped", q->index, -EPROTO);
}

/* A merged frame is the used chains behind its first: putting those in order takes it apart. */
static void
worker_disordered(struct virtio_vdpa_queue *q)
{
	q->disordered = true;
	atomic_store(&q->dev->disordered, true);
	if (q->index % 2 == 0 &&
			(q->dev->driver_features & 1ULL << LM_VIRTIO_NET_F_MRG_RXBUF) != 0)
		VDPA_LOG(ERR, q->dev, "queue %u: the function completes receive buffers out of "
			"order; merged frames are lost while it is relayed (features= without bit "
			"%u avoids it)", q->index, LM_VIRTIO_NET_F_MRG_RXBUF);
	virtio_vdpa_event(q->dev, "relay", "out of order", q->index, 0);
}

/* The last phases of a switch-over are these: the guest and the wire are both alive again. */
static void
worker_first(struct virtio_vdpa_queue *q, bool *awaited, const char *what)
{
	char event[28];

	*awaited = false;
	snprintf(event, sizeof(event), "queue %u %s", q->index, what);
	virtio_vdpa_event(q->dev, "first", event, 0, 0);
}

/* The relay has come to index 0, or has been emptied there: the switcher's turn. */
static void
worker_held(struct virtio_vdpa_queue *q, enum virtio_vdpa_relay_held held)
{
	atomic_store_explicit(&q->held, (uint8_t)held, memory_order_release);
	virtio_vdpa_switcher_wake(q->dev->switcher);
}

/* Inside the guard. @return chains moved. */
static unsigned int
worker_relay(struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa_relay *relay = q->relay;
	enum virtio_vdpa_relay_held held;
	unsigned int n;

	if (q->asleep) {
		virtio_vdpa_relay_wake(relay);
		q->asleep = false;
	}
	/* All that there is: a guest that sees half of a merged frame's buffers drops the frame. */
	n = virtio_vdpa_relay_used_burst(relay, UINT_MAX);
	if (unlikely(q->await_used) && n != 0)
		worker_first(q, &q->await_used, "used");
	n += virtio_vdpa_relay_avail_burst(relay, WORKER_BURST);
	if (virtio_vdpa_relay_need_call(relay))
		virtio_vdpa_call(q);
	if (virtio_vdpa_relay_need_kick(relay))
		lm_virtio_notify(q->dev->virtio, q->index);
	held = virtio_vdpa_relay_held(relay);
	if (unlikely(held != atomic_load_explicit(&q->held, memory_order_relaxed)))
		worker_held(q, held);
	if (unlikely(virtio_vdpa_relay_error(relay) != VIRTIO_VDPA_RELAY_OK))
		worker_broken(q, virtio_vdpa_relay_error(relay));
	if (unlikely(virtio_vdpa_relay_disordered(relay)) && !q->disordered)
		worker_disordered(q);
	return n;
}

static unsigned int
worker_round(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_queue *q;
	unsigned int n = 0;
	uint16_t i;

	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		if (virtio_vdpa_queue_mode(q) != VIRTIO_VDPA_RELAY ||
				!lm_quiesce_enter(&q->guard))
			continue;
		if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY && !q->broken)
			n += worker_relay(q);
		lm_quiesce_exit(&q->guard);
	}
	return n;
}

/* @return true when no relay can have work without one of our eventfds becoming readable. */
static bool
worker_may_sleep(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_queue *q;
	bool may = true;
	uint16_t i;

	for (i = 0; i < dev->nb_queues && may; i++) {
		q = &dev->queue[i];
		if (virtio_vdpa_queue_mode(q) != VIRTIO_VDPA_RELAY ||
				!lm_quiesce_enter(&q->guard))
			continue; /* parked: its manager wakes us */
		if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY && !q->broken && !q->asleep) {
			q->asleep = virtio_vdpa_relay_sleep(q->relay);
			may = q->asleep;
		}
		lm_quiesce_exit(&q->guard);
	}
	return may;
}

bool
virtio_vdpa_worker_naps(const struct virtio_vdpa_worker *w)
{
	const struct virtio_vdpa_queue *q;
	uint16_t i;

	for (i = 0; i < w->dev->nb_queues; i++) {
		q = &w->dev->queue[i];
		if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY && virtio_vdpa_notifier_open(q))
			return true;
	}
	return false;
}

static bool
worker_kick(struct virtio_vdpa_queue *q)
{
	eventfd_t n;

	if (!lm_quiesce_enter(&q->guard))
		return false;
	if (q->kickfd >= 0 && eventfd_read(q->kickfd, &n) == 0) {
		atomic_fetch_add_explicit(&q->kicks_forwarded, 1, memory_order_relaxed);
		if (q->await_kick)
			worker_first(q, &q->await_kick, "kick");
		if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_DIRECT)
			lm_virtio_notify(q->dev->virtio, q->index);
	}
	lm_quiesce_exit(&q->guard);
	return true;
}

static void
worker_device(struct virtio_vdpa_worker *w)
{
	int fd = lm_pci_event_fd(w->dev->pci);

	if (lm_pci_event_process(w->dev->pci) != -ENOTCONN)
		return;
	epoll_ctl(w->epfd, EPOLL_CTL_DEL, fd, NULL);
	virtio_vdpa_lost(w->dev);
}

static void
worker_events(struct virtio_vdpa_worker *w)
{
	struct epoll_event events[WORKER_EVENTS];
	struct virtio_vdpa_queue *q;
	bool held_up = false;
	eventfd_t n;
	int nb, i;

	nb = epoll_wait(w->epfd, events, WORKER_EVENTS, 0);
	for (i = 0; i < nb; i++) {
		q = &w->dev->queue[(uint32_t)events[i].data.u64];
		switch ((enum worker_source)(events[i].data.u64 >> 32)) {
		case SOURCE_WAKE:
			eventfd_read(w->wakefd, &n);
			break;
		case SOURCE_KICK:
			held_up = !worker_kick(q) || held_up;
			break;
		case SOURCE_IRQ:
			eventfd_read(q->irqfd, &n);
			break;
		case SOURCE_DEVICE:
			worker_device(w);
			break;
		}
	}
	/* The kick of a parked queue stays readable: do not spin against its manager. */
	if (held_up)
		sched_yield();
}

unsigned int
virtio_vdpa_worker_poll(struct virtio_vdpa_worker *w)
{
	unsigned int n = worker_round(w->dev);

	if (++w->rounds % WORKER_EVENT_ROUNDS == 0)
		worker_events(w);
	return n;
}

bool
virtio_vdpa_worker_may_sleep(struct virtio_vdpa_worker *w)
{
	return worker_may_sleep(w->dev);
}

void
virtio_vdpa_worker_events(struct virtio_vdpa_worker *w)
{
	worker_events(w);
}

int
virtio_vdpa_worker_fd(const struct virtio_vdpa_worker *w)
{
	return w->epfd;
}

static int
worker_sources(struct virtio_vdpa_worker *w)
{
	int fd = lm_pci_event_fd(w->dev->pci), ret;
	uint16_t i;

	ret = worker_add(w, w->wakefd, SOURCE_WAKE, 0);
	if (ret == 0 && fd >= 0)
		ret = worker_add(w, fd, SOURCE_DEVICE, 0);
	for (i = 0; i < w->dev->nb_queues && ret == 0; i++)
		ret = worker_add(w, w->dev->queue[i].irqfd, SOURCE_IRQ, i);
	return ret;
}

int
virtio_vdpa_worker_create(struct virtio_vdpa *dev, struct virtio_vdpa_worker **worker)
{
	struct virtio_vdpa_worker *w = calloc(1, sizeof(*w));
	int ret;

	if (w == NULL)
		return -ENOMEM;
	w->dev = dev;
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = w->epfd < 0 || w->wakefd < 0 ? -errno : worker_sources(w);
	if (ret == 0)
		ret = virtio_vdpa_runner_join(dev, w, &w->seat);
	if (ret != 0) {
		if (w->epfd >= 0)
			close(w->epfd);
		if (w->wakefd >= 0)
			close(w->wakefd);
		free(w);
		return ret;
	}
	*worker = w;
	return 0;
}

void
virtio_vdpa_worker_destroy(struct virtio_vdpa_worker *w)
{
	virtio_vdpa_runner_leave(w->seat);
	close(w->epfd);
	close(w->wakefd);
	free(w);
}

void
virtio_vdpa_worker_describe(const struct virtio_vdpa_worker *w, char *buf, size_t size)
{
	virtio_vdpa_runner_describe(w->seat, buf, size);
}

void
virtio_vdpa_worker_wake(struct virtio_vdpa_worker *w)
{
	eventfd_write(w->wakefd, 1);
}

void
virtio_vdpa_worker_watch(struct virtio_vdpa_worker *w, struct virtio_vdpa_queue *q)
{
	int ret = worker_add(w, q->kickfd, SOURCE_KICK, q->index);

	q->kick_watched = ret == 0;
	if (ret != 0)
		VDPA_LOG(ERR, q->dev, "queue %u: cannot wait for kicks: %s", q->index,
			strerror(-ret));
}

void
virtio_vdpa_worker_unwatch(struct virtio_vdpa_worker *w, struct virtio_vdpa_queue *q)
{
	if (q->kick_watched)
		epoll_ctl(w->epfd, EPOLL_CTL_DEL, q->kickfd, NULL);
	q->kick_watched = false;
}

static int
park(struct virtio_vdpa *dev, struct lm_quiesce *const *guards, unsigned int nb,
		uint64_t timeout_us)
{
	const struct lm_quiesce *late = NULL;
	int ret = lm_quiesce_park(guards, nb, timeout_us, &late);

	if (ret != 0)
		VDPA_LOG(ERR, dev, "%s is not left by the relay thread within %" PRIu64 " us: %s",
			late == NULL ? "a queue" : late->name, timeout_us, strerror(-ret));
	return ret;
}

int
virtio_vdpa_park_all(struct virtio_vdpa *dev, uint64_t timeout_us)
{
	struct lm_quiesce *guards[VIRTIO_VDPA_MAX_QUEUES];
	uint16_t i;

	for (i = 0; i < dev->nb_queues; i++)
		guards[i] = &dev->queue[i].guard;
	return park(dev, guards, dev->nb_queues, timeout_us);
}

void
virtio_vdpa_release_all(struct virtio_vdpa *dev)
{
	struct lm_quiesce *guards[VIRTIO_VDPA_MAX_QUEUES];
	uint16_t i;

	for (i = 0; i < dev->nb_queues; i++)
		guards[i] = &dev->queue[i].guard;
	lm_quiesce_release(guards, dev->nb_queues);
	virtio_vdpa_worker_wake(dev->worker);
}

int
virtio_vdpa_park(struct virtio_vdpa_queue *q, uint64_t timeout_us)
{
	struct lm_quiesce *guard = &q->guard;

	return park(q->dev, &guard, 1, timeout_us);
}

void
virtio_vdpa_release(struct virtio_vdpa_queue *q)
{
	struct lm_quiesce *guard = &q->guard;

	lm_quiesce_release(&guard, 1);
	virtio_vdpa_worker_wake(q->dev->worker);
}
