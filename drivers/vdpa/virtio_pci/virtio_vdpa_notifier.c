/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "virtio_vdpa.h"

/*
 * Doorbell pages of direct queues in the guest's own address space (VHOST_USER_BACKEND_VRING_
 * HOST_NOTIFIER_MSG). rte_vhost waits for the front end's answer, and the front end may be waiting
 * for rte_vhost, so it is the switcher that asks, without the device's lock. Until it has been
 * answered that a page is gone, kicks may go into it, and the relay of that queue does not sleep
 * for long.
 */

#define LEAVE_TRIES 1000 /* of a millisecond */

int
virtio_vdpa_notifier_pages(struct virtio_vdpa *dev)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), offset, size;
	struct virtio_vdpa_queue *q;
	unsigned int bar;
	uint16_t i;
	int fd, ret;

	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		ret = lm_virtio_notify_area(dev->virtio, i, &bar, &offset, &size);
		if (ret != 0)
			return ret;
		fd = size == page ? lm_pci_bar_fd(dev->pci, bar, offset, size, &q->notify_offset) :
			-ENOTSUP;
		if (fd < 0 || q->notify_offset % page != 0) {
			VDPA_LOG(WARNING, dev, "notifiers=1: queue %u has no doorbell page of its "
				"own that can be mapped; kicks are forwarded", i);
			return -ENOTSUP;
		}
		dev->notify_fd = fd;
	}
	dev->notify_pages = true;
	return 0;
}

int
virtio_vdpa_notifier_fd(int vid)
{
	const struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);

	return dev != NULL && dev->notify_pages ? dev->notify_fd : -ENOTSUP;
}

int
virtio_vdpa_notifier_area(int vid, int qid, uint64_t *offset, uint64_t *size)
{
	const struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);

	if (dev == NULL || !dev->notify_pages || qid < 0 || qid >= dev->nb_queues)
		return -ENOTSUP;
	*offset = dev->queue[qid].notify_offset;
	*size = (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

static void
notifier_set(struct virtio_vdpa_queue *q, enum virtio_vdpa_notifier state)
{
	atomic_store_explicit(&q->notifier, (uint8_t)state, memory_order_release);
}

static enum virtio_vdpa_notifier
notifier_get(const struct virtio_vdpa_queue *q)
{
	return (enum virtio_vdpa_notifier)atomic_load_explicit(&q->notifier, memory_order_acquire);
}

/* @return 1: map it, 0: take it away, -1: it is as it should be. */
static int
notifier_todo(struct virtio_vdpa_queue *q, int *vid)
{
	struct virtio_vdpa *dev = q->dev;
	bool want, have;

	pthread_mutex_lock(&dev->lock);
	*vid = dev->vid;
	have = notifier_get(q) == VIRTIO_VDPA_NOTIFIER_MAPPED;
	want = atomic_load(&dev->configured) && !atomic_load(&dev->lost) &&
		virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_DIRECT;
	if (notifier_get(q) == VIRTIO_VDPA_NOTIFIER_REFUSED || !dev->notify_pages || *vid < 0)
		want = have = false;
	/* From here on kicks may go there. */
	if (want && !have)
		notifier_set(q, VIRTIO_VDPA_NOTIFIER_MAPPED);
	atomic_store(&dev->notifier_busy, want != have);
	pthread_mutex_unlock(&dev->lock);
	return want == have ? -1 : want;
}

static void
notifier_do(struct virtio_vdpa_queue *q, int vid, bool map)
{
	struct virtio_vdpa *dev = q->dev;
	int ret = rte_vhost_host_notifier_ctrl(vid, q->index, map);

	atomic_store(&dev->notifier_busy, false);
	if (map && ret != 0) {
		VDPA_LOG(NOTICE, dev, "queue %u: the front end does not take its doorbell page; "
			"kicks are forwarded (QEMU wants page-per-vq=on)", q->index);
		notifier_set(q, VIRTIO_VDPA_NOTIFIER_REFUSED);
	} else if (!map) {
		notifier_set(q, VIRTIO_VDPA_NOTIFIER_NONE);
	}
	virtio_vdpa_event(dev, "notifier", map ? "mapped, queue" : "taken away, queue", q->index,
		ret);
	/* What was rung before it went is looked for once more. */
	virtio_vdpa_worker_wake(dev->worker);
}

void
virtio_vdpa_notifier_sync(struct virtio_vdpa *dev)
{
	uint16_t i;
	int todo, vid;

	for (i = 0; dev->notify_pages && i < dev->nb_queues; i++) {
		todo = notifier_todo(&dev->queue[i], &vid);
		if (todo >= 0)
			notifier_do(&dev->queue[i], vid, todo != 0);
	}
}

void
virtio_vdpa_notifier_forget(struct virtio_vdpa *dev)
{
	uint16_t i;

	for (i = 0; i < dev->nb_queues; i++)
		notifier_set(&dev->queue[i], VIRTIO_VDPA_NOTIFIER_NONE);
}

void
virtio_vdpa_notifier_leave(struct virtio_vdpa *dev)
{
	int i;

	for (i = 0; i < LEAVE_TRIES && atomic_load(&dev->notifier_busy); i++)
		rte_delay_us_sleep(1000);
}

bool
virtio_vdpa_notifier_open(const struct virtio_vdpa_queue *q)
{
	return notifier_get(q) == VIRTIO_VDPA_NOTIFIER_MAPPED;
}

const char *
virtio_vdpa_notifier_name(const struct virtio_vdpa_queue *q)
{
	static const char * const names[] = { "no", "mapped", "refused" };

	return names[notifier_get(q)];
}
