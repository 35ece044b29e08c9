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

/* All frames of one pool that nobody else holds: what FAST_FREE promises. */
static void
free_fast(struct pds_txq *q, uint16_t nb)
{
	struct rte_mbuf *batch[FREE_CHUNK];
	unsigned int n = 0;
	struct rte_mbuf *m;

	for (; nb != 0; nb--) {
		m = q->mbufs[q->tail];
		q->tail = (q->tail + 1) & q->mask;
		if (m == NULL)
			continue;
		if (unlikely(m->nb_segs != 1)) {
			rte_pktmbuf_free(m);
			continue;
		}
		batch[n++] = m;
		if (n == FREE_CHUNK) {
			rte_mempool_put_bulk(m->pool, (void **)batch, n);
			n = 0;
		}
	}
	if (n != 0)
		rte_mempool_put_bulk(batch[0]->pool, (void **)batch, n);
}

static void
free_any(struct pds_txq *q, uint16_t nb)
{
	for (; nb != 0; nb--) {
		rte_prefetch0(q->mbufs[(q->tail + 1) & q->mask]);
		rte_pktmbuf_free(q->mbufs[q->tail]); /* NULL is allowed */
		q->tail = (q->tail + 1) & q->mask;
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

static inline uint64_t
command(uint64_t iova, unsigned int opcode, unsigned int flags, unsigned int nb_more)
{
	return (uint64_t)flags << LM_IONIC_TXQ_DESC_FLAGS_SHIFT |
			(uint64_t)opcode << LM_IONIC_TXQ_DESC_OPCODE_SHIFT |
			(uint64_t)nb_more << LM_IONIC_TXQ_DESC_NSGE_SHIFT |
			iova << LM_IONIC_TXQ_DESC_ADDR_SHIFT;
}

static inline void
describe_more(struct pds_txq *q, const struct rte_mbuf *m)
{
	struct lm_ionic_txq_sg_elem *sg = &q->sg[q->head * q->sg_stride];

	for (m = m->next; m != NULL; m = m->next, sg++) {
		sg->addr = rte_pktmbuf_iova(m);
		sg->len = m->data_len;
	}
}

static inline void
enqueue(struct pds_txq *q, struct rte_mbuf *m)
{
	struct lm_ionic_txq_desc *desc = &q->desc[q->head];
	unsigned int opcode = LM_IONIC_TXQ_DESC_OPCODE_CSUM_NONE, flags = 0;

	if ((m->ol_flags & CSUM_FLAGS) != 0) {
		opcode = LM_IONIC_TXQ_DESC_OPCODE_CSUM_HW;
		if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0)
			flags |= LM_IONIC_TXQ_DESC_FLAG_CSUM_L3;
		if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0)
			flags |= LM_IONIC_TXQ_DESC_FLAG_CSUM_L4;
	}
	if ((m->ol_flags & RTE_MBUF_F_TX_VLAN) != 0) {
		flags |= LM_IONIC_TXQ_DESC_FLAG_VLAN;
		desc->vlan_tci = m->vlan_tci;
	}
	if (unlikely(m->nb_segs > 1))
		describe_more(q, m);
	desc->cmd = command(rte_pktmbuf_iova(m), opcode, flags, m->nb_segs - 1);
	desc->len = m->data_len;
	q->mbufs[q->head] = m;
	q->head = (q->head + 1) & q->mask;
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

/* @return false: no room now */
static inline bool
hand_over(struct pds_txq *q, struct rte_mbuf *m)
{
	const bool cut = (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
	uint16_t need = 1;

	if (unlikely(cut))
		need = pds_tso_descriptors(q, m);
	if (unlikely(need > unused(q))) {
		if (need <= q->mask)
			return false;
		need = 0; /* never will be */
	}
	if (unlikely(need == 0 || (!cut && m->nb_segs > q->max_segs) ||
			(cut && pds_tso_enqueue(q, m) == 0))) {
		q->stats.errors++;
		rte_pktmbuf_free(m);
		return true;
	}
	if (likely(!cut))
		enqueue(q, m);
	q->stats.packets++;
	return true;
}

static uint16_t
transmit(struct pds_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint16_t nb, before = q->head;
	uint64_t bytes = 0;
	uint32_t len;

	if (unused(q) < RTE_MAX(q->free_thresh, nb_pkts))
		clean(q);
	for (nb = 0; nb < nb_pkts; nb++) {
		if (nb + 1 < nb_pkts)
			rte_prefetch0(pkts[nb + 1]);
		len = pkts[nb]->pkt_len;
		if (unlikely(!hand_over(q, pkts[nb])))
			break;
		bytes += len;
	}
	q->stats.bytes += bytes;
	if (q->head != before)
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
