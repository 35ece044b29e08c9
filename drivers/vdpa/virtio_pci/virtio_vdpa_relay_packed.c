/* SPDX-License-Identifier: BSD-3-Clause */

#include <stddef.h>

#include "virtio_vdpa_relay_pvt.h"

/* The guest's side of a packed ring (VIRTIO 1.3, 2.8); the device's side is split all the same. */

/* One look: flags first, because they say whether the rest is there (2.8.6). */
static inline struct lm_vring_packed_desc
packed_read(const struct lm_vring_packed_desc *p)
{
	union {
		uint64_t word[2];
		struct lm_vring_packed_desc desc;
	} copy;
	const _Atomic uint64_t *from = (const _Atomic uint64_t *)(const void *)p;

	copy.word[1] = atomic_load_explicit(&from[1], memory_order_acquire);
	copy.word[0] = atomic_load_explicit(&from[0], memory_order_relaxed);
	return copy.desc;
}

static inline struct lm_vring_packed_event
event_read(const struct lm_vring_packed_event *p)
{
	union {
		uint32_t word;
		struct lm_vring_packed_event event;
	} copy = { .word = atomic_load_explicit((const _Atomic uint32_t *)(const void *)p,
			memory_order_relaxed) };

	return copy.event;
}

/*
 * d is the chain's first descriptor, pos its place. @return slots of the guest's ring; 0: no room
 * (c->error OK) or a broken rule. Nothing is shown to the device yet.
 */
static inline uint16_t
chain_copy(struct chain *c, struct lm_vring_packed_desc d, uint16_t pos, struct relay_entry *e)
{
	struct virtio_vdpa_relay *r = c->r;
	uint16_t room = (uint16_t)(r->size - r->slots_held);
	uint16_t most = (uint16_t)(r->ring_size - r->ring_held), nb = 0;
	uint16_t slot = r->slots_next & r->mask;
	struct lm_vring_desc s;

	*e = (struct relay_entry){ .slot = slot };
	for (;;) {
		if (nb == most) {
			c->error = VIRTIO_VDPA_RELAY_LOOP;
			return 0;
		}
		if (nb == room)
			return 0;
		s = (struct lm_vring_desc){ .addr = d.addr, .len = d.len, .flags = d.flags };
		if ((d.flags & LM_VRING_DESC_F_INDIRECT) != 0) {
			if (!relay_chain_table(c, &s, e))
				return 0;
		} else if (!relay_chain_add(c, d.addr, d.len, d.flags)) {
			return 0;
		}
		s.flags &= LM_VRING_DESC_F_NEXT | LM_VRING_DESC_F_WRITE | LM_VRING_DESC_F_INDIRECT;
		s.next = (slot + 1) & r->mask;
		r->s_desc[slot] = s;
		slot = s.next;
		nb++;
		if ((s.flags & LM_VRING_DESC_F_NEXT) == 0)
			break;
		if (++pos == r->ring_size)
			pos = 0;
		d = packed_read(&r->ring[pos]);
	}
	/* 2.8.6: the buffer's id is in the last descriptor. */
	e->head = d.id;
	e->nb_slots = nb;
	return relay_chain_end(c, e) ? nb : 0;
}

/* @return false when the burst ends here. */
static inline bool
take_one(struct virtio_vdpa_relay *r)
{
	struct lm_vring_packed_desc d = packed_read(&r->ring[r->next_avail]);
	struct relay_entry *e = relay_entry_at(r, r->first + r->count);
	struct chain c = { .r = r };
	uint32_t next;
	uint16_t nb;

	if (!lm_vring_packed_is_avail(d.flags, r->avail_wrap))
		return false;
	if (r->ring_held == r->ring_size) {
		r->error = VIRTIO_VDPA_RELAY_AVAIL_JUMP;
		return false;
	}
	/* One entry at least, as an announcement may hold one that the guest believes free. */
	if (r->count == r->size) {
		r->blocked = true;
		return false;
	}
	nb = chain_copy(&c, d, r->next_avail, e);
	if (nb == 0) {
		r->error = c.error;
		r->blocked = c.error == VIRTIO_VDPA_RELAY_OK;
		return false;
	}
	relay_push(r, e);
	r->ring_held += nb;
	next = (uint32_t)r->next_avail + nb;
	if (next >= r->ring_size) {
		next -= r->ring_size;
		r->avail_wrap = !r->avail_wrap;
	}
	r->next_avail = (uint16_t)next;
	r->stats.avail_descs += (uint64_t)nb + e->nb_table;
	return true;
}

static unsigned int
take_run(struct virtio_vdpa_relay *r, unsigned int budget)
{
	const uint16_t look = LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED |
			LM_VRING_DESC_F_NEXT | LM_VRING_DESC_F_INDIRECT;
	uint16_t want = r->avail_wrap ? LM_VRING_PACKED_F_AVAIL : LM_VRING_PACKED_F_USED;
	uint32_t pos = r->next_avail, room = (uint32_t)r->ring_size - r->ring_held;
	struct lm_vring_packed_desc d;
	struct relay_run run;

	relay_run_begin(&run, r, budget < room ? budget : room);
	while (run.nb < run.most) {
		d = packed_read(&r->ring[pos]);
		if ((d.flags & look) != want ||
				!relay_run_add(&run, d.id, d.addr, d.len, d.flags))
			break;
		if (++pos == r->ring_size) {
			pos = 0;
			want ^= LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED;
		}
	}
	r->next_avail = (uint16_t)pos;
	r->avail_wrap = want == LM_VRING_PACKED_F_AVAIL;
	r->ring_held += (uint16_t)run.nb;
	return relay_run_end(&run);
}

unsigned int
relay_packed_take(struct virtio_vdpa_relay *r, unsigned int budget)
{
	unsigned int n = take_run(r, budget);

	while (n < budget && take_one(r)) {
		n++;
		if (relay_simple(relay_entry_at(r, r->first + r->count - 1)))
			n += take_run(r, budget - n);
	}
	return n;
}

bool
relay_packed_pending(const struct virtio_vdpa_relay *r)
{
	return lm_vring_packed_is_avail(lm_vring_load_relaxed(&r->ring[r->next_avail].flags),
			r->avail_wrap);
}

/* The slots from first on that a burst may have written, in the log. */
static void
log_slots(struct virtio_vdpa_relay *r, uint16_t first, uint32_t nb)
{
	uint32_t straight = (uint32_t)r->ring_size - first;

	if (straight > nb)
		straight = nb;
	lm_vhost_log_mark(r->log, &r->cache, r->desc_gpa + first * sizeof(r->ring[0]),
		straight * sizeof(r->ring[0]));
	if (nb != straight)
		lm_vhost_log_mark(r->log, &r->cache, r->desc_gpa,
			(nb - straight) * sizeof(r->ring[0]));
}

/*
 * The flags of the first used descriptor of a burst are written last: a guest that sees one of it
 * sees all of it.
 */
void
relay_packed_publish(struct virtio_vdpa_relay *r, uint16_t begin, uint32_t slots,
		uint16_t first_flags)
{
	if (r->conf.move == NULL) /* else it is there already */
		lm_vring_store_release(&r->ring[begin].flags, first_flags);
	r->ring_held -= (uint16_t)slots;
	r->ring_uncalled += slots;
	if (!r->log_on)
		return;
	relay_log_pages(r);
	log_slots(r, begin, slots);
	lm_vhost_log_flush(r->log, &r->cache);
}

/* 2.8.10: as the split rule, with the ring's size added where the guest's wrap counter differs. */
bool
relay_packed_need_call(struct virtio_vdpa_relay *r)
{
	struct lm_vring_packed_event event;
	uint32_t nb = r->ring_uncalled;
	uint16_t at;
	bool wrap;

	if (nb == 0)
		return false;
	r->ring_uncalled = 0;
	atomic_thread_fence(memory_order_seq_cst);
	event = event_read(r->driver_event);
	if (event.flags == LM_VRING_PACKED_EVENT_F_DISABLE)
		return false;
	if (event.flags != LM_VRING_PACKED_EVENT_F_DESC || !r->event_idx || nb >= r->ring_size)
		return true;
	wrap = (event.off_wrap >> LM_VRING_PACKED_EVENT_WRAP_SHIFT) != 0;
	at = event.off_wrap & (LM_VRING_MAX_SIZE - 1);
	if (wrap != r->used_wrap)
		at = (uint16_t)(at - r->ring_size);
	return lm_vring_need_event(at, r->guest_used, (uint16_t)(r->guest_used - nb));
}

void
relay_packed_quiet(struct virtio_vdpa_relay *r, bool quiet)
{
	lm_vring_store_relaxed(&r->device_event->flags, quiet ?
		LM_VRING_PACKED_EVENT_F_DISABLE : LM_VRING_PACKED_EVENT_F_ENABLE);
	relay_log_used(r, 0, sizeof(*r->device_event));
}
