/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "dm_eth.h"
#include "dm_offload.h"

#define TCP_BYTES 20u
#define TCP_CSUM_AT 16u
#define TCP_FLAGS_AT 13u
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

static void
put_be16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint32_t
get_be32(const uint8_t *p)
{
	return (uint32_t)dm_be16(p) << 16 | dm_be16(p + 2);
}

static void
put_be32(uint8_t *p, uint32_t value)
{
	put_be16(p, value >> 16);
	put_be16(p + 2, value);
}

/* RFC 1071: a sum of 16-bit words in the order of the wire, not folded. */
static uint64_t
sum_add(uint64_t sum, const uint8_t *p, uint32_t len_bytes)
{
	uint32_t i;

	for (i = 0; i + 1 < len_bytes; i += 2)
		sum += dm_be16(p + i);
	if ((len_bytes & 1) != 0)
		sum += (uint32_t)p[len_bytes - 1] << 8;
	return sum;
}

static uint16_t
sum_fold(uint64_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

bool
dm_csum_fits(const struct lm_virtio_net_hdr *hdr, uint32_t len_bytes)
{
	return (uint32_t)hdr->csum_start + hdr->csum_offset + 2 <= len_bytes &&
			hdr->csum_start >= DM_ETH_BYTES;
}

void
dm_csum_finish(const struct lm_virtio_net_hdr *hdr, uint8_t *frame, uint32_t len_bytes)
{
	uint8_t *field = frame + hdr->csum_start + hdr->csum_offset;
	uint16_t csum;

	/* The field holds the sum of the pseudo header. */
	csum = sum_fold(sum_add(0, frame + hdr->csum_start, len_bytes - hdr->csum_start));
	/* 0 would mean "none" in UDP; to the others both are the same. */
	put_be16(field, csum == 0 ? 0xffff : csum);
}

static int
check_ipv4(const uint8_t *head, uint32_t l3, uint32_t l4)
{
	const uint8_t *ip = head + l3;

	if (l4 < l3 + DM_IPV4_BYTES || ip[0] >> 4 != 4 || l3 + 4 * (ip[0] & 0xfu) != l4 ||
			ip[9] != DM_IP_PROTO_TCP || (dm_be16(ip + 6) & 0x3fff) != 0)
		return -EINVAL;
	return 0;
}

static int
check_ipv6(const uint8_t *head, uint32_t l3, uint32_t l4)
{
	uint32_t at = l3 + DM_IPV6_BYTES;
	uint8_t next;

	if (l4 < at || head[l3] >> 4 != 6)
		return -EINVAL;
	next = head[l3 + 6];
	while (next != DM_IP_PROTO_TCP) {
		if ((next != DM_IP_PROTO_HOPOPTS && next != DM_IP_PROTO_ROUTING &&
				next != DM_IP_PROTO_DSTOPTS) || at + 8 > l4)
			return -EINVAL;
		next = head[at];
		at += 8 + 8u * head[at + 1];
	}
	return at == l4 ? 0 : -EINVAL;
}

int
dm_gso_parse(const struct lm_virtio_net_hdr *hdr, const uint8_t *head, uint32_t head_bytes,
		uint32_t len_bytes, struct dm_gso *gso)
{
	uint8_t kind = hdr->gso_type & ~LM_VIRTIO_NET_HDR_GSO_ECN;
	bool ipv6 = kind == LM_VIRTIO_NET_HDR_GSO_TCPV6;
	uint32_t l4 = hdr->csum_start;
	uint32_t l3, end;
	uint16_t type;

	if ((!ipv6 && kind != LM_VIRTIO_NET_HDR_GSO_TCPV4) || hdr->gso_size == 0 ||
			(hdr->flags & LM_VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ||
			hdr->csum_offset != TCP_CSUM_AT || l4 + TCP_BYTES > head_bytes ||
			!dm_eth_l3(head, head_bytes, &l3, &type))
		return -EINVAL;
	if (ipv6 ? type != DM_ETH_TYPE_IPV6 || check_ipv6(head, l3, l4) != 0 :
			type != DM_ETH_TYPE_IPV4 || check_ipv4(head, l3, l4) != 0)
		return -EINVAL;
	end = l4 + 4 * (head[l4 + 12] >> 4);
	if (end < l4 + TCP_BYTES || end > head_bytes || end >= len_bytes)
		return -EINVAL;
	/* A segment's length has to fit its IP header. */
	if (end - l3 + hdr->gso_size > UINT16_MAX)
		return -EINVAL;
	gso->len_bytes = len_bytes;
	gso->l3 = (uint16_t)l3;
	gso->l4 = (uint16_t)l4;
	gso->hdr_bytes = (uint16_t)end;
	gso->mss_bytes = hdr->gso_size;
	gso->nb_segments = (len_bytes - end + hdr->gso_size - 1) / hdr->gso_size;
	gso->ipv6 = ipv6;
	return 0;
}

static uint64_t
finish_ipv4(uint8_t *ip, uint32_t hdr_bytes, uint32_t len_bytes, uint32_t nth)
{
	put_be16(ip + 2, len_bytes);
	put_be16(ip + 4, dm_be16(ip + 4) + nth);
	put_be16(ip + 10, 0);
	put_be16(ip + 10, sum_fold(sum_add(0, ip, hdr_bytes)));
	return sum_add(0, ip + 12, 8);
}

static uint64_t
finish_ipv6(uint8_t *ip, uint32_t len_bytes)
{
	put_be16(ip + 4, len_bytes - DM_IPV6_BYTES);
	return sum_add(0, ip + 8, 32);
}

uint32_t
dm_gso_segment(const struct dm_gso *gso, const uint8_t *frame, uint32_t nth, uint8_t *segment)
{
	uint32_t from = gso->hdr_bytes + nth * gso->mss_bytes;
	uint32_t data_bytes = gso->len_bytes - from;
	uint8_t *ip = segment + gso->l3;
	uint8_t *tcp = segment + gso->l4;
	uint32_t len_bytes, tcp_bytes;
	uint64_t sum;

	if (data_bytes > gso->mss_bytes)
		data_bytes = gso->mss_bytes;
	len_bytes = gso->hdr_bytes + data_bytes;
	tcp_bytes = len_bytes - gso->l4;
	memcpy(segment, frame, gso->hdr_bytes);
	memcpy(segment + gso->hdr_bytes, frame + from, data_bytes);

	sum = gso->ipv6 ? finish_ipv6(ip, len_bytes - gso->l3) :
			finish_ipv4(ip, (uint32_t)gso->l4 - gso->l3, len_bytes - gso->l3, nth);
	put_be32(tcp + 4, get_be32(tcp + 4) + nth * gso->mss_bytes);
	if (nth != 0)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
	if (nth + 1 != gso->nb_segments)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	put_be16(tcp + TCP_CSUM_AT, 0);
	sum += DM_IP_PROTO_TCP + tcp_bytes;
	put_be16(tcp + TCP_CSUM_AT, sum_fold(sum_add(sum, tcp, tcp_bytes)));
	return len_bytes;
}
