/* SPDX-License-Identifier: BSD-3-Clause */

/* Which frames come in, and how flows are told apart. */

#include <string.h>

#include "dm_eth.h"
#include "dm_virtio_net.h"

void
dm_net_filter_reset(struct dm_net *net)
{
	memset(&net->filter, 0, sizeof(net->filter));
	memcpy(net->filter.mac, net->mac, sizeof(net->filter.mac));
	/* Until the driver says otherwise: without CTRL_RX it cannot. */
	net->filter.promisc = true;
}

static bool
dm_net_macs_have(const struct dm_net_macs *table, const uint8_t *mac)
{
	uint32_t i;

	if (table->overflow)
		return true;
	for (i = 0; i < table->nb; i++)
		if (memcmp(table->macs[i], mac, LM_VIRTIO_NET_MAC_BYTES) == 0)
			return true;
	return false;
}

static bool
dm_net_vlan_pass(const struct dm_net *net, const uint8_t *frame, uint32_t len_bytes)
{
	uint16_t vid;

	if (!dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_CTRL_VLAN) || len_bytes < 16 ||
			dm_be16(frame + 12) != DM_ETH_TYPE_VLAN)
		return true;
	vid = dm_be16(frame + 14) & 0xfff;
	return (net->filter.vlans[vid / 64] >> (vid % 64) & 1) != 0;
}

bool
dm_net_filter_pass(const struct dm_net *net, const uint8_t *frame, uint32_t len_bytes)
{
	static const uint8_t broadcast[LM_VIRTIO_NET_MAC_BYTES] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};
	const struct dm_net_filter *f = &net->filter;

	if (f->promisc)
		return true;
	if (!dm_net_vlan_pass(net, frame, len_bytes))
		return false;
	if (memcmp(frame, broadcast, sizeof(broadcast)) == 0)
		return !f->nobcast;
	if ((frame[0] & 1) != 0)
		return !f->nomulti && (f->allmulti || dm_net_macs_have(&f->multicast, frame));
	return !f->nouni && (f->alluni || memcmp(frame, f->mac, sizeof(f->mac)) == 0 ||
			dm_net_macs_have(&f->unicast, frame));
}

static uint32_t
dm_net_sum32(const uint8_t *p, uint32_t len_bytes)
{
	uint32_t sum = 0;
	uint32_t word;
	uint32_t i;

	for (i = 0; i + 4 <= len_bytes; i += 4) {
		memcpy(&word, p + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint32_t
dm_net_mix(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352du;
	x ^= x >> 15;
	x *= 0x846ca68bu;
	return x ^ x >> 16;
}

/*
 * Addresses and ports enter as sums, so that both directions of a flow meet. Fragments have no
 * ports: they go by addresses.
 */
uint32_t
dm_net_flow_hash(const uint8_t *frame, uint32_t len_bytes)
{
	uint32_t l3, l4, hash;
	uint16_t type;
	uint8_t proto;

	if (len_bytes < DM_ETH_BYTES)
		return 0;
	if (!dm_eth_l3(frame, len_bytes, &l3, &type))
		return dm_net_mix(dm_net_sum32(frame, 12));
	if (type == DM_ETH_TYPE_IPV4 && len_bytes >= l3 + 20) {
		hash = dm_net_sum32(frame + l3 + 12, 8);
		proto = frame[l3 + 9];
		l4 = l3 + 4 * (frame[l3] & 0xfu);
		if ((dm_be16(frame + l3 + 6) & 0x3fff) != 0)
			l4 = len_bytes;
	} else if (type == DM_ETH_TYPE_IPV6 && len_bytes >= l3 + 40) {
		hash = dm_net_sum32(frame + l3 + 8, 32);
		proto = frame[l3 + 6];
		l4 = l3 + 40;
	} else {
		return dm_net_mix(dm_net_sum32(frame, 12));
	}
	hash = dm_net_mix(hash) + proto;
	if ((proto == DM_IP_PROTO_TCP || proto == DM_IP_PROTO_UDP) && len_bytes >= l4 + 4)
		hash += (uint32_t)dm_be16(frame + l4) + dm_be16(frame + l4 + 2);
	return dm_net_mix(hash);
}
