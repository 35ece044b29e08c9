/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>

#include "virtio_ring_if.h"
#include "virtio_vdpa_relay.h"

/*
 * How many chains are out is known: available index minus used index. Which ones, two rings tell
 * that remember the last `size` entries each. A head is made available and used in turns; the
 * newest event of either kind is seen, unless it has been overwritten. So there are two histories
 * for each head: it ended available, or it ended used. A history is possible when its pairs lie at
 * most `disorder` entries apart, where a device in order has them at equal indices. The least
 * disorder that explains all heads and the number is what the device has shown; the answer counts
 * when every history of twice that disorder has the same.
 *
 * Places are relative to the used index: what is available lies before `nb`, what was used before
 * 0.
 */

#define NONE INT32_MIN
#define MARGIN 8 /* places */

struct rings {
	const struct lm_vring_avail *avail;
	const struct lm_vring_used *used;
	uint32_t size;
	uint16_t used_idx;
	int32_t nb;
	int32_t avail_begin; /* first place that is seen */
	int32_t used_begin;
	bool avail_whole;    /* there is none before: the ring is on its first lap */
	bool used_whole;
	uint16_t *heads;     /* what is available, per slot */
	int32_t *avail_last, *used_last; /* per head: its newest place */
	int32_t *avail_prev, *used_prev; /* per place: the one before it of the same head */
};

struct verdict {
	uint32_t must; /* heads that are out in any history */
	uint32_t may;
	bool possible;
};

static int
rings_alloc(struct rings *r)
{
	uint32_t i, n = r->size;

	r->heads = malloc(n * sizeof(r->heads[0]));
	r->avail_last = malloc(4 * n * sizeof(int32_t));
	if (r->heads == NULL || r->avail_last == NULL)
		return -ENOMEM;
	r->used_last = r->avail_last + n;
	r->avail_prev = r->used_last + n;
	r->used_prev = r->avail_prev + n;
	for (i = 0; i < n; i++)
		r->avail_last[i] = r->used_last[i] = NONE;
	return 0;
}

static uint32_t
slot(const struct rings *r, int32_t place)
{
	return (uint32_t)(r->used_idx + place) & (r->size - 1);
}

/* A used ring on its first lap is zero behind the index. */
static bool
first_lap(const struct rings *r)
{
	uint32_t i;

	for (i = r->used_idx; i < r->size; i++)
		if (r->used->ring[i].id != 0 || r->used->ring[i].len != 0)
			return false;
	return r->used_idx < r->size;
}

/*
 * The guest may go on meanwhile: what it adds is none of our business, and what it could have
 * overwritten is not seen.
 */
static int
windows(struct rings *r)
{
	int32_t size = (int32_t)r->size;
	uint32_t i;

	r->used_idx = lm_vring_load_acquire(&r->used->idx);
	r->nb = (uint16_t)(lm_vring_load_acquire(&r->avail->idx) - r->used_idx);
	for (i = 0; i < r->size; i++)
		r->heads[i] = lm_vring_load_relaxed(&r->avail->ring[i]);
	atomic_thread_fence(memory_order_acquire);
	r->used_whole = first_lap(r);
	r->used_begin = r->used_whole ? -(int32_t)r->used_idx : -size;
	r->avail_begin = (uint16_t)(lm_vring_load_relaxed(&r->avail->idx) - r->used_idx) - size;
	r->avail_whole = r->used_whole && r->avail_begin <= r->used_begin;
	if (r->avail_whole)
		r->avail_begin = r->used_begin;
	return r->nb > size || r->avail_begin > 0 ? -ERANGE : 0;
}

static int
rings_read(struct rings *r)
{
	int32_t place;
	uint32_t head;

	for (place = r->avail_begin; place < r->nb; place++) {
		head = r->heads[slot(r, place)];
		if (head >= r->size)
			return -ERANGE;
		r->avail_prev[slot(r, place)] = r->avail_last[head];
		r->avail_last[head] = place;
	}
	for (place = r->used_begin; place < 0; place++) {
		head = r->used->ring[slot(r, place)].id;
		if (head >= r->size)
			return -ERANGE;
		r->used_prev[slot(r, place)] = r->used_last[head];
		r->used_last[head] = place;
	}
	return 0;
}

/* Pair the places of a head from the newest on; next is where it was made available after that. */
static bool
pairs_ok(const struct rings *r, int32_t avail, int32_t used, int32_t next, int32_t disorder)
{
	while (avail != NONE && used != NONE) {
		if (used < avail - disorder || used > avail + disorder || used >= next)
			return false;
		next = avail;
		avail = r->avail_prev[slot(r, avail)];
		used = r->used_prev[slot(r, used)];
	}
	if (avail != NONE) /* used before what is seen */
		return !r->used_whole && avail < r->used_begin + disorder;
	if (used != NONE) /* made available before what is seen */
		return !r->avail_whole && used < r->avail_begin + disorder && used < next;
	return true;
}

/* A chain that is out may have been made available before what is seen. */
static bool
can_be_out(const struct rings *r, uint32_t head, int32_t disorder)
{
	int32_t avail = r->avail_last[head], used = r->used_last[head];

	if (avail != NONE)
		return pairs_ok(r, r->avail_prev[slot(r, avail)], used, avail, disorder);
	return !r->avail_whole && (used == NONE || used < r->avail_begin);
}

static bool
can_be_used(const struct rings *r, uint32_t head, int32_t disorder)
{
	return pairs_ok(r, r->avail_last[head], r->used_last[head], INT32_MAX, disorder);
}

static struct verdict
judge(const struct rings *r, int32_t disorder)
{
	struct verdict v = { .possible = true };
	uint32_t head, nb = (uint32_t)r->nb;
	bool out, used;

	for (head = 0; head < r->size; head++) {
		out = can_be_out(r, head, disorder);
		used = can_be_used(r, head, disorder);
		v.possible &= out || used;
		v.must += out && !used;
		v.may += out && used;
	}
	v.possible &= v.must <= nb && nb <= v.must + v.may;
	return v;
}

/* @return the least disorder that explains the rings, or -1. */
static int32_t
least_disorder(const struct rings *r)
{
	int32_t low = 0, high = (int32_t)r->size, middle;

	if (!judge(r, high).possible)
		return -1;
	while (low < high) {
		middle = (low + high) / 2;
		if (judge(r, middle).possible)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static bool
one_answer(const struct rings *r, const struct verdict *v)
{
	uint32_t nb = (uint32_t)r->nb;

	return v->possible && (nb == v->must || nb == v->must + v->may);
}

/* In available order; those whose place is not seen are the oldest. */
static int
collect(const struct rings *r, int32_t disorder, const struct verdict *v,
		uint16_t *outstanding, unsigned int *holes)
{
	bool all = (uint32_t)r->nb == v->must + v->may;
	int32_t place, oldest = NONE;
	uint32_t head;
	int nb = 0;

	for (head = 0; head < r->size; head++) {
		if (r->avail_last[head] == NONE && can_be_out(r, head, disorder) &&
				(all || !can_be_used(r, head, disorder)))
			outstanding[nb++] = (uint16_t)head;
	}
	if (nb != 0)
		oldest = r->avail_begin - nb;
	for (place = r->avail_begin; place < r->nb; place++) {
		head = r->heads[slot(r, place)];
		if (r->avail_last[head] != place || !can_be_out(r, head, disorder) ||
				(!all && can_be_used(r, head, disorder)))
			continue;
		if (oldest == NONE)
			oldest = place;
		outstanding[nb++] = (uint16_t)head;
	}
	*holes = nb == 0 ? 0 : (unsigned int)(r->nb - oldest - nb);
	return nb;
}

/* As many places and more must be seen: the fewer pairs there are, the more histories they fit. */
static int32_t
believed_disorder(const struct rings *r)
{
	int32_t least = least_disorder(r), most = 2 * least;

	if (least >= 0 && r->avail_whole)
		return (int32_t)r->size; /* there is one history only */
	if (least > 0 && -r->avail_begin < most + MARGIN)
		return -1;
	return most;
}

static int
solve(const struct rings *r, uint16_t *outstanding, unsigned int *holes)
{
	int32_t disorder = believed_disorder(r);
	struct verdict v;

	if (disorder < 0)
		return -ERANGE;
	v = judge(r, disorder);
	return one_answer(r, &v) ? collect(r, disorder, &v, outstanding, holes) : -ERANGE;
}

static int
rings_open(struct rings *r)
{
	int ret;

	if (!lm_vring_split_size_ok(r->size))
		return -EINVAL;
	ret = rings_alloc(r);
	if (ret == 0)
		ret = windows(r);
	return ret != 0 ? ret : rings_read(r);
}

static void
rings_close(struct rings *r)
{
	free(r->avail_last);
	free(r->heads);
}

int
virtio_vdpa_ring_outstanding(const void *avail_ring, const void *used_ring, uint16_t size,
		uint16_t *outstanding, unsigned int *holes)
{
	struct rings r = { .avail = avail_ring, .used = used_ring, .size = size };
	int ret = rings_open(&r);

	*holes = 0;
	if (ret == 0)
		ret = solve(&r, outstanding, holes);
	rings_close(&r);
	return ret;
}

bool
virtio_vdpa_ring_ordered(const void *avail_ring, const void *used_ring, uint16_t size)
{
	struct rings r = { .avail = avail_ring, .used = used_ring, .size = size };
	bool ordered = rings_open(&r) == 0 && least_disorder(&r) == 0;

	rings_close(&r);
	return ordered;
}
