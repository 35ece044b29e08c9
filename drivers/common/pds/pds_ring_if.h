/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_RING_IF_H
#define PDS_RING_IF_H

/**
 * @file
 * Descriptors and completions of the Ethernet queues.
 *
 * Source: Linux, drivers/net/ethernet/pensando/ionic/ionic_if.h; the names are its names. A
 * completion's last byte is written after the others and carries the colour.
 */

#include "pds_if.h"

#define LM_IONIC_COMP_COLOR_MASK 0x80

/* Transmit: cmd holds flags, opcode, number of SG elements and the first buffer's address. */
#define LM_IONIC_TXQ_DESC_FLAGS_SHIFT 0
#define LM_IONIC_TXQ_DESC_FLAGS_MASK 0xf
#define LM_IONIC_TXQ_DESC_OPCODE_SHIFT 4
#define LM_IONIC_TXQ_DESC_OPCODE_MASK 0xf
#define LM_IONIC_TXQ_DESC_NSGE_SHIFT 8
#define LM_IONIC_TXQ_DESC_NSGE_MASK 0xf
#define LM_IONIC_TXQ_DESC_ADDR_SHIFT 12
#define LM_IONIC_TXQ_DESC_ADDR_MASK ((UINT64_C(1) << LM_PDS_CORE_ADDR_LEN) - 1)

#define LM_IONIC_TXQ_DESC_OPCODE_CSUM_NONE 0
#define LM_IONIC_TXQ_DESC_OPCODE_CSUM_PARTIAL 1 /* sum from csum_start on to csum_offset there */
#define LM_IONIC_TXQ_DESC_OPCODE_CSUM_HW 2      /* the device finds the headers */
#define LM_IONIC_TXQ_DESC_OPCODE_TSO 3          /* one descriptor a segment */

#define LM_IONIC_TXQ_DESC_FLAG_VLAN 0x1
#define LM_IONIC_TXQ_DESC_FLAG_ENCAP 0x2
#define LM_IONIC_TXQ_DESC_FLAG_CSUM_L3 0x4
#define LM_IONIC_TXQ_DESC_FLAG_CSUM_L4 0x8
#define LM_IONIC_TXQ_DESC_FLAG_TSO_SOT 0x4 /* with TSO: the first segment, which has the headers */
#define LM_IONIC_TXQ_DESC_FLAG_TSO_EOT 0x8

struct lm_ionic_txq_desc {
	lm_le64_t cmd;
	lm_le16_t len;
	lm_le16_t vlan_tci;
	lm_le16_t csum_start;  /* with TSO: bytes of headers */
	lm_le16_t csum_offset; /* with TSO: mss */
};
static_assert(sizeof(struct lm_ionic_txq_desc) == 16, "ionic_if.h");

struct lm_ionic_txq_sg_elem {
	lm_le64_t addr;
	lm_le16_t len;
	lm_le16_t rsvd[3];
};
static_assert(sizeof(struct lm_ionic_txq_sg_elem) == 16, "ionic_if.h");

#define LM_IONIC_TX_MAX_SG_ELEMS 8
#define LM_IONIC_TX_SG_DESC_STRIDE 8
#define LM_IONIC_TX_MAX_SG_ELEMS_V1 15    /* from queue version 1 on */
#define LM_IONIC_TX_SG_DESC_STRIDE_V1 16

struct lm_ionic_txq_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t comp_index; /* the last descriptor that is done */
	uint8_t rsvd2[11];
	uint8_t color;
};
static_assert(sizeof(struct lm_ionic_txq_comp) == 16, "ionic_if.h");

/* Receive. */
#define LM_IONIC_RXQ_DESC_OPCODE_SIMPLE 0
#define LM_IONIC_RXQ_DESC_OPCODE_SG 1

struct lm_ionic_rxq_desc {
	uint8_t opcode;
	uint8_t rsvd[5];
	lm_le16_t len;
	lm_le64_t addr;
};
static_assert(sizeof(struct lm_ionic_rxq_desc) == 16, "ionic_if.h");

struct lm_ionic_rxq_sg_elem {
	lm_le64_t addr;
	lm_le16_t len;
	lm_le16_t rsvd[3];
};
static_assert(sizeof(struct lm_ionic_rxq_sg_elem) == 16, "ionic_if.h");

#define LM_IONIC_RX_MAX_SG_ELEMS 8
#define LM_IONIC_RX_SG_DESC_STRIDE 8

#define LM_IONIC_RXQ_COMP_CSUM_F_TCP_OK 0x01
#define LM_IONIC_RXQ_COMP_CSUM_F_TCP_BAD 0x02
#define LM_IONIC_RXQ_COMP_CSUM_F_UDP_OK 0x04
#define LM_IONIC_RXQ_COMP_CSUM_F_UDP_BAD 0x08
#define LM_IONIC_RXQ_COMP_CSUM_F_IP_OK 0x10
#define LM_IONIC_RXQ_COMP_CSUM_F_IP_BAD 0x20
#define LM_IONIC_RXQ_COMP_CSUM_F_VLAN 0x40 /* a tag was taken out */
#define LM_IONIC_RXQ_COMP_CSUM_F_CALC 0x80 /* csum and the flags above count */

#define LM_IONIC_RXQ_COMP_PKT_TYPE_MASK 0x7f
enum lm_ionic_pkt_type {
	LM_IONIC_PKT_TYPE_NON_IP = 0x00,
	LM_IONIC_PKT_TYPE_IPV4 = 0x01,
	LM_IONIC_PKT_TYPE_IPV4_TCP = 0x03,
	LM_IONIC_PKT_TYPE_IPV4_UDP = 0x05,
	LM_IONIC_PKT_TYPE_IPV6 = 0x08,
	LM_IONIC_PKT_TYPE_IPV6_TCP = 0x18,
	LM_IONIC_PKT_TYPE_IPV6_UDP = 0x28,
};

struct lm_ionic_rxq_comp {
	uint8_t status; /* not 0: the frame is lost */
	uint8_t num_sg_elems;
	lm_le16_t comp_index;
	lm_le32_t rss_hash;
	lm_le16_t csum; /* one's complement sum of what follows the Ethernet header */
	lm_le16_t vlan_tci;
	lm_le16_t len;
	uint8_t csum_flags;
	uint8_t pkt_type_color;
};
static_assert(sizeof(struct lm_ionic_rxq_comp) == 16, "ionic_if.h");

#endif /* PDS_RING_IF_H */
