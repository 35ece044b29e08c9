/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Quiesce: while queues are parked nobody is inside a burst, the late one is named, and a failed
 * park leaves the queues running. Threads only count; the main thread asserts after joining.
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_quiesce.h"
#include "lm_quiesce_pvt.h"

#define NB_QUEUES 2u
#define NB_PARKS 60000u
#define LOOKS 40u /* at the manager's flag during a burst, so that the two can meet */
#define PATIENCE_US 20000000

/* Where a poller stays. */
enum { NOWHERE, OUTSIDE, INSIDE };

struct poller {
	struct lm_quiesce q;
	_Atomic uint32_t *stop;
	_Atomic uint32_t *parked;
	uint64_t ring;             /* plain: a race is one for the thread sanitizer, too */
	_Atomic uint32_t overlaps; /* bursts that saw the manager inside */
	_Atomic uint32_t bursts;
	_Atomic uint32_t hold;     /* where it is to stay */
	_Atomic uint32_t held;     /* where it does */
	pthread_t thread;
};

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
stay(struct poller *p, uint32_t where)
{
	if (atomic_load(&p->hold) != where)
		return;
	atomic_store(&p->held, where);
	while (atomic_load(&p->hold) == where)
		;
	atomic_store(&p->held, NOWHERE);
}

static void *
poll_queue(void *arg)
{
	struct poller *p = arg;
	unsigned int i;

	while (atomic_load_explicit(p->stop, memory_order_relaxed) == 0) {
		stay(p, OUTSIDE);
		if (!lm_quiesce_enter(&p->q))
			continue;
		p->ring++;
		for (i = 0; i < LOOKS; i++)
			if (atomic_load_explicit(p->parked, memory_order_relaxed) != 0)
				atomic_fetch_add_explicit(&p->overlaps, 1, memory_order_relaxed);
		atomic_store_explicit(&p->bursts, p->bursts + 1, memory_order_relaxed);
		stay(p, INSIDE);
		lm_quiesce_exit(&p->q);
	}
	return NULL;
}

static void
wait_bursts(struct poller *p, uint32_t more)
{
	uint32_t from = atomic_load(&p->bursts);
	uint64_t until = now_us() + PATIENCE_US;

	while (atomic_load(&p->bursts) - from < more)
		assert_true(now_us() < until);
}

/* Returns when it is there; NOWHERE: when it has left. */
static void
hold(struct poller *p, uint32_t where)
{
	uint64_t until = now_us() + PATIENCE_US;

	atomic_store(&p->hold, where);
	while (atomic_load(&p->held) != where)
		assert_true(now_us() < until);
}

struct fixture {
	struct poller p[NB_QUEUES];
	struct lm_quiesce *q[NB_QUEUES];
	unsigned int nb;
	_Atomic uint32_t stop;
	_Atomic uint32_t parked;
};

static void
start(struct fixture *f, unsigned int nb)
{
	unsigned int i;

	memset(f, 0, sizeof(*f));
	f->nb = nb;
	for (i = 0; i < nb; i++) {
		lm_quiesce_setup(&f->p[i].q, i == 0 ? "rx0" : "tx0");
		f->p[i].stop = &f->stop;
		f->p[i].parked = &f->parked;
		f->q[i] = &f->p[i].q;
		assert_int_equal(pthread_create(&f->p[i].thread, NULL, poll_queue, &f->p[i]), 0);
	}
}

static void
stop(struct fixture *f)
{
	unsigned int i;

	atomic_store(&f->stop, 1);
	for (i = 0; i < f->nb; i++)
		assert_int_equal(pthread_join(f->p[i].thread, NULL), 0);
}

static void
spin(unsigned int nb)
{
	while (nb-- != 0)
		atomic_signal_fence(memory_order_seq_cst);
}

static void
stress(unsigned int nb, unsigned int nb_parks)
{
	struct fixture f;
	uint64_t expected[NB_QUEUES];
	unsigned int round, i;

	start(&f, nb);
	for (round = 0; round < nb_parks; round++) {
		assert_int_equal(lm_quiesce_park(f.q, nb, PATIENCE_US, NULL), 0);
		atomic_store_explicit(&f.parked, 1, memory_order_relaxed);
		for (i = 0; i < nb; i++)
			expected[i] = ++f.p[i].ring;
		spin(200);
		for (i = 0; i < nb; i++)
			assert_true(*(volatile uint64_t *)&f.p[i].ring == expected[i]);
		atomic_store_explicit(&f.parked, 0, memory_order_relaxed);
		lm_quiesce_release(f.q, nb);
		/* Meet the bursts at every point: also one whose stores are still on their way. */
		spin(round % 1024);
	}
	wait_bursts(&f.p[0], 1);
	stop(&f);
	for (i = 0; i < nb; i++) {
		assert_int_equal(f.p[i].overlaps, 0);
		/* Each burst and each parked round counted once: no update was lost. */
		assert_int_equal((uint32_t)f.p[i].ring, f.p[i].bursts + nb_parks);
	}
}

static void
test_stress_membarrier(void **state)
{
	(void)state;
	assert_int_equal(lm_quiesce_init(), 0);
	if (lm_quiesce_full_fence)
		skip();
	stress(1, NB_PARKS);
	stress(NB_QUEUES, NB_PARKS / 10);
}

static void
test_stress_fence(void **state)
{
	(void)state;
	lm_quiesce_force_fence(true);
	stress(1, NB_PARKS);
	stress(NB_QUEUES, NB_PARKS / 10);
	lm_quiesce_force_fence(false);
	assert_int_equal(lm_quiesce_init(), 0);
}

static void
test_idle_parks_at_once(void **state)
{
	struct lm_quiesce q;
	struct lm_quiesce *queues[] = { &q };

	(void)state;
	lm_quiesce_setup(&q, "rx7");
	assert_int_equal(lm_quiesce_park(queues, 1, 0, NULL), 0);
	assert_false(lm_quiesce_enter(&q));
	assert_int_equal(lm_quiesce_park(queues, 1, 0, NULL), 0);
	lm_quiesce_release(queues, 1);
	assert_true(lm_quiesce_enter(&q));
	lm_quiesce_exit(&q);
	assert_int_equal(lm_quiesce_park(queues, 0, 0, NULL), 0);
}

static void
test_late_is_named(void **state)
{
	const struct lm_quiesce *late = NULL;
	uint64_t before, took;
	struct fixture f;

	(void)state;
	start(&f, NB_QUEUES);
	/* One that only had no CPU for so long would be late, too: this one is not in a burst. */
	hold(&f.p[0], OUTSIDE);
	hold(&f.p[1], INSIDE);
	before = now_us();
	assert_int_equal(lm_quiesce_park(f.q, NB_QUEUES, 30000, &late), -ETIMEDOUT);
	took = now_us() - before;
	assert_true(took >= 30000);
	assert_ptr_equal(late, f.q[1]);
	assert_string_equal(late->name, "tx0");
	/* All run again, also those that had parked. */
	hold(&f.p[0], NOWHERE);
	wait_bursts(&f.p[0], 10);
	hold(&f.p[1], NOWHERE);
	wait_bursts(&f.p[1], 10);
	assert_int_equal(lm_quiesce_park(f.q, NB_QUEUES, PATIENCE_US, &late), 0);
	assert_null(late);
	lm_quiesce_release(f.q, NB_QUEUES);
	stop(&f);
}

static void
test_long_name(void **state)
{
	struct lm_quiesce q;

	(void)state;
	lm_quiesce_setup(&q, "0123456789012345678901234567890123456789");
	assert_int_equal(strlen(q.name), sizeof(q.name) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stress_membarrier),
		cmocka_unit_test(test_stress_fence),
		cmocka_unit_test(test_idle_parks_at_once),
		cmocka_unit_test(test_late_is_named),
		cmocka_unit_test(test_long_name),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
