/* SPDX-License-Identifier: BSD-3-Clause */

/* What the kernel says about a device: regions, interrupts, apertures. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "lm_pci_vfio.h"

#define MAX_INFO_BYTES 65536u
/* Kernels before 5.4 name no apertures; 39 bits are what the smallest IOMMU in use translates. */
#define APERTURE_UNKNOWN_LAST ((UINT64_C(1) << 39) - 1)

/*
 * An information call that may grow: the kernel says in argsz how much it has.
 * NULL with errno set; else freed by the caller, *len are the valid bytes.
 */
static void *
get_info(const struct lm_sys *sys, int fd, unsigned long request, const void *fixed,
		uint32_t fixed_bytes, uint32_t *len)
{
	uint32_t size = fixed_bytes, argsz;
	void *info = NULL, *grown;
	int ret;

	for (;;) {
		grown = realloc(info, size);
		if (grown == NULL)
			break;
		info = grown;
		memset(info, 0, size);
		memcpy(info, fixed, fixed_bytes);
		memcpy(info, &size, sizeof(size)); /* argsz comes first in all of them */
		ret = sys->ioctl(fd, request, info);
		if (ret != 0) {
			errno = -ret;
			break;
		}
		memcpy(&argsz, info, sizeof(argsz));
		if (argsz <= size || argsz > MAX_INFO_BYTES) {
			*len = size;
			return info;
		}
		size = argsz;
	}
	free(info);
	return NULL;
}

/* The capability with this id in an information block, and how many bytes are behind it. */
static const void *
find_cap(const void *info, uint32_t len, uint32_t offset, uint16_t id, uint32_t *left)
{
	const struct vfio_info_cap_header *cap;
	uint32_t turns;

	for (turns = len / sizeof(*cap); turns > 0 && offset != 0; turns--) {
		if (offset > len || len - offset < sizeof(*cap) || offset % sizeof(uint32_t) != 0)
			return NULL;
		cap = (const void *)((const char *)info + offset);
		if (cap->id == id) {
			*left = len - offset;
			return cap;
		}
		offset = cap->next;
	}
	return NULL;
}

static void
map_bar(struct lm_pci *pci, unsigned int bar, const struct vfio_region_info *info, uint32_t len)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse = NULL;
	uint32_t left, i;

	if ((info->flags & VFIO_REGION_INFO_FLAG_CAPS) != 0)
		sparse = find_cap(info, len, info->cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP,
				&left);
	if (sparse == NULL) {
		lm_pci_bar_add_window(pci, bar, 0, info->size);
		return;
	}
	if (left < sizeof(*sparse) ||
			sparse->nr_areas > (left - sizeof(*sparse)) / sizeof(sparse->areas[0]))
		return;
	for (i = 0; i < sparse->nr_areas; i++)
		lm_pci_bar_add_window(pci, bar, sparse->areas[i].offset, sparse->areas[i].size);
}

static int
read_region(struct lm_pci *pci, struct lm_pci_vfio *vfio, uint32_t index)
{
	const struct vfio_region_info ask = { .index = index };
	struct vfio_region_info *info;
	struct lm_pci_bar *bar;
	uint32_t len;

	info = get_info(vfio->sys, vfio->device_fd, VFIO_DEVICE_GET_REGION_INFO, &ask, sizeof(ask),
			&len);
	if (info == NULL)
		return lm_pci_fail(pci, -errno, "region %u: %s", index, strerror(errno));
	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		vfio->config_offset = info->offset;
		if (info->size >= LM_PCI_CONFIG_MIN_BYTES)
			pci->config_bytes = info->size > 4096 ? 4096 : (uint32_t)info->size;
		free(info);
		return 0;
	}
	bar = &pci->bars[index];
	vfio->bar_offset[index] = info->offset;
	bar->size_bytes = info->size;
	bar->fd_offset = info->offset;
	if (info->size != 0 && (info->flags & VFIO_REGION_INFO_FLAG_MMAP) != 0) {
		bar->fd = fcntl(vfio->device_fd, F_DUPFD_CLOEXEC, 0);
		if (bar->fd >= 0)
			map_bar(pci, index, info, len);
	}
	free(info);
	return 0;
}

static int
read_irqs(struct lm_pci *pci, struct lm_pci_vfio *vfio)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	int ret;

	ret = vfio->sys->ioctl(vfio->device_fd, VFIO_DEVICE_GET_IRQ_INFO, &info);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "MSI-X information: %s", strerror(-ret));
	pci->nb_vectors = (info.flags & VFIO_IRQ_INFO_EVENTFD) != 0 ? info.count : 0;
	if (pci->nb_vectors > LM_PCI_MAX_VECTORS)
		return lm_pci_fail(pci, -EPROTO, "%u MSI-X vectors", pci->nb_vectors);
	return 0;
}

static int
by_address(const void *a, const void *b)
{
	const struct lm_pci_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static void
read_ranges(struct lm_pci *pci, const struct vfio_iommu_type1_info *info, uint32_t len)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap = NULL;
	uint32_t left, i;

	if ((info->flags & VFIO_IOMMU_INFO_CAPS) != 0)
		cap = find_cap(info, len, info->cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
				&left);
	if (cap != NULL && left >= sizeof(*cap) &&
			cap->nr_iovas <= (left - sizeof(*cap)) / sizeof(cap->iova_ranges[0])) {
		for (i = 0; i < cap->nr_iovas && pci->nb_ranges < LM_PCI_MAX_RANGES; i++) {
			if (cap->iova_ranges[i].start > cap->iova_ranges[i].end)
				continue;
			pci->ranges[pci->nb_ranges++] = (struct lm_pci_range){
				.first = cap->iova_ranges[i].start,
				.last = cap->iova_ranges[i].end,
			};
		}
	}
	if (pci->nb_ranges == 0)
		pci->ranges[pci->nb_ranges++] = (struct lm_pci_range){
			.first = 0, .last = APERTURE_UNKNOWN_LAST,
		};
	qsort(pci->ranges, pci->nb_ranges, sizeof(pci->ranges[0]), by_address);
}

static int
read_iommu(struct lm_pci *pci, struct lm_pci_vfio *vfio)
{
	const struct vfio_iommu_type1_info ask = { 0 };
	struct vfio_iommu_type1_info *info;
	uint64_t sizes;
	uint32_t len;

	if (vfio->container_fd < 0)
		return 0;
	info = get_info(vfio->sys, vfio->container_fd, VFIO_IOMMU_GET_INFO, &ask, sizeof(ask),
			&len);
	if (info == NULL)
		return lm_pci_fail(pci, -ENOTSUP, "no IOMMU that isolates it (%s): enable the "
				"IOMMU in firmware and kernel (intel_iommu=on)", strerror(errno));
	read_ranges(pci, info, len);
	sizes = (info->flags & VFIO_IOMMU_INFO_PGSIZES) != 0 ? info->iova_pgsizes : 0;
	if (sizes != 0 && (sizes & -sizes) > pci->page_bytes)
		pci->page_bytes = sizes & -sizes;
	free(info);
	return 0;
}

int
lm_pci_vfio_read(struct lm_pci *pci, struct lm_pci_vfio *vfio)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t i;
	int ret;

	ret = vfio->sys->ioctl(vfio->device_fd, VFIO_DEVICE_GET_INFO, &info);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "device information: %s", strerror(-ret));
	if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0 ||
			info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return lm_pci_fail(pci, -ENODEV, "not a PCI function (flags 0x%x, %u regions)",
				info.flags, info.num_regions);
	vfio->has_reset = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
	ret = read_region(pci, vfio, VFIO_PCI_CONFIG_REGION_INDEX);
	for (i = 0; i < LM_PCI_NUM_BARS && ret == 0; i++)
		ret = read_region(pci, vfio, i);
	if (ret == 0 && info.num_irqs > VFIO_PCI_MSIX_IRQ_INDEX)
		ret = read_irqs(pci, vfio);
	return ret != 0 ? ret : read_iommu(pci, vfio);
}
