/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_CONTROL_H
#define DM_CONTROL_H

/**
 * @file
 * Control socket: UNIX stream, one JSON object per line in, one per line out.
 *
 * {"cmd":"stats"} and what else the program knows. Answers are objects; an error is
 * {"error":"..."}. A client that sends garbage or does not read is dropped.
 */

#include <jansson.h>

#include "dm_loop.h"

struct dm_control;

/**
 * Run a command.
 *
 * @param args
 *   The whole request.
 * @param reply
 *   An object to fill.
 * @param error
 *   On failure: what to say; preset to "bad arguments".
 * @return
 *   0, -ENOMEM, -ENOTSUP (no such command) or another -errno.
 */
typedef int (*dm_control_fn)(void *ctx, const char *cmd, const json_t *args, json_t *reply,
		const char **error);

/** Replaces a stale socket; -EADDRINUSE when somebody answers at path. */
int dm_control_open(const char *path, dm_control_fn fn, void *ctx, struct dm_loop *loop,
		struct dm_control **control);
/** Closes all clients and removes the socket. NULL is allowed. */
void dm_control_close(struct dm_control *c);

#endif /* DM_CONTROL_H */
