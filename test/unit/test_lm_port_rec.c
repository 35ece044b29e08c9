/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The window and the record of a port. What a record may not get through its decoder: a queue
 * twice or not at all, a slot beyond its ring, one buffer in two places, anything outside the
 * window; and every single flipped bit and every cut of a good record, under the sanitizers.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "lm_compat_rec.h"
#include "lm_port_rec.h"
#include "lm_ram.h"
#include "lm_window.h"

#define ADDR UINT64_C(0x7e9000000000)
#define PAGE UINT64_C(4096)
#define CONTROL (16 * PAGE)
#define BUFFERS (64 * PAGE)
#define DRIVER "net_test"

static const struct lm_window_conf good = {
	.addr = ADDR,
	.control_bytes = CONTROL,
	.buffer_bytes = BUFFERS,
	.page_bytes = PAGE,
	.element_bytes = 2048,
	.headroom_bytes = 128,
	.numa_node = 1,
};

static struct lm_window *
create_window(void)
{
	struct lm_window *w = NULL;

	assert_int_equal(lm_window_create(&good, &w), 0);
	return w;
}

static int
try_window(uint64_t addr, uint64_t control, uint64_t buffers, uint64_t page)
{
	struct lm_window_conf conf = good;
	struct lm_window *w = NULL;
	int ret;

	conf.addr = addr;
	conf.control_bytes = control;
	conf.buffer_bytes = buffers;
	conf.page_bytes = page;
	ret = lm_window_create(&conf, &w);
	lm_window_destroy(w);
	return ret;
}

static void
test_window_refusals(void **state)
{
	const struct lm_range iovas[] = { { 0, 0 }, { ADDR + PAGE, BUFFERS * 4 }, { ADDR, 0 },
		{ ADDR, CONTROL + BUFFERS } };
	struct lm_window_conf conf = good;
	struct lm_window *w = NULL, *second = NULL;

	(void)state;
	assert_int_equal(try_window(0, CONTROL, BUFFERS, PAGE), -EINVAL);
	assert_int_equal(try_window(ADDR + 1, CONTROL, BUFFERS, PAGE), -EINVAL);
	assert_int_equal(try_window(ADDR, 0, BUFFERS, PAGE), -EINVAL);
	assert_int_equal(try_window(ADDR, CONTROL, 0, PAGE), -EINVAL);
	assert_int_equal(try_window(ADDR, CONTROL + 1, BUFFERS, PAGE), -EINVAL);
	assert_int_equal(try_window(ADDR, CONTROL, BUFFERS, 2048), -EINVAL);
	assert_int_equal(try_window(ADDR, CONTROL, BUFFERS, 12288), -EINVAL);
	assert_int_equal(try_window(ADDR, -PAGE, 2 * PAGE, PAGE), -EINVAL);
	assert_int_equal(try_window(-PAGE, CONTROL, BUFFERS, PAGE), -EINVAL);
	/* More than there is: refused, not left to the OOM killer. */
	assert_int_equal(try_window(ADDR, UINT64_C(1) << 50, PAGE, PAGE), -ENOMEM);
	conf.nb_iovas = 3;
	conf.iovas = iovas;
	assert_int_equal(lm_window_create(&conf, &w), -ERANGE);
	conf.nb_iovas = 4;
	assert_int_equal(lm_window_create(&conf, &w), 0);
	assert_int_equal(lm_window_create(&conf, &second), -EEXIST);
	assert_null(second);
	lm_window_destroy(w);
	assert_int_equal(lm_window_create(&conf, &w), 0); /* all was given back */
	lm_window_destroy(w);
	lm_window_destroy(NULL);
}

static void
test_window_memory(void **state)
{
	struct lm_window *w = create_window();
	struct lm_compat_window desc;
	uint64_t offset, len;
	uint8_t *p, *second;

	(void)state;
	assert_int_equal((uintptr_t)lm_window_base(w), ADDR);
	assert_int_equal(lm_window_size(w), CONTROL + BUFFERS);
	assert_true(lm_window_fd(w) >= 0);
	assert_ptr_equal(lm_window_buffers(w, &len), (uint8_t *)lm_window_base(w) + CONTROL);
	assert_int_equal(len, BUFFERS);
	p = lm_window_alloc(w, 100, 1);
	assert_ptr_equal(p, lm_window_base(w));
	memset(p, 0xff, 100);
	second = lm_window_alloc(w, 1, 64);
	assert_ptr_equal(second, p + 128);
	assert_null(lm_window_alloc(w, 1, 0));
	assert_null(lm_window_alloc(w, 1, 3));
	assert_null(lm_window_alloc(w, 0, 1));
	assert_null(lm_window_alloc(w, CONTROL, 1));
	assert_null(lm_window_alloc(w, 1, CONTROL * 2));
	assert_null(lm_window_alloc(w, UINT64_MAX, 1));
	assert_non_null(lm_window_alloc(w, CONTROL - 129, 1));
	assert_null(lm_window_alloc(w, 1, 1));
	assert_null(lm_window_alloc(w, 1, 4096));
	lm_window_reset(w);
	assert_null(lm_window_claim(w, CONTROL - 8, 9));
	assert_null(lm_window_claim(w, CONTROL, 1));
	assert_ptr_equal(lm_window_claim(w, 0, 100), p);
	assert_int_equal(p[99], 0xff);
	assert_ptr_equal(lm_window_alloc(w, 8, 1), p + 100);
	assert_null(lm_window_claim(w, 107, 10));
	assert_non_null(lm_window_claim(w, 4096, 100));
	assert_non_null(lm_window_claim(w, 108, 100)); /* in any order */
	assert_ptr_equal(lm_window_alloc(w, 1, 1), p + 4196);
	assert_true(lm_window_offset(w, p + 5, CONTROL + BUFFERS - 5, &offset));
	assert_int_equal(offset, 5);
	assert_false(lm_window_offset(w, p + 5, CONTROL + BUFFERS - 4, &offset));
	assert_false(lm_window_offset(w, p - 1, 1, &offset));
	assert_null(lm_window_control_at(w, 0, 0));
	assert_null(lm_window_control_at(w, CONTROL - 1, 2));
	assert_null(lm_window_buffer_at(w, CONTROL - 1, 1));
	assert_null(lm_window_buffer_at(w, CONTROL, 0));
	assert_null(lm_window_buffer_at(w, CONTROL, BUFFERS + 1));
	assert_null(lm_window_buffer_at(w, UINT64_MAX, 1));
	assert_ptr_equal(lm_window_buffer_at(w, CONTROL, BUFFERS), p + CONTROL);
	lm_window_describe(w, &desc);
	assert_int_equal(desc.addr, ADDR);
	assert_int_equal(desc.size_bytes, CONTROL + BUFFERS);
	assert_int_equal(desc.element_bytes, 2048);
	lm_window_destroy(w);
}

static void
test_window_pinned(void **state)
{
	struct lm_window_conf conf = good;
	struct lm_window *w = NULL;
	int ret;

	(void)state;
	conf.pin = true;
	ret = lm_window_create(&conf, &w);
	assert_true(ret == 0 || ret == -ENOMEM || ret == -EPERM); /* RLIMIT_MEMLOCK */
	lm_window_destroy(w);
	conf = good;
	conf.page_bytes = UINT64_C(1) << 21;
	conf.control_bytes = conf.buffer_bytes = UINT64_C(1) << 43;
	assert_int_equal(lm_window_create(&conf, &w), -ENOMEM); /* nobody has so many huge pages */
}

/* Two Rx queues and one Tx queue, and two items of the driver. */
static struct lm_port_rec *
create_record(void)
{
	static const char item[] = "own";
	struct lm_port_rec *rec = NULL;
	struct lm_port_queue *q;
	unsigned int i, s;

	assert_int_equal(lm_port_rec_create(DRIVER, 2, 1, 32, &rec), 0);
	rec->port.mtu = 1500;
	rec->port.flags = LM_PORT_F_PROMISCUOUS;
	for (i = 0; i < 3; i++) {
		q = &rec->queues[i];
		q->info.ring = i * PAGE;
		q->info.ring_bytes = 512;
		q->info.doorbell = i == 2 ? LM_PORT_NO_OFFSET : 8 * PAGE + i * 8;
		q->info.producer = 1000 + i;
		q->info.consumer = 990;
		q->info.colour = 1;
		for (s = 0; s < 4; s++)
			assert_int_equal(lm_port_rec_slot(q, s * 8 + i,
					CONTROL + (i * 4 + s) * 2048, 2048), 0);
	}
	rec->items[rec->nb_items++] = (struct lm_port_item){ 0x100 | LM_RECORD_F_MANDATORY,
		sizeof(item), item };
	rec->items[rec->nb_items++] = (struct lm_port_item){ 0x101, 0, NULL };
	return rec;
}

static int
decode(const struct lm_port_rec *rec, struct lm_window *w)
{
	struct lm_port_rec *got = NULL;
	void *payload;
	int len, ret;

	len = lm_port_rec_encode(rec, &payload);
	assert_true(len > 0);
	ret = lm_port_rec_decode(payload, (size_t)len, w, DRIVER, &got);
	assert_true((ret == 0) == (got != NULL));
	lm_port_rec_destroy(got);
	free(payload);
	return ret;
}

static void
count_line(void *ctx, const char *line)
{
	assert_true(strlen(line) > 5);
	(*(unsigned int *)ctx)++;
}

static void
test_round_trip(void **state)
{
	struct lm_window *w = create_window();
	struct lm_port_rec *rec = create_record(), *got = NULL;
	struct lm_ram *ram = NULL;
	unsigned int i, lines = 0;
	void *payload;
	int len;

	(void)state;
	len = lm_port_rec_encode(rec, &payload);
	assert_int_equal(lm_port_rec_decode(payload, (size_t)len, w, "other", &got), -EXDEV);
	assert_int_equal(lm_port_rec_decode(payload, (size_t)len, w, DRIVER, &got), 0);
	memset(payload, 0xff, (size_t)len); /* it was copied */
	free(payload);
	assert_memory_equal(&got->port, &rec->port, sizeof(rec->port));
	assert_int_equal(got->nb_queues, 3);
	for (i = 0; i < 3; i++) {
		assert_memory_equal(&got->queues[i].info, &rec->queues[i].info,
				sizeof(rec->queues[i].info));
		assert_memory_equal(got->queues[i].slots, rec->queues[i].slots,
				4 * sizeof(rec->queues[i].slots[0]));
	}
	assert_string_equal(lm_port_rec_item(got, 0x100)->body, "own");
	assert_int_equal(lm_port_rec_item(got, 0x101)->len_bytes, 0);
	assert_null(lm_port_rec_item(got, 0x102));
	assert_null(lm_port_rec_queue(got, false, 2));
	assert_int_equal(lm_port_rec_queue(got, true, 0)->info.producer, 1002);
	lm_port_rec_describe(got, count_line, &lines);
	assert_int_equal(lines, 6);
	assert_int_equal(lm_ram_create(&ram), 0);
	assert_int_equal(lm_window_add_ram(w, ram, false), 0);
	lm_ram_mark_all(ram);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), CONTROL); /* no buffer yet */
	lm_port_rec_mark(got, w, ram);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), CONTROL + 12 * 2048);
	lm_ram_destroy(ram);
	assert_int_equal(lm_ram_create(&ram), 0);
	assert_int_equal(lm_window_add_ram(w, ram, true), 0);
	assert_int_equal(lm_window_add_ram(w, ram, true), -EEXIST);
	lm_ram_mark_all(ram);
	assert_int_equal(lm_ram_dirty_bytes(ram, false), BUFFERS);
	lm_ram_destroy(ram);
	lm_port_rec_destroy(got);
	lm_port_rec_destroy(rec);
	lm_port_rec_destroy(NULL);
	lm_window_destroy(w);
}

/* A buffer that holds nothing is checked as any, not sent; its number counts without the bit. */
static void
test_empty_buffers(void **state)
{
	struct lm_window *w = create_window();
	struct lm_port_rec *rec = create_record(), *got = NULL;
	struct lm_ram *ram = NULL;
	void *payload;
	uint32_t slot;
	int len;

	(void)state;
	/* The two of one page. */
	rec->queues[0].slots[0].slot |= LM_PORT_SLOT_EMPTY;
	rec->queues[0].slots[1].slot |= LM_PORT_SLOT_EMPTY;
	len = lm_port_rec_encode(rec, &payload);
	assert_int_equal(lm_port_rec_decode(payload, (size_t)len, w, DRIVER, &got), 0);
	free(payload);
	assert_int_equal(lm_ram_create(&ram), 0);
	assert_int_equal(lm_window_add_ram(w, ram, false), 0);
	lm_ram_mark_all(ram);
	lm_port_rec_mark(got, w, ram);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), CONTROL + 10 * 2048);
	lm_ram_destroy(ram);
	lm_port_rec_destroy(got);
	/* The same slot twice, once empty. */
	slot = rec->queues[0].slots[2].slot;
	rec->queues[0].slots[0].slot = slot | LM_PORT_SLOT_EMPTY;
	len = lm_port_rec_encode(rec, &payload);
	assert_int_equal(lm_port_rec_decode(payload, (size_t)len, w, DRIVER, &got), -EPROTO);
	free(payload);
	lm_port_rec_destroy(rec);
	lm_window_destroy(w);
}

static void
test_create_limits(void **state)
{
	struct lm_port_rec *rec = NULL;
	char name[LM_PORT_NAME_BYTES + 1] = "";
	struct lm_port_queue *q;
	void *payload;
	unsigned int i;

	(void)state;
	assert_int_equal(lm_port_rec_create("", 1, 1, 1, &rec), -EINVAL);
	memset(name, 'x', LM_PORT_NAME_BYTES);
	assert_int_equal(lm_port_rec_create(name, 1, 1, 1, &rec), -EINVAL);
	assert_int_equal(lm_port_rec_create("x", 2000, 49, 1, &rec), -EINVAL);
	assert_int_equal(lm_port_rec_create("x", 1, 1, LM_PORT_MAX_DESC + 1, &rec), -EINVAL);
	assert_int_equal(lm_port_rec_create("x", 1, 0, 2, &rec), 0);
	q = lm_port_rec_queue(rec, false, 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(lm_port_rec_slot(q, i, 0, 0), 0);
	assert_int_equal(lm_port_rec_slot(q, 0, 0, 0), -ENOSPC);
	rec->items[rec->nb_items++] = (struct lm_port_item){ 0x100, LM_PORT_REC_MAX_BYTES, name };
	assert_int_equal(lm_port_rec_encode(rec, &payload), -EMSGSIZE);
	lm_port_rec_destroy(rec);
}

struct bad {
	const char *what;
	void (*edit)(struct lm_port_rec *rec);
	int error;
};

#define BAD(name, statement) \
	static void name(struct lm_port_rec *rec) { statement; }

BAD(no_edit, (void)rec)
BAD(same_queue, rec->queues[1].info.id = 0)
BAD(no_such_queue, rec->queues[1].info.id = 2)
BAD(no_direction, rec->queues[1].info.is_tx = 2)
BAD(queue_missing, rec->nb_queues = 2)
BAD(more_queues, rec->port.nb_txq = 2)
BAD(too_many_queues, rec->port.nb_txq = 2047)
BAD(no_descriptors, rec->queues[0].info.nb_desc = 0; rec->queues[0].info.nb_slots = 0)
BAD(many_descriptors, rec->queues[0].info.nb_desc = LM_PORT_MAX_DESC + 1)
BAD(slot_beyond, rec->queues[2].slots[3].slot = 32)
BAD(slot_twice, rec->queues[2].slots[3].slot = rec->queues[2].slots[0].slot)
BAD(buffer_twice, rec->queues[2].slots[3].buffer = rec->queues[0].slots[1].buffer)
BAD(buffers_overlap, rec->queues[2].slots[3].buffer -= 1)
BAD(buffer_in_control, rec->queues[0].slots[0].buffer = CONTROL - 1)
BAD(buffer_beyond, rec->queues[0].slots[0].buffer = CONTROL + BUFFERS - 2047)
BAD(buffer_wraps, rec->queues[0].slots[0].buffer = UINT64_MAX - 10)
BAD(buffer_empty, rec->queues[0].slots[0].len_bytes = 0)
BAD(ring_beyond, rec->queues[0].info.ring = CONTROL - 511)
BAD(ring_wraps, rec->queues[0].info.ring_bytes = UINT64_MAX)
BAD(ring_empty, rec->queues[0].info.ring_bytes = 0)
BAD(rings_overlap, rec->queues[1].info.ring = 511)
BAD(doorbell_beyond, rec->queues[0].info.doorbell = CONTROL - 7)
BAD(no_end_of_name, memset(rec->port.driver, 'x', sizeof(rec->port.driver)))
BAD(item_twice, rec->items[1].type = 0x100)
BAD(unknown_must, rec->items[0].type = 0x50 | LM_RECORD_F_MANDATORY)
BAD(unknown_may, rec->items[0].type = 0x50)
BAD(port_twice, rec->items[0].type = LM_PORT_ITEM_PORT)
BAD(queue_short, rec->items[0].type = LM_PORT_ITEM_QUEUE)

static void
test_decoder_refuses(void **state)
{
	static const struct bad rows[] = {
		{ "nothing", no_edit, 0 },
		{ "a queue twice", same_queue, -EPROTO },
		{ "a queue beyond", no_such_queue, -EPROTO },
		{ "a bad direction", no_direction, -EPROTO },
		{ "a queue missing", queue_missing, -EPROTO },
		{ "more queues announced", more_queues, -EPROTO },
		{ "too many queues", too_many_queues, -EPROTO },
		{ "no descriptors", no_descriptors, -EPROTO },
		{ "too many descriptors", many_descriptors, -EPROTO },
		{ "a slot beyond the ring", slot_beyond, -EPROTO },
		{ "a slot twice", slot_twice, -EPROTO },
		{ "a buffer twice", buffer_twice, -EPROTO },
		{ "overlapping buffers", buffers_overlap, -EPROTO },
		{ "a buffer in the control area", buffer_in_control, -EPROTO },
		{ "a buffer beyond the window", buffer_beyond, -EPROTO },
		{ "a buffer that wraps", buffer_wraps, -EPROTO },
		{ "an empty buffer", buffer_empty, -EPROTO },
		{ "a ring beyond the control area", ring_beyond, -EPROTO },
		{ "a ring that wraps", ring_wraps, -EPROTO },
		{ "an empty ring", ring_empty, -EPROTO },
		{ "overlapping rings", rings_overlap, -EPROTO },
		{ "a doorbell beyond", doorbell_beyond, -EPROTO },
		{ "a name without end", no_end_of_name, -EPROTO },
		{ "an item twice", item_twice, -EPROTO },
		{ "an unknown mandatory item", unknown_must, -ENOTSUP },
		{ "an unknown item", unknown_may, 0 },
		{ "the port twice", port_twice, -EPROTO },
		{ "a short queue", queue_short, -EPROTO },
	};
	struct lm_window *w = create_window();
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lm_port_rec *rec = create_record();
		unsigned int nb = rec->nb_queues;
		int ret;

		rows[i].edit(rec);
		ret = decode(rec, w);
		if (ret != rows[i].error)
			fail_msg("%s: %d", rows[i].what, ret);
		rec->nb_queues = nb;
		lm_port_rec_destroy(rec);
	}
	lm_window_destroy(w);
}

/* Anything may come, and what comes through is sound: it is decoded again from its encoding. */
static void
test_bits_and_cuts(void **state)
{
	struct lm_window *w = create_window();
	struct lm_port_rec *rec = create_record(), *got;
	unsigned int through = 0;
	uint8_t *bytes;
	void *payload;
	int len, i;

	(void)state;
	len = lm_port_rec_encode(rec, &payload);
	bytes = payload;
	for (i = 0; i < len; i++) {
		void *cut = malloc((size_t)i + 1); /* its own end, for ASan */

		got = NULL;
		memcpy(cut, bytes, (size_t)i);
		if (lm_port_rec_decode(cut, (size_t)i, w, DRIVER, &got) == 0)
			through++; /* between two items of the driver */
		lm_port_rec_destroy(got);
		free(cut);
	}
	assert_int_equal(through, 2);
	for (i = 0; i < len * 8; i++) {
		got = NULL;
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		if (lm_port_rec_decode(bytes, (size_t)len, w, DRIVER, &got) == 0)
			assert_int_equal(decode(got, w), 0);
		lm_port_rec_destroy(got);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(lm_port_rec_decode(bytes, LM_PORT_REC_MAX_BYTES + 1, w, DRIVER, &got),
			-EMSGSIZE);
	free(payload);
	lm_port_rec_destroy(rec);
	lm_window_destroy(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_refusals),
		cmocka_unit_test(test_window_memory),
		cmocka_unit_test(test_window_pinned),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_empty_buffers),
		cmocka_unit_test(test_create_limits),
		cmocka_unit_test(test_decoder_refuses),
		cmocka_unit_test(test_bits_and_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
