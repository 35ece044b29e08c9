/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_ETH_IF_H
#define PDS_ETH_IF_H

/**
 * @file
 * Commands of an Ethernet function (PF or VF): device commands and the admin queue of its LIF.
 *
 * Source: Linux, drivers/net/ethernet/pensando/ionic/ionic_if.h; the names are its names.
 * Registers and the command handshake are those of pds_if.h, the numbers of the commands are not:
 * RESET and INIT change places.
 */

#include "pds_if.h"

enum lm_ionic_cmd_opcode {
	LM_IONIC_CMD_NOP = 0,
	LM_IONIC_CMD_IDENTIFY = 1,
	LM_IONIC_CMD_INIT = 2,
	LM_IONIC_CMD_RESET = 3,
	LM_IONIC_CMD_GETATTR = 4,
	LM_IONIC_CMD_SETATTR = 5,
	LM_IONIC_CMD_PORT_IDENTIFY = 10,
	LM_IONIC_CMD_PORT_INIT = 11,
	LM_IONIC_CMD_PORT_RESET = 12,
	LM_IONIC_CMD_PORT_GETATTR = 13,
	LM_IONIC_CMD_PORT_SETATTR = 14,
	LM_IONIC_CMD_LIF_IDENTIFY = 20,
	LM_IONIC_CMD_LIF_INIT = 21,
	LM_IONIC_CMD_LIF_RESET = 22,
	LM_IONIC_CMD_LIF_GETATTR = 23,
	LM_IONIC_CMD_LIF_SETATTR = 24,
	LM_IONIC_CMD_LIF_SETPHC = 25,
	LM_IONIC_CMD_RX_MODE_SET = 30,
	LM_IONIC_CMD_RX_FILTER_ADD = 31,
	LM_IONIC_CMD_RX_FILTER_DEL = 32,
	LM_IONIC_CMD_Q_IDENTIFY = 39,
	LM_IONIC_CMD_Q_INIT = 40,
	LM_IONIC_CMD_Q_CONTROL = 41,
	LM_IONIC_CMD_VF_GETATTR = 60,
	LM_IONIC_CMD_VF_SETATTR = 61,
	LM_IONIC_CMD_VF_CTRL = 62,
	LM_IONIC_CMD_DISCOVER_CMB = 80,
	LM_IONIC_CMD_FW_DOWNLOAD = 252,
	LM_IONIC_CMD_FW_CONTROL = 253,
};

#define LM_IONIC_IFNAMSIZ 16
#define LM_IONIC_QTYPE_ADMINQ 0
#define LM_IONIC_QTYPE_NOTIFYQ 1
#define LM_IONIC_QTYPE_RXQ 2
#define LM_IONIC_QTYPE_TXQ 3
#define LM_IONIC_QTYPE_EQ 4
#define LM_IONIC_QTYPE_MAX 16

/* Completion of most admin queue commands; device commands have the same without a colour. */
struct lm_ionic_admin_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t comp_index;
	uint8_t cmd_data[11];
	uint8_t color;
};
static_assert(sizeof(struct lm_ionic_admin_comp) == 16, "ionic_if.h");

#define LM_IONIC_IDENTITY_VERSION_1 1
#define LM_IONIC_DEV_IDENTITY_VERSION_2 2

struct lm_ionic_dev_identity {
	uint8_t version;
	uint8_t type;
	uint8_t rsvd[2];
	uint8_t nports;
	uint8_t rsvd2[3];
	lm_le32_t nlifs;
	lm_le32_t nintrs;
	lm_le32_t ndbpgs_per_lif;
	lm_le32_t intr_coal_mult;
	lm_le32_t intr_coal_div;
	lm_le32_t eq_count;
	lm_le64_t hwstamp_mask; /* from here on: version 2 */
	lm_le32_t hwstamp_mult;
	lm_le32_t hwstamp_shift;
	lm_le64_t capabilities;
	uint8_t lm_pad[1856];
};
static_assert(sizeof(struct lm_ionic_dev_identity) == 1912, "ionic_if.h");

struct lm_ionic_dev_identify_cmd {
	uint8_t opcode;
	uint8_t ver;
	uint8_t rsvd[62];
};
static_assert(sizeof(struct lm_ionic_dev_identify_cmd) == 64, "ionic_if.h");

/* LIF. */
#define LM_IONIC_LIF_TYPE_CLASSIC 0
#define LM_IONIC_LIF_CAP_ETH 1

struct lm_ionic_lif_config {
	uint8_t state;
	uint8_t rsvd[3];
	char name[LM_IONIC_IFNAMSIZ];
	lm_le32_t mtu;
	uint8_t mac[6];
	lm_le16_t vlan;
	lm_le64_t features;
	lm_le32_t queue_count[LM_IONIC_QTYPE_MAX]; /* by queue type */
	uint8_t lm_pad[152];
};
static_assert(sizeof(struct lm_ionic_lif_config) == 256, "ionic_if.h");

struct lm_ionic_lif_identity {
	lm_le64_t capabilities;
	uint8_t version;
	uint8_t rsvd[3];
	lm_le32_t max_ucast_filters;
	lm_le32_t max_mcast_filters;
	lm_le16_t rss_ind_tbl_sz;
	struct lm_le32_packed min_frame_size;
	struct lm_le32_packed max_frame_size;
	uint8_t rsvd2[2];
	lm_le64_t hwstamp_tx_modes;
	lm_le64_t hwstamp_rx_filters;
	uint8_t rsvd3[88];
	struct lm_ionic_lif_config config;
	uint8_t rdma[256];
	uint8_t lm_pad[1264];
};
static_assert(sizeof(struct lm_ionic_lif_identity) == 1912, "ionic_if.h");

struct lm_ionic_lif_identify_cmd {
	uint8_t opcode;
	uint8_t type;
	uint8_t ver;
	uint8_t rsvd[61];
};
struct lm_ionic_lif_init_cmd {
	uint8_t opcode;
	uint8_t type;
	lm_le16_t index;
	lm_le32_t rsvd;
	lm_le64_t info_pa; /* struct lm_ionic_lif_info */
	uint8_t rsvd2[48];
};
static_assert(sizeof(struct lm_ionic_lif_init_cmd) == 64, "ionic_if.h");
struct lm_ionic_lif_init_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t hw_index;
	uint8_t rsvd2[12];
};
struct lm_ionic_lif_reset_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t index;
	lm_le32_t rsvd2[15];
};
static_assert(sizeof(struct lm_ionic_lif_reset_cmd) == 64, "ionic_if.h");

#define LM_IONIC_LIF_QUIESCE 0
#define LM_IONIC_LIF_ENABLE 1
#define LM_IONIC_LIF_DISABLE 2

enum lm_ionic_lif_attr {
	LM_IONIC_LIF_ATTR_STATE = 0,
	LM_IONIC_LIF_ATTR_NAME = 1,
	LM_IONIC_LIF_ATTR_MTU = 2,
	LM_IONIC_LIF_ATTR_MAC = 3,
	LM_IONIC_LIF_ATTR_FEATURES = 4,
	LM_IONIC_LIF_ATTR_RSS = 5,
	LM_IONIC_LIF_ATTR_STATS_CTRL = 6,
};

#define LM_IONIC_ETH_HW_VLAN_TX_TAG (UINT64_C(1) << 0)
#define LM_IONIC_ETH_HW_VLAN_RX_STRIP (UINT64_C(1) << 1)
#define LM_IONIC_ETH_HW_VLAN_RX_FILTER (UINT64_C(1) << 2)
#define LM_IONIC_ETH_HW_RX_HASH (UINT64_C(1) << 3)
#define LM_IONIC_ETH_HW_RX_CSUM (UINT64_C(1) << 4)
#define LM_IONIC_ETH_HW_TX_SG (UINT64_C(1) << 5)
#define LM_IONIC_ETH_HW_RX_SG (UINT64_C(1) << 6)
#define LM_IONIC_ETH_HW_TX_CSUM (UINT64_C(1) << 7)
#define LM_IONIC_ETH_HW_TSO (UINT64_C(1) << 8)
#define LM_IONIC_ETH_HW_TSO_IPV6 (UINT64_C(1) << 9)
#define LM_IONIC_ETH_HW_TSO_ECN (UINT64_C(1) << 10)

#define LM_IONIC_RSS_HASH_KEY_SIZE 40
#define LM_IONIC_RSS_TYPE_IPV4 0x01
#define LM_IONIC_RSS_TYPE_IPV4_TCP 0x02
#define LM_IONIC_RSS_TYPE_IPV4_UDP 0x04
#define LM_IONIC_RSS_TYPE_IPV6 0x08
#define LM_IONIC_RSS_TYPE_IPV6_TCP 0x10
#define LM_IONIC_RSS_TYPE_IPV6_UDP 0x20

/* The value depends on the attribute: number, name, MAC address, or the next structure. */
struct lm_ionic_lif_setattr_cmd {
	uint8_t opcode;
	uint8_t attr;
	lm_le16_t index;
	uint8_t value[60];
};
static_assert(sizeof(struct lm_ionic_lif_setattr_cmd) == 64, "ionic_if.h");

struct lm_ionic_lif_setattr_rss {
	lm_le16_t types;
	uint8_t key[LM_IONIC_RSS_HASH_KEY_SIZE];
	uint8_t rsvd[6];
	struct lm_le64_packed addr; /* the table: a byte a entry */
};
static_assert(sizeof(struct lm_ionic_lif_setattr_rss) == 56, "ionic_if.h");

struct lm_ionic_lif_getattr_cmd {
	uint8_t opcode;
	uint8_t attr;
	lm_le16_t index;
	uint8_t rsvd[60];
};

/* Queues. */
struct lm_ionic_q_identify_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t lif_type;
	uint8_t type;
	uint8_t ver;
	uint8_t rsvd2[58];
};
static_assert(sizeof(struct lm_ionic_q_identify_cmd) == 64, "ionic_if.h");

#define LM_IONIC_QIDENT_F_CQ (UINT64_C(1) << 0)
#define LM_IONIC_QIDENT_F_SG (UINT64_C(1) << 1)

struct lm_ionic_q_identity {
	uint8_t version;
	uint8_t supported;
	uint8_t rsvd[6];
	lm_le64_t features;
	lm_le16_t desc_sz;
	lm_le16_t comp_sz;
	lm_le16_t sg_desc_sz;
	lm_le16_t max_sg_elems;
	lm_le16_t sg_desc_stride;
	uint8_t lm_pad[1886];
};
static_assert(sizeof(struct lm_ionic_q_identity) == 1912, "ionic_if.h");

#define LM_IONIC_QINIT_F_IRQ 0x01
#define LM_IONIC_QINIT_F_ENA 0x02
#define LM_IONIC_QINIT_F_SG 0x04
#define LM_IONIC_QINIT_F_EQ 0x08
#define LM_IONIC_QINIT_F_CMB 0x10
#define LM_IONIC_QINIT_NO_INTR 0xffff

struct lm_ionic_q_init_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t lif_index;
	uint8_t type;
	uint8_t ver;
	uint8_t rsvd1[2];
	lm_le32_t index;
	lm_le16_t pid; /* doorbell page */
	lm_le16_t intr_index;
	lm_le16_t flags;
	uint8_t cos;
	uint8_t ring_size; /* logarithm */
	struct lm_le64_packed ring_base;
	struct lm_le64_packed cq_ring_base;
	struct lm_le64_packed sg_ring_base;
	uint8_t rsvd2[12];
	lm_le64_t features;
};
static_assert(sizeof(struct lm_ionic_q_init_cmd) == 64, "ionic_if.h");

struct lm_ionic_q_init_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t comp_index;
	lm_le32_t hw_index;
	uint8_t hw_type;
	uint8_t rsvd2[6];
	uint8_t color;
};
static_assert(sizeof(struct lm_ionic_q_init_comp) == 16, "ionic_if.h");

#define LM_IONIC_Q_DISABLE 0
#define LM_IONIC_Q_ENABLE 1
#define LM_IONIC_Q_HANG_RESET 2

struct lm_ionic_q_control_cmd {
	uint8_t opcode;
	uint8_t type;
	lm_le16_t lif_index;
	lm_le32_t index;
	uint8_t oper;
	uint8_t rsvd[55];
};
static_assert(sizeof(struct lm_ionic_q_control_cmd) == 64, "ionic_if.h");

/* Receive mode and filters. */
#define LM_IONIC_RX_MODE_F_UNICAST 0x01
#define LM_IONIC_RX_MODE_F_MULTICAST 0x02
#define LM_IONIC_RX_MODE_F_BROADCAST 0x04
#define LM_IONIC_RX_MODE_F_PROMISC 0x08
#define LM_IONIC_RX_MODE_F_ALLMULTI 0x10

struct lm_ionic_rx_mode_set_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t lif_index;
	lm_le16_t rx_mode;
	lm_le16_t rsvd2[29];
};
static_assert(sizeof(struct lm_ionic_rx_mode_set_cmd) == 64, "ionic_if.h");

#define LM_IONIC_RX_FILTER_MATCH_VLAN 0x0
#define LM_IONIC_RX_FILTER_MATCH_MAC 0x1
#define LM_IONIC_RX_FILTER_MATCH_MAC_VLAN 0x2

struct lm_ionic_rx_filter_add_cmd {
	uint8_t opcode;
	uint8_t qtype;
	lm_le16_t lif_index;
	lm_le32_t qid;
	lm_le16_t match;
	uint8_t value[54]; /* VLAN; MAC; VLAN and MAC */
};
static_assert(sizeof(struct lm_ionic_rx_filter_add_cmd) == 64, "ionic_if.h");

struct lm_ionic_rx_filter_add_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t comp_index;
	lm_le32_t filter_id;
	uint8_t rsvd2[7];
	uint8_t color;
};
static_assert(sizeof(struct lm_ionic_rx_filter_add_comp) == 16, "ionic_if.h");

struct lm_ionic_rx_filter_del_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t lif_index;
	lm_le32_t filter_id;
	uint8_t rsvd2[56];
};
static_assert(sizeof(struct lm_ionic_rx_filter_del_cmd) == 64, "ionic_if.h");

/* Events of the LIF's notify queue: an entry is new when its eid is later than the last one. */
#define LM_IONIC_EVENT_LINK_CHANGE 1
#define LM_IONIC_EVENT_RESET 2

struct lm_ionic_link_change_event {
	lm_le64_t eid;
	lm_le16_t ecode;
	lm_le16_t link_status;
	lm_le32_t link_speed;
	uint8_t rsvd[48];
};
static_assert(sizeof(struct lm_ionic_link_change_event) == 64, "ionic_if.h");
struct lm_ionic_reset_event {
	lm_le64_t eid;
	lm_le16_t ecode;
	uint8_t reset_code;
	uint8_t state;
	uint8_t rsvd[52];
};
static_assert(sizeof(struct lm_ionic_reset_event) == 64, "ionic_if.h");

#endif /* PDS_ETH_IF_H */
