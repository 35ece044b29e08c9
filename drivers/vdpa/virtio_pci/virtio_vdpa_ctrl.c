/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "virtio_net_if.h"
#include "virtio_pci_if.h"
#include "virtio_vdpa.h"

/*
 * What QEMU never tells the function: it answers the guest's control queue itself. The driver
 * uses the function's control queue for what must be set there, and sends the announcement.
 */

#define CTRL_TIMEOUT_US 500000
#define RARP_FRAME_BYTES 60 /* shortest Ethernet frame, without check sequence */

static bool
ctrl_has(const struct virtio_vdpa *dev, unsigned int bit)
{
	return (dev->driver_features & 1ULL << bit) != 0;
}

int
virtio_vdpa_cvq_prepare(struct virtio_vdpa *dev)
{
	/* VIRTIO 1.3, 5.1.2: the control queue follows the last pair, all of them with MQ only. */
	uint16_t index = ctrl_has(dev, LM_VIRTIO_NET_F_MQ) ? dev->device_pairs * 2 : 2;
	int ret;

	if (!ctrl_has(dev, LM_VIRTIO_NET_F_CTRL_VQ))
		return 0;
	if (dev->cvq != NULL && dev->cvq_index == index) {
		ret = lm_virtio_cvq_setup(dev->cvq);
	} else {
		if (dev->cvq != NULL)
			lm_virtio_cvq_destroy(dev->cvq);
		dev->cvq = NULL;
		ret = lm_virtio_cvq_create(dev->virtio, index, &dev->cvq);
		dev->cvq_index = index;
	}
	if (ret != 0)
		VDPA_LOG(ERR, dev, "cannot set up control queue %u: %s", index, strerror(-ret));
	return ret;
}

/* A command that fails leaves the function usable: it is counted and said, not fatal. */
static int
ctrl_cmd(struct virtio_vdpa *dev, const char *what, uint8_t class, uint8_t cmd, const void *data,
		uint32_t len_bytes)
{
	int ret = lm_virtio_cvq_cmd(dev->cvq, class, cmd, data, len_bytes, CTRL_TIMEOUT_US);

	if (ret != 0) {
		virtio_vdpa_count(dev, VIRTIO_VDPA_CVQ_ERRORS, 1);
		VDPA_LOG(WARNING, dev, "control command %s: %s", what, strerror(-ret));
	}
	return ret;
}

/* Leading pairs whose two queues the front end has enabled. */
static uint16_t
ctrl_enabled_pairs(const struct virtio_vdpa *dev)
{
	uint16_t pairs = 0;

	while (pairs < dev->max_pairs && dev->queue[LM_VIRTIO_NET_RXQ(pairs)].enabled &&
			dev->queue[LM_VIRTIO_NET_TXQ(pairs)].enabled)
		pairs++;
	return RTE_MAX(pairs, 1);
}

void
virtio_vdpa_ctrl_pairs(struct virtio_vdpa *dev)
{
	uint16_t pairs = ctrl_enabled_pairs(dev);
	char event[16];

	if (!ctrl_has(dev, LM_VIRTIO_NET_F_MQ) || dev->cvq == NULL || atomic_load(&dev->lost))
		return;
	if (pairs == dev->pairs)
		return;
	if (ctrl_cmd(dev, "VQ_PAIRS_SET", LM_VIRTIO_NET_CTRL_MQ, LM_VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
			&pairs, sizeof(pairs)) != 0)
		return;
	dev->pairs = pairs;
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_MQ_PAIRS, pairs);
	snprintf(event, sizeof(event), "%u pairs", pairs);
	virtio_vdpa_event(dev, "control", event, 0, 0);
}

void
virtio_vdpa_ctrl_apply(struct virtio_vdpa *dev)
{
	static const uint8_t on = 1;

	dev->pairs = 1; /* after a reset */
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_MQ_PAIRS, 1);
	if (dev->cvq == NULL)
		return;
	if (ctrl_has(dev, LM_VIRTIO_NET_F_CTRL_RX)) {
		ctrl_cmd(dev, "PROMISC", LM_VIRTIO_NET_CTRL_RX, LM_VIRTIO_NET_CTRL_RX_PROMISC,
			&on, sizeof(on));
		ctrl_cmd(dev, "ALLMULTI", LM_VIRTIO_NET_CTRL_RX, LM_VIRTIO_NET_CTRL_RX_ALLMULTI,
			&on, sizeof(on));
	}
	virtio_vdpa_ctrl_pairs(dev);
}

/* RFC 903 request reverse, as announcements of a moved host are made. @return bytes. */
static uint32_t
rarp_build(const uint8_t *mac, uint8_t *buf)
{
	uint8_t *eth = buf + sizeof(struct lm_virtio_net_hdr), *arp = eth + 14;
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 3 };

	memset(buf, 0, sizeof(struct lm_virtio_net_hdr) + RARP_FRAME_BYTES);
	memset(eth, 0xff, 6);
	memcpy(eth + 6, mac, 6);
	eth[12] = 0x80;
	eth[13] = 0x35;
	memcpy(arp, head, sizeof(head));
	memcpy(arp + 8, mac, 6);
	memcpy(arp + 18, mac, 6);
	return sizeof(struct lm_virtio_net_hdr) + RARP_FRAME_BYTES;
}

static int
rarp_inject(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_queue *q = &dev->queue[LM_VIRTIO_NET_TXQ(0)];
	uint32_t len;
	int ret;

	if (!q->ready || virtio_vdpa_queue_mode(q) != VIRTIO_VDPA_RELAY)
		return -EOPNOTSUPP;
	if (!dev->rarp_mac_known) {
		/* The first request comes before hooks; the function mostly has the same. */
		if (!ctrl_has(dev, LM_VIRTIO_NET_F_MAC))
			return -ENODATA;
		ret = lm_virtio_config_get(dev->virtio, 0, dev->rarp_mac, sizeof(dev->rarp_mac));
		if (ret != 0)
			return ret;
	}
	ret = virtio_vdpa_park(q, (uint64_t)dev->args.stop_budget_ms * 1000);
	if (ret != 0)
		return ret;
	/* The frame of the last round may still be with the device; the relay then says so. */
	ret = q->relay == NULL || q->broken ? -EOPNOTSUPP : 0;
	if (ret == 0) {
		len = rarp_build(dev->rarp_mac, dev->frame.vaddr);
		ret = virtio_vdpa_relay_inject(q->relay, dev->frame.iova, len);
	}
	virtio_vdpa_release(q);
	virtio_vdpa_worker_wake(dev->worker);
	return ret;
}

/* Locked. The first request of a migration comes before the device is configured. */
void
virtio_vdpa_rarp_try(struct virtio_vdpa *dev)
{
	int ret;

	if (!dev->rarp_pending || !atomic_load(&dev->configured) || atomic_load(&dev->lost))
		return;
	if (!dev->queue[LM_VIRTIO_NET_TXQ(0)].ready)
		return;
	dev->rarp_pending = false;
	ret = rarp_inject(dev);
	virtio_vdpa_count(dev, ret == 0 ? VIRTIO_VDPA_RARP_SENT : VIRTIO_VDPA_RARP_SKIPPED, 1);
	virtio_vdpa_event(dev, "announce", "rarp", 0, ret);
}

int
virtio_vdpa_migration_done(int vid)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);

	if (dev == NULL)
		return -ENODEV;
	pthread_mutex_lock(&dev->lock);
	virtio_vdpa_conf_vid(dev, vid); /* from here on, the message's MAC address is seen */
	dev->rarp_pending = true;
	virtio_vdpa_rarp_try(dev);
	pthread_mutex_unlock(&dev->lock);
	return 0;
}
