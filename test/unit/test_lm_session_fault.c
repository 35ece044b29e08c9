/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The fault matrix: at the beginning of each phase, each fault, on each side. Whatever happens, no
 * content lives twice, the side that should run runs, and the next migration succeeds.
 *
 * A seeded part of it by default; LM_FAULT_CELLS=all runs all, LM_FAULT_CELLS=PHASE,FAULT,SIDE one
 * of them again, LM_FAULT_SEED another part. What failed prints how to run it again.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "mig_rig.h"

#define F_ALL (LM_STATE_F_STOP_COPY | LM_STATE_F_P2P | LM_STATE_F_PRE_COPY)
#define NB_CELLS_BY_DEFAULT 24u

enum fault {
	FAULT_CANCEL,
	FAULT_DEATH,   /* all connections are gone at once */
	FAULT_CLOSE,   /* one bulk connection is */
	FAULT_SHORT,
	FAULT_CORRUPT,
	FAULT_DEVICE,
	FAULT_HANG,    /* in an arc */
	FAULT_MUTE,    /* in a report of what it wrote */
	FAULT_NOMEM,
	FAULT_NB,
};

static const char *const fault_names[FAULT_NB] = {
	"cancel", "death", "close", "short", "corrupt", "device", "hang", "mute", "nomem",
};

static const enum lm_phase phases[] = {
	LM_PHASE_MEET, LM_PHASE_SETUP, LM_PHASE_PRECOPY, LM_PHASE_QUIESCE, LM_PHASE_STOP,
	LM_PHASE_HARVEST, LM_PHASE_TRANSFER, LM_PHASE_LOAD, LM_PHASE_COMMIT,
};
#define NB_PHASES (sizeof(phases) / sizeof(phases[0]))
/* QEMU's habit: a new phase cannot go untested. */
_Static_assert(LM_PHASE_NB == NB_PHASES + 2, "RESUME and CLEANUP are the destination's, and after");

struct cell {
	struct rig r;
	enum lm_phase phase;
	enum fault fault;
	bool at_source;
	bool done;
};

static void
garbage(int fd)
{
	static const char junk[64] = "not a record, and longer than the header of one";

	send(fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The arc that comes next on a side. */
static int
next_arc(const struct cell *c)
{
	if (c->at_source)
		return c->phase <= LM_PHASE_SETUP ? LM_STATE_PRE_COPY :
			c->phase <= LM_PHASE_STOP ? LM_STATE_STOP_COPY : LM_STATE_STOP;
	return c->phase <= LM_PHASE_MEET ? LM_STATE_RESUMING :
		c->phase <= LM_PHASE_LOAD ? LM_STATE_STOP : LM_STATE_RUNNING_P2P;
}

static void
strike(struct cell *c)
{
	struct rig_side *side = c->at_source ? &c->r.src : &c->r.dst;
	struct mig_fake *f = &side->fakes[RIG_STRUCK];

	switch (c->fault) {
	case FAULT_CANCEL:
		if (c->at_source)
			lm_outgoing_cancel(c->r.out);
		else
			lm_incoming_cancel(c->r.in);
		break;
	case FAULT_DEATH:
		lm_channel_break(side->channel);
		break;
	case FAULT_CLOSE:
		shutdown(side->fds[1], SHUT_RDWR);
		break;
	case FAULT_SHORT:
		c->r.src.fakes[RIG_STRUCK].fault = MIG_FAULT_SHORT;
		break;
	case FAULT_CORRUPT:
		if (c->at_source)
			garbage(side->fds[1]);
		else
			garbage(side->fds[0]);
		break;
	case FAULT_DEVICE:
		f->bad_state = next_arc(c);
		f->fault = c->phase == LM_PHASE_PRECOPY || c->phase == LM_PHASE_TRANSFER ?
			MIG_FAULT_DEVICE : MIG_FAULT_ARC;
		break;
	case FAULT_HANG:
		f->bad_state = next_arc(c);
		f->fault = MIG_FAULT_HANG;
		break;
	case FAULT_MUTE:
		f->fault = MIG_FAULT_MUTE;
		break;
	case FAULT_NOMEM:
		f->fault = MIG_FAULT_NOMEM;
		break;
	default:
		break;
	}
}

static void
progress(void *ctx, const struct lm_report *report)
{
	struct cell *c = ctx;

	if (c->done || report->phase != c->phase)
		return;
	c->done = true;
	strike(c);
}

static bool
hangs(const struct cell *c)
{
	return c->fault == FAULT_HANG || c->fault == FAULT_MUTE;
}

static unsigned int
running(struct rig *r, struct rig_side *s)
{
	unsigned int i, nb = 0;

	for (i = 0; i < r->nb; i++)
		nb += mig_fake_runs(&s->fakes[i]);
	return nb;
}

/* Who does not run is told by the truth that the test knows. */
static void
resolve(struct cell *c)
{
	/* Struck at LOAD, it may show after COMMIT. */
	assert_true(c->phase >= LM_PHASE_LOAD);
	c->r.out_outcome = lm_outgoing_resolve(c->r.out,
		c->r.in_outcome != LM_OUTCOME_COMPLETED);
}

static void
check(struct cell *c)
{
	struct rig *r = &c->r;
	bool hang = hangs(c);
	bool reset = c->fault == FAULT_DEVICE || hang;

	assert_int_equal(mig_fake_twice, 0);
	/* Breaks when what is being sent is waited for after the end, until its deadline. */
	if (!hang)
		assert_true(r->out_report.total_us < LM_CHANNEL_DEADLINE_US);
	if (r->out_outcome == LM_OUTCOME_UNDECIDED)
		resolve(c);
	switch (r->out_outcome) {
	case LM_OUTCOME_COMPLETED:
		assert_int_equal(running(r, &r->src), 0);
		if (r->in_outcome == LM_OUTCOME_COMPLETED) {
			assert_int_equal(running(r, &r->dst), r->nb);
			assert_int_equal(rig_compare(r), 0);
		}
		break;
	case LM_OUTCOME_CANCELLED:
		assert_true(c->fault == FAULT_CANCEL);
		/* fall through */
	case LM_OUTCOME_FAILED:
		assert_true(running(r, &r->src) >= r->nb - (reset && c->at_source ? 1 : 0));
		assert_int_equal(running(r, &r->dst), 0);
		assert_true(r->out_report.why[0] != '\0');
		break;
	case LM_OUTCOME_LOST:
		assert_true(hang && c->at_source);
		assert_non_null(strstr(r->out_report.why, "dev1: "));
		assert_int_equal(running(r, &r->dst), 0);
		assert_true(mig_fake_runs(&r->src.fakes[0]));
		break;
	default:
		fail();
	}
	if (r->in_outcome == LM_OUTCOME_LOST)
		assert_true(hang && !c->at_source);
	assert_int_equal(mig_fake_twice, 0);
}

static void
run_cell(unsigned int phase, unsigned int fault, bool at_source)
{
	static struct cell c;

	memset(&c, 0, sizeof(c));
	c.phase = phases[phase];
	c.fault = (enum fault)fault;
	c.at_source = at_source;
	rig_open_late(&c.r, 2, F_ALL, 100000, hangs(&c) ? RIG_LATE_US : 0);
	/* The peer of one that hangs waits longer than the hang is let last. */
	if (hangs(&c))
		c.r.out_conf.deadline_us = c.r.in_conf.deadline_us = 3 * RIG_LATE_US;
	rig_storm(&c.r, true);
	c.r.out_conf.progress = progress;
	c.r.out_conf.ctx = &c;
	rig_migrate(&c.r);
	print_message("%s,%s,%s: source %s (%s), destination %s (%s)\n",
		lm_phase_name(c.phase), fault_names[fault], at_source ? "source" : "destination",
		lm_outcome_name(c.r.out_outcome), c.r.out_report.why,
		lm_outcome_name(c.r.in_outcome), c.r.in_report.why);
	assert_true(c.done);
	check(&c);
	rig_end(&c.r);
	/* The next one is as if nothing had been. */
	rig_refill(&c.r);
	c.r.out_conf.progress = NULL;
	rig_migrate(&c.r);
	if (c.r.out_outcome != LM_OUTCOME_COMPLETED)
		print_error("the next one: source %s, destination %s\n", c.r.out_report.why,
			c.r.in_report.why);
	assert_int_equal(c.r.out_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(c.r.in_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(running(&c.r, &c.r.dst), 2);
	assert_int_equal(rig_compare(&c.r), 0);
	assert_int_equal(mig_fake_twice, 0);
	rig_end(&c.r);
	rig_close(&c.r);
}

static bool
is_chosen(const char *cells, unsigned int phase, unsigned int fault, bool at_source)
{
	char name[64];

	snprintf(name, sizeof(name), "%s,%s,%s", lm_phase_name(phases[phase]), fault_names[fault],
		at_source ? "source" : "destination");
	return strcmp(cells, name) == 0;
}

static unsigned int
open_fds(void)
{
	unsigned int i, nb = 0;

	for (i = 0; i < 1024; i++)
		nb += fcntl((int)i, F_GETFD) >= 0;
	return nb;
}

static void
test_matrix(void **state)
{
	const char *cells = getenv("LM_FAULT_CELLS"), *seed_text = getenv("LM_FAULT_SEED");
	unsigned int seed = seed_text == NULL ? 1 : (unsigned int)atoi(seed_text);
	unsigned int i, nb = NB_PHASES * FAULT_NB * 2, left = NB_CELLS_BY_DEFAULT, ran = 0, fds;
	bool all = cells != NULL && strcmp(cells, "all") == 0, run;

	(void)state;
	fds = open_fds();
	for (i = 0; i < nb; i++) {
		unsigned int phase = i / (FAULT_NB * 2), fault = i / 2 % FAULT_NB;
		bool at_source = i % 2 == 0;

		/* Each with the same chance: so many wanted of so many left. */
		seed = seed * 1103515245 + 12345;
		run = (seed >> 8) % (nb - i) < left;
		left -= run ? 1 : 0;
		if (cells != NULL)
			run = all || is_chosen(cells, phase, fault, at_source);
		if (!run)
			continue;
		run_cell(phase, fault, at_source);
		ran++;
	}
	assert_true(ran > 0);
	assert_int_equal(open_fds(), fds);
	print_message("%u cells of %u\n", ran, nb);
}

/* The destination reads no more while the source has its hands full with sending. */
static void
test_broken_off(void **state)
{
	(void)state;
	assert_int_equal(phases[2], LM_PHASE_PRECOPY);
	run_cell(2, FAULT_CANCEL, false);
	run_cell(2, FAULT_CORRUPT, true);
}

/*
 * Breaks when a device that is asked what it wrote is waited for without an end: while all runs,
 * and while all stands.
 */
static void
test_mute(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < NB_PHASES; i++)
		if (phases[i] == LM_PHASE_SETUP || phases[i] == LM_PHASE_PRECOPY ||
				phases[i] == LM_PHASE_STOP)
			run_cell(i, FAULT_MUTE, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken_off),
		cmocka_unit_test(test_mute),
		cmocka_unit_test(test_matrix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
