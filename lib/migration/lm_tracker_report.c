/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lm_bitmap_pvt.h"
#include "lm_timeline.h"
#include "lm_tracker_pvt.h"

void
lm_track_failed(struct lm_tracker *t, struct lm_track_source *s, const char *what,
		uint64_t len_bytes, int error)
{
	char event[28];

	if (s->failures++ != 0)
		return;
	snprintf(event, sizeof(event), "%.9s: %.16s", what, s->name);
	lm_timeline_add(t->timeline, "dirty", event, len_bytes, error);
}

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Mark [first, last] of IOVA, cut to the map. */
static void
mark_part(struct lm_track_map *m, uint64_t first, uint64_t last)
{
	first = max_u64(first, m->iv.from);
	last = min_u64(last, lm_track_map_last(m));
	lm_bitmap_mark(m->kept, m->iv.to + (first - m->iv.from), last - first + 1);
}

/* One report: what it is for, and what it said. */
struct report {
	uint64_t first; /* IOVA */
	uint64_t last;
	unsigned int shift;
	uint64_t nb_bits;
	const uint64_t *words;
};

static uint64_t
bit_first(const struct report *r, uint64_t bit)
{
	return r->first + (bit << r->shift);
}

/* The same pages on both sides, shifted at most: words go over as they are. */
static void
take_words(struct lm_track_map *m, const struct report *r)
{
	uint64_t first = max_u64(r->first, m->iv.from);
	uint64_t last = min_u64(r->last, lm_track_map_last(m));
	uint64_t to = m->iv.to + (first - m->iv.from) - m->kept->base;

	lm_bitmap_or_pages(m->kept, to >> r->shift, r->words, (first - r->first) >> r->shift,
			((last - first) >> r->shift) + 1);
}

/* Pages of another size or alignment: each run becomes a range of bytes, rounded outward. */
static void
take_runs(struct lm_track_map *m, const struct report *r)
{
	uint64_t bit = m->iv.from > r->first ? (m->iv.from - r->first) >> r->shift : 0, run;
	uint64_t end = ((min_u64(r->last, lm_track_map_last(m)) - r->first) >> r->shift) + 1;

	while ((run = lm_bits_next_run(r->words, end, &bit)) != 0) {
		bit += run;
		mark_part(m, bit_first(r, bit - run),
				bit == r->nb_bits ? r->last : bit_first(r, bit) - 1);
	}
}

static void
take_report(struct lm_tracker *t, const struct report *r, bool failed)
{
	unsigned int i;

	/* All that it reaches, not only what it was asked for: it has been cleared there too. */
	for (i = lm_track_find(t, r->first); i < t->nb_maps; i++) {
		struct lm_track_map *m = t->maps[i];

		if (m->iv.from > r->last)
			return;
		if (failed)
			mark_part(m, r->first, r->last);
		else if (r->shift == m->kept->page_shift)
			take_words(m, r);
		else
			take_runs(m, r);
	}
}

static uint64_t
count_bits(uint64_t *words, uint64_t nb_bits)
{
	/* What is beyond the last bit is not the device's to say. */
	if (nb_bits % LM_WORD_BITS != 0)
		words[nb_bits / LM_WORD_BITS] &= lm_bits_mask(0, nb_bits % LM_WORD_BITS - 1);
	return lm_bits_count_words(words, (nb_bits - 1) / LM_WORD_BITS + 1);
}

/* [first, last] fits into the buffer. Words are written just before, so they are there (DMA). */
static void
report_once(struct lm_tracker *t, struct lm_track_source *s, uint64_t first, uint64_t last)
{
	struct report r = {
		.first = first,
		.last = last,
		.shift = lm_bits_lowest(s->page_size_bytes),
		.words = s->words,
	};
	int ret;

	r.nb_bits = ((last - first) >> r.shift) + 1;
	memset(s->words, 0, ((r.nb_bits - 1) / LM_WORD_BITS + 1) * sizeof(s->words[0]));
	ret = s->ops->report(s->src, first, last - first + 1, s->page_size_bytes, s->words);
	s->reports++;
	if (ret != 0)
		lm_track_failed(t, s, "no report", last - first + 1, ret);
	else
		s->dirty_pages += count_bits(s->words, r.nb_bits);
	take_report(t, &r, ret != 0);
}

/* [first, last] of a range, as aligned as the device wants it and in pieces that fit. */
static void
report_piece(struct lm_tracker *t, struct lm_track_source *s, const struct lm_range *range,
		uint64_t first, uint64_t last)
{
	uint64_t unit = lm_track_align(s) * s->page_size_bytes;
	uint64_t most = s->most_pages * s->page_size_bytes, left;

	first -= (first - range->addr) % unit;
	left = last - range->addr;
	/* A device that works in words clears all of the last one (pds): ask for all of it. */
	left += unit - 1 - left % unit;
	last = range->addr + min_u64(left, range->len_bytes - 1);
	while (last - first >= most) {
		report_once(t, s, first, first + (most - 1));
		first += most;
	}
	report_once(t, s, first, last);
}

/*
 * Next map at or after *at that begins up to last and that sources know: fresh memory is dirty
 * anyway.
 */
static struct lm_track_map *
next_known(struct lm_tracker *t, unsigned int *at, uint64_t last)
{
	for (; *at < t->nb_maps && t->maps[*at]->iv.from <= last; (*at)++)
		if (!t->maps[*at]->fresh)
			return t->maps[*at];
	return NULL;
}

/* Whatever of the range is mapped and wanted, neighbours in one go, holes never. */
static void
report_mapped(struct lm_tracker *t, struct lm_track_source *s, const struct lm_range *range,
		uint64_t first, uint64_t last)
{
	unsigned int i = lm_track_find(t, first);
	struct lm_track_map *m = next_known(t, &i, last);

	while (m != NULL) {
		uint64_t begin = max_u64(first, m->iv.from), end;

		do {
			end = min_u64(lm_track_map_last(m), last);
			i++;
			m = end == last ? NULL : next_known(t, &i, last);
		} while (m != NULL && m->iv.from == end + 1);
		report_piece(t, s, range, begin, end);
	}
}

void
lm_track_report(struct lm_tracker *t, struct lm_track_source *s, uint64_t first, uint64_t last)
{
	unsigned int i, at;

	for (i = 0; i < s->nb_ranges; i++) {
		const struct lm_range *range = &s->ranges[i];
		uint64_t from = max_u64(first, range->addr);
		uint64_t to = min_u64(last, lm_range_last(range));

		if (from > to)
			continue;
		at = lm_track_find(t, from);
		if (!s->traits.whole_ranges)
			report_mapped(t, s, range, from, to);
		else if (next_known(t, &at, to) != NULL)
			report_once(t, s, range->addr, lm_range_last(range));
	}
}
