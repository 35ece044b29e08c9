/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_CHANNEL_PVT_H
#define LM_CHANNEL_PVT_H

/**
 * @file
 * Inside of a channel: sockets by address (lm_channel_addr.c), one connection
 * (lm_channel_conn.c), how connections become a session (lm_channel_meet.c), and what they are
 * together (lm_channel.c).
 */

#include <pthread.h>
#include <stdatomic.h>

#include "lm_channel.h"
#include "lm_stream.h"

struct lm_conn {
	int fd;
	pthread_mutex_t send_lock; /* protects writer and the order of bytes */
	struct lm_stream_writer writer;
	bool headed;                 /* the stream's header was sent */
	struct lm_stream_parser *parser;
	_Atomic uint64_t sent_bytes;
	_Atomic uint64_t received_bytes;
};

/** Bytes that may be sent now; refilled by time, never more than a tenth of a second's worth. */
struct lm_bucket {
	pthread_mutex_t lock; /* protects all below */
	uint64_t bytes_per_s; /* 0: no limit */
	uint64_t level_bytes;
	uint64_t filled_ns;
};

struct lm_channel {
	unsigned int nb; /* connections */
	struct lm_conn *conns[LM_CHANNEL_MAX_BULK + 1];
	struct lm_channel_conf conf;
	struct lm_bucket bucket;
	_Atomic bool broken;
	int pidfd; /* of the peer; -1: not on this host, or the kernel has none */
	pthread_mutex_t lock; /* protects ending and alive_runs */
	pthread_cond_t bell;
	bool ending;
	bool alive_runs; /* the thread that sends signs of life */
};

/* lm_channel_addr.c; sockets are non-blocking and close-on-exec */

struct lm_listener {
	int fd;
	char address[160];
	char unix_path[108]; /* to be removed; empty: none */
};
/** @return a socket, connecting or connected; -errno */
int lm_socket_connect(const char *address, uint64_t until_ns);
/** @return 0; -EACCES: the peer on a Unix socket is another user */
int lm_socket_check_peer(int fd);
/** @return a pidfd of the process at the other end, or -1 */
int lm_socket_peer_pidfd(int fd);
/** Wait for events until a time. @return 0; -ETIMEDOUT; -errno */
int lm_socket_wait(int fd, short events, uint64_t until_ns);

/* lm_channel_conn.c */

/** @return 0; -ENOMEM; fd is closed with the connection */
int lm_conn_create(int fd, struct lm_conn **conn);
void lm_conn_destroy(struct lm_conn *conn);
/** All of it until a time; the send lock is the caller's. broken ends it. */
int lm_conn_send_locked(struct lm_conn *conn, uint16_t type, const struct iovec *iov,
		unsigned int nb, uint64_t until_ns, const _Atomic bool *broken);
/** What is there. @return 1: a record; 0: not yet; -ECONNRESET; as lm_stream_advance() */
int lm_conn_try(struct lm_conn *conn, struct lm_record *rec);
/** A record until a time. @return 0; -ETIMEDOUT; as lm_conn_try() */
int lm_conn_recv(struct lm_conn *conn, struct lm_record *rec, uint64_t until_ns);

/* lm_channel.c */

/** Connections are the channel's on success. */
int lm_channel_of_conns(struct lm_conn *const *conns, unsigned int nb,
		const struct lm_channel_conf *conf, struct lm_channel **channel);

#endif /* LM_CHANNEL_PVT_H */
