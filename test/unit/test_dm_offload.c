/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Checksums and segmentation: arithmetic against a second, slow one written here, refusals, and the
 * virtio-net model over a loop wire with each choice of the receiving driver. Segments are compared
 * with those of Linux in test/py/test_offload.py.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_net.h"
#include "dm_offload.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define V1 BIT(32)
#define HDR 12
#define SLOT 4096u
#define F_NEXT 1
#define F_WRITE 2
#define CSUM BIT(0)
#define GUEST_CSUM BIT(1)
#define CTRL_OFFLOADS BIT(2)
#define GUEST_TSO4 BIT(7)
#define GUEST_ECN BIT(9)
#define HOST_TSO4 BIT(11)
#define HOST_ECN BIT(13)
#define MRG BIT(15)
#define CTRL_VQ BIT(17)
#define MAX 9000u

struct packet {
	uint8_t bytes[MAX];
	uint32_t len, l3, l4, data; /* places */
	struct lm_virtio_net_hdr hdr;
};

static void
be16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned int
from_be16(const uint8_t *p)
{
	return p[0] * 256u + p[1];
}

/* One's complement sum of one's complement words, word by word. */
static unsigned int
ones_sum(unsigned int sum, const uint8_t *p, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++) {
		sum += (i & 1) != 0 ? p[i] : p[i] * 256u;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

static unsigned int
pseudo_sum(const uint8_t *ip, uint32_t tcp_bytes)
{
	uint8_t rest[4] = { 0, 6, (uint8_t)(tcp_bytes >> 8), (uint8_t)tcp_bytes };
	unsigned int sum = ip[0] >> 4 == 4 ? ones_sum(0, ip + 12, 8) : ones_sum(0, ip + 8, 32);

	return ones_sum(sum, rest, 4);
}

/* Ethernet, tags VLAN tags, IPv4 with options or IPv6 with one extension header, TCP. */
static void
packet_make(struct packet *p, bool ipv6, unsigned int tags, unsigned int options, uint32_t payload,
		uint16_t mss)
{
	uint32_t ip_bytes, tcp_bytes = 20 + payload;
	uint8_t *ip, *tcp;
	uint32_t i;

	memset(p, 0, sizeof(*p));
	memcpy(p->bytes, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	for (i = 0; i < tags; i++)
		be16(p->bytes + 12 + 4 * i, 0x8100);
	p->l3 = 14 + 4 * tags;
	be16(p->bytes + p->l3 - 2, ipv6 ? 0x86dd : 0x0800);
	ip = p->bytes + p->l3;
	ip_bytes = ipv6 ? 40 + (options != 0 ? 8 : 0) : 20 + 4 * options;
	if (ipv6) {
		ip[0] = 0x60;
		be16(ip + 4, ip_bytes - 40 + tcp_bytes);
		ip[6] = options != 0 ? 0 : 6;
		ip[40] = 6; /* of the options header, if there is one */
	} else {
		ip[0] = (uint8_t)(0x40 + ip_bytes / 4);
		be16(ip + 2, ip_bytes + tcp_bytes);
		be16(ip + 4, 0xfffe); /* it wraps */
		ip[9] = 6;
		be16(ip + 12, 0x0a00);
		be16(ip + 18, 0x0a01);
	}
	p->l4 = p->l3 + ip_bytes;
	p->data = p->l4 + 20;
	p->len = p->data + payload;
	tcp = p->bytes + p->l4;
	if (ipv6 && options != 0)
		memset(tcp - 8 + 1, 0, 7);
	memcpy(tcp, "\1\2\3\4\xff\xff\xff\0\0\0\0\7\x50\xfb\1\1\0\0\0\0", 20);
	for (i = 0; i < payload; i++)
		p->bytes[p->data + i] = (uint8_t)(i * 7 + i / 251);
	be16(tcp + 16, pseudo_sum(ip, tcp_bytes));
	p->hdr.flags = 1;
	p->hdr.gso_type = ipv6 ? 4 : 1;
	p->hdr.gso_size = mss;
	p->hdr.hdr_len = (uint16_t)p->data;
	p->hdr.csum_start = (uint16_t)p->l4;
	p->hdr.csum_offset = 16;
}

static int
parse(const struct packet *p, struct dm_gso *gso)
{
	return dm_gso_parse(&p->hdr, p->bytes, p->len, p->len, gso);
}

static void
check_segment(const struct packet *p, const uint8_t *s, uint32_t len, uint32_t nth, uint32_t nb)
{
	const uint8_t *ip = s + p->l3, *tcp = s + p->l4;
	uint32_t at = nth * p->hdr.gso_size;
	uint32_t payload = p->len - p->data - at;
	uint32_t seq = 0xffffff00u + at;
	unsigned int flags = 0xfb;

	if (payload > p->hdr.gso_size)
		payload = p->hdr.gso_size;
	assert_int_equal(len, p->data + payload);
	assert_memory_equal(s, p->bytes, p->l3);
	assert_memory_equal(s + p->data, p->bytes + p->data + at, payload);
	if (ip[0] >> 4 == 4) {
		assert_int_equal(from_be16(ip + 2), len - p->l3);
		assert_int_equal(from_be16(ip + 4), (0xfffe + nth) & 0xffff);
		assert_int_equal(ones_sum(0, ip, p->l4 - p->l3), 0xffff);
	} else {
		assert_int_equal(from_be16(ip + 4), len - p->l3 - 40);
	}
	assert_int_equal(ones_sum(pseudo_sum(ip, len - p->l4), tcp, len - p->l4), 0xffff);
	assert_int_equal(from_be16(tcp + 4) * 65536u + from_be16(tcp + 6), seq);
	if (nth != 0)
		flags &= ~0x80u; /* CWR: the first only */
	if (nth + 1 != nb)
		flags &= ~0x09u; /* PSH, FIN: the last only */
	assert_int_equal(tcp[13], flags);
}

static void
test_segments(void **state)
{
	static const uint32_t payloads[] = { 1, 999, 1000, 1001, 2000, 8000, 8500 };
	static struct packet p;
	uint8_t segment[MAX];
	unsigned int how, i, n;
	struct dm_gso gso;

	(void)state;
	for (how = 0; how < 12; how++) {
		for (i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
			packet_make(&p, how % 2 != 0, how / 2 % 3, how / 6, payloads[i], 1000);
			assert_int_equal(parse(&p, &gso), 0);
			assert_int_equal(gso.nb_segments, (payloads[i] + 999) / 1000);
			for (n = 0; n < gso.nb_segments; n++)
				check_segment(&p, segment, dm_gso_segment(&gso, p.bytes, n,
						segment), n, gso.nb_segments);
		}
	}
}

static void
test_csum(void **state)
{
	static struct packet p;
	uint32_t len;

	(void)state;
	for (len = 1; len < 64; len++) {
		packet_make(&p, false, 0, 0, len, 0);
		assert_true(dm_csum_fits(&p.hdr, p.len));
		dm_csum_finish(&p.hdr, p.bytes, p.len);
		assert_int_equal(ones_sum(pseudo_sum(p.bytes + 14, 20 + len),
				p.bytes + p.l4, 20 + len), 0xffff);
	}
	/* A sum of 0 is written as 0xffff. */
	memset(p.bytes + p.l4, 0xff, 2);
	memset(p.bytes + p.l4 + 2, 0, p.len - p.l4 - 2);
	dm_csum_finish(&p.hdr, p.bytes, p.len);
	assert_int_equal(from_be16(p.bytes + p.l4 + 16), 0xffff);
	p.hdr.csum_offset = (uint16_t)(p.len - p.l4 - 1);
	assert_false(dm_csum_fits(&p.hdr, p.len));
	p.hdr.csum_offset = 0xffff;
	p.hdr.csum_start = 0xffff;
	assert_false(dm_csum_fits(&p.hdr, p.len));
	p.hdr.csum_start = 13;
	p.hdr.csum_offset = 0;
	assert_false(dm_csum_fits(&p.hdr, p.len));
}

static void
refused(struct packet *p)
{
	struct dm_gso gso;

	assert_int_equal(parse(p, &gso), -EINVAL);
	packet_make(p, false, 0, 0, 3000, 1000);
	assert_int_equal(parse(p, &gso), 0);
}

static void
test_refused(void **state)
{
	static struct packet p;

	(void)state;
	p.len = 14;
	refused(&p);
	p.hdr.gso_type = 3; /* UDP fragments */
	refused(&p);
	p.hdr.gso_type = 4; /* the other IP */
	refused(&p);
	p.hdr.gso_size = 0;
	refused(&p);
	p.hdr.gso_size = 65500; /* and headers: above what an IP length says */
	refused(&p);
	p.hdr.flags = 0;
	refused(&p);
	p.hdr.csum_offset = 6;
	refused(&p);
	p.hdr.csum_start++;
	refused(&p);
	p.bytes[14] = 0x44; /* IPv4 header of 16 bytes */
	refused(&p);
	p.bytes[14] = 0x55;
	refused(&p);
	p.bytes[23] = 17;
	refused(&p);
	p.bytes[20] = 0x20; /* a fragment */
	refused(&p);
	p.bytes[p.l4 + 12] = 0x40; /* TCP header of 16 bytes */
	refused(&p);
	p.len = p.data; /* no payload */
	refused(&p);
	p.bytes[12] = 0x81;
	p.bytes[13] = 0x00; /* a tag, and then nothing known */
	refused(&p);
	packet_make(&p, true, 0, 1, 3000, 1000);
	p.bytes[14 + 41] = 1; /* an extension header that ends elsewhere */
	refused(&p);
	packet_make(&p, true, 0, 1, 3000, 1000);
	p.bytes[20] = 44; /* a fragment */
	refused(&p);
}

/* Whatever is in the frame: what is accepted has segments that add up. */
static void
test_garbage(void **state)
{
	static struct packet p;
	uint32_t seed = 7;
	unsigned int round, i, good = 0;

	(void)state;
	for (round = 0; round < 200000; round++) {
		struct dm_gso gso;
		uint8_t *frame, *segment;
		uint32_t len, sum = 0, n;

		seed = seed * 1664525 + 1013904223;
		packet_make(&p, (seed >> 8 & 1) != 0, seed >> 9 & 1, seed >> 10 & 3,
				1 + (seed >> 12) % 600, 1 + (seed >> 22) % 300);
		for (i = 0; i < 2; i++) {
			seed = seed * 1664525 + 1013904223;
			p.bytes[12 + (seed >> 8) % 80] = (uint8_t)(seed >> 20);
		}
		if ((seed & 0xf00) == 0)
			p.hdr.csum_start = (uint16_t)(seed >> 12);
		if ((seed & 0xf000) == 0)
			p.len = 14 + (seed >> 16) % (p.len - 13);
		if (parse(&p, &gso) != 0)
			continue;
		good++;
		/* In memory of its own size, so that ASan sees one byte too many. */
		frame = malloc(p.len);
		memcpy(frame, p.bytes, p.len);
		segment = malloc((size_t)gso.hdr_bytes + gso.mss_bytes);
		for (n = 0; n < gso.nb_segments; n++) {
			len = dm_gso_segment(&gso, frame, n, segment);
			assert_true(len > gso.hdr_bytes && len <= gso.hdr_bytes + gso.mss_bytes);
			sum += len - gso.hdr_bytes;
		}
		assert_int_equal(sum, p.len - gso.hdr_bytes);
		free(frame);
		free(segment);
	}
	assert_true(good > 20000);
}

static struct fake_net *
begin(void **state, uint64_t features)
{
	struct fake_net *n = *state;
	uint16_t i;

	net_create(n, 1, UINT64_MAX, false);
	net_start(n, V1 | features);
	for (i = 0; i < NET_QSIZE; i++) {
		net_desc(n, 0, i, NET_BUFS + i * SLOT, 2048, F_WRITE, 0);
		net_offer(n, 0, i);
	}
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

static void
transmit(struct fake_net *n, const struct packet *p)
{
	uint64_t at = NET_BUFS + 0x100000;
	uint32_t id, len;

	memcpy(fake_at(&n->f, at, HDR), &p->hdr, HDR);
	memcpy(fake_at(&n->f, at + 64, p->len), p->bytes, p->len);
	net_desc(n, 1, 0, at, HDR, F_NEXT, 1);
	net_desc(n, 1, 1, at + 64, p->len, 0, 0);
	net_offer(n, 1, 0);
	net_poll(n);
	net_poll(n);
	assert_true(net_used(n, 1, &id, &len));
}

/* One frame of the model's, header and bytes, from its buffers. @return its length, 0: none. */
static uint32_t
receive(struct fake_net *n, struct lm_virtio_net_hdr *hdr, uint8_t *frame)
{
	uint32_t id, len, at = 0, i, nb = 1, skip = HDR;

	for (i = 0; i < nb; i++) {
		if (!net_used(n, 0, &id, &len)) {
			assert_int_equal(i, 0);
			return 0;
		}
		if (i == 0) {
			memcpy(hdr, fake_at(&n->f, NET_BUFS + id * SLOT, HDR), HDR);
			nb = hdr->num_buffers;
		}
		memcpy(frame + at, fake_at(&n->f, NET_BUFS + id * SLOT, len) + skip, len - skip);
		at += len - skip;
		skip = 0;
	}
	return at;
}

/* A driver that takes it gets the frame as it was sent, with the header's demands. */
static void
test_pass(void **state)
{
	struct fake_net *n = begin(state, CSUM | GUEST_CSUM | HOST_TSO4 | GUEST_TSO4 | MRG);
	struct lm_virtio_net_hdr hdr;
	static struct packet p;
	static uint8_t frame[MAX];

	packet_make(&p, false, 0, 0, 5000, 1000);
	transmit(n, &p);
	assert_int_equal(receive(n, &hdr, frame), p.len);
	assert_memory_equal(frame, p.bytes, p.len);
	assert_memory_equal(&hdr, &p.hdr, 10);
	assert_int_equal(n->net->tx_segments + n->net->rx_segments, 0);

	p.hdr.gso_type = 0;
	p.hdr.gso_size = 0;
	p.len = 1000;
	transmit(n, &p);
	assert_int_equal(receive(n, &hdr, frame), p.len);
	assert_memory_equal(&hdr, &p.hdr, 10);
	assert_int_equal(n->f.rules.total, 0);
}

/* One that does not gets whole frames; so does one that changed its mind. */
static void
test_cut(void **state)
{
	const uint64_t all = CSUM | GUEST_CSUM | HOST_TSO4 | GUEST_TSO4 | MRG | CTRL_VQ |
			CTRL_OFFLOADS;
	static const struct lm_virtio_net_hdr whole;
	struct fake_net *n = begin(state, all);
	struct lm_virtio_net_hdr hdr;
	static uint8_t frame[MAX];
	static struct packet p;
	uint64_t mask = GUEST_CSUM;
	uint32_t len, i;

	assert_int_equal(net_ctrl(n, 2, 5, 0, &mask, 8), 0);
	packet_make(&p, false, 1, 0, 3500, 1000);
	transmit(n, &p);
	for (i = 0; (len = receive(n, &hdr, frame)) != 0; i++) {
		check_segment(&p, frame, len, i, 4);
		assert_memory_equal(&hdr, &whole, 10);
	}
	assert_int_equal(i, 4);
	assert_int_equal(n->net->rx_frames, 1);
	assert_int_equal(n->net->rx_segments, 4);

	mask = 0;
	assert_int_equal(net_ctrl(n, 2, 5, 0, &mask, 8), 0);
	packet_make(&p, false, 0, 0, 901, 0);
	p.hdr.gso_type = 0;
	transmit(n, &p);
	assert_int_equal(receive(n, &hdr, frame), p.len);
	assert_memory_equal(&hdr, &whole, 10);
	assert_int_equal(ones_sum(pseudo_sum(frame + 14, 921), frame + p.l4, 921), 0xffff);
	assert_int_equal(n->net->rx_csums, 1);
	assert_int_equal(n->f.rules.total, 0);

	mask = GUEST_TSO4; /* not without GUEST_CSUM */
	assert_int_equal(net_ctrl(n, 2, 5, 0, &mask, 8), 1);
	mask = GUEST_CSUM | GUEST_ECN; /* not negotiated */
	assert_int_equal(net_ctrl(n, 2, 5, 0, &mask, 8), 1);
	assert_int_equal(n->f.rules.count[DM_RULE_CTRL_DATA], 2);
}

/* A device reset brings back what was negotiated. */
static void
test_reset_of_choice(void **state)
{
	struct fake_net *n = begin(state, CSUM | GUEST_CSUM | CTRL_VQ | CTRL_OFFLOADS);
	const uint64_t none = 0;

	assert_int_equal(net_ctrl(n, 2, 5, 0, &none, 8), 0);
	assert_true(n->net->offloads_off != 0);
	wr(n, R_STATUS, 1, 0);
	assert_int_equal(n->net->offloads_off, 0);
}

static void
dropped(struct fake_net *n, const struct packet *p, enum dm_rule rule, enum dm_net_tx_drop why)
{
	uint64_t broken = n->f.rules.count[rule], drops = n->net->tx_drops[why];

	transmit(n, p);
	assert_int_equal(n->f.rules.count[rule], broken + 1);
	assert_int_equal(n->net->tx_drops[why], drops + 1);
	assert_int_equal(n->net->tx_frames, 0);
}

static void
test_rules(void **state)
{
	struct fake_net *n = begin(state, CSUM | HOST_TSO4 | MRG | BIT(3));
	static struct packet p;

	packet_make(&p, true, 0, 0, 3000, 1000); /* HOST_TSO6 */
	dropped(n, &p, DM_RULE_TX_OFFLOAD, DM_NET_TX_OFFLOAD);
	packet_make(&p, false, 0, 0, 3000, 1000);
	p.hdr.gso_type |= 0x80; /* HOST_ECN */
	dropped(n, &p, DM_RULE_TX_OFFLOAD, DM_NET_TX_OFFLOAD);
	packet_make(&p, false, 0, 0, 3000, 1500); /* segments above the MTU */
	dropped(n, &p, DM_RULE_TX_OVER_MTU, DM_NET_TX_TOO_BIG);
	packet_make(&p, false, 0, 0, 3000, 1000);
	p.hdr.csum_start = 40;
	dropped(n, &p, DM_RULE_TX_HEADER, DM_NET_TX_OFFLOAD);
	packet_make(&p, false, 0, 0, 100, 0);
	p.hdr.gso_type = 0;
	p.hdr.csum_start = 2000;
	dropped(n, &p, DM_RULE_TX_HEADER, DM_NET_TX_OFFLOAD);

	/* A flag that is not a driver's is counted, the frame goes. */
	packet_make(&p, false, 0, 0, 100, 0);
	memset(&p.hdr, 0, sizeof(p.hdr));
	p.hdr.num_buffers = 1;
	p.hdr.flags = 2; /* DATA_VALID */
	transmit(n, &p);
	assert_int_equal(n->f.rules.count[DM_RULE_TX_HEADER], 3);
	assert_int_equal(n->net->tx_frames, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments), cmocka_unit_test(test_csum),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_garbage),
		T(test_pass), T(test_cut), T(test_reset_of_choice), T(test_rules),
	};

	return cmocka_run_group_tests_name("dm_offload", tests, NULL, NULL);
}
