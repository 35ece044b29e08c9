/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * net_pds beside net_ionic, on the same contents of their rings.
 *
 *   bench_pds EAL_ARGUMENTS -- PID BUFFER_BYTES plain|fast
 *
 * Both drivers bring up a function of one model, whose process is PID, and send and receive a
 * burst of each size through it. What the model wrote into the rings is kept, has to be the same
 * for both, and the model is stopped. From then on these completions are written again, out of
 * what is measured, and the drivers take them in turn. Under valgrind instructions are counted
 * and dumped by name; else cycles of the time stamp counter are printed, of a burst, medians of
 * times around the ring.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <valgrind/callgrind.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

#include "bench_pds.h"

#define NB_PORTS 2u
#define STOP_S 5u
/* Whole times around the ring, so that what is not done in each burst evens out. */
#define LAP (BENCH_RING / BENCH_BURST)
#define WARM_UP (4 * LAP)
#define COUNTED (8 * LAP)
#define TIMED_LAPS 2000

struct bench {
	struct bench_port ports[NB_PORTS];
	bool counts;
	uint64_t *cycles[NB_PORTS];
};

enum what {
	RX,
	TX,
	IDLE,
	NB_WHATS,
};

static inline uint16_t
burst(const struct bench_port *p, enum what what, struct rte_mbuf **pkts)
{
	if (what == TX)
		return rte_eth_tx_burst(p->id, 0, pkts, BENCH_BURST);
	return rte_eth_rx_burst(p->id, 0, pkts, BENCH_BURST);
}

/* Only this is in a figure. @return how many */
static __rte_noinline uint16_t
measured(const struct bench *b, const struct bench_port *p, enum what what,
		struct rte_mbuf **pkts, uint64_t *cycles)
{
	uint64_t begin;
	uint16_t nb;

	if (b->counts) {
		CALLGRIND_TOGGLE_COLLECT;
		nb = burst(p, what, pkts);
		CALLGRIND_TOGGLE_COLLECT;
	} else {
		begin = rte_rdtsc_precise();
		nb = burst(p, what, pkts);
		*cycles = rte_rdtsc_precise() - begin;
	}
	return nb;
}

static int
one_burst(const struct bench *b, struct bench_port *p, enum what what, unsigned int size,
		struct rte_mbuf **pkts, uint64_t *cycles)
{
	if (what == RX)
		bench_replay_rx(p, size);
	if (what == TX && bench_port_frames(p, size, pkts) != 0)
		return -ENOMEM;
	if (measured(b, p, what, pkts, cycles) != (what == IDLE ? 0 : BENCH_BURST)) {
		fprintf(stderr, "%s: a burst was not taken whole\n", p->who);
		return -EIO;
	}
	if (what == TX)
		bench_replay_tx(p, size);
	return 0;
}

/* Both drivers have to say the same of the same frame. */
static int
compare(struct rte_mbuf *const pkts[NB_PORTS][BENCH_BURST])
{
	const struct rte_mbuf *a, *b;
	unsigned int i;

	for (i = 0; i < BENCH_BURST; i++) {
		a = pkts[0][i];
		b = pkts[1][i];
		if (a->pkt_len != b->pkt_len || a->nb_segs != b->nb_segs ||
				a->data_len != b->data_len || a->ol_flags != b->ol_flags ||
				a->packet_type != b->packet_type || a->hash.rss != b->hash.rss) {
			fprintf(stderr, "frame %u: %u bytes, flags 0x%jx, type 0x%x beside "
				"%u bytes, flags 0x%jx, type 0x%x\n", i, a->pkt_len,
				(uintmax_t)a->ol_flags, a->packet_type, b->pkt_len,
				(uintmax_t)b->ol_flags, b->packet_type);
			return -EBADMSG;
		}
	}
	return 0;
}

static int
both(struct bench *b, enum what what, unsigned int size, unsigned int round)
{
	struct rte_mbuf *pkts[NB_PORTS][BENCH_BURST];
	unsigned int i, k;
	uint64_t cycles;
	int ret;

	for (k = 0; k < NB_PORTS; k++) {
		i = (k + round) % NB_PORTS; /* each is first in turn */
		ret = one_burst(b, &b->ports[i], what, size, pkts[i], &cycles);
		if (ret != 0)
			return ret;
		b->cycles[i][round / LAP] += cycles;
	}
	if (what != RX)
		return 0;
	ret = compare(pkts);
	for (i = 0; i < NB_PORTS; i++)
		rte_pktmbuf_free_bulk(pkts[i], BENCH_BURST);
	return ret;
}

/* Callgrind writes what it has counted since the last dump, with a name. */
static int
count(struct bench *b, enum what what, unsigned int size, const char *name)
{
	struct rte_mbuf *pkts[NB_PORTS][BENCH_BURST];
	char label[64];
	unsigned int i, round;
	uint64_t cycles;
	int ret;

	for (i = 0; i < NB_PORTS; i++) {
		b->counts = true;
		for (round = 0; round < COUNTED; round++) {
			ret = one_burst(b, &b->ports[i], what, size, pkts[i], &cycles);
			if (ret != 0)
				return ret;
			if (what == RX)
				rte_pktmbuf_free_bulk(pkts[i], BENCH_BURST);
		}
		b->counts = false;
		snprintf(label, sizeof(label), "%s %s", name, b->ports[i].who);
		CALLGRIND_DUMP_STATS_AT(label);
	}
	printf("bursts %u\n", COUNTED);
	return 0;
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int
clock_it(struct bench *b, enum what what, unsigned int size, const char *name)
{
	unsigned int i, round;
	int ret;

	for (i = 0; i < NB_PORTS; i++)
		memset(b->cycles[i], 0, TIMED_LAPS * sizeof(*b->cycles[i]));
	for (round = 0; round < TIMED_LAPS * LAP; round++) {
		ret = both(b, what, size, round);
		if (ret != 0)
			return ret;
	}
	for (i = 0; i < NB_PORTS; i++) {
		qsort(b->cycles[i], TIMED_LAPS, sizeof(*b->cycles[i]), by_value);
		printf("cycles %s %s %.1f\n", name, b->ports[i].who,
			(double)b->cycles[i][TIMED_LAPS / 2] / LAP);
	}
	return 0;
}

static int
measure(struct bench *b, enum what what, unsigned int size)
{
	static const char *const names[NB_WHATS] = { "rx", "tx", "idle" };
	unsigned int round;
	char name[32];
	int ret;

	snprintf(name, sizeof(name), "%s %u", names[what], bench_sizes[size] + 4u);
	for (round = 0; round < WARM_UP; round++) {
		ret = both(b, what, size, round);
		if (ret != 0)
			return ret;
	}
	return RUNNING_ON_VALGRIND ? count(b, what, size, name) :
		clock_it(b, what, size, name);
}

/* The model no longer runs when its state says so. */
static int
stop_model(pid_t pid)
{
	const uint64_t end = rte_get_timer_cycles() + STOP_S * rte_get_timer_hz();
	char path[32], line[512], *state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (kill(pid, SIGSTOP) != 0)
		return -errno;
	while (rte_get_timer_cycles() < end) {
		f = fopen(path, "r");
		if (f == NULL)
			return -errno;
		state = fgets(line, sizeof(line), f) == NULL ? NULL : strrchr(line, ')');
		fclose(f);
		if (state != NULL && state[1] == ' ' && state[2] == 'T')
			return 0;
	}
	return -ETIMEDOUT;
}

static int
bring_up(struct bench *b, pid_t model, uint16_t buffer_bytes, bool fast_free)
{
	static const char *const drivers[NB_PORTS] = { "net_pds", "net_ionic" };
	unsigned int i;
	int ret;

	for (i = 0; i < NB_PORTS; i++) {
		b->cycles[i] = calloc(TIMED_LAPS, sizeof(*b->cycles[i]));
		ret = b->cycles[i] == NULL ? -ENOMEM :
			bench_port_start(&b->ports[i], drivers[i], buffer_bytes, fast_free);
		if (ret == 0)
			ret = bench_record(&b->ports[i]);
		if (ret != 0) {
			fprintf(stderr, "%s: %s\n", drivers[i], strerror(-ret));
			return ret;
		}
	}
	if (memcmp(b->ports[0].record, b->ports[1].record, sizeof(b->ports[0].record)) != 0) {
		fprintf(stderr, "the device did not write the same for both drivers\n");
		return -EBADMSG;
	}
	ret = stop_model(model);
	for (i = 0; i < NB_PORTS && ret == 0; i++)
		ret = bench_port_unplug(&b->ports[i]);
	return ret;
}

int
main(int argc, char **argv)
{
	struct bench b = { 0 };
	unsigned int what, size;
	int ret = rte_eal_init(argc, argv);

	if (ret < 0 || argc - ret != 4) {
		fprintf(stderr, "usage: bench_pds EAL -- PID BUFFER_BYTES plain|fast\n");
		return 2;
	}
	argv += ret;
	ret = bring_up(&b, atoi(argv[1]), (uint16_t)atoi(argv[2]), strcmp(argv[3], "fast") == 0);
	for (what = 0; what < NB_WHATS && ret == 0; what++)
		for (size = 0; size < (what == IDLE ? 1 : BENCH_SIZES) && ret == 0; size++)
			ret = measure(&b, what, size);
	/* Nobody answers any more: neither port can be closed. */
	fflush(stdout);
	_exit(ret == 0 ? 0 : 1);
}
