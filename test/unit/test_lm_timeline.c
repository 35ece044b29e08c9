/* SPDX-License-Identifier: BSD-3-Clause */

/* Timeline: order and bounds, and events never torn while writers lap the reader. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_timeline.h"

#define NB_WRITERS 3u
#define NB_EACH 200000u

static struct lm_timeline *
create(void)
{
	struct lm_timeline *tl = NULL;

	assert_int_equal(lm_timeline_create("vdpa_virtio_pci0", &tl), 0);
	return tl;
}

static void
test_order(void **state)
{
	struct lm_timeline *tl = create();
	struct lm_timeline_event e[4];
	uint64_t oldest, next;

	(void)state;
	assert_int_equal(lm_timeline_read(tl, 0, e, 4), 0);
	lm_timeline_add(tl, "start", "begin", 0, 0);
	lm_timeline_add(tl, "log-on", "queue 1 relay", 42, -110);
	assert_int_equal(lm_timeline_read(tl, 0, e, 4), 2);
	assert_int_equal(e[0].seq, 0);
	assert_string_equal(e[0].phase, "start");
	assert_int_equal(e[1].seq, 1);
	assert_string_equal(e[1].device, "vdpa_virtio_pci0");
	assert_string_equal(e[1].phase, "log-on");
	assert_string_equal(e[1].event, "queue 1 relay");
	assert_int_equal(e[1].bytes, 42);
	assert_int_equal(e[1].error, -110);
	assert_true(e[0].t_ns != 0 && e[1].t_ns >= e[0].t_ns);
	assert_int_equal(lm_timeline_read(tl, 1, e, 4), 1);
	assert_int_equal(lm_timeline_read(tl, 0, e, 1), 1);
	assert_int_equal(lm_timeline_read(tl, 2, e, 4), 0);
	assert_int_equal(lm_timeline_read(tl, UINT64_MAX, e, 4), 0);
	lm_timeline_bounds(tl, &oldest, &next);
	assert_int_equal(oldest, 0);
	assert_int_equal(next, 2);
	lm_timeline_add(NULL, "", "", 0, 0);
	lm_timeline_destroy(tl);
}

static void
test_wraps(void **state)
{
	static struct lm_timeline_event e[LM_TIMELINE_EVENTS + 1];
	const uint64_t nb = 2 * LM_TIMELINE_EVENTS + 100;
	struct lm_timeline *tl = create();
	uint64_t i, oldest, next;

	(void)state;
	for (i = 0; i < nb; i++)
		lm_timeline_add(tl, "phase", "event", i, 0);
	lm_timeline_bounds(tl, &oldest, &next);
	assert_int_equal(next, nb);
	assert_int_equal(oldest, nb - LM_TIMELINE_EVENTS);
	assert_int_equal(lm_timeline_read(tl, 0, e, LM_TIMELINE_EVENTS + 1), LM_TIMELINE_EVENTS);
	for (i = 0; i < LM_TIMELINE_EVENTS; i++) {
		assert_int_equal(e[i].seq, oldest + i);
		assert_int_equal(e[i].bytes, oldest + i);
	}
	lm_timeline_destroy(tl);
}

static void
test_long_names(void **state)
{
	char longest[100];
	struct lm_timeline *tl;
	struct lm_timeline_event e;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(lm_timeline_create(longest, &tl), 0);
	lm_timeline_add(tl, longest, longest, 0, 0);
	assert_int_equal(lm_timeline_read(tl, 0, &e, 1), 1);
	assert_int_equal(strlen(e.device), sizeof(e.device) - 1);
	assert_int_equal(strlen(e.phase), sizeof(e.phase) - 1);
	assert_int_equal(strlen(e.event), sizeof(e.event) - 1);
	lm_timeline_destroy(tl);
}

struct writer {
	struct lm_timeline *tl;
	_Atomic uint32_t *running;
	unsigned int id;
	pthread_t thread;
};

/* Each field says the same number: a torn event contradicts itself. */
static void *
write_events(void *arg)
{
	struct writer *w = arg;
	char phase[20], event[28];
	unsigned int i;

	for (i = 0; i < NB_EACH; i++) {
		snprintf(phase, sizeof(phase), "%u-%u", w->id, i);
		snprintf(event, sizeof(event), "%u-%u", w->id, i);
		lm_timeline_add(w->tl, phase, event, (uint64_t)w->id << 32 | i, -(int)i);
	}
	atomic_fetch_sub(w->running, 1);
	return NULL;
}

static unsigned int
nb_torn(const struct lm_timeline_event *e, unsigned int nb, uint64_t from)
{
	unsigned int i, torn = 0;
	char want[28];

	for (i = 0; i < nb; i++) {
		snprintf(want, sizeof(want), "%u-%u", (unsigned int)(e[i].bytes >> 32),
				(unsigned int)(uint32_t)e[i].bytes);
		torn += strcmp(e[i].phase, want) != 0 || strcmp(e[i].event, want) != 0 ||
			e[i].error != -(int)(uint32_t)e[i].bytes ||
			e[i].seq < from || (i != 0 && e[i].seq <= e[i - 1].seq);
	}
	return torn;
}

static void
test_torn(void **state)
{
	static struct lm_timeline_event e[LM_TIMELINE_EVENTS];
	struct writer writers[NB_WRITERS];
	_Atomic uint32_t running = NB_WRITERS;
	unsigned int i, nb, torn = 0;
	uint64_t from = 0, oldest, next;
	struct lm_timeline *tl = create();

	(void)state;
	for (i = 0; i < NB_WRITERS; i++) {
		writers[i] = (struct writer){ .tl = tl, .running = &running, .id = i };
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_events,
				&writers[i]), 0);
	}
	while (atomic_load(&running) != 0) {
		/* The oldest few are the ones that the writers are about to overwrite. */
		for (i = 0; i < 64; i++) {
			nb = lm_timeline_read(tl, 0, e, 3);
			torn += nb_torn(e, nb, 0);
		}
		nb = lm_timeline_read(tl, from, e, LM_TIMELINE_EVENTS);
		torn += nb_torn(e, nb, from);
		if (nb != 0)
			from = e[nb - 1].seq + 1;
	}
	for (i = 0; i < NB_WRITERS; i++)
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
	assert_int_equal(torn, 0);
	lm_timeline_bounds(tl, &oldest, &next);
	assert_int_equal(next, NB_WRITERS * NB_EACH);
	nb = lm_timeline_read(tl, 0, e, LM_TIMELINE_EVENTS);
	assert_int_equal(nb_torn(e, nb, oldest), 0);
	assert_true(nb > LM_TIMELINE_EVENTS / 2);
	lm_timeline_destroy(tl);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_wraps),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_torn),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
