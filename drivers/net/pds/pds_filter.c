/* SPDX-License-Identifier: BSD-3-Clause */

/* What the port receives: modes, and filters for addresses and VLANs. */

#include <errno.h>
#include <string.h>

#include "pds.h"

int
pds_rx_mode_set(struct pds_port *p, uint16_t mode)
{
	const struct lm_ionic_rx_mode_set_cmd cmd = {
		.opcode = LM_IONIC_CMD_RX_MODE_SET,
		.rx_mode = mode,
	};
	int ret;

	ret = pds_adminq_cmd(p, &cmd, NULL);
	if (ret == 0)
		p->rx_mode = mode;
	return ret;
}

static int
mode_change(struct rte_eth_dev *dev, uint16_t set, uint16_t clear)
{
	struct pds_port *p = dev->data->dev_private;
	uint16_t mode = (p->rx_mode & ~clear) | set;

	return mode == p->rx_mode ? 0 : pds_rx_mode_set(p, mode);
}

int
pds_promiscuous_enable(struct rte_eth_dev *dev)
{
	return mode_change(dev, LM_IONIC_RX_MODE_F_PROMISC, 0);
}

int
pds_promiscuous_disable(struct rte_eth_dev *dev)
{
	return mode_change(dev, 0, LM_IONIC_RX_MODE_F_PROMISC);
}

int
pds_allmulticast_enable(struct rte_eth_dev *dev)
{
	return mode_change(dev, LM_IONIC_RX_MODE_F_ALLMULTI, 0);
}

int
pds_allmulticast_disable(struct rte_eth_dev *dev)
{
	return mode_change(dev, 0, LM_IONIC_RX_MODE_F_ALLMULTI);
}

/* *id is what the device calls it, plus one. */
static int
filter_add(struct pds_port *p, uint16_t match, const void *value, uint32_t bytes, uint32_t *id)
{
	struct lm_ionic_rx_filter_add_cmd cmd = {
		.opcode = LM_IONIC_CMD_RX_FILTER_ADD,
		.match = match,
	};
	struct lm_ionic_rx_filter_add_comp comp;
	int ret;

	memcpy(cmd.value, value, bytes);
	ret = pds_adminq_cmd(p, &cmd, &comp);
	if (ret == 0)
		*id = comp.filter_id + 1;
	return ret;
}

static int
filter_del(struct pds_port *p, uint32_t *id)
{
	const struct lm_ionic_rx_filter_del_cmd cmd = {
		.opcode = LM_IONIC_CMD_RX_FILTER_DEL,
		.filter_id = *id - 1,
	};
	int ret;

	if (*id == 0)
		return 0;
	ret = pds_adminq_cmd(p, &cmd, NULL);
	if (ret == 0 || ret == -ENOENT) {
		*id = 0;
		ret = 0;
	}
	return ret;
}

int
pds_mac_addr_add(struct rte_eth_dev *dev, struct rte_ether_addr *addr, uint32_t index,
		uint32_t pool)
{
	struct pds_port *p = dev->data->dev_private;

	RTE_SET_USED(pool);
	if (p->mac_filter[index] != 0)
		return 0;
	return filter_add(p, LM_IONIC_RX_FILTER_MATCH_MAC, addr, sizeof(*addr),
			&p->mac_filter[index]);
}

void
pds_mac_addr_remove(struct rte_eth_dev *dev, uint32_t index)
{
	struct pds_port *p = dev->data->dev_private;

	if (filter_del(p, &p->mac_filter[index]) != 0)
		PDS_LOG(WARNING, p, "the filter of MAC address %u stays", index);
}

/* The new address works before the old one goes. */
int
pds_mac_addr_set(struct rte_eth_dev *dev, struct rte_ether_addr *addr)
{
	struct pds_port *p = dev->data->dev_private;
	uint32_t id = 0;
	int ret;

	ret = filter_add(p, LM_IONIC_RX_FILTER_MATCH_MAC, addr, sizeof(*addr), &id);
	if (ret == -EEXIST)
		ret = 0;
	if (ret == 0)
		ret = pds_lif_setattr(p, LM_IONIC_LIF_ATTR_MAC, addr, sizeof(*addr));
	if (ret != 0)
		return ret;
	if (id != 0) {
		pds_mac_addr_remove(dev, 0);
		p->mac_filter[0] = id;
	}
	return 0;
}

int
pds_set_mc_addr_list(struct rte_eth_dev *dev, struct rte_ether_addr *list, uint32_t nb)
{
	struct pds_port *p = dev->data->dev_private;
	uint32_t i;
	int ret = 0;

	if (nb > p->max_mcast)
		return -ENOSPC;
	for (i = 0; i < p->nb_mcast && ret == 0; i++)
		ret = filter_del(p, &p->mcast_filter[i]);
	if (ret != 0)
		return ret;
	memcpy(p->mcast, list, nb * sizeof(*list));
	for (p->nb_mcast = 0; p->nb_mcast < nb && ret == 0; p->nb_mcast++)
		ret = filter_add(p, LM_IONIC_RX_FILTER_MATCH_MAC, &list[p->nb_mcast],
				sizeof(*list), &p->mcast_filter[p->nb_mcast]);
	return ret;
}

int
pds_vlan_filter_set(struct rte_eth_dev *dev, uint16_t vlan, int on)
{
	struct pds_port *p = dev->data->dev_private;
	const lm_le16_t tag = vlan;

	if (vlan > RTE_ETHER_MAX_VLAN_ID)
		return -EINVAL;
	if (!on)
		return filter_del(p, &p->vlan_filter[vlan]);
	if (p->vlan_filter[vlan] != 0)
		return 0;
	return filter_add(p, LM_IONIC_RX_FILTER_MATCH_VLAN, &tag, sizeof(tag),
			&p->vlan_filter[vlan]);
}
