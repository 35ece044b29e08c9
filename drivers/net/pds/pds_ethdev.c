/* SPDX-License-Identifier: BSD-3-Clause */

/* The port as ethdev sees it. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_string_fns.h>

#include "pds.h"

RTE_LOG_REGISTER_DEFAULT(pds_logtype, NOTICE)

#define RX_OFFLOADS (RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_VLAN_STRIP | \
	RTE_ETH_RX_OFFLOAD_VLAN_FILTER | RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_RSS_HASH)
#define TX_OFFLOADS (RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | \
	RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | \
	RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)

static int
pds_configure(struct rte_eth_dev *dev)
{
	struct rte_eth_rxmode *rx = &dev->data->dev_conf.rxmode;

	if ((rx->mq_mode & RTE_ETH_MQ_RX_RSS_FLAG) != 0)
		rx->offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
	return 0;
}

/* What the device has to do for the port's offloads. */
static uint64_t
wanted_features(const struct rte_eth_dev *dev)
{
	static const struct {
		bool is_rx;
		uint64_t offload;
		uint64_t features;
	} rows[] = {
		{ true, RTE_ETH_RX_OFFLOAD_CHECKSUM, LM_IONIC_ETH_HW_RX_CSUM },
		{ true, RTE_ETH_RX_OFFLOAD_VLAN_STRIP, LM_IONIC_ETH_HW_VLAN_RX_STRIP },
		{ true, RTE_ETH_RX_OFFLOAD_VLAN_FILTER, LM_IONIC_ETH_HW_VLAN_RX_FILTER },
		{ true, RTE_ETH_RX_OFFLOAD_SCATTER, LM_IONIC_ETH_HW_RX_SG },
		{ true, RTE_ETH_RX_OFFLOAD_RSS_HASH, LM_IONIC_ETH_HW_RX_HASH },
		{ false, RTE_ETH_TX_OFFLOAD_VLAN_INSERT, LM_IONIC_ETH_HW_VLAN_TX_TAG },
		{ false, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
			RTE_ETH_TX_OFFLOAD_TCP_CKSUM, LM_IONIC_ETH_HW_TX_CSUM },
		{ false, RTE_ETH_TX_OFFLOAD_TCP_TSO, LM_IONIC_ETH_HW_TX_CSUM |
			LM_IONIC_ETH_HW_TSO | LM_IONIC_ETH_HW_TSO_IPV6 },
		{ false, RTE_ETH_TX_OFFLOAD_MULTI_SEGS, LM_IONIC_ETH_HW_TX_SG },
	};
	const struct rte_eth_conf *conf = &dev->data->dev_conf;
	uint64_t want = 0;
	unsigned int i;

	for (i = 0; i < RTE_DIM(rows); i++)
		if (((rows[i].is_rx ? conf->rxmode.offloads : conf->txmode.offloads) &
				rows[i].offload) != 0)
			want |= rows[i].features;
	return want;
}

static int
stop_queues(struct rte_eth_dev *dev)
{
	uint16_t i;
	int ret = 0, one;

	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		one = pds_txq_stop(dev, i);
		ret = ret != 0 ? ret : one;
	}
	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		one = pds_rxq_stop(dev, i);
		ret = ret != 0 ? ret : one;
	}
	return ret;
}

static int
start_queues(struct rte_eth_dev *dev)
{
	const struct pds_rxq *rx;
	const struct pds_txq *tx;
	uint16_t i;
	int ret = 0;

	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++) {
		rx = dev->data->rx_queues[i];
		if (!rx->deferred)
			ret = pds_rxq_start(dev, i);
	}
	for (i = 0; i < dev->data->nb_tx_queues && ret == 0; i++) {
		tx = dev->data->tx_queues[i];
		if (!tx->deferred)
			ret = pds_txq_start(dev, i);
	}
	return ret;
}

static int
set_mtu(struct pds_port *p)
{
	const lm_le32_t mtu = p->data->mtu;

	return pds_lif_setattr(p, LM_IONIC_LIF_ATTR_MTU, &mtu, sizeof(mtu));
}

static bool
needs_scatter(const struct rte_eth_dev *dev)
{
	const struct pds_rxq *q;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		q = dev->data->rx_queues[i];
		if (dev->data->mtu + PDS_FRAME_OVERHEAD > q->first_bytes)
			return true;
	}
	return false;
}

static void
set_bursts(struct rte_eth_dev *dev)
{
	dev->data->scattered_rx = needs_scatter(dev);
	dev->rx_pkt_burst = dev->data->scattered_rx ? pds_rx_burst_scattered : pds_rx_burst;
	dev->tx_pkt_burst = pds_tx_burst;
	dev->tx_pkt_prepare = pds_tx_prepare;
}

/* What the device is told comes from the function whose state will be loaded. */
static int
start_incoming(struct rte_eth_dev *dev)
{
	int ret;

	ret = pds_rxqs_fit(dev);
	if (ret == 0)
		ret = pds_intr_start(dev);
	if (ret != 0)
		return ret;
	set_bursts(dev);
	ret = pds_lm_start(dev);
	if (ret != 0)
		pds_intr_stop(dev);
	else
		dev->data->dev_started = 1;
	return ret;
}

static int
pds_start(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	uint16_t mode = LM_IONIC_RX_MODE_F_UNICAST | LM_IONIC_RX_MODE_F_MULTICAST |
			LM_IONIC_RX_MODE_F_BROADCAST;
	int ret;

	if (p->gone) {
		PDS_LOG(ERR, p, "the function was given up; reset the port first");
		return -EBUSY;
	}
	if (p->incoming)
		return start_incoming(dev);
	mode |= dev->data->promiscuous ? LM_IONIC_RX_MODE_F_PROMISC : 0;
	mode |= dev->data->all_multicast ? LM_IONIC_RX_MODE_F_ALLMULTI : 0;
	ret = pds_lif_features(p, wanted_features(dev));
	if (ret == 0)
		ret = set_mtu(p);
	if (ret == 0)
		ret = pds_rss_start(dev);
	if (ret == 0)
		ret = pds_rx_mode_set(p, mode);
	if (ret == 0)
		ret = pds_intr_start(dev);
	if (ret != 0)
		return ret;
	set_bursts(dev);
	ret = pds_cold_take(dev);
	if (ret == 0)
		ret = start_queues(dev);
	if (ret == 0)
		ret = pds_lm_start(dev);
	ret = pds_cold_taken(dev, ret);
	if (ret != 0) {
		(void)stop_queues(dev);
		pds_intr_stop(dev);
		return ret;
	}
	dev->data->dev_started = 1; /* what the link is depends on it */
	(void)pds_link_update(dev, 0);
	return 0;
}

static int
pds_stop(struct rte_eth_dev *dev)
{
	int ret = 0;

	if (!pds_lm_stop(dev))
		ret = stop_queues(dev);
	pds_intr_stop(dev);
	dev->data->dev_started = 0;
	(void)pds_link_update(dev, 0);
	return ret;
}

static int
pds_close(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	unsigned int i;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	pds_cold_end(p);
	(void)pds_lm_stop(dev);
	pds_intr_stop(dev);
	pds_intr_release(dev);
	/* The reset in here ends all DMA: buffers of queues that did not stop are free then. */
	pds_lif_down(p);
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		if (dev->data->rx_queues[i] != NULL) {
			pds_rx_drain(dev->data->rx_queues[i]);
			pds_rxq_release(dev, (uint16_t)i);
		}
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		if (dev->data->tx_queues[i] != NULL) {
			pds_tx_drain(dev->data->tx_queues[i]);
			pds_txq_release(dev, (uint16_t)i);
		}
	lm_pci_heap_unmap(p->heap);
	lm_pci_close(p->pci);
	p->heap = NULL;
	p->pci = NULL;
	pthread_mutex_destroy(&p->admin_lock);
	return 0;
}

/* A fresh function under the same port; queues are set up again by the application. */
static int
pds_reset(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	int ret;

	pds_intr_release(dev);
	pds_lif_down(p);
	memset(p->mac_filter, 0, sizeof(p->mac_filter));
	memset(p->vlan_filter, 0, sizeof(p->vlan_filter));
	memset(&p->stats_base, 0, sizeof(p->stats_base));
	p->nb_mcast = 0;
	p->incoming = false;
	p->gone = false;
	ret = lm_pci_reset(p->pci);
	if (ret == 0 || ret == -ENOTSUP)
		ret = pds_lif_up(p);
	if (ret == 0)
		ret = pds_intr_init(dev);
	return ret;
}

static int
pds_infos_get(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	const struct pds_port *p = dev->data->dev_private;

	info->max_rx_queues = (uint16_t)p->max_rxq;
	info->max_tx_queues = (uint16_t)p->max_txq;
	info->min_rx_bufsize = RTE_ETHER_MIN_LEN;
	info->max_rx_pktlen = p->max_frame_bytes;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = (uint16_t)(p->max_frame_bytes - PDS_FRAME_OVERHEAD);
	info->max_mac_addrs = PDS_MAX_MAC;
	info->rx_offload_capa = RX_OFFLOADS;
	info->tx_offload_capa = TX_OFFLOADS | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	info->tx_queue_offload_capa = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	info->reta_size = p->rss_entries;
	info->hash_key_size = LM_IONIC_RSS_HASH_KEY_SIZE;
	info->flow_type_rss_offloads = PDS_RSS_HF;
	info->speed_capa = RTE_ETH_LINK_SPEED_10G | RTE_ETH_LINK_SPEED_25G |
			RTE_ETH_LINK_SPEED_40G | RTE_ETH_LINK_SPEED_50G |
			RTE_ETH_LINK_SPEED_100G | RTE_ETH_LINK_SPEED_200G;
	info->rx_desc_lim = (struct rte_eth_desc_lim){
		.nb_max = PDS_MAX_DESC,
		.nb_min = PDS_MIN_DESC,
		.nb_align = 1,
	};
	info->tx_desc_lim = info->rx_desc_lim;
	info->tx_desc_lim.nb_seg_max = 1 + p->tx_max_sg;
	info->tx_desc_lim.nb_mtu_seg_max = 1 + p->tx_max_sg;
	info->default_rxportconf = (struct rte_eth_dev_portconf){
		.burst_size = 32,
		.ring_size = PDS_DEFAULT_DESC,
		.nb_queues = 1,
	};
	info->default_txportconf = info->default_rxportconf;
	info->dev_capa &= ~RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP;
	return 0;
}

static int
pds_mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
	struct pds_port *p = dev->data->dev_private;

	/* Rings are laid out for frames of an MTU. */
	if (dev->data->dev_started)
		return -EBUSY;
	if (mtu > p->max_frame_bytes - PDS_FRAME_OVERHEAD)
		return -EINVAL;
	return 0;
}

static const uint32_t *
pds_supported_ptypes_get(struct rte_eth_dev *dev
#if LM_ETHDEV_PTYPES_HAVE_COUNT
		, size_t *count
#endif
		)
{
	static const uint32_t ptypes[] = {
		RTE_PTYPE_L2_ETHER,
		RTE_PTYPE_L3_IPV4,
		RTE_PTYPE_L3_IPV6,
		RTE_PTYPE_L4_TCP,
		RTE_PTYPE_L4_UDP,
#if !LM_ETHDEV_PTYPES_HAVE_COUNT
		RTE_PTYPE_UNKNOWN,
#endif
	};

	RTE_SET_USED(dev);
#if LM_ETHDEV_PTYPES_HAVE_COUNT
	*count = RTE_DIM(ptypes);
#endif
	return ptypes;
}

static int
pds_fw_version_get(struct rte_eth_dev *dev, char *version, size_t size)
{
	const struct pds_port *p = dev->data->dev_private;
	int ret;

	ret = snprintf(version, size, "%s", p->fw_version);
	if (ret < 0)
		return -EINVAL;
	return (size_t)ret < size ? 0 : ret + 1;
}

static void
pds_rxq_info_get(struct rte_eth_dev *dev, uint16_t index, struct rte_eth_rxq_info *info)
{
	const struct pds_rxq *q = dev->data->rx_queues[index];

	info->mp = q->pool;
	info->scattered_rx = q->nb_segs > 1;
	info->nb_desc = q->mask + 1;
	info->conf.rx_free_thresh = q->free_thresh;
	info->conf.rx_deferred_start = q->deferred;
	info->conf.offloads = q->offloads;
}

static void
pds_txq_info_get(struct rte_eth_dev *dev, uint16_t index, struct rte_eth_txq_info *info)
{
	const struct pds_txq *q = dev->data->tx_queues[index];

	info->nb_desc = q->mask + 1;
	info->conf.tx_free_thresh = q->free_thresh;
	info->conf.tx_deferred_start = q->deferred;
	info->conf.offloads = q->offloads;
}

static int
pds_rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t index, struct rte_eth_burst_mode *mode)
{
	RTE_SET_USED(index);
	snprintf(mode->info, sizeof(mode->info), "Scalar%s",
			dev->data->scattered_rx ? " Scattered" : "");
	return 0;
}

static int
pds_tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t index, struct rte_eth_burst_mode *mode)
{
	const struct pds_txq *q = dev->data->tx_queues[index];

	snprintf(mode->info, sizeof(mode->info), "Scalar%s", q->fast_free ? " Fast Free" : "");
	return 0;
}

/* Device information and commands, and interrupt control of the vectors in use. */
static int
pds_get_reg(struct rte_eth_dev *dev, struct rte_dev_reg_info *regs)
{
	struct pds_port *p = dev->data->dev_private;
	uint32_t *out = regs->data, nb, i;
	int ret = 0;

	nb = (LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET + (dev->data->nb_rx_queues + 1u) *
			(uint32_t)sizeof(struct lm_pds_core_intr)) / sizeof(*out);
	if (out == NULL) {
		regs->length = nb;
		regs->width = sizeof(*out);
		return 0;
	}
	for (i = 0; i < RTE_MIN(nb, regs->length) && ret == 0; i++)
		ret = pds_reg_read(p, i * sizeof(*out), &out[i], sizeof(*out));
	return ret;
}

static const struct eth_dev_ops pds_ops = {
	.dev_configure = pds_configure,
	.dev_start = pds_start,
	.dev_stop = pds_stop,
	.dev_close = pds_close,
	.dev_reset = pds_reset,
	.dev_infos_get = pds_infos_get,
	.dev_supported_ptypes_get = pds_supported_ptypes_get,
	.link_update = pds_link_update,
	.mtu_set = pds_mtu_set,
	.promiscuous_enable = pds_promiscuous_enable,
	.promiscuous_disable = pds_promiscuous_disable,
	.allmulticast_enable = pds_allmulticast_enable,
	.allmulticast_disable = pds_allmulticast_disable,
	.mac_addr_add = pds_mac_addr_add,
	.mac_addr_remove = pds_mac_addr_remove,
	.mac_addr_set = pds_mac_addr_set,
	.set_mc_addr_list = pds_set_mc_addr_list,
	.vlan_filter_set = pds_vlan_filter_set,
	.reta_update = pds_reta_update,
	.reta_query = pds_reta_query,
	.rss_hash_update = pds_rss_hash_update,
	.rss_hash_conf_get = pds_rss_hash_conf_get,
	.rx_queue_setup = pds_rxq_setup,
	.rx_queue_release = pds_rxq_release,
	.rx_queue_start = pds_rxq_start,
	.rx_queue_stop = pds_rxq_stop,
	.rx_queue_intr_enable = pds_rxq_intr_enable,
	.rx_queue_intr_disable = pds_rxq_intr_disable,
	.tx_queue_setup = pds_txq_setup,
	.tx_queue_release = pds_txq_release,
	.tx_queue_start = pds_txq_start,
	.tx_queue_stop = pds_txq_stop,
	.tx_done_cleanup = pds_tx_done_cleanup,
	.rxq_info_get = pds_rxq_info_get,
	.txq_info_get = pds_txq_info_get,
	.rx_burst_mode_get = pds_rx_burst_mode_get,
	.tx_burst_mode_get = pds_tx_burst_mode_get,
	.stats_get = pds_stats_get,
	.stats_reset = pds_stats_reset,
	.xstats_get = pds_xstats_get,
	.xstats_get_names = pds_xstats_get_names,
	.xstats_reset = pds_stats_reset,
	.fw_version_get = pds_fw_version_get,
	.get_reg = pds_get_reg,
};

static uint32_t
pds_rx_queue_count(void *queue)
{
	return pds_rx_queue_used(queue);
}

static void
set_functions(struct rte_eth_dev *dev)
{
	dev->dev_ops = &pds_ops;
	dev->rx_pkt_burst = pds_rx_burst;
	dev->tx_pkt_burst = pds_tx_burst;
	dev->tx_pkt_prepare = pds_tx_prepare;
	dev->rx_queue_count = pds_rx_queue_count;
	dev->rx_descriptor_status = pds_rx_descriptor_status;
	dev->tx_descriptor_status = pds_tx_descriptor_status;
}

/* All that the device sees is in the window, or all that DPDK has. */
static int
map_memory(struct pds_port *p)
{
	struct lm_pci_dma dma = { .prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE };
	int ret;

	if (p->window == NULL) {
		ret = lm_pci_heap_map(p->pci, &p->heap);
	} else {
		dma.vaddr = lm_window_base(p->window);
		dma.iova = (uintptr_t)dma.vaddr;
		dma.size_bytes = lm_window_size(p->window);
		dma.fd = lm_window_fd(p->window);
		ret = lm_pci_dma_map(p->pci, &dma);
	}
	if (ret != 0)
		PDS_LOG(ERR, p, "the device cannot reach %s: %s", p->window == NULL ?
			"DPDK's memory" : "the window", lm_pci_strerror(p->pci));
	return ret;
}

struct init {
	struct lm_pci *pci;
	const struct pds_args *args;
};

static int
bring_up(struct rte_eth_dev *dev, struct lm_pci *pci)
{
	struct pds_port *p = dev->data->dev_private;
	int ret;

	strlcpy(p->name, dev->data->name, sizeof(p->name));
	p->data = dev->data;
	p->pci = pci;
	p->cold_fd = -1;
	pthread_mutex_init(&p->admin_lock, NULL);
	pds_rx_flags_init(p);
	dev->data->mac_addrs = rte_zmalloc("pds MAC addresses",
			PDS_MAX_MAC * sizeof(struct rte_ether_addr), 0);
	if (dev->data->mac_addrs == NULL)
		return -ENOMEM;
	p->window = lm_port_prepared(p->name, &p->incoming);
	ret = map_memory(p);
	if (ret != 0)
		return ret;
	ret = p->incoming ? pds_lif_look(p) : pds_lif_up(p);
	if (ret == 0) {
		ret = pds_intr_init(dev);
		if (ret != 0)
			pds_lif_down(p);
	}
	if (ret != 0)
		lm_pci_heap_unmap(p->heap);
	return ret;
}

static int
pds_port_init(struct rte_eth_dev *dev, void *arg)
{
	struct pds_port *p = dev->data->dev_private;
	const struct init *init = arg;
	int ret;

	set_functions(dev);
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	dev->data->dev_flags |= RTE_ETH_DEV_INTR_LSC | RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
	ret = lm_quiesce_init();
	if (ret == 0)
		ret = bring_up(dev, init->pci);
	if (ret == 0 && !p->incoming)
		ret = pds_mac_addr_add(dev, dev->data->mac_addrs, 0, 0);
	if (ret != 0)
		return ret;
	if (init->args->lm_from[0] != '\0')
		ret = pds_cold_peek(p, init->args->lm_from);
	if (ret == 0 && init->args->lm[0] != '\0')
		ret = pds_cold_serve(p, init->args->lm);
	if (ret != 0) { /* the handle stays the caller's */
		pds_intr_release(dev);
		pds_lif_down(p);
		lm_pci_heap_unmap(p->heap);
	}
	return ret;
}

int
pds_port_create(struct rte_device *dev, const char *name, struct lm_pci *pci,
		const struct pds_args *args)
{
	struct init init = { .pci = pci, .args = args };

	return rte_eth_dev_create(dev, name, sizeof(struct pds_port), NULL, NULL, pds_port_init,
			&init);
}

int
pds_port_remove(struct rte_device *dev)
{
	struct rte_eth_dev *eth_dev = rte_eth_dev_allocated(dev->name);

	return eth_dev == NULL ? 0 : rte_eth_dev_destroy(eth_dev, pds_close);
}
