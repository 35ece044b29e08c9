/* SPDX-License-Identifier: BSD-3-Clause */

/* Transmit: guest to wire (5.1.6.2). */

#include <errno.h>
#include <string.h>

#include "dm_virtio_net.h"

#define DM_NET_TX_BURST 64
#define DM_NET_TX_PEEK 64   /* bytes of a frame that steering looks at */
#define DM_NET_TX_IOVS 64   /* more pieces than this are copied together first */

/* Gather at most max bytes from skip on. @return bytes stored. */
static uint32_t
dm_net_chain_read(const struct dm_chain *chain, uint64_t skip, uint8_t *to, uint32_t max)
{
	uint32_t done = 0;
	uint32_t i;

	for (i = 0; i < chain->nb_read && done < max; i++) {
		const struct iovec *iov = &chain->iov[i];
		uint64_t piece;

		if (skip >= iov->iov_len) {
			skip -= iov->iov_len;
			continue;
		}
		piece = iov->iov_len - skip;
		if (piece > max - done)
			piece = max - done;
		memcpy(to + done, (const uint8_t *)iov->iov_base + skip, piece);
		done += (uint32_t)piece;
		skip = 0;
	}
	return done;
}

/* Drop the header from the front of the pieces. */
static void
dm_net_chain_skip(struct dm_chain *chain, uint64_t skip)
{
	while (chain->nb_read != 0 && skip >= chain->iov->iov_len) {
		skip -= chain->iov->iov_len;
		chain->iov++;
		chain->nb_read--;
	}
	if (skip != 0) {
		chain->iov->iov_base = (uint8_t *)chain->iov->iov_base + skip;
		chain->iov->iov_len -= skip;
	}
}

/* What is asked for, in words of the wire. @return 0, or drop reason + 1. */
static int
dm_net_tx_check_unfinished(struct dm_net *net, const struct dm_chain *chain,
		const struct lm_virtio_net_hdr *hdr)
{
	uint32_t len_bytes = (uint32_t)chain->read_bytes - dm_net_hdr_bytes(net);
	uint8_t head[DM_OFFLOAD_HEAD_BYTES];
	uint32_t head_bytes;
	int ret;

	if (!dm_net_tx_may_ask(net, hdr)) {
		dm_rule_broken(net->host->rules, DM_RULE_TX_OFFLOAD, "flags 0x%x, gso %u",
				hdr->flags, hdr->gso_type);
		return 1 + DM_NET_TX_OFFLOAD;
	}
	head_bytes = dm_net_chain_read(chain, dm_net_hdr_bytes(net), head, sizeof(head));
	ret = dm_net_unfinished_check(net, hdr, head, head_bytes, len_bytes);
	if (ret == 0)
		return 0;
	dm_rule_broken(net->host->rules, ret == -EMSGSIZE ? DM_RULE_TX_OVER_MTU :
			DM_RULE_TX_HEADER, "frame of %u bytes, gso %u of %u, sum at %u + %u",
			len_bytes, hdr->gso_type, hdr->gso_size, hdr->csum_start,
			hdr->csum_offset);
	return 1 + (ret == -EMSGSIZE ? DM_NET_TX_TOO_BIG : DM_NET_TX_OFFLOAD);
}

static int
dm_net_tx_check_length(struct dm_net *net, uint64_t frame_bytes, bool gso)
{
	if (frame_bytes <= (gso ? DM_FRAME_MAX : dm_net_frame_limit(net)))
		return 0;
	if (!gso && dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_MTU))
		dm_rule_broken(net->host->rules, DM_RULE_TX_OVER_MTU, "frame of %llu bytes",
				(unsigned long long)frame_bytes);
	return 1 + DM_NET_TX_TOO_BIG;
}

/* Read the header, once, and check. @return 0, or drop reason + 1. */
static int
dm_net_tx_check(struct dm_net *net, const struct dm_chain *chain, uint16_t queue,
		struct lm_virtio_net_hdr *hdr)
{
	int ret;

	if (chain->nb_write != 0)
		dm_rule_broken(net->host->rules, DM_RULE_TX_WRITABLE, "queue %u, head %u", queue,
				chain->head);
	if (chain->read_bytes < dm_net_hdr_bytes(net) + DM_NET_MIN_FRAME) {
		dm_rule_broken(net->host->rules, DM_RULE_TX_SHORT, "queue %u, %llu bytes", queue,
				(unsigned long long)chain->read_bytes);
		return 1 + DM_NET_TX_SHORT;
	}
	dm_net_chain_read(chain, 0, (uint8_t *)hdr, sizeof(*hdr));
	if ((hdr->flags & ~LM_VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		dm_rule_broken(net->host->rules, DM_RULE_TX_HEADER, "flags 0x%x", hdr->flags);
	hdr->flags &= LM_VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->num_buffers = 0; /* should be already: neither Linux nor DPDK always writes it */
	ret = dm_net_tx_check_length(net, chain->read_bytes - dm_net_hdr_bytes(net),
			hdr->gso_type != LM_VIRTIO_NET_HDR_GSO_NONE);
	if (ret != 0 || !dm_net_unfinished(hdr))
		return ret;
	return dm_net_tx_check_unfinished(net, chain, hdr);
}

static int
dm_net_tx_emit(struct dm_net *net, void *ctx, const uint8_t *frame, uint32_t len_bytes)
{
	struct iovec one = { .iov_base = (void *)(uintptr_t)frame, .iov_len = len_bytes };

	(void)ctx;
	if (frame == net->segment)
		net->tx_segments++;
	else
		net->tx_csums++;
	return dm_wire_send(net->wire, &one, 1);
}

static int
dm_net_tx_send(struct dm_net *net, struct dm_chain *chain, const struct lm_virtio_net_hdr *hdr)
{
	bool finish = dm_net_unfinished(hdr) && !dm_wire_takes_unfinished(net->wire);
	struct iovec one;

	if (net->link_forced_down)
		return -ENOLINK;
	if (!finish && chain->nb_read <= DM_NET_TX_IOVS)
		return dm_wire_send_unfinished(net->wire, hdr, chain->iov, (int)chain->nb_read);
	one.iov_len = dm_net_chain_read(chain, 0, net->bounce, sizeof(net->bounce));
	one.iov_base = net->bounce;
	if (!finish)
		return dm_wire_send_unfinished(net->wire, hdr, &one, 1);
	return dm_net_finish(net, hdr, net->bounce, (uint32_t)one.iov_len, dm_net_tx_emit, NULL);
}

static enum dm_net_tx_drop
dm_net_tx_drop_reason(int err)
{
	switch (err) {
	case -ENOLINK:
		return DM_NET_TX_LINK;
	case -EMSGSIZE:
		return DM_NET_TX_TOO_BIG;
	case -EINVAL:
		return DM_NET_TX_OFFLOAD;
	default:
		return DM_NET_TX_FULL;
	}
}

static void
dm_net_tx_one(struct dm_net *net, struct dm_chain *chain, uint16_t pair)
{
	uint64_t frame_bytes = chain->read_bytes - dm_net_hdr_bytes(net);
	struct lm_virtio_net_hdr hdr;
	uint8_t start[DM_NET_TX_PEEK];
	uint32_t len;
	int ret;

	ret = dm_net_tx_check(net, chain, LM_VIRTIO_NET_TXQ(pair), &hdr);
	if (ret > 0) {
		net->tx_drops[ret - 1]++;
		return;
	}
	dm_net_chain_skip(chain, dm_net_hdr_bytes(net));
	if (net->pairs > 1) {
		len = dm_net_chain_read(chain, 0, start, sizeof(start));
		net->flows[dm_net_flow_hash(start, len) & (DM_NET_FLOWS - 1)] = pair + 1;
	}
	ret = dm_net_tx_send(net, chain, &hdr);
	if (ret != 0) {
		net->tx_drops[dm_net_tx_drop_reason(ret)]++;
		return;
	}
	net->tx_frames++;
	net->tx_bytes += frame_bytes;
}

unsigned int
dm_net_tx_poll(struct dm_net *net, uint16_t pair)
{
	uint16_t queue = LM_VIRTIO_NET_TXQ(pair);
	struct dm_vring *ring = &net->vio.queues[queue].ring;
	struct dm_chain chain;
	unsigned int work;
	int ret = 0;

	if (pair >= net->pairs || !dm_virtio_queue_live(&net->vio, queue))
		return 0;
	for (work = 0; work < DM_NET_TX_BURST; work++) {
		chain.iov = net->iovs;
		chain.iov_max = DM_NET_IOVS;
		ret = dm_vring_fetch(ring, &chain);
		if (ret != 1)
			break;
		dm_net_tx_one(net, &chain, pair);
		dm_vring_push_any(ring, &chain, 0, net->host->faults->disorder);
		dm_fault_frame(net->host->faults);
	}
	if (work != 0)
		dm_vring_notify_off(ring);
	dm_virtio_queue_publish(&net->vio, queue);
	if (ret < 0)
		dm_virtio_failed(&net->vio);
	return work;
}
