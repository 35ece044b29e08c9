/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The vhost log with writers, a front end that harvests, and a log that is replaced under them.
 * Assertions are made by the main thread only; threads are joined before it looks.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_bitmap.h"
#include "lm_vhost_log.h"

#define PAGE UINT64_C(4096)
#define NB_PAGES 512u /* few words, so that writers and front end meet in them */
#define NB_WORDS (NB_PAGES / 64)
#define LOG_BYTES (NB_PAGES / 8)
#define NB_WRITERS 3u /* the last one merges private bitmaps, the others mark and flush */
#define NB_WRITES 20000u /* of each writer, at least */
#define NB_KEPT_ATTACHES 4000u
#define DEADLINE_US 20000000

struct writer {
	struct guest *guest;
	unsigned int id;
	pthread_t thread;
	_Atomic uint32_t writes;
	_Atomic uint32_t passes; /* over its pages, all flushed */
};

/*
 * A page is written again only after the front end has read its last write. So a lost mark stays:
 * nobody marks that page again, and the check at the end finds it.
 */
struct guest {
	struct lm_vhost_log *log;
	_Atomic uint64_t *map;           /* what the front end harvests now */
	_Atomic uint32_t data[NB_PAGES]; /* "memory": how often the page was written */
	_Atomic uint32_t seen[NB_PAGES]; /* what the front end read last */
	_Atomic uint32_t stop;
	unsigned int nb_writers;
	struct writer writers[NB_WRITERS];
};

/* R2: take the bits, then read the pages. */
static void
harvest(struct guest *g)
{
	uint64_t i, page, bits;

	for (i = 0; i < NB_WORDS; i++) {
		if (atomic_load_explicit(&g->map[i], memory_order_relaxed) == 0)
			continue;
		bits = atomic_exchange(&g->map[i], 0);
		for (page = i * 64; page < (i + 1) * 64; page++)
			if ((bits >> (page % 64) & 1) != 0)
				atomic_store_explicit(&g->seen[page],
					atomic_load_explicit(&g->data[page], memory_order_relaxed),
					memory_order_relaxed);
	}
}

/* A plain store: no fence that the log could borrow. Each page has one writer. */
static bool
write_page(struct guest *g, unsigned int page)
{
	uint32_t old = atomic_load_explicit(&g->data[page], memory_order_relaxed);

	if (atomic_load_explicit(&g->seen[page], memory_order_relaxed) != old)
		return false;
	atomic_store_explicit(&g->data[page], old + 1, memory_order_relaxed);
	return true;
}

/* Neighbouring pages belong to different writers, so that they share words of the log. */
static void *
write_and_mark(void *arg)
{
	struct writer *w = arg;
	struct guest *g = w->guest;
	struct lm_log_cache cache = { 0 };
	unsigned int page;

	while (atomic_load(&g->stop) == 0) {
		for (page = w->id; page < NB_PAGES; page += NB_WRITERS) {
			if (!write_page(g, page))
				continue;
			lm_vhost_log_mark(g->log, &cache, page * PAGE, 1);
			if (page % 7 != 0)
				lm_vhost_log_flush(g->log, &cache);
			atomic_fetch_add_explicit(&w->writes, 1, memory_order_relaxed);
		}
		lm_vhost_log_flush(g->log, &cache);
		atomic_fetch_add(&w->passes, 1);
		sched_yield(); /* all pages wait for the front end now */
	}
	return NULL;
}

static void *
write_and_merge(void *arg)
{
	struct writer *w = arg;
	struct guest *g = w->guest;
	struct lm_bitmap *bm = NULL;
	unsigned int page;

	if (lm_bitmap_create(0, NB_PAGES * PAGE, 12, &bm) != 0)
		abort();
	while (atomic_load(&g->stop) == 0) {
		for (page = w->id; page < NB_PAGES; page += NB_WRITERS) {
			if (!write_page(g, page))
				continue;
			lm_bitmap_mark(bm, page * PAGE, 1);
			atomic_fetch_add_explicit(&w->writes, 1, memory_order_relaxed);
			if (page % 16 == 0) {
				lm_vhost_log_merge(g->log, bm);
				lm_bitmap_clear(bm);
			}
		}
		lm_vhost_log_merge(g->log, bm);
		lm_bitmap_clear(bm);
		atomic_fetch_add(&w->passes, 1);
		sched_yield(); /* all pages wait for the front end now */
	}
	lm_bitmap_destroy(bm);
	return NULL;
}

static struct guest *
start(unsigned int nb_writers)
{
	struct guest *g = calloc(1, sizeof(*g));
	unsigned int i;

	assert_non_null(g);
	assert_int_equal(lm_vhost_log_create(NB_PAGES * PAGE - 1, &g->log), 0);
	g->nb_writers = nb_writers;
	for (i = 0; i < nb_writers; i++) {
		g->writers[i].guest = g;
		g->writers[i].id = i;
		assert_int_equal(pthread_create(&g->writers[i].thread, NULL,
				i == NB_WRITERS - 1 ? write_and_merge : write_and_mark,
				&g->writers[i]), 0);
	}
	return g;
}

static void
join(struct guest *g)
{
	unsigned int i;

	atomic_store(&g->stop, 1);
	for (i = 0; i < g->nb_writers; i++)
		assert_int_equal(pthread_join(g->writers[i].thread, NULL), 0);
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool
all_wrote(struct guest *g, uint32_t nb_writes)
{
	unsigned int i;

	for (i = 0; i < g->nb_writers; i++)
		if (atomic_load(&g->writers[i].writes) < nb_writes)
			return false;
	return true;
}

/* A bit set before its data, or wiped by a store, or left behind in an old log, fails here. */
static void
check_nothing_lost(struct guest *g)
{
	struct lm_vhost_log_stats stats;
	unsigned int page;

	for (page = 0; page < NB_PAGES; page++)
		if (g->seen[page] != g->data[page])
			fail_msg("page %u: sent write %u of %u", page, g->seen[page],
					g->data[page]);
	lm_vhost_log_stats_get(g->log, &stats);
	assert_int_equal(stats.kept_pages, 0);
	assert_int_equal(stats.pages_out_of_range, 0);
}

static void
test_harvest(void **state)
{
	static _Atomic uint64_t map[NB_WORDS];
	struct guest *g = start(NB_WRITERS);
	uint64_t until;

	(void)state;
	assert_int_equal(lm_vhost_log_attach(g->log, (void *)map, LOG_BYTES), 0);
	g->map = map;
	/* Ends although all pages of a writer may be lost. */
	until = now_us() + DEADLINE_US;
	while (!all_wrote(g, NB_WRITES) && now_us() < until)
		harvest(g);
	join(g);
	harvest(g);
	check_nothing_lost(g);
	lm_vhost_log_destroy(g->log);
	free(g);
}

static void
map_and_attach(struct guest *g)
{
	g->map = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true((void *)g->map != MAP_FAILED);
	assert_int_equal(lm_vhost_log_attach(g->log, (void *)g->map, LOG_BYTES), 0);
}

static void
detach_and_unmap(struct guest *g)
{
	assert_int_equal(lm_vhost_log_detach(g->log, DEADLINE_US), 0);
	harvest(g);
	assert_int_equal(munmap((void *)g->map, LOG_BYTES), 0);
}

/* The old map is unmapped right after detach: a late writer ends the test by SIGSEGV. */
static void
test_replaced(void **state)
{
	struct guest *g = start(NB_WRITERS);
	uint64_t until = now_us() + DEADLINE_US;

	(void)state;
	while (!all_wrote(g, NB_WRITES) && now_us() < until) {
		map_and_attach(g);
		harvest(g);
		detach_and_unmap(g);
	}
	join(g);
	map_and_attach(g);
	detach_and_unmap(g);
	check_nothing_lost(g);
	lm_vhost_log_destroy(g->log);
	free(g);
}

/*
 * What was kept reaches the log that is attached, not the one after: with a log attached and the
 * writer past the pass in which it could have missed that, nothing may still be kept.
 */
static void
test_kept_does_not_strand(void **state)
{
	struct lm_vhost_log_stats stats;
	struct guest *g = start(1);
	uint64_t until = now_us() + DEADLINE_US;
	unsigned int i;
	uint32_t from;

	(void)state;
	for (i = 0; i < NB_KEPT_ATTACHES; i++) {
		map_and_attach(g);
		from = atomic_load(&g->writers[0].passes);
		while (atomic_load(&g->writers[0].passes) - from < 2) {
			assert_true(now_us() < until);
			harvest(g);
			sched_yield();
		}
		lm_vhost_log_stats_get(g->log, &stats);
		assert_int_equal(stats.kept_pages, 0);
		/* What this harvests the writer writes again, while the next log comes. */
		detach_and_unmap(g);
	}
	join(g);
	map_and_attach(g);
	detach_and_unmap(g);
	check_nothing_lost(g);
	lm_vhost_log_destroy(g->log);
	free(g);
}

static sem_t fault_entered, fault_leave;

/* The writer stays in its flush until the test lets it go on; then its OR is done again. */
static void
on_fault(int sig)
{
	(void)sig;
	sem_post(&fault_entered);
	while (sem_wait(&fault_leave) != 0)
		;
}

static void *
mark_once(void *arg)
{
	struct lm_log_cache cache = { 0 };

	lm_vhost_log_mark(arg, &cache, 0, 1);
	lm_vhost_log_flush(arg, &cache);
	return NULL;
}

static void
test_stuck_writer(void **state)
{
	struct sigaction action = { .sa_handler = on_fault }, old;
	struct lm_vhost_log *log;
	pthread_t thread;
	uint64_t *map, before;

	(void)state;
	assert_int_equal(sem_init(&fault_entered, 0, 0), 0);
	assert_int_equal(sem_init(&fault_leave, 0, 0), 0);
	assert_int_equal(sigaction(SIGSEGV, &action, &old), 0);
	map = mmap(NULL, LOG_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(lm_vhost_log_create(NB_PAGES * PAGE - 1, &log), 0);
	assert_int_equal(lm_vhost_log_attach(log, map, LOG_BYTES), 0);
	assert_int_equal(pthread_create(&thread, NULL, mark_once, log), 0);
	while (sem_wait(&fault_entered) != 0)
		;
	before = now_us();
	assert_int_equal(lm_vhost_log_detach(log, 20000), -ETIMEDOUT);
	assert_true(now_us() - before >= 20000);
	assert_false(lm_vhost_log_attached(log));
	assert_int_equal(mprotect(map, LOG_BYTES, PROT_READ | PROT_WRITE), 0);
	sem_post(&fault_leave);
	assert_int_equal(lm_vhost_log_detach(log, DEADLINE_US), 0);
	assert_int_equal(map[0], 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);
	assert_int_equal(munmap(map, LOG_BYTES), 0);
	lm_vhost_log_destroy(log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_harvest),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_kept_does_not_strand),
		cmocka_unit_test(test_stuck_writer),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
