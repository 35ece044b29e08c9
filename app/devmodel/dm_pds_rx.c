/* SPDX-License-Identifier: BSD-3-Clause */

/* Receive: wire to the driver's buffers, one completion a descriptor, in ring order. */

#include <stdatomic.h>
#include <string.h>

#include "dm_pds_frame.h"
#include "dm_pds_vf.h"

#define DM_PDS_RX_BURST 64
#define DM_PDS_RX_MIN 14
#define DM_PDS_ETH_BYTES 14
#define DM_PDS_TAG_BYTES 4
#define DM_PDS_TPID 0x8100
#define DM_PDS_RX_STATUS_NO_ROOM 2 /* what Linux's driver says that a card answers */

/* What of a frame goes into its completion. */
struct dm_pds_rx_meta {
	const uint8_t *frame; /* without the tag when that was taken out */
	uint32_t len_bytes;
	struct dm_pds_headers headers;
	uint32_t hash;
	uint16_t vlan_tci;
	bool stripped;
};

static void
dm_pds_rx_strip(struct dm_pds_vf *vf, struct dm_pds_rx_meta *m)
{
	if ((vf->lif.features & LM_IONIC_ETH_HW_VLAN_RX_STRIP) == 0 ||
			m->len_bytes < DM_PDS_ETH_BYTES + DM_PDS_TAG_BYTES ||
			dm_pds_be16(m->frame + 12) != DM_PDS_TPID)
		return;
	m->stripped = true;
	m->vlan_tci = dm_pds_be16(m->frame + 14);
	memcpy(vf->frame, m->frame, 12);
	memcpy(vf->frame + 12, m->frame + 16, m->len_bytes - 16);
	m->frame = vf->frame;
	m->len_bytes -= DM_PDS_TAG_BYTES;
}

/* @return receive queue */
static uint16_t
dm_pds_rx_steer(const struct dm_pds_vf *vf, struct dm_pds_rx_meta *m)
{
	const struct dm_pds_lif *lif = &vf->lif;

	m->hash = 0;
	if ((lif->features & LM_IONIC_ETH_HW_RX_HASH) == 0 || lif->rss_types == 0)
		return 0;
	dm_pds_rss(m->frame, &m->headers, lif->rss_types, lif->rss_key, &m->hash);
	return lif->rss_table[m->hash % DM_PDS_RSS_TABLE];
}

/* Buffers of the descriptor at the head. @return their number, 0: not there */
static unsigned int
dm_pds_rx_buffers(struct dm_pds_vf *vf, const struct dm_pds_queue *q,
		struct lm_ionic_rxq_sg_elem *bufs)
{
	const uint64_t stride = LM_IONIC_RX_SG_DESC_STRIDE * sizeof(*bufs);
	struct lm_ionic_rxq_desc desc;
	unsigned int nb = 1;

	if (!dm_pds_read(&vf->fn, q->base + (uint64_t)q->head * sizeof(desc), &desc,
			sizeof(desc)))
		return 0;
	bufs[0].addr = desc.addr;
	bufs[0].len = desc.len;
	if (desc.opcode > LM_IONIC_RXQ_DESC_OPCODE_SG) {
		dm_rule_broken(vf->fn.host->rules, DM_RULE_PDS_RX_DESC, "opcode %u", desc.opcode);
		return 0;
	}
	if (desc.opcode != LM_IONIC_RXQ_DESC_OPCODE_SG || (q->flags & LM_IONIC_QINIT_F_SG) == 0)
		return nb;
	if (!dm_pds_read(&vf->fn, q->sg_base + q->head * stride, &bufs[1], stride))
		return 0;
	while (nb <= LM_IONIC_RX_MAX_SG_ELEMS && bufs[nb].len != 0)
		nb++;
	return nb;
}

/* @return status of the completion, or of a card that cannot write at all: BAD_ADDR */
static uint8_t
dm_pds_rx_scatter(struct dm_pds_vf *vf, const struct lm_ionic_rxq_sg_elem *bufs, unsigned int nb,
		const struct dm_pds_rx_meta *m, uint8_t *used)
{
	uint32_t done = 0, room = 0, piece;
	unsigned int i;

	for (i = 0; i < nb; i++)
		room += bufs[i].len;
	if (room < m->len_bytes)
		return DM_PDS_RX_STATUS_NO_ROOM;
	for (i = 0; i < nb && done < m->len_bytes; i++) {
		piece = m->len_bytes - done;
		if (piece > bufs[i].len)
			piece = bufs[i].len;
		if (piece != 0 && !dm_pds_write(&vf->fn, bufs[i].addr, m->frame + done, piece))
			return LM_PDS_RC_BAD_ADDR;
		done += piece;
	}
	*used = (uint8_t)(i - 1);
	return LM_PDS_RC_SUCCESS;
}

static void
dm_pds_rx_describe(const struct dm_pds_vf *vf, const struct dm_pds_rx_meta *m,
		struct lm_ionic_rxq_comp *comp)
{
	comp->len = (uint16_t)m->len_bytes;
	comp->rss_hash = m->hash;
	comp->vlan_tci = m->vlan_tci;
	comp->pkt_type_color = m->headers.pkt_type;
	if (m->stripped)
		comp->csum_flags |= LM_IONIC_RXQ_COMP_CSUM_F_VLAN;
	if ((vf->lif.features & LM_IONIC_ETH_HW_RX_CSUM) == 0)
		return;
	comp->csum = dm_pds_sum(m->frame + DM_PDS_ETH_BYTES, m->len_bytes - DM_PDS_ETH_BYTES, 0);
	comp->csum_flags |= dm_pds_csum_flags(m->frame, &m->headers);
}

/* @return 0, or the reason of a drop plus 1 */
static int
dm_pds_rx_deliver(struct dm_pds_vf *vf, struct dm_pds_queue *q, const struct dm_pds_rx_meta *m)
{
	struct lm_ionic_rxq_sg_elem bufs[1 + LM_IONIC_RX_MAX_SG_ELEMS];
	const uint64_t mask = (1u << q->size_lg2) - 1;
	struct lm_ionic_rxq_comp comp;
	unsigned int nb = dm_pds_rx_buffers(vf, q, bufs);

	memset(&comp, 0, sizeof(comp));
	comp.status = nb == 0 ? LM_PDS_RC_BAD_ADDR :
			dm_pds_rx_scatter(vf, bufs, nb, m, &comp.num_sg_elems);
	comp.comp_index = q->head;
	if (comp.status == LM_PDS_RC_SUCCESS)
		dm_pds_rx_describe(vf, m, &comp);
	comp.pkt_type_color |= q->color;
	if (!dm_pds_write_comp(&vf->fn, q->cq_base + (uint64_t)q->cq_head * sizeof(comp),
			(const uint8_t *)&comp)) {
		q->enabled = 0;
		return 1 + DM_PDS_RX_DMA;
	}
	q->head = (uint16_t)((q->head + 1u) & mask);
	q->cq_head = (uint16_t)((q->cq_head + 1u) & mask);
	if (q->cq_head == 0)
		q->color ^= LM_IONIC_COMP_COLOR_MASK;
	if (comp.status == LM_PDS_RC_SUCCESS)
		return 0;
	return 1 + (comp.status == DM_PDS_RX_STATUS_NO_ROOM ? DM_PDS_RX_NO_ROOM : DM_PDS_RX_DMA);
}

/* What keeps a frame out before a queue is chosen. @return 0, or the reason plus 1 */
static int
dm_pds_rx_refuse(const struct dm_pds_vf *vf, const uint8_t *frame, uint32_t len_bytes)
{
	if (vf->fn.level != DM_PDS_RUNNING)
		return 1 + DM_PDS_RX_SUSPENDED;
	if (!vf->lif.inited)
		return 1 + DM_PDS_RX_NOT_RUNNING;
	if (vf->lif.link_status != LM_IONIC_PORT_OPER_STATUS_UP)
		return 1 + DM_PDS_RX_LINK_DOWN;
	if (len_bytes < DM_PDS_RX_MIN)
		return 1 + DM_PDS_RX_TOO_SHORT;
	if (len_bytes > vf->lif.mtu + DM_PDS_FRAME_OVERHEAD)
		return 1 + DM_PDS_RX_TOO_BIG;
	if (!dm_pds_filter_pass(&vf->lif, frame, len_bytes))
		return 1 + DM_PDS_RX_FILTERED;
	return 0;
}

static int
dm_pds_rx_one(struct dm_pds_vf *vf, const uint8_t *frame, uint32_t len_bytes, uint16_t *queue)
{
	struct dm_pds_rx_meta m = { .frame = frame, .len_bytes = len_bytes };
	struct dm_pds_queue *q;
	int why = dm_pds_rx_refuse(vf, frame, len_bytes);

	if (why != 0)
		return why;
	dm_pds_rx_strip(vf, &m);
	dm_pds_parse(m.frame, m.len_bytes, &m.headers);
	*queue = dm_pds_rx_steer(vf, &m);
	q = &vf->lif.rxq[*queue];
	if (!q->inited || !q->enabled)
		return 1 + DM_PDS_RX_QUEUE_OFF;
	if (dm_pds_q_posted(q) == 0)
		return 1 + DM_PDS_RX_NO_BUFFER;
	atomic_thread_fence(memory_order_acquire);
	why = dm_pds_rx_deliver(vf, q, &m);
	if (why == 0) {
		q->frames++;
		q->bytes += len_bytes;
	}
	return why;
}

unsigned int
dm_pds_rx_poll(struct dm_pds_vf *vf)
{
	uint16_t events[DM_PDS_MAX_PAIRS] = { 0 };
	unsigned int work;
	const uint8_t *frame;
	uint32_t len_bytes;
	uint16_t queue;
	int why;

	for (work = 0; work < DM_PDS_RX_BURST; work++) {
		len_bytes = dm_wire_peek(vf->wire, &frame);
		if (len_bytes == 0)
			break;
		queue = 0;
		why = dm_pds_rx_one(vf, dm_fault_flip(vf->fn.host->faults, frame, len_bytes,
				vf->segment), len_bytes, &queue);
		if (why == 0)
			dm_pds_count_rx(vf, frame, len_bytes);
		else
			dm_pds_drop_rx(vf, (enum dm_pds_rx_drop)(why - 1), frame, len_bytes);
		events[queue] += why == 0 || why == 1 + DM_PDS_RX_NO_ROOM ||
				why == 1 + DM_PDS_RX_DMA;
		dm_wire_pop(vf->wire);
		if (why == 0)
			dm_fault_frame(vf->fn.host->faults);
	}
	for (queue = 0; queue < vf->pairs; queue++)
		dm_pds_intr_raise(&vf->fn, vf->lif.rxq[queue].vector, events[queue]);
	return work;
}
