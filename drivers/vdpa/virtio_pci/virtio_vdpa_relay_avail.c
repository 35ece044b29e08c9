/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "virtio_vdpa_relay_pvt.h"

/* What walking one chain has found so far. */
struct chain {
	struct virtio_vdpa_relay *r;
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	uint64_t writable_addr;
	bool pieces; /* the writable part is not contiguous */
	enum virtio_vdpa_relay_error error;
};

/* Every byte of a buffer must be guest memory; regions may adjoin. */
static bool
in_guest_memory(const struct virtio_vdpa_relay *r, uint64_t addr, uint64_t len_bytes)
{
	uint64_t span, to;

	if (addr + len_bytes < addr)
		return false;
	while (len_bytes != 0) {
		span = len_bytes;
		if (!lm_imap_span(r->mem, addr, &span, &to) || span == 0)
			return false;
		addr += span;
		len_bytes -= span;
	}
	return true;
}

static inline bool
chain_add(struct chain *c, const struct lm_vring_desc *d)
{
	const struct lm_interval *hot = &c->r->hot;
	uint64_t offset = d->addr - hot->from;

	if (d->len == 0) {
		c->error = VIRTIO_VDPA_RELAY_ZERO_LEN;
		return false;
	}
	if ((offset >= hot->len_bytes || d->len > hot->len_bytes - offset) &&
			!in_guest_memory(c->r, d->addr, d->len)) {
		c->error = VIRTIO_VDPA_RELAY_BAD_ADDR;
		return false;
	}
	if ((d->flags & LM_VRING_DESC_F_WRITE) != 0) {
		if (c->writable_bytes == 0)
			c->writable_addr = d->addr;
		else
			c->pieces |= c->writable_addr + c->writable_bytes != d->addr;
		c->writable_bytes += d->len;
	} else if (c->writable_bytes != 0) {
		c->error = VIRTIO_VDPA_RELAY_BAD_ORDER;
		return false;
	} else {
		c->readable_bytes += d->len;
	}
	return true;
}

/* Copy guest memory that may cross regions. */
static bool
guest_copy(struct virtio_vdpa_relay *r, void *dst, uint64_t gpa, uint64_t len_bytes)
{
	uint64_t span, hva;
	uint8_t *out = dst;

	if (gpa + len_bytes < gpa)
		return false;
	while (len_bytes != 0) {
		span = len_bytes;
		if (!lm_imap_span(r->mem, gpa, &span, &hva) || span == 0)
			return false;
		memcpy(out, (const void *)(uintptr_t)hva, span);
		out += span;
		gpa += span;
		len_bytes -= span;
	}
	return true;
}

/*
 * Room for nb contiguous descriptors in the pool. @return position, or -1 when the device must
 * give something back first. The pool is at least twice the longest table, so that an empty one
 * always has room.
 */
static int64_t
pool_place(const struct virtio_vdpa_relay *r, uint32_t nb, uint16_t *taken)
{
	uint32_t pos = r->pool_next & (r->pool_size - 1);
	uint32_t waste = pos + nb > r->pool_size ? r->pool_size - pos : 0;

	if (waste + nb > r->pool_size - r->pool_held)
		return -1;
	*taken = (uint16_t)(waste + nb);
	return waste != 0 ? 0 : (int64_t)pos;
}

/* Copies the table once, walks the copy, and lays it out in order for the device. */
static bool
chain_add_table(struct chain *c, const struct lm_vring_desc *d, struct relay_entry *e)
{
	struct virtio_vdpa_relay *r = c->r;
	uint32_t nb = d->len / sizeof(*d), i = 0, n;
	int64_t pos;

	if (!r->indirect || (d->flags & LM_VRING_DESC_F_NEXT) != 0 || nb == 0 ||
			d->len % sizeof(*d) != 0) {
		c->error = VIRTIO_VDPA_RELAY_BAD_INDIRECT;
		return false;
	}
	if (nb > r->size) {
		c->error = VIRTIO_VDPA_RELAY_LOOP;
		return false;
	}
	pos = pool_place(r, nb, &e->table_taken);
	if (pos < 0)
		return false;
	if (!guest_copy(r, r->scratch, d->addr, d->len)) {
		c->error = VIRTIO_VDPA_RELAY_BAD_ADDR;
		return false;
	}
	for (n = 0; n < nb; n++) {
		struct lm_vring_desc t = r->scratch[i];

		if ((t.flags & LM_VRING_DESC_F_INDIRECT) != 0) {
			c->error = VIRTIO_VDPA_RELAY_BAD_INDIRECT;
			return false;
		}
		if (!chain_add(c, &t))
			return false;
		i = t.next;
		t.next = (uint16_t)(n + 1);
		t.flags &= LM_VRING_DESC_F_NEXT | LM_VRING_DESC_F_WRITE;
		r->pool[pos + n] = t;
		if ((t.flags & LM_VRING_DESC_F_NEXT) == 0)
			break;
		if (i >= nb) {
			c->error = VIRTIO_VDPA_RELAY_BAD_NEXT;
			return false;
		}
	}
	if (n == nb) {
		c->error = VIRTIO_VDPA_RELAY_LOOP;
		return false;
	}
	e->table_pos = (uint32_t)pos;
	e->nb_table = (uint16_t)(n + 1);
	return true;
}

static struct lm_vring_desc
table_desc(const struct virtio_vdpa_relay *r, const struct relay_entry *e)
{
	uint64_t offset = (uint64_t)((const uint8_t *)&r->pool[e->table_pos] -
			(const uint8_t *)r->s_desc);

	return (struct lm_vring_desc){
		.addr = r->conf.shadow_iova + offset,
		.len = (uint32_t)(e->nb_table * sizeof(struct lm_vring_desc)),
		.flags = LM_VRING_DESC_F_INDIRECT,
	};
}

static bool
chain_end(struct chain *c, struct relay_entry *e)
{
	if (c->readable_bytes + c->writable_bytes > UINT32_MAX) {
		c->error = VIRTIO_VDPA_RELAY_TOO_LONG;
		return false;
	}
	e->writable_addr = c->writable_addr;
	e->writable_bytes = (uint32_t)c->writable_bytes;
	e->one_piece = !c->pieces;
	return true;
}

/* @return false: no room (c->error OK) or a broken rule. Nothing is shown to the device yet. */
static bool
chain_copy(struct chain *c, uint16_t head, struct relay_entry *e)
{
	struct virtio_vdpa_relay *r = c->r;
	uint16_t room = (uint16_t)(r->size - r->slots_held), mask = r->mask;
	uint16_t i = head, slot = r->slots_next & mask, nb = 0;
	struct lm_vring_desc d;

	*e = (struct relay_entry){ .head = head, .slot = slot };
	do {
		if (nb == room) {
			c->error = nb > mask ? VIRTIO_VDPA_RELAY_LOOP : VIRTIO_VDPA_RELAY_OK;
			return false;
		}
		if (i > mask) {
			c->error = VIRTIO_VDPA_RELAY_BAD_NEXT;
			return false;
		}
		d = relay_desc_read(&r->desc[i]);
		if ((d.flags & LM_VRING_DESC_F_INDIRECT) != 0) {
			if (!chain_add_table(c, &d, e))
				return false;
			d = table_desc(r, e);
		} else if (!chain_add(c, &d)) {
			return false;
		}
		i = d.next;
		d.next = (slot + 1) & mask;
		d.flags &= LM_VRING_DESC_F_NEXT | LM_VRING_DESC_F_WRITE | LM_VRING_DESC_F_INDIRECT;
		r->s_desc[slot] = d;
		slot = d.next;
		nb++;
	} while ((d.flags & LM_VRING_DESC_F_NEXT) != 0);
	e->nb_slots = nb;
	return chain_end(c, e);
}

/* Book the entry that has been filled in place, and show it to the device at the next index. */
static inline void
push(struct virtio_vdpa_relay *r, const struct relay_entry *entry)
{
	/* The place, not the counter: that passes every value, also the one for none. */
	r->slot_entry[entry->slot] = (r->first + r->count) & r->mask;
	r->count++;
	r->nb_unused++;
	r->slots_next += entry->nb_slots;
	r->slots_held += entry->nb_slots;
	r->pool_next += entry->table_taken;
	r->pool_held += entry->table_taken;
	r->s_avail->ring[r->s_avail_idx & r->mask] = entry->slot;
	r->s_avail_idx++;
}

static bool
take_one(struct virtio_vdpa_relay *r)
{
	struct relay_entry *e = relay_entry_at(r, r->first + r->count);
	struct chain c = { .r = r };
	uint16_t head;

	/* One entry, one slot at least: an injected chain may hold what the guest believes free. */
	if (r->count == r->size) {
		r->blocked = true;
		return false;
	}
	head = lm_vring_load_relaxed(&r->avail->ring[r->next_avail & r->mask]);
	if (head >= r->size)
		c.error = VIRTIO_VDPA_RELAY_BAD_HEAD;
	else if (r->head_busy[head])
		c.error = VIRTIO_VDPA_RELAY_HEAD_BUSY;
	else if (chain_copy(&c, head, e)) {
		r->head_busy[head] = true;
		push(r, e);
		r->next_avail++;
		r->stats.avail_descs += e->nb_slots + e->nb_table;
		return true;
	}
	r->error = c.error;
	r->blocked = c.error == VIRTIO_VDPA_RELAY_OK;
	return false;
}

unsigned int
virtio_vdpa_relay_avail_burst(struct virtio_vdpa_relay *r, unsigned int budget)
{
	unsigned int n = 0, ahead, taken, pending;
	uint16_t idx;

	if (r->error != VIRTIO_VDPA_RELAY_OK || r->stopped)
		return 0;
	r->blocked = false;
	idx = lm_vring_load_acquire(&r->avail->idx);
	/* Neither back behind what was taken nor more than a ring ahead of what was used. */
	ahead = (uint16_t)(idx - r->guest_used);
	taken = (uint16_t)(r->next_avail - r->guest_used);
	if (ahead > r->size || ahead < taken) {
		r->error = VIRTIO_VDPA_RELAY_AVAIL_JUMP;
		return 0;
	}
	pending = ahead - taken;
	if (pending > budget)
		pending = budget;
	while (n < pending && take_one(r))
		n++;
	if (r->blocked)
		r->stats.full++;
	r->stats.avail_chains += n;
	if (n != 0)
		lm_vring_store_release(&r->s_avail->idx, r->s_avail_idx);
	return n;
}

int
virtio_vdpa_relay_inject(struct virtio_vdpa_relay *r, uint64_t iova, uint32_t len_bytes)
{
	struct relay_entry *e = relay_entry_at(r, r->first + r->count);

	if (r->inject_busy)
		return -EBUSY;
	if (r->stopped || r->count == r->size || r->slots_held == r->size)
		return -ENOSPC;
	*e = (struct relay_entry){
		.nb_slots = 1,
		.slot = r->slots_next & r->mask,
		.internal = true,
	};
	r->s_desc[e->slot] = (struct lm_vring_desc){ .addr = iova, .len = len_bytes };
	r->inject_busy = true;
	push(r, e);
	lm_vring_store_release(&r->s_avail->idx, r->s_avail_idx);
	return 0;
}
