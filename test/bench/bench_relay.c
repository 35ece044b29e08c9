/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Work for an instruction counter: relay ROUNDS bursts of BURST chains, ours or DPDK's.
 *
 *   bench_relay ours|packed|kept|dpdk|rx|tx CHAIN_DESCRIPTORS LOG(0|1) ROUNDS [BYTES]
 *
 * Prints nanoseconds of CPU time a chain in the functions that are measured. rx and tx are what
 * net_vhost does for a frame of BYTES: rte_vhost_enqueue_burst(), rte_vhost_dequeue_burst().
 *
 * Guest ring, chains and used lengths are the same for both; both write the same vhost log.
 * DPDK's rte_vdpa_relay_vring_used() is the used half only: there, drivers let the device read the
 * guest's available ring, unchecked.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>
#include <vdpa_driver.h>

#include "bench_vhost.h"
#include "lm_imap.h"
#include "lm_vhost_log.h"
#include "virtio_ring_if.h"
#include "virtio_vdpa_relay.h"

#define SIZE 256u
#define BURST 32u
#define RAM_BYTES (64ull << 20)
#define DESC_OFFSET 0x0u
#define AVAIL_OFFSET 0x2000u
#define USED_OFFSET 0x4000u
#define BUFFERS_OFFSET 0x10000u
#define BUFFER_BYTES 2048u
#define LOG_BYTES (RAM_BYTES / 4096 / 8)
#define SHADOW_IOVA 0xffff00000000ull
#define CLOCK_LOOKS 10000u
#define HDR_BYTES 10u /* without VERSION_1 and MRG_RXBUF */

struct bench {
	uint64_t spent_ns, begin_ns, looks;
	uint8_t *ram;
	uint64_t *log;
	struct lm_vring_desc *desc;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	unsigned int chain;
	bool packed, kept;
	_Atomic uint64_t move;
	uint32_t slot; /* packed: posted so far */
};

static uint64_t
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void
begin(struct bench *b)
{
	b->begin_ns = cpu_ns();
}

static void
end(struct bench *b)
{
	b->spent_ns += cpu_ns() - b->begin_ns;
	b->looks++;
}

static void *
shared(uint64_t bytes, int *fd)
{
	void *p;

	*fd = memfd_create("bench-relay", 0);
	if (*fd < 0 || ftruncate(*fd, (off_t)bytes) != 0)
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void
guest_rings(struct bench *b)
{
	unsigned int i;

	b->desc = (struct lm_vring_desc *)(b->ram + DESC_OFFSET);
	b->avail = (struct lm_vring_avail *)(b->ram + AVAIL_OFFSET);
	b->used = (struct lm_vring_used *)(b->ram + USED_OFFSET);
	for (i = 0; i < SIZE; i++)
		b->desc[i] = (struct lm_vring_desc){
			.addr = BUFFERS_OFFSET + (uint64_t)i * BUFFER_BYTES,
			.len = BUFFER_BYTES,
			.flags = LM_VRING_DESC_F_WRITE |
				((i + 1) % b->chain != 0 ? LM_VRING_DESC_F_NEXT : 0),
			.next = (uint16_t)(i + 1),
		};
}

static void
guest_post_packed(struct bench *b)
{
	struct lm_vring_packed_desc *ring = (struct lm_vring_packed_desc *)(b->ram + DESC_OFFSET);
	unsigned int i, k;
	uint32_t at;

	for (i = 0; i < BURST; i++)
		for (k = 0; k < b->chain; k++, b->slot++) {
			at = b->slot % SIZE;
			ring[at] = (struct lm_vring_packed_desc){
				.addr = BUFFERS_OFFSET + (uint64_t)at * BUFFER_BYTES,
				.len = BUFFER_BYTES,
				.id = (uint16_t)at,
				.flags = (uint16_t)(LM_VRING_DESC_F_WRITE |
					(k + 1 < b->chain ? LM_VRING_DESC_F_NEXT : 0) |
					(b->slot / SIZE % 2 == 0 ? LM_VRING_PACKED_F_AVAIL :
						LM_VRING_PACKED_F_USED)),
			};
		}
}

static void
guest_post(struct bench *b)
{
	unsigned int i;

	if (b->packed) {
		guest_post_packed(b);
		return;
	}
	for (i = 0; i < BURST; i++, b->avail->idx++)
		b->avail->ring[b->avail->idx % SIZE] =
			(uint16_t)(b->avail->idx % (SIZE / b->chain) * b->chain);
}

static void
device_use(struct lm_vring_used *used, const struct lm_vring_avail *avail, uint32_t len)
{
	unsigned int i;

	for (i = 0; i < BURST; i++, used->idx++)
		used->ring[used->idx % SIZE] = (struct lm_vring_used_elem){
			avail->ring[used->idx % SIZE], len };
}

static int
run_ours(struct bench *b, bool log_on, unsigned int rounds)
{
	struct lm_interval all = { 0, (uintptr_t)b->ram, RAM_BYTES };
	struct virtio_vdpa_relay_conf conf = { .desc = b->desc, .avail = b->avail,
		.used = b->used, .used_gpa = USED_OFFSET, .size = SIZE,
		.packed = b->packed, .base = b->packed ? LM_VRING_MAX_SIZE : 0,
		.move = b->kept ? &b->move : NULL, .shadow_iova = SHADOW_IOVA };
	uint64_t desc, avail, used;
	struct virtio_vdpa_relay *relay;
	struct lm_vhost_log *log;
	struct lm_imap *mem;
	uint8_t *shadow;
	unsigned int i;

	shadow = calloc(1, virtio_vdpa_relay_shadow_size(SIZE));
	if (shadow == NULL || lm_imap_create(&all, 1, &mem) != 0 ||
			lm_vhost_log_create(RAM_BYTES, &log) != 0 ||
			lm_vhost_log_attach(log, b->log, LOG_BYTES) != 0)
		return 1;
	conf.shadow = shadow;
	conf.mem = mem;
	conf.log = log;
	if (virtio_vdpa_relay_create(&conf, &relay) != 0)
		return 1;
	virtio_vdpa_relay_set_log(relay, log_on);
	virtio_vdpa_relay_device_ring(relay, &desc, &avail, &used);
	for (i = 0; i < rounds; i++) {
		guest_post(b);
		begin(b);
		if (virtio_vdpa_relay_avail_burst(relay, BURST) != BURST)
			return 1;
		end(b);
		device_use((struct lm_vring_used *)(shadow + (used - SHADOW_IOVA)),
			(struct lm_vring_avail *)(shadow + (avail - SHADOW_IOVA)),
			b->chain * BUFFER_BYTES);
		begin(b);
		if (virtio_vdpa_relay_used_burst(relay, BURST) != BURST)
			return 1;
		end(b);
	}
	return 0;
}

static int
run_dpdk(struct bench *b, int vid, unsigned int rounds)
{
	struct lm_vring_used *mediated = calloc(1, lm_vring_used_bytes(SIZE));
	struct lm_vring_avail *avail_m = calloc(1, lm_vring_avail_bytes(SIZE));
	struct vring ring = { .num = SIZE, .used = (struct vring_used *)mediated,
		.avail = (struct vring_avail *)avail_m };
	unsigned int i;

	if (mediated == NULL || avail_m == NULL)
		return 1;
	for (i = 0; i < rounds; i++) {
		guest_post(b);
		device_use(mediated, b->avail, b->chain * BUFFER_BYTES);
		if (rte_vdpa_relay_vring_used(vid, 0, &ring) != (int)BURST)
			return 1;
	}
	return 0;
}

static int
run_rx(struct bench *b, int vid, struct rte_mbuf **pkts)
{
	uint16_t n;

	guest_post(b);
	begin(b);
	n = rte_vhost_enqueue_burst(vid, 0, pkts, BURST);
	end(b);
	return n == BURST ? 0 : 1;
}

static int
run_tx(struct bench *b, int vid, struct rte_mempool *pool, unsigned int bytes)
{
	struct rte_mbuf *got[BURST];
	unsigned int i;
	uint16_t n;

	for (i = 0; i < SIZE; i++) {
		b->desc[i].flags = 0;
		b->desc[i].len = HDR_BYTES + bytes;
	}
	guest_post(b);
	begin(b);
	n = rte_vhost_dequeue_burst(vid, 1, pool, got, BURST);
	end(b);
	rte_pktmbuf_free_bulk(got, n);
	return n == BURST ? 0 : 1;
}

/* What net_vhost does on this front end; both copy the frame. */
static int
run_vhost(struct bench *b, int vid, bool tx, unsigned int rounds, unsigned int bytes)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create("bench", 4 * BURST - 1, 0, 0,
			RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	struct rte_mbuf *pkts[BURST];
	unsigned int i;
	int ret = 0;

	if (pool == NULL || rte_pktmbuf_alloc_bulk(pool, pkts, BURST) != 0)
		return 1;
	for (i = 0; i < BURST; i++)
		if (rte_pktmbuf_append(pkts[i], (uint16_t)bytes) == NULL)
			return 1;
	for (i = 0; i < rounds && ret == 0; i++)
		ret = tx ? run_tx(b, vid, pool, bytes) : run_rx(b, vid, pkts);
	return ret;
}

/* EAL wants arguments that it may write to. */
static int
eal_start(void)
{
	static char line[] = "bench_relay --no-huge -m 16 --no-pci --no-telemetry --no-shconf "
		"--log-level=error -l 0";
	char *argv[16], *save = NULL, *word;
	int argc = 0;

	for (word = strtok_r(line, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	return rte_eal_init(argc, argv) < 0 ? -1 : 0;
}

/* Without what looking at the clock costs. */
static void
print_ns(struct bench *b, unsigned int rounds)
{
	double spent = (double)b->spent_ns, looks = (double)b->looks;
	struct bench nothing = { 0 };
	unsigned int i;

	for (i = 0; i < CLOCK_LOOKS; i++) {
		begin(&nothing);
		end(&nothing);
	}
	spent -= looks * (double)nothing.spent_ns / CLOCK_LOOKS;
	printf("%.1f\n", spent / rounds / BURST);
}

int
main(int argc, char **argv)
{
	char dir[] = "/tmp/bench_relay.XXXXXX", path[64];
	struct bench b = { 0 };
	struct bench_vhost_ring ring = { .mem_bytes = RAM_BYTES, .avail_offset = AVAIL_OFFSET,
		.used_offset = USED_OFFSET, .size = SIZE };
	int log_fd, vid, ret;
	unsigned int rounds, bytes;
	bool log_on, ours, frames, tx;

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: bench_relay ours|packed|kept|dpdk|rx|tx CHAIN LOG ROUNDS "
			"[BYTES]\n");
		return 2;
	}
	bytes = argc == 6 ? (unsigned int)atoi(argv[5]) : 64;
	tx = strcmp(argv[1], "tx") == 0;
	frames = tx || strcmp(argv[1], "rx") == 0;
	b.kept = strcmp(argv[1], "kept") == 0; /* packed, and each step said */
	b.packed = b.kept || strcmp(argv[1], "packed") == 0;
	ours = b.packed || strcmp(argv[1], "ours") == 0;
	b.chain = (unsigned int)atoi(argv[2]);
	log_on = atoi(argv[3]) != 0;
	rounds = (unsigned int)atoi(argv[4]);
	b.ram = ring.mem = shared(RAM_BYTES, &ring.mem_fd);
	b.log = shared(LOG_BYTES, &log_fd);
	if (b.ram == NULL || b.log == NULL || b.chain == 0 || SIZE % b.chain != 0)
		return 1;
	if (b.packed) {
		b.desc = (struct lm_vring_desc *)(b.ram + DESC_OFFSET);
		b.avail = (struct lm_vring_avail *)(b.ram + AVAIL_OFFSET);
		b.used = (struct lm_vring_used *)(b.ram + USED_OFFSET);
	} else {
		guest_rings(&b);
	}
	if (ours) {
		ret = run_ours(&b, log_on, rounds);
		print_ns(&b, rounds);
		return ret;
	}
	if (eal_start() != 0 || mkdtemp(dir) == NULL)
		return 1;
	ret = bench_vhost_start(dir, log_fd, LOG_BYTES, &vid);
	if (ret == 0 && !log_on)
		ret = bench_vhost_log_off();
	if (ret == 0)
		ret = bench_vhost_ring_set(&ring, tx ? 1 : 0);
	if (ret == 0)
		ret = frames ? run_vhost(&b, vid, tx, rounds, bytes) : run_dpdk(&b, vid, rounds);
	if (frames)
		print_ns(&b, rounds);
	bench_vhost_stop();
	snprintf(path, sizeof(path), "%s/vhost", dir);
	unlink(path);
	rmdir(dir);
	return ret == 0 ? 0 : 1;
}
