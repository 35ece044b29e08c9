/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio_vdpa_relay_pvt.h"

#define SHADOW_ALIGN 64u
#define POOL_MIN 64u

static const char *const error_text[VIRTIO_VDPA_RELAY_ERROR_MAX] = {
	[VIRTIO_VDPA_RELAY_OK] = "no error",
	[VIRTIO_VDPA_RELAY_AVAIL_JUMP] = "more than a ring is made available",
	[VIRTIO_VDPA_RELAY_BAD_HEAD] = "head outside the descriptor table",
	[VIRTIO_VDPA_RELAY_BAD_NEXT] = "next outside the descriptor table",
	[VIRTIO_VDPA_RELAY_LOOP] = "chain longer than the ring",
	[VIRTIO_VDPA_RELAY_BAD_ADDR] = "buffer outside guest memory",
	[VIRTIO_VDPA_RELAY_ZERO_LEN] = "descriptor of length 0",
	[VIRTIO_VDPA_RELAY_BAD_ORDER] = "readable descriptor after a writable one",
	[VIRTIO_VDPA_RELAY_BAD_INDIRECT] = "bad indirect descriptor",
	[VIRTIO_VDPA_RELAY_TOO_LONG] = "chain longer than 4 GiB",
	[VIRTIO_VDPA_RELAY_HEAD_BUSY] = "head made available while the device has it",
	[VIRTIO_VDPA_RELAY_DEV_BAD_ID] = "device used an id that it was not given",
	[VIRTIO_VDPA_RELAY_DEV_USED_JUMP] = "device used more than it was given",
};

const char *
virtio_vdpa_relay_strerror(enum virtio_vdpa_relay_error error)
{
	if ((unsigned int)error >= VIRTIO_VDPA_RELAY_ERROR_MAX)
		return "unknown error";
	return error_text[error];
}

static size_t
align_up(size_t value)
{
	return (value + SHADOW_ALIGN - 1) & ~(size_t)(SHADOW_ALIGN - 1);
}

static uint32_t
pool_entries(uint16_t size)
{
	uint32_t n = 4u * size;

	return n < POOL_MIN ? POOL_MIN : n;
}

static size_t
avail_offset(uint16_t size)
{
	return align_up(lm_vring_desc_bytes(size));
}

static size_t
used_offset(uint16_t size)
{
	return avail_offset(size) + align_up(lm_vring_avail_bytes(size));
}

static size_t
pool_offset(uint16_t size)
{
	return used_offset(size) + align_up(lm_vring_used_bytes(size));
}

uint16_t
virtio_vdpa_relay_device_size(uint16_t size)
{
	uint32_t n = 1;

	while (n < size && n < LM_VRING_MAX_SIZE)
		n *= 2;
	return (uint16_t)n;
}

size_t
virtio_vdpa_relay_shadow_size(uint16_t guest_size)
{
	uint16_t size = virtio_vdpa_relay_device_size(guest_size);

	return pool_offset(size) + pool_entries(size) * sizeof(struct lm_vring_desc);
}

static int
alloc_tables(struct virtio_vdpa_relay *r)
{
	uint16_t i;

	r->entries = calloc(r->size, sizeof(r->entries[0]));
	r->slot_entry = calloc(r->size, sizeof(r->slot_entry[0]));
	r->head_busy = calloc(r->size, sizeof(r->head_busy[0]));
	r->scratch = calloc(r->size, sizeof(r->scratch[0]));
	if (r->entries == NULL || r->slot_entry == NULL || r->head_busy == NULL ||
			r->scratch == NULL)
		return -ENOMEM;
	for (i = 0; i < r->size; i++)
		r->slot_entry[i] = RELAY_NO_ENTRY;
	return 0;
}

static bool
conf_ok(const struct virtio_vdpa_relay_conf *conf)
{
	bool packed = conf->packed;

	if (conf->desc == NULL || conf->avail == NULL || conf->used == NULL ||
			conf->shadow == NULL || conf->mem == NULL)
		return false;
	if (packed && (conf->size == 0 || conf->size > LM_VRING_MAX_SIZE ||
			(conf->base & (LM_VRING_MAX_SIZE - 1)) >= conf->size))
		return false;
	if (!packed && !lm_vring_split_size_ok(conf->size))
		return false;
	return (uintptr_t)conf->desc % LM_VRING_DESC_ALIGN == 0 &&
		(uintptr_t)conf->avail %
			(packed ? LM_VRING_PACKED_EVENT_ALIGN : LM_VRING_AVAIL_ALIGN) == 0 &&
		(uintptr_t)conf->used % LM_VRING_USED_ALIGN == 0;
}

static void
guest_side(struct virtio_vdpa_relay *r, const struct virtio_vdpa_relay_conf *conf)
{
	r->used_gpa = conf->used_gpa;
	r->packed = conf->packed;
	r->ring_size = conf->size;
	if (conf->packed) {
		r->ring = conf->desc;
		r->driver_event = conf->avail;
		r->device_event = conf->used;
		r->desc_gpa = conf->desc_gpa;
		r->next_avail = r->guest_used = conf->base & (LM_VRING_MAX_SIZE - 1);
		r->avail_wrap = r->used_wrap = (conf->base & LM_VRING_MAX_SIZE) != 0;
	} else {
		r->desc = conf->desc;
		r->avail = conf->avail;
		r->used = conf->used;
		r->next_avail = r->guest_used = r->call_old = conf->base;
	}
}

static void
device_side(struct virtio_vdpa_relay *r, const struct virtio_vdpa_relay_conf *conf)
{
	uint8_t *shadow = conf->shadow;

	r->size = virtio_vdpa_relay_device_size(conf->size);
	r->mask = r->size - 1;
	r->pool_size = pool_entries(r->size);
	r->s_desc = conf->shadow;
	r->s_avail = (struct lm_vring_avail *)(shadow + avail_offset(r->size));
	r->s_used = (struct lm_vring_used *)(shadow + used_offset(r->size));
	r->pool = (struct lm_vring_desc *)(shadow + pool_offset(r->size));
}

static void
hot_interval(struct virtio_vdpa_relay *r)
{
	const struct lm_interval *widest = lm_imap_get(r->mem, 0);
	unsigned int i;

	for (i = 1; i < lm_imap_count(r->mem); i++)
		if (lm_imap_get(r->mem, i)->len_bytes > widest->len_bytes)
			widest = lm_imap_get(r->mem, i);
	if (widest != NULL)
		r->hot = *widest;
}

int
virtio_vdpa_relay_create(const struct virtio_vdpa_relay_conf *conf,
		struct virtio_vdpa_relay **relay)
{
	struct virtio_vdpa_relay *r;

	if (!conf_ok(conf))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->conf = *conf;
	r->event_idx = conf->event_idx;
	r->indirect = conf->indirect;
	r->in_order = conf->in_order;
	r->log_full = conf->log_full;
	r->mem = conf->mem;
	r->log = conf->log;
	r->log_first = 1;
	guest_side(r, conf);
	device_side(r, conf);
	hot_interval(r);
	if (alloc_tables(r) != 0) {
		virtio_vdpa_relay_destroy(r);
		return -ENOMEM;
	}
	virtio_vdpa_relay_wake(r);
	*relay = r;
	return 0;
}

void
virtio_vdpa_relay_destroy(struct virtio_vdpa_relay *r)
{
	if (r == NULL)
		return;
	free(r->entries);
	free(r->slot_entry);
	free(r->head_busy);
	free(r->scratch);
	free(r);
}

void
virtio_vdpa_relay_device_ring(const struct virtio_vdpa_relay *r, uint64_t *desc_iova,
		uint64_t *avail_iova, uint64_t *used_iova)
{
	*desc_iova = r->conf.shadow_iova;
	*avail_iova = r->conf.shadow_iova + avail_offset(r->size);
	*used_iova = r->conf.shadow_iova + used_offset(r->size);
}

bool
virtio_vdpa_relay_need_kick(struct virtio_vdpa_relay *r)
{
	uint16_t old = r->kick_old, now = r->s_avail_idx;
	bool need;

	if (old == now)
		return false;
	r->kick_old = now;
	atomic_thread_fence(memory_order_seq_cst);
	if (r->event_idx)
		need = lm_vring_need_event(lm_vring_load_relaxed(
				lm_vring_avail_event(r->s_used, r->size)), now, old);
	else
		need = (lm_vring_load_relaxed(&r->s_used->flags) & LM_VRING_USED_F_NO_NOTIFY) == 0;
	r->stats.kicks += need;
	return need;
}

static bool
split_need_call(struct virtio_vdpa_relay *r)
{
	uint16_t old = r->call_old, now = r->guest_used;

	if (old == now)
		return false;
	r->call_old = now;
	atomic_thread_fence(memory_order_seq_cst);
	if (r->event_idx)
		return lm_vring_need_event(lm_vring_load_relaxed(
				lm_vring_used_event(r->avail, r->size)), now, old);
	return (lm_vring_load_relaxed(&r->avail->flags) & LM_VRING_AVAIL_F_NO_INTERRUPT) == 0;
}

bool
virtio_vdpa_relay_need_call(struct virtio_vdpa_relay *r)
{
	bool need = r->packed ? relay_packed_need_call(r) : split_need_call(r);

	r->stats.calls += need;
	return need;
}

/* With EVENT_IDX an event index left behind suppresses by itself; flags must then be 0. */
static void
guest_quiet(struct virtio_vdpa_relay *r, bool quiet)
{
	if (r->packed) {
		relay_packed_quiet(r, quiet);
		return;
	}
	if (!r->event_idx) {
		lm_vring_store_relaxed(&r->used->flags, quiet ? LM_VRING_USED_F_NO_NOTIFY : 0);
		relay_log_used(r, 0, sizeof(r->used->flags));
	} else if (!quiet) {
		lm_vring_store_relaxed(lm_vring_avail_event(r->used, r->size), r->next_avail);
		relay_log_used(r, lm_vring_used_bytes(r->size) - sizeof(lm_le16_t),
				sizeof(lm_le16_t));
	}
}

static void
device_quiet(struct virtio_vdpa_relay *r, bool quiet)
{
	if (!r->event_idx)
		lm_vring_store_relaxed(&r->s_avail->flags,
			quiet ? LM_VRING_AVAIL_F_NO_INTERRUPT : 0);
	else if (!quiet)
		lm_vring_store_relaxed(lm_vring_used_event(r->s_avail, r->size), r->dev_used);
}

void
virtio_vdpa_relay_wake(struct virtio_vdpa_relay *r)
{
	if (r->stopped)
		return;
	guest_quiet(r, true);
	device_quiet(r, true);
}

void
virtio_vdpa_relay_hold(struct virtio_vdpa_relay *r, bool on)
{
	r->hold = on && !r->packed;
}

enum virtio_vdpa_relay_held
virtio_vdpa_relay_held(const struct virtio_vdpa_relay *r)
{
	if (!r->hold || r->next_avail != 0)
		return VIRTIO_VDPA_RELAY_PASSING;
	return r->count == 0 ? VIRTIO_VDPA_RELAY_DRAINED : VIRTIO_VDPA_RELAY_HELD;
}

uint32_t
virtio_vdpa_relay_to_wrap(const struct virtio_vdpa_relay *r)
{
	return r->packed ? 0 : (uint16_t)-atomic_load_explicit(
		(const _Atomic uint16_t *)&r->next_avail, memory_order_relaxed);
}

static bool
guest_pending(const struct virtio_vdpa_relay *r)
{
	if (r->hold && r->next_avail == 0)
		return false;
	return r->packed ? relay_packed_pending(r) :
		lm_vring_load_relaxed(&r->avail->idx) != r->next_avail;
}

bool
virtio_vdpa_relay_sleep(struct virtio_vdpa_relay *r)
{
	bool guest_work, device_work;

	if (r->stopped || r->error != VIRTIO_VDPA_RELAY_OK)
		return true;
	guest_quiet(r, false);
	device_quiet(r, false);
	if (r->log_on)
		lm_vhost_log_flush(r->log, &r->cache);
	atomic_thread_fence(memory_order_seq_cst);
	guest_work = !r->blocked && guest_pending(r);
	device_work = lm_vring_load_relaxed(&r->s_used->idx) != r->dev_used ||
			(r->count != 0 && relay_entry_at(r, r->first)->used);
	if (!guest_work && !device_work)
		return true;
	virtio_vdpa_relay_wake(r);
	return false;
}

void
virtio_vdpa_relay_set_log(struct virtio_vdpa_relay *r, bool on)
{
	if (r->log_on && !on)
		lm_vhost_log_flush(r->log, &r->cache);
	r->log_on = on && r->log != NULL;
}

enum virtio_vdpa_relay_error
virtio_vdpa_relay_error(const struct virtio_vdpa_relay *r)
{
	return r->error;
}

unsigned int
virtio_vdpa_relay_outstanding(const struct virtio_vdpa_relay *r)
{
	return r->nb_unused;
}

bool
virtio_vdpa_relay_disordered(const struct virtio_vdpa_relay *r)
{
	return r->stats.out_of_order != 0;
}

void
virtio_vdpa_relay_stats_get(const struct virtio_vdpa_relay *r,
		struct virtio_vdpa_relay_stats *stats)
{
	*stats = r->stats;
	stats->logged_pages = r->cache.marks;
}
