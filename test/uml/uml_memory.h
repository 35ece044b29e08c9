/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef UML_MEMORY_H
#define UML_MEMORY_H

/**
 * @file
 * The front end's shared memory, mapped here and kept with its descriptors.
 */

#include <stdint.h>

#include "uml_vhost_if.h"

struct uml_memory_region {
	struct uml_vhost_region at;
	int fd;
	uint8_t *base; /* of the file's page where the region begins */
};

struct uml_memory {
	uint32_t nb_regions;
	struct uml_memory_region regions[UML_VHOST_MAX_REGIONS];
};

/** Takes over the descriptors, also when it fails. @return 0, -errno. */
int uml_memory_set(struct uml_memory *m, const struct uml_vhost_memory *table, const int *fds);
void uml_memory_clear(struct uml_memory *m);

/* len_bytes at an address; NULL: not in one region. */
void *uml_memory_guest(const struct uml_memory *m, uint64_t addr, uint64_t len_bytes);
void *uml_memory_user(const struct uml_memory *m, uint64_t addr, uint64_t len_bytes);

#endif /* UML_MEMORY_H */
