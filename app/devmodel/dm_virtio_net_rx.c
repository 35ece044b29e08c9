/* SPDX-License-Identifier: BSD-3-Clause */

/* Receive: wire to guest (5.1.6.3, 5.1.6.4). */

#include <errno.h>
#include <string.h>

#include "dm_virtio_net.h"

#define DM_NET_RX_BURST 64
#define DM_NET_RX_JUNK 0xdb

/* Copy into the writable part of a chain; the caller checked that it fits. */
static void
dm_net_chain_write(const struct dm_chain *chain, uint64_t offset, const uint8_t *from, uint64_t len)
{
	const struct iovec *iov = chain->iov + chain->nb_read;
	uint64_t piece;

	for (; len != 0; iov++) {
		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		piece = iov->iov_len - offset;
		if (piece > len)
			piece = len;
		memcpy((uint8_t *)iov->iov_base + offset, from, piece);
		from += piece;
		len -= piece;
		offset = 0;
	}
}

static void
dm_net_chain_fill(const struct dm_chain *chain, uint64_t from)
{
	uint8_t junk[64];
	uint64_t piece;

	memset(junk, DM_NET_RX_JUNK, sizeof(junk));
	for (; from < chain->write_bytes; from += piece) {
		piece = chain->write_bytes - from;
		if (piece > sizeof(junk))
			piece = sizeof(junk);
		dm_net_chain_write(chain, from, junk, piece);
	}
}

/* A card that has begun a frame when it is told to stop leaves traces in buffers it never uses. */
void
dm_net_rx_stopping(void *ctx, uint16_t queue)
{
	struct dm_net *net = ctx;
	struct dm_vring *ring = &net->vio.queues[queue].ring;
	struct dm_chain *chain = &net->chains[0];
	uint64_t i;

	if (queue % 2 != 0 || queue == dm_net_ctrl_queue(net))
		return;
	/* Frames in buffers that are kept are the driver's no more. */
	net->rx_frames -= ring->nb_kept;
	net->rx_drops[DM_NET_RX_QUEUE_OFF] += ring->nb_kept;
	for (i = 0; i < net->host->faults->early_write; i++) {
		chain->iov = net->iovs;
		chain->iov_max = DM_NET_IOVS;
		if (dm_vring_fetch(ring, chain) != 1)
			return;
		dm_net_chain_fill(chain, 0);
	}
}

static bool
dm_net_rx_chain_ok(struct dm_net *net, uint16_t queue, const struct dm_chain *chain, bool first)
{
	if (chain->nb_read != 0) {
		dm_rule_broken(net->host->rules, DM_RULE_RX_READABLE, "queue %u, head %u", queue,
				chain->head);
		return false;
	}
	if (chain->write_bytes < (first ? dm_net_hdr_bytes(net) : 1)) {
		dm_rule_broken(net->host->rules, DM_RULE_RX_BUFFER_SMALL,
				"queue %u, head %u, %llu bytes", queue, chain->head,
				(unsigned long long)chain->write_bytes);
		return false;
	}
	return true;
}

/* Collect chains for need bytes. @return their number, or -(drop reason) - 1. */
static int
dm_net_rx_collect(struct dm_net *net, uint16_t queue, uint64_t need)
{
	struct dm_vring *ring = &net->vio.queues[queue].ring;
	unsigned int max = dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_MRG_RXBUF) ?
			DM_NET_MAX_CHAINS : 1;
	uint32_t used_iovs = 0;
	uint64_t have = 0;
	unsigned int nb;
	int ret = 1;

	for (nb = 0; nb < max && have < need; nb++) {
		struct dm_chain *chain = &net->chains[nb];

		chain->iov = net->iovs + used_iovs;
		chain->iov_max = DM_NET_IOVS - used_iovs;
		ret = dm_vring_fetch(ring, chain);
		if (ret != 1)
			break;
		if (!dm_net_rx_chain_ok(net, queue, chain, nb == 0)) {
			ring->broken = true;
			ret = -1;
			break;
		}
		used_iovs += chain->nb_write;
		have += chain->write_bytes;
	}
	if (have >= need)
		return (int)nb;

	dm_vring_unfetch(ring, net->chains, (uint16_t)nb);
	if (ret < 0) {
		dm_virtio_failed(&net->vio);
		return -1 - DM_NET_RX_RING_ERROR;
	}
	return -1 - (ret == 0 ? DM_NET_RX_NO_BUFFER : DM_NET_RX_TOO_BIG);
}

static int
dm_net_rx_deliver(struct dm_net *net, uint16_t queue, const struct lm_virtio_net_hdr *todo,
		const uint8_t *frame, uint32_t len_bytes)
{
	struct dm_vring *ring = &net->vio.queues[queue].ring;
	struct lm_virtio_net_hdr_hash hdr = {
		.hdr = *todo,
		.hash_value = net->rx_hash,
		.hash_report = net->rx_hash_report,
	};
	uint64_t left = len_bytes;
	uint64_t room;
	int nb, i;

	nb = dm_net_rx_collect(net, queue, dm_net_hdr_bytes(net) + (uint64_t)len_bytes);
	if (nb < 0)
		return nb;

	hdr.hdr.num_buffers = (uint16_t)nb;
	for (i = 0; i < nb; i++) {
		const struct dm_chain *chain = &net->chains[i];
		uint32_t skip = i == 0 ? dm_net_hdr_bytes(net) : 0;

		if (i == 0)
			dm_net_chain_write(chain, 0, (const uint8_t *)&hdr, skip);
		room = chain->write_bytes - skip;
		if (room > left)
			room = left;
		dm_net_chain_write(chain, skip, frame, room);
		frame += room;
		left -= room;
		if (net->host->faults->overrun != 0)
			dm_net_chain_fill(chain, skip + room);
		/* What belongs together stays together. */
		dm_vring_push_any(ring, chain, dm_fault_used_len(net->host->faults,
				(uint32_t)(skip + room)),
				nb == 1 ? net->host->faults->disorder : 0);
	}
	return nb;
}

static int
dm_net_rx_emit(struct dm_net *net, void *ctx, const uint8_t *frame, uint32_t len_bytes)
{
	static const struct lm_virtio_net_hdr whole;
	const uint16_t *queue = ctx;

	if (frame == net->segment)
		net->rx_segments++;
	else
		net->rx_csums++;
	return dm_net_rx_deliver(net, *queue, &whole, frame, len_bytes);
}

/* As much of it is finished as the driver wants. @return chains used, or -(drop reason) - 1. */
static int
dm_net_rx_frame(struct dm_net *net, uint16_t queue, const uint8_t *frame, uint32_t len_bytes)
{
	struct lm_virtio_net_hdr hdr = *dm_wire_peek_hdr(net->wire);
	int ret;

	if (!dm_net_unfinished(&hdr)) {
		memset(&hdr, 0, sizeof(hdr));
		return dm_net_rx_deliver(net, queue, &hdr, frame, len_bytes);
	}
	ret = dm_net_unfinished_check(net, &hdr, frame, len_bytes, len_bytes);
	if (ret != 0)
		return -1 - (ret == -EMSGSIZE ? DM_NET_RX_TOO_BIG : DM_NET_RX_OFFLOAD);
	hdr.flags = LM_VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (dm_net_rx_takes(net, &hdr))
		return dm_net_rx_deliver(net, queue, &hdr, frame, len_bytes);
	memcpy(net->bounce, frame, len_bytes);
	return dm_net_finish(net, &hdr, net->bounce, len_bytes, dm_net_rx_emit, &queue);
}

static uint16_t
dm_net_rx_steer(const struct dm_net *net, const uint8_t *frame, uint32_t len_bytes)
{
	uint32_t hash;
	uint8_t pair;

	if (net->rss.steering)
		return dm_rss_pair(&net->rss, net->rx_hash_report, net->rx_hash);
	if (net->pairs == 1)
		return 0;
	hash = dm_net_flow_hash(frame, len_bytes);
	pair = net->flows[hash & (DM_NET_FLOWS - 1)];
	return pair != 0 && pair <= net->pairs ? pair - 1u : hash % net->pairs;
}

/* @return receive queue of the frame, or -(drop reason) - 1. */
static int
dm_net_rx_route(struct dm_net *net, const uint8_t *frame, uint32_t len_bytes)
{
	uint16_t queue;

	if ((net->vio.status & LM_VIRTIO_STATUS_DRIVER_OK) == 0 ||
			(net->vio.status & LM_VIRTIO_STATUS_NEEDS_RESET) != 0)
		return -1 - DM_NET_RX_NOT_RUNNING;
	if (net->link_forced_down)
		return -1 - DM_NET_RX_LINK_DOWN;
	if (len_bytes < DM_NET_MIN_FRAME)
		return -1 - DM_NET_RX_TOO_SHORT;
	if (len_bytes > dm_net_frame_limit(net) &&
			dm_wire_peek_hdr(net->wire)->gso_type == LM_VIRTIO_NET_HDR_GSO_NONE)
		return -1 - DM_NET_RX_TOO_BIG;
	if (!dm_net_filter_pass(net, frame, len_bytes))
		return -1 - DM_NET_RX_FILTERED;
	net->rx_hash_report = dm_rss_hash(&net->rss, frame, len_bytes, &net->rx_hash);
	queue = LM_VIRTIO_NET_RXQ(dm_net_rx_steer(net, frame, len_bytes));
	if (!dm_virtio_queue_live(&net->vio, queue))
		return -1 - DM_NET_RX_QUEUE_OFF;
	return queue;
}

unsigned int
dm_net_rx_poll(struct dm_net *net)
{
	const uint8_t *frame;
	uint32_t touched = 0;
	unsigned int work;
	uint32_t len_bytes;
	uint16_t pair;
	int queue;
	int ret;

	for (work = 0; work < DM_NET_RX_BURST; work++) {
		len_bytes = dm_wire_peek(net->wire, &frame);
		if (len_bytes == 0)
			break;
		queue = dm_net_rx_route(net, frame, len_bytes);
		ret = queue < 0 ? queue : dm_net_rx_frame(net, (uint16_t)queue,
				dm_fault_flip(net->host->faults, frame, len_bytes, net->segment),
				len_bytes);
		dm_wire_pop(net->wire);
		if (queue >= 0)
			touched |= 1u << (queue / 2);
		if (ret < 0) {
			net->rx_drops[-1 - ret]++;
			continue;
		}
		net->rx_frames++;
		net->rx_bytes += len_bytes;
		dm_fault_frame(net->host->faults);
	}
	for (pair = 0; touched >> pair != 0; pair++)
		if ((touched >> pair & 1) != 0)
			dm_virtio_queue_publish(&net->vio, LM_VIRTIO_NET_RXQ(pair));
	return work;
}
