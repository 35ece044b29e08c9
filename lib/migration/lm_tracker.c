/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_bits.h"
#include "lm_ram.h"
#include "lm_tracker_pvt.h"
#include "lm_vhost_log.h"

int
lm_tracker_create(const struct lm_tracker_conf *conf, struct lm_tracker **tracker)
{
	uint64_t page = conf->page_size_bytes;
	struct lm_tracker *t;

	if (page < 4096 || page > UINT64_C(1) << 30 || (page & (page - 1)) != 0)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->shared = calloc(1, sizeof(*t->shared));
	if (t->shared == NULL) {
		free(t);
		return -ENOMEM;
	}
	pthread_mutex_init(&t->shared->lock, NULL);
	t->shared->refs = 1;
	t->shared->tracker = t;
	t->shared->page_size_bytes = page;
	t->page_size_bytes = page;
	t->timeline = conf->timeline;
	*tracker = t;
	return 0;
}

static void
free_map(struct lm_track_map *m)
{
	lm_bitmap_destroy(m->kept);
	free(m);
}

static void
free_gone(struct lm_tracker *t)
{
	struct lm_track_map *m;

	while ((m = t->gone) != NULL) {
		t->gone = m->next_gone;
		free_map(m);
	}
}

void
lm_tracker_destroy(struct lm_tracker *t)
{
	unsigned int i;

	if (t == NULL)
		return;
	lm_tracker_stop(t);
	for (i = 0; i < t->nb_maps; i++)
		free_map(t->maps[i]);
	free_gone(t);
	lm_track_unref(t->shared);
	free(t->maps);
	free(t);
}

unsigned int
lm_track_find(const struct lm_tracker *t, uint64_t iova)
{
	unsigned int low = 0, high = t->nb_maps, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (lm_track_map_last(t->maps[mid]) < iova)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct lm_track_map *
create_map(const struct lm_tracker *t, const struct lm_interval *iv)
{
	struct lm_track_map *m = calloc(1, sizeof(*m));
	/* Words that begin at multiples of 64 pages go into sinks unshifted. */
	uint64_t base = iv->to & ~(t->page_size_bytes * LM_WORD_BITS - 1);

	if (m == NULL)
		return NULL;
	m->iv = *iv;
	m->fresh = t->running;
	if (lm_bitmap_create(base, iv->to - base + iv->len_bytes,
			lm_bits_lowest(t->page_size_bytes), &m->kept) != 0) {
		free(m);
		return NULL;
	}
	return m;
}

int
lm_tracker_map(struct lm_tracker *t, const struct lm_interval *iv)
{
	struct lm_track_map *m, **maps;
	unsigned int at;

	if (iv->len_bytes == 0 || iv->len_bytes - 1 > UINT64_MAX - iv->from ||
			iv->len_bytes - 1 > UINT64_MAX - iv->to ||
			((iv->from | iv->to | iv->len_bytes) & (t->page_size_bytes - 1)) != 0)
		return -EINVAL;
	at = lm_track_find(t, iv->from);
	if (at < t->nb_maps && t->maps[at]->iv.from <= iv->from + (iv->len_bytes - 1))
		return -EEXIST;
	maps = realloc(t->maps, (t->nb_maps + 1) * sizeof(maps[0]));
	if (maps == NULL)
		return -ENOMEM;
	t->maps = maps;
	m = create_map(t, iv);
	if (m == NULL)
		return -ENOMEM;
	memmove(&maps[at + 1], &maps[at], (t->nb_maps - at) * sizeof(maps[0]));
	maps[at] = m;
	t->nb_maps++;
	return 0;
}

static bool
is_blind(const struct lm_tracker *t)
{
	unsigned int i;

	for (i = 0; i < t->shared->nb_sources; i++)
		if (t->shared->sources[i]->blind)
			return true;
	return false;
}

static void
mark_all(struct lm_tracker *t, uint64_t first, uint64_t last, bool fresh_only)
{
	unsigned int i;

	for (i = lm_track_find(t, first); i < t->nb_maps && t->maps[i]->iv.from <= last; i++)
		if (!fresh_only || t->maps[i]->fresh)
			lm_bitmap_mark(t->maps[i]->kept, t->maps[i]->iv.to,
					t->maps[i]->iv.len_bytes);
}

/* Members wait for their visit; who has no memory for a plan has no report. */
static void
plan_or_read(struct lm_tracker *t, struct lm_track_source *s, uint64_t first, uint64_t last)
{
	unsigned int i;
	int ret;

	if (!s->started)
		return;
	ret = lm_track_plan(t, s, first, last);
	if (ret != 0) {
		lm_track_failed(t, s, "no report", 0, ret);
		mark_all(t, first, last, false);
	}
	for (i = 0; s->member < 0 && i < s->nb_pieces; i++)
		lm_track_take(t, s, &s->pieces[i], lm_track_read(s, &s->pieces[i]));
}

/* Into what is kept: all that sources have to say about [first, last]. */
static int
read_sources(struct lm_tracker *t, uint64_t first, uint64_t last)
{
	unsigned int i;
	int ret;

	for (i = 0; i < t->shared->nb_sources; i++)
		plan_or_read(t, t->shared->sources[i], first, last);
	ret = lm_track_visit(t, LM_TRACK_READ);
	/* A member that was late is blind now. */
	mark_all(t, first, last, !is_blind(t));
	return ret;
}

int
lm_tracker_unmap(struct lm_tracker *t, uint64_t iova, uint64_t len_bytes)
{
	unsigned int at = lm_track_find(t, iova);
	struct lm_track_map *m;

	if (at == t->nb_maps || t->maps[at]->iv.from != iova ||
			t->maps[at]->iv.len_bytes != len_bytes)
		return -ENOENT;
	m = t->maps[at];
	if (t->running)
		read_sources(t, iova, lm_track_map_last(m));
	t->nb_maps--;
	memmove(&t->maps[at], &t->maps[at + 1], (t->nb_maps - at) * sizeof(t->maps[0]));
	if (!t->running) {
		free_map(m);
		return 0;
	}
	m->next_gone = t->gone;
	t->gone = m;
	return 0;
}

void
lm_track_forget(struct lm_tracker *t)
{
	unsigned int i;

	free_gone(t);
	for (i = 0; i < t->nb_maps; i++) {
		t->maps[i]->fresh = false;
		lm_bitmap_clear(t->maps[i]->kept);
	}
}

int
lm_tracker_harvest(struct lm_tracker *t, const struct lm_sink *sink)
{
	struct lm_track_map *m;
	unsigned int i;
	int ret, late;

	if (!t->running)
		return -EINVAL;
	late = read_sources(t, 0, UINT64_MAX);
	/* R5: cleared only when the sink has it. */
	for (i = 0; i < t->nb_maps; i++) {
		ret = sink->merge(sink->ctx, t->maps[i]->kept);
		if (ret != 0)
			return ret;
		lm_bitmap_clear(t->maps[i]->kept);
	}
	while ((m = t->gone) != NULL) {
		ret = sink->merge(sink->ctx, m->kept);
		if (ret != 0)
			return ret;
		t->gone = m->next_gone;
		free_map(m);
	}
	return late;
}

static int
merge_vhost_log(void *ctx, const struct lm_bitmap *bm)
{
	return lm_vhost_log_merge(ctx, bm);
}

struct lm_sink
lm_sink_vhost_log(struct lm_vhost_log *log)
{
	return (struct lm_sink){ .merge = merge_vhost_log, .ctx = log };
}

static int
merge_ram(void *ctx, const struct lm_bitmap *bm)
{
	return lm_ram_merge(ctx, bm);
}

struct lm_sink
lm_sink_ram(struct lm_ram *ram)
{
	return (struct lm_sink){ .merge = merge_ram, .ctx = ram };
}
