/* SPDX-License-Identifier: BSD-3-Clause */

/* Control queue (5.1.6.5). */

#include <errno.h>
#include <string.h>

#include "dm_virtio_net.h"

#define DM_NET_CTRL_BURST 16
#define DM_NET_CTRL_MAX_BYTES 8192 /* a command's data; two MAC tables of 600 entries */
#define DM_NET_ANY_LENGTH UINT32_MAX

struct dm_net_cmd {
	uint8_t class;
	uint8_t cmd;
	uint8_t feature;
	uint32_t data_bytes;
	int (*run)(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data,
			uint32_t len_bytes);
};

static int
dm_net_cmd_rx(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data, uint32_t len)
{
	bool *const mode[] = {
		[LM_VIRTIO_NET_CTRL_RX_PROMISC] = &net->filter.promisc,
		[LM_VIRTIO_NET_CTRL_RX_ALLMULTI] = &net->filter.allmulti,
		[LM_VIRTIO_NET_CTRL_RX_ALLUNI] = &net->filter.alluni,
		[LM_VIRTIO_NET_CTRL_RX_NOMULTI] = &net->filter.nomulti,
		[LM_VIRTIO_NET_CTRL_RX_NOUNI] = &net->filter.nouni,
		[LM_VIRTIO_NET_CTRL_RX_NOBCAST] = &net->filter.nobcast,
	};

	(void)len;
	if (data[0] > 1)
		return -EINVAL;
	*mode[c->cmd] = data[0] != 0;
	return 0;
}

/* @return bytes taken, or -EINVAL. */
static int
dm_net_mac_table(struct dm_net_macs *table, const uint8_t *data, uint32_t len)
{
	uint32_t nb;
	uint64_t bytes;

	if (len < sizeof(nb))
		return -EINVAL;
	memcpy(&nb, data, sizeof(nb));
	bytes = sizeof(nb) + (uint64_t)nb * LM_VIRTIO_NET_MAC_BYTES;
	if (bytes > len)
		return -EINVAL;
	memset(table, 0, sizeof(*table));
	table->overflow = nb > DM_NET_MAX_MACS;
	table->nb = table->overflow ? 0 : nb;
	memcpy(table->macs, data + sizeof(nb), (size_t)table->nb * LM_VIRTIO_NET_MAC_BYTES);
	return (int)bytes;
}

static int
dm_net_cmd_mac_table(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data,
		uint32_t len)
{
	struct dm_net_macs unicast, multicast;
	int first, second;

	(void)c;
	first = dm_net_mac_table(&unicast, data, len);
	if (first < 0)
		return first;
	second = dm_net_mac_table(&multicast, data + first, len - (uint32_t)first);
	if (second < 0 || (uint32_t)(first + second) != len)
		return -EINVAL;
	net->filter.unicast = unicast;
	net->filter.multicast = multicast;
	return 0;
}

static int
dm_net_cmd_mac(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data, uint32_t len)
{
	(void)c;
	(void)len;
	memcpy(net->filter.mac, data, LM_VIRTIO_NET_MAC_BYTES);
	return 0;
}

static int
dm_net_cmd_vlan(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data, uint32_t len)
{
	uint64_t bit;
	uint16_t vid;

	(void)len;
	memcpy(&vid, data, sizeof(vid));
	if (vid > 4095)
		return -EINVAL;
	bit = UINT64_C(1) << (vid % 64);
	if (c->cmd == LM_VIRTIO_NET_CTRL_VLAN_ADD)
		net->filter.vlans[vid / 64] |= bit;
	else
		net->filter.vlans[vid / 64] &= ~bit;
	return 0;
}

static int
dm_net_cmd_announce(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data,
		uint32_t len)
{
	(void)c;
	(void)data;
	(void)len;
	if (net->announce) {
		net->announce = false;
		net->vio.generation++;
	}
	return 0;
}

static int
dm_net_cmd_offloads(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data,
		uint32_t len)
{
	uint64_t wanted;

	(void)c;
	(void)len;
	memcpy(&wanted, data, sizeof(wanted));
	return dm_net_guest_offloads(net, wanted);
}

static int
dm_net_cmd_pairs(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data,
		uint32_t len)
{
	uint16_t pairs;

	(void)c;
	(void)len;
	memcpy(&pairs, data, sizeof(pairs));
	if (pairs == 0 || pairs > net->max_pairs)
		return -EINVAL;
	net->pairs = pairs;
	net->rss.steering = false;
	return 0;
}

static int
dm_net_cmd_rss(struct dm_net *net, const struct dm_net_cmd *c, const uint8_t *data, uint32_t len)
{
	return dm_rss_config(&net->rss, data, len, c->cmd == LM_VIRTIO_NET_CTRL_MQ_RSS_CONFIG,
			net->max_pairs, &net->pairs);
}

#define DM_NET_CMD_RX(cmd, feature) \
	{ LM_VIRTIO_NET_CTRL_RX, LM_VIRTIO_NET_CTRL_RX_##cmd, LM_VIRTIO_NET_F_##feature, 1, \
			dm_net_cmd_rx }

static const struct dm_net_cmd dm_net_cmds[] = {
	DM_NET_CMD_RX(PROMISC, CTRL_RX),
	DM_NET_CMD_RX(ALLMULTI, CTRL_RX),
	DM_NET_CMD_RX(ALLUNI, CTRL_RX_EXTRA),
	DM_NET_CMD_RX(NOMULTI, CTRL_RX_EXTRA),
	DM_NET_CMD_RX(NOUNI, CTRL_RX_EXTRA),
	DM_NET_CMD_RX(NOBCAST, CTRL_RX_EXTRA),
	{ LM_VIRTIO_NET_CTRL_MAC, LM_VIRTIO_NET_CTRL_MAC_TABLE_SET, LM_VIRTIO_NET_F_CTRL_RX,
			DM_NET_ANY_LENGTH, dm_net_cmd_mac_table },
	{ LM_VIRTIO_NET_CTRL_MAC, LM_VIRTIO_NET_CTRL_MAC_ADDR_SET,
			LM_VIRTIO_NET_F_CTRL_MAC_ADDR, LM_VIRTIO_NET_MAC_BYTES, dm_net_cmd_mac },
	{ LM_VIRTIO_NET_CTRL_VLAN, LM_VIRTIO_NET_CTRL_VLAN_ADD, LM_VIRTIO_NET_F_CTRL_VLAN, 2,
			dm_net_cmd_vlan },
	{ LM_VIRTIO_NET_CTRL_VLAN, LM_VIRTIO_NET_CTRL_VLAN_DEL, LM_VIRTIO_NET_F_CTRL_VLAN, 2,
			dm_net_cmd_vlan },
	{ LM_VIRTIO_NET_CTRL_ANNOUNCE, LM_VIRTIO_NET_CTRL_ANNOUNCE_ACK,
			LM_VIRTIO_NET_F_GUEST_ANNOUNCE, 0, dm_net_cmd_announce },
	{ LM_VIRTIO_NET_CTRL_MQ, LM_VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, LM_VIRTIO_NET_F_MQ, 2,
			dm_net_cmd_pairs },
	{ LM_VIRTIO_NET_CTRL_MQ, LM_VIRTIO_NET_CTRL_MQ_RSS_CONFIG, LM_VIRTIO_NET_F_RSS,
			DM_NET_ANY_LENGTH, dm_net_cmd_rss },
	{ LM_VIRTIO_NET_CTRL_MQ, LM_VIRTIO_NET_CTRL_MQ_HASH_CONFIG, LM_VIRTIO_NET_F_HASH_REPORT,
			DM_NET_ANY_LENGTH, dm_net_cmd_rss },
	{ LM_VIRTIO_NET_CTRL_GUEST_OFFLOADS, LM_VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
			LM_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 8, dm_net_cmd_offloads },
};

#define DM_NET_NB_CMDS (sizeof(dm_net_cmds) / sizeof(dm_net_cmds[0]))

static uint8_t
dm_net_ctrl_run(struct dm_net *net, const uint8_t *buf, uint32_t len)
{
	const struct dm_net_cmd *c = NULL;
	struct lm_virtio_net_ctrl_hdr hdr;
	uint32_t data_bytes = len - sizeof(hdr);
	size_t i;

	memcpy(&hdr, buf, sizeof(hdr));
	for (i = 0; i < DM_NET_NB_CMDS; i++)
		if (dm_net_cmds[i].class == hdr.class && dm_net_cmds[i].cmd == hdr.cmd)
			c = &dm_net_cmds[i];
	if (c == NULL || !dm_virtio_has(&net->vio, c->feature)) {
		dm_rule_broken(net->host->rules, DM_RULE_CTRL_CLASS, "class %u, command %u",
				hdr.class, hdr.cmd);
		return LM_VIRTIO_NET_ERR;
	}
	if ((c->data_bytes != DM_NET_ANY_LENGTH && data_bytes != c->data_bytes) ||
			c->run(net, c, buf + sizeof(hdr), data_bytes) != 0) {
		dm_rule_broken(net->host->rules, DM_RULE_CTRL_DATA,
				"class %u, command %u, %u bytes", hdr.class, hdr.cmd, data_bytes);
		return LM_VIRTIO_NET_ERR;
	}
	dm_trace_mark(net->host->trace, "ctrl", hdr.class << 8 | hdr.cmd);
	return LM_VIRTIO_NET_OK;
}

/* @return bytes written: the acknowledgement, where there is room for one. */
static uint32_t
dm_net_ctrl_one(struct dm_net *net, const struct dm_chain *chain)
{
	static_assert(DM_NET_CTRL_MAX_BYTES <= sizeof(net->bounce), "commands fit");
	uint8_t ack = LM_VIRTIO_NET_ERR;
	uint32_t len = 0;
	uint32_t i;

	net->ctrl_cmds++;
	if (chain->read_bytes < sizeof(struct lm_virtio_net_ctrl_hdr) ||
			chain->read_bytes > DM_NET_CTRL_MAX_BYTES || chain->write_bytes < 1) {
		dm_rule_broken(net->host->rules, DM_RULE_CTRL_LAYOUT, "%llu bytes and %llu",
				(unsigned long long)chain->read_bytes,
				(unsigned long long)chain->write_bytes);
	} else {
		for (i = 0; i < chain->nb_read; i++) {
			memcpy(net->bounce + len, chain->iov[i].iov_base, chain->iov[i].iov_len);
			len += (uint32_t)chain->iov[i].iov_len;
		}
		ack = net->host->faults->deaf_ctrl != 0 ? LM_VIRTIO_NET_OK :
				dm_net_ctrl_run(net, net->bounce, len);
	}
	if (chain->write_bytes < 1)
		return 0;
	*(uint8_t *)chain->iov[chain->nb_read].iov_base = ack;
	return 1;
}

unsigned int
dm_net_ctrl_poll(struct dm_net *net)
{
	uint16_t queue = dm_net_ctrl_queue(net);
	struct dm_vring *ring = &net->vio.queues[queue].ring;
	struct dm_chain chain;
	unsigned int work;
	uint32_t written;
	int ret = 0;

	if (!dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_CTRL_VQ) ||
			!dm_virtio_queue_live(&net->vio, queue))
		return 0;
	for (work = 0; work < DM_NET_CTRL_BURST; work++) {
		chain.iov = net->iovs;
		chain.iov_max = DM_NET_IOVS;
		ret = dm_vring_fetch(ring, &chain);
		if (ret != 1)
			break;
		written = dm_net_ctrl_one(net, &chain);
		dm_vring_push(ring, &chain, written);
	}
	dm_virtio_queue_publish(&net->vio, queue);
	if (ret < 0)
		dm_virtio_failed(&net->vio);
	return work;
}
