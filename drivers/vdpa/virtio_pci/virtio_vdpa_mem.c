/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "virtio_vdpa.h"

/* The guest's memory: two maps of it; the device has it at IOVA = guest-physical address. */

void
virtio_vdpa_mem_clear(struct virtio_vdpa *dev)
{
	if (dev->gpa_to_hva != NULL)
		lm_imap_destroy(dev->gpa_to_hva);
	if (dev->hva_to_gpa != NULL)
		lm_imap_destroy(dev->hva_to_gpa);
	dev->gpa_to_hva = NULL;
	dev->hva_to_gpa = NULL;
}

/* Memory files are as old as their guest; so are these numbers together. */
static uint64_t
mem_id(const struct rte_vhost_memory *mem)
{
	uint64_t id = 14695981039346656037u;
	struct stat st;
	uint32_t i, j;

	for (i = 0; i < mem->nregions; i++) {
		if (fstat(mem->regions[i].fd, &st) != 0)
			memset(&st, 0, sizeof(st));
		const uint64_t part[] = { st.st_dev, st.st_ino, mem->regions[i].guest_phys_addr,
			mem->regions[i].size };

		for (j = 0; j < RTE_DIM(part); j++)
			id = (id ^ part[j]) * 1099511628211u;
	}
	return id | 1;
}

static int
mem_maps(struct virtio_vdpa *dev, const struct rte_vhost_memory *mem)
{
	struct lm_interval to_hva[VIRTIO_VDPA_MAX_REGIONS], to_gpa[VIRTIO_VDPA_MAX_REGIONS];
	const struct rte_vhost_mem_region *r;
	uint32_t i;
	int ret;

	dev->max_gpa = 0;
	for (i = 0; i < mem->nregions; i++) {
		r = &mem->regions[i];
		to_hva[i] = (struct lm_interval){ .from = r->guest_phys_addr,
			.to = r->host_user_addr, .len_bytes = r->size };
		to_gpa[i] = (struct lm_interval){ .from = r->host_user_addr,
			.to = r->guest_phys_addr, .len_bytes = r->size };
		dev->max_gpa = RTE_MAX(dev->max_gpa, r->guest_phys_addr + r->size);
	}
	virtio_vdpa_mem_clear(dev);
	ret = lm_imap_create(to_hva, mem->nregions, &dev->gpa_to_hva);
	if (ret == 0)
		ret = lm_imap_create(to_gpa, mem->nregions, &dev->hva_to_gpa);
	if (ret != 0) {
		virtio_vdpa_mem_clear(dev);
		VDPA_LOG(ERR, dev, "the front end's memory table is not usable: %s",
			strerror(-ret));
	}
	return ret;
}

static int
mem_map(struct virtio_vdpa *dev, const struct rte_vhost_memory *mem)
{
	struct lm_pci_dma dma[VIRTIO_VDPA_MAX_REGIONS];
	const struct rte_vhost_mem_region *r;
	uint64_t mapped = 0, kept = 0, begin = virtio_vdpa_now_us();
	uint32_t i;
	int ret;

	for (i = 0; i < mem->nregions; i++) {
		r = &mem->regions[i];
		/* rte_vhost maps each file from its offset 0, so this difference is the offset. */
		dma[i] = (struct lm_pci_dma){
			.iova = r->guest_phys_addr,
			.size_bytes = r->size,
			.vaddr = (void *)(uintptr_t)r->host_user_addr,
			.fd = r->fd,
			.fd_offset = r->host_user_addr - (uintptr_t)r->mmap_addr,
			.prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE,
		};
	}
	ret = lm_pci_mem_sync(dev->pci, dma, mem->nregions, &mapped, &kept);
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_MAPPED_PAGES, mapped);
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_KEPT_PAGES, kept);
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_MAP_US, virtio_vdpa_now_us() - begin);
	if (ret != 0)
		VDPA_LOG(ERR, dev, "cannot map the guest's memory (%" PRIu32 " regions, up to 0x%"
			PRIx64 "): %s", mem->nregions, dev->max_gpa,
			lm_pci_strerror(dev->pci));
	return ret;
}

/* A log is made for the memory it covers; only telemetry looks at it while queues are off. */
static int
mem_log(struct virtio_vdpa *dev)
{
	struct lm_vhost_log *old = dev->log, *log;
	int ret;

	if (old != NULL && dev->log_max_gpa >= dev->max_gpa)
		return 0;
	ret = lm_vhost_log_create(dev->max_gpa, &log);
	if (ret == 0) {
		rte_spinlock_lock(&dev->log_lock);
		dev->log = log;
		rte_spinlock_unlock(&dev->log_lock);
		if (old != NULL)
			lm_vhost_log_destroy(old);
	} else {
		VDPA_LOG(ERR, dev, "cannot make a dirty log for 0x%" PRIx64 " bytes: %s",
			dev->max_gpa, strerror(-ret));
		return ret;
	}
	dev->log_max_gpa = dev->max_gpa;
	lm_vhost_log_set_drop(dev->log, dev->args.test_log_drop);
	return 0;
}

int
virtio_vdpa_mem_sync(struct virtio_vdpa *dev)
{
	struct rte_vhost_memory *mem = NULL;
	int ret;

	if (rte_vhost_get_mem_table(dev->vid, &mem) != 0 || mem == NULL) {
		VDPA_LOG(ERR, dev, "the front end has given no memory table");
		return -ENODATA;
	}
	if (mem->nregions == 0 || mem->nregions > VIRTIO_VDPA_MAX_REGIONS)
		ret = -E2BIG;
	else
		ret = mem_maps(dev, mem);
	if (ret == 0)
		ret = mem_map(dev, mem);
	if (ret == 0)
		ret = mem_log(dev);
	if (ret == 0)
		dev->memory_id = mem_id(mem);
	free(mem);
	return ret;
}

void
virtio_vdpa_mem_release(struct virtio_vdpa *dev)
{
	int ret;

	virtio_vdpa_mem_clear(dev);
	if (atomic_load(&dev->lost))
		return;
	ret = lm_pci_mem_sync(dev->pci, NULL, 0, NULL, NULL);
	if (ret != 0)
		VDPA_LOG(WARNING, dev, "cannot unmap the memory of the guest that left: %s",
			strerror(-ret));
	if (dev->args.premap[0] != '\0' &&
			lm_pci_premap(dev->pci, dev->args.premap) != 0)
		VDPA_LOG(INFO, dev, "premap=%s: not mapped for the next guest", dev->args.premap);
}

void
virtio_vdpa_mem_mark_all(struct virtio_vdpa *dev, const char *why)
{
	struct lm_log_cache cache = { 0 };
	const struct lm_interval *r;
	unsigned int i;

	if (dev->gpa_to_hva == NULL || dev->log == NULL)
		return;
	for (i = 0; i < lm_imap_count(dev->gpa_to_hva); i++) {
		r = lm_imap_get(dev->gpa_to_hva, i);
		lm_vhost_log_mark(dev->log, &cache, r->from, r->len_bytes);
	}
	lm_vhost_log_flush(dev->log, &cache);
	virtio_vdpa_count(dev, VIRTIO_VDPA_ALL_DIRTY, 1);
	virtio_vdpa_event(dev, why, "all memory dirty", cache.marks << LM_VHOST_LOG_PAGE_SHIFT, 0);
	VDPA_LOG(WARNING, dev, "%s: all of the guest's memory is marked dirty", why);
}
