/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_RING_IF_H
#define VIRTIO_RING_IF_H

/**
 * @file
 * Virtqueue layouts, split and packed, and the arithmetic that both ends of a ring share.
 *
 * Source: VIRTIO 1.3, 2.7 (split) and 2.8 (packed). All fields are little-endian. The rings live
 * in memory that the peer writes at any time: read a field once, then check it.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lm_le.h"

#define LM_VRING_MAX_SIZE 32768u
#define LM_VRING_DESC_ALIGN 16u /* packed ring too */
#define LM_VRING_AVAIL_ALIGN 2u
#define LM_VRING_USED_ALIGN 4u
#define LM_VRING_PACKED_EVENT_ALIGN 4u

/* 2.7.5: flags of a split descriptor; 2.8.6 gives them the same values in packed ones. */
#define LM_VRING_DESC_F_NEXT 0x1
#define LM_VRING_DESC_F_WRITE 0x2 /* the device writes the buffer */
#define LM_VRING_DESC_F_INDIRECT 0x4

#define LM_VRING_AVAIL_F_NO_INTERRUPT 0x1 /* 2.7.6 */
#define LM_VRING_USED_F_NO_NOTIFY 0x1     /* 2.7.8 */

/* 2.7.5 */
struct lm_vring_desc {
	lm_le64_t addr;
	lm_le32_t len;
	lm_le16_t flags;
	lm_le16_t next;
};
static_assert(sizeof(struct lm_vring_desc) == 16, "2.7.5");
static_assert(offsetof(struct lm_vring_desc, flags) == 12, "2.7.5");

/* 2.7.6: driver area; used_event follows the ring. */
struct lm_vring_avail {
	lm_le16_t flags;
	lm_le16_t idx;
	lm_le16_t ring[];
};
static_assert(offsetof(struct lm_vring_avail, ring) == 4, "2.7.6");

/* 2.7.8 */
struct lm_vring_used_elem {
	lm_le32_t id;
	lm_le32_t len;
};
static_assert(sizeof(struct lm_vring_used_elem) == 8, "2.7.8");

/* 2.7.8: device area; avail_event follows the ring. */
struct lm_vring_used {
	lm_le16_t flags;
	lm_le16_t idx;
	struct lm_vring_used_elem ring[];
};
static_assert(offsetof(struct lm_vring_used, ring) == 4, "2.7.8");

/* 2.7: bytes of each part of a split ring, event fields included whether negotiated or not. */
static inline uint64_t
lm_vring_desc_bytes(uint32_t size)
{
	return (uint64_t)size * sizeof(struct lm_vring_desc);
}

static inline uint64_t
lm_vring_avail_bytes(uint32_t size)
{
	return sizeof(struct lm_vring_avail) + (uint64_t)size * sizeof(lm_le16_t) +
			sizeof(lm_le16_t);
}

static inline uint64_t
lm_vring_used_bytes(uint32_t size)
{
	return sizeof(struct lm_vring_used) + (uint64_t)size * sizeof(struct lm_vring_used_elem) +
			sizeof(lm_le16_t);
}

/** A power of two up to 32768 (2.7). */
static inline bool
lm_vring_split_size_ok(uint32_t size)
{
	return size != 0 && size <= LM_VRING_MAX_SIZE && (size & (size - 1)) == 0;
}

/** Where the driver says at which used index it wants an interrupt (2.7.7). */
static inline lm_le16_t *
lm_vring_used_event(struct lm_vring_avail *avail, uint32_t size)
{
	return &avail->ring[size];
}

/** Where the device says at which available index it wants a kick (2.7.10). */
static inline lm_le16_t *
lm_vring_avail_event(struct lm_vring_used *used, uint32_t size)
{
	return (lm_le16_t *)&used->ring[size];
}

/** Event index rule (2.7.7.1, 2.7.10.1): does going from old_idx to new_idx pass event? */
static inline bool
lm_vring_need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
	return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}

/* Indices and flags that two sides share: entries are read after an acquire of the index, and
 * written before its release. A full fence belongs between releasing an index and reading the
 * peer's event or flags (atomic_thread_fence(memory_order_seq_cst)). */
static inline uint16_t
lm_vring_load_acquire(const lm_le16_t *p)
{
	return atomic_load_explicit((const _Atomic lm_le16_t *)p, memory_order_acquire);
}

static inline uint16_t
lm_vring_load_relaxed(const lm_le16_t *p)
{
	return atomic_load_explicit((const _Atomic lm_le16_t *)p, memory_order_relaxed);
}

static inline void
lm_vring_store_release(lm_le16_t *p, uint16_t value)
{
	atomic_store_explicit((_Atomic lm_le16_t *)p, value, memory_order_release);
}

static inline void
lm_vring_store_relaxed(lm_le16_t *p, uint16_t value)
{
	atomic_store_explicit((_Atomic lm_le16_t *)p, value, memory_order_relaxed);
}

/* 2.8.13 */
struct lm_vring_packed_desc {
	lm_le64_t addr;
	lm_le32_t len;
	lm_le16_t id;
	lm_le16_t flags;
};
static_assert(sizeof(struct lm_vring_packed_desc) == 16, "2.8.13");
static_assert(offsetof(struct lm_vring_packed_desc, flags) == 14, "2.8.13");

#define LM_VRING_PACKED_F_AVAIL_SHIFT 7
#define LM_VRING_PACKED_F_USED_SHIFT 15
#define LM_VRING_PACKED_F_AVAIL 0x0080
#define LM_VRING_PACKED_F_USED 0x8000

/* 2.8.14 */
struct lm_vring_packed_event {
	lm_le16_t off_wrap; /* 14:0 ring offset, 15 wrap counter */
	lm_le16_t flags;
};
static_assert(sizeof(struct lm_vring_packed_event) == 4, "2.8.14");

#define LM_VRING_PACKED_EVENT_WRAP_SHIFT 15
#define LM_VRING_PACKED_EVENT_F_ENABLE 0x0
#define LM_VRING_PACKED_EVENT_F_DISABLE 0x1
#define LM_VRING_PACKED_EVENT_F_DESC 0x2 /* needs LM_VIRTIO_F_EVENT_IDX */

/** Available to a device whose wrap counter is wrap (2.8.1). */
static inline bool
lm_vring_packed_is_avail(uint16_t flags, bool wrap)
{
	bool avail = (flags & LM_VRING_PACKED_F_AVAIL) != 0;
	bool used = (flags & LM_VRING_PACKED_F_USED) != 0;

	return avail == wrap && used != wrap;
}

/** Used, to a driver whose used wrap counter is wrap (2.8.1). */
static inline bool
lm_vring_packed_is_used(uint16_t flags, bool wrap)
{
	bool avail = (flags & LM_VRING_PACKED_F_AVAIL) != 0;
	bool used = (flags & LM_VRING_PACKED_F_USED) != 0;

	return avail == wrap && used == wrap;
}

#endif /* VIRTIO_RING_IF_H */
