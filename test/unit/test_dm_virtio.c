/* SPDX-License-Identifier: BSD-3-Clause */

/* Transport registers, status, reset and doorbells of the virtio-net model. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "dm_fake_net.h"

#define V1 (UINT64_C(1) << 32)
#define RING_RESET (UINT64_C(1) << 40)
#define NOTIFICATION_DATA (UINT64_C(1) << 38)
#define NOTIF_CONFIG_DATA (UINT64_C(1) << 39)
#define SUSPEND (UINT64_C(1) << 43)
#define NONE 0xffff

static struct fake_net *
fresh(void **state, uint16_t pairs, bool shared)
{
	struct fake_net *n = *state;

	net_create(n, pairs, UINT64_MAX, shared);
	return n;
}

static int
setup(void **state)
{
	*state = calloc(1, sizeof(struct fake_net));
	return 0;
}

static int
teardown(void **state)
{
	net_destroy(*state);
	free(*state);
	return 0;
}

static uint64_t
broken(struct fake_net *n, enum dm_rule rule)
{
	return n->f.rules.count[rule];
}

static void
test_reset_values(void **state)
{
	struct fake_net *n = fresh(state, 2, false);
	uint16_t q;

	assert_int_equal(rd(n, R_NUMQ, 2), 5);
	assert_int_equal(rd(n, R_MSIX, 2), NONE);
	for (q = 0; q < 5; q++) {
		wr(n, R_QSELECT, 2, q);
		assert_int_equal(rd(n, R_QSIZE, 2), NET_QSIZE);
		assert_int_equal(rd(n, R_QMSIX, 2), NONE);
		assert_int_equal(rd(n, R_QENABLE, 2), 0);
		assert_int_equal(rd(n, R_QNOFF, 2), q);
		assert_int_equal(rd(n, R_QRESET, 2), 0);
	}
	wr(n, R_QSELECT, 2, 5);
	assert_int_equal(rd(n, R_QSIZE, 2), 0);
	wr(n, R_DFSELECT, 4, 2);
	assert_int_equal(rd(n, R_DF, 4), 0);
	assert_int_equal(n->f.rules.total, 0);
}

/* Every field reads the same alone and as part of an odd access; odd ones are counted. */
static void
test_widths(void **state)
{
	struct fake_net *n = fresh(state, 1, false);
	uint8_t all[64], bytes[64];
	unsigned int i;

	net_negotiate(n, V1);
	wr(n, R_QSELECT, 2, 1);
	wr(n, R_QDESC, 4, 0x11223344);
	wr(n, R_QDESC + 4, 4, 0x55667788);
	assert_int_equal(n->f.rules.total, 0);
	assert_int_equal(n->device.ops->bar_read(n->device.dev, 0, 0, all, 64), 0);
	for (i = 0; i < 64; i++)
		bytes[i] = (uint8_t)rd(n, i, 1);
	assert_memory_equal(all, bytes, 64);
	assert_int_equal(rd(n, R_QDESC, 8), 0x5566778811223344);
	assert_int_equal(all[R_QDESC + 4], 0x88);
	assert_int_equal(all[R_STATUS], 0xb);
	assert_true(broken(n, DM_RULE_ACCESS_WIDTH) > 60);
	/* An odd write changes nothing. */
	wr(n, R_QDESC, 8, 0);
	wr(n, R_QSELECT, 1, 0);
	assert_int_equal(rd(n, R_QDESC, 4), 0x11223344);
}

static void
test_features(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	assert_int_equal(net_negotiate(n, 0), 3);
	assert_int_equal(broken(n, DM_RULE_FEATURE_VERSION), 1);
	assert_int_equal(net_negotiate(n, V1 | UINT64_C(1) << 37), 3); /* SR_IOV */
	assert_int_equal(broken(n, DM_RULE_FEATURE_NOT_OFFERED), 1);
	assert_int_equal(net_negotiate(n, V1 | 1 << 18), 3); /* CTRL_RX without CTRL_VQ */
	assert_int_equal(broken(n, DM_RULE_FEATURE_NEEDS), 1);
	assert_int_equal(net_negotiate(n, V1 | 1 << 18 | 1 << 17), 0xb);
	wr(n, R_GF, 4, 0);
	assert_int_equal(broken(n, DM_RULE_FEATURE_LATE), 1);
	assert_int_equal(rd(n, R_GF, 4), 1);
	wr(n, R_STATUS, 1, 3); /* cannot be taken back */
	assert_int_equal(broken(n, DM_RULE_STATUS_CLEARED), 1);
	assert_int_equal(rd(n, R_STATUS, 1), 0xb);
}

static void
test_order(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	wr(n, R_STATUS, 1, 2);
	assert_int_equal(broken(n, DM_RULE_STATUS_ORDER), 1);
	wr(n, R_STATUS, 1, 0);
	wr(n, R_STATUS, 1, 3);
	wr(n, R_STATUS, 1, 7); /* DRIVER_OK without FEATURES_OK */
	assert_int_equal(broken(n, DM_RULE_STATUS_ORDER), 2);
	assert_int_equal(rd(n, R_STATUS, 1), 3);
	wr(n, R_QSELECT, 2, 0);
	wr(n, R_QENABLE, 2, 1);
	assert_int_equal(broken(n, DM_RULE_QUEUE_EARLY), 1);
	assert_int_equal(rd(n, R_QENABLE, 2), 0);
}

static void
test_queue_rules(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	net_start(n, V1);
	wr(n, R_QSELECT, 2, 0);
	wr(n, R_QDESC, 4, 0);
	assert_int_equal(broken(n, DM_RULE_QUEUE_ENABLED), 1);
	assert_int_equal(rd(n, R_QDESC, 4), NET_RING(0));
	wr(n, R_QENABLE, 2, 0);
	assert_int_equal(broken(n, DM_RULE_QUEUE_ENABLED), 2);
	wr(n, R_QRESET, 2, 1); /* not negotiated */
	assert_int_equal(broken(n, DM_RULE_QUEUE_RESET), 1);
	assert_int_equal(rd(n, R_QENABLE, 2), 1);

	net_negotiate(n, V1);
	wr(n, R_QSELECT, 2, 0);
	wr(n, R_QSIZE, 2, 12);
	wr(n, R_QSIZE, 2, 2 * NET_QSIZE);
	wr(n, R_QSIZE, 2, 0);
	assert_int_equal(broken(n, DM_RULE_QUEUE_SIZE), 3);
	wr(n, R_QDESC, 4, NET_RING(0) + 8);
	wr(n, R_QENABLE, 2, 1);
	assert_int_equal(broken(n, DM_RULE_QUEUE_ALIGN), 1);
	wr(n, R_QSELECT, 2, 9);
	wr(n, R_QSIZE, 2, 8);
	assert_int_equal(broken(n, DM_RULE_QUEUE_ABSENT), 1);
	wr(n, R_NUMQ, 2, 8);
	assert_int_equal(broken(n, DM_RULE_WRITE_READ_ONLY), 1);
}

/* After 1.3: the rings keep their place, nothing is taken meanwhile, and it may take its time. */
static void
test_suspend(void **state)
{
	struct fake_net *n = fresh(state, 1, false);
	uint8_t frame[60];
	uint32_t id, len, i;

	net_start(n, V1 | SUSPEND);
	net_frame(frame, sizeof(frame), frame, 1, 2);
	memset(fake_at(&n->f, NET_BUFS, 12), 0, 12);
	memcpy(fake_at(&n->f, NET_BUFS + 12, sizeof(frame)), frame, sizeof(frame));
	net_desc(n, 1, 0, NET_BUFS, 12 + sizeof(frame), 0, 0);
	for (i = 0; i < 40; i++) {
		net_offer(n, 1, 0);
		net_poll(n);
		assert_true(net_used(n, 1, &id, &len));
		n->f.faults.slow_suspend_us = (i & 1) * 1500;
		wr(n, R_STATUS, 1, 0x1f);
		net_offer(n, 1, 0);
		if ((i & 1) != 0) {
			assert_int_equal(rd(n, R_STATUS, 1), 0xf);
			net_poll(n); /* it works until it is suspended */
			assert_true(net_used(n, 1, &id, &len));
			net_poll(n);
			net_offer(n, 1, 0);
		}
		assert_int_equal(rd(n, R_STATUS, 1), 0x1b);
		assert_int_equal(net_poll(n), 0);
		assert_false(net_used(n, 1, &id, &len));
		wr(n, R_STATUS, 1, 0xf);
		assert_int_equal(rd(n, R_STATUS, 1), 0xf);
		net_poll(n);
		assert_true(net_used(n, 1, &id, &len));
	}
	assert_int_equal(n->f.rules.total, 0);
	n->f.faults.slow_suspend_us = 0;
	wr(n, R_STATUS, 1, 0x1f);
	wr(n, R_NOTIFY + 0x1000, 2, 1);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_EARLY), 1);
	wr(n, R_STATUS, 1, 0);
	assert_int_equal(rd(n, R_STATUS, 1), 0);

	net_start(n, V1); /* not negotiated */
	wr(n, R_STATUS, 1, 0x1f);
	assert_int_equal(rd(n, R_STATUS, 1), 0xf);
	net_negotiate(n, V1 | SUSPEND); /* not running */
	wr(n, R_STATUS, 1, 0x1b);
	assert_int_equal(rd(n, R_STATUS, 1), 0xb);
	assert_int_equal(broken(n, DM_RULE_STATUS_SUSPEND), 2);
	assert_int_equal(n->f.rules.total, 3);
}

/* A doorbell that is older than the suspension breaks no rule, and wakes nobody in it. */
static void
test_suspend_doorbell(void **state)
{
	struct fake_net *n = fresh(state, 1, false);
	int fd = n->device.bars[0].ioeventfds[1].fd;
	uint32_t i;

	net_start(n, V1 | SUSPEND);
	for (i = 0; i < 2; i++) {
		n->f.faults.slow_suspend_us = i * 1500;
		assert_int_equal(eventfd_write(fd, 1), 0);
		wr(n, R_STATUS, 1, 0x1f);
		n->f.now_ns += 2000000;
		assert_int_equal(rd(n, R_STATUS, 1), 0x1b);
		n->device.ops->io_event(n->device.dev, 1);
		assert_int_equal(n->net->vio.queues[1].kicks, i + 1);
		assert_int_equal(n->f.rules.total, 0);
		wr(n, R_STATUS, 1, 0xf);
	}
	wr(n, R_STATUS, 1, 0x1f);
	n->f.now_ns += 2000000;
	assert_int_equal(rd(n, R_STATUS, 1), 0x1b);
	assert_int_equal(eventfd_write(fd, 1), 0);
	n->device.ops->io_event(n->device.dev, 1);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_EARLY), 1);
}

/* 4.1.5.2: what a doorbell gets, with each combination of the two features. */
static void
test_notify_data(void **state)
{
	struct fake_net *n = fresh(state, 1, false);
	uint64_t kicks;

	net_start(n, V1 | NOTIFICATION_DATA);
	assert_int_equal(rd(n, R_QNDATA, 2), 0);
	wr(n, R_NOTIFY + 0x1000, 4, 1 | 5u << 16); /* five are there */
	wr(n, R_NOTIFY + 0x1000, 4, 1 | 0xfff0u << 16);
	assert_int_equal(n->f.rules.total, 0);
	assert_int_equal(n->net->vio.queues[1].kicks, 2);
	wr(n, R_NOTIFY + 0x1000, 4, 1 | (NET_QSIZE + 1u) << 16);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_DATA), 1);
	wr(n, R_NOTIFY + 0x1000, 2, 1);
	assert_int_equal(broken(n, DM_RULE_ACCESS_WIDTH), 1);

	net_start(n, V1 | NOTIF_CONFIG_DATA);
	wr(n, R_QSELECT, 2, 1);
	assert_int_equal(rd(n, R_QNDATA, 2), DM_VIRTIO_NOTIF_DATA + 3);
	kicks = n->net->vio.queues[1].kicks;
	wr(n, R_NOTIFY + 0x1000, 2, DM_VIRTIO_NOTIF_DATA + 3);
	assert_int_equal(n->net->vio.queues[1].kicks, kicks + 1);
	wr(n, R_NOTIFY + 0x1000, 2, 1);
	wr(n, R_NOTIFY, 2, DM_VIRTIO_NOTIF_DATA + 3);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_VALUE), 2);

	net_start(n, V1 | NOTIF_CONFIG_DATA | NOTIFICATION_DATA | UINT64_C(1) << 34);
	wr(n, R_NOTIFY + 0x1000, 4, (DM_VIRTIO_NOTIF_DATA + 3) | 0x800fu << 16);
	assert_int_equal(n->f.rules.total, 4);
	wr(n, R_NOTIFY + 0x1000, 4, (DM_VIRTIO_NOTIF_DATA + 3) | NET_QSIZE << 16);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_DATA), 2);
}

static void
test_vectors(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	wr(n, R_MSIX, 2, n->device.nb_vectors - 1);
	assert_int_equal(rd(n, R_MSIX, 2), n->device.nb_vectors - 1);
	wr(n, R_MSIX, 2, n->device.nb_vectors);
	assert_int_equal(rd(n, R_MSIX, 2), NONE);
}

/* 2.6.1: the one queue is as after a device reset, the others go on. */
static void
test_ring_reset(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	net_start(n, V1 | RING_RESET);
	wr(n, R_QSELECT, 2, 1);
	wr(n, R_QRESET, 2, 1);
	assert_int_equal(rd(n, R_QRESET, 2), 0);
	assert_int_equal(rd(n, R_QENABLE, 2), 0);
	assert_int_equal(rd(n, R_QSIZE, 2), NET_QSIZE);
	assert_int_equal(rd(n, R_QMSIX, 2), NONE);
	assert_int_equal(rd(n, R_QDESC, 4), 0);
	wr(n, R_QSELECT, 2, 0);
	assert_int_equal(rd(n, R_QENABLE, 2), 1);
	net_queue(n, 1); /* after DRIVER_OK: allowed now */
	assert_int_equal(n->f.rules.total, 0);
}

/* A doorbell that is older than the ring reset breaks no rule. */
static void
test_ring_reset_doorbell(void **state)
{
	struct fake_net *n = fresh(state, 1, false);
	int fd = n->device.bars[0].ioeventfds[1].fd;

	net_start(n, V1 | RING_RESET);
	assert_int_equal(eventfd_write(fd, 1), 0);
	wr(n, R_QSELECT, 2, 1);
	wr(n, R_QRESET, 2, 1);
	n->device.ops->io_event(n->device.dev, 1);
	assert_int_equal(n->f.rules.total, 0);
	assert_int_equal(eventfd_write(fd, 1), 0);
	n->device.ops->io_event(n->device.dev, 1);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_DISABLED), 1);
}

static void
test_late_queue(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	net_negotiate(n, V1);
	wr(n, R_STATUS, 1, 0xf);
	net_queue(n, 0);
	assert_int_equal(broken(n, DM_RULE_QUEUE_LATE), 1);
}

static void
test_slow_ring_reset(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	n->f.faults.slow_ring_reset_us = 500;
	net_start(n, V1 | RING_RESET);
	wr(n, R_QSELECT, 2, 1);
	wr(n, R_QRESET, 2, 1);
	n->f.now_ns += 499999;
	assert_int_equal(rd(n, R_QRESET, 2), 1);
	assert_int_equal(rd(n, R_QENABLE, 2), 1);
	wr(n, R_QSIZE, 2, 8); /* not yet */
	assert_int_equal(broken(n, DM_RULE_WRITE_IN_RESET), 1);
	n->f.now_ns += 1;
	assert_int_equal(rd(n, R_QRESET, 2), 0);
	assert_int_equal(rd(n, R_QENABLE, 2), 0);
}

static void
test_stuck_ring_reset(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	n->f.faults.stuck_ring_reset = 1;
	net_start(n, V1 | RING_RESET);
	wr(n, R_QSELECT, 2, 1);
	wr(n, R_QRESET, 2, 1);
	n->f.now_ns += UINT64_C(3600) * 1000000000;
	assert_int_equal(rd(n, R_QRESET, 2), 1);
	/* A device reset still helps. */
	wr(n, R_STATUS, 1, 0);
	wr(n, R_QSELECT, 2, 1);
	assert_int_equal(rd(n, R_QRESET, 2), 0);
}

static void
test_slow_reset(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	n->f.faults.slow_reset_us = 1000;
	net_start(n, V1);
	wr(n, R_STATUS, 1, 0);
	n->f.now_ns += 999999;
	assert_int_equal(rd(n, R_STATUS, 1), 0xf);
	n->f.now_ns += 1;
	assert_int_equal(rd(n, R_STATUS, 1), 0);
	wr(n, R_QSELECT, 2, 0);
	assert_int_equal(rd(n, R_QENABLE, 2), 0);
	assert_int_equal(n->f.rules.total, 0);
}

static void
test_doorbell_trapped(void **state)
{
	struct fake_net *n = fresh(state, 1, false);

	net_negotiate(n, V1);
	net_queue(n, 1);
	wr(n, R_NOTIFY + 0x1000, 2, 1);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_EARLY), 1);
	wr(n, R_STATUS, 1, 0xf);
	wr(n, R_NOTIFY + 0x1000, 2, 1);
	assert_int_equal(n->f.rules.total, 1);
	wr(n, R_NOTIFY + 0x1000, 2, 0); /* queue 0 at the page of 1 */
	wr(n, R_NOTIFY + 0x1002, 2, 1);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_VALUE), 2);
	wr(n, R_NOTIFY, 2, 0);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_DISABLED), 1);
	wr(n, R_NOTIFY + 0x1000, 4, 1);
	assert_int_equal(broken(n, DM_RULE_ACCESS_WIDTH), 1);
}

static void
test_doorbell_shared(void **state)
{
	struct fake_net *n = fresh(state, 2, true);

	assert_int_equal(n->device.bars[0].flags & LM_VU_REGION_F_MMAP, 0);
	assert_int_equal(n->device.bars[0].nb_ioeventfds, 0);
	net_start(n, V1);
	wr(n, R_QSELECT, 2, 3);
	assert_int_equal(rd(n, R_QNOFF, 2), 0);
	wr(n, R_NOTIFY, 2, 3);
	assert_int_equal(n->net->vio.queues[3].kicks, 1);
	assert_int_equal(n->f.rules.total, 0);
}

/* As a driver sees it: the file mapped a second time, a store, and a nap that gets shorter. */
static void
test_doorbell_mapped(void **state)
{
	struct fake_net *n = fresh(state, 1, false);
	const struct lm_vu_region_conf *bar = &n->device.bars[0];
	volatile uint16_t *page;
	uint32_t nap;
	void *map;

	map = mmap(NULL, bar->areas[0].size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bar->fd,
			(off_t)(bar->fd_offset + bar->areas[0].offset));
	assert_true(map != MAP_FAILED);
	assert_int_not_equal(ftruncate(bar->fd, 0), 0); /* nobody may pull it away */
	net_start(n, V1);
	assert_int_equal(eventfd_write(bar->ioeventfds[1].fd, 1), 0);
	n->device.ops->io_event(n->device.dev, 1);
	assert_int_equal(n->net->vio.queues[1].kicks, 1);
	nap = dm_virtio_sleep(&n->net->vio);
	page = (volatile uint16_t *)((char *)map + 0x1000);
	*page = 1;
	assert_true(dm_virtio_sleep(&n->net->vio) <= nap);
	assert_int_equal(n->net->vio.queues[1].kicks, 2);
	assert_int_equal(n->net->vio.queues[1].doorbell, DM_VIRTIO_DOORBELL_STORE);
	assert_true(dm_virtio_sleep(&n->net->vio) <= 1000);
	/* Rung before the reset, seen after it: no broken rule. */
	*page = 1;
	assert_int_equal(eventfd_write(bar->ioeventfds[0].fd, 1), 0);
	wr(n, R_STATUS, 1, 0);
	dm_virtio_doorbell_poll(&n->net->vio);
	n->device.ops->io_event(n->device.dev, 0);
	assert_int_equal(n->f.rules.total, 0);
	*page = 1;
	dm_virtio_doorbell_poll(&n->net->vio);
	assert_int_equal(broken(n, DM_RULE_NOTIFY_DISABLED), 1);
	munmap(map, bar->areas[0].size_bytes);
}

/* A queue that needs no doorbell is silenced by its first one, which shows how it is rung. */
static void
test_doorbell_learned(void **state)
{
	struct fake_net *n = fresh(state, 1, false);
	const struct lm_vu_region_conf *bar = &n->device.bars[0];
	uint64_t flags;

	net_start(n, V1);
	flags = n->net->vio.queues[0].device_iova;
	dm_virtio_sleep(&n->net->vio);
	assert_int_equal(get16(&n->f, flags), 0);
	assert_int_equal(eventfd_write(bar->ioeventfds[0].fd, 1), 0);
	n->device.ops->io_event(n->device.dev, 0);
	dm_virtio_sleep(&n->net->vio);
	assert_int_equal(get16(&n->f, flags), LM_VRING_USED_F_NO_NOTIFY);
	assert_int_equal(n->net->vio.queues[0].doorbell, DM_VIRTIO_DOORBELL_WAKES);
}

/* Hostile accesses of every length at every place: nothing to see but rules. */
static void
test_any_access(void **state)
{
	static const uint64_t around[] = { 0, 0x1000, 0x2000, 0x8000, 0x9000, 0xa000, 0xb000 };
	struct fake_net *n = fresh(state, 1, false);
	uint8_t buf[96];
	uint64_t at;
	uint32_t len;
	size_t i;

	net_start(n, V1 | RING_RESET);
	memset(buf, 0xff, sizeof(buf));
	for (i = 0; i < sizeof(around) / sizeof(around[0]); i++)
		for (at = around[i]; at < around[i] + 70; at++)
			for (len = 1; len <= 80; len++) {
				n->device.ops->bar_read(n->device.dev, 0, at, buf, len);
				n->device.ops->bar_write(n->device.dev, 0, at, buf, len);
			}
	net_poll(n);
	wr(n, R_STATUS, 1, 0);
	net_start(n, V1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reset_values), T(test_widths), T(test_features), T(test_order),
		T(test_queue_rules), T(test_vectors), T(test_suspend),
		T(test_suspend_doorbell), T(test_notify_data), T(test_ring_reset),
		T(test_ring_reset_doorbell), T(test_late_queue),
		T(test_slow_ring_reset), T(test_stuck_ring_reset), T(test_slow_reset),
		T(test_doorbell_trapped), T(test_doorbell_shared), T(test_doorbell_mapped),
		T(test_doorbell_learned), T(test_any_access),
	};

	return cmocka_run_group_tests_name("dm_virtio", tests, NULL, NULL);
}
