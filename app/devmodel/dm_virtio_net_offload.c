/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Unfinished frames (5.1.6.2, 5.1.6.4): what a driver may ask for, and what is done here because
 * the wire, or the driver at the other end, does not take it.
 */

#include <errno.h>
#include <string.h>

#include "dm_virtio_net.h"

#define DM_NET_GUEST_OFFLOADS (LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_CSUM) | \
	LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_TSO4) | LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_TSO6) | \
	LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_ECN))

static const struct dm_net_gso_kind {
	uint8_t type;
	uint8_t host;  /* feature that a sender needs */
	uint8_t guest; /* feature of a receiver that takes it uncut */
} dm_net_gso_kinds[] = {
	{ LM_VIRTIO_NET_HDR_GSO_TCPV4, LM_VIRTIO_NET_F_HOST_TSO4, LM_VIRTIO_NET_F_GUEST_TSO4 },
	{ LM_VIRTIO_NET_HDR_GSO_TCPV6, LM_VIRTIO_NET_F_HOST_TSO6, LM_VIRTIO_NET_F_GUEST_TSO6 },
};

static const struct dm_net_gso_kind *
dm_net_gso_kind(uint8_t gso_type)
{
	uint8_t type = gso_type & ~LM_VIRTIO_NET_HDR_GSO_ECN;
	size_t i;

	for (i = 0; i < sizeof(dm_net_gso_kinds) / sizeof(dm_net_gso_kinds[0]); i++)
		if (dm_net_gso_kinds[i].type == type)
			return &dm_net_gso_kinds[i];
	return NULL;
}

bool
dm_net_unfinished(const struct lm_virtio_net_hdr *hdr)
{
	return (hdr->flags & LM_VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 ||
			hdr->gso_type != LM_VIRTIO_NET_HDR_GSO_NONE;
}

bool
dm_net_tx_may_ask(const struct dm_net *net, const struct lm_virtio_net_hdr *hdr)
{
	const struct dm_net_gso_kind *kind;

	if (!dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_CSUM))
		return false;
	if (hdr->gso_type == LM_VIRTIO_NET_HDR_GSO_NONE)
		return true;
	kind = dm_net_gso_kind(hdr->gso_type);
	if (kind == NULL || !dm_virtio_has(&net->vio, kind->host))
		return false;
	return (hdr->gso_type & LM_VIRTIO_NET_HDR_GSO_ECN) == 0 ||
			dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_HOST_ECN);
}

int
dm_net_unfinished_check(const struct dm_net *net, const struct lm_virtio_net_hdr *hdr,
		const uint8_t *head, uint32_t head_bytes, uint32_t len_bytes)
{
	struct dm_gso gso;

	if (hdr->gso_type == LM_VIRTIO_NET_HDR_GSO_NONE)
		return dm_csum_fits(hdr, len_bytes) ? 0 : -EINVAL;
	if (dm_gso_parse(hdr, head, head_bytes, len_bytes, &gso) != 0)
		return -EINVAL;
	return (uint32_t)gso.hdr_bytes + gso.mss_bytes <= dm_net_frame_limit(net) ? 0 : -EMSGSIZE;
}

static bool
dm_net_guest_takes(const struct dm_net *net, unsigned int bit)
{
	return dm_virtio_has(&net->vio, bit) && (net->offloads_off & LM_VIRTIO_BIT(bit)) == 0;
}

bool
dm_net_rx_takes(const struct dm_net *net, const struct lm_virtio_net_hdr *hdr)
{
	if (!dm_net_guest_takes(net, LM_VIRTIO_NET_F_GUEST_CSUM))
		return false;
	if (hdr->gso_type == LM_VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if ((hdr->gso_type & LM_VIRTIO_NET_HDR_GSO_ECN) != 0 &&
			!dm_net_guest_takes(net, LM_VIRTIO_NET_F_GUEST_ECN))
		return false;
	return dm_net_guest_takes(net, dm_net_gso_kind(hdr->gso_type)->guest);
}

int
dm_net_guest_offloads(struct dm_net *net, uint64_t wanted)
{
	uint64_t csum = LM_VIRTIO_BIT(LM_VIRTIO_NET_F_GUEST_CSUM);

	if ((wanted & ~(DM_NET_GUEST_OFFLOADS & net->vio.accepted)) != 0 ||
			(wanted != 0 && (wanted & csum) == 0))
		return -EINVAL;
	net->offloads_off = DM_NET_GUEST_OFFLOADS & ~wanted;
	return 0;
}

int
dm_net_finish(struct dm_net *net, const struct lm_virtio_net_hdr *hdr, uint8_t *frame,
		uint32_t len_bytes, int (*emit)(struct dm_net *net, void *ctx, const uint8_t *frame,
		uint32_t len_bytes), void *ctx)
{
	struct dm_gso gso;
	uint32_t i, len;
	int ret = 0;

	if (hdr->gso_type == LM_VIRTIO_NET_HDR_GSO_NONE) {
		dm_csum_finish(hdr, frame, len_bytes);
		return emit(net, ctx, frame, len_bytes);
	}
	if (dm_gso_parse(hdr, frame, len_bytes, len_bytes, &gso) != 0)
		return -EINVAL;
	for (i = 0; i < gso.nb_segments && ret >= 0; i++) {
		len = dm_gso_segment(&gso, frame, i, net->segment);
		ret = emit(net, ctx, net->segment, len);
	}
	return ret;
}
