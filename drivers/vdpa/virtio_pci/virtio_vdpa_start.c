/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "virtio_net_if.h"
#include "virtio_pci_if.h"
#include "virtio_vdpa.h"

#define BIT(n) (1ULL << (n))

/*
 * What a guest may get from the function. Absent on purpose: bits that change rings or doorbells
 * underneath the relay (33 to 43, but IN_ORDER), what QEMU answers without asking us (MAC, VLAN,
 * offload control), and GUEST_ANNOUNCE, so that QEMU asks us for RARP, which works for guests
 * without an address too.
 */
#define GUEST_FEATURES (BIT(LM_VIRTIO_NET_F_CSUM) | BIT(LM_VIRTIO_NET_F_GUEST_CSUM) | \
	BIT(LM_VIRTIO_NET_F_MTU) | BIT(LM_VIRTIO_NET_F_GUEST_TSO4) | \
	BIT(LM_VIRTIO_NET_F_GUEST_TSO6) | BIT(LM_VIRTIO_NET_F_GUEST_ECN) | \
	BIT(LM_VIRTIO_NET_F_GUEST_UFO) | BIT(LM_VIRTIO_NET_F_HOST_TSO4) | \
	BIT(LM_VIRTIO_NET_F_HOST_TSO6) | BIT(LM_VIRTIO_NET_F_HOST_ECN) | \
	BIT(LM_VIRTIO_NET_F_HOST_UFO) | BIT(LM_VIRTIO_NET_F_MRG_RXBUF) | \
	BIT(LM_VIRTIO_NET_F_CTRL_VQ) | BIT(LM_VIRTIO_NET_F_CTRL_RX) | \
	BIT(LM_VIRTIO_NET_F_MQ) | BIT(LM_VIRTIO_F_ANY_LAYOUT) | \
	BIT(LM_VIRTIO_F_INDIRECT_DESC) | BIT(LM_VIRTIO_F_EVENT_IDX) | \
	BIT(LM_VIRTIO_F_VERSION_1) | BIT(LM_VIRTIO_F_IN_ORDER))

/* What the relay gives, whatever the function has. */
#define RELAY_FEATURES BIT(LM_VIRTIO_F_RING_PACKED)

/* What we take for ourselves where it is offered; the guest need not know. */
#define OWN_FEATURES (BIT(LM_VIRTIO_F_ACCESS_PLATFORM) | BIT(LM_VIRTIO_F_ORDER_PLATFORM) | \
	BIT(LM_VIRTIO_F_RING_RESET) | BIT(LM_VIRTIO_F_SUSPEND) | BIT(LM_VIRTIO_NET_F_MAC) | \
	BIT(LM_VIRTIO_NET_F_CTRL_VQ) | BIT(LM_VIRTIO_NET_F_CTRL_RX))

uint64_t
virtio_vdpa_guest_features(uint64_t device_features, uint64_t mask)
{
	uint64_t features = ((device_features & GUEST_FEATURES) | RELAY_FEATURES) & mask;

	/* MQ is set by the control queue; without one the function keeps to its first pair. */
	if ((device_features & BIT(LM_VIRTIO_NET_F_CTRL_VQ)) == 0)
		features &= ~BIT(LM_VIRTIO_NET_F_MQ);
	return features;
}

uint64_t
virtio_vdpa_driver_features(const struct virtio_vdpa *dev, uint64_t negotiated)
{
	uint64_t features = (negotiated & dev->guest_features & ~RELAY_FEATURES) |
			(dev->device_features & OWN_FEATURES);

	/* Relayed for good, so its order is ours to use: merged frames then survive a relay. */
	if ((negotiated & BIT(LM_VIRTIO_F_RING_PACKED)) != 0)
		features |= dev->device_features & BIT(LM_VIRTIO_F_IN_ORDER);
	return features;
}

static int
start_negotiate(struct virtio_vdpa *dev, uint64_t reset_timeout_us)
{
	uint64_t features;
	int ret;

	if (rte_vhost_get_negotiated_features(dev->vid, &features) != 0)
		return -ENODATA;
	features &= ~(BIT(VHOST_F_LOG_ALL) | BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	if ((features & ~dev->guest_features) != 0) {
		VDPA_LOG(ERR, dev, "the front end negotiated 0x%" PRIx64 ", which was not offered",
			features & ~dev->guest_features);
		return -EPROTO;
	}
	features = virtio_vdpa_driver_features(dev, features);
	ret = virtio_vdpa_reset(dev, reset_timeout_us);
	if (ret != 0) {
		VDPA_LOG(ERR, dev, "configure: the function does not finish its reset: %s",
			strerror(-ret));
		return ret;
	}
	ret = lm_virtio_negotiate(dev->virtio, features);
	if (ret != 0) {
		VDPA_LOG(ERR, dev, "configure: the function refuses features 0x%" PRIx64 ": %s",
			features, strerror(-ret));
		return ret;
	}
	dev->driver_features = features;
	dev->drained = false;
	dev->ring_reset = (features & BIT(LM_VIRTIO_F_RING_RESET)) != 0;
	return 0;
}

int
virtio_vdpa_queue_program(struct virtio_vdpa_queue *q)
{
	struct lm_virtio_queue_conf conf = { .size = q->size, .vector = (uint16_t)(q->index + 1) };
	struct virtio_vdpa *dev = q->dev;
	int ret;

	switch (virtio_vdpa_queue_mode(q)) {
	case VIRTIO_VDPA_DIRECT:
		conf.desc_iova = q->desc_gpa;
		conf.driver_iova = q->avail_gpa;
		conf.device_iova = q->used_gpa;
		break;
	case VIRTIO_VDPA_RELAY:
		conf.size = virtio_vdpa_relay_device_size(q->size);
		virtio_vdpa_relay_device_ring(q->relay, &conf.desc_iova, &conf.driver_iova,
			&conf.device_iova);
		break;
	default:
		return 0;
	}
	if (q->max_size < conf.size) {
		VDPA_LOG(ERR, dev, "queue %u needs %u entries for the guest's %u, the function "
			"takes %u", q->index, conf.size, q->size, q->max_size);
		return -E2BIG;
	}
	ret = lm_virtio_queue_setup(dev->virtio, q->index, &conf);
	if (ret != 0)
		VDPA_LOG(ERR, dev, "cannot set up queue %u (%s): %s", q->index,
			virtio_vdpa_mode_name(virtio_vdpa_queue_mode(q)), strerror(-ret));
	return ret;
}

int
virtio_vdpa_start(struct virtio_vdpa *dev, uint64_t reset_timeout_us)
{
	uint16_t i;
	int ret;

	ret = start_negotiate(dev, reset_timeout_us);
	if (ret == 0)
		virtio_vdpa_event(dev, "configure", "negotiated", 0, 0);
	for (i = 0; i < dev->nb_queues && ret == 0; i++)
		ret = virtio_vdpa_queue_program(&dev->queue[i]);
	if (ret == 0)
		ret = virtio_vdpa_cvq_prepare(dev);
	if (ret == 0)
		ret = lm_virtio_driver_ok(dev->virtio);
	if (ret != 0)
		return ret;
	virtio_vdpa_event(dev, "configure", "driver ok", 0, 0);
	virtio_vdpa_ctrl_apply(dev);
	virtio_vdpa_event(dev, "configure", "controlled", 0, 0);
	return 0;
}
