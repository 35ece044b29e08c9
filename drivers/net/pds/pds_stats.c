/* SPDX-License-Identifier: BSD-3-Clause */

/* Statistics: the device keeps them in our memory, where any process of the port can read them. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pds.h"

#define STAT(field) { #field, offsetof(struct lm_ionic_lif_stats, field) }

static const struct {
	const char *name;
	size_t offset;
} lif_stats[] = {
	STAT(rx_ucast_bytes), STAT(rx_ucast_packets), STAT(rx_mcast_bytes), STAT(rx_mcast_packets),
	STAT(rx_bcast_bytes), STAT(rx_bcast_packets), STAT(rx_ucast_drop_bytes),
	STAT(rx_ucast_drop_packets), STAT(rx_mcast_drop_bytes), STAT(rx_mcast_drop_packets),
	STAT(rx_bcast_drop_bytes), STAT(rx_bcast_drop_packets), STAT(rx_dma_error),
	STAT(tx_ucast_bytes), STAT(tx_ucast_packets), STAT(tx_mcast_bytes), STAT(tx_mcast_packets),
	STAT(tx_bcast_bytes), STAT(tx_bcast_packets), STAT(tx_ucast_drop_bytes),
	STAT(tx_ucast_drop_packets), STAT(tx_mcast_drop_bytes), STAT(tx_mcast_drop_packets),
	STAT(tx_bcast_drop_bytes), STAT(tx_bcast_drop_packets), STAT(tx_dma_error),
	STAT(rx_queue_disabled), STAT(rx_queue_empty), STAT(rx_queue_error),
	STAT(rx_desc_fetch_error), STAT(rx_desc_data_error), STAT(tx_queue_disabled),
	STAT(tx_queue_error), STAT(tx_desc_fetch_error), STAT(tx_desc_data_error),
};

/* Of the driver, summed over the queues. */
#define RX_OWN(field) { "rx_driver_" #field, true, offsetof(struct pds_rxq_stats, field) }
#define TX_OWN(field) { "tx_driver_" #field, false, offsetof(struct pds_txq_stats, field) }
static const struct {
	const char *name;
	bool is_rx;
	size_t offset;
} own_stats[] = {
	RX_OWN(no_mbuf), RX_OWN(errors), RX_OWN(bad_comp), TX_OWN(errors), TX_OWN(bad_comp),
};

#define NB_STATS (RTE_DIM(lif_stats) + RTE_DIM(own_stats))

static uint64_t
lif_stat(const struct pds_port *p, size_t offset)
{
	const volatile uint64_t *now = RTE_PTR_ADD(&p->lif_info->stats, offset);
	const uint64_t *base = RTE_PTR_ADD(&p->stats_base, offset);

	return *now - *base;
}

#define LIF(p, field) lif_stat(p, offsetof(struct lm_ionic_lif_stats, field))

int
pds_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats)
{
	const struct pds_port *p = dev->data->dev_private;
	const struct pds_rxq *rx;
	const struct pds_txq *tx;
	unsigned int i;

	stats->ipackets = LIF(p, rx_ucast_packets) + LIF(p, rx_mcast_packets) +
			LIF(p, rx_bcast_packets);
	stats->ibytes = LIF(p, rx_ucast_bytes) + LIF(p, rx_mcast_bytes) + LIF(p, rx_bcast_bytes);
	stats->opackets = LIF(p, tx_ucast_packets) + LIF(p, tx_mcast_packets) +
			LIF(p, tx_bcast_packets);
	stats->obytes = LIF(p, tx_ucast_bytes) + LIF(p, tx_mcast_bytes) + LIF(p, tx_bcast_bytes);
	stats->imissed = LIF(p, rx_ucast_drop_packets) + LIF(p, rx_mcast_drop_packets) +
			LIF(p, rx_bcast_drop_packets);
	stats->ierrors = LIF(p, rx_dma_error) + LIF(p, rx_queue_error) +
			LIF(p, rx_desc_fetch_error) + LIF(p, rx_desc_data_error);
	stats->oerrors = LIF(p, tx_dma_error) + LIF(p, tx_queue_error) +
			LIF(p, tx_desc_fetch_error) + LIF(p, tx_desc_data_error) +
			LIF(p, tx_ucast_drop_packets) + LIF(p, tx_mcast_drop_packets) +
			LIF(p, tx_bcast_drop_packets);
	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		rx = dev->data->rx_queues[i];
		if (rx == NULL)
			continue;
		stats->rx_nombuf += rx->stats.no_mbuf;
		stats->ierrors += rx->stats.bad_comp;
		if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
			stats->q_ipackets[i] = rx->stats.packets;
			stats->q_ibytes[i] = rx->stats.bytes;
			stats->q_errors[i] = rx->stats.errors + rx->stats.bad_comp;
		}
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		tx = dev->data->tx_queues[i];
		if (tx == NULL)
			continue;
		stats->oerrors += tx->stats.errors;
		if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
			stats->q_opackets[i] = tx->stats.packets;
			stats->q_obytes[i] = tx->stats.bytes;
		}
	}
	return 0;
}

int
pds_stats_reset(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	struct pds_rxq *rx;
	struct pds_txq *tx;
	unsigned int i;

	p->stats_base = p->lif_info->stats;
	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		rx = dev->data->rx_queues[i];
		if (rx != NULL)
			memset(&rx->stats, 0, sizeof(rx->stats));
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		tx = dev->data->tx_queues[i];
		if (tx != NULL)
			memset(&tx->stats, 0, sizeof(tx->stats));
	}
	return 0;
}

static uint64_t
own_stat(const struct rte_eth_dev *dev, unsigned int index)
{
	unsigned int i, nb = own_stats[index].is_rx ? dev->data->nb_rx_queues :
			dev->data->nb_tx_queues;
	uint64_t sum = 0;
	const void *stats;

	for (i = 0; i < nb; i++) {
		if (own_stats[index].is_rx)
			stats = &((const struct pds_rxq *)dev->data->rx_queues[i])->stats;
		else
			stats = &((const struct pds_txq *)dev->data->tx_queues[i])->stats;
		sum += *(const uint64_t *)RTE_PTR_ADD(stats, own_stats[index].offset);
	}
	return sum;
}

int
pds_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int max)
{
	const struct pds_port *p = dev->data->dev_private;
	unsigned int i;

	if (max < NB_STATS)
		return NB_STATS;
	for (i = 0; i < NB_STATS; i++) {
		xstats[i].id = i;
		xstats[i].value = i < RTE_DIM(lif_stats) ? lif_stat(p, lif_stats[i].offset) :
				own_stat(dev, i - RTE_DIM(lif_stats));
	}
	return NB_STATS;
}

int
pds_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names, unsigned int max)
{
	unsigned int i;

	RTE_SET_USED(dev);
	if (names == NULL || max < NB_STATS)
		return NB_STATS;
	for (i = 0; i < NB_STATS; i++)
		snprintf(names[i].name, sizeof(names[i].name), "%s", i < RTE_DIM(lif_stats) ?
				lif_stats[i].name : own_stats[i - RTE_DIM(lif_stats)].name);
	return NB_STATS;
}
