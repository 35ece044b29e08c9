/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Device side of split rings against a driver that is written here, byte by byte, from VIRTIO
 * 1.3, 2.7: it shares no structure with the model.
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
#define RAM 0x100000u       /* 64 KiB, then 64 KiB more in another allocation */
#define RAM2 0x110000u
#define ROM 0x200000u       /* readable only */
#define RAM_BYTES 0x10000u
#define SIZE 8
#define DESC (RAM + 0x0000)
#define AVAIL (RAM + 0x1000)
#define USED (RAM + 0x2000)
#define TABLE (RAM + 0x3000)
#define BUF (RAM + 0x4000)
#define F_NEXT 1
#define F_WRITE 2
#define F_INDIRECT 4

struct fixture {
	struct fake_host f;
	struct dm_vring vr;
	struct dm_chain chain;
	struct iovec iov[64];
	uint16_t avail_idx;
};

static void
start(struct fixture *x, bool event_idx, bool indirect)
{
	const struct dm_vring_conf conf = {
		.desc_iova = DESC, .driver_iova = AVAIL, .device_iova = USED,
		.size = SIZE, .index = 3, .event_idx = event_idx, .indirect = indirect,
	};

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
	fake_map(&x->f, RAM2, RAM_BYTES, RW);
	fake_map(&x->f, ROM, 0x1000, LM_VU_PROT_READ);
	start(x, false, true);
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
desc_at(struct fixture *x, uint64_t table, unsigned int i, uint64_t addr, uint32_t len,
		uint16_t flags, uint16_t next)
{
	put64(&x->f, table + 16 * i, addr);
	put32(&x->f, table + 16 * i + 8, len);
	put16(&x->f, table + 16 * i + 12, flags);
	put16(&x->f, table + 16 * i + 14, next);
}

static void
desc(struct fixture *x, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	desc_at(x, DESC, i, addr, len, flags, next);
}

static void
offer(struct fixture *x, uint16_t head)
{
	put16(&x->f, AVAIL + 4 + 2 * (x->avail_idx % SIZE), head);
	x->avail_idx++;
	put16(&x->f, AVAIL + 2, x->avail_idx);
}

static int
fetch(struct fixture *x)
{
	return dm_vring_fetch(&x->vr, &x->chain);
}

static void
expect_broken(struct fixture *x, enum dm_rule rule)
{
	uint8_t *used = fake_at(&x->f, USED, 6 + 8 * SIZE);
	uint8_t before[6 + 8 * SIZE];

	memcpy(before, used, sizeof(before));
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.count[rule], 1);
	assert_int_equal(x->f.rules.total, 1);
	/* It stays so, says it once, and writes nothing. */
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.total, 1);
	dm_vring_push(&x->vr, &x->chain, 1);
	assert_false(dm_vring_publish(&x->vr));
	assert_memory_equal(used, before, sizeof(before));
}

static void
test_chain(void **state)
{
	struct fixture *x = *state;

	desc(x, 5, BUF, 12, F_NEXT, 2);
	desc(x, 2, BUF + 100, 0, F_NEXT, 7);
	desc(x, 7, ROM, 0x1000, F_NEXT, 0);
	desc(x, 0, BUF + 300, 40, F_WRITE | F_NEXT, 1);
	desc(x, 1, BUF + 400, 1, F_WRITE, 6);
	assert_int_equal(fetch(x), 0);
	offer(x, 5);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.head, 5);
	assert_int_equal(x->chain.nb_read, 2);
	assert_int_equal(x->chain.nb_write, 2);
	assert_int_equal(x->chain.read_bytes, 12 + 0x1000);
	assert_int_equal(x->chain.write_bytes, 41);
	assert_ptr_equal(x->iov[0].iov_base, fake_at(&x->f, BUF, 12));
	assert_ptr_equal(x->iov[1].iov_base, fake_at(&x->f, ROM, 1));
	assert_ptr_equal(x->iov[3].iov_base, fake_at(&x->f, BUF + 400, 1));
	assert_int_equal(fetch(x), 0);

	dm_vring_push(&x->vr, &x->chain, 41);
	assert_int_equal(get16(&x->f, USED + 2), 0);
	assert_true(dm_vring_publish(&x->vr));
	assert_int_equal(get16(&x->f, USED + 2), 1);
	assert_int_equal(get32(&x->f, USED + 4), 5);
	assert_int_equal(get32(&x->f, USED + 8), 41);
	assert_false(dm_vring_publish(&x->vr));
	assert_int_equal(x->f.rules.total, 0);
}

/* A buffer over the border of two mappings comes in two pieces; past the second it is refused. */
static void
test_mapping_border(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, RAM2 - 10, 30, F_WRITE, 0);
	offer(x, 0);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.nb_write, 2);
	assert_int_equal(x->iov[0].iov_len, 10);
	assert_int_equal(x->iov[1].iov_len, 20);
	assert_ptr_equal(x->iov[1].iov_base, fake_at(&x->f, RAM2, 20));

	desc(x, 0, RAM2 + RAM_BYTES - 10, 11, F_WRITE, 0);
	offer(x, 0);
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.count[DM_RULE_DMA_UNMAPPED], 1);
}

static void
test_indirect(void **state)
{
	struct fixture *x = *state;

	/* A plain descriptor, then a table whose own WRITE flag says nothing (2.7.5.3.2). */
	desc(x, 4, BUF, 12, F_NEXT, 6);
	desc(x, 6, TABLE, 3 * 16, F_INDIRECT | F_WRITE, 0);
	desc_at(x, TABLE, 0, BUF + 64, 100, F_NEXT, 2);
	desc_at(x, TABLE, 2, BUF + 256, 7, F_NEXT | F_WRITE, 1);
	desc_at(x, TABLE, 1, BUF + 512, 9, F_WRITE, 0);
	offer(x, 4);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.head, 4);
	assert_int_equal(x->chain.read_bytes, 112);
	assert_int_equal(x->chain.write_bytes, 16);
	assert_int_equal(x->f.rules.total, 0);
}

/* As many buffers as the queue has entries are allowed in a table, one more is not. */
static void
test_indirect_length(void **state)
{
	struct fixture *x = *state;
	unsigned int i;

	for (i = 0; i <= SIZE; i++)
		desc_at(x, TABLE, i, BUF + 64 * i, 1, i + 1 < SIZE ? F_NEXT : 0, i + 1);
	desc(x, 0, TABLE, (SIZE + 1) * 16, F_INDIRECT, 0);
	offer(x, 0);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.nb_read, SIZE);
	desc_at(x, TABLE, SIZE - 1, BUF, 1, F_NEXT, SIZE);
	offer(x, 0);
	expect_broken(x, DM_RULE_DESC_LOOP);
}

static void
test_indirect_off(void **state)
{
	struct fixture *x = *state;

	start(x, false, false);
	desc(x, 0, TABLE, 16, F_INDIRECT, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_INDIRECT_OFF);
}

static void
test_indirect_nested(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, TABLE, 16, F_INDIRECT, 0);
	desc_at(x, TABLE, 0, TABLE, 16, F_INDIRECT, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_INDIRECT_NESTED);
}

static void
test_indirect_next(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, TABLE, 16, F_INDIRECT | F_NEXT, 1);
	offer(x, 0);
	expect_broken(x, DM_RULE_INDIRECT_NEXT);
}

static void
test_indirect_bad_length(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, TABLE, 24, F_INDIRECT, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_INDIRECT_LENGTH);
}

static void
test_indirect_zero_length(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, TABLE, 0, F_INDIRECT, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_INDIRECT_LENGTH);
}

static void
test_indirect_unmapped(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, RAM2 + RAM_BYTES - 16, 32, F_INDIRECT, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_DMA_UNMAPPED);
}

static void
test_indirect_next_range(void **state)
{
	struct fixture *x = *state;

	/* 2 is inside the queue, but outside the table. */
	desc(x, 0, TABLE, 32, F_INDIRECT, 0);
	desc_at(x, TABLE, 0, BUF, 16, F_NEXT, 2);
	offer(x, 0);
	expect_broken(x, DM_RULE_DESC_NEXT);
}

static void
test_avail_jump(void **state)
{
	struct fixture *x = *state;

	put16(&x->f, AVAIL + 2, SIZE + 1);
	expect_broken(x, DM_RULE_AVAIL_JUMP);
}

static void
test_avail_back(void **state)
{
	struct fixture *x = *state;

	put16(&x->f, AVAIL + 2, 0xffff);
	expect_broken(x, DM_RULE_AVAIL_JUMP);
}

static void
test_head_range(void **state)
{
	struct fixture *x = *state;

	offer(x, SIZE);
	expect_broken(x, DM_RULE_AVAIL_HEAD);
}

static void
test_next_range(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, BUF, 16, F_NEXT, SIZE);
	offer(x, 0);
	expect_broken(x, DM_RULE_DESC_NEXT);
}

static void
test_loop(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, BUF, 16, F_NEXT, 1);
	desc(x, 1, BUF, 16, F_NEXT, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_DESC_LOOP);
}

static void
test_loop_of_nothing(void **state)
{
	struct fixture *x = *state;

	desc(x, 3, BUF, 0, F_NEXT, 3);
	offer(x, 3);
	expect_broken(x, DM_RULE_DESC_LOOP);
}

static void
test_order(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, BUF, 16, F_NEXT | F_WRITE, 1);
	desc(x, 1, BUF, 16, 0, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_DESC_ORDER);
}

static void
test_too_long(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, RAM, 16, F_NEXT, 1);
	desc(x, 1, BUF, UINT32_MAX, 0, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_DESC_TOO_LONG);
}

static void
test_address_wrap(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, UINT64_MAX - 7, 16, F_WRITE, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_DMA_UNMAPPED);
}

static void
test_write_to_read_only(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, ROM, 16, F_WRITE, 0);
	offer(x, 0);
	expect_broken(x, DM_RULE_DMA_UNMAPPED);
}

static void
test_bus_master(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, BUF, 16, F_WRITE, 0);
	offer(x, 0);
	assert_int_equal(fetch(x), 1);
	x->f.host.bus_master = false;
	offer(x, 0);
	expect_broken(x, DM_RULE_DMA_BUS_MASTER);
}

/* A ring whose mapping went away is not touched through the old pointer (ASan sees it). */
static void
test_ring_unmapped(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, BUF, 16, F_WRITE, 0);
	offer(x, 0);
	assert_int_equal(fetch(x), 1);
	fake_fini(&x->f);
	x->f.host.dma_epoch++;
	dm_vring_push(&x->vr, &x->chain, 16);
	assert_false(dm_vring_publish(&x->vr));
	assert_int_equal(fetch(x), -EIO);
	assert_int_equal(x->f.rules.count[DM_RULE_DMA_UNMAPPED], 1);
}

static void
test_unfetch(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, BUF, 16, F_WRITE, 0);
	desc(x, 1, BUF, 32, F_WRITE, 0);
	offer(x, 0);
	offer(x, 1);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(fetch(x), 1);
	dm_vring_unfetch(&x->vr, &x->chain, 2);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.head, 0);
	assert_int_equal(fetch(x), 1);
	assert_int_equal(x->chain.head, 1);
	assert_int_equal(fetch(x), 0);
}

static void
test_flags(void **state)
{
	struct fixture *x = *state;

	desc(x, 0, BUF, 16, F_WRITE, 0);
	offer(x, 0);
	assert_int_equal(fetch(x), 1);
	put16(&x->f, AVAIL, 1); /* NO_INTERRUPT */
	dm_vring_push(&x->vr, &x->chain, 1);
	assert_false(dm_vring_publish(&x->vr));
	put16(&x->f, AVAIL, 0);
	dm_vring_push(&x->vr, &x->chain, 1);
	assert_true(dm_vring_publish(&x->vr));

	dm_vring_notify_off(&x->vr);
	assert_int_equal(get16(&x->f, USED), 1); /* NO_NOTIFY */
	assert_true(dm_vring_notify_on(&x->vr));
	assert_int_equal(get16(&x->f, USED), 0);
	offer(x, 0);
	assert_false(dm_vring_notify_on(&x->vr));
}

/* 2.7.7.1 counted out: an interrupt iff used_event is among the entries just shown. */
static bool
event_among(uint16_t event, uint16_t first, uint16_t nb)
{
	uint16_t i;

	for (i = 0; i < nb; i++)
		if ((uint16_t)(first + i) == event)
			return true;
	return false;
}

static void
test_event_idx(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 1;
	uint16_t used = 0;
	uint32_t round;

	start(x, true, true);
	desc(x, 0, BUF, 16, F_WRITE, 0);
	/* Far enough to wrap the 16-bit indices. */
	for (round = 0; round < 40000; round++) {
		uint16_t nb, event, i;

		seed = seed * 1103515245 + 12345;
		nb = 1 + (seed >> 16) % SIZE;
		event = (uint16_t)(used + (seed >> 20) % (2 * SIZE) - SIZE / 2);
		put16(&x->f, AVAIL + 4 + 2 * SIZE, event);
		for (i = 0; i < nb; i++)
			offer(x, 0);
		for (i = 0; i < nb; i++) {
			assert_int_equal(fetch(x), 1);
			dm_vring_push(&x->vr, &x->chain, 16);
		}
		assert_int_equal(dm_vring_publish(&x->vr), event_among(event, used, nb));
		used += nb;
		assert_int_equal(get16(&x->f, USED + 2), used);
		assert_true(dm_vring_notify_on(&x->vr));
		/* avail_event: the next entry that the driver will fill */
		assert_int_equal(get16(&x->f, USED + 4 + 8 * SIZE), x->avail_idx);
	}
	assert_int_equal(get16(&x->f, USED), 0);
	assert_int_equal(x->f.rules.total, 0);
}

static bool
inside(struct fixture *x, const struct iovec *iov, bool write)
{
	unsigned int i;

	for (i = 0; i < x->f.nb_maps; i++) {
		const struct fake_map *m = &x->f.maps[i];
		const uint8_t *p = iov->iov_base;

		if (p >= m->ptr && p + iov->iov_len <= m->ptr + m->size_bytes)
			return !write || (m->prot & LM_VU_PROT_WRITE) != 0;
	}
	return false;
}

/* Hostile rings: whatever is in memory, every buffer handed out lies in a mapping. */
static void
test_garbage(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 42;
	unsigned int fetched = 0;
	unsigned int round, i;

	for (round = 0; round < 20000; round++) {
		for (i = 0; i < SIZE; i++) {
			uint32_t r = seed = seed * 1664525 + 1013904223;
			uint32_t s = seed = seed * 1664525 + 1013904223;
			uint64_t table = (r & 0x100) != 0 ? TABLE : DESC;

			desc_at(x, table, i, (r >> 9 & 7) == 0 ? (uint64_t)s << 20 :
					RAM + (s >> 8) % (2 * RAM_BYTES + 64),
					s % (r % 7 == 0 ? 0x10000 : 160), (r >> 16) % 8,
					(r >> 20) % (SIZE + 1));
			put16(&x->f, AVAIL + 4 + 2 * i, (r >> 24) % (SIZE + 1));
		}
		put16(&x->f, AVAIL + 2, (seed >> 8) % (SIZE + 2));
		start(x, (seed & 1) != 0, (seed & 2) != 0);
		while (fetch(x) == 1) {
			fetched++;
			for (i = 0; i < x->chain.nb_read + x->chain.nb_write; i++)
				assert_true(inside(x, &x->iov[i], i >= x->chain.nb_read));
			dm_vring_push(&x->vr, &x->chain, 0);
		}
		dm_vring_publish(&x->vr);
	}
	/* Enough of them were good for the loop above to mean something. */
	assert_true(fetched > 1000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_chain), T(test_mapping_border), T(test_indirect), T(test_indirect_length),
		T(test_indirect_off), T(test_indirect_nested), T(test_indirect_next),
		T(test_indirect_bad_length), T(test_indirect_zero_length),
		T(test_indirect_unmapped), T(test_indirect_next_range), T(test_avail_jump),
		T(test_avail_back), T(test_head_range), T(test_next_range), T(test_loop),
		T(test_loop_of_nothing), T(test_order), T(test_too_long), T(test_address_wrap),
		T(test_write_to_read_only), T(test_bus_master), T(test_ring_unmapped),
		T(test_unfetch), T(test_flags), T(test_event_idx), T(test_garbage),
	};

	return cmocka_run_group_tests_name("dm_vring", tests, NULL, NULL);
}
