/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "virtio_pci_if.h"
#include "virtio_vdpa.h"

/*
 * How to make a function let go of its queues, gentlest first. Each rung has what is left of the
 * budget, at least a millisecond; the rungs below it are tried when it fails.
 */

static int
rung_ring_reset(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	uint16_t i;
	int ret;

	if ((dev->driver_features & 1ULL << LM_VIRTIO_F_RING_RESET) == 0)
		return -ENOTSUP;
	for (i = 0; i < dev->nb_queues; i++) {
		if (virtio_vdpa_queue_mode(&dev->queue[i]) == VIRTIO_VDPA_OFF)
			continue;
		ret = lm_virtio_queue_reset(dev->virtio, i, virtio_vdpa_deadline_left_us(d));
		if (ret != 0) {
			VDPA_LOG(WARNING, dev, "%s: ring reset of queue %u: %s", d->phase, i,
				strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static int
rung_device_reset(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	int ret = lm_virtio_reset(dev->virtio, virtio_vdpa_deadline_left_us(d));

	if (ret != 0)
		VDPA_LOG(WARNING, dev, "%s: device reset: %s", d->phase, strerror(-ret));
	return ret;
}

static int
rung_pci_reset(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	int ret = lm_pci_reset(dev->pci);

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
	unsigned int i;
	int ret;

	for (i = 0; i < RTE_DIM(rungs); i++) {
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
