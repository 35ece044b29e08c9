/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The VF's state as a blob. Its reader learns neither a length nor whether all arrived, so the
 * blob says both and carries a checksum; what it holds is checked like anything from outside.
 */

#include <string.h>

#include <xxhash.h>

#include "dm_pds_vf.h"

#define DM_PDS_BLOB_MAGIC UINT64_C(0x3154535344504d4c) /* "LMPDSST1" */
#define DM_PDS_BLOB_VERSION 1
#define DM_PDS_BLOB_FILL 0x5a

struct dm_pds_blob {
	uint64_t magic;
	uint32_t version;
	uint32_t length_bytes;
	uint64_t checksum; /* XXH3 of all behind it */
	uint16_t pairs;
	uint16_t pad[3];
	struct dm_pds_regs regs;
	struct dm_pds_lif lif;
};
static_assert(sizeof(struct dm_pds_blob) <= LM_PDS_LM_DEVICE_STATE_LENGTH, "pds_adminq.h");

#define DM_PDS_BLOB_BODY offsetof(struct dm_pds_blob, pairs)

uint32_t
dm_pds_state_bytes(const struct dm_pds_vf *vf)
{
	uint64_t want = vf->fn.faults.blob_bytes;

	if (want > LM_PDS_LM_DEVICE_STATE_LENGTH)
		want = LM_PDS_LM_DEVICE_STATE_LENGTH;
	return want > sizeof(struct dm_pds_blob) ? (uint32_t)want : sizeof(struct dm_pds_blob);
}

void
dm_pds_state_save(struct dm_pds_vf *vf, uint8_t *buf)
{
	struct dm_pds_blob b;

	memset(&b, 0, sizeof(b));
	b.magic = DM_PDS_BLOB_MAGIC;
	b.version = DM_PDS_BLOB_VERSION;
	b.length_bytes = dm_pds_state_bytes(vf);
	b.pairs = vf->pairs;
	b.regs = vf->fn.regs;
	b.lif = vf->lif;
	memset(buf, DM_PDS_BLOB_FILL, b.length_bytes);
	memcpy(buf, &b, sizeof(b));
	b.checksum = XXH3_64bits(buf + DM_PDS_BLOB_BODY, b.length_bytes - DM_PDS_BLOB_BODY);
	memcpy(buf, &b, sizeof(b));
	if (dm_pds_fault_take(&vf->fn.faults.blob_corrupt))
		buf[b.length_bytes - 1] ^= 1;
}

static bool
dm_pds_vector_ok(const struct dm_pds_vf *vf, uint16_t vector)
{
	return vector == LM_IONIC_QINIT_NO_INTR || vector < vf->fn.nb_vectors;
}

static bool
dm_pds_ring_state_ok(uint8_t size_lg2, uint16_t a, uint16_t b, uint16_t c)
{
	return size_lg2 >= LM_PDS_CORE_QSIZE_MIN_LG2 && size_lg2 <= LM_PDS_QSIZE_MAX_LG2 &&
			((uint32_t)a | b | c) >> size_lg2 == 0;
}

static bool
dm_pds_queues_ok(const struct dm_pds_vf *vf, const struct dm_pds_queue *queues, uint8_t versions)
{
	const struct dm_pds_queue *q;
	uint32_t i;

	for (i = 0; i < DM_PDS_MAX_PAIRS; i++) {
		q = &queues[i];
		if (!q->inited && !q->enabled)
			continue;
		if (i >= vf->pairs || !q->inited || q->pid >= vf->fn.nb_pages ||
				q->version >= versions || !dm_pds_vector_ok(vf, q->vector) ||
				(q->color & ~LM_IONIC_COMP_COLOR_MASK) != 0 ||
				!dm_pds_ring_state_ok(q->size_lg2, q->head, q->p_index, q->cq_head))
			return false;
	}
	return true;
}

static bool
dm_pds_lif_ok(const struct dm_pds_vf *vf, const struct dm_pds_lif *lif)
{
	const struct dm_pds_cmdq *aq = &lif->adminq;
	const struct dm_pds_notifyq *nq = &lif->notifyq;
	uint32_t i;

	for (i = 0; i < sizeof(lif->rss_table); i++)
		if (lif->rss_table[i] >= vf->pairs)
			return false;
	if (aq->enabled && (!dm_pds_vector_ok(vf, aq->vector) ||
			(aq->color & ~LM_PDS_COMP_COLOR_MASK) != 0 ||
			!dm_pds_ring_state_ok(aq->size_lg2, aq->head, aq->p_index, aq->cq_head)))
		return false;
	if (nq->enabled && (!dm_pds_vector_ok(vf, nq->vector) ||
			!dm_pds_ring_state_ok(nq->size_lg2, nq->head, 0, 0)))
		return false;
	return lif->mtu >= DM_PDS_MTU_MIN && lif->mtu <= DM_PDS_FRAME_MAX &&
			(lif->features & ~DM_PDS_FEATURES) == 0 && (lif->mac[0] & 1) == 0 &&
			dm_pds_queues_ok(vf, lif->rxq, 3) && dm_pds_queues_ok(vf, lif->txq, 4);
}

static bool
dm_pds_regs_ok(const struct dm_pds_regs *regs)
{
	uint32_t i;

	for (i = 0; i < DM_PDS_MAX_VECTORS; i++)
		if (regs->intr[i].coal_init > LM_PDS_CORE_INTR_CTRL_COAL_MAX ||
				regs->intr[i].mask > 1 || regs->intr[i].mask_on_assert > 1)
			return false;
	return regs->cmd_waits <= 1 && regs->fw_status != UINT8_MAX;
}

uint8_t
dm_pds_state_restore(struct dm_pds_vf *vf, const uint8_t *buf, uint32_t len_bytes)
{
	struct dm_pds_blob b;
	uint32_t page, type;

	memcpy(&b, buf, sizeof(b));
	if (b.magic != DM_PDS_BLOB_MAGIC || b.length_bytes < sizeof(b) ||
			b.length_bytes > len_bytes)
		return LM_PDS_RC_EINVAL;
	if (b.version != DM_PDS_BLOB_VERSION)
		return LM_PDS_RC_EVERSION;
	if (b.checksum != XXH3_64bits(buf + DM_PDS_BLOB_BODY, b.length_bytes - DM_PDS_BLOB_BODY) ||
			b.pairs != vf->pairs || !dm_pds_regs_ok(&b.regs) ||
			!dm_pds_lif_ok(vf, &b.lif))
		return LM_PDS_RC_EINVAL;
	vf->fn.regs = b.regs;
	vf->lif = b.lif;
	vf->fn.db_stored = true; /* maybe: look soon */
	memset(vf->fn.coal_end_ns, 0, sizeof(vf->fn.coal_end_ns));
	for (page = 1; page < vf->fn.nb_pages; page++)
		for (type = 0; type < LM_PDS_DBELL_TYPES; type++)
			dm_pds_db_forget(&vf->fn, page, type);
	return LM_PDS_RC_SUCCESS;
}
