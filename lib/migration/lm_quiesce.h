/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_QUIESCE_H
#define LM_QUIESCE_H

/**
 * @file
 * Quiesce polling threads that are not ours.
 *
 * Each queue has a word that its burst function sets on entry and clears on exit, with relaxed
 * stores and compiler barriers only. A manager that wants the queue to itself sets DRAIN, issues
 * membarrier(PRIVATE_EXPEDITED) (see membarrier(2)), which puts the missing full fence into every
 * running thread, and waits until the queue is out of its burst. A queue that nobody polls parks
 * at once. Built with LM_QUIESCE_FENCE, or where membarrier is missing, the burst pays for a full
 * fence instead.
 *
 * lm_quiesce_enter() / lm_quiesce_exit(): the polling thread of that queue, one at a time.
 * The rest: one manager at a time per queue.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lm_quiesce {
	_Atomic uint32_t in_burst; /* written by the polling thread only */
	_Atomic uint32_t drain;    /* written by the manager only */
	char name[32];             /* named when it is late */
};

/**
 * Register this process for expedited membarrier; call before the first lm_quiesce_park(), in
 * the process that polls (a forked child calls it again). May be called any number of times.
 * @return 0. Where the kernel or a seccomp filter refuses, bursts keep their full fence.
 */
int lm_quiesce_init(void);
/** True when bursts must use full fences: before lm_quiesce_init(), or without membarrier. */
extern bool lm_quiesce_full_fence;

/** Make q idle; before any thread polls it. name is copied, cut to 31 characters. */
void lm_quiesce_setup(struct lm_quiesce *q, const char *name);

/**
 * Enter a burst. Polling thread of the queue only; costs a store and a load.
 * @return true: the burst may touch the queue and must call lm_quiesce_exit(). false: the manager
 * has or wants the queue; the burst returns 0 packets and touches nothing.
 */
static inline bool
lm_quiesce_enter(struct lm_quiesce *q)
{
	/* A refused poller leaves in_burst alone, else its flicker could hide from the manager. */
	if (atomic_load_explicit(&q->drain, memory_order_relaxed) != 0)
		return false;
	if (lm_quiesce_full_fence) {
		/* Store, fence and load in one order with those of lm_quiesce_park(). */
		atomic_exchange(&q->in_burst, 1);
	} else {
		atomic_store_explicit(&q->in_burst, 1, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
	}
	if (atomic_load(&q->drain) == 0)
		return true;
	atomic_store_explicit(&q->in_burst, 0, memory_order_release);
	return false;
}

/** Leave the burst: what it did to the queue is visible to the manager that waits. */
static inline void
lm_quiesce_exit(struct lm_quiesce *q)
{
	atomic_store_explicit(&q->in_burst, 0, memory_order_release);
}

/**
 * Park nb queues; returns when all are out of their bursts, and what the bursts did is visible.
 * One membarrier for all of them. Parking a parked queue again is harmless.
 *
 * @param deadline_us counted from the call, on CLOCK_MONOTONIC; 0 looks once
 * @param late NULL, or set to the first queue that did not leave, else to NULL
 * @return 0; -ETIMEDOUT: a queue stayed in its burst; -errno of membarrier(2), which cannot happen
 * after lm_quiesce_init(). On an error all queues of the call are released again.
 */
int lm_quiesce_park(struct lm_quiesce *const *queues, unsigned int nb, uint64_t deadline_us,
		const struct lm_quiesce **late);
/** Let the bursts in again; what the manager did to the queues is visible to them. */
void lm_quiesce_release(struct lm_quiesce *const *queues, unsigned int nb);

#endif /* LM_QUIESCE_H */
