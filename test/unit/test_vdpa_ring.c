/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "virtio_ring_if.h"
#include "virtio_vdpa.h"

/*
 * A device that completes out of order leaves a ring: after closing its holes, what is outstanding
 * must be exactly the available chains from the used index on, and every chain used once.
 */

#define SIZE 8

struct ring {
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
};

static struct ring
ring_make(uint16_t start)
{
	struct ring r = { calloc(1, lm_vring_avail_bytes(SIZE)),
		calloc(1, lm_vring_used_bytes(SIZE)) };

	assert_non_null(r.avail);
	assert_non_null(r.used);
	r.avail->idx = start;
	r.used->idx = start;
	return r;
}

static void
ring_free(struct ring *r)
{
	free(r->avail);
	free(r->used);
}

static void
ring_post(struct ring *r, uint16_t head)
{
	r->avail->ring[r->avail->idx++ % SIZE] = head;
}

static void
ring_use(struct ring *r, uint16_t head)
{
	r->used->ring[r->used->idx++ % SIZE] = (struct lm_vring_used_elem){ head, 77 };
}

/* Chains in available order that are in no used entry from start on; the reference. */
static unsigned int
ring_left(const struct ring *r, uint16_t start, uint16_t *left)
{
	unsigned int nb = 0;
	uint16_t a, u;

	for (a = start; a != r->avail->idx; a++) {
		for (u = start; u != r->used->idx; u++)
			if (r->used->ring[u % SIZE].id == r->avail->ring[a % SIZE])
				break;
		if (u == r->used->idx)
			left[nb++] = r->avail->ring[a % SIZE];
	}
	return nb;
}

/* Every subset of five chains, used in falling order, at a start that wraps and one that won't. */
static void
test_every_subset(void **state)
{
	static const uint16_t starts[] = { 0, 6, 0xfffd };
	uint16_t left[SIZE], after[SIZE], i;
	unsigned int s, subset, nb, closed, j;
	struct ring r;

	(void)state;
	for (s = 0; s < 3; s++) {
		for (subset = 0; subset < 32; subset++) {
			r = ring_make(starts[s]);
			for (i = 0; i < 5; i++)
				ring_post(&r, 4 - i);
			for (i = 0; i < 5; i++)
				if ((subset >> i & 1) != 0)
					ring_use(&r, i);
			nb = ring_left(&r, starts[s], left);
			closed = virtio_vdpa_ring_close_holes(r.avail, r.used, SIZE, left, nb);
			assert_int_equal(ring_left(&r, starts[s], after), nb - closed);
			for (j = 0; j < nb - closed; j++) {
				assert_int_equal(after[j], left[closed + j]);
				assert_int_equal(r.avail->ring[(uint16_t)(r.used->idx + j) % SIZE],
					after[j]);
			}
			assert_int_equal((uint16_t)(r.avail->idx - r.used->idx), nb - closed);
			for (i = 0; i < closed; i++)
				assert_int_equal(r.used->ring[(uint16_t)(r.used->idx - closed + i) %
					SIZE].len, 0);
			ring_free(&r);
		}
	}
}

/* In order: nothing is closed, the used ring is not touched. */
static void
test_no_holes(void **state)
{
	static const uint16_t left[] = { 1, 2 };
	struct ring r = ring_make(0);

	(void)state;
	ring_post(&r, 0);
	ring_post(&r, 1);
	ring_post(&r, 2);
	ring_use(&r, 0);
	assert_int_equal(virtio_vdpa_ring_close_holes(r.avail, r.used, SIZE, left, 2), 0);
	assert_int_equal(virtio_vdpa_ring_used_idx(r.used), 1);
	assert_int_equal(r.used->ring[0].len, 77);
	ring_free(&r);
}

/* The guest runs on while logging starts: chains that it adds later are not holes. */
static void
test_guest_goes_on(void **state)
{
	static const uint16_t left[] = { 1 };
	struct ring r = ring_make(0);

	(void)state;
	ring_post(&r, 0);
	ring_post(&r, 1);
	ring_use(&r, 0);
	ring_post(&r, 5);
	ring_post(&r, 6);
	assert_int_equal(virtio_vdpa_ring_close_holes(r.avail, r.used, SIZE, left, 1), 0);
	assert_int_equal(virtio_vdpa_ring_used_idx(r.used), 1);
	ring_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_subset),
		cmocka_unit_test(test_no_holes),
		cmocka_unit_test(test_guest_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
