/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Live migration commands. SGLs, state and bitmaps are the PF's memory; dirty addresses are the
 * VF's. A command that is refused has changed nothing.
 */

#include <stdlib.h>
#include <string.h>

#include "dm_pds_card.h"
#include "dm_pds_vf.h"

#define DM_PDS_BMP_MASK (1u << LM_PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK)

/* Move len bytes between buf and an SGL. */
static uint8_t
dm_pds_lm_sgl(struct dm_pds_pf *pf, uint64_t sgl, uint32_t nb, uint8_t *buf, uint32_t len_bytes,
		bool to_host)
{
	struct lm_pds_lm_sg_elem e;
	uint32_t piece, i;
	bool good;

	for (i = 0; i < nb && len_bytes != 0; i++) {
		if (!dm_pds_read(&pf->fn, sgl + (uint64_t)i * sizeof(e), &e, sizeof(e)))
			return LM_PDS_RC_BAD_ADDR;
		piece = e.len < len_bytes ? e.len : len_bytes;
		good = to_host ? dm_pds_write(&pf->fn, e.addr, buf, piece) :
				dm_pds_read(&pf->fn, e.addr, buf, piece);
		if (!good)
			return LM_PDS_RC_BAD_ADDR;
		buf += piece;
		len_bytes -= piece;
	}
	return len_bytes == 0 ? LM_PDS_RC_SUCCESS : LM_PDS_RC_ENOSPC;
}

static uint8_t
dm_pds_lm_host_status(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	uint8_t status = cmd[offsetof(struct lm_pds_lm_host_vf_status_cmd, status)];

	(void)comp;
	if (status >= LM_PDS_LM_STA_MAX)
		return LM_PDS_RC_EINVAL;
	pf->in_progress &= ~(UINT64_C(1) << vf->id);
	pf->in_progress |= (uint64_t)status << vf->id;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lm_state_size(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_pds_lm_state_size_comp out = { 0 };

	(void)pf;
	(void)cmd;
	lm_le64_set(&out.size, dm_pds_state_bytes(vf));
	memcpy(comp, &out, sizeof(out));
	return LM_PDS_RC_SUCCESS;
}

/* Both levels stop all DMA. What was rung before is taken along. */
static uint8_t
dm_pds_lm_suspend(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	uint8_t type = cmd[offsetof(struct lm_pds_lm_suspend_cmd, type)];

	(void)pf;
	(void)comp;
	if (type > LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P)
		return LM_PDS_RC_EINVAL;
	if (vf->fn.level != DM_PDS_SUSPENDED_FULL)
		dm_pds_db_poll(&vf->fn);
	if (type == LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL)
		vf->fn.level = DM_PDS_SUSPENDED_FULL;
	else if (vf->fn.level == DM_PDS_RUNNING)
		vf->fn.level = DM_PDS_SUSPENDED_P2P;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lm_suspend_status(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd,
		uint8_t *comp)
{
	uint8_t type = cmd[offsetof(struct lm_pds_lm_suspend_cmd, type)];
	enum dm_pds_level want = type == LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL ?
			DM_PDS_SUSPENDED_FULL : DM_PDS_SUSPENDED_P2P;

	(void)comp;
	if (dm_pds_fault_take(&pf->fn.faults.suspend_busy))
		return LM_PDS_RC_EAGAIN;
	return vf->fn.level >= want ? LM_PDS_RC_SUCCESS : LM_PDS_RC_EINVAL;
}

static uint8_t
dm_pds_lm_resume(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	uint8_t type = cmd[offsetof(struct lm_pds_lm_suspend_cmd, type)];

	(void)pf;
	(void)comp;
	if (type > LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P)
		return LM_PDS_RC_EINVAL;
	if (vf->fn.level == DM_PDS_SUSPENDED_FULL) {
		dm_pds_db_poll(&vf->fn); /* what was rung meanwhile: against the rules */
		vf->fn.level = DM_PDS_SUSPENDED_P2P;
	}
	if (type == LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL && vf->fn.level != DM_PDS_RUNNING) {
		vf->fn.level = DM_PDS_RUNNING;
		dm_pds_intr_resume(&vf->fn);
	}
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lm_save(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_pds_lm_save_cmd c;
	uint8_t status = LM_PDS_RC_ENOMEM;
	uint8_t *blob;

	(void)comp;
	memcpy(&c, cmd, sizeof(c));
	if (vf->fn.level != DM_PDS_SUSPENDED_FULL)
		return LM_PDS_RC_EBUSY;
	blob = calloc(1, LM_PDS_LM_DEVICE_STATE_LENGTH);
	if (blob != NULL) {
		dm_pds_state_save(vf, blob);
		status = dm_pds_lm_sgl(pf, lm_le64_get(&c.sgl_addr), c.num_sge, blob,
				dm_pds_state_bytes(vf), true);
	}
	free(blob);
	return status;
}

/* Linux hands over 64 KiB however much was written to it; less is taken too. */
static uint8_t
dm_pds_lm_restore(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_pds_lm_save_cmd c;
	uint8_t status;
	uint8_t *blob;

	(void)comp;
	memcpy(&c, cmd, sizeof(c));
	if (vf->fn.level != DM_PDS_SUSPENDED_FULL)
		return LM_PDS_RC_EBUSY;
	blob = calloc(1, LM_PDS_LM_DEVICE_STATE_LENGTH);
	if (blob == NULL)
		return LM_PDS_RC_ENOMEM;
	status = dm_pds_lm_sgl(pf, lm_le64_get(&c.sgl_addr), c.num_sge, blob,
			LM_PDS_LM_DEVICE_STATE_LENGTH, false);
	if (status == LM_PDS_RC_SUCCESS || status == LM_PDS_RC_ENOSPC)
		status = dm_pds_state_restore(vf, blob, LM_PDS_LM_DEVICE_STATE_LENGTH);
	free(blob);
	return status;
}

static void
dm_pds_lm_dirty_comp(const struct dm_pds_vf *vf, uint8_t *comp)
{
	struct lm_pds_lm_dirty_status_comp out = { 0 };

	out.max_regions = DM_PDS_MAX_REGIONS;
	out.num_regions = (uint8_t)vf->fn.dirty.nb_regions;
	out.bmp_type = out.num_regions == 0 ? LM_PDS_LM_DIRTY_BMP_TYPE_NONE :
			LM_PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK;
	out.bmp_type_mask = DM_PDS_BMP_MASK;
	memcpy(comp, &out, sizeof(out));
}

static uint8_t
dm_pds_lm_dirty_status(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd,
		uint8_t *comp)
{
	struct lm_pds_lm_dirty_region_info info[DM_PDS_MAX_REGIONS];
	const struct dm_pds_dirty *d = &vf->fn.dirty;
	struct lm_pds_lm_dirty_status_cmd c;
	uint32_t nb, i;

	memcpy(&c, cmd, sizeof(c));
	dm_pds_lm_dirty_comp(vf, comp);
	nb = c.max_regions < d->nb_regions ? c.max_regions : d->nb_regions;
	memset(info, 0, sizeof(info));
	for (i = 0; i < nb; i++) {
		info[i].dma_base = d->regions[i].base;
		info[i].page_count = (uint32_t)d->regions[i].page_count;
		info[i].page_size_log2 = d->regions[i].page_size_lg2;
	}
	if (nb != 0 && !dm_pds_write(&pf->fn, c.regions_dma, info, nb * sizeof(info[0])))
		return LM_PDS_RC_BAD_ADDR;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lm_dirty_enable(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd,
		uint8_t *comp)
{
	struct lm_pds_lm_dirty_region_info info[DM_PDS_MAX_REGIONS];
	struct lm_pds_lm_dirty_enable_cmd c;
	uint8_t status;

	memcpy(&c, cmd, sizeof(c));
	dm_pds_lm_dirty_comp(vf, comp);
	if (c.bmp_type != LM_PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK)
		return LM_PDS_RC_ENOSUPP;
	if (c.num_regions == 0 || c.num_regions > DM_PDS_MAX_REGIONS)
		return LM_PDS_RC_ERANGE;
	if (!dm_pds_read(&pf->fn, c.regions_dma, info, c.num_regions * sizeof(info[0])))
		return LM_PDS_RC_BAD_ADDR;
	status = dm_pds_dirty_enable(&vf->fn.dirty, info, c.num_regions);
	if (status == LM_PDS_RC_SUCCESS && !dm_pds_write(&pf->fn, c.regions_dma, info,
			c.num_regions * sizeof(info[0]))) {
		dm_pds_dirty_disable(&vf->fn.dirty);
		status = LM_PDS_RC_BAD_ADDR;
	}
	dm_pds_lm_dirty_comp(vf, comp);
	return status;
}

static uint8_t
dm_pds_lm_dirty_disable(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd,
		uint8_t *comp)
{
	(void)pf;
	(void)cmd;
	dm_pds_dirty_disable(&vf->fn.dirty);
	dm_pds_lm_dirty_comp(vf, comp);
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lm_bitmap_check(const struct dm_pds_vf *vf, const struct lm_pds_lm_dirty_seq_ack_cmd *c)
{
	return (uint64_t)c->off_bytes + c->len_bytes > vf->fn.dirty.bytes || c->len_bytes == 0 ?
			LM_PDS_RC_ERANGE : LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lm_read_seq(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_pds_lm_dirty_seq_ack_cmd c;
	uint8_t status;

	(void)comp;
	memcpy(&c, cmd, sizeof(c));
	status = dm_pds_lm_bitmap_check(vf, &c);
	if (status != LM_PDS_RC_SUCCESS)
		return status;
	return dm_pds_lm_sgl(pf, c.sgl_addr, c.num_sge, vf->fn.dirty.seq + c.off_bytes,
			c.len_bytes, true);
}

static uint8_t
dm_pds_lm_write_ack(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_pds_lm_dirty_seq_ack_cmd c;
	uint8_t status;
	uint8_t *bits;

	(void)comp;
	memcpy(&c, cmd, sizeof(c));
	status = dm_pds_lm_bitmap_check(vf, &c);
	if (status != LM_PDS_RC_SUCCESS)
		return status;
	bits = malloc(c.len_bytes);
	if (bits == NULL)
		return LM_PDS_RC_ENOMEM;
	status = dm_pds_lm_sgl(pf, c.sgl_addr, c.num_sge, bits, c.len_bytes, false);
	if (status == LM_PDS_RC_SUCCESS)
		memcpy(vf->fn.dirty.ack + c.off_bytes, bits, c.len_bytes);
	free(bits);
	return status;
}

static const struct {
	uint8_t opcode;
	uint8_t (*run)(struct dm_pds_pf *pf, struct dm_pds_vf *vf, const uint8_t *cmd,
			uint8_t *comp);
} dm_pds_lm_cmds[] = {
	{ LM_PDS_LM_CMD_HOST_VF_STATUS, dm_pds_lm_host_status },
	{ LM_PDS_LM_CMD_STATE_SIZE, dm_pds_lm_state_size },
	{ LM_PDS_LM_CMD_SUSPEND, dm_pds_lm_suspend },
	{ LM_PDS_LM_CMD_SUSPEND_STATUS, dm_pds_lm_suspend_status },
	{ LM_PDS_LM_CMD_RESUME, dm_pds_lm_resume },
	{ LM_PDS_LM_CMD_SAVE, dm_pds_lm_save },
	{ LM_PDS_LM_CMD_RESTORE, dm_pds_lm_restore },
	{ LM_PDS_LM_CMD_DIRTY_STATUS, dm_pds_lm_dirty_status },
	{ LM_PDS_LM_CMD_DIRTY_ENABLE, dm_pds_lm_dirty_enable },
	{ LM_PDS_LM_CMD_DIRTY_DISABLE, dm_pds_lm_dirty_disable },
	{ LM_PDS_LM_CMD_DIRTY_READ_SEQ, dm_pds_lm_read_seq },
	{ LM_PDS_LM_CMD_DIRTY_WRITE_ACK, dm_pds_lm_write_ack },
};

void
dm_pds_lm_run(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp)
{
	uint16_t vf_id;
	uint8_t status;
	size_t i;

	pf->lm_cmds++;
	memcpy(&vf_id, cmd + offsetof(struct lm_pds_lm_cmd, vf_id), sizeof(vf_id));
	if (dm_pds_fault_status(&pf->fn.faults.lm_status, cmd[0], &comp[0]))
		return;
	status = LM_PDS_RC_EOPCODE;
	for (i = 0; i < sizeof(dm_pds_lm_cmds) / sizeof(dm_pds_lm_cmds[0]); i++) {
		if (dm_pds_lm_cmds[i].opcode != cmd[0])
			continue;
		status = vf_id < pf->nb_vfs ?
				dm_pds_lm_cmds[i].run(pf, pf->vfs[vf_id], cmd, comp) :
				LM_PDS_RC_EVFID;
		break;
	}
	if (status == LM_PDS_RC_SUCCESS)
		dm_trace_mark(pf->fn.host->trace, "lm", cmd[0]);
	comp[0] = status;
}
