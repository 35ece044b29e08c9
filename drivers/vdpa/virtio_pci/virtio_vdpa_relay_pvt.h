/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_VDPA_RELAY_PVT_H
#define VIRTIO_VDPA_RELAY_PVT_H

/*
 * Chains return to the guest in the order in which they came, so everything that a chain holds is
 * a stretch of a ring: its entry, its shadow descriptors, its copy of an indirect table. Counters
 * run freely; "& mask" gives the place.
 */

#include <assert.h>
#include <string.h>

#include "lm_imap.h"
#include "lm_vhost_log.h"
#include "virtio_ring_if.h"
#include "virtio_vdpa_relay.h"

#define RELAY_NO_ENTRY UINT32_MAX

/* A chain that the device holds, or held and the guest does not have back yet. */
struct relay_entry {
	uint64_t writable_addr; /* of the first writable byte */
	uint32_t writable_bytes;
	uint32_t used_len;
	uint32_t table_pos;    /* in the pool, when nb_table != 0 */
	uint16_t nb_table;     /* descriptors in the copied indirect table */
	uint16_t table_taken;  /* pool entries held, waste at the pool's end included */
	uint16_t head;         /* the guest's; packed: its buffer id */
	uint16_t slot;         /* first shadow descriptor */
	uint16_t nb_slots;     /* as many as the chain has in the guest's ring, unless internal */
	bool one_piece : 1;    /* the writable part is contiguous */
	bool used : 1;         /* the device has given it back */
	bool internal : 1;     /* ours, not the guest's */
};
static_assert(sizeof(struct relay_entry) == 32, "two in a cache line");

struct virtio_vdpa_relay {
	/* guest side, split */
	struct lm_vring_desc *desc;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	uint16_t next_avail;   /* guest's available entries taken; packed: next slot to look at */
	uint16_t guest_used;   /* used index shown to the guest; packed: next slot to write */
	uint16_t call_old;     /* used index at the last decision to call */
	/* guest side, packed */
	bool packed;
	bool avail_wrap, used_wrap;
	uint16_t ring_size;    /* of the guest's; size is the shadow ring's */
	uint16_t ring_held;    /* slots taken and not given back */
	uint32_t ring_uncalled; /* slots given back since the last decision to call */
	struct lm_vring_packed_desc *ring;
	struct lm_vring_packed_event *driver_event, *device_event;
	/* device side */
	struct lm_vring_desc *s_desc;
	struct lm_vring_avail *s_avail;
	struct lm_vring_used *s_used;
	struct lm_vring_desc *pool;
	uint16_t s_avail_idx;
	uint16_t dev_used;     /* device's used entries looked at */
	uint16_t kick_old;

	uint16_t size;
	uint16_t mask;
	bool event_idx;
	bool indirect;
	bool in_order;
	bool log_full;
	bool log_on;
	bool hold;             /* take nothing beyond index 0 */
	bool stopped;
	bool blocked;          /* the last avail burst found no room */
	bool inject_busy;
	enum virtio_vdpa_relay_error error;

	uint16_t slots_next, slots_held;
	uint32_t pool_size;    /* power of two */
	uint32_t pool_next, pool_held;
	uint32_t first, count; /* entries: [first, first + count) */
	uint32_t nb_unused;    /* of those, not given back by the device */

	/* The widest interval of guest memory: nearly every address lies in it. */
	struct lm_interval hot;
	/* Pages to log that follow each other, not yet in the cache; none when last < first. */
	uint64_t log_first, log_last;

	const struct lm_imap *mem;
	struct lm_vhost_log *log;
	uint64_t used_gpa, desc_gpa;
	struct virtio_vdpa_relay_conf conf;
	struct virtio_vdpa_relay_stats stats;
	struct lm_log_cache cache;

	struct relay_entry *entries;   /* size of them */
	uint32_t *slot_entry;          /* shadow head slot -> place in entries, or NO_ENTRY */
	bool *head_busy;               /* per guest head */
	struct lm_vring_desc *scratch; /* an indirect table, copied once, before any check */
};

static inline struct relay_entry *
relay_entry_at(struct virtio_vdpa_relay *r, uint32_t counter)
{
	return &r->entries[counter & r->mask];
}

/* Guest memory may change between two looks: one look, which no compiler may repeat. */
static inline struct lm_vring_desc
relay_desc_read(const struct lm_vring_desc *p)
{
	union {
		uint64_t word[2];
		struct lm_vring_desc desc;
	} copy;
	const _Atomic uint64_t *from = (const _Atomic uint64_t *)(const void *)p;

	copy.word[0] = atomic_load_explicit(&from[0], memory_order_relaxed);
	copy.word[1] = atomic_load_explicit(&from[1], memory_order_relaxed);
	return copy.desc;
}

/* So may the device's part of the shadow ring. */
static inline struct lm_vring_used_elem
relay_elem_read(const struct lm_vring_used_elem *p)
{
	return (struct lm_vring_used_elem){
		.id = atomic_load_explicit((const _Atomic uint32_t *)&p->id, memory_order_relaxed),
		.len = atomic_load_explicit((const _Atomic uint32_t *)&p->len,
			memory_order_relaxed),
	};
}

/* Mark bytes of the guest's used ring that we have just written. */
static inline void
relay_log_used(struct virtio_vdpa_relay *r, uint64_t offset, uint64_t len_bytes)
{
	if (r->log_on)
		lm_vhost_log_mark(r->log, &r->cache, r->used_gpa + offset, len_bytes);
}

/* virtio_vdpa_relay_chain.c: what both ring formats have in common */

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
bool relay_in_guest_memory(const struct virtio_vdpa_relay *r, uint64_t addr, uint64_t len_bytes);
/*
 * Copies an indirect table once, walks the copy, and lays it out in order for the device; d
 * becomes the descriptor of the copy. @return false: no room (c->error OK) or a broken rule.
 */
bool relay_chain_table(struct chain *c, struct lm_vring_desc *d, struct relay_entry *e);

static inline bool
relay_chain_add(struct chain *c, uint64_t addr, uint32_t len, uint16_t flags)
{
	const struct lm_interval *hot = &c->r->hot;
	uint64_t offset = addr - hot->from;

	if (len == 0) {
		c->error = VIRTIO_VDPA_RELAY_ZERO_LEN;
		return false;
	}
	if ((offset >= hot->len_bytes || len > hot->len_bytes - offset) &&
			!relay_in_guest_memory(c->r, addr, len)) {
		c->error = VIRTIO_VDPA_RELAY_BAD_ADDR;
		return false;
	}
	if ((flags & LM_VRING_DESC_F_WRITE) != 0) {
		if (c->writable_bytes == 0)
			c->writable_addr = addr;
		else
			c->pieces |= c->writable_addr + c->writable_bytes != addr;
		c->writable_bytes += len;
	} else if (c->writable_bytes != 0) {
		c->error = VIRTIO_VDPA_RELAY_BAD_ORDER;
		return false;
	} else {
		c->readable_bytes += len;
	}
	return true;
}

static inline bool
relay_chain_end(struct chain *c, struct relay_entry *e)
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

/* Book the entry that has been filled in place, and show it to the device at the next index. */
static inline void
relay_push(struct virtio_vdpa_relay *r, const struct relay_entry *entry)
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

/*
 * Most chains are one descriptor in the widest region. Bursts of such are taken with what changes
 * held in registers.
 */
struct relay_run {
	struct virtio_vdpa_relay *r;
	struct relay_entry *entries;
	struct lm_vring_desc *s_desc;
	uint16_t *s_ring;
	uint32_t *slot_entry;
	struct lm_interval hot;
	uint32_t mask;
	uint32_t place;       /* of the next entry */
	uint32_t slot;
	uint32_t s_avail;
	unsigned int nb, most;
};

/* Is another like this one worth starting a run for? */
static inline bool
relay_simple(const struct relay_entry *e)
{
	return e->nb_slots == 1 && e->nb_table == 0;
}

static inline void
relay_run_begin(struct relay_run *run, struct virtio_vdpa_relay *r, unsigned int most)
{
	uint32_t room = r->size - (r->count > r->slots_held ? r->count : r->slots_held);

	*run = (struct relay_run){
		.r = r,
		.entries = r->entries,
		.s_desc = r->s_desc,
		.s_ring = r->s_avail->ring,
		.slot_entry = r->slot_entry,
		.hot = r->hot,
		.mask = r->mask,
		.place = r->first + r->count,
		.slot = r->slots_next,
		.s_avail = r->s_avail_idx,
		.most = most < room ? most : room,
	};
}

/* @return false when the chain is not of that kind. */
static inline bool
relay_run_add(struct relay_run *run, uint16_t head, uint64_t addr, uint32_t len, uint16_t flags)
{
	uint64_t offset = addr - run->hot.from, word[2];
	uint32_t slot = run->slot & run->mask, place = run->place & run->mask;
	uint32_t writable = (flags & LM_VRING_DESC_F_WRITE) != 0 ? len : 0;

	if (offset >= run->hot.len_bytes || len - 1u >= run->hot.len_bytes - offset)
		return false; /* not there, or of length 0 */
	run->entries[place] = (struct relay_entry){
		.writable_addr = addr,
		.writable_bytes = writable,
		.head = head,
		.slot = (uint16_t)slot,
		.nb_slots = 1,
		.one_piece = true,
	};
	word[0] = addr;
	word[1] = len | (uint64_t)(flags & LM_VRING_DESC_F_WRITE) << 32;
	memcpy(&run->s_desc[slot], word, sizeof(word));
	run->slot_entry[slot] = place;
	run->s_ring[run->s_avail & run->mask] = (uint16_t)slot;
	run->place++;
	run->slot++;
	run->s_avail++;
	run->nb++;
	return true;
}

static inline unsigned int
relay_run_end(const struct relay_run *run)
{
	struct virtio_vdpa_relay *r = run->r;

	r->count += run->nb;
	r->nb_unused += run->nb;
	r->slots_next += (uint16_t)run->nb;
	r->slots_held += (uint16_t)run->nb;
	r->s_avail_idx = (uint16_t)run->s_avail;
	r->stats.avail_descs += run->nb;
	return run->nb;
}

/* A slot of a packed ring, as vhost-user has it. */
static inline uint16_t
relay_place(uint32_t slot, bool wrap)
{
	return (uint16_t)(slot | (wrap ? LM_VRING_MAX_SIZE : 0));
}

/* Seen before any release that follows. */
static inline void
relay_say_move(struct virtio_vdpa_relay *r, uint16_t from, uint16_t last, uint16_t id, uint16_t to)
{
	const union {
		struct virtio_vdpa_relay_move move;
		uint64_t word;
	} say = { .move = { from, last, id, to } };

	atomic_store_explicit(r->conf.move, say.word, memory_order_relaxed);
}

/* The half of a descriptor that has length, id and flags. */
static inline void
relay_packed_used(struct lm_vring_packed_desc *d, uint64_t word)
{
	atomic_store_explicit((_Atomic uint64_t *)(void *)&d->len, word, memory_order_release);
}

/* virtio_vdpa_relay_packed.c: the guest's side of a packed ring */

unsigned int relay_packed_take(struct virtio_vdpa_relay *r, unsigned int budget);
/* Used descriptors lie in the ring from begin on; the guest may see them. */
void relay_packed_publish(struct virtio_vdpa_relay *r, uint16_t begin, uint32_t slots,
		uint16_t first_flags);
bool relay_packed_need_call(struct virtio_vdpa_relay *r);
bool relay_packed_pending(const struct virtio_vdpa_relay *r);
/* Ask the guest for kicks, or not. */
void relay_packed_quiet(struct virtio_vdpa_relay *r, bool quiet);

/* virtio_vdpa_relay_used.c */

void relay_log_pieces(struct virtio_vdpa_relay *r, const struct relay_entry *entry,
		uint32_t len_bytes);

static inline void
relay_log_pages(struct virtio_vdpa_relay *r)
{
	if (r->log_last >= r->log_first)
		lm_vhost_log_mark(r->log, &r->cache, r->log_first << LM_VHOST_LOG_PAGE_SHIFT,
			(r->log_last - r->log_first + 1) << LM_VHOST_LOG_PAGE_SHIFT);
	r->log_first = 1;
	r->log_last = 0;
}

/* Buffers often follow each other in memory: join pages before the cache is asked. */
static inline void
relay_log_range(struct virtio_vdpa_relay *r, uint64_t addr, uint32_t len_bytes)
{
	uint64_t first = addr >> LM_VHOST_LOG_PAGE_SHIFT, last;

	if (len_bytes == 0)
		return;
	last = (addr + len_bytes - 1) >> LM_VHOST_LOG_PAGE_SHIFT;
	if (first - r->log_first > r->log_last - r->log_first + 1) {
		relay_log_pages(r);
		r->log_first = first;
		r->log_last = last;
	} else if (last > r->log_last) {
		r->log_last = last;
	}
}

/* What the device may have written of a chain: the first len_bytes of its writable part. */
static inline void
relay_log_chain(struct virtio_vdpa_relay *r, const struct relay_entry *entry, uint32_t len_bytes)
{
	if (entry->one_piece)
		relay_log_range(r, entry->writable_addr, len_bytes);
	else
		relay_log_pieces(r, entry, len_bytes);
}

#endif /* VIRTIO_VDPA_RELAY_PVT_H */
