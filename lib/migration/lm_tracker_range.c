/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_bits.h"
#include "lm_tracker_pvt.h"

#define PAGE_BYTES_MIN UINT64_C(4096)
#define PAGE_BYTES_MAX (UINT64_C(1) << 30)

/*
 * Mappings in ascending order. Neighbours become one, unless a report must cover a range exactly:
 * then a range is what was mapped for the device.
 */
static unsigned int
from_maps(const struct lm_tracker *t, bool join, struct lm_range *ranges)
{
	unsigned int i, nb = 0;

	for (i = 0; i < t->nb_maps; i++) {
		const struct lm_interval *iv = &t->maps[i]->iv;

		if (join && nb != 0 && lm_range_last(&ranges[nb - 1]) + 1 == iv->from) {
			ranges[nb - 1].len_bytes += iv->len_bytes;
			continue;
		}
		ranges[nb].addr = iv->from;
		ranges[nb].len_bytes = iv->len_bytes;
		nb++;
	}
	return nb;
}

/* Closes the smallest gap. */
static void
close_gap(struct lm_range *ranges, unsigned int *nb)
{
	uint64_t gap, least = UINT64_MAX;
	unsigned int i, at = 1;

	for (i = 1; i < *nb; i++) {
		gap = ranges[i].addr - lm_range_last(&ranges[i - 1]);
		if (gap < least) {
			least = gap;
			at = i;
		}
	}
	ranges[at - 1].len_bytes = lm_range_last(&ranges[at]) - ranges[at - 1].addr + 1;
	memmove(&ranges[at], &ranges[at + 1], (*nb - at - 1) * sizeof(ranges[0]));
	(*nb)--;
}

int
lm_track_ranges_make(const struct lm_tracker *t, struct lm_track_source *s)
{
	struct lm_range *ranges = calloc(t->nb_maps, sizeof(ranges[0]));
	unsigned int nb;

	if (ranges == NULL)
		return -ENOMEM;
	s->ranges = ranges;
	nb = from_maps(t, !s->traits.whole_ranges, ranges);
	while (s->traits.max_ranges != 0 && nb > s->traits.max_ranges)
		close_gap(ranges, &nb);
	s->nb_ranges = nb;
	/* From the first address to the last. */
	return ranges[0].len_bytes == 0 ? -E2BIG : 0;
}

static uint64_t
pages_of(uint64_t len_bytes, uint64_t page_size_bytes)
{
	return (len_bytes - 1) / page_size_bytes + 1;
}

int
lm_track_buffer_make(struct lm_track_source *s, uint64_t own_page_bytes, uint64_t page_size_bytes)
{
	uint64_t align = lm_track_align(s), pages, most = 0;
	unsigned int i;

	if (page_size_bytes < PAGE_BYTES_MIN || page_size_bytes > PAGE_BYTES_MAX ||
			(page_size_bytes & (page_size_bytes - 1)) != 0)
		return -EINVAL;
	/* A device that converts is asked in our pages: larger ones would only say less. */
	s->page_size_bytes = s->traits.fixed_page_size ? page_size_bytes : own_page_bytes;
	for (i = 0; i < s->nb_ranges; i++) {
		pages = pages_of(s->ranges[i].len_bytes, s->page_size_bytes);
		if (pages > most)
			most = pages;
	}
	s->most_pages = align < LM_TRACKER_REPORT_PAGES ?
		LM_TRACKER_REPORT_PAGES / align * align : align;
	if (!s->traits.whole_ranges && most > s->most_pages)
		most = s->most_pages;
	s->words = calloc((most - 1) / LM_WORD_BITS + 1, sizeof(s->words[0]));
	return s->words == NULL ? -ENOMEM : 0;
}

void
lm_track_ranges_free(struct lm_track_source *s)
{
	free(s->ranges);
	free(s->words);
	s->ranges = NULL;
	s->words = NULL;
	s->nb_ranges = 0;
}
