/* SPDX-License-Identifier: BSD-3-Clause */

/* Receive-side scaling: types, key, and the table, which the device reads at each command. */

#include <errno.h>
#include <string.h>

#include "pds.h"

static const struct {
	uint64_t hf;
	uint16_t type;
} types[] = {
	{ RTE_ETH_RSS_IPV4, LM_IONIC_RSS_TYPE_IPV4 },
	{ RTE_ETH_RSS_NONFRAG_IPV4_TCP, LM_IONIC_RSS_TYPE_IPV4_TCP },
	{ RTE_ETH_RSS_NONFRAG_IPV4_UDP, LM_IONIC_RSS_TYPE_IPV4_UDP },
	{ RTE_ETH_RSS_IPV6, LM_IONIC_RSS_TYPE_IPV6 },
	{ RTE_ETH_RSS_NONFRAG_IPV6_TCP, LM_IONIC_RSS_TYPE_IPV6_TCP },
	{ RTE_ETH_RSS_NONFRAG_IPV6_UDP, LM_IONIC_RSS_TYPE_IPV6_UDP },
};

/* As every other PMD's: 0x6d5a repeated gives both directions of a flow one queue. */
static void
default_key(uint8_t key[LM_IONIC_RSS_HASH_KEY_SIZE])
{
	unsigned int i;

	for (i = 0; i < LM_IONIC_RSS_HASH_KEY_SIZE; i += 2) {
		key[i] = 0x6d;
		key[i + 1] = 0x5a;
	}
}

static int
apply(struct pds_port *p)
{
	struct lm_ionic_lif_setattr_rss rss = { .types = p->rss_types };

	memcpy(rss.key, p->rss_key, sizeof(rss.key));
	lm_le64_set(&rss.addr, p->rss_dma.iova);
	return pds_lif_setattr(p, LM_IONIC_LIF_ATTR_RSS, &rss, sizeof(rss));
}

static void
take_types(struct pds_port *p, uint64_t hf)
{
	unsigned int i;

	p->rss_hf = hf & PDS_RSS_HF;
	p->rss_types = 0;
	for (i = 0; i < RTE_DIM(types); i++)
		if ((hf & types[i].hf) != 0)
			p->rss_types |= types[i].type;
}

int
pds_rss_start(struct rte_eth_dev *dev)
{
	const struct rte_eth_rss_conf *conf = &dev->data->dev_conf.rx_adv_conf.rss_conf;
	struct pds_port *p = dev->data->dev_private;
	bool on = (dev->data->dev_conf.rxmode.mq_mode & RTE_ETH_MQ_RX_RSS_FLAG) != 0;
	unsigned int i;

	take_types(p, on ? conf->rss_hf : 0);
	if (conf->rss_key != NULL && conf->rss_key_len == sizeof(p->rss_key))
		memcpy(p->rss_key, conf->rss_key, sizeof(p->rss_key));
	else
		default_key(p->rss_key);
	for (i = 0; i < p->rss_entries; i++)
		p->rss_table[i] = (uint8_t)(i % dev->data->nb_rx_queues);
	return (p->features & LM_IONIC_ETH_HW_RX_HASH) != 0 ? apply(p) : 0;
}

static int
check_table(const struct pds_port *p, uint16_t size)
{
	if (size == p->rss_entries)
		return 0;
	PDS_LOG(ERR, p, "the table has %u entries, not %u", p->rss_entries, size);
	return -EINVAL;
}

int
pds_reta_update(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	struct pds_port *p = dev->data->dev_private;
	uint8_t before[PDS_RSS_MAX_ENTRIES];
	unsigned int i, group, bit;
	int ret;

	ret = check_table(p, size);
	if (ret != 0)
		return ret;
	memcpy(before, p->rss_table, size);
	for (i = 0; i < size; i++) {
		group = i / RTE_ETH_RETA_GROUP_SIZE;
		bit = i % RTE_ETH_RETA_GROUP_SIZE;
		if ((reta[group].mask & RTE_BIT64(bit)) == 0)
			continue;
		if (reta[group].reta[bit] >= dev->data->nb_rx_queues)
			ret = -EINVAL;
		p->rss_table[i] = (uint8_t)reta[group].reta[bit];
	}
	if (ret == 0)
		ret = apply(p);
	if (ret != 0)
		memcpy(p->rss_table, before, size);
	return ret;
}

int
pds_reta_query(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	struct pds_port *p = dev->data->dev_private;
	unsigned int i, group, bit;
	int ret;

	ret = check_table(p, size);
	if (ret != 0)
		return ret;
	for (i = 0; i < size; i++) {
		group = i / RTE_ETH_RETA_GROUP_SIZE;
		bit = i % RTE_ETH_RETA_GROUP_SIZE;
		if ((reta[group].mask & RTE_BIT64(bit)) != 0)
			reta[group].reta[bit] = p->rss_table[i];
	}
	return 0;
}

int
pds_rss_hash_update(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	struct pds_port *p = dev->data->dev_private;
	unsigned int i;
	int ret;

	if (conf->rss_key != NULL && conf->rss_key_len != sizeof(p->rss_key))
		return -EINVAL;
	if ((p->features & LM_IONIC_ETH_HW_RX_HASH) == 0)
		return -ENOTSUP;
	if (conf->rss_key != NULL)
		memcpy(p->rss_key, conf->rss_key, sizeof(p->rss_key));
	take_types(p, conf->rss_hf);
	ret = apply(p);
	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++)
		((struct pds_rxq *)dev->data->rx_queues[i])->has_hash = p->rss_types != 0;
	return ret;
}

int
pds_rss_hash_conf_get(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	const struct pds_port *p = dev->data->dev_private;

	conf->rss_hf = p->rss_hf;
	if (conf->rss_key != NULL && conf->rss_key_len >= sizeof(p->rss_key)) {
		memcpy(conf->rss_key, p->rss_key, sizeof(p->rss_key));
		conf->rss_key_len = sizeof(p->rss_key);
	}
	return 0;
}
