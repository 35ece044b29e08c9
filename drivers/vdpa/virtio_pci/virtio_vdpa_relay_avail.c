/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include "virtio_vdpa_relay_pvt.h"

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
			if (!relay_chain_table(c, &d, e))
				return false;
		} else if (!relay_chain_add(c, d.addr, d.len, d.flags)) {
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
	return relay_chain_end(c, e);
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
		relay_push(r, e);
		r->next_avail++;
		r->stats.avail_descs += e->nb_slots + e->nb_table;
		return true;
	}
	r->error = c.error;
	r->blocked = c.error == VIRTIO_VDPA_RELAY_OK;
	return false;
}

static unsigned int
take_run(struct virtio_vdpa_relay *r, unsigned int pending)
{
	const uint16_t look = LM_VRING_DESC_F_NEXT | LM_VRING_DESC_F_INDIRECT;
	uint16_t next = r->next_avail, head;
	struct lm_vring_desc d;
	struct relay_run run;

	relay_run_begin(&run, r, pending);
	while (run.nb < run.most) {
		head = lm_vring_load_relaxed(&r->avail->ring[next & run.mask]);
		if (head > run.mask || r->head_busy[head])
			break;
		d = relay_desc_read(&r->desc[head]);
		if ((d.flags & look) != 0 || !relay_run_add(&run, head, d.addr, d.len, d.flags))
			break;
		r->head_busy[head] = true;
		next++;
	}
	r->next_avail = next;
	return relay_run_end(&run);
}

static unsigned int
split_take(struct virtio_vdpa_relay *r, unsigned int budget)
{
	uint16_t idx = lm_vring_load_acquire(&r->avail->idx);
	/* Neither back behind what was taken nor more than a ring ahead of what was used. */
	unsigned int ahead = (uint16_t)(idx - r->guest_used);
	unsigned int taken = (uint16_t)(r->next_avail - r->guest_used);
	unsigned int n, pending;

	if (ahead > r->size || ahead < taken) {
		r->error = VIRTIO_VDPA_RELAY_AVAIL_JUMP;
		return 0;
	}
	pending = ahead - taken;
	if (pending > budget)
		pending = budget;
	if (r->hold && pending > (uint16_t)-r->next_avail)
		pending = (uint16_t)-r->next_avail;
	n = take_run(r, pending);
	while (n < pending && take_one(r)) {
		n++;
		if (relay_simple(relay_entry_at(r, r->first + r->count - 1)))
			n += take_run(r, pending - n);
	}
	return n;
}

unsigned int
virtio_vdpa_relay_avail_burst(struct virtio_vdpa_relay *r, unsigned int budget)
{
	unsigned int n;

	if (r->error != VIRTIO_VDPA_RELAY_OK || r->stopped)
		return 0;
	r->blocked = false;
	n = r->packed ? relay_packed_take(r, budget) : split_take(r, budget);
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
	relay_push(r, e);
	lm_vring_store_release(&r->s_avail->idx, r->s_avail_idx);
	return 0;
}
