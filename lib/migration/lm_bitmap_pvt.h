/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_BITMAP_PVT_H
#define LM_BITMAP_PVT_H

/** @file Inside of struct lm_bitmap, for the merge of lm_vhost_log.c. */

#include <stdint.h>

#include "lm_bitmap.h"
#include "lm_bits.h"

/** Words that one bit of the summary stands for. */
#define LM_BITMAP_GROUP_WORDS 64u

struct lm_bitmap {
	uint64_t base;
	uint64_t size_bytes;
	unsigned int page_shift;
	uint64_t nb_pages;
	uint64_t nb_words;
	uint64_t nb_groups;
	uint64_t outside_pages;
	uint64_t *words;   /* bits from nb_pages on are always 0 */
	uint64_t *summary; /* bit set: a word of that group may be nonzero */
};

/**
 * OR nb bits of words, from bit `from` on, into the pages from index `to` on, all of them inside
 * bm. Words that hold none of the nb bits are not read.
 */
void lm_bitmap_or_pages(struct lm_bitmap *bm, uint64_t to, const uint64_t *words, uint64_t from,
		uint64_t nb);

/** Words that summary word `index` stands for: from *first on, at most 4096. */
static inline uint64_t
lm_bitmap_summary_words(const struct lm_bitmap *bm, uint64_t index, uint64_t *first)
{
	const uint64_t per_word = LM_WORD_BITS * LM_BITMAP_GROUP_WORDS;
	uint64_t left;

	*first = index * per_word;
	left = bm->nb_words - *first;
	return left < per_word ? left : per_word;
}

static inline uint64_t
lm_bitmap_nb_summary(const struct lm_bitmap *bm)
{
	return (bm->nb_groups + LM_WORD_BITS - 1) / LM_WORD_BITS;
}

#endif /* LM_BITMAP_PVT_H */
