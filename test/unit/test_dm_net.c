/* SPDX-License-Identifier: BSD-3-Clause */

/* Data path and control queue of the virtio-net model, over a loop wire. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_net.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define V1 BIT(32)
#define MRG BIT(15)
#define CTRL (BIT(17) | BIT(18) | BIT(20) | BIT(23))
#define ALL (V1 | MRG | CTRL | BIT(3) | BIT(5) | BIT(16) | BIT(19) | BIT(21) | BIT(28) | BIT(40))
#define MQ BIT(22)
#define HDR 12
#define F_NEXT 1
#define F_WRITE 2

static const uint8_t own_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t other_mac[6] = { 2, 0, 0, 0, 0, 7 };
static const uint8_t multicast[6] = { 1, 0, 0x5e, 0, 0, 1 };
static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static struct fake_net *
begin(void **state, uint16_t pairs, uint64_t features)
{
	struct fake_net *n = *state;

	net_create(n, pairs, UINT64_MAX, false);
	net_start(n, features);
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

/* Receive buffers of len bytes each, filled with 0xa5. */
static void
post(struct fake_net *n, uint16_t q, unsigned int nb, uint32_t len)
{
	uint64_t at = NET_BUFS + 0x10000 * (uint64_t)q;
	uint16_t i;

	memset(fake_at(&n->f, at, 0x10000), 0xa5, 0x10000);
	for (i = 0; i < nb; i++) {
		net_desc(n, q, i, at + i * 4096u, len, F_WRITE, 0);
		net_offer(n, q, i);
	}
}

static uint8_t *
rx_buf(struct fake_net *n, uint16_t q, uint32_t id)
{
	return fake_at(&n->f, NET_BUFS + 0x10000 * (uint64_t)q + id * 4096u, 4096);
}

static void
send_frame(struct fake_net *n, uint16_t q, const uint8_t *frame, uint32_t len)
{
	uint64_t at = NET_BUFS + 0x180000 + 0x4000 * (uint64_t)(q / 2);

	memset(fake_at(&n->f, at, HDR), 0, HDR);
	memcpy(fake_at(&n->f, at + 64, len), frame, len);
	net_desc(n, q, 0, at, HDR, F_NEXT, 1);
	net_desc(n, q, 1, at + 64, len, 0, 0);
	net_offer(n, q, 0);
}

static uint64_t
wire_rx(struct fake_net *n)
{
	struct dm_wire_stats s;

	dm_wire_stats_get(n->wire, &s);
	return s.rx_frames;
}

/* What came from the wire was delivered or dropped by reason, all of it. */
static void
expect_accounted(struct fake_net *n)
{
	uint64_t sum = n->net->rx_frames;
	int i;

	for (i = 0; i < DM_NET_RX_DROP_MAX; i++)
		sum += n->net->rx_drops[i];
	assert_int_equal(sum, wire_rx(n));
}

static void
test_receive(void **state)
{
	struct fake_net *n = begin(state, 1, V1);
	uint8_t frame[1514], *buf;
	uint32_t id, len;

	post(n, 0, 2, 2000);
	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	assert_true(net_used(n, 0, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(len, HDR + sizeof(frame));
	buf = rx_buf(n, 0, 0);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0\0\0\1\0", HDR); /* num_buffers 1 */
	assert_memory_equal(buf + HDR, frame, sizeof(frame));
	assert_int_equal(buf[HDR + sizeof(frame)], 0xa5);
	assert_int_equal(n->f.irqs[1], 1);
	assert_false(net_used(n, 0, &id, &len));
	expect_accounted(n);
	assert_int_equal(n->f.rules.total, 0);
}

/* 5.1.6.4: a frame spans buffers; only the first has a header, lengths are exact. */
static void
test_receive_mergeable(void **state)
{
	struct fake_net *n = begin(state, 1, V1 | MRG);
	uint8_t frame[1000], got[1000];
	uint32_t id, len, have = 0, i;

	post(n, 0, 16, 128);
	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	/* 1012 bytes in buffers of 128: eight, the last with 116 */
	for (i = 0; i < 8; i++) {
		uint32_t skip = i == 0 ? HDR : 0;

		assert_true(net_used(n, 0, &id, &len));
		assert_int_equal(id, i);
		assert_int_equal(len, i < 7 ? 128 : 116);
		memcpy(got + have, rx_buf(n, 0, id) + skip, len - skip);
		have += len - skip;
	}
	assert_int_equal(rx_buf(n, 0, 0)[10], 8);
	assert_int_equal(have, sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	assert_int_equal(rx_buf(n, 0, 7)[116], 0xa5);
	assert_false(net_used(n, 0, &id, &len));

	/* Eight are left: enough for one more, not for two. */
	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	assert_int_equal(n->net->rx_drops[DM_NET_RX_NO_BUFFER], 1);
	expect_accounted(n);
	assert_int_equal(n->f.rules.total, 0);
}

static void
test_no_buffer(void **state)
{
	struct fake_net *n = begin(state, 1, V1 | MRG);
	uint8_t frame[1000];
	uint32_t id, len;

	post(n, 0, 7, 128); /* 896 bytes, 1012 needed */
	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	assert_false(net_used(n, 0, &id, &len));
	assert_int_equal(rx_buf(n, 0, 0)[0], 0xa5);
	net_inject(n, frame, 500);
	net_poll(n);
	assert_true(net_used(n, 0, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(rx_buf(n, 0, 0)[10], 4);
	assert_int_equal(n->net->rx_drops[DM_NET_RX_NO_BUFFER], 1);
	expect_accounted(n);
}

static void
test_too_big(void **state)
{
	struct fake_net *n = begin(state, 1, V1);
	uint8_t frame[1600];
	uint32_t id, len;

	post(n, 0, 2, 1000);
	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	net_inject(n, frame, 1519); /* MTU, header, one tag: 1518 */
	net_inject(n, frame, 1518); /* larger than the buffer */
	net_inject(n, frame, 988);
	net_poll(n);
	assert_int_equal(n->net->rx_drops[DM_NET_RX_TOO_BIG], 2);
	assert_true(net_used(n, 0, &id, &len));
	assert_int_equal(len, 1000);
	expect_accounted(n);
}

static void
test_transmit(void **state)
{
	struct fake_net *n = begin(state, 1, V1);
	uint8_t frame[100];
	const uint8_t *back;
	uint32_t id, len;

	net_frame(frame, sizeof(frame), other_mac, 1, 2);
	send_frame(n, 1, frame, sizeof(frame));
	net_poll(n); /* comes back and finds no buffer */
	assert_true(net_used(n, 1, &id, &len));
	assert_int_equal(len, 0);
	assert_int_equal(n->f.irqs[2], 1);
	assert_int_equal(n->net->tx_frames, 1);
	assert_int_equal(n->net->tx_bytes, 100);

	post(n, 0, 1, 2000);
	send_frame(n, 1, frame, sizeof(frame));
	net_poll(n);
	net_poll(n);
	assert_true(net_used(n, 0, &id, &len));
	assert_int_equal(len, HDR + 100);
	assert_memory_equal(rx_buf(n, 0, 0) + HDR, frame, 100);
	assert_int_equal(dm_wire_peek(n->wire, &back), 0);
	expect_accounted(n);
	assert_int_equal(n->f.rules.total, 0);
}

/* Header and frame cut at every place of the first bytes, also inside the header. */
static void
test_transmit_cuts(void **state)
{
	struct fake_net *n = begin(state, 1, V1);
	uint64_t at = NET_BUFS + 0x180000;
	uint8_t frame[60];
	uint32_t id, len;
	uint32_t cut;

	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	memset(fake_at(&n->f, at, HDR), 0, HDR);
	memcpy(fake_at(&n->f, at + HDR, 60), frame, 60);
	for (cut = 1; cut < 40; cut++) {
		memset(&n->q[0], 0, sizeof(n->q[0]));
		net_start(n, V1);
		n->q[1].avail = n->q[1].used = 0;
		post(n, 0, 1, 2000);
		net_desc(n, 1, 0, at, cut, F_NEXT, 1);
		net_desc(n, 1, 1, at + cut, HDR + 60 - cut, 0, 0);
		net_offer(n, 1, 0);
		net_poll(n);
		net_poll(n);
		assert_true(net_used(n, 1, &id, &len));
		assert_true(net_used(n, 0, &id, &len));
		assert_int_equal(len, HDR + 60);
		assert_memory_equal(rx_buf(n, 0, 0) + HDR, frame, 60);
	}
	assert_int_equal(n->f.rules.total, 0);
}

static void
test_transmit_rules(void **state)
{
	struct fake_net *n = begin(state, 1, V1 | BIT(3));
	uint64_t at = NET_BUFS + 0x180000;
	uint8_t frame[2000];
	uint32_t id, len, i;

	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	send_frame(n, 1, frame, 13); /* no Ethernet header */
	net_poll(n);
	send_frame(n, 1, frame, 100);
	put8(&n->f, at, 1); /* NEEDS_CSUM */
	net_poll(n);
	send_frame(n, 1, frame, 100);
	put8(&n->f, at + 1, 1); /* TSO */
	net_poll(n);
	send_frame(n, 1, frame, 1519);
	net_poll(n);
	for (i = 0; i < 4; i++)
		assert_true(net_used(n, 1, &id, &len));
	assert_int_equal(n->f.rules.count[DM_RULE_TX_SHORT], 1);
	assert_int_equal(n->f.rules.count[DM_RULE_TX_OFFLOAD], 2);
	assert_int_equal(n->f.rules.count[DM_RULE_TX_OVER_MTU], 1);
	assert_int_equal(n->net->tx_frames, 0);
	assert_int_equal(n->net->tx_drops[DM_NET_TX_OFFLOAD], 2);
}

/* A ring error stops the card: NEEDS_RESET, one configuration interrupt, frames accounted. */
static void
test_needs_reset(void **state)
{
	struct fake_net *n = begin(state, 1, V1);
	uint8_t frame[100];
	uint32_t id, len;

	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	post(n, 0, 1, 2000);
	net_desc(n, 1, 0, NET_RAM - 100, 100, 0, 0);
	net_offer(n, 1, 0);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	net_poll(n);
	assert_int_equal(rd(n, R_STATUS, 1), 0x4f);
	assert_int_equal(n->f.irqs[0], 1);
	assert_int_equal(n->net->rx_drops[DM_NET_RX_NOT_RUNNING], 1);
	assert_false(net_used(n, 0, &id, &len));
	expect_accounted(n);

	net_start(n, V1);
	post(n, 0, 1, 2000);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	assert_true(net_used(n, 0, &id, &len));
}

/* After a reset: no byte of memory changes, no interrupt, and the wire is drained. */
static void
test_silence_after_reset(void **state)
{
	struct fake_net *n = begin(state, 1, V1 | BIT(40));
	uint8_t *ram = fake_at(&n->f, NET_RAM, NET_RAM_BYTES);
	uint8_t *before = malloc(NET_RAM_BYTES);
	uint8_t frame[100];
	unsigned int irqs[FAKE_MAX_VECTORS];
	int ring;

	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	for (ring = 0; ring < 2; ring++) {
		net_start(n, V1 | BIT(40));
		post(n, 0, 4, 2000);
		send_frame(n, 1, frame, sizeof(frame));
		net_poll(n); /* what was taken is used by now */
		assert_int_equal(get16(&n->f, NET_RING(1) + 0x2002), 1);
		send_frame(n, 1, frame, sizeof(frame));
		if (ring) {
			wr(n, R_QSELECT, 2, 0);
			wr(n, R_QRESET, 2, 1);
			wr(n, R_QSELECT, 2, 1);
			wr(n, R_QRESET, 2, 1);
			assert_int_equal(rd(n, R_QRESET, 2), 0);
		} else {
			wr(n, R_STATUS, 1, 0);
			assert_int_equal(rd(n, R_STATUS, 1), 0);
		}
		memcpy(before, ram, NET_RAM_BYTES);
		memcpy(irqs, n->f.irqs, sizeof(irqs));
		net_inject(n, frame, sizeof(frame));
		net_poll(n);
		n->device.ops->sleep(n->device.dev);
		assert_memory_equal(before, ram, NET_RAM_BYTES);
		assert_memory_equal(irqs, n->f.irqs, sizeof(irqs));
	}
	free(before);
	assert_int_equal(n->net->rx_drops[DM_NET_RX_NOT_RUNNING], 1);
	assert_int_equal(n->net->rx_drops[DM_NET_RX_QUEUE_OFF], 1);
	expect_accounted(n);
	assert_int_equal(n->f.rules.total, 0);
}

/* A ring that starts again starts at index 0, whatever happened before. */
static void
test_ring_restart(void **state)
{
	struct fake_net *n = begin(state, 1, V1 | BIT(40));
	uint8_t frame[100];
	uint32_t id, len;
	int i;

	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	for (i = 0; i < 3; i++) {
		post(n, 0, 2, 2000);
		net_inject(n, frame, sizeof(frame));
		net_poll(n);
		assert_true(net_used(n, 0, &id, &len));
		assert_int_equal(id, 0);
		wr(n, R_QSELECT, 2, 0);
		wr(n, R_QRESET, 2, 1);
		net_queue(n, 0);
	}
	assert_int_equal(n->f.rules.total, 0);
}

static bool
arrives(struct fake_net *n, const uint8_t *dst)
{
	uint8_t frame[60];
	uint64_t before = n->net->rx_drops[DM_NET_RX_FILTERED];

	net_frame(frame, sizeof(frame), dst, 1, 2);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	return n->net->rx_drops[DM_NET_RX_FILTERED] == before;
}

static void
rx_mode(struct fake_net *n, uint8_t cmd, uint8_t on)
{
	assert_int_equal(net_ctrl(n, 2, 0, cmd, &on, 1), 0);
}

static void
test_rx_modes(void **state)
{
	struct fake_net *n = begin(state, 1, ALL);
	static const uint8_t table[] = {
		1, 0, 0, 0, 2, 0, 0, 0, 0, 7,  /* one unicast */
		1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1 /* one multicast */
	};
	static const uint8_t empty[8];

	assert_true(arrives(n, other_mac));
	rx_mode(n, 0, 0);
	assert_false(arrives(n, other_mac));
	assert_true(arrives(n, own_mac));
	assert_true(arrives(n, broadcast));
	assert_false(arrives(n, multicast));
	rx_mode(n, 1, 1); /* allmulti */
	assert_true(arrives(n, multicast));
	rx_mode(n, 1, 0);
	assert_int_equal(net_ctrl(n, 2, 1, 0, table, sizeof(table)), 0);
	assert_true(arrives(n, multicast));
	assert_true(arrives(n, other_mac));
	assert_int_equal(net_ctrl(n, 2, 1, 0, empty, sizeof(empty)), 0);
	assert_false(arrives(n, other_mac));
	rx_mode(n, 2, 1); /* alluni */
	assert_true(arrives(n, other_mac));
	rx_mode(n, 4, 1); /* nouni wins */
	assert_false(arrives(n, own_mac));
	rx_mode(n, 4, 0);
	rx_mode(n, 2, 0);
	rx_mode(n, 5, 1); /* nobcast */
	assert_false(arrives(n, broadcast));
	assert_int_equal(net_ctrl(n, 2, 1, 1, other_mac, 6), 0);
	assert_true(arrives(n, other_mac));
	assert_false(arrives(n, own_mac));
	assert_memory_equal(n->net->filter.mac, other_mac, 6);
	assert_int_equal(rd(n, R_CONFIG + 5, 1), 7);
	assert_int_equal(n->f.rules.total, 0);

	net_start(n, ALL); /* all gone with the reset */
	assert_true(arrives(n, multicast));
	assert_int_equal(rd(n, R_CONFIG + 5, 1), 1);
	expect_accounted(n);
}

static void
test_ctrl_bad(void **state)
{
	struct fake_net *n = begin(state, 2, ALL | MQ);
	static const uint8_t lies[] = { 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0 };
	uint8_t one = 1, two = 2;
	uint16_t pairs;

	assert_int_equal(net_ctrl(n, 4, 0, 0, &one, 1), 0);
	assert_int_equal(net_ctrl(n, 4, 0, 0, &two, 1), 1);
	assert_int_equal(net_ctrl(n, 4, 0, 0, lies, 2), 1);
	assert_int_equal(net_ctrl(n, 4, 0, 6, &one, 1), 1);
	assert_int_equal(net_ctrl(n, 4, 77, 0, &one, 1), 1);
	assert_int_equal(net_ctrl(n, 4, 1, 0, lies, sizeof(lies)), 1);
	assert_int_equal(net_ctrl(n, 4, 1, 0, lies, 3), 1);
	assert_int_equal(net_ctrl(n, 4, 1, 0, lies + 4, 10), 1); /* two addresses in 6 bytes */
	assert_int_equal(net_ctrl(n, 4, 1, 1, lies, 5), 1);
	for (pairs = 0; pairs <= 3; pairs += 3)
		assert_int_equal(net_ctrl(n, 4, 4, 0, &pairs, 2), 1);
	assert_int_equal(n->net->pairs, 1);
	assert_int_equal(n->f.rules.count[DM_RULE_CTRL_CLASS], 2);
	assert_int_equal(n->f.rules.count[DM_RULE_CTRL_DATA], 8);

	/* No room for the answer, and a command without a class: completed all the same. */
	net_desc(n, 4, 0, NET_BUFS, 2, 0, 0);
	net_offer(n, 4, 0);
	net_desc(n, 4, 1, NET_BUFS, 1, F_WRITE, 0);
	net_offer(n, 4, 1);
	net_poll(n);
	assert_int_equal(get16(&n->f, NET_RING(4) + 0x2002), 13);
	assert_int_equal(n->f.rules.count[DM_RULE_CTRL_LAYOUT], 2);
}

/* Flows come back on the pair that sends them; unknown ones spread; unused pairs get nothing. */
static void
test_steering(void **state)
{
	struct fake_net *n = begin(state, 4, ALL | MQ);
	unsigned int got[4] = { 0 };
	uint8_t frame[60];
	uint32_t id, len;
	uint16_t pairs = 3, pair, flow;

	for (pair = 0; pair < 4; pair++)
		post(n, 2 * pair, 16, 2000);
	assert_int_equal(net_ctrl(n, 8, 4, 0, &pairs, 2), 0);
	for (flow = 0; flow < 30; flow++) {
		net_frame(frame, sizeof(frame), own_mac, 20000 + flow, 7777);
		net_inject(n, frame, sizeof(frame));
		net_poll(n);
	}
	for (pair = 0; pair < 4; pair++)
		while (net_used(n, 2 * pair, &id, &len)) {
			got[pair]++;
			net_offer(n, 2 * pair, (uint16_t)id);
		}
	assert_int_equal(got[0] + got[1] + got[2], 30);
	assert_true(got[0] > 0 && got[1] > 0 && got[2] > 0);

	/* The guest answers flow 5 on pair 2, with ports and addresses swapped. */
	net_frame(frame, sizeof(frame), other_mac, 7777, 20005);
	memcpy(frame + 26, "\x0a\0\0\2\x0a\0\0\1", 8);
	send_frame(n, 5, frame, sizeof(frame));
	net_poll(n);
	net_poll(n);
	assert_true(net_used(n, 4, &id, &len)); /* the loop: it came back */
	net_frame(frame, sizeof(frame), own_mac, 20005, 7777);
	net_inject(n, frame, sizeof(frame));
	net_poll(n);
	assert_true(net_used(n, 4, &id, &len));
	expect_accounted(n);
	assert_int_equal(n->f.rules.total, 0);
}

static void
test_ctrl_queue_place(void **state)
{
	struct fake_net *n = begin(state, 4, ALL); /* no MQ: it is queue 2 (5.1.2) */
	uint8_t on = 1;

	assert_int_equal(rd(n, R_NUMQ, 2), 9);
	assert_int_equal(net_ctrl(n, 2, 0, 0, &on, 1), 0);
}

static void
test_announce_and_link(void **state)
{
	struct fake_net *n = begin(state, 1, ALL);
	const char *error = "";
	json_t *down = json_pack("{s:b}", "up", 0);
	uint64_t generation = rd(n, R_GEN, 1);

	assert_int_equal(rd(n, R_CONFIG + 6, 2), 1);
	assert_int_equal(n->device.ops->control(n->device.dev, "announce", NULL, &error), 0);
	assert_int_equal(rd(n, R_CONFIG + 6, 2), 3);
	assert_int_equal(n->f.irqs[0], 1);
	assert_int_not_equal(rd(n, R_GEN, 1), generation);
	assert_int_equal(net_ctrl(n, 2, 3, 0, NULL, 0), 0);
	assert_int_equal(rd(n, R_CONFIG + 6, 2), 1);
	assert_int_equal(n->device.ops->control(n->device.dev, "link", down, &error), 0);
	assert_int_equal(rd(n, R_CONFIG + 6, 2), 0);
	assert_int_equal(n->f.irqs[0], 2);
	json_decref(down);
}

static void
test_lost_irq(void **state)
{
	struct fake_net *n = begin(state, 1, V1);
	uint8_t frame[60];
	int i;

	n->f.faults.lost_irq_nth = 3;
	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	post(n, 0, 9, 2000);
	for (i = 0; i < 9; i++) {
		net_inject(n, frame, sizeof(frame));
		net_poll(n);
	}
	assert_int_equal(n->f.irqs[1], 6);
}

/* 2.7.8.2: a device may write more than used.len says, and to buffers that it does not use. */
static void
test_write_rights(void **state)
{
	struct fake_net *n = begin(state, 1, V1 | BIT(40));
	uint8_t frame[60];
	uint32_t id, len;
	int how;

	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	n->f.faults.overrun = 1;
	n->f.faults.early_write = 2;
	for (how = 0; how < 2; how++) {
		net_start(n, V1 | BIT(40));
		post(n, 0, 4, 1000);
		net_inject(n, frame, sizeof(frame));
		net_poll(n);
		assert_true(net_used(n, 0, &id, &len));
		assert_int_equal(len, HDR + 60);
		assert_memory_equal(rx_buf(n, 0, 0) + HDR, frame, 60);
		assert_int_equal(rx_buf(n, 0, 0)[999], 0xdb);
		assert_int_equal(rx_buf(n, 0, 0)[1000], 0xa5);
		if (how == 0) {
			wr(n, R_STATUS, 1, 0);
		} else {
			wr(n, R_QSELECT, 2, 0);
			wr(n, R_QRESET, 2, 1);
		}
		assert_false(net_used(n, 0, &id, &len));
		assert_int_equal(rx_buf(n, 0, 2)[999], 0xdb);
		assert_int_equal(rx_buf(n, 0, 3)[0], 0xa5);
	}
	assert_int_equal(n->f.rules.total, 0);
}

/* What is made available between the last look and the sleep has no doorbell: look again. */
static void
test_sleep_race(void **state)
{
	struct fake_net *n = begin(state, 1, ALL | BIT(29));
	uint8_t frame[60];

	net_frame(frame, sizeof(frame), own_mac, 1, 2);
	post(n, 0, 4, 2000); /* receive buffers are no work */
	assert_int_equal(net_poll(n), 0);
	assert_true(n->device.ops->sleep(n->device.dev) > 0);
	send_frame(n, 1, frame, sizeof(frame));
	assert_int_equal(n->device.ops->sleep(n->device.dev), 0);
	net_poll(n);
	net_poll(n);
	assert_true(n->device.ops->sleep(n->device.dev) > 0);
	net_inject(n, frame, sizeof(frame));
	assert_int_equal(n->device.ops->sleep(n->device.dev), 0);
}

static void
test_feature_mask(void **state)
{
	struct fake_net *n = *state;

	net_create(n, 4, ~BIT(22) & ~BIT(40) & ~BIT(32), false);
	wr(n, R_DFSELECT, 4, 1);
	/* VERSION_1 stays; ACCESS_PLATFORM, rings and doorbells; not RING_RESET */
	assert_int_equal(rd(n, R_DF, 4) & 0x1ff, 0xcf);
	wr(n, R_DFSELECT, 4, 0);
	assert_int_equal(rd(n, R_DF, 4) & (1 << 22), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_receive), T(test_receive_mergeable), T(test_no_buffer), T(test_too_big),
		T(test_transmit), T(test_transmit_cuts), T(test_transmit_rules),
		T(test_needs_reset), T(test_silence_after_reset), T(test_ring_restart),
		T(test_rx_modes), T(test_ctrl_bad), T(test_steering), T(test_ctrl_queue_place),
		T(test_announce_and_link), T(test_lost_irq), T(test_sleep_race),
		T(test_write_rights), T(test_feature_mask),
	};

	return cmocka_run_group_tests_name("dm_net", tests, NULL, NULL);
}
