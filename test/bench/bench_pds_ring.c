/* SPDX-License-Identifier: BSD-3-Clause */

/* What a device writes into completion rings: kept once, and written again. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "bench_pds.h"

#define ANSWER_S 5u

/* 0x80 on the first time around the ring. */
static uint8_t
color_of(uint32_t at)
{
	return (at / BENCH_RING & 1) == 0 ? LM_IONIC_COMP_COLOR_MASK : 0;
}

static int
receive_all(struct bench_port *p)
{
	const uint64_t end = rte_get_timer_cycles() + ANSWER_S * rte_get_timer_hz();
	struct rte_mbuf *pkts[BENCH_BURST];
	unsigned int nb = 0;
	uint16_t n;

	while (nb < BENCH_BURST) {
		n = rte_eth_rx_burst(p->id, 0, pkts, (uint16_t)(BENCH_BURST - nb));
		rte_pktmbuf_free_bulk(pkts, n);
		nb += n;
		if (rte_get_timer_cycles() > end)
			return -ETIMEDOUT;
	}
	return 0;
}

static int
keep(struct bench_port *p, struct bench_record *r)
{
	uint32_t i;

	for (i = 0; i < BENCH_BURST; i++, p->rx_at++) {
		r->rx[i] = p->rx_comp[p->rx_at % BENCH_RING];
		if ((r->rx[i].pkt_type_color & LM_IONIC_COMP_COLOR_MASK) != color_of(p->rx_at) ||
				r->rx[i].comp_index != p->rx_at % BENCH_RING)
			return -EPROTO;
	}
	while (r->nb_tx < BENCH_BURST &&
			(p->tx_comp[p->tx_at % BENCH_RING].color & LM_IONIC_COMP_COLOR_MASK) ==
			color_of(p->tx_at))
		r->tx[r->nb_tx++] = p->tx_comp[p->tx_at++ % BENCH_RING];
	p->tx_frames += BENCH_BURST;
	/* Frames came back after the device had told that they were sent, all of them. */
	if (r->nb_tx == 0 || r->tx[r->nb_tx - 1].comp_index != (p->tx_frames - 1) % BENCH_RING)
		return -EPROTO;
	return 0;
}

int
bench_record(struct bench_port *p)
{
	struct rte_mbuf *pkts[BENCH_BURST];
	unsigned int size;
	int ret = 0;

	for (size = 0; size < BENCH_SIZES && ret == 0; size++) {
		ret = bench_port_frames(p, size, pkts);
		if (ret != 0)
			break;
		if (rte_eth_tx_burst(p->id, 0, pkts, BENCH_BURST) != BENCH_BURST)
			return -EIO;
		ret = receive_all(p);
		if (ret == 0)
			ret = keep(p, &p->record[size]);
	}
	return ret;
}

/* Position and colour are those of this time around the ring; all else is as it was. */
void
bench_replay_rx(struct bench_port *p, unsigned int size)
{
	struct lm_ionic_rxq_comp comp;
	uint32_t i;

	for (i = 0; i < BENCH_BURST; i++, p->rx_at++) {
		comp = p->record[size].rx[i];
		comp.comp_index = (uint16_t)(p->rx_at % BENCH_RING);
		comp.pkt_type_color = (uint8_t)((comp.pkt_type_color &
				LM_IONIC_RXQ_COMP_PKT_TYPE_MASK) | color_of(p->rx_at));
		p->rx_comp[p->rx_at % BENCH_RING] = comp;
	}
}

void
bench_replay_tx(struct bench_port *p, unsigned int size)
{
	const struct bench_record *r = &p->record[size];
	const uint16_t base = r->tx[r->nb_tx - 1].comp_index;
	struct lm_ionic_txq_comp comp;
	uint32_t i;

	p->tx_frames += BENCH_BURST;
	for (i = 0; i < r->nb_tx; i++, p->tx_at++) {
		comp = r->tx[i];
		comp.comp_index = (uint16_t)((p->tx_frames - 1 + comp.comp_index - base) %
				BENCH_RING);
		comp.color = color_of(p->tx_at);
		p->tx_comp[p->tx_at % BENCH_RING] = comp;
	}
}
