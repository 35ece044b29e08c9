/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_SERVE_H
#define DM_SERVE_H

/* A pds card behind real sockets, served by a thread of this process. */

#include <pthread.h>
#include <stdbool.h>

#include "dm_function.h"
#include "dm_loop.h"
#include "dm_pds_card.h"
#include "dm_pds_vf.h"

#define SERVE_MAX 2

struct dm_serve {
	struct dm_function functions[SERVE_MAX]; /* PF, VF */
	char dir[64];
	char paths[SERVE_MAX][96];
	struct dm_loop *loop;
	struct dm_wire *wire;
	pthread_t thread;
	int call_fd;
	void (*fn)(struct dm_serve *s, void *ctx);
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t done;
};

void serve_start(struct dm_serve *s, uint16_t pairs);
void serve_stop(struct dm_serve *s);
/* Run fn in the model's thread, and wait for its end. */
void serve_call(struct dm_serve *s, void (*fn)(struct dm_serve *s, void *ctx), void *ctx);
void serve_fault(struct dm_serve *s, const char *spec); /* of the PF */
struct dm_pds_pf *serve_pf(struct dm_serve *s);
struct dm_pds_vf *serve_vf(struct dm_serve *s);

#endif /* DM_SERVE_H */
