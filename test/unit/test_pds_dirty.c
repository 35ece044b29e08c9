/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Dirty reports of the PF's control side, on the model. B1 to B4, B6 and B12 are what Linux's
 * pds-vfio-pci gets wrong; each test says what a driver that does the same would return.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_serve.h"
#include "lm_pds_lm.h"

#define PAGE UINT64_C(4096)
#define BASE UINT64_C(0x10000000)
#define AT(page) (BASE + (page) * PAGE)
#define WORDS 8

struct test {
	struct dm_serve s;
	struct lm_pci *pci;
	struct lm_pds_core *core;
	struct lm_pds_lm *lm;
	uint64_t bits[WORDS];
};

struct mark {
	uint64_t iova, len;
};

static int
setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	*state = t;
	serve_start(&t->s, 1);
	assert_int_equal(lm_pci_open_vfio_user(t->s.paths[0], NULL, &t->pci), 0);
	assert_int_equal(lm_pds_core_open(t->pci, NULL, &t->core), 0);
	assert_int_equal(lm_pds_lm_open(t->core, 0, "pds_core.LM.vfio.0-8", &t->lm), 0);
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;

	lm_pds_lm_close(t->lm);
	lm_pds_core_close(t->core);
	lm_pci_close(t->pci);
	serve_stop(&t->s);
	assert_int_equal(t->s.functions[0].rules.total, 0);
	free(t);
	return 0;
}

static void
mark_call(struct dm_serve *s, void *ctx)
{
	const struct mark *m = ctx;

	dm_pds_dirty_mark(&serve_vf(s)->fn.dirty, m->iova, m->len);
}

static void
mark(struct test *t, uint64_t iova, uint64_t len)
{
	struct mark m = { iova, len };

	serve_call(&t->s, mark_call, &m);
}

static void
start(struct test *t, unsigned int nb, const struct lm_pds_range *ranges)
{
	uint64_t page = PAGE;

	assert_int_equal(lm_pds_lm_dirty_start(t->lm, ranges, nb, &page), 0);
	assert_int_equal(page, PAGE);
}

static int
report(struct test *t, uint64_t iova, uint64_t pages)
{
	memset(t->bits, 0, sizeof(t->bits));
	return lm_pds_lm_dirty_report(t->lm, iova, pages * PAGE, PAGE, t->bits);
}

static unsigned int
count(const struct test *t)
{
	unsigned int i, n = 0;

	for (i = 0; i < WORDS * 64; i++)
		n += t->bits[i / 64] >> i % 64 & 1;
	return n;
}

static bool
has(const struct test *t, unsigned int page)
{
	return (t->bits[page / 64] >> page % 64 & 1) != 0;
}

/* B1: rounded up, the offset of page 129 is byte 17, and pages 129 to 135 are never read. */
static void
test_start_is_rounded_down(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r = { BASE, 256 * PAGE };
	unsigned int first;

	start(t, 1, &r);
	for (first = 129; first < 137; first++) {
		mark(t, AT(first), 1);
		assert_int_equal(report(t, AT(first), 20), 0);
		assert_int_equal(count(t), 1);
		assert_true(has(t, 0));
		assert_int_equal(report(t, AT(first), 20), 0);
		assert_int_equal(count(t), 0);
	}
}

/* B2: eight bytes from byte 14 of 16 acknowledge six bytes of the next region. */
static void
test_report_stays_in_its_region(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r[] = { { BASE, 128 * PAGE }, { AT(1000), 128 * PAGE } };

	start(t, 2, r);
	mark(t, AT(1003), 1);
	mark(t, AT(1040), 1);
	mark(t, AT(127), 1);
	assert_int_equal(report(t, AT(112), 16), 0);
	assert_int_equal(count(t), 1);
	assert_true(has(t, 15));
	assert_int_equal(report(t, AT(1000), 128), 0);
	assert_int_equal(count(t), 2);
	assert_true(has(t, 3) && has(t, 40));
}

/* B3: pages 3, 50 and 70 are dirty; after a report of 0 to 9, page 50 is gone. */
static void
test_neighbours_are_kept(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r = { BASE, 100 * PAGE };

	start(t, 1, &r);
	mark(t, AT(3), 1);
	mark(t, AT(50), 1);
	mark(t, AT(70), 1);
	assert_int_equal(report(t, BASE, 10), 0);
	assert_int_equal(count(t), 1);
	assert_int_equal(report(t, BASE, 100), 0);
	assert_int_equal(count(t), 2);
	assert_true(has(t, 50) && has(t, 70));
	mark(t, AT(5), 1);
	mark(t, AT(20), 1);
	assert_int_equal(report(t, AT(20), 44), 0); /* and those before it */
	assert_int_equal(count(t), 1);
	assert_int_equal(report(t, BASE, 100), 0);
	assert_int_equal(count(t), 1);
	assert_true(has(t, 5));
}

/* B4: the first region, rounded to 128 pages, hides the start of the second: -EINVAL. */
static void
test_regions_are_told_apart(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r[] = { { AT(110), 100 * PAGE }, { BASE, 100 * PAGE } };

	start(t, 2, r);
	mark(t, AT(112), 1);
	mark(t, AT(209), 1);
	assert_int_equal(report(t, AT(110), 100), 0);
	assert_int_equal(count(t), 2);
	assert_true(has(t, 2) && has(t, 99));
	mark(t, AT(99), 1);
	mark(t, AT(110), 1);
	assert_int_equal(report(t, BASE, 210), 0); /* across both, and the hole between */
	assert_true(has(t, 99) && has(t, 110));
	assert_int_equal(count(t), 2 + 10); /* nobody looks into the hole: dirty */
	assert_int_equal(report(t, AT(210), 5), 0);
	assert_int_equal(count(t), 5);
}

static void
reset_call(struct dm_serve *s, void *ctx)
{
	(void)ctx;
	s->functions[1].device.ops->reset(serve_vf(s));
}

static void
disable_call(struct dm_serve *s, void *ctx)
{
	(void)ctx;
	dm_pds_dirty_disable(&serve_vf(s)->fn.dirty);
}

/* B6: after a reset of the VF the next start fails with -EINVAL or -EEXIST. */
static void
test_reset(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r = { BASE, 128 * PAGE };

	start(t, 1, &r);
	mark(t, AT(7), 1);
	serve_call(&t->s, reset_call, NULL);
	assert_int_equal(lm_pds_lm_after_reset(t->lm), 0);
	assert_int_equal(report(t, BASE, 128), 0);
	assert_int_equal(count(t), 1);
	start(t, 1, &r); /* again, without a stop */
	serve_call(&t->s, disable_call, NULL); /* a device that forgets */
	assert_int_equal(lm_pds_lm_after_reset(t->lm), -EIO);
	assert_int_equal(report(t, BASE, 128), -EIO);
	assert_int_equal(count(t), 128);
	start(t, 1, &r);
	assert_int_equal(report(t, BASE, 128), 0);
	assert_int_equal(count(t), 0);
	assert_int_equal(lm_pds_lm_dirty_stop(t->lm), 0);
	assert_int_equal(lm_pds_lm_dirty_stop(t->lm), 0);
	assert_int_equal(report(t, BASE, 128), -EINVAL);
}

/*
 * B12: lists are read by the device. It refuses memory that it may not read, so that one mapped for
 * writing only, as READ_SEQ's direction suggests, fails with BAD_ADDR.
 */
static void
test_lists_can_be_read(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r = { BASE, 64 * PAGE };
	uint64_t iova, len = LM_PDS_DATA_BYTES;
	void *data;

	start(t, 1, &r);
	data = lm_pds_core_lock_data(t->core, &iova);
	assert_non_null(data);
	lm_pds_core_unlock_data(t->core);
	assert_non_null(t->s.functions[0].host.dma_span(t->s.functions[0].host.ctx, iova, &len,
			LM_VU_PROT_READ | LM_VU_PROT_WRITE));
	assert_int_equal(len, LM_PDS_DATA_BYTES);
	assert_int_equal(report(t, BASE, 64), 0);
}

/* A report whose ACK fails has lost nothing; one whose READ_SEQ fails neither. */
static void
test_failed_report(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r = { BASE, 64 * PAGE };

	start(t, 1, &r);
	mark(t, AT(9), 1);
	serve_fault(&t->s, "lm-status=35:29");
	assert_int_equal(report(t, BASE, 64), -EIO);
	serve_fault(&t->s, "lm-status=36:12");
	assert_int_equal(report(t, BASE, 64), -EBUSY);
	assert_int_equal(report(t, BASE, 64), 0);
	assert_int_equal(count(t), 1);
	assert_true(has(t, 9));
}

/* Other page sizes than the device's, and starts that lie inside its pages. */
static void
test_page_sizes(void **state)
{
	struct test *t = *state;
	const struct lm_pds_range r = { BASE, 512 * PAGE };
	uint64_t page = 4 * PAGE;

	assert_int_equal(lm_pds_lm_dirty_start(t->lm, &r, 1, &page), 0);
	mark(t, AT(9), 1);
	memset(t->bits, 0, sizeof(t->bits));
	assert_int_equal(lm_pds_lm_dirty_report(t->lm, AT(10), 2 * PAGE, PAGE, t->bits), 0);
	assert_int_equal(t->bits[0], 3); /* half of the page of 8 to 11 */
	assert_int_equal(report(t, BASE, 64), 0);
	assert_int_equal(t->bits[0], 0xf00); /* so it was not acknowledged */
	mark(t, AT(9), 1);
	memset(t->bits, 0, sizeof(t->bits));
	assert_int_equal(lm_pds_lm_dirty_report(t->lm, BASE, 64 * PAGE, 8 * PAGE, t->bits), 0);
	assert_int_equal(t->bits[0], 2);
}

/* More ranges than the device takes: the smallest gaps go. Bad ones are refused. */
static void
test_ranges(void **state)
{
	struct test *t = *state;
	struct lm_pds_range r[20];
	uint64_t page = PAGE;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		r[i].addr = AT(1000 * (uint64_t)(20 - i) + (i % 2 == 0 ? 0 : 900));
		r[i].len_bytes = 10 * PAGE + 1;
	}
	start(t, 20, r);
	for (i = 0; i < 20; i++)
		mark(t, r[i].addr + 10 * PAGE, 1);
	for (i = 0; i < 20; i++) {
		assert_int_equal(report(t, r[i].addr, 11), 0);
		assert_int_equal(t->bits[0], 0x400);
	}
	assert_int_equal(lm_pds_lm_dirty_start(t->lm, r, 0, &page), -EINVAL);
	page = 5000;
	assert_int_equal(lm_pds_lm_dirty_start(t->lm, r, 1, &page), -EINVAL);
	page = PAGE;
	r[0].len_bytes = UINT64_C(1) << 52;
	assert_int_equal(lm_pds_lm_dirty_start(t->lm, r, 1, &page), -ERANGE);
}

/* Against a byte for each page, any ranges, marks and reports. */
static void
test_random(void **state)
{
	enum { PAGES = 500 };
	struct test *t = *state;
	const struct lm_pds_range r[] = { { AT(3), 150 * PAGE }, { AT(170), 300 * PAGE } };
	uint8_t want[PAGES] = { 0 };
	unsigned int turn, i, first, nb;
	bool tracked;

	srand(7);
	start(t, 2, r);
	for (turn = 0; turn < 400; turn++) {
		for (i = rand() % 8; i > 0; i--) {
			first = rand() % PAGES;
			nb = 1 + rand() % 3;
			mark(t, AT(first) + 5, (nb - 1) * PAGE + 7);
			for (; nb > 0 && first < PAGES; nb--, first++)
				want[first] = 1;
		}
		first = rand() % (PAGES - 1);
		nb = 1 + rand() % (PAGES - first);
		assert_int_equal(report(t, AT(first), nb), 0);
		for (i = 0; i < nb; i++) {
			tracked = (first + i >= 3 && first + i < 153) ||
					(first + i >= 170 && first + i < 470);
			assert_int_equal(has(t, i), tracked ? want[first + i] : 1);
			want[first + i] = 0;
		}
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_start_is_rounded_down),
		T(test_report_stays_in_its_region),
		T(test_neighbours_are_kept),
		T(test_regions_are_told_apart),
		T(test_reset),
		T(test_lists_can_be_read),
		T(test_failed_report),
		T(test_page_sizes),
		T(test_ranges),
		T(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
