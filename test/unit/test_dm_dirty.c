/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A model's DMA log against an array of bytes. Catches a page missed, a bit at the wrong place, one
 * that is cleared without having been told, and demands that are not made.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_dirty.h"

#define BASE UINT64_C(0x7fff00000000)
#define PAGES 4096u

static uint32_t seed = 1;

static uint32_t
next_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void
write_and_report(struct dm_dirty *d, uint8_t *dirty)
{
	const uint64_t page_bytes = UINT64_C(4096) << next_random(3);
	const uint32_t unit = (uint32_t)(page_bytes / 4096);
	uint32_t first, nb, i, k;
	uint64_t bitmap[PAGES / 64];

	for (i = next_random(200); i > 0; i--) {
		first = next_random(PAGES - 4);
		nb = 1 + next_random(3);
		dm_dirty_mark(d, BASE + first * UINT64_C(4096) + next_random(4096),
				(nb - 1) * 4096 + 1 + next_random(64));
		for (k = 0; k <= nb; k++)
			dirty[first + k] |= 1; /* at most these */
		dirty[first] |= 2;             /* this for sure */
	}
	first = next_random(PAGES / unit - 1) * unit;
	nb = (1 + next_random((PAGES - first) / unit)) * unit;
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(dm_dirty_report(d, BASE + first * UINT64_C(4096),
			nb * UINT64_C(4096), page_bytes, bitmap), 0);
	for (i = 0; i < nb; i += unit) {
		uint8_t any = 0;

		for (k = 0; k < unit; k++)
			any |= dirty[first + i + k];
		if ((bitmap[i / unit / 64] >> (i / unit % 64) & 1) != 0)
			assert_true((any & 1) != 0);
		else
			assert_true((any & 2) == 0);
		memset(dirty + first + i, 0, unit);
	}
}

static void
random_reports(void **state)
{
	const struct lm_vu_range range = { .iova = BASE, .length_bytes = PAGES * UINT64_C(4096) };
	struct dm_dirty *d = calloc(1, sizeof(*d));
	uint8_t dirty[PAGES + 8] = { 0 };
	uint64_t page_bytes = 4096;
	unsigned int i;

	(void)state;
	assert_int_equal(dm_dirty_start(d, &range, 1, &page_bytes), 0);
	for (i = 0; i < 2000; i++)
		write_and_report(d, dirty);
	assert_true(d->nb_words > PAGES / 64 / 2);
	assert_int_equal(dm_dirty_stop(d), 0);
	free(d);
}

static void
table_grows(void **state)
{
	struct dm_dirty *d = calloc(1, sizeof(*d));
	uint64_t page_bytes = 4096, bitmap[1], i;

	(void)state;
	assert_int_equal(dm_dirty_start(d, NULL, 0, &page_bytes), 0);
	for (i = 0; i < 100000; i++)
		dm_dirty_mark(d, i * 0x1000000, 8);
	for (i = 0; i < 100000; i += 9973) {
		bitmap[0] = 0;
		assert_int_equal(dm_dirty_report(d, i * 0x1000000, 0x40000, 4096, bitmap), 0);
		assert_int_equal(bitmap[0], 1);
	}
	assert_int_equal(dm_dirty_stop(d), 0);
	assert_int_equal(dm_dirty_stop(d), -EINVAL);
	free(d);
}

/* Larger pages than asked for: what is reported in part is kept. */
static void
large_pages(void **state)
{
	const struct lm_vu_range range = { .iova = BASE, .length_bytes = 0x800000 };
	struct dm_dirty *d = calloc(1, sizeof(*d));
	uint64_t page_bytes = 4096, bitmap[8] = { 0 };
	unsigned int i;

	(void)state;
	d->conf.min_page_bytes = 0x200000;
	assert_int_equal(dm_dirty_start(d, &range, 1, &page_bytes), 0);
	assert_int_equal(page_bytes, 0x200000);
	dm_dirty_mark(d, BASE + 0x200000 + 12345, 1);
	assert_int_equal(dm_dirty_report(d, BASE + 0x300000, 0x200000, 4096, bitmap), 0);
	for (i = 0; i < 512; i++)
		assert_int_equal(bitmap[i / 64] >> (i % 64) & 1, i < 256);
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(dm_dirty_report(d, BASE, 0x800000, 0x200000, bitmap), 0);
	assert_int_equal(bitmap[0], 2);
	bitmap[0] = 0;
	assert_int_equal(dm_dirty_report(d, BASE, 0x800000, 0x200000, bitmap), 0);
	assert_int_equal(bitmap[0], 0);
	dm_dirty_stop(d);
	free(d);
}

static void
demands(void **state)
{
	const struct lm_vu_range ranges[2] = {
		{ .iova = BASE, .length_bytes = 0x100000 },
		{ .iova = BASE + 0x200000, .length_bytes = 0x100000 },
	};
	struct dm_dirty *d = calloc(1, sizeof(*d));
	uint64_t page_bytes = 4096, bitmap[8] = { 0 };

	(void)state;
	d->conf.align_pages = 64;
	d->conf.max_ranges = 1;
	d->conf.max_page_bytes = 8192;
	assert_int_equal(dm_dirty_report(d, BASE, 4096, 4096, bitmap), -EINVAL);
	assert_int_equal(dm_dirty_start(d, ranges, 2, &page_bytes), -E2BIG);
	d->conf.max_ranges = 2;
	assert_int_equal(dm_dirty_start(d, ranges, 2, &page_bytes), 0);
	assert_int_equal(dm_dirty_start(d, ranges, 2, &page_bytes), -EINVAL);
	assert_int_equal(dm_dirty_report(d, BASE + 0x40000, 0x1000, 4096, bitmap), 0);
	assert_int_equal(dm_dirty_report(d, BASE + 0x1000, 0x1000, 4096, bitmap), -EINVAL);
	assert_int_equal(dm_dirty_report(d, BASE, 0x101000, 4096, bitmap), -EINVAL);
	assert_int_equal(dm_dirty_report(d, BASE + 0x100000, 0x1000, 4096, bitmap), -EINVAL);
	dm_dirty_mark(d, BASE + 0x180000, 1); /* in no range */
	assert_int_equal(d->marked, 0);
	dm_dirty_stop(d);

	d->conf.fixed_page = true;
	page_bytes = 0x10000;
	assert_int_equal(dm_dirty_start(d, ranges, 2, &page_bytes), 0);
	assert_int_equal(page_bytes, 8192);
	assert_int_equal(dm_dirty_report(d, BASE, 0x100000, 4096, bitmap), -EINVAL);
	assert_int_equal(dm_dirty_report(d, BASE, 0x100000, 8192, bitmap), 0);
	dm_dirty_stop(d);
	free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_reports),
		cmocka_unit_test(table_grows),
		cmocka_unit_test(large_pages),
		cmocka_unit_test(demands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
