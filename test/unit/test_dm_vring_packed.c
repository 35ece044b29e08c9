/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Device side of packed rings against a driver that is written here, byte by byte, from VIRTIO
 * 1.3, 2.8: it shares no structure with the model. The size is no power of two.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_host.h"
#include "dm_vring.h"

#define RW (LM_VU_PROT_READ | LM_VU_PROT_WRITE)
#define RAM 0x100000u
#define RAM_BYTES 0x10000u
#define SIZE 7
#define DESC RAM
#define DRIVER (RAM + 0x1000)
#define DEVICE (RAM + 0x2000)
#define TABLE (RAM + 0x3000)
#define BUF (RAM + 0x4000)
#define F_NEXT 1
#define F_WRITE 2
#define F_INDIRECT 4
#define F_AVAIL 0x80
#define F_USED 0x8000

struct fixture {
	struct fake_host f;
	struct dm_vring vr;
	struct dm_chain chain;
	struct iovec iov[64];
	unsigned int avail; /* descriptors made available since the start */
	unsigned int used;  /* descriptors that the driver has seen used */
};

static void
start(struct fixture *x, bool event_idx, bool indirect, bool in_order)
{
	const struct dm_vring_conf conf = {
		.desc_iova = DESC, .driver_iova = DRIVER, .device_iova = DEVICE, .size = SIZE,
		.index = 3, .packed = true, .event_idx = event_idx, .indirect = indirect,
		.in_order = in_order,
	};

	memset(fake_at(&x->f, DESC, 16 * SIZE), 0, 16 * SIZE);
	put32(&x->f, DRIVER, 0);
	put32(&x->f, DEVICE, 0);
	x->avail = x->used = 0;
	dm_vring_start(&x->vr, &x->f.host, &conf);
	x->chain.iov = x->iov;
	x->chain.iov_max = 64;
}

static int
setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	fake_init(&x->f);
	fake_map(&x->f, RAM, RAM_BYTES, RW);
	start(x, false, true, false);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *x = *state;

	fake_fini(&x->f);
	free(x);
	return 0;
}

static void
desc_at(struct fixture *x, uint64_t table, unsigned int i, uint64_t addr, uint32_t len, uint16_t id,
		uint16_t flags)
{
	put64(&x->f, table + 16 * i, addr);
	put32(&x->f, table + 16 * i + 8, len);
	put16(&x->f, table + 16 * i + 12, id);
	put16(&x->f, table + 16 * i + 14, flags);
}

/* 2.8.1: odd laps have the counter at 1; the first lap is odd. */
static uint16_t
avail_flags(unsigned int nth)
{
	return nth / SIZE % 2 == 0 ? F_AVAIL : F_USED;
}

/* The nth descriptor since the start, not in order: what is offered first is written last. */
static void
offer_nth(struct fixture *x, unsigned int nth, uint64_t addr, uint32_t len, uint16_t id,
		uint16_t flags)
{
	desc_at(x, DESC, nth % SIZE, addr, len, id, flags | avail_flags(nth));
}

static void
offer(struct fixture *x, uint16_t id, uint16_t flags)
{
	offer_nth(x, x->avail++, BUF + 64 * id, 16, id, flags);
}

/* A list of nb descriptors, its name in the last. */
static void
offer_list(struct fixture *x, uint16_t id, unsigned int nb, uint16_t flags)
{
	unsigned int i;

	for (i = nb; i-- > 0;)
		offer_nth(x, x->avail + i, BUF + 64 * i, 16, i + 1 == nb ? id : 0x7777,
				flags | (i + 1 == nb ? 0 : F_NEXT));
	x->avail += nb;
}

static int
fetch(struct fixture *x)
{
	return dm_vring_fetch(&x->vr, &x->chain);
}

/* What the driver sees: a used element at its place, or none. */
static bool
seen(struct fixture *x, uint16_t *id, uint32_t *len, uint16_t *flags)
{
	unsigned int slot = x->used % SIZE;
	bool wrap = x->used / SIZE % 2 == 0;

	*flags = get16(&x->f, DESC + 16 * slot + 14);
	if (((*flags & F_AVAIL) != 0) != wrap || ((*flags & F_USED) != 0) != wrap)
		return false;
	*id = get16(&x->f, DESC + 16 * slot + 12);
	*len = get32(&x->f, DESC + 16 * slot + 8);
	return true;
}

static void
expect_used(struct fixture *x, uint16_t id, uint32_t len, unsigned int skip)
{
	uint16_t got_id, flags;
	uint32_t got_len;

	assert_true(seen(x, &got_id, &got_len, &flags));
	assert_int_equal(got_id, id);
	assert_int_equal((flags & F_WRITE) != 0, len != 0);
	if (len != 0)
		assert_int_equal(got_len, len);
	x->used += skip;
}

static void
expect_nothing(struct fixture *x)
{
	uint16_t id, flags;
	uint32_t len;

	assert_false(seen(x, &id, &len, &flags));
}

static void
expect_broken(struct fixture *x, enum dm_rule rule)
{
	uint8_t before[16 * SIZE];
	uint8_t *ring = fake_at(&x->f, DESC, sizeof(before));

	memcpy(before, ring, sizeof(before));
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.count[rule], 1);
	assert_int_equal(x->f.rules.total, 1);
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.total, 1);
	dm_vring_push(&x->vr, &x->chain, 1);
	assert_false(dm_vring_publish(&x->vr));
	assert_memory_equal(ring, before, sizeof(before));
}

static void
test_list(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(fetch(x), 0);
	offer_nth(x, 1, BUF + 100, 0, 1, F_NEXT);
	offer_nth(x, 2, BUF + 300, 40, 2, F_WRITE | F_NEXT);
	offer_nth(x, 3, BUF + 400, 1, 5, F_WRITE);
	assert_int_equal(fetch(x), 0);
	offer_nth(x, 0, BUF, 12, 0, F_NEXT);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.head, 5);
	assert_int_equal(x->chain.slots, 4);
	assert_int_equal(x->chain.nb_read, 1);
	assert_int_equal(x->chain.nb_write, 2);
	assert_int_equal(x->chain.read_bytes, 12);
	assert_int_equal(x->chain.write_bytes, 41);
	assert_ptr_equal(x->iov[2].iov_base, fake_at(&x->f, BUF + 400, 1));
	assert_int_equal(fetch(x), 0);

	dm_vring_push(&x->vr, &x->chain, 41);
	expect_nothing(x);
	assert_true(dm_vring_publish(&x->vr));
	expect_used(x, 5, 41, 4);
	assert_false(dm_vring_publish(&x->vr));
	expect_nothing(x);
	assert_int_equal(x->f.rules.total, 0);
}

/* Lists of one to SIZE descriptors, over the ring's end at each place: every lap must match. */
static void
test_laps(void **state)
{
	struct fixture *x = *state;
	unsigned int round, nb;

	for (round = 0; round < 2000; round++) {
		nb = 1 + round * 5 % SIZE;
		offer_list(x, round % SIZE, nb, F_WRITE);
		assert_int_equal(fetch(x), 1);
		assert_int_equal(x->chain.head, round % SIZE);
		assert_int_equal(x->chain.slots, nb);
		assert_int_equal(fetch(x), 0);
		dm_vring_push(&x->vr, &x->chain, 1 + round);
		assert_true(dm_vring_publish(&x->vr));
		expect_used(x, round % SIZE, 1 + round, nb);
		assert_int_equal(dm_vring_used_idx(&x->vr), x->used % SIZE |
				(x->used / SIZE % 2 == 0 ? 0x8000 : 0));
	}
	assert_int_equal(x->f.rules.total, 0);
}

/* 2.8.9: of several elements the first becomes visible last. */
static void
test_first_is_last(void **state)
{
	struct fixture *x = *state;
	struct dm_chain chains[3];
	struct iovec iov[3];
	int i;

	offer_list(x, 0, 2, F_WRITE);
	offer(x, 1, F_WRITE);
	offer(x, 2, 0);
	for (i = 0; i < 3; i++) {
		chains[i].iov = iov;
		chains[i].iov_max = 3;
		assert_int_equal(dm_vring_fetch(&x->vr, &chains[i]), 1);
	}
	for (i = 0; i < 3; i++) {
		dm_vring_push(&x->vr, &chains[i], i == 2 ? 0 : 8);
		expect_nothing(x);
	}
	assert_int_equal(get16(&x->f, DESC + 16 * 2 + 14), F_AVAIL | F_USED | F_WRITE);
	assert_true(dm_vring_publish(&x->vr));
	expect_used(x, 0, 8, 2);
	expect_used(x, 1, 8, 1);
	expect_used(x, 2, 0, 1);
	expect_nothing(x);
}

/* 2.8.8: one element for read-only chains that become visible together, at the first's place. */
static void
test_in_order(void **state)
{
	struct fixture *x = *state;
	unsigned int round, i;

	start(x, false, false, true);
	for (round = 0; round < 50; round++) {
		offer_list(x, 4, 2, 0);
		offer(x, 2, 0);
		offer(x, 6, F_WRITE);
		offer(x, 0, 0);
		offer(x, 3, 0);
		for (i = 0; i < 5; i++) {
			assert_int_equal(fetch(x), 1);
			dm_vring_push(&x->vr, &x->chain, i == 2 ? 5 : 0);
		}
		expect_nothing(x);
		assert_true(dm_vring_publish(&x->vr));
		expect_used(x, 2, 0, 3); /* stands for 4 too */
		expect_used(x, 6, 5, 1);
		expect_used(x, 3, 0, 2); /* stands for 0 too */
		expect_nothing(x);
	}
	assert_int_equal(x->f.rules.total, 0);
}

static void
test_unfetch(void **state)
{
	struct fixture *x = *state;
	struct dm_chain chains[2];
	struct iovec iov[4];
	unsigned int round;
	int i;

	for (round = 0; round < 20; round++) {
		offer_list(x, 3, 3, F_WRITE);
		offer(x, 1, F_WRITE);
		for (i = 0; i < 2; i++) {
			chains[i].iov = iov;
			chains[i].iov_max = 4;
			assert_int_equal(dm_vring_fetch(&x->vr, &chains[i]), 1);
		}
		dm_vring_unfetch(&x->vr, chains, 2);
		for (i = 0; i < 2; i++) {
			assert_int_equal(fetch(x), 1);
			assert_int_equal(x->chain.head, i == 0 ? 3 : 1);
			dm_vring_push(&x->vr, &x->chain, 1);
		}
		assert_int_equal(fetch(x), 0);
		dm_vring_publish(&x->vr);
		expect_used(x, 3, 1, 3);
		expect_used(x, 1, 1, 1);
	}
	assert_int_equal(x->f.rules.total, 0);
}

static void
test_indirect(void **state)
{
	struct fixture *x = *state;

	/* The holder's WRITE, and ids in the table, say nothing (2.8.7). */
	offer_nth(x, 0, TABLE, 3 * 16, 4, F_INDIRECT | F_WRITE);
	desc_at(x, TABLE, 0, BUF + 64, 100, 9, 0);
	desc_at(x, TABLE, 1, BUF + 256, 7, 0xffff, F_WRITE);
	desc_at(x, TABLE, 2, BUF + 512, 9, 0, F_WRITE);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.head, 4);
	assert_int_equal(x->chain.slots, 1);
	assert_int_equal(x->chain.read_bytes, 100);
	assert_int_equal(x->chain.write_bytes, 16);
	assert_int_equal(x->f.rules.total, 0);
	dm_vring_push(&x->vr, &x->chain, 16);
	dm_vring_publish(&x->vr);
	expect_used(x, 4, 16, 1);

	/* Other flags are ignored, and counted. */
	desc_at(x, TABLE, 0, BUF, 16, 0, F_NEXT | F_AVAIL);
	offer_nth(x, 1, TABLE, 16, 4, F_INDIRECT);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.read_bytes, 16);
	assert_int_equal(x->f.rules.count[DM_RULE_INDIRECT_FLAGS], 1);
	assert_int_equal(x->f.rules.total, 1);
}

static void
test_indirect_off(void **state)
{
	struct fixture *x = *state;

	start(x, false, false, false);
	offer_nth(x, 0, TABLE, 16, 0, F_INDIRECT);
	expect_broken(x, DM_RULE_INDIRECT_OFF);
}

static void
test_indirect_nested(void **state)
{
	struct fixture *x = *state;

	desc_at(x, TABLE, 0, TABLE, 16, 0, F_INDIRECT);
	offer_nth(x, 0, TABLE, 16, 0, F_INDIRECT);
	expect_broken(x, DM_RULE_INDIRECT_NESTED);
}

static void
test_indirect_next(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 1, BUF, 16, 0, 0);
	offer_nth(x, 0, TABLE, 16, 0, F_INDIRECT | F_NEXT);
	expect_broken(x, DM_RULE_INDIRECT_NEXT);
}

static void
test_indirect_in_list(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 1, TABLE, 16, 0, F_INDIRECT);
	offer_nth(x, 0, BUF, 16, 0, F_NEXT);
	expect_broken(x, DM_RULE_INDIRECT_NEXT);
}

static void
test_indirect_bad_length(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 0, TABLE, 40, 0, F_INDIRECT);
	expect_broken(x, DM_RULE_INDIRECT_LENGTH);
}

static void
test_indirect_too_long(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 0, TABLE, 16 * (SIZE + 1), 0, F_INDIRECT);
	expect_broken(x, DM_RULE_DESC_LOOP);
}

static void
test_indirect_unmapped(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 0, RAM + RAM_BYTES - 16, 32, 0, F_INDIRECT);
	expect_broken(x, DM_RULE_DMA_UNMAPPED);
}

/* All of the ring's descriptors say that another one follows. */
static void
test_loop(void **state)
{
	struct fixture *x = *state;
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		offer_nth(x, i, BUF, 16, 0, F_NEXT);
	expect_broken(x, DM_RULE_DESC_LOOP);
}

/* The first of a list before the second: what lies there may be anything. */
static void
test_partial_list(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 0, BUF, 16, 0, F_NEXT);
	expect_broken(x, DM_RULE_DESC_AVAIL);
}

/* A descriptor given anew while the device has it. */
static void
test_overrun(void **state)
{
	struct fixture *x = *state;
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		offer(x, i, F_WRITE);
	for (i = 0; i < SIZE; i++)
		assert_int_equal(fetch(x), 1);
	assert_int_equal(fetch(x), 0);
	dm_vring_push(&x->vr, &x->chain, 1); /* used, but not shown */
	offer(x, 0, F_WRITE);
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.count[DM_RULE_AVAIL_JUMP], 1);
}

static void
test_id_range(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 0, BUF, 16, SIZE, F_WRITE);
	expect_broken(x, DM_RULE_DESC_ID);
}

static void
test_id_twice(void **state)
{
	struct fixture *x = *state;

	offer(x, 4, F_WRITE);
	offer(x, 4, F_WRITE);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.count[DM_RULE_DESC_ID], 1);
}

static void
test_order(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 1, BUF, 16, 0, 0);
	offer_nth(x, 0, BUF, 16, 0, F_NEXT | F_WRITE);
	expect_broken(x, DM_RULE_DESC_ORDER);
}

static void
test_unmapped(void **state)
{
	struct fixture *x = *state;

	offer_nth(x, 0, RAM + RAM_BYTES - 8, 16, 0, F_WRITE);
	expect_broken(x, DM_RULE_DMA_UNMAPPED);
}

static void
test_bus_master(void **state)
{
	struct fixture *x = *state;

	x->f.host.bus_master = false;
	offer(x, 0, F_WRITE);
	expect_broken(x, DM_RULE_DMA_BUS_MASTER);
}

/* A ring whose mapping went away is not touched through the old pointer (ASan sees it). */
static void
test_ring_unmapped(void **state)
{
	struct fixture *x = *state;

	offer(x, 0, F_WRITE);
	assert_int_equal(fetch(x), 1);
	fake_fini(&x->f);
	x->f.host.dma_epoch++;
	dm_vring_push(&x->vr, &x->chain, 16);
	assert_false(dm_vring_publish(&x->vr));
	assert_true(dm_vring_notify_on(&x->vr));
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.count[DM_RULE_DMA_UNMAPPED], 1);
}

static void
turn(struct fixture *x, bool irq)
{
	offer(x, 0, F_WRITE);
	assert_int_equal(fetch(x), 1);
	dm_vring_push(&x->vr, &x->chain, 1);
	assert_int_equal(dm_vring_publish(&x->vr), irq);
	x->used++;
}

static void
test_flags(void **state)
{
	struct fixture *x = *state;

	turn(x, true);
	put16(&x->f, DRIVER + 2, 1); /* DISABLE */
	turn(x, false);
	put16(&x->f, DRIVER + 2, 2); /* DESC without EVENT_IDX: rather once too often */
	turn(x, true);
	assert_int_equal(x->f.rules.count[DM_RULE_EVENT], 1);

	put16(&x->f, DRIVER + 2, 0);
	dm_vring_notify_off(&x->vr);
	assert_int_equal(get16(&x->f, DEVICE + 2), 1);
	assert_true(dm_vring_notify_on(&x->vr));
	assert_int_equal(get32(&x->f, DEVICE), 0);
	offer(x, 0, F_WRITE);
	assert_false(dm_vring_notify_on(&x->vr));
}

static void
test_event_nonsense(void **state)
{
	struct fixture *x = *state;

	start(x, true, true, false);
	put16(&x->f, DRIVER, 0x8000 | SIZE); /* outside the ring */
	put16(&x->f, DRIVER + 2, 2);
	turn(x, true);
	put16(&x->f, DRIVER, 0x8000);
	put16(&x->f, DRIVER + 2, 3);
	turn(x, true);
	put16(&x->f, DRIVER + 2, 0x102);
	turn(x, true);
	assert_int_equal(x->f.rules.count[DM_RULE_EVENT], 3);
	assert_int_equal(x->f.rules.total, 3);
}

/* 2.8.10 counted out: an interrupt iff the event's descriptor is among those just shown. */
static void
test_event_idx(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 1;
	unsigned int round;

	start(x, true, true, false);
	put16(&x->f, DRIVER + 2, 2);
	for (round = 0; round < 40000; round++) {
		unsigned int nb, event, i, wrap;
		bool among = false;

		seed = seed * 1103515245 + 12345;
		nb = 1 + (seed >> 16) % SIZE;
		/* From the lap before to the one after. */
		event = x->used + SIZE - (seed >> 20) % (2 * SIZE);
		if (x->used < SIZE)
			event = x->used;
		wrap = event / SIZE % 2 == 0 ? 0x8000 : 0;
		put16(&x->f, DRIVER, (uint16_t)(event % SIZE | wrap));
		for (i = 0; i < nb; i++) {
			offer(x, i, F_WRITE);
			among |= x->used + i == event;
		}
		for (i = 0; i < nb; i++) {
			assert_int_equal(fetch(x), 1);
			dm_vring_push(&x->vr, &x->chain, 16);
		}
		x->used += nb;
		assert_int_equal(dm_vring_publish(&x->vr), among);
		assert_true(dm_vring_notify_on(&x->vr));
		/* The next descriptor that the driver will fill, and its lap. */
		assert_int_equal(get16(&x->f, DEVICE), x->avail % SIZE |
				(x->avail / SIZE % 2 == 0 ? 0x8000 : 0));
		assert_int_equal(get16(&x->f, DEVICE + 2), 2);
	}
	assert_int_equal(x->f.rules.total, 0);
}

static bool
inside(struct fixture *x, const struct iovec *iov)
{
	const uint8_t *p = iov->iov_base;

	return p >= x->f.maps[0].ptr && p + iov->iov_len <= x->f.maps[0].ptr + RAM_BYTES;
}

/* Hostile rings: whatever is in memory, every buffer handed out lies in a mapping. */
static void
test_garbage(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 42;
	unsigned int fetched = 0;
	unsigned int round, i, lap;

	for (round = 0; round < 20000; round++) {
		start(x, (round & 1) != 0, (round & 2) != 0, (round & 4) != 0);
		for (lap = 0; lap < 3; lap++) {
			for (i = 0; i < 2 * SIZE; i++) {
				uint32_t r = seed = seed * 1664525 + 1013904223;
				uint32_t s = seed = seed * 1664525 + 1013904223;

				desc_at(x, i < SIZE ? DESC : TABLE, i % SIZE,
						(r >> 9 & 7) == 0 ? (uint64_t)s << 20 :
						RAM + (s >> 8) % (RAM_BYTES + 64),
						(s & 3) == 0 ? 32 : s % 160,
						(r >> 12) % (SIZE + 1), (r >> 16 & 0x7) |
						(uint16_t)((r >> 24 & 3) == 0 ? r >> 16 :
						lap % 2 == 0 ? F_AVAIL : F_USED));
			}
			while (fetch(x) == 1) {
				fetched++;
				for (i = 0; i < x->chain.nb_read + x->chain.nb_write; i++)
					assert_true(inside(x, &x->iov[i]));
				dm_vring_push(&x->vr, &x->chain, x->chain.nb_write);
			}
			dm_vring_publish(&x->vr);
			dm_vring_notify_on(&x->vr);
		}
	}
	/* Enough of them were good for the loop above to mean something. */
	assert_true(fetched > 1000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_list), T(test_laps), T(test_first_is_last), T(test_in_order),
		T(test_unfetch), T(test_indirect), T(test_indirect_off), T(test_indirect_nested),
		T(test_indirect_next), T(test_indirect_in_list), T(test_indirect_bad_length),
		T(test_indirect_too_long), T(test_indirect_unmapped), T(test_loop),
		T(test_partial_list), T(test_overrun), T(test_id_range), T(test_id_twice),
		T(test_order), T(test_unmapped), T(test_bus_master), T(test_ring_unmapped),
		T(test_flags), T(test_event_nonsense), T(test_event_idx), T(test_garbage),
	};

	return cmocka_run_group_tests_name("dm_vring_packed", tests, NULL, NULL);
}
