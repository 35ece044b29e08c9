/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_RAM_PVT_H
#define LM_RAM_PVT_H

/** @file Inside of struct lm_ram, for the merge and for CPU tracking. */

#include <stdatomic.h>
#include <stdint.h>

#include "lm_bits.h"
#include "lm_ram.h"

#define LM_RAM_PAGE_SHIFT 12u
/** Words that one bit of the summary stands for. */
#define LM_RAM_GROUP_WORDS 64u
#define LM_RAM_GROUP_BITS (UINT64_C(1) * LM_RAM_GROUP_WORDS * LM_WORD_BITS)

/**
 * A region and its bits. Bit 0 is the page at a multiple of 64 pages at or below the region, so
 * that words of all regions, and of any bitmap that starts likewise, fit on each other unshifted.
 * Bits outside the region are always 0.
 */
struct lm_ram_area {
	struct lm_ram_region region;
	uint64_t first_word; /* address of bit 0, in words of 64 pages */
	uint64_t first_bit;  /* of the region's first page */
	uint64_t end_bit;    /* after its last */
	_Atomic uint64_t *words;
	_Atomic uint64_t *summary; /* bit set: a word of that group may be nonzero */
	bool cpu_whole;            /* what CPUs write to it cannot be tracked */
};

struct lm_ram {
	unsigned int nb;
	struct lm_ram_area **areas; /* ascending by address */
	struct {
		bool started;
		int uffd;    /* -1: this kernel has none that will do */
		int pagemap; /* -1: likewise */
	} cpu;
};

static inline uint64_t
lm_ram_area_end_word(const struct lm_ram_area *a)
{
	return a->first_word + (a->end_bit - 1) / LM_WORD_BITS;
}

/**
 * Index of the first area that ends at or after addr; ram->nb if none does.
 */
unsigned int lm_ram_find(const struct lm_ram *ram, uint64_t addr);
/**
 * OR bits into word `index` of an area; none of them outside the region. R1: whoever takes a bit
 * sees what was written before.
 */
void lm_ram_area_or(struct lm_ram_area *a, uint64_t index, uint64_t bits);
/** The same for bits that were harvested, after lm_bits_fence_for_skip(). */
void lm_ram_area_or_harvested(struct lm_ram_area *a, uint64_t index, uint64_t bits);
/** Mark bits first..last, both included and inside the region. */
void lm_ram_area_mark(struct lm_ram_area *a, uint64_t first, uint64_t last);

#endif /* LM_RAM_PVT_H */
