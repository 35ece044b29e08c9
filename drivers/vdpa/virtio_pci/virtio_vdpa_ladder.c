/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>

#include "virtio_pci_if.h"
#include "virtio_vdpa.h"

/*
 * How to make a function let go of its queues, gentlest first. Each rung has what is left of the
 * budget, at least a quarter of it; the rungs below it are tried when it fails.
 */

int
virtio_vdpa_ring_reset(struct virtio_vdpa_queue *q, const struct virtio_vdpa_deadline *d)
{
	struct virtio_vdpa *dev = q->dev;
	int ret;

	if (!dev->ring_reset)
		return -ENOTSUP;
	ret = lm_virtio_queue_reset(dev->virtio, q->index, virtio_vdpa_deadline_left_us(d));
	if (ret != 0) {
		/* A reset must not be asked for twice; the device reset ends this one. */
		dev->ring_reset = false;
		dev->ring_reset_stuck = true;
		VDPA_LOG(WARNING, dev, "%s: ring reset of queue %u: %s", d->phase, q->index,
			strerror(-ret));
	}
	return ret;
}

bool
virtio_vdpa_drains(const struct virtio_vdpa *dev)
{
	const struct virtio_vdpa_queue *q;
	uint16_t i;

	if ((dev->driver_features & 1ULL << LM_VIRTIO_F_SUSPEND) == 0 ||
			(dev->driver_features & 1ULL << LM_VIRTIO_F_IN_ORDER) != 0)
		return false;
	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_DIRECT &&
				!virtio_vdpa_ring_ordered(q->avail, q->used, q->size))
			return true;
	}
	return false;
}

/*
 * Not a rung: a suspended function has used all that it has taken, so that what is out on a ring
 * of the guest's is a plain suffix, but it still holds the queues.
 */
static bool
drain(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	int ret;

	if (dev->reset_pending || !virtio_vdpa_drains(dev))
		return false;
	ret = lm_virtio_suspend(dev->virtio, virtio_vdpa_deadline_left_us(d) / 2);
	virtio_vdpa_event(dev, d->phase, "suspend", 0, ret);
	if (ret != 0)
		VDPA_LOG(WARNING, dev, "%s: suspend: %s", d->phase, strerror(-ret));
	dev->drained = ret == 0;
	/* Whether or not it is suspended by now: its queues must not be touched any more. */
	return true;
}

static int
rung_ring_reset(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	int ret = dev->ring_reset && !dev->reset_pending ? 0 : -ENOTSUP;
	uint16_t i;

	for (i = 0; i < dev->nb_queues && ret == 0; i++) {
		if (virtio_vdpa_queue_mode(&dev->queue[i]) != VIRTIO_VDPA_OFF)
			ret = virtio_vdpa_ring_reset(&dev->queue[i], d);
	}
	return ret;
}

/* 2.4: until status reads 0, a device in reset is only looked at. */
static int
reset_wait(struct virtio_vdpa *dev, uint64_t timeout_us)
{
	uint64_t end = virtio_vdpa_now_us() + timeout_us;
	uint8_t status;
	int ret;

	do {
		ret = lm_virtio_status(dev->virtio, &status);
		if (ret != 0 || status == 0)
			return ret;
		rte_delay_us_sleep(1000);
	} while (virtio_vdpa_now_us() < end);
	return -ETIMEDOUT;
}

int
virtio_vdpa_reset(struct virtio_vdpa *dev, uint64_t timeout_us)
{
	int ret = dev->reset_pending ? reset_wait(dev, timeout_us) :
		lm_virtio_reset(dev->virtio, timeout_us);

	dev->reset_pending = ret == -ETIMEDOUT;
	return ret;
}

static int
rung_device_reset(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	int ret = virtio_vdpa_reset(dev, virtio_vdpa_deadline_left_us(d));

	if (ret != 0)
		VDPA_LOG(WARNING, dev, "%s: device reset: %s", d->phase, strerror(-ret));
	return ret;
}

static int
rung_pci_reset(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	int ret = lm_pci_reset(dev->pci);

	if (ret == 0)
		dev->reset_pending = false;
	if (ret != 0)
		VDPA_LOG(ERR, dev, "%s: function reset: %s", d->phase, strerror(-ret));
	return ret;
}

static const struct {
	const char *name;
	int (*stop)(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d);
} rungs[] = {
	{ "ring reset", rung_ring_reset },
	{ "device reset", rung_device_reset },
	{ "function reset", rung_pci_reset },
};

const char *
virtio_vdpa_ladder(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	unsigned int i = 0;
	int ret;

	if (!atomic_load(&dev->lost) && drain(dev, d))
		i = 1; /* behind ring reset */
	for (; i < RTE_DIM(rungs); i++) {
		if (atomic_load(&dev->lost))
			return NULL;
		ret = rungs[i].stop(dev, d);
		if (ret == 0) {
			virtio_vdpa_event(dev, d->phase, rungs[i].name, 0, 0);
			return rungs[i].name;
		}
		if (ret == -ENOTCONN)
			virtio_vdpa_lost(dev);
	}
	return NULL;
}

void
virtio_vdpa_lost(struct virtio_vdpa *dev)
{
	if (atomic_exchange(&dev->lost, true))
		return;
	VDPA_LOG(ERR, dev, "the function's process is gone: the guest has no network here until "
		"this back end is started again with a live function");
	virtio_vdpa_event(dev, "lost", "function gone", 0, -ENOTCONN);
}
