/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Writers that mark, one that merges, and a sender that takes, all at once. A page is written again
 * only after the sender has read its last write, so a mark that is lost is never made good: the
 * check at the end finds it. Assertions are made by the main thread only.
 */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_ram.h"

#define PAGE UINT64_C(4096)
#define NB_PAGES 520u       /* few words, so that all meet in them, and two groups */
#define STRIDE 16u          /* pages of address between two that are used */
#define NB_WRITERS 3u       /* the last one merges, the others mark */
#define NB_TAKES 2000000u
#ifdef __SANITIZE_THREAD__ /* which is slow, and looks for other things */
#define NB_HANDOVERS 20000u
#else
#define NB_HANDOVERS 50000u
#endif
#define DEADLINE_S 30

struct guest {
	struct lm_ram *ram;
	_Atomic uint32_t data[NB_PAGES]; /* "memory": how often the page was written */
	_Atomic uint32_t seen[NB_PAGES]; /* what the sender read last */
	_Atomic uint32_t stop;
};

struct writer {
	struct guest *guest;
	unsigned int id;
	pthread_t thread;
	uint64_t writes;
};

/* A plain store: no fence that the marks could borrow. Each page has one writer. */
static bool
write_page(struct guest *g, unsigned int page)
{
	uint32_t old = atomic_load_explicit(&g->data[page], memory_order_relaxed);

	if (atomic_load_explicit(&g->seen[page], memory_order_relaxed) != old)
		return false;
	atomic_store_explicit(&g->data[page], old + 1, memory_order_relaxed);
	return true;
}

static uint64_t
write_some(struct writer *w, struct lm_bitmap *bm)
{
	struct guest *g = w->guest;
	unsigned int page;
	uint64_t nb = 0;

	for (page = w->id; page < NB_PAGES; page += NB_WRITERS) {
		if (!write_page(g, page))
			continue;
		if (bm != NULL)
			lm_bitmap_mark(bm, page * STRIDE * PAGE, 1);
		else
			lm_ram_mark(g->ram, page * STRIDE * PAGE + 17, 1);
		nb++;
	}
	return nb;
}

static void *
write_all(void *arg)
{
	struct writer *w = arg;
	struct lm_bitmap *bm = NULL;

	if (w->id == NB_WRITERS - 1 &&
			lm_bitmap_create(0, NB_PAGES * STRIDE * PAGE, 12, &bm) != 0)
		return NULL;
	while (atomic_load(&w->guest->stop) == 0) {
		uint64_t nb = write_some(w, bm);

		if (bm != NULL) {
			lm_ram_merge(w->guest->ram, bm);
			lm_bitmap_clear(bm);
		}
		w->writes += nb;
		if (nb == 0)
			sched_yield(); /* all pages wait for the sender now */
	}
	lm_bitmap_destroy(bm);
	return NULL;
}

static bool
take(struct guest *g, uint64_t *cursor)
{
	struct lm_ram_run run;
	unsigned int page;

	if (!lm_ram_take(g->ram, false, PAGE, cursor, &run))
		return false;
	page = (unsigned int)(run.addr / PAGE / STRIDE);
	atomic_store_explicit(&g->seen[page],
			atomic_load_explicit(&g->data[page], memory_order_relaxed),
			memory_order_relaxed);
	return true;
}

static void
test_no_mark_is_lost(void **state)
{
	static struct guest g;
	struct lm_ram_region region = {
		.name = "all",
		.size_bytes = NB_PAGES * STRIDE * PAGE,
		.vaddr = &g, /* an address is all that is needed */
	};
	struct writer writers[NB_WRITERS] = { 0 };
	uint64_t cursor = 0, taken = 0;
	unsigned int i, page;

	(void)state;
	alarm(2 * DEADLINE_S);
	assert_int_equal(lm_ram_create(&g.ram), 0);
	assert_int_equal(lm_ram_add(g.ram, &region), 0);
	for (i = 0; i < NB_WRITERS; i++) {
		writers[i].guest = &g;
		writers[i].id = i;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]),
				0);
	}
	while (taken < NB_TAKES) {
		if (take(&g, &cursor))
			taken++;
		else
			sched_yield();
	}
	atomic_store(&g.stop, 1);
	for (i = 0; i < NB_WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	while (take(&g, &cursor))
		taken++;
	for (page = 0; page < NB_PAGES; page++)
		if (atomic_load(&g.seen[page]) != atomic_load(&g.data[page]))
			fail_msg("page %u was written %u times, read after %u", page,
					atomic_load(&g.data[page]), atomic_load(&g.seen[page]));
	for (i = 0; i < NB_WRITERS; i++) {
		assert_true(writers[i].writes > 0);
		taken -= writers[i].writes;
	}
	assert_int_equal(taken, 0); /* each write was given out once */
	assert_int_equal(lm_ram_dirty_bytes(g.ram, false), 0);
	lm_ram_destroy(g.ram);
}

static void *
write_one_page(void *arg)
{
	struct writer *w = arg;
	unsigned int tries = 0;

	while (atomic_load(&w->guest->stop) == 0) {
		if (write_page(w->guest, 0)) {
			lm_ram_mark(w->guest->ram, 0, 1);
			w->writes++;
			tries = 0;
		} else if (tries++ > 1000) {
			sched_yield();
		}
	}
	return NULL;
}

/*
 * One page goes back and forth, so that its mark meets the sender just when that finds the group
 * clean: a mark that is not found is waited for in vain.
 */
static void
test_mark_meets_clean_group(void **state)
{
	static struct guest g;
	struct lm_ram_region region = { .name = "one", .size_bytes = PAGE, .vaddr = &g };
	struct writer writer = { .guest = &g };
	uint64_t cursor = 0, looks = 0;
	time_t until = time(NULL) + DEADLINE_S;
	unsigned int taken = 0;

	(void)state;
	alarm(2 * DEADLINE_S);
	assert_int_equal(lm_ram_create(&g.ram), 0);
	assert_int_equal(lm_ram_add(g.ram, &region), 0);
	assert_int_equal(pthread_create(&writer.thread, NULL, write_one_page, &writer), 0);
	while (taken < NB_HANDOVERS) {
		if (take(&g, &cursor)) {
			taken++;
			looks = 0;
		} else if (++looks % 1000 == 0) {
			sched_yield();
			if (time(NULL) > until)
				break;
		}
	}
	atomic_store(&g.stop, 1);
	pthread_join(writer.thread, NULL);
	while (take(&g, &cursor))
		taken++;
	assert_true(taken >= NB_HANDOVERS);
	assert_int_equal(taken, writer.writes);
	lm_ram_destroy(g.ram);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mark_meets_clean_group),
		cmocka_unit_test(test_no_mark_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
