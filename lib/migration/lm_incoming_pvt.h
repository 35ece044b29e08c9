/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_INCOMING_PVT_H
#define LM_INCOMING_PVT_H

/**
 * @file
 * Inside of the incoming side: its states (lm_incoming.c), a reader for each bulk connection
 * (lm_incoming_bulk.c), and how members take what was read (lm_incoming_load.c).
 */

#include "lm_session_pvt.h"

enum lm_chunk_kind {
	LM_CHUNK_DATA,
	LM_CHUNK_EARLY,
	LM_CHUNK_END,
};

/** Something for a member, in the order in which it came. */
struct lm_chunk {
	struct lm_chunk *next;
	enum lm_chunk_kind kind;
	uint32_t generation;
	uint64_t offset; /* in the member's stream */
	uint32_t len_bytes;
	uint8_t data[];
};

struct lm_bulk {
	struct lm_incoming *in;
	unsigned int conn;
	struct lm_ram_report ram; /* under the session's lock */
};

struct lm_incoming {
	struct lm_session s;
	struct lm_incoming_conf conf;
	struct lm_compat *compat; /* our own, or NULL */
	struct lm_io *io;
	unsigned int *members; /* ours, by the source's index */
	unsigned int nb_source;
	unsigned int *source;  /* the source's, by ours */
	bool moved;            /* devices may have left RUNNING */
	uint64_t arc_us;
	struct lm_bulk bulks[LM_CHANNEL_MAX_BULK];
	/* Under the session's lock. */
	uint64_t fences[LM_CHANNEL_MAX_BULK + 1]; /* last id, by connection */
	uint64_t fenced;                          /* last that was answered */
	unsigned int last; /* connections on which nothing follows */
};

/* lm_incoming_bulk.c */

int lm_incoming_bulk_start(struct lm_incoming *in);

/* lm_incoming_load.c */

/** Queue for a member; waits while it has too much. @return 0; -ECANCELED; -ENOMEM */
int lm_incoming_queue(struct lm_incoming *in, unsigned int member, enum lm_chunk_kind kind,
		uint32_t generation, uint64_t offset, const void *data, uint32_t len_bytes);
/** Load until all members and connections have ended. */
int lm_incoming_load(struct lm_incoming *in);
void lm_incoming_unqueue(struct lm_incoming *in);

#endif /* LM_INCOMING_PVT_H */
