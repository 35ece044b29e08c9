/* SPDX-License-Identifier: BSD-3-Clause */

/* Rings: memory, and what the device is told of them. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "pds.h"

uint16_t
pds_queue_page(const struct pds_port *p, uint16_t index)
{
	/* Page 0 is everybody's, with one slot for all queues of a type. */
	return p->pages_per_lif == 1 ? 0 : 1 + index % (p->pages_per_lif - 1);
}

static uint64_t
doorbell_offset(const struct pds_port *p, uint16_t page, uint8_t hw_type)
{
	return ((uint64_t)p->hw_index * p->pages_per_lif + page) * LM_PDS_DBELL_PAGE_BYTES +
			hw_type * sizeof(uint64_t);
}

void
pds_doorbell_post(struct pds_port *p, uint16_t page, uint8_t hw_type, uint64_t value)
{
	(void)lm_pci_bar_write_posted(p->pci, p->bar_db, doorbell_offset(p, page, hw_type), &value,
			sizeof(value));
}

volatile uint64_t *
pds_doorbell_ptr(struct pds_port *p, uint16_t page, uint8_t hw_type)
{
	return lm_pci_bar_ptr(p->pci, p->bar_db, doorbell_offset(p, page, hw_type),
			sizeof(uint64_t));
}

/* Ring, completions and SG elements in one piece of memory, each from a page on. */
struct layout {
	size_t comp;
	size_t sg;
	size_t bytes;
};

static struct layout
lay_out(uint32_t nb_desc, size_t desc_bytes, size_t comp_bytes, size_t sg_bytes)
{
	struct layout l;

	l.comp = RTE_ALIGN_CEIL(nb_desc * desc_bytes, PDS_PAGE_BYTES);
	l.sg = l.comp + RTE_ALIGN_CEIL(nb_desc * comp_bytes, PDS_PAGE_BYTES);
	l.bytes = l.sg + RTE_ALIGN_CEIL(nb_desc * sg_bytes, PDS_PAGE_BYTES);
	return l;
}

static int
check_size(const struct pds_port *p, const char *what, uint16_t nb_desc)
{
	if (rte_is_power_of_2(nb_desc) && nb_desc >= PDS_MIN_DESC && nb_desc <= PDS_MAX_DESC)
		return 0;
	PDS_LOG(ERR, p, "%s: %u descriptors; a power of two from %u to %u is possible", what,
		nb_desc, PDS_MIN_DESC, PDS_MAX_DESC);
	return -EINVAL;
}

/* Buffers that a frame of this MTU takes, 0: more than a descriptor has. */
static uint8_t
rx_segments(const struct pds_port *p, uint16_t first_bytes, uint16_t more_bytes)
{
	uint32_t frame = p->data->mtu + PDS_FRAME_OVERHEAD, nb;

	if (frame <= first_bytes)
		return 1;
	nb = 1 + (frame - first_bytes + more_bytes - 1) / more_bytes;
	return nb <= 1 + LM_IONIC_RX_MAX_SG_ELEMS ? (uint8_t)nb : 0;
}

static int
rx_buffers(struct pds_rxq *q)
{
	const struct pds_port *p = q->port;
	uint32_t room = rte_pktmbuf_data_room_size(q->pool);
	bool scatter = (q->offloads & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;

	if (room <= RTE_PKTMBUF_HEADROOM || room > UINT16_MAX)
		return -EINVAL;
	q->first_bytes = (uint16_t)(room - RTE_PKTMBUF_HEADROOM);
	q->more_bytes = (uint16_t)room;
	q->nb_segs = rx_segments(p, q->first_bytes, q->more_bytes);
	if (q->nb_segs == 1 || (q->nb_segs != 0 && scatter))
		return 0;
	PDS_LOG(ERR, p, "queue %u: frames of MTU %u do not fit into %s of %u bytes", q->index,
		p->data->mtu, scatter ? "nine buffers" : "one buffer, and SCATTER is off: buffers",
		room);
	return -EINVAL;
}

int
pds_rxqs_fit(struct rte_eth_dev *dev)
{
	uint16_t i;
	int ret = 0;

	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++)
		ret = rx_buffers(dev->data->rx_queues[i]);
	return ret;
}

/* data_off, refcnt, nb_segs and port, which lie together, as one word. */
static uint64_t
rearm_value(uint16_t port_id)
{
	struct rte_mbuf fresh = {
		.data_off = RTE_PKTMBUF_HEADROOM,
		.nb_segs = 1,
		.port = port_id,
	};
	uint64_t value;

	rte_mbuf_refcnt_set(&fresh, 1);
	memcpy(&value, RTE_PTR_ADD(&fresh, offsetof(struct rte_mbuf, data_off)), sizeof(value));
	return value;
}

static struct layout
rxq_layout(const struct pds_rxq *q)
{
	return lay_out(q->mask + 1u, sizeof(*q->desc), sizeof(*q->comp),
			sizeof(*q->sg) * LM_IONIC_RX_SG_DESC_STRIDE);
}

static struct layout
txq_layout(const struct pds_txq *q)
{
	return lay_out(q->mask + 1u, sizeof(*q->desc), sizeof(*q->comp),
			sizeof(*q->sg) * q->sg_stride);
}

void
pds_rxq_place(struct pds_rxq *q)
{
	const struct layout l = rxq_layout(q);

	q->desc = q->dma.va;
	q->comp = RTE_PTR_ADD(q->dma.va, l.comp);
	q->sg = RTE_PTR_ADD(q->dma.va, l.sg);
}

void
pds_txq_place(struct pds_txq *q)
{
	const struct layout l = txq_layout(q);

	q->desc = q->dma.va;
	q->comp = RTE_PTR_ADD(q->dma.va, l.comp);
	q->sg = RTE_PTR_ADD(q->dma.va, l.sg);
}

static int
rxq_fill_in(struct pds_rxq *q, uint16_t nb_desc, const struct rte_eth_rxconf *conf)
{
	struct pds_port *p = q->port;
	char name[24];
	int ret;

	snprintf(name, sizeof(name), "rxq %u", q->index);
	lm_quiesce_setup(&q->quiesce, name);
	q->mask = nb_desc - 1;
	q->deferred = conf->rx_deferred_start != 0;
	q->offloads = conf->offloads | p->data->dev_conf.rxmode.offloads;
	q->free_thresh = conf->rx_free_thresh != 0 ? conf->rx_free_thresh : 32;
	q->free_thresh = RTE_MIN(q->free_thresh, (uint16_t)(nb_desc / 2));
	q->color = LM_IONIC_COMP_COLOR_MASK;
	q->flags = p->rx_flags;
	q->rearm = rearm_value(p->data->port_id);
	q->base_flags = (rte_pktmbuf_priv_flags(q->pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF) != 0 ?
			RTE_MBUF_F_EXTERNAL : 0;
	ret = pds_dma_alloc(p, "rxq", q->index, rxq_layout(q).bytes, &q->dma);
	if (ret != 0)
		return ret;
	pds_rxq_place(q);
	/* For the most buffers that a descriptor can have: the MTU may change before the start. */
	q->mbufs = rte_zmalloc_socket("pds rx mbufs",
			(nb_desc + PDS_RX_AHEAD) * (1 + LM_IONIC_RX_MAX_SG_ELEMS) *
			sizeof(*q->mbufs),
			RTE_CACHE_LINE_SIZE, p->data->numa_node);
	return q->mbufs == NULL ? -ENOMEM : 0;
}

static void
rxq_free(struct pds_rxq *q)
{
	if (q == NULL)
		return;
	pds_dma_free(&q->dma);
	rte_free(q->mbufs);
	rte_free(q);
}

int
pds_rxq_setup(struct rte_eth_dev *dev, uint16_t index, uint16_t nb_desc, unsigned int socket,
		const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct pds_port *p = dev->data->dev_private;
	struct pds_rxq *q;
	int ret;

	ret = check_size(p, "receive queue", nb_desc);
	if (ret != 0)
		return ret;
	pds_rxq_release(dev, index);
	q = rte_zmalloc_socket("pds rxq", sizeof(*q), RTE_CACHE_LINE_SIZE, (int)socket);
	if (q == NULL)
		return -ENOMEM;
	q->port = p;
	q->index = index;
	q->pool = pool;
	ret = rxq_fill_in(q, nb_desc, conf);
	if (ret == 0)
		ret = rx_buffers(q);
	if (ret != 0) {
		rxq_free(q);
		return ret;
	}
	dev->data->rx_queues[index] = q;
	return 0;
}

void
pds_rxq_release(struct rte_eth_dev *dev, uint16_t index)
{
	rxq_free(dev->data->rx_queues[index]);
	dev->data->rx_queues[index] = NULL;
}

int
pds_txq_setup(struct rte_eth_dev *dev, uint16_t index, uint16_t nb_desc, unsigned int socket,
		const struct rte_eth_txconf *conf)
{
	struct pds_port *p = dev->data->dev_private;
	struct pds_txq *q;
	char name[24];
	int ret;

	ret = check_size(p, "transmit queue", nb_desc);
	if (ret != 0)
		return ret;
	pds_txq_release(dev, index);
	q = rte_zmalloc_socket("pds txq", sizeof(*q), RTE_CACHE_LINE_SIZE, (int)socket);
	if (q == NULL)
		return -ENOMEM;
	dev->data->tx_queues[index] = q;
	snprintf(name, sizeof(name), "txq %u", index);
	lm_quiesce_setup(&q->quiesce, name);
	q->port = p;
	q->index = index;
	q->mask = nb_desc - 1;
	q->color = LM_IONIC_COMP_COLOR_MASK;
	q->deferred = conf->tx_deferred_start != 0;
	q->offloads = conf->offloads | dev->data->dev_conf.txmode.offloads;
	q->fast_free = (q->offloads & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) != 0;
	/* Early: mbufs that were sent lately are still in the processor's caches. */
	q->free_thresh = conf->tx_free_thresh != 0 ? conf->tx_free_thresh :
			nb_desc - RTE_MIN(64u, nb_desc / 2u);
	q->sg_stride = p->tx_stride;
	q->max_segs = 1 + p->tx_max_sg;
	ret = pds_dma_alloc(p, "txq", index, txq_layout(q).bytes, &q->dma);
	if (ret == 0) {
		pds_txq_place(q);
		q->mbufs = rte_zmalloc_socket("pds tx mbufs", nb_desc * sizeof(*q->mbufs),
				RTE_CACHE_LINE_SIZE, (int)socket);
		ret = q->mbufs == NULL ? -ENOMEM : 0;
	}
	if (ret != 0)
		pds_txq_release(dev, index);
	return ret;
}

void
pds_txq_release(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_txq *q = dev->data->tx_queues[index];

	dev->data->tx_queues[index] = NULL;
	if (q == NULL)
		return;
	pds_dma_free(&q->dma);
	rte_free(q->mbufs);
	rte_free(q);
}

/* Nothing of the last time is left: a completion with the right colour would be believed. */
static void
rxq_prepare(struct pds_rxq *q)
{
	struct lm_ionic_rxq_sg_elem *sg = q->sg;
	unsigned int i, k;

	memset(q->dma.va, 0, q->dma.bytes);
	q->has_hash = q->port->rss_types != 0;
	for (i = 0; i <= q->mask; i++, sg += LM_IONIC_RX_SG_DESC_STRIDE) {
		q->desc[i].opcode = q->nb_segs == 1 ? LM_IONIC_RXQ_DESC_OPCODE_SIMPLE :
				LM_IONIC_RXQ_DESC_OPCODE_SG;
		q->desc[i].len = q->first_bytes;
		for (k = 0; k + 1u < q->nb_segs; k++)
			sg[k].len = q->more_bytes;
	}
}

int
pds_rxq_start(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_rxq *q = dev->data->rx_queues[index];
	struct pds_port *p = q->port;
	uint16_t vector = pds_rxq_vector(p, index), page = pds_queue_page(p, index);
	struct lm_ionic_q_init_cmd cmd = {
		.type = LM_IONIC_QTYPE_RXQ,
		.ver = p->rxq_version,
		.index = index,
		.pid = page,
		.intr_index = vector,
		.ring_size = (uint8_t)rte_log2_u32(q->mask + 1u),
	};
	int ret;

	if (dev->data->rx_queue_state[index] == RTE_ETH_QUEUE_STATE_STARTED)
		return 0;
	ret = rx_buffers(q);
	if (ret != 0)
		return ret;
	rxq_prepare(q);
	cmd.flags = LM_IONIC_QINIT_F_ENA | (q->nb_segs > 1 ? LM_IONIC_QINIT_F_SG : 0) |
			(vector != LM_IONIC_QINIT_NO_INTR ? LM_IONIC_QINIT_F_IRQ : 0);
	lm_le64_set(&cmd.ring_base, q->dma.iova);
	lm_le64_set(&cmd.cq_ring_base, q->dma.iova + RTE_PTR_DIFF(q->comp, q->dma.va));
	if (q->nb_segs > 1)
		lm_le64_set(&cmd.sg_ring_base, q->dma.iova + RTE_PTR_DIFF(q->sg, q->dma.va));
	ret = pds_q_init(p, &cmd, &q->qid, &q->hw_type);
	if (ret != 0)
		return ret;
	q->db = pds_doorbell_ptr(p, page, q->hw_type);
	q->db_value = (uint64_t)q->qid << LM_PDS_DBELL_QID_SHIFT;
	pds_rx_fill(q);
	dev->data->rx_queue_state[index] = RTE_ETH_QUEUE_STATE_STARTED;
	return 0;
}

int
pds_txq_start(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_txq *q = dev->data->tx_queues[index];
	struct pds_port *p = q->port;
	uint16_t page = pds_queue_page(p, index);
	struct lm_ionic_q_init_cmd cmd = {
		.type = LM_IONIC_QTYPE_TXQ,
		.ver = p->txq_version,
		.index = index,
		.pid = page,
		.intr_index = LM_IONIC_QINIT_NO_INTR,
		.flags = LM_IONIC_QINIT_F_ENA | LM_IONIC_QINIT_F_SG,
		.ring_size = (uint8_t)rte_log2_u32(q->mask + 1u),
	};
	int ret;

	if (dev->data->tx_queue_state[index] == RTE_ETH_QUEUE_STATE_STARTED)
		return 0;
	memset(q->dma.va, 0, q->dma.bytes);
	lm_le64_set(&cmd.ring_base, q->dma.iova);
	lm_le64_set(&cmd.cq_ring_base, q->dma.iova + RTE_PTR_DIFF(q->comp, q->dma.va));
	lm_le64_set(&cmd.sg_ring_base, q->dma.iova + RTE_PTR_DIFF(q->sg, q->dma.va));
	ret = pds_q_init(p, &cmd, &q->qid, &q->hw_type);
	if (ret != 0)
		return ret;
	q->db = pds_doorbell_ptr(p, page, q->hw_type);
	q->db_value = (uint64_t)q->qid << LM_PDS_DBELL_QID_SHIFT;
	dev->data->tx_queue_state[index] = RTE_ETH_QUEUE_STATE_STARTED;
	return 0;
}

/* The application does not poll a queue that it stops; the device first lets go of memory. */
int
pds_rxq_stop(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_rxq *q = dev->data->rx_queues[index];
	int ret;

	if (dev->data->rx_queue_state[index] == RTE_ETH_QUEUE_STATE_STOPPED)
		return 0;
	ret = pds_q_control(q->port, LM_IONIC_QTYPE_RXQ, index, LM_IONIC_Q_DISABLE);
	if (ret != 0)
		return ret;
	pds_rx_drain(q);
	dev->data->rx_queue_state[index] = RTE_ETH_QUEUE_STATE_STOPPED;
	return 0;
}

int
pds_txq_stop(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_txq *q = dev->data->tx_queues[index];
	int ret;

	if (dev->data->tx_queue_state[index] == RTE_ETH_QUEUE_STATE_STOPPED)
		return 0;
	ret = pds_q_control(q->port, LM_IONIC_QTYPE_TXQ, index, LM_IONIC_Q_DISABLE);
	if (ret != 0)
		return ret;
	pds_tx_drain(q);
	dev->data->tx_queue_state[index] = RTE_ETH_QUEUE_STATE_STOPPED;
	return 0;
}
