/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Members of a group as sources. Their threads call into the devices, and can be late: what they
 * use then is theirs alone, and they take nothing to the tracker any more.
 */

#include <errno.h>
#include <stdlib.h>

#include "lm_tracker_pvt.h"

void
lm_track_unref(struct lm_track_shared *sh)
{
	unsigned int i;

	if (atomic_fetch_sub(&sh->refs, 1) != 1)
		return;
	for (i = 0; i < sh->nb_sources; i++) {
		lm_track_ranges_free(sh->sources[i]);
		free(sh->sources[i]->pieces);
		free(sh->sources[i]);
	}
	pthread_mutex_destroy(&sh->lock);
	free(sh->sources);
	free(sh);
}

static struct lm_track_source *
source_of(const struct lm_track_shared *sh, unsigned int member)
{
	unsigned int i;

	for (i = 0; i < sh->nb_sources; i++)
		if (sh->sources[i]->member == (int)member)
			return sh->sources[i];
	return NULL;
}

static void
leave(struct lm_track_shared *sh, struct lm_track_source *s)
{
	pthread_mutex_lock(&sh->lock);
	s->inside = false;
	pthread_mutex_unlock(&sh->lock);
	lm_track_unref(sh);
}

/* What a device says of pages is kept by source, and failures there are none of the member's. */
static int
start_on_thread(void *ctx, unsigned int member, const struct lm_provider *provider)
{
	struct lm_track_shared *sh = ctx;
	struct lm_track_source *s = source_of(sh, member);

	s->provider = *provider;
	s->ret = lm_track_start(s, sh->page_size_bytes);
	leave(sh, s);
	return 0;
}

static int
read_on_thread(void *ctx, unsigned int member, const struct lm_provider *provider)
{
	struct lm_track_shared *sh = ctx;
	struct lm_track_source *s = source_of(sh, member);
	bool late = false;
	unsigned int i;
	int ret;

	(void)provider;
	for (i = 0; i < s->nb_pieces && !late; i++) {
		if (i > 0 && lm_group_next_call(sh->group, member) != 0)
			break;
		ret = lm_track_read(s, &s->pieces[i]);
		pthread_mutex_lock(&sh->lock);
		late = s->late;
		if (!late)
			lm_track_take(sh->tracker, s, &s->pieces[i], ret);
		pthread_mutex_unlock(&sh->lock);
	}
	leave(sh, s);
	return 0;
}

static int
stop_on_thread(void *ctx, unsigned int member, const struct lm_provider *provider)
{
	struct lm_track_shared *sh = ctx;
	struct lm_track_source *s = source_of(sh, member);

	(void)provider;
	s->ret = lm_track_stop(s);
	leave(sh, s);
	return 0;
}

/* The thread's own, from before it begins until it leaves. */
static bool
enter(struct lm_track_shared *sh, struct lm_track_source *s, bool wanted)
{
	if (s == NULL || s->late || !wanted)
		return false;
	pthread_mutex_lock(&sh->lock);
	s->inside = true;
	pthread_mutex_unlock(&sh->lock);
	atomic_fetch_add(&sh->refs, 1);
	return true;
}

static bool
who_starts(void *ctx, unsigned int member)
{
	struct lm_track_source *s = source_of(ctx, member);

	return enter(ctx, s, s != NULL && !s->started && s->nb_ranges != 0);
}

static bool
who_reads(void *ctx, unsigned int member)
{
	struct lm_track_source *s = source_of(ctx, member);

	return enter(ctx, s, s != NULL && s->started && s->nb_pieces != 0);
}

static bool
who_stops(void *ctx, unsigned int member)
{
	struct lm_track_source *s = source_of(ctx, member);

	return enter(ctx, s, s != NULL && s->started);
}

static const struct {
	const char *what;
	bool (*who)(void *ctx, unsigned int member);
	int (*fn)(void *ctx, unsigned int member, const struct lm_provider *provider);
} visits[] = {
	[LM_TRACK_START] = { "starting its log", who_starts, start_on_thread },
	[LM_TRACK_READ] = { "telling what it wrote", who_reads, read_on_thread },
	[LM_TRACK_STOP] = { "stopping its log", who_stops, stop_on_thread },
};

bool
lm_track_still_late(struct lm_track_shared *sh, struct lm_track_source *s)
{
	pthread_mutex_lock(&sh->lock);
	s->late = s->inside;
	pthread_mutex_unlock(&sh->lock);
	return s->late;
}

/* From here on a thread that comes back takes nothing. */
static void
give_up(struct lm_tracker *t, struct lm_track_source *s, bool called)
{
	struct lm_track_shared *sh = t->shared;
	bool entered;

	pthread_mutex_lock(&sh->lock);
	s->late = true;
	entered = s->inside;
	if (!called)
		s->inside = false;
	pthread_mutex_unlock(&sh->lock);
	/* No thread will leave. */
	if (entered && !called)
		lm_track_unref(sh);
	s->started = false;
	s->blind = true;
	lm_track_failed(t, s, "late", 0, called ? -ETIMEDOUT : -ENODEV);
}

int
lm_track_visit(struct lm_tracker *t, enum lm_track_visit what)
{
	struct lm_track_shared *sh = t->shared;
	const struct lm_member_result *result;
	struct lm_track_source *s;
	unsigned int i;
	int ret = 0;

	if (sh->group == NULL)
		return 0;
	(void)lm_group_some(sh->group, visits[what].what, LM_GROUP_OWN_DEADLINE, visits[what].who,
			visits[what].fn, sh);
	for (i = 0; i < sh->nb_sources; i++) {
		s = sh->sources[i];
		if (s->member < 0)
			continue;
		result = lm_group_result(sh->group, (unsigned int)s->member);
		if (result->error != 0 && !s->late)
			give_up(t, s, result->error == -ETIMEDOUT);
		if (s->late)
			ret = -ETIMEDOUT;
	}
	return ret;
}
