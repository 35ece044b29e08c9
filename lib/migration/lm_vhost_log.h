/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VHOST_LOG_H
#define LM_VHOST_LOG_H

/**
 * @file
 * Sink: the vhost-user dirty log, shared with QEMU, by guest-physical address.
 *
 * One bit per 4 KiB page, word-wise atomic OR, never a store and never a clear: the front end owns
 * clearing (vhost-user specification, "Migration"). The base is an epoch: SET_LOG_BASE replaces it
 * under a grace period, during which marks are kept in a private bitmap and lost by nobody.
 *
 * Rules of the merge, numbered as in doc/dirty.rst:
 * R1 data write, then release, then OR; R4 no plain store; R6 final marks before the reply to
 * GET_VRING_BASE; R7 publish the new base, wait for every writer, then the old map may go.
 *
 * Writers: any thread through a struct lm_log_cache of its own. Attach and detach: one control
 * thread at a time.
 */

#include <stdbool.h>
#include <stdint.h>

struct lm_vhost_log;
struct lm_bitmap;

#define LM_VHOST_LOG_PAGE_SHIFT 12

int lm_vhost_log_create(uint64_t max_gpa, struct lm_vhost_log **log);
void lm_vhost_log_destroy(struct lm_vhost_log *log);

/** Publish a log and flush what was kept. -EINVAL when base or size is not a multiple of 8. */
int lm_vhost_log_attach(struct lm_vhost_log *log, void *base, uint64_t size_bytes);
/**
 * Unpublish and wait until no writer is inside a flush: afterwards the old map may be unmapped.
 * @return 0 or -ETIMEDOUT (a writer was stuck in its flush for deadline_us).
 */
int lm_vhost_log_detach(struct lm_vhost_log *log, uint64_t deadline_us);
bool lm_vhost_log_attached(const struct lm_vhost_log *log);

#define LM_LOG_CACHE_WORDS 32

/** A writer's combining cache. Zero-initialise; one per writing thread (or queue). */
struct lm_log_cache {
	unsigned int nb;
	uint64_t marks;  /* pages handed to mark, repeats included */
	uint64_t words;  /* atomic ORs done */
	struct {
		uint64_t index;
		uint64_t bits;
	} w[LM_LOG_CACHE_WORDS];
};

/** Remember pages of [gpa, gpa + len); flushes by itself when full. */
void lm_vhost_log_mark(struct lm_vhost_log *log, struct lm_log_cache *cache, uint64_t gpa,
		uint64_t len_bytes);
/** R1: what the caller wrote before this call is visible to whoever sees the bits. */
void lm_vhost_log_flush(struct lm_vhost_log *log, struct lm_log_cache *cache);
/** Merge a private bitmap whose addresses are guest-physical; bm is left as it was. */
int lm_vhost_log_merge(struct lm_vhost_log *log, const struct lm_bitmap *bm);

struct lm_vhost_log_stats {
	uint64_t pages_out_of_range; /* beyond the log: counted, never dropped in silence */
	uint64_t kept_pages;         /* waiting for the next attach */
	uint64_t epochs;
	uint64_t merges;
};
void lm_vhost_log_stats_get(const struct lm_vhost_log *log, struct lm_vhost_log_stats *stats);

/**
 * Negative control for tests: drop every mark of one page in n, chosen by hash of the page number
 * (0: off). Dropped marks are counted.
 */
void lm_vhost_log_set_drop(struct lm_vhost_log *log, uint32_t one_in);
uint64_t lm_vhost_log_dropped(const struct lm_vhost_log *log);

#endif /* LM_VHOST_LOG_H */
