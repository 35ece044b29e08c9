/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_NET_IF_H
#define VIRTIO_NET_IF_H

/**
 * @file
 * virtio-net: feature bits, configuration, packet header, control commands.
 *
 * Source: VIRTIO 1.3, 5.1. All fields are little-endian.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "../lm_le.h"

/* 5.1.3: feature bits, as bit numbers. */
#define LM_VIRTIO_NET_F_CSUM 0
#define LM_VIRTIO_NET_F_GUEST_CSUM 1
#define LM_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define LM_VIRTIO_NET_F_MTU 3
#define LM_VIRTIO_NET_F_MAC 5
#define LM_VIRTIO_NET_F_GUEST_TSO4 7
#define LM_VIRTIO_NET_F_GUEST_TSO6 8
#define LM_VIRTIO_NET_F_GUEST_ECN 9
#define LM_VIRTIO_NET_F_GUEST_UFO 10
#define LM_VIRTIO_NET_F_HOST_TSO4 11
#define LM_VIRTIO_NET_F_HOST_TSO6 12
#define LM_VIRTIO_NET_F_HOST_ECN 13
#define LM_VIRTIO_NET_F_HOST_UFO 14
#define LM_VIRTIO_NET_F_MRG_RXBUF 15
#define LM_VIRTIO_NET_F_STATUS 16
#define LM_VIRTIO_NET_F_CTRL_VQ 17
#define LM_VIRTIO_NET_F_CTRL_RX 18
#define LM_VIRTIO_NET_F_CTRL_VLAN 19
#define LM_VIRTIO_NET_F_CTRL_RX_EXTRA 20
#define LM_VIRTIO_NET_F_GUEST_ANNOUNCE 21
#define LM_VIRTIO_NET_F_MQ 22
#define LM_VIRTIO_NET_F_CTRL_MAC_ADDR 23
#define LM_VIRTIO_NET_F_DEVICE_STATS 50 /* after 1.3 */
#define LM_VIRTIO_NET_F_HASH_TUNNEL 51
#define LM_VIRTIO_NET_F_VQ_NOTF_COAL 52
#define LM_VIRTIO_NET_F_NOTF_COAL 53
#define LM_VIRTIO_NET_F_GUEST_USO4 54
#define LM_VIRTIO_NET_F_GUEST_USO6 55
#define LM_VIRTIO_NET_F_HOST_USO 56
#define LM_VIRTIO_NET_F_HASH_REPORT 57
#define LM_VIRTIO_NET_F_GUEST_HDRLEN 59
#define LM_VIRTIO_NET_F_RSS 60
#define LM_VIRTIO_NET_F_RSC_EXT 61
#define LM_VIRTIO_NET_F_STANDBY 62
#define LM_VIRTIO_NET_F_SPEED_DUPLEX 63

/* 5.1.2: receiveq of pair i is 2i, transmitq 2i + 1, the control queue comes last. */
#define LM_VIRTIO_NET_RXQ(pair) (2 * (pair))
#define LM_VIRTIO_NET_TXQ(pair) (2 * (pair) + 1)
#define LM_VIRTIO_NET_MAX_PAIRS 0x8000

#define LM_VIRTIO_NET_MAC_BYTES 6

/* 5.1.4: a field means something only with its feature. */
struct lm_virtio_net_config {
	uint8_t mac[LM_VIRTIO_NET_MAC_BYTES];     /* MAC */
	lm_le16_t status;                         /* STATUS */
	lm_le16_t max_virtqueue_pairs;            /* MQ, RSS */
	lm_le16_t mtu;                            /* MTU */
	lm_le32_t speed;                          /* SPEED_DUPLEX; Mb/s */
	uint8_t duplex;                           /* SPEED_DUPLEX */
	uint8_t rss_max_key_size;                 /* RSS, HASH_REPORT */
	lm_le16_t rss_max_indirection_table_length; /* RSS */
	lm_le32_t supported_hash_types;           /* RSS, HASH_REPORT */
};
static_assert(sizeof(struct lm_virtio_net_config) == 24, "5.1.4");
static_assert(offsetof(struct lm_virtio_net_config, status) == 6, "5.1.4");
static_assert(offsetof(struct lm_virtio_net_config, max_virtqueue_pairs) == 8, "5.1.4");
static_assert(offsetof(struct lm_virtio_net_config, mtu) == 10, "5.1.4");
static_assert(offsetof(struct lm_virtio_net_config, speed) == 12, "5.1.4");
static_assert(offsetof(struct lm_virtio_net_config, supported_hash_types) == 20, "5.1.4");

#define LM_VIRTIO_NET_S_LINK_UP 0x1
#define LM_VIRTIO_NET_S_ANNOUNCE 0x2

#define LM_VIRTIO_NET_SPEED_UNKNOWN 0xffffffffu
#define LM_VIRTIO_NET_DUPLEX_HALF 0x00
#define LM_VIRTIO_NET_DUPLEX_FULL 0x01
#define LM_VIRTIO_NET_DUPLEX_UNKNOWN 0xff
#define LM_VIRTIO_NET_MTU_MIN 68

/* 5.1.6: packet header; always with num_buffers under VERSION_1. */
struct lm_virtio_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	lm_le16_t hdr_len;
	lm_le16_t gso_size;
	lm_le16_t csum_start;
	lm_le16_t csum_offset;
	lm_le16_t num_buffers; /* receive: buffers that the packet spans; 1 without MRG_RXBUF */
};
static_assert(sizeof(struct lm_virtio_net_hdr) == 12, "5.1.6");

/* With HASH_REPORT the header goes on. */
struct lm_virtio_net_hdr_hash {
	struct lm_virtio_net_hdr hdr;
	lm_le32_t hash_value;
	lm_le16_t hash_report;
	lm_le16_t padding;
};
static_assert(sizeof(struct lm_virtio_net_hdr_hash) == 20, "5.1.6");

#define LM_VIRTIO_NET_HDR_F_NEEDS_CSUM 0x1
#define LM_VIRTIO_NET_HDR_F_DATA_VALID 0x2
#define LM_VIRTIO_NET_HDR_F_RSC_INFO 0x4

#define LM_VIRTIO_NET_HDR_GSO_NONE 0
#define LM_VIRTIO_NET_HDR_GSO_TCPV4 1
#define LM_VIRTIO_NET_HDR_GSO_UDP 3
#define LM_VIRTIO_NET_HDR_GSO_TCPV6 4
#define LM_VIRTIO_NET_HDR_GSO_UDP_L4 5
#define LM_VIRTIO_NET_HDR_GSO_ECN 0x80

/* 5.1.6.5: control queue: {class, cmd} and data, readable; ack, writable by the device. */
struct lm_virtio_net_ctrl_hdr {
	uint8_t class;
	uint8_t cmd;
};
static_assert(sizeof(struct lm_virtio_net_ctrl_hdr) == 2, "5.1.6.5");

#define LM_VIRTIO_NET_OK 0
#define LM_VIRTIO_NET_ERR 1

#define LM_VIRTIO_NET_CTRL_RX 0 /* data: one byte, on or off */
#define LM_VIRTIO_NET_CTRL_RX_PROMISC 0
#define LM_VIRTIO_NET_CTRL_RX_ALLMULTI 1
#define LM_VIRTIO_NET_CTRL_RX_ALLUNI 2
#define LM_VIRTIO_NET_CTRL_RX_NOMULTI 3
#define LM_VIRTIO_NET_CTRL_RX_NOUNI 4
#define LM_VIRTIO_NET_CTRL_RX_NOBCAST 5

#define LM_VIRTIO_NET_CTRL_MAC 1
#define LM_VIRTIO_NET_CTRL_MAC_TABLE_SET 0 /* two lm_virtio_net_ctrl_mac: unicast, multicast */
#define LM_VIRTIO_NET_CTRL_MAC_ADDR_SET 1  /* data: 6 bytes */

/* Six-byte addresses: the count is not aligned in the second table, so copy it. */
struct lm_virtio_net_ctrl_mac {
	lm_le32_t entries;
	uint8_t macs[][LM_VIRTIO_NET_MAC_BYTES];
};
static_assert(offsetof(struct lm_virtio_net_ctrl_mac, macs) == 4, "5.1.6.5.2");

#define LM_VIRTIO_NET_CTRL_VLAN 2 /* data: le16 id */
#define LM_VIRTIO_NET_CTRL_VLAN_ADD 0
#define LM_VIRTIO_NET_CTRL_VLAN_DEL 1

#define LM_VIRTIO_NET_CTRL_ANNOUNCE 3
#define LM_VIRTIO_NET_CTRL_ANNOUNCE_ACK 0

#define LM_VIRTIO_NET_CTRL_MQ 4
#define LM_VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET 0
#define LM_VIRTIO_NET_CTRL_MQ_RSS_CONFIG 1
#define LM_VIRTIO_NET_CTRL_MQ_HASH_CONFIG 2

struct lm_virtio_net_ctrl_mq {
	lm_le16_t virtqueue_pairs; /* 1..0x8000 */
};
static_assert(sizeof(struct lm_virtio_net_ctrl_mq) == 2, "5.1.6.5.5");

/* 5.1.6.4.3: kinds of hash, as bits of what is enabled and as what is reported. */
#define LM_VIRTIO_NET_HASH_IPV4 0x1
#define LM_VIRTIO_NET_HASH_TCPV4 0x2
#define LM_VIRTIO_NET_HASH_UDPV4 0x4
#define LM_VIRTIO_NET_HASH_IPV6 0x8
#define LM_VIRTIO_NET_HASH_TCPV6 0x10
#define LM_VIRTIO_NET_HASH_UDPV6 0x20
#define LM_VIRTIO_NET_HASH_IP_EX 0x40
#define LM_VIRTIO_NET_HASH_TCP_EX 0x80
#define LM_VIRTIO_NET_HASH_UDP_EX 0x100

#define LM_VIRTIO_NET_HASH_REPORT_NONE 0
#define LM_VIRTIO_NET_HASH_REPORT_IPV4 1
#define LM_VIRTIO_NET_HASH_REPORT_TCPV4 2
#define LM_VIRTIO_NET_HASH_REPORT_UDPV4 3
#define LM_VIRTIO_NET_HASH_REPORT_IPV6 4
#define LM_VIRTIO_NET_HASH_REPORT_TCPV6 5
#define LM_VIRTIO_NET_HASH_REPORT_UDPV6 6
#define LM_VIRTIO_NET_HASH_REPORT_IP_EX 7
#define LM_VIRTIO_NET_HASH_REPORT_TCP_EX 8
#define LM_VIRTIO_NET_HASH_REPORT_UDP_EX 9

#define LM_VIRTIO_NET_CTRL_GUEST_OFFLOADS 5
#define LM_VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0 /* data: le64 mask of feature bits */

#define LM_VIRTIO_NET_CTRL_NOTF_COAL 6
#define LM_VIRTIO_NET_CTRL_NOTF_COAL_TX_SET 0
#define LM_VIRTIO_NET_CTRL_NOTF_COAL_RX_SET 1
#define LM_VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET 2
#define LM_VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET 3

#endif /* VIRTIO_NET_IF_H */
