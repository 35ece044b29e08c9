/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "virtio_ring_if.h"
#include "virtio_vdpa_relay.h"

/*
 * Guests and devices of many kinds work on a ring, and a list is kept of what is out. At any time
 * the rings must give the same list, or say that they cannot tell.
 */

#define MAX_SIZE 256u

enum heads {
	HEADS_LAST,  /* what came back last goes out next, as Linux has it */
	HEADS_FIRST, /* in turns */
	HEADS_ANY,
};

struct world {
	const char *name;
	uint16_t size;
	uint16_t start;       /* index of the first chain */
	uint16_t most;        /* chains that are out, at most */
	uint16_t least;       /* the guest refills up to most when fewer are out; 0: at any time */
	uint16_t descs;       /* a chain has */
	enum heads heads;
	uint16_t disorder;    /* the device picks one of the oldest disorder + 1 */
	uint16_t stuck;       /* one chain in so many stays for stuck_for others */
	uint16_t stuck_for;
	unsigned int told;    /* looks of 100 that have an answer, at least */

	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	uint64_t seed;
	uint16_t free[MAX_SIZE];
	unsigned int nb_free;
	struct {
		uint16_t head;
		uint16_t until;
	} out[MAX_SIZE];
	unsigned int nb_out;
	uint64_t looks, wrong, unknown, holes;
};

static uint32_t
rnd(struct world *w, uint32_t below)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->seed >> 33) % below;
}

static void
post(struct world *w)
{
	unsigned int i = w->nb_free - 1;
	uint16_t head;

	if (w->heads == HEADS_FIRST)
		i = 0;
	else if (w->heads == HEADS_ANY)
		i = rnd(w, w->nb_free);
	head = w->free[i];
	memmove(&w->free[i], &w->free[i + 1], (--w->nb_free - i) * sizeof(w->free[0]));
	w->avail->ring[w->avail->idx % w->size] = head;
	w->avail->idx++;
	w->out[w->nb_out].head = head;
	w->out[w->nb_out].until = 0;
	if (w->stuck != 0 && rnd(w, w->stuck) == 0)
		w->out[w->nb_out].until = w->stuck_for;
	w->nb_out++;
}

static void
use(struct world *w)
{
	unsigned int pick = rnd(w, w->disorder + 1u), i, last = w->nb_out;

	for (i = 0; i < w->nb_out; i++) {
		if (w->out[i].until > 1) {
			w->out[i].until--;
			continue;
		}
		last = i;
		if (pick-- == 0)
			break;
	}
	if (last == w->nb_out)
		return;
	w->used->ring[w->used->idx % w->size] = (struct lm_vring_used_elem){
		w->out[last].head, 60 };
	w->used->idx++;
	w->free[w->nb_free++] = w->out[last].head;
	memmove(&w->out[last], &w->out[last + 1],
		(--w->nb_out - last) * sizeof(w->out[0]));
}

static bool
same(struct world *w, const uint16_t *got, int nb)
{
	bool seen[MAX_SIZE] = { false };
	unsigned int i;

	if (nb != (int)w->nb_out)
		return false;
	for (i = 0; i < w->nb_out; i++)
		seen[got[i]] = true;
	for (i = 0; i < w->nb_out; i++)
		if (!seen[w->out[i].head])
			return false;
	return true;
}

static void
look(struct world *w)
{
	uint16_t got[MAX_SIZE];
	unsigned int holes;
	int nb = virtio_vdpa_ring_outstanding(w->avail, w->used, w->size, got, &holes);

	w->looks++;
	if (nb < 0)
		w->unknown++;
	else if (!same(w, got, nb))
		w->wrong++;
	else
		w->holes += holes != 0;
}

static void
run(struct world *w, unsigned int rounds)
{
	unsigned int i;
	bool fill = true;

	w->avail = calloc(1, lm_vring_avail_bytes(w->size));
	w->used = calloc(1, lm_vring_used_bytes(w->size));
	assert_non_null(w->avail);
	assert_non_null(w->used);
	w->avail->idx = w->used->idx = w->start;
	for (i = 0; i < w->size; i += w->descs)
		w->free[w->nb_free++] = (uint16_t)i;
	for (i = 0; i < rounds; i++) {
		if (w->least != 0)
			fill = w->nb_out <= w->least ? true : w->nb_out >= w->most ? false : fill;
		else
			fill = rnd(w, 2) == 0;
		if (w->nb_out == 0 || (fill && w->nb_out < w->most && w->nb_free != 0))
			post(w);
		else
			use(w);
		if (rnd(w, 16) == 0)
			look(w);
	}
	free(w->avail);
	free(w->used);
}

#define N 64

/* Property: the answer is the list, or there is none; and there is one often enough. */
static void
test_devices(void **state)
{
	static const struct world kinds[] = {
	{ "in order", N, 0, N / 2, 0, 1, HEADS_LAST, 0, 0, 0, 100 },
	{ "in order from 65000", N, 65000, N, 0, 1, HEADS_FIRST, 0, 0, 0, 100 },
	{ "in order, full", N, 0, N, N - 8, 1, HEADS_LAST, 0, 0, 0, 100 },
	{ "in order, one at a time", N, 0, 1, 0, 1, HEADS_LAST, 0, 0, 0, 100 },
	{ "in order, chains", N, 0, N / 3, 0, 3, HEADS_LAST, 0, 0, 0, 100 },
	{ "4 off", N, 0, 32, 0, 1, HEADS_FIRST, 4, 0, 0, 80 },
	{ "4 off, heads at once", N, 0, 32, 0, 1, HEADS_LAST, 4, 0, 0, 20 },
	{ "4 off, any head", N, 0, 32, 0, 1, HEADS_ANY, 4, 0, 0, 60 },
	{ "4 off, full", N, 0, N, N - 16, 1, HEADS_FIRST, 4, 0, 0, 0 },
	{ "4 off, chains", N, 0, 16, 0, 3, HEADS_FIRST, 4, 0, 0, 25 },
	{ "16 off", N, 0, 32, 0, 1, HEADS_FIRST, 16, 0, 0, 10 },
	{ "8 off, long ring, full", 256, 0, 256, 200, 1, HEADS_LAST, 8, 0, 0, 8 },
	{ "32 off, long ring", 256, 0, 64, 0, 1, HEADS_FIRST, 32, 0, 0, 15 },
	{ "one late", N, 0, 16, 0, 1, HEADS_FIRST, 0, 40, 16, 80 },
	{ "one late, any head", N, 0, 16, 0, 1, HEADS_ANY, 0, 40, 32, 30 },
	{ "one very late", N, 0, 16, 0, 1, HEADS_FIRST, 0, 400, 200, 50 },
	{ "one very late, at once", N, 0, 16, 0, 1, HEADS_LAST, 0, 400, 200, 45 },
	{ "one very late, full", N, 0, N, N - 8, 1, HEADS_LAST, 0, 400, 200, 55 },
	};
	uint64_t holes = 0, wrong = 0, looks = 0;
	struct world w;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		w = kinds[i];
		w.seed = i + 1;
		run(&w, 200000);
		print_message("%-24s told %3" PRIu64 " %%, wrong %" PRIu64 " of %" PRIu64 "\n",
			w.name, 100 - 100 * w.unknown / w.looks, w.wrong, w.looks);
		assert_true(100 * (w.looks - w.unknown) >= w.told * w.looks);
		if (w.disorder == 0 && w.stuck == 0)
			assert_int_equal(w.wrong, 0);
		wrong += w.wrong;
		looks += w.looks;
		holes += w.holes;
	}
	/* Rings can lie: a device that was in order for as long as they remember, but for one. */
	assert_true(wrong * 50000 < looks);
	assert_true(holes > 10000);
}

/* The first lap tells everything, whatever the device does. */
static void
test_first_lap(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		struct world w = { "first lap", 256, 0, 64, 0, 1, (enum heads)(i % 3),
			(uint16_t)(i % 64), (uint16_t)(i % 5), 100, 100 };

		w.seed = i;
		run(&w, 255);
		assert_int_equal(w.wrong + w.unknown, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_first_lap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
