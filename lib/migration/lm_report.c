/* SPDX-License-Identifier: BSD-3-Clause */

#include "lm_report.h"

#define NB(a) (sizeof(a) / sizeof((a)[0]))
#define NAME(names, i) ((unsigned int)(i) < NB(names) ? (names)[i] : "unknown")

const char *
lm_outcome_name(enum lm_outcome outcome)
{
	static const char *const names[] = {
		[LM_OUTCOME_NONE] = "active",
		[LM_OUTCOME_COMPLETED] = "completed",
		[LM_OUTCOME_FAILED] = "failed",
		[LM_OUTCOME_CANCELLED] = "cancelled",
		[LM_OUTCOME_UNDECIDED] = "undecided",
		[LM_OUTCOME_LOST] = "lost",
	};

	return NAME(names, outcome);
}

const char *
lm_phase_name(enum lm_phase phase)
{
	static const char *const names[] = {
		[LM_PHASE_MEET] = "meet",
		[LM_PHASE_SETUP] = "setup",
		[LM_PHASE_PRECOPY] = "precopy",
		[LM_PHASE_QUIESCE] = "quiesce",
		[LM_PHASE_STOP] = "stop",
		[LM_PHASE_HARVEST] = "harvest",
		[LM_PHASE_TRANSFER] = "transfer",
		[LM_PHASE_LOAD] = "load",
		[LM_PHASE_COMMIT] = "commit",
		[LM_PHASE_RESUME] = "resume",
		[LM_PHASE_CLEANUP] = "cleanup",
	};

	_Static_assert(NB(names) == LM_PHASE_NB, "a phase without a name");
	return NAME(names, phase);
}

const char *
lm_converge_name(enum lm_converge_verdict verdict)
{
	static const char *const names[] = {
		[LM_CONVERGE_UNKNOWN] = "unknown",
		[LM_CONVERGE_CONVERGING] = "converging",
		[LM_CONVERGE_FLAT] = "flat",
		[LM_CONVERGE_DIVERGING] = "diverging",
	};

	return NAME(names, verdict);
}
