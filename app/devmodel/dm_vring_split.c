/* SPDX-License-Identifier: BSD-3-Clause */

/* Split virtqueue, VIRTIO 1.3, 2.7. */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "dm_vring_priv.h"

/* A walk over one table of descriptors. */
struct dm_vring_walk {
	const struct lm_vring_desc *table;
	uint32_t nb_entries;
	uint32_t next;
	uint32_t left; /* descriptors that the chain may still have */
	bool in_indirect;
};

static void
dm_split_start(struct dm_vring *vr)
{
	(void)vr; /* all indices are 0 */
}

static int
dm_split_resolve(struct dm_vring *vr)
{
	const struct dm_vring_conf *c = &vr->conf;
	struct dm_vring_split *s = &vr->split;

	s->desc = dm_vring_area(vr, c->desc_iova, lm_vring_desc_bytes(c->size),
			LM_VU_PROT_READ, LM_VRING_DESC_ALIGN);
	if (s->desc == NULL)
		return dm_vring_fail_dma(vr, "descriptor table at", c->desc_iova);
	s->avail = dm_vring_area(vr, c->driver_iova, lm_vring_avail_bytes(c->size),
			LM_VU_PROT_READ, LM_VRING_AVAIL_ALIGN);
	if (s->avail == NULL)
		return dm_vring_fail_dma(vr, "available ring at", c->driver_iova);
	s->used = dm_vring_area(vr, c->device_iova, lm_vring_used_bytes(c->size),
			LM_VU_PROT_READ | LM_VU_PROT_WRITE, LM_VRING_USED_ALIGN);
	if (s->used == NULL)
		return dm_vring_fail_dma(vr, "used ring at", c->device_iova);
	return 0;
}

static int
dm_split_enter_indirect(struct dm_vring *vr, struct dm_vring_walk *walk,
		const struct lm_vring_desc *d)
{
	const void *table;
	int ret;

	if (walk->in_indirect)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_NESTED, "table at", d->addr);
	if ((d->flags & LM_VRING_DESC_F_NEXT) != 0)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_NEXT, "flags", d->flags);
	ret = dm_vring_table(vr, d->addr, d->len, &table);
	if (ret != 0)
		return ret;
	walk->table = table;
	walk->nb_entries = d->len / sizeof(*d);
	walk->next = 0;
	walk->in_indirect = true;
	/* The descriptor that holds the table is no buffer of the chain. */
	walk->left++;
	return 0;
}

/* One step. @return 1: more, 0: that was the last, -EIO. */
static int
dm_split_step(struct dm_vring *vr, struct dm_vring_walk *walk, struct dm_chain *chain)
{
	struct lm_vring_desc d;
	int ret;

	if (walk->left == 0)
		return dm_vring_fail(vr, DM_RULE_DESC_LOOP, "head", chain->head);
	walk->left--;
	memcpy(&d, (const char *)walk->table + (size_t)walk->next * sizeof(d), sizeof(d));
	/* The driver may change it behind our back: nothing is read twice. */
	atomic_signal_fence(memory_order_seq_cst);

	if ((d.flags & LM_VRING_DESC_F_INDIRECT) != 0) {
		ret = dm_split_enter_indirect(vr, walk, &d);
		return ret != 0 ? ret : 1;
	}
	ret = dm_vring_add_buffer(vr, chain, d.addr, d.len, d.flags);
	if (ret != 0)
		return ret;
	if ((d.flags & LM_VRING_DESC_F_NEXT) == 0)
		return 0;
	if (d.next >= walk->nb_entries)
		return dm_vring_fail(vr, DM_RULE_DESC_NEXT, "next", d.next);
	walk->next = d.next;
	return 1;
}

static int
dm_split_fetch(struct dm_vring *vr, struct dm_chain *chain)
{
	struct dm_vring_split *s = &vr->split;
	struct dm_vring_walk walk;
	uint16_t ready;
	int ret;

	ready = lm_vring_load_acquire(&s->avail->idx) - s->avail_next;
	if (ready == 0)
		return 0;
	if (ready > vr->conf.size)
		return dm_vring_fail(vr, DM_RULE_AVAIL_JUMP, "entries ahead", ready);
	chain->head = lm_vring_load_relaxed(&s->avail->ring[s->avail_next & (vr->conf.size - 1)]);
	if (chain->head >= vr->conf.size)
		return dm_vring_fail(vr, DM_RULE_AVAIL_HEAD, "head", chain->head);

	walk.table = s->desc;
	walk.nb_entries = vr->conf.size;
	walk.next = chain->head;
	walk.left = vr->conf.size;
	walk.in_indirect = false;
	do {
		ret = dm_split_step(vr, &walk, chain);
	} while (ret == 1);
	if (ret != 0)
		return ret;
	s->avail_next++;
	return 1;
}

static void
dm_split_unfetch(struct dm_vring *vr, const struct dm_chain *chains, uint16_t nb)
{
	(void)chains;
	vr->split.avail_next -= nb;
}

/* 2.7.9: one element for a batch lies where that of its first chain would. */
static void
dm_split_push(struct dm_vring *vr, const struct dm_chain *chain, uint32_t written_bytes,
		bool merge)
{
	struct dm_vring_split *s = &vr->split;
	struct lm_vring_used_elem *elem;

	if (!merge)
		s->used_last = s->used_next;
	elem = &s->used->ring[s->used_last & (vr->conf.size - 1)];
	elem->id = chain->head;
	elem->len = written_bytes;
	s->used_next++;
}

static bool
dm_split_publish(struct dm_vring *vr)
{
	struct dm_vring_split *s = &vr->split;
	uint16_t old_idx = s->used_shown;

	if (old_idx == s->used_next)
		return false;
	s->used_shown = s->used_next;
	lm_vring_store_release(&s->used->idx, s->used_next);
	/* The driver writes its event and then reads our index: one of us must see the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (vr->conf.event_idx)
		return lm_vring_need_event(lm_vring_load_relaxed(
				lm_vring_used_event(s->avail, vr->conf.size)),
				s->used_next, old_idx);
	return (lm_vring_load_relaxed(&s->avail->flags) & LM_VRING_AVAIL_F_NO_INTERRUPT) == 0;
}

static void
dm_split_set_flags(struct dm_vring_split *s, uint16_t flags)
{
	if (s->flags_shown == flags)
		return;
	s->flags_shown = flags;
	lm_vring_store_relaxed(&s->used->flags, flags);
}

static bool
dm_split_notify_on(struct dm_vring *vr)
{
	struct dm_vring_split *s = &vr->split;

	if (!vr->conf.event_idx) {
		dm_split_set_flags(s, 0);
	} else if (!s->event_valid || s->event_shown != s->avail_next) {
		s->event_shown = s->avail_next;
		s->event_valid = true;
		lm_vring_store_relaxed(lm_vring_avail_event(s->used, vr->conf.size),
				s->avail_next);
	}
	atomic_thread_fence(memory_order_seq_cst);
	return lm_vring_load_relaxed(&s->avail->idx) == s->avail_next;
}

static void
dm_split_notify_off(struct dm_vring *vr)
{
	/* With EVENT_IDX the event that was passed stays silent by itself. */
	if (!vr->conf.event_idx)
		dm_split_set_flags(&vr->split, LM_VRING_USED_F_NO_NOTIFY);
}

/* A ring's worth before what was taken, if the doorbell is late, to a ring's worth behind it. */
static bool
dm_split_next_ok(const struct dm_vring *vr, uint16_t next)
{
	return (uint16_t)(next - vr->split.avail_next + vr->conf.size) <= 2 * vr->conf.size;
}

static uint16_t
dm_split_avail_idx(const struct dm_vring *vr)
{
	return lm_vring_load_relaxed(&vr->split.avail->idx);
}

static uint16_t
dm_split_used_idx(const struct dm_vring *vr)
{
	return vr->split.used_shown;
}

const struct dm_vring_ops dm_vring_split_ops = {
	.start = dm_split_start,
	.resolve = dm_split_resolve,
	.fetch = dm_split_fetch,
	.unfetch = dm_split_unfetch,
	.push = dm_split_push,
	.publish = dm_split_publish,
	.notify_on = dm_split_notify_on,
	.notify_off = dm_split_notify_off,
	.next_ok = dm_split_next_ok,
	.avail_idx = dm_split_avail_idx,
	.used_idx = dm_split_used_idx,
};
