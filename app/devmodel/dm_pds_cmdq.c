/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Admin and notify queues. Completions go out in the order of commands, one each: pds_core takes
 * them by order, ionic by their index, and both are right.
 */

#include <stdatomic.h>
#include <string.h>

#include "dm_pds.h"

#define DM_PDS_COMP_INDEX 2
#define DM_PDS_COMP_COLOR 15
#define DM_PDS_CMDQ_BURST 16

void
dm_pds_cmdq_start(struct dm_pds_cmdq *q, uint64_t base, uint64_t cq_base, uint8_t size_lg2,
		uint16_t vector)
{
	memset(q, 0, sizeof(*q));
	q->base = base;
	q->cq_base = cq_base;
	q->size_lg2 = size_lg2;
	q->vector = vector;
	q->color = LM_PDS_COMP_COLOR_MASK;
	q->enabled = 1;
}

void
dm_pds_cmdq_rung(struct dm_pds_fn *fn, struct dm_pds_cmdq *q, uint16_t index)
{
	if (index >> q->size_lg2 != 0 || !q->enabled)
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_DOORBELL, "admin queue, index %u",
				index);
	else
		q->p_index = index;
}

static void
dm_pds_cmdq_complete(struct dm_pds_fn *fn, struct dm_pds_cmdq *q, uint8_t *comp)
{
	uint64_t at = q->cq_base + (uint64_t)q->cq_head * LM_PDS_COMP_BYTES;

	memcpy(comp + DM_PDS_COMP_INDEX, &q->head, sizeof(q->head));
	comp[DM_PDS_COMP_COLOR] = (comp[DM_PDS_COMP_COLOR] & ~LM_PDS_COMP_COLOR_MASK) | q->color;
	if (dm_pds_fault_take(&fn->faults.wrong_colour))
		comp[DM_PDS_COMP_COLOR] ^= LM_PDS_COMP_COLOR_MASK;
	q->cq_head++;
	if (q->cq_head >> q->size_lg2 != 0) {
		q->cq_head = 0;
		q->color ^= LM_PDS_COMP_COLOR_MASK;
	}
	if (dm_pds_write_comp(fn, at, comp))
		dm_pds_intr_raise(fn, q->vector, 1);
}

/* A slow command holds up those behind it. */
static bool
dm_pds_cmdq_held(struct dm_pds_fn *fn, uint64_t now_ns)
{
	if (fn->faults.adminq_slow_us == 0)
		return false;
	if (fn->aq_due_ns == 0)
		fn->aq_due_ns = now_ns + fn->faults.adminq_slow_us * 1000;
	if (now_ns < fn->aq_due_ns)
		return true;
	fn->aq_due_ns = 0;
	return false;
}

unsigned int
dm_pds_cmdq_poll(struct dm_pds_fn *fn, struct dm_pds_cmdq *q, uint64_t now_ns,
		void (*run)(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp))
{
	uint8_t cmd[LM_PDS_AQ_ENTRY_BYTES], comp[LM_PDS_COMP_BYTES];
	unsigned int work;

	for (work = 0; work < DM_PDS_CMDQ_BURST; work++) {
		if (!q->enabled || q->head == q->p_index || fn->level != DM_PDS_RUNNING ||
				(fn->regs.fw_status & LM_PDS_CORE_FW_STS_F_RUNNING) == 0 ||
				dm_pds_cmdq_held(fn, now_ns))
			break;
		atomic_thread_fence(memory_order_acquire);
		if (!dm_pds_read(fn, q->base + (uint64_t)q->head * sizeof(cmd), cmd,
				sizeof(cmd))) {
			q->enabled = 0;
			break;
		}
		memset(comp, 0, sizeof(comp));
		fn->adminq_cmds++;
		if (!dm_pds_fault_status(&fn->faults.adminq_status, cmd[0], &comp[0]))
			run(fn, cmd, comp);
		if (comp[0] == LM_PDS_RC_SUCCESS)
			dm_trace_mark(fn->host->trace, fn->ops->trace_adminq, cmd[0]);
		if (!dm_pds_fault_take(&fn->faults.adminq_lost))
			dm_pds_cmdq_complete(fn, q, comp);
		q->head = (uint16_t)((q->head + 1u) & ((1u << q->size_lg2) - 1));
	}
	return work;
}

void
dm_pds_notify(struct dm_pds_fn *fn, struct dm_pds_notifyq *q, void *event)
{
	struct lm_pds_core_notifyq_event *e = event;
	uint64_t at;

	if (!q->enabled || fn->level != DM_PDS_RUNNING)
		return;
	at = q->cq_base + (uint64_t)q->head * LM_PDS_NQ_ENTRY_BYTES;
	e->eid = q->eid + 1;
	/* The event is there when its number is. */
	if (!dm_pds_write(fn, at + sizeof(e->eid), (uint8_t *)event + sizeof(e->eid),
			LM_PDS_NQ_ENTRY_BYTES - sizeof(e->eid)) ||
			!dm_pds_write(fn, at, &e->eid, sizeof(e->eid)))
		return;
	q->eid++;
	q->head = (uint16_t)((q->head + 1u) & ((1u << q->size_lg2) - 1));
	dm_pds_intr_raise(fn, q->vector, 1);
}
