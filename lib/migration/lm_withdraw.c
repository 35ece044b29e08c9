/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>

#include "lm_compat.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include "lm_window.h"
#include "lm_withdraw.h"

#define CHUNK 64u

struct element {
	uint64_t offset; /* of its buffer, in the window */
	struct rte_mbuf *mbuf;
	bool taken;
};

struct lm_withdraw {
	struct rte_mempool *pool;
	unsigned int nb;
	struct element elements[]; /* ascending by offset */
};

static int
by_offset(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* A pool that was just made hands out its objects in order, and this comes in a downtime. */
static void
sort(struct lm_withdraw *w)
{
	unsigned int i = 1;

	while (i < w->nb && w->elements[i - 1].offset < w->elements[i].offset)
		i++;
	if (i < w->nb)
		qsort(w->elements, w->nb, sizeof(w->elements[0]), by_offset);
}

/* Where the buffers are; mbufs are far apart in memory, so all are asked for before one is read. */
static int
add(struct lm_withdraw *w, const struct lm_window *window, void *const *objects, unsigned int nb)
{
	bool inside = true;
	unsigned int i;

	for (i = 0; i < nb; i++)
		rte_prefetch0(objects[i]);
	for (i = 0; i < nb; i++) {
		struct element *e = &w->elements[w->nb++];

		e->mbuf = objects[i];
		e->taken = false;
		inside = lm_window_offset(window, e->mbuf->buf_addr, e->mbuf->buf_len,
				&e->offset) && inside;
	}
	return inside ? 0 : -ERANGE;
}

int
lm_withdraw_begin(struct rte_mempool *pool, const struct lm_window *window,
		struct lm_withdraw **withdraw)
{
	struct lm_withdraw *w;
	void *objects[CHUNK];
	unsigned int nb = CHUNK;
	int ret = 0;

	w = malloc(sizeof(*w) + pool->size * sizeof(w->elements[0]));
	if (w == NULL)
		return -ENOMEM;
	w->pool = pool;
	w->nb = 0;
	rte_mempool_cache_flush(NULL, pool);
	while (nb != 0 && ret == 0) {
		nb = nb < pool->size - w->nb ? nb : pool->size - w->nb;
		if (nb != 0 && rte_mempool_generic_get(pool, objects, nb, NULL) == 0)
			ret = add(w, window, objects, nb);
		else
			nb /= 2; /* fewer are left */
	}
	if (ret != 0) {
		lm_withdraw_end(w, false);
		return ret;
	}
	sort(w);
	*withdraw = w;
	return 0;
}

struct rte_mbuf *
lm_withdraw_take(struct lm_withdraw *w, uint64_t offset, uint64_t len_bytes)
{
	unsigned int low = 0, high = w->nb, mid;
	struct element *e;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (w->elements[mid].offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return NULL;
	e = &w->elements[low - 1];
	if (e->taken || offset - e->offset > e->mbuf->buf_len ||
			len_bytes > e->mbuf->buf_len - (offset - e->offset))
		return NULL;
	e->taken = true;
	rte_pktmbuf_reset(e->mbuf);
	e->mbuf->data_off = (uint16_t)(offset - e->offset);
	return e->mbuf;
}

void
lm_withdraw_end(struct lm_withdraw *w, bool keep)
{
	void *objects[CHUNK];
	unsigned int i, nb = 0;

	for (i = 0; i < w->nb; i++) {
		if (!keep || !w->elements[i].taken)
			objects[nb++] = w->elements[i].mbuf;
		if (nb == CHUNK || (nb != 0 && i + 1 == w->nb)) {
			rte_mempool_generic_put(w->pool, objects, nb, NULL);
			nb = 0;
		}
	}
	free(w);
}
