/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Regions and their dirty pages against an oracle of one flag a page: a page that is lost at the
 * edge of a word, of a group or of a region, given out twice, or given out from a control area too
 * early shows here.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "lm_ram.h"

#define PAGE UINT64_C(4096)
#define DIM(a) (sizeof(a) / sizeof((a)[0]))
#define SPACE_PAGES 20000u /* all regions of the tests that compare lie below */

/* Neighbours within one word, a gap, several groups, and one that ends a word. */
static const struct {
	uint64_t page;
	uint64_t nb;
	uint32_t flags;
} layout[] = {
	{ 3, 5, 0 },
	{ 8, 1, LM_RAM_F_AFTER_STOP },
	{ 9, 2, 0 },
	{ 60, 70, 0 },
	{ 256, 64, LM_RAM_F_AFTER_STOP },
	{ 1000, 9000, 0 },
	{ 12345, 4097, 0 },
};

static uint8_t *backing; /* addresses only: never read by lm_ram */
static uint64_t rng_state;

static uint64_t
rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static int
add(struct lm_ram *ram, const char *name, uint64_t addr, uint64_t size, uint32_t flags)
{
	struct lm_ram_region region = {
		.addr = addr,
		.size_bytes = size,
		.vaddr = backing,
		.flags = flags,
	};

	snprintf(region.name, sizeof(region.name), "%s", name);
	return lm_ram_add(ram, &region);
}

static struct lm_ram *
create(void)
{
	struct lm_ram *ram = NULL;
	char name[16];
	unsigned int i, at;

	assert_int_equal(lm_ram_create(&ram), 0);
	for (i = 0; i < DIM(layout); i++) {
		at = i * 3 % DIM(layout); /* in no order */
		snprintf(name, sizeof(name), "r%u", at);
		assert_int_equal(add(ram, name, layout[at].page * PAGE, layout[at].nb * PAGE,
					layout[at].flags), 0);
	}
	return ram;
}

static int
region_of(uint64_t page)
{
	unsigned int i;

	for (i = 0; i < DIM(layout); i++)
		if (page >= layout[i].page && page < layout[i].page + layout[i].nb)
			return (int)i;
	return -1;
}

static void
test_add(void **state)
{
	struct lm_ram_region bad = { .addr = PAGE, .size_bytes = PAGE, .vaddr = backing };
	struct lm_ram *ram = create();
	uint64_t last = 0;
	unsigned int i;

	(void)state;
	assert_int_equal(lm_ram_add(ram, &bad), -EINVAL);
	memset(bad.name, 'x', sizeof(bad.name));
	assert_int_equal(lm_ram_add(ram, &bad), -EINVAL);
	bad.name[31] = '\0';
	bad.vaddr = NULL;
	assert_int_equal(lm_ram_add(ram, &bad), -EINVAL);
	assert_int_equal(add(ram, "a", PAGE, 0, 0), -EINVAL);
	assert_int_equal(add(ram, "a", PAGE + 1, PAGE, 0), -EINVAL);
	assert_int_equal(add(ram, "a", PAGE, PAGE + 1, 0), -EINVAL);
	assert_int_equal(add(ram, "a", UINT64_MAX - PAGE + 1, 2 * PAGE, 0), -EINVAL);
	assert_int_equal(add(ram, "a", 2 * PAGE, 2 * PAGE, 0), -EEXIST);
	assert_int_equal(add(ram, "a", 1129 * PAGE, PAGE, 0), -EEXIST);
	assert_int_equal(add(ram, "r1", 11 * PAGE, PAGE, 0), -EEXIST);
	assert_int_equal(lm_ram_count(ram), DIM(layout));
	assert_null(lm_ram_get(ram, DIM(layout)));
	for (i = 0; i < DIM(layout); i++) {
		const struct lm_ram_region *region = lm_ram_get(ram, i);

		assert_true(region->addr >= last);
		assert_int_equal(region->addr, layout[i].page * PAGE);
		last = region->addr + region->size_bytes;
	}
	assert_int_equal(lm_ram_dirty_bytes(ram, false) + lm_ram_dirty_bytes(ram, true), 0);
	lm_ram_destroy(ram);
	lm_ram_destroy(NULL);
}

static void
test_ptr(void **state)
{
	struct lm_ram *ram = create();

	(void)state;
	assert_ptr_equal(lm_ram_ptr(ram, 60 * PAGE + 5, 70 * PAGE - 5), backing + 5);
	assert_null(lm_ram_ptr(ram, 60 * PAGE + 5, 70 * PAGE - 4));
	assert_null(lm_ram_ptr(ram, 60 * PAGE, UINT64_MAX));
	assert_null(lm_ram_ptr(ram, 59 * PAGE, PAGE));
	assert_null(lm_ram_ptr(ram, 7 * PAGE, 2 * PAGE)); /* two regions side by side */
	assert_null(lm_ram_ptr(ram, 130 * PAGE, 1));
	assert_null(lm_ram_ptr(ram, UINT64_MAX, 1));
	lm_ram_destroy(ram);
}

static uint64_t
count(const bool *dirty, bool after_stop)
{
	uint64_t page, nb = 0;

	for (page = 0; page < SPACE_PAGES; page++)
		if (dirty[page] && after_stop ==
				((layout[region_of(page)].flags & LM_RAM_F_AFTER_STOP) != 0))
			nb++;
	return nb;
}

static void
oracle_mark(bool *dirty, uint64_t addr, uint64_t len)
{
	uint64_t page;

	for (page = 0; page < SPACE_PAGES; page++)
		if (len != 0 && region_of(page) >= 0 && addr < (page + 1) * PAGE &&
				page * PAGE < addr + len)
			dirty[page] = true;
}

/* Takes everything; each run must be dirty by the oracle, which forgets it. */
static void
take_all(struct lm_ram *ram, bool *dirty, bool after_stop, uint64_t max_bytes, uint64_t *cursor)
{
	struct lm_ram_run run;
	uint64_t page;
	int region;

	while (lm_ram_take(ram, after_stop, max_bytes, cursor, &run)) {
		assert_int_equal(run.addr % PAGE, 0);
		assert_true(run.len_bytes > 0 && run.len_bytes <= max_bytes);
		region = region_of(run.addr / PAGE);
		assert_true(region >= 0);
		assert_ptr_equal(run.data, backing + run.addr - layout[region].page * PAGE);
		for (page = run.addr / PAGE; page < (run.addr + run.len_bytes) / PAGE; page++) {
			if (!dirty[page] || region_of(page) != region)
				fail_msg("page %ju is given out in vain", (uintmax_t)page);
			dirty[page] = false;
		}
	}
	assert_int_equal(count(dirty, false), 0);
	assert_int_equal(lm_ram_dirty_bytes(ram, false), 0);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), count(dirty, true) * PAGE);
}

static void
test_mark_and_take(void **state)
{
	static const uint64_t edges[] = { 2, 3, 8, 11, 59, 63, 64, 129, 255, 320, 999, 1024, 4095,
		4096, 5096, 9999, 12344, 16441 };
	static const uint64_t lengths[] = { 0, 1, PAGE - 1, PAGE, PAGE + 1, 63 * PAGE,
		64 * PAGE + 1, 65 * PAGE - 1, 4096 * PAGE, 9001 * PAGE };
	struct lm_ram *ram = create();
	bool dirty[SPACE_PAGES] = { false };
	uint64_t cursor = 0, addr;
	unsigned int i, l, delta;

	(void)state;
	for (i = 0; i < DIM(edges); i++) {
		for (l = 0; l < DIM(lengths); l++) {
			for (delta = 0; delta < 3; delta++) {
				addr = edges[i] * PAGE + delta - 1;
				lm_ram_mark(ram, addr, lengths[l]);
				oracle_mark(dirty, addr, lengths[l]);
				assert_int_equal(lm_ram_dirty_bytes(ram, false),
						count(dirty, false) * PAGE);
				take_all(ram, dirty, false, (1 + l * l * l) * PAGE, &cursor);
			}
		}
	}
	assert_int_not_equal(count(dirty, true), 0);
	take_all(ram, dirty, true, 7 * PAGE + 1, &cursor);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), 0);
	lm_ram_destroy(ram);
}

static void
test_take_all_and_give_back(void **state)
{
	struct lm_ram *ram = create();
	bool dirty[SPACE_PAGES] = { false };
	struct lm_ram_run run;
	uint64_t cursor = 0;

	(void)state;
	assert_false(lm_ram_take(ram, true, PAGE, &cursor, &run));
	lm_ram_mark_all(ram);
	oracle_mark(dirty, 0, SPACE_PAGES * PAGE);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), 65 * PAGE);
	assert_true(lm_ram_take(ram, false, 1, &cursor, &run)); /* less than a page is one */
	assert_int_equal(run.len_bytes, PAGE);
	lm_ram_give_back(ram, &run);
	cursor = 0;
	assert_true(lm_ram_take(ram, false, 3 * PAGE, &cursor, &run));
	assert_int_equal(run.addr, 3 * PAGE);
	assert_int_equal(run.len_bytes, 3 * PAGE);
	lm_ram_give_back(ram, &run);
	take_all(ram, dirty, false, UINT64_MAX, &cursor);
	take_all(ram, dirty, true, 2 * PAGE - 1, &(uint64_t){ UINT64_MAX });
	lm_ram_destroy(ram);
}

/* What is dirtied again behind the cursor waits its turn: else a hot page starves the rest. */
static void
test_take_goes_around(void **state)
{
	static const uint64_t want[] = { 1000, 9000, 12400, 1000, 9000 };
	struct lm_ram *ram = create();
	struct lm_ram_run run;
	uint64_t cursor = 0;
	unsigned int i;

	(void)state;
	lm_ram_mark(ram, 12400 * PAGE, 1);
	for (i = 0; i < DIM(want); i++) {
		lm_ram_mark(ram, 1000 * PAGE, 1);
		lm_ram_mark(ram, 9000 * PAGE, 1);
		assert_true(lm_ram_take(ram, false, PAGE, &cursor, &run));
		assert_int_equal(run.addr, want[i] * PAGE);
	}
	lm_ram_destroy(ram);
}

static void
check_merge(uint64_t base_page, uint64_t nb, unsigned int shift, unsigned int density)
{
	struct lm_ram *ram = create();
	bool dirty[SPACE_PAGES] = { false };
	struct lm_bitmap *bm = NULL;
	uint64_t i, len = UINT64_C(1) << shift, cursor = 0;

	assert_int_equal(lm_bitmap_create(base_page << shift, nb << shift, shift, &bm), 0);
	for (i = 0; i < nb; i++) {
		if (rng() % 100 >= density)
			continue;
		lm_bitmap_mark(bm, (base_page + i) << shift, len);
		oracle_mark(dirty, (base_page + i) << shift, len);
	}
	i = lm_bitmap_count(bm);
	assert_int_equal(lm_ram_merge(ram, bm), 0);
	assert_int_equal(lm_bitmap_count(bm), i);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), count(dirty, true) * PAGE);
	take_all(ram, dirty, true, 100 * PAGE, &cursor);
	lm_bitmap_destroy(bm);
	lm_ram_destroy(ram);
}

static void
test_merge(void **state)
{
	unsigned int i;

	(void)state;
	rng_state = UINT64_C(88172645463325252);
	for (i = 0; i < 64; i++)
		check_merge(i, 200, 12, 50); /* over the neighbours at each start */
	check_merge(0, 16400, 12, 2);
	check_merge(999, 15000, 12, 100);
	check_merge(777, 11111, 12, 0);
	check_merge(100, 700, 16, 30);
	check_merge(0, 3, 21, 100);
}

/* A region at the end of all addresses. */
static void
test_top_of_space(void **state)
{
	const uint64_t addr = UINT64_MAX - 70 * PAGE + 1;
	struct lm_ram *ram = NULL;
	struct lm_ram_run run;
	uint64_t cursor = 0;

	(void)state;
	assert_int_equal(lm_ram_create(&ram), 0);
	assert_false(lm_ram_take(ram, true, PAGE, &cursor, &run));
	assert_int_equal(add(ram, "top", addr, 70 * PAGE, 0), 0);
	lm_ram_mark(ram, UINT64_MAX, UINT64_MAX);
	assert_int_equal(lm_ram_dirty_bytes(ram, false), PAGE);
	lm_ram_mark(ram, addr, 1);
	assert_true(lm_ram_take(ram, false, PAGE, &cursor, &run));
	assert_int_equal(run.addr, addr);
	assert_true(lm_ram_take(ram, false, 2 * PAGE, &cursor, &run));
	assert_int_equal(run.addr, UINT64_MAX - PAGE + 1);
	assert_int_equal(run.len_bytes, PAGE);
	assert_false(lm_ram_take(ram, false, PAGE, &cursor, &run));
	assert_ptr_equal(lm_ram_ptr(ram, UINT64_MAX, 1), backing + 70 * PAGE - 1);
	lm_ram_destroy(ram);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_ptr),
		cmocka_unit_test(test_mark_and_take),
		cmocka_unit_test(test_take_all_and_give_back),
		cmocka_unit_test(test_take_goes_around),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_top_of_space),
	};

	backing = mmap(NULL, SPACE_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (backing == MAP_FAILED)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
