/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_REPORT_H
#define LM_REPORT_H

/**
 * @file
 * What a migration did, in QEMU's words and units where QEMU has them ("info migrate"): bytes,
 * pages, microseconds. Filled while it runs, and after it.
 */

#include <stdint.h>

enum lm_outcome {
	LM_OUTCOME_NONE,      /* it still runs */
	LM_OUTCOME_COMPLETED, /* the destination runs */
	LM_OUTCOME_FAILED,    /* the source runs; the destination is empty */
	LM_OUTCOME_CANCELLED, /* the same, because it was asked for */
	LM_OUTCOME_UNDECIDED, /* source: nobody can tell which side runs; this one does not */
	LM_OUTCOME_LOST,      /* devices of this side do not answer or did not come back */
};
/** "active", "completed", "failed", "cancelled", "undecided", "lost". Static. */
const char *lm_outcome_name(enum lm_outcome outcome);

/** Where a session is; they come in this order, each at most once. */
enum lm_phase {
	LM_PHASE_MEET,     /* compatibility, destination prepares */
	LM_PHASE_SETUP,    /* tracking, devices to PRE_COPY */
	LM_PHASE_PRECOPY,
	LM_PHASE_QUIESCE,  /* from here on the source does not forward */
	LM_PHASE_STOP,     /* devices to STOP_COPY */
	LM_PHASE_HARVEST,  /* last reports of all sources of dirtiness */
	LM_PHASE_TRANSFER, /* remaining RAM and device state */
	LM_PHASE_LOAD,     /* destination: devices take what they were given */
	LM_PHASE_COMMIT,   /* the order and the way of it */
	LM_PHASE_RESUME,   /* destination: devices to RUNNING; until it was heard of */
	LM_PHASE_CLEANUP,
	LM_PHASE_NB,
};
/** "meet", "setup", "precopy", ... Static. */
const char *lm_phase_name(enum lm_phase phase);

/** Is the dirty working set being caught up with? From the last rounds. */
enum lm_converge_verdict {
	LM_CONVERGE_UNKNOWN, /* too few rounds */
	LM_CONVERGE_CONVERGING,
	LM_CONVERGE_FLAT,
	LM_CONVERGE_DIVERGING,
};
const char *lm_converge_name(enum lm_converge_verdict verdict);

struct lm_phase_report {
	uint64_t predicted_us; /* 0 outside the downtime; as predicted at the switch-over */
	uint64_t measured_us;
	uint64_t bytes;        /* sent in it */
};

struct lm_ram_report {
	uint64_t total_bytes;
	uint64_t remaining_bytes;
	uint64_t transferred_bytes; /* on the wire, as RAM and ZERO records */
	uint64_t normal_pages;      /* sent with their content */
	uint64_t duplicate_pages;   /* all zeroes, sent as such */
	uint64_t compressed_bytes;  /* of pages that were sent compressed, before */
	uint64_t dirty_pages_per_s; /* in the last round */
};

struct lm_report {
	enum lm_outcome outcome;
	enum lm_phase phase;       /* the last that was begun */
	int error;                 /* 0 or -errno */
	char why[512];             /* what failed, where; empty: nothing */
	uint64_t total_us;
	uint64_t setup_us;         /* MEET and SETUP */
	uint64_t downtime_us;      /* QUIESCE to RESUME */
	uint64_t expected_downtime_us;
	uint64_t downtime_limit_us;
	struct lm_phase_report phases[LM_PHASE_NB];
	struct lm_ram_report ram;
	uint64_t device_bytes;     /* of all members' streams */
	uint64_t device_remaining_bytes;
	uint64_t bytes_per_s;      /* measured, of the connections together */
	uint64_t rtt_us;           /* of a fence that waits for nothing */
	unsigned int rounds;       /* of pre-copy: QEMU's dirty sync count */
	enum lm_converge_verdict verdict;
	unsigned int round_trips;  /* waits for the peer while the source does not forward */
	unsigned int nb_members;
};

struct lm_member_report {
	char name[64];
	uint64_t bytes;         /* of its state stream */
	uint64_t early_bytes;   /* of them before the stop */
	uint64_t calls;         /* into its provider, in this session: synchronous round trips */
	uint64_t downtime_calls; /* of them while the source does not forward */
	unsigned int reinits;
};

/**
 * What a migration has measured, for the next one between the same two: a prediction is only as
 * good as what it knows. Zero-filled: nothing.
 */
struct lm_calibration {
	uint64_t phase_us[LM_PHASE_NB];
	uint64_t transfer_bytes_per_s; /* of TRANSFER, which is not that of pre-copy */
	unsigned int runs;
};

#endif /* LM_REPORT_H */
