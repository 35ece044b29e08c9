/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "dm_type.h"

static const struct dm_type *const dm_types[] = {
	&dm_type_exerciser,
	&dm_type_pds,
	&dm_type_virtio_net,
};

#define DM_NB_TYPES (sizeof(dm_types) / sizeof(dm_types[0]))

const struct dm_type *
dm_type_get(unsigned int index)
{
	return index < DM_NB_TYPES ? dm_types[index] : NULL;
}

const struct dm_type *
dm_type_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < DM_NB_TYPES; i++)
		if (strcmp(dm_types[i]->name, name) == 0)
			return dm_types[i];
	return NULL;
}
