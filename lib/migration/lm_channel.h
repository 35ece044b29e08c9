/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_CHANNEL_H
#define LM_CHANNEL_H

/**
 * @file
 * A channel between two sides of a migration: one control connection and one or more for bulk,
 * each a stream of records (lm_stream.h) in both directions, over Unix sockets or TCP.
 *
 * Every wait has a deadline. No signal is raised by a peer that is gone. On Unix sockets the peer
 * has to have our effective user, or be root. TCP is neither authenticated nor encrypted: use it
 * on networks that are.
 *
 * Any thread may send on any connection; one thread at a time receives on each.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lm_record.h"

struct lm_channel;
struct lm_listener;

#define LM_CHANNEL_CONTROL 0u
#define LM_CHANNEL_MAX_BULK 16u
#define LM_CHANNEL_DEADLINE_US UINT64_C(10000000)
#define LM_CHANNEL_ALIVE_US UINT64_C(1000000)
/** A peer that was not heard for so many of its signs of life is gone. */
#define LM_CHANNEL_ALIVE_MISSED 5u

struct lm_channel_conf {
	unsigned int nb_bulk; /* of who connects; 0: 1 */
	uint64_t deadline_us; /* of each send, and of set-up; 0: LM_CHANNEL_DEADLINE_US */
	uint64_t alive_us;    /* between signs of life on control; 0: LM_CHANNEL_ALIVE_US */
	uint64_t bytes_per_s; /* most that bulk connections send together; 0: no limit */
};

/**
 * @param address "unix:PATH" (or a PATH with a slash in it), "tcp:HOST:PORT", HOST may be
 * "[IPv6]" or empty; PORT 0 takes any. A Unix socket that nobody listens on is replaced.
 * @param why set to a text, static or of the C library, after an error
 * @return 0; -EINVAL: no such address; -EADDRINUSE; -errno of the socket
 */
int lm_listener_create(const char *address, struct lm_listener **listener, const char **why);
/** Removes the Unix socket. NULL is allowed. */
void lm_listener_destroy(struct lm_listener *listener);
/** Address to connect to, with the real port. */
const char *lm_listener_address(const struct lm_listener *listener);

/**
 * Wait until all connections of one session are there. Others are closed, among them those of a
 * foreign version.
 * @param wait_us for the first connection; 0: for ever. Those of a session that follow have
 * conf->deadline_us
 * @return 0; -ETIMEDOUT; -EACCES: the last that tried is another user; -EPROTONOSUPPORT: the last
 * that tried is of another version; -ENOMEM; -errno of the sockets
 */
int lm_channel_accept(struct lm_listener *listener, const struct lm_channel_conf *conf,
		uint64_t wait_us, struct lm_channel **channel);
/** @return 0; -EINVAL: no such address; as lm_channel_accept() */
int lm_channel_connect(const char *address, const struct lm_channel_conf *conf,
		struct lm_channel **channel);
/**
 * Take sockets that are connected already: fds[0] is control. They are the channel's on success.
 * @return 0; -EINVAL: fewer than 2; -ENOMEM; -errno of thread primitives
 */
int lm_channel_adopt(const int *fds, unsigned int nb, const struct lm_channel_conf *conf,
		struct lm_channel **channel);
/** Nobody may be inside it. NULL is allowed. */
void lm_channel_destroy(struct lm_channel *channel);

unsigned int lm_channel_bulk(const struct lm_channel *channel);
/** Connection of an address or a member, by number: 1 .. lm_channel_bulk(). */
unsigned int lm_channel_of_address(const struct lm_channel *channel, uint64_t addr);
unsigned int lm_channel_of_member(const struct lm_channel *channel, unsigned int member);
/** Bytes that all travel on one connection begin at multiples of this. */
#define LM_CHANNEL_STRIPE_BYTES (UINT64_C(1) << 20)

/**
 * Send one record; waits while the peer does not take it, and for the bandwidth's limit.
 * @return 0; -ETIMEDOUT; -ECANCELED: lm_channel_break(); -EPIPE, -ECONNRESET: the peer is gone
 */
int lm_channel_send(struct lm_channel *channel, unsigned int conn, uint16_t type,
		const struct iovec *iov, unsigned int nb);
/**
 * Hold a connection, to prepare what is sent next on it: what is copied later then arrives later.
 */
void lm_channel_hold(struct lm_channel *channel, unsigned int conn);
int lm_channel_send_held(struct lm_channel *channel, unsigned int conn, uint16_t type,
		const struct iovec *iov, unsigned int nb);
void lm_channel_release(struct lm_channel *channel, unsigned int conn);

/**
 * Receive one record, LM_RECORD_ALIVE among them; its payload is valid until the next call.
 * @return 0; -ETIMEDOUT; -ECANCELED: lm_channel_break(); -ECONNRESET: the peer is gone; as
 * lm_stream_advance()
 */
int lm_channel_recv(struct lm_channel *channel, unsigned int conn, struct lm_record *rec,
		uint64_t wait_us);
/** Why the stream of a connection is bad, in words. */
const char *lm_channel_strerror(const struct lm_channel *channel, unsigned int conn);

/** End all waits, here and at the peer. Any thread. */
void lm_channel_break(struct lm_channel *channel);
/**
 * Is the peer's process gone for good? Same host only.
 * @return 1: proven; 0: it lives; -ENOTSUP: nobody can tell
 */
int lm_channel_peer_dead(const struct lm_channel *channel);
/** How long a peer may be silent on control. */
uint64_t lm_channel_silence_us(const struct lm_channel *channel);

/** Bytes that the kernel took, and gave; all connections, or one. Any thread. */
uint64_t lm_channel_sent_bytes(const struct lm_channel *channel);
uint64_t lm_channel_received_bytes(const struct lm_channel *channel);
uint64_t lm_channel_conn_sent_bytes(const struct lm_channel *channel, unsigned int conn);

#endif /* LM_CHANNEL_H */
