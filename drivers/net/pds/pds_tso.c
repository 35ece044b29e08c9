/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TCP segmentation: the driver says where each segment begins and ends, one descriptor for each.
 * The first has the headers and mss bytes; the device makes the headers of the others from it.
 * Source: Linux, ionic_txrx.c, ionic_tx_tso().
 */

#include <rte_mbuf.h>

#include "pds.h"

/* Where the next byte of a frame is. */
struct cursor {
	const struct rte_mbuf *m;
	uint16_t offset;
};

static uint32_t
header_bytes(const struct rte_mbuf *m)
{
	return m->l2_len + m->l3_len + m->l4_len;
}

uint16_t
pds_tso_descriptors(const struct pds_txq *q, const struct rte_mbuf *m)
{
	uint32_t header = header_bytes(m), payload, nb;

	if (m->tso_segsz == 0 || header == 0 || header + m->tso_segsz > UINT16_MAX ||
			m->pkt_len <= header)
		return 0;
	payload = m->pkt_len - header;
	nb = (payload + m->tso_segsz - 1) / m->tso_segsz;
	return nb > q->mask ? UINT16_MAX : (uint16_t)nb;
}

static uint64_t
command(const struct pds_txq *q, const struct rte_mbuf *m, const struct cursor *at, bool first,
		bool last)
{
	unsigned int flags = 0;

	(void)q;
	if ((m->ol_flags & RTE_MBUF_F_TX_VLAN) != 0)
		flags |= LM_IONIC_TXQ_DESC_FLAG_VLAN;
	if (first)
		flags |= LM_IONIC_TXQ_DESC_FLAG_TSO_SOT;
	if (last)
		flags |= LM_IONIC_TXQ_DESC_FLAG_TSO_EOT;
	return (uint64_t)flags << LM_IONIC_TXQ_DESC_FLAGS_SHIFT |
			(uint64_t)LM_IONIC_TXQ_DESC_OPCODE_TSO << LM_IONIC_TXQ_DESC_OPCODE_SHIFT |
			(rte_pktmbuf_iova(at->m) + at->offset) << LM_IONIC_TXQ_DESC_ADDR_SHIFT;
}

/* @return bytes taken from the cursor's buffer, which is left when it is used up */
static uint16_t
take(struct cursor *at, uint32_t left)
{
	uint16_t part = (uint16_t)RTE_MIN(left, (uint32_t)at->m->data_len - at->offset);

	at->offset += part;
	while (at->m != NULL && at->offset == at->m->data_len) {
		at->m = at->m->next;
		at->offset = 0;
	}
	return part;
}

/* One segment of so many bytes. @return false: more buffers than a descriptor takes */
static bool
describe(struct pds_txq *q, const struct rte_mbuf *m, struct cursor *at, uint16_t index,
		uint32_t bytes, bool first, bool last)
{
	struct lm_ionic_txq_sg_elem *sg = &q->sg[index * q->sg_stride];
	struct lm_ionic_txq_desc *desc = &q->desc[index];
	uint64_t cmd = command(q, m, at, first, last);
	unsigned int nb_more = 0;

	desc->len = take(at, bytes);
	for (bytes -= desc->len; bytes != 0; bytes -= sg[nb_more++].len) {
		if (at->m == NULL || nb_more + 1u == q->max_segs)
			return false;
		sg[nb_more].addr = rte_pktmbuf_iova(at->m) + at->offset;
		sg[nb_more].len = take(at, bytes);
	}
	desc->cmd = cmd | (uint64_t)nb_more << LM_IONIC_TXQ_DESC_NSGE_SHIFT;
	desc->vlan_tci = m->vlan_tci;
	desc->csum_start = (uint16_t)header_bytes(m);
	desc->csum_offset = m->tso_segsz;
	return true;
}

uint16_t
pds_tso_enqueue(struct pds_txq *q, struct rte_mbuf *m)
{
	uint32_t left = m->pkt_len, bytes = header_bytes(m) + m->tso_segsz;
	struct cursor at = { .m = m };
	uint16_t index = q->head, last = q->head, nb = 0;

	while (left != 0) {
		bytes = RTE_MIN(bytes, left);
		left -= bytes;
		if (!describe(q, m, &at, index, bytes, nb == 0, left == 0))
			return 0;
		q->mbufs[index] = NULL;
		last = index;
		index = (index + 1) & q->mask;
		bytes = m->tso_segsz;
		nb++;
	}
	q->mbufs[last] = m;
	q->head = index;
	return nb;
}
