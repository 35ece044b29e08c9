/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_ETH_H
#define DM_ETH_H

/**
 * @file
 * The places in Ethernet frames that a card looks at. Nothing is read behind the given length.
 */

#include <stdbool.h>
#include <stdint.h>

#define DM_ETH_BYTES 14u
#define DM_ETH_TYPE_IPV4 0x0800
#define DM_ETH_TYPE_IPV6 0x86dd
#define DM_ETH_TYPE_VLAN 0x8100
#define DM_ETH_TYPE_QINQ 0x88a8
#define DM_IPV4_BYTES 20u /* without options */
#define DM_IPV6_BYTES 40u
#define DM_IP_PROTO_HOPOPTS 0
#define DM_IP_PROTO_TCP 6
#define DM_IP_PROTO_UDP 17
#define DM_IP_PROTO_ROUTING 43
#define DM_IP_PROTO_DSTOPTS 60

static inline uint16_t
dm_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/** Where the network header begins, behind any number of VLAN tags; false: nowhere. */
static inline bool
dm_eth_l3(const uint8_t *frame, uint32_t len_bytes, uint32_t *l3, uint16_t *type)
{
	uint32_t at = DM_ETH_BYTES - 2;

	for (; at + 2 <= len_bytes; at += 4) {
		*type = dm_be16(frame + at);
		*l3 = at + 2;
		if (*type != DM_ETH_TYPE_VLAN && *type != DM_ETH_TYPE_QINQ)
			return true;
	}
	return false;
}

#endif /* DM_ETH_H */
