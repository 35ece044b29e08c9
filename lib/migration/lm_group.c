/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_group_pvt.h"

int
lm_group_create(const struct lm_group_conf *conf, struct lm_group **group)
{
	struct lm_group *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;
	int ret;

	if (g == NULL)
		return -ENOMEM;
	g->refs = 1;
	g->deadline_us = conf->deadline_us != 0 ? conf->deadline_us : LM_GROUP_DEADLINE_US;
	g->no_peer_dma = conf->no_peer_dma;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	ret = pthread_cond_init(&g->bell, &attr);
	pthread_condattr_destroy(&attr);
	if (ret != 0) {
		free(g);
		return -ret;
	}
	*group = g;
	return 0;
}

void
lm_group_unref_locked(struct lm_group *g)
{
	bool last = --g->refs == 0;
	unsigned int i;

	pthread_mutex_unlock(&g->lock);
	if (!last)
		return;
	for (i = 0; i < g->nb_members; i++) {
		pthread_cond_destroy(&g->members[i]->wake);
		free(g->members[i]);
	}
	pthread_cond_destroy(&g->bell);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* Idle threads end at once; one that is inside a provider frees the group when it returns. */
void
lm_group_destroy(struct lm_group *g)
{
	struct lm_member *m;
	unsigned int i;

	if (g == NULL)
		return;
	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		m->ending = true;
		m->forsaken = m->forsaken || m->turn != LM_MEMBER_IDLE;
		pthread_cond_signal(&m->wake);
	}
	for (i = 0; i < g->nb_members; i++) {
		m = g->members[i];
		while (!m->gone && m->turn == LM_MEMBER_IDLE)
			pthread_cond_wait(&g->bell, &g->lock);
	}
	lm_group_unref_locked(g);
}

static bool
name_is_good(const char *name)
{
	size_t len = name == NULL ? 0 : strlen(name);

	return len != 0 && len < LM_GROUP_NAME_BYTES;
}

static int
job_caps(struct lm_member *m, void *ctx)
{
	int ret;

	(void)ctx;
	ret = lm_member_call_begin(m, "reading its capabilities", m->deadline_us);
	if (ret != 0)
		return ret;
	ret = m->provider.ops->caps(m->provider.dev, &m->caps);
	lm_member_call_end(m);
	return ret > 0 ? -EPROTO : ret;
}

/* The provider's rows, each with our function in place of its own. */
static int
take_arcs(struct lm_member *m)
{
	const struct lm_provider_ops *ops = m->provider.ops;
	unsigned int i;

	for (i = 0; i < ops->nb_arcs; i++) {
		m->arcs[i] = ops->arcs[i];
		if (m->arcs[i].fn != NULL)
			m->arcs[i].fn = lm_member_arc;
	}
	m->machine.flags = m->caps.flags;
	m->machine.arcs = m->arcs;
	m->machine.nb_arcs = ops->nb_arcs;
	m->machine.state = lm_member_state;
	m->machine.reset = ops->reset != NULL ? lm_member_reset : NULL;
	return lm_state_machine_check(&m->machine, NULL) == 0 ? 0 : -EINVAL;
}

/* The thread is not reached by its index any more, and frees nothing that the group has. */
static void
take_back(struct lm_group *g, struct lm_member *m)
{
	pthread_mutex_lock(&g->lock);
	m->ending = true;
	m->forsaken = true;
	pthread_cond_signal(&m->wake);
	while (!m->gone && m->turn == LM_MEMBER_IDLE)
		pthread_cond_wait(&g->bell, &g->lock);
	if (m->gone) {
		g->nb_members--;
		pthread_cond_destroy(&m->wake);
		free(m);
	}
	pthread_mutex_unlock(&g->lock);
}

static int
member_create(struct lm_group *g, const struct lm_member_conf *conf, struct lm_member **member)
{
	struct lm_member *m = calloc(1, sizeof(*m));
	int ret;

	if (m == NULL)
		return -ENOMEM;
	m->group = g;
	m->index = g->nb_members;
	strcpy(m->name, conf->name);
	m->provider = conf->provider;
	m->deadline_us = conf->deadline_us != 0 ? conf->deadline_us : g->deadline_us;
	m->lane = conf->lane;
	m->timeline = conf->timeline;
	pthread_cond_init(&m->wake, NULL);
	ret = lm_member_thread_start(m);
	if (ret != 0) {
		pthread_cond_destroy(&m->wake);
		free(m);
		return ret;
	}
	g->members[g->nb_members++] = m;
	*member = m;
	return 0;
}

int
lm_group_add(struct lm_group *g, const struct lm_member_conf *conf)
{
	struct lm_member *m;
	unsigned int i;
	int ret;

	if (!name_is_good(conf->name) || conf->provider.ops->nb_arcs > LM_GROUP_MAX_ARCS)
		return -EINVAL;
	for (i = 0; i < g->nb_members; i++)
		if (strcmp(g->members[i]->name, conf->name) == 0)
			return -EEXIST;
	if (g->nb_members == LM_GROUP_MAX_MEMBERS)
		return -ENOMEM;
	ret = member_create(g, conf, &m);
	if (ret != 0)
		return ret;
	for (i = 0; i < g->nb_members; i++)
		g->members[i]->taking_part = i == m->index;
	lm_group_run(g, job_caps, NULL);
	ret = m->result.error;
	if (ret == 0)
		ret = take_arcs(m);
	if (ret == 0)
		return (int)m->index;
	take_back(g, m);
	return ret;
}

unsigned int
lm_group_count(const struct lm_group *g)
{
	return g->nb_members;
}

const char *
lm_group_name(const struct lm_group *g, unsigned int member)
{
	return member < g->nb_members ? g->members[member]->name : NULL;
}

const struct lm_caps *
lm_group_caps(const struct lm_group *g, unsigned int member)
{
	return member < g->nb_members ? &g->members[member]->caps : NULL;
}

const struct lm_member_result *
lm_group_result(const struct lm_group *g, unsigned int member)
{
	return member < g->nb_members ? &g->members[member]->result : NULL;
}

const char *
lm_group_strerror(const struct lm_group *g)
{
	return g->error;
}

bool
lm_group_lost(const struct lm_group *g, unsigned int member)
{
	return member < g->nb_members && atomic_load(&g->members[member]->lost);
}

uint64_t
lm_group_calls(const struct lm_group *g, unsigned int member)
{
	return member < g->nb_members ? atomic_load(&g->members[member]->nb_calls) : 0;
}
