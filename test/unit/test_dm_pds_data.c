/* SPDX-License-Identifier: BSD-3-Clause */

/* Data path of the pds VF over a loop wire: what is sent comes back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "dm_fake_pds.h"
#include "dm_frame_if.h"
#include "dm_pds_frame.h"

#define TXBUF(n) (PDS_BUFS + 0x10000 * (uint64_t)(n))
#define RXBUF(n) (PDS_BUFS + 0x100000 + 0x4000 * (uint64_t)(n))
#define RX_LEN 0x3000
#define F_VLAN_TX 0x1
#define F_STRIP 0x2
#define F_VLAN_FILTER 0x4
#define F_HASH 0x8
#define F_CSUM 0x10

static const uint8_t own_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t other_mac[6] = { 2, 0, 0, 0, 0, 7 };

static struct fake_pds *
begin(void **state, uint16_t pairs, uint64_t features)
{
	struct fake_pds *p = *state;

	pds_create(p, pairs, "loop");
	pds_ionic_probe(p);
	assert_int_equal(pds_set_features(p, features), features);
	pds_ionic_open(p, pairs);
	return p;
}

static int
setup(void **state)
{
	*state = calloc(1, sizeof(struct fake_pds));
	return 0;
}

static int
teardown(void **state)
{
	pds_destroy(*state);
	free(*state);
	return 0;
}

/* IPv4 UDP with right checksums, made by the generator's code, which scapy judges. */
static uint32_t
udp_frame(uint8_t *frame, uint32_t payload, uint16_t flow)
{
	struct dm_frame_desc d = { .type = DM_FRAME_REQUEST, .flow = flow, .len_bytes = payload };

	memcpy(d.dst_mac, own_mac, 6);
	memcpy(d.src_mac, other_mac, 6);
	return dm_frame_build(frame, &d);
}

/* Headers only; checksums are 0, the length fields those of the whole. */
static void
tcp_headers(uint8_t *h, uint32_t payload)
{
	static const uint8_t start[54] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 0x08, 0x00,
		0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0x30, 0x39, 0, 80, 0, 0, 0x10, 0, 0, 0, 0, 1, 0x50, 0x99, 2, 0, 0, 0, 0, 0,
	};

	memcpy(h, start, sizeof(start));
	dm_pds_put_be16(h + 16, (uint16_t)(40 + payload));
}

static void
post(struct fake_pds *p, unsigned int i, unsigned int nb, uint16_t len)
{
	unsigned int n;

	for (n = 0; n < nb; n++)
		pds_rx_post(p, i, RXBUF(p->rx[i].head), len);
	pds_doorbell(p, 2, i, p->rx[i].head);
}

static void
send_one(struct fake_pds *p, unsigned int opcode, unsigned int flags, uint16_t vlan, uint16_t w1,
		uint16_t w2, const uint8_t *frame, uint32_t len)
{
	memcpy(fake_at(&p->vf.f, TXBUF(0), len), frame, len);
	pds_tx_desc(p, 0, TXBUF(0), (uint16_t)len, opcode, flags, vlan, w1, w2);
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
}

static uint16_t
sum_of(const uint8_t *data, uint32_t len)
{
	return (uint16_t)~dm_frame_csum_fold(dm_frame_csum_add(data, len));
}

/* Catches: a wrong byte, length, sum or flag; a completion without an interrupt. */
static void
test_loop(void **state)
{
	struct fake_pds *p = begin(state, 1, F_CSUM | F_HASH);
	uint8_t frame[1500];
	const uint8_t *c;
	uint32_t len = udp_frame(frame, 1000, 3);
	unsigned int irqs = p->vf.f.irqs[1];

	post(p, 0, 3, RX_LEN);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	c = pds_rx_comp(p, 0);
	assert_non_null(c);
	assert_int_equal(c[0], 0);
	assert_int_equal(pds_get(c, 12, 2), len);
	assert_int_equal(pds_get(c, 8, 2), sum_of(frame + 14, len - 14));
	assert_int_equal(c[14], 0x80 | 0x10 | 0x04);
	assert_int_equal(c[15] & 0x7f, 0x05);
	assert_memory_equal(fake_at(&p->vf.f, RXBUF(0), len), frame, len);
	assert_true(p->vf.f.irqs[1] > irqs);
	frame[60] ^= 1;
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	c = pds_rx_comp(p, 0);
	assert_int_equal(c[14], 0x80 | 0x10 | 0x08);
	frame[60] ^= 1;
	frame[26] ^= 1;
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	c = pds_rx_comp(p, 0);
	assert_int_equal(c[14], 0x80 | 0x20 | 0x08);
	assert_null(pds_rx_comp(p, 0));
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	assert_int_equal(p->model->rx_drops[DM_PDS_RX_NO_BUFFER], 1);
	assert_int_equal(p->vf.f.rules.total, 0);
}

/* Catches: scatter or gather that loses its place; a frame that does not fit and is taken. */
static void
test_scatter_gather(void **state)
{
	struct fake_pds *p = begin(state, 1, F_CSUM);
	uint8_t frame[1600], got[1600];
	uint64_t sg = PDS_RING(2, 0) + 0x8000;
	const uint8_t *c;
	uint32_t len = udp_frame(frame, 1400, 1), i, at = 0;

	for (i = 0; i < 8; i++) {
		put64(&p->vf.f, sg + 16 * i, RXBUF(10) + 0x200 * i);
		put16(&p->vf.f, sg + 16 * i + 8, i < 7 ? 200 : 300);
	}
	pds_rx_post(p, 0, RXBUF(0), 64);
	pds_rx_post(p, 0, RXBUF(1), 100);
	pds_doorbell(p, 2, 0, p->rx[0].head);
	memcpy(fake_at(&p->vf.f, TXBUF(0), len), frame, len);
	pds_tx_desc(p, 0, TXBUF(0), 100, 0, 0, 0, 0, 0);
	for (i = 0, at = 100; i < 15; i++) {
		uint16_t piece = (uint16_t)(i == 14 ? len - at : 90);

		pds_tx_sg(p, 0, i, TXBUF(0) + at, piece);
		at += piece;
	}
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
	c = pds_rx_comp(p, 0);
	assert_non_null(c);
	assert_int_equal(c[1], 8);
	assert_int_equal(pds_get(c, 12, 2), len);
	memcpy(got, fake_at(&p->vf.f, RXBUF(0), 64), 64);
	for (i = 0, at = 64; i < 8; i++) {
		uint32_t piece = i < 7 ? 200 : len - at;

		memcpy(got + at, fake_at(&p->vf.f, RXBUF(10) + 0x200 * i, piece), piece);
		at += piece;
	}
	assert_memory_equal(got, frame, len);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	c = pds_rx_comp(p, 0);
	assert_int_equal(c[0], 2); /* 100 bytes and no SG */
	assert_int_equal(p->model->rx_drops[DM_PDS_RX_NO_ROOM], 1);
}

/* Catches: checksums over the wrong bytes, in both ways of asking. */
static void
test_checksums(void **state)
{
	struct fake_pds *p = begin(state, 1, F_CSUM);
	uint8_t frame[600], want[600], pseudo[12] = { 10, 0, 0, 1, 10, 0, 0, 2, 0, 6 };
	uint32_t i, len = 54 + 333;
	uint16_t sum;

	post(p, 0, 8, RX_LEN);
	tcp_headers(frame, 333);
	for (i = 54; i < len; i++)
		frame[i] = (uint8_t)(i * 7);
	dm_pds_put_be16(pseudo + 10, 20 + 333);
	memcpy(want, frame, len);
	sum = dm_frame_csum_fold(dm_frame_csum_add(want + 14, 20));
	memcpy(want + 24, &sum, 2);
	sum = dm_frame_csum_fold(dm_frame_csum_add(pseudo, 12) + dm_frame_csum_add(want + 34,
			len - 34));
	memcpy(want + 50, &sum, 2);
	frame[50] = 0x77; /* whatever the driver left there */
	send_one(p, 2, 0xc, 0, 0, 0, frame, len);
	assert_non_null(pds_rx_comp(p, 0));
	assert_memory_equal(fake_at(&p->vf.f, RXBUF(0), len), want, len);
	memcpy(frame, want, len);
	sum = (uint16_t)~dm_frame_csum_fold(dm_frame_csum_add(pseudo, 12));
	memcpy(frame + 50, &sum, 2);
	send_one(p, 1, 0, 0, 34, 16, frame, len);
	assert_non_null(pds_rx_comp(p, 0));
	assert_memory_equal(fake_at(&p->vf.f, RXBUF(1), len), want, len);
	assert_int_equal(p->vf.f.rules.total, 0);
	send_one(p, 1, 0, 0, 380, 16, frame, len);
	assert_int_equal(p->model->tx_drops[DM_PDS_TX_BAD], 1);
	assert_int_equal(p->vf.f.rules.count[DM_RULE_PDS_TX_DESC], 1);
}

static void
check_segment(struct fake_pds *p, unsigned int n, uint32_t seq, uint32_t payload, uint8_t flags)
{
	const uint8_t *c = pds_rx_comp(p, 0);
	const uint8_t *f = fake_at(&p->vf.f, RXBUF(n), 54 + payload);
	uint32_t i;

	assert_non_null(c);
	assert_int_equal(pds_get(c, 12, 2), 54 + payload);
	assert_int_equal(c[14], 0x80 | 0x10 | 0x01); /* both checksums are right */
	assert_int_equal(dm_pds_be16(f + 16), 40 + payload);
	assert_int_equal(dm_pds_be16(f + 18), 0x1234 + n);
	assert_int_equal(dm_pds_be32(f + 38), seq);
	assert_int_equal(f[47], flags);
	for (i = 0; i < payload; i++)
		assert_int_equal(f[54 + i], (uint8_t)((seq - 0x1000 + i) * 3));
}

/* Catches: a segment with a wrong number, id, length or flag (FIN, PSH and CWR here). */
static void
test_tso(void **state)
{
	struct fake_pds *p = begin(state, 1, F_CSUM);
	uint8_t *buf = fake_at(&p->vf.f, TXBUF(0), 4096);
	uint32_t i;

	post(p, 0, 4, RX_LEN);
	tcp_headers(buf, 2400);
	for (i = 0; i < 2400; i++)
		buf[54 + i] = (uint8_t)(i * 3);
	pds_tx_desc(p, 0, TXBUF(0), 54 + 1000, 3, 4, 0, 54, 1000);
	pds_tx_desc(p, 0, TXBUF(0) + 1054, 1000, 3, 0, 0, 54, 1000);
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
	assert_int_equal(p->model->lif.txq[0].head, 0); /* its end is not there yet */
	pds_tx_desc(p, 0, TXBUF(0) + 2054, 400, 3, 8, 0, 54, 1000);
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
	check_segment(p, 0, 0x1000, 1000, 0x90);
	check_segment(p, 1, 0x1000 + 1000, 1000, 0x10);
	check_segment(p, 2, 0x1000 + 2000, 400, 0x19);
	assert_int_equal(get16(&p->vf.f, PDS_RING(3, 0) + 0x4000 + 2), 2);
	assert_int_equal(p->vf.f.rules.total, 0);
	pds_tx_desc(p, 0, TXBUF(0) + 2054, 400, 3, 8, 0, 54, 1000); /* no beginning */
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
	assert_int_equal(p->model->lif.txq[0].head, 4);
	assert_int_equal(p->vf.f.rules.count[DM_RULE_PDS_TX_TSO], 1);
}

/* The same over IPv6, with a tag put in: lengths are those of the payload, there is no id. */
static void
test_tso_ipv6(void **state)
{
	struct fake_pds *p = begin(state, 1, F_CSUM | F_VLAN_TX | F_STRIP);
	uint8_t *buf = fake_at(&p->vf.f, TXBUF(0), 4096);
	const uint8_t *c, *f;
	unsigned int n;

	post(p, 0, 4, RX_LEN);
	memset(buf, 0, 4096);
	tcp_headers(buf, 0);
	memmove(buf + 54, buf + 34, 20);
	dm_pds_put_be16(buf + 12, 0x86dd);
	memset(buf + 14, 0, 40);
	buf[14] = 0x60;
	buf[20] = 6;
	buf[37] = 1;
	buf[53] = 2;
	memset(buf + 74, 0xab, 1500);
	pds_tx_desc(p, 0, TXBUF(0), 74 + 800, 3, 5, 7, 74, 800);
	pds_tx_desc(p, 0, TXBUF(0) + 874, 700, 3, 9, 7, 74, 800);
	pds_rx_mode(p, 8);
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
	for (n = 0; n < 2; n++) {
		c = pds_rx_comp(p, 0);
		assert_non_null(c);
		assert_int_equal(c[14], 0x80 | 0x40 | 0x01);
		assert_int_equal(c[15] & 0x7f, 0x18);
		assert_int_equal(pds_get(c, 10, 2), 7);
		assert_int_equal(pds_get(c, 12, 2), 74 + (n == 0 ? 800 : 700));
		f = fake_at(&p->vf.f, RXBUF(n), 74);
		assert_int_equal(dm_pds_be16(f + 18), 20 + (n == 0 ? 800 : 700));
		assert_int_equal(dm_pds_be32(f + 58), 0x1000 + 800 * n);
	}
	assert_int_equal(p->vf.f.rules.total, 0);
}

/* Catches: a tag in the wrong place, or one that stays; a filter that does not filter. */
static void
test_vlan(void **state)
{
	struct fake_pds *p = begin(state, 1, F_VLAN_TX | F_STRIP | F_VLAN_FILTER | F_CSUM);
	uint8_t frame[300], cmd[64] = { 31 };
	uint32_t len = udp_frame(frame, 100, 1);
	const uint8_t *c;

	post(p, 0, 4, RX_LEN);
	send_one(p, 0, 1, 0x6005, 0, 0, frame, len);
	assert_null(pds_rx_comp(p, 0));
	assert_int_equal(p->model->rx_drops[DM_PDS_RX_FILTERED], 1);
	pds_put(cmd, 10, 5, 2);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 0);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 13);
	send_one(p, 0, 1, 0x6005, 0, 0, frame, len);
	c = pds_rx_comp(p, 0);
	assert_non_null(c);
	assert_int_equal(pds_get(c, 10, 2), 0x6005);
	assert_int_equal(c[14], 0x80 | 0x40 | 0x10 | 0x04);
	assert_int_equal(pds_get(c, 12, 2), len);
	assert_memory_equal(fake_at(&p->vf.f, RXBUF(0), len), frame, len);
	assert_int_equal(pds_set_features(p, F_VLAN_TX), F_VLAN_TX);
	send_one(p, 0, 1, 0x6005, 0, 0, frame, len);
	c = pds_rx_comp(p, 0);
	assert_int_equal(pds_get(c, 12, 2), len + 4);
	assert_int_equal(dm_pds_be32(fake_at(&p->vf.f, RXBUF(1) + 12, 4)), 0x81006005);
}

static void
test_filters(void **state)
{
	struct fake_pds *p = begin(state, 1, 0);
	uint8_t frame[300];
	uint32_t len = udp_frame(frame, 100, 1);

	post(p, 0, 8, RX_LEN);
	memcpy(frame, other_mac, 6);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	assert_null(pds_rx_comp(p, 0));
	pds_rx_mode(p, 8);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	assert_non_null(pds_rx_comp(p, 0));
	pds_rx_mode(p, 7);
	memset(frame, 0xff, 6);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	assert_non_null(pds_rx_comp(p, 0));
	frame[5] = 0x10;
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	assert_null(pds_rx_comp(p, 0));
	pds_rx_mode(p, 0x17);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	assert_non_null(pds_rx_comp(p, 0));
	assert_int_equal(p->model->rx_drops[DM_PDS_RX_FILTERED], 2);
}

/* Hashes of Microsoft's RSS verification suite: a foreign judge of Toeplitz. */
static void
test_rss(void **state)
{
	static const uint8_t key[40] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};
	struct fake_pds *p = begin(state, 2, F_HASH);
	uint8_t frame[54], cmd[64] = { 24, 5 };
	const uint8_t *c;
	unsigned int i;

	post(p, 0, 2, RX_LEN);
	pds_rx_post(p, 1, RXBUF(20), RX_LEN);
	pds_rx_post(p, 1, RXBUF(21), RX_LEN);
	pds_doorbell(p, 2, 1, 2);
	pds_put(cmd, 4, 0x3f, 2);
	memcpy(cmd + 6, key, sizeof(key));
	pds_put(cmd, 52, PDS_RSS, 8);
	for (i = 0; i < 128; i++)
		put8(&p->vf.f, PDS_RSS + i, i == (0x51ccc178 & 127) ? 1 : 0);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 0);
	tcp_headers(frame, 0);
	/* 66.9.149.187 to 161.142.100.80 */
	memcpy(frame + 26, "\x42\x09\x95\xbb\xa1\x8e\x64\x50", 8);
	dm_pds_put_be16(frame + 34, 2794);
	dm_pds_put_be16(frame + 36, 1766);
	send_one(p, 0, 0, 0, 0, 0, frame, sizeof(frame));
	c = pds_rx_comp(p, 1);
	assert_non_null(c);
	assert_int_equal(pds_get(c, 4, 4), 0x51ccc178);
	assert_int_equal(c[15] & 0x7f, 0x03);
	put8(&p->vf.f, PDS_RSS + (0x323e8fc2 & 127), 1);
	pds_put(cmd, 4, 1, 2); /* addresses only */
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 0);
	send_one(p, 0, 0, 0, 0, 0, frame, sizeof(frame));
	c = pds_rx_comp(p, 1);
	assert_non_null(c);
	assert_int_equal(pds_get(c, 4, 4), 0x323e8fc2);
	put8(&p->vf.f, PDS_RSS, 2);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 16); /* a queue that there is not */
}

/* Catches: a stored doorbell that is not seen, or an old one that a new queue takes for its own. */
static void
test_stored_doorbell(void **state)
{
	struct fake_pds *p = *state;
	volatile uint64_t *page;
	uint8_t frame[300];
	uint32_t len = udp_frame(frame, 100, 1);

	pds_create(p, 1, "loop");
	pds_ionic_probe(p);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p->vf.dev.bars[2].fd, 4096);
	assert_true(page != MAP_FAILED);
	p->page = 1;
	pds_ionic_open(p, 1);
	pds_rx_post(p, 0, RXBUF(0), RX_LEN);
	page[2] = 1;
	memcpy(fake_at(&p->vf.f, TXBUF(0), len), frame, len);
	pds_tx_desc(p, 0, TXBUF(0), (uint16_t)len, 0, 0, 0, 0, 0);
	page[3] = 1;
	pds_poll(&p->vf);
	assert_non_null(pds_rx_comp(p, 0));
	assert_int_equal(p->vf.f.rules.total, 0);
	pds_doorbell(p, 3, 0, 2); /* page 0 is not its page */
	assert_int_equal(p->vf.f.rules.count[DM_RULE_PDS_DOORBELL], 1);
	assert_int_equal(pds_q_init(p, 3, 0, 7, 0xffff), 0);
	pds_poll(&p->vf);
	assert_int_equal(p->model->lif.txq[0].p_index, 0);
	munmap((void *)(uintptr_t)page, 4096);
}

/* Every frame is somewhere; a descriptor that leads nowhere is completed all the same. */
static void
test_accounting(void **state)
{
	struct fake_pds *p = begin(state, 1, 0);
	struct dm_wire_stats w;
	uint8_t frame[9400];
	uint64_t sum;
	uint32_t len = udp_frame(frame, 100, 1), i;

	post(p, 0, 2, RX_LEN);
	pds_tx_desc(p, 0, 0x7000000, 100, 0, 0, 0, 0, 0);
	pds_tx_desc(p, 0, TXBUF(0), 10, 0, 0, 0, 0, 0);
	pds_tx_desc(p, 0, TXBUF(0), 60, 9, 0, 0, 0, 0);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	udp_frame(frame, 9300, 1);
	send_one(p, 0, 0, 0, 0, 0, frame, 9374);
	for (i = 0; i < 5; i++)
		send_one(p, 0, 0, 0, 0, 0, frame, 400);
	assert_int_equal(p->model->lif.txq[0].head, p->tx[0].head);
	assert_int_equal(p->model->tx_drops[DM_PDS_TX_DMA], 1);
	assert_int_equal(p->model->tx_drops[DM_PDS_TX_SHORT], 1);
	assert_int_equal(p->model->tx_drops[DM_PDS_TX_BAD], 1);
	assert_int_equal(p->model->tx_drops[DM_PDS_TX_TOO_BIG], 1);
	dm_wire_stats_get(p->wire, &w);
	sum = p->model->lif.rxq[0].frames;
	for (i = 0; i < DM_PDS_RX_DROP_MAX; i++)
		sum += p->model->rx_drops[i];
	assert_int_equal(sum, w.rx_frames);
	assert_int_equal(p->model->lif.txq[0].frames, w.tx_frames);
	p->vf.f.now_ns += 1000000000;
	pds_poll(&p->vf);
	assert_int_equal(get32(&p->vf.f, PDS_LIF_INFO + 320 + 136), w.tx_frames); /* tx_ucast */
	assert_int_equal(get32(&p->vf.f, PDS_PORT_INFO + 576 + 256), w.tx_frames);
}

/* Catches: an MTU that is a word only. */
static void
test_jumbo(void **state)
{
	struct fake_pds *p = begin(state, 1, F_CSUM);
	uint8_t frame[9300], cmd[64] = { 24, 2 };
	uint32_t len = udp_frame(frame, 9000, 1);
	const uint8_t *c;

	post(p, 0, 2, RX_LEN);
	pds_put(cmd, 4, 9216, 4);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 0);
	send_one(p, 0, 0, 0, 0, 0, frame, len);
	c = pds_rx_comp(p, 0);
	assert_non_null(c);
	assert_int_equal(pds_get(c, 12, 2), len);
	assert_memory_equal(fake_at(&p->vf.f, RXBUF(0), len), frame, len);
	pds_put(cmd, 4, 10000, 4);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 16);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_loop),
		T(test_scatter_gather),
		T(test_checksums),
		T(test_tso),
		T(test_tso_ipv6),
		T(test_vlan),
		T(test_filters),
		T(test_rss),
		T(test_stored_doorbell),
		T(test_accounting),
		T(test_jumbo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
