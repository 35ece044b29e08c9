/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Interrupt control: mask, credits and moderation of each vector.
 *
 * Events are counted in credits, which the driver takes back. While they are above 0 an interrupt
 * waits, as a level: however many events came while the vector was masked, one message is sent.
 */

#include <string.h>

#include "dm_pds.h"

#define DM_PDS_COAL_UNIT_NS (DM_PDS_COAL_UNIT_US * 1000u)
#define DM_PDS_INTR_BYTES sizeof(struct lm_pds_core_intr)

void
dm_pds_intr_reset(struct dm_pds_fn *fn)
{
	uint16_t i;

	memset(fn->regs.intr, 0, sizeof(fn->regs.intr));
	memset(fn->coal_end_ns, 0, sizeof(fn->coal_end_ns));
	for (i = 0; i < DM_PDS_MAX_VECTORS; i++)
		fn->regs.intr[i].mask = LM_PDS_CORE_INTR_MASK_SET;
}

static void
dm_pds_intr_try(struct dm_pds_fn *fn, uint16_t vector, uint64_t now_ns)
{
	struct dm_pds_intr *intr = &fn->regs.intr[vector];

	if (intr->mask != 0 || intr->credits <= 0 || fn->coal_end_ns[vector] > now_ns ||
			fn->level != DM_PDS_RUNNING)
		return;
	if (intr->mask_on_assert != 0)
		intr->mask = LM_PDS_CORE_INTR_MASK_SET;
	if (intr->coal_init != 0)
		fn->coal_end_ns[vector] = now_ns +
				(uint64_t)intr->coal_init * DM_PDS_COAL_UNIT_NS;
	intr->sent++;
	if (!dm_fault_irq(fn->host->faults))
		fn->host->irq(fn->host->ctx, vector);
}

void
dm_pds_intr_raise(struct dm_pds_fn *fn, uint16_t vector, uint16_t events)
{
	if (vector >= fn->nb_vectors || events == 0)
		return;
	fn->regs.intr[vector].credits = (int16_t)(fn->regs.intr[vector].credits + events);
	dm_pds_intr_try(fn, vector, fn->host->now_ns(fn->host->ctx));
}

void
dm_pds_intr_tick(struct dm_pds_fn *fn, uint64_t now_ns)
{
	uint16_t i;

	for (i = 0; i < fn->nb_vectors; i++)
		if (fn->coal_end_ns[i] != 0 && fn->coal_end_ns[i] <= now_ns) {
			fn->coal_end_ns[i] = 0;
			dm_pds_intr_try(fn, i, now_ns);
		}
}

void
dm_pds_intr_resume(struct dm_pds_fn *fn)
{
	uint16_t i;

	for (i = 0; i < fn->nb_vectors; i++)
		dm_pds_intr_try(fn, i, fn->host->now_ns(fn->host->ctx));
}

uint64_t
dm_pds_intr_pending(const struct dm_pds_fn *fn)
{
	uint64_t bits = 0;
	uint16_t i;

	for (i = 0; i < fn->nb_vectors; i++)
		if (fn->regs.intr[i].credits > 0)
			bits |= UINT64_C(1) << i;
	return bits;
}

static uint32_t
dm_pds_intr_remaining(const struct dm_pds_fn *fn, uint16_t vector)
{
	uint64_t now_ns = fn->host->now_ns(fn->host->ctx);

	return fn->coal_end_ns[vector] <= now_ns ? 0 :
			(uint32_t)((fn->coal_end_ns[vector] - now_ns) / 1000); /* microseconds */
}

void
dm_pds_intr_read(struct dm_pds_fn *fn, uint32_t offset, uint8_t *buf, uint32_t len_bytes)
{
	struct lm_pds_core_intr block;
	uint32_t i, vector;

	for (i = 0; i < len_bytes; i++) {
		vector = (offset + i) / DM_PDS_INTR_BYTES;
		if (vector >= fn->nb_vectors) {
			buf[i] = 0;
			continue;
		}
		memset(&block, 0, sizeof(block));
		block.coal_init = fn->regs.intr[vector].coal_init;
		block.mask = fn->regs.intr[vector].mask;
		block.credits = (uint16_t)fn->regs.intr[vector].credits;
		block.mask_on_assert = fn->regs.intr[vector].mask_on_assert;
		block.coalescing_curr = dm_pds_intr_remaining(fn, (uint16_t)vector);
		buf[i] = ((const uint8_t *)&block)[(offset + i) % DM_PDS_INTR_BYTES];
	}
}

/* What is returned is subtracted: a completion may be seen before it was counted. */
static void
dm_pds_intr_credits(struct dm_pds_fn *fn, uint16_t vector, uint32_t value)
{
	struct dm_pds_intr *intr = &fn->regs.intr[vector];
	uint64_t now_ns = fn->host->now_ns(fn->host->ctx);

	intr->credits = (int16_t)(intr->credits -
			(int16_t)(value & LM_PDS_CORE_INTR_CRED_COUNT_SIGNED));
	if ((value & LM_PDS_CORE_INTR_CRED_RESET_COALESCE) != 0)
		fn->coal_end_ns[vector] = intr->coal_init == 0 ? 0 :
				now_ns + (uint64_t)intr->coal_init * DM_PDS_COAL_UNIT_NS;
	if ((value & LM_PDS_CORE_INTR_CRED_UNMASK) != 0)
		intr->mask = LM_PDS_CORE_INTR_MASK_CLEAR;
	dm_pds_intr_try(fn, vector, now_ns);
}

void
dm_pds_intr_write(struct dm_pds_fn *fn, uint32_t offset, const uint8_t *buf, uint32_t len_bytes)
{
	uint32_t vector = offset / DM_PDS_INTR_BYTES;
	struct dm_pds_intr *intr;
	uint32_t value;

	if (len_bytes != sizeof(value) || offset % sizeof(value) != 0) {
		dm_rule_broken(fn->host->rules, DM_RULE_ACCESS_WIDTH,
				"%u bytes at interrupt control 0x%x", len_bytes, offset);
		return;
	}
	if (vector >= fn->nb_vectors)
		return;
	memcpy(&value, buf, sizeof(value));
	intr = &fn->regs.intr[vector];
	switch (offset % DM_PDS_INTR_BYTES) {
	case offsetof(struct lm_pds_core_intr, coal_init):
		intr->coal_init = value > LM_PDS_CORE_INTR_CTRL_COAL_MAX ?
				LM_PDS_CORE_INTR_CTRL_COAL_MAX : value;
		break;
	case offsetof(struct lm_pds_core_intr, mask):
		intr->mask = value & 1;
		dm_pds_intr_try(fn, (uint16_t)vector, fn->host->now_ns(fn->host->ctx));
		break;
	case offsetof(struct lm_pds_core_intr, credits):
		dm_pds_intr_credits(fn, (uint16_t)vector, value);
		break;
	case offsetof(struct lm_pds_core_intr, mask_on_assert):
		intr->mask_on_assert = value & 1;
		break;
	default:
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_ACCESS, "interrupt control 0x%x",
				offset);
	}
}
