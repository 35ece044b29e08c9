/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The taker: asks at probe for what the application will want to know (addresses, MTU), and takes
 * over when its port is started, once all of its own is ready.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_string_fns.h>

#include "pds_cold.h"

static int
ask(struct pds_port *p, const char *path, enum pds_cold_type what, struct pds_cold_rec *rec,
		int *fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	enum pds_cold_type type;
	uint32_t len = sizeof(*rec), err;
	int ret;

	strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	ret = connect(*fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ? -errno : 0;
	if (ret == 0)
		ret = pds_cold_send(*fd, what, NULL, 0);
	if (ret == 0)
		ret = pds_cold_recv(*fd, &type, rec, &len);
	if (ret == 0 && type == PDS_COLD_REFUSED && len == sizeof(err)) {
		memcpy(&err, rec, sizeof(err));
		ret = err != 0 && err < 4096 ? -(int)err : -EPROTO;
	} else if (ret == 0 && (type != PDS_COLD_RECORD || len != sizeof(*rec))) {
		ret = -EPROTO;
	}
	if (ret != 0) {
		PDS_LOG(ERR, p, "the port at %s: %s", path, strerror(-ret));
		close(*fd);
		*fd = -1;
	}
	return ret;
}

/* Nothing that another process says is believed as it is. */
static int
check(struct pds_port *p, const struct pds_cold_rec *r)
{
	struct rte_ether_addr mac;
	unsigned int i;

	memcpy(&mac, r->macs[0], sizeof(mac));
	if (!rte_is_valid_assigned_ether_addr(&mac) || r->nb_mcast > PDS_MAX_MAC ||
			r->mtu < RTE_ETHER_MIN_MTU || r->nb_rxq > PDS_MAX_QUEUES ||
			r->mtu > p->max_frame_bytes - PDS_FRAME_OVERHEAD)
		return -EPROTO;
	for (i = 0; i < RTE_MIN((unsigned int)r->rss_entries, PDS_RSS_MAX_ENTRIES); i++)
		if (r->nb_rxq != 0 && r->rss_table[i] >= r->nb_rxq)
			return -EPROTO;
	return 0;
}

int
pds_cold_peek(struct pds_port *p, const char *path)
{
	struct pds_cold_rec rec;
	int fd, ret;

	strlcpy(p->cold_from, path, sizeof(p->cold_from));
	ret = ask(p, path, PDS_COLD_PEEK, &rec, &fd);
	if (ret != 0)
		return ret;
	close(fd);
	ret = check(p, &rec);
	if (ret != 0) {
		PDS_LOG(ERR, p, "the port at %s makes no sense", path);
		return ret;
	}
	memcpy(&p->data->mac_addrs[0], rec.macs[0], RTE_ETHER_ADDR_LEN);
	p->data->mtu = rec.mtu;
	p->data->promiscuous = (rec.flags & PDS_COLD_F_PROMISCUOUS) != 0;
	p->data->all_multicast = (rec.flags & PDS_COLD_F_ALLMULTICAST) != 0;
	return 0;
}

static int
apply_macs(struct rte_eth_dev *dev, const struct pds_cold_rec *r)
{
	struct pds_port *p = dev->data->dev_private;
	struct rte_ether_addr mac, list[PDS_MAX_MAC];
	unsigned int i;
	int ret;

	memcpy(&mac, r->macs[0], sizeof(mac));
	ret = pds_mac_addr_set(dev, &mac);
	for (i = 1; i < p->max_ucast && ret == 0; i++) {
		memcpy(&mac, r->macs[i], sizeof(mac));
		if (!rte_is_valid_assigned_ether_addr(&mac))
			continue;
		ret = pds_mac_addr_add(dev, &mac, i, 0);
		dev->data->mac_addrs[i] = mac;
		dev->data->mac_pool_sel[i] |= 1;
	}
	memcpy(list, r->mcast, sizeof(list));
	return ret == 0 && r->nb_mcast != 0 ? pds_set_mc_addr_list(dev, list, r->nb_mcast) : ret;
}

static int
apply_vlans(struct rte_eth_dev *dev, const struct pds_cold_rec *r)
{
	struct pds_port *p = dev->data->dev_private;
	uint16_t vlan;
	int ret = 0;

	if ((p->features & LM_IONIC_ETH_HW_VLAN_RX_FILTER) == 0)
		return 0;
	for (vlan = 0; vlan <= RTE_ETHER_MAX_VLAN_ID && ret == 0; vlan++) {
		if ((r->vlans[vlan / 64] & RTE_BIT64(vlan % 64)) == 0)
			continue;
		ret = pds_vlan_filter_set(dev, vlan, 1);
		dev->data->vlan_filter_conf.ids[vlan / 64] |= RTE_BIT64(vlan % 64);
	}
	return ret;
}

/* With other queues than the giver had, the table that pds_rss_start() made is better. */
static int
apply_rss(struct rte_eth_dev *dev, const struct pds_cold_rec *r)
{
	struct pds_port *p = dev->data->dev_private;
	uint8_t key[LM_IONIC_RSS_HASH_KEY_SIZE];
	struct rte_eth_rss_conf conf = {
		.rss_key = key, .rss_key_len = sizeof(key), .rss_hf = r->rss_hf,
	};

	if ((r->flags & PDS_COLD_F_RSS) == 0 || (p->features & LM_IONIC_ETH_HW_RX_HASH) == 0)
		return 0;
	memcpy(key, r->rss_key, sizeof(key));
	if (r->nb_rxq == dev->data->nb_rx_queues && r->rss_entries == p->rss_entries)
		memcpy(p->rss_table, r->rss_table, p->rss_entries);
	return pds_rss_hash_update(dev, &conf);
}

static void
apply_stats(struct pds_port *p, const struct pds_cold_rec *r)
{
	const uint64_t *now = (const uint64_t *)&p->lif_info->stats;
	const uint64_t *seen = (const uint64_t *)&r->stats;
	uint64_t *base = (uint64_t *)&p->stats_base;
	unsigned int i;

	for (i = 0; i < sizeof(r->stats) / sizeof(*base); i++)
		base[i] = now[i] - seen[i];
}

int
pds_cold_take(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	struct pds_cold_rec rec;
	int ret;

	p->cold_fd = -1;
	if (p->cold_from[0] == '\0')
		return 0;
	ret = ask(p, p->cold_from, PDS_COLD_TAKE, &rec, &p->cold_fd);
	if (ret != 0)
		return ret;
	ret = check(p, &rec);
	if (ret == 0)
		ret = apply_macs(dev, &rec);
	if (ret == 0)
		ret = apply_vlans(dev, &rec);
	if (ret == 0)
		ret = apply_rss(dev, &rec);
	if (ret == 0)
		apply_stats(p, &rec);
	else
		PDS_LOG(ERR, p, "what the port at %s has cannot be set: %s", p->cold_from,
			strerror(-ret));
	return ret;
}

int
pds_cold_taken(struct rte_eth_dev *dev, int result)
{
	struct pds_port *p = dev->data->dev_private;
	enum pds_cold_type type = PDS_COLD_REFUSED;
	uint32_t len = 0;

	if (p->cold_fd < 0)
		return result;
	if (result == 0)
		result = pds_cold_send(p->cold_fd, PDS_COLD_RUNNING, NULL, 0);
	if (result == 0)
		result = pds_cold_recv(p->cold_fd, &type, NULL, &len);
	if (result == 0 && type != PDS_COLD_DONE)
		result = -EPROTO;
	close(p->cold_fd);
	p->cold_fd = -1;
	/* It is ours, for good: a second start is as any. */
	if (result == 0)
		p->cold_from[0] = '\0';
	return result;
}
