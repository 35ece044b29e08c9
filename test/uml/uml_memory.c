/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uml_memory.h"

void
uml_memory_clear(struct uml_memory *m)
{
	struct uml_memory_region *r;

	for (r = m->regions; r < m->regions + m->nb_regions; r++) {
		if (r->base != NULL)
			munmap(r->base, r->at.size_bytes);
		close(r->fd);
	}
	m->nb_regions = 0;
}

int
uml_memory_set(struct uml_memory *m, const struct uml_vhost_memory *table, const int *fds)
{
	struct uml_memory_region *r;
	uint32_t i;
	int ret = 0;

	uml_memory_clear(m);
	for (i = 0; i < table->nb_regions; i++) {
		r = &m->regions[i];
		r->at = table->regions[i];
		r->fd = fds[i];
		r->base = mmap(NULL, r->at.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
				(off_t)r->at.mmap_offset);
		if (r->base == MAP_FAILED) {
			r->base = NULL;
			ret = -errno;
		}
	}
	m->nb_regions = table->nb_regions;
	return ret;
}

static void *
uml_memory_at(const struct uml_memory_region *r, uint64_t start, uint64_t addr, uint64_t len_bytes)
{
	uint64_t offset = addr - start;

	if (r->base == NULL || addr < start || offset > r->at.size_bytes ||
			len_bytes > r->at.size_bytes - offset)
		return NULL;
	return r->base + offset;
}

void *
uml_memory_guest(const struct uml_memory *m, uint64_t addr, uint64_t len_bytes)
{
	void *p = NULL;
	uint32_t i;

	for (i = 0; i < m->nb_regions && p == NULL; i++)
		p = uml_memory_at(&m->regions[i], m->regions[i].at.guest_addr, addr, len_bytes);
	return p;
}

void *
uml_memory_user(const struct uml_memory *m, uint64_t addr, uint64_t len_bytes)
{
	void *p = NULL;
	uint32_t i;

	for (i = 0; i < m->nb_regions && p == NULL; i++)
		p = uml_memory_at(&m->regions[i], m->regions[i].at.user_addr, addr, len_bytes);
	return p;
}
