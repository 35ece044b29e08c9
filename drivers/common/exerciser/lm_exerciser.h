/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_EXERCISER_H
#define LM_EXERCISER_H

/**
 * @file
 * Driver of an exerciser (exerciser_if.h), on top of lm_pci.h. One thread at a time per device.
 */

#include <stdbool.h>
#include <stdint.h>

#include "exerciser_state_if.h"

struct lm_pci;

/** The registers of this name. */
struct lm_ex_config {
	uint64_t seed; /* 0: as the device came */
	uint64_t rate;
	uint64_t pages;
	uint64_t stride;
	uint64_t page_write_bytes;
	uint64_t state_bytes; /* UINT64_MAX: as the device came */
	uint64_t state_every;
	uint64_t peer_iova;
	uint64_t peer_every;
	uint64_t ring_iova;
	uint64_t ring_size;
	uint64_t op_steps;
	uint64_t nb_ranges;
	struct lm_ex_range ranges[LM_EX_MAX_RANGES];
};

/** All that can be read of a device, to be checked (lm_exerciser_check.h) at leisure. */
struct lm_ex_view {
	uint64_t status;
	uint64_t config[LM_EX_NB_CONFIG];
	struct lm_ex_range ranges[LM_EX_MAX_RANGES];
	uint64_t counters[LM_EX_NB_COUNTERS];
	uint64_t peer_seen;
	uint64_t peer_late;
	struct lm_ex_mark marks[8];
	struct lm_ex_mark origin_marks[8];
	uint64_t tokens[LM_EX_MAX_OPS]; /* outstanding, then 0 */
};

/** By name of the register (LM_EX_REG_*). */
static inline uint64_t
lm_ex_view_config(const struct lm_ex_view *view, uint32_t reg)
{
	return view->config[(reg - LM_EX_REG_CONFIG) / 8];
}

static inline uint64_t
lm_ex_view_counter(const struct lm_ex_view *view, uint32_t reg)
{
	return view->counters[(reg - LM_EX_REG_COUNTERS) / 8];
}

/** @return 0; -ENODEV: it is something else; -errno of lm_pci.h */
int lm_ex_probe(struct lm_pci *pci);
/**
 * Configure and start from step 1; what ran before is over. Bus mastering is the caller's.
 * @return 0; -EINVAL: the device does not like it, or too many ranges; -errno of lm_pci.h
 */
int lm_ex_start(struct lm_pci *pci, const struct lm_ex_config *config);
/** LM_EX_CONTROL_PAUSE and _CONTINUE: no step is taken in between; and _END. */
int lm_ex_control(struct lm_pci *pci, uint64_t control);
/** An operation; lm_exerciser_check.h wants tokens that count from 1. */
int lm_ex_submit(struct lm_pci *pci, uint64_t token);
int lm_ex_reg_read(struct lm_pci *pci, uint32_t reg, uint64_t *value);
/** Not one moment unless the device is paused or stopped: register by register. */
int lm_ex_view_read(struct lm_pci *pci, struct lm_ex_view *view);
/** The same from any other way to read 8-byte registers. read: 0 or -errno. */
int lm_ex_view_read_by(int (*read)(void *ctx, uint32_t reg, uint64_t *value), void *ctx,
		struct lm_ex_view *view);

#endif /* LM_EXERCISER_H */
