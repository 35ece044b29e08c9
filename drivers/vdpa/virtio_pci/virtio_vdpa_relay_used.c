/* SPDX-License-Identifier: BSD-3-Clause */

#include <stddef.h>

#include "virtio_vdpa_relay_pvt.h"

#define PAGE_SHIFT LM_VHOST_LOG_PAGE_SHIFT

static void
log_pages(struct virtio_vdpa_relay *r)
{
	if (r->log_last >= r->log_first)
		lm_vhost_log_mark(r->log, &r->cache, r->log_first << PAGE_SHIFT,
			(r->log_last - r->log_first + 1) << PAGE_SHIFT);
	r->log_first = 1;
	r->log_last = 0;
}

/* Buffers often follow each other in memory: join pages before the cache is asked. */
static inline void
log_range(struct virtio_vdpa_relay *r, uint64_t addr, uint32_t len_bytes)
{
	uint64_t first = addr >> PAGE_SHIFT, last;

	if (len_bytes == 0)
		return;
	last = (addr + len_bytes - 1) >> PAGE_SHIFT;
	if (first - r->log_first > r->log_last - r->log_first + 1) {
		log_pages(r);
		r->log_first = first;
		r->log_last = last;
	} else if (last > r->log_last) {
		r->log_last = last;
	}
}

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
		log_range(r, d->addr, len);
	return left - len;
}

/* Log what the device may have written: the first len_bytes of the writable part. */
static void
log_pieces(struct virtio_vdpa_relay *r, const struct relay_entry *entry, uint32_t len_bytes)
{
	uint16_t i, direct = entry->nb_slots - (entry->nb_table != 0);

	for (i = 0; i < direct && len_bytes != 0; i++)
		len_bytes = log_desc(r, &r->s_desc[(entry->slot + i) & r->mask], len_bytes);
	for (i = 0; i < entry->nb_table && len_bytes != 0; i++)
		len_bytes = log_desc(r, &r->pool[entry->table_pos + i], len_bytes);
}

static inline void
log_chain(struct virtio_vdpa_relay *r, const struct relay_entry *entry, uint32_t len_bytes)
{
	if (entry->one_piece)
		log_range(r, entry->writable_addr, len_bytes);
	else
		log_pieces(r, entry, len_bytes);
}

/* Note what the device has used; sets error on nonsense. */
static void
absorb(struct virtio_vdpa_relay *r)
{
	const struct lm_vring_used_elem *ring = r->s_used->ring;
	struct relay_entry *entries = r->entries, *e;
	uint32_t *slot_entry = r->slot_entry;
	uint32_t mask = r->mask, oldest = r->first & mask, place, nb, i;
	uint16_t from = r->dev_used;
	struct lm_vring_used_elem elem;

	nb = (uint16_t)(lm_vring_load_acquire(&r->s_used->idx) - from);
	if (nb > r->nb_unused) {
		r->error = VIRTIO_VDPA_RELAY_DEV_USED_JUMP;
		return;
	}
	for (i = 0; i < nb; i++) {
		elem = relay_elem_read(&ring[(from + i) & mask]);
		place = elem.id <= mask ? slot_entry[elem.id] : RELAY_NO_ENTRY;
		if (place == RELAY_NO_ENTRY) {
			r->error = VIRTIO_VDPA_RELAY_DEV_BAD_ID;
			break;
		}
		slot_entry[elem.id] = RELAY_NO_ENTRY;
		e = &entries[place];
		e->used = true;
		e->used_len = elem.len;
		if (elem.len > e->writable_bytes) {
			e->used_len = e->writable_bytes;
			r->stats.len_clamped++;
		}
		if (place != oldest && !entries[(place - 1) & mask].used)
			r->stats.out_of_order++;
	}
	r->dev_used = (uint16_t)(from + i);
	r->nb_unused -= i;
}

static void
inject_done(struct virtio_vdpa_relay *r)
{
	r->inject_busy = false;
	r->stats.injected++;
}

/* Give used entries back to the guest, oldest first, and free what they hold. @return how many. */
static uint32_t
give_back(struct virtio_vdpa_relay *r, uint32_t most)
{
	uint32_t first = r->first, mask = r->mask, nb, slots = 0, pool = 0;
	struct lm_vring_used_elem *ring = r->used->ring;
	const struct relay_entry *e;
	uint16_t used = r->guest_used;
	uint64_t bytes = 0;

	if (most > r->count)
		most = r->count;
	for (nb = 0; nb < most; nb++) {
		e = &r->entries[(first + nb) & mask];
		if (!e->used)
			break;
		slots += e->nb_slots;
		pool += e->table_taken;
		if (e->internal) {
			inject_done(r);
			continue;
		}
		ring[used++ & mask] = (struct lm_vring_used_elem){ e->head, e->used_len };
		r->head_busy[e->head] = false;
		bytes += e->used_len;
		if (r->log_on)
			log_chain(r, e, r->log_full ? e->writable_bytes : e->used_len);
	}
	r->guest_used = used;
	r->first += nb;
	r->count -= nb;
	r->slots_held -= (uint16_t)slots;
	r->pool_held -= pool;
	r->stats.written_bytes += bytes;
	return nb;
}

/*
 * Every mark follows its write (R1), and all are in the log before the burst ends. A harvest
 * between write and mark sends the page early, with or without the write; the mark then has it
 * sent again. None can come after the guest's end: the queue is parked before the device stops.
 */
static void
publish_used(struct virtio_vdpa_relay *r, uint16_t before)
{
	uint32_t nb = (uint16_t)(r->guest_used - before), place = before & r->mask;
	uint32_t straight = r->size - place < nb ? r->size - place : nb;

	lm_vring_store_release(&r->used->idx, r->guest_used);
	r->stats.used_chains += nb;
	if (!r->log_on)
		return;
	log_pages(r);
	relay_log_used(r, 0, offsetof(struct lm_vring_used, ring));
	relay_log_used(r, offsetof(struct lm_vring_used, ring) + place * sizeof(r->used->ring[0]),
		straight * sizeof(r->used->ring[0]));
	if (nb != straight)
		relay_log_used(r, offsetof(struct lm_vring_used, ring),
			(nb - straight) * sizeof(r->used->ring[0]));
	lm_vhost_log_flush(r->log, &r->cache);
}

unsigned int
virtio_vdpa_relay_used_burst(struct virtio_vdpa_relay *r, unsigned int budget)
{
	uint16_t before = r->guest_used;
	unsigned int n;

	if (r->error != VIRTIO_VDPA_RELAY_OK || r->stopped)
		return 0;
	absorb(r);
	n = give_back(r, budget);
	if (n != 0)
		r->blocked = false;
	if (r->guest_used != before)
		publish_used(r, before);
	return n;
}

/* Up to the last chain that the device gave back; those before it that it kept get length 0. */
static void
close_holes(struct virtio_vdpa_relay *r)
{
	uint32_t i, keep = 0;
	struct relay_entry *e;

	for (i = 0; i < r->count; i++) {
		e = relay_entry_at(r, r->first + i);
		if (e->used && !e->internal)
			keep = i + 1;
	}
	for (i = 0; i < keep; i++) {
		e = relay_entry_at(r, r->first + i);
		if (e->used)
			continue;
		if (r->log_on)
			log_chain(r, e, e->writable_bytes);
		r->stats.holes += !e->internal;
		e->used_len = 0;
		e->used = true;
		r->slot_entry[e->slot] = RELAY_NO_ENTRY;
		r->nb_unused--;
	}
	give_back(r, keep);
}

/*
 * Whoever works on this ring next, perhaps a function on the guest's own ring that never writes
 * these fields before it has been kicked, must be kicked.
 */
static void
unsuppress_guest(struct virtio_vdpa_relay *r)
{
	lm_vring_store_relaxed(&r->used->flags, 0);
	if (r->event_idx)
		lm_vring_store_relaxed(lm_vring_avail_event(r->used, r->size),
				lm_vring_load_relaxed(&r->avail->idx));
}

uint16_t
virtio_vdpa_relay_quiesce(struct virtio_vdpa_relay *r)
{
	uint16_t before = r->guest_used;
	struct relay_entry *e;
	uint32_t i;

	if (r->stopped)
		return r->guest_used;
	absorb(r);
	close_holes(r);
	unsuppress_guest(r);
	for (i = 0; r->log_on && i < r->count; i++) {
		e = relay_entry_at(r, r->first + i);
		if (!e->internal)
			log_chain(r, e, e->writable_bytes);
	}
	relay_log_used(r, 0, lm_vring_used_bytes(r->size));
	publish_used(r, before);
	r->stopped = true;
	return r->guest_used;
}
