/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_MSG_H
#define LM_VU_MSG_H

/**
 * @file
 * Framing: whole messages with their file descriptors on a stream socket, private to the library.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lm_vu_wire.h"

/** A received message owns its payload and the descriptors that are not -1. */
struct lm_vu_msg {
	struct lm_vu_hdr hdr;
	uint8_t *payload;
	uint32_t len_bytes; /* of payload */
	uint32_t nb_fds;
	int fds[LM_VU_MAX_FDS];
};

/** Receiver of one socket: a message that is still coming in. */
struct lm_vu_rx {
	struct lm_vu_msg msg;
	uint32_t have_bytes; /* header included */
};

void lm_vu_msg_clear(struct lm_vu_msg *msg);
/** Take a descriptor out of the message. @return it, or -1 when there is none at that place. */
int lm_vu_msg_take_fd(struct lm_vu_msg *msg, uint32_t i);

/**
 * Read what is there, without waiting.
 * @return 1 and a whole message in *msg, which the caller clears; 0 when more must come;
 * -ECONNRESET: peer is gone; -EPROTO: not a message, or descriptors were lost; -ENOMEM
 */
int lm_vu_rx_step(struct lm_vu_rx *rx, int sock, struct lm_vu_msg *msg);
void lm_vu_rx_clear(struct lm_vu_rx *rx);

/** What the header alone can say against a message; 0 or -EPROTO. */
int lm_vu_hdr_check(const struct lm_vu_hdr *hdr);

/** A message on its way out: header, then up to two pieces of payload. */
struct lm_vu_tx {
	struct lm_vu_hdr hdr; /* msg_size is filled in */
	struct iovec iov[2];
	const int *fds;
	uint32_t nb_fds;
	uint32_t sent_bytes;
};

/** Send what fits. @return 1: all sent; 0: socket is full; -EMSGSIZE, -ECONNRESET, -errno */
int lm_vu_tx_step(struct lm_vu_tx *tx, int sock);
/** lm_vu_tx_step() until done. @return 0, -ETIMEDOUT or as above */
int lm_vu_tx(struct lm_vu_tx *tx, int sock, uint64_t deadline_ms);

uint64_t lm_vu_now_ms(void);
/**
 * Wait for an event on any of two sockets, of which the second may be -1.
 * @return a mask of the sockets that have events, bit 0 the first; -ETIMEDOUT, -errno
 */
int lm_vu_wait(int sock0, short events0, int sock1, short events1, uint64_t deadline_ms);

#endif /* LM_VU_MSG_H */
