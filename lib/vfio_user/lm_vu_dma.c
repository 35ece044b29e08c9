/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lm_vu_dma.h"

int
lm_vu_dma_table_init(struct lm_vu_dma_table *t, uint32_t max)
{
	memset(t, 0, sizeof(*t));
	t->entries = calloc(max, sizeof(*t->entries));
	if (t->entries == NULL)
		return -ENOMEM;
	t->max = max;
	return 0;
}

void
lm_vu_dma_table_fini(struct lm_vu_dma_table *t)
{
	while (t->nb > 0)
		lm_vu_dma_remove(t, t->nb - 1);
	free(t->entries);
	memset(t, 0, sizeof(*t));
}

/* First entry that ends behind iova: it holds iova, or iova lies in the hole before it. */
static uint32_t
first_behind(const struct lm_vu_dma_table *t, uint64_t iova)
{
	uint32_t lo = 0, hi = t->nb;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct lm_vu_dma_entry *e = &t->entries[mid];

		if (e->iova + (e->size_bytes - 1) < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
map_check(const struct lm_vu_dma_map *map, int fd)
{
	const uint64_t low_bits = LM_VU_PAGE_BYTES - 1;
	if (map->flags == 0 || (map->flags & ~(LM_VU_PROT_READ | LM_VU_PROT_WRITE)) != 0)
		return -EINVAL;
	if (map->size == 0 || ((map->addr | map->size | map->offset) & low_bits) != 0)
		return -EINVAL;
	if (map->addr + (map->size - 1) < map->addr || map->size > SIZE_MAX)
		return -EINVAL;
	if (fd >= 0 && (map->offset > INT64_MAX || map->size > INT64_MAX - map->offset))
		return -EINVAL;
	return 0;
}

/* A mapping that reaches behind the end of its file would be a SIGBUS to come. */
static int
map_file(const struct lm_vu_dma_map *map, int fd, uint8_t **ptr)
{
	int prot = 0;
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 ||
			(uint64_t)st.st_size < map->offset + map->size)
		return -EINVAL;
	if ((map->flags & LM_VU_PROT_READ) != 0)
		prot |= PROT_READ;
	if ((map->flags & LM_VU_PROT_WRITE) != 0)
		prot |= PROT_WRITE;
	p = mmap(NULL, map->size, prot, MAP_SHARED | MAP_NORESERVE, fd, (off_t)map->offset);
	if (p == MAP_FAILED)
		return -errno;
	*ptr = p;
	return 0;
}

int
lm_vu_dma_add(struct lm_vu_dma_table *t, const struct lm_vu_dma_map *map, int fd)
{
	struct lm_vu_dma_entry e = {
		.iova = map->addr, .size_bytes = map->size, .prot = map->flags
	};
	uint32_t pos;
	int ret;

	ret = map_check(map, fd);
	if (ret < 0)
		return ret;
	pos = first_behind(t, e.iova);
	if (pos < t->nb && t->entries[pos].iova <= e.iova + (e.size_bytes - 1))
		return -EEXIST;
	if (t->nb == t->max)
		return -ENOSPC;
	if (fd >= 0) {
		ret = map_file(map, fd, &e.ptr);
		if (ret < 0)
			return ret;
	}
	memmove(&t->entries[pos + 1], &t->entries[pos], (t->nb - pos) * sizeof(e));
	t->entries[pos] = e;
	t->nb++;
	t->last = pos;
	return 0;
}

int
lm_vu_dma_find(const struct lm_vu_dma_table *t, uint64_t iova, uint64_t size_bytes)
{
	uint32_t pos = first_behind(t, iova);

	if (pos == t->nb || t->entries[pos].iova != iova ||
			t->entries[pos].size_bytes != size_bytes)
		return -ENOENT;
	return (int)pos;
}

void
lm_vu_dma_remove(struct lm_vu_dma_table *t, uint32_t index)
{
	struct lm_vu_dma_entry *e = &t->entries[index];

	if (e->ptr != NULL)
		munmap(e->ptr, e->size_bytes);
	t->nb--;
	memmove(e, e + 1, (t->nb - index) * sizeof(*e));
}

const struct lm_vu_dma_entry *
lm_vu_dma_lookup(struct lm_vu_dma_table *t, uint64_t iova, uint32_t prot)
{
	const struct lm_vu_dma_entry *e;
	uint32_t pos = t->last;

	if (pos >= t->nb || iova - t->entries[pos].iova >= t->entries[pos].size_bytes) {
		pos = first_behind(t, iova);
		if (pos == t->nb || t->entries[pos].iova > iova)
			return NULL;
		t->last = pos;
	}
	e = &t->entries[pos];
	return (e->prot & prot) == prot ? e : NULL;
}
