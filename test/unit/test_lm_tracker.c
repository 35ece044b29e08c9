/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sources of every kind into one sink, with a device that fails the test when it is asked what it
 * cannot answer. What a tracker must never do is forget a page: when a source fails, when memory
 * comes and goes, when the sink is not ready.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lm_ram.h"
#include "lm_timeline.h"
#include "lm_tracker.h"
#include "lm_vhost_log.h"
#include "track_device.h"

#define PAGE TRACK_PAGE
#define SHIFT UINT64_C(0x100005000) /* from IOVA to address: not a multiple of 64 pages */

struct sink {
	uint8_t pages[TRACK_PAGES]; /* by IOVA, found by subtracting SHIFT */
	int error;
};

static int
sink_run(void *ctx, uint64_t addr, uint64_t len_bytes)
{
	struct sink *s = ctx;
	uint64_t page = (addr - SHIFT) / PAGE;

	assert_true(addr >= SHIFT && page + len_bytes / PAGE <= TRACK_PAGES);
	memset(&s->pages[page], 1, len_bytes / PAGE);
	return 0;
}

static int
sink_merge(void *ctx, const struct lm_bitmap *bm)
{
	struct sink *s = ctx;

	return s->error != 0 ? s->error : lm_bitmap_foreach_run(bm, sink_run, ctx);
}

struct world {
	struct lm_tracker *t;
	struct lm_timeline *timeline;
	struct track_device d;
	struct sink sink;
};

static struct world *
create(uint64_t page_size)
{
	struct world *w = calloc(1, sizeof(*w));
	struct lm_tracker_conf conf = { .page_size_bytes = page_size };

	assert_non_null(w);
	assert_int_equal(lm_timeline_create("test", &w->timeline), 0);
	conf.timeline = w->timeline;
	assert_int_equal(lm_tracker_create(&conf, &w->t), 0);
	return w;
}

static void
destroy(struct world *w)
{
	lm_tracker_destroy(w->t);
	assert_false(w->d.running);
	lm_timeline_destroy(w->timeline);
	free(w);
}

static void
map(struct world *w, uint64_t page, uint64_t nb)
{
	const struct lm_interval iv = {
		.from = page * PAGE,
		.to = page * PAGE + SHIFT,
		.len_bytes = nb * PAGE,
	};

	assert_int_equal(lm_tracker_map(w->t, &iv), 0);
	memset(&w->d.mapped[page], true, nb);
}

static void
unmap(struct world *w, uint64_t page, uint64_t nb)
{
	assert_int_equal(lm_tracker_unmap(w->t, page * PAGE, nb * PAGE), 0);
	memset(&w->d.mapped[page], false, nb);
}

static void
add_device(struct world *w)
{
	const struct lm_source_conf conf = {
		.name = "device",
		.ops = &track_device_ops,
		.src = &w->d,
		.traits = w->d.traits,
	};

	assert_int_equal(lm_tracker_add_source(w->t, &conf), 0);
}

static int
harvest(struct world *w)
{
	const struct lm_sink sink = { .merge = sink_merge, .ctx = &w->sink };

	memset(w->sink.pages, 0, sizeof(w->sink.pages));
	return lm_tracker_harvest(w->t, &sink);
}

/* The last harvest gave exactly these pages, in ascending order. */
static void
gave(const struct world *w, unsigned int nb, ...)
{
	unsigned int page, left = nb, next = UINT32_MAX;
	va_list ap;

	va_start(ap, nb);
	if (left != 0)
		next = va_arg(ap, unsigned int);
	for (page = 0; page < TRACK_PAGES; page++) {
		if (w->sink.pages[page] != (left != 0 && page == next))
			fail_msg("page %u is %d", page, w->sink.pages[page]);
		if (left != 0 && page == next && --left != 0)
			next = va_arg(ap, unsigned int);
	}
	va_end(ap);
	assert_int_equal(left, 0);
}

static unsigned int
nb_given(const struct world *w)
{
	unsigned int page, nb = 0;

	for (page = 0; page < TRACK_PAGES; page++)
		nb += w->sink.pages[page];
	return nb;
}

static struct lm_source_stats
stats_of(const struct world *w)
{
	struct lm_source_stats stats;

	assert_int_equal(lm_tracker_stats(w->t, 0, &stats), 0);
	return stats;
}

static void
test_refusals(void **state)
{
	static const uint64_t bad_pages[] = { 0, 2048, 12288, UINT64_C(1) << 31 };
	const struct lm_caps no_log = { 0 };
	const struct lm_provider provider = { .ops = &track_device_provider };
	struct world *w = create(PAGE);
	struct lm_source_stats stats;
	struct lm_tracker *t = NULL;
	char name[65] = "";
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(lm_tracker_create(&(struct lm_tracker_conf){
				.page_size_bytes = bad_pages[i] }, &t), -EINVAL);
	map(w, 10, 5);
	assert_int_equal(lm_tracker_map(w->t, &(struct lm_interval){ 0, 0, 0 }), -EINVAL);
	assert_int_equal(lm_tracker_map(w->t, &(struct lm_interval){ 1, 0, PAGE }), -EINVAL);
	assert_int_equal(lm_tracker_map(w->t, &(struct lm_interval){ 0, 1, PAGE }), -EINVAL);
	assert_int_equal(lm_tracker_map(w->t, &(struct lm_interval){ 0, 0, 1 }), -EINVAL);
	assert_int_equal(lm_tracker_map(w->t,
			&(struct lm_interval){ -PAGE, 0, 2 * PAGE }), -EINVAL);
	assert_int_equal(lm_tracker_map(w->t,
			&(struct lm_interval){ 0, -PAGE, 2 * PAGE }), -EINVAL);
	assert_int_equal(lm_tracker_map(w->t,
			&(struct lm_interval){ 14 * PAGE, 0, PAGE }), -EEXIST);
	assert_int_equal(lm_tracker_map(w->t,
			&(struct lm_interval){ 9 * PAGE, 0, 2 * PAGE }), -EEXIST);
	assert_int_equal(lm_tracker_unmap(w->t, 10 * PAGE, PAGE), -ENOENT);
	assert_int_equal(lm_tracker_unmap(w->t, 11 * PAGE, 5 * PAGE), -ENOENT);
	assert_int_equal(lm_tracker_unmap(w->t, 15 * PAGE, PAGE), -ENOENT);
	unmap(w, 10, 5);

	assert_int_equal(lm_tracker_start(w->t), -ENODEV);
	assert_int_equal(harvest(w), -EINVAL);
	assert_int_equal(lm_tracker_add_blind(w->t, ""), -EINVAL);
	memset(name, 'x', 64);
	assert_int_equal(lm_tracker_add_blind(w->t, name), -EINVAL);
	add_device(w);
	assert_int_equal(lm_tracker_add_blind(w->t, "device"), -EEXIST);
	assert_int_equal(lm_tracker_add_provider(w->t, "p", &provider, &no_log), -ENOTSUP);
	assert_int_equal(lm_tracker_stats(w->t, 1, &stats), -ENOENT);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(lm_tracker_start(w->t), -EALREADY);
	assert_int_equal(lm_tracker_add_blind(w->t, "late"), -EBUSY);
	assert_int_equal(w->d.starts, 0); /* there is no memory */
	assert_int_equal(harvest(w), 0);
	destroy(w);
	lm_tracker_destroy(NULL);
}

static void
test_harvest(void **state)
{
	struct world *w = create(PAGE);

	(void)state;
	w->d.no_holes = true;
	map(w, 7, 100);
	map(w, 107, 10); /* a neighbour: one range */
	map(w, 200, 1);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(w->d.nb_ranges, 2);
	track_device_write(&w->d, 7 * PAGE, 1);
	track_device_write(&w->d, 106 * PAGE + 4095, 2);
	track_device_write(&w->d, 200 * PAGE, PAGE);
	assert_int_equal(harvest(w), 0);
	gave(w, 4, 7, 106, 107, 200);
	assert_int_equal(w->d.reports, 2);
	assert_int_equal(harvest(w), 0);
	gave(w, 0);
	track_device_write(&w->d, 116 * PAGE, 1);
	assert_int_equal(lm_tracker_stop(w->t), 0);
	assert_int_equal(w->d.stops, 1);
	assert_int_equal(harvest(w), -EINVAL);
	assert_int_equal(stats_of(w).dirty_pages, 4);
	assert_int_equal(stats_of(w).page_size_bytes, PAGE);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(stats_of(w).reports, 0);
	destroy(w);
}

static void
test_sink_not_ready(void **state)
{
	struct world *w = create(PAGE);

	(void)state;
	map(w, 0, 200);
	map(w, 300, 10);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	track_device_write(&w->d, 100 * PAGE, 1);
	track_device_write(&w->d, 305 * PAGE, 1);
	unmap(w, 300, 10);
	w->sink.error = -EAGAIN;
	assert_int_equal(harvest(w), -EAGAIN);
	track_device_write(&w->d, 150 * PAGE, 1);
	unmap(w, 0, 200);
	assert_int_equal(harvest(w), -EAGAIN);
	w->sink.error = 0;
	assert_int_equal(harvest(w), 0);
	gave(w, 3, 100, 150, 305);
	assert_int_equal(harvest(w), 0);
	gave(w, 0);
	map(w, 0, 4);
	unmap(w, 0, 4);
	lm_tracker_stop(w->t);
	assert_int_equal(lm_tracker_start(w->t), 0); /* forgets what was kept */
	assert_int_equal(harvest(w), 0);
	gave(w, 0);
	destroy(w);
}

static void
test_memory_comes_and_goes(void **state)
{
	struct world *w = create(PAGE);

	(void)state;
	w->d.no_holes = true;
	map(w, 0, 10);
	map(w, 10, 10);
	map(w, 20, 10);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	map(w, 50, 2);
	assert_int_equal(harvest(w), 0);
	gave(w, 2, 50, 51);
	assert_int_equal(harvest(w), 0);
	gave(w, 2, 50, 51);
	unmap(w, 50, 2);
	track_device_write(&w->d, 15 * PAGE, 1);
	unmap(w, 10, 10);
	track_device_write(&w->d, 15 * PAGE, 1); /* after it was unmapped: nobody's */
	track_device_write(&w->d, 9 * PAGE, 1);
	assert_int_equal(harvest(w), 0);
	gave(w, 4, 9, 15, 50, 51);
	map(w, 12, 2); /* within a started range, yet new */
	assert_int_equal(harvest(w), 0);
	gave(w, 2, 12, 13);
	lm_tracker_stop(w->t);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(harvest(w), 0);
	gave(w, 0);
	destroy(w);
}

static void
test_failures(void **state)
{
	struct lm_timeline_event events[4];
	struct world *w = create(PAGE);
	struct track_device second = { .start_error = -EIO };
	const struct lm_source_conf conf = {
		.name = "second",
		.ops = &track_device_ops,
		.src = &second,
	};

	(void)state;
	map(w, 0, 70);
	map(w, 100, 30);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	w->d.report_error = -EIO;
	track_device_write(&w->d, 3 * PAGE, 1);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 100);
	assert_int_equal(stats_of(w).failures, 2);
	unmap(w, 100, 30);
	w->d.report_error = 0;
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 31);
	w->d.stop_error = -ETIMEDOUT;
	lm_tracker_stop(w->t);
	assert_int_equal(stats_of(w).failures, 4);
	assert_int_equal(lm_tracker_add_source(w->t, &conf), 0);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 70);
	map(w, 80, 3);
	unmap(w, 0, 70);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 73);
	assert_int_equal(lm_timeline_read(w->timeline, 0, events, 4), 2);
	assert_string_equal(events[0].event, "no report: device");
	assert_int_equal(events[0].error, -EIO);
	assert_string_equal(events[1].event, "no start: second");
	destroy(w);
}

/* What a device says of itself is not believed. */
static void
test_bad_page_sizes(void **state)
{
	static const uint64_t bad[] = { 1, 2048, 12288, UINT64_C(1) << 31, UINT64_C(1) << 63 };
	struct lm_source_stats stats;
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		struct world *w = create(PAGE);

		w->d.page_size_bytes = bad[i];
		map(w, 0, 5);
		add_device(w);
		assert_int_equal(lm_tracker_start(w->t), 0);
		stats = stats_of(w);
		assert_true(stats.blind);
		assert_int_equal(w->d.stops, 1);
		assert_int_equal(harvest(w), 0);
		assert_int_equal(nb_given(w), 5);
		destroy(w);
	}
}

static void
test_blind(void **state)
{
	struct world *w = create(PAGE);

	(void)state;
	map(w, 64, 128);
	map(w, 300, 1);
	assert_int_equal(lm_tracker_add_blind(w->t, "blind"), 0);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 129);
	unmap(w, 64, 128);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 129);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 1);
	assert_true(stats_of(w).blind);
	destroy(w);
}

static void
test_align_pages(void **state)
{
	struct world *w = create(PAGE);

	(void)state;
	w->d.traits.align_pages = 64;
	w->d.traits.max_ranges = 2;
	map(w, 3, 100);
	map(w, 110, 7); /* its report begins in the range's second word, at page 67 */
	map(w, 1000, 1);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(w->d.nb_ranges, 2); /* the small gap was closed */
	assert_int_equal(w->d.ranges[0].len_bytes, 114 * PAGE);
	track_device_write(&w->d, 3 * PAGE, PAGE);
	track_device_write(&w->d, 105 * PAGE, PAGE); /* in the gap */
	track_device_write(&w->d, 116 * PAGE, PAGE);
	track_device_write(&w->d, 1000 * PAGE, PAGE);
	assert_int_equal(harvest(w), 0);
	gave(w, 3, 3, 116, 1000);
	/* Reading 110 for its unmap clears 70 as well. */
	track_device_write(&w->d, 70 * PAGE, PAGE);
	track_device_write(&w->d, 115 * PAGE, PAGE);
	unmap(w, 110, 7);
	assert_false(w->d.dirty[70]);
	assert_int_equal(harvest(w), 0);
	gave(w, 2, 70, 115);
	destroy(w);
}

static void
test_whole_ranges(void **state)
{
	struct world *w = create(PAGE);

	(void)state;
	w->d.traits.whole_ranges = true;
	w->d.traits.fixed_page_size = true;
	w->d.page_size_bytes = 4 * PAGE;
	map(w, 1, 10);
	map(w, 11, 3);
	map(w, 70, 65);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(w->d.nb_ranges, 3); /* neighbours, yet mapped one by one */
	track_device_write(&w->d, 10 * PAGE, 1); /* in the last page of two */
	track_device_write(&w->d, 13 * PAGE, 1);
	track_device_write(&w->d, 134 * PAGE, 1);
	assert_int_equal(harvest(w), 0);
	gave(w, 6, 9, 10, 11, 12, 13, 134);
	track_device_write(&w->d, 5 * PAGE, 1);
	unmap(w, 1, 10);
	assert_int_equal(w->d.reports, 4);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(w->d.reports, 6); /* of two ranges: the third is not the device's now */
	gave(w, 4, 5, 6, 7, 8);
	assert_int_equal(stats_of(w).page_size_bytes, 4 * PAGE);
	destroy(w);
}

/* A part of a range, in pages that reach beyond it. */
static void
test_fixed_page_size(void **state)
{
	struct world *w = create(PAGE);

	(void)state;
	w->d.traits.fixed_page_size = true;
	w->d.traits.max_ranges = 1;
	w->d.page_size_bytes = 4 * PAGE;
	map(w, 1, 5);
	map(w, 8, 10);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	track_device_write(&w->d, 5 * PAGE, 1);
	track_device_write(&w->d, 17 * PAGE, 1);
	assert_int_equal(harvest(w), 0);
	gave(w, 3, 5, 8, 17); /* 6 and 7 are not mapped */
	destroy(w);
}

/* Small pages of a device in large ones of the tracker. */
static void
test_coarse_tracker(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct lm_tracker_conf conf = { .page_size_bytes = 16 * PAGE };
	const struct lm_interval iv = { 16 * PAGE, SHIFT + 11 * PAGE, 64 * PAGE };

	(void)state;
	assert_non_null(w);
	assert_int_equal(lm_tracker_create(&conf, &w->t), 0);
	w->d.traits.fixed_page_size = true;
	w->d.page_size_bytes = PAGE;
	assert_int_equal(lm_tracker_map(w->t, &iv), 0);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	track_device_write(&w->d, 33 * PAGE, 1);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_given(w), 16);
	assert_int_equal(w->sink.pages[11 + 16], 1);
	destroy(w);
}

/* Longer than one report may be, and more than the device can align to. */
static void
test_pieces(void **state)
{
	static const uint32_t aligns[] = { 0, 64, 48, 1000, UINT32_MAX };
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		struct world *w = create(PAGE);

		w->d.traits.align_pages = aligns[i];
		map(w, 1, 4000);
		add_device(w);
		assert_int_equal(lm_tracker_start(w->t), 0);
		track_device_write(&w->d, PAGE, 4000 * PAGE);
		assert_int_equal(harvest(w), 0);
		assert_int_equal(nb_given(w), 4000);
		destroy(w);
	}
}

/* Every start within a word on both sides, lengths around words. */
static void
check_offset(unsigned int from, unsigned int to, unsigned int nb)
{
	const struct lm_interval iv = { from * PAGE, SHIFT + to * PAGE, nb * PAGE };
	struct world *w = create(PAGE);
	unsigned int page;

	assert_int_equal(lm_tracker_map(w->t, &iv), 0);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	for (page = 0; page < nb; page++)
		if ((from + page) * 7 % 5 < 3)
			track_device_write(&w->d, (from + page) * PAGE, 1);
	assert_int_equal(harvest(w), 0);
	for (page = 0; page < nb; page++)
		if (w->sink.pages[to + page] != ((from + page) * 7 % 5 < 3))
			fail_msg("%u pages from %u to %u: page %u is %d", nb, from, to, page,
					w->sink.pages[to + page]);
	destroy(w);
}

static void
test_every_offset(void **state)
{
	static const unsigned int lengths[] = { 1, 63, 64, 65, 127, 128, 129 };
	unsigned int from, to, i;

	(void)state;
	for (from = 0; from < 64; from += 3)
		for (to = 0; to < 64; to++)
			for (i = 0; i < 7; i++)
				check_offset(from, to, lengths[i]);
}

/* 2^24 pages a report: counted by a device that has so much. */
struct huge {
	uint64_t next;
	unsigned int reports;
};

static int
huge_start(void *src, const struct lm_range *ranges, unsigned int nb, uint64_t *page_size_bytes)
{
	(void)src, (void)ranges, (void)page_size_bytes;
	return nb == 1 ? 0 : -EINVAL;
}

static int
huge_report(void *src, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	struct huge *h = src;

	assert_int_equal(iova, h->next);
	assert_true(len_bytes <= page_size_bytes << 24);
	h->next += len_bytes;
	h->reports++;
	bitmap[0] |= 1;
	return 0;
}

static int
huge_stop(void *src)
{
	(void)src;
	return 0;
}

static int
count_run(void *ctx, uint64_t addr, uint64_t len_bytes)
{
	(void)addr;
	*(uint64_t *)ctx += len_bytes / PAGE;
	return 0;
}

static int
count_merge(void *ctx, const struct lm_bitmap *bm)
{
	return lm_bitmap_foreach_run(bm, count_run, ctx);
}

static void
test_huge_memory(void **state)
{
	static const struct lm_source_ops ops = { huge_start, huge_report, huge_stop };
	struct huge h = { .next = UINT64_C(1) << 40 };
	const struct lm_source_conf conf = { .name = "huge", .ops = &ops, .src = &h };
	const uint64_t len = (UINT64_C(1) << 37) + PAGE;
	struct world *w = create(PAGE);
	uint64_t pages = 0;
	const struct lm_sink sink = { .merge = count_merge, .ctx = &pages };

	(void)state;
	assert_int_equal(lm_tracker_map(w->t, &(struct lm_interval){ h.next, 0, len }), 0);
	assert_int_equal(lm_tracker_add_source(w->t, &conf), 0);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(lm_tracker_harvest(w->t, &sink), 0);
	assert_int_equal(h.reports, 3);
	assert_int_equal(h.next, (UINT64_C(1) << 40) + len);
	assert_int_equal(pages, 3);
	destroy(w);
}

/* Both ends of the address space; one range over all of it cannot be said in 64 bits. */
static void
test_ends_of_space(void **state)
{
	static const struct lm_source_ops ops = { huge_start, huge_report, huge_stop };
	struct huge h = { .next = UINT64_MAX - PAGE + 1 };
	struct lm_source_conf conf = { .name = "top", .ops = &ops, .src = &h };
	struct world *w = create(PAGE);
	uint64_t pages = 0;
	const struct lm_sink sink = { .merge = count_merge, .ctx = &pages };

	(void)state;
	assert_int_equal(lm_tracker_map(w->t, &(struct lm_interval){
			UINT64_MAX - PAGE + 1, UINT64_MAX - PAGE + 1, PAGE }), 0);
	conf.traits.max_ranges = 1;
	assert_int_equal(lm_tracker_add_source(w->t, &conf), 0);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(lm_tracker_harvest(w->t, &sink), 0);
	assert_int_equal(pages, 1);
	lm_tracker_stop(w->t);
	assert_int_equal(lm_tracker_map(w->t, &(struct lm_interval){ 0, 0, PAGE }), 0);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_true(stats_of(w).blind);
	destroy(w);
}

static void
test_provider(void **state)
{
	struct world *w = create(PAGE);
	const struct lm_provider provider = { .ops = &track_device_provider, .dev = &w->d };
	struct lm_caps caps = { .dirty = { .present = true, .align_pages = 64 } };

	(void)state;
	w->d.traits = caps.dirty;
	map(w, 0, 10);
	assert_int_equal(lm_tracker_add_provider(w->t, "0000:01:00.1", &provider, &caps), 0);
	assert_int_equal(lm_tracker_start(w->t), 0);
	track_device_write(&w->d, 9 * PAGE, 1);
	assert_int_equal(harvest(w), 0);
	gave(w, 1, 9);
	lm_tracker_stop(w->t);
	assert_int_equal(w->d.stops, 1);
	assert_string_equal(stats_of(w).name, "0000:01:00.1");
	destroy(w);
}

static void
test_sinks(void **state)
{
	struct lm_ram_region region = { .name = "r", .addr = SHIFT, .size_bytes = 64 * PAGE };
	struct world *w = create(PAGE);
	struct lm_vhost_log *log = NULL;
	struct lm_ram *ram = NULL;
	struct lm_vhost_log_stats stats;
	struct lm_sink sink;

	(void)state;
	region.vaddr = w;
	assert_int_equal(lm_ram_create(&ram), 0);
	assert_int_equal(lm_ram_add(ram, &region), 0);
	assert_int_equal(lm_vhost_log_create(UINT64_C(1) << 33, &log), 0);
	map(w, 0, 64);
	add_device(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	track_device_write(&w->d, 5 * PAGE, 2 * PAGE);
	sink = lm_sink_ram(ram);
	assert_int_equal(lm_tracker_harvest(w->t, &sink), 0);
	assert_int_equal(lm_ram_dirty_bytes(ram, false), 2 * PAGE);
	track_device_write(&w->d, 5 * PAGE, 3 * PAGE);
	sink = lm_sink_vhost_log(log);
	assert_int_equal(lm_tracker_harvest(w->t, &sink), 0);
	lm_vhost_log_stats_get(log, &stats);
	assert_int_equal(stats.kept_pages, 3);
	lm_vhost_log_destroy(log);
	lm_ram_destroy(ram);
	destroy(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_harvest),
		cmocka_unit_test(test_sink_not_ready),
		cmocka_unit_test(test_memory_comes_and_goes),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_bad_page_sizes),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_align_pages),
		cmocka_unit_test(test_whole_ranges),
		cmocka_unit_test(test_fixed_page_size),
		cmocka_unit_test(test_coarse_tracker),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_every_offset),
		cmocka_unit_test(test_huge_memory),
		cmocka_unit_test(test_ends_of_space),
		cmocka_unit_test(test_provider),
		cmocka_unit_test(test_sinks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
