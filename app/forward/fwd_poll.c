/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <time.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dm_frame_if.h"
#include "fwd.h"
#include "lm_clock.h"

#define BURST 32u
#define IDLE_NS 50000
#define REST_US UINT64_C(1000000)
#define TX_TRIES 1000u

static const uint8_t gen_mac[6] = DM_FRAME_GEN_MAC;

/* @return true: it is an echo now */
static bool
answer(struct fwd *f, struct rte_mbuf *m, const uint8_t *mac)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	struct dm_frame_desc d;

	if (m->nb_segs != 1) {
		f->count.corrupt++;
		return false;
	}
	switch (dm_frame_check(frame, m->pkt_len, DM_FRAME_REQUEST, mac, gen_mac, &d)) {
	case DM_FRAME_GOOD:
		f->count.received++;
		dm_frame_echo(frame, &d);
		return true;
	case DM_FRAME_FOREIGN:
		f->count.foreign++;
		return false;
	default:
		f->count.corrupt++;
		return false;
	}
}

/* All of them, before anybody may ask us to rest: what we hold does not travel. */
static void
send_all(struct fwd *f, uint16_t queue, struct rte_mbuf **pkts, uint16_t nb)
{
	unsigned int tries;
	uint16_t sent = 0;

	for (tries = 0; sent < nb && tries < TX_TRIES; tries++) {
		sent += rte_eth_tx_burst(f->port_id, queue, pkts + sent, nb - sent);
		if (sent < nb)
			lm_clock_relax(tries);
	}
	f->count.echoed += sent;
	f->count.dropped += nb - sent;
	rte_pktmbuf_free_bulk(pkts + sent, nb - sent);
}

static unsigned int
serve_queue(struct fwd *f, uint16_t queue, const uint8_t *mac)
{
	struct rte_mbuf *pkts[BURST], *out[BURST];
	uint16_t nb, nb_out = 0, i;

	nb = rte_eth_rx_burst(f->port_id, queue, pkts, BURST);
	for (i = 0; i < nb; i++)
		if (answer(f, pkts[i], mac))
			out[nb_out++] = pkts[i];
		else
			rte_pktmbuf_free(pkts[i]);
	if (nb_out != 0)
		send_all(f, queue, out, nb_out);
	return nb;
}

/* A reverse ARP request, as QEMU sends for a guest that has arrived. */
static void
announce(struct fwd *f, const uint8_t *mac)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(f->pool);
	uint8_t *p;

	p = m == NULL ? NULL : (uint8_t *)rte_pktmbuf_append(m, 60);
	if (p == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memset(p, 0, 60);
	memset(p, 0xff, 6);
	memcpy(p + 6, mac, 6);
	memcpy(p + 12, "\x80\x35\x00\x01\x08\x00\x06\x04\x00\x03", 10);
	memcpy(p + 22, mac, 6);
	memcpy(p + 32, mac, 6);
	if (rte_eth_tx_burst(f->port_id, 0, &m, 1) == 1) {
		f->count.announced++;
		return;
	}
	rte_pktmbuf_free(m);
	f->announce = true;
}

static void *
poll_main(void *arg)
{
	const struct timespec nap = { .tv_nsec = IDLE_NS };
	struct rte_ether_addr mac;
	struct fwd *f = arg;
	unsigned int work, queue;

	while (!f->quit) {
		if (f->rest) {
			f->rests = true;
			nanosleep(&nap, NULL);
			continue;
		}
		f->rests = false;
		rte_eth_macaddr_get(f->port_id, &mac);
		if (atomic_exchange(&f->announce, false))
			announce(f, mac.addr_bytes);
		for (queue = 0, work = 0; queue < f->conf.queues; queue++)
			work += serve_queue(f, (uint16_t)queue, mac.addr_bytes);
		if (work == 0)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

int
fwd_poll_start(struct fwd *f)
{
	int ret = -pthread_create(&f->poller, NULL, poll_main, f);

	f->polls = ret == 0;
	return ret;
}

void
fwd_poll_end(struct fwd *f)
{
	f->quit = true;
	if (f->polls)
		pthread_join(f->poller, NULL);
	f->polls = false;
}

int
fwd_poll_rest(struct fwd *f)
{
	uint64_t end_ns = lm_clock_after_us(REST_US);
	unsigned int tries = 0;

	f->rests = false;
	f->rest = true;
	while (!f->rests && lm_clock_ns() < end_ns)
		lm_clock_relax(tries++);
	return f->rests ? 0 : -ETIMEDOUT;
}

void
fwd_poll_go_on(struct fwd *f)
{
	f->rest = false;
}
