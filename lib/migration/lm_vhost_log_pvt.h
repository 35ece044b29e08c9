/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VHOST_LOG_PVT_H
#define LM_VHOST_LOG_PVT_H

/**
 * @file
 * Inside of the vhost log: who writes to it is on a visit, and sees one epoch during it.
 * Shared by the page-by-page writer (lm_vhost_log.c) and the merge (lm_vhost_log_merge.c).
 */

#include <stdatomic.h>
#include <stddef.h>

#include "lm_vhost_log.h"

#define LM_LOG_SHARDS 16u
#define LM_LOG_LINE_BYTES 64

/* A published log. Freed once no writer can hold it. */
struct lm_log_epoch {
	_Atomic uint64_t *words;
	uint64_t nb_words;
	struct lm_log_epoch *older;
};

/*
 * Writers that are inside, by the parity of the grace period in which they came. Two counters, so
 * that a grace period ends although new writers keep coming.
 */
struct lm_log_shard {
	_Alignas(LM_LOG_LINE_BYTES) _Atomic uint32_t inside[2];
};

struct lm_vhost_log {
	_Atomic(struct lm_log_epoch *) current; /* NULL: marks are kept */
	_Atomic uint32_t phase;
	_Atomic uint32_t drop_one_in;
	_Atomic uint64_t limit_pages; /* nothing has ever been logged at or above */
	_Atomic uint64_t *kept;
	uint64_t nb_kept;             /* words */
	struct lm_log_epoch *epochs;  /* control thread: all that are not freed */
	_Atomic uint64_t kept_pages;
	_Atomic uint64_t out_of_range_pages;
	_Atomic uint64_t dropped_pages;
	_Atomic uint64_t nb_epochs;
	_Atomic uint64_t nb_merges;
	struct lm_log_shard shards[LM_LOG_SHARDS];
};

/* One visit of a writer. */
struct lm_log_visit {
	struct lm_vhost_log *log;
	struct lm_log_epoch *epoch;
	_Atomic uint32_t *inside;
	uint32_t drop_one_in;
};

void lm_log_visit_begin(struct lm_log_visit *v, struct lm_vhost_log *log, const void *who);
void lm_log_visit_end(struct lm_log_visit *v);
/** With dropping, without a log, or beyond it. */
void lm_log_visit_or_slow(struct lm_log_visit *v, uint64_t index, uint64_t bits);

/** R1 and R4: an OR with release after the data, never a store, never a clear. */
static inline void
lm_log_or(struct lm_log_epoch *epoch, uint64_t index, uint64_t bits)
{
	atomic_fetch_or_explicit(&epoch->words[index], bits, memory_order_release);
}

static inline void
lm_log_visit_or(struct lm_log_visit *v, uint64_t index, uint64_t bits)
{
	if (v->drop_one_in == 0 && v->epoch != NULL && index < v->epoch->nb_words)
		lm_log_or(v->epoch, index, bits);
	else
		lm_log_visit_or_slow(v, index, bits);
}

#endif /* LM_VHOST_LOG_PVT_H */
