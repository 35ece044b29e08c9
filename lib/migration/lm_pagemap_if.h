/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PAGEMAP_IF_H
#define LM_PAGEMAP_IF_H

/**
 * @file
 * What Linux 6.7 added for tracking writes to memory: userfaultfd's asynchronous write-protect
 * (linux/userfaultfd.h) and the scan of /proc/PID/pagemap (linux/fs.h, "PAGEMAP_SCAN"). Our own
 * copy of the numbers, because the headers of older distributions lack them.
 */

#include <assert.h>
#include <stdint.h>

/** Features of UFFDIO_API. */
#define LM_UFFD_FEATURE_WP_UNPOPULATED 0x2000
#define LM_UFFD_FEATURE_WP_ASYNC 0x8000

/** Categories of pages. */
#define LM_PAGE_IS_WRITTEN 0x2

/** Flags of a scan. */
#define LM_PM_SCAN_WP_MATCHING 0x1
#define LM_PM_SCAN_CHECK_WPASYNC 0x2

/** One run of pages; end is exclusive. */
struct lm_page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};
static_assert(sizeof(struct lm_page_region) == 24, "linux/fs.h, struct page_region");

struct lm_pm_scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};
static_assert(sizeof(struct lm_pm_scan_arg) == 96, "linux/fs.h, struct pm_scan_arg");

/** _IOWR('f', 16, struct lm_pm_scan_arg), where ioctl numbers are the usual ones. */
#define LM_PAGEMAP_SCAN 0xc0606610u

#endif /* LM_PAGEMAP_IF_H */
