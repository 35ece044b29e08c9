/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Relay against a guest and a device written for this test alone, from VIRTIO 1.3, 2.7. Catches:
 * buffers lost or repeated, wrong order, wrong lengths, pages written and not logged, a base that
 * does not continue, hostile rings accepted.
 */

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lm_imap.h"
#include "lm_vhost_log.h"
#include "virtio_vdpa_relay.h"

#define N 16u
#define RAM_BYTES (1u << 20)
#define RAM_GPA 0x40000000ull
#define SHADOW_IOVA 0xffff00000000ull
#define DESC_OFF 0x0
#define AVAIL_OFF 0x1000
#define USED_OFF 0x2000
#define TABLES_OFF 0x4000
#define BUFS_OFF 0x20000
#define F_NEXT 1
#define F_WRITE 2
#define F_INDIRECT 4

struct d {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct world {
	uint8_t *ram;      /* of the host that runs now */
	uint8_t *seen;     /* per page: the device or relay wrote it */
	uint8_t *shadow;
	struct lm_imap *imap;
	struct lm_vhost_log *log;
	uint64_t *log_words;
	struct virtio_vdpa_relay *relay;
	/* guest driver */
	uint16_t avail_idx, used_seen;
	uint8_t busy[N], chain_len[N];
	uint16_t order[65536];
	uint32_t written[N];
	bool expect_zero_ok;
	/* device */
	uint16_t dev_avail, dev_used;
	uint16_t base;
	struct {
		uint16_t slot, head;
	} held[N];
	unsigned int nb_held;
	unsigned int seed;
	uint64_t completed;
};

static uint32_t
rnd(struct world *w, uint32_t n)
{
	w->seed = w->seed * 1103515245u + 12345u;
	return (w->seed >> 16) % n;
}

static struct d *
gdesc(struct world *w)
{
	return (struct d *)(w->ram + DESC_OFF);
}

static uint16_t *
u16at(uint8_t *p, size_t off)
{
	return (uint16_t *)(void *)(p + off);
}

static void
relay_start(struct world *w, uint16_t base)
{
	struct virtio_vdpa_relay_conf c = {
		.desc = w->ram + DESC_OFF, .avail = w->ram + AVAIL_OFF, .used = w->ram + USED_OFF,
		.used_gpa = RAM_GPA + USED_OFF, .size = N, .base = base, .indirect = true,
		.mem = w->imap, .log = w->log, .shadow_iova = SHADOW_IOVA,
	};

	free(w->shadow);
	w->shadow = calloc(1, virtio_vdpa_relay_shadow_size(N));
	c.shadow = w->shadow;
	assert_int_equal(virtio_vdpa_relay_create(&c, &w->relay), 0);
	virtio_vdpa_relay_set_log(w->relay, true);
	w->dev_avail = w->dev_used = 0;
	w->nb_held = 0;
	w->base = base;
}

static void
world_init(struct world *w, uint16_t base, unsigned int seed)
{
	struct lm_interval iv[2];

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->ram = calloc(1, RAM_BYTES);
	w->seen = calloc(1, RAM_BYTES / 4096);
	/* Two regions that adjoin on both sides. */
	iv[0] = (struct lm_interval){ RAM_GPA, (uintptr_t)w->ram, RAM_BYTES / 2 };
	iv[1] = (struct lm_interval){ RAM_GPA + RAM_BYTES / 2,
			(uintptr_t)w->ram + RAM_BYTES / 2, RAM_BYTES / 2 };
	assert_int_equal(lm_imap_create(iv, 2, &w->imap), 0);
	assert_int_equal(lm_vhost_log_create(RAM_GPA + RAM_BYTES, &w->log), 0);
	w->log_words = calloc((RAM_GPA + RAM_BYTES) / 4096 / 64 + 1, 8);
	assert_int_equal(lm_vhost_log_attach(w->log, w->log_words,
			((RAM_GPA + RAM_BYTES) / 4096 / 64 + 1) * 8), 0);
	w->avail_idx = w->used_seen = base;
	*u16at(w->ram, AVAIL_OFF + 2) = base;
	*u16at(w->ram, USED_OFF + 2) = base;
	relay_start(w, base);
}

static void
world_free(struct world *w)
{
	virtio_vdpa_relay_destroy(w->relay);
	lm_vhost_log_destroy(w->log);
	lm_imap_destroy(w->imap);
	free(w->ram);
	free(w->seen);
	free(w->shadow);
	free(w->log_words);
}

/* A chain of 1 to 3 descriptors, some in an indirect table; content names the chain. */
static bool
guest_post(struct world *w)
{
	unsigned int n = 1 + rnd(w, 3), i, wr = rnd(w, n + 1), k = 0;
	uint16_t ids[3];
	bool ind = rnd(w, 3) == 0;
	struct d *t;

	for (i = 0; i < N && k < (ind ? 1 : n); i++)
		if (!w->busy[i])
			ids[k++] = (uint16_t)i;
	if (k < (ind ? 1 : n))
		return false;
	for (i = 0; i < k; i++)
		w->busy[ids[i]] = 1;
	t = ind ? (struct d *)(w->ram + TABLES_OFF + ids[0] * 64u) : NULL;
	for (i = 0; i < n; i++) {
		struct d *d = ind ? &t[i] : &gdesc(w)[ids[i]];

		d->addr = RAM_GPA + BUFS_OFF + rnd(w, RAM_BYTES - BUFS_OFF - 8192);
		d->len = 1 + rnd(w, 5000);
		d->flags = (i >= n - wr ? F_WRITE : 0) | (i + 1 < n ? F_NEXT : 0);
		d->next = ind ? (uint16_t)(i + 1) : (i + 1 < n ? ids[i + 1] : 0);
	}
	if (ind)
		gdesc(w)[ids[0]] = (struct d){ RAM_GPA + TABLES_OFF + ids[0] * 64u, n * 16,
				F_INDIRECT, 0 };
	w->chain_len[ids[0]] = (uint8_t)k;
	w->order[w->avail_idx] = ids[0];
	*u16at(w->ram, AVAIL_OFF + 4 + 2 * (w->avail_idx % N)) = ids[0];
	*u16at(w->ram, AVAIL_OFF + 2) = ++w->avail_idx;
	return true;
}

static void
guest_reap(struct world *w)
{
	uint16_t idx = *u16at(w->ram, USED_OFF + 2);

	while (w->used_seen != idx) {
		uint32_t *e = (uint32_t *)(void *)(w->ram + USED_OFF + 4 + 8 * (w->used_seen % N));
		uint16_t head = w->order[w->used_seen], i = head, n;

		assert_int_equal(e[0], head); /* strictly in available order */
		assert_true(e[1] == w->written[head] || (w->expect_zero_ok && e[1] == 0));
		w->written[head] = 0;
		for (n = w->chain_len[head]; n != 0; n--) {
			w->busy[i] = 0;
			i = gdesc(w)[i].next;
		}
		w->used_seen++;
		w->completed++;
	}
}

static void *
dev_ptr(struct world *w, uint64_t addr)
{
	if (addr >= SHADOW_IOVA)
		return w->shadow + (addr - SHADOW_IOVA);
	assert_true(addr >= RAM_GPA && addr < RAM_GPA + RAM_BYTES);
	return w->ram + (addr - RAM_GPA);
}

static void
dev_fetch(struct world *w)
{
	uint64_t desc, avail, used;
	uint16_t idx;

	virtio_vdpa_relay_device_ring(w->relay, &desc, &avail, &used);
	idx = *(uint16_t *)((uint8_t *)dev_ptr(w, avail) + 2);
	for (; w->dev_avail != idx; w->dev_avail++) {
		w->held[w->nb_held].slot = *(uint16_t *)((uint8_t *)dev_ptr(w, avail) + 4 +
				2 * (w->dev_avail % N));
		/* Same distance from the start on both sides: no chain is ours here. */
		w->held[w->nb_held++].head = w->order[(uint16_t)(w->base + w->dev_avail)];
	}
}

/* Write a random part of the writable bytes; note pages and length for the guest's check. */
static uint32_t
dev_write(struct world *w, uint16_t slot, uint16_t guest_head)
{
	uint64_t desc, avail, used;
	struct d *t;
	uint32_t total = 0, left, done = 0;
	unsigned int i = slot, pass;

	virtio_vdpa_relay_device_ring(w->relay, &desc, &avail, &used);
	for (pass = 0; pass < 2; pass++) {
		t = dev_ptr(w, desc);
		i = slot;
		left = pass == 0 ? 0 : (total == 0 ? 0 : rnd(w, total + 1));
		if (t[i].flags & F_INDIRECT) {
			t = dev_ptr(w, t[i].addr);
			i = 0;
		}
		for (;;) {
			if (t[i].flags & F_WRITE) {
				if (pass == 0) {
					total += t[i].len;
				} else {
					uint32_t n = t[i].len < left ? t[i].len : left;
					uint64_t p, off = t[i].addr - RAM_GPA;

					memset(dev_ptr(w, t[i].addr), 0x5a, n);
					for (p = off / 4096; n && p <= (off + n - 1) / 4096; p++)
						w->seen[p] = 1;
					left -= n;
					done += n;
				}
			}
			if (!(t[i].flags & F_NEXT))
				break;
			i = t[i].next;
		}
	}
	w->written[guest_head] = done;
	return done;
}

static void
dev_complete(struct world *w, unsigned int which)
{
	uint64_t desc, avail, used;
	uint8_t *u;
	uint32_t *e;

	virtio_vdpa_relay_device_ring(w->relay, &desc, &avail, &used);
	u = dev_ptr(w, used);
	e = (uint32_t *)(void *)(u + 4 + 8 * (w->dev_used % N));
	e[0] = w->held[which].slot;
	e[1] = dev_write(w, w->held[which].slot, w->held[which].head);
	*(uint16_t *)(u + 2) = ++w->dev_used;
	memmove(&w->held[which], &w->held[which + 1], (--w->nb_held - which) * sizeof(w->held[0]));
}

static void
check_log(struct world *w)
{
	for (uint64_t p = 0; p < RAM_BYTES / 4096; p++) {
		uint64_t g = RAM_GPA / 4096 + p;

		if (w->seen[p])
			assert_true(w->log_words[g / 64] >> (g % 64) & 1);
	}
	assert_true(w->log_words[(RAM_GPA + USED_OFF) / 4096 / 64] >>
			((RAM_GPA + USED_OFF) / 4096 % 64) & 1);
}

static void
run(uint16_t base, bool in_order, unsigned int seed, uint64_t buffers)
{
	struct world w;
	uint64_t guard = 0;

	world_init(&w, base, seed);
	while (w.completed < buffers) {
		assert_true(++guard < buffers * 100);
		switch (rnd(&w, 6)) {
		case 0:
		case 1:
			guest_post(&w);
			break;
		case 2:
			virtio_vdpa_relay_avail_burst(w.relay, 1 + rnd(&w, 8));
			dev_fetch(&w);
			break;
		case 3:
		case 4:
			virtio_vdpa_relay_avail_burst(w.relay, N);
			dev_fetch(&w);
			if (w.nb_held != 0)
				dev_complete(&w, in_order ? 0 : rnd(&w, w.nb_held));
			break;
		case 5:
			virtio_vdpa_relay_used_burst(w.relay, 1 + rnd(&w, 8));
			guest_reap(&w);
			break;
		}
		assert_int_equal(virtio_vdpa_relay_error(w.relay), 0);
		if (rnd(&w, 500) == 0) { /* migrate: stop, continue at the base elsewhere */
			uint16_t b;

			virtio_vdpa_relay_avail_burst(w.relay, N);
			dev_fetch(&w);
			w.expect_zero_ok = !in_order;
			b = virtio_vdpa_relay_quiesce(w.relay);
			guest_reap(&w);
			w.expect_zero_ok = false;
			assert_int_equal(b, w.used_seen);
			check_log(&w);
			memset(w.written, 0, sizeof(w.written));
			virtio_vdpa_relay_destroy(w.relay);
			relay_start(&w, b);
		}
	}
	check_log(&w);
	world_free(&w);
}

static void
test_in_order(void **state)
{
	(void)state;
	run(0, true, 1, 200000);
	run(65500, true, 2, 200000);
	run(65535, true, 3, 2000);
}

static void
test_out_of_order(void **state)
{
	(void)state;
	run(0, false, 4, 200000);
	run(65530, false, 5, 200000);
}

static const struct {
	enum virtio_vdpa_relay_error want;
	struct d d[2];
	uint16_t head;
	uint16_t avail_jump;
} hostile[] = {
	{ VIRTIO_VDPA_RELAY_BAD_HEAD, { { RAM_GPA, 1, 0, 0 } }, N, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_NEXT, { { RAM_GPA, 1, F_NEXT, N } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_LOOP, { { RAM_GPA, 1, F_NEXT, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_LOOP, { { RAM_GPA, 1, F_NEXT, 1 }, { RAM_GPA, 1, F_NEXT, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { RAM_GPA - 1, 2, 0, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { RAM_GPA + RAM_BYTES - 1, 2, 0, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { UINT64_MAX, 2, 0, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { RAM_GPA + 16, UINT32_MAX, 0, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_ZERO_LEN, { { RAM_GPA, 0, 0, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_ORDER,
		{ { RAM_GPA, 1, F_WRITE | F_NEXT, 1 }, { RAM_GPA, 1, 0, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_INDIRECT, { { RAM_GPA, 16, F_INDIRECT | F_NEXT, 1 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_INDIRECT, { { RAM_GPA, 17, F_INDIRECT, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_INDIRECT, { { RAM_GPA, 0, F_INDIRECT, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_LOOP, { { RAM_GPA, 16 * (N + 1), F_INDIRECT, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { RAM_GPA + RAM_BYTES - 8, 16, F_INDIRECT, 0 } }, 0, 0 },
	{ VIRTIO_VDPA_RELAY_AVAIL_JUMP, { { RAM_GPA, 1, 0, 0 } }, 0, N + 1 },
	{ VIRTIO_VDPA_RELAY_AVAIL_JUMP, { { RAM_GPA, 1, 0, 0 } }, 0, 0xffff },
};

static void
test_hostile(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		struct world w;

		world_init(&w, 0, 1);
		memcpy(gdesc(&w), hostile[i].d, sizeof(hostile[i].d));
		*u16at(w.ram, AVAIL_OFF + 4) = hostile[i].head;
		*u16at(w.ram, AVAIL_OFF + 2) = hostile[i].avail_jump ? hostile[i].avail_jump : 1;
		assert_int_equal(virtio_vdpa_relay_avail_burst(w.relay, N), 0);
		assert_int_equal(virtio_vdpa_relay_error(w.relay), hostile[i].want);
		assert_int_equal(virtio_vdpa_relay_avail_burst(w.relay, N), 0);
		assert_int_equal(virtio_vdpa_relay_used_burst(w.relay, N), 0);
		assert_int_equal(virtio_vdpa_relay_quiesce(w.relay), 0);
		world_free(&w);
	}
}

/* Catches: a count that wraps, so that old entries are read as new ones. */
static void
test_avail_goes_back(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 0, 1);
	gdesc(&w)[0] = (struct d){ RAM_GPA + BUFS_OFF, 10, 0, 0 };
	gdesc(&w)[1] = (struct d){ RAM_GPA + BUFS_OFF, 10, 0, 0 };
	*u16at(w.ram, AVAIL_OFF + 6) = 1;
	*u16at(w.ram, AVAIL_OFF + 2) = 2;
	assert_int_equal(virtio_vdpa_relay_avail_burst(w.relay, N), 2);
	*u16at(w.ram, AVAIL_OFF + 2) = 1;
	assert_int_equal(virtio_vdpa_relay_avail_burst(w.relay, N), 0);
	assert_int_equal(virtio_vdpa_relay_error(w.relay), VIRTIO_VDPA_RELAY_AVAIL_JUMP);
	world_free(&w);
}

/* Catches: a guest that makes a head available twice, believed. */
static void
test_outstanding_twice(void **state)
{
	_Alignas(8) uint8_t avail[4 + 2 * N + 2] = { 0 };
	_Alignas(8) uint8_t used[4 + 8 * N + 2] = { 0 };
	uint16_t got[N];
	unsigned int holes;

	(void)state;
	*u16at(avail, 4) = 3;
	*u16at(avail, 6) = 3;
	*u16at(avail, 2) = 2;
	assert_int_equal(virtio_vdpa_ring_outstanding(avail, used, N, got, &holes), -ERANGE);
	*u16at(avail, 6) = 4;
	assert_int_equal(virtio_vdpa_ring_outstanding(avail, used, N, got, &holes), 2);
}

static void
test_device_lies(void **state)
{
	static const struct { uint32_t id; uint16_t idx; int want; } lie[] = {
		{ 1, 1, VIRTIO_VDPA_RELAY_DEV_BAD_ID },
		{ 0xffffffff, 1, VIRTIO_VDPA_RELAY_DEV_BAD_ID },
		{ 0, 2, VIRTIO_VDPA_RELAY_DEV_USED_JUMP },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct world w;
		uint64_t desc, avail, used;
		uint8_t *u;

		world_init(&w, 0, 1);
		gdesc(&w)[0] = (struct d){ RAM_GPA + BUFS_OFF, 10, 0, 0 };
		*u16at(w.ram, AVAIL_OFF + 2) = 1;
		assert_int_equal(virtio_vdpa_relay_avail_burst(w.relay, N), 1);
		virtio_vdpa_relay_device_ring(w.relay, &desc, &avail, &used);
		u = dev_ptr(&w, used);
		memcpy(u + 4, &lie[i].id, 4);
		memcpy(u + 2, &lie[i].idx, 2);
		assert_int_equal(virtio_vdpa_relay_used_burst(w.relay, N), 0);
		assert_int_equal(virtio_vdpa_relay_error(w.relay), lie[i].want);
		world_free(&w);
	}
}

#define M 64u

/* Against a list that is simply kept. Disorder starts from an ordered ring and stays short. */
static void
test_outstanding(void **state)
{
	_Alignas(8) uint8_t avail[4 + 2 * M + 2] = { 0 };
	_Alignas(8) uint8_t used[4 + 8 * M + 2] = { 0 };
	uint16_t out[M], got[M], a = 65000, u = 65000;
	unsigned int nb = 0, round, holes, checked = 0, refused = 0, with_holes = 0;
	struct world w = { .seed = 7 };

	(void)state;
	*u16at(avail, 2) = *u16at(used, 2) = a;
	for (round = 0; round < 400000; round++) {
		bool disorder = round % 200 >= 180;
		int rc;

		if (round % 200 == 0) { /* everything comes back in order */
			while (nb != 0) {
				uint32_t id = out[0];

				memcpy(used + 4 + 8 * (u % M), &id, 4);
				*u16at(used, 2) = ++u;
				memmove(&out[0], &out[1], --nb * sizeof(out[0]));
			}
		} else if (nb < M / 2 && rnd(&w, 2)) {
			uint16_t h;
			unsigned int i;

			do {
				h = (uint16_t)rnd(&w, M);
				for (i = 0; i < nb && out[i] != h; i++)
					;
			} while (i != nb);
			out[nb++] = h;
			*u16at(avail, 4 + 2 * (a % M)) = h;
			*u16at(avail, 2) = ++a;
		} else if (nb != 0) {
			unsigned int i = disorder ? rnd(&w, nb) : 0;
			uint32_t id = out[i];

			memcpy(used + 4 + 8 * (u % M), &id, 4);
			*u16at(used, 2) = ++u;
			memmove(&out[i], &out[i + 1], (--nb - i) * sizeof(out[0]));
		}
		rc = virtio_vdpa_ring_outstanding(avail, used, M, got, &holes);
		if (rc == -ERANGE) {
			refused++;
			continue;
		}
		assert_int_equal(rc, nb);
		assert_memory_equal(got, out, nb * sizeof(out[0]));
		with_holes += holes != 0;
		checked++;
	}
	assert_true(checked > 9 * refused);
	assert_true(with_holes > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_avail_goes_back),
		cmocka_unit_test(test_device_lies),
		cmocka_unit_test(test_outstanding),
		cmocka_unit_test(test_outstanding_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
