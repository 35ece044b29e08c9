/* SPDX-License-Identifier: BSD-3-Clause */

/* Back end: the kernel's VFIO, by ioctl. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "lm_pci_mem.h"
#include "lm_pci_vfio.h"

static struct lm_pci_vfio *
vfio_of(struct lm_pci *pci)
{
	return pci->priv;
}

void
lm_pci_vfio_init(struct lm_pci_vfio *vfio, const struct lm_sys *sys)
{
	*vfio = (struct lm_pci_vfio){
		.sys = sys, .device_fd = -1, .container_fd = -1, .stream_fd = -1,
	};
	pthread_mutex_init(&vfio->log_lock, NULL);
}

static int
device_ioctl(struct lm_pci *pci, unsigned long request, void *arg)
{
	return vfio_of(pci)->sys->ioctl(vfio_of(pci)->device_fd, request, arg);
}

static int
container_ioctl(struct lm_pci *pci, unsigned long request, void *arg)
{
	return vfio_of(pci)->sys->ioctl(vfio_of(pci)->container_fd, request, arg);
}

static int
region_io(struct lm_pci *pci, ssize_t done, uint32_t len, const char *what, uint64_t offset)
{
	int err = done < 0 ? (int)done : -EIO;

	if (done == (ssize_t)len)
		return 0;
	return lm_pci_fail(pci, err, "%s of %u bytes at 0x%" PRIx64 ": %s", what, len, offset,
			strerror(-err));
}

int
lm_pci_vfio_config_read(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len)
{
	const struct lm_pci_vfio *v = vfio_of(pci);

	return region_io(pci, v->sys->pread(v->device_fd, buf, len,
			(off_t)(v->config_offset + offset)), len, "config read", offset);
}

int
lm_pci_vfio_config_write(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len)
{
	const struct lm_pci_vfio *v = vfio_of(pci);

	return region_io(pci, v->sys->pwrite(v->device_fd, buf, len,
			(off_t)(v->config_offset + offset)), len, "config write", offset);
}

int
lm_pci_vfio_bar_read(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf, uint32_t len)
{
	const struct lm_pci_vfio *v = vfio_of(pci);

	return region_io(pci, v->sys->pread(v->device_fd, buf, len,
			(off_t)(v->bar_offset[bar] + offset)), len, "BAR read", offset);
}

int
lm_pci_vfio_bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		uint32_t len)
{
	const struct lm_pci_vfio *v = vfio_of(pci);

	return region_io(pci, v->sys->pwrite(v->device_fd, buf, len,
			(off_t)(v->bar_offset[bar] + offset)), len, "BAR write", offset);
}

static int
set_irqs(struct lm_pci *pci, uint32_t flags, uint32_t first, uint32_t count, const int *eventfds)
{
	size_t data_bytes = eventfds != NULL ? count * sizeof(*eventfds) : 0;
	struct vfio_irq_set *set;
	int ret;

	set = malloc(sizeof(*set) + data_bytes);
	if (set == NULL)
		return -ENOMEM;
	*set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(*set) + data_bytes), .flags = flags,
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .start = first, .count = count,
	};
	if (eventfds != NULL)
		memcpy(set->data, eventfds, data_bytes);
	ret = device_ioctl(pci, VFIO_DEVICE_SET_IRQS, set);
	/* Positive: so many vectors would have been there. */
	ret = ret > 0 ? -ENOSPC : ret;
	free(set);
	return ret;
}

int
lm_pci_vfio_irq_set(struct lm_pci *pci, uint32_t first, uint32_t count, const int *eventfds)
{
	const uint32_t flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	struct lm_pci_vfio *v = vfio_of(pci);
	int *all;
	uint32_t i;
	int ret;

	if (v->irq_enabled) {
		ret = set_irqs(pci, flags, first, count, eventfds);
	} else {
		/* Kernels before 6.5 cannot add vectors later: take all of them with the first. */
		all = malloc(pci->nb_vectors * sizeof(*all));
		if (all == NULL)
			return lm_pci_fail(pci, -ENOMEM, "no memory");
		for (i = 0; i < pci->nb_vectors; i++)
			all[i] = i >= first && i - first < count ? eventfds[i - first] : -1;
		ret = set_irqs(pci, flags, 0, pci->nb_vectors, all);
		free(all);
		v->irq_enabled = ret == 0;
	}
	if (ret != 0)
		return lm_pci_fail(pci, ret, "cannot bind MSI-X vectors %u..%u of %u: %s", first,
				first + count - 1, pci->nb_vectors, strerror(-ret));
	return 0;
}

int
lm_pci_vfio_irq_disable(struct lm_pci *pci)
{
	struct lm_pci_vfio *v = vfio_of(pci);
	int ret;

	if (!v->irq_enabled)
		return 0;
	v->irq_enabled = false;
	ret = set_irqs(pci, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL);
	return ret != 0 ? lm_pci_fail(pci, ret, "cannot disable MSI-X: %s", strerror(-ret)) : 0;
}

int
lm_pci_vfio_dma_map(struct lm_pci *pci, struct lm_pci_dma *dma)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .iova = dma->iova, .size = dma->size_bytes,
	};
	void *own = NULL;
	int ret;

	if (vfio_of(pci)->container_fd < 0)
		return -ENOTSUP;
	if ((dma->prot & LM_PCI_PROT_READ) != 0)
		map.flags |= VFIO_DMA_MAP_FLAG_READ;
	if ((dma->prot & LM_PCI_PROT_WRITE) != 0)
		map.flags |= VFIO_DMA_MAP_FLAG_WRITE;
	/* The caller's address may go away before the mapping does: a VM's files get our own. */
	if (dma->fd >= 0) {
		own = mmap(NULL, dma->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, dma->fd,
				(off_t)dma->fd_offset);
		if (own == MAP_FAILED)
			return -errno;
		dma->vaddr = own;
	}
	map.vaddr = (uintptr_t)dma->vaddr;
	ret = container_ioctl(pci, VFIO_IOMMU_MAP_DMA, &map);
	if (ret != 0 && own != NULL)
		munmap(own, dma->size_bytes);
	return ret;
}

int
lm_pci_vfio_dma_unmap(struct lm_pci *pci, const struct lm_pci_map *map)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = map->dma.iova, .size = map->dma.size_bytes,
	};
	int ret;

	ret = container_ioctl(pci, VFIO_IOMMU_UNMAP_DMA, &unmap);
	if (ret == 0 && unmap.size != map->dma.size_bytes)
		ret = -EIO;
	if (map->file.valid)
		munmap(map->dma.vaddr, map->dma.size_bytes);
	return ret;
}

int
lm_pci_vfio_reset(struct lm_pci *pci)
{
	int ret;

	if (!vfio_of(pci)->has_reset)
		return lm_pci_fail(pci, -ENOTSUP, "the kernel knows no way to reset it alone");
	ret = device_ioctl(pci, VFIO_DEVICE_RESET, NULL);
	return ret != 0 ? lm_pci_fail(pci, ret, "reset: %s", strerror(-ret)) : 0;
}

int
lm_pci_vfio_feature(struct lm_pci *pci, uint32_t flags, void *data, uint32_t in_len,
		uint32_t out_max)
{
	uint32_t data_bytes = in_len > out_max ? in_len : out_max;
	struct vfio_device_feature *feature;
	int ret;

	if (data_bytes > UINT32_MAX - sizeof(*feature))
		return lm_pci_fail(pci, -EINVAL, "feature 0x%x of %u bytes", flags, data_bytes);
	feature = calloc(1, sizeof(*feature) + data_bytes);
	if (feature == NULL)
		return lm_pci_fail(pci, -ENOMEM, "no memory");
	feature->argsz = (uint32_t)sizeof(*feature) + data_bytes;
	feature->flags = flags;
	if (in_len > 0)
		memcpy(feature->data, data, in_len);
	ret = device_ioctl(pci, VFIO_DEVICE_FEATURE, feature);
	if (ret < 0) {
		lm_pci_fail(pci, ret, "feature 0x%x: %s", flags, strerror(-ret));
	} else {
		ret = (int)out_max;
		if (out_max > 0)
			memcpy(data, feature->data, out_max);
	}
	free(feature);
	return ret;
}

void
lm_pci_vfio_release(struct lm_pci *pci)
{
	struct lm_pci_vfio *v = vfio_of(pci);

	if (v->stream_fd >= 0)
		v->sys->close(v->stream_fd);
	v->stream_fd = -1;
	if (v->log_bitmap != NULL)
		munmap(v->log_bitmap, LM_PCI_LOG_BITMAP_BYTES);
	v->log_bitmap = NULL;
	lm_pci_vfio_irq_disable(pci);
	while (pci->nb_maps > 0)
		lm_pci_unmap_at(pci, pci->nb_maps - 1);
}
