/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>

#include "virtio_ring_if.h"
#include "virtio_vdpa_relay.h"

#define NONE UINT16_MAX
#define ORDERED_PART 4u /* of the ring that must have been in order before it was not */

/* Replay of what both rings still hold: entry i is available index begin + i. */
struct replay {
	const struct lm_vring_avail *avail;
	const struct lm_vring_used *used;
	uint16_t mask;
	uint16_t begin;
	uint16_t nb_avail;
	uint16_t *first; /* per head: its oldest entry that is not used yet */
	uint16_t *next;  /* per entry: the next one with the same head */
	uint8_t *done;   /* per entry */
};

static int
replay_alloc(struct replay *p, uint16_t size)
{
	unsigned int i;

	p->first = malloc(size * sizeof(p->first[0]));
	p->next = malloc(size * sizeof(p->next[0]));
	p->done = calloc(size, sizeof(p->done[0]));
	if (p->first == NULL || p->next == NULL || p->done == NULL)
		return -ENOMEM;
	for (i = 0; i < size; i++)
		p->first[i] = NONE;
	return 0;
}

static void
replay_free(struct replay *p)
{
	free(p->first);
	free(p->next);
	free(p->done);
}

static int
replay_run(struct replay *p, uint16_t nb_used)
{
	uint16_t i, head, entry;
	uint32_t id;

	for (i = p->nb_avail; i-- != 0;) {
		head = lm_vring_load_relaxed(&p->avail->ring[(uint16_t)(p->begin + i) & p->mask]);
		if (head > p->mask)
			return -ERANGE;
		p->next[i] = p->first[head];
		p->first[head] = i;
	}
	for (i = 0; i < nb_used; i++) {
		id = p->used->ring[(uint16_t)(p->begin + i) & p->mask].id;
		entry = id <= p->mask ? p->first[id] : NONE;
		if (entry == NONE)
			return -ERANGE;
		p->first[id] = p->next[entry];
		p->done[entry] = 1;
	}
	return 0;
}

/* A head that is out twice means that the window does not tell the whole story. */
static int
replay_collect(const struct replay *p, uint16_t *outstanding, unsigned int *holes)
{
	uint16_t i, head;
	int nb = 0;

	for (i = 0; i < p->nb_avail; i++) {
		if (p->done[i]) {
			*holes += nb != 0;
			continue;
		}
		if (p->next[i] != NONE)
			return -ERANGE;
		head = lm_vring_load_relaxed(&p->avail->ring[(uint16_t)(p->begin + i) & p->mask]);
		outstanding[nb++] = head;
	}
	return nb;
}

/*
 * While a device completes in order, entry k of one ring is entry k of the other, and a run of such
 * entries says that nothing older is out. Find the end of the last run that is long enough, or of
 * one that is the whole window. @return false when there is none.
 */
static bool
last_ordered(const struct replay *p, uint16_t oldest, uint16_t used_idx, uint16_t *end)
{
	uint16_t k, run = 0, enough = (uint16_t)((p->mask + 1u) / ORDERED_PART);
	bool found = false;

	for (k = oldest; k != used_idx; k++) {
		if (p->used->ring[k & p->mask].id !=
				lm_vring_load_relaxed(&p->avail->ring[k & p->mask])) {
			run = 0;
			continue;
		}
		if (++run >= enough) {
			*end = (uint16_t)(k + 1);
			found = true;
		}
	}
	if (run == (uint16_t)(used_idx - oldest)) {
		*end = used_idx;
		found = true;
	}
	return found;
}

/* Both rings hold at least the indices from avail_idx - size to used_idx. */
int
virtio_vdpa_ring_outstanding(const void *avail_ring, const void *used_ring, uint16_t size,
		uint16_t *outstanding, unsigned int *holes)
{
	struct replay p = { .avail = avail_ring, .used = used_ring, .mask = size - 1 };
	uint16_t avail_idx, used_idx;
	int rc;

	if (!lm_vring_split_size_ok(size))
		return -EINVAL;
	*holes = 0;
	avail_idx = lm_vring_load_acquire(&p.avail->idx);
	used_idx = lm_vring_load_acquire(&p.used->idx);
	if ((uint16_t)(avail_idx - used_idx) > size ||
			!last_ordered(&p, (uint16_t)(avail_idx - size), used_idx, &p.begin))
		return -ERANGE;
	p.nb_avail = (uint16_t)(avail_idx - p.begin);
	rc = replay_alloc(&p, size);
	if (rc == 0)
		rc = replay_run(&p, (uint16_t)(used_idx - p.begin));
	if (rc == 0)
		rc = replay_collect(&p, outstanding, holes);
	replay_free(&p);
	return rc;
}
