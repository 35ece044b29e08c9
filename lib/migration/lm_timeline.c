/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_timeline.h"

#define EVENT_WORDS ((sizeof(struct lm_timeline_event) + 7) / 8)

/*
 * state: 0 never written, 2 * seq + 1 being written, 2 * seq + 2 holds event seq. The words are
 * stored with release after state is odd, and loaded with acquire before state is read again: who
 * sees a word of a newer event sees the newer state too.
 */
struct timeline_slot {
	_Atomic uint64_t state;
	_Atomic uint64_t words[EVENT_WORDS];
};

struct lm_timeline {
	_Atomic uint64_t next;
	char device[sizeof(((struct lm_timeline_event *)0)->device)];
	struct timeline_slot slots[LM_TIMELINE_EVENTS];
};

int
lm_timeline_create(const char *device, struct lm_timeline **tl)
{
	struct lm_timeline *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	snprintf(t->device, sizeof(t->device), "%s", device);
	*tl = t;
	return 0;
}

void
lm_timeline_destroy(struct lm_timeline *tl)
{
	free(tl);
}

/* A slot of a newer event, or one whose older writer is still in it, is left alone. */
static bool
slot_claim(struct timeline_slot *slot, uint64_t seq)
{
	uint64_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);

	do {
		if ((state & 1) != 0 || state > 2 * seq)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&slot->state, &state, 2 * seq + 1,
			memory_order_acq_rel, memory_order_relaxed));
	return true;
}

void
lm_timeline_add(struct lm_timeline *tl, const char *phase, const char *event, uint64_t bytes,
		int error)
{
	struct lm_timeline_event e = { .bytes = bytes, .error = error };
	uint64_t words[EVENT_WORDS] = { 0 };
	struct timeline_slot *slot;
	unsigned int i;

	if (tl == NULL)
		return;
	e.t_ns = lm_clock_ns();
	memcpy(e.device, tl->device, sizeof(e.device));
	snprintf(e.phase, sizeof(e.phase), "%s", phase);
	snprintf(e.event, sizeof(e.event), "%s", event);
	e.seq = atomic_fetch_add_explicit(&tl->next, 1, memory_order_relaxed);
	memcpy(words, &e, sizeof(e));
	slot = &tl->slots[e.seq % LM_TIMELINE_EVENTS];
	if (!slot_claim(slot, e.seq))
		return;
	for (i = 0; i < EVENT_WORDS; i++)
		atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
	atomic_store_explicit(&slot->state, 2 * e.seq + 2, memory_order_release);
}

static bool
slot_read(const struct timeline_slot *slot, uint64_t seq, struct lm_timeline_event *event)
{
	uint64_t words[EVENT_WORDS];
	unsigned int i;

	if (atomic_load_explicit(&slot->state, memory_order_acquire) != 2 * seq + 2)
		return false;
	for (i = 0; i < EVENT_WORDS; i++)
		words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
	if (atomic_load_explicit(&slot->state, memory_order_relaxed) != 2 * seq + 2)
		return false;
	memcpy(event, words, sizeof(*event));
	return true;
}

unsigned int
lm_timeline_read(const struct lm_timeline *tl, uint64_t from,
		struct lm_timeline_event *events, unsigned int max)
{
	uint64_t seq, oldest, next;
	unsigned int nb = 0;

	lm_timeline_bounds(tl, &oldest, &next);
	for (seq = from > oldest ? from : oldest; seq < next && nb < max; seq++)
		if (slot_read(&tl->slots[seq % LM_TIMELINE_EVENTS], seq, &events[nb]))
			nb++;
	return nb;
}

void
lm_timeline_bounds(const struct lm_timeline *tl, uint64_t *oldest, uint64_t *next)
{
	uint64_t n = atomic_load_explicit(&tl->next, memory_order_acquire);

	*oldest = n > LM_TIMELINE_EVENTS ? n - LM_TIMELINE_EVENTS : 0;
	*next = n;
}
