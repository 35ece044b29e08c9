/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_tracker_pvt.h"

static int
add_source(struct lm_tracker *t, const char *name, struct lm_track_source **source)
{
	struct lm_track_source *s, **sources;
	unsigned int i;

	if (t->running)
		return -EBUSY;
	if (name[0] == '\0' || strlen(name) >= LM_TRACKER_NAME_BYTES)
		return -EINVAL;
	for (i = 0; i < t->nb_sources; i++)
		if (strcmp(t->sources[i]->name, name) == 0)
			return -EEXIST;
	sources = realloc(t->sources, (t->nb_sources + 1) * sizeof(sources[0]));
	if (sources == NULL)
		return -ENOMEM;
	t->sources = sources;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	strcpy(s->name, name);
	sources[t->nb_sources++] = s;
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

int
lm_tracker_add_provider(struct lm_tracker *t, const char *name, const struct lm_provider *provider,
		const struct lm_caps *caps)
{
	static const struct lm_source_ops ops = {
		.start = provider_start,
		.report = provider_report,
		.stop = provider_stop,
	};
	struct lm_track_source *s;
	int ret;

	if (!caps->dirty.present)
		return -ENOTSUP;
	ret = add_source(t, name, &s);
	if (ret != 0)
		return ret;
	s->provider = *provider;
	s->ops = &ops;
	s->src = &s->provider;
	s->traits = caps->dirty;
	return 0;
}

int
lm_tracker_add_blind(struct lm_tracker *t, const char *name)
{
	struct lm_track_source *s;

	return add_source(t, name, &s);
}

/* A source that cannot be started is blind. */
static int
try_start(struct lm_tracker *t, struct lm_track_source *s)
{
	uint64_t page_size = t->page_size_bytes;
	int ret;

	ret = lm_track_ranges_make(t, s);
	if (ret != 0)
		return ret;
	ret = s->ops->start(s->src, s->ranges, s->nb_ranges, &page_size);
	if (ret != 0)
		return ret;
	ret = lm_track_buffer_make(t, s, page_size);
	if (ret != 0)
		s->ops->stop(s->src);
	return ret;
}

static void
start_source(struct lm_tracker *t, struct lm_track_source *s)
{
	int ret;

	s->reports = 0;
	s->failures = 0;
	s->dirty_pages = 0;
	s->page_size_bytes = 0;
	s->blind = s->ops == NULL;
	/* Without memory there is nothing to start: what comes is dirty until the next start. */
	if (s->blind || t->nb_maps == 0)
		return;
	ret = try_start(t, s);
	s->started = ret == 0;
	if (ret == 0)
		return;
	s->blind = true;
	lm_track_failed(t, s, "no start", 0, ret);
	lm_track_ranges_free(s);
}

int
lm_tracker_start(struct lm_tracker *t)
{
	unsigned int i;

	if (t->running)
		return -EALREADY;
	if (t->nb_sources == 0)
		return -ENODEV;
	lm_track_forget(t);
	t->running = true;
	for (i = 0; i < t->nb_sources; i++)
		start_source(t, t->sources[i]);
	return 0;
}

int
lm_tracker_stop(struct lm_tracker *t)
{
	unsigned int i;
	int ret;

	for (i = 0; i < t->nb_sources; i++) {
		struct lm_track_source *s = t->sources[i];

		if (!s->started)
			continue;
		s->started = false;
		ret = s->ops->stop(s->src);
		if (ret != 0)
			lm_track_failed(t, s, "no stop", 0, ret);
		lm_track_ranges_free(s);
	}
	t->running = false;
	return 0;
}

int
lm_tracker_stats(const struct lm_tracker *t, unsigned int source, struct lm_source_stats *stats)
{
	const struct lm_track_source *s;

	if (source >= t->nb_sources)
		return -ENOENT;
	s = t->sources[source];
	memset(stats, 0, sizeof(*stats));
	memcpy(stats->name, s->name, sizeof(stats->name));
	stats->reports = s->reports;
	stats->failures = s->failures;
	stats->dirty_pages = s->dirty_pages;
	stats->page_size_bytes = s->page_size_bytes;
	stats->blind = s->blind;
	return 0;
}
