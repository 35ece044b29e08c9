/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Adopting a record that was checked as any (lm_port_rec.h). What only this driver knows is checked
 * here; all is found first, and nothing of the port changes before the end.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "lm_withdraw.h"
#include "pds_lm_rec.h"

struct pools {
	struct lm_withdraw *of[PDS_MAX_QUEUES];
	unsigned int nb;
};

struct adoption {
	struct pds_port *p;
	const struct lm_port_rec *rec;
	const struct pds_rec_port *own;
	struct pools pools;
	struct pds_dma adminq, notifyq, lif_info, port_info, rss;
	struct pds_dma rxq[PDS_MAX_QUEUES], txq[PDS_MAX_QUEUES];
};

/* Each pool of the receive queues, once. */
static int
pools_open(struct adoption *a)
{
	const struct rte_eth_dev_data *data = a->p->data;
	const struct pds_rxq *q, *other;
	uint16_t i, k;
	int ret = 0;

	for (i = 0; i < data->nb_rx_queues && ret == 0; i++) {
		q = data->rx_queues[i];
		for (k = 0; k < i; k++) {
			other = data->rx_queues[k];
			if (other->pool == q->pool)
				break;
		}
		if (k == i)
			ret = lm_withdraw_begin(q->pool, a->p->window, &a->pools.of[a->pools.nb]);
		if (k == i && ret == 0)
			a->pools.nb++;
	}
	return ret;
}

static void
pools_close(struct pools *pools, bool keep)
{
	while (pools->nb > 0)
		lm_withdraw_end(pools->of[--pools->nb], keep);
}

static struct rte_mbuf *
pools_take(struct pools *pools, const struct lm_port_slot *s)
{
	struct rte_mbuf *m = NULL;
	unsigned int i;

	for (i = 0; i < pools->nb && m == NULL; i++)
		m = lm_withdraw_take(pools->of[i], s->buffer, s->len_bytes);
	return m;
}

static int
claim(struct adoption *a, uint64_t offset, const struct pds_dma *old, struct pds_dma *dma)
{
	*dma = (struct pds_dma){ .bytes = old->bytes };
	if (offset % PDS_PAGE_BYTES != 0)
		return -EPROTO;
	dma->va = lm_window_claim(a->p->window, offset, dma->bytes);
	dma->iova = (uintptr_t)dma->va;
	return dma->va == NULL ? -EPROTO : 0;
}

/* Descriptors of another layout, of other places of queues, or of no ring at all. */
static bool
queue_is_sound(const struct lm_port_queue_info *info, const struct pds_rec_queue *more,
		uint16_t mask, size_t ring_bytes)
{
	return more->nb_buffers != 0 && more->hw_type < LM_PDS_DBELL_TYPES &&
			more->qid <= LM_PDS_DBELL_QID_MASK && more->comp_tail <= mask &&
			info->nb_desc == (mask + 1u) * more->nb_buffers &&
			info->producer <= mask && info->consumer <= mask &&
			(info->colour & ~LM_IONIC_COMP_COLOR_MASK) == 0 &&
			info->ring_bytes == ring_bytes;
}

static int
rxq_adopt(struct adoption *a, uint16_t index)
{
	const struct lm_port_queue *rec = lm_port_rec_queue(a->rec, false, index);
	struct pds_rxq *q = a->p->data->rx_queues[index];
	const struct pds_rec_queue *more = &a->own->rxq[index];
	uint16_t at;
	uint32_t i, slot;

	if (!queue_is_sound(&rec->info, more, q->mask, q->dma.bytes) ||
			more->nb_buffers != q->nb_segs)
		return -EPROTO;
	/* With one buffer each, none lies outside of what is posted: it would never be freed. */
	if (q->nb_segs == 1 && rec->info.nb_slots !=
			((rec->info.producer - rec->info.consumer) & q->mask))
		return -EPROTO;
	for (i = 0; i < rec->info.nb_slots; i++) {
		slot = rec->slots[i].slot & ~LM_PORT_SLOT_EMPTY;
		q->mbufs[slot] = pools_take(&a->pools, &rec->slots[i]);
		if (q->mbufs[slot] == NULL)
			return -ENOENT;
		if (slot % q->nb_segs == 0 && (rec->slots[i].len_bytes != q->first_bytes ||
				q->mbufs[slot]->data_off != RTE_PKTMBUF_HEADROOM))
			return -EPROTO;
	}
	/* What is posted has its buffers: the burst does not look. */
	for (at = (uint16_t)rec->info.consumer; at != rec->info.producer; at = (at + 1) & q->mask)
		for (i = 0; i < q->nb_segs; i++)
			if (q->mbufs[at * q->nb_segs + i] == NULL)
				return -EPROTO;
	return claim(a, rec->info.ring, &q->dma, &a->rxq[index]);
}

/* The buffers of one frame, first to last, as one chain. */
static int
tx_chain(struct adoption *a, struct pds_txq *q, const struct lm_port_queue *rec, uint32_t *i,
		uint8_t stride)
{
	uint32_t slot = rec->slots[*i].slot & ~LM_PORT_SLOT_EMPTY, first = slot;
	struct rte_mbuf *m, *last = NULL;

	if (slot % stride != 0 || q->mbufs[slot / stride] != NULL ||
			((slot / stride - rec->info.consumer) & q->mask) >=
			((rec->info.producer - rec->info.consumer) & q->mask))
		return -EPROTO;
	while (*i < rec->info.nb_slots &&
			(rec->slots[*i].slot & ~LM_PORT_SLOT_EMPTY) == slot) {
		m = pools_take(&a->pools, &rec->slots[*i]);
		if (m == NULL)
			return -ENOENT;
		m->data_len = (uint16_t)RTE_MIN(rec->slots[*i].len_bytes, (uint32_t)UINT16_MAX);
		if (last == NULL) {
			q->mbufs[first / stride] = m;
			m->pkt_len = m->data_len;
		} else {
			last->next = m;
			q->mbufs[first / stride]->nb_segs++;
			q->mbufs[first / stride]->pkt_len += m->data_len;
		}
		last = m;
		(*i)++;
		if (++slot % stride == 0)
			break;
	}
	return 0;
}

static int
txq_adopt(struct adoption *a, uint16_t index)
{
	const struct lm_port_queue *rec = lm_port_rec_queue(a->rec, true, index);
	struct pds_txq *q = a->p->data->tx_queues[index];
	const struct pds_rec_queue *more = &a->own->txq[index];
	uint32_t i = 0;
	int ret = 0;

	if (!queue_is_sound(&rec->info, more, q->mask, q->dma.bytes))
		return -EPROTO;
	while (i < rec->info.nb_slots && ret == 0)
		ret = tx_chain(a, q, rec, &i, more->nb_buffers);
	if (ret == 0)
		ret = claim(a, rec->info.ring, &q->dma, &a->txq[index]);
	return ret;
}

/* The function is of the same kind, set up the same way, and what is said of it makes sense. */
static int
port_check(const struct adoption *a)
{
	const struct pds_rec_port *r = a->own;
	const struct pds_port *p = a->p;

	if (a->rec->port.nb_rxq != p->data->nb_rx_queues ||
			a->rec->port.nb_txq != p->data->nb_tx_queues ||
			a->rec->port.mtu != p->data->mtu) {
		PDS_LOG(ERR, p, "it was %u and %u queues and MTU %u, and is %u and %u, and %u",
			a->rec->port.nb_rxq, a->rec->port.nb_txq, a->rec->port.mtu,
			p->data->nb_rx_queues, p->data->nb_tx_queues, p->data->mtu);
		return -EPROTO;
	}
	if (r->pages_per_lif != p->pages_per_lif || r->rss_entries != p->rss_entries ||
			r->rxq_version != p->rxq_version || r->txq_version != p->txq_version ||
			r->tx_stride != p->tx_stride || r->tx_max_sg != p->tx_max_sg ||
			((uint64_t)r->hw_index + 1) * p->pages_per_lif * PDS_PAGE_BYTES >
			lm_pci_bar_size(p->pci, p->bar_db)) {
		PDS_LOG(ERR, p, "the record is of another kind of function");
		return -EPROTO;
	}
	return r->admin_head < PDS_ADMINQ_SIZE && r->notify_next < PDS_NOTIFYQ_SIZE &&
			(r->admin_color & ~LM_IONIC_COMP_COLOR_MASK) == 0 &&
			r->admin_hw_type < LM_PDS_DBELL_TYPES &&
			r->admin_qid <= LM_PDS_DBELL_QID_MASK && r->nb_mcast <= PDS_MAX_MAC ?
			0 : -EPROTO;
}

static int
take_all(struct adoption *a)
{
	struct pds_port *p = a->p;
	uint16_t i;
	int ret;

	ret = claim(a, a->own->adminq, &p->adminq.dma, &a->adminq);
	if (ret == 0)
		ret = claim(a, a->own->notifyq, &p->notifyq.dma, &a->notifyq);
	if (ret == 0)
		ret = claim(a, a->own->lif_info, &p->lif_info_dma, &a->lif_info);
	if (ret == 0)
		ret = claim(a, a->own->port_info, &p->port_info_dma, &a->port_info);
	if (ret == 0)
		ret = claim(a, a->own->rss, &p->rss_dma, &a->rss);
	if (ret == 0)
		ret = pools_open(a);
	for (i = 0; i < p->data->nb_rx_queues && ret == 0; i++)
		ret = rxq_adopt(a, i);
	for (i = 0; i < p->data->nb_tx_queues && ret == 0; i++)
		ret = txq_adopt(a, i);
	return ret;
}

static void
forget_all(const struct rte_eth_dev_data *data)
{
	uint16_t i;

	for (i = 0; i < data->nb_rx_queues; i++) {
		struct pds_rxq *q = data->rx_queues[i];

		memset(q->mbufs, 0, (q->mask + 1u) * q->nb_segs * sizeof(*q->mbufs));
	}
	for (i = 0; i < data->nb_tx_queues; i++) {
		struct pds_txq *q = data->tx_queues[i];

		memset(q->mbufs, 0, (q->mask + 1u) * sizeof(*q->mbufs));
	}
}

/* The stand-in is freed with the rest: DPDK would clear it, and the port is not running yet. */
static void
dma_move(struct pds_dma *to, const struct pds_dma *from)
{
	void *own = to->own;

	*to = *from;
	to->own = own;
}

static void
port_become(struct adoption *a)
{
	const struct pds_rec_port *r = a->own;
	struct pds_port *p = a->p;

	dma_move(&p->adminq.dma, &a->adminq);
	dma_move(&p->notifyq.dma, &a->notifyq);
	dma_move(&p->lif_info_dma, &a->lif_info);
	dma_move(&p->port_info_dma, &a->port_info);
	dma_move(&p->rss_dma, &a->rss);
	p->adminq.desc = p->adminq.dma.va;
	p->adminq.comp = RTE_PTR_ADD(p->adminq.dma.va, PDS_PAGE_BYTES);
	p->adminq.head = r->admin_head;
	p->adminq.color = r->admin_color;
	p->adminq.hw_type = r->admin_hw_type;
	p->adminq.qid = r->admin_qid;
	p->notifyq.events = RTE_PTR_ADD(p->notifyq.dma.va, PDS_PAGE_BYTES);
	p->notifyq.next = r->notify_next;
	p->notifyq.last_eid = r->last_eid;
	p->lif_info = p->lif_info_dma.va;
	p->port_info = p->port_info_dma.va;
	p->rss_table = p->rss_dma.va;
	p->hw_index = r->hw_index;
	p->features = r->features;
	p->rx_mode = r->rx_mode;
	p->rss_types = r->rss_types;
	p->rss_hf = r->rss_hf;
	p->nb_mcast = r->nb_mcast;
	memcpy(p->rss_key, r->rss_key, sizeof(p->rss_key));
	memcpy(p->data->mac_addrs, r->macs, sizeof(r->macs));
	memcpy(p->mac_filter, r->mac_filter, sizeof(p->mac_filter));
	memcpy(p->mcast_filter, r->mcast_filter, sizeof(p->mcast_filter));
	memcpy(p->vlan_filter, r->vlan_filter, sizeof(p->vlan_filter));
	p->stats_base = r->stats_base;
	p->data->promiscuous = (a->rec->port.flags & LM_PORT_F_PROMISCUOUS) != 0;
	p->data->all_multicast = (a->rec->port.flags & LM_PORT_F_ALLMULTICAST) != 0;
}

static void
queues_become(struct adoption *a)
{
	struct pds_port *p = a->p;
	uint16_t i;

	for (i = 0; i < p->data->nb_rx_queues; i++) {
		const struct lm_port_queue_info *info = &lm_port_rec_queue(a->rec, false, i)->info;
		const struct pds_rec_queue *more = &a->own->rxq[i];
		struct pds_rxq *q = p->data->rx_queues[i];

		dma_move(&q->dma, &a->rxq[i]);
		pds_rxq_place(q);
		q->head = (uint16_t)info->producer;
		q->tail = (uint16_t)info->consumer;
		q->color = info->colour;
		q->qid = more->qid;
		q->hw_type = more->hw_type;
		q->has_hash = p->rss_types != 0;
		memcpy(&q->stats, more->stats, sizeof(q->stats));
		q->db = pds_doorbell_ptr(p, pds_queue_page(p, i), q->hw_type);
		q->db_value = (uint64_t)q->qid << LM_PDS_DBELL_QID_SHIFT;
		p->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	}
	for (i = 0; i < p->data->nb_tx_queues; i++) {
		const struct lm_port_queue_info *info = &lm_port_rec_queue(a->rec, true, i)->info;
		const struct pds_rec_queue *more = &a->own->txq[i];
		struct pds_txq *q = p->data->tx_queues[i];

		dma_move(&q->dma, &a->txq[i]);
		pds_txq_place(q);
		q->head = (uint16_t)info->producer;
		q->tail = (uint16_t)info->consumer;
		q->color = info->colour;
		q->comp_tail = more->comp_tail;
		q->nb_mixed = (q->head - q->tail) & q->mask;
		q->qid = more->qid;
		q->hw_type = more->hw_type;
		memcpy(&q->stats, more->stats, sizeof(q->stats));
		q->db = pds_doorbell_ptr(p, pds_queue_page(p, i), q->hw_type);
		q->db_value = (uint64_t)q->qid << LM_PDS_DBELL_QID_SHIFT;
		p->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	}
}

int
pds_lm_adopt(void *priv, const struct lm_port_rec *rec)
{
	const struct lm_port_item *item = lm_port_rec_item(rec, PDS_LM_ITEM);
	struct adoption *a = calloc(1, sizeof(*a));
	struct pds_rec_port *own = calloc(1, sizeof(*own));
	int ret = a == NULL || own == NULL ? -ENOMEM : 0;

	if (ret == 0 && (item == NULL || item->len_bytes != sizeof(*own)))
		ret = -EPROTO;
	if (ret == 0) {
		memcpy(own, item->body, sizeof(*own)); /* which is aligned for nothing */
		a->p = priv;
		a->rec = rec;
		a->own = own;
		ret = port_check(a);
	}
	if (ret == 0) {
		ret = take_all(a);
		pools_close(&a->pools, ret == 0);
		if (ret != 0)
			forget_all(a->p->data);
	}
	if (ret == 0) {
		port_become(a);
		queues_become(a);
	}
	free(own);
	free(a);
	return ret;
}
