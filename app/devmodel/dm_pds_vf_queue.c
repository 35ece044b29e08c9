/* SPDX-License-Identifier: BSD-3-Clause */

/* Queues of the VF: identity, set-up, control, doorbells. */

#include <string.h>

#include "dm_pds_vf.h"

#define DM_PDS_NQ_CQ_ALIGN 4096 /* the notify queue's events begin at the next such boundary */
#define DM_PDS_NQ_CMD_BYTES 4
#define DM_PDS_RING_ALIGN 16

/* One row a queue type: what Q_IDENTIFY says, and what Q_INIT may ask for. */
static const struct {
	uint8_t version;
	uint8_t supported; /* bit a version */
	uint16_t desc_sz, comp_sz, sg_desc_sz, max_sg_elems, sg_desc_stride;
} dm_pds_qtypes[] = {
	[LM_IONIC_QTYPE_ADMINQ] = { 0, 0x1, 64, 16, 0, 0, 0 },
	[LM_IONIC_QTYPE_NOTIFYQ] = { 0, 0x1, 4, 64, 0, 0, 0 },
	[LM_IONIC_QTYPE_RXQ] = { 2, 0x7, 16, 16, 128, LM_IONIC_RX_MAX_SG_ELEMS,
		LM_IONIC_RX_SG_DESC_STRIDE },
	[LM_IONIC_QTYPE_TXQ] = { 3, 0xf, 16, 16, 256, LM_IONIC_TX_MAX_SG_ELEMS_V1,
		LM_IONIC_TX_SG_DESC_STRIDE_V1 },
};

#define DM_PDS_NB_QTYPES (sizeof(dm_pds_qtypes) / sizeof(dm_pds_qtypes[0]))

uint8_t
dm_pds_q_identify(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_q_identify_cmd c;
	struct lm_ionic_q_identity id;

	(void)vf;
	memcpy(&c, cmd, sizeof(c));
	if (c.type >= DM_PDS_NB_QTYPES)
		return LM_PDS_RC_EQTYPE;
	memset(&id, 0, sizeof(id));
	id.version = c.ver < dm_pds_qtypes[c.type].version ? c.ver : dm_pds_qtypes[c.type].version;
	id.supported = dm_pds_qtypes[c.type].supported;
	id.features = LM_IONIC_QIDENT_F_CQ;
	if (dm_pds_qtypes[c.type].max_sg_elems != 0)
		id.features |= LM_IONIC_QIDENT_F_SG;
	id.desc_sz = dm_pds_qtypes[c.type].desc_sz;
	id.comp_sz = dm_pds_qtypes[c.type].comp_sz;
	id.sg_desc_sz = dm_pds_qtypes[c.type].sg_desc_sz;
	id.max_sg_elems = dm_pds_qtypes[c.type].max_sg_elems;
	id.sg_desc_stride = dm_pds_qtypes[c.type].sg_desc_stride;
	memcpy(data, &id, sizeof(id));
	comp[4] = id.version;
	return LM_PDS_RC_SUCCESS;
}

static bool
dm_pds_ring_ok(uint64_t base, uint8_t size_lg2, uint32_t entry_bytes)
{
	const uint64_t end = UINT64_C(1) << LM_PDS_CORE_ADDR_LEN;

	return base < end && ((uint64_t)entry_bytes << size_lg2) <= end - base &&
			base % DM_PDS_RING_ALIGN == 0;
}

static bool
dm_pds_rings_ok(const struct lm_ionic_q_init_cmd *c)
{
	return c->ring_size >= LM_PDS_CORE_QSIZE_MIN_LG2 && c->ring_size <= LM_PDS_QSIZE_MAX_LG2 &&
			dm_pds_ring_ok(lm_le64_get(&c->ring_base), c->ring_size,
				dm_pds_qtypes[c->type].desc_sz) &&
			dm_pds_ring_ok(lm_le64_get(&c->cq_ring_base), c->ring_size,
				dm_pds_qtypes[c->type].comp_sz) &&
			dm_pds_ring_ok(lm_le64_get(&c->sg_ring_base), c->ring_size,
				dm_pds_qtypes[c->type].sg_desc_sz);
}

static uint8_t
dm_pds_q_check(struct dm_pds_vf *vf, const struct lm_ionic_q_init_cmd *c, uint16_t vector)
{
	const uint32_t max = c->type == LM_IONIC_QTYPE_RXQ || c->type == LM_IONIC_QTYPE_TXQ ?
			vf->pairs : 1;

	if (!vf->lif.inited)
		return LM_PDS_RC_EPERM;
	if (c->type >= DM_PDS_NB_QTYPES)
		return LM_PDS_RC_EQTYPE;
	if (c->index >= max)
		return LM_PDS_RC_EQID;
	if ((c->flags & (LM_IONIC_QINIT_F_CMB | LM_IONIC_QINIT_F_EQ)) != 0)
		return LM_PDS_RC_ENOSUPP;
	if (c->lif_index == 0 && c->pid < vf->fn.nb_pages && c->ver < 8 &&
			(dm_pds_qtypes[c->type].supported >> c->ver & 1) != 0 &&
			(vector == LM_IONIC_QINIT_NO_INTR || vector < vf->fn.nb_vectors) &&
			dm_pds_rings_ok(c))
		return LM_PDS_RC_SUCCESS;
	dm_rule_broken(vf->fn.host->rules, DM_RULE_PDS_QUEUE, "type %u, queue %u", c->type,
			c->index);
	return LM_PDS_RC_EINVAL;
}

static void
dm_pds_q_start(struct dm_pds_queue *q, const struct lm_ionic_q_init_cmd *c, uint16_t vector)
{
	memset(q, 0, sizeof(*q));
	q->base = lm_le64_get(&c->ring_base);
	q->cq_base = lm_le64_get(&c->cq_ring_base);
	q->sg_base = lm_le64_get(&c->sg_ring_base);
	q->size_lg2 = c->ring_size;
	q->version = c->ver;
	q->flags = c->flags;
	q->vector = vector;
	q->pid = c->pid;
	q->color = LM_IONIC_COMP_COLOR_MASK;
	q->inited = 1;
	q->enabled = (c->flags & LM_IONIC_QINIT_F_ENA) != 0;
}

static void
dm_pds_nq_start(struct dm_pds_notifyq *q, const struct lm_ionic_q_init_cmd *c, uint16_t vector)
{
	uint64_t base = lm_le64_get(&c->ring_base);

	memset(q, 0, sizeof(*q));
	base += (uint64_t)DM_PDS_NQ_CMD_BYTES << c->ring_size;
	q->cq_base = (base + DM_PDS_NQ_CQ_ALIGN - 1) & ~(uint64_t)(DM_PDS_NQ_CQ_ALIGN - 1);
	q->size_lg2 = c->ring_size;
	q->vector = vector;
	q->enabled = (c->flags & LM_IONIC_QINIT_F_ENA) != 0;
}

uint8_t
dm_pds_q_init(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_ionic_q_init_comp out = { 0 };
	struct lm_ionic_q_init_cmd c;
	uint16_t vector;
	uint8_t status;

	memcpy(&c, cmd, sizeof(c));
	vector = (c.flags & LM_IONIC_QINIT_F_IRQ) != 0 ? c.intr_index : LM_IONIC_QINIT_NO_INTR;
	status = dm_pds_q_check(vf, &c, vector);
	if (status != LM_PDS_RC_SUCCESS)
		return status;
	dm_pds_db_forget(&vf->fn, c.pid, c.type);
	vf->fn.db_stored |= c.pid != 0;
	switch (c.type) {
	case LM_IONIC_QTYPE_ADMINQ:
		dm_pds_cmdq_start(&vf->lif.adminq, lm_le64_get(&c.ring_base),
				lm_le64_get(&c.cq_ring_base), c.ring_size, vector);
		vf->lif.adminq.enabled = (c.flags & LM_IONIC_QINIT_F_ENA) != 0;
		break;
	case LM_IONIC_QTYPE_NOTIFYQ:
		dm_pds_nq_start(&vf->lif.notifyq, &c, vector);
		break;
	case LM_IONIC_QTYPE_RXQ:
		dm_pds_q_start(&vf->lif.rxq[c.index], &c, vector);
		break;
	default:
		dm_pds_q_start(&vf->lif.txq[c.index], &c, vector);
	}
	out.hw_index = c.index;
	out.hw_type = c.type;
	memcpy(comp, &out, sizeof(out));
	return LM_PDS_RC_SUCCESS;
}

/* Disabling keeps the place in the ring: enabling goes on there. */
uint8_t
dm_pds_q_control(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_ionic_q_control_cmd c;
	struct dm_pds_queue *q;

	(void)comp;
	memcpy(&c, cmd, sizeof(c));
	if (c.type != LM_IONIC_QTYPE_RXQ && c.type != LM_IONIC_QTYPE_TXQ)
		return LM_PDS_RC_EQTYPE;
	if (c.index >= vf->pairs)
		return LM_PDS_RC_EQID;
	q = c.type == LM_IONIC_QTYPE_RXQ ? &vf->lif.rxq[c.index] : &vf->lif.txq[c.index];
	if (!q->inited)
		return LM_PDS_RC_ENOENT;
	if (c.oper > LM_IONIC_Q_HANG_RESET)
		return LM_PDS_RC_EINVAL;
	q->enabled = c.oper == LM_IONIC_Q_ENABLE;
	return LM_PDS_RC_SUCCESS;
}

void
dm_pds_vf_doorbell(struct dm_pds_fn *fn, uint32_t page, uint32_t type, uint32_t qid,
		uint16_t index)
{
	struct dm_pds_vf *vf = dm_pds_vf_of(fn);
	struct dm_pds_queue *q = NULL;

	if (type == LM_IONIC_QTYPE_ADMINQ && qid == 0) {
		dm_pds_cmdq_rung(fn, &vf->lif.adminq, index);
		return;
	}
	if (type == LM_IONIC_QTYPE_NOTIFYQ)
		return;
	if (type == LM_IONIC_QTYPE_RXQ && qid < vf->pairs)
		q = &vf->lif.rxq[qid];
	else if (type == LM_IONIC_QTYPE_TXQ && qid < vf->pairs)
		q = &vf->lif.txq[qid];
	if (q == NULL || !q->inited || q->pid != page || (uint32_t)index >> q->size_lg2 != 0)
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_DOORBELL,
				"page %u, type %u, queue %u, index %u", page, type, qid, index);
	else
		q->p_index = index;
}
