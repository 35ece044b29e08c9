/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_GROUP_H
#define LM_GROUP_H

/**
 * @file
 * Devices that migrate together: one thread each, one order for all, no wait without an end.
 *
 * A provider's call can block for seconds (pds) or for ever (a kernel that waits for firmware).
 * So every member has a thread that makes its calls; the group waits for them with a deadline. A
 * member that is late is *lost*: its name is given, its thread is left to finish alone, and no call
 * is made to it again before lm_group_recover() has seen the late one return.
 *
 * Order (vfio.h, "Migration": P2P): on the way out of running all members reach RUNNING_P2P or
 * PRE_COPY_P2P before the first goes on to STOP or STOP_COPY; on the way in all reach RUNNING_P2P
 * before the first runs. Members run in parallel; those that share a lane (a command queue of one
 * PF) one after another, the one that took longest last time first.
 *
 * One thread at a time per group, save lm_group_lost() and what only reads.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_provider.h"

struct lm_group;
struct lm_timeline;

#define LM_GROUP_NAME_BYTES 64
#define LM_GROUP_DEADLINE_US UINT64_C(10000000)

struct lm_group_conf {
	/** Per arc and call, where a member names none; 0: LM_GROUP_DEADLINE_US. */
	uint64_t deadline_us;
	/**
	 * The caller's word that members do no DMA to each other. Without it a group of two or more
	 * of which one lacks P2P is refused.
	 */
	bool no_peer_dma;
};

struct lm_member_conf {
	const char *name; /* copied; 1..63 characters */
	struct lm_provider provider;
	uint64_t deadline_us;         /* per arc and call; 0: the group's */
	uint32_t lane;                /* 0: alone; else shared with who has the same number */
	struct lm_timeline *timeline; /* the caller's, may be NULL */
};

/** @return 0; -ENOMEM; -errno of thread primitives */
int lm_group_create(const struct lm_group_conf *conf, struct lm_group **group);
/**
 * Ends the threads. One whose provider never returned is abandoned: it keeps what it uses, and
 * the provider's device must stay valid for as long as the process lives.
 * NULL is allowed.
 */
void lm_group_destroy(struct lm_group *group);

/**
 * Add a device: reads its capabilities and checks its arcs (lm_state_machine_check()).
 *
 * @return its index, counted from 0; -EINVAL: a bad name or a bad table of arcs; -EEXIST: the name
 * is taken; -ENOMEM; -ETIMEDOUT: caps did not return; -errno of caps
 */
int lm_group_add(struct lm_group *group, const struct lm_member_conf *conf);
unsigned int lm_group_count(const struct lm_group *group);
/** Valid as long as the group; NULL beyond the last. */
const char *lm_group_name(const struct lm_group *group, unsigned int member);
const struct lm_caps *lm_group_caps(const struct lm_group *group, unsigned int member);

/** What became of one member in the last lm_group_go() or lm_group_each(). */
struct lm_member_result {
	/** As lm_state.h; LM_STATE_LOST also when it was late or was lost before. */
	enum lm_state_outcome outcome;
	enum lm_state at;          /* as last known; ERROR when it is not */
	enum lm_state failed_from; /* ERROR, ERROR when no arc failed */
	enum lm_state failed_to;
	int error;                 /* 0 or -errno; -ETIMEDOUT: it was late */
	uint64_t took_us;          /* thread's wall time of its calls */
	unsigned int nb_calls;     /* into the provider: each can be a round trip */
};
/** NULL beyond the last. Valid until the group is used again. */
const struct lm_member_result *lm_group_result(const struct lm_group *group, unsigned int member);
/** In words: who, which arc, what; at most one line. Valid until the group is used again. */
const char *lm_group_strerror(const struct lm_group *group);
/** Is this member lost? Any thread. */
bool lm_group_lost(const struct lm_group *group, unsigned int member);
/** Calls into the member's provider since it was added: synchronous round trips. Any thread. */
uint64_t lm_group_calls(const struct lm_group *group, unsigned int member);

/**
 * Take all members to a state, in the order above:
 *  - PRE_COPY: members without PRE_COPY stay RUNNING
 *  - STOP_COPY: from RUNNING or PRE_COPY, over the P2P states
 *  - RUNNING: from anywhere it can be had; from STOP, RESUMING and STOP_COPY over RUNNING_P2P
 *  - STOP: from RESUMING (ends a load) and from STOP_COPY
 *  - RESUMING: from RUNNING or STOP
 *
 * A member that fails is recovered or reset as lm_state_walk() does; the others finish the phase
 * they are in, and no later phase is begun. What the caller does with the rest (usually
 * lm_group_go(RUNNING)) is his.
 *
 * @return 0: all arrived; -ENODEV: no members; -EXDEV: peers without P2P, see
 * lm_group_conf.no_peer_dma; -EINVAL: no such target; else the error of the first member that
 * failed, by index
 */
int lm_group_go(struct lm_group *group, enum lm_state to);
/**
 * Bring every member back to RUNNING by whatever works: a way, else a reset. For the source after
 * a failure. A lost member whose late call has returned meanwhile is asked where it is, and found
 * again. One with half a load in it (RESUMING) is reset.
 *
 * @return 0: all run (results tell which were reset); else the error of the first that does not,
 * -ENODEV: it is lost
 */
int lm_group_recover(struct lm_group *group);
/**
 * Reset every member: what they hold is gone, and they run empty. For a destination that gives up,
 * which must not run what it has loaded.
 *
 * @return 0; else the error of the first that was not reset, -ENODEV: it is lost
 */
int lm_group_reset(struct lm_group *group);

/**
 * Call fn for every member, on its thread, lanes respected. For reading and writing state streams,
 * info and dirty calls; lost members are skipped with -ENODEV as their result. fn may count calls
 * with lm_group_count_call().
 *
 * @param what named when a member is late; stays valid until the group is used again
 * @param deadline_us for each member's fn; 0: none, fn has deadlines of its own. A late
 * one still runs: what ctx points to must live as long as the group and its abandoned threads
 * @return 0, or the first result that is not 0, by index; results by lm_group_result()->error
 */
int lm_group_each(struct lm_group *group, const char *what, uint64_t deadline_us,
		int (*fn)(void *ctx, unsigned int member, const struct lm_provider *provider),
		void *ctx);
/** A deadline_us of lm_group_each(): each member's own, as for an arc. */
#define LM_GROUP_OWN_DEADLINE UINT64_MAX
/**
 * The same for some: members of which who says so.
 * @param who called here, before any fn
 */
int lm_group_some(struct lm_group *group, const char *what, uint64_t deadline_us,
		bool (*who)(void *ctx, unsigned int member),
		int (*fn)(void *ctx, unsigned int member, const struct lm_provider *provider),
		void *ctx);
/**
 * From within fn: it goes on with another call into the provider, which is counted and may take as
 * long as the first.
 * @return 0; -ECANCELED: the member was given up meanwhile
 */
int lm_group_next_call(struct lm_group *group, unsigned int member);
/** From within fn: count provider calls (round trips) for this member. */
void lm_group_count_call(struct lm_group *group, unsigned int member, unsigned int calls);

#endif /* LM_GROUP_H */
