/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "lm_state.h"

#define F_ALL (LM_STATE_F_STOP_COPY | LM_STATE_F_P2P | LM_STATE_F_PRE_COPY)

enum {
	ERR = LM_STATE_ERROR,
	STP = LM_STATE_STOP,
	RUN = LM_STATE_RUNNING,
	S_C = LM_STATE_STOP_COPY,
	RES = LM_STATE_RESUMING,
	RP2 = LM_STATE_RUNNING_P2P,
	P_C = LM_STATE_PRE_COPY,
	PP2 = LM_STATE_PRE_COPY_P2P,
};

/* For a device that has every state; lm_state_next() skips the ones that it lacks. */
static const uint8_t next_state[LM_STATE_NB][LM_STATE_NB] = {
	/* to:    ERR  STP  RUN  S_C  RES  RP2  P_C  PP2 */
	[ERR] = { ERR, ERR, ERR, ERR, ERR, ERR, ERR, ERR },
	[STP] = { ERR, STP, RP2, S_C, RES, RP2, RP2, RP2 },
	[RUN] = { ERR, RP2, RUN, RP2, RP2, RP2, P_C, RP2 },
	[S_C] = { ERR, STP, STP, S_C, STP, STP, ERR, ERR },
	[RES] = { ERR, STP, STP, STP, RES, STP, STP, STP },
	[RP2] = { ERR, STP, RUN, STP, STP, RP2, RUN, PP2 },
	[P_C] = { ERR, RUN, RUN, PP2, RUN, RUN, P_C, PP2 },
	[PP2] = { ERR, RP2, RP2, S_C, RP2, RP2, P_C, PP2 },
};

static const struct {
	const char *name;
	uint64_t needs;
} states[LM_STATE_NB] = {
	[ERR] = { "ERROR", UINT64_MAX },
	[STP] = { "STOP", LM_STATE_F_STOP_COPY },
	[RUN] = { "RUNNING", LM_STATE_F_STOP_COPY },
	[S_C] = { "STOP_COPY", LM_STATE_F_STOP_COPY },
	[RES] = { "RESUMING", LM_STATE_F_STOP_COPY },
	[RP2] = { "RUNNING_P2P", LM_STATE_F_STOP_COPY | LM_STATE_F_P2P },
	[P_C] = { "PRE_COPY", LM_STATE_F_STOP_COPY | LM_STATE_F_PRE_COPY },
	[PP2] = { "PRE_COPY_P2P", F_ALL },
};

const char *
lm_state_name(enum lm_state state)
{
	return (unsigned int)state < LM_STATE_NB ? states[state].name : "unknown";
}

uint64_t
lm_state_needs(enum lm_state state)
{
	return (unsigned int)state < LM_STATE_NB ? states[state].needs : UINT64_MAX;
}

/* Never true for ERROR, whatever flags a device claims. */
static bool
offers(uint64_t flags, enum lm_state state)
{
	return (lm_state_needs(state) & ~(flags & F_ALL)) == 0;
}

int
lm_state_next(enum lm_state from, enum lm_state to, uint64_t flags, enum lm_state *next)
{
	enum lm_state at = from;

	if (!offers(flags, from) || !offers(flags, to))
		return -EINVAL;
	do {
		at = (enum lm_state)next_state[at][to];
		if (at == LM_STATE_ERROR)
			return -EINVAL;
	} while (!offers(flags, at));
	*next = at;
	return 0;
}

int
lm_state_path(enum lm_state from, enum lm_state to, uint64_t flags,
		enum lm_state path[LM_STATE_PATH_MAX])
{
	enum lm_state at = from, next;
	unsigned int nb = 0;
	int ret;

	do {
		ret = lm_state_next(at, to, flags, &next);
		if (ret != 0)
			return ret;
		if (next == at)
			break;
		path[nb++] = next;
		at = next;
	} while (at != to);
	return (int)nb;
}

/* True when a device with these flags has to have the arc. */
static bool
is_arc(enum lm_state from, enum lm_state to, uint64_t flags)
{
	enum lm_state next;

	return from != to && lm_state_next(from, to, flags, &next) == 0 && next == to;
}

/* The way back to these leads through running, where the device's state would change again. */
static bool
is_short_cut(enum lm_state from, enum lm_state to)
{
	return (from == LM_STATE_PRE_COPY || from == LM_STATE_PRE_COPY_P2P) &&
			(to == LM_STATE_STOP || to == LM_STATE_RESUMING);
}

static const struct lm_state_arc *
find(const struct lm_state_machine *machine, enum lm_state from, enum lm_state to)
{
	unsigned int i;

	for (i = 0; i < machine->nb_arcs; i++) {
		if (machine->arcs[i].from == from && machine->arcs[i].to == to)
			return &machine->arcs[i];
	}
	return NULL;
}

static bool
row_is_good(const struct lm_state_machine *machine, const struct lm_state_arc *row)
{
	uint64_t flags = machine->flags;
	enum lm_state next;

	if (row->fn == NULL || find(machine, row->from, row->to) != row)
		return false;
	if (!is_arc(row->from, row->to, flags)) {
		/* For other flags, then: these two have all arcs between them. */
		return is_arc(row->from, row->to, F_ALL & ~LM_STATE_F_P2P) ||
				is_arc(row->from, row->to, F_ALL);
	}
	if (row->recover == LM_STATE_ERROR)
		return true;
	/* The device can be found at either end. */
	return row->from != LM_STATE_RESUMING && row->recover != LM_STATE_RESUMING &&
			lm_state_next(row->from, row->recover, flags, &next) == 0 &&
			lm_state_next(row->to, row->recover, flags, &next) == 0 &&
			!is_short_cut(row->from, row->recover) &&
			!is_short_cut(row->to, row->recover);
}

int
lm_state_machine_check(const struct lm_state_machine *machine, unsigned int *bad)
{
	unsigned int i, from, to;

	if ((machine->flags & LM_STATE_F_STOP_COPY) == 0 || machine->state == NULL)
		return -EINVAL;
	for (i = 0; i < machine->nb_arcs; i++) {
		if (!row_is_good(machine, &machine->arcs[i])) {
			if (bad != NULL)
				*bad = i;
			return -EINVAL;
		}
	}
	for (from = 0; from < LM_STATE_NB; from++) {
		for (to = 0; to < LM_STATE_NB; to++) {
			if (!is_arc((enum lm_state)from, (enum lm_state)to, machine->flags) ||
					find(machine, (enum lm_state)from,
						(enum lm_state)to) != NULL)
				continue;
			if (bad != NULL)
				*bad = machine->nb_arcs;
			return -ENOENT;
		}
	}
	return 0;
}

/* Ask the device where it is; ERROR when it cannot say, or says what it cannot be. */
static int
ask(const struct lm_state_machine *machine, void *dev, struct lm_state_result *result)
{
	enum lm_state at = LM_STATE_ERROR;
	int ret;

	result->at = LM_STATE_ERROR;
	result->nb_calls++;
	ret = machine->state(dev, &at);
	if (ret != 0)
		return ret < 0 ? ret : -EPROTO;
	if (offers(machine->flags, at))
		result->at = at;
	return 0;
}

/* The rows to take, all found before the first is run. Returns how many. */
static int
plan(const struct lm_state_machine *machine, enum lm_state from, enum lm_state to,
		const struct lm_state_arc *rows[LM_STATE_PATH_MAX])
{
	enum lm_state path[LM_STATE_PATH_MAX];
	int i, nb;

	if (is_short_cut(from, to))
		return -EINVAL;
	nb = lm_state_path(from, to, machine->flags, path);
	for (i = 0; i < nb; i++) {
		rows[i] = find(machine, i == 0 ? from : path[i - 1], path[i]);
		if (rows[i] == NULL)
			return -ENOTSUP;
	}
	return nb;
}

/* Take the device from result->at to another state; *failed is the row that did not work. */
static int
run(const struct lm_state_machine *machine, void *dev, enum lm_state to,
		struct lm_state_result *result, const struct lm_state_arc **failed)
{
	const struct lm_state_arc *rows[LM_STATE_PATH_MAX];
	int i, nb, ret;

	*failed = NULL;
	nb = plan(machine, result->at, to, rows);
	if (nb <= 0)
		return nb;
	for (i = 0; i < nb; i++) {
		*failed = rows[i];
		result->nb_calls++;
		ret = rows[i]->fn(dev, rows[i]->from, rows[i]->to);
		if (ret != 0)
			return ret < 0 ? ret : -EPROTO;
	}
	ret = ask(machine, dev, result);
	if (ret == 0 && result->at != to)
		ret = -EPROTO;
	return ret;
}

static int
reset(const struct lm_state_machine *machine, void *dev, struct lm_state_result *result)
{
	int ret = -ENOTSUP;

	result->at = LM_STATE_ERROR;
	if (machine->reset != NULL) {
		result->nb_calls++;
		ret = machine->reset(dev);
	}
	if (ret == 0)
		ret = ask(machine, dev, result);
	if (ret > 0 || (ret == 0 && result->at != LM_STATE_RUNNING))
		ret = -EPROTO;
	result->outcome = ret == 0 ? LM_STATE_RESET : LM_STATE_LOST;
	return ret;
}

static void
recover(const struct lm_state_machine *machine, void *dev, enum lm_state to,
		struct lm_state_result *result)
{
	const struct lm_state_arc *failed;

	/* A load that was begun is left by a reset only; run() finds no way from or to ERROR. */
	if (ask(machine, dev, result) == 0 && result->at != LM_STATE_RESUMING &&
			run(machine, dev, to, result, &failed) == 0)
		result->outcome = LM_STATE_RECOVERED;
	else
		(void)reset(machine, dev, result);
}

static const struct lm_state_result untouched = {
	.outcome = LM_STATE_REFUSED,
	.at = LM_STATE_ERROR,
	.failed_from = LM_STATE_ERROR,
	.failed_to = LM_STATE_ERROR,
};

int
lm_state_walk(const struct lm_state_machine *machine, void *dev, enum lm_state to,
		struct lm_state_result *result)
{
	const struct lm_state_arc *failed;
	int ret;

	*result = untouched;
	ret = ask(machine, dev, result);
	if (ret != 0)
		return ret;
	if (result->at == LM_STATE_ERROR)
		return -EIO;
	ret = run(machine, dev, to, result, &failed);
	if (ret == 0) {
		result->outcome = LM_STATE_ARRIVED;
	} else if (failed != NULL) {
		result->failed_from = failed->from;
		result->failed_to = failed->to;
		recover(machine, dev, failed->recover, result);
	}
	return ret;
}

int
lm_state_reset(const struct lm_state_machine *machine, void *dev, struct lm_state_result *result)
{
	*result = untouched;
	return reset(machine, dev, result);
}
