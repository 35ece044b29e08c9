/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "track_device.h"

void
track_device_write(struct track_device *d, uint64_t iova, uint64_t len_bytes)
{
	uint64_t page;

	for (page = iova / TRACK_PAGE; page * TRACK_PAGE < iova + len_bytes; page++)
		d->dirty[page] = true;
}

static int
start(void *dev, const struct lm_range *ranges, unsigned int nb, uint64_t *page_size_bytes)
{
	struct track_device *d = dev;
	unsigned int i;

	d->starts++;
	if (d->start_error != 0)
		return d->start_error;
	assert_false(d->running);
	assert_true(nb > 0 && nb <= 64);
	assert_true(d->traits.max_ranges == 0 || nb <= d->traits.max_ranges);
	for (i = 0; i < nb; i++) {
		assert_int_equal((ranges[i].addr | ranges[i].len_bytes) % *page_size_bytes, 0);
		assert_true(i == 0 || ranges[i].addr >=
				ranges[i - 1].addr + ranges[i - 1].len_bytes);
	}
	memcpy(d->ranges, ranges, nb * sizeof(ranges[0]));
	memset(d->dirty, 0, sizeof(d->dirty));
	d->nb_ranges = nb;
	if (d->page_size_bytes != 0)
		*page_size_bytes = d->page_size_bytes;
	d->running = true;
	return 0;
}

static void
check_report(const struct track_device *d, uint64_t iova, uint64_t len, uint64_t page_size)
{
	const struct lm_range *r = d->ranges;
	uint64_t page;

	assert_true(d->running);
	assert_int_not_equal(len, 0);
	while (r < d->ranges + d->nb_ranges && (iova < r->addr || iova >= r->addr + r->len_bytes))
		r++;
	assert_true(r < d->ranges + d->nb_ranges);
	assert_true(len <= r->len_bytes - (iova - r->addr));
	if (d->traits.whole_ranges)
		assert_true(iova == r->addr && len == r->len_bytes);
	if (d->traits.fixed_page_size && d->page_size_bytes != 0)
		assert_int_equal(page_size, d->page_size_bytes);
	if (d->traits.align_pages > 1)
		assert_int_equal((iova - r->addr) / page_size % d->traits.align_pages, 0);
	/* What is left of its last word would be cleared and never told. */
	if (iova + len != r->addr + r->len_bytes)
		assert_int_equal(len % (page_size * (d->traits.align_pages > 1 ?
				d->traits.align_pages : 1)), 0);
	for (page = iova / TRACK_PAGE; d->no_holes && page * TRACK_PAGE < iova + len; page++)
		assert_true(d->mapped[page]);
}

static int
report(void *dev, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes, uint64_t *bitmap)
{
	struct track_device *d = dev;
	uint64_t page, bit;

	check_report(d, iova, len_bytes, page_size_bytes);
	d->reports++;
	if (d->report_error != 0)
		return d->report_error;
	for (page = iova / TRACK_PAGE; page * TRACK_PAGE < iova + len_bytes; page++) {
		bit = (page * TRACK_PAGE - iova) / page_size_bytes;
		if (d->dirty[page])
			bitmap[bit / 64] |= UINT64_C(1) << (bit % 64);
		d->dirty[page] = false;
	}
	return 0;
}

static int
stop(void *dev)
{
	struct track_device *d = dev;

	assert_true(d->running);
	d->stops++;
	d->running = false;
	return d->stop_error;
}

const struct lm_source_ops track_device_ops = {
	.start = start,
	.report = report,
	.stop = stop,
};

const struct lm_provider_ops track_device_provider = {
	.name = "track",
	.dirty_start = start,
	.dirty_report = report,
	.dirty_stop = stop,
};
