/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_DMA_H
#define LM_VU_DMA_H

/**
 * @file
 * The server's table of the client's DMA mappings: sorted by address, never overlapping.
 */

#include <stdint.h>

#include "lm_vu_wire.h"

struct lm_vu_dma_entry {
	uint64_t iova;
	uint64_t size_bytes;
	uint8_t *ptr; /* NULL: message mode */
	uint32_t prot;
};

struct lm_vu_dma_table {
	struct lm_vu_dma_entry *entries;
	uint32_t nb;
	uint32_t max;
	uint32_t last; /* entry of the last hit */
};

int lm_vu_dma_table_init(struct lm_vu_dma_table *t, uint32_t max);
/** Unmaps everything that is left. */
void lm_vu_dma_table_fini(struct lm_vu_dma_table *t);

/**
 * Add a mapping; fd -1 for message mode. The fd stays the caller's.
 * @return 0; -EINVAL: unknown rights, empty, unaligned, wraps, or more than the file holds;
 * -EEXIST: overlaps; -ENOSPC: table is full; -errno of fstat() and mmap()
 */
int lm_vu_dma_add(struct lm_vu_dma_table *t, const struct lm_vu_dma_map *map, int fd);
/** @return index of exactly this mapping, or -ENOENT */
int lm_vu_dma_find(const struct lm_vu_dma_table *t, uint64_t iova, uint64_t size_bytes);
void lm_vu_dma_remove(struct lm_vu_dma_table *t, uint32_t index);
/** The mapping that holds iova and has all rights in prot, or NULL. */
const struct lm_vu_dma_entry *lm_vu_dma_lookup(struct lm_vu_dma_table *t, uint64_t iova,
		uint32_t prot);

#endif /* LM_VU_DMA_H */
