/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_RULES_H
#define DM_RULES_H

/**
 * @file
 * What a driver promises, and how often it broke its word.
 *
 * Each rule is a "driver MUST" or "MUST NOT" of VIRTIO 1.3 (the section stands beside it), of the
 * PCI specification, or of the formats in drivers/common/pds.
 * A correct driver has none. The first break of each rule is logged.
 */

#include <stdint.h>

#define DM_RULES(X) \
	X(ACCESS_WIDTH, "access_width", "4.1.3.1: a register is accessed with its own width") \
	X(ACCESS_RANGE, "access_range", "4.1.4: accesses stay inside a structure") \
	X(WRITE_READ_ONLY, "write_read_only", "4.1.4.3.2: read-only registers are not written") \
	X(WRITE_IN_RESET, "write_in_reset", "4.1.4.3.2: after a reset, wait until it is over") \
	X(STATUS_CLEARED, "status_cleared", "2.1.1: a status bit is never cleared but by reset") \
	X(STATUS_ORDER, "status_order", "3.1.1: ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK") \
	X(STATUS_SUSPEND, "status_suspend", \
		"after 1.3: SUSPEND is set under DRIVER_OK, when negotiated") \
	X(STATUS_UNKNOWN, "status_unknown", "2.1: unknown status bits are not set") \
	X(FEATURE_LATE, "feature_late", "3.1.1: features are settled before FEATURES_OK") \
	X(FEATURE_NOT_OFFERED, "feature_not_offered", "2.2.1: only offered features are accepted") \
	X(FEATURE_VERSION, "feature_version", "6.1: VERSION_1 is accepted when offered") \
	X(FEATURE_NEEDS, "feature_needs", "2.2.1: a feature goes with those that it requires") \
	X(QUEUE_EARLY, "queue_early", "3.1.1: queues are set up after FEATURES_OK") \
	X(QUEUE_LATE, "queue_late", \
		"3.1.1: queues are enabled before DRIVER_OK, or after RING_RESET") \
	X(QUEUE_ABSENT, "queue_absent", "4.1.5.1.3: a queue of size 0 does not exist") \
	X(QUEUE_SIZE, "queue_size", \
		"2.7: the size is a power of two unless packed, not above the device's") \
	X(QUEUE_ALIGN, "queue_align", "2.7, 2.8.10.1: the parts of a ring are aligned") \
	X(QUEUE_ENABLED, "queue_enabled", \
		"4.1.4.3.2: queue fields stay while the queue is enabled") \
	X(QUEUE_ENABLE_ZERO, "queue_enable_zero", "4.1.4.3.2: 0 is not written to queue_enable") \
	X(QUEUE_RESET, "queue_reset", "2.6.1: RING_RESET is negotiated and the queue enabled") \
	X(NOTIFY_DISABLED, "notify_disabled", "4.1.5.2: only enabled queues are notified") \
	X(NOTIFY_EARLY, "notify_early", "3.1.1: no notification before DRIVER_OK") \
	X(NOTIFY_VALUE, "notify_value", "4.1.5.2: a doorbell gets the index of its queue") \
	X(NOTIFY_DATA, "notify_data", \
		"2.9: with NOTIFICATION_DATA a doorbell says what comes next in its ring") \
	X(AVAIL_JUMP, "avail_jump", "2.7.13, 2.8.17: at most a ring's worth is made available") \
	X(AVAIL_HEAD, "avail_head", "2.7.6: a head lies inside the descriptor table") \
	X(DESC_NEXT, "desc_next", "2.7.5: next lies inside the table") \
	X(DESC_LOOP, "desc_loop", "2.7.5.3.1, 2.8.17: a chain is no longer than the queue") \
	X(DESC_ORDER, "desc_order", \
		"2.7.4.2, 2.8.17: readable buffers come before writable ones") \
	X(DESC_AVAIL, "desc_avail", \
		"2.8.17: a list's first descriptor is made available after the others") \
	X(DESC_ID, "desc_id", \
		"2.8.21: a buffer has an id of its own, below the queue's size") \
	X(DESC_TOO_LONG, "desc_too_long", "2.7.5.2: a chain is no longer than 2^32 bytes") \
	X(INDIRECT_OFF, "indirect_off", \
		"2.7.5.3.1, 2.8.19: indirect tables need INDIRECT_DESC") \
	X(INDIRECT_NESTED, "indirect_nested", \
		"2.7.5.3.1, 2.8.19: a table holds no further table") \
	X(INDIRECT_NEXT, "indirect_next", \
		"2.7.5.3.1, 2.8.19: INDIRECT and NEXT exclude each other") \
	X(INDIRECT_FLAGS, "indirect_flags", \
		"2.8.19: a packed ring's table has no flags but WRITE") \
	X(INDIRECT_LENGTH, "indirect_length", "2.7.5.3.2: a table's length is a multiple of 16") \
	X(EVENT, "event", \
		"2.8.14: an event has known flags, DESC only with EVENT_IDX, inside the ring") \
	X(DMA_UNMAPPED, "dma_unmapped", "2.7.5: buffers and rings lie in memory that is mapped") \
	X(DMA_BUS_MASTER, "dma_bus_master", "PCI: bus mastering is on before DMA is asked for") \
	X(RX_READABLE, "rx_readable", "5.1.6.3: receive buffers are writable only") \
	X(RX_BUFFER_SMALL, "rx_buffer_small", \
		"5.1.6.3.1: a receive buffer holds the header at least") \
	X(TX_WRITABLE, "tx_writable", "5.1.6.2: transmit buffers are readable only") \
	X(TX_SHORT, "tx_short", "5.1.6.2: a packet has its header and an Ethernet header") \
	X(TX_OFFLOAD, "tx_offload", "5.1.6.2.1: offloads are asked for only when negotiated") \
	X(TX_HEADER, "tx_header", \
		"5.1.6.2.1: the header's places and sizes fit the frame, other flags are 0") \
	X(TX_OVER_MTU, "tx_over_mtu", "5.1.4.2: packets do not exceed a negotiated MTU") \
	X(CTRL_LAYOUT, "ctrl_layout", \
		"5.1.6.5: class, command and data, then the acknowledgement") \
	X(CTRL_CLASS, "ctrl_class", "5.1.6.5: commands belong to negotiated features") \
	X(CTRL_DATA, "ctrl_data", "5.1.6.5: command data has the length and range of its command") \
	X(EX_CONFIG_LIVE, "ex_config_live", \
		"exerciser: it is configured while it is not started") \
	X(EX_CONFIG_BAD, "ex_config_bad", "exerciser: registers have values that make sense") \
	X(EX_STOPPED, "ex_stopped", "vfio.h: a stopped device is not written to") \
	X(EX_PEER, "ex_peer", "vfio.h: peers are quiet before a device stops") \
	X(PDS_ACCESS, "pds_access", "pds: read-only registers are not written") \
	X(PDS_DEVCMD_BUSY, "pds_devcmd_busy", "pds: one device command at a time") \
	X(PDS_DOORBELL, "pds_doorbell", \
		"pds: a doorbell names a queue of its page and an index inside the ring") \
	X(PDS_DOORBELL_STOPPED, "pds_doorbell_stopped", "pds: no doorbell to a suspended device") \
	X(PDS_QUEUE, "pds_queue", "pds: queues have a size, page, vector and index that exist") \
	X(PDS_TX_DESC, "pds_tx_desc", "pds: a transmit descriptor has a known form and length") \
	X(PDS_TX_TSO, "pds_tx_tso", "pds: a segmented packet begins and ends, segments fit") \
	X(PDS_RX_DESC, "pds_rx_desc", "pds: a receive descriptor has a known form")

enum dm_rule {
#define DM_RULE_ENUM(id, name, text) DM_RULE_##id,
	DM_RULES(DM_RULE_ENUM)
#undef DM_RULE_ENUM
	DM_RULE_MAX
};

struct dm_rules {
	const char *who; /* function's name in messages; outlives the structure */
	uint64_t total;
	uint64_t count[DM_RULE_MAX];
};

const char *dm_rule_name(enum dm_rule rule);
/** Count a break; detail is logged with the first one of each rule only. */
void dm_rule_broken(struct dm_rules *r, enum dm_rule rule, const char *detail, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* DM_RULES_H */
