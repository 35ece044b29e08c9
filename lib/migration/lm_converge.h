/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_CONVERGE_H
#define LM_CONVERGE_H

/**
 * @file
 * When to switch over: what the dirty working set does from round to round, and how long the source
 * would not forward if it stopped now. Arithmetic only; private to this library.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_report.h"

#define LM_CONVERGE_ROUNDS 4u

struct lm_converge {
	uint64_t remaining[LM_CONVERGE_ROUNDS]; /* newest last */
	unsigned int nb;
};

/** What was dirty when a round had ended. */
void lm_converge_add(struct lm_converge *c, uint64_t remaining_bytes);
enum lm_converge_verdict lm_converge_verdict(const struct lm_converge *c);

/** What is known when a prediction is made; 0 where nothing is. */
struct lm_predict {
	uint64_t ram_bytes;       /* dirty, control areas included */
	uint64_t device_bytes;    /* of all members */
	uint64_t bytes_per_s;     /* of the connections */
	uint64_t rtt_us;
	uint64_t harvest_us;      /* of the last one */
	uint64_t source_arc_us;   /* wall clock of one arc of all members */
	uint64_t dest_arc_us;
	unsigned int stop_arcs;   /* on the way to STOP_COPY */
	unsigned int resume_arcs; /* on the way to RUNNING */
	const struct lm_calibration *calibration; /* may be NULL */
};

/** Fill predicted_us of all phases of the downtime. @return their sum */
uint64_t lm_predict_downtime(const struct lm_predict *in,
		struct lm_phase_report phases[LM_PHASE_NB]);
/** Keep what a completed migration has measured; the newer counts as much as all before. */
void lm_calibrate(struct lm_calibration *c, const struct lm_report *report);

#endif /* LM_CONVERGE_H */
