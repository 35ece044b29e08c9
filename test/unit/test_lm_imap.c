/* SPDX-License-Identifier: BSD-3-Clause */

/* Interval map against one table entry per unit: an off-by-one at an edge shows here. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lm_imap.h"

#define SPACE 160u
#define DIM(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t rng_state = 1;

static uint64_t
rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static void
test_refuses(void **state)
{
	static const struct {
		struct lm_interval v[2];
		unsigned int nb;
		int ret;
	} cases[] = {
		{ { { 0, 0, 0 } }, 1, -EINVAL },
		{ { { UINT64_MAX, 0, 2 } }, 1, -EINVAL },
		{ { { 0, UINT64_MAX, 2 } }, 1, -EINVAL },
		{ { { 10, 0, 5 }, { 14, 100, 1 } }, 2, -EEXIST },
		{ { { 14, 100, 1 }, { 10, 0, 5 } }, 2, -EEXIST },
		{ { { 10, 0, 5 }, { 10, 100, 1 } }, 2, -EEXIST },
		{ { { 0, 0, UINT64_MAX }, { UINT64_MAX, 0, 1 } }, 2, 0 },
		{ { { UINT64_MAX, UINT64_MAX, 1 } }, 1, 0 },
		{ { { 0, 0, 0 } }, 0, 0 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < DIM(cases); i++) {
		struct lm_imap *map = NULL;

		assert_int_equal(lm_imap_create(cases[i].v, cases[i].nb, &map), cases[i].ret);
		assert_int_equal(map != NULL, cases[i].ret == 0);
		lm_imap_destroy(map);
	}
}

static void
test_empty(void **state)
{
	struct lm_imap *map = NULL;
	uint64_t to = 7, len = 1;

	(void)state;
	assert_int_equal(lm_imap_create(NULL, 0, &map), 0);
	assert_int_equal(lm_imap_count(map), 0);
	assert_null(lm_imap_get(map, 0));
	assert_false(lm_imap_lookup(map, 0, 1, &to));
	assert_false(lm_imap_span(map, 0, &len, &to));
	assert_false(lm_imap_lookup(NULL, 0, 1, &to));
	assert_int_equal(to, 7);
	lm_imap_destroy(map);
}

static void
test_top_of_space(void **state)
{
	const struct lm_interval v[] = {
		{ UINT64_MAX - 9, 100, 10 },
		{ UINT64_MAX - 19, 90, 10 },
	};
	struct lm_imap *map;
	uint64_t to, len = UINT64_MAX;

	(void)state;
	assert_int_equal(lm_imap_create(v, 2, &map), 0);
	assert_true(lm_imap_lookup(map, UINT64_MAX - 19, 20, &to));
	assert_int_equal(to, 90);
	assert_false(lm_imap_lookup(map, UINT64_MAX - 19, 21, &to));
	assert_true(lm_imap_span(map, UINT64_MAX, &len, &to));
	assert_int_equal(len, 1);
	assert_int_equal(to, 109);
	assert_false(lm_imap_lookup(map, 0, 1, &to));
	lm_imap_destroy(map);
}

static void
test_all_of_space(void **state)
{
	const struct lm_interval v[] = { { 0, 0, UINT64_MAX }, { UINT64_MAX, UINT64_MAX, 1 } };
	struct lm_imap *map;
	uint64_t to, len = UINT64_MAX;

	(void)state;
	assert_int_equal(lm_imap_create(v, 2, &map), 0);
	assert_true(lm_imap_span(map, 0, &len, &to));
	assert_int_equal(len, UINT64_MAX);
	assert_true(lm_imap_lookup(map, 1, UINT64_MAX, &to));
	assert_int_equal(to, 1);
	lm_imap_destroy(map);
}

/* Oracle: for each unit of the space, where it goes; UINT64_MAX is nowhere. */
static unsigned int
random_intervals(struct lm_interval *v, uint64_t *table)
{
	uint64_t at = rng() % 8, to = rng() % 1000 + 1000;
	unsigned int nb = 0, i;

	for (i = 0; i < SPACE; i++)
		table[i] = UINT64_MAX;
	while (at < SPACE) {
		uint64_t len = rng() % 12 + 1;

		if (len > SPACE - at)
			len = SPACE - at;
		v[nb++] = (struct lm_interval){ at, to, len };
		for (i = 0; i < len; i++)
			table[at + i] = to + i;
		to += len;
		at += len;
		if (rng() % 2 == 0)
			to = rng() % 100000;
		if (rng() % 3 == 0)
			at += rng() % 5;
	}
	for (i = nb; i > 1; i--) {
		unsigned int j = (unsigned int)(rng() % i);
		struct lm_interval t = v[i - 1];

		v[i - 1] = v[j];
		v[j] = t;
	}
	return nb;
}

static void
check_at(const struct lm_imap *map, const uint64_t *table, uint64_t from)
{
	uint64_t have = 0, len, to;

	while (from + have < SPACE && table[from + have] != UINT64_MAX &&
			table[from + have] == table[from] + have)
		have++;
	for (len = 1; len < 40; len++) {
		uint64_t span = len;

		to = 12345;
		assert_int_equal(lm_imap_lookup(map, from, len, &to), len <= have);
		assert_int_equal(to, len <= have ? table[from] : 12345);
		assert_int_equal(lm_imap_ptr(map, from, len) == NULL, len > have);
		assert_int_equal(lm_imap_span(map, from, &span, &to), have != 0);
		if (have != 0) {
			assert_int_equal(span, len < have ? len : have);
			assert_int_equal(to, table[from]);
		}
	}
	assert_false(lm_imap_lookup(map, from, UINT64_MAX, &to));
	assert_int_equal(lm_imap_lookup(map, from, 0, &to), have != 0);
}

static void
test_random(void **state)
{
	struct lm_interval v[SPACE];
	uint64_t table[SPACE], from;
	struct lm_imap *map;
	unsigned int round, i, nb;

	(void)state;
	for (round = 0; round < 200; round++) {
		nb = random_intervals(v, table);
		assert_int_equal(lm_imap_create(v, nb, &map), 0);
		assert_int_equal(lm_imap_count(map), nb);
		for (i = 1; i < nb; i++)
			assert_true(lm_imap_get(map, i - 1)->from < lm_imap_get(map, i)->from);
		for (from = 0; from < SPACE; from++)
			check_at(map, table, from);
		lm_imap_destroy(map);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_top_of_space),
		cmocka_unit_test(test_all_of_space),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
