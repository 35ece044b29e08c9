/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_STATS_IF_H
#define PDS_STATS_IF_H

/**
 * @file
 * What an Ethernet function writes into its driver's memory on its own: LIF and port information
 * with status and statistics, and the identity of the port.
 *
 * Source: Linux, drivers/net/ethernet/pensando/ionic/ionic_if.h; the names are its names.
 */

#include "pds_eth_if.h"

struct lm_ionic_lif_stats {
	lm_le64_t rx_ucast_bytes;
	lm_le64_t rx_ucast_packets;
	lm_le64_t rx_mcast_bytes;
	lm_le64_t rx_mcast_packets;
	lm_le64_t rx_bcast_bytes;
	lm_le64_t rx_bcast_packets;
	lm_le64_t lm_pad1[2];
	lm_le64_t rx_ucast_drop_bytes;
	lm_le64_t rx_ucast_drop_packets;
	lm_le64_t rx_mcast_drop_bytes;
	lm_le64_t rx_mcast_drop_packets;
	lm_le64_t rx_bcast_drop_bytes;
	lm_le64_t rx_bcast_drop_packets;
	lm_le64_t rx_dma_error;
	lm_le64_t lm_pad2[1];
	lm_le64_t tx_ucast_bytes;
	lm_le64_t tx_ucast_packets;
	lm_le64_t tx_mcast_bytes;
	lm_le64_t tx_mcast_packets;
	lm_le64_t tx_bcast_bytes;
	lm_le64_t tx_bcast_packets;
	lm_le64_t lm_pad3[2];
	lm_le64_t tx_ucast_drop_bytes;
	lm_le64_t tx_ucast_drop_packets;
	lm_le64_t tx_mcast_drop_bytes;
	lm_le64_t tx_mcast_drop_packets;
	lm_le64_t tx_bcast_drop_bytes;
	lm_le64_t tx_bcast_drop_packets;
	lm_le64_t tx_dma_error;
	lm_le64_t lm_pad4[1];
	lm_le64_t rx_queue_disabled;
	lm_le64_t rx_queue_empty;
	lm_le64_t rx_queue_error;
	lm_le64_t rx_desc_fetch_error;
	lm_le64_t rx_desc_data_error;
	lm_le64_t lm_pad5[3];
	lm_le64_t tx_queue_disabled;
	lm_le64_t tx_queue_error;
	lm_le64_t tx_desc_fetch_error;
	lm_le64_t tx_desc_data_error;
	lm_le64_t tx_queue_empty;
	lm_le64_t lm_pad6[83];
};
static_assert(sizeof(struct lm_ionic_lif_stats) == 1024, "ionic_if.h");

#define LM_IONIC_PORT_OPER_STATUS_UP 1
#define LM_IONIC_PORT_OPER_STATUS_DOWN 2

struct lm_ionic_lif_status {
	lm_le64_t eid;
	uint8_t port_num;
	uint8_t rsvd;
	lm_le16_t link_status; /* LM_IONIC_PORT_OPER_STATUS_UP, _DOWN */
	lm_le32_t link_speed;  /* Mb/s */
	lm_le16_t link_down_count;
	uint8_t rsvd2[46];
};
static_assert(sizeof(struct lm_ionic_lif_status) == 64, "ionic_if.h");

/* At info_pa of LIF_INIT. */
struct lm_ionic_lif_info {
	struct lm_ionic_lif_config config;
	struct lm_ionic_lif_status status;
	struct lm_ionic_lif_stats stats;
};
static_assert(sizeof(struct lm_ionic_lif_info) == 1344, "ionic_if.h");

/* Port. */
#define LM_IONIC_PORT_TYPE_ETH 1
#define LM_IONIC_PORT_ADMIN_STATE_DOWN 1
#define LM_IONIC_PORT_ADMIN_STATE_UP 2
#define LM_IONIC_XCVR_STATE_INSERTED 1
#define LM_IONIC_PHY_TYPE_COPPER 1
#define LM_IONIC_XCVR_PID_QSFP_100G_CR4 1
#define LM_IONIC_SPEED_100G 100000

enum lm_ionic_port_attr {
	LM_IONIC_PORT_ATTR_STATE = 0,
	LM_IONIC_PORT_ATTR_SPEED = 1,
	LM_IONIC_PORT_ATTR_MTU = 2,
	LM_IONIC_PORT_ATTR_AUTONEG = 3,
	LM_IONIC_PORT_ATTR_FEC = 4,
	LM_IONIC_PORT_ATTR_PAUSE = 5,
	LM_IONIC_PORT_ATTR_LOOPBACK = 6,
	LM_IONIC_PORT_ATTR_STATS_CTRL = 7,
};

struct lm_ionic_port_config {
	lm_le32_t speed;
	lm_le32_t mtu;
	uint8_t state;
	uint8_t an_enable;
	uint8_t fec_type;
	uint8_t pause_type;
	uint8_t loopback_mode;
	uint8_t lm_pad[243];
};
static_assert(sizeof(struct lm_ionic_port_config) == 256, "ionic_if.h");

struct lm_ionic_port_identity {
	uint8_t version;
	uint8_t type;
	uint8_t num_lanes;
	uint8_t autoneg;
	lm_le32_t min_frame_size;
	lm_le32_t max_frame_size;
	uint8_t fec_type[4];
	uint8_t pause_type[2];
	uint8_t loopback_mode[2];
	lm_le32_t speeds[16];
	uint8_t rsvd2[44];
	struct lm_ionic_port_config config;
	uint8_t lm_pad[1528];
};
static_assert(sizeof(struct lm_ionic_port_identity) == 1912, "ionic_if.h");

struct lm_ionic_port_init_cmd {
	uint8_t opcode;
	uint8_t index;
	uint8_t rsvd[6];
	lm_le64_t info_pa; /* struct lm_ionic_port_info */
	uint8_t rsvd2[48];
};
static_assert(sizeof(struct lm_ionic_port_init_cmd) == 64, "ionic_if.h");

struct lm_ionic_port_setattr_cmd { /* also GETATTR, without a value */
	uint8_t opcode;
	uint8_t index;
	uint8_t attr;
	uint8_t rsvd;
	uint8_t value[60];
};
static_assert(sizeof(struct lm_ionic_port_setattr_cmd) == 64, "ionic_if.h");

struct lm_ionic_xcvr_status {
	uint8_t state;
	uint8_t phy;
	lm_le16_t pid;
	uint8_t sprom[256];
};
static_assert(sizeof(struct lm_ionic_xcvr_status) == 260, "ionic_if.h");

struct lm_ionic_port_status {
	lm_le32_t id;
	lm_le32_t speed;
	uint8_t status; /* LM_IONIC_PORT_OPER_STATUS_UP, _DOWN */
	struct lm_le16_packed link_down_count;
	uint8_t fec_type;
	uint8_t rsvd[48];
	struct lm_ionic_xcvr_status xcvr;
};
static_assert(sizeof(struct lm_ionic_port_status) == 320, "ionic_if.h");

struct lm_ionic_port_stats {
	lm_le64_t frames_rx_ok;
	lm_le64_t frames_rx_all;
	lm_le64_t frames_rx_bad_fcs;
	lm_le64_t frames_rx_bad_all;
	lm_le64_t octets_rx_ok;
	lm_le64_t octets_rx_all;
	lm_le64_t frames_rx_unicast;
	lm_le64_t frames_rx_multicast;
	lm_le64_t frames_rx_broadcast;
	lm_le64_t frames_rx_pause;
	lm_le64_t frames_rx_bad_length;
	lm_le64_t frames_rx_undersized;
	lm_le64_t frames_rx_oversized;
	lm_le64_t frames_rx_fragments;
	lm_le64_t frames_rx_jabber;
	lm_le64_t frames_rx_pripause;
	lm_le64_t frames_rx_stomped_crc;
	lm_le64_t frames_rx_too_long;
	lm_le64_t frames_rx_vlan_good;
	lm_le64_t frames_rx_dropped;
	lm_le64_t frames_rx_less_than_64b;
	lm_le64_t frames_rx_64b;
	lm_le64_t frames_rx_65b_127b;
	lm_le64_t frames_rx_128b_255b;
	lm_le64_t frames_rx_256b_511b;
	lm_le64_t frames_rx_512b_1023b;
	lm_le64_t frames_rx_1024b_1518b;
	lm_le64_t frames_rx_1519b_2047b;
	lm_le64_t frames_rx_2048b_4095b;
	lm_le64_t frames_rx_4096b_8191b;
	lm_le64_t frames_rx_8192b_9215b;
	lm_le64_t frames_rx_other;
	lm_le64_t frames_tx_ok;
	lm_le64_t frames_tx_all;
	lm_le64_t frames_tx_bad;
	lm_le64_t octets_tx_ok;
	lm_le64_t octets_tx_total;
	lm_le64_t frames_tx_unicast;
	lm_le64_t frames_tx_multicast;
	lm_le64_t frames_tx_broadcast;
	lm_le64_t frames_tx_pause;
	lm_le64_t frames_tx_pripause;
	lm_le64_t frames_tx_vlan;
	lm_le64_t frames_tx_less_than_64b;
	lm_le64_t frames_tx_64b;
	lm_le64_t frames_tx_65b_127b;
	lm_le64_t frames_tx_128b_255b;
	lm_le64_t frames_tx_256b_511b;
	lm_le64_t frames_tx_512b_1023b;
	lm_le64_t frames_tx_1024b_1518b;
	lm_le64_t frames_tx_1519b_2047b;
	lm_le64_t frames_tx_2048b_4095b;
	lm_le64_t frames_tx_4096b_8191b;
	lm_le64_t frames_tx_8192b_9215b;
	lm_le64_t frames_tx_other;
	lm_le64_t frames_tx_pri_0;
	lm_le64_t frames_tx_pri_1;
	lm_le64_t frames_tx_pri_2;
	lm_le64_t frames_tx_pri_3;
	lm_le64_t frames_tx_pri_4;
	lm_le64_t frames_tx_pri_5;
	lm_le64_t frames_tx_pri_6;
	lm_le64_t frames_tx_pri_7;
	lm_le64_t frames_rx_pri_0;
	lm_le64_t frames_rx_pri_1;
	lm_le64_t frames_rx_pri_2;
	lm_le64_t frames_rx_pri_3;
	lm_le64_t frames_rx_pri_4;
	lm_le64_t frames_rx_pri_5;
	lm_le64_t frames_rx_pri_6;
	lm_le64_t frames_rx_pri_7;
	lm_le64_t tx_pripause_0_1us_count;
	lm_le64_t tx_pripause_1_1us_count;
	lm_le64_t tx_pripause_2_1us_count;
	lm_le64_t tx_pripause_3_1us_count;
	lm_le64_t tx_pripause_4_1us_count;
	lm_le64_t tx_pripause_5_1us_count;
	lm_le64_t tx_pripause_6_1us_count;
	lm_le64_t tx_pripause_7_1us_count;
	lm_le64_t rx_pripause_0_1us_count;
	lm_le64_t rx_pripause_1_1us_count;
	lm_le64_t rx_pripause_2_1us_count;
	lm_le64_t rx_pripause_3_1us_count;
	lm_le64_t rx_pripause_4_1us_count;
	lm_le64_t rx_pripause_5_1us_count;
	lm_le64_t rx_pripause_6_1us_count;
	lm_le64_t rx_pripause_7_1us_count;
	lm_le64_t rx_pause_1us_count;
	lm_le64_t frames_tx_truncated;
};
static_assert(sizeof(struct lm_ionic_port_stats) == 712, "ionic_if.h");

/* At info_pa of PORT_INIT, without the pages of a transceiver's memory behind it. */
struct lm_ionic_port_info {
	struct lm_ionic_port_config config;
	struct lm_ionic_port_status status;
	struct lm_ionic_port_stats stats;
};
static_assert(sizeof(struct lm_ionic_port_info) == 1288, "ionic_if.h");

#endif /* PDS_STATS_IF_H */
