/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_imap.h"

struct lm_imap {
	unsigned int nb;
	struct lm_interval v[]; /* sorted by from, no overlap */
};

static int
by_from(const void *a, const void *b)
{
	const struct lm_interval *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

int
lm_imap_create(const struct lm_interval *intervals, unsigned int nb, struct lm_imap **map)
{
	struct lm_imap *m;
	unsigned int i;

	for (i = 0; i < nb; i++) {
		const struct lm_interval *v = &intervals[i];

		if (v->len_bytes == 0 || v->len_bytes - 1 > UINT64_MAX - v->from ||
				v->len_bytes - 1 > UINT64_MAX - v->to)
			return -EINVAL;
	}
	m = calloc(1, sizeof(*m) + (size_t)nb * sizeof(m->v[0]));
	if (m == NULL)
		return -ENOMEM;
	m->nb = nb;
	if (nb != 0) {
		memcpy(m->v, intervals, (size_t)nb * sizeof(m->v[0]));
		qsort(m->v, nb, sizeof(m->v[0]), by_from);
	}
	for (i = 1; i < nb; i++) {
		if (m->v[i].from - m->v[i - 1].from < m->v[i - 1].len_bytes) {
			free(m);
			return -EEXIST;
		}
	}
	*map = m;
	return 0;
}

void
lm_imap_destroy(struct lm_imap *map)
{
	free(map);
}

unsigned int
lm_imap_count(const struct lm_imap *map)
{
	return map == NULL ? 0 : map->nb;
}

const struct lm_interval *
lm_imap_get(const struct lm_imap *map, unsigned int index)
{
	return index < lm_imap_count(map) ? &map->v[index] : NULL;
}

/* Index of the interval that holds from, or nb. */
static unsigned int
find(const struct lm_imap *map, uint64_t from)
{
	unsigned int low = 0, high = map->nb, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (map->v[mid].from <= from)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || from - map->v[low - 1].from >= map->v[low - 1].len_bytes)
		return map->nb;
	return low - 1;
}

bool
lm_imap_span(const struct lm_imap *map, uint64_t from, uint64_t *len_bytes, uint64_t *to)
{
	uint64_t have, off;
	unsigned int i;

	if (map == NULL)
		return false;
	i = find(map, from);
	if (i == map->nb)
		return false;
	off = from - map->v[i].from;
	*to = map->v[i].to + off;
	have = map->v[i].len_bytes - off;
	for (i++; have < *len_bytes && i < map->nb; i++) {
		const struct lm_interval *last = &map->v[i - 1], *next = &map->v[i];

		if (next->from - last->from != last->len_bytes ||
				next->to != last->to + last->len_bytes)
			break;
		/* Both ends of an interval are within 64 bits, so this only wraps at 2^64. */
		have = next->len_bytes > UINT64_MAX - have ? UINT64_MAX : have + next->len_bytes;
	}
	if (*len_bytes > have)
		*len_bytes = have;
	return true;
}

bool
lm_imap_lookup(const struct lm_imap *map, uint64_t from, uint64_t len_bytes, uint64_t *to)
{
	uint64_t have = len_bytes, at;

	if (!lm_imap_span(map, from, &have, &at) || have != len_bytes)
		return false;
	*to = at;
	return true;
}
