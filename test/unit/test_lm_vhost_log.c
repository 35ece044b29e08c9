/* SPDX-License-Identifier: BSD-3-Clause */

/* The vhost log, one thread: what is marked is what is set, and nothing else is touched. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lm_bitmap.h"
#include "lm_vhost_log.h"

#define PAGE UINT64_C(4096)
#define NB_PAGES 256u
#define NB_WORDS (NB_PAGES / 64)
#define CANARY UINT64_C(0x0123456789abcdef)
#define DIM(a) (sizeof(a) / sizeof((a)[0]))

/* The log lies between canaries: a mark beyond its end shows. */
struct fixture {
	struct lm_vhost_log *log;
	struct lm_log_cache cache;
	uint64_t map[NB_WORDS + 2];
};

static uint64_t rng_state = 1;

static uint64_t
rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->map[0] = CANARY;
	f->map[NB_WORDS + 1] = CANARY;
	assert_int_equal(lm_vhost_log_create(NB_PAGES * PAGE - 1, &f->log), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	assert_true(f->map[0] == CANARY);
	assert_true(f->map[NB_WORDS + 1] == CANARY);
	lm_vhost_log_destroy(f->log);
	free(f);
	return 0;
}

static void
attach(struct fixture *f)
{
	assert_int_equal(lm_vhost_log_attach(f->log, &f->map[1], NB_PAGES / 8), 0);
}

/* As the vhost-user specification counts: byte page / 8, bit page % 8. */
static bool
is_set(const struct fixture *f, uint64_t page)
{
	return (((const uint8_t *)&f->map[1])[page / 8] >> (page % 8) & 1) != 0;
}

static uint64_t
nb_set(const struct fixture *f)
{
	uint64_t page, nb = 0;

	for (page = 0; page < NB_PAGES; page++)
		nb += is_set(f, page);
	return nb;
}

static struct lm_vhost_log_stats
stats(const struct fixture *f)
{
	struct lm_vhost_log_stats s;

	lm_vhost_log_stats_get(f->log, &s);
	return s;
}

static void
mark(struct fixture *f, uint64_t page, uint64_t nb_pages)
{
	lm_vhost_log_mark(f->log, &f->cache, page * PAGE, nb_pages * PAGE);
	lm_vhost_log_flush(f->log, &f->cache);
}

static void
check_mark(struct fixture *f, uint64_t addr, uint64_t len)
{
	uint64_t i;

	memset(&f->map[1], 0, NB_PAGES / 8);
	lm_vhost_log_mark(f->log, &f->cache, addr, len);
	lm_vhost_log_flush(f->log, &f->cache);
	for (i = 0; i < NB_PAGES; i++)
		if (is_set(f, i) != (len != 0 && addr < (i + 1) * PAGE && i * PAGE < addr + len))
			fail_msg("mark(%#jx, %ju): page %ju", (uintmax_t)addr, (uintmax_t)len,
					(uintmax_t)i);
}

static void
test_every_offset(void **state)
{
	static const uint64_t pages[] = { 0, 62, 63, 64, 127, 191 };
	static const uint64_t lengths[] = { 0, 1, 2, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE,
		64 * PAGE - 1, 64 * PAGE, 64 * PAGE + 1 };
	struct fixture *f = *state;
	unsigned int p, l;
	uint64_t off;

	attach(f);
	for (p = 0; p < DIM(pages); p++)
		for (l = 0; l < DIM(lengths); l++)
			for (off = 0; off < PAGE; off++)
				check_mark(f, pages[p] * PAGE + off, lengths[l]);
	assert_int_equal(stats(f).pages_out_of_range, 0);
}

static void
test_cache_combines(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	attach(f);
	for (i = 0; i < 64; i++)
		lm_vhost_log_mark(f->log, &f->cache, i * PAGE, 1500);
	assert_int_equal(nb_set(f), 0);
	assert_int_equal(f->cache.nb, 1);
	lm_vhost_log_flush(f->log, &f->cache);
	assert_int_equal(nb_set(f), 64);
	assert_int_equal(f->cache.marks, 64);
	assert_int_equal(f->cache.words, 1);
}

/* More words than the cache holds: none may be lost when it flushes by itself. */
static void
test_cache_overflows(void **state)
{
	struct fixture *f = *state;
	const uint64_t nb_pages = 64 * 64 * 4;
	struct lm_vhost_log *log;
	uint64_t *map, i;

	(void)f;
	map = calloc(nb_pages / 64, sizeof(*map));
	assert_non_null(map);
	assert_int_equal(lm_vhost_log_create(0, &log), 0);
	assert_int_equal(lm_vhost_log_attach(log, map, nb_pages / 8), 0);
	for (i = 0; i < nb_pages; i += 33)
		lm_vhost_log_mark(log, &f->cache, i * PAGE, 1);
	lm_vhost_log_flush(log, &f->cache);
	for (i = 0; i < nb_pages; i++)
		assert_int_equal(map[i / 64] >> (i % 64) & 1, i % 33 == 0);
	lm_vhost_log_mark(log, &f->cache, PAGE, (nb_pages - 2) * PAGE);
	lm_vhost_log_flush(log, &f->cache);
	for (i = 1; i < nb_pages / 64 - 1; i++)
		assert_true(map[i] == UINT64_MAX);
	lm_vhost_log_destroy(log);
	free(map);
}

static void
test_out_of_range(void **state)
{
	struct fixture *f = *state;

	attach(f);
	mark(f, NB_PAGES, 1);
	assert_int_equal(stats(f).pages_out_of_range, 1);
	mark(f, NB_PAGES - 1, 3);
	assert_int_equal(stats(f).pages_out_of_range, 3);
	assert_int_equal(nb_set(f), 1);
	/* From the peer: absurd lengths cost nothing and wrap to nowhere. */
	lm_vhost_log_mark(f->log, &f->cache, (NB_PAGES - 2) * PAGE, UINT64_MAX);
	lm_vhost_log_mark(f->log, &f->cache, UINT64_MAX, UINT64_MAX);
	lm_vhost_log_mark(f->log, &f->cache, UINT64_MAX - 5, 6);
	lm_vhost_log_flush(f->log, &f->cache);
	assert_int_equal(nb_set(f), 2);
	assert_true(stats(f).pages_out_of_range > UINT64_MAX / PAGE - 2 * NB_PAGES);
	assert_int_equal(lm_vhost_log_detach(f->log, 1000000), 0);
	mark(f, NB_PAGES, 1);
	assert_int_equal(stats(f).kept_pages, 0);
}

static void
test_attach_refuses(void **state)
{
	struct fixture *f = *state;
	uint8_t *map = (uint8_t *)&f->map[1];

	assert_int_equal(lm_vhost_log_attach(f->log, map + 4, 8), -EINVAL);
	assert_int_equal(lm_vhost_log_attach(f->log, map, 12), -EINVAL);
	assert_int_equal(lm_vhost_log_attach(f->log, map, 0), -EINVAL);
	assert_int_equal(lm_vhost_log_attach(f->log, NULL, 8), -EINVAL);
	assert_false(lm_vhost_log_attached(f->log));
	attach(f);
	assert_true(lm_vhost_log_attached(f->log));
	attach(f);
	assert_int_equal(lm_vhost_log_attach(f->log, map + 8, 8), -EBUSY);
	assert_int_equal(lm_vhost_log_detach(f->log, 0), 0);
	assert_int_equal(lm_vhost_log_detach(f->log, 0), 0);
	assert_false(lm_vhost_log_attached(f->log));
	assert_int_equal(stats(f).epochs, 1);
}

static void
test_kept_while_detached(void **state)
{
	struct fixture *f = *state;

	mark(f, 5, 1);
	mark(f, 5, 3);
	mark(f, 130, 2);
	assert_int_equal(stats(f).kept_pages, 5);
	assert_int_equal(nb_set(f), 0);
	attach(f);
	assert_int_equal(nb_set(f), 5);
	assert_true(is_set(f, 5) && is_set(f, 7) && is_set(f, 131));
	assert_int_equal(stats(f).kept_pages, 0);
	/* Kept once, delivered once: the next log starts clean. */
	assert_int_equal(lm_vhost_log_detach(f->log, 1000000), 0);
	memset(&f->map[1], 0, NB_PAGES / 8);
	attach(f);
	assert_int_equal(nb_set(f), 0);
}

/* Beyond a small log, within the guest: counted, and the larger log that follows gets it. */
static void
test_kept_for_a_larger_log(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(lm_vhost_log_attach(f->log, &f->map[1], 8), 0);
	mark(f, 63, 2);
	assert_int_equal(nb_set(f), 1);
	assert_int_equal(stats(f).pages_out_of_range, 1);
	assert_int_equal(stats(f).kept_pages, 1);
	assert_int_equal(lm_vhost_log_detach(f->log, 1000000), 0);
	attach(f);
	assert_int_equal(nb_set(f), 2);
	assert_true(is_set(f, 64));
}

static void
check_merge(struct fixture *f, uint64_t base_page, unsigned int shift, uint64_t nb_bm,
		unsigned int one_in)
{
	struct lm_vhost_log_stats before = stats(f), after;
	uint64_t old[NB_WORDS], i, beyond = 0;
	struct lm_bitmap *bm;

	assert_int_equal(lm_bitmap_create(base_page * PAGE, nb_bm << shift, shift, &bm), 0);
	for (i = 0; i < nb_bm; i++)
		if (rng() % one_in == 0)
			lm_bitmap_mark(bm, base_page * PAGE + (i << shift), 1);
	for (i = 0; i < NB_WORDS; i++)
		old[i] = f->map[1 + i] = rng() & rng() & rng();
	assert_int_equal(lm_vhost_log_merge(f->log, bm), 0);
	for (i = 0; i < NB_PAGES; i++) {
		bool want = (old[i / 64] >> (i % 64) & 1) != 0 || lm_bitmap_test(bm, i * PAGE);

		if (is_set(f, i) != want)
			fail_msg("base page %ju, shift %u: page %ju is %d", (uintmax_t)base_page,
					shift, (uintmax_t)i, !want);
	}
	for (i = NB_PAGES; i < base_page + (nb_bm << (shift - 12)); i++)
		beyond += lm_bitmap_test(bm, i * PAGE);
	after = stats(f);
	assert_int_equal(after.pages_out_of_range - before.pages_out_of_range, beyond);
	assert_int_equal(after.merges - before.merges, 1);
	lm_bitmap_destroy(bm);
}

static void
test_merge(void **state)
{
	static const uint64_t lengths[] = { 1, 63, 64, 65, 130, 300 };
	struct fixture *f = *state;
	unsigned int l, shift, one_in;
	uint64_t base;

	attach(f);
	for (one_in = 1; one_in <= 9; one_in += 4)
		for (l = 0; l < DIM(lengths); l++)
			for (base = 0; base < 140; base++)
				check_merge(f, base, 12, lengths[l], one_in);
	for (shift = 13; shift <= 18; shift++)
		for (l = 0; l < DIM(lengths); l++)
			for (base = 0; base < 128; base += UINT64_C(1) << (shift - 12))
				check_merge(f, base, shift, lengths[l], 3);
}

/* A map of several words of the summary: what the merge skips must be clean. */
static void
test_merge_sparse(void **state)
{
	const uint64_t nb_pages = 3 * 64 * 64 * 64 + 64;
	struct lm_vhost_log *log;
	struct lm_bitmap *bm;
	uint64_t *map, i;

	(void)state;
	map = calloc(nb_pages / 64, sizeof(*map));
	assert_non_null(map);
	assert_int_equal(lm_vhost_log_create(nb_pages * PAGE - 1, &log), 0);
	assert_int_equal(lm_bitmap_create(0, nb_pages * PAGE, 12, &bm), 0);
	for (i = 0; i < 200; i++)
		lm_bitmap_mark(bm, rng() % nb_pages * PAGE, rng() % 9 * PAGE);
	assert_int_equal(lm_vhost_log_merge(log, bm), 0);
	assert_int_equal(lm_vhost_log_attach(log, map, nb_pages / 8), 0);
	for (i = 0; i < nb_pages; i++)
		if ((map[i / 64] >> (i % 64) & 1) != lm_bitmap_test(bm, i * PAGE))
			fail_msg("page %ju", (uintmax_t)i);
	lm_bitmap_destroy(bm);
	lm_vhost_log_destroy(log);
	free(map);
}

static void
test_drop(void **state)
{
	struct fixture *f = *state;
	uint64_t first[NB_WORDS];
	struct lm_bitmap *bm;
	unsigned int page;

	attach(f);
	lm_vhost_log_set_drop(f->log, 8);
	mark(f, 0, NB_PAGES);
	assert_int_equal(nb_set(f) + lm_vhost_log_dropped(f->log), NB_PAGES);
	assert_in_range(lm_vhost_log_dropped(f->log), NB_PAGES / 16, NB_PAGES / 4);
	/* The same pages again, one by one, and by merge: who hides may not come back. */
	memcpy(first, &f->map[1], sizeof(first));
	for (page = 0; page < NB_PAGES; page++)
		mark(f, page, 1);
	assert_memory_equal(first, &f->map[1], sizeof(first));
	assert_int_equal(lm_bitmap_create(0, NB_PAGES * PAGE, 12, &bm), 0);
	lm_bitmap_mark(bm, 0, NB_PAGES * PAGE);
	assert_int_equal(lm_vhost_log_merge(f->log, bm), 0);
	assert_memory_equal(first, &f->map[1], sizeof(first));
	assert_int_equal(lm_vhost_log_detach(f->log, 1000000), 0);
	mark(f, 0, NB_PAGES);
	attach(f);
	assert_memory_equal(first, &f->map[1], sizeof(first));
	lm_vhost_log_set_drop(f->log, 0);
	assert_int_equal(lm_vhost_log_merge(f->log, bm), 0);
	assert_int_equal(nb_set(f), NB_PAGES);
	lm_bitmap_destroy(bm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cache_combines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cache_overflows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attach_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_while_detached, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_for_a_larger_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merge_sparse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
