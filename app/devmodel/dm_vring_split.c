/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "dm_vring_split.h"

/* A walk over one table of descriptors. */
struct dm_vring_walk {
	const struct lm_vring_desc *table;
	uint32_t nb_entries;
	uint32_t next;
	uint32_t left; /* descriptors that the chain may still have */
	bool in_indirect;
};

static int
dm_vring_fail(struct dm_vring *vr, enum dm_rule rule, const char *what, uint64_t value)
{
	vr->broken = true;
	dm_rule_broken(vr->host->rules, rule, "queue %u, %s 0x%llx", vr->conf.index, what,
			(unsigned long long)value);
	return -EIO;
}

static int
dm_vring_fail_dma(struct dm_vring *vr, const char *what, uint64_t iova)
{
	return dm_vring_fail(vr, vr->host->bus_master ? DM_RULE_DMA_UNMAPPED :
			DM_RULE_DMA_BUS_MASTER, what, iova);
}

/* A whole area in one piece, else NULL. */
static void *
dm_vring_area(struct dm_vring *vr, uint64_t iova, uint64_t len_bytes, uint32_t prot,
		uint32_t align)
{
	uint64_t got = len_bytes;
	void *ptr;

	if (!vr->host->bus_master)
		return NULL;
	ptr = vr->host->dma_span(vr->host->ctx, iova, &got, prot);
	if (ptr == NULL || got < len_bytes || ((uintptr_t)ptr & (align - 1)) != 0)
		return NULL;
	/* cppcheck-suppress returnDanglingLifetime ; it is not &got that comes back */
	return ptr;
}

static int
dm_vring_resolve(struct dm_vring *vr)
{
	const struct dm_vring_conf *c = &vr->conf;

	if (vr->resolved && vr->dma_epoch == vr->host->dma_epoch && vr->host->bus_master)
		return 0;

	vr->resolved = false;
	vr->desc = dm_vring_area(vr, c->desc_iova, lm_vring_desc_bytes(c->size),
			LM_VU_PROT_READ, LM_VRING_DESC_ALIGN);
	if (vr->desc == NULL)
		return dm_vring_fail_dma(vr, "descriptor table at", c->desc_iova);
	vr->avail = dm_vring_area(vr, c->avail_iova, lm_vring_avail_bytes(c->size),
			LM_VU_PROT_READ, LM_VRING_AVAIL_ALIGN);
	if (vr->avail == NULL)
		return dm_vring_fail_dma(vr, "available ring at", c->avail_iova);
	vr->used = dm_vring_area(vr, c->used_iova, lm_vring_used_bytes(c->size),
			LM_VU_PROT_READ | LM_VU_PROT_WRITE, LM_VRING_USED_ALIGN);
	if (vr->used == NULL)
		return dm_vring_fail_dma(vr, "used ring at", c->used_iova);
	vr->dma_epoch = vr->host->dma_epoch;
	vr->resolved = true;
	return 0;
}

void
dm_vring_start(struct dm_vring *vr, struct dm_host *host, const struct dm_vring_conf *conf)
{
	memset(vr, 0, sizeof(*vr));
	vr->host = host;
	vr->conf = *conf;
}

/* Add a buffer, piece by piece where mappings end. */
static int
dm_vring_add_buffer(struct dm_vring *vr, struct dm_chain *chain, const struct lm_vring_desc *d)
{
	bool write = (d->flags & LM_VRING_DESC_F_WRITE) != 0;
	uint64_t *total = write ? &chain->write_bytes : &chain->read_bytes;
	uint64_t iova = d->addr;
	uint64_t left = d->len;

	if (!write && chain->write_bytes != 0)
		return dm_vring_fail(vr, DM_RULE_DESC_ORDER, "readable buffer at", d->addr);
	if (chain->read_bytes + chain->write_bytes + left > UINT32_MAX)
		return dm_vring_fail(vr, DM_RULE_DESC_TOO_LONG, "last buffer of bytes", d->len);

	while (left != 0) {
		uint32_t nb = chain->nb_read + chain->nb_write;
		uint64_t len = left;
		void *ptr = NULL;

		if (nb == chain->iov_max)
			return dm_vring_fail(vr, DM_RULE_DESC_LOOP, "pieces", nb);
		if (vr->host->bus_master)
			ptr = vr->host->dma_span(vr->host->ctx, iova, &len,
					write ? LM_VU_PROT_WRITE : LM_VU_PROT_READ);
		if (ptr == NULL || len == 0)
			return dm_vring_fail_dma(vr, write ? "writable buffer at" :
					"readable buffer at", iova);
		chain->iov[nb].iov_base = ptr;
		chain->iov[nb].iov_len = len;
		if (write)
			chain->nb_write++;
		else
			chain->nb_read++;
		*total += len;
		iova += len;
		left -= len;
	}
	return 0;
}

static int
dm_vring_enter_indirect(struct dm_vring *vr, struct dm_vring_walk *walk,
		const struct lm_vring_desc *d)
{
	if (!vr->conf.indirect)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_OFF, "table at", d->addr);
	if (walk->in_indirect)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_NESTED, "table at", d->addr);
	if ((d->flags & LM_VRING_DESC_F_NEXT) != 0)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_NEXT, "flags", d->flags);
	if (d->len == 0 || d->len % sizeof(*d) != 0)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_LENGTH, "length", d->len);

	walk->table = dm_vring_area(vr, d->addr, d->len, LM_VU_PROT_READ, 1);
	if (walk->table == NULL)
		return dm_vring_fail_dma(vr, "indirect table at", d->addr);
	walk->nb_entries = d->len / sizeof(*d);
	walk->next = 0;
	walk->in_indirect = true;
	/* The descriptor that holds the table is no buffer of the chain. */
	walk->left++;
	return 0;
}

/* One step. @return 1: more, 0: that was the last, -EIO. */
static int
dm_vring_step(struct dm_vring *vr, struct dm_vring_walk *walk, struct dm_chain *chain)
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
		ret = dm_vring_enter_indirect(vr, walk, &d);
		return ret != 0 ? ret : 1;
	}
	ret = dm_vring_add_buffer(vr, chain, &d);
	if (ret != 0)
		return ret;
	if ((d.flags & LM_VRING_DESC_F_NEXT) == 0)
		return 0;
	if (d.next >= walk->nb_entries)
		return dm_vring_fail(vr, DM_RULE_DESC_NEXT, "next", d.next);
	walk->next = d.next;
	return 1;
}

int
dm_vring_fetch(struct dm_vring *vr, struct dm_chain *chain)
{
	struct dm_vring_walk walk;
	uint16_t ready;
	int ret;

	if (vr->broken)
		return -EIO;
	ret = dm_vring_resolve(vr);
	if (ret != 0)
		return ret;

	ready = lm_vring_load_acquire(&vr->avail->idx) - vr->avail_next;
	if (ready == 0)
		return 0;
	if (ready > vr->conf.size)
		return dm_vring_fail(vr, DM_RULE_AVAIL_JUMP, "entries ahead", ready);
	chain->head = lm_vring_load_relaxed(&vr->avail->ring[vr->avail_next & (vr->conf.size - 1)]);
	if (chain->head >= vr->conf.size)
		return dm_vring_fail(vr, DM_RULE_AVAIL_HEAD, "head", chain->head);

	chain->nb_read = 0;
	chain->nb_write = 0;
	chain->read_bytes = 0;
	chain->write_bytes = 0;
	walk.table = vr->desc;
	walk.nb_entries = vr->conf.size;
	walk.next = chain->head;
	walk.left = vr->conf.size;
	walk.in_indirect = false;
	do {
		ret = dm_vring_step(vr, &walk, chain);
	} while (ret == 1);
	if (ret != 0)
		return ret;
	vr->avail_next++;
	return 1;
}

void
dm_vring_unfetch(struct dm_vring *vr, uint16_t nb)
{
	vr->avail_next -= nb;
}

void
dm_vring_push(struct dm_vring *vr, uint16_t head, uint32_t written_bytes)
{
	struct lm_vring_used_elem *elem;

	if (vr->broken || dm_vring_resolve(vr) != 0)
		return;
	elem = &vr->used->ring[vr->used_next & (vr->conf.size - 1)];
	elem->id = head;
	elem->len = written_bytes;
	vr->used_next++;
}

bool
dm_vring_publish(struct dm_vring *vr)
{
	uint16_t old_idx = vr->used_shown;

	if (old_idx == vr->used_next || dm_vring_resolve(vr) != 0)
		return false;
	vr->used_shown = vr->used_next;
	lm_vring_store_release(&vr->used->idx, vr->used_next);
	/* The driver writes its event and then reads our index: one of us must see the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (vr->conf.event_idx)
		return lm_vring_need_event(lm_vring_load_relaxed(
				lm_vring_used_event(vr->avail, vr->conf.size)),
				vr->used_next, old_idx);
	return (lm_vring_load_relaxed(&vr->avail->flags) & LM_VRING_AVAIL_F_NO_INTERRUPT) == 0;
}

static void
dm_vring_set_flags(struct dm_vring *vr, uint16_t flags)
{
	if (vr->flags_shown == flags)
		return;
	vr->flags_shown = flags;
	lm_vring_store_relaxed(&vr->used->flags, flags);
}

bool
dm_vring_notify_on(struct dm_vring *vr)
{
	if (vr->broken || dm_vring_resolve(vr) != 0)
		return true; /* nothing will be fetched, so nothing is waited for */
	if (!vr->conf.event_idx) {
		dm_vring_set_flags(vr, 0);
	} else if (!vr->event_valid || vr->event_shown != vr->avail_next) {
		vr->event_shown = vr->avail_next;
		vr->event_valid = true;
		lm_vring_store_relaxed(lm_vring_avail_event(vr->used, vr->conf.size),
				vr->avail_next);
	}
	atomic_thread_fence(memory_order_seq_cst);
	return lm_vring_load_relaxed(&vr->avail->idx) == vr->avail_next;
}

void
dm_vring_notify_off(struct dm_vring *vr)
{
	/* With EVENT_IDX the event that was passed stays silent by itself. */
	if (vr->broken || vr->conf.event_idx || dm_vring_resolve(vr) != 0)
		return;
	dm_vring_set_flags(vr, LM_VRING_USED_F_NO_NOTIFY);
}

uint16_t
dm_vring_avail_idx(struct dm_vring *vr)
{
	if (vr->broken || !vr->resolved || vr->dma_epoch != vr->host->dma_epoch)
		return 0;
	return lm_vring_load_relaxed(&vr->avail->idx);
}
