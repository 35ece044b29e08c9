/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_EX_FAULT_H
#define DM_EX_FAULT_H

/**
 * @file
 * Misbehaviour of the exerciser on demand, at arcs, in its state stream and in its log.
 *
 * ACTION@FROM-TO[=N], with states as VFIO spells them in lower case, or * for any:
 * busy, fail-before, fail-after, error, die: N times, default once; slow: N microseconds, until it
 * is set to 0; hang: N times, default once, until the client leaves or the control socket says
 * "release".
 *
 * NAME=N, see dm_ex_fault.c. "clear" takes all away.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_state.h"

#define DM_EX_MAX_ARC_FAULTS 32
#define DM_EX_NEVER UINT64_MAX

enum dm_ex_action {
	DM_EX_BUSY,        /* -EBUSY, nothing happens */
	DM_EX_SLOW,
	DM_EX_FAIL_BEFORE, /* -EIO, nothing happens */
	DM_EX_FAIL_AFTER,  /* -EIO, and it has moved */
	DM_EX_ERROR,       /* -EIO, and it is in ERROR */
	DM_EX_HANG,
	DM_EX_DIE,         /* SIGKILL to the process */
	DM_EX_NB_ACTIONS
};

struct dm_ex_arc_fault {
	enum dm_ex_action action;
	uint32_t from; /* LM_STATE_NB: any */
	uint32_t to;
	uint64_t left; /* times, or microseconds; 0: free */
};

struct dm_ex_faults {
	struct dm_ex_arc_fault arcs[DM_EX_MAX_ARC_FAULTS];
	/* At this byte of a stream, once; DM_EX_NEVER: not. */
	uint64_t read_fail;
	uint64_t read_hang;
	uint64_t read_die;
	uint64_t read_end;     /* the stream ends here, until the save ends */
	uint64_t read_corrupt;
	uint64_t write_fail;
	uint64_t write_hang;
	uint64_t write_die;
	/* 0: not. */
	uint64_t read_chunk;   /* no read gives more bytes */
	uint64_t read_slow_us;
	uint64_t write_slow_us;
	uint64_t enomsg;       /* so many reads in PRE_COPY find nothing */
	uint64_t info_fail;    /* so many times */
	uint64_t reset_fail;
	uint64_t log_start_fail;
	uint64_t log_report_fail;
	uint64_t log_stop_fail;
	uint64_t drop_dirty;   /* every Nth mark of the log is lost */
	uint64_t extra_dirty;  /* each mark is so many pages too long */
	uint64_t hits;         /* faults that took place */
};

void dm_ex_fault_clear(struct dm_ex_faults *f);
/** @return 0; -EINVAL. */
int dm_ex_fault_parse(struct dm_ex_faults *f, const char *spec);
/** Takes one off; for slow: 0 or microseconds. @return is it its turn? */
bool dm_ex_fault_arc(struct dm_ex_faults *f, enum dm_ex_action action, enum lm_state from,
		enum lm_state to, uint64_t *value);
/** One that happens *left more times. */
bool dm_ex_fault_count(struct dm_ex_faults *f, uint64_t *left);
/** One at a byte: is it in [from, from + len)? Disarms it. */
bool dm_ex_fault_byte(struct dm_ex_faults *f, uint64_t *at, uint64_t from, uint64_t len_bytes);

#endif /* DM_EX_FAULT_H */
