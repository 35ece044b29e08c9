/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An application that sleeps until a receive queue interrupts, as DPDK's l3fwd-power does, and
 * sends back what comes:
 *
 *   rx-intr EAL_ARGUMENTS -- QUEUES
 *
 * It polls a queue until that is empty, then arms its interrupt and polls it once more, for what
 * came in between. Lines: "ready"; before each wait "asleep" and how many have come so far; "woke
 * QUEUE". SIGTERM ends it.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>

#define RING 256
#define BURST 32
#define MAX_QUEUES 8

static volatile sig_atomic_t ended;

static void
on_end(int sig)
{
	(void)sig;
	ended = 1;
}

static int
start(uint16_t nb_queues)
{
	struct rte_eth_conf conf = { .intr_conf.rxq = 1 };
	struct rte_mempool *pool;
	uint16_t i;
	int ret;

	if (nb_queues > 1) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_UDP;
	}
	pool = rte_pktmbuf_pool_create("pool", 4 * RING * nb_queues, 0, 0,
			RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		return -rte_errno;
	ret = rte_eth_dev_configure(0, nb_queues, nb_queues, &conf);
	for (i = 0; i < nb_queues && ret == 0; i++) {
		ret = rte_eth_rx_queue_setup(0, i, RING, 0, NULL, pool);
		if (ret == 0)
			ret = rte_eth_tx_queue_setup(0, i, RING, 0, NULL);
	}
	if (ret == 0)
		ret = rte_eth_dev_start(0);
	if (ret == 0)
		ret = rte_eth_promiscuous_enable(0);
	for (i = 0; i < nb_queues && ret == 0; i++)
		ret = rte_eth_dev_rx_intr_ctl_q(0, i, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD,
				(void *)(uintptr_t)i);
	return ret;
}

/* @return how many came */
static unsigned int
echo(uint16_t queue)
{
	struct rte_mbuf *pkts[BURST];
	unsigned int total = 0;
	uint16_t nb, sent;

	while ((nb = rte_eth_rx_burst(0, queue, pkts, BURST)) != 0) {
		sent = rte_eth_tx_burst(0, queue, pkts, nb);
		rte_pktmbuf_free_bulk(&pkts[sent], nb - sent);
		total += nb;
	}
	return total;
}

static int
await(unsigned int total)
{
	struct rte_epoll_event events[MAX_QUEUES];
	int nb, i, ret = 0;

	printf("asleep %u\n", total);
	nb = rte_epoll_wait(RTE_EPOLL_PER_THREAD, events, MAX_QUEUES, -1);
	for (i = 0; i < nb && ret == 0; i++) {
		printf("woke %u\n", (unsigned int)(uintptr_t)events[i].epdata.data);
		ret = rte_eth_dev_rx_intr_disable(0, (uint16_t)(uintptr_t)events[i].epdata.data);
	}
	return ret;
}

static int
run(uint16_t nb_queues)
{
	unsigned int came, total = 0;
	uint16_t i;
	int ret = 0;

	while (!ended && ret == 0) {
		came = 0;
		for (i = 0; i < nb_queues; i++)
			came += echo(i);
		for (i = 0; i < nb_queues && ret == 0 && came == 0; i++)
			ret = rte_eth_dev_rx_intr_enable(0, i);
		for (i = 0; i < nb_queues && came == 0; i++)
			came += echo(i);
		total += came;
		if (came == 0 && ret == 0)
			ret = await(total);
	}
	return ret;
}

int
main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_end };
	int ret = rte_eal_init(argc, argv);
	uint16_t nb_queues;

	if (ret < 0 || argc - ret != 2) {
		fprintf(stderr, "usage: rx-intr EAL -- QUEUES\n");
		return 2;
	}
	setlinebuf(stdout);
	sigaction(SIGTERM, &action, NULL);
	nb_queues = (uint16_t)atoi(argv[ret + 1]);
	ret = start(nb_queues);
	if (ret == 0) {
		puts("ready");
		ret = run(nb_queues);
	}
	if (ret != 0)
		fprintf(stderr, "%s\n", strerror(-ret));
	rte_eth_dev_stop(0);
	rte_eth_dev_close(0);
	return ret == 0 ? 0 : 1;
}
