/* SPDX-License-Identifier: BSD-3-Clause */

/* IPv4 (RFC 791), IPv6 (RFC 8200) without extension headers, TCP, UDP; RFC 1071; Toeplitz. */

#include <string.h>

#include "dm_pds_frame.h"
#include "pds_eth_if.h"
#include "pds_ring_if.h"

#define ETH_TYPE_IPV4 0x0800
#define ETH_TYPE_IPV6 0x86dd
#define ETH_TYPE_VLAN 0x8100
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17
#define IPV6_HDR_BYTES 40
#define TCP_CSUM_OFF 16
#define UDP_CSUM_OFF 6

static void
dm_pds_parse_l4(const uint8_t *frame, uint8_t proto, uint32_t at, struct dm_pds_headers *h)
{
	if (proto == IP_PROTO_TCP && at + 20 <= h->l3_end && (frame[at + 12] >> 4) >= 5) {
		h->l4 = at;
		h->tcp = true;
		h->pkt_type = h->ipv6 ? LM_IONIC_PKT_TYPE_IPV6_TCP : LM_IONIC_PKT_TYPE_IPV4_TCP;
	} else if (proto == IP_PROTO_UDP && at + 8 <= h->l3_end) {
		h->l4 = at;
		h->pkt_type = h->ipv6 ? LM_IONIC_PKT_TYPE_IPV6_UDP : LM_IONIC_PKT_TYPE_IPV4_UDP;
	}
}

static void
dm_pds_parse_ipv4(const uint8_t *frame, uint32_t len_bytes, uint32_t at, struct dm_pds_headers *h)
{
	uint32_t hdr_bytes, total;

	if (at + 20 > len_bytes || frame[at] >> 4 != 4)
		return;
	hdr_bytes = (frame[at] & 0xfu) * 4;
	total = dm_pds_be16(frame + at + 2);
	if (hdr_bytes < 20 || total < hdr_bytes || at + total > len_bytes)
		return;
	h->l3 = at;
	h->l3_end = at + total;
	h->pkt_type = LM_IONIC_PKT_TYPE_IPV4;
	if ((dm_pds_be16(frame + at + 6) & 0x3fff) == 0)
		dm_pds_parse_l4(frame, frame[at + 9], at + hdr_bytes, h);
}

static void
dm_pds_parse_ipv6(const uint8_t *frame, uint32_t len_bytes, uint32_t at, struct dm_pds_headers *h)
{
	uint32_t total;

	if (at + IPV6_HDR_BYTES > len_bytes || frame[at] >> 4 != 6)
		return;
	total = IPV6_HDR_BYTES + (uint32_t)dm_pds_be16(frame + at + 4);
	if (at + total > len_bytes)
		return;
	h->ipv6 = true;
	h->l3 = at;
	h->l3_end = at + total;
	h->pkt_type = LM_IONIC_PKT_TYPE_IPV6;
	dm_pds_parse_l4(frame, frame[at + 6], at + IPV6_HDR_BYTES, h);
}

void
dm_pds_parse(const uint8_t *frame, uint32_t len_bytes, struct dm_pds_headers *h)
{
	uint32_t at = 12;
	uint16_t type;

	memset(h, 0, sizeof(*h));
	if (len_bytes < 14)
		return;
	type = dm_pds_be16(frame + at);
	if (type == ETH_TYPE_VLAN && len_bytes >= 18) {
		at += 4;
		type = dm_pds_be16(frame + at);
	}
	if (type == ETH_TYPE_IPV4)
		dm_pds_parse_ipv4(frame, len_bytes, at + 2, h);
	else if (type == ETH_TYPE_IPV6)
		dm_pds_parse_ipv6(frame, len_bytes, at + 2, h);
}

uint16_t
dm_pds_sum(const uint8_t *data, uint32_t len_bytes, uint32_t start)
{
	uint64_t sum = start;
	uint16_t word;

	for (; len_bytes > 1; len_bytes -= 2, data += 2) {
		memcpy(&word, data, sizeof(word));
		sum += word;
	}
	if (len_bytes != 0)
		sum += data[0];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t
dm_pds_l4_sum(const uint8_t *frame, const struct dm_pds_headers *h)
{
	uint32_t len_bytes = h->l3_end - h->l4;
	uint8_t pseudo[4] = { 0, h->tcp ? IP_PROTO_TCP : IP_PROTO_UDP };
	uint32_t addrs = h->ipv6 ? h->l3 + 8 : h->l3 + 12;
	uint16_t sum;

	dm_pds_put_be16(pseudo + 2, (uint16_t)len_bytes);
	sum = dm_pds_sum(pseudo, sizeof(pseudo), 0);
	sum = dm_pds_sum(frame + addrs, h->ipv6 ? 32 : 8, sum);
	return dm_pds_sum(frame + h->l4, len_bytes, sum);
}

void
dm_pds_l3_csum_set(uint8_t *frame, const struct dm_pds_headers *h)
{
	uint16_t sum;

	if (h->l3 == 0 || h->ipv6)
		return;
	memset(frame + h->l3 + 10, 0, 2);
	sum = (uint16_t)~dm_pds_sum(frame + h->l3, (frame[h->l3] & 0xfu) * 4, 0);
	memcpy(frame + h->l3 + 10, &sum, sizeof(sum));
}

void
dm_pds_l4_csum_set(uint8_t *frame, const struct dm_pds_headers *h)
{
	uint8_t *field = frame + h->l4 + (h->tcp ? TCP_CSUM_OFF : UDP_CSUM_OFF);
	uint16_t sum;

	if (h->l4 == 0)
		return;
	memset(field, 0, 2);
	sum = (uint16_t)~dm_pds_l4_sum(frame, h);
	if (sum == 0 && !h->tcp)
		sum = 0xffff; /* 0 says that there is none */
	memcpy(field, &sum, sizeof(sum));
}

uint8_t
dm_pds_csum_flags(const uint8_t *frame, const struct dm_pds_headers *h)
{
	uint8_t flags = LM_IONIC_RXQ_COMP_CSUM_F_CALC;
	bool good;

	if (h->l3 != 0 && !h->ipv6)
		flags |= dm_pds_sum(frame + h->l3, (frame[h->l3] & 0xfu) * 4, 0) == 0xffff ?
				LM_IONIC_RXQ_COMP_CSUM_F_IP_OK : LM_IONIC_RXQ_COMP_CSUM_F_IP_BAD;
	if (h->l4 == 0)
		return flags;
	good = dm_pds_l4_sum(frame, h) == 0xffff;
	if (h->tcp)
		return flags | (good ? LM_IONIC_RXQ_COMP_CSUM_F_TCP_OK :
				LM_IONIC_RXQ_COMP_CSUM_F_TCP_BAD);
	if (dm_pds_be16(frame + h->l4 + UDP_CSUM_OFF) == 0)
		return flags;
	return flags | (good ? LM_IONIC_RXQ_COMP_CSUM_F_UDP_OK : LM_IONIC_RXQ_COMP_CSUM_F_UDP_BAD);
}

static uint32_t
dm_pds_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t len_bytes)
{
	uint32_t window = dm_pds_be32(key);
	uint32_t hash = 0, i, bit;

	for (i = 0; i < len_bytes; i++)
		for (bit = 0; bit < 8; bit++) {
			if ((data[i] << bit & 0x80) != 0)
				hash ^= window;
			window = window << 1 | (key[i + 4] >> (7 - bit) & 1);
		}
	return hash;
}

bool
dm_pds_rss(const uint8_t *frame, const struct dm_pds_headers *h, uint16_t types,
		const uint8_t *key, uint32_t *hash)
{
	const uint32_t addr_bytes = h->ipv6 ? 32 : 8;
	const uint16_t l3 = h->ipv6 ? LM_IONIC_RSS_TYPE_IPV6 : LM_IONIC_RSS_TYPE_IPV4;
	uint16_t l4 = h->ipv6 ? LM_IONIC_RSS_TYPE_IPV6_UDP : LM_IONIC_RSS_TYPE_IPV4_UDP;
	uint8_t input[36];

	if (h->l3 == 0)
		return false;
	if (h->tcp)
		l4 = h->ipv6 ? LM_IONIC_RSS_TYPE_IPV6_TCP : LM_IONIC_RSS_TYPE_IPV4_TCP;
	memcpy(input, frame + h->l3 + (h->ipv6 ? 8 : 12), addr_bytes);
	if (h->l4 != 0 && (types & l4) != 0) {
		memcpy(input + addr_bytes, frame + h->l4, 4);
		*hash = dm_pds_toeplitz(key, input, addr_bytes + 4);
		return true;
	}
	if ((types & l3) == 0)
		return false;
	*hash = dm_pds_toeplitz(key, input, addr_bytes);
	return true;
}
