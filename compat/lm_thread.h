/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_THREAD_H
#define LM_THREAD_H

/**
 * @file
 * Control threads: what differs between DPDK releases.
 */

#include <pthread.h>

#include "lm_compat.h"

#include <rte_lcore.h>
#include <rte_thread.h>

/* 23.11 removes rte_ctrl_thread_create. */
#if LM_DPDK_GE(23, 11)
typedef uint32_t lm_thread_ret_t;
#define LM_THREAD_RETURN 0
struct lm_thread {
	rte_thread_t id;
};
static inline int
lm_thread_create(struct lm_thread *t, const char *name, lm_thread_ret_t (*fn)(void *), void *arg)
{
	return -rte_thread_create_internal_control(&t->id, name, fn, arg);
}
static inline void
lm_thread_join(struct lm_thread *t)
{
	rte_thread_join(t->id, NULL);
}
#else
typedef void *lm_thread_ret_t;
#define LM_THREAD_RETURN NULL
struct lm_thread {
	pthread_t id;
};
/** name: at most 15 characters. @return 0 or -errno */
static inline int
lm_thread_create(struct lm_thread *t, const char *name, lm_thread_ret_t (*fn)(void *), void *arg)
{
	return rte_ctrl_thread_create(&t->id, name, NULL, fn, arg);
}
static inline void
lm_thread_join(struct lm_thread *t)
{
	pthread_join(t->id, NULL);
}
#endif

#endif /* LM_THREAD_H */
