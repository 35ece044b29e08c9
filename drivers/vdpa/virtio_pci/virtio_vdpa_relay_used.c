/* SPDX-License-Identifier: BSD-3-Clause */

#include <stddef.h>

#include "virtio_vdpa_relay_pvt.h"

static uint32_t
log_desc(struct virtio_vdpa_relay *r, const struct lm_vring_desc *d, uint32_t left)
{
	uint32_t len = d->len < left ? d->len : left;

	if ((d->flags & LM_VRING_DESC_F_WRITE) == 0)
		return left;
	/* The device can write here; a range that it made wrap must still not hide pages. */
	if (d->addr > UINT64_MAX - len)
		lm_vhost_log_mark(r->log, &r->cache, d->addr, len);
	else
		relay_log_range(r, d->addr, len);
	return left - len;
}

/* Log what the device may have written: the first len_bytes of the writable part. */
void
relay_log_pieces(struct virtio_vdpa_relay *r, const struct relay_entry *entry, uint32_t len_bytes)
{
	uint16_t i, direct = entry->nb_slots - (entry->nb_table != 0);

	for (i = 0; i < direct && len_bytes != 0; i++)
		len_bytes = log_desc(r, &r->s_desc[(entry->slot + i) & r->mask], len_bytes);
	for (i = 0; i < entry->nb_table && len_bytes != 0; i++)
		len_bytes = log_desc(r, &r->pool[entry->table_pos + i], len_bytes);
}

static inline void
entry_used(struct virtio_vdpa_relay *r, struct relay_entry *e, uint32_t len)
{
	e->used = true;
	e->used_len = len;
	if (len > e->writable_bytes) {
		e->used_len = e->writable_bytes;
		r->stats.len_clamped++;
	}
}

/*
 * IN_ORDER (2.7.9): an element may stand for all chains up to its own; those skipped were used
 * whole. @return chains that it covers.
 */
static uint32_t
absorb_batch(struct virtio_vdpa_relay *r, uint32_t place, uint32_t oldest)
{
	uint32_t skipped = (place - oldest) & r->mask, i;
	struct relay_entry *e;

	for (i = 0; i < skipped; i++) {
		e = &r->entries[(oldest + i) & r->mask];
		r->slot_entry[e->slot] = RELAY_NO_ENTRY;
		entry_used(r, e, e->writable_bytes);
	}
	return skipped + 1;
}

/* Note what the device has used; sets error on nonsense. given: oldest entries, already done. */
static void
absorb(struct virtio_vdpa_relay *r, uint32_t given)
{
	const struct lm_vring_used_elem *ring = r->s_used->ring;
	struct relay_entry *entries = r->entries;
	uint32_t *slot_entry = r->slot_entry;
	uint32_t mask = r->mask, oldest = (r->first + given) & mask, place, nb, i;
	uint16_t from = r->dev_used;
	struct lm_vring_used_elem elem;

	nb = (uint16_t)(lm_vring_load_acquire(&r->s_used->idx) - from);
	if (nb > r->nb_unused) {
		r->error = VIRTIO_VDPA_RELAY_DEV_USED_JUMP;
		return;
	}
	for (i = 0; i < nb;) {
		elem = relay_elem_read(&ring[(from + i) & mask]);
		place = elem.id <= mask ? slot_entry[elem.id] : RELAY_NO_ENTRY;
		if (place == RELAY_NO_ENTRY) {
			r->error = VIRTIO_VDPA_RELAY_DEV_BAD_ID;
			break;
		}
		if (r->in_order) {
			/* All that is unused lies behind what was used before. */
			oldest = (r->first + r->count - (r->nb_unused - i)) & mask;
			if (((place - oldest) & mask) >= nb - i) {
				r->error = VIRTIO_VDPA_RELAY_DEV_USED_JUMP;
				break;
			}
			i += absorb_batch(r, place, oldest);
		} else {
			if (place != oldest && !entries[(place - 1) & mask].used)
				r->stats.out_of_order++;
			i++;
		}
		slot_entry[elem.id] = RELAY_NO_ENTRY;
		entry_used(r, &entries[place], elem.len);
	}
	r->dev_used = (uint16_t)(from + i);
	r->nb_unused -= i;
}

/* A burst on its way to the guest, which sees all of it at once: a merged frame is several. */
struct giving {
	struct virtio_vdpa_relay *r;
	uint32_t used;        /* split: index; packed: slot */
	bool wrap;
	uint16_t first_flags; /* packed: not written yet */
	uint32_t entries;
	uint32_t slots;       /* of the guest's ring */
	uint32_t internal;
	uint32_t pool;
	uint64_t bytes;
};

static inline void
giving_split(struct giving *g, const struct relay_entry *e, uint32_t len)
{
	struct virtio_vdpa_relay *r = g->r;

	r->used->ring[g->used++ & r->mask] = (struct lm_vring_used_elem){ e->head, len };
	r->head_busy[e->head] = false;
}

static inline void
giving_packed(struct giving *g, const struct relay_entry *e, uint32_t len)
{
	struct virtio_vdpa_relay *r = g->r;
	struct lm_vring_packed_desc *d = &r->ring[g->used];
	uint16_t flags = (uint16_t)((g->wrap ? LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED :
			0) | (len != 0 ? LM_VRING_DESC_F_WRITE : 0));

	d->id = e->head;
	d->len = len;
	if (g->slots == 0)
		g->first_flags = flags;
	else
		d->flags = flags;
	g->used += e->nb_slots;
	if (g->used >= r->ring_size) {
		g->used -= r->ring_size;
		g->wrap = !g->wrap;
	}
}

/* The oldest entry goes back to the guest. */
static inline void
giving_add(struct giving *g, const struct relay_entry *e, uint32_t len)
{
	struct virtio_vdpa_relay *r = g->r;

	g->entries++;
	g->pool += e->table_taken;
	if (e->internal) {
		g->internal++;
		return;
	}
	if (r->packed)
		giving_packed(g, e, len);
	else
		giving_split(g, e, len);
	g->slots += e->nb_slots;
	g->bytes += len;
	if (r->log_on)
		relay_log_chain(r, e, r->log_full ? e->writable_bytes : len);
}

/*
 * Every mark follows its write (R1), and all are in the log before the burst ends. A harvest
 * between write and mark sends the page early, with or without the write; the mark then has it
 * sent again. None can come after the guest's end: the queue is parked before the device stops.
 */
static void
split_publish(struct virtio_vdpa_relay *r, uint16_t before)
{
	uint32_t nb = (uint16_t)(r->guest_used - before), place = before & r->mask;
	uint32_t straight = r->size - place < nb ? r->size - place : nb;

	lm_vring_store_release(&r->used->idx, r->guest_used);
	if (!r->log_on)
		return;
	relay_log_pages(r);
	relay_log_used(r, 0, offsetof(struct lm_vring_used, ring));
	relay_log_used(r, offsetof(struct lm_vring_used, ring) + place * sizeof(r->used->ring[0]),
		straight * sizeof(r->used->ring[0]));
	if (nb != straight)
		relay_log_used(r, offsetof(struct lm_vring_used, ring),
			(nb - straight) * sizeof(r->used->ring[0]));
	lm_vhost_log_flush(r->log, &r->cache);
}

static void
giving_end(const struct giving *g)
{
	struct virtio_vdpa_relay *r = g->r;
	uint16_t before = r->guest_used;

	if (g->internal != 0) {
		r->inject_busy = false;
		r->stats.injected += g->internal;
	}
	r->first += g->entries;
	r->count -= g->entries;
	r->slots_held -= (uint16_t)(g->slots + g->internal);
	r->pool_held -= g->pool;
	r->stats.written_bytes += g->bytes;
	r->stats.used_chains += g->entries - g->internal;
	if (g->slots == 0)
		return;
	r->guest_used = (uint16_t)g->used;
	if (!r->packed) {
		split_publish(r, before);
		return;
	}
	r->used_wrap = g->wrap;
	relay_packed_publish(r, before, g->slots, g->first_flags);
}

/*
 * A device that completes in order, one element a chain: straight through. What is left is for
 * absorb().
 */
static void
giving_run(struct giving *g, uint32_t most)
{
	struct virtio_vdpa_relay *r = g->r;
	uint16_t from = r->dev_used, idx = lm_vring_load_acquire(&r->s_used->idx);
	uint32_t nb = (uint16_t)(idx - from), first = r->first, i;
	struct lm_vring_used_elem elem;
	const struct relay_entry *e;

	if (r->in_order || nb > r->nb_unused || r->nb_unused != r->count)
		return;
	if (nb > most)
		nb = most;
	for (i = 0; i < nb; i++) {
		elem = relay_elem_read(&r->s_used->ring[(uint16_t)(from + i) & r->mask]);
		e = &r->entries[(first + i) & r->mask];
		if (elem.id != e->slot)
			break;
		r->slot_entry[e->slot] = RELAY_NO_ENTRY;
		if (elem.len > e->writable_bytes) {
			elem.len = e->writable_bytes;
			r->stats.len_clamped++;
		}
		giving_add(g, e, elem.len);
	}
	r->dev_used = (uint16_t)(from + i);
	r->nb_unused -= i;
}

/* Oldest first, up to the first that the device still has. */
static void
giving_used(struct giving *g, uint32_t most)
{
	struct virtio_vdpa_relay *r = g->r;
	const struct relay_entry *e;

	if (most > r->count)
		most = r->count;
	while (g->entries < most) {
		e = relay_entry_at(r, r->first + g->entries);
		if (!e->used)
			break;
		giving_add(g, e, e->used_len);
	}
}

/* As giving_add(), for a packed ring whose steps are said; a used descriptor changes at once. */
static uint64_t
giving_say(struct giving *g, const struct relay_entry *e, uint16_t from)
{
	struct virtio_vdpa_relay *r = g->r;
	struct lm_vring_packed_desc *d = &r->ring[g->used];
	uint16_t at = relay_place(g->used, g->wrap);
	uint64_t word = e->used_len | (uint64_t)e->head << 32;

	if (g->wrap)
		word |= (uint64_t)(LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED) << 48;
	if (e->used_len != 0)
		word |= (uint64_t)LM_VRING_DESC_F_WRITE << 48;
	g->used += e->nb_slots;
	if (g->used >= r->ring_size) {
		g->used -= r->ring_size;
		g->wrap = !g->wrap;
	}
	relay_say_move(r, from, at, e->head, relay_place(g->used, g->wrap));
	if (g->slots != 0)
		relay_packed_used(d, word);
	g->slots += e->nb_slots;
	g->bytes += e->used_len;
	if (r->log_on)
		relay_log_chain(r, e, r->log_full ? e->writable_bytes : e->used_len);
	return word;
}

/* Oldest first, as giving_used(); the burst's first used descriptor when all others are written. */
static void
giving_said(struct giving *g, uint32_t most)
{
	struct virtio_vdpa_relay *r = g->r;
	uint16_t from = relay_place(g->used, g->wrap), to;
	const struct relay_entry *e;
	uint32_t begin = g->used;
	uint64_t word, first = 0;
	bool is_first;

	if (most > r->count)
		most = r->count;
	while (g->entries < most) {
		e = relay_entry_at(r, r->first + g->entries);
		if (!e->used)
			break;
		g->entries++;
		g->pool += e->table_taken;
		if (e->internal) {
			g->internal++;
			continue;
		}
		is_first = g->slots == 0;
		word = giving_say(g, e, from);
		if (is_first)
			first = word;
	}
	if (g->slots == 0)
		return;
	relay_packed_used(&r->ring[begin], first);
	to = relay_place(g->used, g->wrap);
	relay_say_move(r, to, to, 0, to);
}

unsigned int
virtio_vdpa_relay_used_burst(struct virtio_vdpa_relay *r, unsigned int budget)
{
	struct giving g = { .r = r, .used = r->guest_used, .wrap = r->used_wrap };

	if (r->error != VIRTIO_VDPA_RELAY_OK || r->stopped)
		return 0;
	if (r->conf.move != NULL) {
		absorb(r, 0);
		giving_said(&g, budget);
	} else {
		giving_run(&g, budget);
		absorb(r, g.entries);
		giving_used(&g, budget);
	}
	if (g.entries != 0) {
		giving_end(&g);
		r->blocked = false;
	}
	return g.entries;
}

/* Chains up to the last one that the guest must have back. */
static uint32_t
count_used(struct virtio_vdpa_relay *r)
{
	uint32_t i, keep = 0;
	const struct relay_entry *e;

	for (i = 0; i < r->count; i++) {
		e = relay_entry_at(r, r->first + i);
		if (e->used && !e->internal)
			keep = i + 1;
	}
	return keep;
}

/* The oldest nb go back; those that the device kept get length 0. */
static void
close_holes(struct virtio_vdpa_relay *r, uint32_t nb)
{
	struct giving g = { .r = r, .used = r->guest_used, .wrap = r->used_wrap };
	struct relay_entry *e;
	uint32_t i;

	for (i = 0; i < nb; i++) {
		e = relay_entry_at(r, r->first + i);
		if (e->used)
			continue;
		if (r->log_on)
			relay_log_chain(r, e, e->writable_bytes);
		r->stats.holes += !e->internal;
		e->used_len = 0;
		e->used = true;
		r->slot_entry[e->slot] = RELAY_NO_ENTRY;
		r->nb_unused--;
	}
	if (r->conf.move != NULL)
		giving_said(&g, nb);
	else
		giving_used(&g, nb);
	giving_end(&g);
}

/*
 * Whoever works on this ring next, perhaps a function on the guest's own ring that never writes
 * these fields before it has been kicked, must be kicked.
 */
static void
unsuppress_guest(struct virtio_vdpa_relay *r)
{
	if (r->packed) {
		relay_packed_quiet(r, false);
		return;
	}
	lm_vring_store_relaxed(&r->used->flags, 0);
	if (r->event_idx)
		lm_vring_store_relaxed(lm_vring_avail_event(r->used, r->size),
				lm_vring_load_relaxed(&r->avail->idx));
}

/* All that we ever write of the guest's ring. */
static void
log_ring(struct virtio_vdpa_relay *r)
{
	if (!r->log_on)
		return;
	if (r->packed)
		lm_vhost_log_mark(r->log, &r->cache, r->desc_gpa,
			(uint64_t)r->ring_size * sizeof(r->ring[0]));
	else
		relay_log_used(r, 0, lm_vring_used_bytes(r->size));
}

static uint16_t
quiesce(struct virtio_vdpa_relay *r, bool keep_none)
{
	struct relay_entry *e;
	uint32_t i;

	if (!r->stopped) {
		absorb(r, 0);
		close_holes(r, keep_none ? r->count : count_used(r));
		unsuppress_guest(r);
		for (i = 0; r->log_on && i < r->count; i++) {
			e = relay_entry_at(r, r->first + i);
			if (!e->internal)
				relay_log_chain(r, e, e->writable_bytes);
		}
		relay_log_pages(r);
		log_ring(r);
		if (r->log_on)
			lm_vhost_log_flush(r->log, &r->cache);
		r->stopped = true;
	}
	if (r->packed && r->used_wrap)
		return (uint16_t)(r->guest_used | LM_VRING_MAX_SIZE);
	return r->guest_used;
}

uint16_t
virtio_vdpa_relay_quiesce(struct virtio_vdpa_relay *r)
{
	return quiesce(r, false);
}

uint16_t
virtio_vdpa_relay_give_up(struct virtio_vdpa_relay *r)
{
	return quiesce(r, true);
}
