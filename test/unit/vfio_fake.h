/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VFIO_FAKE_H
#define VFIO_FAKE_H

/*
 * A kernel with one VFIO device that migrates, as a table of system calls. It insists on what a
 * kernel's driver may rely on: single arcs, no SET from ERROR, streams that are used while they
 * live and closed afterwards. Any call can be made to fail.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_pci_vfio.h"
#include "lm_state.h"

#define VFIO_FAKE_DEVICE 1000
#define VFIO_FAKE_BLOB_BYTES 5000u
#define VFIO_FAKE_PAGES 65536u

enum vfio_fake_fault {
	VFIO_FAKE_NO_FAULT,
	VFIO_FAKE_BEFORE, /* the arc fails and nothing has happened */
	VFIO_FAKE_AFTER,  /* it fails, and the device is there all the same */
	VFIO_FAKE_ERROR,  /* it fails, and the device is in ERROR */
};

struct vfio_fake {
	uint64_t flags;
	bool has_log, has_reinit, has_sizes, has_precopy_info;
	bool polls;
	bool saves_when_asked;   /* PRE_COPY has data only after its sizes were asked for (mlx5) */
	bool reset_when_running; /* -EINVAL else */
	bool reset_keeps_log;    /* (pds) */
	uint64_t log_page_size;

	enum lm_state state;
	int stream_fd; /* -1: none; numbers are never used again */
	int next_fd;
	int nonblock_fd;
	uint8_t blob[VFIO_FAKE_BLOB_BYTES];
	uint32_t blob_at;
	uint32_t precopy_left; /* how much of the blob can be read before it stops */
	uint8_t loaded[VFIO_FAKE_BLOB_BYTES];
	uint32_t loaded_bytes;
	bool opted_in;
	bool logs;
	bool dirty[VFIO_FAKE_PAGES];
	uint32_t nb_ranges;
	uint64_t first_range[2];

	/* Faults. */
	enum vfio_fake_fault fault;
	enum lm_state fault_from, fault_to;
	int fault_error;
	unsigned int fail_call; /* this one, counted from 1, fails with fault_error */
	uint32_t most_bytes;    /* of one read or write; 0: all */
	unsigned int nb_intr, nb_again, nb_pause; /* reads that say so first */

	/* What was seen. */
	unsigned int calls;
	unsigned int resets, sets, log_starts, log_stops, reports, infos;
	unsigned int closed;
};

extern struct vfio_fake vfio_fake;
extern const struct lm_sys vfio_fake_sys;

/** A device with all there is, RUNNING. */
void vfio_fake_init(void);
/** The kernel back end over it. */
struct lm_pci *vfio_fake_open(void);
void vfio_fake_close(struct lm_pci *pci);

#endif /* VFIO_FAKE_H */
