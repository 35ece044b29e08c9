/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_VRING_PRIV_H
#define DM_VRING_PRIV_H

/* What dm_vring.c shares with the two layouts. */

#include "dm_vring.h"

/* Called with a ring that is whole and resolved. */
struct dm_vring_ops {
	void (*start)(struct dm_vring *vr);
	int (*resolve)(struct dm_vring *vr);
	int (*fetch)(struct dm_vring *vr, struct dm_chain *chain);
	void (*unfetch)(struct dm_vring *vr, const struct dm_chain *chains, uint16_t nb);
	void (*push)(struct dm_vring *vr, const struct dm_chain *chain, uint32_t written_bytes,
			bool merge);
	bool (*publish)(struct dm_vring *vr);
	bool (*notify_on)(struct dm_vring *vr);
	void (*notify_off)(struct dm_vring *vr);
	bool (*next_ok)(const struct dm_vring *vr, uint16_t next);
	uint16_t (*avail_idx)(const struct dm_vring *vr);
	uint16_t (*used_idx)(const struct dm_vring *vr);
};

extern const struct dm_vring_ops dm_vring_split_ops;
extern const struct dm_vring_ops dm_vring_packed_ops;

/** Stop the ring. @return -EIO. */
int dm_vring_fail(struct dm_vring *vr, enum dm_rule rule, const char *what, uint64_t value);
int dm_vring_fail_dma(struct dm_vring *vr, const char *what, uint64_t iova);
/** A whole area in one piece; else NULL, which breaks no rule yet. */
void *dm_vring_area(struct dm_vring *vr, uint64_t iova, uint64_t len_bytes, uint32_t prot,
		uint32_t align);
/** Add a buffer, piece by piece where mappings end; flags: LM_VRING_DESC_F_WRITE. */
int dm_vring_add_buffer(struct dm_vring *vr, struct dm_chain *chain, uint64_t addr,
		uint32_t len_bytes, uint16_t flags);
/** An indirect table that may be one, mapped; else -EIO. */
int dm_vring_table(struct dm_vring *vr, uint64_t addr, uint32_t len_bytes, const void **table);

#endif /* DM_VRING_PRIV_H */
