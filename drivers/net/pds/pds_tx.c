/* SPDX-License-Identifier: BSD-3-Clause */

/* Transmit: one descriptor a frame, and one a segment where the device cuts TCP (pds_tso.c). */

#include <errno.h>
#include <stdatomic.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_prefetch.h>

#include "pds.h"

#define FREE_CHUNK 64u
#define CSUM_FLAGS (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK)
#define KNOWN_FLAGS (CSUM_FLAGS | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_VLAN | \
	RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6)

static inline uint16_t
outstanding(const struct pds_txq *q)
{
	return (q->head - q->tail) & q->mask;
}

static inline uint16_t
unused(const struct pds_txq *q)
{
	return q->mask - outstanding(q);
}

/* Mbufs on their way back to their pool. */
struct batch {
	struct rte_mempool *pool;
	unsigned int nb;
	void *mbufs[FREE_CHUNK];
};

static inline void
batch_flush(struct batch *b)
{
	if (b->nb != 0)
		rte_mempool_put_bulk(b->pool, b->mbufs, b->nb);
	b->nb = 0;
}

static inline void
batch_add(struct batch *b, struct rte_mbuf *m)
{
	if (unlikely(m->pool != b->pool || b->nb == FREE_CHUNK)) {
		batch_flush(b);
		b->pool = m->pool;
	}
	b->mbufs[b->nb++] = m;
}

static void
free_any(struct pds_txq *q, uint16_t nb)
{
	struct batch b = { 0 };
	struct rte_mbuf *m, *next;
	uint16_t at = q->tail;

	for (; nb != 0; nb--, at = (at + 1) & q->mask) {
		rte_prefetch0(q->mbufs[(at + 1) & q->mask]);
		/* NULL: the frame ends at a later descriptor. */
		for (m = q->mbufs[at]; m != NULL; m = next) {
			next = m->next;
			m = rte_pktmbuf_prefree_seg(m);
			if (likely(m != NULL))
				batch_add(&b, m);
		}
	}
	batch_flush(&b);
	q->tail = at;
}

/* FAST_FREE promises frames of one pool that nobody else holds: they leave as they lie there. */
static void
free_fast(struct pds_txq *q, uint16_t nb)
{
	uint16_t part;

	if (unlikely(q->nb_mixed != 0)) {
		q->nb_mixed -= RTE_MIN(q->nb_mixed, nb);
		free_any(q, nb);
		return;
	}
	while (nb != 0) {
		part = RTE_MIN(nb, (uint16_t)(q->mask + 1 - q->tail));
		rte_mempool_put_bulk(q->mbufs[q->tail]->pool, (void **)&q->mbufs[q->tail], part);
		q->tail = (q->tail + part) & q->mask;
		nb -= part;
	}
}

/*
 * A completion tells of its descriptor and all before it. One that names a descriptor which is not
 * outstanding is passed over: nothing is freed twice, whatever the device says.
 */
static void
clean(struct pds_txq *q)
{
	const volatile struct lm_ionic_txq_comp *c;
	uint16_t last, nb, done = 0, seen;

	for (seen = 0; seen <= q->mask; seen++) {
		c = &q->comp[q->comp_tail];
		if ((c->color & LM_IONIC_COMP_COLOR_MASK) != q->color)
			break;
		atomic_thread_fence(memory_order_acquire);
		last = c->comp_index;
		q->comp_tail = (q->comp_tail + 1) & q->mask;
		q->color ^= q->comp_tail == 0 ? LM_IONIC_COMP_COLOR_MASK : 0;
		nb = ((last - q->tail) & q->mask) + 1;
		if (unlikely(last > q->mask || nb > outstanding(q) || nb < done))
			q->stats.bad_comp++;
		else
			done = nb;
	}
	if (q->fast_free)
		free_fast(q, done);
	else
		free_any(q, done);
}

uint16_t
pds_tx_completed(const struct pds_txq *q)
{
	const volatile struct lm_ionic_txq_comp *c;
	uint16_t at = q->comp_tail, last, nb, done = 0, seen;
	uint8_t color = q->color;

	for (seen = 0; seen <= q->mask; seen++) {
		c = &q->comp[at];
		if ((c->color & LM_IONIC_COMP_COLOR_MASK) != color)
			break;
		last = c->comp_index;
		at = (at + 1) & q->mask;
		color ^= at == 0 ? LM_IONIC_COMP_COLOR_MASK : 0;
		nb = ((last - q->tail) & q->mask) + 1;
		if (last <= q->mask && nb <= outstanding(q) && nb >= done)
			done = nb;
	}
	return done;
}

/* Bits of a command, by those of L4_MASK and IP_CKSUM in ol_flags. */
#define CSUM_SHIFT 52
#define CSUM(flags) (LM_IONIC_TXQ_DESC_OPCODE_CSUM_HW << LM_IONIC_TXQ_DESC_OPCODE_SHIFT | \
	(flags) << LM_IONIC_TXQ_DESC_FLAGS_SHIFT)
#define L3 CSUM(LM_IONIC_TXQ_DESC_FLAG_CSUM_L3)
#define L4 CSUM(LM_IONIC_TXQ_DESC_FLAG_CSUM_L4)
static const uint8_t csum_commands[] = { 0, L4, L4, L4, L3, L3 | L4, L3 | L4, L3 | L4 };

static inline uint64_t
command(const struct rte_mbuf *m)
{
	const uint64_t vlan = (m->ol_flags & RTE_MBUF_F_TX_VLAN) != 0;

	RTE_BUILD_BUG_ON(CSUM_FLAGS >> CSUM_SHIFT != RTE_DIM(csum_commands) - 1);
	return csum_commands[(m->ol_flags & CSUM_FLAGS) >> CSUM_SHIFT] |
			vlan << LM_IONIC_TXQ_DESC_FLAGS_SHIFT |
			rte_pktmbuf_iova(m) << LM_IONIC_TXQ_DESC_ADDR_SHIFT;
}

/* A frame of one descriptor. */
static inline void
enqueue(struct pds_txq *q, uint16_t head, struct rte_mbuf *m, uint64_t cmd)
{
	struct lm_ionic_txq_desc *desc = &q->desc[head];

	desc->cmd = cmd;
	desc->len = m->data_len;
	desc->vlan_tci = m->vlan_tci; /* not looked at without its flag */
	q->mbufs[head] = m;
}

static inline void
enqueue_chain(struct pds_txq *q, uint16_t head, struct rte_mbuf *first)
{
	struct lm_ionic_txq_sg_elem *sg = &q->sg[head * q->sg_stride];
	const uint64_t nb_more = first->nb_segs - 1u;
	const struct rte_mbuf *m;

	for (m = first->next; m != NULL; m = m->next, sg++) {
		sg->addr = rte_pktmbuf_iova(m);
		sg->len = m->data_len;
	}
	enqueue(q, head, first, command(first) | nb_more << LM_IONIC_TXQ_DESC_NSGE_SHIFT);
	q->nb_mixed = ((head - q->tail) & q->mask) + 1;
}

void
pds_tx_ring(struct pds_txq *q)
{
	uint64_t value = q->db_value | q->head;

	if (likely(q->db != NULL)) {
		atomic_thread_fence(memory_order_release);
		*q->db = value;
	} else {
		pds_doorbell_post(q->port, pds_queue_page(q->port, q->index), q->hw_type, value);
	}
}

static void
drop(struct pds_txq *q, struct rte_mbuf *m)
{
	q->stats.errors++;
	q->stats.packets--; /* with those that are sent it was counted */
	rte_pktmbuf_free(m);
}

/* A frame that the device cuts. @return false: no room now */
static __rte_noinline bool
hand_over_tso(struct pds_txq *q, struct rte_mbuf *m)
{
	const uint16_t need = pds_tso_descriptors(q, m);

	if (need > unused(q) && need <= q->mask)
		return false;
	if (need == 0 || need > q->mask || pds_tso_enqueue(q, m) == 0)
		drop(q, m);
	q->nb_mixed = outstanding(q);
	return true;
}

static uint16_t
transmit(struct pds_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	const uint16_t before = q->head, mask = q->mask;
	uint16_t head = before, nb;
	uint64_t bytes = 0;
	struct rte_mbuf *m;
	uint32_t len;

	if (unused(q) < RTE_MAX(q->free_thresh, nb_pkts))
		clean(q);
	for (nb = 0; nb < nb_pkts; nb++) {
		m = pkts[nb];
		len = m->pkt_len;
		if (nb + 1 < nb_pkts)
			rte_prefetch0(pkts[nb + 1]);
		if (unlikely((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0)) {
			q->head = head;
			if (!hand_over_tso(q, m))
				break;
			head = q->head;
		} else if (unlikely(((head + 1) & mask) == q->tail)) {
			break;
		} else if (likely(m->nb_segs == 1)) {
			enqueue(q, head, m, command(m));
			head = (head + 1) & mask;
		} else if (likely(m->nb_segs <= q->max_segs)) {
			enqueue_chain(q, head, m);
			head = (head + 1) & mask;
		} else {
			drop(q, m);
		}
		bytes += len;
	}
	q->head = head;
	q->stats.packets += nb;
	q->stats.bytes += bytes;
	if (head != before)
		pds_tx_ring(q);
	return nb;
}

uint16_t
pds_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct pds_txq *q = queue;
	uint16_t nb;

	if (unlikely(!lm_quiesce_enter(&q->quiesce)))
		return 0;
	nb = transmit(q, pkts, nb_pkts);
	lm_quiesce_exit(&q->quiesce);
	return nb;
}

static int
check(const struct pds_txq *q, const struct rte_mbuf *m)
{
	if ((m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK & ~KNOWN_FLAGS) != 0)
		return ENOTSUP;
	if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_SCTP_CKSUM)
		return ENOTSUP;
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0)
		return pds_tso_descriptors(q, m) != 0 ? 0 : EINVAL;
	return m->nb_segs <= q->max_segs ? 0 : EINVAL;
}

uint16_t
pds_tx_prepare(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	const struct pds_txq *q = queue;
	uint16_t nb;
	int ret;

	for (nb = 0; nb < nb_pkts; nb++) {
		ret = check(q, pkts[nb]);
		if (ret == 0)
			ret = -rte_net_intel_cksum_prepare(pkts[nb]);
		if (ret != 0) {
			rte_errno = ret;
			break;
		}
	}
	return nb;
}

void
pds_tx_drain(struct pds_txq *q)
{
	free_any(q, outstanding(q));
	q->head = q->tail = q->comp_tail = 0;
	q->nb_mixed = 0;
	q->color = LM_IONIC_COMP_COLOR_MASK;
}

int
pds_tx_descriptor_status(void *queue, uint16_t offset)
{
	struct pds_txq *q = queue;
	uint16_t at;
	int ret;

	if (offset > q->mask)
		return -EINVAL;
	if (!lm_quiesce_enter(&q->quiesce))
		return RTE_ETH_TX_DESC_UNAVAIL;
	clean(q);
	at = (q->head + offset) & q->mask;
	ret = ((at - q->tail) & q->mask) < outstanding(q) ? RTE_ETH_TX_DESC_FULL :
			RTE_ETH_TX_DESC_DONE;
	lm_quiesce_exit(&q->quiesce);
	return ret;
}

int
pds_tx_done_cleanup(void *queue, uint32_t nb)
{
	struct pds_txq *q = queue;
	uint16_t before;
	int ret;

	RTE_SET_USED(nb); /* all that are done: it is never less than asked for */
	if (!lm_quiesce_enter(&q->quiesce))
		return 0;
	before = outstanding(q);
	clean(q);
	ret = before - outstanding(q);
	lm_quiesce_exit(&q->quiesce);
	return ret;
}
