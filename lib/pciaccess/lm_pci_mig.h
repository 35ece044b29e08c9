/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_MIG_H
#define LM_PCI_MIG_H

/**
 * @file
 * Migration of a PCI function as VFIO has it (linux/vfio.h, "VFIO migration"), the same whether it
 * is behind the kernel or behind a vfio-user socket.
 *
 * States are given as numbers of enum vfio_device_mig_state, which are also those of lm_state.h.
 * Calls come from one thread at a time, save lm_pci_log_report(), which may run beside the others.
 * All return 0 or -errno as lm_pci.h has it, unless said otherwise; lm_pci_strerror() has the
 * words. Any call may block as long as the device takes: seconds, on some kernels for ever.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_pci.h"

/** What reports of written pages must look like; zero-filled: anything goes. */
struct lm_pci_log_limits {
	bool whole_ranges;         /* exactly one range of the start, which is one mapping */
	bool fixed_page_size;      /* the page size that the start gave back */
	uint32_t align_pages;      /* begin and end at multiples, counted from the range's start */
	uint32_t max_ranges;       /* 0: as many as wanted */
	bool ends_with_stop_copy;  /* no report any more once STOP_COPY is left */
};

struct lm_pci_mig_caps {
	uint64_t flags;  /* VFIO_MIGRATION_*: STOP_COPY 1, P2P 2, PRE_COPY 4 */
	bool has_log;    /* the device logs its own writes */
	bool has_reinit; /* lm_pci_mig_precopy.reinit means something */
	struct lm_pci_log_limits log;
};

/**
 * Ask what it offers; the first call, since it also tells the kernel what this side understands.
 * @return 0; -ENOTTY: it cannot migrate
 */
int lm_pci_mig_caps(struct lm_pci *pci, struct lm_pci_mig_caps *caps);

/** Where the device is, from the device. */
int lm_pci_mig_state(struct lm_pci *pci, uint32_t *state);
/**
 * Go there, by however many arcs. The stream of the new state is opened and that of the old one
 * closed, as the arc demands. After an error the device may be anywhere on the way: ask, and never
 * go on from ERROR, which only lm_pci_reset() leaves.
 * @return 0; -EINVAL: no way, or no such state
 */
int lm_pci_mig_set_state(struct lm_pci *pci, uint32_t state);

/**
 * Next bytes of the stream, in PRE_COPY, PRE_COPY_P2P and STOP_COPY.
 * @return bytes (> 0); 0: end (STOP_COPY only); -ENOMSG: nothing now (PRE_COPY only); -EAGAIN:
 * not yet, see lm_pci_mig_poll_fd(); -EBADF: no stream is open; -EPROTO: -ENOMSG after PRE_COPY;
 * else -errno
 */
int lm_pci_mig_read(struct lm_pci *pci, void *buf, uint32_t len_bytes);
/** All of buf, in RESUMING; after an error no one knows how much has been taken. -EBADF as above */
int lm_pci_mig_write(struct lm_pci *pci, const void *buf, uint32_t len_bytes);
/** Readable once lm_pci_mig_read() has something again; -1: ask again later. Stays ours. */
int lm_pci_mig_poll_fd(const struct lm_pci *pci);

/** As struct vfio_precopy_info. */
struct lm_pci_mig_precopy {
	uint64_t initial_bytes; /* to be loaded early by the other side */
	uint64_t dirty_bytes;   /* estimate of the rest */
	bool reinit;            /* there is new initial data */
};
/**
 * In PRE_COPY and PRE_COPY_P2P; some devices begin their next incremental save here, so call it
 * again and again.
 * @return 0; -ENOTTY: this device does not tell; -EINVAL: not in these states
 */
int lm_pci_mig_precopy_info(struct lm_pci *pci, struct lm_pci_mig_precopy *info);
/** Estimate of the stream if it stopped now, in any state. @return 0; -ENOTTY: does not tell */
int lm_pci_mig_data_size(struct lm_pci *pci, uint64_t *stop_copy_bytes);

struct lm_pci_log_range {
	uint64_t iova;
	uint64_t size_bytes;
};
/**
 * Log the device's writes to these ranges, ascending. page_size_bytes is the wish in, the device's
 * choice out. Independent of the state; ends with lm_pci_log_stop(), a reset on some devices, and
 * lm_pci_close().
 * @return 0; -ENOTTY: it has no log; -EINVAL: it runs already, or ranges overlap or are not
 * aligned; -ENOTSUP: two ranges so near that a device that works in words would mix them up
 */
int lm_pci_log_start(struct lm_pci *pci, const struct lm_pci_log_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes);
/**
 * Read and clear: ORs into bitmap, whose bit n is the page n after iova. Within
 * lm_pci_mig_caps.log. After an error all of it counts as written.
 */
int lm_pci_log_report(struct lm_pci *pci, uint64_t iova, uint64_t size_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap);
int lm_pci_log_stop(struct lm_pci *pci);

#endif /* LM_PCI_MIG_H */
