/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_GEN_HIST_H
#define DM_GEN_HIST_H

/** @file Histogram of durations: eight buckets an octave, so a percentile is at most 1/8 high. */

#include <stdint.h>

#define DM_GEN_HIST_SUB_BITS 3
#define DM_GEN_HIST_BUCKETS (62 << DM_GEN_HIST_SUB_BITS)

struct dm_gen_hist {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[DM_GEN_HIST_BUCKETS];
};

static inline uint32_t
dm_gen_hist_index(uint64_t value)
{
	const uint32_t sub = 1u << DM_GEN_HIST_SUB_BITS;
	uint32_t shift;

	if (value < sub)
		return (uint32_t)value;
	shift = 63 - (uint32_t)__builtin_clzll(value) - DM_GEN_HIST_SUB_BITS;
	return ((shift + 1) << DM_GEN_HIST_SUB_BITS) + (uint32_t)((value >> shift) & (sub - 1));
}

/** Highest value of a bucket. */
static inline uint64_t
dm_gen_hist_top(uint32_t index)
{
	const uint32_t sub = 1u << DM_GEN_HIST_SUB_BITS;
	uint32_t shift;

	if (index < sub)
		return index;
	shift = (index >> DM_GEN_HIST_SUB_BITS) - 1;
	return ((uint64_t)(sub + index % sub) << shift) + ((1ull << shift) - 1);
}

static inline void
dm_gen_hist_add(struct dm_gen_hist *h, uint64_t value)
{
	h->count++;
	h->buckets[dm_gen_hist_index(value)]++;
	if (value > h->max)
		h->max = value;
}

/** Value that @p permille of the entries do not exceed; 0 when there are none. */
static inline uint64_t
dm_gen_hist_quantile(const struct dm_gen_hist *h, uint32_t permille)
{
	const uint64_t rank = (h->count * permille + 999) / 1000;
	uint64_t seen = 0;
	uint32_t i;

	if (rank == 0)
		return 0;
	for (i = 0; i < DM_GEN_HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank)
			break;
	}
	return dm_gen_hist_top(i) < h->max ? dm_gen_hist_top(i) : h->max;
}

#endif /* DM_GEN_HIST_H */
