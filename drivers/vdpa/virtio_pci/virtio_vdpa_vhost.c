/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio_vdpa.h"

#define LOG_DETACH_TRIES 25 /* of a stop budget each */

/* Messages that rte_vhost handles without telling a vDPA driver, and file descriptors of queues. */

#define VHOST_USER_SET_LOG_BASE 6
#define VHOST_USER_SET_VRING_BASE 10
#define VHOST_USER_GET_VRING_BASE 11
#define VHOST_USER_SET_VRING_ENABLE 18
#define VHOST_USER_SEND_RARP 19

/* Head of rte_vhost's message, as external handlers get it: the wire format of vhost-user. */
struct vhost_user_head {
	uint32_t request;
	uint32_t flags;
	uint32_t size_bytes;
	uint8_t payload[8];
};
static_assert(offsetof(struct vhost_user_head, payload) == 12, "vhost-user message header");

int
virtio_vdpa_log_attach(struct virtio_vdpa *dev)
{
	uint64_t base, size;
	int ret;

	if (dev->log == NULL || lm_vhost_log_attached(dev->log))
		return 0;
	if (rte_vhost_get_log_base(dev->vid, &base, &size) != 0 || base == 0)
		return -ENODATA; /* marks wait in the log until SET_LOG_BASE */
	ret = lm_vhost_log_attach(dev->log, (void *)(uintptr_t)base, size);
	if (ret != 0)
		VDPA_LOG(ERR, dev, "cannot use the front end's dirty log of %" PRIu64 " bytes: %s",
			size, strerror(-ret));
	return ret;
}

void
virtio_vdpa_log_detach(struct virtio_vdpa *dev)
{
	int ret = -ETIMEDOUT, tries;

	if (dev->log == NULL || !lm_vhost_log_attached(dev->log))
		return;
	/* R7: rte_vhost unmaps the log next. A writer preempted in its flush must get out. */
	for (tries = 0; tries < LOG_DETACH_TRIES && ret == -ETIMEDOUT; tries++)
		ret = lm_vhost_log_detach(dev->log, (uint64_t)dev->args.stop_budget_ms * 1000);
	if (ret != 0)
		VDPA_LOG(CRIT, dev, "a writer does not leave the dirty log: %s", strerror(-ret));
}

static void
vhost_enable(struct virtio_vdpa *dev, const struct vhost_user_head *msg)
{
	uint32_t index, on;

	memcpy(&index, msg->payload, sizeof(index));
	memcpy(&on, msg->payload + sizeof(index), sizeof(on));
	if (index >= dev->nb_queues)
		return;
	dev->queue[index].enabled = on != 0;
	if (atomic_load(&dev->configured))
		virtio_vdpa_ctrl_pairs(dev);
}

static void
vhost_base(struct virtio_vdpa *dev, const struct vhost_user_head *msg)
{
	uint32_t index, base;

	memcpy(&index, msg->payload, sizeof(index));
	memcpy(&base, msg->payload + sizeof(index), sizeof(base));
	if (index < dev->nb_queues)
		dev->queue[index].said_base = (uint16_t)base;
}

static enum rte_vhost_msg_result
vhost_pre(int vid, void *opaque)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);
	const struct vhost_user_head *msg = opaque;

	if (dev == NULL)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	switch (msg->request) {
	case VHOST_USER_SET_LOG_BASE:
		/* R7: rte_vhost unmaps the old log in its handler; no writer may be in it. */
		pthread_mutex_lock(&dev->lock);
		virtio_vdpa_log_detach(dev);
		pthread_mutex_unlock(&dev->lock);
		break;
	case VHOST_USER_SET_VRING_BASE:
		pthread_mutex_lock(&dev->lock);
		vhost_base(dev, msg);
		pthread_mutex_unlock(&dev->lock);
		break;
	case VHOST_USER_GET_VRING_BASE:
		pthread_mutex_lock(&dev->lock);
		dev->bases_asked = true;
		pthread_mutex_unlock(&dev->lock);
		break;
	case VHOST_USER_SEND_RARP:
		pthread_mutex_lock(&dev->lock);
		memcpy(dev->rarp_mac, msg->payload, sizeof(dev->rarp_mac));
		dev->rarp_mac_known = true;
		pthread_mutex_unlock(&dev->lock);
		break;
	default:
		break;
	}
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result
vhost_post(int vid, void *opaque)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);
	const struct vhost_user_head *msg = opaque;

	if (dev == NULL)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	switch (msg->request) {
	case VHOST_USER_SET_LOG_BASE:
		pthread_mutex_lock(&dev->lock);
		if (atomic_load(&dev->configured))
			virtio_vdpa_log_attach(dev);
		pthread_mutex_unlock(&dev->lock);
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		pthread_mutex_lock(&dev->lock);
		vhost_enable(dev, msg);
		pthread_mutex_unlock(&dev->lock);
		break;
	default:
		break;
	}
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops vhost_hooks = {
	.pre_msg_handle = vhost_pre,
	.post_msg_handle = vhost_post,
};

void
virtio_vdpa_vhost_hook(struct virtio_vdpa *dev)
{
	if (dev->hooked)
		return;
	dev->hooked = rte_vhost_extern_callback_register(dev->vid, &vhost_hooks, NULL) == 0;
	if (!dev->hooked)
		VDPA_LOG(WARNING, dev, "rte_vhost takes no message hooks: multi-queue changes and "
			"replaced dirty logs will not be seen");
}

/* rte_vhost closes its fds whenever it likes, so the queue has duplicates. */
static int
fd_take(struct virtio_vdpa_queue *q, int fd, const char *what)
{
	int dup_fd, flags;

	if (fd < 0)
		return -1;
	dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	flags = dup_fd < 0 ? -1 : fcntl(dup_fd, F_GETFL);
	/* A front end cannot be allowed to block a thread that serves others. */
	if (flags < 0 || fcntl(dup_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		VDPA_LOG(ERR, q->dev, "queue %u: cannot use the %s fd: %s", q->index, what,
			strerror(errno));
		if (dup_fd >= 0)
			close(dup_fd);
		return -1;
	}
	return dup_fd;
}

void
virtio_vdpa_fds_bind(struct virtio_vdpa_queue *q)
{
	struct rte_vhost_vring vring;

	if (rte_vhost_get_vhost_vring(q->dev->vid, q->index, &vring) != 0)
		return;
	q->callfd = fd_take(q, vring.callfd, "call");
	q->kickfd = fd_take(q, vring.kickfd, "kick");
	if (q->kickfd < 0)
		VDPA_LOG(WARNING, q->dev, "queue %u: the front end gives no kick fd; not supported",
			q->index);
	else
		virtio_vdpa_worker_watch(q->dev->worker, q);
}

void
virtio_vdpa_fds_unbind(struct virtio_vdpa_queue *q)
{
	virtio_vdpa_worker_unwatch(q->dev->worker, q);
	if (q->kickfd >= 0)
		close(q->kickfd);
	if (q->callfd >= 0)
		close(q->callfd);
	q->kickfd = -1;
	q->callfd = -1;
}

void
virtio_vdpa_call(const struct virtio_vdpa_queue *q)
{
	/* EAGAIN means that the counter is full: the guest has its interrupt pending. */
	if (q->callfd >= 0)
		eventfd_write(q->callfd, 1);
}

void
virtio_vdpa_nudge(struct virtio_vdpa_queue *q)
{
	switch (virtio_vdpa_queue_mode(q)) {
	case VIRTIO_VDPA_DIRECT:
		lm_virtio_notify(q->dev->virtio, q->index);
		break;
	case VIRTIO_VDPA_RELAY:
		virtio_vdpa_worker_wake(q->dev->worker);
		break;
	default:
		return;
	}
	virtio_vdpa_call(q);
}

static int
irq_fd(const struct virtio_vdpa_queue *q)
{
	if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_DIRECT)
		return q->callfd; /* straight to the guest */
	return virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY ? q->irqfd : -1;
}

int
virtio_vdpa_irq_bind(struct virtio_vdpa_queue *q)
{
	int fd = irq_fd(q), ret;

	ret = lm_pci_irq_set(q->dev->pci, q->index + 1u, 1, &fd);
	if (ret != 0)
		VDPA_LOG(ERR, q->dev, "queue %u: cannot bind its vector: %s", q->index,
			strerror(-ret));
	return ret;
}

int
virtio_vdpa_irq_bind_all(struct virtio_vdpa *dev)
{
	int fds[VIRTIO_VDPA_MAX_QUEUES], ret;
	uint16_t i;

	for (i = 0; i < dev->nb_queues; i++)
		fds[i] = irq_fd(&dev->queue[i]);
	ret = lm_pci_irq_set(dev->pci, 1, dev->nb_queues, fds);
	if (ret != 0)
		VDPA_LOG(ERR, dev, "cannot bind the queues' vectors: %s", strerror(-ret));
	return ret;
}
