/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef EXERCISER_IF_H
#define EXERCISER_IF_H

/**
 * @file
 * The exerciser: registers and what it writes to memory. A device that exists for testing only,
 * in software only (app/devmodel); this file is its specification. Everything is little-endian.
 *
 * From its start it takes *steps*, counted from 1, RATE of them a second. Step k does this:
 *
 *  - it writes a page: number (k * STRIDE) mod PAGES, counted over RANGES in their order, filled
 *    as lm_ex_page says, with k as its sequence number;
 *  - if STATE_EVERY divides k: modification number m = k / STATE_EVERY changes block (m - 1) mod
 *    B of its internal state of B blocks;
 *  - if PEER_EVERY divides k: record number k / PEER_EVERY goes into the window of its peer;
 *  - operations that were accepted OP_STEPS or more steps ago complete, in order.
 *
 * So the number of steps tells what every page, block and record must be: whoever checks needs no
 * list of what was written. Steps are taken in RUNNING and PRE_COPY, with bus mastering on; in
 * their P2P forms it only takes operations and what peers write. Pausing is no migration state.
 *
 * The vendor number is not one of the PCI-SIG's; QEMU's test devices use it too.
 */

#include <assert.h>
#include <stdint.h>

#define LM_EX_VENDOR 0x1234u
#define LM_EX_DEVICE_PF 0x4c4du
#define LM_EX_DEVICE_VF 0x4c4eu
#define LM_EX_CLASS 0xff0000u /* unassigned */

#define LM_EX_BAR_REGS 0u
#define LM_EX_BAR_MSIX 2u
#define LM_EX_BAR_WINDOW 4u /* mappable: peers write here */

#define LM_EX_PAGE_BYTES 4096u
#define LM_EX_MAX_RANGES 64u
#define LM_EX_MAX_OPS 256u   /* outstanding at a time */
#define LM_EX_MAX_PAGES (UINT64_C(1) << 31)
#define LM_EX_MAX_RING 65536u
#define LM_EX_MAX_STATE_BYTES (UINT64_C(1) << 36)

/*
 * BAR 0. Registers are 8 bytes wide, accessed as such. What configures is written while the
 * device is not started, else it is ignored; a start checks it.
 */
#define LM_EX_REGS_BYTES 0x2000u

#define LM_EX_REG_MAGIC 0x000u    /* RO */
#define LM_EX_MAGIC UINT64_C(0x0001524558454d4c) /* "LMEXER", version 1 */
#define LM_EX_REG_STATUS 0x008u   /* RO, LM_EX_STATUS_* */
#define LM_EX_STATUS_STARTED 0x1u
#define LM_EX_STATUS_PAUSED 0x2u
#define LM_EX_STATUS_BAD 0x4u     /* the last start was refused */
#define LM_EX_REG_CONTROL 0x010u  /* WO, LM_EX_CONTROL_* */
#define LM_EX_CONTROL_END 0u      /* not started; counters stay to be read */
#define LM_EX_CONTROL_START 1u    /* from step 1, all counters 0 */
#define LM_EX_CONTROL_PAUSE 2u
#define LM_EX_CONTROL_CONTINUE 3u
#define LM_EX_REG_DOORBELL 0x018u /* WO: accept an operation with this token, not 0 */

#define LM_EX_REG_CONFIG 0x040u
#define LM_EX_NB_CONFIG 13u
#define LM_EX_REG_SEED 0x040u        /* which device: part of all that it writes */
#define LM_EX_REG_RATE 0x048u        /* steps a second; 0: as many as it can */
#define LM_EX_REG_PAGES 0x050u       /* working set, from the first of the ranges; 0: none */
#define LM_EX_REG_STRIDE 0x058u      /* 1 or more; without a common factor with PAGES */
#define LM_EX_REG_PAGE_WRITE 0x060u  /* bytes of a page that are written: 64..4096, by 8 */
#define LM_EX_REG_STATE_BYTES 0x068u /* size of the internal state beyond what is fixed */
#define LM_EX_REG_STATE_EVERY 0x070u /* 0: it never changes */
#define LM_EX_REG_PEER 0x078u        /* IOVA of the peer's window */
#define LM_EX_REG_PEER_EVERY 0x080u  /* 0: no peer */
#define LM_EX_REG_RING 0x088u        /* IOVA of the completion ring */
#define LM_EX_REG_RING_SIZE 0x090u   /* entries, a power of two up to 65536; 0: no operations */
#define LM_EX_REG_OP_STEPS 0x098u
#define LM_EX_REG_NB_RANGES 0x0a0u

/* Counters, RO. All of them are part of the device's state. */
#define LM_EX_REG_COUNTERS 0x100u
#define LM_EX_NB_COUNTERS 8u
#define LM_EX_REG_STEPS 0x100u
#define LM_EX_REG_DMA_ERRORS 0x108u    /* writes to memory that was not mapped: they are lost */
#define LM_EX_REG_OPS_ACCEPTED 0x110u
#define LM_EX_REG_OPS_REFUSED 0x118u   /* more than LM_EX_MAX_OPS, or nowhere to complete */
#define LM_EX_REG_OPS_DONE 0x120u
#define LM_EX_REG_IRQS 0x128u
#define LM_EX_REG_STATE_DIGEST 0x130u  /* sum of lm_ex_block_key() over all blocks */
#define LM_EX_REG_MIGRATIONS 0x138u    /* states loaded since it was made */
/* Of the window, RO. */
#define LM_EX_REG_PEER_SEEN 0x140u     /* highest number of a sound record */
#define LM_EX_REG_PEER_LATE 0x148u     /* times that it changed while this device was stopped */
/* {steps, nanoseconds of the monotonic clock} at the last entry into each of the 8 states: of this
 * device, and those that came with the state that it loaded. */
#define LM_EX_REG_MARKS 0x200u
#define LM_EX_REG_ORIGIN_MARKS 0x280u
#define LM_EX_MARK_BYTES 16u
/* Tokens of outstanding operations, oldest first, then 0. */
#define LM_EX_REG_OPS 0x800u
/* {iova, bytes}, page aligned, any overlap is the driver's business. */
#define LM_EX_REG_RANGES 0x1000u
#define LM_EX_RANGE_BYTES 16u

/** Head of a page, followed by words up to bytes: lm_ex_word(key, i), i from 0. */
struct lm_ex_page {
	uint64_t magic; /* LM_EX_PAGE_MAGIC */
	uint64_t seed;
	uint64_t page;  /* its number */
	uint64_t seq;
	uint64_t time_ns; /* monotonic clock of the writer's host */
	uint32_t bytes;   /* of head and words */
	uint32_t state;   /* migration state of the writer */
	uint64_t check;   /* lm_ex_page_check() */
	uint64_t reserved;
};
static_assert(sizeof(struct lm_ex_page) == 64, "page head");
#define LM_EX_PAGE_MAGIC UINT64_C(0x4547415058454d4c) /* "LMEXPAGE" */

/** What completes an operation: entry (number - 1) mod RING_SIZE. Interrupt: vector 0. */
struct lm_ex_done {
	uint64_t token;
	uint64_t number; /* from 1 */
	uint64_t step;
	uint64_t check;  /* lm_ex_mix(seed ^ token ^ number ^ step) */
};
static_assert(sizeof(struct lm_ex_done) == 32, "completion");

/** The window: record n is in slot n mod LM_EX_PEER_SLOTS. */
#define LM_EX_WINDOW_BYTES 4096u
struct lm_ex_peer {
	uint64_t number; /* from 1 */
	uint64_t seed;   /* the writer's */
	uint64_t step;   /* the writer's */
	uint64_t check;  /* lm_ex_mix(number ^ seed ^ step) */
};
static_assert(sizeof(struct lm_ex_peer) == 32, "peer record");
#define LM_EX_PEER_SLOTS (LM_EX_WINDOW_BYTES / 32u)

#define LM_EX_STATE_BLOCK_BYTES 65536u

/** SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t
lm_ex_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t
lm_ex_word(uint64_t key, uint64_t i)
{
	return lm_ex_mix(key + (i + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

static inline uint64_t
lm_ex_key(uint64_t seed, uint64_t index, uint64_t version)
{
	return lm_ex_mix(lm_ex_mix(lm_ex_mix(seed) ^ index) ^ version);
}

static inline uint64_t
lm_ex_page_check(const struct lm_ex_page *p)
{
	return lm_ex_mix(lm_ex_key(p->seed, p->page, p->seq) ^ p->time_ns ^
			((uint64_t)p->state << 32 | p->bytes));
}

/** Block index of the internal state after its modification number mod (0: none yet). */
static inline uint64_t
lm_ex_block_key(uint64_t seed, uint64_t index, uint64_t mod)
{
	return lm_ex_key(~seed, index, mod);
}

/** Last of the numbers 1..count that counts for slot of nb, dealt in turn from slot 0; 0: none. */
static inline uint64_t
lm_ex_last_turn(uint64_t count, uint64_t slot, uint64_t nb)
{
	return count <= slot ? 0 : count - (count - 1 - slot) % nb;
}

#endif /* EXERCISER_IF_H */
