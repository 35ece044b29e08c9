/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Migration states against VFIO's rules, derived here once more from the list of arcs; and walks of
 * a device that fails, sticks and lies at every arc.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/vfio.h>

#include <cmocka.h>

#include "lm_state.h"

#define DIM(a) (sizeof(a) / sizeof((a)[0]))
#define STEPS 100000u
#define F_SC LM_STATE_F_STOP_COPY
#define F_P2P LM_STATE_F_P2P
#define F_PRE LM_STATE_F_PRE_COPY

static const uint64_t flag_sets[] = { F_SC, F_SC | F_P2P, F_SC | F_PRE, F_SC | F_P2P | F_PRE };

_Static_assert((int)LM_STATE_ERROR == (int)VFIO_DEVICE_STATE_ERROR, "uAPI");
_Static_assert((int)LM_STATE_STOP == (int)VFIO_DEVICE_STATE_STOP, "uAPI");
_Static_assert((int)LM_STATE_RUNNING == (int)VFIO_DEVICE_STATE_RUNNING, "uAPI");
_Static_assert((int)LM_STATE_STOP_COPY == (int)VFIO_DEVICE_STATE_STOP_COPY, "uAPI");
_Static_assert((int)LM_STATE_RESUMING == (int)VFIO_DEVICE_STATE_RESUMING, "uAPI");
_Static_assert((int)LM_STATE_RUNNING_P2P == (int)VFIO_DEVICE_STATE_RUNNING_P2P, "uAPI");
_Static_assert(LM_STATE_F_STOP_COPY == VFIO_MIGRATION_STOP_COPY, "uAPI");
_Static_assert(LM_STATE_F_P2P == VFIO_MIGRATION_P2P, "uAPI");
#ifdef VFIO_MIGRATION_PRE_COPY
_Static_assert((int)LM_STATE_PRE_COPY == (int)VFIO_DEVICE_STATE_PRE_COPY, "uAPI");
_Static_assert((int)LM_STATE_PRE_COPY_P2P == (int)VFIO_DEVICE_STATE_PRE_COPY_P2P, "uAPI");
_Static_assert(LM_STATE_F_PRE_COPY == VFIO_MIGRATION_PRE_COPY, "uAPI");
#else /* Headers before Linux 6.2: the values that 6.2 gave them. */
_Static_assert(LM_STATE_PRE_COPY == 6 && LM_STATE_PRE_COPY_P2P == 7, "uAPI");
_Static_assert(LM_STATE_F_PRE_COPY == 4, "uAPI");
#endif

static const struct {
	enum lm_state state;
	const char *name;
	uint64_t needs;
	bool saving;
} known[] = {
	{ LM_STATE_ERROR, "ERROR", UINT64_MAX, false },
	{ LM_STATE_STOP, "STOP", F_SC, false },
	{ LM_STATE_RUNNING, "RUNNING", F_SC, false },
	{ LM_STATE_STOP_COPY, "STOP_COPY", F_SC, true },
	{ LM_STATE_RESUMING, "RESUMING", F_SC, false },
	{ LM_STATE_RUNNING_P2P, "RUNNING_P2P", F_SC | F_P2P, false },
	{ LM_STATE_PRE_COPY, "PRE_COPY", F_SC | F_PRE, true },
	{ LM_STATE_PRE_COPY_P2P, "PRE_COPY_P2P", F_SC | F_P2P | F_PRE, true },
};

/* A new state does not build until it stands above, in this switch, and in the arcs below. */
_Static_assert(DIM(known) == LM_STATE_NB, "every state is tested");

static unsigned int
states_listed(enum lm_state state)
{
	switch (state) { /* no default: -Wswitch names a state that is missing here */
	case LM_STATE_ERROR:
	case LM_STATE_STOP:
	case LM_STATE_RUNNING:
	case LM_STATE_STOP_COPY:
	case LM_STATE_RESUMING:
	case LM_STATE_RUNNING_P2P:
	case LM_STATE_PRE_COPY:
	case LM_STATE_PRE_COPY_P2P:
		break;
	}
	return 8;
}

_Static_assert(LM_STATE_PRE_COPY_P2P + 1 == LM_STATE_NB, "the last one");

/* What a driver implements, as the uAPI lists it: with all of has, and none of lacks. */
static const struct {
	enum lm_state from;
	enum lm_state to;
	uint64_t has;
	uint64_t lacks;
} uapi_arcs[] = {
	{ LM_STATE_STOP, LM_STATE_STOP_COPY, F_SC, 0 },
	{ LM_STATE_STOP_COPY, LM_STATE_STOP, F_SC, 0 },
	{ LM_STATE_STOP, LM_STATE_RESUMING, F_SC, 0 },
	{ LM_STATE_RESUMING, LM_STATE_STOP, F_SC, 0 },
	{ LM_STATE_RUNNING, LM_STATE_STOP, F_SC, F_P2P },
	{ LM_STATE_STOP, LM_STATE_RUNNING, F_SC, F_P2P },
	{ LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, F_P2P, 0 },
	{ LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, F_P2P, 0 },
	{ LM_STATE_RUNNING_P2P, LM_STATE_STOP, F_P2P, 0 },
	{ LM_STATE_STOP, LM_STATE_RUNNING_P2P, F_P2P, 0 },
	{ LM_STATE_RUNNING, LM_STATE_PRE_COPY, F_PRE, 0 },
	{ LM_STATE_PRE_COPY, LM_STATE_RUNNING, F_PRE, 0 },
	{ LM_STATE_PRE_COPY, LM_STATE_STOP_COPY, F_PRE, F_P2P },
	{ LM_STATE_PRE_COPY, LM_STATE_PRE_COPY_P2P, F_PRE | F_P2P, 0 },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_PRE_COPY, F_PRE | F_P2P, 0 },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_RUNNING_P2P, F_PRE | F_P2P, 0 },
	{ LM_STATE_RUNNING_P2P, LM_STATE_PRE_COPY_P2P, F_PRE | F_P2P, 0 },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_STOP_COPY, F_PRE | F_P2P, 0 },
};

static bool
uapi_arc(unsigned int from, unsigned int to, uint64_t flags)
{
	unsigned int i;

	for (i = 0; i < DIM(uapi_arcs); i++) {
		if (uapi_arcs[i].from == from && uapi_arcs[i].to == to)
			return (uapi_arcs[i].has & ~flags) == 0 &&
					(uapi_arcs[i].lacks & flags) == 0;
	}
	return false;
}

/* A path is states[0..nb], states[0] the start. */
struct path {
	unsigned int nb;
	unsigned int states[LM_STATE_NB];
};

struct search {
	unsigned int to;
	uint64_t flags;
	struct path at;
	struct path best;
	unsigned int ties;
};

static void
search_from(struct search *s)
{
	unsigned int here = s->at.states[s->at.nb], next, i;

	if (here == s->to) {
		if (s->at.nb < s->best.nb) {
			s->best = s->at;
			s->ties = 1;
		} else if (s->at.nb == s->best.nb) {
			s->ties++;
		}
		return;
	}
	if (s->at.nb != 0 && known[here].saving)
		return; /* not inside */
	for (next = 0; next < LM_STATE_NB; next++) {
		bool been = false;

		for (i = 0; i <= s->at.nb; i++)
			been |= s->at.states[i] == next;
		if (been || !uapi_arc(here, next, s->flags))
			continue;
		s->at.states[++s->at.nb] = next;
		search_from(s);
		s->at.nb--;
	}
}

/* The oracle: false when there is no way. All simple paths are tried, none is preferred. */
static bool
uapi_path(unsigned int from, unsigned int to, uint64_t flags, struct path *path)
{
	struct search s = { .to = to, .flags = flags, .best = { .nb = LM_STATE_NB } };

	if (from == LM_STATE_ERROR || to == LM_STATE_ERROR ||
			(known[from].needs & ~flags) != 0 || (known[to].needs & ~flags) != 0)
		return false;
	if (from == LM_STATE_STOP_COPY &&
			(to == LM_STATE_PRE_COPY || to == LM_STATE_PRE_COPY_P2P))
		return false; /* blocked */
	if (from == LM_STATE_PRE_COPY && to == LM_STATE_STOP_COPY && (flags & F_P2P) != 0) {
		*path = (struct path){ 2, { from, LM_STATE_PRE_COPY_P2P, to } };
		return true;
	}
	s.at.states[0] = from;
	search_from(&s);
	assert_int_equal(s.ties, 1);
	*path = s.best;
	return true;
}

static void
test_known(void **state)
{
	static const unsigned int nb_arcs[] = { 6, 8, 9, 15 };
	unsigned int i, k, nb;

	(void)state;
	for (i = 0; i < LM_STATE_NB; i++) {
		assert_int_equal(known[i].state, i);
		assert_string_equal(lm_state_name((enum lm_state)i), known[i].name);
		assert_true(lm_state_needs((enum lm_state)i) == known[i].needs);
		assert_int_equal(states_listed((enum lm_state)i), LM_STATE_NB);
	}
	assert_string_equal(lm_state_name((enum lm_state)LM_STATE_NB), "unknown");
	assert_string_equal(lm_state_name((enum lm_state)-1), "unknown");
	assert_true(lm_state_needs((enum lm_state)LM_STATE_NB) == UINT64_MAX);
	/* The oracle's own list, against the counts that follow from the uAPI's text. */
	for (k = 0; k < DIM(flag_sets); k++) {
		for (i = 0, nb = 0; i < LM_STATE_NB * LM_STATE_NB; i++)
			nb += uapi_arc(i / LM_STATE_NB, i % LM_STATE_NB, flag_sets[k]);
		assert_int_equal(nb, nb_arcs[k]);
	}
}

static void
check_pair(unsigned int from, unsigned int to, uint64_t flags, unsigned int *longest)
{
	enum lm_state next = (enum lm_state)99, path[LM_STATE_PATH_MAX];
	struct path want;
	unsigned int i;
	int ret;

	ret = lm_state_next((enum lm_state)from, (enum lm_state)to, flags, &next);
	if (!uapi_path(from, to, flags & (F_SC | F_P2P | F_PRE), &want)) {
		assert_int_equal(ret, -EINVAL);
		assert_int_equal(next, 99);
		assert_int_equal(lm_state_path((enum lm_state)from, (enum lm_state)to, flags,
				path), -EINVAL);
		return;
	}
	assert_int_equal(ret, 0);
	assert_int_equal(next, want.states[want.nb == 0 ? 0 : 1]);
	ret = lm_state_path((enum lm_state)from, (enum lm_state)to, flags, path);
	assert_int_equal(ret, want.nb);
	for (i = 0; i < want.nb; i++)
		assert_int_equal(path[i], want.states[i + 1]);
	if (want.nb > *longest)
		*longest = want.nb;
}

static void
test_pairs(void **state)
{
	unsigned int from, to, k, longest = 0;

	(void)state;
	for (k = 0; k < DIM(flag_sets); k++) {
		for (from = 0; from < LM_STATE_NB; from++) {
			for (to = 0; to < LM_STATE_NB; to++) {
				check_pair(from, to, flag_sets[k], &longest);
				/* A flag from the future gives no state, ERROR least of all. */
				check_pair(from, to, flag_sets[k] | ~UINT64_C(7), &longest);
				check_pair(from, to, flag_sets[k] & ~F_SC, &longest);
			}
		}
	}
	assert_int_equal(longest, LM_STATE_PATH_MAX);
}

static void
test_unknown_states(void **state)
{
	static const unsigned int beyond[] = { LM_STATE_NB, LM_STATE_NB + 1, 255, 256 + 1,
		UINT32_MAX };
	enum lm_state next, path[LM_STATE_PATH_MAX];
	unsigned int i;

	(void)state;
	for (i = 0; i < DIM(beyond); i++) {
		enum lm_state s = (enum lm_state)beyond[i];

		assert_int_equal(lm_state_next(s, LM_STATE_RUNNING, 7, &next), -EINVAL);
		assert_int_equal(lm_state_next(LM_STATE_RUNNING, s, 7, &next), -EINVAL);
		assert_int_equal(lm_state_next(s, s, 7, &next), -EINVAL);
		assert_int_equal(lm_state_path(LM_STATE_STOP, s, 7, path), -EINVAL);
		assert_int_equal(lm_state_path(s, LM_STATE_STOP, UINT64_MAX, path), -EINVAL);
		assert_int_equal(lm_state_path(LM_STATE_STOP, s, UINT64_MAX, path), -EINVAL);
	}
}

/* The torture device. */
enum fault {
	NONE,
	FAIL_BEFORE,    /* an errno, did not move */
	FAIL_AFTER,     /* an errno, did move */
	FAIL_ERROR,     /* an errno, in ERROR */
	FAIL_STRAY,     /* an errno, in any state whatever */
	POSITIVE,       /* more than 0, did not move */
	STICK,          /* claims success, did not move */
	FAULT_NB
};

struct dev {
	uint64_t flags;
	uint64_t rng;
	unsigned int fault_percent; /* of arcs, asks and resets */
	/* Plan of a single fault instead: at the nth arc from 0. */
	unsigned int plan_at;
	enum fault plan_fault;
	unsigned int state;         /* the truth */
	unsigned int told;          /* what it answered last */
	bool must_ask;              /* an arc failed */
	bool silent;                /* the last ask failed or was a lie */
	bool reset_failed;
	unsigned int nb_arcs, nb_asks, nb_resets;
	bool stuck;                 /* claimed success and did not move, and was not asked since */
	struct path walked;         /* arcs begun before it was asked again; states[0] the start */
	int first_ret;              /* of the last of these */
	bool first_stuck;
};

static unsigned int hits[LM_STATE_NB * LM_STATE_NB][FAULT_NB];

static unsigned int
rng(struct dev *d, unsigned int below)
{
	d->rng ^= d->rng << 13;
	d->rng ^= d->rng >> 7;
	d->rng ^= d->rng << 17;
	return (unsigned int)((d->rng >> 16) % below);
}

static enum fault
pick_fault(struct dev *d)
{
	if (d->plan_fault != NONE)
		return d->nb_arcs == d->plan_at ? d->plan_fault : NONE;
	return rng(d, 100) < d->fault_percent ? (enum fault)(1 + rng(d, FAULT_NB - 1)) : NONE;
}

static int
dev_fault(struct dev *d, enum lm_state to, enum fault fault)
{
	switch (fault) {
	case FAIL_BEFORE:
		return -EBUSY;
	case FAIL_AFTER:
		d->state = to;
		return -ETIME;
	case FAIL_ERROR:
		d->state = LM_STATE_ERROR;
		return -EIO;
	case FAIL_STRAY:
		d->state = rng(d, LM_STATE_NB + 2);
		return -ENXIO;
	case POSITIVE:
		return 7;
	case STICK:
		return 0;
	case NONE:
	case FAULT_NB:
		break;
	}
	d->state = to;
	return 0;
}

static int
dev_arc(void *ctx, enum lm_state from, enum lm_state to)
{
	struct dev *d = ctx;
	enum fault fault = pick_fault(d);
	int ret;

	assert_true(uapi_arc(from, to, d->flags));
	assert_int_not_equal(d->told, LM_STATE_ERROR);
	assert_false(d->must_ask);
	assert_false(d->silent);
	if (d->nb_asks == 1) /* on the way that was asked for, not of a recovery */
		d->walked.states[++d->walked.nb] = to;
	d->nb_arcs++;
	if (d->state != from) {
		/* As a driver would, it refuses. */
		assert_true(d->stuck);
		ret = -EINVAL;
	} else {
		hits[from * LM_STATE_NB + to][fault]++;
		ret = dev_fault(d, to, fault);
		d->stuck |= fault == STICK;
	}
	d->must_ask = ret != 0;
	if (d->nb_asks == 1) {
		d->first_ret = ret;
		d->first_stuck = d->stuck;
	}
	return ret;
}

static int
dev_state(void *ctx, enum lm_state *state)
{
	struct dev *d = ctx;

	d->nb_asks++;
	d->must_ask = d->stuck = false;
	d->silent = rng(d, 100) < d->fault_percent / 4;
	if (!d->silent) {
		d->told = d->state;
		*state = (enum lm_state)d->state;
		return 0;
	}
	d->told = LM_STATE_ERROR;
	if (rng(d, 2) == 0) {
		*state = LM_STATE_RUNNING; /* must not be believed */
		return -ENOTCONN;
	}
	*state = (enum lm_state)(LM_STATE_NB + rng(d, 1000));
	return 0;
}

static int
dev_reset(void *ctx)
{
	struct dev *d = ctx;

	d->nb_resets++;
	d->must_ask = true;
	d->reset_failed = rng(d, 100) < d->fault_percent;
	if (d->reset_failed && rng(d, 2) == 0)
		return rng(d, 2) == 0 ? -EIO : 3;
	d->state = d->reset_failed ? LM_STATE_STOP : LM_STATE_RUNNING;
	return 0;
}

static enum lm_state
recover_state(unsigned int from, unsigned int to)
{
	if (from == LM_STATE_RESUMING)
		return LM_STATE_ERROR;
	if (known[from].saving || known[to].saving)
		return LM_STATE_RUNNING;
	return from == LM_STATE_RUNNING || to == LM_STATE_RUNNING ? LM_STATE_RUNNING :
			LM_STATE_STOP;
}

static struct lm_state_arc rows[DIM(uapi_arcs)];

static struct lm_state_machine
machine_of(uint64_t flags)
{
	unsigned int i;

	for (i = 0; i < DIM(uapi_arcs); i++)
		rows[i] = (struct lm_state_arc){ uapi_arcs[i].from, uapi_arcs[i].to,
			recover_state(uapi_arcs[i].from, uapi_arcs[i].to), dev_arc };
	return (struct lm_state_machine){ flags, rows, DIM(rows), dev_state, dev_reset };
}

static bool
refused_by_walk(unsigned int from, unsigned int to)
{
	return (from == LM_STATE_PRE_COPY || from == LM_STATE_PRE_COPY_P2P) &&
			(to == LM_STATE_STOP || to == LM_STATE_RESUMING);
}

/* What holds after any walk. The device was at start, and d has been through it. */
static void
check_walk(const struct dev *d, unsigned int start, unsigned int to, int ret,
		const struct lm_state_result *r)
{
	bool failed = r->outcome == LM_STATE_RECOVERED || r->outcome == LM_STATE_RESET ||
			r->outcome == LM_STATE_LOST;
	struct path want = { 0 };
	bool way = start < LM_STATE_NB && uapi_path(start, to, d->flags, &want) &&
			!refused_by_walk(start, to);
	unsigned int i;

	assert_int_equal(r->nb_calls, d->nb_arcs + d->nb_asks + d->nb_resets);
	assert_int_equal(ret == 0, r->outcome == LM_STATE_ARRIVED);
	assert_true(d->walked.nb <= (way ? want.nb : 0));
	for (i = 1; i <= d->walked.nb; i++)
		assert_int_equal(d->walked.states[i], want.states[i]);
	assert_true(ret <= 0);
	assert_int_equal(failed, r->failed_to != LM_STATE_ERROR);
	if (failed) {
		assert_true(uapi_arc(r->failed_from, r->failed_to, d->flags));
		assert_int_equal(r->failed_from, d->walked.states[d->walked.nb - 1]);
		assert_int_equal(r->failed_to, d->walked.states[d->walked.nb]);
		if (d->first_ret < 0)
			assert_int_equal(ret, d->first_ret);
		else /* a lie, or silence at the end */
			assert_true(ret == -EPROTO || (d->first_ret == 0 && ret == -ENOTCONN));
	}
	switch (r->outcome) {
	case LM_STATE_REFUSED:
		assert_int_equal(d->nb_arcs + d->nb_resets, 0);
		assert_int_equal(d->state, start);
		assert_true(!way || d->told == LM_STATE_ERROR);
		break;
	case LM_STATE_ARRIVED:
		assert_true(way);
		assert_int_equal(d->state, to);
		assert_int_equal(r->at, to);
		assert_int_equal(d->walked.nb, want.nb);
		assert_false(d->first_stuck);
		assert_int_equal(d->nb_asks, want.nb == 0 ? 1 : 2);
		break;
	case LM_STATE_RECOVERED:
		assert_int_equal(d->state, recover_state(r->failed_from, r->failed_to));
		assert_int_equal(r->at, d->state);
		assert_int_equal(d->nb_resets, 0);
		break;
	case LM_STATE_RESET:
		assert_int_equal(d->state, LM_STATE_RUNNING);
		assert_int_equal(r->at, LM_STATE_RUNNING);
		assert_int_equal(d->nb_resets, 1);
		break;
	case LM_STATE_LOST:
		assert_true(d->reset_failed || d->silent);
		assert_true(r->at == LM_STATE_ERROR || r->at == d->told);
		assert_int_equal(d->nb_resets, 1);
		break;
	}
}

static void
begin(struct dev *d)
{
	d->must_ask = d->silent = d->reset_failed = d->stuck = d->first_stuck = false;
	d->nb_arcs = d->nb_asks = d->nb_resets = 0;
	d->walked = (struct path){ 0, { d->state < LM_STATE_NB ? d->state : 0 } };
	d->first_ret = 0;
	d->told = LM_STATE_ERROR;
}

/* One step of a random walk: to any state at all, and a reset when that is what is left. */
static enum lm_state_outcome
step(const struct lm_state_machine *m, struct dev *d)
{
	struct lm_state_result r, reset;
	unsigned int start = d->state, to = rng(d, LM_STATE_NB + 1);
	int ret;

	memset(&r, 0xa5, sizeof(r));
	begin(d);
	if (to == LM_STATE_NB)
		to = LM_STATE_STOP_COPY;
	ret = lm_state_walk(m, d, (enum lm_state)to, &r);
	check_walk(d, start, to, ret, &r);
	if (r.at != LM_STATE_ERROR)
		return r.outcome;
	begin(d);
	ret = lm_state_reset(m, d, &reset);
	assert_int_equal(ret == 0, reset.outcome == LM_STATE_RESET);
	assert_int_equal(ret == 0, !d->reset_failed && !d->silent);
	assert_int_equal(reset.at, d->told);
	assert_int_equal(d->nb_resets, 1);
	assert_int_equal(d->nb_arcs, 0);
	return r.outcome;
}

static void
test_random_walks(void **state)
{
	unsigned int k, i, f, outcomes[LM_STATE_LOST + 1];

	(void)state;
	for (k = 0; k < DIM(flag_sets); k++) {
		struct lm_state_machine m = machine_of(flag_sets[k]);
		struct dev d = { .flags = flag_sets[k], .rng = 88172645463325252u + k,
			.fault_percent = 20, .state = LM_STATE_RUNNING };

		memset(hits, 0, sizeof(hits));
		memset(outcomes, 0, sizeof(outcomes));
		for (i = 0; i < STEPS; i++)
			outcomes[step(&m, &d)]++;
		for (i = 0; i < DIM(outcomes); i++)
			assert_true(outcomes[i] > STEPS / 1000);
		/* Every fault at every arc, and no other arc ever. */
		for (i = 0; i < DIM(hits); i++) {
			for (f = 0; f < FAULT_NB; f++)
				assert_int_equal(hits[i][f] > 10, uapi_arc(i / LM_STATE_NB,
						i % LM_STATE_NB, flag_sets[k]));
		}
	}
}

/* One fault at one arc of one way: the outcome is known without any model. */
static void
check_single_fault(uint64_t flags, const struct path *way, unsigned int at, enum fault fault)
{
	struct lm_state_machine m = machine_of(flags);
	struct dev d = { .flags = flags, .rng = 1, .state = way->states[0], .plan_at = at,
		.plan_fault = fault };
	unsigned int from = way->states[at], to = way->states[at + 1];
	unsigned int found = fault == FAIL_AFTER ? to : from;
	enum lm_state recover = recover_state(from, to);
	bool resets = fault == FAIL_ERROR || recover == LM_STATE_ERROR ||
			found == LM_STATE_RESUMING;
	struct lm_state_result r;
	int ret;

	begin(&d);
	ret = lm_state_walk(&m, &d, (enum lm_state)way->states[way->nb], &r);
	check_walk(&d, way->states[0], way->states[way->nb], ret, &r);
	assert_int_equal(ret, fault == FAIL_BEFORE ? -EBUSY : fault == FAIL_AFTER ? -ETIME :
			fault == FAIL_ERROR ? -EIO : -EPROTO);
	assert_int_equal(r.failed_from, from);
	assert_int_equal(r.failed_to, to);
	assert_int_equal(r.outcome, resets ? LM_STATE_RESET : LM_STATE_RECOVERED);
	assert_int_equal(r.at, resets ? LM_STATE_RUNNING : recover);
}

static void
test_single_faults(void **state)
{
	static const enum fault faults[] = { FAIL_BEFORE, FAIL_AFTER, FAIL_ERROR, POSITIVE };
	unsigned int from, to, k, at, f;
	struct path way;

	(void)state;
	for (k = 0; k < DIM(flag_sets); k++) {
		for (from = 0; from < LM_STATE_NB; from++) {
			for (to = 0; to < LM_STATE_NB; to++) {
				if (refused_by_walk(from, to) ||
						!uapi_path(from, to, flag_sets[k], &way))
					continue;
				for (at = 0; at < way.nb; at++) {
					for (f = 0; f < DIM(faults); f++)
						check_single_fault(flag_sets[k], &way, at,
								faults[f]);
				}
				if (way.nb != 0)
					check_single_fault(flag_sets[k], &way, way.nb - 1, STICK);
			}
		}
	}
}

static void
test_refused(void **state)
{
	static const struct {
		unsigned int start;
		enum lm_state to;
		int ret;
	} cases[] = {
		{ LM_STATE_PRE_COPY, LM_STATE_STOP, -EINVAL },
		{ LM_STATE_PRE_COPY, LM_STATE_RESUMING, -EINVAL },
		{ LM_STATE_PRE_COPY_P2P, LM_STATE_STOP, -EINVAL },
		{ LM_STATE_PRE_COPY_P2P, LM_STATE_RESUMING, -EINVAL },
		{ LM_STATE_STOP_COPY, LM_STATE_PRE_COPY, -EINVAL },
		{ LM_STATE_STOP_COPY, LM_STATE_PRE_COPY_P2P, -EINVAL },
		{ LM_STATE_RUNNING, LM_STATE_ERROR, -EINVAL },
		{ LM_STATE_RUNNING, (enum lm_state)LM_STATE_NB, -EINVAL },
		{ LM_STATE_ERROR, LM_STATE_RUNNING, -EIO },
		{ LM_STATE_ERROR, LM_STATE_ERROR, -EIO },
		{ LM_STATE_NB, LM_STATE_RUNNING, -EIO },
	};
	struct lm_state_machine m = machine_of(7);
	struct lm_state_result r;
	unsigned int i;

	(void)state;
	for (i = 0; i < DIM(cases); i++) {
		struct dev d = { .flags = 7, .rng = 1, .state = cases[i].start };

		begin(&d);
		assert_int_equal(lm_state_walk(&m, &d, cases[i].to, &r), cases[i].ret);
		assert_int_equal(r.outcome, LM_STATE_REFUSED);
		assert_int_equal(r.at, cases[i].start < LM_STATE_NB ? cases[i].start : 0);
		assert_int_equal(d.nb_arcs + d.nb_resets, 0);
		assert_int_equal(r.nb_calls, 1);
	}
}

/* A driver without the arc, or without a reset, says so; and nothing is begun half. */
static void
test_poor_driver(void **state)
{
	struct lm_state_machine m = machine_of(7);
	struct dev d = { .flags = 7, .rng = 1, .state = LM_STATE_RUNNING };
	struct lm_state_result r;

	(void)state;
	rows[0].fn = NULL;
	rows[0].to = LM_STATE_ERROR; /* STOP -> STOP_COPY is gone */
	begin(&d);
	assert_int_equal(lm_state_walk(&m, &d, LM_STATE_STOP_COPY, &r), -ENOTSUP);
	assert_int_equal(r.outcome, LM_STATE_REFUSED);
	assert_int_equal(r.at, LM_STATE_RUNNING);
	assert_int_equal(d.nb_arcs, 0);
	m.reset = NULL;
	assert_int_equal(lm_state_reset(&m, &d, &r), -ENOTSUP);
	assert_int_equal(r.outcome, LM_STATE_LOST);
	d.plan_fault = FAIL_ERROR;
	begin(&d);
	assert_int_equal(lm_state_walk(&m, &d, LM_STATE_PRE_COPY, &r), -EIO);
	assert_int_equal(r.outcome, LM_STATE_LOST);
	assert_int_equal(r.at, LM_STATE_ERROR);
}

static void
expect_bad(const struct lm_state_machine *m, int want, unsigned int row)
{
	unsigned int bad = 999;

	assert_int_equal(lm_state_machine_check(m, &bad), want);
	assert_int_equal(lm_state_machine_check(m, NULL), want);
	assert_int_equal(bad, row);
}

static void
test_machine_check(void **state)
{
	struct lm_state_machine m;
	unsigned int i, k;

	(void)state;
	for (k = 0; k < DIM(flag_sets); k++) {
		m = machine_of(flag_sets[k]);
		expect_bad(&m, 0, 999);
		for (i = 0; i < DIM(rows); i++) {
			uint64_t flags = flag_sets[k];
			bool needed = uapi_arc(rows[i].from, rows[i].to, flags);

			/* Without the row. */
			m = machine_of(flags);
			rows[i] = rows[DIM(rows) - 1];
			m.nb_arcs--;
			expect_bad(&m, needed ? -ENOENT : 0, needed ? m.nb_arcs : 999);
			m = machine_of(flags);
			rows[i].fn = NULL;
			expect_bad(&m, -EINVAL, i);
			m = machine_of(flags);
			rows[i].to = rows[i].from;
			expect_bad(&m, -EINVAL, i);
		}
	}
	m = machine_of(7);
	rows[DIM(rows) - 1] = rows[3];
	expect_bad(&m, -EINVAL, DIM(rows) - 1);
	m = machine_of(F_P2P | F_PRE);
	expect_bad(&m, -EINVAL, 999);
	m = machine_of(7);
	m.state = NULL;
	expect_bad(&m, -EINVAL, 999);
}

/* Recover states of all rows and all values: refused exactly when one could not be used. */
static void
test_recover_check(void **state)
{
	unsigned int i, k, to;

	(void)state;
	for (k = 0; k < DIM(flag_sets); k++) {
		for (i = 0; i < DIM(rows); i++) {
			for (to = 0; to <= LM_STATE_NB; to++) {
				struct lm_state_machine m = machine_of(flag_sets[k]);
				unsigned int a = rows[i].from, b = rows[i].to;
				struct path p;
				bool good = to == LM_STATE_ERROR ||
					!uapi_arc(a, b, m.flags) ||
					(to < LM_STATE_NB && a != LM_STATE_RESUMING &&
					to != LM_STATE_RESUMING && !refused_by_walk(a, to) &&
					!refused_by_walk(b, to) && uapi_path(a, to, m.flags, &p) &&
					uapi_path(b, to, m.flags, &p));

				rows[i].recover = (enum lm_state)to;
				expect_bad(&m, good ? 0 : -EINVAL, good ? 999 : i);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_unknown_states),
		cmocka_unit_test(test_machine_check),
		cmocka_unit_test(test_recover_check),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_poor_driver),
		cmocka_unit_test(test_single_faults),
		cmocka_unit_test(test_random_walks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
