/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Rules of the relay's packed side one by one: every error reached by a ring that deserves it,
 * interrupts against VIRTIO 1.3, 2.8.10, written out naively, no sleep over work, bursts that
 * become visible as one, rings of every size from every position, what a quiesce leaves.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "virtio_vdpa_relay_pvt.h"

#define MAX_SIZE 64u
#define GPA 0x100000ull
#define RAM_BYTES 0x10000u
#define DRIVER_OFF 0x1000u
#define DEVICE_OFF 0x2000u
#define TABLE_OFF 0x3000u
#define BUF_OFF 0x8000u
#define SHADOW_IOVA 0x7f0000000000ull
#define NEXT LM_VRING_DESC_F_NEXT
#define WRITE LM_VRING_DESC_F_WRITE
#define INDIRECT LM_VRING_DESC_F_INDIRECT
#define BOTH (LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED)

struct bed {
	uint8_t *ram, *shadow;
	struct lm_imap *imap;
	struct lm_vhost_log *log;
	struct virtio_vdpa_relay *relay;
	struct lm_vring_packed_desc *ring, *table;
	struct lm_vring_packed_event *driver, *device;
	struct lm_vring_avail *d_avail;
	struct lm_vring_used *d_used;
	struct lm_vring_desc *d_desc;
	uint16_t size, d_mask;
	_Atomic uint64_t move;   /* of rings of odd sizes */
	uint32_t posted, reaped; /* slots, counted without end */
	uint64_t log_words[(GPA + RAM_BYTES) / 4096 / 64 + 1];
};

static void
bed_start(struct bed *b, uint16_t size, uint16_t base, bool event_idx)
{
	struct virtio_vdpa_relay_conf conf = {
		.desc = b->ring, .avail = b->driver, .used = b->device,
		.desc_gpa = GPA, .used_gpa = GPA + DEVICE_OFF, .size = size, .base = base,
		.packed = true, .event_idx = event_idx, .indirect = true, .mem = b->imap,
		.log = b->log, .shadow_iova = SHADOW_IOVA, .shadow = b->shadow,
	};
	uint64_t desc, avail, used;

	if (size % 2 == 1)
		conf.move = &b->move;
	memset(b->shadow, 0, virtio_vdpa_relay_shadow_size(MAX_SIZE));
	assert_int_equal(virtio_vdpa_relay_create(&conf, &b->relay), 0);
	virtio_vdpa_relay_device_ring(b->relay, &desc, &avail, &used);
	b->d_desc = (void *)(b->shadow + (desc - SHADOW_IOVA));
	b->d_avail = (void *)(b->shadow + (avail - SHADOW_IOVA));
	b->d_used = (void *)(b->shadow + (used - SHADOW_IOVA));
	b->size = size;
	b->d_mask = virtio_vdpa_relay_device_size(size) - 1;
}

static void
bed_open(struct bed *b, uint16_t size, uint16_t pos, bool wrap, bool event_idx)
{
	struct lm_interval iv = { GPA, 0, RAM_BYTES };
	unsigned int i;

	memset(b, 0, sizeof(*b));
	b->ram = aligned_alloc(4096, RAM_BYTES);
	memset(b->ram, 0, RAM_BYTES);
	b->shadow = aligned_alloc(64, (virtio_vdpa_relay_shadow_size(MAX_SIZE) + 63) & ~63ull);
	iv.to = (uintptr_t)b->ram;
	assert_int_equal(lm_imap_create(&iv, 1, &b->imap), 0);
	assert_int_equal(lm_vhost_log_create(GPA + RAM_BYTES, &b->log), 0);
	assert_int_equal(lm_vhost_log_attach(b->log, b->log_words, sizeof(b->log_words)), 0);
	b->ring = (void *)b->ram;
	b->driver = (void *)(b->ram + DRIVER_OFF);
	b->device = (void *)(b->ram + DEVICE_OFF);
	b->table = (void *)(b->ram + TABLE_OFF);
	b->posted = b->reaped = pos + (wrap ? 0u : size);
	/* Slots as a life of one-slot chains leaves them. */
	for (i = 0; i < size; i++)
		b->ring[i].flags = (i < pos) == wrap ? BOTH : 0;
	bed_start(b, size, (uint16_t)(pos | wrap << 15), event_idx);
}

static void
bed_close(struct bed *b)
{
	virtio_vdpa_relay_destroy(b->relay);
	lm_vhost_log_destroy(b->log);
	lm_imap_destroy(b->imap);
	free(b->ram);
	free(b->shadow);
}

static bool
wrap_of(const struct bed *b, uint32_t slot)
{
	return slot / b->size % 2 == 0;
}

static void
put(struct bed *b, uint64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
	struct lm_vring_packed_desc *d = &b->ring[b->posted % b->size];

	d->addr = addr;
	d->len = len;
	d->id = id;
	lm_vring_store_release(&d->flags, (uint16_t)(flags |
		(wrap_of(b, b->posted) ? LM_VRING_PACKED_F_AVAIL : LM_VRING_PACKED_F_USED)));
	b->posted++;
}

static void
post_buf(struct bed *b, uint16_t id)
{
	put(b, GPA + BUF_OFF + id * 256u, 100, id, WRITE);
}

/* The device gives back what it got as its nth chain. */
static void
use(struct bed *b, uint32_t nth, uint32_t len)
{
	b->d_used->ring[b->d_used->idx & b->d_mask] =
		(struct lm_vring_used_elem){ b->d_avail->ring[nth & b->d_mask], len };
	lm_vring_store_release(&b->d_used->idx, (uint16_t)(b->d_used->idx + 1));
}

/* @return the id of the used chain, -1 when there is none. */
static int
reap(struct bed *b, uint16_t slots)
{
	struct lm_vring_packed_desc *d = &b->ring[b->reaped % b->size];

	if (!lm_vring_packed_is_used(d->flags, wrap_of(b, b->reaped)))
		return -1;
	b->reaped += slots;
	return d->id;
}

/* Every size, from every position, in both laps: ids and wrap counters stay right. */
static void
test_every_size(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 3, 5, 8, 13, 64 };
	unsigned int s, pos, wrap, n;
	struct bed b;

	(void)state;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (pos = 0; pos < sizes[s]; pos++) {
			for (wrap = 0; wrap < 2; wrap++) {
				bed_open(&b, sizes[s], (uint16_t)pos, wrap, false);
				for (n = 0; n < 5u * sizes[s]; n++) {
					post_buf(&b, (uint16_t)(n % 50));
					assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64),
						1);
					use(&b, n, 7);
					assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 64),
						1);
					assert_int_equal(reap(&b, 1), n % 50);
					assert_int_equal(reap(&b, 1), -1);
				}
				assert_int_equal(virtio_vdpa_relay_quiesce(b.relay),
					b.reaped % b.size | wrap_of(&b, b.reaped) << 15);
				bed_close(&b);
			}
		}
	}
}

struct bad {
	enum virtio_vdpa_relay_error want;
	struct lm_vring_packed_desc d[3], t[2];
};

#define BUF(flags) { GPA + BUF_OFF, 64, 0, flags }
#define TAB(n, flags) { GPA + TABLE_OFF, 16 * (n), 0, INDIRECT | (flags) }

static const struct bad bads[] = {
	{ VIRTIO_VDPA_RELAY_ZERO_LEN, { { GPA + BUF_OFF, 0, 0, 0 } }, { { 0 } } },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { GPA - 1, 64, 0, 0 } }, { { 0 } } },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { GPA + RAM_BYTES - 63, 64, 0, 0 } }, { { 0 } } },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { UINT64_MAX - 10, 64, 0, 0 } }, { { 0 } } },
	{ VIRTIO_VDPA_RELAY_BAD_ADDR, { { GPA + RAM_BYTES, 16, 0, INDIRECT } }, { { 0 } } },
	{ VIRTIO_VDPA_RELAY_BAD_ORDER, { BUF(WRITE | NEXT), BUF(0) }, { { 0 } } },
	{ VIRTIO_VDPA_RELAY_BAD_ORDER, { BUF(WRITE | NEXT), TAB(1, 0) }, { BUF(0) } },
	{ VIRTIO_VDPA_RELAY_BAD_INDIRECT, { TAB(1, NEXT), BUF(0) }, { BUF(0) } },
	{ VIRTIO_VDPA_RELAY_BAD_INDIRECT, { TAB(0, 0) }, { BUF(0) } },
	{ VIRTIO_VDPA_RELAY_BAD_INDIRECT, { { GPA + TABLE_OFF, 17, 0, INDIRECT } }, { BUF(0) } },
	{ VIRTIO_VDPA_RELAY_BAD_INDIRECT, { TAB(2, 0) }, { BUF(0), TAB(1, 0) } },
	{ VIRTIO_VDPA_RELAY_ZERO_LEN, { TAB(2, 0) }, { BUF(0), { GPA + BUF_OFF, 0, 0, 0 } } },
	{ VIRTIO_VDPA_RELAY_LOOP, { TAB(9, 0) }, { BUF(0) } },
	/* Three slots, each with more to come, and so on for ever: the rest of the ring is such. */
	{ VIRTIO_VDPA_RELAY_LOOP, { BUF(NEXT), BUF(NEXT), BUF(NEXT) }, { { 0 } } },
};

static void
test_bad_rings(void **state)
{
	const struct bad *bad;
	unsigned int i, k;
	struct bed b;

	(void)state;
	for (i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		bad = &bads[i];
		bed_open(&b, 8, 5, true, false);
		memcpy(b.table, bad->t, sizeof(bad->t));
		post_buf(&b, 1);
		for (k = 0; k < 3 && bad->d[k].addr != 0; k++)
			put(&b, bad->d[k].addr, bad->d[k].len, 2, bad->d[k].flags);
		for (; k == 3 && b.posted < 13; )
			put(&b, GPA + BUF_OFF, 64, 2, NEXT);
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 1);
		assert_int_equal(virtio_vdpa_relay_error(b.relay), bad->want);
		/* The good one before it reached the device, and nothing else did. */
		assert_int_equal(b.d_avail->idx, 1);
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 0);
		use(&b, 0, 5);
		/* Stopped, but its quiesce gives back what was used. */
		assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 64), 0);
		assert_int_equal(virtio_vdpa_relay_quiesce(b.relay), 6 | 1 << 15);
		assert_int_equal(reap(&b, 1), 1);
		bed_close(&b);
	}
}

/* A guest that makes available what the device holds: more than its ring. */
static void
test_overrun(void **state)
{
	unsigned int i;
	struct bed b;

	(void)state;
	bed_open(&b, 4, 0, true, false);
	for (i = 0; i < 4; i++)
		post_buf(&b, (uint16_t)i);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 4);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 0);
	assert_int_equal(virtio_vdpa_relay_error(b.relay), VIRTIO_VDPA_RELAY_OK);
	post_buf(&b, 9); /* over slot 0, which is out */
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 0);
	assert_int_equal(virtio_vdpa_relay_error(b.relay), VIRTIO_VDPA_RELAY_AVAIL_JUMP);
	bed_close(&b);
}

/* A table is copied: what the guest writes afterwards is not what the device reads. */
static void
test_table_copied(void **state)
{
	const struct lm_vring_desc *t;
	struct bed b;

	(void)state;
	bed_open(&b, 8, 7, false, false);
	b.table[0] = (struct lm_vring_packed_desc){ GPA + BUF_OFF, 10, 0xabcd, NEXT };
	b.table[1] = (struct lm_vring_packed_desc){ GPA + BUF_OFF + 10, 20, 0xabcd, WRITE | NEXT };
	put(&b, GPA + TABLE_OFF, 32, 3, INDIRECT);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 1), 1);
	memset(b.table, 0xff, 32);
	assert_int_equal(b.d_desc[0].flags, INDIRECT);
	assert_int_equal(b.d_desc[0].len, 32);
	t = (void *)(b.shadow + (b.d_desc[0].addr - SHADOW_IOVA));
	/* NEXT means nothing in a packed table; the last of a split one must not have it. */
	assert_int_equal(t[0].flags, NEXT);
	assert_int_equal(t[0].next, 1);
	assert_int_equal(t[1].addr, GPA + BUF_OFF + 10);
	assert_int_equal(t[1].len, 20);
	assert_int_equal(t[1].flags, WRITE);
	bed_close(&b);
}

/* A guest sees a burst whole or not at all; a merged frame is made of several. */
static void
test_burst_at_once(void **state)
{
	uint16_t flags[3];
	unsigned int i;
	struct bed b;

	(void)state;
	bed_open(&b, 8, 6, true, false);
	for (i = 0; i < 3; i++)
		post_buf(&b, (uint16_t)i);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 3);
	for (i = 0; i < 3; i++)
		use(&b, i, 100 * i); /* the first one empty */
	assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 64), 3);
	for (i = 0; i < 3; i++)
		flags[i] = b.ring[(6 + i) % 8].flags;
	assert_int_equal(flags[0], BOTH);
	assert_int_equal(flags[1], BOTH | WRITE);
	assert_int_equal(flags[2], WRITE); /* beyond the end */
	bed_close(&b);
}

/* 2.8.10, naively: does any slot from old to new equal the one that the guest named? */
static bool
naive_call(uint32_t old, uint32_t now, uint16_t size, uint16_t off_wrap)
{
	uint32_t i;

	for (i = old; i != now; i++)
		if (i % size == (off_wrap & 0x7fffu) &&
				(i / size % 2 == 0) == (off_wrap >> 15 != 0))
			return true;
	return false;
}

static void
test_calls(void **state)
{
	unsigned int at, wrap, pos, lap, nb, i;
	const uint16_t size = 5;
	struct bed b;
	bool want;

	(void)state;
	for (at = 0; at < size; at++)
	for (wrap = 0; wrap < 2; wrap++)
	for (pos = 0; pos < size; pos++)
	for (lap = 0; lap < 2; lap++)
	for (nb = 1; nb < size; nb++) {
		bed_open(&b, size, (uint16_t)pos, lap == 0, true);
		for (i = 0; i < nb; i++)
			post_buf(&b, (uint16_t)i);
		virtio_vdpa_relay_avail_burst(b.relay, 64);
		for (i = 0; i < nb; i++)
			use(&b, i, 1);
		b.driver->off_wrap = (uint16_t)(at | wrap << 15);
		b.driver->flags = LM_VRING_PACKED_EVENT_F_DESC;
		assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 64), nb);
		want = naive_call(b.reaped, b.reaped + nb, size, b.driver->off_wrap);
		/* The guest may have named a slot of the lap before: late, and then at once. */
		if (virtio_vdpa_relay_need_call(b.relay) != want)
			fail_msg("event %u wrap %u, from %u lap %u, %u used", at, wrap, pos, lap,
				nb);
		assert_false(virtio_vdpa_relay_need_call(b.relay));
		bed_close(&b);
	}
}

static void
test_call_flags(void **state)
{
	static const struct {
		uint16_t flags;
		bool event_idx, want;
	} rows[] = {
		{ LM_VRING_PACKED_EVENT_F_ENABLE, false, true },
		{ LM_VRING_PACKED_EVENT_F_DISABLE, false, false },
		{ LM_VRING_PACKED_EVENT_F_ENABLE, true, true },
		{ LM_VRING_PACKED_EVENT_F_DISABLE, true, false },
		/* Not negotiated: rather once too often. */
		{ LM_VRING_PACKED_EVENT_F_DESC, false, true },
	};
	unsigned int i;
	struct bed b;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bed_open(&b, 8, 0, true, rows[i].event_idx);
		assert_false(virtio_vdpa_relay_need_call(b.relay));
		post_buf(&b, 1);
		virtio_vdpa_relay_avail_burst(b.relay, 64);
		use(&b, 0, 1);
		b.driver->off_wrap = 5;
		b.driver->flags = rows[i].flags;
		virtio_vdpa_relay_used_burst(b.relay, 64);
		assert_int_equal(virtio_vdpa_relay_need_call(b.relay), rows[i].want);
		bed_close(&b);
	}
}

static bool
logged(const struct bed *b, uint64_t gpa)
{
	return b->log_words[gpa / 4096 / 64] >> gpa / 4096 % 64 & 1;
}

/* Kicks are off while the relay looks, on while it sleeps and when it is gone; all of it logged. */
static void
test_sleep(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, 8, 3, false, true);
	assert_int_equal(b.device->flags, LM_VRING_PACKED_EVENT_F_DISABLE);
	virtio_vdpa_relay_set_log(b.relay, true);
	assert_true(virtio_vdpa_relay_sleep(b.relay));
	assert_int_equal(b.device->flags, LM_VRING_PACKED_EVENT_F_ENABLE);
	assert_true(logged(&b, GPA + DEVICE_OFF));
	assert_false(logged(&b, GPA));
	virtio_vdpa_relay_wake(b.relay);
	assert_int_equal(b.device->flags, LM_VRING_PACKED_EVENT_F_DISABLE);
	post_buf(&b, 1);
	assert_false(virtio_vdpa_relay_sleep(b.relay));
	assert_int_equal(b.device->flags, LM_VRING_PACKED_EVENT_F_DISABLE);
	virtio_vdpa_relay_avail_burst(b.relay, 64);
	assert_true(virtio_vdpa_relay_sleep(b.relay));
	use(&b, 0, 100);
	assert_false(virtio_vdpa_relay_sleep(b.relay));
	virtio_vdpa_relay_used_burst(b.relay, 64);
	assert_true(logged(&b, GPA));
	assert_true(logged(&b, GPA + BUF_OFF + 256));
	virtio_vdpa_relay_quiesce(b.relay);
	assert_int_equal(b.device->flags, LM_VRING_PACKED_EVENT_F_ENABLE);
	bed_close(&b);
}

/* An announcement takes a place of the shadow ring, none of the guest's. */
static void
test_inject(void **state)
{
	unsigned int i;
	struct bed b;

	(void)state;
	bed_open(&b, 4, 0, true, false);
	assert_int_equal(virtio_vdpa_relay_inject(b.relay, SHADOW_IOVA, 60), 0);
	for (i = 0; i < 4; i++)
		post_buf(&b, (uint16_t)i);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 3);
	assert_int_equal(virtio_vdpa_relay_error(b.relay), VIRTIO_VDPA_RELAY_OK);
	assert_true(virtio_vdpa_relay_sleep(b.relay)); /* no room: only the device can help */
	use(&b, 0, 0);
	use(&b, 1, 9);
	assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 64), 2);
	assert_int_equal(reap(&b, 1), 0);
	assert_int_equal(reap(&b, 1), -1);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 1);
	bed_close(&b);
}

static void
test_conf_checked(void **state)
{
	struct virtio_vdpa_relay_conf good, c;
	struct virtio_vdpa_relay *r;
	struct bed b;

	(void)state;
	bed_open(&b, 8, 0, true, false);
	good = b.relay->conf;
	c = good;
	c.size = 0;
	assert_int_equal(virtio_vdpa_relay_create(&c, &r), -EINVAL);
	c.size = 32769;
	assert_int_equal(virtio_vdpa_relay_create(&c, &r), -EINVAL);
	c = good;
	c.base = 8;
	assert_int_equal(virtio_vdpa_relay_create(&c, &r), -EINVAL);
	c.base = 8 | 1 << 15;
	assert_int_equal(virtio_vdpa_relay_create(&c, &r), -EINVAL);
	c = good;
	c.avail = (uint8_t *)c.avail + 2;
	assert_int_equal(virtio_vdpa_relay_create(&c, &r), -EINVAL);
	c = good;
	c.base = 7;
	assert_int_equal(virtio_vdpa_relay_create(&c, &r), 0);
	assert_int_equal(virtio_vdpa_relay_quiesce(r), 7);
	virtio_vdpa_relay_destroy(r);
	bed_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_bad_rings),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_table_copied),
		cmocka_unit_test(test_burst_at_once),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_call_flags),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_inject),
		cmocka_unit_test(test_conf_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
