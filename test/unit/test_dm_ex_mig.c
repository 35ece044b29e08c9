/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Migration of exercisers: the state's way from one to another, arcs, faults. Catches state that
 * is lost, stale or accepted broken; pages missing in the log; an arc that does what it should not;
 * and a negative control that controls nothing.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ex_fake.h"

#define ALL (LM_STATE_F_STOP_COPY | LM_STATE_F_P2P | LM_STATE_F_PRE_COPY)
#define CHUNK_MAX 200000u
#define OUTSTANDING 3u /* operations that cannot be done before the stop */

struct pair {
	struct ex_fake src;
	struct ex_fake dst;
	uint8_t chunk[CHUNK_MAX];
	uint64_t moved; /* bytes of state */
	uint32_t random;
};

static void
pair_init(struct pair *p, uint64_t flags, uint64_t state_bytes)
{
	struct dm_ex_conf conf;

	memset(p, 0, sizeof(*p));
	p->random = 12345;
	dm_ex_conf_defaults(&conf);
	conf.mig_flags = flags;
	conf.state_bytes = state_bytes;
	ex_fake_init(&p->src, &conf);
	conf.seed = 9; /* comes with the state */
	conf.state_bytes = 0;
	ex_fake_init(&p->dst, &conf);
}

static void
pair_fini(struct pair *p)
{
	ex_fake_fini(&p->src);
	ex_fake_fini(&p->dst);
}

static int
setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	pair_init(p, ALL, 5 * LM_EX_STATE_BLOCK_BYTES + 8);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	pair_fini(*state);
	free(*state);
	return 0;
}

static uint32_t
next_random(struct pair *p, uint32_t below)
{
	p->random = p->random * 1664525 + 1013904223;
	return (p->random >> 8) % below;
}

/* What a migration of RAM does: pages that the log names, or all. */
static void
copy_ram(struct pair *p, bool all)
{
	uint64_t bitmap[1];
	unsigned int m, i;

	for (m = 0; m < p->src.fake.nb_maps; m++) {
		const struct fake_map *from = &p->src.fake.maps[m];

		assert_true(from->size_bytes <= 64 * 4096);
		bitmap[0] = all ? UINT64_MAX : 0;
		if (!all)
			assert_int_equal(p->src.device.ops->log->report(p->src.ex, from->iova,
					from->size_bytes, 4096, bitmap), 0);
		for (i = 0; i < from->size_bytes / 4096; i++)
			if ((bitmap[0] >> i & 1) != 0)
				memcpy(p->dst.fake.maps[m].ptr + i * 4096, from->ptr + i * 4096,
						4096);
	}
}

static void
start_log(struct pair *p)
{
	struct lm_vu_range ranges[3];
	uint64_t page_bytes = 4096;
	unsigned int m;

	for (m = 0; m < 3; m++) {
		ranges[m].iova = p->src.fake.maps[m].iova;
		ranges[m].length_bytes = p->src.fake.maps[m].size_bytes;
	}
	assert_int_equal(p->src.device.ops->log->start(p->src.ex, ranges, 3, &page_bytes), 0);
	assert_int_equal(page_bytes, 4096);
}

/* Read what there is and write it, in pieces of any size. @return what the last read said */
static int
pump(struct pair *p)
{
	uint32_t at, n;
	int got;

	for (;;) {
		got = p->src.device.ops->mig->read(p->src.ex, p->chunk,
				1 + next_random(p, CHUNK_MAX));
		if (got <= 0)
			return got;
		p->moved += (uint64_t)got;
		for (at = 0; at < (uint32_t)got; at += n) {
			n = 1 + next_random(p, (uint32_t)got);
			n = n < (uint32_t)got - at ? n : (uint32_t)got - at;
			assert_int_equal(p->dst.device.ops->mig->write(p->dst.ex, p->chunk + at,
					n), 0);
		}
	}
}

/* All of it, up to a destination that is loaded and stopped. */
static void
migrate(struct pair *p, unsigned int rounds)
{
	bool has_precopy = (p->src.ex->conf.mig_flags & LM_STATE_F_PRE_COPY) != 0;

	start_log(p);
	copy_ram(p, true);
	assert_int_equal(ex_go(&p->dst, LM_STATE_RESUMING), 0);
	if (has_precopy)
		assert_int_equal(ex_go(&p->src, LM_STATE_PRE_COPY), 0);
	for (; rounds > 0; rounds--) {
		ex_run(&p->src, 5);
		if (has_precopy)
			assert_int_equal(pump(p), -ENOMSG);
		ex_run(&p->src, 5);
		copy_ram(p, false);
	}
	ex_submit(&p->src, OUTSTANDING);
	ex_run(&p->src, 3);
	assert_int_equal(ex_go(&p->src, LM_STATE_STOP_COPY), 0);
	ex_run(&p->src, 3);
	copy_ram(p, false);
	assert_int_equal(pump(p), 0);
	assert_int_equal(ex_go(&p->dst, LM_STATE_STOP), 0);
}

static void
every_capability_and_size(void **state)
{
	static const uint64_t flags[] = { 1, 3, 5, 7 };
	static const uint64_t sizes[] = {
		0, 8, LM_EX_STATE_BLOCK_BYTES - 8, LM_EX_STATE_BLOCK_BYTES,
		LM_EX_STATE_BLOCK_BYTES + 8, 70 * LM_EX_STATE_BLOCK_BYTES + 4096,
	};
	struct pair *p = calloc(1, sizeof(*p));
	uint8_t window[LM_EX_WINDOW_BYTES];
	uint64_t steps;
	unsigned int i, k;

	(void)state;
	memset(window, 0x5a, sizeof(window));
	for (i = 0; i < 4; i++)
		for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			pair_init(p, flags[i], sizes[k]);
			ex_start(&p->src, 3000, 7);
			ex_submit(&p->src, 5);
			ex_run(&p->src, 4);
			ex_submit(&p->src, 4);
			p->src.device.ops->bar_write(p->src.ex, LM_EX_BAR_WINDOW, 0, window,
					sizeof(window));
			migrate(p, 3);
			assert_int_equal(ex_get(&p->dst, LM_EX_REG_OPS), 10);
			assert_memory_equal(p->dst.ex->window, window, sizeof(window));
			steps = ex_get(&p->src, LM_EX_REG_STEPS);
			assert_true(p->moved >= sizes[k]);
			assert_int_equal(ex_get(&p->dst, LM_EX_REG_STEPS), steps);
			assert_int_equal(ex_get(&p->dst, LM_EX_REG_SEED), 1);
			ex_assert_sound(&p->dst);

			/* It goes on where it was; the other one does too, if it is to. */
			p->dst.fake.now_ns = p->src.fake.now_ns;
			assert_int_equal(ex_go(&p->dst, LM_STATE_RUNNING), 0);
			ex_run(&p->dst, 50);
			assert_in_range(ex_get(&p->dst, LM_EX_REG_STEPS), steps + 147,
					steps + 152);
			assert_int_equal(ex_get(&p->dst, LM_EX_REG_OPS_DONE), 9 + OUTSTANDING);
			ex_assert_sound(&p->dst);
			assert_int_equal(ex_go(&p->src, LM_STATE_RUNNING), 0);
			ex_run(&p->src, 50);
			ex_assert_sound(&p->src);
			assert_int_equal(p->src.fake.rules.total, 0);
			assert_int_equal(p->dst.fake.rules.total, 0);
			pair_fini(p);
		}
	free(p);
}

/* The negative control: a mark of the log that is lost is a page that is stale. */
static void
dropped_marks_are_seen(void **state)
{
	struct pair *p = *state;
	struct lm_ex_report report;
	unsigned int i;

	ex_start(&p->src, 2000, 1);
	ex_run(&p->src, 60);
	ex_fault(&p->src, "drop-dirty=13");
	migrate(p, 2);
	ex_check(&p->dst, &report);
	assert_in_range(report.of_kind[LM_EX_PAGE_STALE], 1, 6);
	assert_int_equal(report.faults, report.of_kind[LM_EX_PAGE_STALE]);
	for (i = 0; i < report.nb_findings; i++) {
		assert_int_equal(report.findings[i].since, report.findings[i].have + 101);
		assert_int_equal(report.findings[i].since_state, LM_STATE_PRE_COPY);
	}
}

static void
estimates_are_exact(void **state)
{
	struct pair *p = *state;
	const struct dm_mig_ops *mig = p->src.device.ops->mig;
	uint64_t size, initial, dirty, before;
	uint32_t flags;

	ex_start(&p->src, 1000, 1);
	assert_int_equal(mig->precopy_info(p->src.ex, &flags, &initial, &dirty), -EINVAL);
	assert_int_equal(ex_go(&p->src, LM_STATE_PRE_COPY), 0);
	assert_int_equal(ex_go(&p->dst, LM_STATE_RESUMING), 0);
	mig->precopy_info(p->src.ex, &flags, &initial, &dirty);
	mig->data_size(p->src.ex, &size);
	assert_int_equal(flags, 0);
	/* A quarter of 6 blocks, and the head. */
	assert_int_equal(initial, 32 + sizeof(struct lm_ex_head) + 2 * (48 + 65536));
	assert_int_equal(pump(p), -ENOMSG);
	assert_int_equal(p->moved, initial + dirty);
	assert_int_equal(size, p->moved + 32 + sizeof(struct lm_ex_tail));

	/* Blocks 0..3 change: as many bytes are there again, none of them initial. */
	ex_run(&p->src, 12);
	mig->precopy_info(p->src.ex, &flags, &initial, &dirty);
	assert_int_equal(initial, 0);
	assert_int_equal(dirty, 4 * (48 + 65536));
	before = p->moved;
	assert_int_equal(pump(p), -ENOMSG);
	assert_int_equal(p->moved - before, dirty);
}

static void
reinit_on_demand(void **state)
{
	struct pair *p = *state;
	const struct dm_mig_ops *mig = p->src.device.ops->mig;
	const char *error = NULL;
	uint64_t initial, dirty;
	uint32_t flags;

	ex_start(&p->src, 1000, 1);
	assert_int_equal(p->src.device.ops->control(p->src.ex, "reinit", NULL, &error), -EINVAL);
	assert_int_equal(ex_go(&p->src, LM_STATE_PRE_COPY), 0);
	assert_int_equal(ex_go(&p->dst, LM_STATE_RESUMING), 0);
	assert_int_equal(pump(p), -ENOMSG);
	assert_int_equal(p->src.device.ops->control(p->src.ex, "reinit", NULL, &error), 0);
	mig->precopy_info(p->src.ex, &flags, &initial, &dirty);
	assert_int_equal(flags, 1);
	assert_true(initial > 65536);
	assert_int_equal(pump(p), -ENOMSG);
	mig->precopy_info(p->src.ex, &flags, &initial, &dirty);
	assert_int_equal(flags, 0);
	assert_int_equal(initial, 0);

	/* So does a driver that configures it anew, with another size too. */
	ex_configure(&p->src, 1000, 3);
	ex_put(&p->src, LM_EX_REG_STATE_BYTES, 3 * LM_EX_STATE_BLOCK_BYTES);
	ex_put(&p->src, LM_EX_REG_CONTROL, LM_EX_CONTROL_START);
	mig->precopy_info(p->src.ex, &flags, &initial, &dirty);
	assert_int_equal(flags, 1);
	copy_ram(p, true);
	ex_run(&p->src, 20);
	assert_int_equal(ex_go(&p->src, LM_STATE_STOP_COPY), 0);
	assert_int_equal(pump(p), 0);
	copy_ram(p, true);
	assert_int_equal(ex_go(&p->dst, LM_STATE_STOP), 0);
	assert_int_equal(ex_get(&p->dst, LM_EX_REG_STATE_BYTES), 3 * LM_EX_STATE_BLOCK_BYTES);
	assert_int_equal(ex_get(&p->dst, LM_EX_REG_STEPS), ex_get(&p->src, LM_EX_REG_STEPS));
	assert_int_equal(ex_get(&p->dst, LM_EX_REG_STATE_DIGEST),
			ex_get(&p->src, LM_EX_REG_STATE_DIGEST));
}

/* A whole small state, as bytes. */
static uint32_t
small_state(struct pair *p, uint8_t *bytes, uint32_t max)
{
	uint32_t len = 0;
	int got;

	ex_put(&p->src, LM_EX_REG_STATE_BYTES, 64);
	ex_start(&p->src, 1000, 1);
	ex_run(&p->src, 9);
	assert_int_equal(ex_go(&p->src, LM_STATE_STOP_COPY), 0);
	while ((got = p->src.device.ops->mig->read(p->src.ex, bytes + len, max - len)) > 0)
		len += (uint32_t)got;
	assert_int_equal(got, 0);
	return len;
}

/* @return what leaving RESUMING says */
static int
load(struct pair *p, const uint8_t *bytes, uint32_t len)
{
	int ret;

	p->dst.device.ops->reset(p->dst.ex);
	assert_int_equal(ex_go(&p->dst, LM_STATE_RESUMING), 0);
	p->dst.device.ops->mig->write(p->dst.ex, bytes, len);
	ret = ex_go(&p->dst, LM_STATE_STOP);
	assert_int_equal(p->dst.ex->state, ret == 0 ? LM_STATE_STOP : LM_STATE_ERROR);
	return ret;
}

static void
broken_states_are_refused(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[16384];
	uint32_t len = small_state(p, bytes, sizeof(bytes) - 1), i;

	assert_int_equal(load(p, bytes, len), 0);
	assert_int_equal(ex_get(&p->dst, LM_EX_REG_STEPS), 10);
	bytes[len] = 0;
	assert_int_equal(load(p, bytes, len + 1), -EINVAL);
	for (i = 1; i < len; i++) {
		if (load(p, bytes, i) != -EINVAL)
			fail_msg("truncated after %u of %u bytes and loaded", i, len);
		bytes[i] ^= (uint8_t)(1 << i % 8);
		if (load(p, bytes, len) != -EINVAL)
			fail_msg("byte %u of %u is wrong and loaded", i, len);
		bytes[i] ^= (uint8_t)(1 << i % 8);
	}
	/* Nothing at all is no state, and no harm. */
	assert_int_equal(load(p, bytes, 0), 0);
	p->dst.ex->conf.compat = 2;
	assert_int_equal(load(p, bytes, len), -EINVAL);
	assert_int_equal(ex_go(&p->dst, LM_STATE_RUNNING), -EIO);
	p->dst.device.ops->reset(p->dst.ex);
	assert_int_equal(p->dst.ex->state, LM_STATE_RUNNING);
}

/* The device against the table, from every state to every state. */
static void
arcs_follow_the_table(void **state)
{
	static const uint64_t sets[] = { 1, 3, 5, 7 };
	struct pair *p = calloc(1, sizeof(*p));
	enum lm_state path[LM_STATE_PATH_MAX];
	uint32_t from, to, i;
	uint64_t arcs;
	int want;

	(void)state;
	for (i = 0; i < 4; i++) {
		pair_init(p, sets[i], 1000);
		for (from = 1; from < LM_STATE_NB; from++)
			for (to = 1; to < LM_STATE_NB; to++) {
				p->src.device.ops->reset(p->src.ex);
				if (ex_go(&p->src, (enum lm_state)from) != 0)
					continue;
				arcs = p->src.ex->arcs;
				want = lm_state_path((enum lm_state)from, (enum lm_state)to,
						sets[i], path);
				assert_int_equal(ex_go(&p->src, (enum lm_state)to),
						want < 0 ? -EINVAL : 0);
				assert_int_equal(p->src.ex->state, want < 0 ? from : to);
				assert_int_equal(p->src.ex->arcs - arcs, want < 0 ? 0 : want);
			}
		pair_fini(p);
	}
	free(p);
}

static void
stopped_is_stopped(void **state)
{
	static const enum lm_state quiet[] = {
		LM_STATE_STOP, LM_STATE_STOP_COPY, LM_STATE_RUNNING_P2P, LM_STATE_PRE_COPY_P2P,
	};
	struct pair *p = *state;
	uint64_t steps, done;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		p->src.device.ops->reset(p->src.ex);
		ex_start(&p->src, 1000, 1);
		ex_submit(&p->src, 1);
		ex_run(&p->src, 5);
		assert_int_equal(ex_go(&p->src, quiet[i]), 0);
		steps = ex_get(&p->src, LM_EX_REG_STEPS);
		done = ex_get(&p->src, LM_EX_REG_OPS_DONE);
		p->src.fake.irqs[0] = 0;
		ex_run(&p->src, 100);
		assert_int_equal(ex_get(&p->src, LM_EX_REG_STEPS), steps);
		assert_int_equal(ex_get(&p->src, LM_EX_REG_OPS_DONE), done);
		assert_int_equal(p->src.fake.irqs[0], 0);
		/* A quiet device takes operations, a stopped one must not be given any. */
		ex_put(&p->src, LM_EX_REG_DOORBELL, 2);
		assert_int_equal(ex_get(&p->src, LM_EX_REG_OPS_ACCEPTED), i < 2 ? 1 : 2);
		assert_int_equal(p->src.fake.rules.count[DM_RULE_EX_STOPPED], i < 2 ? i + 1 : 2);
	}
}

static void
every_arc_can_fail(void **state)
{
	static const struct {
		const char *word;
		int ret;
		bool moves;
		bool is_error;
	} kinds[] = {
		{ "busy", -EBUSY, false, false },
		{ "fail-before", -EIO, false, false },
		{ "fail-after", -EIO, true, false },
		{ "error", -EIO, false, true },
	};
	struct pair *p = *state;
	enum lm_state path[LM_STATE_PATH_MAX];
	uint32_t from, to, k;
	char spec[80];

	for (from = 1; from < LM_STATE_NB; from++)
		for (to = 1; to < LM_STATE_NB; to++) {
			if (lm_state_path((enum lm_state)from, (enum lm_state)to, ALL, path) != 1)
				continue;
			for (k = 0; k < 4; k++) {
				p->src.device.ops->reset(p->src.ex);
				assert_int_equal(ex_go(&p->src, (enum lm_state)from), 0);
				snprintf(spec, sizeof(spec), "%s@%s-%s", kinds[k].word,
						lm_state_name((enum lm_state)from),
						lm_state_name((enum lm_state)to));
				ex_fault(&p->src, spec);
				assert_int_equal(ex_go(&p->src, (enum lm_state)to),
						kinds[k].ret);
				assert_int_equal(p->src.ex->state, kinds[k].is_error ?
						LM_STATE_ERROR : kinds[k].moves ? to : from);
				if (!kinds[k].is_error)
					assert_int_equal(ex_go(&p->src, (enum lm_state)to), 0);
			}
		}
}

static void
arcs_take_their_time(void **state)
{
	struct pair *p = *state;
	uint64_t begin;

	ex_start(&p->src, 1000, 1);
	ex_fault(&p->src, "slow@*-*=20000");
	begin = p->src.fake.now_ns;
	/* Three arcs; nothing is held up meanwhile, and it is told when to look again. */
	while (ex_go(&p->src, LM_STATE_STOP_COPY) == -EINPROGRESS) {
		p->src.resumes = 0;
		while (p->src.resumes == 0)
			ex_run(&p->src, 1);
	}
	assert_int_equal(p->src.fake.now_ns - begin, 60 * EX_NS_MS);
	assert_int_equal(p->src.ex->state, LM_STATE_STOP_COPY);
	assert_in_range(ex_get(&p->src, LM_EX_REG_STEPS), 18, 21); /* it ran until it was quiet */
	assert_int_equal(ex_go(&p->src, LM_STATE_STOP), -EINPROGRESS);
	p->src.device.ops->reset(p->src.ex);
	assert_int_equal(p->src.ex->state, LM_STATE_RUNNING);
	assert_int_equal(dm_ex_waits(p->src.ex), 0);

	ex_fault(&p->src, "clear");
	ex_fault(&p->src, "hang@running_p2p-stop");
	assert_int_equal(ex_go(&p->src, LM_STATE_STOP), -EINPROGRESS);
	p->src.resumes = 0;
	ex_run(&p->src, 1000);
	assert_int_equal(p->src.resumes, 0);
	assert_int_equal(ex_go(&p->src, LM_STATE_STOP), -EINPROGRESS);
	assert_int_equal(p->src.device.ops->control(p->src.ex, "release", NULL, NULL), 0);
	ex_run(&p->src, 1);
	assert_int_equal(p->src.resumes, 1);
	assert_int_equal(ex_go(&p->src, LM_STATE_STOP), 0);
}

static void
streams_can_fail(void **state)
{
	struct pair *p = *state;
	const struct dm_mig_ops *mig = p->src.device.ops->mig;
	uint8_t good[16384], bytes[16384];
	uint32_t len = small_state(p, good, sizeof(good)), i;

	/* Read: at a byte, ends early, wrong byte, short. */
	ex_go(&p->src, LM_STATE_STOP);
	ex_fault(&p->src, "read-fail=1500");
	ex_go(&p->src, LM_STATE_STOP_COPY);
	assert_int_equal(mig->read(p->src.ex, bytes, 1500), 1500);
	assert_int_equal(mig->read(p->src.ex, bytes, 1500), -EIO);
	ex_go(&p->src, LM_STATE_STOP);
	ex_fault(&p->src, "read-end=1501");
	ex_go(&p->src, LM_STATE_STOP_COPY);
	assert_int_equal(mig->read(p->src.ex, bytes, 4000), 1501);
	assert_int_equal(mig->read(p->src.ex, bytes, 4000), 0);
	assert_int_equal(load(p, bytes, 1501), -EINVAL);
	ex_fault(&p->src, "clear");
	ex_go(&p->src, LM_STATE_STOP);
	ex_fault(&p->src, "read-corrupt=2000");
	ex_fault(&p->src, "read-chunk=10");
	ex_go(&p->src, LM_STATE_STOP_COPY);
	for (i = 0; i < len; i += 10)
		assert_int_equal(mig->read(p->src.ex, bytes + i, 4000),
				len - i < 10 ? len - i : 10);
	assert_int_equal(load(p, bytes, len), -EINVAL);

	/* Nothing now, though there is. */
	ex_fault(&p->src, "clear");
	p->src.device.ops->reset(p->src.ex);
	ex_go(&p->src, LM_STATE_PRE_COPY);
	ex_fault(&p->src, "enomsg=3");
	for (i = 0; i < 3; i++)
		assert_int_equal(mig->read(p->src.ex, bytes, 100), -ENOMSG);
	assert_int_equal(mig->read(p->src.ex, bytes, 100), 100);

	/* Write. */
	ex_go(&p->dst, LM_STATE_RUNNING);
	p->dst.device.ops->reset(p->dst.ex);
	ex_go(&p->dst, LM_STATE_RESUMING);
	ex_fault(&p->dst, "write-fail=100");
	assert_int_equal(mig->write(p->dst.ex, good, 100), 0);
	assert_int_equal(mig->write(p->dst.ex, good + 100, len - 100), -EIO);
	assert_int_equal(ex_go(&p->dst, LM_STATE_STOP), -EIO);
	p->dst.device.ops->reset(p->dst.ex);
	ex_go(&p->dst, LM_STATE_RESUMING);
	ex_fault(&p->dst, "write-hang=0");
	assert_int_equal(mig->write(p->dst.ex, good, len), -EINPROGRESS);
	dm_ex_release(p->dst.ex);
	assert_int_equal(mig->write(p->dst.ex, good, len), 0);
	assert_int_equal(ex_go(&p->dst, LM_STATE_STOP), 0);
}

static void
logs_can_fail(void **state)
{
	struct pair *p = *state;
	const struct dm_log_ops *log = p->src.device.ops->log;
	uint64_t page_bytes = 4096, bitmap[1] = { 0 };

	ex_fault(&p->src, "log-start-fail=1");
	assert_int_equal(log->start(p->src.ex, NULL, 0, &page_bytes), -EIO);
	assert_int_equal(log->start(p->src.ex, NULL, 0, &page_bytes), 0);
	ex_start(&p->src, 1000, 1);
	ex_run(&p->src, 3);
	ex_fault(&p->src, "log-report-fail=1");
	assert_int_equal(log->report(p->src.ex, EX_RAM_IOVA, 0x10000, 4096, bitmap), -EIO);
	assert_int_equal(bitmap[0], 0);
	assert_int_equal(log->report(p->src.ex, EX_RAM_IOVA, 0x10000, 4096, bitmap), 0);
	assert_int_equal(bitmap[0], 0x1e); /* pages 1 to 4 */
	ex_fault(&p->src, "extra-dirty=1");
	ex_run(&p->src, 1);
	assert_int_equal(log->report(p->src.ex, EX_RAM_IOVA, 0x10000, 4096, bitmap), 0);
	assert_int_equal(bitmap[0], 0x7e);
	p->src.device.ops->reset(p->src.ex);
	assert_int_equal(log->report(p->src.ex, EX_RAM_IOVA, 0x10000, 4096, bitmap), -EINVAL);
}

/* Two that write into each other's window, as VFIO maps a BAR for a peer. */
static void
peers(void **state)
{
	struct pair *p = *state;
	struct lm_ex_report report = { .faults = 0 };
	struct lm_ex_view view;

	/* The fake host frees its maps: give it memory of its own, and copy by hand. */
	fake_map(&p->src.fake, 0x50000, LM_EX_WINDOW_BYTES, 3);
	ex_configure(&p->src, 1000, 1);
	ex_put(&p->src, LM_EX_REG_PEER, 0x50000);
	ex_put(&p->src, LM_EX_REG_PEER_EVERY, 2);
	ex_put(&p->src, LM_EX_REG_CONTROL, LM_EX_CONTROL_START);
	ex_run(&p->src, 300);
	memcpy(p->dst.ex->window, fake_at(&p->src.fake, 0x50000, LM_EX_WINDOW_BYTES),
			LM_EX_WINDOW_BYTES);
	ex_view(&p->src, &view);
	lm_ex_check_peer(&view, p->dst.ex->window, &report);
	assert_int_equal(report.records, LM_EX_PEER_SLOTS);
	assert_int_equal(report.faults, 0);
	assert_int_equal(ex_get(&p->dst, LM_EX_REG_PEER_SEEN),
			ex_get(&p->src, LM_EX_REG_STEPS) / 2);

	/* A record that did not arrive. */
	memset(p->dst.ex->window + 3 * sizeof(struct lm_ex_peer), 0, 32);
	lm_ex_check_peer(&view, p->dst.ex->window, &report);
	assert_int_equal(report.of_kind[LM_EX_PEER_STALE], 1);

	/* Quiet is no reason not to write to it, a stop is. */
	assert_int_equal(ex_go(&p->dst, LM_STATE_RUNNING_P2P), 0);
	p->dst.ex->window[0] ^= 1;
	ex_run(&p->dst, 3);
	assert_int_equal(ex_go(&p->dst, LM_STATE_STOP), 0);
	ex_run(&p->dst, 3);
	assert_int_equal(p->dst.fake.rules.total, 0);
	p->dst.ex->window[0] ^= 1;
	ex_run(&p->dst, 3);
	assert_int_equal(ex_get(&p->dst, LM_EX_REG_PEER_LATE), 1);
	assert_int_equal(p->dst.fake.rules.count[DM_RULE_EX_PEER], 1);
	p->dst.ex->window[0] ^= 1;
	assert_int_equal(ex_go(&p->dst, LM_STATE_RUNNING), 0);
	assert_int_equal(ex_get(&p->dst, LM_EX_REG_PEER_LATE), 2);
}

static void
reset_ends_everything(void **state)
{
	struct pair *p = *state;
	uint64_t page_bytes = 4096;
	uint8_t bytes[64];
	uint32_t from;

	for (from = 1; from < LM_STATE_NB; from++) {
		ex_start(&p->src, 1000, 1);
		ex_run(&p->src, 5);
		assert_int_equal(p->src.device.ops->log->start(p->src.ex, NULL, 0, &page_bytes), 0);
		assert_int_equal(ex_go(&p->src, (enum lm_state)from), 0);
		p->src.device.ops->reset(p->src.ex);
		assert_int_equal(p->src.ex->state, LM_STATE_RUNNING);
		assert_int_equal(ex_get(&p->src, LM_EX_REG_STEPS), 0);
		assert_int_equal(ex_get(&p->src, LM_EX_REG_STATUS), 0);
		assert_int_equal(p->src.device.ops->mig->read(p->src.ex, bytes, 64), -EINVAL);
		assert_int_equal(p->src.device.ops->mig->write(p->src.ex, bytes, 64), -EINVAL);
		assert_int_equal(p->src.device.ops->log->stop(p->src.ex), -EINVAL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_capability_and_size),
		cmocka_unit_test_setup_teardown(dropped_marks_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(estimates_are_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(reinit_on_demand, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_states_are_refused, setup, teardown),
		cmocka_unit_test(arcs_follow_the_table),
		cmocka_unit_test_setup_teardown(stopped_is_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(every_arc_can_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(arcs_take_their_time, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_can_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(logs_can_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(peers, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_ends_everything, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
