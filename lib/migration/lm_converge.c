/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "lm_converge.h"

#define US_PER_S UINT64_C(1000000)
/* A round is better or worse than the one before by a tenth, or it is the same. */
#define SAME(a, b) ((a) <= (b) + (b) / 10 && (a) >= (b) - (b) / 10)

void
lm_converge_add(struct lm_converge *c, uint64_t remaining_bytes)
{
	if (c->nb == LM_CONVERGE_ROUNDS)
		memmove(&c->remaining[0], &c->remaining[1],
			(LM_CONVERGE_ROUNDS - 1) * sizeof(c->remaining[0]));
	else
		c->nb++;
	c->remaining[c->nb - 1] = remaining_bytes;
}

enum lm_converge_verdict
lm_converge_verdict(const struct lm_converge *c)
{
	uint64_t first, last;

	if (c->nb < 3)
		return LM_CONVERGE_UNKNOWN;
	first = c->remaining[c->nb - 3];
	last = c->remaining[c->nb - 1];
	if (SAME(last, first))
		return last == 0 ? LM_CONVERGE_CONVERGING : LM_CONVERGE_FLAT;
	return last < first ? LM_CONVERGE_CONVERGING : LM_CONVERGE_DIVERGING;
}

static uint64_t
time_of(uint64_t bytes, uint64_t bytes_per_s)
{
	if (bytes_per_s == 0)
		return 0;
	return (uint64_t)((double)bytes * (double)US_PER_S / (double)bytes_per_s);
}

/* What was measured the last time knows more than what arcs cost before. */
static uint64_t
known(const struct lm_calibration *c, enum lm_phase phase, uint64_t otherwise_us)
{
	return c != NULL && c->runs != 0 ? c->phase_us[phase] : otherwise_us;
}

/* Devices are read and loaded while the source waits: the last stop tells more than pre-copy. */
static uint64_t
rate(const struct lm_predict *in)
{
	const struct lm_calibration *c = in->calibration;

	return c != NULL && c->transfer_bytes_per_s != 0 ? c->transfer_bytes_per_s :
		in->bytes_per_s;
}

uint64_t
lm_predict_downtime(const struct lm_predict *in, struct lm_phase_report phases[LM_PHASE_NB])
{
	const struct lm_calibration *c = in->calibration;
	uint64_t sum_us = 0, wire_us;
	unsigned int i;

	wire_us = in->rtt_us + time_of(in->ram_bytes + in->device_bytes, rate(in));
	phases[LM_PHASE_QUIESCE].predicted_us = known(c, LM_PHASE_QUIESCE, 0);
	phases[LM_PHASE_STOP].predicted_us = known(c, LM_PHASE_STOP,
		in->source_arc_us * in->stop_arcs);
	phases[LM_PHASE_HARVEST].predicted_us = known(c, LM_PHASE_HARVEST, in->harvest_us);
	phases[LM_PHASE_TRANSFER].predicted_us = wire_us;
	phases[LM_PHASE_LOAD].predicted_us = known(c, LM_PHASE_LOAD, in->dest_arc_us);
	phases[LM_PHASE_COMMIT].predicted_us = known(c, LM_PHASE_COMMIT, in->rtt_us);
	phases[LM_PHASE_RESUME].predicted_us = known(c, LM_PHASE_RESUME,
		in->dest_arc_us * in->resume_arcs);
	for (i = LM_PHASE_QUIESCE; i <= LM_PHASE_RESUME; i++)
		sum_us += phases[i].predicted_us;
	return sum_us;
}

/* The newer counts as much as all before. */
static uint64_t
average(const struct lm_calibration *c, uint64_t before, uint64_t now)
{
	return c->runs == 0 ? now : (before + now) / 2;
}

void
lm_calibrate(struct lm_calibration *c, const struct lm_report *report)
{
	const struct lm_phase_report *transfer = &report->phases[LM_PHASE_TRANSFER];
	unsigned int i;

	if (transfer->measured_us != 0 && transfer->bytes != 0)
		c->transfer_bytes_per_s = average(c, c->transfer_bytes_per_s,
			(uint64_t)((double)transfer->bytes * (double)US_PER_S /
				(double)transfer->measured_us));
	for (i = LM_PHASE_QUIESCE; i <= LM_PHASE_RESUME; i++)
		c->phase_us[i] = average(c, c->phase_us[i], report->phases[i].measured_us);
	c->runs++;
}
