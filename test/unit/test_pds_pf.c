/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The provider of pds VFs on the model, through sockets. Catches one that breaks the contract, says
 * of a VF that it runs when it does not, takes a status for success or for another errno, or needs
 * more round trips than it has to.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_serve.h"
#include "lm_clock.h"
#include "lm_pds_pf.h"

#define NB_CARDS 2
#define AT UINT64_C(0x40000000)
#define PAGES 256u
#define DIM(array) (sizeof(array) / sizeof((array)[0]))

struct card {
	struct dm_serve s;
	struct lm_pci *pci;
	struct lm_pds_pf *pf;
	struct lm_provider p;
	struct lm_state_machine machine;
	struct lm_caps caps;
};

struct test {
	struct card cards[NB_CARDS];
	uint8_t buf[LM_PDS_STATE_MAX_BYTES + 1];
};

static void
card_take(struct card *c)
{
	const struct lm_pds_pf_conf conf = { .timeout_ms = 200 };

	assert_int_equal(lm_pds_pf_open(c->pci, &conf, &c->pf), 0);
	assert_int_equal(lm_pds_pf_vf(c->pf, 0, &c->p), 0);
	memset(&c->caps, 0, sizeof(c->caps));
	assert_int_equal(c->p.ops->caps(c->p.dev, &c->caps), 0);
	c->machine = (struct lm_state_machine){
		.flags = c->caps.flags, .arcs = c->p.ops->arcs, .nb_arcs = c->p.ops->nb_arcs,
		.state = c->p.ops->state, .reset = c->p.ops->reset,
	};
	assert_int_equal(lm_state_machine_check(&c->machine, NULL), 0);
}

static int
setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	unsigned int i;

	*state = t;
	for (i = 0; i < NB_CARDS; i++) {
		serve_start(&t->cards[i].s, 2);
		assert_int_equal(lm_pci_open_vfio_user(t->cards[i].s.paths[0], NULL,
				&t->cards[i].pci), 0);
		card_take(&t->cards[i]);
	}
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;
	unsigned int i;

	for (i = 0; i < NB_CARDS; i++) {
		lm_pds_pf_close(t->cards[i].pf);
		lm_pci_close(t->cards[i].pci);
		serve_stop(&t->cards[i].s);
		assert_int_equal(t->cards[i].s.functions[0].rules.total, 0);
	}
	free(t);
	return 0;
}

static enum lm_state
at(struct card *c)
{
	enum lm_state state = LM_STATE_ERROR;

	assert_int_equal(c->p.ops->state(c->p.dev, &state), 0);
	return state;
}

static int
walk(struct card *c, enum lm_state to, struct lm_state_result *result)
{
	struct lm_state_result unused;

	return lm_state_walk(&c->machine, c->p.dev, to, result != NULL ? result : &unused);
}

static enum dm_pds_level
level(struct card *c)
{
	return serve_vf(&c->s)->fn.level;
}

struct mark {
	uint64_t iova, len_bytes;
};

static void
mark_call(struct dm_serve *s, void *ctx)
{
	const struct mark *m = ctx;

	dm_pds_dirty_mark(&serve_vf(s)->fn.dirty, m->iova, m->len_bytes);
}

static void
mark(struct card *c, uint64_t page, uint64_t pages)
{
	struct mark m = { AT + page * 4096, pages * 4096 };

	serve_call(&c->s, mark_call, &m);
}

static void
test_caps(void **state)
{
	struct test *t = *state;
	struct card *c = &t->cards[0];
	struct lm_provider other;
	struct lm_pds_pf *none;
	struct lm_pci *vf;

	assert_string_equal(c->caps.provider, "pds");
	assert_string_equal(c->caps.device, "1dd8:1003");
	assert_string_equal(c->caps.firmware, "dpdk-lm-1");
	assert_int_equal(c->caps.flags, LM_STATE_F_STOP_COPY | LM_STATE_F_P2P);
	assert_true(c->caps.dirty.present);
	assert_int_equal(c->caps.dirty.max_ranges, DM_PDS_MAX_REGIONS);
	assert_int_equal(lm_pds_pf_nb_vfs(c->pf), 1);
	assert_int_equal(lm_pds_pf_vf_device(c->pf), 0x1003);
	assert_int_equal(lm_pds_pf_vf(c->pf, 1, &other), -ENOENT);
	assert_int_equal(lm_pci_open_vfio_user(c->s.paths[1], NULL, &vf), 0);
	assert_int_equal(lm_pds_pf_open(vf, NULL, &none), -ENODEV);
	lm_pci_close(vf);
}

/* What a firmware without tracking answers makes no error: the tracker goes without. */
static void
test_without_tracking(void **state)
{
	struct test *t = *state;
	struct card *c = &t->cards[0];
	struct lm_caps caps = { .flags = 0 };

	serve_fault(&c->s, "lm-status=32:2");
	assert_int_equal(c->p.ops->caps(c->p.dev, &caps), 0);
	assert_false(caps.dirty.present);
	serve_fault(&c->s, "adminq-lost=1");
	assert_int_equal(c->p.ops->caps(c->p.dev, &caps), -ETIMEDOUT);
}

/* Pages 64 to 70 of one, then all commands that a migration takes; each is a round trip. */
static void
test_migration(void **state)
{
	static const struct {
		uint8_t opcode;
		uint64_t source, destination;
	} want[] = {
		{ LM_PDS_LM_CMD_HOST_VF_STATUS, 2, 2 }, { LM_PDS_LM_CMD_STATE_SIZE, 2, 1 },
		{ LM_PDS_LM_CMD_SUSPEND, 2, 2 }, { LM_PDS_LM_CMD_SUSPEND_STATUS, 4, 5 },
		{ LM_PDS_LM_CMD_RESUME, 2, 2 }, { LM_PDS_LM_CMD_SAVE, 1, 0 },
		{ LM_PDS_LM_CMD_RESTORE, 0, 1 }, { LM_PDS_LM_CMD_DIRTY_STATUS, 2, 1 },
		{ LM_PDS_LM_CMD_DIRTY_ENABLE, 1, 0 }, { LM_PDS_LM_CMD_DIRTY_DISABLE, 1, 0 },
		{ LM_PDS_LM_CMD_DIRTY_READ_SEQ, 2, 0 }, { LM_PDS_LM_CMD_DIRTY_WRITE_ACK, 1, 0 },
	};
	struct test *t = *state;
	struct card *a = &t->cards[0], *b = &t->cards[1];
	const struct lm_range range = { AT, PAGES * 4096 };
	uint64_t page_bytes = 4096, bitmap[PAGES / 64] = { 0 }, seen[2];
	struct lm_pds_lm_cost costs[2][LM_PDS_LM_NB_COSTS];
	struct lm_mig_info info = { .poll_fd = -1 };
	unsigned int i, k, nb[2];
	int got, total = 0;

	assert_int_equal(a->p.ops->dirty_start(a->p.dev, &range, 1, &page_bytes), 0);
	assert_int_equal(a->p.ops->dirty_start(a->p.dev, &range, 1, &page_bytes), -EINVAL);
	mark(a, 64, 7);
	assert_int_equal(a->p.ops->dirty_report(a->p.dev, AT, range.len_bytes, 4096, bitmap), 0);
	assert_int_equal(bitmap[1], 0x7f);
	assert_int_equal(bitmap[0] | bitmap[2] | bitmap[3], 0);

	assert_int_equal(walk(b, LM_STATE_RESUMING, NULL), 0);
	assert_int_equal(walk(a, LM_STATE_STOP_COPY, NULL), 0);
	assert_int_equal(level(a), DM_PDS_SUSPENDED_FULL);
	assert_int_equal(a->p.ops->info(a->p.dev, &info), 0);
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(a->p.ops->dirty_report(a->p.dev, AT, range.len_bytes, 4096, bitmap), 0);
	assert_int_equal(bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3], 0);
	while ((got = a->p.ops->read(a->p.dev, t->buf, 1000)) > 0) {
		assert_int_equal(b->p.ops->write(b->p.dev, t->buf, (uint32_t)got), 0);
		total += got;
	}
	assert_int_equal(got, 0);
	assert_true(info.has_stop_copy && info.stop_copy_bytes == (uint64_t)total);
	assert_int_equal(walk(b, LM_STATE_RUNNING, NULL), 0);
	assert_int_equal(level(b), DM_PDS_RUNNING);
	assert_memory_equal(&serve_vf(&a->s)->lif, &serve_vf(&b->s)->lif,
		sizeof(struct dm_pds_lif));

	/* Leaving STOP_COPY does not end tracking, as it does in Linux. */
	assert_int_equal(walk(a, LM_STATE_STOP, NULL), 0);
	assert_int_equal(serve_vf(&a->s)->fn.dirty.nb_regions, 1);
	assert_int_equal(walk(a, LM_STATE_RUNNING, NULL), 0);
	assert_int_equal(a->p.ops->dirty_stop(a->p.dev), 0);
	assert_int_equal(a->p.ops->dirty_stop(a->p.dev), -EINVAL);
	assert_int_equal(serve_pf(&a->s)->in_progress, 0);
	assert_int_equal(serve_pf(&b->s)->in_progress, 0);

	nb[0] = lm_pds_pf_costs(a->pf, 0, costs[0]);
	nb[1] = lm_pds_pf_costs(b->pf, 0, costs[1]);
	for (i = 0; i < DIM(want); i++) {
		for (k = 0; k < 2; k++) {
			unsigned int n;

			for (seen[k] = 0, n = 0; n < nb[k]; n++)
				if (costs[k][n].opcode == want[i].opcode)
					seen[k] = costs[k][n].count;
		}
		assert_int_equal(seen[0], want[i].source);
		assert_int_equal(seen[1], want[i].destination);
	}
}

/* Linux, pds_adminq.h; ENOSUPP as in ionic. */
static const int statuses[][2] = {
	{ 1, EINVAL }, { 2, EIO }, { 3, EIO }, { 4, EPERM }, { 5, EINVAL }, { 6, EINVAL },
	{ 7, ENOENT }, { 8, EIO }, { 10, ENOMEM }, { 11, EFAULT }, { 12, EBUSY },
	{ 13, EEXIST }, { 14, EINVAL }, { 15, ENOSPC }, { 16, ERANGE }, { 17, EFAULT },
	{ 18, EIO }, { 19, EOPNOTSUPP }, { 29, EIO }, { 30, EIO }, { 31, ENODEV }, { 32, EIO },
	{ 33, ECHILD }, { 77, EIO }, { 254, EIO }, { 255, ENXIO },
};

/* A client that is not known is registered, and the command sent again: that must fail, too. */
static void
refuse(struct card *c, uint8_t opcode, int status)
{
	char spec[48];

	snprintf(spec, sizeof(spec), "lm-status=%u:%d:%d", opcode, status, status == 33 ? 2 : 1);
	serve_fault(&c->s, spec);
}

/* The commands of arcs, where each is due, and whether its error fails the arc. */
static const struct {
	uint8_t opcode;
	enum lm_state from, to;
	bool fails;
	enum lm_state after; /* by recovery; RUNNING: also by a reset */
} arcs[] = {
	{ LM_PDS_LM_CMD_HOST_VF_STATUS, LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, false,
		LM_STATE_RUNNING_P2P },
	{ LM_PDS_LM_CMD_SUSPEND, LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, true, LM_STATE_RUNNING },
	{ LM_PDS_LM_CMD_SUSPEND_STATUS, LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, true,
		LM_STATE_RUNNING },
	{ LM_PDS_LM_CMD_SUSPEND, LM_STATE_RUNNING_P2P, LM_STATE_STOP, true, LM_STATE_RUNNING },
	{ LM_PDS_LM_CMD_SUSPEND_STATUS, LM_STATE_RUNNING_P2P, LM_STATE_STOP, true,
		LM_STATE_RUNNING },
	{ LM_PDS_LM_CMD_STATE_SIZE, LM_STATE_STOP, LM_STATE_STOP_COPY, true, LM_STATE_STOP },
	{ LM_PDS_LM_CMD_SAVE, LM_STATE_STOP, LM_STATE_STOP_COPY, true, LM_STATE_STOP },
	{ LM_PDS_LM_CMD_RESUME, LM_STATE_STOP, LM_STATE_RUNNING_P2P, true, LM_STATE_STOP },
	{ LM_PDS_LM_CMD_RESUME, LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, true, LM_STATE_RUNNING },
};

static const enum dm_pds_level levels[LM_STATE_NB] = {
	[LM_STATE_RUNNING] = DM_PDS_RUNNING,
	[LM_STATE_RUNNING_P2P] = DM_PDS_SUSPENDED_P2P,
	[LM_STATE_STOP] = DM_PDS_SUSPENDED_FULL,
	[LM_STATE_STOP_COPY] = DM_PDS_SUSPENDED_FULL,
};

static void
test_every_status(void **state)
{
	struct test *t = *state;
	struct card *c = &t->cards[0];
	struct lm_state_result result;
	unsigned int i, k;

	for (i = 0; i < DIM(arcs); i++) {
		for (k = 0; k < DIM(statuses); k++) {
			assert_int_equal(walk(c, arcs[i].from, NULL), 0);
			refuse(c, arcs[i].opcode, statuses[k][0]);
			assert_int_equal(walk(c, arcs[i].to, &result),
					arcs[i].fails ? -statuses[k][1] : 0);
			assert_int_equal(at(c), arcs[i].after);
			assert_int_equal(level(c), levels[arcs[i].after]);
			if (arcs[i].fails)
				assert_int_equal(result.outcome, LM_STATE_RECOVERED);
			assert_int_equal(walk(c, LM_STATE_RUNNING, NULL), 0);
			assert_int_equal(level(c), DM_PDS_RUNNING);
		}
		assert_int_equal(serve_pf(&c->s)->fn.faults.lm_status.count, 0);
	}
}

/* The same with completions that never come: nobody knows what the device did. */
static void
test_every_loss(void **state)
{
	struct test *t = *state;
	struct card *c = &t->cards[0];
	struct lm_state_result result;
	unsigned int i;

	for (i = 0; i < DIM(arcs); i++) {
		if (!arcs[i].fails)
			continue;
		assert_int_equal(walk(c, arcs[i].from, NULL), 0);
		serve_fault(&c->s, "adminq-lost=1");
		(void)walk(c, arcs[i].to, &result);
		assert_int_equal(level(c), levels[at(c)]);
		assert_int_equal(walk(c, LM_STATE_RUNNING, NULL), 0);
		assert_int_equal(level(c), DM_PDS_RUNNING);
		assert_int_equal(serve_pf(&c->s)->fn.faults.adminq_lost, 0);
	}
}

/* A destination that refuses a state, for whatever reason, is reset and runs empty. */
static void
test_refused_state(void **state)
{
	struct test *t = *state;
	struct card *a = &t->cards[0], *b = &t->cards[1];
	struct lm_state_result result;
	unsigned int k;
	int len;

	assert_int_equal(walk(a, LM_STATE_STOP_COPY, NULL), 0);
	len = a->p.ops->read(a->p.dev, t->buf, sizeof(t->buf));
	assert_true(len > 1000);
	assert_int_equal(a->p.ops->read(a->p.dev, t->buf, 1), 0);
	assert_int_equal(a->p.ops->write(a->p.dev, t->buf, 1), -EINVAL);
	for (k = 0; k < DIM(statuses) + 4; k++) {
		int want = -EBADMSG, give = len;

		assert_int_equal(walk(b, LM_STATE_RESUMING, NULL), 0);
		assert_int_equal(b->p.ops->read(b->p.dev, t->buf, 1), -EINVAL);
		if (k < DIM(statuses)) {
			refuse(b, LM_PDS_LM_CMD_RESTORE, statuses[k][0]);
			want = -statuses[k][1];
		} else if (k == DIM(statuses)) {
			give = len - 1;
		} else if (k == DIM(statuses) + 1) {
			give = 0;
		} else if (k == DIM(statuses) + 2) {
			give = len;
			t->buf[len - 1] ^= 1;
		} else {
			assert_int_equal(b->p.ops->write(b->p.dev, t->buf,
					LM_PDS_STATE_MAX_BYTES), 0);
			assert_int_equal(b->p.ops->write(b->p.dev, t->buf, 1), -EFBIG);
			give = 0;
		}
		assert_int_equal(b->p.ops->write(b->p.dev, t->buf, (uint32_t)give), 0);
		assert_int_equal(walk(b, LM_STATE_RUNNING, &result), want);
		assert_int_equal(result.outcome, LM_STATE_RESET);
		assert_int_equal(at(b), LM_STATE_RUNNING);
		assert_int_equal(level(b), DM_PDS_RUNNING);
	}
	t->buf[len - 1] ^= 1;
	assert_int_equal(walk(b, LM_STATE_RESUMING, NULL), 0);
	assert_int_equal(b->p.ops->write(b->p.dev, t->buf, (uint32_t)len), 0);
	assert_int_equal(walk(b, LM_STATE_RUNNING, NULL), 0);
}

/* Catches: a wait without an end, or a VF that is left suspended by it. */
static void
test_stays_busy(void **state)
{
	struct test *t = *state;
	struct card *c = &t->cards[0];
	struct lm_state_result result;
	uint64_t begin_ns = lm_clock_ns();

	serve_fault(&c->s, "suspend-busy=5");
	assert_int_equal(walk(c, LM_STATE_RUNNING_P2P, NULL), 0);
	assert_int_equal(walk(c, LM_STATE_RUNNING, NULL), 0);
	serve_fault(&c->s, "suspend-busy=1000000");
	assert_int_equal(walk(c, LM_STATE_STOP_COPY, &result), -ETIMEDOUT);
	assert_int_equal(result.outcome, LM_STATE_RECOVERED);
	assert_true(lm_clock_ns() - begin_ns < UINT64_C(5000000000));
	serve_fault(&c->s, "suspend-busy=0");
	assert_int_equal(level(c), DM_PDS_RUNNING);
	assert_int_equal(walk(c, LM_STATE_STOP_COPY, NULL), 0);
}

static void
fw_set(struct dm_serve *s, void *ctx)
{
	json_t *args = json_pack("{s:b}", "running", *(int *)ctx);
	struct dm_function *f = &s->functions[0];
	const char *error;

	assert_int_equal(f->device.ops->control(f->device.dev, "fw", args, &error), 0);
	json_decref(args);
}

/* Catches: a VF that is believed to be stopped by a firmware that knows nothing of it. */
static void
test_restart(void **state)
{
	struct test *t = *state;
	struct card *c = &t->cards[0];
	const struct lm_range range = { AT, PAGES * 4096 };
	uint64_t page_bytes = 4096, bitmap[PAGES / 64] = { 0 };
	struct lm_state_result result;
	int down = 0, up = 1;

	assert_int_equal(c->p.ops->dirty_start(c->p.dev, &range, 1, &page_bytes), 0);
	serve_call(&c->s, fw_set, &down);
	serve_call(&c->s, fw_set, &up);
	assert_int_equal(lm_pds_pf_health(c->pf), 0);
	assert_int_equal(at(c), LM_STATE_RUNNING);
	assert_int_equal(c->p.ops->dirty_report(c->p.dev, AT, range.len_bytes, 4096, bitmap), -EIO);
	assert_int_equal(bitmap[0] & bitmap[1] & bitmap[2] & bitmap[3], UINT64_MAX);
	assert_int_equal(c->p.ops->dirty_stop(c->p.dev), 0);
	assert_int_equal(c->p.ops->dirty_start(c->p.dev, &range, 1, &page_bytes), 0);
	assert_int_equal(walk(c, LM_STATE_STOP, NULL), 0);
	serve_call(&c->s, fw_set, &down);
	assert_int_equal(walk(c, LM_STATE_RUNNING, &result), -ENXIO);
	assert_int_equal(at(c), LM_STATE_STOP);
	assert_int_equal(lm_state_reset(&c->machine, c->p.dev, &result), -ENXIO);
	assert_int_equal(result.outcome, LM_STATE_LOST);
	serve_call(&c->s, fw_set, &up);
	assert_int_equal(lm_pds_pf_health(c->pf), 0);
	assert_int_equal(at(c), LM_STATE_ERROR);
	assert_int_equal(walk(c, LM_STATE_RUNNING, NULL), -EIO);
	assert_int_equal(lm_state_reset(&c->machine, c->p.dev, &result), 0);
	assert_int_equal(walk(c, LM_STATE_STOP_COPY, NULL), 0);
}

static void
reset_call(struct dm_serve *s, void *ctx)
{
	struct dm_function *f = &s->functions[1];

	(void)ctx;
	f->device.ops->reset(f->device.dev);
}

/* Whoever has the VF resets it while it is stopped, as at the end of a source. */
static void
test_reset_unknown(void **state)
{
	struct test *t = *state;
	struct card *a = &t->cards[0], *b = &t->cards[1];
	int len;

	assert_int_equal(walk(a, LM_STATE_STOP_COPY, NULL), 0);
	len = a->p.ops->read(a->p.dev, t->buf, sizeof(t->buf));
	assert_int_equal(walk(b, LM_STATE_STOP, NULL), 0);
	serve_call(&b->s, reset_call, NULL);
	assert_int_equal(level(b), DM_PDS_RUNNING);
	assert_int_equal(walk(b, LM_STATE_RESUMING, NULL), 0);
	assert_int_equal(level(b), DM_PDS_SUSPENDED_FULL);
	assert_int_equal(b->p.ops->write(b->p.dev, t->buf, (uint32_t)len), 0);
	assert_int_equal(walk(b, LM_STATE_RUNNING, NULL), 0);
	assert_int_equal(level(b), DM_PDS_RUNNING);
}

/* Who had the PF before died in the middle of a migration. */
static void
test_taken_over(void **state)
{
	static const enum lm_state left[] = {
		LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, LM_STATE_STOP
	};
	struct test *t = *state;
	struct card *c = &t->cards[0];
	unsigned int i;

	for (i = 0; i < DIM(left); i++) {
		assert_int_equal(walk(c, left[i], NULL), 0);
		lm_pds_pf_close(c->pf);
		card_take(c);
		assert_int_equal(at(c), left[i]);
		assert_int_equal(walk(c, LM_STATE_RUNNING, NULL), 0);
		assert_int_equal(level(c), DM_PDS_RUNNING);
	}
}

static void
test_dirty_statuses(void **state)
{
	static const uint8_t reports[] = {
		LM_PDS_LM_CMD_DIRTY_READ_SEQ, LM_PDS_LM_CMD_DIRTY_WRITE_ACK
	};
	struct test *t = *state;
	struct card *c = &t->cards[0];
	const struct lm_range range = { AT, PAGES * 4096 };
	uint64_t page_bytes = 4096, bitmap[PAGES / 64];
	unsigned int i, k;

	for (k = 0; k < DIM(statuses); k++) {
		refuse(c, LM_PDS_LM_CMD_DIRTY_ENABLE, statuses[k][0]);
		assert_int_equal(c->p.ops->dirty_start(c->p.dev, &range, 1, &page_bytes),
				-statuses[k][1]);
		assert_int_equal(c->p.ops->dirty_start(c->p.dev, &range, 1, &page_bytes), 0);
		for (i = 0; i < DIM(reports); i++) {
			mark(c, 3, 1);
			refuse(c, reports[i], statuses[k][0]);
			memset(bitmap, 0, sizeof(bitmap));
			assert_int_equal(c->p.ops->dirty_report(c->p.dev, AT, range.len_bytes,
					4096, bitmap), -statuses[k][1]);
			memset(bitmap, 0, sizeof(bitmap));
			assert_int_equal(c->p.ops->dirty_report(c->p.dev, AT, range.len_bytes,
					4096, bitmap), 0);
			assert_int_equal(bitmap[0], 8); /* still there */
		}
		refuse(c, LM_PDS_LM_CMD_DIRTY_DISABLE, statuses[k][0]);
		assert_int_equal(c->p.ops->dirty_stop(c->p.dev), -statuses[k][1]);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_caps),
		T(test_without_tracking),
		T(test_migration),
		T(test_every_status),
		T(test_every_loss),
		T(test_refused_state),
		T(test_stays_busy),
		T(test_restart),
		T(test_taken_over),
		T(test_reset_unknown),
		T(test_dirty_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
