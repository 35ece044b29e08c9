/* SPDX-License-Identifier: BSD-3-Clause */

/* Packed virtqueue, VIRTIO 1.3, 2.8. */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "dm_vring_priv.h"

static void
dm_packed_advance(const struct dm_vring *vr, struct dm_vring_pos *pos, uint32_t nb)
{
	uint32_t off = pos->off + nb;

	if (off >= vr->conf.size) {
		off -= vr->conf.size;
		pos->wrap = !pos->wrap;
	}
	pos->off = (uint16_t)off;
}

static uint16_t
dm_packed_code(struct dm_vring_pos pos)
{
	return (uint16_t)(pos.off | (pos.wrap ? 1u << LM_VRING_PACKED_EVENT_WRAP_SHIFT : 0));
}

static bool
dm_packed_id_held(const struct dm_vring_packed *p, uint16_t id)
{
	return (p->ids[id / 64] >> (id % 64) & 1) != 0;
}

static void
dm_packed_id_flip(struct dm_vring_packed *p, uint16_t id)
{
	p->ids[id / 64] ^= UINT64_C(1) << (id % 64);
}

static void
dm_packed_start(struct dm_vring *vr)
{
	struct dm_vring_packed *p = &vr->packed;

	p->avail.wrap = p->used.wrap = p->shown.wrap = true;
}

static int
dm_packed_resolve(struct dm_vring *vr)
{
	const struct dm_vring_conf *c = &vr->conf;
	struct dm_vring_packed *p = &vr->packed;

	p->desc = dm_vring_area(vr, c->desc_iova, lm_vring_desc_bytes(c->size),
			LM_VU_PROT_READ | LM_VU_PROT_WRITE, LM_VRING_DESC_ALIGN);
	if (p->desc == NULL)
		return dm_vring_fail_dma(vr, "descriptor ring at", c->desc_iova);
	p->driver = dm_vring_area(vr, c->driver_iova, sizeof(*p->driver), LM_VU_PROT_READ,
			LM_VRING_PACKED_EVENT_ALIGN);
	if (p->driver == NULL)
		return dm_vring_fail_dma(vr, "driver event at", c->driver_iova);
	p->device = dm_vring_area(vr, c->device_iova, sizeof(*p->device), LM_VU_PROT_WRITE,
			LM_VRING_PACKED_EVENT_ALIGN);
	if (p->device == NULL)
		return dm_vring_fail_dma(vr, "device event at", c->device_iova);
	return 0;
}

static int
dm_packed_indirect(struct dm_vring *vr, struct dm_chain *chain,
		const struct lm_vring_packed_desc *holder)
{
	const uint16_t ours = LM_VRING_DESC_F_WRITE;
	struct lm_vring_packed_desc d;
	const void *table;
	uint32_t i;
	int ret;

	/* A table stands alone: it neither follows nor precedes another descriptor. */
	if (chain->slots != 1 || (holder->flags & LM_VRING_DESC_F_NEXT) != 0)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_NEXT, "flags", holder->flags);
	ret = dm_vring_table(vr, holder->addr, holder->len, &table);
	if (ret == 0 && holder->len / sizeof(d) > vr->conf.size)
		ret = dm_vring_fail(vr, DM_RULE_DESC_LOOP, "table of bytes", holder->len);
	for (i = 0; ret == 0 && i < holder->len / sizeof(d); i++) {
		memcpy(&d, (const char *)table + i * sizeof(d), sizeof(d));
		atomic_signal_fence(memory_order_seq_cst);
		if ((d.flags & LM_VRING_DESC_F_INDIRECT) != 0)
			return dm_vring_fail(vr, DM_RULE_INDIRECT_NESTED, "table at", d.addr);
		if ((d.flags & ~ours) != 0)
			dm_rule_broken(vr->host->rules, DM_RULE_INDIRECT_FLAGS,
					"queue %u, flags 0x%x", vr->conf.index, d.flags);
		ret = dm_vring_add_buffer(vr, chain, d.addr, d.len, d.flags);
	}
	return ret;
}

/* The descriptor at pos, which is the chain's next. @return 1: more follow, 0: the last, -EIO. */
static int
dm_packed_step(struct dm_vring *vr, struct dm_vring_pos pos, struct dm_chain *chain)
{
	struct dm_vring_packed *p = &vr->packed;
	struct lm_vring_packed_desc d;
	int ret;

	if (chain->slots == vr->conf.size)
		return dm_vring_fail(vr, DM_RULE_DESC_LOOP, "descriptors", chain->slots);
	if (p->hidden + p->taken + chain->slots == vr->conf.size)
		return dm_vring_fail(vr, DM_RULE_AVAIL_JUMP, "descriptor", pos.off);
	memcpy(&d, &p->desc[pos.off], sizeof(d));
	/* The driver may change it behind our back: nothing is read twice. */
	atomic_signal_fence(memory_order_seq_cst);
	if (!lm_vring_packed_is_avail(d.flags, pos.wrap))
		return dm_vring_fail(vr, DM_RULE_DESC_AVAIL, "descriptor", pos.off);
	chain->slots++;
	chain->head = d.id;
	if ((d.flags & LM_VRING_DESC_F_INDIRECT) != 0)
		return dm_packed_indirect(vr, chain, &d);
	ret = dm_vring_add_buffer(vr, chain, d.addr, d.len, d.flags);
	if (ret != 0)
		return ret;
	return (d.flags & LM_VRING_DESC_F_NEXT) != 0 ? 1 : 0;
}

static bool
dm_packed_ready(const struct dm_vring_packed *p)
{
	return lm_vring_packed_is_avail(lm_vring_load_acquire(&p->desc[p->avail.off].flags),
			p->avail.wrap);
}

static int
dm_packed_fetch(struct dm_vring *vr, struct dm_chain *chain)
{
	struct dm_vring_packed *p = &vr->packed;
	struct dm_vring_pos pos = p->avail;
	int ret;

	if (!dm_packed_ready(p))
		return 0;
	chain->slots = 0;
	chain->at = dm_packed_code(pos);
	do {
		ret = dm_packed_step(vr, pos, chain);
		dm_packed_advance(vr, &pos, 1);
	} while (ret == 1);
	if (ret != 0)
		return ret;
	if (chain->head >= vr->conf.size || dm_packed_id_held(p, chain->head))
		return dm_vring_fail(vr, DM_RULE_DESC_ID, "id", chain->head);
	dm_packed_id_flip(p, chain->head);
	p->taken += chain->slots;
	p->avail = pos;
	return 1;
}

static void
dm_packed_unfetch(struct dm_vring *vr, const struct dm_chain *chains, uint16_t nb)
{
	struct dm_vring_packed *p = &vr->packed;
	uint16_t i;

	for (i = 0; i < nb; i++) {
		p->taken -= chains[i].slots;
		dm_packed_id_flip(p, chains[i].head);
	}
	p->avail.off = chains[0].at & ~(1u << LM_VRING_PACKED_EVENT_WRAP_SHIFT);
	p->avail.wrap = chains[0].at >> LM_VRING_PACKED_EVENT_WRAP_SHIFT != 0;
}

/*
 * 2.8.6, 2.8.8: the element overwrites the first descriptor of its chain, or of its batch. That of
 * the first one pushed gets its flags last (2.8.9): the driver looks no further until then.
 */
static void
dm_packed_push(struct dm_vring *vr, const struct dm_chain *chain, uint32_t written_bytes,
		bool merge)
{
	struct dm_vring_packed *p = &vr->packed;
	struct lm_vring_packed_desc *d;
	uint16_t flags;

	if (!merge)
		p->last = p->used;
	flags = p->last.wrap ? LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED : 0;
	if (written_bytes != 0)
		flags |= LM_VRING_DESC_F_WRITE;
	d = &p->desc[p->last.off];
	d->id = chain->head;
	d->len = written_bytes;
	if (p->last.off == p->shown.off)
		p->first_flags = flags;
	else
		lm_vring_store_release(&d->flags, flags);
	dm_packed_advance(vr, &p->used, chain->slots);
	p->hidden += chain->slots;
	p->taken -= chain->slots;
	dm_packed_id_flip(p, chain->head);
}

/* 2.8.10: does the driver want to hear of the nb descriptors before p->used? */
static bool
dm_packed_wants_irq(struct dm_vring *vr, uint32_t nb)
{
	struct dm_vring_packed *p = &vr->packed;
	uint16_t flags = lm_vring_load_acquire(&p->driver->flags);
	uint16_t code = lm_vring_load_relaxed(&p->driver->off_wrap);
	uint16_t event = code & ~(1u << LM_VRING_PACKED_EVENT_WRAP_SHIFT);
	bool wrap = code >> LM_VRING_PACKED_EVENT_WRAP_SHIFT != 0;

	if (flags == LM_VRING_PACKED_EVENT_F_ENABLE || flags == LM_VRING_PACKED_EVENT_F_DISABLE)
		return flags == LM_VRING_PACKED_EVENT_F_ENABLE;
	if (flags != LM_VRING_PACKED_EVENT_F_DESC || !vr->conf.event_idx ||
			event >= vr->conf.size) {
		dm_rule_broken(vr->host->rules, DM_RULE_EVENT, "queue %u, flags 0x%x, offset %u",
				vr->conf.index, flags, event);
		return true;
	}
	if (wrap != p->used.wrap)
		event -= vr->conf.size;
	return lm_vring_need_event(event, p->used.off, (uint16_t)(p->used.off - nb));
}

static bool
dm_packed_publish(struct dm_vring *vr)
{
	struct dm_vring_packed *p = &vr->packed;
	uint32_t nb = p->hidden;

	if (nb == 0)
		return false;
	lm_vring_store_release(&p->desc[p->shown.off].flags, p->first_flags);
	p->shown = p->used;
	p->hidden = 0;
	/* The driver writes its event and then reads our flags: one of us must see the other. */
	atomic_thread_fence(memory_order_seq_cst);
	return dm_packed_wants_irq(vr, nb);
}

static void
dm_packed_set_flags(struct dm_vring_packed *p, uint16_t flags)
{
	if (p->flags_shown == flags)
		return;
	p->flags_shown = flags;
	lm_vring_store_release(&p->device->flags, flags);
}

static bool
dm_packed_notify_on(struct dm_vring *vr)
{
	struct dm_vring_packed *p = &vr->packed;
	uint16_t code = dm_packed_code(p->avail);

	if (!vr->conf.event_idx) {
		dm_packed_set_flags(p, LM_VRING_PACKED_EVENT_F_ENABLE);
	} else {
		if (p->event_shown != code)
			lm_vring_store_relaxed(&p->device->off_wrap, code);
		p->event_shown = code;
		dm_packed_set_flags(p, LM_VRING_PACKED_EVENT_F_DESC);
	}
	atomic_thread_fence(memory_order_seq_cst);
	return !dm_packed_ready(p);
}

static void
dm_packed_notify_off(struct dm_vring *vr)
{
	dm_packed_set_flags(&vr->packed, LM_VRING_PACKED_EVENT_F_DISABLE);
}

/* In any lap: a doorbell may be late. */
static bool
dm_packed_next_ok(const struct dm_vring *vr, uint16_t next)
{
	return (next & ~(1u << LM_VRING_PACKED_EVENT_WRAP_SHIFT)) < vr->conf.size;
}

static uint16_t
dm_packed_avail_idx(const struct dm_vring *vr)
{
	return dm_packed_code(vr->packed.avail);
}

static uint16_t
dm_packed_used_idx(const struct dm_vring *vr)
{
	return dm_packed_code(vr->packed.shown);
}

const struct dm_vring_ops dm_vring_packed_ops = {
	.start = dm_packed_start,
	.resolve = dm_packed_resolve,
	.fetch = dm_packed_fetch,
	.unfetch = dm_packed_unfetch,
	.push = dm_packed_push,
	.publish = dm_packed_publish,
	.notify_on = dm_packed_notify_on,
	.notify_off = dm_packed_notify_off,
	.next_ok = dm_packed_next_ok,
	.avail_idx = dm_packed_avail_idx,
	.used_idx = dm_packed_used_idx,
};
