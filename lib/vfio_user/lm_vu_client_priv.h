/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_CLIENT_PRIV_H
#define LM_VU_CLIENT_PRIV_H

/**
 * @file
 * The client's insides, shared by its files only.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "lm_vu_client.h"
#include "lm_vu_msg.h"

#define LM_VU_MAX_REGIONS 256u
#define LM_VU_MAX_IRQS 64u

struct lm_vu_client {
	pthread_mutex_t lock;
	atomic_bool alive;
	int epfd; /* what lm_vu_client_fd() gives: sock and twin */
	int sock;
	int twin; /* -1: the server's commands come on sock */
	uint16_t next_id;
	uint32_t timeout_ms;
	struct lm_vu_caps caps;
	struct lm_vu_rx rx;
	struct lm_vu_rx twin_rx;
	const struct lm_vu_client_ops *ops;
	void *ctx;
};

/** One request; the payload is in two pieces, of which any may be empty. */
struct lm_vu_req {
	uint16_t command;
	bool no_reply;
	uint32_t min_reply_bytes; /* of payload; less is malformed */
	uint32_t max_reply_bytes;
	const void *fixed;
	const void *data;
	uint32_t fixed_bytes;
	uint32_t data_bytes;
	const int *fds;
	uint32_t nb_fds;
};

/**
 * Send, and wait for the reply (unless no_reply), which the caller clears after success.
 * reply may be NULL when nothing in it matters.
 * @return 0; -ENOTCONN: connection is closed already; -ETIMEDOUT, -EPROTO, -ECONNRESET: and now it
 * is; else the server's errno
 */
int lm_vu_client_call(struct lm_vu_client *c, const struct lm_vu_req *req,
		struct lm_vu_msg *reply);

/** A reply's payload is malformed: close the connection. @return -EPROTO */
int lm_vu_client_reject(struct lm_vu_client *c);

/** Handshake on a connected socket, which the client owns from now on, also after a failure. */
int lm_vu_client_adopt(int sock, const struct lm_vu_client_conf *conf,
		struct lm_vu_client **client);

/** Read a GET_REGION_INFO reply; fd is left alone. @return 0, -EPROTO, -E2BIG */
int lm_vu_region_info_parse(const uint8_t *payload, uint32_t len_bytes, uint32_t region,
		struct lm_vu_region_info *info);
/** Read a GET_REGION_IO_FDS reply; fd fields get indexes. @return entries, -EPROTO */
int lm_vu_io_fds_parse(const uint8_t *payload, uint32_t len_bytes, uint32_t region,
		uint32_t nb_fds, struct lm_vu_ioeventfd *fds, uint32_t max);

#endif /* LM_VU_CLIENT_PRIV_H */
