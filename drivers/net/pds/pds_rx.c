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

#define PLAIN_CHUNK 64u
#define SCATTERED_CHUNK 16u

/* Packet types; the bit above them: the frame has a hash, where any has one. */
#define HASHED (UINT64_C(1) << 32)
#define L3(name) (HASHED | RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_ ## name)
static const uint64_t packet_types[LM_IONIC_RXQ_COMP_PKT_TYPE_MASK + 1] = {
	[LM_IONIC_PKT_TYPE_NON_IP] = RTE_PTYPE_L2_ETHER,
	[LM_IONIC_PKT_TYPE_IPV4] = L3(IPV4),
	[LM_IONIC_PKT_TYPE_IPV4_TCP] = L3(IPV4) | RTE_PTYPE_L4_TCP,
	[LM_IONIC_PKT_TYPE_IPV4_UDP] = L3(IPV4) | RTE_PTYPE_L4_UDP,
	[LM_IONIC_PKT_TYPE_IPV6] = L3(IPV6),
	[LM_IONIC_PKT_TYPE_IPV6_TCP] = L3(IPV6) | RTE_PTYPE_L4_TCP,
	[LM_IONIC_PKT_TYPE_IPV6_UDP] = L3(IPV6) | RTE_PTYPE_L4_UDP,
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

/* A completion, read once: the device may not keep to it. */
struct seen {
	uint64_t low;  /* status, number of buffers beyond the first, index, hash */
	uint64_t high; /* checksum, VLAN tag, length, flags, packet type and colour */
};
#define NB_MORE_MASK 0xff00u
#define INDEX_SHIFT 16
#define LEN_SHIFT 32
#define CSUM_FLAGS_SHIFT 48
#define TYPE_SHIFT 56

static inline uint32_t
heading(const struct seen *c)
{
	return (uint32_t)c->low;
}

static inline uint8_t
nb_more(const struct seen *c)
{
	return (uint8_t)(c->low >> 8);
}

static inline uint16_t
length(const struct seen *c)
{
	return (uint16_t)(c->high >> LEN_SHIFT);
}

/* What is the same for frames of one and of several buffers; data_len is that of one. */
static inline void
describe(const struct pds_rxq *q, const struct seen *c, struct rte_mbuf *m)
{
	const uint64_t type = packet_types[c->high >> TYPE_SHIFT & LM_IONIC_RXQ_COMP_PKT_TYPE_MASK];
	const uint64_t len = length(c);
	uint64_t *fields = RTE_PTR_ADD(m, offsetof(struct rte_mbuf, packet_type));

	RTE_BUILD_BUG_ON(offsetof(struct rte_mbuf, pkt_len) !=
			offsetof(struct rte_mbuf, packet_type) + 4);
	RTE_BUILD_BUG_ON(offsetof(struct rte_mbuf, data_len) !=
			offsetof(struct rte_mbuf, packet_type) + 8);
	RTE_BUILD_BUG_ON(offsetof(struct rte_mbuf, vlan_tci) !=
			offsetof(struct rte_mbuf, packet_type) + 10);
	RTE_BUILD_BUG_ON(offsetof(struct rte_mbuf, hash.rss) !=
			offsetof(struct rte_mbuf, packet_type) + 12);
	RTE_BUILD_BUG_ON(RTE_MBUF_F_RX_RSS_HASH != 1 << 1);
	*(uint64_t *)RTE_PTR_ADD(m, offsetof(struct rte_mbuf, data_off)) = q->rearm;
	m->ol_flags = q->base_flags | q->flags[(uint8_t)(c->high >> CSUM_FLAGS_SHIFT)] |
			(type >> 31 & (uint64_t)q->has_hash << 1);
	fields[0] = (uint32_t)type | len << 32;
	fields[1] = len | (c->high & 0xffff0000) | (c->low & ~(uint64_t)UINT32_MAX);
}

/* Where a burst is in the ring; not in memory, where each store may seem to change it. */
struct cursor {
	const struct lm_ionic_rxq_comp *ring;
	uint64_t color; /* where it is in struct seen */
	uint16_t mask;
	uint16_t tail;
};

static inline struct cursor
begin(const struct pds_rxq *q)
{
	return (struct cursor){ q->comp, (uint64_t)q->color << TYPE_SHIFT, q->mask, q->tail };
}

static inline void
end(struct pds_rxq *q, const struct cursor *at)
{
	q->tail = at->tail;
	q->color = (uint8_t)(at->color >> TYPE_SHIFT);
}

/* The colour is the last byte that the device writes: the others are there when it is. */
static inline bool
completed(const struct cursor *at, struct seen *c)
{
	const volatile uint64_t *words = (const volatile uint64_t *)&at->ring[at->tail];

	c->high = words[1];
	if ((int64_t)(c->high ^ at->color) < 0)
		return false;
	atomic_thread_fence(memory_order_acquire);
	c->low = words[0];
	return true;
}

static inline void
advance(struct cursor *at)
{
	at->tail = (at->tail + 1) & at->mask;
	if (unlikely(at->tail == 0))
		at->color ^= (uint64_t)LM_IONIC_COMP_COLOR_MASK << TYPE_SHIFT;
}

/* A frame that is not given to the application; its buffers go back to the pool. */
static __rte_noinline void
drop(struct pds_rxq *q, uint16_t tail, uint8_t status)
{
	struct rte_mbuf **slot = &q->mbufs[tail * q->nb_segs];
	unsigned int i;

	if (status != 0)
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

/* One buffer each. @return false: the pool has not so many */
static bool
fill_plain(struct pds_rxq *q, uint16_t nb)
{
	struct rte_mbuf **slot = &q->mbufs[q->head];
	struct lm_ionic_rxq_desc *desc = &q->desc[q->head];
	uint16_t i;

	if (unlikely(rte_mempool_get_bulk(q->pool, (void **)slot, nb) != 0))
		return false;
	for (i = 0; i < nb; i++)
		desc[i].addr = slot[i]->buf_iova + RTE_PKTMBUF_HEADROOM;
	return true;
}

/* Buffers that a descriptor lacks: always the first ones. */
static inline unsigned int
lacking(const struct pds_rxq *q, struct rte_mbuf *const *slot)
{
	unsigned int nb = 0;

	while (nb < q->nb_segs && slot[nb] == NULL)
		nb++;
	return nb;
}

/* From the last that is lacking to the first. */
static inline void
fill_slot(struct pds_rxq *q, uint16_t index, unsigned int lack, struct rte_mbuf *const *fresh)
{
	struct lm_ionic_rxq_sg_elem *sg = &q->sg[index * LM_IONIC_RX_SG_DESC_STRIDE];
	struct rte_mbuf **slot = &q->mbufs[index * q->nb_segs];
	unsigned int i;

	if (lack == 0)
		return;
	for (i = lack - 1; i != 0; i--) {
		slot[i] = *fresh++;
		sg[i - 1].addr = slot[i]->buf_iova;
	}
	slot[0] = *fresh;
	q->desc[index].addr = slot[0]->buf_iova + RTE_PKTMBUF_HEADROOM;
}

static bool
fill_scattered(struct pds_rxq *q, uint16_t nb)
{
	struct rte_mbuf *fresh[SCATTERED_CHUNK * (1 + LM_IONIC_RX_MAX_SG_ELEMS)];
	uint8_t lack[SCATTERED_CHUNK];
	unsigned int total = 0, i;

	for (i = 0; i < nb; i++) {
		lack[i] = lacking(q, &q->mbufs[(q->head + i) * q->nb_segs]);
		total += lack[i];
	}
	if (unlikely(rte_mempool_get_bulk(q->pool, (void **)fresh, total) != 0))
		return false;
	for (i = 0, total = 0; i < nb; total += lack[i], i++)
		fill_slot(q, (uint16_t)(q->head + i), lack[i], &fresh[total]);
	return true;
}

static inline bool
fill(struct pds_rxq *q, uint16_t nb)
{
	return q->nb_segs == 1 ? fill_plain(q, nb) : fill_scattered(q, nb);
}

void
pds_rx_fill(struct pds_rxq *q)
{
	const uint16_t chunk = q->nb_segs == 1 ? PLAIN_CHUNK : SCATTERED_CHUNK;
	uint16_t left = unfilled(q), before = q->head, nb;

	while (left != 0) {
		nb = RTE_MIN(left, (uint16_t)(q->mask + 1 - q->head));
		nb = RTE_MIN(nb, chunk);
		while (nb != 0 && !fill(q, nb))
			nb /= 2;
		if (unlikely(nb == 0)) {
			q->stats.no_mbuf += left;
			break;
		}
		q->head = (q->head + nb) & q->mask;
		left -= nb;
	}
	if (q->head != before)
		pds_rx_ring(q);
}

/* One buffer: @return the frame's, or NULL */
static inline struct rte_mbuf *
take(const struct pds_rxq *q, uint16_t tail, const struct seen *c)
{
	struct rte_mbuf **slot = &q->mbufs[tail];

	rte_prefetch0(slot[PDS_RX_AHEAD]);
	if (unlikely(heading(c) != (uint32_t)tail << INDEX_SHIFT ||
			(uint16_t)(length(c) - 1) >= q->first_bytes))
		return NULL;
	describe(q, c, slot[0]);
	return slot[0];
}

/* The others of a frame that has several. */
static inline void
chain(const struct pds_rxq *q, struct rte_mbuf **slot, const struct seen *c)
{
	struct rte_mbuf *first = slot[0], *last = first;
	uint16_t left = length(c), part = RTE_MIN(left, q->first_bytes);
	unsigned int i;

	first->nb_segs = nb_more(c) + 1;
	first->data_len = part;
	for (i = 1; i <= nb_more(c); i++) {
		struct rte_mbuf *m = slot[i];

		left -= part;
		part = RTE_MIN(left, q->more_bytes);
		m->data_off = 0;
		m->data_len = part;
		last->next = m;
		last = m;
		slot[i] = NULL;
	}
}

/* Several: those that the frame did not need stay in their slots. @return likewise */
static inline struct rte_mbuf *
take_chain(const struct pds_rxq *q, uint16_t tail, const struct seen *c)
{
	struct rte_mbuf **slot = &q->mbufs[tail * q->nb_segs], *first = slot[0];
	const uint32_t room = q->first_bytes + (uint32_t)nb_more(c) * q->more_bytes;

	rte_prefetch0(slot[PDS_RX_AHEAD * q->nb_segs]);
	if (unlikely((heading(c) & ~NB_MORE_MASK) != (uint32_t)tail << INDEX_SHIFT ||
			nb_more(c) >= q->nb_segs || (uint16_t)(length(c) - 1) >= room))
		return NULL;
	describe(q, c, first);
	if (nb_more(c) != 0)
		chain(q, slot, c);
	slot[0] = NULL;
	return first;
}

static inline uint16_t
receive(struct pds_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, bool scattered)
{
	struct cursor at = begin(q);
	/* Not those of descriptors that nobody filled, and an end where there are only errors. */
	uint16_t left = (q->head - q->tail) & q->mask;
	struct rte_mbuf **out = pkts, **const out_end = pkts + nb_pkts;
	uint64_t bytes = 0;
	struct rte_mbuf *m;
	struct seen c;

	for (; out != out_end && left != 0 && completed(&at, &c); left--) {
		m = scattered ? take_chain(q, at.tail, &c) : take(q, at.tail, &c);
		if (likely(m != NULL)) {
			bytes += length(&c);
			*out++ = m;
		} else {
			drop(q, at.tail, (uint8_t)c.low);
		}
		advance(&at);
	}
	end(q, &at);
	q->stats.packets += out - pkts;
	q->stats.bytes += bytes;
	if (unfilled(q) >= q->free_thresh)
		pds_rx_fill(q);
	return (uint16_t)(out - pkts);
}

/* Nothing has come, and nothing is owed to the ring: what most polls find. */
static inline bool
idle(const struct pds_rxq *q)
{
	const struct cursor at = begin(q);
	struct seen c;

	return !completed(&at, &c) && unfilled(q) < q->free_thresh;
}

static __rte_noinline uint16_t
receive_plain(struct pds_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return receive(q, pkts, nb_pkts, false);
}

static __rte_noinline uint16_t
receive_scattered(struct pds_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return receive(q, pkts, nb_pkts, true);
}

uint16_t
pds_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct pds_rxq *q = queue;
	uint16_t nb = 0;

	if (unlikely(!lm_quiesce_enter(&q->quiesce)))
		return 0;
	if (!idle(q))
		nb = receive_plain(q, pkts, nb_pkts);
	lm_quiesce_exit(&q->quiesce);
	return nb;
}

uint16_t
pds_rx_burst_scattered(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct pds_rxq *q = queue;
	uint16_t nb = 0;

	if (unlikely(!lm_quiesce_enter(&q->quiesce)))
		return 0;
	if (!idle(q))
		nb = receive_scattered(q, pkts, nb_pkts);
	lm_quiesce_exit(&q->quiesce);
	return nb;
}

/* All buffers, also those of descriptors that the device was not told of. */
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
