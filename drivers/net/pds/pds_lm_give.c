/* SPDX-License-Identifier: BSD-3-Clause */

/* Giving up: the port as a record. Nothing of it changes. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "pds_lm_rec.h"

static int
slot_add(const struct pds_port *p, struct lm_port_queue *rec, uint32_t slot, const void *data,
		uint32_t len_bytes, bool empty)
{
	uint64_t offset;

	len_bytes = RTE_MAX(len_bytes, 1u);
	if (!lm_window_offset(p->window, data, len_bytes, &offset)) {
		PDS_LOG(ERR, p, "a buffer of %s queue %u is not in the window",
			rec->info.is_tx ? "transmit" : "receive", rec->info.id);
		return -EFAULT;
	}
	return lm_port_rec_slot(rec, slot | (empty ? LM_PORT_SLOT_EMPTY : 0), offset, len_bytes);
}

static int
ring_describe(const struct pds_port *p, const struct pds_dma *dma, struct lm_port_queue *rec)
{
	rec->info.ring_bytes = dma->bytes;
	return lm_window_offset(p->window, dma->va, dma->bytes, &rec->info.ring) ? 0 : -EFAULT;
}

/* How many buffers of a descriptor hold something; frames lie from the tail on. */
static unsigned int
rx_filled(const struct pds_rxq *q, uint16_t at, uint16_t nth)
{
	uint8_t color = at < q->tail ? q->color ^ LM_IONIC_COMP_COLOR_MASK : q->color;
	const struct lm_ionic_rxq_comp *c = &q->comp[at];

	if (nth >= ((q->head - q->tail) & q->mask) ||
			(c->pkt_type_color & LM_IONIC_COMP_COLOR_MASK) != color)
		return 0;
	return 1u + c->num_sg_elems;
}

static int
rxq_describe(const struct pds_port *p, const struct pds_rxq *q, struct lm_port_queue *rec,
		struct pds_rec_queue *more)
{
	uint16_t posted = (q->head - q->tail) & q->mask, nth, at;
	unsigned int k, filled;
	int ret;

	rec->info.nb_desc = (q->mask + 1u) * q->nb_segs;
	rec->info.producer = q->head;
	rec->info.consumer = q->tail;
	rec->info.colour = q->color;
	ret = ring_describe(p, &q->dma, rec);
	/* With one buffer each, slots outside of what is posted are stale. */
	for (nth = 0; nth <= q->mask && ret == 0; nth++) {
		if (q->nb_segs == 1 && nth >= posted)
			break;
		at = (q->tail + nth) & q->mask;
		filled = rx_filled(q, at, nth);
		for (k = 0; k < q->nb_segs && ret == 0; k++) {
			const struct rte_mbuf *m = q->mbufs[at * q->nb_segs + k];

			if (m != NULL)
				ret = slot_add(p, rec, at * q->nb_segs + k, RTE_PTR_ADD(m->buf_addr,
						k == 0 ? RTE_PKTMBUF_HEADROOM : 0),
						k == 0 ? q->first_bytes : q->more_bytes,
						k >= filled);
		}
	}
	more->qid = q->qid;
	more->hw_type = q->hw_type;
	more->nb_buffers = q->nb_segs;
	memcpy(more->stats, &q->stats, sizeof(q->stats));
	return ret;
}

/* The most buffers that any frame in the ring has. */
static uint8_t
tx_stride(const struct pds_txq *q)
{
	uint16_t at;
	uint8_t most = 1;

	for (at = q->tail; at != q->head; at = (at + 1) & q->mask)
		if (q->mbufs[at] != NULL)
			most = RTE_MAX(most, (uint8_t)RTE_MIN(q->mbufs[at]->nb_segs, UINT8_MAX));
	return most;
}

static int
txq_describe(const struct pds_port *p, const struct pds_txq *q, struct lm_port_queue *rec,
		struct pds_rec_queue *more)
{
	uint16_t at, nth = 0, done = pds_tx_completed(q);
	const struct rte_mbuf *m;
	unsigned int k;
	int ret;

	more->nb_buffers = tx_stride(q);
	rec->info.nb_desc = (q->mask + 1u) * more->nb_buffers;
	rec->info.producer = q->head;
	rec->info.consumer = q->tail;
	rec->info.colour = q->color;
	ret = ring_describe(p, &q->dma, rec);
	for (at = q->tail; at != q->head && ret == 0; at = (at + 1) & q->mask, nth++) {
		m = q->mbufs[at];
		for (k = 0; m != NULL && ret == 0; k++, m = m->next)
			ret = slot_add(p, rec, at * more->nb_buffers + k,
					rte_pktmbuf_mtod(m, const void *), m->data_len, nth < done);
	}
	more->qid = q->qid;
	more->hw_type = q->hw_type;
	more->comp_tail = q->comp_tail;
	memcpy(more->stats, &q->stats, sizeof(q->stats));
	return ret;
}

static int
port_describe(const struct pds_port *p, struct pds_rec_port *r)
{
	const struct {
		const struct pds_dma *dma;
		lm_le64_t *offset;
	} areas[] = {
		{ &p->adminq.dma, &r->adminq }, { &p->notifyq.dma, &r->notifyq },
		{ &p->lif_info_dma, &r->lif_info }, { &p->port_info_dma, &r->port_info },
		{ &p->rss_dma, &r->rss },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(areas); i++)
		if (!lm_window_offset(p->window, areas[i].dma->va, areas[i].dma->bytes,
				areas[i].offset))
			return -EFAULT;
	r->features = p->features;
	r->rss_hf = p->rss_hf;
	r->last_eid = p->notifyq.last_eid;
	r->admin_qid = p->adminq.qid;
	r->pages_per_lif = p->pages_per_lif;
	r->hw_index = p->hw_index;
	r->admin_head = p->adminq.head;
	r->notify_next = p->notifyq.next;
	r->rx_mode = p->rx_mode;
	r->rss_types = p->rss_types;
	r->rss_entries = p->rss_entries;
	r->admin_color = p->adminq.color;
	r->admin_hw_type = p->adminq.hw_type;
	r->rxq_version = p->rxq_version;
	r->txq_version = p->txq_version;
	r->tx_stride = p->tx_stride;
	r->tx_max_sg = p->tx_max_sg;
	r->nb_mcast = p->nb_mcast;
	memcpy(r->rss_key, p->rss_key, sizeof(r->rss_key));
	memcpy(r->macs, p->data->mac_addrs, sizeof(r->macs));
	memcpy(r->mac_filter, p->mac_filter, sizeof(r->mac_filter));
	memcpy(r->mcast_filter, p->mcast_filter, sizeof(r->mcast_filter));
	memcpy(r->vlan_filter, p->vlan_filter, sizeof(r->vlan_filter));
	r->stats_base = p->stats_base;
	return 0;
}

/* Slots that the largest queue can have. */
static uint32_t
most_slots(const struct rte_eth_dev_data *data)
{
	const struct pds_rxq *rx;
	const struct pds_txq *tx;
	uint32_t most = 1;
	uint16_t i;

	for (i = 0; i < data->nb_rx_queues; i++) {
		rx = data->rx_queues[i];
		most = RTE_MAX(most, (rx->mask + 1u) * rx->nb_segs);
	}
	for (i = 0; i < data->nb_tx_queues; i++) {
		tx = data->tx_queues[i];
		most = RTE_MAX(most, (tx->mask + 1u) * tx_stride(tx));
	}
	return most;
}

static int
rec_fill(struct pds_port *p, struct lm_port_rec *r, struct pds_rec_port *own)
{
	uint16_t i;
	int ret;

	r->port.mtu = p->data->mtu;
	r->port.flags = (p->data->promiscuous ? LM_PORT_F_PROMISCUOUS : 0) |
			(p->data->all_multicast ? LM_PORT_F_ALLMULTICAST : 0);
	memcpy(r->port.mac, p->data->mac_addrs, sizeof(r->port.mac));
	ret = port_describe(p, own);
	for (i = 0; i < p->data->nb_rx_queues && ret == 0; i++)
		ret = rxq_describe(p, p->data->rx_queues[i], lm_port_rec_queue(r, false, i),
				&own->rxq[i]);
	for (i = 0; i < p->data->nb_tx_queues && ret == 0; i++)
		ret = txq_describe(p, p->data->tx_queues[i], lm_port_rec_queue(r, true, i),
				&own->txq[i]);
	return ret;
}

int
pds_lm_give_up(void *priv, struct lm_port_rec **rec)
{
	struct pds_port *p = priv;
	uint32_t most = most_slots(p->data);
	struct lm_port_rec *r;
	struct pds_rec_port *own;
	int ret;

	if (most > LM_PORT_MAX_DESC) {
		PDS_LOG(ERR, p, "%u buffers in a ring: at most %u can move", most,
			LM_PORT_MAX_DESC);
		return -E2BIG;
	}
	ret = lm_port_rec_create("net_pds", p->data->nb_rx_queues, p->data->nb_tx_queues, most,
			&r);
	if (ret != 0)
		return ret;
	own = calloc(1, sizeof(*own));
	ret = own == NULL ? -ENOMEM : rec_fill(p, r, own);
	if (ret != 0) {
		free(own);
		lm_port_rec_destroy(r);
		return ret;
	}
	r->memory = own;
	r->items[r->nb_items++] = (struct lm_port_item){
		.type = PDS_LM_ITEM | LM_RECORD_F_MANDATORY,
		.len_bytes = sizeof(*own),
		.body = own,
	};
	*rec = r;
	return 0;
}
