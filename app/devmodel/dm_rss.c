/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "dm_eth.h"
#include "dm_rss.h"

#define HOME_ADDRESS_OPTION 0xc9 /* RFC 6275, 6.3 */
#define ROUTING_TYPE_2 2         /* 6.4 */
#define IPV6_ADDRESS_BYTES 16u
#define MAX_INPUT (2 * IPV6_ADDRESS_BYTES + 4)

/* What a frame's hash may be made of. */
struct dm_rss_packet {
	const uint8_t *src, *dst;     /* of the IP header */
	const uint8_t *home, *route;  /* IPv6 extensions' addresses; NULL: none */
	const uint8_t *ports;         /* NULL: none */
	uint8_t proto;
	bool ipv6;
	bool extended;                /* has IPv6 extension headers */
};

uint32_t
dm_rss_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t len_bytes)
{
	uint64_t window = (uint64_t)dm_be16(key) << 48 | (uint64_t)dm_be16(key + 2) << 32;
	uint32_t hash = 0;
	uint32_t i, bit;

	for (i = 0; i < len_bytes; i++) {
		window |= (uint64_t)key[i + 4] << 24;
		for (bit = 0; bit < 8; bit++, window <<= 1)
			if ((data[i] & (0x80u >> bit)) != 0)
				hash ^= (uint32_t)(window >> 32);
	}
	return hash;
}

static bool
parse_ipv4(const uint8_t *ip, uint32_t len, struct dm_rss_packet *p)
{
	uint32_t l4 = 4 * (ip[0] & 0xfu);

	if (len < DM_IPV4_BYTES || l4 < DM_IPV4_BYTES)
		return false;
	p->src = ip + 12;
	p->dst = ip + 16;
	p->proto = ip[9];
	/* Fragments have no ports. */
	if ((dm_be16(ip + 6) & 0x3fff) == 0 && l4 + 4 <= len)
		p->ports = ip + l4;
	return true;
}

/* Options of a destination options header of len bytes: is there a home address? */
static void
parse_options(const uint8_t *header, uint32_t len, struct dm_rss_packet *p)
{
	uint32_t at = 2;

	while (at + 2 <= len) {
		if (header[at] == 0) {
			at++;
			continue;
		}
		if (header[at] == HOME_ADDRESS_OPTION && header[at + 1] == IPV6_ADDRESS_BYTES &&
				at + 2 + IPV6_ADDRESS_BYTES <= len)
			p->home = header + at + 2;
		at += 2u + header[at + 1];
	}
}

static bool
parse_ipv6(const uint8_t *ip, uint32_t len, struct dm_rss_packet *p)
{
	uint32_t at = DM_IPV6_BYTES;
	uint32_t bytes;

	if (len < DM_IPV6_BYTES)
		return false;
	p->ipv6 = true;
	p->src = ip + 8;
	p->dst = ip + 24;
	p->proto = ip[6];
	while (p->proto == DM_IP_PROTO_HOPOPTS || p->proto == DM_IP_PROTO_ROUTING ||
			p->proto == DM_IP_PROTO_DSTOPTS) {
		p->extended = true;
		if (at + 8 > len)
			return true;
		bytes = 8 + 8u * ip[at + 1];
		if (at + bytes > len)
			return true;
		if (p->proto == DM_IP_PROTO_DSTOPTS)
			parse_options(ip + at, bytes, p);
		else if (p->proto == DM_IP_PROTO_ROUTING && ip[at + 2] == ROUTING_TYPE_2 &&
				bytes == 8 + IPV6_ADDRESS_BYTES)
			p->route = ip + at + 8;
		p->proto = ip[at];
		at += bytes;
	}
	if (at + 4 <= len)
		p->ports = ip + at;
	return true;
}

static uint32_t
hash_of(const struct dm_rss *rss, const struct dm_rss_packet *p, bool extended, bool ports)
{
	uint32_t address_bytes = p->ipv6 ? IPV6_ADDRESS_BYTES : 4;
	uint8_t input[MAX_INPUT];
	uint32_t len = 2 * address_bytes;

	memcpy(input, extended && p->home != NULL ? p->home : p->src, address_bytes);
	memcpy(input + address_bytes, extended && p->route != NULL ? p->route : p->dst,
			address_bytes);
	if (ports) {
		memcpy(input + len, p->ports, 4);
		len += 4;
	}
	return dm_rss_toeplitz(rss->key, input, len);
}

/* 5.1.6.4.3.1 to .3: the most special kind that is enabled wins. */
static const struct {
	bool ipv6, extended;
	uint8_t proto; /* 0: any, and no ports in the hash */
	uint32_t type;
	uint16_t report;
} dm_rss_kinds[] = {
	{ false, false, DM_IP_PROTO_TCP, LM_VIRTIO_NET_HASH_TCPV4,
		LM_VIRTIO_NET_HASH_REPORT_TCPV4 },
	{ false, false, DM_IP_PROTO_UDP, LM_VIRTIO_NET_HASH_UDPV4,
		LM_VIRTIO_NET_HASH_REPORT_UDPV4 },
	{ false, false, 0, LM_VIRTIO_NET_HASH_IPV4, LM_VIRTIO_NET_HASH_REPORT_IPV4 },
	{ true, true, DM_IP_PROTO_TCP, LM_VIRTIO_NET_HASH_TCP_EX,
		LM_VIRTIO_NET_HASH_REPORT_TCP_EX },
	{ true, true, DM_IP_PROTO_UDP, LM_VIRTIO_NET_HASH_UDP_EX,
		LM_VIRTIO_NET_HASH_REPORT_UDP_EX },
	{ true, true, 0, LM_VIRTIO_NET_HASH_IP_EX, LM_VIRTIO_NET_HASH_REPORT_IP_EX },
	{ true, false, DM_IP_PROTO_TCP, LM_VIRTIO_NET_HASH_TCPV6, LM_VIRTIO_NET_HASH_REPORT_TCPV6 },
	{ true, false, DM_IP_PROTO_UDP, LM_VIRTIO_NET_HASH_UDPV6, LM_VIRTIO_NET_HASH_REPORT_UDPV6 },
	{ true, false, 0, LM_VIRTIO_NET_HASH_IPV6, LM_VIRTIO_NET_HASH_REPORT_IPV6 },
};

uint16_t
dm_rss_hash(const struct dm_rss *rss, const uint8_t *frame, uint32_t len_bytes, uint32_t *hash)
{
	struct dm_rss_packet p;
	uint16_t ether_type;
	uint32_t l3;
	size_t i;

	*hash = 0;
	memset(&p, 0, sizeof(p));
	if (rss->types == 0 || !dm_eth_l3(frame, len_bytes, &l3, &ether_type) || l3 >= len_bytes)
		return LM_VIRTIO_NET_HASH_REPORT_NONE;
	if (ether_type == DM_ETH_TYPE_IPV4 ? !parse_ipv4(frame + l3, len_bytes - l3, &p) :
			ether_type != DM_ETH_TYPE_IPV6 ||
			!parse_ipv6(frame + l3, len_bytes - l3, &p))
		return LM_VIRTIO_NET_HASH_REPORT_NONE;
	for (i = 0; i < sizeof(dm_rss_kinds) / sizeof(dm_rss_kinds[0]); i++) {
		uint8_t proto = dm_rss_kinds[i].proto;

		if ((rss->types & dm_rss_kinds[i].type) == 0 || dm_rss_kinds[i].ipv6 != p.ipv6 ||
				(dm_rss_kinds[i].extended && !p.extended) ||
				(proto != 0 && (proto != p.proto || p.ports == NULL)))
			continue;
		*hash = hash_of(rss, &p, dm_rss_kinds[i].extended, proto != 0);
		return dm_rss_kinds[i].report;
	}
	return LM_VIRTIO_NET_HASH_REPORT_NONE;
}

uint16_t
dm_rss_pair(const struct dm_rss *rss, uint16_t report, uint32_t hash)
{
	return report == LM_VIRTIO_NET_HASH_REPORT_NONE ? rss->unclassified :
			rss->table[hash & rss->mask];
}

/* The table and what is around it. @return bytes taken, or -EINVAL. */
static int
config_steering(struct dm_rss *rss, const uint8_t *data, uint32_t len, uint16_t max_pairs,
		uint16_t *tx_pairs)
{
	uint32_t nb, i, bytes;

	if (len < 4)
		return -EINVAL;
	memcpy(&rss->mask, data, 2);
	memcpy(&rss->unclassified, data + 2, 2);
	nb = rss->mask + 1u;
	bytes = 4 + 2 * nb + 2;
	if (nb > DM_RSS_TABLE || (nb & (nb - 1)) != 0 || len < bytes ||
			rss->unclassified >= max_pairs)
		return -EINVAL;
	memcpy(rss->table, data + 4, 2 * (size_t)nb);
	for (i = 0; i < nb; i++)
		if (rss->table[i] >= max_pairs)
			return -EINVAL;
	memcpy(tx_pairs, data + 4 + 2 * nb, 2);
	if (*tx_pairs == 0 || *tx_pairs > max_pairs)
		return -EINVAL;
	rss->steering = true;
	return (int)bytes;
}

int
dm_rss_config(struct dm_rss *rss, const uint8_t *data, uint32_t len_bytes, bool with_table,
		uint16_t max_pairs, uint16_t *tx_pairs)
{
	const int reserved_bytes = 8;
	uint16_t pairs = 0;
	struct dm_rss new;
	uint32_t at = sizeof(new.types);
	int ret;

	memset(&new, 0, sizeof(new));
	if (len_bytes < at)
		return -EINVAL;
	memcpy(&new.types, data, sizeof(new.types));
	ret = with_table ? config_steering(&new, data + at, len_bytes - at, max_pairs, &pairs) :
			reserved_bytes;
	if (ret < 0)
		return ret;
	at += (uint32_t)ret;
	/* The key's length, and the key. Linux sends a byte more: its structure is padded. */
	if ((new.types & ~DM_RSS_TYPES) != 0 || len_bytes < at + 1 ||
			data[at] > DM_RSS_KEY_BYTES || len_bytes < at + 1 + data[at])
		return -EINVAL;
	memcpy(new.key, data + at + 1, data[at]);
	*rss = new;
	if (with_table)
		*tx_pairs = pairs;
	return 0;
}
