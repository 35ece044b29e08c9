/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_BITMAP_H
#define LM_BITMAP_H

/**
 * @file
 * Dirty bitmaps: one bit per page, 64-bit words, bit n of the map = page n after base.
 *
 * A bitmap of this type is private to one source (one writer at a time); it becomes visible to
 * others only by a merge into a sink (lm_vhost_log.h) or into another bitmap. A summary level
 * (one bit per 64 words) lets clean regions be skipped.
 */

#include <stdbool.h>
#include <stdint.h>

struct lm_bitmap;

/**
 * Make a clean bitmap for [base, base + size_bytes); size is rounded up to a page. Takes one bit
 * a page, from the heap, touched only where pages get dirty.
 *
 * @param base in the source's address space; aligned to a page
 * @param page_shift 12..30
 * @return 0; -EINVAL: no size, bad shift, unaligned base, or a range beyond 64 bits; -ENOMEM
 */
int lm_bitmap_create(uint64_t base, uint64_t size_bytes, unsigned int page_shift,
		struct lm_bitmap **bm);
/** NULL is allowed. */
void lm_bitmap_destroy(struct lm_bitmap *bm);
uint64_t lm_bitmap_base(const struct lm_bitmap *bm);
uint64_t lm_bitmap_size(const struct lm_bitmap *bm);
unsigned int lm_bitmap_page_shift(const struct lm_bitmap *bm);

/**
 * Mark every page that [addr, addr + len) touches. What lies outside, or beyond 64 bits of
 * address, is cut off and counted; a length of 0 touches nothing.
 */
void lm_bitmap_mark(struct lm_bitmap *bm, uint64_t addr, uint64_t len_bytes);
/** Is the page of addr dirty? Outside is not. */
bool lm_bitmap_test(const struct lm_bitmap *bm, uint64_t addr);
/** All pages clean, and no page counted as outside. */
void lm_bitmap_clear(struct lm_bitmap *bm);
/** Dirty pages. */
uint64_t lm_bitmap_count(const struct lm_bitmap *bm);
/** Pages (of bm's size, repeats included) that were cut off since the last clear. */
uint64_t lm_bitmap_outside(const struct lm_bitmap *bm);

/**
 * OR a raw bitmap, as device reports give it (bit 0 = addr, page size 1 << page_shift of the
 * report, any multiple of the page size as addr), into bm. Finer and coarser pages are converted;
 * over-reporting is at most the rounding to bm's pages. Bits beyond nb_pages are not looked at,
 * words beyond them not read.
 */
void lm_bitmap_or_raw(struct lm_bitmap *bm, uint64_t addr, const uint64_t *words,
		uint64_t nb_pages, unsigned int page_shift);

/**
 * Call fn for every maximal run of dirty pages, in ascending order. fn returns 0 to go on.
 * @return 0, or what fn returned to stop
 */
int lm_bitmap_foreach_run(const struct lm_bitmap *bm,
		int (*fn)(void *ctx, uint64_t addr, uint64_t len_bytes), void *ctx);

#endif /* LM_BITMAP_H */
