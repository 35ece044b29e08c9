/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_virtio_caps.h"
#include "dm_virtio_net.h"

#define DM_NET_PCI_CLASS 0x020000   /* network, Ethernet */
#define DM_NET_PCI_SUBSYSTEM 0x1100
#define DM_NET_TICK_NS 500000
#define DM_NET_WIRE_POLL_US 1000    /* longest sleep when the wire has no descriptor */
#define DM_NET_WIRE_SLEEP_US 10000

#define DM_NET_NEEDS(bit, other) \
	{ LM_VIRTIO_NET_F_##bit, LM_VIRTIO_BIT(LM_VIRTIO_NET_F_##other) }
#define DM_NET_NEEDS_ANY(bit, one, other) \
	{ LM_VIRTIO_NET_F_##bit, LM_VIRTIO_BIT(LM_VIRTIO_NET_F_##one) | \
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_##other) }

/* 5.1.3.1; a base stands before what needs it. */
static const struct dm_virtio_feature_need dm_net_needs[] = {
	DM_NET_NEEDS(GUEST_TSO4, GUEST_CSUM),
	DM_NET_NEEDS(GUEST_TSO6, GUEST_CSUM),
	DM_NET_NEEDS_ANY(GUEST_ECN, GUEST_TSO4, GUEST_TSO6),
	DM_NET_NEEDS(HOST_TSO4, CSUM),
	DM_NET_NEEDS(HOST_TSO6, CSUM),
	DM_NET_NEEDS_ANY(HOST_ECN, HOST_TSO4, HOST_TSO6),
	DM_NET_NEEDS(CTRL_GUEST_OFFLOADS, CTRL_VQ),
	DM_NET_NEEDS(CTRL_RX, CTRL_VQ),
	DM_NET_NEEDS(CTRL_RX_EXTRA, CTRL_VQ),
	DM_NET_NEEDS(CTRL_VLAN, CTRL_VQ),
	DM_NET_NEEDS(GUEST_ANNOUNCE, CTRL_VQ),
	DM_NET_NEEDS(MQ, CTRL_VQ),
	DM_NET_NEEDS(CTRL_MAC_ADDR, CTRL_VQ),
	DM_NET_NEEDS(RSS, CTRL_VQ),
	DM_NET_NEEDS(HASH_REPORT, CTRL_VQ),
};

static uint64_t
dm_net_features(const struct dm_net_conf *conf)
{
	uint64_t f = LM_VIRTIO_BIT(LM_VIRTIO_F_ACCESS_PLATFORM) |
			LM_VIRTIO_BIT(LM_VIRTIO_F_INDIRECT_DESC) |
			LM_VIRTIO_BIT(LM_VIRTIO_F_EVENT_IDX) |
			LM_VIRTIO_BIT(LM_VIRTIO_F_RING_PACKED) |
			LM_VIRTIO_BIT(LM_VIRTIO_F_IN_ORDER) |
			LM_VIRTIO_BIT(LM_VIRTIO_F_NOTIFICATION_DATA) |
			LM_VIRTIO_BIT(LM_VIRTIO_F_NOTIF_CONFIG_DATA) |
			LM_VIRTIO_BIT(LM_VIRTIO_F_SUSPEND) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CSUM) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_CSUM) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_TSO4) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_TSO6) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_ECN) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_HOST_TSO4) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_HOST_TSO6) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_HOST_ECN) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MRG_RXBUF) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MAC) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_STATUS) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_VQ) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_RX) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_RX_EXTRA) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_VLAN) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_MAC_ADDR) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_ANNOUNCE) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_HASH_REPORT) |
			LM_VIRTIO_BIT(LM_VIRTIO_NET_F_SPEED_DUPLEX);
	size_t i;

	if (conf->host->faults->no_ring_reset == 0)
		f |= LM_VIRTIO_BIT(LM_VIRTIO_F_RING_RESET);
	if (conf->mtu != 0)
		f |= LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MTU);
	if (conf->pairs > 1)
		f |= LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MQ) | LM_VIRTIO_BIT(LM_VIRTIO_NET_F_RSS);
	f &= conf->feature_mask;
	for (i = 0; i < sizeof(dm_net_needs) / sizeof(dm_net_needs[0]); i++)
		if ((f & dm_net_needs[i].any) == 0)
			f &= ~LM_VIRTIO_BIT(dm_net_needs[i].bit);
	/* Linux with RSS and without MQ uses pairs that it has never switched on. */
	if ((f & LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MQ)) == 0)
		f &= ~LM_VIRTIO_BIT(LM_VIRTIO_NET_F_RSS);
	f |= conf->host->faults->offer;
	/* Without it there is no modern device. */
	return f | LM_VIRTIO_BIT(LM_VIRTIO_F_VERSION_1);
}

static void
dm_net_config_read(void *ctx, uint32_t offset, void *buf, uint32_t len_bytes)
{
	const struct dm_net *net = ctx;
	struct lm_virtio_net_config config;

	memset(&config, 0, sizeof(config));
	memcpy(config.mac, net->filter.mac, sizeof(config.mac));
	config.status = (net->link_up ? LM_VIRTIO_NET_S_LINK_UP : 0) |
			(net->announce ? LM_VIRTIO_NET_S_ANNOUNCE : 0);
	config.max_virtqueue_pairs = net->max_pairs;
	config.mtu = net->mtu;
	config.speed = DM_NET_SPEED_MBPS;
	config.duplex = LM_VIRTIO_NET_DUPLEX_FULL;
	config.rss_max_key_size = DM_RSS_KEY_BYTES;
	config.rss_max_indirection_table_length = DM_RSS_TABLE;
	config.supported_hash_types = DM_RSS_TYPES;
	memcpy(buf, (const uint8_t *)&config + offset, len_bytes);
}

static void
dm_net_device_reset(void *ctx)
{
	struct dm_net *net = ctx;

	dm_net_filter_reset(net);
	net->pairs = 1;
	net->announce = false;
	net->offloads_off = 0;
	memset(&net->rss, 0, sizeof(net->rss));
	memset(net->flows, 0, sizeof(net->flows));
}

static bool
dm_net_queue_waits(void *ctx, uint16_t index)
{
	const struct dm_net *net = ctx;

	return index == dm_net_ctrl_queue(net) || (index % 2 == 1 && index / 2 < net->pairs);
}

static const struct dm_virtio_type dm_net_type = {
	.virtio_id = LM_VIRTIO_ID_NET,
	.config_bytes = sizeof(struct lm_virtio_net_config),
	.needs = dm_net_needs,
	.nb_needs = sizeof(dm_net_needs) / sizeof(dm_net_needs[0]),
	.config_read = dm_net_config_read,
	.queue_waits = dm_net_queue_waits,
	.queue_stopping = dm_net_rx_stopping,
	.reset = dm_net_device_reset,
};

uint16_t
dm_net_ctrl_queue(const struct dm_net *net)
{
	return dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_MQ) ||
			dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_RSS) ? 2 * net->max_pairs : 2;
}

uint32_t
dm_net_frame_limit(const struct dm_net *net)
{
	return net->mtu == 0 ? DM_FRAME_MAX : (uint32_t)net->mtu + DM_NET_OVERHEAD;
}

static void
dm_net_link_check(struct dm_net *net)
{
	bool up = !net->link_forced_down && dm_wire_link_up(net->wire);

	if (up == net->link_up)
		return;
	net->link_up = up;
	if (dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_STATUS))
		dm_virtio_config_changed(&net->vio);
}

static void
dm_net_tick(struct dm_net *net, uint64_t now_ns)
{
	net->tick_ns = now_ns;
	dm_wire_tick(net->wire, now_ns);
	dm_net_link_check(net);
}

static unsigned int
dm_net_poll(void *dev, uint64_t now_ns)
{
	struct dm_net *net = dev;
	unsigned int work = 0;
	uint16_t pair;

	dm_virtio_tick(&net->vio, now_ns);
	if (now_ns - net->tick_ns >= DM_NET_TICK_NS)
		dm_net_tick(net, now_ns);
	work += dm_net_ctrl_poll(net);
	for (pair = 0; pair < net->max_pairs; pair++)
		work += dm_net_tx_poll(net, pair);
	work += dm_net_rx_poll(net);
	return work;
}

static uint32_t
dm_net_sleep(void *dev)
{
	struct dm_net *net = dev;
	uint32_t sleep_us = dm_virtio_sleep(&net->vio);
	uint64_t now_ns = net->host->now_ns(net->host->ctx);
	uint32_t bound = dm_wire_fd(net->wire) < 0 ? DM_NET_WIRE_POLL_US : DM_NET_WIRE_SLEEP_US;
	const uint8_t *frame;

	dm_net_tick(net, now_ns);
	if (dm_wire_peek(net->wire, &frame) != 0)
		return 0;
	return sleep_us < bound ? sleep_us : bound;
}

static int
dm_net_bar_read(void *dev, uint32_t bar, uint64_t offset, void *buf, uint32_t len_bytes)
{
	struct dm_net *net = dev;

	(void)bar;
	return dm_virtio_bar_read(&net->vio, offset, buf, len_bytes);
}

static int
dm_net_bar_write(void *dev, uint32_t bar, uint64_t offset, const void *buf, uint32_t len_bytes)
{
	struct dm_net *net = dev;

	(void)bar;
	return dm_virtio_bar_write(&net->vio, offset, buf, len_bytes);
}

static void
dm_net_reset(void *dev)
{
	struct dm_net *net = dev;

	dm_virtio_reset(&net->vio);
}

static int
dm_net_add_caps(void *dev)
{
	struct dm_net *net = dev;

	return dm_virtio_add_caps(&net->vio);
}

static bool
dm_net_window(void *dev, uint32_t *bar, uint64_t *offset, uint32_t *len_bytes)
{
	struct dm_net *net = dev;

	*bar = DM_VIRTIO_BAR;
	return dm_virtio_window(&net->vio, net->vio.bar_bytes, offset, len_bytes);
}

static void
dm_net_io_event(void *dev, uint32_t index)
{
	struct dm_net *net = dev;

	dm_virtio_io_event(&net->vio, index);
}

static void
dm_net_destroy(void *dev)
{
	struct dm_net *net = dev;

	dm_virtio_fini(&net->vio);
	free(net);
}

static int
dm_net_control(void *dev, const char *cmd, const json_t *args, const char **error)
{
	struct dm_net *net = dev;
	const json_t *up;

	if (strcmp(cmd, "announce") == 0) {
		if (!dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_GUEST_ANNOUNCE)) {
			*error = "the driver did not accept GUEST_ANNOUNCE";
			return -EINVAL;
		}
		net->announce = true;
		dm_virtio_config_changed(&net->vio);
		return 0;
	}
	if (strcmp(cmd, "link") == 0) {
		up = json_object_get(args, "up");
		if (!json_is_boolean(up)) {
			*error = "link needs \"up\": true or false";
			return -EINVAL;
		}
		net->link_forced_down = !json_boolean_value(up);
		dm_net_link_check(net);
		return 0;
	}
	return -ENOTSUP;
}

static const struct dm_device_ops dm_net_ops = {
	.destroy = dm_net_destroy,
	.add_caps = dm_net_add_caps,
	.window = dm_net_window,
	.bar_read = dm_net_bar_read,
	.bar_write = dm_net_bar_write,
	.reset = dm_net_reset,
	.io_event = dm_net_io_event,
	.poll = dm_net_poll,
	.sleep = dm_net_sleep,
	.stats = dm_net_stats,
	.control = dm_net_control,
};

static const struct dm_pci_ids dm_net_ids = {
	.vendor = LM_VIRTIO_PCI_VENDOR_ID,
	.device = LM_VIRTIO_PCI_DEVICE_ID_MODERN + LM_VIRTIO_ID_NET,
	.sub_vendor = LM_VIRTIO_PCI_VENDOR_ID,
	.sub_device = DM_NET_PCI_SUBSYSTEM,
	.class_code = DM_NET_PCI_CLASS,
	.revision = 1,
};

int
dm_net_create(const struct dm_net_conf *conf, struct dm_device *device)
{
	struct dm_virtio_conf vio = {
		.host = conf->host,
		.pci = conf->pci,
		.type = &dm_net_type,
		.features = dm_net_features(conf),
		.num_queues = 2 * conf->pairs + 1,
		.queue_size_max = conf->queue_size,
		.notify_shared = conf->notify_shared,
		.notify_guest = conf->notify_guest,
	};
	struct dm_net *net;
	int ret;

	if (conf->pairs == 0 || conf->pairs > DM_NET_MAX_PAIRS ||
			!lm_vring_split_size_ok(conf->queue_size) ||
			2 * conf->queue_size > DM_NET_IOVS)
		return -EINVAL;
	net = calloc(1, sizeof(*net));
	if (net == NULL)
		return -ENOMEM;
	net->host = conf->host;
	net->wire = conf->wire;
	net->mtu = conf->mtu;
	net->max_pairs = conf->pairs;
	memcpy(net->mac, conf->mac, sizeof(net->mac));
	net->link_up = dm_wire_link_up(net->wire);
	vio.ctx = net;
	ret = dm_wire_unfinished_on(net->wire);
	if (ret == 0)
		ret = dm_virtio_init(&net->vio, &vio, device);
	if (ret != 0) {
		free(net);
		return ret;
	}
	dm_virtio_reset(&net->vio);
	device->name = "virtio-net";
	device->ops = &dm_net_ops;
	device->dev = net;
	device->ids = dm_net_ids;
	device->wake_fd = dm_wire_fd(net->wire);
	return 0;
}
