/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Dirty bitmaps against a page-by-page oracle that compares byte ranges and never shifts:
 * a page lost at an edge, or a report read beyond its last bit, shows here.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lm_bitmap.h"

#define PAGE UINT64_C(4096)
#define NB_PAGES 200u
#define DIM(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t rng_state;

static uint64_t
rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* Does [a, a + a_len) touch [b, b + b_len)? Ends of ranges stay within 64 bits here. */
static bool
touches(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a_len != 0 && b_len != 0 && a < b + b_len && b < a + a_len;
}

static struct lm_bitmap *
create(uint64_t base, uint64_t size, unsigned int shift)
{
	struct lm_bitmap *bm = NULL;

	assert_int_equal(lm_bitmap_create(base, size, shift, &bm), 0);
	return bm;
}

static void
test_create_refuses(void **state)
{
	struct lm_bitmap *bm = NULL;

	(void)state;
	assert_int_equal(lm_bitmap_create(0, PAGE, 11, &bm), -EINVAL);
	assert_int_equal(lm_bitmap_create(0, PAGE, 31, &bm), -EINVAL);
	assert_int_equal(lm_bitmap_create(0, 0, 12, &bm), -EINVAL);
	assert_int_equal(lm_bitmap_create(2048, PAGE, 12, &bm), -EINVAL);
	assert_int_equal(lm_bitmap_create(PAGE, UINT64_MAX, 12, &bm), -EINVAL);
	assert_null(bm);
	lm_bitmap_destroy(NULL);
}

static void
check_mark(struct lm_bitmap *bm, uint64_t base, uint64_t addr, uint64_t len)
{
	uint64_t i, count = 0;

	lm_bitmap_clear(bm);
	lm_bitmap_mark(bm, addr, len);
	for (i = 0; i < NB_PAGES; i++) {
		bool want = touches(addr, len, base + i * PAGE, PAGE);

		if (lm_bitmap_test(bm, base + i * PAGE) != want)
			fail_msg("mark(%#jx, %ju): page %ju is %d", (uintmax_t)addr,
					(uintmax_t)len, (uintmax_t)i, !want);
		count += want;
	}
	assert_int_equal(lm_bitmap_count(bm), count);
}

static void
test_mark_every_offset(void **state)
{
	static const uint64_t pages[] = { 0, 62, 63, 64, 127, NB_PAGES - 1 };
	static const uint64_t lengths[] = { 0, 1, 2, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1,
		2 * PAGE, 2 * PAGE + 1, 64 * PAGE - 1, 64 * PAGE, 64 * PAGE + 1, 129 * PAGE };
	const uint64_t base = UINT64_C(0x100000000) + 3 * PAGE;
	struct lm_bitmap *bm = create(base, NB_PAGES * PAGE, 12);
	unsigned int p, l, off;

	(void)state;
	for (p = 0; p < DIM(pages); p++)
		for (l = 0; l < DIM(lengths); l++)
			for (off = 0; off < PAGE; off++)
				check_mark(bm, base, base + pages[p] * PAGE + off, lengths[l]);
	lm_bitmap_destroy(bm);
}

static void
test_mark_cut_off(void **state)
{
	const uint64_t base = 16 * PAGE;
	struct lm_bitmap *bm = create(base, 10 * PAGE, 12);

	(void)state;
	lm_bitmap_mark(bm, 0, 16 * PAGE);
	assert_int_equal(lm_bitmap_count(bm), 0);
	assert_int_equal(lm_bitmap_outside(bm), 16);
	lm_bitmap_mark(bm, 26 * PAGE, 1);
	assert_int_equal(lm_bitmap_count(bm), 0);
	assert_int_equal(lm_bitmap_outside(bm), 17);
	lm_bitmap_mark(bm, 15 * PAGE + 4095, 2);
	assert_int_equal(lm_bitmap_count(bm), 1);
	assert_int_equal(lm_bitmap_outside(bm), 18);
	lm_bitmap_clear(bm);
	assert_int_equal(lm_bitmap_outside(bm), 0);
	/* What wraps at 2^64 marks up to the end and never the start. */
	lm_bitmap_mark(bm, 20 * PAGE, UINT64_MAX);
	assert_int_equal(lm_bitmap_count(bm), 6);
	assert_false(lm_bitmap_test(bm, 19 * PAGE));
	assert_true(lm_bitmap_test(bm, 20 * PAGE));
	assert_true(lm_bitmap_outside(bm) > 0);
	assert_false(lm_bitmap_test(bm, 0));
	assert_false(lm_bitmap_test(bm, UINT64_MAX));
	lm_bitmap_destroy(bm);
}

static void
test_mark_top_of_space(void **state)
{
	const uint64_t base = UINT64_MAX - 64 * PAGE + 1;
	struct lm_bitmap *bm = create(base, 64 * PAGE, 12);

	(void)state;
	lm_bitmap_mark(bm, UINT64_MAX, 1);
	assert_true(lm_bitmap_test(bm, UINT64_MAX));
	assert_int_equal(lm_bitmap_count(bm), 1);
	assert_int_equal(lm_bitmap_outside(bm), 0);
	lm_bitmap_mark(bm, UINT64_MAX, 2);
	assert_int_equal(lm_bitmap_outside(bm), 1);
	lm_bitmap_mark(bm, base, 64 * PAGE);
	assert_int_equal(lm_bitmap_count(bm), 64);
	lm_bitmap_destroy(bm);
}

static void
fill_random(uint64_t *words, unsigned int nb, unsigned int density)
{
	unsigned int i;

	for (i = 0; i < nb; i++) {
		words[i] = density == 2 ? UINT64_MAX : rng();
		if (density == 0)
			words[i] &= rng() & rng() & rng();
	}
}

struct report {
	uint64_t addr;
	uint64_t nb_pages;
	unsigned int shift;
	uint64_t *words; /* exactly as long as needed: the sanitizer sees a read beyond */
};

static bool
report_touches(const struct report *r, uint64_t addr, uint64_t len)
{
	uint64_t i, size = UINT64_C(1) << r->shift;

	for (i = 0; i < r->nb_pages; i++)
		if ((r->words[i / 64] >> (i % 64) & 1) != 0 &&
				touches(r->addr + i * size, size, addr, len))
			return true;
	return false;
}

static void
check_report(const struct report *r, uint64_t base, uint64_t nb_pages, unsigned int shift)
{
	struct lm_bitmap *bm = create(base, nb_pages << shift, shift);
	uint64_t i, at, kept = base + (nb_pages / 2 << shift);

	lm_bitmap_mark(bm, kept, 1);
	lm_bitmap_or_raw(bm, r->addr, r->words, r->nb_pages, r->shift);
	for (i = 0; i < nb_pages; i++) {
		at = base + (i << shift);
		bool want = at == kept || report_touches(r, at, UINT64_C(1) << shift);

		if (lm_bitmap_test(bm, at) != want)
			fail_msg("report at %#jx, %ju pages, shift %u: page %ju, shift %u is %d",
				(uintmax_t)r->addr, (uintmax_t)r->nb_pages, r->shift, (uintmax_t)i,
				shift, !want);
	}
	lm_bitmap_destroy(bm);
}

static void
run_report(uint64_t base, uint64_t nb_bm, unsigned int bm_shift, uint64_t addr, uint64_t nb_pages,
		unsigned int shift)
{
	struct report r = { .addr = addr, .nb_pages = nb_pages, .shift = shift };
	unsigned int nb_words = (unsigned int)((nb_pages + 63) / 64);

	r.words = malloc(nb_words * sizeof(r.words[0]));
	assert_non_null(r.words);
	fill_random(r.words, nb_words, (unsigned int)(rng() % 3));
	check_report(&r, base, nb_bm, bm_shift);
	free(r.words);
}

static void
test_or_raw_every_offset(void **state)
{
	static const uint64_t lengths[] = { 1, 2, 63, 64, 65, 127, 128, 129 };
	const uint64_t base = 1024 * PAGE;
	unsigned int off, l;

	(void)state;
	rng_state = 1;
	/* From 70 pages before the map to its end: cut at both ends, every bit alignment. */
	for (off = 0; off < 70 + 140; off++)
		for (l = 0; l < DIM(lengths); l++)
			run_report(base, 140, 12, base - 70 * PAGE + off * PAGE, lengths[l], 12);
}

static void
test_or_raw_page_sizes(void **state)
{
	static const struct {
		unsigned int bm, report;
	} shifts[] = { { 12, 13 }, { 12, 14 }, { 12, 16 }, { 12, 21 }, { 13, 12 }, { 14, 12 },
		{ 16, 12 }, { 21, 12 }, { 16, 14 }, { 14, 16 } };
	unsigned int s, off, nb;

	(void)state;
	rng_state = 2;
	for (s = 0; s < DIM(shifts); s++) {
		uint64_t size = UINT64_C(1) << shifts[s].report;
		uint64_t base = UINT64_C(1) << 30;

		for (off = 0; off < 90; off++)
			for (nb = 1; nb < 140; nb += 23)
				run_report(base, 70, shifts[s].bm, base - 10 * size + off * size,
						nb, shifts[s].report);
	}
}

static void
test_or_raw_hostile(void **state)
{
	uint64_t words[2] = { UINT64_MAX, UINT64_MAX };
	struct lm_bitmap *bm = create(0, 100 * PAGE, 12);

	(void)state;
	/* Pages beyond 64 bits of address are counted, never folded back to the start. */
	lm_bitmap_or_raw(bm, UINT64_C(1) << 63, words, 128, 62);
	assert_int_equal(lm_bitmap_count(bm), 0);
	assert_true(lm_bitmap_outside(bm) >= 126);
	lm_bitmap_or_raw(bm, UINT64_MAX - PAGE + 1, words, 128, 12);
	assert_int_equal(lm_bitmap_count(bm), 0);
	lm_bitmap_or_raw(bm, 0, words, 0, 12);
	assert_int_equal(lm_bitmap_count(bm), 0);
	/* One page as large as all there is: everything is dirty, never less. */
	lm_bitmap_or_raw(bm, 0, words, 2, 64);
	assert_int_equal(lm_bitmap_count(bm), 100);
	lm_bitmap_destroy(bm);
}

struct runs {
	const struct lm_bitmap *bm;
	uint64_t pages;
	uint64_t next; /* no run may start here: it would have been one with the last */
	unsigned int nb;
	unsigned int stop_at;
};

static int
on_run(void *ctx, uint64_t addr, uint64_t len)
{
	struct runs *r = ctx;
	uint64_t at;

	assert_true(r->nb == 0 || addr > r->next);
	for (at = addr; at < addr + len; at += PAGE)
		assert_true(lm_bitmap_test(r->bm, at));
	r->pages += len / PAGE;
	r->next = addr + len;
	r->nb++;
	return r->nb == r->stop_at ? -ECANCELED : 0;
}

static void
test_runs(void **state)
{
	/* Several words of the summary, the last ones partial. */
	const uint64_t nb_pages = 3 * 64 * 64 * 64 + 64 * 64 + 17;
	struct lm_bitmap *bm = create(PAGE, nb_pages * PAGE, 12);
	struct runs r = { .bm = bm };
	unsigned int i;

	(void)state;
	rng_state = 3;
	assert_int_equal(lm_bitmap_foreach_run(bm, on_run, &r), 0);
	assert_int_equal(r.nb, 0);
	for (i = 0; i < 300; i++)
		lm_bitmap_mark(bm, PAGE + rng() % nb_pages * PAGE, (rng() % 5000 + 1) * PAGE);
	assert_int_equal(lm_bitmap_foreach_run(bm, on_run, &r), 0);
	assert_int_equal(r.pages, lm_bitmap_count(bm));
	r = (struct runs){ .bm = bm, .stop_at = 2 };
	assert_int_equal(lm_bitmap_foreach_run(bm, on_run, &r), -ECANCELED);
	assert_int_equal(r.nb, 2);
	lm_bitmap_mark(bm, 0, UINT64_MAX);
	r = (struct runs){ .bm = bm };
	assert_int_equal(lm_bitmap_foreach_run(bm, on_run, &r), 0);
	assert_int_equal(r.nb, 1);
	assert_int_equal(r.pages, nb_pages);
	assert_int_equal(lm_bitmap_count(bm), nb_pages);
	lm_bitmap_clear(bm);
	assert_int_equal(lm_bitmap_count(bm), 0);
	assert_false(lm_bitmap_test(bm, nb_pages * PAGE));
	lm_bitmap_destroy(bm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_refuses),
		cmocka_unit_test(test_mark_every_offset),
		cmocka_unit_test(test_mark_cut_off),
		cmocka_unit_test(test_mark_top_of_space),
		cmocka_unit_test(test_or_raw_every_offset),
		cmocka_unit_test(test_or_raw_page_sizes),
		cmocka_unit_test(test_or_raw_hostile),
		cmocka_unit_test(test_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
