/* SPDX-License-Identifier: BSD-3-Clause */

/* The state as it comes: each byte is compared with what it must be, and forgotten. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_ex.h"

#define DM_EX_CHUNK 4096u
#define DM_EX_NOT_YET UINT64_MAX

void
dm_ex_data_fill(uint64_t key, uint64_t from, uint8_t *buf, uint64_t len_bytes)
{
	uint64_t skip = from % 8, i = from / 8, word, n;

	if (skip != 0) {
		word = lm_ex_word(key, i++);
		n = 8 - skip < len_bytes ? 8 - skip : len_bytes;
		memcpy(buf, (uint8_t *)&word + skip, n);
		buf += n;
		len_bytes -= n;
	}
	for (; len_bytes >= 8; buf += 8, len_bytes -= 8) {
		word = lm_ex_word(key, i++);
		memcpy(buf, &word, 8);
	}
	word = lm_ex_word(key, i);
	memcpy(buf, &word, len_bytes);
}

bool
dm_ex_data_same(uint64_t key, uint64_t from, const uint8_t *buf, uint64_t len_bytes)
{
	uint8_t want[DM_EX_CHUNK];
	uint64_t n;

	while (len_bytes > 0) {
		n = len_bytes < sizeof(want) ? len_bytes : sizeof(want);
		dm_ex_data_fill(key, from, want, n);
		if (memcmp(want, buf, n) != 0)
			return false;
		from += n;
		buf += n;
		len_bytes -= n;
	}
	return true;
}

int
dm_ex_load_begin(struct dm_ex *ex)
{
	dm_ex_load_drop(ex);
	ex->load.on = true;
	return 0;
}

void
dm_ex_load_drop(struct dm_ex *ex)
{
	free(ex->load.mods);
	memset(&ex->load, 0, sizeof(ex->load));
}

static int
dm_ex_load_head(struct dm_ex *ex)
{
	struct dm_ex_load *l = &ex->load;
	uint64_t state_bytes = l->head.config[DM_EX_CONFIG(LM_EX_REG_STATE_BYTES)], nb, i;

	if (l->head.check != lm_ex_sum(&l->head, offsetof(struct lm_ex_head, check)) ||
			l->head.compat != ex->conf.compat || !dm_ex_state_bytes_ok(state_bytes))
		return -EINVAL;
	nb = lm_ex_nb_blocks(state_bytes);
	free(l->mods);
	l->mods = malloc((nb + 1) * sizeof(*l->mods));
	if (l->mods == NULL)
		return -ENOMEM;
	for (i = 0; i < nb; i++)
		l->mods[i] = DM_EX_NOT_YET;
	l->nb_blocks = nb;
	l->has_head = true;
	return 0;
}

/* Try the configuration on without wearing it. */
static int
dm_ex_config_try(const struct lm_ex_head *head)
{
	struct dm_ex *trial = calloc(1, sizeof(*trial));
	int ret;

	if (trial == NULL)
		return -ENOMEM;
	memcpy(trial->config, head->config, sizeof(trial->config));
	memcpy(trial->ranges, head->ranges, sizeof(trial->ranges));
	ret = dm_ex_config_check(trial);
	free(trial);
	return ret;
}

static int
dm_ex_load_tail(struct dm_ex *ex)
{
	struct dm_ex_load *l = &ex->load;
	uint64_t seed = l->head.config[DM_EX_CONFIG(LM_EX_REG_SEED)];

	if (l->tail.check != lm_ex_sum(&l->tail, offsetof(struct lm_ex_tail, check)) ||
			l->tail.nb_ops > LM_EX_MAX_OPS)
		return -EINVAL;
	/* A block that has not come, or is old, makes another sum. */
	if (l->tail.counters[DM_EX_COUNTER(LM_EX_REG_STATE_DIGEST)] !=
			dm_ex_digest(l->mods, l->nb_blocks, seed))
		return -EINVAL;
	l->done = true;
	return (l->tail.status & LM_EX_STATUS_STARTED) != 0 ? dm_ex_config_try(&l->head) : 0;
}

/* The record's head is complete. */
static int
dm_ex_load_record(struct dm_ex_load *l)
{
	const struct lm_ex_record *r = &l->record;

	if (r->magic != LM_EX_RECORD_MAGIC || r->serial != l->serial ||
			r->check != lm_ex_record_check(r))
		return -EINVAL;
	l->serial++;
	switch (r->type) {
	case LM_EX_RECORD_HEAD:
		return r->bytes == sizeof(l->head) ? 0 : -EINVAL;
	case LM_EX_RECORD_TAIL:
		return r->bytes == sizeof(l->tail) && l->has_head ? 0 : -EINVAL;
	case LM_EX_RECORD_BLOCK:
		return l->has_head && r->bytes > sizeof(l->block) ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int
dm_ex_load_block(struct dm_ex_load *l)
{
	const uint64_t *config = l->head.config;
	const struct lm_ex_block *b = &l->block;

	if (b->index >= l->nb_blocks || b->mod == DM_EX_NOT_YET ||
			l->record.bytes != sizeof(*b) + lm_ex_block_bytes(
				config[DM_EX_CONFIG(LM_EX_REG_STATE_BYTES)], b->index))
		return -EINVAL;
	l->data_key = lm_ex_block_key(config[DM_EX_CONFIG(LM_EX_REG_SEED)], b->index, b->mod);
	return 0;
}

/* A part of the record that is kept whole: where it goes and how long it is. */
static void *
dm_ex_load_part(struct dm_ex_load *l, uint64_t *at, uint64_t *bytes)
{
	*at = l->at;
	*bytes = sizeof(l->record);
	if (l->at < sizeof(l->record))
		return &l->record;
	*at = l->at - sizeof(l->record);
	switch (l->record.type) {
	case LM_EX_RECORD_HEAD:
		*bytes = sizeof(l->head);
		return &l->head;
	case LM_EX_RECORD_TAIL:
		*bytes = sizeof(l->tail);
		return &l->tail;
	default:
		*bytes = sizeof(l->block);
		return *at < sizeof(l->block) ? &l->block : NULL;
	}
}

/* A part or a record has just become complete. */
static int
dm_ex_load_step(struct dm_ex *ex)
{
	struct dm_ex_load *l = &ex->load;
	bool whole = l->at == sizeof(l->record) + l->record.bytes;
	int ret = 0;

	if (l->at == sizeof(l->record))
		return dm_ex_load_record(l);
	if (l->record.type == LM_EX_RECORD_BLOCK &&
			l->at == sizeof(l->record) + sizeof(l->block))
		ret = dm_ex_load_block(l);
	if (ret != 0 || !whole)
		return ret;
	l->at = 0;
	switch (l->record.type) {
	case LM_EX_RECORD_HEAD:
		return dm_ex_load_head(ex);
	case LM_EX_RECORD_TAIL:
		return dm_ex_load_tail(ex);
	default:
		l->mods[l->block.index] = l->block.mod;
		return 0;
	}
}

static int
dm_ex_load_some(struct dm_ex *ex, const uint8_t *buf, uint32_t len_bytes, uint32_t *used)
{
	struct dm_ex_load *l = &ex->load;
	uint64_t at, bytes, n;
	void *part;

	if (l->done)
		return -EINVAL; /* more than there can be */
	part = dm_ex_load_part(l, &at, &bytes);
	if (part != NULL) {
		n = bytes - at < len_bytes ? bytes - at : len_bytes;
		memcpy((uint8_t *)part + at, buf, n);
	} else {
		n = sizeof(l->record) + l->record.bytes - l->at;
		n = n < len_bytes ? n : len_bytes;
		if (!dm_ex_data_same(l->data_key, at - sizeof(l->block), buf, n))
			return -EINVAL;
	}
	l->at += n;
	*used = (uint32_t)n;
	if (part != NULL && at + n < bytes)
		return 0;
	return dm_ex_load_step(ex);
}

int
dm_ex_load_write(struct dm_ex *ex, const uint8_t *buf, uint32_t len_bytes)
{
	struct dm_ex_load *l = &ex->load;
	uint32_t used = 0;

	while (l->failed == 0 && len_bytes > 0) {
		l->failed = dm_ex_load_some(ex, buf, len_bytes, &used);
		buf += used;
		len_bytes -= used;
		l->offset += used;
	}
	return l->failed;
}

static void
dm_ex_become(struct dm_ex *ex, struct dm_ex_load *l)
{
	ex->started = (l->tail.status & LM_EX_STATUS_STARTED) != 0;
	ex->paused = (l->tail.status & LM_EX_STATUS_PAUSED) != 0;
	memcpy(ex->config, l->head.config, sizeof(ex->config));
	memcpy(ex->ranges, l->head.ranges, sizeof(ex->ranges));
	if (ex->started)
		dm_ex_config_check(ex); /* it has passed; for range_first */
	free(ex->mods);
	ex->mods = l->mods;
	ex->nb_blocks = l->nb_blocks;
	l->mods = NULL;
	memcpy(ex->counters, l->tail.counters, sizeof(ex->counters));
	ex->counters[DM_EX_COUNTER(LM_EX_REG_MIGRATIONS)]++;
	ex->peer_late = l->tail.peer_late;
	memcpy(ex->op, l->tail.ops, sizeof(ex->op));
	ex->first_op = 0;
	ex->nb_ops = (uint32_t)l->tail.nb_ops;
	memcpy(ex->origin_marks, l->tail.marks, sizeof(ex->origin_marks));
	memcpy(ex->window, l->tail.window, LM_EX_WINDOW_BYTES);
}

int
dm_ex_load_end(struct dm_ex *ex)
{
	struct dm_ex_load *l = &ex->load;
	int ret = 0;

	if (l->failed != 0)
		ret = l->failed;
	else if (l->done)
		dm_ex_become(ex, l);
	else if (l->offset != 0)
		ret = -EINVAL;
	dm_ex_load_drop(ex);
	return ret;
}
