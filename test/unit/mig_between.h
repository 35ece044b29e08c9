/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MIG_BETWEEN_H
#define MIG_BETWEEN_H

/**
 * @file
 * Somebody between the two sides of a rig, who makes streams look like those of another version:
 * all else goes over as it is.
 */

#include <pthread.h>
#include <stdint.h>

#include "lm_channel.h"

struct between;

/** One direction of one connection. */
struct between_way {
	const struct between *between;
	unsigned int conn;
	int from, to;
	bool forward; /* source to destination */
	pthread_t thread;
};

struct between {
	uint16_t major, minor; /* what those headers say that are changed */
	uint32_t forward;      /* a bit a connection: source to destination */
	uint32_t back;
	unsigned int nb_ways;
	struct between_way ways[2 * (LM_CHANNEL_MAX_BULK + 1)];
};

/** Step between the ends of a connection; both are replaced. */
void between_put(struct between *b, unsigned int conn, int pair[2]);
/** Both sides have closed; until then it waits. */
void between_end(struct between *b);

#endif /* MIG_BETWEEN_H */
