/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Receive-side scaling: the vectors of Microsoft's verification suite, DPDK's Toeplitz, each kind
 * of frame, what a driver may configure, and the virtio-net model's steering and reports.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_thash.h>

#include "dm_fake_net.h"
#include "dm_rss.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define F_WRITE 2
#define ALL 0x1ffu
#define FRAME 200
#define HASH_HDR 20

static const uint8_t suite_key[DM_RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

struct vector {
	const char *src, *dst;
	uint16_t sport, dport;
	uint32_t addresses, all;
};

/* "Verifying the RSS hash calculation", Windows driver documentation. */
static const struct vector suite[] = {
	{ "66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2, 0x51ccc178 },
	{ "199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a, 0xc626b0ea },
	{ "24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de, 0x5c2b394a },
	{ "38.27.205.30", "209.142.163.6", 48228, 2217, 0x82989176, 0xafc7327f },
	{ "153.39.163.191", "202.188.127.2", 44251, 1303, 0x5d1809c5, 0x10e828a2 },
	{ "3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x2cc18cd5, 0x40207d3d },
	{ "3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c, 0xdde51bbf },
	{ "3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024,
		0x4b61e985, 0x02d1feef },
};

/* IPv6 extension headers of one frame, ahead of proto. */
struct extra {
	uint8_t bytes[64];
	uint32_t len;
	uint8_t first; /* kind of the first one */
};

/* @return length of the frame */
static uint32_t
make(uint8_t *frame, const struct vector *v, uint8_t proto, const struct extra *extra)
{
	bool ipv6 = strchr(v->src, ':') != NULL;
	uint8_t *ip = frame + 14, *l4;

	memset(frame, 0, FRAME);
	memcpy(frame, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	if (ipv6) {
		memcpy(frame + 12, "\x86\xdd\x60", 3);
		ip[6] = extra != NULL ? extra->first : proto;
		assert_int_equal(inet_pton(AF_INET6, v->src, ip + 8), 1);
		assert_int_equal(inet_pton(AF_INET6, v->dst, ip + 24), 1);
		l4 = ip + 40;
		if (extra != NULL) {
			memcpy(l4, extra->bytes, extra->len);
			l4 += extra->len;
		}
	} else {
		memcpy(frame + 12, "\x08\x00\x45", 3);
		ip[9] = proto;
		assert_int_equal(inet_pton(AF_INET, v->src, ip + 12), 1);
		assert_int_equal(inet_pton(AF_INET, v->dst, ip + 16), 1);
		l4 = ip + 20;
	}
	l4[0] = (uint8_t)(v->sport >> 8);
	l4[1] = (uint8_t)v->sport;
	l4[2] = (uint8_t)(v->dport >> 8);
	l4[3] = (uint8_t)v->dport;
	return (uint32_t)(l4 - frame) + 20;
}

static void
expect(uint32_t types, const uint8_t *frame, uint32_t len, uint16_t report, uint32_t hash)
{
	struct dm_rss rss = { .types = types };
	uint32_t got;
	uint8_t *copy = malloc(len); /* of its own size, so that ASan sees one byte too many */

	memcpy(rss.key, suite_key, sizeof(suite_key));
	memcpy(copy, frame, len);
	assert_int_equal(dm_rss_hash(&rss, copy, len, &got), report);
	assert_int_equal(got, hash);
	free(copy);
}

static void
test_suite(void **state)
{
	uint8_t frame[FRAME];
	uint32_t len;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
		const struct vector *v = &suite[i];
		bool ipv6 = i >= 5;

		len = make(frame, v, 6, NULL);
		expect(ALL, frame, len, ipv6 ? 5 : 2, v->all);
		expect(0x2d, frame, len, ipv6 ? 4 : 1, v->addresses); /* no TCP kinds */
		expect(0x12, frame, len, ipv6 ? 5 : 2, v->all);
		expect(0x24, frame, len, 0, 0); /* UDP kinds only */
		len = make(frame, v, 17, NULL);
		expect(ALL, frame, len, ipv6 ? 6 : 3, v->all);
		len = make(frame, v, 1, NULL);
		expect(ALL, frame, len, ipv6 ? 4 : 1, v->addresses);
		expect(0, frame, len, 0, 0);
	}
}

/* What is not whole has no ports, or no hash. */
static void
test_odd_frames(void **state)
{
	const struct vector *v = &suite[0];
	uint8_t frame[FRAME], tagged[FRAME];
	uint32_t len, i;

	(void)state;
	len = make(frame, v, 6, NULL);
	for (i = 14; i < len; i++) {
		if (i < 34)
			expect(ALL, frame, i, 0, 0);
		else if (i < 38)
			expect(ALL, frame, i, 1, v->addresses);
		else
			expect(ALL, frame, i, 2, v->all);
	}
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, "\x81\0\0\5\x88\xa8\0\7", 8);
	memcpy(tagged + 20, frame + 12, len - 12);
	expect(ALL, tagged, len + 8, 2, v->all);
	expect(ALL, tagged, 18, 0, 0);
	frame[20] = 0x20; /* first fragment */
	expect(ALL, frame, len, 1, v->addresses);
	frame[20] = 0;
	frame[14] = 0x44; /* header of 16 bytes */
	expect(ALL, frame, len, 0, 0);
	frame[14] = 0x4f; /* options */
	expect(ALL, frame, 14 + 60, 1, v->addresses);
	frame[12] = 0x88;
	expect(ALL, frame, len, 0, 0);
}

/* 5.1.6.4.3.4: the home address and the routing header's stand for those of the IP header. */
static void
test_extended(void **state)
{
	struct extra extra = { .len = 24 + 24, .first = 60 };
	struct vector v = suite[5];
	uint8_t frame[FRAME];
	uint32_t len, i;

	(void)state;
	/* Destination options: padding, then the home address; then a routing header of type 2. */
	memcpy(extra.bytes, "\x2b\2\1\1\0\0\xc9\x10", 8);
	assert_int_equal(inet_pton(AF_INET6, suite[5].src, extra.bytes + 8), 1);
	memcpy(extra.bytes + 24, "\6\2\2\1\0\0\0\0", 8);
	assert_int_equal(inet_pton(AF_INET6, suite[5].dst, extra.bytes + 32), 1);
	v.src = "::1";
	v.dst = "::2";
	len = make(frame, &v, 6, &extra);
	expect(ALL, frame, len, 8, suite[5].all);
	expect(0x40, frame, len, 7, suite[5].addresses);
	/* Without the EX kinds, the header's own. */
	v = suite[6];
	len = make(frame, &v, 6, &extra);
	expect(0x3f, frame, len, 5, suite[6].all);
	expect(0x0f, frame, len, 4, suite[6].addresses);
	/* Neither of them there: the header's own, under their name. */
	memset(&extra, 0, sizeof(extra));
	extra.len = 8;
	extra.bytes[0] = 17;
	len = make(frame, &v, 17, &extra);
	expect(ALL, frame, len, 9, suite[6].all);
	/* Cut anywhere. */
	for (i = 14; i < len; i++)
		expect(ALL, frame, i, i < 54 ? 0 : i < 66 ? 7 : 9, i < 54 ? 0 : i < 66 ?
				suite[6].addresses : suite[6].all);
}

static void
test_as_dpdk(void **state)
{
	uint32_t seed = 1, tuple[9];
	unsigned int round, i, words;
	uint8_t key[DM_RSS_KEY_BYTES], bytes[36];

	(void)state;
	for (round = 0; round < 3000; round++) {
		for (i = 0; i < sizeof(key); i++) {
			seed = seed * 1664525 + 1013904223;
			key[i] = (uint8_t)(seed >> 24);
			if (i < sizeof(bytes))
				bytes[i] = (uint8_t)(seed >> 16);
		}
		words = 1 + round % 9;
		for (i = 0; i < words; i++)
			tuple[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 |
					(uint32_t)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
		assert_int_equal(dm_rss_toeplitz(key, bytes, 4 * words),
				rte_softrss(tuple, words, key));
	}
}

/* Data of MQ_RSS_CONFIG, all good. @return its length */
static uint32_t
config_make(uint8_t *data, uint32_t types, uint16_t nb)
{
	uint16_t i, mask = nb - 1;

	memset(data, 0, 512);
	memcpy(data, &types, 4);
	memcpy(data + 4, &mask, 2);
	data[6] = 1; /* unclassified */
	for (i = 0; i < nb; i++)
		data[8 + 2 * i] = (uint8_t)(i % 4);
	data[8 + 2 * nb] = 3; /* transmit pairs */
	data[10 + 2 * nb] = 40;
	memcpy(data + 11 + 2 * nb, suite_key, 40);
	return 11u + 2u * nb + 40u;
}

static void
test_config(void **state)
{
	struct dm_rss rss, before;
	uint8_t data[512];
	uint16_t tx = 0;
	uint32_t len, i;

	(void)state;
	memset(&rss, 0, sizeof(rss));
	len = config_make(data, ALL, 128);
	assert_int_equal(dm_rss_config(&rss, data, len, true, 4, &tx), 0);
	assert_int_equal(tx, 3);
	assert_true(rss.steering);
	assert_int_equal(dm_rss_pair(&rss, 0, 0x1234), 1);
	assert_int_equal(dm_rss_pair(&rss, 2, 0xffffff82), 2);

	before = rss;
	for (i = 0; i < len; i++) /* cut anywhere */
		assert_int_equal(dm_rss_config(&rss, data, i, true, 4, &tx), -EINVAL);
	assert_int_equal(dm_rss_config(&rss, data, len + 1, true, 4, &tx), 0); /* Linux */
	assert_int_equal(dm_rss_config(&rss, data, len, true, 3, &tx), -EINVAL); /* pair 3 */
	data[1] = 2; /* unknown kind of hash */
	assert_int_equal(dm_rss_config(&rss, data, len, true, 4, &tx), -EINVAL);
	data[1] = 1;
	data[4] = 126; /* no power of two */
	assert_int_equal(dm_rss_config(&rss, data, len, true, 4, &tx), -EINVAL);
	data[4] = 255; /* a larger one than there is */
	assert_int_equal(dm_rss_config(&rss, data, sizeof(data), true, 4, &tx), -EINVAL);
	data[4] = 127;
	data[6] = 4;
	assert_int_equal(dm_rss_config(&rss, data, len, true, 4, &tx), -EINVAL);
	data[6] = 1;
	data[8 + 256] = 0;
	assert_int_equal(dm_rss_config(&rss, data, len, true, 4, &tx), -EINVAL);
	data[8 + 256] = 5;
	assert_int_equal(dm_rss_config(&rss, data, len, true, 4, &tx), -EINVAL);
	data[8 + 256] = 3;
	data[10 + 256] = 41;
	assert_int_equal(dm_rss_config(&rss, data, len + 1, true, 4, &tx), -EINVAL);
	assert_memory_equal(&rss, &before, sizeof(rss));
	assert_int_equal(tx, 3);

	/* HASH_CONFIG: kinds, eight reserved bytes, a key that may be short. */
	memset(data, 0, sizeof(data));
	data[0] = 0x3f;
	data[12] = 4;
	memcpy(data + 13, "\1\2\3\4", 4);
	assert_int_equal(dm_rss_config(&rss, data, 16, false, 4, NULL), -EINVAL);
	assert_int_equal(dm_rss_config(&rss, data, 17, false, 4, NULL), 0);
	assert_false(rss.steering);
	assert_int_equal(rss.types, 0x3f);
	assert_int_equal(rss.key[3], 4);
	assert_int_equal(rss.key[4], 0);
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
place(uint16_t q, uint16_t slot)
{
	return NET_BUFS + q * 0x8000u + slot * 2048u;
}

/* Where does it arrive, under which hash? */
static uint16_t
arrives(struct fake_net *n, const uint8_t *frame, uint32_t len, uint16_t *report, uint32_t *hash)
{
	uint32_t id, used;
	uint16_t pair;

	net_inject(n, frame, len);
	net_poll(n);
	for (pair = 0; pair < 4; pair++) {
		if (!net_used(n, 2 * pair, &id, &used))
			continue;
		assert_int_equal(used, HASH_HDR + len);
		*hash = get32(&n->f, place(2 * pair, (uint16_t)id) + 12);
		*report = get16(&n->f, place(2 * pair, (uint16_t)id) + 16);
		assert_int_equal(get16(&n->f, place(2 * pair, (uint16_t)id) + 18), 0);
		assert_memory_equal(fake_at(&n->f, place(2 * pair, (uint16_t)id) + HASH_HDR, len),
				frame, len);
		return pair;
	}
	fail_msg("no frame");
	return 0;
}

/* Table, report and control commands in one card. */
static void
test_model(void **state)
{
	struct fake_net *n = *state;
	uint8_t frame[FRAME], data[512];
	uint16_t report, pair, slot;
	const uint16_t two = 2;
	uint32_t hash, len;
	size_t i;

	net_create(n, 4, UINT64_MAX, false);
	assert_int_equal(rd(n, R_CONFIG + 12, 4), DM_NET_SPEED_MBPS);
	assert_int_equal(rd(n, R_CONFIG + 16, 1), 1);
	assert_int_equal(rd(n, R_CONFIG + 17, 1), 40);
	assert_int_equal(rd(n, R_CONFIG + 18, 2), 128);
	assert_int_equal(rd(n, R_CONFIG + 20, 4), ALL);
	/* RSS without MQ: the control queue is the last all the same. */
	net_start(n, BIT(32) | BIT(17) | BIT(57) | BIT(60) | BIT(63));
	for (pair = 0; pair < 4; pair++)
		for (slot = 0; slot < 8; slot++) {
			net_desc(n, 2 * pair, slot, place(2 * pair, slot), 2048, F_WRITE, 0);
			net_offer(n, 2 * pair, slot);
		}
	len = make(frame, &suite[0], 6, NULL);
	assert_int_equal(arrives(n, frame, len, &report, &hash), 0);
	assert_int_equal(report, 0);

	assert_int_equal(net_ctrl(n, 8, 4, 1, data, config_make(data, ALL, 128)), 0);
	assert_int_equal(n->net->pairs, 3);
	for (i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
		len = make(frame, &suite[i], 6, NULL);
		assert_int_equal(arrives(n, frame, len, &report, &hash), suite[i].all % 4);
		assert_int_equal(hash, suite[i].all);
		assert_int_equal(report, i < 5 ? 2 : 5);
	}
	memset(frame + 12, 0x77, 2); /* no IP: unclassified */
	assert_int_equal(arrives(n, frame, len, &report, &hash), 1);
	assert_int_equal(report + hash, 0);

	/* HASH_CONFIG ends steering, as QEMU has it. */
	memset(data, 0, 13);
	data[0] = 0x3f;
	assert_int_equal(net_ctrl(n, 8, 4, 2, data, 13), 0);
	assert_false(n->net->rss.steering);
	assert_int_equal(net_ctrl(n, 8, 4, 2, data, 12), 1);
	assert_int_equal(net_ctrl(n, 8, 4, 0, &two, 2), 1); /* MQ is not negotiated */
	assert_int_equal(n->f.rules.count[DM_RULE_CTRL_DATA], 1);
	assert_int_equal(n->f.rules.count[DM_RULE_CTRL_CLASS], 1);
	assert_int_equal(n->f.rules.total, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suite), cmocka_unit_test(test_odd_frames),
		cmocka_unit_test(test_extended), cmocka_unit_test(test_as_dpdk),
		cmocka_unit_test(test_config),
		cmocka_unit_test_setup_teardown(test_model, setup, teardown),
	};

	return cmocka_run_group_tests_name("dm_rss", tests, NULL, NULL);
}
