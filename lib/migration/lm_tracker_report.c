/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

static struct report
report_of(const struct lm_track_source *s, const struct lm_track_piece *piece)
{
	struct report r = {
		.first = piece->first,
		.last = piece->last,
		.shift = lm_bits_lowest(s->page_size_bytes),
		.words = s->words,
	};

	r.nb_bits = ((r.last - r.first) >> r.shift) + 1;
	return r;
}

/* A piece fits into the buffer. Words are written just before, so they are there (DMA). */
int
lm_track_read(struct lm_track_source *s, const struct lm_track_piece *piece)
{
	const struct report r = report_of(s, piece);

	memset(s->words, 0, ((r.nb_bits - 1) / LM_WORD_BITS + 1) * sizeof(s->words[0]));
	return s->ops->report(s->src, r.first, r.last - r.first + 1, s->page_size_bytes, s->words);
}

void
lm_track_take(struct lm_tracker *t, struct lm_track_source *s, const struct lm_track_piece *piece,
		int error)
{
	const struct report r = report_of(s, piece);

	s->reports++;
	if (error != 0)
		lm_track_failed(t, s, "no report", r.last - r.first + 1, error);
	else
		s->dirty_pages += count_bits(s->words, r.nb_bits);
	take_report(t, &r, error != 0);
}

static int
add_piece(struct lm_track_source *s, uint64_t first, uint64_t last)
{
	unsigned int max = s->max_pieces == 0 ? 16 : 2 * s->max_pieces;
	struct lm_track_piece *pieces;

	if (s->nb_pieces == s->max_pieces) {
		pieces = realloc(s->pieces, max * sizeof(pieces[0]));
		if (pieces == NULL)
			return -ENOMEM;
		s->pieces = pieces;
		s->max_pieces = max;
	}
	s->pieces[s->nb_pieces++] = (struct lm_track_piece){ first, last };
	return 0;
}

/* [first, last] of a range, as aligned as the device wants it and in pieces that fit. */
static int
plan_part(struct lm_track_source *s, const struct lm_range *range, uint64_t first, uint64_t last)
{
	uint64_t unit = lm_track_align(s) * s->page_size_bytes;
	uint64_t most = s->most_pages * s->page_size_bytes, left;
	int ret = 0;

	first -= (first - range->addr) % unit;
	left = last - range->addr;
	/* A device that works in words clears all of the last one (pds): ask for all of it. */
	left += unit - 1 - left % unit;
	last = range->addr + min_u64(left, range->len_bytes - 1);
	while (last - first >= most && ret == 0) {
		ret = add_piece(s, first, first + (most - 1));
		first += most;
	}
	return ret == 0 ? add_piece(s, first, last) : ret;
}

/*
 * Next map at or after *at that begins up to last and that sources know: fresh memory is dirty
 * anyway.
 */
static struct lm_track_map *
next_known(const struct lm_tracker *t, unsigned int *at, uint64_t last)
{
	for (; *at < t->nb_maps && t->maps[*at]->iv.from <= last; (*at)++)
		if (!t->maps[*at]->fresh)
			return t->maps[*at];
	return NULL;
}

/* Whatever of the range is mapped and wanted, neighbours in one go, holes never. */
static int
plan_mapped(const struct lm_tracker *t, struct lm_track_source *s, const struct lm_range *range,
		uint64_t first, uint64_t last)
{
	unsigned int i = lm_track_find(t, first);
	struct lm_track_map *m = next_known(t, &i, last);
	int ret = 0;

	while (m != NULL && ret == 0) {
		uint64_t begin = max_u64(first, m->iv.from), end;

		do {
			end = min_u64(lm_track_map_last(m), last);
			i++;
			m = end == last ? NULL : next_known(t, &i, last);
		} while (m != NULL && m->iv.from == end + 1);
		ret = plan_part(s, range, begin, end);
	}
	return ret;
}

int
lm_track_plan(const struct lm_tracker *t, struct lm_track_source *s, uint64_t first, uint64_t last)
{
	unsigned int i, at;
	int ret = 0;

	s->nb_pieces = 0;
	for (i = 0; i < s->nb_ranges && ret == 0; i++) {
		const struct lm_range *range = &s->ranges[i];
		uint64_t from = max_u64(first, range->addr);
		uint64_t to = min_u64(last, lm_range_last(range));

		if (from > to)
			continue;
		at = lm_track_find(t, from);
		if (!s->traits.whole_ranges)
			ret = plan_mapped(t, s, range, from, to);
		else if (next_known(t, &at, to) != NULL)
			ret = add_piece(s, range->addr, lm_range_last(range));
	}
	if (ret != 0)
		s->nb_pieces = 0;
	return ret;
}
