/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "lm_exerciser.h"
#include "lm_pci.h"

static int
lm_ex_reg_write(struct lm_pci *pci, uint32_t reg, uint64_t value)
{
	return lm_pci_bar_write(pci, LM_EX_BAR_REGS, reg, &value, sizeof(value));
}

int
lm_ex_reg_read(struct lm_pci *pci, uint32_t reg, uint64_t *value)
{
	return lm_pci_bar_read(pci, LM_EX_BAR_REGS, reg, value, sizeof(*value));
}

int
lm_ex_probe(struct lm_pci *pci)
{
	uint16_t ids[2];
	uint64_t magic;
	int ret = lm_pci_config_read(pci, 0, ids, sizeof(ids));

	if (ret != 0)
		return ret;
	if (ids[0] != LM_EX_VENDOR || ids[1] != LM_EX_DEVICE_VF ||
			lm_pci_bar_size(pci, LM_EX_BAR_REGS) < LM_EX_REGS_BYTES)
		return lm_pci_fail(pci, -ENODEV, "this is no exerciser");
	ret = lm_ex_reg_read(pci, LM_EX_REG_MAGIC, &magic);
	if (ret == 0 && magic != LM_EX_MAGIC)
		ret = lm_pci_fail(pci, -ENODEV, "this is an exerciser of another version");
	return ret;
}

int
lm_ex_control(struct lm_pci *pci, uint64_t control)
{
	return lm_ex_reg_write(pci, LM_EX_REG_CONTROL, control);
}

int
lm_ex_submit(struct lm_pci *pci, uint64_t token)
{
	return lm_ex_reg_write(pci, LM_EX_REG_DOORBELL, token);
}

static int
lm_ex_configure(struct lm_pci *pci, const struct lm_ex_config *c)
{
	const struct {
		uint64_t value;
		uint32_t reg;
		bool keep;
	} rows[] = {
		{ c->seed, LM_EX_REG_SEED, c->seed == 0 },
		{ c->rate, LM_EX_REG_RATE, false },
		{ c->pages, LM_EX_REG_PAGES, false },
		{ c->stride, LM_EX_REG_STRIDE, false },
		{ c->page_write_bytes, LM_EX_REG_PAGE_WRITE, false },
		{ c->state_bytes, LM_EX_REG_STATE_BYTES, c->state_bytes == UINT64_MAX },
		{ c->state_every, LM_EX_REG_STATE_EVERY, false },
		{ c->peer_iova, LM_EX_REG_PEER, false },
		{ c->peer_every, LM_EX_REG_PEER_EVERY, false },
		{ c->ring_iova, LM_EX_REG_RING, false },
		{ c->ring_size, LM_EX_REG_RING_SIZE, false },
		{ c->op_steps, LM_EX_REG_OP_STEPS, false },
		{ c->nb_ranges, LM_EX_REG_NB_RANGES, false },
	};
	uint32_t reg = LM_EX_REG_RANGES;
	uint64_t i;
	int ret = 0;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]) && ret == 0; i++)
		if (!rows[i].keep)
			ret = lm_ex_reg_write(pci, rows[i].reg, rows[i].value);
	for (i = 0; i < c->nb_ranges && ret == 0; i++, reg += LM_EX_RANGE_BYTES) {
		ret = lm_ex_reg_write(pci, reg, c->ranges[i].iova);
		if (ret == 0)
			ret = lm_ex_reg_write(pci, reg + 8, c->ranges[i].bytes);
	}
	return ret;
}

int
lm_ex_start(struct lm_pci *pci, const struct lm_ex_config *config)
{
	uint64_t status;
	int ret;

	if (config->nb_ranges > LM_EX_MAX_RANGES)
		return -EINVAL;
	ret = lm_ex_control(pci, LM_EX_CONTROL_END);
	if (ret == 0)
		ret = lm_ex_configure(pci, config);
	if (ret == 0)
		ret = lm_ex_control(pci, LM_EX_CONTROL_START);
	if (ret == 0)
		ret = lm_ex_reg_read(pci, LM_EX_REG_STATUS, &status);
	if (ret != 0)
		return ret;
	if ((status & (LM_EX_STATUS_STARTED | LM_EX_STATUS_BAD)) != LM_EX_STATUS_STARTED)
		return lm_pci_fail(pci, -EINVAL, "the exerciser refuses its configuration");
	return 0;
}

int
lm_ex_view_read_by(int (*read)(void *ctx, uint32_t reg, uint64_t *value), void *ctx,
		struct lm_ex_view *view)
{
	const struct {
		uint32_t reg;
		uint32_t nb;
		void *words;
	} parts[] = {
		{ LM_EX_REG_STATUS, 1, &view->status },
		{ LM_EX_REG_CONFIG, LM_EX_NB_CONFIG, view->config },
		{ LM_EX_REG_RANGES, 2 * LM_EX_MAX_RANGES, view->ranges },
		{ LM_EX_REG_COUNTERS, LM_EX_NB_COUNTERS, view->counters },
		{ LM_EX_REG_PEER_SEEN, 1, &view->peer_seen },
		{ LM_EX_REG_PEER_LATE, 1, &view->peer_late },
		{ LM_EX_REG_MARKS, sizeof(view->marks) / 8, view->marks },
		{ LM_EX_REG_ORIGIN_MARKS, sizeof(view->origin_marks) / 8, view->origin_marks },
		{ LM_EX_REG_OPS, LM_EX_MAX_OPS, view->tokens },
	};
	uint64_t value;
	uint32_t p, i;
	int ret;

	for (p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
		for (i = 0; i < parts[p].nb; i++) {
			ret = read(ctx, parts[p].reg + 8 * i, &value);
			if (ret != 0)
				return ret;
			memcpy((uint8_t *)parts[p].words + 8 * i, &value, sizeof(value));
		}
	return 0;
}

static int
lm_ex_view_read_pci(void *ctx, uint32_t reg, uint64_t *value)
{
	return lm_ex_reg_read(ctx, reg, value);
}

int
lm_ex_view_read(struct lm_pci *pci, struct lm_ex_view *view)
{
	return lm_ex_view_read_by(lm_ex_view_read_pci, pci, view);
}
