/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_WITHDRAW_H
#define LM_WITHDRAW_H

/**
 * @file
 * A mempool that is rebuilt: the destination makes the same pool over the same buffers, and takes
 * out exactly those that the source's queues hold, by their place in the window.
 *
 * For pools of mbufs whose buffers lie in the window, made by rte_pktmbuf_pool_create_extbuf(). One
 * thread; nobody else uses the pool until the end.
 */

#include <stdbool.h>
#include <stdint.h>

struct lm_withdraw;
struct lm_window;
struct rte_mbuf;
struct rte_mempool;

/**
 * Take all free mbufs out of a pool. Those in caches of other lcores are not free.
 * @return 0; -ERANGE: a buffer is not in the window; -ENOMEM
 */
int lm_withdraw_begin(struct rte_mempool *pool, const struct lm_window *window,
		struct lm_withdraw **withdraw);
/**
 * The mbuf whose buffer has [offset, offset + len) of the window; its data begins there, its
 * lengths are 0.
 * @return NULL: no free one has, or it was given out already
 */
struct rte_mbuf *lm_withdraw_take(struct lm_withdraw *withdraw, uint64_t offset,
		uint64_t len_bytes);
/**
 * Put the rest back into the pool.
 * @param keep true: mbufs that were given out are the caller's now; false: they go back too
 */
void lm_withdraw_end(struct lm_withdraw *withdraw, bool keep);

#endif /* LM_WITHDRAW_H */
