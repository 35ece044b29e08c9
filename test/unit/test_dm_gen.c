/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Generator and checker: a fault of the path that the checker would not see, or would take for
 * another one; lost pace; sequence numbers that wrap.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dm_frame_if.h"
#include "dm_gen.h"
#include "dm_gen_hist.h"
#include "dm_gen_seq.h"
#include "dm_wire.h"

#define MS 1000000ull
#define SECOND 1000000000ull

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint8_t gen_mac[6] = DM_FRAME_GEN_MAC;

struct echo {
	uint32_t len;
	uint8_t data[2048];
};

static struct dm_gen_conf
conf_of(uint32_t rate, uint32_t low, uint32_t high, uint32_t flows)
{
	struct dm_gen_conf c = {
		.rate_pps = rate, .size_min_bytes = low, .size_max_bytes = high,
		.flows = flows, .burst = 64, .seed = 7,
	};

	memcpy(c.guest_mac, guest_mac, 6);
	return c;
}

static struct dm_gen *
gen_of(const struct dm_gen_conf *conf)
{
	struct dm_gen *g;

	assert_int_equal(dm_gen_create(conf, &g), 0);
	return g;
}

/* What the guest does: check the request, answer with everything swapped. */
static struct echo *
echo_of(const uint8_t *request, uint32_t len)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct dm_frame_desc d;

	assert_non_null(e);
	assert_int_equal(dm_frame_check(request, len, DM_FRAME_REQUEST, guest_mac, gen_mac, &d),
		DM_FRAME_GOOD);
	memcpy(e->data, request, len);
	e->len = len;
	dm_frame_echo(e->data, &d);
	return e;
}

static struct echo *
take(struct dm_gen *g, uint64_t now_ns)
{
	const uint8_t *frame;
	uint32_t len = dm_gen_peek(g, now_ns, &frame);
	struct echo *e;

	if (len == 0)
		return NULL;
	e = echo_of(frame, len);
	dm_gen_commit(g);
	return e;
}

static struct dm_gen_stats
stats_of(const struct dm_gen *g, uint64_t now_ns)
{
	struct dm_gen_stats s;

	dm_gen_stats_get(g, now_ns, &s);
	return s;
}

static uint64_t
next_random(uint64_t *state)
{
	return dm_frame_word(1, (*state)++, 0);
}

static void
test_conf(void **state)
{
	static const struct {
		const char *key, *value;
		int ret;
	} cases[] = {
		{ "rate", "10000", 0 }, { "rate", "", -EINVAL }, { "rate", "-1", -EINVAL },
		{ "rate", "4294967296", -EINVAL }, { "rate", "1k", -EINVAL },
		{ "size", "100", 0 }, { "size", "100-200", 0 }, { "size", "200-100", -EINVAL },
		{ "size", "100-", -EINVAL }, { "size", "-100", -EINVAL },
		{ "size", "1-2-3", -EINVAL },
		{ "mac", "52:54:00:00:00:01", 0 }, { "mac", "52:54:00:00:00:1", -EINVAL },
		{ "mac", "53:54:00:00:00:01", -EINVAL }, { "mac", "00:00:00:00:00:00", -EINVAL },
		{ "mac", "52:54:00:00:00:01:", -EINVAL }, { "mac", "52:54:00:00:00:0x", -EINVAL },
		{ "seed", "5", 0 }, { "burst", "1", 0 }, { "flows", "8", 0 },
		{ "none", "1", -ENOENT },
	};
	struct dm_gen_conf c, bad;
	struct dm_gen *g;
	size_t i;

	(void)state;
	dm_gen_conf_init(&c);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(dm_gen_conf_set(&c, cases[i].key, cases[i].value), cases[i].ret);
	assert_int_equal(c.rate_pps, 10000);
	assert_int_equal(c.size_min_bytes, 100);
	assert_int_equal(c.size_max_bytes, 200);
	bad = c;
	bad.size_min_bytes = DM_FRAME_LEN_MIN - 1;
	assert_int_equal(dm_gen_create(&bad, &g), -EINVAL);
	bad = c;
	bad.size_max_bytes = DM_FRAME_LEN_MAX + 1;
	assert_int_equal(dm_gen_create(&bad, &g), -EINVAL);
	bad = c;
	bad.flows = DM_GEN_FLOWS_MAX + 1;
	assert_int_equal(dm_gen_create(&bad, &g), -EINVAL);
	bad = c;
	bad.rate_pps = 0;
	assert_int_equal(dm_gen_create(&bad, &g), -EINVAL);
}

/* The rate holds over odd steps; after a pause only the burst is made up. */
static void
test_pace(void **state)
{
	const struct dm_gen_conf conf = conf_of(9973, 74, 74, 3);
	struct dm_gen *g = gen_of(&conf);
	uint64_t now = 5 * SECOND, sent = 0;
	struct echo *e;

	(void)state;
	assert_null(take(g, now)); /* not started */
	assert_int_equal(dm_gen_due_ns(g), UINT64_MAX);
	dm_gen_start(g, now);
	while (now < 15 * SECOND) {
		now += 173777;
		while ((e = take(g, now)) != NULL) {
			free(e);
			sent++;
		}
		assert_true(dm_gen_due_ns(g) > now);
		assert_true(dm_gen_due_ns(g) - now <= SECOND / conf.rate_pps + 1);
	}
	assert_in_range(sent, 9973 * 10 - 1, 9973 * 10 + 3);
	assert_int_equal(stats_of(g, now).sent, sent);

	now += 3600 * SECOND;
	for (sent = 0; (e = take(g, now)) != NULL; sent++)
		free(e);
	assert_int_equal(sent, conf.burst);
	now = dm_gen_due_ns(g);
	free(e = take(g, now));
	assert_non_null(e);
	dm_gen_stop(g, now);
	assert_null(take(g, now + SECOND));
	dm_gen_destroy(g);
}

/* Loss, duplicates, delays and hits, seeded; each total must be what was done, not near it. */
static void
test_faults(void **state)
{
	enum { WINDOW = 16, FRAMES = 20000 };
	const struct dm_gen_conf conf = conf_of(1000000, 74, 1514, 5);
	struct dm_gen *g = gen_of(&conf);
	struct echo *held[WINDOW] = { NULL };
	uint64_t top[5] = { 0 }, random = 42, now = SECOND;
	uint64_t lost = 0, duplicated = 0, corrupt = 0, reordered = 0, received = 0, sent = 0;
	unsigned int slot;

	(void)state;
	dm_gen_start(g, now);
	while (sent < FRAMES || received + lost + corrupt < sent) {
		struct echo *e;
		uint64_t fate, seq, flow;

		now += 1000;
		slot = (unsigned int)(next_random(&random) % WINDOW);
		e = held[slot];
		held[slot] = sent < FRAMES ? take(g, now) : NULL;
		sent += held[slot] != NULL;
		if (e == NULL)
			continue;
		fate = next_random(&random) % 16;
		flow = dm_frame_get(e->data + DM_FRAME_HDR_OFFSET + 6, 2);
		seq = dm_frame_get(e->data + DM_FRAME_HDR_OFFSET + 8, 8);
		if (fate == 0) {
			lost++;
		} else if (fate == 1) {
			e->data[next_random(&random) % e->len] ^= (uint8_t)(1u << fate % 8);
			assert_int_equal(dm_gen_check(g, e->data, e->len, now), DM_GEN_CORRUPT);
			corrupt++;
		} else {
			const bool late = seq + 1 < top[flow];

			assert_int_equal(dm_gen_check(g, e->data, e->len, now),
				late ? DM_GEN_REORDERED : DM_GEN_RECEIVED);
			received++;
			reordered += late;
			if (!late)
				top[flow] = seq + 1;
		}
		if (fate == 2) {
			assert_int_equal(dm_gen_check(g, e->data, e->len, now), DM_GEN_DUPLICATED);
			duplicated++;
		}
		free(e);
	}
	assert_true(lost > 0 && corrupt > 0 && duplicated > 0 && reordered > 0);
	assert_int_equal(stats_of(g, now).sent, FRAMES);
	assert_int_equal(stats_of(g, now).received, received);
	assert_int_equal(stats_of(g, now).corrupt, corrupt);
	assert_int_equal(stats_of(g, now).duplicated, duplicated);
	assert_int_equal(stats_of(g, now).reordered, reordered);
	assert_int_equal(stats_of(g, now).sent - received, lost + corrupt);
	dm_gen_destroy(g);
}

/* Each bit of each byte, with payloads that end at each place in a word. */
static void
test_every_byte(void **state)
{
	const struct dm_gen_conf conf = conf_of(1000000, 74, 110, 2);
	struct dm_gen *g = gen_of(&conf);
	uint64_t now = SECOND;
	uint32_t i, bit, n;

	(void)state;
	dm_gen_start(g, now);
	for (n = 0; n < 40; n++) {
		struct echo *e = take(g, now += 1000);

		for (i = 0; i < e->len; i++) {
			for (bit = 0; bit < 8; bit++) {
				e->data[i] ^= (uint8_t)(1u << bit);
				assert_int_equal(dm_gen_check(g, e->data, e->len, now),
					DM_GEN_CORRUPT);
				e->data[i] ^= (uint8_t)(1u << bit);
			}
			e->data[i] ^= 0xff;
			assert_int_equal(dm_gen_check(g, e->data, e->len, now), DM_GEN_CORRUPT);
			e->data[i] ^= 0xff;
		}
		for (i = DM_FRAME_HDR_OFFSET + 4; i < e->len; i++)
			assert_int_equal(dm_gen_check(g, e->data, i, now), DM_GEN_CORRUPT);
		assert_int_equal(dm_gen_check(g, e->data, e->len + 1, now), DM_GEN_CORRUPT);
		assert_int_equal(dm_gen_check(g, e->data, e->len, now), DM_GEN_RECEIVED);
		free(e);
	}
	dm_gen_destroy(g);
}

static void
test_foreign_and_unsent(void **state)
{
	static const uint8_t rarp[60] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x80, 0x35,
	};
	const struct dm_gen_conf conf = conf_of(1000, 74, 74, 2);
	struct dm_gen *g = gen_of(&conf);
	struct dm_frame_desc d = { .type = DM_FRAME_ECHO };
	uint8_t frame[DM_FRAME_LEN_MIN];

	(void)state;
	assert_int_equal(dm_gen_check(g, rarp, sizeof(rarp), SECOND), DM_GEN_FOREIGN);
	assert_int_equal(dm_gen_check(g, rarp, 0, SECOND), DM_GEN_FOREIGN);
	memcpy(d.dst_mac, gen_mac, 6);
	memcpy(d.src_mac, guest_mac, 6);
	dm_frame_build(frame, &d);
	assert_int_equal(dm_gen_check(g, frame, sizeof(frame), SECOND), DM_GEN_CORRUPT);
	d.flow = 2; /* one too many */
	dm_frame_build(frame, &d);
	assert_int_equal(dm_gen_check(g, frame, sizeof(frame), SECOND), DM_GEN_CORRUPT);
	d.flow = 0;
	d.type = DM_FRAME_REQUEST; /* our own, come back by a loop */
	dm_frame_build(frame, &d);
	assert_int_equal(dm_gen_check(g, frame, sizeof(frame), SECOND), DM_GEN_CORRUPT);
	assert_int_equal(stats_of(g, SECOND).received, 0);
	dm_gen_destroy(g);
}

static void
test_silence_and_reset(void **state)
{
	const struct dm_gen_conf conf = conf_of(1000, 74, 74, 1);
	struct dm_gen *g = gen_of(&conf);
	uint64_t now = SECOND, gap_begin;
	struct dm_gen_stats s;
	struct echo *e;
	int i;

	(void)state;
	dm_gen_start(g, now);
	/* None before the first. */
	assert_int_equal(stats_of(g, now + SECOND).longest_silence_ns, 0);
	for (i = 0; i < 200; i++, now += i == 100 ? 37 * MS : MS) {
		e = take(g, now);
		assert_int_equal(dm_gen_check(g, e->data, e->len, now + 10000), DM_GEN_RECEIVED);
		free(e);
	}
	gap_begin = SECOND + 99 * MS + 10000;
	s = stats_of(g, now);
	assert_int_equal(s.longest_silence_ns, 37 * MS);
	assert_int_equal(s.silence_begin_ns, gap_begin);
	assert_int_equal(s.latency_max_ns, 10000);
	assert_in_range(s.latency_p50_ns, 10000, 11250);
	s = stats_of(g, now + SECOND); /* a silence that still lasts counts */
	assert_int_equal(s.longest_silence_ns, SECOND + MS - 10000);

	e = take(g, now);
	dm_gen_stop(g, now);
	dm_gen_reset(g);
	assert_int_equal(dm_gen_check(g, e->data, e->len, now), DM_GEN_STALE);
	free(e);
	dm_gen_start(g, now);
	e = take(g, now);
	assert_int_equal(dm_gen_check(g, e->data, e->len, now + 5), DM_GEN_RECEIVED);
	free(e);
	s = stats_of(g, now + 5);
	assert_int_equal(s.sent, 1);
	assert_int_equal(s.received, 1);
	assert_int_equal(s.stale, 1);
	assert_int_equal(s.longest_silence_ns, 0);
	dm_gen_destroy(g);
}

/* The last sequence number is used once; after it the flow ends instead of starting again. */
static void
test_seq_end(void **state)
{
	static struct dm_gen_seq s;

	(void)state;
	s.next = s.base = s.above = DM_GEN_SEQ_CHUNK - 1;
	assert_int_equal(dm_gen_seq_reserve(&s), 0);
	s.next++;
	assert_int_equal(dm_gen_seq_reserve(&s), 0);
	s.next++;
	assert_int_equal(dm_gen_seq_mark(&s, DM_GEN_SEQ_CHUNK), DM_GEN_SEQ_IN_ORDER);
	assert_int_equal(dm_gen_seq_mark(&s, DM_GEN_SEQ_CHUNK - 1), DM_GEN_SEQ_LATE);
	assert_int_equal(dm_gen_seq_mark(&s, DM_GEN_SEQ_CHUNK - 1), DM_GEN_SEQ_DUPLICATE);
	assert_int_equal(dm_gen_seq_mark(&s, DM_GEN_SEQ_CHUNK), DM_GEN_SEQ_DUPLICATE);
	assert_int_equal(dm_gen_seq_mark(&s, DM_GEN_SEQ_CHUNK + 1), DM_GEN_SEQ_UNSENT);
	assert_int_equal(dm_gen_seq_mark(&s, UINT64_MAX), DM_GEN_SEQ_UNSENT);

	s.next = DM_GEN_SEQ_MAX - 1;
	dm_gen_seq_rebase(&s);
	assert_int_equal(dm_gen_seq_mark(&s, DM_GEN_SEQ_CHUNK), DM_GEN_SEQ_STALE);
	assert_int_equal(dm_gen_seq_reserve(&s), 0);
	s.next++;
	assert_int_equal(dm_gen_seq_mark(&s, DM_GEN_SEQ_MAX - 1), DM_GEN_SEQ_IN_ORDER);
	assert_int_equal(dm_gen_seq_reserve(&s), -ENOSPC);
	dm_gen_seq_rebase(&s);
	dm_gen_seq_free(&s);
}

static void
test_hist(void **state)
{
	static struct dm_gen_hist h;
	uint64_t random = 3, v;
	uint32_t i, index;

	(void)state;
	assert_int_equal(dm_gen_hist_quantile(&h, 500), 0);
	for (i = 0; i < 20000; i++) {
		v = next_random(&random) >> next_random(&random) % 64;
		index = dm_gen_hist_index(v);
		assert_true(index < DM_GEN_HIST_BUCKETS);
		assert_true(dm_gen_hist_top(index) >= v);
		assert_true(dm_gen_hist_top(index) - v <= v / 8);
		assert_true(index == 0 || dm_gen_hist_top(index - 1) < v);
	}
	assert_int_equal(dm_gen_hist_index(UINT64_MAX), DM_GEN_HIST_BUCKETS - 1);
	for (i = 1; i <= 1000; i++)
		dm_gen_hist_add(&h, i * 1000);
	assert_in_range(dm_gen_hist_quantile(&h, 500), 500000, 562500);
	assert_in_range(dm_gen_hist_quantile(&h, 990), 990000, 1000000);
	assert_int_equal(dm_gen_hist_quantile(&h, 1000), 1000000);
}

/* The wire starts by itself once it knows the guest, and checks what the guest sends. */
static void
test_wire(void **state)
{
	uint8_t hello[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct iovec iov = { .iov_base = hello, .iov_len = sizeof(hello) };
	struct dm_gen_stats s;
	const uint8_t *frame;
	struct dm_wire *w;
	struct echo *e;
	uint32_t len;

	(void)state;
	assert_int_equal(dm_wire_open("gen,rate", &w), -EINVAL);
	assert_int_equal(dm_wire_open("gen,rate=x", &w), -EINVAL);
	assert_int_equal(dm_wire_open("gen,none=1", &w), -EINVAL);
	assert_int_equal(dm_wire_open("gen,rate=1000,size=200-300,flows=2", &w), 0);
	assert_non_null(dm_wire_gen(w));
	assert_int_equal(dm_wire_peek(w, &frame), 0);
	memcpy(hello + 6, guest_mac, 6);
	assert_int_equal(dm_wire_send(w, &iov, 1), 0);
	while (!dm_gen_running(dm_wire_gen(w)))
		dm_wire_tick(w, 1);
	len = dm_wire_peek(w, &frame);
	assert_in_range(len, 200, 300);
	e = echo_of(frame, len);
	dm_wire_pop(w);
	iov = (struct iovec){ .iov_base = e->data, .iov_len = e->len };
	assert_int_equal(dm_wire_send(w, &iov, 1), 0);
	free(e);
	dm_gen_stats_get(dm_wire_gen(w), UINT64_MAX, &s);
	assert_int_equal(s.sent, 1);
	assert_int_equal(s.received, 1);
	dm_wire_close(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_foreign_and_unsent),
		cmocka_unit_test(test_silence_and_reset),
		cmocka_unit_test(test_seq_end),
		cmocka_unit_test(test_hist),
		cmocka_unit_test(test_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
