/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_IMAP_H
#define LM_IMAP_H

/**
 * @file
 * Interval map: translates addresses of one space into another, range by range, without overlap.
 *
 * Immutable once built, therefore readable by any number of threads; replaced as a whole.
 */

#include <stdbool.h>
#include <stdint.h>

struct lm_interval {
	uint64_t from;
	uint64_t to;
	uint64_t len_bytes;
};

struct lm_imap;

/**
 * Copies and sorts; intervals may come in any order, none at all is a map that translates nothing.
 * Overlap in "to" is allowed: several addresses may mean one place.
 *
 * @return 0; -EINVAL: an interval is empty or goes beyond 64 bits on either side; -EEXIST: two
 * overlap in "from"; -ENOMEM
 */
int lm_imap_create(const struct lm_interval *intervals, unsigned int nb, struct lm_imap **map);
void lm_imap_destroy(struct lm_imap *map);
/** NULL counts and translates nothing, here and below. */
unsigned int lm_imap_count(const struct lm_imap *map);
/** In ascending order of "from"; NULL beyond the last. Valid as long as the map. */
const struct lm_interval *lm_imap_get(const struct lm_imap *map, unsigned int index);

/**
 * Translate [from, from + len) if it lies in one interval, or in adjoining ones that stay
 * adjoining. A length of 0 asks for the address alone. *to is left alone when there is none.
 */
bool lm_imap_lookup(const struct lm_imap *map, uint64_t from, uint64_t len_bytes, uint64_t *to);
/** Translate from; *len_bytes is cut to what is contiguous on both sides, never raised. */
bool lm_imap_span(const struct lm_imap *map, uint64_t from, uint64_t *len_bytes, uint64_t *to);
/** As lm_imap_lookup(), giving a host pointer; for maps whose "to" side is this process. */
static inline void *
lm_imap_ptr(const struct lm_imap *map, uint64_t from, uint64_t len_bytes)
{
	uint64_t to;

	return lm_imap_lookup(map, from, len_bytes, &to) ? (void *)(uintptr_t)to : (void *)0;
}

#endif /* LM_IMAP_H */
