/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_DIRTY_H
#define DM_DIRTY_H

/**
 * @file
 * DMA log of one device, as VFIO describes it: ranges, a page size, read-and-clear.
 *
 * Memory grows with the number of 64-page groups that were written, not with the ranges.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_vu_server.h"

#define DM_DIRTY_MAX_RANGES 256u

/** What the device demands; zeros: no limits, pages of 4096 bytes. */
struct dm_dirty_conf {
	uint64_t min_page_bytes; /* the wish is clamped to these two */
	uint64_t max_page_bytes;
	uint32_t max_ranges;     /* more are refused with -E2BIG */
	/** Reports start at a multiple of so many pages in their range, and stay in one (pds). */
	uint32_t align_pages;
	bool fixed_page;         /* reports use the page size of the start */
};

struct dm_dirty_word {
	uint64_t key; /* 64-page group plus 1; 0: free */
	uint64_t bits;
};

struct dm_dirty {
	struct dm_dirty_conf conf;
	bool on;
	bool lost; /* no memory for a mark: all reports fail until the next start */
	uint64_t page_bytes;
	uint32_t nb_ranges; /* 0: everything */
	struct lm_vu_range ranges[DM_DIRTY_MAX_RANGES];
	struct dm_dirty_word *words; /* open addressing, a power of two */
	uint64_t nb_words;
	uint64_t nb_used;
	uint64_t marked; /* marks since the start, those of pages that were marked before too */
	uint64_t reports;
};

/**
 * What the vfio-user server checks before a device hears of it: a page size of 4096 or more, ranges
 * aligned to it. @return 0; -EINVAL; -EOVERFLOW
 */
int dm_dirty_ranges_check(const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t page_size_bytes);
/** Ranges as checked above. @return 0; -EINVAL: it runs; -E2BIG; -ENOMEM. */
int dm_dirty_start(struct dm_dirty *d, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes);
/** @return 0; -EINVAL: it does not run. */
int dm_dirty_stop(struct dm_dirty *d);
/** The device has written here: a range starts and ends where it does not cross a write. */
void dm_dirty_mark(struct dm_dirty *d, uint64_t iova, uint64_t len_bytes);
/**
 * bitmap is ORed into; bit 0 is iova. A page of the log that lies only in part in the range is
 * reported and kept.
 * @return 0; -EINVAL: it does not run, or the device's demands are not met; -ENOMEM: marks were
 * lost
 */
int dm_dirty_report(struct dm_dirty *d, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap);

#endif /* DM_DIRTY_H */
