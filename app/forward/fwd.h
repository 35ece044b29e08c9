/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef FWD_H
#define FWD_H

/**
 * @file
 * dpdk-lm-forward: an application that answers test frames on one port, and moves to another
 * process with the port's queues running. What any application does that links lib/migration:
 *
 *  fwd_eal.c      a window, a port in it
 *  fwd_poll.c     the polling thread, which can be asked to rest between two bursts
 *  fwd_move.c     the session's hooks, both ways
 *  fwd_control.c  a control socket, a JSON object a line
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lm_report.h"

struct lm_pci;
struct lm_ram;
struct lm_vfio;
struct lm_window;
struct rte_mempool;
struct lm_listener;
struct lm_timeline;

#define FWD_PORT "net_pds0"
#define FWD_MAX_QUEUES 16u

struct fwd_conf {
	const char *socket;    /* of the function */
	const char *migration; /* where its PF serves that */
	const char *listen;    /* NULL: run here */
	const char *control;
	const char *plugin;
	unsigned int queues;
	unsigned int desc;
	unsigned int buffers;
	unsigned int connections;
	bool precopy;
};

struct fwd_counters {
	_Atomic uint64_t received, echoed, corrupt, foreign, dropped, announced;
};

struct fwd {
	struct fwd_conf conf;
	struct lm_window *window;
	struct lm_ram *ram;
	struct rte_mempool *pool;
	uint16_t port_id;
	struct lm_pci *mig;
	struct lm_vfio *vfio;
	struct lm_listener *listener;
	struct lm_timeline *timeline;

	pthread_t poller;
	bool polls;
	_Atomic bool rest;     /* the poller is to hold nothing, and stay out */
	_Atomic bool rests;
	_Atomic bool announce; /* tell switches where we are */
	_Atomic bool quit;
	struct fwd_counters count;

	uint64_t cpu_ns[LM_PHASE_NB]; /* of this process, when the phase began; 0: it did not */
	uint64_t cpu_end_ns;
	bool gone; /* it has moved: nothing is left to run here */
};

/** Window, EAL, port. @return 0 or -errno, after a message */
int fwd_open(struct fwd *f);
void fwd_close(struct fwd *f);
/** Reach who serves the VF's migration, once more if that one has not answered in time. */
int fwd_migration_open(struct fwd *f);
/** The port goes away; what it has in rings is free. */
void fwd_port_close(struct fwd *f);

int fwd_poll_start(struct fwd *f);
void fwd_poll_end(struct fwd *f);
/** The poller is between two bursts and holds no frame. @return 0; -ETIMEDOUT */
int fwd_poll_rest(struct fwd *f);
void fwd_poll_go_on(struct fwd *f);

/** Move to a listener. *report: the session as JSON, always */
int fwd_send(struct fwd *f, const char *to, json_t **report);
/** Wait for a source, take its place. */
int fwd_receive(struct fwd *f, json_t **report);

/** Serve until "quit", or until it has moved and was told to end. */
int fwd_control(struct fwd *f, json_t *arrival);

void fwd_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* FWD_H */
