/* SPDX-License-Identifier: BSD-3-Clause */

/* Ports of both drivers, set up alike. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bus_pci_driver.h>
#include <ethdev_driver.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "bench_pds.h"

#define NB_MBUFS 4096u
#define CACHE 256u
#define LINK_S 5u
#define PAGE_BYTES 4096u
#define DOORBELL_BAR 2

/* Without the check sum of the link: 64 and 1518 on the wire. */
const uint16_t bench_sizes[BENCH_SIZES] = { 60, 1514 };

struct frame_head {
	struct rte_ether_hdr eth;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
} __rte_aligned(2);

static int
find_port(const char *driver, uint16_t *id)
{
	struct rte_eth_dev_info info;

	RTE_ETH_FOREACH_DEV(*id)
		if (rte_eth_dev_info_get(*id, &info) == 0 &&
				strncmp(info.driver_name, driver, strlen(driver)) == 0)
			return 0;
	return -ENODEV;
}

/* Rings begin a page; completions follow descriptors, both of 16 bytes. */
static void *
completions(const char *memzone)
{
	const struct rte_memzone *mz = rte_memzone_lookup(memzone);

	if (mz == NULL)
		return NULL;
	return RTE_PTR_ALIGN((char *)mz->addr + BENCH_RING * 16, PAGE_BYTES);
}

static int
find_rings(struct bench_port *p, bool is_pds)
{
	char rx[RTE_MEMZONE_NAMESIZE], tx[RTE_MEMZONE_NAMESIZE];

	/* The second is how rte_eth_dma_zone_reserve() calls it. */
	snprintf(rx, sizeof(rx), is_pds ? "pds_%u_rxq_0" : "eth_p%u_q0_rx", p->id);
	snprintf(tx, sizeof(tx), is_pds ? "pds_%u_txq_0" : "eth_p%u_q0_tx", p->id);
	p->rx_comp = completions(rx);
	p->tx_comp = completions(tx);
	return p->rx_comp == NULL || p->tx_comp == NULL ? -ENOENT : 0;
}

static int
set_up(struct bench_port *p, bool fast_free)
{
	uint8_t key[40];
	struct rte_eth_conf conf = {
		.rxmode = {
			.mq_mode = RTE_ETH_MQ_RX_RSS,
			.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_RSS_HASH,
		},
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM,
		.rx_adv_conf.rss_conf = {
			.rss_key = key,
			.rss_key_len = sizeof(key),
			.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_UDP,
		},
	};
	struct rte_eth_dev_info info;
	unsigned int i;
	int ret;

	/* What net_ionic uses, whatever it is told. */
	for (i = 0; i < sizeof(key); i++)
		key[i] = (i & 1) == 0 ? 0x6d : 0x5a;
	if (p->segmented) {
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	}
	if (fast_free)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	ret = rte_eth_dev_info_get(p->id, &info);
	if (ret == 0)
		ret = rte_eth_dev_configure(p->id, 1, 1, &conf);
	info.default_rxconf.offloads = conf.rxmode.offloads;
	info.default_txconf.offloads = conf.txmode.offloads;
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(p->id, 0, BENCH_RING, 0, &info.default_rxconf,
				p->pool);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(p->id, 0, BENCH_RING, 0, &info.default_txconf);
	if (ret == 0)
		ret = rte_eth_dev_start(p->id);
	if (ret == 0)
		ret = rte_eth_promiscuous_enable(p->id);
	return ret;
}

static int
wait_link(uint16_t id)
{
	const uint64_t end = rte_get_timer_cycles() + LINK_S * rte_get_timer_hz();
	struct rte_eth_link link;
	int ret;

	do {
		ret = rte_eth_link_get_nowait(id, &link);
		if (ret == 0 && link.link_status == RTE_ETH_LINK_UP)
			return 0;
	} while (ret == 0 && rte_get_timer_cycles() < end);
	return ret != 0 ? ret : -ENOLINK;
}

int
bench_port_start(struct bench_port *p, const char *driver, uint16_t buffer_bytes, bool fast_free)
{
	int ret = find_port(driver, &p->id);

	p->who = driver;
	p->segmented = buffer_bytes < bench_sizes[1];
	if (ret != 0)
		return ret;
	p->pool = rte_pktmbuf_pool_create(driver, NB_MBUFS, CACHE, 0,
			RTE_PKTMBUF_HEADROOM + buffer_bytes, SOCKET_ID_ANY);
	if (p->pool == NULL)
		return -ENOMEM;
	ret = set_up(p, fast_free);
	if (ret == 0)
		ret = wait_link(p->id);
	if (ret == 0)
		ret = find_rings(p, strcmp(driver, "net_pds") == 0);
	return ret;
}

static void
write_head(struct rte_mbuf *m, uint16_t bytes, uint16_t flow)
{
	struct frame_head *h = rte_pktmbuf_mtod(m, struct frame_head *);

	*h = (struct frame_head){
		.eth.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
		.ip = {
			.version_ihl = RTE_IPV4_VHL_DEF,
			.total_length = rte_cpu_to_be_16(bytes - sizeof(h->eth)),
			.time_to_live = 64,
			.next_proto_id = IPPROTO_UDP,
			.src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 1)),
			.dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 2)),
		},
		.udp = {
			.src_port = rte_cpu_to_be_16(flow),
			.dgram_len = rte_cpu_to_be_16(bytes - sizeof(h->eth) - sizeof(h->ip)),
		},
	};
	h->eth.dst_addr.addr_bytes[0] = 2;
	h->eth.src_addr.addr_bytes[0] = 2;
	m->l2_len = sizeof(h->eth);
	m->l3_len = sizeof(h->ip);
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	h->udp.dgram_cksum = rte_ipv4_phdr_cksum(&h->ip, m->ol_flags);
}

/* Segmented, a small frame has two buffers as well: the first with its headers. */
static int
make(struct bench_port *p, uint16_t bytes, uint16_t flow, struct rte_mbuf **made)
{
	struct rte_mbuf *first = rte_pktmbuf_alloc(p->pool), *more;
	uint16_t part = bytes, left = bytes;

	if (first == NULL)
		return -ENOMEM;
	if (p->segmented)
		part = bytes == bench_sizes[0] ? sizeof(struct frame_head) : 512;
	*made = first;
	first->data_len = part;
	first->pkt_len = part;
	for (left -= part; left != 0; left -= part) {
		more = rte_pktmbuf_alloc(p->pool);
		if (more == NULL)
			return -ENOMEM;
		part = RTE_MIN(left, (uint16_t)512);
		memset(rte_pktmbuf_mtod(more, void *), 0, part);
		more->data_len = part;
		more->pkt_len = part;
		(void)rte_pktmbuf_chain(first, more);
	}
	write_head(first, bytes, flow);
	return 0;
}

int
bench_port_frames(struct bench_port *p, unsigned int size, struct rte_mbuf **pkts)
{
	uint16_t i;
	int ret = 0;

	for (i = 0; i < BENCH_BURST && ret == 0; i++)
		ret = make(p, bench_sizes[size], i, &pkts[i]);
	return ret;
}

/* net_ionic rings the first page, which traps; a page of plain memory takes its place. */
int
bench_port_unplug(struct bench_port *p)
{
	struct rte_eth_dev_info info;
	void *page;
	int ret;

	ret = rte_eth_dev_info_get(p->id, &info);
	if (ret != 0 || strcmp(p->who, "net_ionic") != 0)
		return ret;
	page = RTE_DEV_TO_PCI(info.device)->mem_resource[DOORBELL_BAR].addr;
	/* Not by mmap(), whose stand-in would trap it again. */
	if (syscall(SYS_mmap, page, PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) < 0)
		return -errno;
	return 0;
}
