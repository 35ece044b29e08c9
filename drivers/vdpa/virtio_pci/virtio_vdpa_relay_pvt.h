/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_VDPA_RELAY_PVT_H
#define VIRTIO_VDPA_RELAY_PVT_H

/*
 * Chains return to the guest in the order in which they came, so everything that a chain holds is
 * a stretch of a ring: its entry, its shadow descriptors, its copy of an indirect table. Counters
 * run freely; "& mask" gives the place.
 */

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
	uint16_t head;         /* the guest's */
	uint16_t slot;         /* first shadow descriptor */
	uint16_t nb_slots;
	bool one_piece;        /* the writable part is contiguous */
	bool used;             /* the device has given it back */
	bool internal;         /* ours, not the guest's */
};

struct virtio_vdpa_relay {
	/* guest side */
	struct lm_vring_desc *desc;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	uint16_t next_avail;   /* guest's available entries taken */
	uint16_t guest_used;   /* used index shown to the guest */
	uint16_t call_old;     /* used index at the last decision to call */
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
	bool log_full;
	bool log_on;
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
	uint64_t used_gpa;
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

#endif /* VIRTIO_VDPA_RELAY_PVT_H */
