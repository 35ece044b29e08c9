/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "dm_ex.h"

static uint64_t
dm_ex_status(const struct dm_ex *ex)
{
	return (ex->started ? LM_EX_STATUS_STARTED : 0) | (ex->paused ? LM_EX_STATUS_PAUSED : 0) |
			(ex->bad ? LM_EX_STATUS_BAD : 0);
}

/* An array of structures of two words, seen through registers. */
static uint64_t
dm_ex_pair(const void *pairs, uint64_t offset)
{
	uint64_t word;

	memcpy(&word, (const uint8_t *)pairs + offset, sizeof(word));
	return word;
}

static bool
dm_ex_is_config(uint64_t reg)
{
	return reg >= LM_EX_REG_CONFIG && reg < LM_EX_REG_CONFIG + LM_EX_NB_CONFIG * 8;
}

static bool
dm_ex_is_range(uint64_t reg)
{
	return reg >= LM_EX_REG_RANGES &&
			reg < LM_EX_REG_RANGES + LM_EX_MAX_RANGES * LM_EX_RANGE_BYTES;
}

static uint64_t
dm_ex_reg_read(const struct dm_ex *ex, uint64_t reg)
{
	uint64_t i;

	if (dm_ex_is_config(reg))
		return ex->config[DM_EX_CONFIG(reg)];
	if (reg >= LM_EX_REG_COUNTERS && reg < LM_EX_REG_COUNTERS + LM_EX_NB_COUNTERS * 8)
		return ex->counters[DM_EX_COUNTER(reg)];
	if (reg >= LM_EX_REG_MARKS && reg < LM_EX_REG_MARKS + sizeof(ex->marks))
		return dm_ex_pair(ex->marks, reg - LM_EX_REG_MARKS);
	if (reg >= LM_EX_REG_ORIGIN_MARKS &&
			reg < LM_EX_REG_ORIGIN_MARKS + sizeof(ex->origin_marks))
		return dm_ex_pair(ex->origin_marks, reg - LM_EX_REG_ORIGIN_MARKS);
	if (dm_ex_is_range(reg))
		return dm_ex_pair(ex->ranges, reg - LM_EX_REG_RANGES);
	if (reg >= LM_EX_REG_OPS && reg < LM_EX_REG_OPS + LM_EX_MAX_OPS * 8) {
		i = (reg - LM_EX_REG_OPS) / 8;
		return i < ex->nb_ops ? ex->op[(ex->first_op + i) % LM_EX_MAX_OPS].token : 0;
	}
	switch (reg) {
	case LM_EX_REG_MAGIC:
		return LM_EX_MAGIC;
	case LM_EX_REG_STATUS:
		return dm_ex_status(ex);
	case LM_EX_REG_PEER_SEEN:
		return dm_ex_peer_seen(ex);
	case LM_EX_REG_PEER_LATE:
		return ex->peer_late;
	default:
		return 0;
	}
}

static void
dm_ex_control(struct dm_ex *ex, uint64_t value)
{
	switch (value) {
	case LM_EX_CONTROL_END:
		ex->started = false;
		ex->paused = false;
		break;
	case LM_EX_CONTROL_START:
		dm_ex_start(ex);
		break;
	case LM_EX_CONTROL_PAUSE:
		ex->paused = ex->started;
		break;
	case LM_EX_CONTROL_CONTINUE:
		ex->paused = false;
		dm_ex_steps_from_now(ex);
		break;
	default:
		dm_rule_broken(ex->host->rules, DM_RULE_EX_CONFIG_BAD, "control %llu",
				(unsigned long long)value);
	}
}

static void
dm_ex_configure(struct dm_ex *ex, uint64_t reg, uint64_t value)
{
	if (ex->started) {
		dm_rule_broken(ex->host->rules, DM_RULE_EX_CONFIG_LIVE, "register 0x%llx",
				(unsigned long long)reg);
		return;
	}
	if (reg == LM_EX_REG_STATE_BYTES && !dm_ex_state_bytes_ok(value)) {
		dm_rule_broken(ex->host->rules, DM_RULE_EX_CONFIG_BAD, "state of %llu bytes",
				(unsigned long long)value);
		return;
	}
	if (dm_ex_is_config(reg))
		ex->config[DM_EX_CONFIG(reg)] = value;
	else
		memcpy((uint8_t *)ex->ranges + (reg - LM_EX_REG_RANGES), &value, sizeof(value));
	if (reg == LM_EX_REG_SEED || reg == LM_EX_REG_STATE_BYTES)
		ex->bad = dm_ex_blocks(ex) != 0;
	/* The head of the stream holds all this. */
	if (ex->save.on && dm_ex_save_reinit(ex) != 0)
		ex->bad = true;
}

static void
dm_ex_reg_write(struct dm_ex *ex, uint64_t reg, uint64_t value)
{
	if (dm_ex_is_stopped(ex)) {
		dm_rule_broken(ex->host->rules, DM_RULE_EX_STOPPED, "register 0x%llx in %s",
				(unsigned long long)reg, lm_state_name(ex->state));
		return;
	}
	if (reg == LM_EX_REG_CONTROL)
		dm_ex_control(ex, value);
	else if (reg == LM_EX_REG_DOORBELL)
		dm_ex_doorbell(ex, value);
	else if (dm_ex_is_config(reg) || dm_ex_is_range(reg))
		dm_ex_configure(ex, reg, value);
	else
		dm_rule_broken(ex->host->rules, DM_RULE_WRITE_READ_ONLY, "0x%llx",
				(unsigned long long)reg);
}

static bool
dm_ex_width_ok(struct dm_ex *ex, uint64_t offset, uint32_t len_bytes)
{
	if (len_bytes == 8 && offset % 8 == 0)
		return true;
	dm_rule_broken(ex->host->rules, DM_RULE_ACCESS_WIDTH, "%u bytes at 0x%llx", len_bytes,
			(unsigned long long)offset);
	return false;
}

int
dm_ex_bar_read(void *dev, uint32_t bar, uint64_t offset, void *buf, uint32_t len_bytes)
{
	struct dm_ex *ex = dev;
	uint64_t value = UINT64_MAX;

	if (bar == LM_EX_BAR_WINDOW) {
		memcpy(buf, ex->window + offset, len_bytes);
		return 0;
	}
	if (!dm_ex_width_ok(ex, offset, len_bytes)) {
		memset(buf, 0xff, len_bytes);
		return 0;
	}
	value = dm_ex_reg_read(ex, offset);
	memcpy(buf, &value, sizeof(value));
	return 0;
}

int
dm_ex_bar_write(void *dev, uint32_t bar, uint64_t offset, const void *buf, uint32_t len_bytes)
{
	struct dm_ex *ex = dev;
	uint64_t value;

	if (bar == LM_EX_BAR_WINDOW) {
		memcpy(ex->window + offset, buf, len_bytes);
		return 0;
	}
	if (!dm_ex_width_ok(ex, offset, len_bytes))
		return 0;
	memcpy(&value, buf, sizeof(value));
	dm_ex_reg_write(ex, offset, value);
	return 0;
}
