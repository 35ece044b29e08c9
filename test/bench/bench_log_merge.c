/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From a private dirty bitmap to the vhost log: lm_vhost_log_merge() beside rte_vhost_log_write()
 * for each run of dirty pages, and lm_vhost_log_mark() with a flush every 32 pages beside
 * rte_vhost_log_write() for each page of a list. Each pair visits the same pages in the same order
 * and must leave the same log, bit by bit. Medians; the four methods take turns in each round.
 *
 * Exit status 0 only if all logs were right and the merge is at least twice as fast where a bit in
 * ten and every second bit is set.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_vhost.h>

#include "bench_vhost.h"
#include "lm_bitmap.h"
#include "lm_vhost_log.h"

#define PAGE UINT64_C(4096)
#define GUEST_BYTES (UINT64_C(64) << 30)
#define LOG_BYTES (GUEST_BYTES / PAGE / 8)
#define NB_ROUNDS 9
#define FLUSH_PAGES 32
#define GATE_RATIO 2.0
#define GATE_DENSITY 0.1

struct bench {
	int vid;
	struct lm_vhost_log *log;
	struct lm_log_cache cache;
	struct lm_bitmap *bm;
	uint64_t *theirs;   /* the log of rte_vhost, mapped a second time */
	uint64_t *ours;
	uint64_t *want;
	uint32_t *pages;    /* the dirty ones, for the methods that get one at a time */
	uint64_t nb_pages;
	uint64_t visited;
};

static int
run_theirs(void *ctx, uint64_t addr, uint64_t len)
{
	struct bench *b = ctx;

	rte_vhost_log_write(b->vid, addr, len);
	b->visited += len / PAGE;
	return 0;
}

static void
do_merge(struct bench *b)
{
	lm_vhost_log_merge(b->log, b->bm);
}

static void
do_runs_theirs(struct bench *b)
{
	lm_bitmap_foreach_run(b->bm, run_theirs, b);
}

static void
do_mark(struct bench *b)
{
	uint64_t i;

	for (i = 0; i < b->nb_pages; i++) {
		lm_vhost_log_mark(b->log, &b->cache, b->pages[i] * PAGE, PAGE);
		if (i % FLUSH_PAGES == FLUSH_PAGES - 1)
			lm_vhost_log_flush(b->log, &b->cache);
	}
	lm_vhost_log_flush(b->log, &b->cache);
	b->visited = i;
}

static void
do_pages_theirs(struct bench *b)
{
	uint64_t i;

	for (i = 0; i < b->nb_pages; i++)
		rte_vhost_log_write(b->vid, b->pages[i] * PAGE, PAGE);
	b->visited = i;
}

static const struct method {
	const char *name;
	void (*run)(struct bench *b);
	bool is_ours;
} methods[] = {
	{ "lm_vhost_log_merge", do_merge, true },
	{ "rte_vhost_log_write, runs", do_runs_theirs, false },
	{ "lm_vhost_log_mark + flush", do_mark, true },
	{ "rte_vhost_log_write, pages", do_pages_theirs, false },
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Each page with the given chance, always the same ones. */
static void
fill(struct bench *b, double density)
{
	const uint64_t below = (uint64_t)(density * 9007199254740992.0);
	uint64_t rng = UINT64_C(88172645463325252), page;

	lm_bitmap_clear(b->bm);
	memset(b->want, 0, LOG_BYTES);
	b->nb_pages = 0;
	for (page = 0; page < GUEST_BYTES / PAGE; page++) {
		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		if (rng >> 11 >= below)
			continue;
		lm_bitmap_mark(b->bm, page * PAGE, PAGE);
		b->want[page / 64] |= UINT64_C(1) << (page % 64);
		b->pages[b->nb_pages++] = (uint32_t)page;
	}
}

/* For the merge, which shows no page to us. */
static uint64_t
nb_logged(const uint64_t *map)
{
	uint64_t i, bits, nb = 0;

	for (i = 0; i < LOG_BYTES / 8; i++)
		for (bits = map[i]; bits != 0; bits &= bits - 1)
			nb++;
	return nb;
}

static int
measure(struct bench *b, uint64_t times_ns[RTE_DIM(methods)][NB_ROUNDS])
{
	uint64_t pages = lm_bitmap_count(b->bm), begin;
	unsigned int round, m;

	for (round = 0; round < NB_ROUNDS; round++) {
		for (m = 0; m < RTE_DIM(methods); m++) {
			uint64_t *map = methods[m].is_ours ? b->ours : b->theirs;

			memset(map, 0, LOG_BYTES);
			b->visited = 0;
			begin = now_ns();
			methods[m].run(b);
			times_ns[m][round] = now_ns() - begin;
			if (methods[m].run == do_merge)
				b->visited = nb_logged(map);
			if (b->visited != pages || memcmp(map, b->want, LOG_BYTES) != 0) {
				fprintf(stderr, "%s: wrong log, %" PRIu64 " of %" PRIu64 " pages\n",
						methods[m].name, b->visited, pages);
				return -EIO;
			}
		}
	}
	for (m = 0; m < RTE_DIM(methods); m++)
		qsort(times_ns[m], NB_ROUNDS, sizeof(times_ns[m][0]), by_value);
	return 0;
}

/* Of sorted times: 0 the least, 0.5 the median, 1 the most. */
static double
us_at(const uint64_t *times_ns, double part)
{
	return (double)times_ns[(size_t)(part * (NB_ROUNDS - 1))] / 1000;
}

static int
bench_density(struct bench *b, double density, bool *is_fast)
{
	uint64_t times_ns[RTE_DIM(methods)][NB_ROUNDS], pages;
	unsigned int m;
	int ret;

	fill(b, density);
	pages = lm_bitmap_count(b->bm);
	ret = measure(b, times_ns);
	if (ret != 0)
		return ret;
	for (m = 0; m < RTE_DIM(methods); m++) {
		double us = us_at(times_ns[m], 0.5);

		printf("%8g %9" PRIu64 "  %-27s %9.0f %6.0f..%-6.0f %9.1f", density, pages,
				methods[m].name, us, us_at(times_ns[m], 0), us_at(times_ns[m], 1),
				(double)pages / us);
		if (methods[m].is_ours) {
			double ratio = us_at(times_ns[m + 1], 0.5) / us;

			printf("  x %.1f", ratio);
			if (m == 0 && density >= GATE_DENSITY && ratio < GATE_RATIO)
				*is_fast = false;
		}
		printf("\n");
	}
	return 0;
}

static uint64_t *
map_log(int *fd)
{
	void *map;

	*fd = memfd_create("vhost-log", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, LOG_BYTES) != 0)
		return NULL;
	map = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

static int
run_bench(const char *dir)
{
	static const double densities[] = { 1e-4, 1e-2, 0.1, 0.5 };
	int their_fd = -1, our_fd = -1, ret;
	struct bench b = { .vid = -1 };
	bool is_fast = true;
	unsigned int i;

	b.theirs = map_log(&their_fd);
	b.ours = map_log(&our_fd);
	b.want = malloc(LOG_BYTES);
	b.pages = malloc(GUEST_BYTES / PAGE * sizeof(b.pages[0]));
	ret = b.theirs == NULL || b.ours == NULL || b.want == NULL || b.pages == NULL ? -ENOMEM : 0;
	if (ret == 0)
		ret = bench_vhost_start(dir, their_fd, LOG_BYTES, &b.vid);
	if (ret == 0)
		ret = lm_vhost_log_create(GUEST_BYTES - 1, &b.log);
	if (ret == 0)
		ret = lm_vhost_log_attach(b.log, b.ours, LOG_BYTES);
	if (ret == 0)
		ret = lm_bitmap_create(0, GUEST_BYTES, LM_VHOST_LOG_PAGE_SHIFT, &b.bm);
	if (ret == 0)
		printf("%8s %9s  %-27s %9s %14s %9s\n", "density", "pages", "method",
				"median us", "min..max us", "pages/us");
	for (i = 0; ret == 0 && i < RTE_DIM(densities); i++)
		ret = bench_density(&b, densities[i], &is_fast);
	bench_vhost_stop();
	lm_bitmap_destroy(b.bm);
	lm_vhost_log_destroy(b.log);
	free(b.want);
	free(b.pages);
	if (ret == 0 && !is_fast) {
		fprintf(stderr, "merge: less than %.1f times rte_vhost_log_write\n", GATE_RATIO);
		ret = -ERANGE;
	}
	return ret;
}

int
main(void)
{
	static char name[] = "bench_log_merge", no_huge[] = "--no-huge", mem[] = "-m",
		mem_mb[] = "64", no_pci[] = "--no-pci", no_shconf[] = "--no-shconf",
		no_telemetry[] = "--no-telemetry", quiet[] = "--log-level=*:error";
	char *argv[] = { name, no_huge, mem, mem_mb, no_pci, no_shconf, no_telemetry, quiet, NULL };
	char dir[] = "/tmp/bench_log_merge.XXXXXX", path[64];
	int ret;

	alarm(300);
	if (mkdtemp(dir) == NULL || setenv("RUNTIME_DIRECTORY", dir, 1) != 0)
		return EXIT_FAILURE;
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return EXIT_FAILURE;
	ret = run_bench(dir);
	if (ret != 0)
		fprintf(stderr, "bench_log_merge: %s\n", strerror(-ret));
	rte_eal_cleanup();
	snprintf(path, sizeof(path), "%s/dpdk/rte", dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", dir);
	rmdir(path);
	rmdir(dir);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
