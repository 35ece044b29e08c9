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
 * R1 data write, then release, then OR; R3 no test-then-set without a full fence in between; R4 no
 * plain store; R6 final marks before the reply to GET_VRING_BASE; R7 publish the new base, wait for
 * every writer, then the old map may go.
 *
 * Writers: any thread through a struct lm_log_cache of its own. Attach and detach: one control
 * thread at a time.
 */

#include <stdbool.h>
#include <stdint.h>

struct lm_vhost_log;
struct lm_bitmap;

#define LM_VHOST_LOG_PAGE_SHIFT 12

/**
 * Make a log without a base: marks up to max_gpa are kept for the first one.
 * @param max_gpa highest guest-physical address; costs one bit of heap for each 4 KiB, touched
 * only where pages are kept
 * @return 0 or -ENOMEM
 */
int lm_vhost_log_create(uint64_t max_gpa, struct lm_vhost_log **log);
/** NULL is allowed. No writer may be left; what is kept goes with it. */
void lm_vhost_log_destroy(struct lm_vhost_log *log);

/**
 * Publish a log and move what was kept into it; what is beyond it stays kept. Never waits.
 * The same base and size again is no change.
 * @return 0; -EINVAL: base or size is 0 or not a multiple of 8; -EBUSY: another log is attached,
 * detach it first; -ENOMEM
 */
int lm_vhost_log_attach(struct lm_vhost_log *log, void *base, uint64_t size_bytes);
/**
 * Unpublish and wait until no writer is inside a flush: afterwards the old map may be unmapped.
 * From the moment of the call marks are kept. Without a log it waits all the same.
 * @param deadline_us counted from the call
 * @return 0 or -ETIMEDOUT (a writer was stuck in its flush for deadline_us): the log is
 * unpublished, but its map must stay until another detach has returned 0.
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

/**
 * Remember pages of [gpa, gpa + len); flushes by itself when full, so the data must have been
 * written before. What is beyond both the log and max_gpa is counted at no cost, whatever len.
 */
void lm_vhost_log_mark(struct lm_vhost_log *log, struct lm_log_cache *cache, uint64_t gpa,
		uint64_t len_bytes);
/** R1: what the caller wrote before this call is visible to whoever sees the bits. */
void lm_vhost_log_flush(struct lm_vhost_log *log, struct lm_log_cache *cache);
/**
 * Merge a private bitmap whose addresses are guest-physical, of any page size and alignment; bm is
 * left as it was. Any thread; the caller keeps bm unchanged meanwhile.
 * @return 0
 */
int lm_vhost_log_merge(struct lm_vhost_log *log, const struct lm_bitmap *bm);

struct lm_vhost_log_stats {
	uint64_t pages_out_of_range; /* beyond the log, repeats included; below max_gpa also kept */
	uint64_t kept_pages;         /* waiting for the next attach */
	uint64_t epochs;             /* logs attached so far */
	uint64_t merges;
};
/** Any thread. */
void lm_vhost_log_stats_get(const struct lm_vhost_log *log, struct lm_vhost_log_stats *stats);

/**
 * Negative control for tests: drop every mark of one page in n, chosen by hash of the page number
 * (0: off). Dropped marks are counted.
 */
void lm_vhost_log_set_drop(struct lm_vhost_log *log, uint32_t one_in);
uint64_t lm_vhost_log_dropped(const struct lm_vhost_log *log);

#endif /* LM_VHOST_LOG_H */
