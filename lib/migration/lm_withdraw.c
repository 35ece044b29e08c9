/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>

#include "lm_compat.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "lm_window.h"
#include "lm_withdraw.h"

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

int
lm_withdraw_begin(struct rte_mempool *pool, const struct lm_window *window,
		struct lm_withdraw **withdraw)
{
	struct lm_withdraw *w;
	void *object;

	w = calloc(1, sizeof(*w) + pool->size * sizeof(w->elements[0]));
	if (w == NULL)
		return -ENOMEM;
	w->pool = pool;
	rte_mempool_cache_flush(NULL, pool);
	while (w->nb < pool->size && rte_mempool_generic_get(pool, &object, 1, NULL) == 0) {
		struct element *e = &w->elements[w->nb++];

		e->mbuf = object;
		if (!lm_window_offset(window, e->mbuf->buf_addr, e->mbuf->buf_len, &e->offset)) {
			lm_withdraw_end(w, false);
			return -ERANGE;
		}
	}
	qsort(w->elements, w->nb, sizeof(w->elements[0]), by_offset);
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
	unsigned int i;

	for (i = 0; i < w->nb; i++) {
		void *object = w->elements[i].mbuf;

		if (!keep || !w->elements[i].taken)
			rte_mempool_generic_put(w->pool, &object, 1, NULL);
	}
	free(w);
}
