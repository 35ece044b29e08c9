/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_bitmap_pvt.h"

#define PAGE_SHIFT_MIN 12
#define PAGE_SHIFT_MAX 30

int
lm_bitmap_create(uint64_t base, uint64_t size_bytes, unsigned int page_shift,
		struct lm_bitmap **bm)
{
	struct lm_bitmap *b;

	if (page_shift < PAGE_SHIFT_MIN || page_shift > PAGE_SHIFT_MAX || size_bytes == 0 ||
			(base & ((UINT64_C(1) << page_shift) - 1)) != 0 ||
			base + (size_bytes - 1) < base)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	b->base = base;
	b->size_bytes = size_bytes;
	b->page_shift = page_shift;
	b->nb_pages = ((size_bytes - 1) >> page_shift) + 1;
	b->nb_words = (b->nb_pages - 1) / LM_WORD_BITS + 1;
	b->nb_groups = (b->nb_words - 1) / LM_BITMAP_GROUP_WORDS + 1;
	b->words = calloc(b->nb_words, sizeof(b->words[0]));
	b->summary = calloc(lm_bitmap_nb_summary(b), sizeof(b->summary[0]));
	if (b->words == NULL || b->summary == NULL) {
		lm_bitmap_destroy(b);
		return -ENOMEM;
	}
	*bm = b;
	return 0;
}

void
lm_bitmap_destroy(struct lm_bitmap *bm)
{
	if (bm == NULL)
		return;
	free(bm->words);
	free(bm->summary);
	free(bm);
}

uint64_t
lm_bitmap_base(const struct lm_bitmap *bm)
{
	return bm->base;
}

uint64_t
lm_bitmap_size(const struct lm_bitmap *bm)
{
	return bm->size_bytes;
}

unsigned int
lm_bitmap_page_shift(const struct lm_bitmap *bm)
{
	return bm->page_shift;
}

static void
set_bits(uint64_t *words, uint64_t first, uint64_t last)
{
	uint64_t i;

	for (i = first / LM_WORD_BITS; i <= last / LM_WORD_BITS; i++)
		words[i] |= lm_bits_word_mask(i, first, last);
}

static void
set_pages(struct lm_bitmap *bm, uint64_t first, uint64_t last)
{
	const uint64_t pages_per_group = LM_WORD_BITS * LM_BITMAP_GROUP_WORDS;

	set_bits(bm->words, first, last);
	set_bits(bm->summary, first / pages_per_group, last / pages_per_group);
}

void
lm_bitmap_mark(struct lm_bitmap *bm, uint64_t addr, uint64_t len_bytes)
{
	uint64_t base_page = bm->base >> bm->page_shift;
	uint64_t end_page = base_page + (bm->nb_pages - 1);
	uint64_t first, last, inside;

	if (len_bytes == 0)
		return;
	first = addr >> bm->page_shift;
	if (len_bytes - 1 > UINT64_MAX - addr) {
		/* Beyond the address space: cut off there, what is beyond counts as outside. */
		last = UINT64_MAX >> bm->page_shift;
		bm->outside_pages += ((addr + (len_bytes - 1)) >> bm->page_shift) + 1;
	} else {
		last = (addr + (len_bytes - 1)) >> bm->page_shift;
	}
	if (last < base_page || first > end_page) {
		bm->outside_pages += last - first + 1;
		return;
	}
	inside = last - first + 1;
	if (first < base_page)
		first = base_page;
	if (last > end_page)
		last = end_page;
	bm->outside_pages += inside - (last - first + 1);
	set_pages(bm, first - base_page, last - base_page);
}

bool
lm_bitmap_test(const struct lm_bitmap *bm, uint64_t addr)
{
	uint64_t page;

	if (addr < bm->base)
		return false;
	page = (addr - bm->base) >> bm->page_shift;
	if (page >= bm->nb_pages)
		return false;
	return (bm->words[page / LM_WORD_BITS] >> (page % LM_WORD_BITS) & 1) != 0;
}

void
lm_bitmap_clear(struct lm_bitmap *bm)
{
	uint64_t group, first, nb;

	for (group = 0; lm_bits_next(bm->summary, bm->nb_groups, &group); group++) {
		first = group * LM_BITMAP_GROUP_WORDS;
		nb = bm->nb_words - first;
		if (nb > LM_BITMAP_GROUP_WORDS)
			nb = LM_BITMAP_GROUP_WORDS;
		memset(&bm->words[first], 0, nb * sizeof(bm->words[0]));
	}
	memset(bm->summary, 0, lm_bitmap_nb_summary(bm) * sizeof(bm->summary[0]));
	bm->outside_pages = 0;
}

uint64_t
lm_bitmap_count(const struct lm_bitmap *bm)
{
	uint64_t group, first, nb, count = 0;

	for (group = 0; lm_bits_next(bm->summary, bm->nb_groups, &group); group++) {
		first = group * LM_BITMAP_GROUP_WORDS;
		nb = bm->nb_words - first;
		count += lm_bits_count_words(&bm->words[first],
				nb < LM_BITMAP_GROUP_WORDS ? nb : LM_BITMAP_GROUP_WORDS);
	}
	return count;
}

uint64_t
lm_bitmap_outside(const struct lm_bitmap *bm)
{
	return bm->outside_pages;
}

/* 64 bits of words, from bit `from` on; only the first `want` of them are to be had. */
static uint64_t
bits_at(const uint64_t *words, uint64_t from, unsigned int want)
{
	unsigned int shift = from % LM_WORD_BITS;
	uint64_t bits = words[from / LM_WORD_BITS] >> shift;

	if (want > LM_WORD_BITS - shift)
		bits |= words[from / LM_WORD_BITS + 1] << (LM_WORD_BITS - shift);
	return bits & (UINT64_MAX >> (LM_WORD_BITS - want));
}

/* A block of eight words, of which the source has nine if shifted: clean ones cost a look. */
static uint64_t
or_block(uint64_t *restrict to, const uint64_t *restrict from, unsigned int shift)
{
	uint64_t any = from[0] | from[1] | from[2] | from[3] | from[4] | from[5] | from[6] |
		from[7];
	unsigned int i;

	if (shift == 0) {
		for (i = 0; any != 0 && i < 8; i++)
			to[i] |= from[i];
		return any;
	}
	any |= from[8];
	for (i = 0; any != 0 && i < 8; i++)
		to[i] |= from[i] >> shift | from[i + 1] << (LM_WORD_BITS - shift);
	return any;
}

/*
 * Words index..end of bm, all within one group, from a report's bit `from` on; what is set may be
 * in the neighbours, which does no harm to a summary.
 */
static void
or_words(struct lm_bitmap *bm, uint64_t index, uint64_t end, const uint64_t *words, uint64_t from)
{
	uint64_t group = index / LM_BITMAP_GROUP_WORDS, any = 0, bits;

	for (; end - index >= 8; index += 8, from += 8 * LM_WORD_BITS)
		any |= or_block(&bm->words[index], &words[from / LM_WORD_BITS],
				from % LM_WORD_BITS);
	for (; index < end; index++, from += LM_WORD_BITS) {
		bits = bits_at(words, from, LM_WORD_BITS);
		bm->words[index] |= bits;
		any |= bits;
	}
	if (any != 0)
		bm->summary[group / LM_WORD_BITS] |= UINT64_C(1) << (group % LM_WORD_BITS);
}

/* A part of one word of bm. */
static void
or_part(struct lm_bitmap *bm, uint64_t to, const uint64_t *words, uint64_t from, unsigned int nb)
{
	uint64_t group = to / LM_WORD_BITS / LM_BITMAP_GROUP_WORDS;
	uint64_t bits = bits_at(words, from, nb);

	if (bits == 0)
		return;
	bm->words[to / LM_WORD_BITS] |= bits << (to % LM_WORD_BITS);
	bm->summary[group / LM_WORD_BITS] |= UINT64_C(1) << (group % LM_WORD_BITS);
}

void
lm_bitmap_or_pages(struct lm_bitmap *bm, uint64_t to, const uint64_t *words, uint64_t from,
		uint64_t nb)
{
	uint64_t index, end, stop;

	if (to % LM_WORD_BITS != 0 && nb != 0) {
		uint64_t part = LM_WORD_BITS - to % LM_WORD_BITS;

		if (part > nb)
			part = nb;
		or_part(bm, to, words, from, (unsigned int)part);
		to += part;
		from += part;
		nb -= part;
	}
	end = to / LM_WORD_BITS + nb / LM_WORD_BITS;
	for (index = to / LM_WORD_BITS; index < end; index = stop) {
		stop = (index / LM_BITMAP_GROUP_WORDS + 1) * LM_BITMAP_GROUP_WORDS;
		if (stop > end)
			stop = end;
		or_words(bm, index, stop, words, from);
		from += (stop - index) * LM_WORD_BITS;
	}
	if (nb % LM_WORD_BITS != 0)
		or_part(bm, end * LM_WORD_BITS, words, from, (unsigned int)(nb % LM_WORD_BITS));
}

static bool
or_is_inside(const struct lm_bitmap *bm, uint64_t addr, uint64_t nb_pages)
{
	uint64_t first;

	if (addr < bm->base || ((addr - bm->base) & ((UINT64_C(1) << bm->page_shift) - 1)) != 0)
		return false;
	first = (addr - bm->base) >> bm->page_shift;
	return first < bm->nb_pages && nb_pages <= bm->nb_pages - first;
}

void
lm_bitmap_or_raw(struct lm_bitmap *bm, uint64_t addr, const uint64_t *words,
		uint64_t nb_pages, unsigned int page_shift)
{
	uint64_t bit, run, nb, last, len;

	if (nb_pages == 0)
		return;
	if (page_shift == bm->page_shift && or_is_inside(bm, addr, nb_pages)) {
		lm_bitmap_or_pages(bm, (addr - bm->base) >> bm->page_shift, words, 0, nb_pages);
		return;
	}
	/* Bits above `last` begin beyond 64 bits of address. */
	last = page_shift < 64 ? (UINT64_MAX - addr) >> page_shift : 0;
	for (bit = 0; (run = lm_bits_next_run(words, nb_pages, &bit)) != 0; bit += run) {
		if (bit > last) {
			bm->outside_pages += run;
			continue;
		}
		nb = run - 1 > last - bit ? last - bit + 1 : run;
		bm->outside_pages += run - nb;
		len = page_shift >= 64 || nb > UINT64_MAX >> page_shift ?
			UINT64_MAX : nb << page_shift;
		lm_bitmap_mark(bm, addr + (bit == 0 ? 0 : bit << page_shift), len);
	}
}

int
lm_bitmap_foreach_run(const struct lm_bitmap *bm,
		int (*fn)(void *ctx, uint64_t addr, uint64_t len_bytes), void *ctx)
{
	const uint64_t pages_per_group = LM_WORD_BITS * LM_BITMAP_GROUP_WORDS;
	uint64_t group = 0, groups, bit, end, run;
	int ret;

	/* A run never crosses a clean group, so each run of groups stands alone. */
	while ((groups = lm_bits_next_run(bm->summary, bm->nb_groups, &group)) != 0) {
		bit = group * pages_per_group;
		group += groups;
		end = group * pages_per_group;
		if (end > bm->nb_pages)
			end = bm->nb_pages;
		while ((run = lm_bits_next_run(bm->words, end, &bit)) != 0) {
			ret = fn(ctx, bm->base + (bit << bm->page_shift), run << bm->page_shift);
			if (ret != 0)
				return ret;
			bit += run;
		}
	}
	return 0;
}
