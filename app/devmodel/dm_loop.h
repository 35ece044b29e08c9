/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_LOOP_H
#define DM_LOOP_H

/**
 * @file
 * One thread that polls while there is work and sleeps in epoll while there is none.
 */

#include <stdbool.h>
#include <stdint.h>

struct dm_loop;

typedef void (*dm_loop_fn)(void *ctx);

/** The one worker; see dm_device_ops for what the functions return. */
struct dm_loop_worker {
	unsigned int (*poll)(void *ctx, uint64_t now_ns);
	uint32_t (*sleep)(void *ctx);
	void *ctx;
};

int dm_loop_create(const struct dm_loop_worker *worker, struct dm_loop **loop);
void dm_loop_destroy(struct dm_loop *loop);
/** Call fn when fd is readable; fn NULL: only wake up. Level-triggered. -ENOSPC: too many. */
int dm_loop_add(struct dm_loop *loop, int fd, dm_loop_fn fn, void *ctx);
void dm_loop_del(struct dm_loop *loop, int fd);
/** Runs until dm_loop_stop(). */
void dm_loop_run(struct dm_loop *loop);
void dm_loop_stop(struct dm_loop *loop);

uint64_t dm_loop_now_ns(void);

#endif /* DM_LOOP_H */
