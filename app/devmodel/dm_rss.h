/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_RSS_H
#define DM_RSS_H

/**
 * @file
 * Receive-side scaling (VIRTIO 1.3, 5.1.6.4.3, 5.1.6.5.6, 5.1.6.5.7): Toeplitz hash and table.
 */

#include <stdbool.h>
#include <stdint.h>

#include "virtio_net_if.h"

#define DM_RSS_KEY_BYTES 40
#define DM_RSS_TABLE 128
#define DM_RSS_TYPES 0x1ffu /* all that LM_VIRTIO_NET_HASH_* has */

struct dm_rss {
	uint32_t types;   /* LM_VIRTIO_NET_HASH_*; 0: no hash */
	bool steering;    /* by the table; else hashes are for reports only */
	uint16_t mask;    /* of the table */
	uint16_t unclassified;
	uint16_t table[DM_RSS_TABLE];  /* pairs */
	uint8_t key[DM_RSS_KEY_BYTES]; /* what the driver gave, then zeroes */
};

/** key has len_bytes + 4 bytes at least. */
uint32_t dm_rss_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t len_bytes);
/** @return what kind of hash *hash is (LM_VIRTIO_NET_HASH_REPORT_*), _NONE: it is 0. */
uint16_t dm_rss_hash(const struct dm_rss *rss, const uint8_t *frame, uint32_t len_bytes,
		uint32_t *hash);
/** Pair of a frame with this hash. */
uint16_t dm_rss_pair(const struct dm_rss *rss, uint16_t report, uint32_t hash);
/**
 * Data of MQ_RSS_CONFIG (with_table) or MQ_HASH_CONFIG. *rss changes only when all is well.
 *
 * @param max_pairs
 *   Neither the table nor max_tx_vq may go beyond it.
 * @param tx_pairs
 *   Set from max_tx_vq, with_table.
 * @return 0, -EINVAL.
 */
int dm_rss_config(struct dm_rss *rss, const uint8_t *data, uint32_t len_bytes, bool with_table,
		uint16_t max_pairs, uint16_t *tx_pairs);

#endif /* DM_RSS_H */
