/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_WIRE_H
#define DM_WIRE_H

/**
 * @file
 * Where a model's frames go: the cable at the back of the card.
 *
 * Specifications: "null"; "loop" (what is sent comes back); "gen[,key=value...]" (generator and
 * checker in this process; keys of dm_gen_conf_set(); without mac= it starts with the first frame
 * that the guest sends); "link:PATH" (connect to, and reconnect with, a UNIX seqpacket socket)
 * and "listen:PATH" (accept one peer); "tap:NAME". A frame has at most DM_FRAME_MAX bytes.
 *
 * A frame is whole, as on a cable, or unfinished: its header (VIRTIO 1.3, 5.1.6) asks for a
 * checksum or for segmentation. Unfinished frames pass null, loop and tap wires only, to and from
 * a caller that has said dm_wire_unfinished_on().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "virtio_net_if.h"

#define DM_FRAME_MAX 65550u

struct dm_wire;

struct dm_wire_stats {
	uint64_t tx_frames, tx_bytes;   /* given to the wire */
	uint64_t rx_frames, rx_bytes;   /* taken from the wire */
	uint64_t tx_dropped_down;       /* no peer */
	uint64_t tx_dropped_full;       /* the peer does not read */
	uint64_t tx_dropped_size;
	uint64_t rx_dropped_size;
};

/**
 * A wire belongs to one thread. A link's missing peer is no error.
 *
 * @return 0; -EINVAL: not a specification; -ENAMETOOLONG: path; -EADDRINUSE: somebody listens
 *   there; -ENOMEM; or what socket(), bind() or epoll_create1() gave.
 */
int dm_wire_open(const char *spec, struct dm_wire **wire);
/** A listening wire's path is removed. NULL is allowed. */
void dm_wire_close(struct dm_wire *w);
/**
 * Readable when there is something to do: a frame, a new peer, a peer's end. Call dm_wire_tick()
 * once and dm_wire_peek()/dm_wire_pop() until there is no frame before waiting on it: frames are
 * fetched in batches. The fd stays the same for the wire's life; -1: poll it.
 */
int dm_wire_fd(const struct dm_wire *w);
bool dm_wire_link_up(const struct dm_wire *w);
/**
 * Never blocks. The buffers are the caller's again on return.
 *
 * @return 0, or -ENOLINK, -EAGAIN (full), -EMSGSIZE (empty or above DM_FRAME_MAX); a frame that is
 *   not sent is counted by reason.
 */
int dm_wire_send(struct dm_wire *w, const struct iovec *iov, int iovcnt);
/** May dm_wire_send_unfinished() be called? */
bool dm_wire_takes_unfinished(const struct dm_wire *w);
/** As dm_wire_send(), for a frame of which hdr says what is left to do. */
int dm_wire_send_unfinished(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr,
		const struct iovec *iov, int iovcnt);
/** dm_wire_peek() may show unfinished frames from now on. @return 0, or what ioctl() gave. */
int dm_wire_unfinished_on(struct dm_wire *w);
/** What is left to do to the frame that dm_wire_peek() showed; all 0: nothing. */
const struct lm_virtio_net_hdr *dm_wire_peek_hdr(const struct dm_wire *w);
/**
 * Look at the next frame without taking it: *frame stays valid until the next call on this wire.
 * @return its length, 0 when there is none now.
 */
uint32_t dm_wire_peek(struct dm_wire *w, const uint8_t **frame);
/** Take the frame that dm_wire_peek() showed; nothing when it showed none. */
void dm_wire_pop(struct dm_wire *w);
void dm_wire_stats_get(const struct dm_wire *w, struct dm_wire_stats *stats);
/** Period work (reconnect, generation); call at least every millisecond. */
void dm_wire_tick(struct dm_wire *w, uint64_t now_ns);

struct dm_gen;
/** The generator of a "gen" wire, for its statistics (dm_gen.h); NULL for other wires. */
const struct dm_gen *dm_wire_gen(const struct dm_wire *w);

#endif /* DM_WIRE_H */
