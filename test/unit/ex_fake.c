/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ex_fake.h"

static void
ex_resume(void *ctx)
{
	struct fake_host *fake = ctx;
	struct ex_fake *x = (struct ex_fake *)(void *)fake; /* its first member */

	x->resumes++;
}

void
ex_fake_init(struct ex_fake *x, const struct dm_ex_conf *conf)
{
	struct dm_ex_conf own = *conf;

	memset(x, 0, sizeof(*x));
	fake_init(&x->fake);
	x->fake.host.mig_resume = ex_resume;
	own.host = &x->fake.host;
	assert_int_equal(dm_ex_create(&own, &x->device), 0);
	x->ex = x->device.dev;
	fake_map(&x->fake, EX_RAM_IOVA, EX_RAM_PAGES * LM_EX_PAGE_BYTES, 3);
	fake_map(&x->fake, EX_HIGH_IOVA, EX_HIGH_PAGES * LM_EX_PAGE_BYTES, 3);
	fake_map(&x->fake, EX_RING_IOVA, EX_RING_BYTES, 3);
}

void
ex_fake_fini(struct ex_fake *x)
{
	x->device.ops->destroy(x->device.dev);
	fake_fini(&x->fake);
}

void
ex_put(struct ex_fake *x, uint32_t reg, uint64_t value)
{
	assert_int_equal(x->device.ops->bar_write(x->ex, 0, reg, &value, 8), 0);
}

uint64_t
ex_get(struct ex_fake *x, uint32_t reg)
{
	uint64_t value;

	assert_int_equal(x->device.ops->bar_read(x->ex, 0, reg, &value, 8), 0);
	return value;
}

void
ex_configure(struct ex_fake *x, uint64_t rate, uint64_t stride)
{
	ex_put(x, LM_EX_REG_CONTROL, LM_EX_CONTROL_END);
	ex_put(x, LM_EX_REG_RATE, rate);
	ex_put(x, LM_EX_REG_PAGES, EX_RAM_PAGES + EX_HIGH_PAGES);
	ex_put(x, LM_EX_REG_STRIDE, stride);
	ex_put(x, LM_EX_REG_PAGE_WRITE, 4096);
	ex_put(x, LM_EX_REG_STATE_EVERY, 3);
	ex_put(x, LM_EX_REG_RING, EX_RING_IOVA);
	ex_put(x, LM_EX_REG_RING_SIZE, EX_RING_BYTES / sizeof(struct lm_ex_done));
	ex_put(x, LM_EX_REG_OP_STEPS, 20);
	ex_put(x, LM_EX_REG_NB_RANGES, 2);
	ex_put(x, LM_EX_REG_RANGES, EX_RAM_IOVA);
	ex_put(x, LM_EX_REG_RANGES + 8, EX_RAM_PAGES * LM_EX_PAGE_BYTES);
	ex_put(x, LM_EX_REG_RANGES + 16, EX_HIGH_IOVA);
	ex_put(x, LM_EX_REG_RANGES + 24, EX_HIGH_PAGES * LM_EX_PAGE_BYTES);
}

void
ex_start(struct ex_fake *x, uint64_t rate, uint64_t stride)
{
	ex_configure(x, rate, stride);
	ex_put(x, LM_EX_REG_CONTROL, LM_EX_CONTROL_START);
	assert_int_equal(ex_get(x, LM_EX_REG_STATUS), LM_EX_STATUS_STARTED);
}

void
ex_run(struct ex_fake *x, unsigned int ms)
{
	unsigned int i;

	for (i = 0; i < ms; i++) {
		x->fake.now_ns += EX_NS_MS;
		while (x->device.ops->poll(x->ex, x->fake.now_ns) == 64)
			;
	}
}

void
ex_submit(struct ex_fake *x, unsigned int nb)
{
	unsigned int i;

	for (i = 0; i < nb; i++)
		ex_put(x, LM_EX_REG_DOORBELL, ++x->submitted);
}

static int
ex_read_by(void *ctx, uint32_t reg, uint64_t *value)
{
	*value = ex_get(ctx, reg);
	return 0;
}

void
ex_view(struct ex_fake *x, struct lm_ex_view *view)
{
	assert_int_equal(lm_ex_view_read_by(ex_read_by, x, view), 0);
}

static const void *
ex_memory(void *ctx, uint64_t iova, uint64_t len_bytes)
{
	struct ex_fake *x = ctx;
	uint64_t len = len_bytes;
	const void *ptr = x->fake.host.dma_span(&x->fake, iova, &len, 0);

	return len == len_bytes ? ptr : NULL;
}

void
ex_check(struct ex_fake *x, struct lm_ex_report *report)
{
	struct lm_ex_view view;

	ex_view(x, &view);
	memset(report, 0, sizeof(*report));
	lm_ex_check(&view, ex_memory, x, report);
}

void
ex_assert_sound(struct ex_fake *x)
{
	struct lm_ex_report report;
	char text[256];

	ex_check(x, &report);
	if (report.faults == 0)
		return;
	lm_ex_finding_text(&report.findings[0], text, sizeof(text));
	fail_msg("%llu faults, the first: %s", (unsigned long long)report.faults, text);
}

int
ex_go(struct ex_fake *x, enum lm_state to)
{
	return x->device.ops->mig->state_set(x->ex, to);
}

void
ex_fault(struct ex_fake *x, const char *spec)
{
	assert_int_equal(x->device.ops->fault(x->ex, spec), 0);
}
