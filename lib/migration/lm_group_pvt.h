/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_GROUP_PVT_H
#define LM_GROUP_PVT_H

/**
 * @file
 * Inside of a group: what it is made of (lm_group.c), the members' threads and how they are waited
 * for (lm_group_thread.c), and the phases of a transition (lm_group_go.c).
 */

#include <pthread.h>
#include <stdatomic.h>

#include "lm_group.h"

#define LM_GROUP_MAX_MEMBERS 1024u
#define LM_GROUP_MAX_ARCS 64u
#define LM_GROUP_ERROR_BYTES 256

struct lm_member;

/** What a member's thread is to do. Returns 0 or -errno, and fills m->work. */
typedef int (*lm_member_job_t)(struct lm_member *m, void *ctx);

enum lm_member_turn {
	LM_MEMBER_IDLE,
	LM_MEMBER_ORDERED, /* a job waits for the thread */
	LM_MEMBER_BUSY,
};

struct lm_member {
	struct lm_group *group;
	unsigned int index;
	char name[LM_GROUP_NAME_BYTES];
	struct lm_provider provider;
	struct lm_caps caps;
	/** The provider's arcs with our own function in each, so that every call can be timed. */
	struct lm_state_machine machine;
	struct lm_state_arc arcs[LM_GROUP_MAX_ARCS];
	uint64_t deadline_us;
	uint32_t lane;
	struct lm_timeline *timeline;

	_Atomic bool lost;
	_Atomic uint64_t nb_calls;

	/* Under the group's lock. */
	pthread_cond_t wake;
	enum lm_member_turn turn;
	lm_member_job_t job;
	void *ctx;
	bool forsaken;              /* late: make no further call */
	bool ending;
	bool gone;                  /* the thread has ended */
	uint64_t since_ns;          /* a call into the provider began; 0: not inside one */
	uint64_t call_deadline_us;  /* of that call; 0: none */
	char call[48];              /* its name */
	enum lm_state call_from;    /* the arc that it is; ERROR, ERROR when it is none */
	enum lm_state call_to;

	/* The thread's while it is busy, the caller's otherwise. */
	struct lm_member_result work;
	bool at_known;              /* work.at needs no asking */

	/* The caller's. */
	struct lm_member_result result;
	uint64_t slow_us;           /* of its last job */
	const char *what;           /* name of the job of lm_group_each() */
	bool taking_part;           /* in the phase at hand */
};

struct lm_group {
	pthread_mutex_t lock; /* protects what is said above, and refs */
	pthread_cond_t bell;  /* a member became idle, or its thread ended */
	unsigned int refs;    /* the caller and each thread */
	uint64_t deadline_us;
	bool no_peer_dma;
	unsigned int nb_members;
	struct lm_member *members[LM_GROUP_MAX_MEMBERS];
	char error[LM_GROUP_ERROR_BYTES];
};

/* lm_group_thread.c */

int lm_member_thread_start(struct lm_member *m);
/** A call into the provider begins. @return 0; -ECANCELED: the member was given up meanwhile */
int lm_member_call_begin(struct lm_member *m, const char *name, uint64_t deadline_us);
/** The same for an arc, which gives the call its name. */
int lm_member_arc_begin(struct lm_member *m, enum lm_state from, enum lm_state to);
void lm_member_call_end(struct lm_member *m);
/**
 * Have the job done by all members with taking_part, lanes one after another, and wait; results
 * are in m->result. Late ones are lost.
 */
void lm_group_run(struct lm_group *g, lm_member_job_t job, void *ctx);
/** Drop a reference; the last one frees the group. Called with the lock, which is released. */
void lm_group_unref_locked(struct lm_group *g);

/* lm_group_go.c */

/** @return the error of the first member, by index, that has one; says it in g->error */
int lm_group_verdict(struct lm_group *g);
/** The functions that stand in for the provider's; their device is the member. */
int lm_member_state(void *dev, enum lm_state *state);
int lm_member_arc(void *dev, enum lm_state from, enum lm_state to);
int lm_member_reset(void *dev);

#endif /* LM_GROUP_PVT_H */
