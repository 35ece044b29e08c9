/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_LM_REC_H
#define PDS_LM_REC_H

/**
 * @file
 * What a port says of itself beside what every driver's record has (lm_port_rec.h): its own item.
 *
 * The device's state travels by itself; here is what the driver knows: places of rings and pages in
 * the window, indices, and which buffer is where. A slot is a descriptor and the number of a buffer
 * in it: descriptor * buffers + number. Buffers that the device has not filled, and frames that it
 * has sent, are named as empty: their content does not travel.
 */

#include "pds.h"

#define PDS_LM_ITEM LM_PORT_ITEM_DRIVER
#define PDS_REC_STATS (sizeof(struct pds_rxq_stats) / sizeof(uint64_t))

struct pds_rec_queue {
	lm_le32_t qid;
	lm_le16_t comp_tail; /* Tx */
	uint8_t hw_type;
	uint8_t nb_buffers;  /* of a descriptor; Tx: of a slot's stride */
	lm_le64_t stats[PDS_REC_STATS];
};

/* All but queues' slots, as it is on the wire; offsets are in the window. */
struct pds_rec_port {
	lm_le64_t adminq, notifyq, lif_info, port_info, rss;
	lm_le64_t features, rss_hf, last_eid;
	lm_le32_t admin_qid;
	lm_le32_t pages_per_lif;
	lm_le16_t hw_index, admin_head, notify_next;
	lm_le16_t rx_mode, rss_types, rss_entries;
	uint8_t admin_color, admin_hw_type;
	uint8_t rxq_version, txq_version, tx_stride, tx_max_sg;
	lm_le16_t pad;
	lm_le32_t nb_mcast;
	uint8_t rss_key[LM_IONIC_RSS_HASH_KEY_SIZE];
	uint8_t macs[PDS_MAX_MAC][RTE_ETHER_ADDR_LEN];
	lm_le32_t mac_filter[PDS_MAX_MAC];
	lm_le32_t mcast_filter[PDS_MAX_MAC];
	lm_le32_t vlan_filter[RTE_ETHER_MAX_VLAN_ID + 1];
	struct pds_rec_queue rxq[PDS_MAX_QUEUES];
	struct pds_rec_queue txq[PDS_MAX_QUEUES];
	struct lm_ionic_lif_stats stats_base;
};
static_assert(sizeof(struct pds_txq_stats) <= sizeof(struct pds_rxq_stats), "both fit");

#endif /* PDS_LM_REC_H */
