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
#include <string.h>

#define DM_FRAME_MAGIC 0x4c4d4652u /* "LMFR" */
#define DM_FRAME_UDP_PORT 7777     /* destination of REQUEST; the source port is 20000 + flow */
#define DM_FRAME_SRC_PORT 20000
#define DM_FRAME_HDR_OFFSET 42     /* 14 Ethernet + 20 IPv4 + 8 UDP */
#define DM_FRAME_PAYLOAD_OFFSET 74
#define DM_FRAME_LEN_MIN DM_FRAME_PAYLOAD_OFFSET
#define DM_FRAME_LEN_MAX 65549     /* the longest IPv4 packet */
#define DM_FRAME_GEN_IP 0x0a4d0001u   /* 10.77.0.1 */
#define DM_FRAME_GUEST_IP 0x0a4d0002u /* 10.77.0.2 */
/* The generator's, locally administered, so that a guest can check the source address too. */
#define DM_FRAME_GEN_MAC { 0x02, 0x4c, 0x4d, 0x00, 0x00, 0x01 }

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

/** What a frame's bytes follow from. */
struct dm_frame_desc {
	uint8_t dst_mac[6];
	uint8_t src_mac[6];
	uint16_t type; /* enum dm_frame_type */
	uint16_t flow;
	uint64_t seq;
	uint64_t t_ns;
	uint32_t len_bytes; /* payload after struct dm_frame_hdr */
	uint64_t payload_sum; /* set by the functions below */
};

enum dm_frame_verdict {
	DM_FRAME_GOOD,
	DM_FRAME_CORRUPT, /* ours, or sent to us by IPv4, with a byte that is not as it should be */
	DM_FRAME_FOREIGN, /* another protocol */
};

static inline void
dm_frame_put(uint8_t *p, uint64_t value, unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < bytes; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t
dm_frame_get(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | p[bytes];
	return value;
}

static inline void
dm_frame_put_be(uint8_t *p, uint32_t value, unsigned int bytes)
{
	while (bytes-- > 0) {
		p[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

static inline uint64_t
dm_frame_le64(uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap64(value);
#else
	return value;
#endif
}

/** Internet checksum (RFC 1071) of a sum of little-endian words of any width, as it is stored. */
static inline uint16_t
dm_frame_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline uint64_t
dm_frame_csum_add(const uint8_t *p, unsigned int bytes)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < bytes; i++)
		sum += (uint32_t)p[i] << 8 * (i % 2);
	return sum;
}

/* Everything before the payload. */
static inline void
dm_frame_headers(uint8_t *h, const struct dm_frame_desc *d)
{
	const int echo = d->type == DM_FRAME_ECHO;
	const uint32_t udp_bytes = d->len_bytes + 8 + (uint32_t)sizeof(struct dm_frame_hdr);
	const uint32_t flow_port = (uint32_t)DM_FRAME_SRC_PORT + d->flow;
	uint8_t *ip = h + 14, *udp = h + 34, *app = h + DM_FRAME_HDR_OFFSET;
	uint8_t pseudo[4] = { 0, 17, 0, 0 };
	uint16_t csum;

	memcpy(h, d->dst_mac, 6);
	memcpy(h + 6, d->src_mac, 6);
	dm_frame_put_be(h + 12, 0x0800, 2);

	dm_frame_put_be(ip, 0x4500, 2);
	dm_frame_put_be(ip + 2, udp_bytes + 20, 2);
	dm_frame_put_be(ip + 4, 0x00004000, 4); /* not a fragment, and not to become one */
	dm_frame_put_be(ip + 8, 0x40110000, 4); /* 64 hops, UDP */
	dm_frame_put_be(ip + 12, echo ? DM_FRAME_GUEST_IP : DM_FRAME_GEN_IP, 4);
	dm_frame_put_be(ip + 16, echo ? DM_FRAME_GEN_IP : DM_FRAME_GUEST_IP, 4);
	dm_frame_put(ip + 10, dm_frame_csum_fold(dm_frame_csum_add(ip, 20)), 2);

	dm_frame_put_be(udp, echo ? DM_FRAME_UDP_PORT : flow_port, 2);
	dm_frame_put_be(udp + 2, echo ? flow_port : DM_FRAME_UDP_PORT, 2);
	dm_frame_put_be(udp + 4, udp_bytes, 2);
	dm_frame_put(udp + 6, 0, 2);

	dm_frame_put(app, DM_FRAME_MAGIC, 4);
	dm_frame_put(app + 4, d->type, 2);
	dm_frame_put(app + 6, d->flow, 2);
	dm_frame_put(app + 8, d->seq, 8);
	dm_frame_put(app + 16, d->t_ns, 8);
	dm_frame_put(app + 24, d->len_bytes, 4);
	dm_frame_put(app + 28, 0, 4);

	dm_frame_put_be(pseudo + 2, udp_bytes, 2);
	csum = dm_frame_csum_fold(d->payload_sum + dm_frame_csum_add(pseudo, 4) +
		dm_frame_csum_add(ip + 12, 8 + 8 + sizeof(struct dm_frame_hdr)));
	dm_frame_put(udp + 6, csum == 0 ? 0xffff : csum, 2);
}

/**
 * Write a whole frame.
 *
 * @param frame
 *   Room for DM_FRAME_PAYLOAD_OFFSET + d->len_bytes, which is at most DM_FRAME_LEN_MAX.
 * @return its length in bytes.
 */
static inline uint32_t
dm_frame_build(uint8_t *frame, struct dm_frame_desc *d)
{
	uint8_t *p = frame + DM_FRAME_PAYLOAD_OFFSET;
	uint32_t left = d->len_bytes, i = 0;
	uint64_t sum = 0, word;

	for (; left >= 8; left -= 8, p += 8) {
		word = dm_frame_word(d->flow, d->seq, i++);
		sum += (word & 0xffffffff) + (word >> 32);
		word = dm_frame_le64(word);
		memcpy(p, &word, 8);
	}
	if (left > 0) {
		word = dm_frame_word(d->flow, d->seq, i) & ((1ull << 8 * left) - 1);
		sum += (word & 0xffffffff) + (word >> 32);
		dm_frame_put(p, word, left);
	}
	d->payload_sum = sum;
	dm_frame_headers(frame, d);
	return DM_FRAME_PAYLOAD_OFFSET + d->len_bytes;
}

/*
 * An IPv4 frame sent to one station is taken for ours even if its magic was hit. An announcement
 * (RARP) never is: rte_vhost leaves in its padding what was in the buffer before, a frame of ours.
 */
static inline int
dm_frame_is_foreign(const uint8_t *frame, uint32_t len)
{
	if (len >= 14 && frame[12] == 0x80 && frame[13] == 0x35 && (frame[0] & 1) != 0)
		return 1;
	if (len >= DM_FRAME_HDR_OFFSET + 4 &&
			dm_frame_get(frame + DM_FRAME_HDR_OFFSET, 4) == DM_FRAME_MAGIC)
		return 0;
	return len < 14 || frame[12] != 0x08 || frame[13] != 0x00 || (frame[0] & 1) != 0;
}

/** When the generator sent what a good frame asks or answers. */
static inline uint64_t
dm_frame_time_ns(const uint8_t *frame)
{
	return dm_frame_get(frame + DM_FRAME_HDR_OFFSET + 16, 8);
}

/**
 * Check each byte of a frame of any origin.
 *
 * @param type
 *   What it has to be.
 * @param dst_mac
 *   Where it has to go.
 * @param src_mac
 *   Where it has to come from.
 * @param d
 *   Filled when the frame is good.
 */
static inline enum dm_frame_verdict
dm_frame_check(const uint8_t *frame, uint32_t len, uint16_t type, const uint8_t dst_mac[6],
	const uint8_t src_mac[6], struct dm_frame_desc *d)
{
	const uint8_t *app = frame + DM_FRAME_HDR_OFFSET, *p = frame + DM_FRAME_PAYLOAD_OFFSET;
	uint8_t headers[DM_FRAME_PAYLOAD_OFFSET];
	uint64_t sum = 0, bad = 0, word, seen;
	uint32_t left, i = 0;

	if (dm_frame_is_foreign(frame, len))
		return DM_FRAME_FOREIGN;
	if (len < DM_FRAME_LEN_MIN || len > DM_FRAME_LEN_MAX)
		return DM_FRAME_CORRUPT;
	memcpy(d->dst_mac, dst_mac, 6);
	memcpy(d->src_mac, src_mac, 6);
	d->type = type;
	d->flow = (uint16_t)dm_frame_get(app + 6, 2);
	d->seq = dm_frame_get(app + 8, 8);
	d->t_ns = dm_frame_get(app + 16, 8);
	d->len_bytes = len - DM_FRAME_PAYLOAD_OFFSET;
	for (left = d->len_bytes; left >= 8; left -= 8, p += 8) {
		word = dm_frame_word(d->flow, d->seq, i++);
		sum += (word & 0xffffffff) + (word >> 32);
		memcpy(&seen, p, 8);
		bad |= dm_frame_le64(word) ^ seen;
	}
	if (left > 0) {
		word = dm_frame_word(d->flow, d->seq, i) & ((1ull << 8 * left) - 1);
		sum += (word & 0xffffffff) + (word >> 32);
		bad |= word ^ dm_frame_get(p, left);
	}
	d->payload_sum = sum;
	dm_frame_headers(headers, d);
	return bad != 0 || memcmp(headers, frame, sizeof(headers)) != 0 ?
		DM_FRAME_CORRUPT : DM_FRAME_GOOD;
}

/** Make the echo of a request, in place, from what dm_frame_check() gave for it. */
static inline void
dm_frame_echo(uint8_t *frame, struct dm_frame_desc *d)
{
	uint8_t mac[6];

	memcpy(mac, d->dst_mac, 6);
	memcpy(d->dst_mac, d->src_mac, 6);
	memcpy(d->src_mac, mac, 6);
	d->type = DM_FRAME_ECHO;
	dm_frame_headers(frame, d);
}

#endif /* DM_FRAME_IF_H */
