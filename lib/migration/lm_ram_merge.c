/* SPDX-License-Identifier: BSD-3-Clause */

#include "lm_bitmap_pvt.h"
#include "lm_ram_pvt.h"

/*
 * OR a word of 64 pages, counted from address 0, into the regions that have some of them; *hint is
 * the first region that can, and only moves on, because words come in ascending order.
 */
static void
or_word(struct lm_ram *ram, unsigned int *hint, uint64_t word, uint64_t bits)
{
	struct lm_ram_area *a;
	uint64_t index, inside;
	unsigned int i;

	while (*hint < ram->nb && lm_ram_area_end_word(ram->areas[*hint]) < word)
		(*hint)++;
	for (i = *hint; i < ram->nb && ram->areas[i]->first_word <= word; i++) {
		a = ram->areas[i];
		index = word - a->first_word;
		inside = bits & lm_bits_word_mask(index, a->first_bit, a->end_bit - 1);
		if (inside != 0)
			lm_ram_area_or_harvested(a, index, inside);
	}
}

static void
merge_group(struct lm_ram *ram, unsigned int *hint, const struct lm_bitmap *bm, uint64_t first)
{
	uint64_t left = bm->nb_words - first, page = bm->base >> LM_RAM_PAGE_SHIFT, word, n;
	uint64_t end = first + (left < LM_BITMAP_GROUP_WORDS ? left : LM_BITMAP_GROUP_WORDS);
	unsigned int shift = page % LM_WORD_BITS;

	for (n = first; n < end; n++) {
		uint64_t bits = bm->words[n];

		if (bits == 0)
			continue;
		word = page / LM_WORD_BITS + n;
		or_word(ram, hint, word, bits << shift);
		if (shift != 0 && bits >> (LM_WORD_BITS - shift) != 0)
			or_word(ram, hint, word + 1, bits >> (LM_WORD_BITS - shift));
	}
}

static int
mark_run(void *ram, uint64_t addr, uint64_t len_bytes)
{
	lm_ram_mark(ram, addr, len_bytes);
	return 0;
}

int
lm_ram_merge(struct lm_ram *ram, const struct lm_bitmap *bm)
{
	unsigned int hint = 0;
	uint64_t group = 0;

	if (bm->page_shift != LM_RAM_PAGE_SHIFT)
		return lm_bitmap_foreach_run(bm, mark_run, ram);
	lm_bits_fence_for_skip();
	for (; lm_bits_next(bm->summary, bm->nb_groups, &group); group++)
		merge_group(ram, &hint, bm, group * LM_BITMAP_GROUP_WORDS);
	return 0;
}
