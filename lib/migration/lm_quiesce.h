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

/** Register this process for expedited membarrier; call before the first lm_quiesce_park(). */
int lm_quiesce_init(void);
/** True when bursts must use full fences (membarrier is missing). */
extern bool lm_quiesce_full_fence;

void lm_quiesce_setup(struct lm_quiesce *q, const char *name);

/** @return true: the burst may touch the queue and must call lm_quiesce_exit(). */
static inline bool
lm_quiesce_enter(struct lm_quiesce *q)
{
	atomic_store_explicit(&q->in_burst, 1, memory_order_relaxed);
	if (lm_quiesce_full_fence)
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&q->drain, memory_order_acquire) == 0)
		return true;
	atomic_store_explicit(&q->in_burst, 0, memory_order_release);
	return false;
}

static inline void
lm_quiesce_exit(struct lm_quiesce *q)
{
	atomic_store_explicit(&q->in_burst, 0, memory_order_release);
}

/**
 * Park nb queues; returns when all are out of their bursts.
 * @return 0, or -ETIMEDOUT with *late set to the first queue that did not leave; all queues are
 * then released again.
 */
int lm_quiesce_park(struct lm_quiesce *const *queues, unsigned int nb, uint64_t deadline_us,
		const struct lm_quiesce **late);
void lm_quiesce_release(struct lm_quiesce *const *queues, unsigned int nb);

#endif /* LM_QUIESCE_H */
