/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "dm_ex.h"

bool
dm_ex_is_stopped(const struct dm_ex *ex)
{
	switch (ex->state) {
	case LM_STATE_RUNNING:
	case LM_STATE_RUNNING_P2P:
	case LM_STATE_PRE_COPY:
	case LM_STATE_PRE_COPY_P2P:
		return false;
	default:
		return true;
	}
}

static int
dm_ex_arc_quiet(struct dm_ex *ex)
{
	memcpy(ex->window_was, ex->window, LM_EX_WINDOW_BYTES);
	return 0;
}

static int
dm_ex_arc_wake(struct dm_ex *ex)
{
	dm_ex_window_check(ex);
	dm_ex_steps_from_now(ex);
	return 0;
}

static int
dm_ex_arc_track(struct dm_ex *ex)
{
	return dm_ex_save_begin(ex, false);
}

static int
dm_ex_arc_save(struct dm_ex *ex)
{
	return dm_ex_save_begin(ex, true);
}

static int
dm_ex_arc_unsave(struct dm_ex *ex)
{
	dm_ex_save_end(ex);
	return 0;
}

static int
dm_ex_arc_loaded(struct dm_ex *ex)
{
	int ret = dm_ex_load_end(ex);

	return ret != 0 ? ret : dm_ex_arc_quiet(ex);
}

/* Those that only change the state are not here. */
static const struct {
	enum lm_state from;
	enum lm_state to;
	int (*fn)(struct dm_ex *ex);
} dm_ex_arcs[] = {
	{ LM_STATE_RUNNING, LM_STATE_STOP, dm_ex_arc_quiet },
	{ LM_STATE_RUNNING_P2P, LM_STATE_STOP, dm_ex_arc_quiet },
	{ LM_STATE_STOP, LM_STATE_RUNNING, dm_ex_arc_wake },
	{ LM_STATE_STOP, LM_STATE_RUNNING_P2P, dm_ex_arc_wake },
	{ LM_STATE_STOP, LM_STATE_STOP_COPY, dm_ex_arc_save },
	{ LM_STATE_STOP_COPY, LM_STATE_STOP, dm_ex_arc_unsave },
	{ LM_STATE_STOP, LM_STATE_RESUMING, dm_ex_load_begin },
	{ LM_STATE_RESUMING, LM_STATE_STOP, dm_ex_arc_loaded },
	{ LM_STATE_RUNNING, LM_STATE_PRE_COPY, dm_ex_arc_track },
	{ LM_STATE_RUNNING_P2P, LM_STATE_PRE_COPY_P2P, dm_ex_arc_track },
	{ LM_STATE_PRE_COPY, LM_STATE_RUNNING, dm_ex_arc_unsave },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_RUNNING_P2P, dm_ex_arc_unsave },
	{ LM_STATE_PRE_COPY, LM_STATE_STOP_COPY, dm_ex_arc_quiet },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_STOP_COPY, dm_ex_arc_quiet },
};

static void
dm_ex_enter(struct dm_ex *ex, enum lm_state to)
{
	ex->state = to;
	ex->arcs++;
	ex->marks[to].steps = ex->counters[DM_EX_COUNTER(LM_EX_REG_STEPS)];
	ex->marks[to].time_ns = ex->host->now_ns(ex->host->ctx);
}

/* A load that does not end well leaves nothing to go on with. */
static int
dm_ex_arc(struct dm_ex *ex, enum lm_state to)
{
	enum lm_state from = ex->state;
	uint64_t value;
	size_t i;
	int ret = 0;

	for (i = 0; i < sizeof(dm_ex_arcs) / sizeof(dm_ex_arcs[0]) && ret == 0; i++)
		if (dm_ex_arcs[i].from == from && dm_ex_arcs[i].to == to)
			ret = dm_ex_arcs[i].fn(ex);
	if (ret != 0) {
		if (from == LM_STATE_RESUMING)
			dm_ex_enter(ex, LM_STATE_ERROR);
		return ret;
	}
	dm_ex_enter(ex, to);
	return dm_ex_fault_arc(&ex->faults, DM_EX_FAIL_AFTER, from, to, &value) ? -EIO : 0;
}

static int
dm_ex_arc_fault_before(struct dm_ex *ex, enum lm_state to)
{
	struct dm_ex_faults *f = &ex->faults;
	enum lm_state from = ex->state;
	uint64_t value;

	if (dm_ex_fault_arc(f, DM_EX_BUSY, from, to, &value))
		return -EBUSY;
	if (dm_ex_fault_arc(f, DM_EX_FAIL_BEFORE, from, to, &value))
		return -EIO;
	if (dm_ex_fault_arc(f, DM_EX_DIE, from, to, &value))
		raise(SIGKILL);
	if (dm_ex_fault_arc(f, DM_EX_ERROR, from, to, &value)) {
		dm_ex_save_end(ex);
		dm_ex_load_drop(ex);
		dm_ex_enter(ex, LM_STATE_ERROR);
		return -EIO;
	}
	return 0;
}

static uint64_t
dm_ex_arc_wait(struct dm_ex *ex, enum lm_state to, uint64_t now_ns)
{
	uint64_t value;

	if (dm_ex_fault_arc(&ex->faults, DM_EX_HANG, ex->state, to, &value))
		return UINT64_MAX;
	if (dm_ex_fault_arc(&ex->faults, DM_EX_SLOW, ex->state, to, &value))
		return now_ns + value * 1000;
	return 0;
}

/* -EINPROGRESS: not yet. */
static int
dm_ex_walk_arc(struct dm_ex *ex, enum lm_state to)
{
	struct dm_ex_walk *w = &ex->walk;
	uint64_t now_ns = ex->host->now_ns(ex->host->ctx);
	int ret;

	if (!w->waited) {
		w->waited = true;
		w->wait_ns = dm_ex_arc_wait(ex, to, now_ns);
	}
	if (w->wait_ns > now_ns)
		return -EINPROGRESS;
	w->wait_ns = 0;
	w->waited = false;
	ret = dm_ex_arc_fault_before(ex, to);
	return ret != 0 ? ret : dm_ex_arc(ex, to);
}

int
dm_ex_go(struct dm_ex *ex, enum lm_state to, bool path)
{
	struct dm_ex_walk *w = &ex->walk;
	enum lm_state next = to;
	int ret = 0;

	if (!w->on || w->to != to)
		*w = (struct dm_ex_walk){ .on = true, .to = to };
	if (ex->state == LM_STATE_ERROR)
		ret = -EIO;
	while (ret == 0 && ex->state != to) {
		ret = lm_state_next(ex->state, to, ex->conf.mig_flags, &next);
		if (ret == 0 && !path && next != to)
			ret = -EINVAL;
		if (ret == 0)
			ret = dm_ex_walk_arc(ex, next);
	}
	if (ret != -EINPROGRESS)
		w->on = false;
	return ret;
}

uint64_t
dm_ex_waits(const struct dm_ex *ex)
{
	return ex->walk.on && ex->walk.wait_ns != 0 ? ex->walk.wait_ns : ex->io_wait_ns;
}

void
dm_ex_release(struct dm_ex *ex)
{
	if (ex->walk.on && ex->walk.wait_ns == UINT64_MAX)
		ex->walk.wait_ns = 1;
	if (ex->io_wait_ns == UINT64_MAX)
		ex->io_wait_ns = 1;
}

/* A read or write at this place of its stream: does it wait? */
static bool
dm_ex_io_waits(struct dm_ex *ex, uint64_t *hang, uint64_t slow_us, uint64_t from,
		uint32_t len_bytes)
{
	uint64_t now_ns = ex->host->now_ns(ex->host->ctx);

	if (!ex->io_waited) {
		ex->io_waited = true;
		if (dm_ex_fault_byte(&ex->faults, hang, from, len_bytes))
			ex->io_wait_ns = UINT64_MAX;
		else if (slow_us != 0)
			ex->io_wait_ns = now_ns + slow_us * 1000;
	}
	if (ex->io_wait_ns > now_ns)
		return true;
	ex->io_wait_ns = 0;
	ex->io_waited = false;
	return false;
}

int
dm_ex_read(struct dm_ex *ex, void *buf, uint32_t len_bytes)
{
	struct dm_ex_faults *f = &ex->faults;
	uint64_t from = ex->save.offset;
	int ret;

	if (!ex->save.on || len_bytes == 0)
		return ex->save.on ? 0 : -EINVAL;
	if (f->read_chunk != 0 && len_bytes > f->read_chunk)
		len_bytes = (uint32_t)f->read_chunk;
	if (dm_ex_io_waits(ex, &f->read_hang, f->read_slow_us, from, len_bytes))
		return -EINPROGRESS;
	if (dm_ex_fault_byte(f, &f->read_fail, from, len_bytes))
		return -EIO;
	if (dm_ex_fault_byte(f, &f->read_die, from, len_bytes))
		raise(SIGKILL);
	if (ex->state != LM_STATE_STOP_COPY && dm_ex_fault_count(f, &f->enomsg))
		return -ENOMSG;
	if (f->read_end < from + len_bytes) {
		len_bytes = f->read_end < from ? 0 : (uint32_t)(f->read_end - from);
		f->hits++;
		if (len_bytes == 0)
			return ex->state == LM_STATE_STOP_COPY ? 0 : -ENOMSG;
	}
	ret = dm_ex_save_read(ex, buf, len_bytes);
	if (ret > 0) {
		uint64_t at = f->read_corrupt;

		if (dm_ex_fault_byte(f, &f->read_corrupt, from, (uint64_t)ret))
			((uint8_t *)buf)[at - from] ^= 0x10;
	}
	return ret;
}

int
dm_ex_write(struct dm_ex *ex, const void *buf, uint32_t len_bytes)
{
	struct dm_ex_faults *f = &ex->faults;
	uint64_t from = ex->load.offset;

	if (!ex->load.on)
		return -EINVAL;
	if (dm_ex_io_waits(ex, &f->write_hang, f->write_slow_us, from, len_bytes))
		return -EINPROGRESS;
	if (dm_ex_fault_byte(f, &f->write_die, from, len_bytes))
		raise(SIGKILL);
	if (dm_ex_fault_byte(f, &f->write_fail, from, len_bytes))
		ex->load.failed = -EIO;
	return dm_ex_load_write(ex, buf, len_bytes);
}
