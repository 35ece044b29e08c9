/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Members of a group as sources: all at once, each with a deadline; who is late is named, may have
 * written anywhere, and is found back by a later start.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_bitmap.h"
#include "lm_group.h"
#include "lm_tracker.h"
#include "mig_fake.h"

#define F_ALL (LM_STATE_F_STOP_COPY | LM_STATE_F_P2P | LM_STATE_F_PRE_COPY)
#define NB_DEVS 3u
#define PAGE UINT64_C(4096)
#define NB_PAGES 256u
#define BASE UINT64_C(0x10000000)
#define LATE_US UINT64_C(200000)
#define SOON_US UINT64_C(60000000) /* what does not hang is never late */
#define NAPS 100000u

enum call { CALL_NONE, CALL_START, CALL_REPORT, CALL_STOP };

struct dev {
	struct mig_fake fake; /* first: what is not of dirt is its */
	struct world *w;
	unsigned int page; /* that it writes, and tells */
	_Atomic int hang;  /* enum call, until it is CALL_NONE again */
	_Atomic bool runs;
	_Atomic unsigned int starts, reports, stops, returned;
};

struct world {
	struct dev devs[NB_DEVS];
	struct lm_group *g;
	struct lm_tracker *t;
	_Atomic unsigned int together; /* members that are in a report */
	bool wait_for_all;
	unsigned int pages[NB_PAGES];  /* times that the sink got it */
	unsigned int merges;
};

static void
hang(struct dev *d, enum call call)
{
	while (d->hang == (int)call)
		usleep(100);
}

static int
dev_start(void *dev, const struct lm_range *ranges, unsigned int nb, uint64_t *page_size_bytes)
{
	struct dev *d = dev;

	if (nb != 1 || ranges[0].addr != BASE)
		return -EPROTO;
	*page_size_bytes = PAGE;
	d->starts++;
	hang(d, CALL_START);
	d->returned++;
	return atomic_exchange(&d->runs, true) ? -EINVAL : 0;
}

static int
dev_report(void *dev, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes, uint64_t *bitmap)
{
	struct dev *d = dev;
	unsigned int i;

	(void)len_bytes;
	if (page_size_bytes != PAGE)
		return -EPROTO;
	d->reports++;
	d->w->together++;
	for (i = 0; d->w->wait_for_all && d->w->together % NB_DEVS != 0 && i < NAPS; i++)
		usleep(100);
	hang(d, CALL_REPORT);
	bitmap[(d->page - (iova - BASE) / PAGE) / 64] |= UINT64_C(1) << (d->page % 64);
	d->returned++;
	return d->runs ? 0 : -EINVAL;
}

static int
dev_stop(void *dev)
{
	struct dev *d = dev;

	d->stops++;
	hang(d, CALL_STOP);
	d->returned++;
	return atomic_exchange(&d->runs, false) ? 0 : -EINVAL;
}

static struct lm_provider_ops ops;

static struct world *
create(uint64_t late_us)
{
	const struct lm_group_conf group = { .deadline_us = SOON_US };
	const struct lm_tracker_conf conf = { .page_size_bytes = PAGE };
	const struct lm_interval iv = { BASE, BASE, NB_PAGES * PAGE };
	static const char *const names[NB_DEVS] = { "a", "b", "c" };
	struct world *w = calloc(1, sizeof(*w));
	struct lm_member_conf member = { .provider.ops = &ops };
	unsigned int i;

	ops = mig_fake_ops;
	ops.dirty_start = dev_start;
	ops.dirty_report = dev_report;
	ops.dirty_stop = dev_stop;
	assert_int_equal(lm_group_create(&group, &w->g), 0);
	assert_int_equal(lm_tracker_create(&conf, &w->t), 0);
	assert_int_equal(lm_tracker_map(w->t, &iv), 0);
	for (i = 0; i < NB_DEVS; i++) {
		mig_fake_init(&w->devs[i].fake, F_ALL, 100, i);
		w->devs[i].w = w;
		w->devs[i].page = 10 * (i + 1);
		member.name = names[i];
		member.deadline_us = i == 1 ? late_us : 0;
		member.provider.dev = &w->devs[i];
		assert_int_equal(lm_group_add(w->g, &member), (int)i);
		assert_int_equal(lm_tracker_add_member(w->t, w->g, i), 0);
	}
	return w;
}

static void
destroy(struct world *w)
{
	unsigned int i;

	lm_tracker_destroy(w->t);
	lm_group_destroy(w->g);
	for (i = 0; i < NB_DEVS; i++)
		mig_fake_fini(&w->devs[i].fake);
	free(w);
}

static int
count_run(void *ctx, uint64_t addr, uint64_t len_bytes)
{
	struct world *w = ctx;
	uint64_t at;

	for (at = 0; at < len_bytes; at += PAGE)
		w->pages[(addr + at - BASE) / PAGE]++;
	return 0;
}

static int
merge(void *ctx, const struct lm_bitmap *bm)
{
	struct world *w = ctx;

	w->merges++;
	return lm_bitmap_foreach_run(bm, count_run, w);
}

static int
harvest(struct world *w)
{
	const struct lm_sink sink = { merge, w };

	memset(w->pages, 0, sizeof(w->pages));
	return lm_tracker_harvest(w->t, &sink);
}

static unsigned int
nb_dirty(const struct world *w)
{
	unsigned int i, nb = 0;

	for (i = 0; i < NB_PAGES; i++)
		nb += w->pages[i] != 0;
	return nb;
}

/* The late call returns, and its member can be spoken to. */
static void
let_return(struct world *w)
{
	unsigned int i;

	w->devs[1].hang = CALL_NONE;
	for (i = 0; i < NAPS && lm_group_recover(w->g) != 0; i++)
		usleep(100);
	assert_false(lm_group_lost(w->g, 1));
}

/* Breaks when members are read one after another: then none of them gets to see the others. */
static void
test_all_at_once(void **state)
{
	struct world *w = create(SOON_US);
	uint64_t calls = lm_group_calls(w->g, 2);
	unsigned int i;

	(void)state;
	w->wait_for_all = true;
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(lm_tracker_start(w->t), -EALREADY);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(w->together, NB_DEVS);
	assert_int_equal(nb_dirty(w), NB_DEVS);
	for (i = 0; i < NB_DEVS; i++)
		assert_int_equal(w->pages[w->devs[i].page], 1);
	assert_int_equal(lm_tracker_stop(w->t), 0);
	/* Each of them is a round trip, and is counted. */
	assert_int_equal(lm_group_calls(w->g, 2) - calls, 3);
	for (i = 0; i < NB_DEVS; i++)
		assert_int_equal(w->devs[i].stops, 1);
	destroy(w);
}

static void
test_refused(void **state)
{
	struct world *w = create(SOON_US);
	const struct lm_group_conf conf = { 0 };
	struct lm_group *other;

	(void)state;
	assert_int_equal(lm_tracker_add_member(w->t, w->g, 0), -EEXIST);
	assert_int_equal(lm_tracker_add_member(w->t, w->g, NB_DEVS), -EINVAL);
	assert_int_equal(lm_group_create(&conf, &other), 0);
	assert_int_equal(lm_tracker_add_member(w->t, other, 0), -EINVAL);
	lm_group_destroy(other);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(lm_tracker_add_member(w->t, w->g, 0), -EBUSY);
	destroy(w);
}

static void
test_late_report(void **state)
{
	struct world *w = create(LATE_US);
	struct lm_source_stats stats;

	(void)state;
	assert_int_equal(lm_tracker_start(w->t), 0);
	w->devs[1].hang = CALL_REPORT;
	assert_int_equal(harvest(w), -ETIMEDOUT);
	assert_non_null(strstr(lm_group_strerror(w->g), "b: telling what it wrote: no answer"));
	assert_true(lm_group_lost(w->g, 1));
	/* The sink has it all the same. */
	assert_int_equal(w->merges, 1);
	assert_int_equal(nb_dirty(w), NB_PAGES);
	assert_int_equal(lm_tracker_stats(w->t, 1, &stats), 0);
	assert_true(stats.blind);
	assert_int_equal(stats.failures, 1);
	/* It is not called again, and nobody waits for it again. */
	assert_int_equal(harvest(w), -ETIMEDOUT);
	assert_int_equal(nb_dirty(w), NB_PAGES);
	assert_int_equal(w->devs[1].reports, 1);
	assert_int_equal(w->devs[0].reports, 2);
	lm_tracker_stop(w->t);
	assert_int_equal(w->devs[1].stops, 0);
	/* As long as it is inside, a start says so too; later its log is stopped first. */
	assert_int_equal(lm_tracker_start(w->t), -ETIMEDOUT);
	assert_int_equal(harvest(w), -ETIMEDOUT);
	lm_tracker_stop(w->t);
	let_return(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(w->devs[1].stops, 1);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_dirty(w), NB_DEVS);
	destroy(w);
}

static void
test_late_start(void **state)
{
	struct world *w = create(LATE_US);

	(void)state;
	w->devs[1].hang = CALL_START;
	assert_int_equal(lm_tracker_start(w->t), -ETIMEDOUT);
	assert_non_null(strstr(lm_group_strerror(w->g), "b: starting its log: no answer"));
	assert_int_equal(harvest(w), -ETIMEDOUT);
	assert_int_equal(nb_dirty(w), NB_PAGES);
	lm_tracker_stop(w->t);
	let_return(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_dirty(w), NB_DEVS);
	destroy(w);
}

static void
test_late_stop(void **state)
{
	struct world *w = create(LATE_US);

	(void)state;
	assert_int_equal(lm_tracker_start(w->t), 0);
	w->devs[1].hang = CALL_STOP;
	assert_int_equal(lm_tracker_stop(w->t), 0);
	assert_true(lm_group_lost(w->g, 1));
	assert_false(w->devs[0].runs || w->devs[2].runs);
	let_return(w);
	assert_int_equal(lm_tracker_start(w->t), 0);
	assert_int_equal(harvest(w), 0);
	assert_int_equal(nb_dirty(w), NB_DEVS);
	destroy(w);
}

/* Breaks when a thread that comes back writes to what is gone; a sanitizer sees it. */
static void
test_destroyed_meanwhile(void **state)
{
	struct world *w = create(LATE_US);
	unsigned int i;

	(void)state;
	assert_int_equal(lm_tracker_start(w->t), 0);
	w->devs[1].hang = CALL_REPORT;
	assert_int_equal(harvest(w), -ETIMEDOUT);
	lm_tracker_destroy(w->t);
	w->t = NULL;
	let_return(w);
	assert_int_equal(w->devs[1].returned, 2);
	for (i = 0; i < NB_DEVS; i++)
		assert_int_equal(w->devs[i].stops, i == 1 ? 0 : 1);
	destroy(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_late_report),
		cmocka_unit_test(test_late_start),
		cmocka_unit_test(test_late_stop),
		cmocka_unit_test(test_destroyed_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
