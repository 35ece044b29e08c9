/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PROVIDER_H
#define LM_PROVIDER_H

/**
 * @file
 * The contract: what code that commands a device's migration gives to this library.
 *
 * A provider is a const table of functions and a pointer to one device. The library owns the state
 * machine (lm_state.h), the order of several devices (lm_group.h), dirty tracking (lm_tracker.h)
 * and sessions (lm_session.h); a provider only does single arcs, moves bytes and reports pages.
 * Whoever adds a kind of device writes one such table and nothing else.
 *
 * All calls for one device come from one thread at a time, not always the same one, save that
 * dirty_report may come from another thread than the rest while the device runs, where its log was
 * not added to a tracker as a member's: a provider serialises what it has to. Every call may block;
 * the library runs them where they can be abandoned at a deadline (lm_group.h). After that no call is made any more until the late one has
 * returned, and the device counts as lost.
 *
 * Every function returns 0 or -errno as the device, kernel or peer gave it, unless said otherwise.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_state.h"

/** [addr, addr + len_bytes) in the device's address space (IOVA). */
struct lm_range {
	uint64_t addr;
	uint64_t len_bytes;
};

/** How a device reports pages; zero-filled means no limits. */
struct lm_dirty_traits {
	bool present; /* the device has a log of its own */
	/** Reports must cover exactly one range that was started (libvfio-user). */
	bool whole_ranges;
	/** Reports must use the page size that dirty_start gave back (libvfio-user). */
	bool fixed_page_size;
	/**
	 * A report must begin and end at multiples of this many pages after the start of the range
	 * that it lies in, or at its end, and not cross into another (pds: 64); 0 and 1 both mean
	 * anywhere.
	 */
	uint32_t align_pages;
	/** Most ranges that dirty_start takes; 0: as many as wanted. Gaps are closed to fit. */
	uint32_t max_ranges;
	/** The log ends when the device leaves STOP_COPY: the last report comes before. */
	bool ends_with_stop_copy;
};

/** What one device offers; constant once opened. */
struct lm_caps {
	uint64_t flags; /* LM_STATE_F_* */
	struct lm_dirty_traits dirty;
	/** Words for compatibility and messages: who commands it ("vfio-user", "pds", ...). */
	char provider[24];
	/** What the device is: "1dd8:1003", and a firmware or PSID where there is one. */
	char device[40];
	char firmware[40];
};

/** What is there to be read now; may drive the device (mlx5 starts its next save here). */
struct lm_mig_info {
	uint64_t initial_bytes;   /* PRE_COPY: must be loaded before the switch-over */
	uint64_t dirty_bytes;     /* PRE_COPY: estimate of the rest */
	uint64_t stop_copy_bytes; /* estimate of what is left if it stopped now; any state */
	bool has_precopy;         /* initial_bytes and dirty_bytes were filled */
	bool has_stop_copy;       /* stop_copy_bytes was filled */
	bool reinit;              /* new initial data: an earlier acknowledgement is void */
	int poll_fd;              /* readable after read gave -EAGAIN; -1: ask again later */
};

struct lm_provider_ops {
	/** For messages: "vfio-user", "kernel", "pds". */
	const char *name;
	/** Once, first. Zero-filled before the call. */
	int (*caps)(void *dev, struct lm_caps *caps);
	/** Single arcs, see lm_state.h; only those are walked that caps.flags demand. */
	const struct lm_state_arc *arcs;
	unsigned int nb_arcs;
	/** As in struct lm_state_machine. */
	int (*state)(void *dev, enum lm_state *state);
	int (*reset)(void *dev);
	/** Zero-filled before the call, poll_fd -1. NULL: nothing is known. */
	int (*info)(void *dev, struct lm_mig_info *info);
	/**
	 * Next bytes of the state stream, in PRE_COPY, PRE_COPY_P2P and STOP_COPY.
	 * @return bytes (> 0); 0: end (STOP_COPY only); -ENOMSG: nothing now, maybe later (PRE_COPY
	 * only); -EAGAIN: nothing yet, wait for info.poll_fd or a while; else -errno
	 */
	int (*read)(void *dev, void *buf, uint32_t len_bytes);
	/** RESUMING: all of buf, in order. Errors may show at any write, or when it is left. */
	int (*write)(void *dev, const void *buf, uint32_t len_bytes);
	/**
	 * Log the device's writes to these ranges; page_size_bytes is the wish in, the device's
	 * choice out. All three NULL where caps.dirty.present is false.
	 * @return 0; -EINVAL: it runs already
	 */
	int (*dirty_start)(void *dev, const struct lm_range *ranges, unsigned int nb,
			uint64_t *page_size_bytes);
	/**
	 * Read and clear. ORs into bitmap, bit n for page n after iova; 64-bit words. Within the
	 * limits of caps.dirty. After an error all of the range counts as dirty.
	 */
	int (*dirty_report)(void *dev, uint64_t iova, uint64_t len_bytes,
			uint64_t page_size_bytes, uint64_t *bitmap);
	int (*dirty_stop)(void *dev);
};

/** A device under its provider; copied by who takes it, dev stays the caller's. */
struct lm_provider {
	const struct lm_provider_ops *ops;
	void *dev;
};

#endif /* LM_PROVIDER_H */
