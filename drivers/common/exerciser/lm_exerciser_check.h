/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_EXERCISER_CHECK_H
#define LM_EXERCISER_CHECK_H

/**
 * @file
 * Is everything that an exerciser holds and has written what it must be?
 *
 * What must be follows from the number of steps that the device says it took (exerciser_if.h);
 * what is, from memory itself. The device must be paused, or stopped, while it is looked at.
 * Operations are checked if their tokens counted from 1.
 */

#include <stddef.h>
#include <stdint.h>

#include "lm_exerciser.h"

enum lm_ex_fault_kind {
	LM_EX_PAGE_STALE,   /* an older write than the last */
	LM_EX_PAGE_LOST,    /* no write at all, but there was one */
	LM_EX_PAGE_FUTURE,  /* a newer one than the device knows of */
	LM_EX_PAGE_TORN,    /* what follows the head is not of that write */
	LM_EX_PAGE_ALIEN,   /* of another device or page, or no page of anybody */
	LM_EX_PAGE_UNMAPPED,
	LM_EX_STATE_WRONG,  /* digest of the internal state */
	LM_EX_DONE_WRONG,   /* a completion is missing or not what it must be */
	LM_EX_OP_LOST,      /* accepted, neither outstanding nor done */
	LM_EX_OP_ORDER,     /* outstanding ones are not the last that were accepted */
	LM_EX_PEER_STALE,   /* a record in a peer's window */
	LM_EX_PEER_STOPPED, /* a peer wrote while the device was stopped */
	LM_EX_DMA_ERROR,    /* the device wrote to memory that was not there */
	LM_EX_NB_FAULT_KINDS
};

/** One thing that is wrong. */
struct lm_ex_finding {
	enum lm_ex_fault_kind kind;
	uint64_t index;  /* page, completion, slot; as the kind has it */
	uint64_t iova;
	uint64_t have;   /* sequence number, or value */
	uint64_t want;
	/** Of a stale page: the first step whose write is missing, and the state it was made in. */
	uint64_t since;
	uint32_t since_state; /* enum lm_state; 0: before any mark */
};

#define LM_EX_MAX_FINDINGS 16u

struct lm_ex_report {
	uint64_t pages;     /* that were looked at */
	uint64_t done;      /* completions, likewise */
	uint64_t records;   /* of peers */
	uint64_t faults;    /* all that is wrong */
	uint64_t of_kind[LM_EX_NB_FAULT_KINDS];
	uint32_t nb_findings;
	struct lm_ex_finding findings[LM_EX_MAX_FINDINGS]; /* the first */
};

/** Static. */
const char *lm_ex_fault_kind_name(enum lm_ex_fault_kind kind);
/** One line: what, where, since when. @return as snprintf() */
int lm_ex_finding_text(const struct lm_ex_finding *finding, char *text, size_t max);

/** The host's memory by IOVA; NULL: not there. */
typedef const void *(*lm_ex_memory)(void *ctx, uint64_t iova, uint64_t len_bytes);

/**
 * Pages, completions, operations, counters, internal state. Adds to the report, which the caller
 * has zeroed.
 */
void lm_ex_check(const struct lm_ex_view *view, lm_ex_memory at, void *ctx,
		struct lm_ex_report *report);
/** What writer has put into a peer's window (LM_EX_WINDOW_BYTES). Both have to be quiet. */
void lm_ex_check_peer(const struct lm_ex_view *writer, const void *window,
		struct lm_ex_report *report);

/** Step of the last write to a page; 0: none yet. */
uint64_t lm_ex_page_want(const struct lm_ex_view *view, uint64_t page);

/** For other writers: a page (struct lm_ex_page and words) at memory; bytes 64..4096, by 8. */
void lm_ex_page_fill(void *memory, uint64_t seed, uint64_t page, uint64_t seq, uint32_t bytes);
/**
 * Is there a page of this writer, whole, in max_bytes? @return 0 and its sequence number;
 * -ENOENT: all of the head is zero; -EBADMSG: torn; -ESRCH: of somebody else, or nothing
 */
int lm_ex_page_read(const void *memory, uint64_t seed, uint64_t page, uint32_t max_bytes,
		uint64_t *seq);

#endif /* LM_EXERCISER_CHECK_H */
