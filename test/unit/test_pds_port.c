/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * net_pds adopts records that lie: each bit of a sample of bytes turned, cut at many places.
 * Catches one that believes an index, a place or a buffer; that keeps buffers after it has refused;
 * or that changes while it refuses, so that the true record no longer fits.
 */

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_compat.h"

#include <bus_vdev_driver.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dm_serve.h"
#include "lm_port.h"
#include "lm_window.h"
#include "lm_withdraw.h"

#define PORT "net_pds0"
#define QUEUES 2
#define DESC 64
#define BUFFERS 1024u
#define ELEMENT 2304u
#define FRAMES 40u
#define HEAD_BYTES 1200u /* of a record: all bits; behind it every 97th byte, and all of the end */
#define STEP 97u

struct test {
	struct dm_serve s;
	struct lm_window *window;
	struct rte_mempool *pool;
	uint16_t port_id;
	void *rec;
	int len;
	unsigned int adopted;
};

static char dir[] = "/tmp/lm-pds-port-XXXXXX";

static void
port_open(struct test *t, bool incoming)
{
	const struct rte_eth_conf conf = { .rxmode = { .mq_mode = RTE_ETH_MQ_RX_RSS } };
	char args[128];
	uint16_t i;

	lm_window_reset(t->window);
	snprintf(args, sizeof(args), "socket=%s", t->s.paths[1]);
	assert_int_equal(lm_port_prepare(PORT, t->window, incoming), 0);
	assert_int_equal(rte_vdev_init(PORT, args), 0);
	lm_port_unprepare(PORT);
	assert_int_equal(rte_eth_dev_get_port_by_name(PORT, &t->port_id), 0);
	assert_int_equal(rte_eth_dev_configure(t->port_id, QUEUES, QUEUES, &conf), 0);
	for (i = 0; i < QUEUES; i++) {
		assert_int_equal(rte_eth_rx_queue_setup(t->port_id, i, DESC, SOCKET_ID_ANY, NULL,
				t->pool), 0);
		assert_int_equal(rte_eth_tx_queue_setup(t->port_id, i, DESC, SOCKET_ID_ANY, NULL),
				0);
	}
	assert_int_equal(rte_eth_dev_start(t->port_id), 0);
}

/* Whatever was adopted, every buffer is in the pool again afterwards. */
static void
port_close(struct test *t)
{
	assert_int_equal(rte_eth_dev_stop(t->port_id), 0);
	assert_int_equal(rte_eth_dev_close(t->port_id), 0);
	assert_int_equal(rte_vdev_uninit(PORT), 0);
	assert_int_equal(rte_mempool_avail_count(t->pool), BUFFERS);
}

/* Frames in the middle of both rings, in one and in two buffers. */
static void
traffic(struct test *t)
{
	struct rte_mbuf *pkts[32], *m;
	uint16_t nb, i;
	unsigned int n;

	for (n = 0; n < FRAMES; n++) {
		m = rte_pktmbuf_alloc(t->pool);
		assert_non_null(m);
		memset(rte_pktmbuf_append(m, 60), 0xff, 60);
		if (n % 2 == 0) {
			m->next = rte_pktmbuf_alloc(t->pool);
			assert_non_null(m->next);
			memset(rte_pktmbuf_mtod(m->next, void *), 0x11, 70);
			m->next->data_len = 70;
			m->pkt_len += 70;
			m->nb_segs = 2;
		}
		assert_int_equal(rte_eth_tx_burst(t->port_id, n % QUEUES, &m, 1), 1);
		nb = rte_eth_rx_burst(t->port_id, 0, pkts, n < FRAMES / 2 ? 32 : 1);
		for (i = 0; i < nb; i++)
			rte_pktmbuf_free(pkts[i]);
	}
}

static int
setup(void **state)
{
	const struct lm_window_conf conf = {
		.addr = UINT64_C(0x7d0000000000),
		.control_bytes = UINT64_C(2) << 20,
		.record_bytes = UINT64_C(1) << 18,
		.buffer_bytes = RTE_ALIGN_CEIL(BUFFERS * ELEMENT, 4096u),
		.page_bytes = 4096,
		.element_bytes = ELEMENT,
		.headroom_bytes = RTE_PKTMBUF_HEADROOM,
	};
	struct rte_pktmbuf_extmem mem = { .elt_size = ELEMENT };
	struct test *t = calloc(1, sizeof(*t));
	struct lm_port *port;
	uint64_t len;

	*state = t;
	serve_start(&t->s, QUEUES);
	assert_int_equal(lm_window_create(&conf, &t->window), 0);
	mem.buf_ptr = lm_window_buffers(t->window, &len);
	mem.buf_iova = (uintptr_t)mem.buf_ptr;
	mem.buf_len = len;
	t->pool = rte_pktmbuf_pool_create_extbuf("buffers", BUFFERS, 0, 0, ELEMENT, SOCKET_ID_ANY,
			&mem, 1);
	assert_non_null(t->pool);
	port_open(t, false);
	traffic(t);
	port = lm_port_find(PORT);
	assert_non_null(port);
	assert_int_equal(lm_port_park(port, 1000000, NULL), 0);
	t->len = lm_port_give_up(port, NULL, &t->rec);
	assert_true(t->len > 4000);
	port_close(t);
	port_open(t, true);
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;

	port_close(t);
	rte_mempool_free(t->pool);
	lm_window_destroy(t->window);
	serve_stop(&t->s);
	free(t->rec);
	free(t);
	return 0;
}

/* @return as lm_port_adopt(); what was adopted is closed again */
static int
adopt(struct test *t, const void *rec, size_t len)
{
	int ret = lm_port_adopt(lm_port_find(PORT), rec, len);

	if (ret != 0) {
		assert_int_equal(rte_mempool_avail_count(t->pool), BUFFERS);
		return ret;
	}
	assert_true(rte_mempool_avail_count(t->pool) < BUFFERS);
	t->adopted++;
	port_close(t);
	port_open(t, true);
	return 0;
}

static void
test_true_record(void **state)
{
	struct test *t = *state;

	assert_int_equal(adopt(t, t->rec, (size_t)t->len), 0);
	assert_int_equal(adopt(t, t->rec, (size_t)t->len), 0);
}

static void
test_cut(void **state)
{
	struct test *t = *state;
	int at;

	for (at = 0; at < t->len; at += at < 400 ? 1 : 53)
		assert_int_not_equal(adopt(t, t->rec, (size_t)at), 0);
	assert_int_equal(adopt(t, t->rec, (size_t)t->len), 0);
}

/* Some bits say nothing that could be wrong (an address, a counter): those may be adopted. */
static void
test_bits(void **state)
{
	struct test *t = *state;
	unsigned int refused = 0;
	uint8_t *rec = t->rec;
	int at, bit;

	for (at = 0; at < t->len; at += at < (int)HEAD_BYTES ? 1 : (int)STEP)
		for (bit = at % 3; bit < 8; bit += 3) {
			rec[at] ^= (uint8_t)(1u << bit);
			refused += adopt(t, rec, (size_t)t->len) != 0;
			rec[at] ^= (uint8_t)(1u << bit);
		}
	assert_true(refused > HEAD_BYTES);
	assert_int_equal(adopt(t, t->rec, (size_t)t->len), 0);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

int
main(void)
{
	static char *argv[] = {
		(char *)(uintptr_t)"test", (char *)(uintptr_t)"--no-huge", (char *)(uintptr_t)"-m",
		(char *)(uintptr_t)"128", (char *)(uintptr_t)"--no-pci",
		(char *)(uintptr_t)"--no-telemetry", (char *)(uintptr_t)"--log-level=*:critical",
		(char *)(uintptr_t)"--no-shconf", (char *)(uintptr_t)"-l",
		(char *)(uintptr_t)"0", NULL,
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_true_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bits, setup, teardown),
	};
	int ret;

	if (mkdtemp(dir) == NULL || setenv("RUNTIME_DIRECTORY", dir, 1) != 0 ||
			rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return EXIT_FAILURE;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return ret;
}
