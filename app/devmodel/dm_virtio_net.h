/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_VIRTIO_NET_H
#define DM_VIRTIO_NET_H

/**
 * @file
 * virtio-net (VIRTIO 1.3, 5.1): the network card on top of dm_virtio, one wire at its back.
 *
 * Every frame that is taken from the wire is delivered or counted by reason, also while no
 * driver is there; every transmit chain is sent or counted.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dm_offload.h"
#include "dm_rss.h"
#include "dm_virtio.h"
#include "dm_wire.h"
#include "virtio_net_if.h"

#define DM_NET_MAX_PAIRS 8
#define DM_NET_MAX_MACS 64
#define DM_NET_FLOWS 4096        /* entries of the flow table; a power of two */
#define DM_NET_MAX_CHAINS 64     /* receive chains that one frame may span */
#define DM_NET_IOVS 4096
#define DM_NET_MIN_FRAME 14
#define DM_NET_SPEED_MBPS 100000
#define DM_NET_OVERHEAD 18       /* Ethernet header and one VLAN tag, not counted by the MTU */

#define DM_NET_RX_DROPS(X) \
	X(NOT_RUNNING, "rx_not_running") \
	X(QUEUE_OFF, "rx_queue_off") \
	X(NO_BUFFER, "rx_no_buffer") \
	X(FILTERED, "rx_filtered") \
	X(TOO_BIG, "rx_too_big") \
	X(TOO_SHORT, "rx_too_short") \
	X(LINK_DOWN, "rx_link_down") \
	X(OFFLOAD, "rx_offload") \
	X(RING_ERROR, "rx_ring_error")

#define DM_NET_TX_DROPS(X) \
	X(LINK, "tx_no_link") \
	X(FULL, "tx_wire_full") \
	X(TOO_BIG, "tx_too_big") \
	X(SHORT, "tx_short") \
	X(OFFLOAD, "tx_offload")

enum dm_net_rx_drop {
#define DM_NET_ENUM(id, name) DM_NET_RX_##id,
	DM_NET_RX_DROPS(DM_NET_ENUM)
#undef DM_NET_ENUM
	DM_NET_RX_DROP_MAX
};

enum dm_net_tx_drop {
#define DM_NET_ENUM(id, name) DM_NET_TX_##id,
	DM_NET_TX_DROPS(DM_NET_ENUM)
#undef DM_NET_ENUM
	DM_NET_TX_DROP_MAX
};

struct dm_net_macs {
	uint32_t nb;
	bool overflow; /* more than fit: let all of this kind pass */
	uint8_t macs[DM_NET_MAX_MACS][LM_VIRTIO_NET_MAC_BYTES];
};

/** Set by the control queue, gone with a device reset. */
struct dm_net_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	uint8_t mac[LM_VIRTIO_NET_MAC_BYTES];
	struct dm_net_macs unicast;
	struct dm_net_macs multicast;
	uint64_t vlans[4096 / 64];
};

struct dm_net {
	struct dm_virtio vio;
	struct dm_wire *wire;
	struct dm_host *host;
	uint8_t mac[LM_VIRTIO_NET_MAC_BYTES];
	uint16_t mtu;
	uint16_t max_pairs;
	uint64_t tick_ns; /* of the wire */

	struct dm_net_filter filter;
	struct dm_rss rss;
	uint32_t rx_hash; /* of the frame from the wire that is under way */
	uint16_t rx_hash_report;
	uint16_t pairs;   /* in use, set by the driver; with RSS for transmission only */
	bool announce;
	uint64_t offloads_off; /* GUEST_* features that the driver switched off for now */
	bool link_forced_down;
	bool link_up;     /* as shown to the driver */
	uint8_t flows[DM_NET_FLOWS]; /* transmit pair + 1 of a flow; 0: none */

	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes, ctrl_cmds;
	uint64_t rx_segments, tx_segments; /* made here of frames that are counted above */
	uint64_t rx_csums, tx_csums;       /* finished here, in whole frames */
	uint64_t rx_drops[DM_NET_RX_DROP_MAX];
	uint64_t tx_drops[DM_NET_TX_DROP_MAX];

	struct dm_chain chains[DM_NET_MAX_CHAINS];
	struct iovec iovs[DM_NET_IOVS];
	uint8_t bounce[DM_FRAME_MAX];
	uint8_t segment[DM_FRAME_MAX];
};

struct dm_net_conf {
	struct dm_host *host;
	struct dm_pci *pci;
	struct dm_wire *wire; /* of the caller */
	uint8_t mac[LM_VIRTIO_NET_MAC_BYTES];
	uint16_t pairs;
	uint16_t queue_size;
	uint16_t mtu;          /* 0: no MTU feature */
	uint64_t feature_mask; /* of what would be offered */
	bool notify_shared;
	bool notify_guest;
};

/** Adds its identity and capabilities to conf->pci and fills *device. */
int dm_net_create(const struct dm_net_conf *conf, struct dm_device *device);

/** Of the header in front of each frame, in both directions. */
static inline uint32_t
dm_net_hdr_bytes(const struct dm_net *net)
{
	return dm_virtio_has(&net->vio, LM_VIRTIO_NET_F_HASH_REPORT) ?
			sizeof(struct lm_virtio_net_hdr_hash) : sizeof(struct lm_virtio_net_hdr);
}

/* Parts; each returns the work it did. */
unsigned int dm_net_rx_poll(struct dm_net *net);
/** As dm_virtio_type.queue_stopping; for every queue. */
void dm_net_rx_stopping(void *ctx, uint16_t queue);
unsigned int dm_net_tx_poll(struct dm_net *net, uint16_t pair);
unsigned int dm_net_ctrl_poll(struct dm_net *net);

/* Unfinished frames. */
bool dm_net_unfinished(const struct lm_virtio_net_hdr *hdr);
/** Has the driver accepted what such a header asks for? */
bool dm_net_tx_may_ask(const struct dm_net *net, const struct lm_virtio_net_hdr *hdr);
/** Can it be done? @return 0, -EINVAL, -EMSGSIZE: a segment would be too long. */
int dm_net_unfinished_check(const struct dm_net *net, const struct lm_virtio_net_hdr *hdr,
		const uint8_t *head, uint32_t head_bytes, uint32_t len_bytes);
/** Does the driver take such a frame as it is? After dm_net_unfinished_check(). */
bool dm_net_rx_takes(const struct dm_net *net, const struct lm_virtio_net_hdr *hdr);
/** The driver's choice of GUEST_* features. -EINVAL. */
int dm_net_guest_offloads(struct dm_net *net, uint64_t wanted);
/**
 * Make whole frames of it, which is written to, until emit() returns less than 0. After
 * dm_net_unfinished_check(). @return what emit() returned last.
 */
int dm_net_finish(struct dm_net *net, const struct lm_virtio_net_hdr *hdr, uint8_t *frame,
		uint32_t len_bytes, int (*emit)(struct dm_net *net, void *ctx, const uint8_t *frame,
		uint32_t len_bytes), void *ctx);

uint16_t dm_net_ctrl_queue(const struct dm_net *net);
void dm_net_filter_reset(struct dm_net *net);
bool dm_net_filter_pass(const struct dm_net *net, const uint8_t *frame, uint32_t len_bytes);
/** The same for both directions of a flow. */
uint32_t dm_net_flow_hash(const uint8_t *frame, uint32_t len_bytes);
/** As dm_device_ops.stats. */
int dm_net_stats(void *dev, json_t *object);
/** Longest frame, or 0: no limit but DM_FRAME_MAX. */
uint32_t dm_net_frame_limit(const struct dm_net *net);

#endif /* DM_VIRTIO_NET_H */
