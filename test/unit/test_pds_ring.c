/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Bursts of net_pds on rings that the test writes, as a device would that contradicts itself, and
 * with frames that cannot be described.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "pds.h"

#define SIZE 64u
#define NB_MBUFS 256u
#define MAX_SEGS 4u
#define BYTES 2048u

struct rig {
	struct pds_port port;
	struct pds_rxq rx;
	struct pds_txq tx;
	struct rte_mempool *pool;
	struct lm_ionic_rxq_comp *rx_comp;
	struct lm_ionic_txq_comp *tx_comp;
	uint64_t doorbell;
};

/* Doorbells of these rings are memory. */
uint16_t
pds_queue_page(const struct pds_port *p, uint16_t index)
{
	(void)p, (void)index;
	return 0;
}

void
pds_doorbell_post(struct pds_port *p, uint16_t page, uint8_t hw_type, uint64_t value)
{
	(void)p, (void)page, (void)hw_type, (void)value;
	fail_msg("a doorbell by message");
}

int pds_logtype;

static void *
memory(size_t nb, size_t bytes)
{
	void *p = aligned_alloc(64, RTE_ALIGN_CEIL(nb * bytes, 64));

	assert_non_null(p);
	memset(p, 0, nb * bytes);
	return p;
}

static void
rx_setup(struct rig *r, uint8_t nb_segs)
{
	struct rte_mbuf fresh = { .data_off = RTE_PKTMBUF_HEADROOM, .nb_segs = 1 };
	struct pds_rxq *q = &r->rx;

	rte_mbuf_refcnt_set(&fresh, 1);
	memcpy(&q->rearm, RTE_PTR_ADD(&fresh, offsetof(struct rte_mbuf, data_off)),
			sizeof(q->rearm));
	pds_rx_flags_init(&r->port);
	lm_quiesce_setup(&q->quiesce, "rx");
	q->port = &r->port;
	q->db = &r->doorbell;
	q->desc = memory(SIZE, sizeof(*q->desc));
	q->sg = memory(SIZE, LM_IONIC_RX_SG_DESC_STRIDE * sizeof(*q->sg));
	q->comp = r->rx_comp = memory(SIZE, sizeof(*q->comp));
	q->mbufs = memory((SIZE + PDS_RX_AHEAD) * nb_segs, sizeof(*q->mbufs));
	q->flags = r->port.rx_flags;
	q->pool = r->pool;
	q->mask = SIZE - 1;
	q->free_thresh = 1;
	q->first_bytes = BYTES;
	q->more_bytes = BYTES + RTE_PKTMBUF_HEADROOM;
	q->color = LM_IONIC_COMP_COLOR_MASK;
	q->nb_segs = nb_segs;
	q->has_hash = true;
	pds_rx_fill(q);
}

static void
tx_setup(struct rig *r)
{
	struct pds_txq *q = &r->tx;

	lm_quiesce_setup(&q->quiesce, "tx");
	q->port = &r->port;
	q->db = &r->doorbell;
	q->desc = memory(SIZE, sizeof(*q->desc));
	q->sg = memory(SIZE, LM_IONIC_TX_SG_DESC_STRIDE_V1 * sizeof(*q->sg));
	q->comp = r->tx_comp = memory(SIZE, sizeof(*q->comp));
	q->mbufs = memory(SIZE, sizeof(*q->mbufs));
	q->mask = SIZE - 1;
	q->free_thresh = SIZE;
	q->color = LM_IONIC_COMP_COLOR_MASK;
	q->sg_stride = LM_IONIC_TX_SG_DESC_STRIDE_V1;
	q->max_segs = MAX_SEGS;
}

static struct rig *
rig_make(uint8_t nb_segs)
{
	struct rig *r = memory(1, sizeof(*r));

	r->pool = rte_pktmbuf_pool_create("pool", NB_MBUFS, 0, 0, BYTES + RTE_PKTMBUF_HEADROOM,
			SOCKET_ID_ANY);
	assert_non_null(r->pool);
	rx_setup(r, nb_segs);
	tx_setup(r);
	return r;
}

/* Every mbuf is in the pool again, once. */
static void
rig_free(struct rig *r)
{
	pds_rx_drain(&r->rx);
	pds_tx_drain(&r->tx);
	assert_int_equal(rte_mempool_avail_count(r->pool), NB_MBUFS);
	rte_mempool_free(r->pool);
	free(r->rx.desc);
	free(r->rx.sg);
	free(r->rx_comp);
	free(r->rx.mbufs);
	free(r->tx.desc);
	free(r->tx.sg);
	free(r->tx_comp);
	free(r->tx.mbufs);
	free(r);
}

/* A good completion of the descriptor at index; the test spoils it. */
static struct lm_ionic_rxq_comp *
rx_complete(struct rig *r, uint16_t index, uint16_t len)
{
	struct lm_ionic_rxq_comp *c = &r->rx_comp[index];

	*c = (struct lm_ionic_rxq_comp){
		.comp_index = index,
		.rss_hash = 0x12345678,
		.len = len,
		.pkt_type_color = LM_IONIC_PKT_TYPE_IPV4_UDP | LM_IONIC_COMP_COLOR_MASK,
	};
	return c;
}

static struct rte_mbuf *
frame(struct rig *r, unsigned int nb_segs, uint16_t bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(r->pool);
	unsigned int i;

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, bytes));
	for (i = 1; i < nb_segs; i++)
		assert_int_equal(rte_pktmbuf_chain(m, frame(r, 1, bytes)), 0);
	return m;
}

static uint16_t
rx_burst(struct rig *r, struct rte_mbuf **pkts)
{
	return r->rx.nb_segs == 1 ? pds_rx_burst(&r->rx, pkts, 32) :
			pds_rx_burst_scattered(&r->rx, pkts, 32);
}

/* Each way to contradict the ring costs its frame, and nothing else. */
static void
bad_receive_completions(void **state)
{
	struct rte_mbuf *pkts[32];
	struct rig *r = rig_make(*(const uint8_t *)*state);
	unsigned int room = BYTES, i;

	rx_complete(r, 0, 60);
	rx_complete(r, 1, 60)->comp_index = 7;
	rx_complete(r, 2, 60)->comp_index = UINT16_MAX;
	rx_complete(r, 3, 60)->num_sg_elems = r->rx.nb_segs;
	rx_complete(r, 4, 60)->num_sg_elems = UINT8_MAX;
	rx_complete(r, 5, (uint16_t)(room + 1));
	rx_complete(r, 6, 0);
	rx_complete(r, 7, 60)->status = 2;
	rx_complete(r, 8, 1514);
	assert_int_equal(rx_burst(r, pkts), 2);
	assert_int_equal(pkts[0]->pkt_len, 60);
	assert_int_equal(pkts[1]->pkt_len, 1514);
	for (i = 0; i < 2; i++) {
		assert_int_equal(pkts[i]->nb_segs, 1);
		assert_int_equal(pkts[i]->data_len, pkts[i]->pkt_len);
	}
	assert_int_equal(r->rx.stats.bad_comp, 6);
	assert_int_equal(r->rx.stats.errors, 1);
	/* All is filled again. */
	assert_int_equal(r->doorbell, (8 + SIZE) & r->rx.mask);
	rte_pktmbuf_free_bulk(pkts, 2);
	rig_free(r);
}

/* A ring full of the right colour: the burst ends, at descriptors that nobody filled. */
static void
endless_receive_completions(void **state)
{
	struct rte_mbuf *pkts[32];
	struct rig *r = rig_make(*(const uint8_t *)*state);
	uint16_t i, nb = 0, k;

	for (i = 0; i < SIZE; i++)
		rx_complete(r, i, 60)->status = i < 40;
	r->rx.free_thresh = SIZE; /* nothing is filled meanwhile */
	for (i = 0; i < 4; i++) {
		k = rx_burst(r, pkts);
		rte_pktmbuf_free_bulk(pkts, k);
		nb += k;
	}
	assert_int_equal(nb, SIZE - 1 - 40);
	assert_int_equal(r->rx.stats.errors, 40);
	assert_int_equal(r->rx.tail, r->rx.head);
	rig_free(r);
}

/* A hash is only where there is one. */
static void
hash_of_ip_only(void **state)
{
	static const uint8_t types[] = { LM_IONIC_PKT_TYPE_NON_IP, LM_IONIC_PKT_TYPE_IPV4,
		LM_IONIC_PKT_TYPE_IPV6_TCP, 0x7f };
	struct rte_mbuf *pkts[32];
	struct rig *r = rig_make(*(const uint8_t *)*state);
	unsigned int i;

	for (i = 0; i < RTE_DIM(types); i++)
		rx_complete(r, (uint16_t)i, 60)->pkt_type_color = types[i] |
				LM_IONIC_COMP_COLOR_MASK;
	assert_int_equal(rx_burst(r, pkts), RTE_DIM(types));
	for (i = 0; i < RTE_DIM(types); i++) {
		assert_int_equal((pkts[i]->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0,
				i == 1 || i == 2);
		assert_int_equal(pkts[i]->hash.rss, 0x12345678);
	}
	assert_int_equal(pkts[2]->packet_type, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6 |
			RTE_PTYPE_L4_TCP);
	rte_pktmbuf_free_bulk(pkts, RTE_DIM(types));
	r->rx.has_hash = false;
	rx_complete(r, 4, 60);
	assert_int_equal(rx_burst(r, pkts), 1);
	assert_int_equal(pkts[0]->ol_flags & RTE_MBUF_F_RX_RSS_HASH, 0);
	rte_pktmbuf_free(pkts[0]);
	rig_free(r);
}

/* What the application holds is in no descriptor, whatever the pool has left. */
static void
nothing_stale_is_posted(void **state)
{
	struct rte_mbuf *pkts[32], *held[NB_MBUFS];
	struct rig *r = rig_make(*(const uint8_t *)*state);
	unsigned int nb_held, i, k;
	uint16_t at, nb;

	for (nb_held = 0; nb_held < NB_MBUFS; nb_held++) {
		held[nb_held] = rte_pktmbuf_alloc(r->pool);
		if (held[nb_held] == NULL)
			break;
	}
	for (i = 0; i < 20; i++)
		rx_complete(r, (uint16_t)i, 60);
	nb = rx_burst(r, pkts);
	assert_int_equal(nb, 20);
	assert_true(r->rx.stats.no_mbuf > 0);
	assert_int_equal(r->doorbell, SIZE - 1); /* as it was */
	rte_pktmbuf_free_bulk(held, 5);
	assert_int_equal(rx_burst(r, &pkts[nb]), 0);
	assert_int_equal(r->doorbell, (SIZE - 1 + 5) & r->rx.mask);
	for (at = r->rx.tail; at != r->rx.head; at = (at + 1) & r->rx.mask)
		for (k = 0; k < nb; k++)
			assert_int_not_equal(r->rx.desc[at].addr,
					pkts[k]->buf_iova + RTE_PKTMBUF_HEADROOM);
	rte_pktmbuf_free_bulk(&held[5], nb_held - 5);
	rte_pktmbuf_free_bulk(pkts, nb);
	rig_free(r);
}

/* A frame takes the buffers that it needs, in order, and their lengths add up. */
static void
chains_add_up(void **state)
{
	struct rte_mbuf *pkts[32];
	struct rig *r = rig_make(4);

	(void)state;
	rx_complete(r, 0, BYTES)->num_sg_elems = 0;
	rx_complete(r, 1, BYTES + 1)->num_sg_elems = 1;
	rx_complete(r, 2, 3 * BYTES)->num_sg_elems = 2;
	rx_complete(r, 3, 100)->num_sg_elems = 3; /* more than it needs */
	assert_int_equal(rx_burst(r, pkts), 4);
	assert_int_equal(pkts[0]->nb_segs, 1);
	assert_int_equal(pkts[1]->nb_segs, 2);
	assert_int_equal(pkts[1]->next->data_len, 1);
	assert_int_equal(pkts[2]->nb_segs, 3);
	assert_int_equal(pkts[3]->nb_segs, 4);
	assert_int_equal(pkts[3]->data_len, 100);
	rte_mbuf_sanity_check(pkts[2], 1);
	rte_pktmbuf_free_bulk(pkts, 4);
	rig_free(r);
}

/* No index of a completion frees what is not outstanding, or frees anything twice. */
static void
bad_transmit_completions(void **state)
{
	static const uint16_t wrong[] = { 10, SIZE - 1, SIZE, UINT16_MAX };
	struct rig *r = rig_make(1);
	struct rte_mbuf *pkts[10], *one;
	unsigned int i, before;

	r->tx.fast_free = *(const uint8_t *)*state != 1;
	for (i = 0; i < RTE_DIM(pkts); i++)
		pkts[i] = frame(r, 1, 60);
	assert_int_equal(pds_tx_burst(&r->tx, pkts, RTE_DIM(pkts)), RTE_DIM(pkts));
	before = rte_mempool_avail_count(r->pool);
	for (i = 0; i < RTE_DIM(wrong); i++)
		r->tx_comp[i] = (struct lm_ionic_txq_comp){ .comp_index = wrong[i],
			.color = LM_IONIC_COMP_COLOR_MASK };
	assert_int_equal(pds_tx_done_cleanup(&r->tx, 0), 0);
	assert_int_equal(r->tx.stats.bad_comp, RTE_DIM(wrong));
	assert_int_equal(rte_mempool_avail_count(r->pool), before);
	/* Forward, and back again. */
	r->tx_comp[4] = (struct lm_ionic_txq_comp){ .comp_index = 6, .color = 0x80 };
	r->tx_comp[5] = (struct lm_ionic_txq_comp){ .comp_index = 2, .color = 0x80 };
	assert_int_equal(pds_tx_done_cleanup(&r->tx, 0), 7);
	assert_int_equal(rte_mempool_avail_count(r->pool), before + 7);
	/* A whole ring of the same: it ends. */
	for (i = 0; i < SIZE; i++)
		r->tx_comp[i] = (struct lm_ionic_txq_comp){ .comp_index = 3,
			.color = i >= 6 ? 0x80 : 0 };
	one = frame(r, 1, 60);
	assert_int_equal(pds_tx_burst(&r->tx, &one, 1), 1);
	assert_int_equal(rte_mempool_avail_count(r->pool), before + 6);
	rig_free(r);
}

static unsigned int
nb_elems(const struct rig *r, uint16_t at)
{
	return r->tx.desc[at].cmd >> LM_IONIC_TXQ_DESC_NSGE_SHIFT & LM_IONIC_TXQ_DESC_NSGE_MASK;
}

/* More segments than a descriptor takes: refused, or dropped and counted, never cut off. */
static void
too_many_segments(void **state)
{
	struct rig *r = rig_make(1);
	struct rte_mbuf *pkts[3] = { frame(r, MAX_SEGS, 60), frame(r, MAX_SEGS + 1, 60),
		frame(r, 1, 60) };

	(void)state;
	assert_int_equal(pds_tx_prepare(&r->tx, pkts, 3), 1);
	assert_int_equal(rte_errno, EINVAL);
	assert_int_equal(pds_tx_burst(&r->tx, pkts, 3), 3);
	assert_int_equal(r->tx.stats.errors, 1);
	assert_int_equal(r->tx.stats.packets, 2);
	assert_int_equal(r->doorbell, 2);
	assert_int_equal(nb_elems(r, 0), MAX_SEGS - 1);
	assert_int_equal(nb_elems(r, 1), 0);
	rig_free(r);
}

/* What the device cannot do is refused before it is sent. */
static void
offloads_that_are_not_there(void **state)
{
	static const uint64_t flags[] = {
		RTE_MBUF_F_TX_OUTER_IP_CKSUM | RTE_MBUF_F_TX_OUTER_IPV4,
		RTE_MBUF_F_TX_TUNNEL_VXLAN,
		RTE_MBUF_F_TX_SCTP_CKSUM | RTE_MBUF_F_TX_IPV4,
		RTE_MBUF_F_TX_QINQ,
	};
	struct rig *r = rig_make(1);
	struct rte_mbuf *m = frame(r, 1, 60);
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(flags); i++) {
		m->ol_flags = flags[i];
		rte_errno = 0;
		assert_int_equal(pds_tx_prepare(&r->tx, &m, 1), 0);
		assert_int_equal(rte_errno, ENOTSUP);
	}
	rte_pktmbuf_free(m);
	rig_free(r);
}

/* A full ring takes no more, and nothing is lost by asking. */
static void
full_transmit_ring(void **state)
{
	struct rte_mbuf *pkts[SIZE + 8];
	struct rig *r = rig_make(1);
	unsigned int i;
	uint16_t nb;

	(void)state;
	for (i = 0; i < RTE_DIM(pkts); i++)
		pkts[i] = frame(r, i % 3 == 0 ? 2 : 1, 60);
	nb = pds_tx_burst(&r->tx, pkts, RTE_DIM(pkts));
	assert_int_equal(nb, SIZE - 1);
	assert_int_equal(pds_tx_burst(&r->tx, &pkts[nb], 1), 0);
	assert_int_equal(r->doorbell, SIZE - 1);
	rte_pktmbuf_free_bulk(&pkts[nb], RTE_DIM(pkts) - nb);
	rig_free(r);
}

static int
start_eal(void **state)
{
	char *argv[] = { strdup("test"), strdup("--no-huge"), strdup("--no-pci"),
		strdup("--no-shconf"), strdup("--no-telemetry"), strdup("-m"), strdup("16"),
		strdup("--log-level=error"), strdup("-l"), strdup("0"), NULL };

	(void)state;
	return rte_eal_init(RTE_DIM(argv) - 1, argv) < 0 ? -1 : 0;
}

int
main(void)
{
	static uint8_t one = 1, three = 3;
	const struct CMUnitTest tests[] = {
		{ "bad_receive_completions", bad_receive_completions, NULL, NULL, &one },
		{ "bad_receive_completions, scattered", bad_receive_completions, NULL, NULL,
			&three },
		{ "endless_receive_completions", endless_receive_completions, NULL, NULL, &one },
		{ "endless_receive_completions, scattered", endless_receive_completions, NULL, NULL,
			&three },
		{ "hash_of_ip_only", hash_of_ip_only, NULL, NULL, &one },
		{ "hash_of_ip_only, scattered", hash_of_ip_only, NULL, NULL, &three },
		{ "nothing_stale_is_posted", nothing_stale_is_posted, NULL, NULL, &one },
		{ "bad_transmit_completions", bad_transmit_completions, NULL, NULL, &one },
		{ "bad_transmit_completions, fast", bad_transmit_completions, NULL, NULL, &three },
		cmocka_unit_test(chains_add_up),
		cmocka_unit_test(too_many_segments),
		cmocka_unit_test(offloads_that_are_not_there),
		cmocka_unit_test(full_transmit_ring),
	};

	return cmocka_run_group_tests(tests, start_eal, NULL);
}
