/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A guest that wanders between two hosts through the relay, its memory copied by the dirty log
 * alone, as a front end does it. Catches: a page written and not logged (the copies differ), pages
 * logged that nobody wrote, a device that is shown something else than the guest posted, content
 * that changes under way, chains lost or repeated at a stop.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lm_imap.h"
#include "lm_vhost_log.h"
#include "virtio_ring_if.h"
#include "virtio_vdpa_relay.h"

#define N 32u
#define PAGE 4096u
#define RAM_BYTES 0x100000u
#define HALF (RAM_BYTES / 2)
#define NB_PAGES (RAM_BYTES / PAGE)
#define GPA 0x40000000ull
#define SHADOW_IOVA 0x7f0000000000ull
#define FRAME_IOVA 0x7e0000000000ull
#define DESC_OFF 0u
#define AVAIL_OFF 0x1000u
#define USED_OFF 0x1ff0u /* over a page's end */
#define TABLES_OFF 0x3000u /* 64 bytes a head, and 64 more over the middle of memory */
#define BUFS_OFF 0x8000u
#define BUF_BYTES 7500u /* never aligned: 4 a head */
#define MOST 4u
#define LOG_WORDS ((GPA + RAM_BYTES) / PAGE / 64)

struct buf {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

struct chain {
	struct buf buf[MOST];
	unsigned int nb;
	unsigned int nb_desc;
	uint16_t desc[MOST];
	uint32_t used_len;
	uint32_t serial;
	bool completed; /* by the device */
};

struct world {
	uint8_t *ram, *other;
	uint8_t guest_wrote[NB_PAGES], may_log[NB_PAGES];
	uint64_t *log_words;
	struct lm_vhost_log *log;
	struct lm_imap *imap;
	_Atomic uint64_t move;
	struct virtio_vdpa_relay *relay;
	uint8_t *shadow;
	bool event_idx, in_order, log_full, packed;
	bool batch;               /* IN_ORDER is negotiated with the device */
	unsigned int seed;
	/* guest */
	struct chain chain[N];
	bool busy[N];
	uint16_t ring_size;       /* packed: any */
	uint16_t free_slots, avail_pos, used_pos;
	bool avail_wrap, used_wrap;
	uint16_t avail_idx, used_seen;
	uint16_t order[65536];
	uint32_t serial;
	uint64_t done, holes;
	/* device */
	struct lm_vring_desc *d_desc;
	struct lm_vring_avail *d_avail;
	struct lm_vring_used *d_used;
	uint16_t d_size, d_seen, g_next;
	struct {
		uint16_t slot, head;
		bool ours;
	} held[N];
	unsigned int nb_held;
};

static unsigned int
rnd(struct world *w, unsigned int n)
{
	w->seed = w->seed * 1103515245u + 12345u;
	return (w->seed >> 8) % n;
}

/* The halves of guest memory lie the other way round in the host. */
static uint8_t *
host(uint8_t *ram, uint64_t gpa)
{
	assert_true(gpa >= GPA && gpa < GPA + RAM_BYTES);
	return ram + (gpa - GPA + HALF) % RAM_BYTES;
}

static uint8_t
content(uint32_t serial, uint64_t gpa)
{
	return (uint8_t)((serial * 2654435761u ^ (uint32_t)gpa * 40503u) >> 13);
}

static void
mark(uint8_t *pages, uint64_t gpa, uint64_t len)
{
	uint64_t p;

	for (p = gpa / PAGE; len != 0 && p <= (gpa + len - 1) / PAGE; p++)
		pages[p - GPA / PAGE] = 1;
}

static void
guest_write(struct world *w, uint64_t gpa, const void *data, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		*host(w->ram, gpa + i) = ((const uint8_t *)data)[i];
	mark(w->guest_wrote, gpa, len);
}

static void
start(struct world *w, uint16_t base)
{
	struct lm_interval iv[2] = {
		{ GPA, (uintptr_t)w->ram + HALF, HALF },
		{ GPA + HALF, (uintptr_t)w->ram, HALF },
	};
	struct virtio_vdpa_relay_conf conf = {
		.desc = host(w->ram, GPA + DESC_OFF), .avail = host(w->ram, GPA + AVAIL_OFF),
		.used = host(w->ram, GPA + USED_OFF), .used_gpa = GPA + USED_OFF,
		.desc_gpa = GPA + DESC_OFF, .size = w->ring_size, .packed = w->packed,
		.base = base, .event_idx = w->event_idx, .indirect = true, .log_full = w->log_full,
		.in_order = w->batch,
		.log = w->log, .shadow_iova = SHADOW_IOVA, .shadow = w->shadow,
	};
	uint64_t desc, avail, used;

	assert_int_equal(lm_imap_create(iv, 2, &w->imap), 0);
	memset(w->shadow, 0, virtio_vdpa_relay_shadow_size(N));
	conf.mem = w->imap;
	if (w->packed && conf.base % 2 == 1)
		conf.move = &w->move;
	assert_int_equal(virtio_vdpa_relay_create(&conf, &w->relay), 0);
	virtio_vdpa_relay_device_ring(w->relay, &desc, &avail, &used);
	w->d_desc = (void *)(w->shadow + (desc - SHADOW_IOVA));
	w->d_avail = (void *)(w->shadow + (avail - SHADOW_IOVA));
	w->d_used = (void *)(w->shadow + (used - SHADOW_IOVA));
	w->d_size = virtio_vdpa_relay_device_size(w->ring_size);
	w->d_seen = 0;
	w->g_next = w->used_seen;
	w->nb_held = 0;
}

static void
put_desc(struct world *w, uint64_t at, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	struct lm_vring_desc d = { addr, len, flags, next };

	guest_write(w, at, &d, sizeof(d));
}

/* Descriptor i of the chain, at most one of which is a table; flags as in split rings. */
static void
put_ring(struct world *w, const struct chain *c, unsigned int i, uint64_t addr, uint32_t len,
		uint16_t flags)
{
	uint16_t pos = (uint16_t)((w->avail_pos + i) % w->ring_size);
	bool wrap = w->avail_wrap != (w->avail_pos + i >= w->ring_size);
	struct lm_vring_packed_desc d = { addr, len, 0xffff, 0 };

	if (!w->packed) {
		put_desc(w, GPA + DESC_OFF + c->desc[i] * 16u, addr, len, flags,
			i + 1 < c->nb_desc ? c->desc[i + 1] : 0);
		return;
	}
	/* The id is right in the last descriptor only. */
	if (i + 1 == c->nb_desc)
		d.id = c->desc[0];
	d.flags = (uint16_t)(flags | (wrap ? LM_VRING_PACKED_F_AVAIL : LM_VRING_PACKED_F_USED));
	guest_write(w, GPA + DESC_OFF + pos * 16u, &d, i == 0 ? 14 : 16);
}

static void
publish(struct world *w, const struct chain *c, uint16_t head, uint16_t first_flags)
{
	uint16_t flags = (uint16_t)(first_flags |
			(w->avail_wrap ? LM_VRING_PACKED_F_AVAIL : LM_VRING_PACKED_F_USED));

	w->order[w->avail_idx] = head;
	if (!w->packed) {
		guest_write(w, GPA + AVAIL_OFF + 4 + w->avail_idx % N * 2, &head, 2);
		w->avail_idx++;
		guest_write(w, GPA + AVAIL_OFF + 2, &w->avail_idx, 2);
		return;
	}
	w->avail_idx++;
	guest_write(w, GPA + DESC_OFF + w->avail_pos * 16u + 14, &flags, 2);
	w->free_slots -= c->nb_desc;
	w->avail_pos += c->nb_desc;
	if (w->avail_pos >= w->ring_size) {
		w->avail_pos -= w->ring_size;
		w->avail_wrap = !w->avail_wrap;
	}
}

static uint64_t
table_of(struct world *w, uint16_t head)
{
	unsigned int i;

	/* One chain at a time has the table across the middle of memory. */
	for (i = 0; i < N && head % 4 == 0; i += 4)
		if (w->busy[i])
			return GPA + TABLES_OFF + head * 64u;
	return head % 4 == 0 ? GPA + HALF - 24 : GPA + TABLES_OFF + head * 64u;
}

static void
put_table(struct world *w, const struct chain *c, uint64_t table, unsigned int direct,
		unsigned int i, uint16_t flags)
{
	struct lm_vring_packed_desc d = { c->buf[i].gpa, c->buf[i].len, 0x5555,
		flags & LM_VRING_DESC_F_WRITE };

	if (w->packed) {
		guest_write(w, table + (i - direct) * 16u, &d, sizeof(d));
		return;
	}
	/* The first comes first, the others backwards. */
	put_desc(w, table + (i == direct ? 0 : c->nb - i) * 16u, c->buf[i].gpa, c->buf[i].len,
		flags, (uint16_t)(c->nb - i - 1));
}

/* Some descriptors in the ring, the rest in a table; both parts in any mixture. */
static void
guest_post(struct world *w)
{
	struct chain fresh = { .nb = 1 + rnd(w, MOST), .serial = ++w->serial }, *c;
	unsigned int direct = rnd(w, fresh.nb + 1), i, k = 0, nb_write;
	uint16_t head, flags, first_flags = 0;
	uint64_t table;

	fresh.nb_desc = direct + (direct < fresh.nb);
	for (i = 0; i < N && k < (w->packed ? 1 : fresh.nb_desc); i++)
		if (!w->busy[(i + fresh.serial) % N])
			fresh.desc[k++] = (uint16_t)((i + fresh.serial) % N);
	if (w->packed ? k == 0 || fresh.nb_desc > w->free_slots : k < fresh.nb_desc)
		return;
	head = fresh.desc[0];
	c = &w->chain[head];
	*c = fresh;
	nb_write = rnd(w, c->nb + 1);
	table = table_of(w, head);
	for (i = 0; i < c->nb; i++) {
		/* In a packed ring a table has no flag for "more", and may not follow one. */
		flags = (uint16_t)((i + nb_write >= c->nb ? LM_VRING_DESC_F_WRITE : 0) |
				(i + 1 < c->nb ? LM_VRING_DESC_F_NEXT : 0));
		c->buf[i].gpa = GPA + BUFS_OFF + (head * MOST + i) * BUF_BYTES + rnd(w, 50);
		c->buf[i].len = 1 + rnd(w, BUF_BYTES - 50);
		c->buf[i].write = i + nb_write >= c->nb;
		if (i == 0 && direct != 0)
			first_flags = flags;
		if (i < direct)
			put_ring(w, c, i, c->buf[i].gpa, c->buf[i].len, flags);
		else
			put_table(w, c, table, direct, i, flags);
	}
	if (direct < c->nb)
		put_ring(w, c, direct, table, (c->nb - direct) * 16, LM_VRING_DESC_F_INDIRECT);
	if (direct == 0)
		first_flags = LM_VRING_DESC_F_INDIRECT;
	for (i = 0; i < k; i++)
		w->busy[c->desc[i]] = true;
	publish(w, c, head, first_flags);
}

/* The first left writable bytes are what the device wrote for this very chain. */
static void
guest_check(struct world *w, const struct chain *c, uint32_t left)
{
	unsigned int i;
	uint32_t k;

	for (i = 0; i < c->nb; i++) {
		if (!c->buf[i].write)
			continue;
		for (k = 0; k < c->buf[i].len && left != 0; k++, left--)
			if (*host(w->ram, c->buf[i].gpa + k) !=
					content(c->serial, c->buf[i].gpa + k))
				fail_msg("chain %u: byte %u of buffer %u", c->serial, k, i);
	}
}

/* The next used chain, if there is one. */
static bool
guest_next(struct world *w, uint32_t *id, uint32_t *len)
{
	const struct lm_vring_used *used = (void *)host(w->ram, GPA + USED_OFF);
	const struct lm_vring_packed_desc *d =
		(void *)host(w->ram, GPA + DESC_OFF + w->used_pos * 16u);

	if (!w->packed) {
		*id = used->ring[w->used_seen % N].id;
		*len = used->ring[w->used_seen % N].len;
		return w->used_seen != used->idx;
	}
	*id = d->id;
	*len = d->len;
	if (w->used_seen == w->avail_idx || !lm_vring_packed_is_used(d->flags, w->used_wrap))
		return false;
	assert_int_equal((d->flags & LM_VRING_DESC_F_WRITE) != 0, d->len != 0);
	return true;
}

static void
guest_reap(struct world *w)
{
	uint32_t id, len;
	struct chain *c;
	unsigned int i;
	uint16_t head;

	for (; guest_next(w, &id, &len); w->used_seen++) {
		head = w->order[w->used_seen];
		c = &w->chain[head];
		assert_int_equal(id, head);
		if (c->completed)
			assert_int_equal(len, c->used_len);
		else
			assert_int_equal(len, 0);
		w->holes += !c->completed;
		if (c->completed)
			guest_check(w, c, c->used_len);
		for (i = 0; i < (w->packed ? 1 : c->nb_desc); i++)
			w->busy[c->desc[i]] = false;
		w->done++;
		if (!w->packed)
			continue;
		w->free_slots += c->nb_desc;
		w->used_pos += c->nb_desc;
		if (w->used_pos >= w->ring_size) {
			w->used_pos -= w->ring_size;
			w->used_wrap = !w->used_wrap;
		}
	}
}

static uint16_t
guest_base(const struct world *w)
{
	return w->packed ? (uint16_t)(w->used_pos | w->used_wrap << 15) : w->used_seen;
}

/* What the device sees must be what the guest posted, descriptor by descriptor. */
static void
dev_compare(struct world *w, uint16_t slot, const struct chain *c)
{
	const struct lm_vring_desc *table = w->d_desc;
	unsigned int i = slot, nb = 0;

	for (;; nb++) {
		if ((table[i].flags & LM_VRING_DESC_F_INDIRECT) != 0) {
			assert_true(table == w->d_desc);
			table = (void *)(w->shadow + (table[i].addr - SHADOW_IOVA));
			i = 0;
		}
		assert_true(nb < c->nb);
		assert_int_equal(table[i].addr, c->buf[nb].gpa);
		assert_int_equal(table[i].len, c->buf[nb].len);
		assert_int_equal((table[i].flags & LM_VRING_DESC_F_WRITE) != 0, c->buf[nb].write);
		if ((table[i].flags & LM_VRING_DESC_F_NEXT) == 0)
			break;
		i = table[i].next;
	}
	assert_int_equal(nb + 1, c->nb);
}

static void
dev_fetch(struct world *w)
{
	struct lm_vring_desc *d;
	uint16_t slot;

	for (; w->d_seen != w->d_avail->idx; w->d_seen++) {
		slot = w->d_avail->ring[w->d_seen % w->d_size];
		d = &w->d_desc[slot];
		assert_true(w->nb_held < N);
		w->held[w->nb_held].slot = slot;
		w->held[w->nb_held].ours = d->addr == FRAME_IOVA;
		if (d->addr != FRAME_IOVA) {
			w->held[w->nb_held].head = w->order[w->g_next++];
			dev_compare(w, slot, &w->chain[w->held[w->nb_held].head]);
		}
		w->nb_held++;
	}
}

/* @return bytes written; at most of them. */
static uint32_t
dev_write(struct world *w, const struct chain *c, uint32_t most)
{
	uint32_t done = 0, n, k;
	unsigned int i;

	for (i = 0; i < c->nb; i++) {
		if (!c->buf[i].write)
			continue;
		n = c->buf[i].len < most - done ? c->buf[i].len : most - done;
		for (k = 0; k < n; k++)
			*host(w->ram, c->buf[i].gpa + k) = content(c->serial, c->buf[i].gpa + k);
		mark(w->may_log, c->buf[i].gpa, w->log_full ? c->buf[i].len : n);
		done += n;
	}
	return done;
}

static void
dev_use(struct world *w, unsigned int which, uint32_t len, unsigned int covers)
{
	w->d_used->ring[w->d_used->idx % w->d_size] =
		(struct lm_vring_used_elem){ w->held[which].slot, len };
	w->d_used->idx += (uint16_t)covers;
	w->nb_held -= covers;
	which += 1 - covers;
	memmove(&w->held[which], &w->held[which + covers],
		(w->nb_held - which) * sizeof(w->held[0]));
}

static uint32_t
dev_do(struct world *w, unsigned int which, uint32_t most)
{
	struct chain *c;

	if (w->held[which].ours)
		return 0;
	c = &w->chain[w->held[which].head];
	c->used_len = dev_write(w, c, most);
	c->completed = true;
	return c->used_len;
}

static void
dev_complete(struct world *w)
{
	unsigned int which, i;

	if (w->nb_held == 0)
		return;
	if (w->batch) {
		/* One element for several chains: all but the last must have been used whole. */
		which = rnd(w, w->nb_held);
		for (i = 0; i < which; i++)
			dev_do(w, i, UINT32_MAX);
		dev_use(w, which, dev_do(w, which, rnd(w, 9000)), which + 1);
		return;
	}
	which = w->in_order ? 0 : rnd(w, w->nb_held);
	dev_use(w, which, dev_do(w, which, rnd(w, 3) == 0 ? UINT32_MAX : rnd(w, 9000)), 1);
}

static void
step(struct world *w)
{
	unsigned int i;

	switch (rnd(w, 8)) {
	case 0:
	case 1:
	case 2:
		guest_post(w);
		break;
	case 3:
	case 4:
		virtio_vdpa_relay_avail_burst(w->relay, 1 + rnd(w, N));
		dev_fetch(w);
		break;
	case 5:
		for (i = rnd(w, 6); i != 0; i--)
			dev_complete(w);
		break;
	case 6:
		virtio_vdpa_relay_used_burst(w->relay, 1 + rnd(w, N));
		guest_reap(w);
		break;
	case 7:
		if (rnd(w, 40) == 0)
			virtio_vdpa_relay_inject(w->relay, FRAME_IOVA, 60);
		else if (virtio_vdpa_relay_sleep(w->relay))
			virtio_vdpa_relay_wake(w->relay);
		break;
	}
	assert_int_equal(virtio_vdpa_relay_error(w->relay), 0);
}

/* What a front end does again and again: take the bits, send those pages. */
static void
harvest(struct world *w)
{
	uint64_t p, page;
	bool logged;

	for (p = 0; p < NB_PAGES; p++) {
		page = GPA / PAGE + p;
		logged = w->log_words[page / 64] >> (page % 64) & 1;
		if (logged)
			assert_true(w->may_log[p]);
		if (logged || w->guest_wrote[p])
			memcpy(host(w->other, GPA + p * PAGE), host(w->ram, GPA + p * PAGE), PAGE);
	}
	for (p = 0; p < GPA / PAGE / 64; p++)
		assert_true(w->log_words[p] == 0);
	memset(w->log_words, 0, LOG_WORDS * 8);
	memset(w->guest_wrote, 0, sizeof(w->guest_wrote));
}

static void
stop(struct world *w)
{
	uint8_t *ram = w->ram;
	unsigned int i, j;
	struct chain *c;
	uint16_t base;

	/* Half-written buffers that the device never gives back. */
	for (i = 0; i < w->nb_held; i++) {
		if (w->held[i].ours)
			continue;
		c = &w->chain[w->held[i].head];
		if (rnd(w, 2))
			dev_write(w, c, rnd(w, 20000));
		for (j = 0; j < c->nb; j++)
			if (c->buf[j].write)
				mark(w->may_log, c->buf[j].gpa, c->buf[j].len);
	}
	base = virtio_vdpa_relay_quiesce(w->relay);
	if (!w->packed)
		assert_int_equal(base,
			((struct lm_vring_used *)(void *)host(ram, GPA + USED_OFF))->idx);
	harvest(w);
	assert_memory_equal(w->ram, w->other, RAM_BYTES);
	virtio_vdpa_relay_destroy(w->relay);
	lm_imap_destroy(w->imap);
	w->ram = w->other;
	w->other = ram;
	memset(ram, 0xee, RAM_BYTES);
	guest_reap(w);
	assert_int_equal(base, guest_base(w));
	start(w, base);
}

static struct world *
world_new(uint16_t base, unsigned int seed, uint16_t ring_size)
{
	struct world *w = calloc(1, sizeof(*w));

	w->seed = seed;
	w->ring_size = ring_size;
	w->ram = aligned_alloc(PAGE, RAM_BYTES);
	w->other = aligned_alloc(PAGE, RAM_BYTES);
	memset(w->ram, 0, RAM_BYTES);
	w->shadow = aligned_alloc(PAGE, (virtio_vdpa_relay_shadow_size(N) / PAGE + 1) * PAGE);
	w->log_words = calloc(LOG_WORDS, 8);
	assert_int_equal(lm_vhost_log_create(GPA + RAM_BYTES, &w->log), 0);
	assert_int_equal(lm_vhost_log_attach(w->log, w->log_words, LOG_WORDS * 8), 0);
	w->free_slots = ring_size;
	w->avail_pos = w->used_pos = 0;
	w->avail_wrap = w->used_wrap = true;
	w->avail_idx = w->used_seen = base;
	return w;
}

static void
world_free(struct world *w)
{
	virtio_vdpa_relay_destroy(w->relay);
	lm_imap_destroy(w->imap);
	lm_vhost_log_destroy(w->log);
	free(w->ram);
	free(w->other);
	free(w->shadow);
	free(w->log_words);
	free(w);
}

/* From here on the log alone says what the other host lacks. */
static void
log_begin(struct world *w)
{
	unsigned int i, k;

	virtio_vdpa_relay_set_log(w->relay, true);
	memcpy(w->other, w->ram, RAM_BYTES);
	memset(w->guest_wrote, 0, sizeof(w->guest_wrote));
	memset(w->may_log, 0, sizeof(w->may_log));
	mark(w->may_log, GPA + USED_OFF, w->packed ? 4 : lm_vring_used_bytes(N));
	if (w->packed)
		mark(w->may_log, GPA + DESC_OFF, w->ring_size * 16u);
	/* Given back by the device before, by the relay now: logged, and rightly so. */
	for (i = 0; i < N; i++)
		for (k = 0; w->busy[i] && w->chain[i].completed && k < w->chain[i].nb; k++)
			if (w->chain[i].buf[k].write)
				mark(w->may_log, w->chain[i].buf[k].gpa, w->chain[i].buf[k].len);
}

static void
wander(struct world *w)
{
	uint16_t base = guest_base(w);
	unsigned int trip, i;

	if (!w->packed) {
		guest_write(w, GPA + AVAIL_OFF + 2, &base, 2);
		guest_write(w, GPA + USED_OFF + 2, &base, 2);
	}
	start(w, base);
	for (trip = 0; trip < 60; trip++) {
		for (i = rnd(w, 600); i != 0; i--)
			step(w);
		log_begin(w);
		for (i = rnd(w, 1500); i != 0; i--) {
			step(w);
			if (rnd(w, 200) == 0)
				harvest(w);
		}
		stop(w);
	}
	/* Nothing is left behind. */
	for (i = 0; i < 400; i++) {
		virtio_vdpa_relay_avail_burst(w->relay, N);
		dev_fetch(w);
		dev_complete(w);
		virtio_vdpa_relay_used_burst(w->relay, N);
		guest_reap(w);
	}
	assert_int_equal(w->used_seen, w->avail_idx);
	assert_true(w->done > 5000);
	assert_true(w->in_order ? w->holes == 0 : w->holes != 0);
	world_free(w);
}

static void
split(uint16_t base, bool in_order, bool event_idx, bool log_full, unsigned int seed)
{
	struct world *w = world_new(base, seed, N);

	w->in_order = in_order;
	w->event_idx = event_idx;
	w->log_full = log_full;
	wander(w);
}

static void
packed(uint16_t size, bool in_order, bool event_idx, bool log_full, unsigned int seed)
{
	struct world *w = world_new(0, seed, size);

	w->packed = true;
	w->in_order = in_order;
	w->event_idx = event_idx;
	w->log_full = log_full;
	wander(w);
}

static void
test_in_order(void **state)
{
	(void)state;
	split(0, true, false, false, 1);
	split(60000, true, true, false, 2);
	split(65535, true, false, true, 3);
}

static void
test_any_order(void **state)
{
	(void)state;
	split(0, false, true, false, 4);
	split(62000, false, false, false, 5);
	split(65500, false, true, true, 6);
}

/* Sizes that are no power of two: nearly every chain of several slots crosses the end once. */
static void
test_packed_in_order(void **state)
{
	(void)state;
	packed(N, true, false, false, 11);
	packed(29, true, true, false, 12);
	packed(5, true, false, true, 13);
}

static void
test_packed_any_order(void **state)
{
	(void)state;
	packed(N, false, true, false, 14);
	packed(31, false, false, false, 15);
	packed(17, false, true, true, 16);
}

/* A device with IN_ORDER that answers for several chains at once (2.7.9). */
static void
test_batches(void **state)
{
	struct world *w;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		w = world_new(0, 20 + i, i == 0 ? N : 30);
		w->packed = i != 0;
		w->in_order = w->batch = true;
		wander(w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_packed_in_order),
		cmocka_unit_test(test_packed_any_order),
		cmocka_unit_test(test_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
