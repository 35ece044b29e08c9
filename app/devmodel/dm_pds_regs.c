/* SPDX-License-Identifier: BSD-3-Clause */

/* BAR 0: device information, device commands, interrupt control; and what runs commands. */

#include <errno.h>
#include <string.h>

#include "dm_pds.h"

#define DM_PDS_FW_STATUS_START (LM_PDS_CORE_FW_STS_F_RUNNING | 0x10)
#define DM_PDS_HEARTBEAT_NS 1000000000u
#define DM_PDS_DEVCMD_END (LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET + \
	sizeof(struct lm_pds_core_dev_cmd_regs))

void
dm_pds_fn_init(struct dm_pds_fn *fn, struct dm_host *host, const struct dm_pds_fn_ops *ops,
		uint16_t nb_vectors, uint16_t nb_pages)
{
	fn->ops = ops;
	fn->host = host;
	fn->nb_vectors = nb_vectors;
	fn->nb_pages = nb_pages;
	fn->db_fd = -1;
	fn->regs.fw_status = DM_PDS_FW_STATUS_START;
	fn->heartbeat_ns = host->now_ns(host->ctx);
	dm_pds_fn_reset(fn);
}

void
dm_pds_fn_reset(struct dm_pds_fn *fn)
{
	uint32_t page, type;

	memset(&fn->regs.cmd, 0, sizeof(fn->regs.cmd));
	fn->regs.cmd_waits = 0;
	fn->cmd_due_ns = 0;
	fn->aq_due_ns = 0;
	fn->level = DM_PDS_RUNNING;
	fn->db_stored = false;
	dm_pds_intr_reset(fn);
	for (page = 1; page < fn->nb_pages; page++)
		for (type = 0; type < LM_PDS_DBELL_TYPES; type++)
			dm_pds_db_forget(fn, page, type);
}

void
dm_pds_fn_fill(struct dm_pds_fn *fn, struct dm_device *device)
{
	struct lm_vu_region_conf *regs = &device->bars[DM_PDS_REGS_BAR];

	regs->size_bytes = LM_PDS_CORE_BAR0_SIZE;
	regs->flags = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	regs->fd = -1;
	device->bar_64bit[DM_PDS_REGS_BAR] = true;
	device->msix_bar = DM_PDS_MSIX_BAR;
	device->nb_vectors = fn->nb_vectors;
	device->wake_fd = -1;
}

/* It beats while the firmware runs. */
static void
dm_pds_heartbeat(struct dm_pds_fn *fn)
{
	uint64_t beats = (fn->host->now_ns(fn->host->ctx) - fn->heartbeat_ns) /
			DM_PDS_HEARTBEAT_NS;

	fn->heartbeat_ns += beats * DM_PDS_HEARTBEAT_NS;
	if ((fn->regs.fw_status & LM_PDS_CORE_FW_STS_F_RUNNING) != 0)
		fn->regs.heartbeat += (uint32_t)beats;
}

static void
dm_pds_info_read(struct dm_pds_fn *fn, uint32_t offset, uint8_t *buf, uint32_t len_bytes)
{
	struct lm_pds_core_dev_info_regs info;

	dm_pds_heartbeat(fn);
	memset(&info, 0, sizeof(info));
	info.signature = LM_PDS_CORE_DEV_INFO_SIGNATURE;
	info.version = 1;
	info.asic_type = LM_IONIC_ASIC_TYPE_SALINA;
	info.fw_status = fn->regs.fw_status;
	info.fw_heartbeat = fn->regs.heartbeat;
	memcpy(info.fw_version, "dpdk-lm-1", sizeof("dpdk-lm-1"));
	memcpy(info.serial_num, "DPDKLM0000001", sizeof("DPDKLM0000001"));
	memcpy(buf, (const uint8_t *)&info + offset, len_bytes);
}

static void
dm_pds_devcmd_run(struct dm_pds_fn *fn)
{
	struct lm_pds_core_dev_cmd_regs *r = &fn->regs.cmd;
	uint8_t cmd[LM_PDS_DEVCMD_BYTES], comp[LM_PDS_COMP_BYTES];

	fn->regs.cmd_waits = 0;
	fn->devcmds++;
	if (dm_pds_fault_take(&fn->faults.devcmd_lost))
		return;
	memcpy(cmd, r->cmd, sizeof(cmd));
	memset(comp, 0, sizeof(comp));
	lm_pds_text(fn->ops->devcmd_place, cmd, fn->last, sizeof(fn->last));
	if (!dm_pds_fault_status(&fn->faults.devcmd_status, cmd[0], &comp[0]))
		comp[0] = fn->ops->devcmd(fn, cmd, comp, r->data);
	if (comp[0] == LM_PDS_RC_SUCCESS)
		dm_trace_mark(fn->host->trace, fn->ops->trace_devcmd, cmd[0]);
	memcpy(r->comp, comp, sizeof(comp));
	r->done = LM_PDS_CORE_DEV_CMD_DONE;
}

/* A suspended function runs it after its resume, here or where its state went. */
static void
dm_pds_devcmd_try(struct dm_pds_fn *fn, uint64_t now_ns)
{
	if (fn->regs.cmd_waits && fn->level == DM_PDS_RUNNING && now_ns >= fn->cmd_due_ns &&
			(fn->regs.fw_status & LM_PDS_CORE_FW_STS_F_RUNNING) != 0)
		dm_pds_devcmd_run(fn);
}

static void
dm_pds_devcmd_write(struct dm_pds_fn *fn, uint32_t offset, const uint8_t *buf,
		uint32_t len_bytes)
{
	const uint32_t door = offsetof(struct lm_pds_core_dev_cmd_regs, doorbell);
	struct lm_pds_core_dev_cmd_regs *r = &fn->regs.cmd;
	uint64_t now_ns = fn->host->now_ns(fn->host->ctx);

	memcpy((uint8_t *)r + offset, buf, len_bytes);
	if (offset > door + 3 || (r->doorbell & 1) == 0)
		return;
	if (fn->regs.cmd_waits) {
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_DEVCMD_BUSY, "opcode %u", r->cmd[0]);
		return;
	}
	fn->regs.cmd_waits = 1;
	fn->cmd_due_ns = now_ns + fn->faults.devcmd_slow_us * 1000;
	dm_pds_devcmd_try(fn, now_ns);
}

/* One block at a time; an access may run over the end of one. */
static uint32_t
dm_pds_piece(uint64_t offset, uint32_t len_bytes)
{
	static const uint32_t ends[] = {
		LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET, DM_PDS_DEVCMD_END,
		LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET, LM_PDS_CORE_BAR0_SIZE,
	};
	uint32_t i = 0;

	while (offset >= ends[i])
		i++;
	return len_bytes < ends[i] - offset ? len_bytes : (uint32_t)(ends[i] - offset);
}

static void
dm_pds_regs_read(struct dm_pds_fn *fn, uint32_t offset, uint8_t *buf, uint32_t len_bytes)
{
	uint64_t pending;
	uint32_t i;

	if (offset < LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET) {
		dm_pds_info_read(fn, offset, buf, len_bytes);
	} else if (offset < DM_PDS_DEVCMD_END) {
		memcpy(buf, (const uint8_t *)&fn->regs.cmd + offset -
				LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET, len_bytes);
	} else if (offset < LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET) {
		pending = dm_pds_intr_pending(fn);
		for (i = 0; i < len_bytes; i++)
			buf[i] = offset + i - DM_PDS_DEVCMD_END >= sizeof(pending) ? 0 :
					(uint8_t)(pending >> 8 * (offset + i - DM_PDS_DEVCMD_END));
	} else {
		dm_pds_intr_read(fn, offset - LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET, buf, len_bytes);
	}
}

static void
dm_pds_regs_write(struct dm_pds_fn *fn, uint32_t offset, const uint8_t *buf, uint32_t len_bytes)
{
	if (offset >= LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET)
		dm_pds_intr_write(fn, offset - LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET, buf, len_bytes);
	else if (offset >= LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET && offset < DM_PDS_DEVCMD_END)
		dm_pds_devcmd_write(fn, offset - LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET, buf,
				len_bytes);
	else
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_ACCESS, "0x%x", offset);
}

int
dm_pds_bar_read(struct dm_pds_fn *fn, uint32_t bar, uint64_t offset, void *buf,
		uint32_t len_bytes)
{
	uint8_t *to = buf;
	uint32_t piece;

	memset(buf, 0, len_bytes);
	if (bar != DM_PDS_REGS_BAR)
		return bar == DM_PDS_DBELL_BAR ? 0 : -EINVAL;
	for (; len_bytes != 0; len_bytes -= piece) {
		piece = dm_pds_piece(offset, len_bytes);
		dm_pds_regs_read(fn, (uint32_t)offset, to, piece);
		offset += piece;
		to += piece;
	}
	return 0;
}

int
dm_pds_bar_write(struct dm_pds_fn *fn, uint32_t bar, uint64_t offset, const void *buf,
		uint32_t len_bytes)
{
	const uint8_t *from = buf;
	uint32_t piece;

	if (bar == DM_PDS_DBELL_BAR) {
		dm_pds_db_write(fn, offset, buf, len_bytes);
		return 0;
	}
	if (bar != DM_PDS_REGS_BAR)
		return -EINVAL;
	for (; len_bytes != 0; len_bytes -= piece) {
		piece = dm_pds_piece(offset, len_bytes);
		dm_pds_regs_write(fn, (uint32_t)offset, from, piece);
		offset += piece;
		from += piece;
	}
	return 0;
}

unsigned int
dm_pds_fn_tick(struct dm_pds_fn *fn, uint64_t now_ns)
{
	uint64_t before = fn->devcmds;

	dm_pds_devcmd_try(fn, now_ns);
	dm_pds_intr_tick(fn, now_ns);
	return (unsigned int)(fn->devcmds - before);
}

static uint64_t
dm_pds_earlier(uint64_t due_ns, uint64_t soonest_ns)
{
	return due_ns != 0 && due_ns < soonest_ns ? due_ns : soonest_ns;
}

uint32_t
dm_pds_fn_sleep_us(struct dm_pds_fn *fn, uint64_t now_ns, uint32_t max_us)
{
	uint64_t soonest_ns = now_ns + (uint64_t)max_us * 1000;
	uint16_t i;

	if (fn->regs.cmd_waits && fn->level == DM_PDS_RUNNING)
		soonest_ns = dm_pds_earlier(fn->cmd_due_ns, soonest_ns);
	soonest_ns = dm_pds_earlier(fn->aq_due_ns, soonest_ns);
	for (i = 0; i < fn->nb_vectors; i++)
		soonest_ns = dm_pds_earlier(fn->coal_end_ns[i], soonest_ns);
	return soonest_ns <= now_ns ? 0 : (uint32_t)((soonest_ns - now_ns + 999) / 1000);
}

int
dm_pds_fn_stats(const struct dm_pds_fn *fn, json_t *object)
{
	static const char *const levels[] = { "running", "suspended-p2p", "suspended-full" };
	uint64_t irqs = 0;
	uint16_t i;
	int ret = 0;

	for (i = 0; i < fn->nb_vectors; i++)
		irqs += fn->regs.intr[i].sent;
	ret |= json_object_set_new(object, "level", json_string(levels[fn->level]));
	ret |= json_object_set_new(object, "fw_status", json_integer(fn->regs.fw_status));
	ret |= json_object_set_new(object, "devcmds", json_integer((json_int_t)fn->devcmds));
	ret |= json_object_set_new(object, "adminq_cmds",
			json_integer((json_int_t)fn->adminq_cmds));
	ret |= json_object_set_new(object, "doorbells", json_integer((json_int_t)fn->doorbells));
	ret |= json_object_set_new(object, "irqs", json_integer((json_int_t)irqs));
	ret |= json_object_set_new(object, "last_command", json_string(fn->last));
	ret |= json_object_set_new(object, "dirty_writes",
			json_integer((json_int_t)fn->dirty.writes));
	ret |= json_object_set_new(object, "dirty_regions",
			json_integer((json_int_t)fn->dirty.nb_regions));
	return ret;
}
