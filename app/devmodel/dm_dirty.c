/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_dirty.h"

#define DM_DIRTY_FIRST_WORDS 1024u
#define DM_DIRTY_PAGE_BYTES 4096u

static struct dm_dirty_word *
dm_dirty_slot(struct dm_dirty_word *words, uint64_t nb_words, uint64_t key)
{
	/* Fibonacci hashing: neighbours spread over the table. */
	uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20;

	while (words[at & (nb_words - 1)].key != 0 && words[at & (nb_words - 1)].key != key)
		at++;
	return &words[at & (nb_words - 1)];
}

static int
dm_dirty_grow(struct dm_dirty *d)
{
	uint64_t nb = d->nb_words * 2;
	struct dm_dirty_word *words = calloc(nb, sizeof(*words));
	uint64_t i;

	if (words == NULL)
		return -ENOMEM;
	for (i = 0; i < d->nb_words; i++)
		if (d->words[i].key != 0)
			*dm_dirty_slot(words, nb, d->words[i].key) = d->words[i];
	free(d->words);
	d->words = words;
	d->nb_words = nb;
	return 0;
}

int
dm_dirty_ranges_check(const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t page_size_bytes)
{
	uint32_t i;

	if (page_size_bytes < DM_DIRTY_PAGE_BYTES || (page_size_bytes & (page_size_bytes - 1)) != 0)
		return -EINVAL;
	for (i = 0; i < nb_ranges; i++) {
		if (ranges[i].length_bytes == 0 ||
				(ranges[i].iova | ranges[i].length_bytes) % page_size_bytes != 0)
			return -EINVAL;
		if (ranges[i].iova + (ranges[i].length_bytes - 1) < ranges[i].iova)
			return -EOVERFLOW;
	}
	return 0;
}

int
dm_dirty_start(struct dm_dirty *d, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes)
{
	uint64_t min_bytes = d->conf.min_page_bytes, max_bytes = d->conf.max_page_bytes;

	if (d->on)
		return -EINVAL;
	if (nb_ranges > DM_DIRTY_MAX_RANGES ||
			(d->conf.max_ranges != 0 && nb_ranges > d->conf.max_ranges))
		return -E2BIG;
	d->words = calloc(DM_DIRTY_FIRST_WORDS, sizeof(*d->words));
	if (d->words == NULL)
		return -ENOMEM;
	d->nb_words = DM_DIRTY_FIRST_WORDS;
	d->nb_used = 0;

	min_bytes = min_bytes == 0 ? DM_DIRTY_PAGE_BYTES : min_bytes;
	max_bytes = max_bytes == 0 ? min_bytes : max_bytes;
	d->page_bytes = *page_size_bytes < min_bytes ? min_bytes :
			*page_size_bytes > max_bytes ? max_bytes : *page_size_bytes;
	*page_size_bytes = d->page_bytes;
	d->nb_ranges = nb_ranges;
	if (nb_ranges > 0)
		memcpy(d->ranges, ranges, nb_ranges * sizeof(*ranges));
	d->marked = 0;
	d->reports = 0;
	d->lost = false;
	d->on = true;
	return 0;
}

int
dm_dirty_stop(struct dm_dirty *d)
{
	if (!d->on)
		return -EINVAL;
	free(d->words);
	d->words = NULL;
	d->on = false;
	return 0;
}

static const struct lm_vu_range *
dm_dirty_range(const struct dm_dirty *d, uint64_t iova)
{
	const struct lm_vu_range *r;

	for (r = d->ranges; r < d->ranges + d->nb_ranges; r++)
		if (iova >= r->iova && iova - r->iova < r->length_bytes)
			return r;
	return NULL;
}

static void
dm_dirty_mark_page(struct dm_dirty *d, uint64_t page)
{
	uint64_t key = page / 64 + 1;
	struct dm_dirty_word *w = dm_dirty_slot(d->words, d->nb_words, key);

	if (w->key == 0) {
		if ((d->nb_used + 1) * 4 > d->nb_words * 3) {
			if (dm_dirty_grow(d) != 0) {
				d->lost = true;
				return;
			}
			w = dm_dirty_slot(d->words, d->nb_words, key);
		}
		w->key = key;
		d->nb_used++;
	}
	w->bits |= UINT64_C(1) << (page % 64);
	d->marked++;
}

void
dm_dirty_mark(struct dm_dirty *d, uint64_t iova, uint64_t len_bytes)
{
	uint64_t page, last;

	if (!d->on || len_bytes == 0 || (d->nb_ranges != 0 && dm_dirty_range(d, iova) == NULL))
		return;
	last = (iova + (len_bytes - 1)) / d->page_bytes;
	for (page = iova / d->page_bytes; page <= last; page++)
		dm_dirty_mark_page(d, page);
}

static int
dm_dirty_report_check(const struct dm_dirty *d, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes)
{
	const struct lm_vu_range *r;

	if (!d->on || (d->conf.fixed_page && page_size_bytes != d->page_bytes))
		return -EINVAL;
	if (d->lost)
		return -ENOMEM;
	if (d->conf.align_pages == 0 || d->nb_ranges == 0)
		return 0;
	r = dm_dirty_range(d, iova);
	if (r == NULL || length_bytes > r->length_bytes - (iova - r->iova) ||
			(iova - r->iova) / d->page_bytes % d->conf.align_pages != 0)
		return -EINVAL;
	return 0;
}

/* One page of the log into the bitmap; true when all of it lay in the range. */
static bool
dm_dirty_report_page(const struct dm_dirty *d, uint64_t page, const struct lm_vu_range *range,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	uint64_t first = page * d->page_bytes, last = first + (d->page_bytes - 1);
	uint64_t end = range->iova + (range->length_bytes - 1);
	bool whole = first >= range->iova && last <= end;
	uint64_t bit, last_bit;

	if (last < range->iova || first > end)
		return false;
	first = first < range->iova ? range->iova : first;
	last = last > end ? end : last;
	last_bit = (last - range->iova) / page_size_bytes;
	for (bit = (first - range->iova) / page_size_bytes; bit <= last_bit; bit++)
		bitmap[bit / 64] |= UINT64_C(1) << (bit % 64);
	return whole;
}

int
dm_dirty_report(struct dm_dirty *d, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	const struct lm_vu_range range = { .iova = iova, .length_bytes = length_bytes };
	int ret = dm_dirty_report_check(d, iova, length_bytes, page_size_bytes);
	uint64_t first_key, last_key, i, bit;

	if (ret != 0)
		return ret;
	d->reports++;
	first_key = iova / d->page_bytes / 64 + 1;
	last_key = (iova + (length_bytes - 1)) / d->page_bytes / 64 + 1;
	for (i = 0; i < d->nb_words; i++) {
		struct dm_dirty_word *w = &d->words[i];

		if (w->key < first_key || w->key > last_key || w->bits == 0)
			continue;
		for (bit = 0; bit < 64; bit++)
			if ((w->bits >> bit & 1) != 0 && dm_dirty_report_page(d,
					(w->key - 1) * 64 + bit, &range, page_size_bytes, bitmap))
				w->bits &= ~(UINT64_C(1) << bit);
	}
	return 0;
}
