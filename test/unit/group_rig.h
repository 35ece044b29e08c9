/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef GROUP_RIG_H
#define GROUP_RIG_H

/** @file A group of devices that are made up, and what they were seen to do. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lm_group.h"

#define DIM(a) (sizeof(a) / sizeof((a)[0]))
#define F_SC LM_STATE_F_STOP_COPY
#define F_P2P LM_STATE_F_P2P
#define F_PRE LM_STATE_F_PRE_COPY
#define F_ALL (F_SC | F_P2P | F_PRE)
#define LATE_US 100000u

/** All that devices did, in order. */
struct group_history {
	pthread_mutex_t lock;
	unsigned int nb;
	struct {
		unsigned int dev;
		enum lm_state from;
		enum lm_state to;
		bool end;
	} entry[4096];
	unsigned int inside; /* arcs being taken now */
	unsigned int most_inside;
	unsigned int lane_inside[8];
	unsigned int most_lane_inside[8];
};
extern struct group_history history;

struct dev {
	unsigned int id;
	unsigned int lane;
	uint64_t flags;
	_Atomic int state;
	/* The arc that goes wrong. */
	enum lm_state bad_from;
	enum lm_state bad_to;
	int bad_ret;
	enum lm_state bad_leaves; /* the state after it failed */
	bool reset_fails;
	_Atomic unsigned int calls;
	_Atomic unsigned int resets;
	/* A gate in that arc: closed, it does not return. */
	bool gated;
	pthread_mutex_t lock;
	pthread_cond_t open;
	bool is_open;
	_Atomic bool waiting;
	_Atomic bool returned;
	/* Arcs wait until so many are inside at once; 0: none. */
	unsigned int rendezvous;
};

#define MAX_DEVS 64u

struct rig {
	struct lm_group *g;
	struct dev devs[MAX_DEVS];
	unsigned int nb;
};

extern const struct lm_provider_ops dev_ops;

void rig_open(struct rig *r, unsigned int nb, uint64_t flags, bool no_peer_dma);
void rig_close(struct rig *r);
/** The arc that goes wrong, and where it leaves the device. */
void fail_at(struct dev *d, enum lm_state from, enum lm_state to, int ret, enum lm_state leaves);
/** Wait here until it is open; what waits then returns. */
void gate(struct dev *d);
void open_gate(struct dev *d);
void wait_for(_Atomic bool *what);
void assert_all_at(const struct rig *r, enum lm_state state);
/** No arc that begins in "late" begins before all members ended their arc into "early". */
void assert_barrier(enum lm_state early, enum lm_state late, unsigned int nb);

#endif /* GROUP_RIG_H */
