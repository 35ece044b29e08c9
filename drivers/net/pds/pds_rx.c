/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Receive. A descriptor has one buffer, or several of which the frame takes what it needs; the rest
 * stay where they are for the next round. Descriptors are filled apart from completions, so that
 * an empty pool leaves the ring short and nothing else.
 */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "pds.h"

#define FILL_CHUNK 64u

static const uint32_t packet_types[LM_IONIC_RXQ_COMP_PKT_TYPE_MASK + 1] = {
	[LM_IONIC_PKT_TYPE_NON_IP] = RTE_PTYPE_L2_ETHER,
	[LM_IONIC_PKT_TYPE_IPV4] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4,
	[LM_IONIC_PKT_TYPE_IPV4_TCP] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP,
	[LM_IONIC_PKT_TYPE_IPV4_UDP] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP,
	[LM_IONIC_PKT_TYPE_IPV6] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6,
	[LM_IONIC_PKT_TYPE_IPV6_TCP] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6 | RTE_PTYPE_L4_TCP,
	[LM_IONIC_PKT_TYPE_IPV6_UDP] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6 | RTE_PTYPE_L4_UDP,
};

void
pds_rx_flags_init(struct pds_port *p)
{
	static const struct {
		uint8_t bit;
		uint64_t flag;
	} known[] = {
		{ LM_IONIC_RXQ_COMP_CSUM_F_TCP_OK, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
		{ LM_IONIC_RXQ_COMP_CSUM_F_TCP_BAD, RTE_MBUF_F_RX_L4_CKSUM_BAD },
		{ LM_IONIC_RXQ_COMP_CSUM_F_UDP_OK, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
		{ LM_IONIC_RXQ_COMP_CSUM_F_UDP_BAD, RTE_MBUF_F_RX_L4_CKSUM_BAD },
		{ LM_IONIC_RXQ_COMP_CSUM_F_IP_OK, RTE_MBUF_F_RX_IP_CKSUM_GOOD },
		{ LM_IONIC_RXQ_COMP_CSUM_F_IP_BAD, RTE_MBUF_F_RX_IP_CKSUM_BAD },
	};
	unsigned int bits, i;

	for (bits = 0; bits < RTE_DIM(p->rx_flags); bits++) {
		p->rx_flags[bits] = 0;
		if ((bits & LM_IONIC_RXQ_COMP_CSUM_F_VLAN) != 0)
			p->rx_flags[bits] = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		for (i = 0; i < RTE_DIM(known); i++)
			if ((bits & LM_IONIC_RXQ_COMP_CSUM_F_CALC) != 0 &&
					(bits & known[i].bit) != 0)
				p->rx_flags[bits] |= known[i].flag;
	}
}

/* What is the same for frames of one and of several buffers. */
static inline void
describe(const struct pds_rxq *q, const struct lm_ionic_rxq_comp *c, struct rte_mbuf *m)
{
	uint64_t flags = q->base_flags | q->flags[c->csum_flags];
	uint8_t type = c->pkt_type_color & LM_IONIC_RXQ_COMP_PKT_TYPE_MASK;

	*(uint64_t *)RTE_PTR_ADD(m, offsetof(struct rte_mbuf, data_off)) = q->rearm;
	m->vlan_tci = c->vlan_tci;
	m->packet_type = packet_types[type];
	m->hash.rss = c->rss_hash;
	/* A hash of nothing but 0 is none: of frames that are not IP. */
	if (q->has_hash && type != LM_IONIC_PKT_TYPE_NON_IP)
		flags |= RTE_MBUF_F_RX_RSS_HASH;
	m->ol_flags = flags;
	m->pkt_len = c->len;
}

/* The colour is the last byte that the device writes: the others are there when it is. */
static inline bool
completed(const struct pds_rxq *q)
{
	const volatile uint8_t *color = &q->comp[q->tail].pkt_type_color;

	if ((*color & LM_IONIC_COMP_COLOR_MASK) != q->color)
		return false;
	atomic_thread_fence(memory_order_acquire);
	return true;
}

static inline void
advance(struct pds_rxq *q)
{
	q->tail = (q->tail + 1) & q->mask;
	q->color ^= q->tail == 0 ? LM_IONIC_COMP_COLOR_MASK : 0;
}

/* A frame that is not given to the application; its buffers go back to the pool. */
static void
drop(struct pds_rxq *q, const struct lm_ionic_rxq_comp *c)
{
	struct rte_mbuf **slot = &q->mbufs[q->tail * q->nb_segs];
	unsigned int i;

	if (c->status != 0)
		q->stats.errors++;
	else
		q->stats.bad_comp++;
	for (i = 0; i < q->nb_segs; i++) {
		rte_mbuf_raw_free(slot[i]);
		slot[i] = NULL;
	}
}

static inline uint16_t
unfilled(const struct pds_rxq *q)
{
	return (q->tail - q->head - 1) & q->mask;
}

void
pds_rx_ring(struct pds_rxq *q)
{
	uint64_t value = q->db_value | q->head;

	if (likely(q->db != NULL)) {
		/* Descriptors before the doorbell that tells of them. */
		atomic_thread_fence(memory_order_release);
		*q->db = value;
	} else {
		pds_doorbell_post(q->port, pds_queue_page(q->port, q->index), q->hw_type, value);
	}
}

/* One buffer each: the mbufs come in bulk. @return how many were filled */
static uint16_t
fill_plain(struct pds_rxq *q, uint16_t nb)
{
	struct rte_mbuf **slot = &q->mbufs[q->head];
	struct lm_ionic_rxq_desc *desc = &q->desc[q->head];
	uint16_t i;

	if (unlikely(rte_mempool_get_bulk(q->pool, (void **)slot, nb) != 0)) {
		q->stats.no_mbuf += nb;
		return 0;
	}
	for (i = 0; i < nb; i++)
		desc[i].addr = slot[i]->buf_iova + RTE_PKTMBUF_HEADROOM;
	return nb;
}

static bool
fill_slot(struct pds_rxq *q, uint16_t index)
{
	struct lm_ionic_rxq_sg_elem *sg = &q->sg[index * LM_IONIC_RX_SG_DESC_STRIDE];
	struct rte_mbuf **slot = &q->mbufs[index * q->nb_segs];
	unsigned int i;

	for (i = 0; i < q->nb_segs; i++) {
		if (slot[i] != NULL)
			continue;
		slot[i] = rte_mbuf_raw_alloc(q->pool);
		if (slot[i] == NULL) {
			q->stats.no_mbuf++;
			return false;
		}
		if (i == 0)
			q->desc[index].addr = slot[0]->buf_iova + RTE_PKTMBUF_HEADROOM;
		else
			sg[i - 1].addr = slot[i]->buf_iova;
	}
	return true;
}

static uint16_t
fill_scattered(struct pds_rxq *q, uint16_t nb)
{
	uint16_t i;

	for (i = 0; i < nb; i++)
		if (!fill_slot(q, q->head + i))
			break;
	return i;
}

void
pds_rx_fill(struct pds_rxq *q)
{
	uint16_t left = unfilled(q), before = q->head, nb, done;

	while (left != 0) {
		nb = RTE_MIN(left, (uint16_t)(q->mask + 1 - q->head));
		nb = RTE_MIN(nb, FILL_CHUNK);
		done = q->nb_segs == 1 ? fill_plain(q, nb) : fill_scattered(q, nb);
		q->head = (q->head + done) & q->mask;
		left -= done;
		if (done != nb)
			break;
	}
	if (q->head != before)
		pds_rx_ring(q);
}

static inline bool
is_good(const struct pds_rxq *q, const struct lm_ionic_rxq_comp *c)
{
	uint32_t room = q->first_bytes + (uint32_t)c->num_sg_elems * q->more_bytes;

	return likely(c->status == 0 && c->comp_index == q->tail && c->len <= room &&
			c->num_sg_elems < q->nb_segs);
}

/* The chain of a frame of several buffers; those that it did not need stay in their slots. */
static struct rte_mbuf *
chain(struct pds_rxq *q, const struct lm_ionic_rxq_comp *c)
{
	struct rte_mbuf **slot = &q->mbufs[q->tail * q->nb_segs];
	struct rte_mbuf *first = slot[0], *last = first;
	uint16_t left = c->len, part;
	unsigned int i;

	describe(q, c, first);
	first->nb_segs = c->num_sg_elems + 1;
	part = RTE_MIN(left, q->first_bytes);
	first->data_len = part;
	left -= part;
	slot[0] = NULL;
	for (i = 1; i <= c->num_sg_elems; i++) {
		struct rte_mbuf *m = slot[i];

		part = RTE_MIN(left, q->more_bytes);
		m->data_off = 0;
		m->data_len = part;
		left -= part;
		last->next = m;
		last = m;
		slot[i] = NULL;
	}
	last->next = NULL;
	return first;
}

static inline uint16_t
receive(struct pds_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, bool scattered)
{
	struct lm_ionic_rxq_comp c;
	uint16_t nb = 0, seen = 0;
	uint64_t bytes = 0;
	struct rte_mbuf *m;

	/* Bounded also where the device only reports errors. */
	for (; nb < nb_pkts && seen <= q->mask && completed(q); seen++) {
		c = q->comp[q->tail];
		rte_prefetch0(q->mbufs[((q->tail + 1) & q->mask) * (scattered ? q->nb_segs : 1)]);
		if (unlikely(q->tail == q->head))
			break; /* of a descriptor that nobody filled */
		if (unlikely(!is_good(q, &c))) {
			drop(q, &c);
		} else {
			if (scattered) {
				m = chain(q, &c);
			} else {
				m = q->mbufs[q->tail];
				describe(q, &c, m);
				m->data_len = c.len;
			}
			bytes += c.len;
			pkts[nb++] = m;
		}
		advance(q);
	}
	q->stats.packets += nb;
	q->stats.bytes += bytes;
	if (unfilled(q) >= q->free_thresh)
		pds_rx_fill(q);
	return nb;
}

uint16_t
pds_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct pds_rxq *q = queue;
	uint16_t nb;

	if (unlikely(!lm_quiesce_enter(&q->quiesce)))
		return 0;
	nb = receive(q, pkts, nb_pkts, false);
	lm_quiesce_exit(&q->quiesce);
	return nb;
}

uint16_t
pds_rx_burst_scattered(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct pds_rxq *q = queue;
	uint16_t nb;

	if (unlikely(!lm_quiesce_enter(&q->quiesce)))
		return 0;
	nb = receive(q, pkts, nb_pkts, true);
	lm_quiesce_exit(&q->quiesce);
	return nb;
}

/* All buffers, also those of descriptors that were begun and not told to the device. */
void
pds_rx_drain(struct pds_rxq *q)
{
	uint16_t at = q->tail;
	unsigned int i, slot;

	for (i = 0; i <= q->mask; i++, at = (at + 1) & q->mask) {
		/* With one buffer each, slots are left as they were when their frame was taken. */
		if (q->nb_segs == 1 && i >= (unsigned int)((q->head - q->tail) & q->mask))
			break;
		for (slot = at * q->nb_segs; slot < (at + 1u) * q->nb_segs; slot++)
			if (q->mbufs[slot] != NULL)
				rte_pktmbuf_free_seg(q->mbufs[slot]);
	}
	/* The next start may have more buffers a descriptor. */
	memset(q->mbufs, 0, (q->mask + 1) * q->nb_segs * sizeof(*q->mbufs));
	q->head = q->tail = 0;
	q->color = LM_IONIC_COMP_COLOR_MASK;
}

uint32_t
pds_rx_queue_used(struct pds_rxq *q)
{
	uint8_t color;
	uint16_t at;
	uint32_t nb = 0;

	if (!lm_quiesce_enter(&q->quiesce))
		return 0;
	color = q->color;
	at = q->tail;
	while (nb < q->mask && (q->comp[at].pkt_type_color & LM_IONIC_COMP_COLOR_MASK) == color) {
		at = (at + 1) & q->mask;
		color ^= at == 0 ? LM_IONIC_COMP_COLOR_MASK : 0;
		nb++;
	}
	lm_quiesce_exit(&q->quiesce);
	return nb;
}

int
pds_rx_descriptor_status(void *queue, uint16_t offset)
{
	struct pds_rxq *q = queue;
	uint16_t filled, at;
	uint8_t color;
	int ret;

	if (offset > q->mask)
		return -EINVAL;
	if (!lm_quiesce_enter(&q->quiesce))
		return RTE_ETH_RX_DESC_UNAVAIL;
	filled = (q->head - q->tail) & q->mask;
	at = (q->tail + offset) & q->mask;
	color = at < q->tail ? q->color ^ LM_IONIC_COMP_COLOR_MASK : q->color;
	if (offset >= filled)
		ret = RTE_ETH_RX_DESC_UNAVAIL;
	else if ((q->comp[at].pkt_type_color & LM_IONIC_COMP_COLOR_MASK) == color)
		ret = RTE_ETH_RX_DESC_DONE;
	else
		ret = RTE_ETH_RX_DESC_AVAIL;
	lm_quiesce_exit(&q->quiesce);
	return ret;
}
