/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_TRACKER_H
#define LM_TRACKER_H

/**
 * @file
 * Dirty tracking: any mix of sources, each by IOVA into a bitmap of its own, merged by address
 * into a sink.
 *
 * Rules, numbered as in doc/dirty.rst: R5 what a source has read and cleared is kept until a sink
 * has taken it; R6 after all devices stopped each source is read once more. A source that fails,
 * or cannot answer, makes its whole range dirty: never less. Memory that appears while tracking
 * runs is dirty until the next start, because a device's start is one-shot; what is about to be
 * unmapped is read first.
 *
 * One thread at a time per tracker, and for the calls that reach devices per group of its members.
 */

#include <stdint.h>

#include "lm_imap.h"
#include "lm_provider.h"

struct lm_tracker;
struct lm_group;
struct lm_bitmap;
struct lm_vhost_log;
struct lm_ram;
struct lm_timeline;

/**
 * A source: the three dirty functions of lm_provider.h with the same meaning; a device's provider
 * is one, IOMMU dirty bits are another. What they say of pages is trusted, what they say of
 * themselves is checked.
 *
 * start gets ascending ranges of mapped memory, all multiples of the tracker's page; neighbours are
 * one range, save where traits.whole_ranges says that a range is what was mapped. report gets a
 * bitmap of zeros that was written just before, of exactly the pages asked for, and stays within
 * traits; it is never asked for memory that is not mapped, except up to the next boundary that
 * traits demand, and in gaps that were closed for traits.max_ranges.
 */
struct lm_source_ops {
	int (*start)(void *src, const struct lm_range *ranges, unsigned int nb,
			uint64_t *page_size_bytes);
	int (*report)(void *src, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
			uint64_t *bitmap);
	int (*stop)(void *src);
};

struct lm_source_conf {
	const char *name; /* copied, for messages; 1..63 characters, unique in the tracker */
	const struct lm_source_ops *ops;
	void *src;
	struct lm_dirty_traits traits;
};

struct lm_tracker_conf {
	uint64_t page_size_bytes;     /* of results: a power of two of 4096 or more */
	struct lm_timeline *timeline; /* the caller's, may be NULL */
};

/** @return 0; -EINVAL: bad page size; -ENOMEM */
int lm_tracker_create(const struct lm_tracker_conf *conf, struct lm_tracker **tracker);
/** Stops the sources. NULL is allowed. */
void lm_tracker_destroy(struct lm_tracker *tracker);

/**
 * Memory that devices can write to: iv->from is the IOVA, iv->to the address by which sinks know
 * it. While tracking runs it is dirty at once, and stays so until the next start.
 * @return 0; -EINVAL: empty, wraps, or not page aligned; -EEXIST: overlaps in IOVA; -ENOMEM
 */
int lm_tracker_map(struct lm_tracker *tracker, const struct lm_interval *iv);
/**
 * Exactly one earlier lm_tracker_map(), when no device writes to it any more and before the devices
 * lose it: while tracking runs, sources are read for this range first, and what they say is kept
 * for the sink.
 * @return 0; -ENOENT
 */
int lm_tracker_unmap(struct lm_tracker *tracker, uint64_t iova, uint64_t len_bytes);

/**
 * Before lm_tracker_start(). ops and src stay the caller's until lm_tracker_destroy().
 * @return 0; -EINVAL: bad name; -EEXIST: name taken; -EBUSY: tracking runs; -ENOMEM
 */
int lm_tracker_add_source(struct lm_tracker *tracker, const struct lm_source_conf *conf);
/**
 * A device's own log as a source, named as the device. provider's dev must outlive the tracker.
 * @return as lm_tracker_add_source(); -ENOTSUP: it has none: another source must cover what it
 * writes, or lm_tracker_add_blind()
 */
int lm_tracker_add_provider(struct lm_tracker *tracker, const char *name,
		const struct lm_provider *provider, const struct lm_caps *caps);
/**
 * A member's own log as a source, named as the member, and called on the member's thread: all
 * members of a tracker at once, each with its own deadline. One that is late is lost (lm_group.h),
 * and all that it could have written is dirty until a start finds it back. All are of one group,
 * which is used by nobody else meanwhile, and is destroyed after the tracker.
 * @return as lm_tracker_add_provider(); -EINVAL: no such member, or of another group
 */
int lm_tracker_add_member(struct lm_tracker *tracker, struct lm_group *group, unsigned int member);
/**
 * A conservative source: everything is dirty in every harvest. For devices that write and tell
 * nobody.
 * @return as lm_tracker_add_source()
 */
int lm_tracker_add_blind(struct lm_tracker *tracker, const char *name);

/**
 * Start all sources. One that refuses, or for which there is no memory, is blind until the next
 * start, and named in the timeline: tracking runs all the same. What was kept from before is
 * forgotten: who starts tracking counts all memory as dirty once, after this has returned.
 * @return 0; -EALREADY; -ENODEV: no source at all; -ETIMEDOUT: a member is late, or lost before,
 * lm_group_strerror() says which; tracking runs all the same
 */
int lm_tracker_start(struct lm_tracker *tracker);
/**
 * Stop all sources; harvest before if their last word matters (R6). Harmless when none runs.
 * @return 0, always; failures are counted
 */
int lm_tracker_stop(struct lm_tracker *tracker);

/** Where dirty pages go; merge gets a bitmap by address and returns 0 when it has taken all. */
struct lm_sink {
	int (*merge)(void *ctx, const struct lm_bitmap *bm);
	void *ctx;
};
struct lm_sink lm_sink_vhost_log(struct lm_vhost_log *log);
struct lm_sink lm_sink_ram(struct lm_ram *ram);

/**
 * Read every source over all memory, and hand what they said, and what was kept, to the sink.
 * Nothing is forgotten before the sink has taken it: after an error call again.
 * @return 0; -EINVAL: tracking does not run; -errno of the sink; -ETIMEDOUT: a member is late, or
 * lost before, lm_group_strerror() says which, and the sink has taken that all is dirty
 */
int lm_tracker_harvest(struct lm_tracker *tracker, const struct lm_sink *sink);

struct lm_source_stats {
	char name[64];
	uint64_t reports;
	uint64_t failures;    /* each made a whole range dirty */
	uint64_t dirty_pages; /* of page_size_bytes, repeats included */
	uint64_t page_size_bytes; /* of its reports; 0: not started */
	bool blind;           /* all memory is dirty in every harvest */
};
/** Counted since the last start, source by order of adding. @return 0; -ENOENT: no such source */
int lm_tracker_stats(const struct lm_tracker *tracker, unsigned int source,
		struct lm_source_stats *stats);

#endif /* LM_TRACKER_H */
