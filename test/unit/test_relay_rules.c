/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Rules of the relay one by one: every error reached by a ring that deserves it, notification
 * against the rules of VIRTIO 1.3 (2.7.7, 2.7.10) written out naively, no sleep over work, full
 * pools that only wait, counters that wrap, announcements, what a quiesce leaves for the next one.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "virtio_vdpa_relay_pvt.h"

#define N 8u
#define GPA 0x100000ull
#define RAM_BYTES 0x10000u
#define HUGE_GPA 0x1000000000ull /* mapped in name only: nobody may read a buffer */
#define HUGE_BYTES (16ull << 30)
#define DESC_OFF 0x0u
#define AVAIL_OFF 0x1000u
#define USED_OFF 0x2000u
#define TABLE_OFF 0x3000u
#define BUF_OFF 0x8000u
#define SHADOW_IOVA 0x7f0000000000ull
#define NEXT LM_VRING_DESC_F_NEXT
#define WRITE LM_VRING_DESC_F_WRITE
#define INDIRECT LM_VRING_DESC_F_INDIRECT

struct bed {
	uint8_t *ram;
	uint8_t *shadow;
	struct lm_imap *imap;
	struct virtio_vdpa_relay *relay;
	struct lm_vring_desc *desc, *table;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	/* the device's view */
	struct lm_vring_avail *d_avail;
	struct lm_vring_used *d_used;
	uint16_t d_seen;
	struct lm_vhost_log *log;
	uint64_t log_words[(GPA + RAM_BYTES) / 4096 / 64 + 1];
};

static void
bed_start(struct bed *b, uint16_t base, bool event_idx, bool indirect)
{
	struct virtio_vdpa_relay_conf conf = {
		.desc = b->desc, .avail = b->avail, .used = b->used, .used_gpa = GPA + USED_OFF,
		.size = N, .base = base, .event_idx = event_idx, .indirect = indirect,
		.mem = b->imap, .log = b->log, .shadow_iova = SHADOW_IOVA,
	};
	uint64_t desc, avail, used;

	memset(b->shadow, 0, virtio_vdpa_relay_shadow_size(N));
	conf.shadow = b->shadow;
	assert_int_equal(virtio_vdpa_relay_create(&conf, &b->relay), 0);
	virtio_vdpa_relay_device_ring(b->relay, &desc, &avail, &used);
	b->d_avail = (void *)(b->shadow + (avail - SHADOW_IOVA));
	b->d_used = (void *)(b->shadow + (used - SHADOW_IOVA));
	b->d_seen = 0;
	b->avail->idx = b->used->idx = base;
}

static void
bed_open(struct bed *b, uint16_t base, bool event_idx, bool indirect)
{
	struct lm_interval iv[2];

	memset(b, 0, sizeof(*b));
	b->ram = aligned_alloc(4096, RAM_BYTES);
	memset(b->ram, 0, RAM_BYTES);
	b->shadow = aligned_alloc(64, (virtio_vdpa_relay_shadow_size(N) + 63) & ~63ull);
	iv[0] = (struct lm_interval){ GPA, (uintptr_t)b->ram, RAM_BYTES };
	iv[1] = (struct lm_interval){ HUGE_GPA, HUGE_GPA, HUGE_BYTES };
	assert_int_equal(lm_imap_create(iv, 2, &b->imap), 0);
	assert_int_equal(lm_vhost_log_create(GPA + RAM_BYTES, &b->log), 0);
	assert_int_equal(lm_vhost_log_attach(b->log, b->log_words, sizeof(b->log_words)), 0);
	b->desc = (void *)(b->ram + DESC_OFF);
	b->avail = (void *)(b->ram + AVAIL_OFF);
	b->used = (void *)(b->ram + USED_OFF);
	b->table = (void *)(b->ram + TABLE_OFF);
	bed_start(b, base, event_idx, indirect);
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

static void
post(struct bed *b, uint16_t head)
{
	b->avail->ring[b->avail->idx % N] = head;
	lm_vring_store_release(&b->avail->idx, (uint16_t)(b->avail->idx + 1));
}

static void
post_buf(struct bed *b, uint16_t head)
{
	b->desc[head] = (struct lm_vring_desc){ GPA + BUF_OFF + head * 4096u, 100, WRITE, 0 };
	post(b, head);
}

/* The device gives back what it got as its nth chain. */
static void
use(struct bed *b, uint16_t nth, uint32_t len)
{
	b->d_used->ring[b->d_used->idx % N] =
		(struct lm_vring_used_elem){ b->d_avail->ring[nth % N], len };
	lm_vring_store_release(&b->d_used->idx, (uint16_t)(b->d_used->idx + 1));
}

struct bad_ring {
	const char *name;
	enum virtio_vdpa_relay_error want;
	bool not_indirect;
	struct lm_vring_desc d[3];
	struct lm_vring_desc t[3];
};

#define TABLE(n, flags) { GPA + TABLE_OFF, 16 * (n), INDIRECT | (flags), 1 }
#define OK_BUF(flags, next) { GPA + BUF_OFF, 64, flags, next }

static const struct bad_ring bad_rings[] = {
	{ "sum of readable", VIRTIO_VDPA_RELAY_TOO_LONG, false,
		{ { HUGE_GPA, UINT32_MAX, NEXT, 1 }, { HUGE_GPA, 1, 0, 0 } }, { { 0 } } },
	{ "sum of writable", VIRTIO_VDPA_RELAY_TOO_LONG, false,
		{ { HUGE_GPA, UINT32_MAX, NEXT | WRITE, 1 }, { HUGE_GPA, 1, WRITE, 0 } },
		{ { 0 } } },
	{ "sum of both", VIRTIO_VDPA_RELAY_TOO_LONG, false,
		{ { HUGE_GPA, UINT32_MAX, NEXT, 1 }, { HUGE_GPA, 1, WRITE, 0 } }, { { 0 } } },
	{ "sum over a table", VIRTIO_VDPA_RELAY_TOO_LONG, false,
		{ { HUGE_GPA, UINT32_MAX, NEXT, 1 }, TABLE(1, 0) }, { OK_BUF(WRITE, 0) } },
	{ "end of a region", VIRTIO_VDPA_RELAY_BAD_ADDR, false,
		{ { HUGE_GPA + HUGE_BYTES - 1, 2, 0, 0 } }, { { 0 } } },
	{ "end of the small region", VIRTIO_VDPA_RELAY_BAD_ADDR, false,
		{ { GPA + RAM_BYTES - 1, 2, 0, 0 } }, { { 0 } } },
	{ "wraps", VIRTIO_VDPA_RELAY_BAD_ADDR, false,
		{ { UINT64_MAX - 1, 4, 0, 0 } }, { { 0 } } },
	{ "the shadow ring", VIRTIO_VDPA_RELAY_BAD_ADDR, false,
		{ { SHADOW_IOVA, 16, WRITE, 0 } }, { { 0 } } },
	{ "not negotiated", VIRTIO_VDPA_RELAY_BAD_INDIRECT, true,
		{ TABLE(1, 0) }, { OK_BUF(0, 0) } },
	{ "nested", VIRTIO_VDPA_RELAY_BAD_INDIRECT, false, { TABLE(1, 0) }, { TABLE(1, 0) } },
	{ "indirect and next", VIRTIO_VDPA_RELAY_BAD_INDIRECT, false,
		{ TABLE(1, NEXT), OK_BUF(0, 0) }, { OK_BUF(0, 0) } },
	{ "next outside the table", VIRTIO_VDPA_RELAY_BAD_NEXT, false,
		{ TABLE(2, 0) }, { OK_BUF(NEXT, 2), OK_BUF(0, 0) } },
	{ "circle in the table", VIRTIO_VDPA_RELAY_LOOP, false,
		{ TABLE(2, 0) }, { OK_BUF(NEXT, 1), OK_BUF(NEXT, 0) } },
	{ "table outside", VIRTIO_VDPA_RELAY_BAD_ADDR, false,
		{ { GPA + RAM_BYTES - 16, 32, INDIRECT, 0 } }, { { 0 } } },
	{ "table that wraps", VIRTIO_VDPA_RELAY_BAD_ADDR, false,
		{ { UINT64_MAX - 15, 32, INDIRECT, 0 } }, { { 0 } } },
	{ "zero in a table", VIRTIO_VDPA_RELAY_ZERO_LEN, false,
		{ TABLE(1, 0) }, { { GPA + BUF_OFF, 0, 0, 0 } } },
	{ "order across a table", VIRTIO_VDPA_RELAY_BAD_ORDER, false,
		{ OK_BUF(WRITE | NEXT, 1), TABLE(1, 0) }, { OK_BUF(0, 0) } },
};

static void
test_bad_rings(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad_rings) / sizeof(bad_rings[0]); i++) {
		const struct bad_ring *bad = &bad_rings[i];
		struct bed b;

		bed_open(&b, 65534, false, !bad->not_indirect);
		post_buf(&b, 7); /* a good one first: it must still reach the device */
		memcpy(b.desc, bad->d, sizeof(bad->d));
		memcpy(b.table, bad->t, sizeof(bad->t));
		post(&b, 0);
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 1);
		if (virtio_vdpa_relay_error(b.relay) != bad->want)
			fail_msg("%s: %s", bad->name,
				virtio_vdpa_relay_strerror(virtio_vdpa_relay_error(b.relay)));
		assert_int_equal(b.d_avail->idx, 1);
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 0);
		use(&b, 0, 1);
		assert_int_equal(virtio_vdpa_relay_quiesce(b.relay), 65535);
		assert_int_equal(b.used->ring[65534 % N].id, 7);
		bed_close(&b);
	}
}

static void
test_head_busy(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	post_buf(&b, 3);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 1);
	use(&b, 0, 5);
	assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, N), 1);
	post(&b, 3); /* free again: fine */
	post(&b, 3);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 1);
	assert_int_equal(virtio_vdpa_relay_error(b.relay), VIRTIO_VDPA_RELAY_HEAD_BUSY);
	bed_close(&b);
}

static void
test_device_twice(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	post_buf(&b, 0);
	post_buf(&b, 1);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 2);
	use(&b, 0, 5);
	use(&b, 0, 5);
	assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, N), 1);
	assert_int_equal(virtio_vdpa_relay_error(b.relay), VIRTIO_VDPA_RELAY_DEV_BAD_ID);
	bed_close(&b);
}

static void
test_len_clamped(void **state)
{
	struct virtio_vdpa_relay_stats s;
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	post_buf(&b, 0);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 1);
	use(&b, 0, 101);
	assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, N), 1);
	assert_int_equal(b.used->ring[0].len, 100);
	virtio_vdpa_relay_stats_get(b.relay, &s);
	assert_int_equal(s.len_clamped, 1);
	bed_close(&b);
}

/* Tables of the ring's size fill the pool; that is no error, and nothing is skipped. */
static void
test_pool_full(void **state)
{
	struct virtio_vdpa_relay_stats s;
	uint16_t given = 0;
	uint32_t done = 0;
	unsigned int i;
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	/* Smaller than it is made, so that eight tables do not fit. */
	b.relay->pool_size = 4 * N;
	for (i = 0; i < N; i++)
		b.table[i] = (struct lm_vring_desc){ GPA + BUF_OFF + i, 1 + i, i + 1 < N ? NEXT : 0,
			(uint16_t)(i + 1) };
	for (i = 0; i < N; i++)
		b.desc[i] = (struct lm_vring_desc){ GPA + TABLE_OFF,
			16 * (i % 3 ? N : N - 1), INDIRECT,
			0 };
	b.table[N - 2].flags = 0;
	for (i = 0; i < 1000; i++) {
		while ((uint16_t)(b.avail->idx - b.used->idx) < N)
			post(&b, b.avail->idx % N);
		virtio_vdpa_relay_avail_burst(b.relay, N);
		assert_int_equal(virtio_vdpa_relay_error(b.relay), 0);
		assert_true(b.d_avail->idx != given);
		use(&b, given++, 0);
		done += virtio_vdpa_relay_used_burst(b.relay, N);
		assert_int_equal(b.used->ring[(uint16_t)(b.used->idx - 1) % N].id,
				(uint16_t)(b.used->idx - 1) % N);
	}
	virtio_vdpa_relay_stats_get(b.relay, &s);
	assert_int_equal(done, 1000);
	assert_true(s.full > 900);
	bed_close(&b);
}

/* 2^32 chains take a busy queue an hour. */
static void
test_counters_wrap(void **state)
{
	uint32_t i;
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	b.relay->first = UINT32_MAX - 2 * N + 1;
	for (i = 0; i < 4 * N; i++) {
		post_buf(&b, i % N);
		post_buf(&b, (i + 1) % N);
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 2);
		use(&b, (uint16_t)(2 * i + 1), 1);
		assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, N), 0);
		use(&b, (uint16_t)(2 * i), 1);
		assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, N), 2);
		assert_int_equal(virtio_vdpa_relay_error(b.relay), 0);
	}
	bed_close(&b);
}

/* "The index passes event": look at each step. */
static bool
naive_passes(uint16_t old, uint16_t now, uint16_t event)
{
	for (; old != now; old++)
		if (old == event)
			return true;
	return false;
}

static void
test_notify_rules(void **state)
{
	uint16_t old_g, now_g, old_d, now_d, event_g, event_d;
	unsigned int mode, round, i, n, seed = 9;
	bool kick, call, want_kick, want_call;
	struct bed b;

	(void)state;
	for (mode = 0; mode < 2; mode++) {
		bed_open(&b, 65530, mode == 1, true);
		for (round = 0; round < 70000; round++) {
			seed = seed * 1103515245u + 12345u;
			n = (seed >> 16) % (N + 1);
			event_d = (uint16_t)(b.d_avail->idx + (seed >> 20) % 12 - 4);
			event_g = (uint16_t)(b.used->idx + (seed >> 24) % 12 - 4);
			*lm_vring_avail_event(b.d_used, N) = event_d;
			*lm_vring_used_event(b.avail, N) = event_g;
			b.d_used->flags = seed >> 28 & 1;
			b.avail->flags = seed >> 29 & 1;
			old_d = b.d_avail->idx;
			old_g = b.used->idx;
			for (i = 0; i < n; i++)
				post_buf(&b, b.avail->idx % N);
			virtio_vdpa_relay_avail_burst(b.relay, N);
			now_d = b.d_avail->idx;
			kick = virtio_vdpa_relay_need_kick(b.relay);
			for (i = 0; i < n; i++)
				use(&b, (uint16_t)(old_d + i), 1);
			virtio_vdpa_relay_used_burst(b.relay, N);
			now_g = b.used->idx;
			call = virtio_vdpa_relay_need_call(b.relay);
			assert_int_equal((uint16_t)(now_g - old_g), n);
			want_kick = mode ? naive_passes(old_d, now_d, event_d) :
				n != 0 && b.d_used->flags == 0;
			want_call = mode ? naive_passes(old_g, now_g, event_g) :
				n != 0 && b.avail->flags == 0;
			assert_int_equal(kick, want_kick);
			assert_int_equal(call, want_call);
			assert_false(virtio_vdpa_relay_need_kick(b.relay));
			assert_false(virtio_vdpa_relay_need_call(b.relay));
		}
		bed_close(&b);
	}
}

static void
test_no_sleep_over_work(void **state)
{
	unsigned int mode;
	struct bed b;

	(void)state;
	for (mode = 0; mode < 2; mode++) {
		bed_open(&b, 65535, mode == 1, true);
		assert_true(virtio_vdpa_relay_sleep(b.relay));
		post_buf(&b, 0);
		post_buf(&b, 1);
		assert_false(virtio_vdpa_relay_sleep(b.relay));
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 2);
		assert_true(virtio_vdpa_relay_sleep(b.relay));
		use(&b, 0, 1);
		use(&b, 1, 1);
		assert_false(virtio_vdpa_relay_sleep(b.relay));
		assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 1), 1);
		assert_false(virtio_vdpa_relay_sleep(b.relay)); /* absorbed, not given back */
		assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 1), 1);
		assert_true(virtio_vdpa_relay_sleep(b.relay));
		bed_close(&b);
	}
}

/* An entry is ours, so the guest's last chain waits; room alone must wake the relay. */
static void
test_no_sleep_over_room(void **state)
{
	unsigned int i;
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	assert_int_equal(virtio_vdpa_relay_inject(b.relay, SHADOW_IOVA, 64), 0);
	assert_int_equal(virtio_vdpa_relay_inject(b.relay, SHADOW_IOVA, 64), -EBUSY);
	for (i = 0; i < N; i++)
		post_buf(&b, (uint16_t)i);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), N - 1);
	assert_true(virtio_vdpa_relay_sleep(b.relay));
	use(&b, 0, 0);
	assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, N), 1);
	assert_int_equal(b.used->idx, 0); /* the guest sees nothing of it */
	assert_false(virtio_vdpa_relay_sleep(b.relay));
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 1);
	assert_int_equal(virtio_vdpa_relay_inject(b.relay, SHADOW_IOVA, 64), -ENOSPC);
	bed_close(&b);
}

/* Only guest chains make holes: an announcement that went out does not cost a frame before it. */
static void
test_inject_is_no_hole(void **state)
{
	struct virtio_vdpa_relay_stats s;
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	post_buf(&b, 0);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, N), 1);
	assert_int_equal(virtio_vdpa_relay_inject(b.relay, SHADOW_IOVA, 64), 0);
	use(&b, 1, 0);
	assert_int_equal(virtio_vdpa_relay_quiesce(b.relay), 0);
	virtio_vdpa_relay_stats_get(b.relay, &s);
	assert_int_equal(s.holes, 0);
	bed_close(&b);
}

/* A function that works on the guest's own ring next would wait for a kick for ever. */
static void
test_quiesce_unsuppresses(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	assert_int_equal(b.used->flags, LM_VRING_USED_F_NO_NOTIFY);
	virtio_vdpa_relay_quiesce(b.relay);
	assert_int_equal(b.used->flags, 0);
	bed_close(&b);

	bed_open(&b, 100, true, true);
	*lm_vring_avail_event(b.used, N) = 50;
	post_buf(&b, 0);
	virtio_vdpa_relay_avail_burst(b.relay, N);
	virtio_vdpa_relay_set_log(b.relay, true);
	assert_int_equal(virtio_vdpa_relay_quiesce(b.relay), 100);
	assert_true(naive_passes(b.avail->idx, (uint16_t)(b.avail->idx + 1),
			*lm_vring_avail_event(b.used, N)));
	assert_true(b.log_words[(GPA + USED_OFF) >> 18] >> ((GPA + USED_OFF) >> 12 & 63) & 1);
	bed_close(&b);
}

static void
test_conf_checked(void **state)
{
	struct virtio_vdpa_relay_conf conf;
	struct virtio_vdpa_relay *r;
	struct bed b;

	(void)state;
	bed_open(&b, 0, false, true);
	conf = b.relay->conf;
	conf.size = 12;
	assert_int_equal(virtio_vdpa_relay_create(&conf, &r), -EINVAL);
	conf.size = N;
	conf.desc = b.ram + 8;
	assert_int_equal(virtio_vdpa_relay_create(&conf, &r), -EINVAL);
	conf.desc = b.desc;
	conf.used = b.ram + USED_OFF + 2;
	assert_int_equal(virtio_vdpa_relay_create(&conf, &r), -EINVAL);
	bed_close(&b);
}

/*
 * Guest, relay and device as threads that all sleep when they can. A signal lost anywhere stops
 * the whole; the wait says so. Catches: looking before asking, no second look, missing fences.
 */
#define ROUNDS 20000u
#define WAIT_MS 5000

struct party {
	struct bed bed;
	int kick, call, d_kick, d_call;
	bool event_idx;
	unsigned int spin;
	_Atomic bool end;
	_Atomic bool stuck;
};

static void
wait_any(struct party *p, int a, int b)
{
	struct pollfd fds[2] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };
	eventfd_t v;

	if (poll(fds, 2, WAIT_MS) == 0)
		atomic_store(&p->stuck, true);
	if (fds[0].revents & POLLIN)
		eventfd_read(a, &v);
	if (b >= 0 && fds[1].revents & POLLIN)
		eventfd_read(b, &v);
}

static void *
relay_thread(void *arg)
{
	struct party *p = arg;
	struct virtio_vdpa_relay *r = p->bed.relay;
	unsigned int n;

	while (!atomic_load(&p->end) && !atomic_load(&p->stuck)) {
		n = virtio_vdpa_relay_used_burst(r, 4);
		n += virtio_vdpa_relay_avail_burst(r, 4);
		if (virtio_vdpa_relay_need_call(r))
			eventfd_write(p->call, 1);
		if (virtio_vdpa_relay_need_kick(r))
			eventfd_write(p->d_kick, 1);
		if (n == 0 && virtio_vdpa_relay_sleep(r)) {
			wait_any(p, p->kick, p->d_call);
			virtio_vdpa_relay_wake(r);
		}
	}
	return NULL;
}

static bool
device_called(struct party *p, uint16_t old)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (p->event_idx)
		return naive_passes(old, p->bed.d_used->idx,
			lm_vring_load_relaxed(lm_vring_used_event(p->bed.d_avail, N)));
	return lm_vring_load_relaxed(&p->bed.d_avail->flags) == 0;
}

static void *
device_thread(void *arg)
{
	struct party *p = arg;
	struct bed *b = &p->bed;
	uint16_t idx, old;

	while (!atomic_load(&p->end) && !atomic_load(&p->stuck)) {
		idx = lm_vring_load_acquire(&b->d_avail->idx);
		old = b->d_used->idx;
		for (; b->d_seen != idx; b->d_seen++)
			use(b, b->d_seen, 1);
		if (b->d_used->idx != old && device_called(p, old))
			eventfd_write(p->d_call, 1);
		lm_vring_store_relaxed(lm_vring_avail_event(b->d_used, N), b->d_seen);
		atomic_thread_fence(memory_order_seq_cst);
		if (lm_vring_load_relaxed(&b->d_avail->idx) == b->d_seen)
			wait_any(p, p->d_kick, -1);
	}
	return NULL;
}

static void
guest_round(struct party *p, uint16_t n)
{
	struct bed *b = &p->bed;
	uint16_t old = b->avail->idx, want = (uint16_t)(old + n), i;
	volatile unsigned int spin;
	bool kick;

	/* Come at another moment each time: some come between the relay's look and its sleep. */
	for (spin = p->spin = (p->spin + 79) % 307; spin != 0; spin--)
		;
	lm_vring_store_relaxed(lm_vring_used_event(b->avail, N), (uint16_t)(want - 1));
	for (i = 0; i < n; i++)
		post_buf(b, b->avail->idx % N);
	atomic_thread_fence(memory_order_seq_cst);
	kick = p->event_idx ? naive_passes(old, want,
			lm_vring_load_relaxed(lm_vring_avail_event(b->used, N))) :
		lm_vring_load_relaxed(&b->used->flags) == 0;
	if (kick)
		eventfd_write(p->kick, 1);
	for (spin = 0; spin < 20000 && lm_vring_load_acquire(&b->used->idx) != want; spin++)
		;
	while (lm_vring_load_acquire(&b->used->idx) != want && !atomic_load(&p->stuck))
		wait_any(p, p->call, -1);
}

static void
test_no_lost_signal(void **state)
{
	pthread_t relay, device;
	unsigned int mode, i;
	eventfd_t all = 1;

	(void)state;
	for (mode = 0; mode < 2; mode++) {
		struct party p = { .event_idx = mode == 1 };

		bed_open(&p.bed, 65000, p.event_idx, true);
		p.kick = eventfd(0, 0);
		p.call = eventfd(0, 0);
		p.d_kick = eventfd(0, 0);
		p.d_call = eventfd(0, 0);
		assert_int_equal(pthread_create(&relay, NULL, relay_thread, &p), 0);
		assert_int_equal(pthread_create(&device, NULL, device_thread, &p), 0);
		for (i = 0; i < ROUNDS && !atomic_load(&p.stuck); i++)
			guest_round(&p, (uint16_t)(1 + i % N));
		atomic_store(&p.end, true);
		eventfd_write(p.kick, all);
		eventfd_write(p.d_kick, all);
		pthread_join(relay, NULL);
		pthread_join(device, NULL);
		assert_false(atomic_load(&p.stuck));
		assert_int_equal(virtio_vdpa_relay_error(p.bed.relay), 0);
		close(p.kick);
		close(p.call);
		close(p.d_kick);
		close(p.d_call);
		bed_close(&p.bed);
	}
}

/* Held at index 0: nothing beyond it reaches the device, and what is left can be given up. */
static void
test_hold(void **state)
{
	unsigned int i, given, held;
	struct virtio_vdpa_relay_stats stats;
	struct bed b;

	(void)state;
	for (given = 0; given <= 3; given++) {
		bed_open(&b, 65533, given % 2 == 0, true);
		virtio_vdpa_relay_hold(b.relay, true);
		assert_int_equal(virtio_vdpa_relay_to_wrap(b.relay), 3);
		for (i = 0; i < 5; i++)
			post_buf(&b, (uint16_t)i);
		assert_int_equal(virtio_vdpa_relay_held(b.relay), VIRTIO_VDPA_RELAY_PASSING);
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 3);
		assert_int_equal(b.d_avail->idx, 3);
		assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 0);
		assert_int_equal(virtio_vdpa_relay_held(b.relay), VIRTIO_VDPA_RELAY_HELD);
		assert_int_equal(virtio_vdpa_relay_to_wrap(b.relay), 0);
		/* What the guest has beyond is no reason to stay awake. */
		assert_true(virtio_vdpa_relay_sleep(b.relay));
		for (i = 0; i < given; i++)
			use(&b, (uint16_t)i, 10);
		assert_int_equal(virtio_vdpa_relay_used_burst(b.relay, 64), given);
		held = given == 3 ? VIRTIO_VDPA_RELAY_DRAINED : VIRTIO_VDPA_RELAY_HELD;
		assert_int_equal(virtio_vdpa_relay_held(b.relay), held);
		assert_int_equal(virtio_vdpa_relay_give_up(b.relay), 0);
		assert_int_equal(b.used->idx, 0);
		for (i = 0; i < 3; i++) {
			assert_int_equal(b.used->ring[(65533 + i) % N].id, i);
			assert_int_equal(b.used->ring[(65533 + i) % N].len, i < given ? 10 : 0);
		}
		virtio_vdpa_relay_stats_get(b.relay, &stats);
		assert_int_equal(stats.holes, 3 - given);
		bed_close(&b);
	}
	/* Logging begins meanwhile: it goes on. */
	bed_open(&b, 65535, false, true);
	virtio_vdpa_relay_hold(b.relay, true);
	post_buf(&b, 0);
	post_buf(&b, 1);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 1);
	virtio_vdpa_relay_hold(b.relay, false);
	assert_int_equal(virtio_vdpa_relay_avail_burst(b.relay, 64), 1);
	assert_int_equal(virtio_vdpa_relay_held(b.relay), VIRTIO_VDPA_RELAY_PASSING);
	bed_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_rings),
		cmocka_unit_test(test_head_busy),
		cmocka_unit_test(test_device_twice),
		cmocka_unit_test(test_len_clamped),
		cmocka_unit_test(test_pool_full),
		cmocka_unit_test(test_counters_wrap),
		cmocka_unit_test(test_notify_rules),
		cmocka_unit_test(test_no_sleep_over_work),
		cmocka_unit_test(test_no_sleep_over_room),
		cmocka_unit_test(test_inject_is_no_hole),
		cmocka_unit_test(test_quiesce_unsuppresses),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_conf_checked),
		cmocka_unit_test(test_no_lost_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
