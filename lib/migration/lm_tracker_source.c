/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_tracker_pvt.h"

static int
add_source(struct lm_tracker *t, const char *name, struct lm_track_source **source)
{
	struct lm_track_shared *sh = t->shared;
	struct lm_track_source *s, **sources;
	unsigned int i;

	if (t->running)
		return -EBUSY;
	if (name[0] == '\0' || strlen(name) >= LM_TRACKER_NAME_BYTES)
		return -EINVAL;
	for (i = 0; i < sh->nb_sources; i++)
		if (strcmp(sh->sources[i]->name, name) == 0)
			return -EEXIST;
	sources = realloc(sh->sources, (sh->nb_sources + 1) * sizeof(sources[0]));
	if (sources == NULL)
		return -ENOMEM;
	sh->sources = sources;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	strcpy(s->name, name);
	s->member = -1;
	sources[sh->nb_sources++] = s;
	*source = s;
	return 0;
}

int
lm_tracker_add_source(struct lm_tracker *t, const struct lm_source_conf *conf)
{
	struct lm_track_source *s;
	int ret;

	ret = add_source(t, conf->name, &s);
	if (ret != 0)
		return ret;
	s->ops = conf->ops;
	s->src = conf->src;
	s->traits = conf->traits;
	return 0;
}

static int
provider_start(void *src, const struct lm_range *ranges, unsigned int nb, uint64_t *page_size_bytes)
{
	const struct lm_provider *p = src;

	return p->ops->dirty_start(p->dev, ranges, nb, page_size_bytes);
}

static int
provider_report(void *src, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	const struct lm_provider *p = src;

	return p->ops->dirty_report(p->dev, iova, len_bytes, page_size_bytes, bitmap);
}

static int
provider_stop(void *src)
{
	const struct lm_provider *p = src;

	return p->ops->dirty_stop(p->dev);
}

static int
add_log(struct lm_tracker *t, const char *name, const struct lm_caps *caps,
		struct lm_track_source **source)
{
	static const struct lm_source_ops ops = {
		.start = provider_start,
		.report = provider_report,
		.stop = provider_stop,
	};
	int ret;

	if (!caps->dirty.present)
		return -ENOTSUP;
	ret = add_source(t, name, source);
	if (ret != 0)
		return ret;
	(*source)->ops = &ops;
	(*source)->src = &(*source)->provider;
	(*source)->traits = caps->dirty;
	return 0;
}

int
lm_tracker_add_provider(struct lm_tracker *t, const char *name, const struct lm_provider *provider,
		const struct lm_caps *caps)
{
	struct lm_track_source *s;
	int ret;

	ret = add_log(t, name, caps, &s);
	if (ret == 0)
		s->provider = *provider;
	return ret;
}

int
lm_tracker_add_member(struct lm_tracker *t, struct lm_group *group, unsigned int member)
{
	struct lm_track_source *s;
	int ret;

	if (member >= lm_group_count(group) ||
			(t->shared->group != NULL && t->shared->group != group))
		return -EINVAL;
	ret = add_log(t, lm_group_name(group, member), lm_group_caps(group, member), &s);
	if (ret != 0)
		return ret;
	s->member = (int)member;
	t->shared->group = group;
	return 0;
}

int
lm_tracker_add_blind(struct lm_tracker *t, const char *name)
{
	struct lm_track_source *s;

	return add_source(t, name, &s);
}

int
lm_track_start(struct lm_track_source *s, uint64_t own_page_bytes)
{
	uint64_t page_size = own_page_bytes;
	int ret;

	/* It was late, and nobody could stop it. */
	if (s->log_runs)
		(void)lm_track_stop(s);
	ret = s->ops->start(s->src, s->ranges, s->nb_ranges, &page_size);
	if (ret != 0)
		return ret;
	s->log_runs = true;
	ret = lm_track_buffer_make(s, own_page_bytes, page_size);
	if (ret != 0)
		(void)lm_track_stop(s);
	return ret;
}

int
lm_track_stop(struct lm_track_source *s)
{
	s->log_runs = false;
	return s->ops->stop(s->src);
}

/* Without memory there is nothing to start: what comes is dirty until the next start. */
static void
prepare(struct lm_tracker *t, struct lm_track_source *s)
{
	if (lm_track_still_late(t->shared, s)) {
		s->blind = true;
		return;
	}
	lm_track_ranges_free(s);
	s->reports = 0;
	s->failures = 0;
	s->dirty_pages = 0;
	s->page_size_bytes = 0;
	s->blind = s->ops == NULL;
	s->ret = 0;
	if (s->blind || t->nb_maps == 0)
		return;
	s->ret = lm_track_ranges_make(t, s);
	if (s->ret == 0 && s->member < 0)
		s->ret = lm_track_start(s, t->page_size_bytes);
	/* No ranges: members are not visited. */
	if (s->ret != 0)
		lm_track_ranges_free(s);
}

/* A source that cannot be started is blind. */
static void
conclude(struct lm_tracker *t, struct lm_track_source *s)
{
	if (s->late || s->blind)
		return;
	s->started = s->ret == 0 && s->nb_ranges != 0;
	if (s->ret == 0)
		return;
	s->blind = true;
	lm_track_failed(t, s, "no start", 0, s->ret);
	lm_track_ranges_free(s);
}

int
lm_tracker_start(struct lm_tracker *t)
{
	struct lm_track_shared *sh = t->shared;
	unsigned int i;
	int ret;

	if (t->running)
		return -EALREADY;
	if (sh->nb_sources == 0)
		return -ENODEV;
	lm_track_forget(t);
	t->running = true;
	for (i = 0; i < sh->nb_sources; i++)
		prepare(t, sh->sources[i]);
	ret = lm_track_visit(t, LM_TRACK_START);
	for (i = 0; i < sh->nb_sources; i++)
		conclude(t, sh->sources[i]);
	return ret;
}

int
lm_tracker_stop(struct lm_tracker *t)
{
	struct lm_track_shared *sh = t->shared;
	struct lm_track_source *s;
	unsigned int i;

	for (i = 0; i < sh->nb_sources; i++) {
		s = sh->sources[i];
		if (s->started && s->member < 0)
			s->ret = lm_track_stop(s);
	}
	lm_track_visit(t, LM_TRACK_STOP);
	for (i = 0; i < sh->nb_sources; i++) {
		s = sh->sources[i];
		if (s->late || !s->started)
			continue;
		s->started = false;
		if (s->ret != 0)
			lm_track_failed(t, s, "no stop", 0, s->ret);
		lm_track_ranges_free(s);
	}
	t->running = false;
	return 0;
}

int
lm_tracker_stats(const struct lm_tracker *t, unsigned int source, struct lm_source_stats *stats)
{
	const struct lm_track_source *s;

	if (source >= t->shared->nb_sources)
		return -ENOENT;
	s = t->shared->sources[source];
	memset(stats, 0, sizeof(*stats));
	memcpy(stats->name, s->name, sizeof(stats->name));
	stats->reports = s->reports;
	stats->failures = s->failures;
	stats->dirty_pages = s->dirty_pages;
	stats->page_size_bytes = s->page_size_bytes;
	stats->blind = s->blind;
	return 0;
}
