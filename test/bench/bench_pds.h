/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef BENCH_PDS_H
#define BENCH_PDS_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "pds_ring_if.h"

/**
 * @file
 * Rings of net_pds and net_ionic whose device has been stopped: what it wrote is written again.
 */

#define BENCH_RING 512u
#define BENCH_BURST 32u
#define BENCH_SIZES 2u

/** What a device answered to one burst. */
struct bench_record {
	struct lm_ionic_rxq_comp rx[BENCH_BURST];
	struct lm_ionic_txq_comp tx[BENCH_BURST];
	unsigned int nb_tx; /* completions; one may tell of many frames */
};

struct bench_port {
	const char *who;
	uint16_t id;
	struct rte_mempool *pool;
	bool segmented; /* frames take several buffers */
	volatile struct lm_ionic_rxq_comp *rx_comp;
	volatile struct lm_ionic_txq_comp *tx_comp;
	uint32_t rx_at; /* completions so far */
	uint32_t tx_at;
	uint32_t tx_frames;
	struct bench_record record[BENCH_SIZES];
};

extern const uint16_t bench_sizes[BENCH_SIZES];

/* bench_pds_port.c */

/** The port whose driver's name begins so: set up with one pair of queues, and started. */
int bench_port_start(struct bench_port *p, const char *driver, uint16_t buffer_bytes,
		bool fast_free);
/** A burst of frames with so many bytes each, to be sent. @return 0 or -errno */
int bench_port_frames(struct bench_port *p, unsigned int size, struct rte_mbuf **pkts);
/** Doorbells no longer reach anybody. */
int bench_port_unplug(struct bench_port *p);

/* bench_pds_ring.c */

/** Send and receive a burst of each size by the device, and keep what it wrote. */
int bench_record(struct bench_port *p);
/** Write what the device wrote again, for the next burst. */
void bench_replay_rx(struct bench_port *p, unsigned int size);
void bench_replay_tx(struct bench_port *p, unsigned int size);

#endif /* BENCH_PDS_H */
