/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_CONTROL_H
#define DM_CONTROL_H

/**
 * @file
 * Control socket: UNIX stream, one JSON object per line in, one per line out.
 *
 * {"cmd":"stats"}, {"cmd":"fault","spec":"..."} and what the device knows. Answers are objects;
 * an error is {"error":"..."}. A client that sends garbage or does not read is dropped.
 */

#include "dm_function.h"

struct dm_control;

/** Replaces a stale socket; -EADDRINUSE when somebody answers at path. */
int dm_control_open(const char *path, struct dm_function *f, struct dm_loop *loop,
		struct dm_control **control);
/** Closes all clients and removes the socket. NULL is allowed. */
void dm_control_close(struct dm_control *c);

#endif /* DM_CONTROL_H */
