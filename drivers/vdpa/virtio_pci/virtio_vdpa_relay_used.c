/* SPDX-License-Identifier: BSD-3-Clause */

#include <stddef.h>

#include "virtio_vdpa_relay_pvt.h"

static uint32_t
log_desc(struct virtio_vdpa_relay *r, const struct lm_vring_desc *d, uint32_t left)
{
	uint32_t len = d->len < left ? d->len : left;

	if ((d->flags & LM_VRING_DESC_F_WRITE) == 0)
		return left;
	lm_vhost_log_mark(r->log, &r->cache, d->addr, len);
	return left - len;
}

void
relay_log_chain(struct virtio_vdpa_relay *r, const struct relay_entry *entry, uint32_t len_bytes)
{
	uint16_t i, direct = entry->nb_slots - (entry->nb_table != 0);

	for (i = 0; i < direct && len_bytes != 0; i++)
		len_bytes = log_desc(r, &r->s_desc[(entry->slot + i) & r->mask], len_bytes);
	for (i = 0; i < entry->nb_table && len_bytes != 0; i++)
		len_bytes = log_desc(r, &r->pool[entry->table_pos + i], len_bytes);
}

void
relay_absorb(struct virtio_vdpa_relay *r)
{
	uint16_t idx = lm_vring_load_acquire(&r->s_used->idx);
	uint16_t pending = (uint16_t)(idx - r->dev_used);
	struct lm_vring_used_elem elem;
	struct relay_entry *e;
	uint32_t counter;

	if (pending > r->nb_unused) {
		r->error = VIRTIO_VDPA_RELAY_DEV_USED_JUMP;
		return;
	}
	for (; pending != 0; pending--) {
		elem = r->s_used->ring[r->dev_used & r->mask];
		counter = elem.id < r->size ? r->slot_entry[elem.id] : RELAY_NO_ENTRY;
		if (counter == RELAY_NO_ENTRY) {
			r->error = VIRTIO_VDPA_RELAY_DEV_BAD_ID;
			return;
		}
		r->slot_entry[elem.id] = RELAY_NO_ENTRY;
		e = relay_entry_at(r, counter);
		e->used = true;
		e->used_len = elem.len;
		if (elem.len > e->writable_bytes) {
			e->used_len = e->writable_bytes;
			r->stats.len_clamped++;
		}
		if (counter != r->first)
			r->stats.out_of_order += !relay_entry_at(r, counter - 1)->used;
		r->dev_used++;
		r->nb_unused--;
	}
}

void
relay_give_back(struct virtio_vdpa_relay *r, uint32_t used_len)
{
	struct relay_entry *e = relay_entry_at(r, r->first);
	uint16_t place = r->guest_used & r->mask;

	if (e->internal) {
		r->inject_busy = false;
		r->stats.injected++;
	} else {
		r->used->ring[place] = (struct lm_vring_used_elem){ .id = e->head, .len = used_len };
		if (r->log_on) {
			relay_log_chain(r, e, r->log_full ? e->writable_bytes : used_len);
			relay_log_used(r, offsetof(struct lm_vring_used, ring) +
					place * sizeof(r->used->ring[0]), sizeof(r->used->ring[0]));
		}
		relay_head_set(r, e->head, false);
		r->guest_used++;
		r->stats.used_chains++;
		r->stats.written_bytes += used_len;
	}
	r->slots_held -= e->nb_slots;
	r->pool_held -= e->table_taken;
	r->first++;
	r->count--;
}

/*
 * Every mark follows its write (R1), and all are in the log before the burst ends. A harvest
 * between write and mark sends the page early, with or without the write; the mark then has it
 * sent again. None can come after the guest's end: the queue is parked before the device stops.
 */
void
relay_publish_used(struct virtio_vdpa_relay *r)
{
	lm_vring_store_release(&r->used->idx, r->guest_used);
	relay_log_used(r, 0, offsetof(struct lm_vring_used, ring));
	if (r->log_on)
		lm_vhost_log_flush(r->log, &r->cache);
}

unsigned int
virtio_vdpa_relay_used_burst(struct virtio_vdpa_relay *r, unsigned int budget)
{
	uint16_t before = r->guest_used;
	struct relay_entry *e;
	unsigned int n;

	if (r->error != VIRTIO_VDPA_RELAY_OK || r->stopped)
		return 0;
	relay_absorb(r);
	for (n = 0; n < budget && r->count != 0; n++) {
		e = relay_entry_at(r, r->first);
		if (!e->used)
			break;
		relay_give_back(r, e->used_len);
	}
	if (r->guest_used != before)
		relay_publish_used(r);
	return n;
}

/* Up to the last chain that the device gave back; those before it that it kept get length 0. */
static void
close_holes(struct virtio_vdpa_relay *r)
{
	uint32_t i, keep = 0;
	struct relay_entry *e;

	for (i = 0; i < r->count; i++)
		if (relay_entry_at(r, r->first + i)->used)
			keep = i + 1;
	for (; keep != 0; keep--) {
		e = relay_entry_at(r, r->first);
		if (e->used) {
			relay_give_back(r, e->used_len);
			continue;
		}
		if (r->log_on)
			relay_log_chain(r, e, e->writable_bytes);
		r->stats.holes += !e->internal;
		relay_give_back(r, 0);
	}
}

uint16_t
virtio_vdpa_relay_quiesce(struct virtio_vdpa_relay *r)
{
	uint32_t i;

	if (r->stopped)
		return r->guest_used;
	relay_absorb(r);
	close_holes(r);
	if (r->log_on) {
		for (i = 0; i < r->count; i++) {
			struct relay_entry *e = relay_entry_at(r, r->first + i);

			if (!e->internal)
				relay_log_chain(r, e, e->writable_bytes);
		}
		relay_log_used(r, 0, lm_vring_used_bytes(r->size));
	}
	relay_publish_used(r);
	r->stopped = true;
	return r->guest_used;
}
