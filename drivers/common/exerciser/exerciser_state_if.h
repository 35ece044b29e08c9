/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef EXERCISER_STATE_IF_H
#define EXERCISER_STATE_IF_H

/**
 * @file
 * The exerciser's state stream: records, little-endian, each with a number and a check.
 *
 * HEAD comes first, and again when the device was configured anew (what follows then replaces what
 * came before). A block may come several times, the last one counts. TAIL is the last record; it
 * tells what the sum of all must be. Opaque to everybody but the device and its tests.
 */

#include "exerciser_if.h"

#define LM_EX_RECORD_MAGIC 0x52584d4cu /* "LMXR" */

enum lm_ex_record_type {
	LM_EX_RECORD_HEAD = 1,  /* struct lm_ex_head */
	LM_EX_RECORD_BLOCK = 2, /* struct lm_ex_block and its bytes */
	LM_EX_RECORD_TAIL = 3,  /* struct lm_ex_tail */
};

struct lm_ex_record {
	uint32_t magic;
	uint32_t type;
	uint64_t serial; /* from 0 */
	uint64_t bytes;  /* that follow */
	uint64_t check;  /* lm_ex_key(magic << 32 | type, serial, bytes) */
};
static_assert(sizeof(struct lm_ex_record) == 32, "record");

struct lm_ex_range {
	uint64_t iova;
	uint64_t bytes;
};
static_assert(sizeof(struct lm_ex_range) == LM_EX_RANGE_BYTES, "range");

struct lm_ex_head {
	uint64_t compat; /* what stands for a firmware version: must be the same on both sides */
	uint64_t config[LM_EX_NB_CONFIG];
	struct lm_ex_range ranges[LM_EX_MAX_RANGES];
	uint64_t check; /* lm_ex_sum() of what is before */
};
static_assert(sizeof(struct lm_ex_head) == 1144, "head");

/** Its bytes follow, words lm_ex_word(lm_ex_block_key(seed, index, mod), i). */
struct lm_ex_block {
	uint64_t index;
	uint64_t mod;
};
static_assert(sizeof(struct lm_ex_block) == 16, "block");

struct lm_ex_op {
	uint64_t token;
	uint64_t due; /* step */
};

struct lm_ex_mark {
	uint64_t steps;
	uint64_t time_ns;
};
static_assert(sizeof(struct lm_ex_mark) == LM_EX_MARK_BYTES, "mark");

struct lm_ex_tail {
	uint64_t status; /* LM_EX_STATUS_STARTED, _PAUSED */
	uint64_t counters[LM_EX_NB_COUNTERS];
	uint64_t peer_late;
	uint64_t nb_ops;
	struct lm_ex_op ops[LM_EX_MAX_OPS];
	struct lm_ex_mark marks[8];
	uint8_t window[LM_EX_WINDOW_BYTES];
	uint64_t check; /* lm_ex_sum() of what is before */
};
static_assert(sizeof(struct lm_ex_tail) == 8416, "tail");

static inline uint64_t
lm_ex_sum(const void *data, uint64_t bytes)
{
	const uint64_t *words = data;
	uint64_t sum = bytes;
	uint64_t i;

	for (i = 0; i < bytes / 8; i++)
		sum = lm_ex_mix(sum ^ words[i]);
	return sum;
}

static inline uint64_t
lm_ex_record_check(const struct lm_ex_record *r)
{
	return lm_ex_key((uint64_t)r->magic << 32 | r->type, r->serial, r->bytes);
}

/** Bytes of a block: all but the last are full. */
static inline uint64_t
lm_ex_block_bytes(uint64_t state_bytes, uint64_t index)
{
	uint64_t left = state_bytes - index * LM_EX_STATE_BLOCK_BYTES;

	return left < LM_EX_STATE_BLOCK_BYTES ? left : LM_EX_STATE_BLOCK_BYTES;
}

static inline uint64_t
lm_ex_nb_blocks(uint64_t state_bytes)
{
	return (state_bytes + LM_EX_STATE_BLOCK_BYTES - 1) / LM_EX_STATE_BLOCK_BYTES;
}

#endif /* EXERCISER_STATE_IF_H */
