/* SPDX-License-Identifier: BSD-3-Clause */

/* DMA mappings: the table of what the device can reach, and memory of the driver's own. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lm_pci_mem.h"

#define PAGE_4K 4096u

static bool
overlap(const struct lm_pci_dma *a, const struct lm_pci_dma *b)
{
	return a->iova <= b->iova + (b->size_bytes - 1) && b->iova <= a->iova + (a->size_bytes - 1);
}

static bool
reachable(const struct lm_pci *pci, const struct lm_pci_dma *dma)
{
	uint64_t last = dma->iova + (dma->size_bytes - 1);
	uint32_t i;

	for (i = 0; i < pci->nb_ranges; i++)
		if (dma->iova >= pci->ranges[i].first && last <= pci->ranges[i].last)
			return true;
	return false;
}

int
lm_pci_dma_check(const struct lm_pci *pci, const struct lm_pci_dma *dma, struct lm_pci_file *file)
{
	uint64_t mask = pci->page_bytes - 1;
	struct stat st;

	*file = (struct lm_pci_file){ 0 };
	if (dma->size_bytes == 0 || dma->size_bytes - 1 > UINT64_MAX - dma->iova)
		return lm_pci_fail(pci, -EINVAL, "region " LM_PCI_REGION " is empty or wraps",
				LM_PCI_REGION_ARGS(dma));
	if (((dma->iova | dma->size_bytes) & mask) != 0 ||
			(dma->fd >= 0 && (dma->fd_offset & mask) != 0))
		return lm_pci_fail(pci, -EINVAL, "region " LM_PCI_REGION " at offset 0x%" PRIx64
				" of its file is not aligned to the page of %" PRIu64,
				LM_PCI_REGION_ARGS(dma), dma->fd_offset, pci->page_bytes);
	if (dma->prot == 0 || (dma->prot & ~(LM_PCI_PROT_READ | LM_PCI_PROT_WRITE)) != 0)
		return lm_pci_fail(pci, -EINVAL, "region " LM_PCI_REGION " has rights 0x%x",
				LM_PCI_REGION_ARGS(dma), dma->prot);
	if (pci->nb_ranges == 0)
		return lm_pci_fail(pci, -ERANGE, "region " LM_PCI_REGION
				" is outside what the device can reach, which is nothing",
				LM_PCI_REGION_ARGS(dma));
	if (!reachable(pci, dma))
		return lm_pci_fail(pci, -ERANGE, "region " LM_PCI_REGION
				" is outside what the device can reach, 0x%" PRIx64 " to 0x%"
				PRIx64, LM_PCI_REGION_ARGS(dma), pci->ranges[0].first,
				pci->ranges[pci->nb_ranges - 1].last);
	if (dma->fd < 0) {
		if (pci->ops->dma_needs_fd || dma->vaddr == NULL)
			return lm_pci_fail(pci, -EBADF, "region " LM_PCI_REGION
					" has no file: the device's process cannot map it. "
					"Share the memory (share=on)", LM_PCI_REGION_ARGS(dma));
		return 0;
	}
	if (fstat(dma->fd, &st) != 0)
		return lm_pci_fail(pci, -errno, "region " LM_PCI_REGION ": fd %d is bad",
				LM_PCI_REGION_ARGS(dma), dma->fd);
	if (S_ISREG(st.st_mode) && (dma->size_bytes > (uint64_t)st.st_size ||
			dma->fd_offset > (uint64_t)st.st_size - dma->size_bytes))
		return lm_pci_fail(pci, -EFBIG, "region " LM_PCI_REGION " at offset 0x%" PRIx64
				" lies beyond its file of %jd bytes", LM_PCI_REGION_ARGS(dma),
				dma->fd_offset, (intmax_t)st.st_size);
	*file = (struct lm_pci_file){ .valid = true, .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

int
lm_pci_map_reserve(struct lm_pci *pci, uint32_t extra)
{
	struct lm_pci_map *grown;
	uint32_t need = pci->nb_maps + extra;

	if (need <= pci->max_maps)
		return 0;
	grown = realloc(pci->maps, need * sizeof(*grown));
	if (grown == NULL)
		return lm_pci_fail(pci, -ENOMEM, "no memory for %u mappings", need);
	pci->maps = grown;
	pci->max_maps = need;
	return 0;
}

int
lm_pci_map_one(struct lm_pci *pci, const struct lm_pci_dma *dma, const struct lm_pci_file *file,
		enum lm_pci_map_kind kind)
{
	struct lm_pci_map map = { .dma = *dma, .file = *file, .kind = kind };
	const struct lm_pci_dma *other;
	uint32_t i;
	int ret;

	for (i = 0; i < pci->nb_maps; i++) {
		other = &pci->maps[i].dma;
		if (overlap(other, dma))
			return lm_pci_fail(pci, -EEXIST, "region " LM_PCI_REGION
					" overlaps %s region " LM_PCI_REGION,
					LM_PCI_REGION_ARGS(dma),
					pci->maps[i].kind == LM_PCI_MAP_DRIVER ? "the driver's" :
					"the VM's", LM_PCI_REGION_ARGS(other));
	}
	ret = lm_pci_map_reserve(pci, 1);
	if (ret != 0)
		return ret;
	ret = pci->ops->dma_map(pci, &map.dma);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "cannot map region " LM_PCI_REGION ": %s",
				LM_PCI_REGION_ARGS(dma), strerror(-ret));
	map.dma.fd = -1;
	pci->maps[pci->nb_maps++] = map;
	return 0;
}

int
lm_pci_unmap_at(struct lm_pci *pci, uint32_t index)
{
	struct lm_pci_map map = pci->maps[index];

	pci->maps[index] = pci->maps[--pci->nb_maps];
	return pci->ops->dma_unmap(pci, &map);
}

int
lm_pci_dma_map(struct lm_pci *pci, const struct lm_pci_dma *dma)
{
	struct lm_pci_file file;
	int ret;

	ret = lm_pci_dma_check(pci, dma, &file);
	if (ret != 0)
		return ret;
	pthread_mutex_lock(&pci->lock);
	ret = lm_pci_map_one(pci, dma, &file, LM_PCI_MAP_DRIVER);
	pthread_mutex_unlock(&pci->lock);
	return ret;
}

int
lm_pci_dma_unmap(struct lm_pci *pci, uint64_t iova, uint64_t size)
{
	const struct lm_pci_map *m;
	int ret = -ENOENT;
	uint32_t i;

	pthread_mutex_lock(&pci->lock);
	for (i = 0; i < pci->nb_maps; i++) {
		m = &pci->maps[i];
		if (m->kind != LM_PCI_MAP_DRIVER || m->dma.iova != iova ||
				m->dma.size_bytes != size)
			continue;
		ret = lm_pci_unmap_at(pci, i);
		break;
	}
	pthread_mutex_unlock(&pci->lock);
	if (ret != 0)
		lm_pci_fail(pci, ret, "cannot unmap the driver's region 0x%" PRIx64 "+0x%" PRIx64
				": %s", iova, size, strerror(-ret));
	return ret;
}

static bool
same_mapping(const struct lm_pci_map *have, const struct lm_pci_dma *dma,
		const struct lm_pci_file *file)
{
	const struct lm_pci_dma *h = &have->dma;

	if (have->kind != LM_PCI_MAP_FOREIGN || (dma->prot & ~h->prot) != 0)
		return false;
	if (dma->iova < h->iova || dma->size_bytes > h->size_bytes ||
			dma->iova - h->iova > h->size_bytes - dma->size_bytes)
		return false;
	if (have->file.valid != file->valid)
		return false;
	/* Memory without a file is the same only if it is at the same address. */
	if (!file->valid)
		return (uintptr_t)dma->vaddr - (uintptr_t)h->vaddr == dma->iova - h->iova;
	return have->file.dev == file->dev && have->file.ino == file->ino &&
			dma->fd_offset - h->fd_offset == dma->iova - h->iova;
}

/* Wanted by at least one region, and in the way of none. */
static bool
keep_mapping(const struct lm_pci_map *have, const struct lm_pci_dma *regions,
		const struct lm_pci_file *files, unsigned int nb_regions)
{
	bool wanted = false;
	unsigned int i;

	for (i = 0; i < nb_regions; i++) {
		if (same_mapping(have, &regions[i], &files[i]))
			wanted = true;
		else if (overlap(&have->dma, &regions[i]))
			return false;
	}
	return wanted;
}

static bool
is_mapped(const struct lm_pci *pci, const struct lm_pci_dma *dma, const struct lm_pci_file *file)
{
	uint32_t i;

	for (i = 0; i < pci->nb_maps; i++)
		if (same_mapping(&pci->maps[i], dma, file))
			return true;
	return false;
}

static int
regions_check(struct lm_pci *pci, const struct lm_pci_dma *regions, unsigned int nb_regions,
		struct lm_pci_file *files)
{
	unsigned int i, j;
	int ret;

	for (i = 0; i < nb_regions; i++) {
		ret = lm_pci_dma_check(pci, &regions[i], &files[i]);
		if (ret != 0)
			return ret;
		for (j = 0; j < i; j++)
			if (overlap(&regions[i], &regions[j]))
				return lm_pci_fail(pci, -EEXIST, "regions " LM_PCI_REGION " and "
						LM_PCI_REGION " of the VM overlap",
						LM_PCI_REGION_ARGS(&regions[j]),
						LM_PCI_REGION_ARGS(&regions[i]));
	}
	return 0;
}

/* Drop what was added after the first nb_kept entries, newest first. */
static void
roll_back(struct lm_pci *pci, uint32_t nb_kept)
{
	while (pci->nb_maps > nb_kept)
		lm_pci_unmap_at(pci, pci->nb_maps - 1);
}

static int
mem_sync_locked(struct lm_pci *pci, const struct lm_pci_dma *regions, unsigned int nb_regions,
		const struct lm_pci_file *files, uint64_t pages[2])
{
	struct lm_pci_dma dma;
	uint32_t nb_kept, i;
	int ret = 0, err;

	/* Backwards, because the last entry moves into the place of a removed one. */
	for (i = pci->nb_maps; i > 0; i--) {
		if (pci->maps[i - 1].kind != LM_PCI_MAP_FOREIGN ||
				keep_mapping(&pci->maps[i - 1], regions, files, nb_regions))
			continue;
		dma = pci->maps[i - 1].dma;
		err = lm_pci_unmap_at(pci, i - 1);
		if (err != 0 && ret == 0)
			ret = lm_pci_fail(pci, err, "cannot unmap region " LM_PCI_REGION ": %s",
					LM_PCI_REGION_ARGS(&dma), strerror(-err));
	}
	nb_kept = pci->nb_maps;
	for (i = 0; i < nb_regions && ret == 0; i++) {
		if (is_mapped(pci, &regions[i], &files[i])) {
			pages[1] += regions[i].size_bytes / PAGE_4K;
			continue;
		}
		ret = lm_pci_map_one(pci, &regions[i], &files[i], LM_PCI_MAP_FOREIGN);
		pages[0] += regions[i].size_bytes / PAGE_4K;
	}
	if (ret != 0)
		roll_back(pci, nb_kept);
	return ret;
}

int
lm_pci_mem_sync(struct lm_pci *pci, const struct lm_pci_dma *regions, unsigned int nb_regions,
		uint64_t *mapped_pages, uint64_t *kept_pages)
{
	uint64_t pages[2] = { 0 };
	struct lm_pci_file *files;
	int ret;

	files = calloc(nb_regions + 1, sizeof(*files));
	if (files == NULL)
		return lm_pci_fail(pci, -ENOMEM, "no memory for %u regions", nb_regions);
	ret = regions_check(pci, regions, nb_regions, files);
	if (ret == 0) {
		pthread_mutex_lock(&pci->lock);
		ret = mem_sync_locked(pci, regions, nb_regions, files, pages);
		pthread_mutex_unlock(&pci->lock);
	}
	free(files);
	if (mapped_pages != NULL)
		*mapped_pages = ret == 0 ? pages[0] : 0;
	if (kept_pages != NULL)
		*kept_pages = ret == 0 ? pages[1] : 0;
	return ret;
}

/* Highest free place in a range, going down; false when none is left. */
static bool
place_in_range(const struct lm_pci *pci, const struct lm_pci_range *range,
		struct lm_pci_dma *dma)
{
	uint64_t mask = pci->page_bytes - 1, end = range->last;
	uint32_t i;

	/* end is the last byte that may be used; each turn of the loop passes below one mapping. */
	for (;;) {
		if (end < range->first || end - range->first < dma->size_bytes - 1)
			return false;
		dma->iova = (end - (dma->size_bytes - 1)) & ~mask;
		if (dma->iova < range->first)
			return false;
		for (i = 0; i < pci->nb_maps; i++)
			if (overlap(&pci->maps[i].dma, dma))
				break;
		if (i == pci->nb_maps)
			return true;
		if (pci->maps[i].dma.iova == 0)
			return false;
		end = pci->maps[i].dma.iova - 1;
	}
}

static bool
place(const struct lm_pci *pci, struct lm_pci_dma *dma)
{
	uint32_t i;

	for (i = pci->nb_ranges; i > 0; i--)
		if (place_in_range(pci, &pci->ranges[i - 1], dma))
			return true;
	return false;
}

int
lm_pci_mem_alloc(struct lm_pci *pci, uint64_t size, struct lm_pci_mem *mem)
{
	uint64_t mask = pci->page_bytes - 1;
	struct lm_pci_dma dma = {
		.prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE, .vaddr = MAP_FAILED,
	};
	struct lm_pci_file file;
	int ret = 0;

	if (size == 0 || size > INT64_MAX - mask)
		return lm_pci_fail(pci, -EINVAL, "%" PRIu64 " bytes of driver memory", size);
	dma.size_bytes = (size + mask) & ~mask;
	dma.fd = memfd_create(pci->name, MFD_CLOEXEC);
	if (dma.fd < 0)
		return lm_pci_fail(pci, -errno, "memfd_create: %s", strerror(errno));
	if (ftruncate(dma.fd, (off_t)dma.size_bytes) == 0)
		dma.vaddr = mmap(NULL, dma.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, dma.fd,
				0);
	if (dma.vaddr == MAP_FAILED) {
		ret = lm_pci_fail(pci, -errno, "driver memory of %" PRIu64 " bytes: %s",
				dma.size_bytes, strerror(errno));
		goto out;
	}
	pthread_mutex_lock(&pci->lock);
	if (!place(pci, &dma))
		ret = lm_pci_fail(pci, -ENOSPC, "no room for %" PRIu64
				" bytes of driver memory in what the device can reach",
				dma.size_bytes);
	if (ret == 0)
		ret = lm_pci_dma_check(pci, &dma, &file);
	if (ret == 0)
		ret = lm_pci_map_one(pci, &dma, &file, LM_PCI_MAP_DRIVER);
	pthread_mutex_unlock(&pci->lock);
out:
	if (ret != 0) {
		if (dma.vaddr != MAP_FAILED)
			munmap(dma.vaddr, dma.size_bytes);
		close(dma.fd);
		return ret;
	}
	*mem = (struct lm_pci_mem){
		.vaddr = dma.vaddr, .iova = dma.iova, .size_bytes = dma.size_bytes, .fd = dma.fd,
	};
	return 0;
}

void
lm_pci_mem_free(struct lm_pci *pci, struct lm_pci_mem *mem)
{
	if (mem->vaddr == NULL)
		return;
	/* A device that is gone has let go of its mappings: nothing to do about a failure. */
	lm_pci_dma_unmap(pci, mem->iova, mem->size_bytes);
	munmap(mem->vaddr, mem->size_bytes);
	close(mem->fd);
	*mem = (struct lm_pci_mem){ .fd = -1 };
}
