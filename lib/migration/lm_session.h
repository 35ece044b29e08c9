/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_SESSION_H
#define LM_SESSION_H

/**
 * @file
 * A migration: the outgoing side and the incoming side, each a state machine that runs in the
 * thread of its caller.
 *
 * Never lost, never twice:
 *  - the destination loads and says LOADED; the source sends COMMIT; only then the destination
 *    runs
 *  - before COMMIT the source runs again after anything: cancel, death of the peer, an error of a
 *    device, a deadline
 *  - after COMMIT it runs again only when the destination says ABORT, or is proven dead; else the
 *    outcome is LM_OUTCOME_UNDECIDED, its devices stay stopped, and lm_outgoing_resolve() waits to
 *    be told
 *  - a destination that has said ABORT, or is without a source before COMMIT, resets what it has
 *    loaded and never runs it
 *
 * After every outcome but UNDECIDED and LOST the devices can migrate again. Every wait has a
 * deadline, and the report says what was waited for.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_channel.h"
#include "lm_compat_rec.h"
#include "lm_group.h"
#include "lm_ram.h"
#include "lm_report.h"
#include "lm_tracker.h"

struct lm_outgoing;
struct lm_incoming;

#define LM_SESSION_DEADLINE_US UINT64_C(10000000)
#define LM_SESSION_PRECOPY_US UINT64_C(600000000)
#define LM_SESSION_DOWNTIME_US UINT64_C(300000)

/** What is said while a session runs; on its thread, in no lock; may be NULL. */
typedef void (*lm_session_progress_t)(void *ctx, const struct lm_report *report);

struct lm_outgoing_conf {
	struct lm_group *group;
	struct lm_tracker *tracker; /* its sources are the devices; NULL: nothing is tracked */
	struct lm_ram *ram;         /* NULL: somebody else moves RAM */
	/** NULL: what lm_compat_create() knows. */
	const struct lm_compat *compat;
	/** The session's once lm_outgoing_create() succeeds. */
	struct lm_channel *channel;
	struct lm_timeline *timeline; /* may be NULL */
	uint64_t downtime_limit_us; /* 0: LM_SESSION_DOWNTIME_US */
	uint64_t precopy_us;        /* at most, then fail; 0: LM_SESSION_PRECOPY_US */
	/** After so long switch over whatever the prediction says; 0: never. */
	uint64_t force_after_us;
	uint64_t deadline_us; /* of every wait for the peer; 0: LM_SESSION_DEADLINE_US */
	bool zstd;            /* try to compress RAM */
	/** Hold everything that touches the devices' queues. NULL: nothing to hold. */
	int (*quiesce)(void *ctx);
	/** All devices have stopped: last writes to RAM, before the rest of it is sent. */
	int (*stopped)(void *ctx);
	/** Let go again: the source runs on. */
	void (*resume)(void *ctx);
	lm_session_progress_t progress;
	void *ctx;
	/** In: what is known; out, after COMPLETED: what was measured. May be NULL. */
	struct lm_calibration *calibration;
};

/**
 * What conf points to stays the caller's, and valid until lm_outgoing_destroy().
 * @return 0 or -ENOMEM, -errno of thread primitives
 */
int lm_outgoing_create(const struct lm_outgoing_conf *conf, struct lm_outgoing **out);
/** Never for one that is UNDECIDED: what it holds is all there is. NULL is allowed. */
void lm_outgoing_destroy(struct lm_outgoing *out);
/** Do it, once. @return the outcome; details in the report */
enum lm_outcome lm_outgoing_run(struct lm_outgoing *out);
/**
 * Give up and run on here. Any thread; returns at once.
 * @return 0; -EALREADY: too late, COMMIT is on its way
 */
int lm_outgoing_cancel(struct lm_outgoing *out);
/**
 * After UNDECIDED: somebody knows. On the thread of lm_outgoing_run().
 * @param source_runs the destination does not run and never will: run here
 * @return the outcome: FAILED (the source runs), COMPLETED, or LOST
 */
enum lm_outcome lm_outgoing_resolve(struct lm_outgoing *out, bool source_runs);
/** Any thread. */
void lm_outgoing_report(struct lm_outgoing *out, struct lm_report *report);
/** @return 0; -ENOENT */
int lm_outgoing_member(struct lm_outgoing *out, unsigned int member,
		struct lm_member_report *report);

struct lm_incoming_conf {
	struct lm_group *group;
	struct lm_ram *ram; /* NULL: no RAM records are expected */
	const struct lm_compat *compat;
	struct lm_channel *channel;
	struct lm_timeline *timeline;
	uint64_t deadline_us;
	/** After COMMIT, before the devices run: what a VMM would restore. */
	int (*commit)(void *ctx);
	/** They run: ring each doorbell once. */
	void (*running)(void *ctx);
	lm_session_progress_t progress;
	void *ctx;
};

/** As lm_outgoing_create(). */
int lm_incoming_create(const struct lm_incoming_conf *conf, struct lm_incoming **in);
void lm_incoming_destroy(struct lm_incoming *in);
/** Do it, once. @return the outcome; with all but COMPLETED the devices are empty, or LOST */
enum lm_outcome lm_incoming_run(struct lm_incoming *in);
/** Any thread. @return 0; -EALREADY: COMMIT has come */
int lm_incoming_cancel(struct lm_incoming *in);
void lm_incoming_report(struct lm_incoming *in, struct lm_report *report);
int lm_incoming_member(struct lm_incoming *in, unsigned int member,
		struct lm_member_report *report);

#endif /* LM_SESSION_H */
