/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From a device's report to pages to send, for 1 TiB of memory (a bitmap of 32 MiB), beside what
 * the machine's memory can do: a loop that reads the same bitmap word by word, and memcpy() of it,
 * in the same run. Medians; methods take turns in each round, and each result is counted.
 *
 * Exit status 0 only if all counts were right, and ORing a report and a harvest of the whole take
 * no more than the gates say, as multiples of memcpy().
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lm_bitmap.h"
#include "lm_ram.h"
#include "lm_tracker.h"

#define PAGE UINT64_C(4096)
#define MEM_BYTES (UINT64_C(1) << 40)
#define NB_PAGES (MEM_BYTES / PAGE)
#define NB_WORDS (NB_PAGES / 64)
#define MAP_BYTES (NB_PAGES / 8)
#define NB_ROUNDS 7
#define DIM(a) (sizeof(a) / sizeof((a)[0]))

struct bench {
	uint64_t *report;       /* what the device says */
	uint64_t *copy;
	struct lm_bitmap *bm;   /* from bit 0 on, and shifted by one page */
	struct lm_bitmap *shifted;
	struct lm_tracker *tracker;
	struct lm_ram *ram;
	uint64_t nb_dirty;
};

static int
source_start(void *src, const struct lm_range *ranges, unsigned int nb, uint64_t *page_size_bytes)
{
	(void)src, (void)ranges, (void)nb, (void)page_size_bytes;
	return 0;
}

/* A device that costs one copy, and forgets nothing. */
static int
source_report(void *src, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	const struct bench *b = src;

	memcpy(bitmap, &b->report[iova / PAGE / 64], len_bytes / page_size_bytes / 8);
	return 0;
}

static int
source_stop(void *src)
{
	(void)src;
	return 0;
}

static uint64_t
run_read(struct bench *b)
{
	uint64_t i, any = 0;

	for (i = 0; i < NB_WORDS; i++)
		any += b->report[i];
	*(volatile uint64_t *)b->copy = any;
	return b->nb_dirty;
}

static uint64_t
run_copy(struct bench *b)
{
	memcpy(b->copy, b->report, MAP_BYTES);
	*(volatile uint64_t *)b->copy;
	return b->nb_dirty;
}

static uint64_t
run_or(struct bench *b)
{
	lm_bitmap_or_raw(b->bm, 0, b->report, NB_PAGES, 12);
	return b->nb_dirty;
}

static uint64_t
run_or_shifted(struct bench *b)
{
	lm_bitmap_or_raw(b->shifted, PAGE, b->report, NB_PAGES, 12);
	return b->nb_dirty;
}

static uint64_t
run_scan(struct bench *b)
{
	return lm_bitmap_count(b->bm);
}

static uint64_t
run_merge(struct bench *b)
{
	lm_ram_merge(b->ram, b->bm);
	return b->nb_dirty;
}

static uint64_t
run_take(struct bench *b)
{
	struct lm_ram_run run;
	uint64_t cursor = 0, pages = 0;

	while (lm_ram_take(b->ram, false, UINT64_MAX, &cursor, &run))
		pages += run.len_bytes / PAGE;
	return pages;
}

static uint64_t
run_harvest(struct bench *b)
{
	const struct lm_sink sink = lm_sink_ram(b->ram);

	if (lm_tracker_harvest(b->tracker, &sink) != 0)
		return UINT64_MAX;
	return lm_ram_dirty_bytes(b->ram, false) / PAGE;
}

static uint64_t
run_forget(struct bench *b)
{
	lm_bitmap_clear(b->bm);
	lm_bitmap_clear(b->shifted);
	return run_take(b);
}

static const struct method {
	const char *name;
	uint64_t (*run)(struct bench *b);
	double most; /* times memcpy(), at any density; 0: not gated */
} methods[] = {
	{ "read, word by word", run_read, 0 },
	{ "memcpy", run_copy, 0 },
	{ "OR a report", run_or, 4 },
	{ "OR a report, shifted", run_or_shifted, 6 },
	{ "count", run_scan, 0 },
	{ "merge into RAM", run_merge, 0 },
	{ "take all pages", run_take, 0 },
	{ "harvest (report, OR, merge, count)", run_harvest, 0 },
	{ "(forget)", run_forget, 0 },
};

#define METHOD_COPY 1

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

static void
fill(struct bench *b, double density)
{
	const uint64_t below = (uint64_t)(density * 9007199254740992.0);
	uint64_t rng = UINT64_C(88172645463325252), page;

	memset(b->report, 0, MAP_BYTES);
	b->nb_dirty = 0;
	for (page = 0; page < NB_PAGES; page++) {
		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		if (rng >> 11 >= below)
			continue;
		b->report[page / 64] |= UINT64_C(1) << (page % 64);
		b->nb_dirty++;
	}
}

static int
bench_density(struct bench *b, double density, bool *is_fast)
{
	uint64_t times_ns[DIM(methods)][NB_ROUNDS], begin, got;
	unsigned int round, m;

	fill(b, density);
	for (round = 0; round < NB_ROUNDS; round++) {
		for (m = 0; m < DIM(methods); m++) {
			begin = now_ns();
			got = methods[m].run(b);
			times_ns[m][round] = now_ns() - begin;
			if (got == b->nb_dirty)
				continue;
			fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " pages\n", methods[m].name,
					got, b->nb_dirty);
			return -EIO;
		}
	}
	for (m = 0; m < DIM(methods); m++)
		qsort(times_ns[m], NB_ROUNDS, sizeof(times_ns[m][0]), by_value);
	for (m = 0; m + 1 < DIM(methods); m++) {
		double us = (double)times_ns[m][NB_ROUNDS / 2] / 1000;
		double ratio = us * 1000 / (double)times_ns[METHOD_COPY][NB_ROUNDS / 2];

		printf("%8g %10" PRIu64 "  %-34s %9.0f %7.1f %9.2f\n", density, b->nb_dirty,
				methods[m].name, us, (double)MAP_BYTES / us / 1000, ratio);
		if (methods[m].most != 0 && ratio > methods[m].most) {
			fprintf(stderr, "%s: more than %.1f times memcpy\n", methods[m].name,
					methods[m].most);
			*is_fast = false;
		}
	}
	return 0;
}

static int
setup(struct bench *b)
{
	static const struct lm_source_ops ops = { source_start, source_report, source_stop };
	const struct lm_source_conf source = { .name = "device", .ops = &ops, .src = b };
	const struct lm_tracker_conf conf = { .page_size_bytes = PAGE };
	const struct lm_interval iv = { 0, 0, MEM_BYTES };
	const struct lm_ram_region region = {
		.name = "ram",
		.size_bytes = MEM_BYTES,
		.vaddr = b, /* an address is all that is needed */
	};
	int ret;

	b->report = calloc(1, MAP_BYTES);
	b->copy = calloc(1, MAP_BYTES);
	if (b->report == NULL || b->copy == NULL)
		return -ENOMEM;
	ret = lm_bitmap_create(0, MEM_BYTES, 12, &b->bm);
	if (ret == 0)
		ret = lm_bitmap_create(0, MEM_BYTES + PAGE, 12, &b->shifted);
	if (ret == 0)
		ret = lm_ram_create(&b->ram);
	if (ret == 0)
		ret = lm_ram_add(b->ram, &region);
	if (ret == 0)
		ret = lm_tracker_create(&conf, &b->tracker);
	if (ret == 0)
		ret = lm_tracker_map(b->tracker, &iv);
	if (ret == 0)
		ret = lm_tracker_add_source(b->tracker, &source);
	return ret == 0 ? lm_tracker_start(b->tracker) : ret;
}

int
main(void)
{
	static const double densities[] = { 0, 1e-4, 1e-2, 0.5 };
	struct bench b = { 0 };
	bool is_fast = true;
	unsigned int i;
	int ret;

	alarm(300);
	ret = setup(&b);
	if (ret == 0)
		printf("%8s %10s  %-34s %9s %7s %9s\n", "density", "pages", "method",
				"median us", "GB/s", "x memcpy");
	for (i = 0; ret == 0 && i < DIM(densities); i++)
		ret = bench_density(&b, densities[i], &is_fast);
	lm_tracker_destroy(b.tracker);
	lm_ram_destroy(b.ram);
	lm_bitmap_destroy(b.bm);
	lm_bitmap_destroy(b.shifted);
	free(b.report);
	free(b.copy);
	if (ret != 0)
		fprintf(stderr, "bench_track: %s\n", strerror(-ret));
	return ret == 0 && is_fast ? EXIT_SUCCESS : EXIT_FAILURE;
}
