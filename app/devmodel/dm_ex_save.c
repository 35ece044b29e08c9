/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The state as a stream that is made while it is read: of a block only its modification number is
 * kept, so gigabytes of state cost a few megabytes.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_ex.h"

#define DM_EX_BLOCK_HEAD (sizeof(struct lm_ex_record) + sizeof(struct lm_ex_block))
#define DM_EX_FIXED_MAX (sizeof(struct lm_ex_record) + sizeof(struct lm_ex_tail))

static uint64_t
dm_ex_seed(const struct dm_ex *ex)
{
	return ex->config[DM_EX_CONFIG(LM_EX_REG_SEED)];
}

static uint64_t
dm_ex_record_bytes(const struct dm_ex *ex, uint64_t block)
{
	return DM_EX_BLOCK_HEAD + lm_ex_block_bytes(
			ex->config[DM_EX_CONFIG(LM_EX_REG_STATE_BYTES)], block);
}

/* Of the blocks [from, to). */
static uint64_t
dm_ex_records_bytes(const struct dm_ex *ex, uint64_t from, uint64_t to)
{
	if (from >= to)
		return 0;
	return (to - 1 - from) * (DM_EX_BLOCK_HEAD + LM_EX_STATE_BLOCK_BYTES) +
			dm_ex_record_bytes(ex, to - 1);
}

static void
dm_ex_all_unsent(struct dm_ex *ex)
{
	struct dm_ex_save *s = &ex->save;

	memset(s->unsent, 0xff, (s->nb_blocks + 63) / 64 * 8);
	if (s->nb_blocks % 64 != 0)
		s->unsent[s->nb_blocks / 64] = (UINT64_C(1) << (s->nb_blocks % 64)) - 1;
	s->unsent_bytes = dm_ex_records_bytes(ex, 0, s->nb_blocks);
	s->nb_initial = (s->nb_blocks * ex->conf.initial_percent + 99) / 100;
	s->next_initial = 0;
	s->scan = 0;
	s->has_head = true;
}

static int
dm_ex_save_blocks(struct dm_ex *ex)
{
	struct dm_ex_save *s = &ex->save;
	uint64_t *unsent = calloc(ex->nb_blocks / 64 + 1, 8);

	if (unsent == NULL)
		return -ENOMEM;
	free(s->unsent);
	s->unsent = unsent;
	s->nb_blocks = ex->nb_blocks;
	dm_ex_all_unsent(ex);
	return 0;
}

int
dm_ex_save_begin(struct dm_ex *ex, bool all)
{
	struct dm_ex_save *s = &ex->save;

	dm_ex_save_end(ex);
	s->fixed = malloc(DM_EX_FIXED_MAX);
	if (s->fixed == NULL || dm_ex_save_blocks(ex) != 0) {
		dm_ex_save_end(ex);
		return -ENOMEM;
	}
	if (all)
		s->nb_initial = 0;
	s->on = true;
	return 0;
}

void
dm_ex_save_end(struct dm_ex *ex)
{
	free(ex->save.unsent);
	free(ex->save.fixed);
	memset(&ex->save, 0, sizeof(ex->save));
}

int
dm_ex_save_reinit(struct dm_ex *ex)
{
	ex->save.reinit = true;
	return dm_ex_save_blocks(ex);
}

static bool
dm_ex_is_unsent(const struct dm_ex_save *s, uint64_t block)
{
	return (s->unsent[block / 64] >> (block % 64) & 1) != 0;
}

void
dm_ex_save_changed(struct dm_ex *ex, uint64_t block)
{
	struct dm_ex_save *s = &ex->save;

	if (!s->on || dm_ex_is_unsent(s, block))
		return;
	s->unsent[block / 64] |= UINT64_C(1) << (block % 64);
	s->unsent_bytes += dm_ex_record_bytes(ex, block);
}

/* The next block to send; nb_blocks: none. */
static uint64_t
dm_ex_next_block(struct dm_ex_save *s)
{
	uint64_t words = (s->nb_blocks + 63) / 64, i, word;

	if (s->next_initial < s->nb_initial)
		return s->next_initial++;
	for (i = 0; i < words; i++) {
		word = (s->scan + i) % words;
		if (s->unsent[word] != 0) {
			s->scan = word;
			return word * 64 + (uint64_t)__builtin_ctzll(s->unsent[word]);
		}
	}
	return s->nb_blocks;
}

static void
dm_ex_put_record(struct dm_ex_save *s, enum lm_ex_record_type type, uint64_t bytes)
{
	struct lm_ex_record record = {
		.magic = LM_EX_RECORD_MAGIC, .type = type, .serial = s->serial++, .bytes = bytes,
	};

	record.check = lm_ex_record_check(&record);
	memcpy(s->fixed, &record, sizeof(record));
	s->fixed_bytes = sizeof(record);
	s->data_bytes = 0;
	s->at = 0;
}

static void
dm_ex_put(struct dm_ex_save *s, const void *data, uint64_t bytes)
{
	memcpy(s->fixed + s->fixed_bytes, data, bytes);
	s->fixed_bytes += bytes;
}

static void
dm_ex_put_head(struct dm_ex *ex)
{
	struct lm_ex_head head = { .compat = ex->conf.compat };

	memcpy(head.config, ex->config, sizeof(head.config));
	memcpy(head.ranges, ex->ranges, sizeof(head.ranges));
	head.check = lm_ex_sum(&head, offsetof(struct lm_ex_head, check));
	dm_ex_put_record(&ex->save, LM_EX_RECORD_HEAD, sizeof(head));
	dm_ex_put(&ex->save, &head, sizeof(head));
	ex->save.has_head = false;
	ex->save.reinit = false;
}

static void
dm_ex_put_block(struct dm_ex *ex, uint64_t index)
{
	struct dm_ex_save *s = &ex->save;
	const struct lm_ex_block block = { .index = index, .mod = ex->mods[index] };
	uint64_t bytes = dm_ex_record_bytes(ex, index);

	dm_ex_put_record(s, LM_EX_RECORD_BLOCK, bytes - sizeof(struct lm_ex_record));
	dm_ex_put(s, &block, sizeof(block));
	s->data_bytes = bytes - DM_EX_BLOCK_HEAD;
	s->data_key = lm_ex_block_key(dm_ex_seed(ex), index, block.mod);
	s->unsent[index / 64] &= ~(UINT64_C(1) << (index % 64));
	s->unsent_bytes -= bytes;
}

static void
dm_ex_put_tail(struct dm_ex *ex)
{
	struct lm_ex_tail tail = {
		.status = (ex->started ? LM_EX_STATUS_STARTED : 0) |
			(ex->paused ? LM_EX_STATUS_PAUSED : 0),
		.nb_ops = ex->nb_ops,
	};
	uint32_t i;

	dm_ex_window_check(ex);
	tail.peer_late = ex->peer_late;
	memcpy(tail.counters, ex->counters, sizeof(tail.counters));
	for (i = 0; i < ex->nb_ops; i++)
		tail.ops[i] = ex->op[(ex->first_op + i) % LM_EX_MAX_OPS];
	memcpy(tail.marks, ex->marks, sizeof(tail.marks));
	memcpy(tail.window, ex->window, sizeof(tail.window));
	tail.check = lm_ex_sum(&tail, offsetof(struct lm_ex_tail, check));
	dm_ex_put_record(&ex->save, LM_EX_RECORD_TAIL, sizeof(tail));
	dm_ex_put(&ex->save, &tail, sizeof(tail));
	ex->save.done = true;
}

/* @return is there a next record? */
static bool
dm_ex_next_record(struct dm_ex *ex)
{
	struct dm_ex_save *s = &ex->save;
	uint64_t block;

	if (s->done)
		return false;
	if (s->has_head) {
		dm_ex_put_head(ex);
		return true;
	}
	block = dm_ex_next_block(s);
	if (block != s->nb_blocks)
		dm_ex_put_block(ex, block);
	else if (ex->state == LM_STATE_STOP_COPY)
		dm_ex_put_tail(ex);
	else
		return false;
	return true;
}

int
dm_ex_save_read(struct dm_ex *ex, uint8_t *buf, uint32_t len_bytes)
{
	struct dm_ex_save *s = &ex->save;
	uint32_t done = 0;
	uint64_t n;

	while (done < len_bytes) {
		if (s->at == s->fixed_bytes + s->data_bytes && !dm_ex_next_record(ex))
			break;
		n = (s->at < s->fixed_bytes ? s->fixed_bytes : s->fixed_bytes + s->data_bytes) -
				s->at;
		if (n > len_bytes - done)
			n = len_bytes - done;
		if (s->at < s->fixed_bytes)
			memcpy(buf + done, s->fixed + s->at, n);
		else
			dm_ex_data_fill(s->data_key, s->at - s->fixed_bytes, buf + done, n);
		s->at += n;
		done += (uint32_t)n;
	}
	s->offset += done;
	return done == 0 && ex->state != LM_STATE_STOP_COPY ? -ENOMSG : (int)done;
}

static uint64_t
dm_ex_initial_bytes(const struct dm_ex *ex)
{
	const struct dm_ex_save *s = &ex->save;

	return (s->has_head ? sizeof(struct lm_ex_record) + sizeof(struct lm_ex_head) : 0) +
			dm_ex_records_bytes(ex, s->next_initial, s->nb_initial);
}

void
dm_ex_info(const struct dm_ex *ex, uint32_t *flags, uint64_t *initial, uint64_t *dirty)
{
	const struct dm_ex_save *s = &ex->save;

	*flags = s->reinit ? 1 : 0; /* VFIO_PRECOPY_INFO_REINIT */
	*initial = dm_ex_initial_bytes(ex);
	*dirty = s->unsent_bytes - dm_ex_records_bytes(ex, s->next_initial, s->nb_initial) +
			(s->fixed_bytes + s->data_bytes - s->at);
}

uint64_t
dm_ex_left_bytes(const struct dm_ex *ex)
{
	const struct dm_ex_save *s = &ex->save;
	uint64_t head = sizeof(struct lm_ex_record) + sizeof(struct lm_ex_head);
	uint64_t tail = sizeof(struct lm_ex_record) + sizeof(struct lm_ex_tail);

	if (!s->on)
		return head + dm_ex_records_bytes(ex, 0, ex->nb_blocks) + tail;
	return (s->has_head ? head : 0) + s->unsent_bytes + (s->done ? 0 : tail) +
			(s->fixed_bytes + s->data_bytes - s->at);
}
