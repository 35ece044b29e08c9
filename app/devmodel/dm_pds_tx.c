/* SPDX-License-Identifier: BSD-3-Clause */

/* Transmit: descriptors to whole frames on the wire. */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "dm_pds_frame.h"
#include "dm_pds_vf.h"

#define DM_PDS_TX_BURST 64
#define DM_PDS_TX_MIN 14
#define DM_PDS_MACS_BYTES 12
#define DM_PDS_TAG_BYTES 4
#define DM_PDS_TPID 0x8100
#define DM_PDS_TX_LIMIT (DM_FRAME_MAX - DM_PDS_TAG_BYTES)

static unsigned int
dm_pds_tx_flags(const struct lm_ionic_txq_desc *desc)
{
	return desc->cmd >> LM_IONIC_TXQ_DESC_FLAGS_SHIFT & LM_IONIC_TXQ_DESC_FLAGS_MASK;
}

static unsigned int
dm_pds_tx_opcode(const struct lm_ionic_txq_desc *desc)
{
	return desc->cmd >> LM_IONIC_TXQ_DESC_OPCODE_SHIFT & LM_IONIC_TXQ_DESC_OPCODE_MASK;
}

bool
dm_pds_tx_fetch(struct dm_pds_vf *vf, const struct dm_pds_queue *q, uint16_t at,
		struct lm_ionic_txq_desc *desc)
{
	return dm_pds_read(&vf->fn, q->base + (uint64_t)at * sizeof(*desc), desc, sizeof(*desc));
}

/* SG elements of a descriptor. @return false: too many, or not there */
static bool
dm_pds_tx_elems(struct dm_pds_vf *vf, const struct dm_pds_queue *q, uint16_t at, unsigned int nb,
		struct lm_ionic_txq_sg_elem *elems)
{
	const bool v1 = q->version >= 1;
	const uint64_t stride = (v1 ? LM_IONIC_TX_SG_DESC_STRIDE_V1 : LM_IONIC_TX_SG_DESC_STRIDE) *
			sizeof(*elems);

	if (nb == 0)
		return true;
	if ((q->flags & LM_IONIC_QINIT_F_SG) == 0 ||
			nb > (v1 ? LM_IONIC_TX_MAX_SG_ELEMS_V1 : LM_IONIC_TX_MAX_SG_ELEMS)) {
		dm_rule_broken(vf->fn.host->rules, DM_RULE_PDS_TX_DESC, "%u SG elements", nb);
		dm_pds_drop_tx(vf, DM_PDS_TX_BAD);
		return false;
	}
	if (dm_pds_read(&vf->fn, q->sg_base + at * stride, elems, nb * sizeof(*elems)))
		return true;
	dm_pds_drop_tx(vf, DM_PDS_TX_DMA);
	return false;
}

uint32_t
dm_pds_tx_gather(struct dm_pds_vf *vf, const struct dm_pds_queue *q, uint16_t at,
		const struct lm_ionic_txq_desc *desc, uint8_t *buf, uint32_t used_bytes)
{
	struct lm_ionic_txq_sg_elem elems[1 + LM_IONIC_TX_MAX_SG_ELEMS_V1];
	unsigned int nb = desc->cmd >> LM_IONIC_TXQ_DESC_NSGE_SHIFT & LM_IONIC_TXQ_DESC_NSGE_MASK;
	unsigned int i;

	elems[0].addr = desc->cmd >> LM_IONIC_TXQ_DESC_ADDR_SHIFT & LM_IONIC_TXQ_DESC_ADDR_MASK;
	elems[0].len = desc->len;
	if (!dm_pds_tx_elems(vf, q, at, nb, &elems[1]))
		return 0;
	for (i = 0; i <= nb; i++) {
		if (elems[i].len > DM_PDS_TX_LIMIT - used_bytes) {
			dm_pds_drop_tx(vf, DM_PDS_TX_TOO_BIG);
			return 0;
		}
		if (elems[i].len != 0 && !dm_pds_read(&vf->fn, elems[i].addr, buf + used_bytes,
				elems[i].len)) {
			dm_pds_drop_tx(vf, DM_PDS_TX_DMA);
			return 0;
		}
		used_bytes += elems[i].len;
	}
	if (used_bytes == 0)
		dm_pds_drop_tx(vf, DM_PDS_TX_SHORT);
	return used_bytes;
}

void
dm_pds_tx_send(struct dm_pds_vf *vf, struct dm_pds_queue *q, const uint8_t *frame,
		uint32_t len_bytes, int32_t vlan_tci)
{
	uint8_t tag[DM_PDS_TAG_BYTES];
	struct iovec iov[3];
	int ret;

	if (len_bytes < DM_PDS_TX_MIN) {
		dm_pds_drop_tx(vf, DM_PDS_TX_SHORT);
		return;
	}
	if (len_bytes > vf->lif.mtu + DM_PDS_FRAME_OVERHEAD) {
		dm_pds_drop_tx(vf, DM_PDS_TX_TOO_BIG);
		return;
	}
	dm_pds_put_be16(tag, DM_PDS_TPID);
	dm_pds_put_be16(tag + 2, (uint16_t)vlan_tci);
	iov[0].iov_base = (void *)(uintptr_t)frame;
	iov[0].iov_len = DM_PDS_MACS_BYTES;
	iov[1].iov_base = tag;
	iov[1].iov_len = vlan_tci >= 0 ? sizeof(tag) : 0;
	iov[2].iov_base = (void *)(uintptr_t)(frame + DM_PDS_MACS_BYTES);
	iov[2].iov_len = len_bytes - DM_PDS_MACS_BYTES;
	ret = vf->lif.link_status == LM_IONIC_PORT_OPER_STATUS_UP ?
			dm_wire_send(vf->wire, iov, 3) : -ENOLINK;
	if (ret != 0) {
		dm_pds_drop_tx(vf, ret == -EAGAIN ? DM_PDS_TX_FULL :
				ret == -ENOLINK ? DM_PDS_TX_LINK : DM_PDS_TX_TOO_BIG);
		return;
	}
	q->frames++;
	q->bytes += len_bytes;
	dm_pds_count_tx(vf, frame, len_bytes);
	dm_fault_frame(vf->fn.host->faults);
}

/* The sum runs from a given offset to the end; what the driver left in the field counts. */
static bool
dm_pds_tx_partial(uint8_t *frame, uint32_t len_bytes, const struct lm_ionic_txq_desc *desc)
{
	uint32_t field = (uint32_t)desc->csum_start + desc->csum_offset;
	uint16_t sum;

	if (desc->csum_start >= len_bytes || field + sizeof(sum) > len_bytes)
		return false;
	sum = (uint16_t)~dm_pds_sum(frame + desc->csum_start, len_bytes - desc->csum_start, 0);
	if (sum == 0)
		sum = 0xffff;
	memcpy(frame + field, &sum, sizeof(sum));
	return true;
}

static void
dm_pds_tx_hw(uint8_t *frame, uint32_t len_bytes, unsigned int flags)
{
	struct dm_pds_headers h;

	dm_pds_parse(frame, len_bytes, &h);
	if ((flags & LM_IONIC_TXQ_DESC_FLAG_CSUM_L3) != 0)
		dm_pds_l3_csum_set(frame, &h);
	if ((flags & LM_IONIC_TXQ_DESC_FLAG_CSUM_L4) != 0)
		dm_pds_l4_csum_set(frame, &h);
}

static void
dm_pds_tx_one(struct dm_pds_vf *vf, struct dm_pds_queue *q, const struct lm_ionic_txq_desc *desc)
{
	unsigned int flags = dm_pds_tx_flags(desc);
	unsigned int opcode = dm_pds_tx_opcode(desc);
	uint32_t len_bytes = dm_pds_tx_gather(vf, q, q->head, desc, vf->frame, 0);
	bool good = true;

	if (len_bytes == 0)
		return;
	if (opcode == LM_IONIC_TXQ_DESC_OPCODE_CSUM_PARTIAL)
		good = dm_pds_tx_partial(vf->frame, len_bytes, desc);
	else if (opcode == LM_IONIC_TXQ_DESC_OPCODE_CSUM_HW)
		dm_pds_tx_hw(vf->frame, len_bytes, flags);
	else
		good = opcode == LM_IONIC_TXQ_DESC_OPCODE_CSUM_NONE;
	/* Tunnels are not offered. */
	if (!good || (flags & LM_IONIC_TXQ_DESC_FLAG_ENCAP) != 0) {
		dm_rule_broken(vf->fn.host->rules, DM_RULE_PDS_TX_DESC,
				"opcode %u, flags 0x%x, %u bytes", opcode, flags, len_bytes);
		dm_pds_drop_tx(vf, DM_PDS_TX_BAD);
		return;
	}
	dm_pds_tx_send(vf, q, vf->frame, len_bytes,
			(flags & LM_IONIC_TXQ_DESC_FLAG_VLAN) != 0 ? desc->vlan_tci : -1);
}

/* One completion for all that was done, as a card may. */
static void
dm_pds_tx_complete(struct dm_pds_vf *vf, struct dm_pds_queue *q)
{
	struct lm_ionic_txq_comp comp;
	uint64_t at = q->cq_base + (uint64_t)q->cq_head * sizeof(comp);

	memset(&comp, 0, sizeof(comp));
	comp.comp_index = (uint16_t)((q->head - 1u) & ((1u << q->size_lg2) - 1));
	comp.color = q->color;
	q->cq_head = (uint16_t)((q->cq_head + 1u) & ((1u << q->size_lg2) - 1));
	if (q->cq_head == 0)
		q->color ^= LM_IONIC_COMP_COLOR_MASK;
	if (dm_pds_write_comp(&vf->fn, at, (const uint8_t *)&comp))
		dm_pds_intr_raise(&vf->fn, q->vector, 1);
	else
		q->enabled = 0;
}

unsigned int
dm_pds_tx_poll(struct dm_pds_vf *vf, uint16_t index)
{
	struct dm_pds_queue *q = &vf->lif.txq[index];
	struct lm_ionic_txq_desc desc;
	unsigned int work = 0;
	uint32_t posted, nb;

	if (!q->inited || !q->enabled)
		return 0;
	posted = dm_pds_q_posted(q);
	if (posted != 0)
		atomic_thread_fence(memory_order_acquire);
	for (; posted != 0 && work < DM_PDS_TX_BURST; posted -= nb) {
		if (!dm_pds_tx_fetch(vf, q, q->head, &desc)) {
			vf->lif.stats.tx_desc_fetch_error++;
			q->enabled = 0;
			break;
		}
		nb = 1;
		if (dm_pds_tx_opcode(&desc) == LM_IONIC_TXQ_DESC_OPCODE_TSO)
			nb = dm_pds_tso(vf, q, posted);
		else
			dm_pds_tx_one(vf, q, &desc);
		if (nb == 0)
			break;
		q->head = (uint16_t)((q->head + nb) & ((1u << q->size_lg2) - 1));
		work++;
	}
	if (work != 0)
		dm_pds_tx_complete(vf, q);
	return work;
}
