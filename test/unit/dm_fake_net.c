/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_net.h"

static void
fake_bus_master(void *ctx, bool on)
{
	(void)ctx;
	(void)on;
}

static const struct dm_pci_ops fake_pci_ops = { .bus_master = fake_bus_master };

void
net_create(struct fake_net *n, uint16_t pairs, uint64_t feature_mask, bool shared)
{
	struct dm_net_conf conf = {
		.host = &n->f.host, .pci = &n->pci, .pairs = pairs, .queue_size = NET_QSIZE,
		.mtu = 1500, .feature_mask = feature_mask, .notify_shared = shared,
		.mac = { 2, 0, 0, 0, 0, 1 },
	};

	memset(n, 0, sizeof(*n));
	fake_init(&n->f);
	fake_map(&n->f, NET_RAM, NET_RAM_BYTES, LM_VU_PROT_READ | LM_VU_PROT_WRITE);
	dm_pci_init(&n->pci, &fake_pci_ops, n);
	assert_int_equal(dm_wire_open("loop", &n->wire), 0);
	conf.wire = n->wire;
	assert_int_equal(dm_net_create(&conf, &n->device), 0);
	n->net = n->device.dev;
}

void
net_destroy(struct fake_net *n)
{
	n->device.ops->destroy(n->device.dev);
	dm_wire_close(n->wire);
	fake_fini(&n->f);
}

uint64_t
rd(struct fake_net *n, uint64_t offset, uint32_t width)
{
	uint64_t v = 0;

	assert_int_equal(n->device.ops->bar_read(n->device.dev, 0, offset, &v, width), 0);
	return v;
}

void
wr(struct fake_net *n, uint64_t offset, uint32_t width, uint64_t value)
{
	assert_int_equal(n->device.ops->bar_write(n->device.dev, 0, offset, &value, width), 0);
}

uint8_t
net_negotiate(struct fake_net *n, uint64_t features)
{
	wr(n, R_STATUS, 1, 0);
	assert_int_equal(rd(n, R_STATUS, 1), 0);
	wr(n, R_STATUS, 1, 1);
	wr(n, R_STATUS, 1, 3);
	wr(n, R_GFSELECT, 4, 0);
	wr(n, R_GF, 4, (uint32_t)features);
	wr(n, R_GFSELECT, 4, 1);
	wr(n, R_GF, 4, features >> 32);
	wr(n, R_STATUS, 1, 0xb);
	return (uint8_t)rd(n, R_STATUS, 1);
}

static void
wr64(struct fake_net *n, uint64_t offset, uint64_t value)
{
	wr(n, offset, 4, (uint32_t)value);
	wr(n, offset + 4, 4, value >> 32);
}

void
net_queue(struct fake_net *n, uint16_t q)
{
	memset(fake_at(&n->f, NET_RING(q), 0x3000), 0, 0x3000);
	memset(&n->q[q], 0, sizeof(n->q[q]));
	wr(n, R_QSELECT, 2, q);
	wr(n, R_QSIZE, 2, NET_QSIZE);
	wr64(n, R_QDESC, NET_RING(q));
	wr64(n, R_QDRIVER, NET_RING(q) + 0x1000);
	wr64(n, R_QDEVICE, NET_RING(q) + 0x2000);
	wr(n, R_QMSIX, 2, q + 1);
	assert_int_equal(rd(n, R_QMSIX, 2), q + 1);
	wr(n, R_QENABLE, 2, 1);
}

void
net_start(struct fake_net *n, uint64_t features)
{
	uint16_t q;

	assert_int_equal(net_negotiate(n, features), 0xb);
	wr(n, R_MSIX, 2, 0);
	for (q = 0; q < rd(n, R_NUMQ, 2); q++)
		net_queue(n, q);
	wr(n, R_STATUS, 1, 0xf);
	assert_int_equal(rd(n, R_STATUS, 1), 0xf);
}

void
net_desc(struct fake_net *n, uint16_t q, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next)
{
	uint64_t at = NET_RING(q) + 16 * i;

	put64(&n->f, at, addr);
	put32(&n->f, at + 8, len);
	put16(&n->f, at + 12, flags);
	put16(&n->f, at + 14, next);
}

void
net_offer(struct fake_net *n, uint16_t q, uint16_t head)
{
	uint64_t avail = NET_RING(q) + 0x1000;

	put16(&n->f, avail + 4 + 2 * (n->q[q].avail % NET_QSIZE), head);
	put16(&n->f, avail + 2, ++n->q[q].avail);
}

bool
net_used(struct fake_net *n, uint16_t q, uint32_t *id, uint32_t *len)
{
	uint64_t used = NET_RING(q) + 0x2000;
	uint64_t elem = used + 4 + 8 * (n->q[q].used % NET_QSIZE);

	if (get16(&n->f, used + 2) == n->q[q].used)
		return false;
	*id = get32(&n->f, elem);
	*len = get32(&n->f, elem + 4);
	n->q[q].used++;
	return true;
}

unsigned int
net_poll(struct fake_net *n)
{
	n->f.now_ns += 1000000;
	return n->device.ops->poll(n->device.dev, n->f.now_ns);
}

void
net_inject(struct fake_net *n, const uint8_t *frame, uint32_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)frame, .iov_len = len };

	assert_int_equal(dm_wire_send(n->wire, &iov, 1), 0);
}

void
net_frame(uint8_t *frame, uint32_t len, const uint8_t *dst, uint16_t sport, uint16_t dport)
{
	static const uint8_t start[] = {
		2, 0, 0, 0, 0, 9, 0x08, 0x00, /* source, type */
		0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, /* IPv4, UDP */
	};
	uint32_t i;

	for (i = 0; i < len; i++)
		frame[i] = (uint8_t)(i % 251);
	memcpy(frame, dst, 6);
	memcpy(frame + 6, start, sizeof(start));
	frame[34] = (uint8_t)(sport >> 8);
	frame[35] = (uint8_t)sport;
	frame[36] = (uint8_t)(dport >> 8);
	frame[37] = (uint8_t)dport;
}

uint8_t
net_ctrl(struct fake_net *n, uint16_t q, uint8_t class, uint8_t cmd, const void *data,
		uint32_t len)
{
	const uint64_t at = NET_BUFS + 0x200000;
	uint32_t id, used_len;

	put8(&n->f, at, class);
	put8(&n->f, at + 1, cmd);
	if (len != 0)
		memcpy(fake_at(&n->f, at + 16, len), data, len);
	put8(&n->f, at + 0x4000, 0xee);
	net_desc(n, q, 0, at, 2, 1, 1);
	net_desc(n, q, 1, at + 16, len, 1, 2);
	net_desc(n, q, 2, at + 0x4000, 1, 2, 0);
	net_offer(n, q, 0);
	net_poll(n);
	assert_true(net_used(n, q, &id, &used_len));
	assert_int_equal(id, 0);
	assert_int_equal(used_len, 1);
	return *fake_at(&n->f, at + 0x4000, 1);
}
