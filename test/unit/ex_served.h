/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef EX_SERVED_H
#define EX_SERVED_H

/* Exercisers behind sockets, served by a thread of the test, as dpdk-lm-devmodel does it. */

#include <pthread.h>

#include "dm_ex_pf.h"
#include "dm_function.h"
#include "lm_pci.h"

#define EX_SERVED_MAX 8

struct ex_served {
	char dir[64];
	char paths[EX_SERVED_MAX][96];
	struct dm_function functions[EX_SERVED_MAX];
	uint32_t nb;
	struct dm_loop *loop;
	pthread_t thread;
	int stop_fd;
};

/* nb devices of conf, the first a PF if conf says so; the thread does not run yet. */
void ex_served_init(struct ex_served *s, const struct dm_ex_conf *conf, uint32_t nb);
/* Before the thread runs. */
void ex_served_fault(struct ex_served *s, uint32_t function, const char *spec);
void ex_served_start(struct ex_served *s);
/* After all clients are gone. */
void ex_served_fini(struct ex_served *s);
struct lm_pci *ex_served_open(struct ex_served *s, uint32_t function);

#endif /* EX_SERVED_H */
