/* SPDX-License-Identifier: BSD-3-Clause */

#include "lm_bitmap_pvt.h"
#include "lm_vhost_log_pvt.h"

static void
merge_or(struct lm_log_visit *v, uint64_t index, uint64_t bits)
{
	if (v->epoch != NULL && index < v->epoch->nb_words &&
			(bits & ~atomic_load_explicit(&v->epoch->words[index],
				memory_order_relaxed)) == 0)
		return;
	lm_log_visit_or(v, index, bits);
}

static void
merge_pages(struct lm_log_visit *v, uint64_t first, uint64_t last)
{
	uint64_t i;

	for (i = first / LM_WORD_BITS; i <= last / LM_WORD_BITS; i++)
		merge_or(v, i, lm_bits_word_mask(i, first, last));
}

/* Words of 4 KiB pages: word n of bm covers bits of one or two words of the log. */
static void
merge_word(struct lm_log_visit *v, const struct lm_bitmap *bm, uint64_t n)
{
	uint64_t page = (bm->base >> LM_VHOST_LOG_PAGE_SHIFT) + n * LM_WORD_BITS;
	unsigned int shift = page % LM_WORD_BITS;
	uint64_t bits = bm->words[n];

	if (bits << shift != 0)
		merge_or(v, page / LM_WORD_BITS, bits << shift);
	if (shift != 0 && bits >> (LM_WORD_BITS - shift) != 0)
		merge_or(v, page / LM_WORD_BITS + 1, bits >> (LM_WORD_BITS - shift));
}

/* Larger pages: each dirty one is a range of the log. */
static void
merge_wide_word(struct lm_log_visit *v, const struct lm_bitmap *bm, uint64_t n)
{
	unsigned int wider = bm->page_shift - LM_VHOST_LOG_PAGE_SHIFT;
	uint64_t base = bm->base >> LM_VHOST_LOG_PAGE_SHIFT;
	uint64_t bit = 0, run;

	while ((run = lm_bits_next_run(&bm->words[n], LM_WORD_BITS, &bit)) != 0) {
		uint64_t first = base + ((n * LM_WORD_BITS + bit) << wider);

		merge_pages(v, first, first + (run << wider) - 1);
		bit += run;
	}
}

/* Eight words, a cache line: much faster than one by one where most are clean. */
static bool
are_clean(const uint64_t *w)
{
	return (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) == 0;
}

static void
merge_group(struct lm_log_visit *v, const struct lm_bitmap *bm, uint64_t first)
{
	uint64_t i, left = bm->nb_words - first;
	uint64_t end = first + (left < LM_BITMAP_GROUP_WORDS ? left : LM_BITMAP_GROUP_WORDS);

	for (i = first; i < end; i++) {
		if (i % 8 == 0 && i + 8 <= end && are_clean(&bm->words[i])) {
			i += 7;
			continue;
		}
		if (bm->words[i] == 0)
			continue;
		if (bm->page_shift == LM_VHOST_LOG_PAGE_SHIFT)
			merge_word(v, bm, i);
		else
			merge_wide_word(v, bm, i);
	}
}

int
lm_vhost_log_merge(struct lm_vhost_log *log, const struct lm_bitmap *bm)
{
	struct lm_log_visit v;
	uint64_t s, groups;

	lm_bits_fence_for_skip();
	for (s = 0; s < lm_bitmap_nb_summary(bm); s++) {
		if (bm->summary[s] == 0)
			continue;
		/* A visit for each GiB of 4 KiB pages, so that a detach waits briefly only. */
		lm_log_visit_begin(&v, log, bm);
		for (groups = bm->summary[s]; groups != 0; groups &= groups - 1)
			merge_group(&v, bm, (s * LM_WORD_BITS + lm_bits_lowest(groups)) *
					LM_BITMAP_GROUP_WORDS);
		lm_log_visit_end(&v);
	}
	atomic_fetch_add_explicit(&log->nb_merges, 1, memory_order_relaxed);
	return 0;
}
