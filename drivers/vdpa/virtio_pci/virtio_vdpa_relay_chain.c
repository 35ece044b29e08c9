/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "virtio_vdpa_relay_pvt.h"

bool
relay_in_guest_memory(const struct virtio_vdpa_relay *r, uint64_t addr, uint64_t len_bytes)
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

/* Tables of the two formats differ in where the flags are, and packed ones are never linked. */
static inline struct lm_vring_desc
table_read(const struct virtio_vdpa_relay *r, uint32_t i, uint32_t nb)
{
	const struct lm_vring_packed_desc *p;

	if (!r->packed)
		return r->scratch[i];
	p = (const struct lm_vring_packed_desc *)(const void *)&r->scratch[i];
	return (struct lm_vring_desc){
		.addr = p->addr,
		.len = p->len,
		.flags = (uint16_t)((p->flags & ~LM_VRING_DESC_F_NEXT) |
			(i + 1 < nb ? LM_VRING_DESC_F_NEXT : 0)),
		.next = (uint16_t)(i + 1),
	};
}

static bool
table_check(struct chain *c, const struct lm_vring_desc *d, uint32_t nb)
{
	if (!c->r->indirect || (d->flags & LM_VRING_DESC_F_NEXT) != 0 || nb == 0 ||
			d->len % sizeof(*d) != 0) {
		c->error = VIRTIO_VDPA_RELAY_BAD_INDIRECT;
		return false;
	}
	if (nb > c->r->ring_size) {
		c->error = VIRTIO_VDPA_RELAY_LOOP;
		return false;
	}
	return true;
}

/* @return descriptors in use, 0 for a broken rule. */
static uint32_t
table_walk(struct chain *c, struct lm_vring_desc *to, uint32_t nb)
{
	struct lm_vring_desc t;
	uint32_t i = 0, n;

	for (n = 0; n < nb; n++) {
		t = table_read(c->r, i, nb);
		if ((t.flags & LM_VRING_DESC_F_INDIRECT) != 0) {
			c->error = VIRTIO_VDPA_RELAY_BAD_INDIRECT;
			return 0;
		}
		if (!relay_chain_add(c, t.addr, t.len, t.flags))
			return 0;
		i = t.next;
		t.next = (uint16_t)(n + 1);
		t.flags &= LM_VRING_DESC_F_NEXT | LM_VRING_DESC_F_WRITE;
		to[n] = t;
		if ((t.flags & LM_VRING_DESC_F_NEXT) == 0)
			return n + 1;
		if (i >= nb) {
			c->error = VIRTIO_VDPA_RELAY_BAD_NEXT;
			return 0;
		}
	}
	c->error = VIRTIO_VDPA_RELAY_LOOP;
	return 0;
}

bool
relay_chain_table(struct chain *c, struct lm_vring_desc *d, struct relay_entry *e)
{
	struct virtio_vdpa_relay *r = c->r;
	uint32_t nb = d->len / sizeof(*d);
	int64_t pos;

	if (!table_check(c, d, nb))
		return false;
	pos = pool_place(r, nb, &e->table_taken);
	if (pos < 0)
		return false;
	if (!guest_copy(r, r->scratch, d->addr, d->len)) {
		c->error = VIRTIO_VDPA_RELAY_BAD_ADDR;
		return false;
	}
	nb = table_walk(c, &r->pool[pos], nb);
	if (nb == 0)
		return false;
	e->table_pos = (uint32_t)pos;
	e->nb_table = (uint16_t)nb;
	d->addr = r->conf.shadow_iova + (uint64_t)((const uint8_t *)&r->pool[pos] -
			(const uint8_t *)r->s_desc);
	d->len = (uint32_t)(nb * sizeof(*d));
	d->flags = LM_VRING_DESC_F_INDIRECT;
	return true;
}
