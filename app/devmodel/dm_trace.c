/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "dm_trace.h"

struct dm_trace_group {
	const char *name;
	uint64_t seen[DM_TRACE_NUMBERS / 64];
};

struct dm_trace {
	unsigned int nb_groups;
	struct dm_trace_group *groups[DM_TRACE_GROUPS];
};

int
dm_trace_create(struct dm_trace **trace)
{
	*trace = calloc(1, sizeof(**trace));
	return *trace == NULL ? -ENOMEM : 0;
}

void
dm_trace_destroy(struct dm_trace *t)
{
	unsigned int i;

	for (i = 0; t != NULL && i < t->nb_groups; i++)
		free(t->groups[i]);
	free(t);
}

static struct dm_trace_group *
dm_trace_group(struct dm_trace *t, const char *name)
{
	struct dm_trace_group *g;
	unsigned int i;

	for (i = 0; i < t->nb_groups; i++)
		if (strcmp(t->groups[i]->name, name) == 0)
			return t->groups[i];
	g = t->nb_groups == DM_TRACE_GROUPS ? NULL : calloc(1, sizeof(*g));
	if (g == NULL)
		return NULL;
	g->name = name;
	t->groups[t->nb_groups++] = g;
	return g;
}

void
dm_trace_mark(struct dm_trace *t, const char *group, uint32_t number)
{
	dm_trace_bytes(t, group, number, 1);
}

void
dm_trace_bytes(struct dm_trace *t, const char *group, uint64_t first, uint32_t len_bytes)
{
	struct dm_trace_group *g = t == NULL ? NULL : dm_trace_group(t, group);
	uint64_t i;

	if (g == NULL)
		return;
	for (i = first; i < first + len_bytes && i < DM_TRACE_NUMBERS; i++)
		g->seen[i / 64] |= UINT64_C(1) << (i % 64);
}

void
dm_trace_bits(struct dm_trace *t, const char *group, uint64_t bits)
{
	uint32_t i;

	for (i = 0; i < 64; i++)
		if ((bits >> i & 1) != 0)
			dm_trace_mark(t, group, i);
}

static json_t *
dm_trace_numbers(const struct dm_trace_group *g)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < DM_TRACE_NUMBERS; i++)
		if ((g->seen[i / 64] >> (i % 64) & 1) != 0)
			json_array_append_new(list, json_integer(i));
	return list;
}

int
dm_trace_save(const struct dm_trace *t, const char *device, const char *path)
{
	json_t *marks = json_object();
	json_t *top = json_pack("{s:s,s:o}", "device", device, "marks", marks);
	unsigned int i;
	int ret;

	for (i = 0; i < t->nb_groups; i++)
		json_object_set_new(marks, t->groups[i]->name, dm_trace_numbers(t->groups[i]));
	ret = top != NULL && json_dump_file(top, path, JSON_COMPACT) == 0 ? 0 : -EIO;
	json_decref(top);
	return ret;
}
