/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_PDS_VF_H
#define DM_PDS_VF_H

/**
 * @file
 * The Ethernet VF (1dd8:1003): one LIF, up to 16 pairs of queues, one wire at its back.
 *
 * Every frame that is taken from the wire is delivered or counted by reason; every transmit
 * descriptor is completed.
 */

#include "dm_pds.h"
#include "dm_wire.h"
#include "pds_ring_if.h"
#include "pds_stats_if.h"

#define DM_PDS_MAX_FILTERS 64
#define DM_PDS_RSS_TABLE 128
#define DM_PDS_MTU_MIN 68
#define DM_PDS_MTU_MAX 9216
#define DM_PDS_FRAME_OVERHEAD 18 /* Ethernet header and a VLAN tag */
#define DM_PDS_FRAME_MAX (DM_PDS_MTU_MAX + DM_PDS_FRAME_OVERHEAD)
#define DM_PDS_FEATURES (LM_IONIC_ETH_HW_VLAN_TX_TAG | LM_IONIC_ETH_HW_VLAN_RX_STRIP | \
	LM_IONIC_ETH_HW_VLAN_RX_FILTER | LM_IONIC_ETH_HW_RX_HASH | LM_IONIC_ETH_HW_RX_CSUM | \
	LM_IONIC_ETH_HW_TX_SG | LM_IONIC_ETH_HW_RX_SG | LM_IONIC_ETH_HW_TX_CSUM | \
	LM_IONIC_ETH_HW_TSO | LM_IONIC_ETH_HW_TSO_IPV6 | LM_IONIC_ETH_HW_TSO_ECN)

#define DM_PDS_RX_DROPS(X) \
	X(NOT_RUNNING, "rx_not_running") \
	X(SUSPENDED, "rx_suspended") \
	X(LINK_DOWN, "rx_link_down") \
	X(QUEUE_OFF, "rx_queue_off") \
	X(NO_BUFFER, "rx_no_buffer") \
	X(FILTERED, "rx_filtered") \
	X(TOO_BIG, "rx_too_big") \
	X(TOO_SHORT, "rx_too_short") \
	X(NO_ROOM, "rx_no_room") \
	X(DMA, "rx_dma_error")

#define DM_PDS_TX_DROPS(X) \
	X(LINK, "tx_no_link") \
	X(FULL, "tx_wire_full") \
	X(TOO_BIG, "tx_too_big") \
	X(SHORT, "tx_short") \
	X(BAD, "tx_bad_descriptor") \
	X(DMA, "tx_dma_error")

enum dm_pds_rx_drop {
#define DM_PDS_ENUM(id, name) DM_PDS_RX_##id,
	DM_PDS_RX_DROPS(DM_PDS_ENUM)
#undef DM_PDS_ENUM
	DM_PDS_RX_DROP_MAX
};

enum dm_pds_tx_drop {
#define DM_PDS_ENUM(id, name) DM_PDS_TX_##id,
	DM_PDS_TX_DROPS(DM_PDS_ENUM)
#undef DM_PDS_ENUM
	DM_PDS_TX_DROP_MAX
};

struct dm_pds_queue {
	uint64_t base, cq_base, sg_base;
	uint64_t frames, bytes;
	uint16_t head;     /* next descriptor to take */
	uint16_t p_index;  /* as last rung; also while the queue is disabled */
	uint16_t cq_head;
	uint16_t vector;
	uint16_t pid;
	uint16_t flags;
	uint8_t size_lg2;
	uint8_t version;
	uint8_t color;
	uint8_t inited;
	uint8_t enabled;
	uint8_t pad[7];
};

struct dm_pds_filter {
	uint16_t used;
	uint16_t match;
	uint16_t vlan;
	uint8_t mac[6];
};

/** All that migrates besides registers. */
struct dm_pds_lif {
	uint64_t info_pa, port_info_pa; /* 0: none */
	uint64_t features;
	uint32_t mtu;
	uint32_t link_down_count;
	uint16_t rx_mode;
	uint16_t rss_types;
	uint16_t link_status;
	uint8_t state;
	uint8_t inited;
	uint8_t mac[6];
	uint8_t pad[2];
	char name[LM_IONIC_IFNAMSIZ];
	uint8_t rss_key[LM_IONIC_RSS_HASH_KEY_SIZE];
	uint8_t rss_table[DM_PDS_RSS_TABLE];
	struct dm_pds_filter filters[DM_PDS_MAX_FILTERS];
	struct lm_ionic_port_config port_config;
	struct dm_pds_cmdq adminq;
	struct dm_pds_notifyq notifyq;
	struct dm_pds_queue rxq[DM_PDS_MAX_PAIRS];
	struct dm_pds_queue txq[DM_PDS_MAX_PAIRS];
	struct lm_ionic_lif_stats stats;
	struct lm_ionic_port_stats port_stats;
};

struct dm_pds_vf {
	struct dm_pds_fn fn; /* first: the two are one pointer */
	struct dm_pds_lif lif;
	struct dm_wire *wire;
	uint16_t pairs;
	uint16_t id;
	uint8_t mac[6];        /* what the card was given */
	bool link_forced_down;
	uint64_t tick_ns;
	uint64_t info_ns;      /* when the information pages were last written */
	uint64_t rx_drops[DM_PDS_RX_DROP_MAX];
	uint64_t tx_drops[DM_PDS_TX_DROP_MAX];
	uint8_t frame[DM_FRAME_MAX]; /* one frame on its way out, or in */
	uint8_t segment[DM_FRAME_MAX];
};

struct dm_pds_vf_conf {
	struct dm_host *host;
	struct dm_wire *wire; /* of the caller */
	uint16_t id;
	uint16_t pairs;
	uint8_t mac[6];
};

int dm_pds_vf_create(const struct dm_pds_vf_conf *conf, struct dm_device *device);
/** For the PF's SR-IOV capability. */
void dm_pds_vf_bars(const struct dm_pds_vf *vf, uint64_t bar_bytes[6], bool bar_64bit[6]);

/* Commands: dm_pds_vf_cmd.c, dm_pds_vf_queue.c, dm_pds_lif.c */
uint8_t dm_pds_vf_devcmd(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp, uint8_t *data);
void dm_pds_vf_adminq(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp);
uint8_t dm_pds_q_identify(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data);
uint8_t dm_pds_q_init(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp);
uint8_t dm_pds_q_control(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp);
void dm_pds_vf_doorbell(struct dm_pds_fn *fn, uint32_t page, uint32_t type, uint32_t qid,
		uint16_t index);
/** The LIF as after power-on. */
void dm_pds_lif_reset(struct dm_pds_vf *vf);

/* Data: dm_pds_tx.c, dm_pds_tso.c, dm_pds_rx.c, dm_pds_filter.c. Return work done. */
unsigned int dm_pds_tx_poll(struct dm_pds_vf *vf, uint16_t index);
unsigned int dm_pds_rx_poll(struct dm_pds_vf *vf);
/** Descriptor at ring index at. */
bool dm_pds_tx_fetch(struct dm_pds_vf *vf, const struct dm_pds_queue *q, uint16_t at,
		struct lm_ionic_txq_desc *desc);
/** Its buffers, behind used_bytes in buf. @return new length, 0: dropped and counted */
uint32_t dm_pds_tx_gather(struct dm_pds_vf *vf, const struct dm_pds_queue *q, uint16_t at,
		const struct lm_ionic_txq_desc *desc, uint8_t *buf, uint32_t used_bytes);
/** Put a whole frame on the wire, with a tag when vlan_tci >= 0; counts it. */
void dm_pds_tx_send(struct dm_pds_vf *vf, struct dm_pds_queue *q, const uint8_t *frame,
		uint32_t len_bytes, int32_t vlan_tci);
/** A segmented packet from the head on. @return its descriptors; 0: its end is not there yet */
uint32_t dm_pds_tso(struct dm_pds_vf *vf, struct dm_pds_queue *q, uint32_t posted);
bool dm_pds_filter_pass(const struct dm_pds_lif *lif, const uint8_t *frame, uint32_t len_bytes);
/** @return status; *id is set on success */
uint8_t dm_pds_filter_add(struct dm_pds_lif *lif, const uint8_t *cmd, uint32_t *id);
uint8_t dm_pds_filter_del(struct dm_pds_lif *lif, const uint8_t *cmd);

/* Information pages, link and counters: dm_pds_info.c */
void dm_pds_info_write(struct dm_pds_vf *vf);
void dm_pds_info_tick(struct dm_pds_vf *vf, uint64_t now_ns);
void dm_pds_link_check(struct dm_pds_vf *vf);
void dm_pds_count_tx(struct dm_pds_vf *vf, const uint8_t *frame, uint32_t len_bytes);
void dm_pds_count_rx(struct dm_pds_vf *vf, const uint8_t *frame, uint32_t len_bytes);
void dm_pds_drop_tx(struct dm_pds_vf *vf, enum dm_pds_tx_drop why);
void dm_pds_drop_rx(struct dm_pds_vf *vf, enum dm_pds_rx_drop why, const uint8_t *frame,
		uint32_t len_bytes);
int dm_pds_vf_stats(void *dev, json_t *object);

/* State: dm_pds_state.c. */
uint32_t dm_pds_state_bytes(const struct dm_pds_vf *vf);
/** buf: LM_PDS_LM_DEVICE_STATE_LENGTH bytes. */
void dm_pds_state_save(struct dm_pds_vf *vf, uint8_t *buf);
/** @return status code */
uint8_t dm_pds_state_restore(struct dm_pds_vf *vf, const uint8_t *buf, uint32_t len_bytes);

static inline struct dm_pds_vf *
dm_pds_vf_of(struct dm_pds_fn *fn)
{
	return (struct dm_pds_vf *)fn;
}

/** Descriptors between the head and the last doorbell. */
static inline uint32_t
dm_pds_q_posted(const struct dm_pds_queue *q)
{
	return (uint32_t)(q->p_index - q->head) & ((1u << q->size_lg2) - 1);
}

#endif /* DM_PDS_VF_H */
