/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_OUTGOING_PVT_H
#define LM_OUTGOING_PVT_H

/**
 * @file
 * Inside of the outgoing side: its states (lm_outgoing.c), rounds until the stop
 * (lm_outgoing_precopy.c), the stop and what follows (lm_outgoing_stop.c), and how members' states
 * are read (lm_outgoing_save.c).
 */

#include "lm_converge.h"
#include "lm_session_pvt.h"

struct lm_outgoing {
	struct lm_session s;
	struct lm_outgoing_conf conf;
	struct lm_compat *compat; /* our own, or NULL */
	struct lm_io *io;
	struct lm_ram_sender *sender; /* NULL: no RAM */
	struct lm_converge converge;
	uint64_t fence;         /* id of the last that was sent */
	uint64_t bytes_per_s;
	uint64_t rtt_us;
	uint64_t harvest_us;
	uint64_t source_arc_us;
	bool tracking;          /* the tracker was started here */
	bool cpu_tracking;
	bool moved;             /* devices may have left RUNNING */
	bool quiesced;
};

/* lm_outgoing_precopy.c */

/** Start tracking, and take the devices to PRE_COPY. */
int lm_outgoing_setup(struct lm_outgoing *o);
/** Rounds, until the rest fits into the downtime. */
int lm_outgoing_precopy(struct lm_outgoing *o);
/** Read all sources of dirtiness. */
int lm_outgoing_harvest(struct lm_outgoing *o);
void lm_outgoing_untrack(struct lm_outgoing *o);
/** Put a mark on every bulk connection, and wait until the peer has taken in what is before it. */
int lm_outgoing_fence(struct lm_outgoing *o, bool last);
/** Measure what an idle connection does. */
int lm_outgoing_probe(struct lm_outgoing *o);

/* lm_outgoing_stop.c */

int lm_outgoing_quiesce(struct lm_outgoing *o);
int lm_outgoing_stop(struct lm_outgoing *o);
int lm_outgoing_final_harvest(struct lm_outgoing *o);
int lm_outgoing_transfer(struct lm_outgoing *o);
int lm_outgoing_await_loaded(struct lm_outgoing *o);
int lm_outgoing_commit(struct lm_outgoing *o);
int lm_outgoing_finish(struct lm_outgoing *o);
/**
 * The session has failed, and has no use for what is on its way: the peer is told, and all that
 * send end at once. Before COMMIT.
 */
void lm_outgoing_break(struct lm_outgoing *o);
/** Give up: run here again. @return the outcome */
enum lm_outcome lm_outgoing_revive(struct lm_outgoing *o);

/* lm_outgoing_save.c */

/** What members have, and what they would have to send if they stopped now. */
int lm_outgoing_info(struct lm_outgoing *o);
/** A slice of members' states; at the stop until their end. @return 1: all is read for now; 0 */
int lm_outgoing_save(struct lm_outgoing *o);
/** All initial data has been loaded at the destination. */
bool lm_outgoing_early_done(struct lm_outgoing *o);
uint64_t lm_outgoing_pending(struct lm_outgoing *o);

#endif /* LM_OUTGOING_PVT_H */
