/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef TRACK_DEVICE_H
#define TRACK_DEVICE_H

/*
 * A device with a dirty log, one flag a page of IOVA, that insists on what it promises: a report
 * outside its ranges, across two, at a wrong start, of a wrong page size or over a hole fails the
 * test at once.
 */

#include "lm_tracker.h"

#define TRACK_PAGES 4096u /* of IOVA, from 0 on */
#define TRACK_PAGE UINT64_C(4096)

struct track_device {
	struct lm_dirty_traits traits;
	uint64_t page_size_bytes; /* what start gives back; 0: what it is asked for */
	int start_error;
	int report_error;
	int stop_error;
	bool no_holes;            /* reports stay within `mapped`, as an IOMMU's must */
	bool mapped[TRACK_PAGES];
	bool dirty[TRACK_PAGES];
	bool running;
	struct lm_range ranges[64];
	unsigned int nb_ranges;
	unsigned int starts;
	unsigned int reports;
	unsigned int stops;
};

extern const struct lm_source_ops track_device_ops;
/** The same by the contract of providers. */
extern const struct lm_provider_ops track_device_provider;

/** DMA: the pages of [iova, iova + len). */
void track_device_write(struct track_device *d, uint64_t iova, uint64_t len_bytes);

#endif /* TRACK_DEVICE_H */
