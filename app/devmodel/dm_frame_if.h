/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_FRAME_IF_H
#define DM_FRAME_IF_H

/**
 * @file
 * Test frames: Ethernet II, IPv4, UDP, then this header and a payload that follows from it.
 *
 * Shared by the generator and the guest's init, which echoes frames with type ECHO and its MAC
 * and IP addresses and ports swapped. Both sides check every byte.
 */

#include <assert.h>
#include <stdint.h>

#define DM_FRAME_MAGIC 0x4c4d4652u /* "LMFR" */
#define DM_FRAME_UDP_PORT 7777     /* destination of REQUEST; the source port is 20000 + flow */
#define DM_FRAME_SRC_PORT 20000
#define DM_FRAME_HDR_OFFSET 42     /* 14 Ethernet + 20 IPv4 + 8 UDP */

enum dm_frame_type {
	DM_FRAME_REQUEST = 1, /* generator -> guest */
	DM_FRAME_ECHO = 2,    /* guest -> generator */
};

struct dm_frame_hdr { /* little-endian */
	uint32_t magic;
	uint16_t type;
	uint16_t flow;
	uint64_t seq;  /* per flow, from 0 */
	uint64_t t_ns; /* generator's CLOCK_MONOTONIC at sending */
	uint32_t len_bytes; /* of the payload after this header */
	uint32_t reserved;
};
static_assert(sizeof(struct dm_frame_hdr) == 32, "frame header is 32 bytes");

/** Payload byte i of a frame is byte i % 8 of word i / 8 of this stream (little-endian words). */
static inline uint64_t
dm_frame_word(uint16_t flow, uint64_t seq, uint32_t index)
{
	uint64_t x = seq * 0x9e3779b97f4a7c15ull + ((uint64_t)flow << 48) + index;

	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

#endif /* DM_FRAME_IF_H */
