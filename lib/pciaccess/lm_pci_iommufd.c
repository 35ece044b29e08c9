/* SPDX-License-Identifier: BSD-3-Clause */

/* Opening a function by its character device: an address space of iommufd, with dirty bits. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lm_iommufd_if.h"
#include "lm_pci_kernel_priv.h"
#include "lm_vfio_if.h"

#define UUID_BYTES 16u

static struct lm_pci_kernel_priv *
priv_of(const struct lm_pci *pci)
{
	return pci->priv;
}

static int
iommu_ioctl(struct lm_pci *pci, unsigned long request, void *arg)
{
	return priv_of(pci)->vfio.sys->ioctl(priv_of(pci)->space_fd, request, arg);
}

static int
iommufd_dma_map(struct lm_pci *pci, struct lm_pci_dma *dma)
{
	struct lm_iommu_ioas_map map = {
		.size = sizeof(map), .flags = LM_IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = priv_of(pci)->ioas_id, .length = dma->size_bytes, .iova = dma->iova,
	};
	void *own = NULL;
	int ret;

	if ((dma->prot & LM_PCI_PROT_READ) != 0)
		map.flags |= LM_IOMMU_IOAS_MAP_READABLE;
	if ((dma->prot & LM_PCI_PROT_WRITE) != 0)
		map.flags |= LM_IOMMU_IOAS_MAP_WRITEABLE;
	/* The caller's address may go away before the mapping does: a VM's files get our own. */
	if (dma->fd >= 0) {
		own = mmap(NULL, dma->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, dma->fd,
				(off_t)dma->fd_offset);
		if (own == MAP_FAILED)
			return -errno;
		dma->vaddr = own;
	}
	map.user_va = (uintptr_t)dma->vaddr;
	ret = iommu_ioctl(pci, LM_IOMMU_IOAS_MAP, &map);
	if (ret != 0 && own != NULL)
		munmap(own, dma->size_bytes);
	return ret;
}

static int
iommufd_dma_unmap(struct lm_pci *pci, const struct lm_pci_map *map)
{
	struct lm_iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = priv_of(pci)->ioas_id,
		.iova = map->dma.iova, .length = map->dma.size_bytes,
	};
	int ret;

	ret = iommu_ioctl(pci, LM_IOMMU_IOAS_UNMAP, &unmap);
	if (ret == 0 && unmap.length != map->dma.size_bytes)
		ret = -EIO;
	if (map->file.valid)
		munmap(map->dma.vaddr, map->dma.size_bytes);
	return ret;
}

const struct lm_pci_ops lm_pci_iommufd_ops = {
	.close = lm_pci_kernel_close,
	.event_process = lm_pci_kernel_event_process,
	.alive = lm_pci_kernel_alive,
	.config_read = lm_pci_vfio_config_read,
	.config_write = lm_pci_vfio_config_write,
	.bar_read = lm_pci_vfio_bar_read,
	.bar_write = lm_pci_vfio_bar_write,
	.bar_write_posted = lm_pci_vfio_bar_write,
	.irq_set = lm_pci_vfio_irq_set,
	.irq_disable = lm_pci_vfio_irq_disable,
	.dma_map = iommufd_dma_map,
	.dma_unmap = iommufd_dma_unmap,
	.reset = lm_pci_vfio_reset,
	.feature = lm_pci_vfio_feature,
	.mig = &lm_pci_vfio_mig_ops,
	.dma_needs_fd = false,
};

/* As the kernel reads it: bytes in the order of the text. */
static int
parse_uuid(const char *text, uint8_t uuid[UUID_BYTES])
{
	unsigned int i, value;

	for (i = 0; i < UUID_BYTES; i++, text += 2) {
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (*text++ != '-')
				return -EINVAL;
		}
		if (strspn(text, "0123456789abcdefABCDEF") < 2 || sscanf(text, "%2x", &value) != 1)
			return -EINVAL;
		uuid[i] = (uint8_t)value;
	}
	return *text == '\0' ? 0 : -EINVAL;
}

static int
bind_device(struct lm_pci *pci, const char *vf_token, uint32_t *dev_id)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	struct lm_vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind), .iommufd = (uint32_t)k->space_fd,
	};
	uint8_t uuid[UUID_BYTES];
	int ret;

	if (vf_token != NULL) {
		if (parse_uuid(vf_token, uuid) != 0)
			return lm_pci_fail(pci, -EINVAL, "a token is a UUID, which %s is not",
					vf_token);
		bind.flags = LM_VFIO_DEVICE_BIND_FLAG_TOKEN;
		bind.token_uuid_ptr = (uintptr_t)uuid;
	}
	ret = k->vfio.sys->ioctl(k->vfio.device_fd, LM_VFIO_DEVICE_BIND_IOMMUFD, &bind);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "cannot bind it to /dev/iommu%s: %s",
				ret == -EACCES || ret == -EINVAL ?
				", perhaps for want of the right VF token" : "", strerror(-ret));
	*dev_id = bind.out_devid;
	return 0;
}

/* A page table with dirty bits where the IOMMU has them; the attachment makes one otherwise. */
static uint32_t
make_table(struct lm_pci *pci, uint32_t dev_id)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	struct lm_iommu_hw_info info = { .size = sizeof(info), .dev_id = dev_id };
	struct lm_iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .flags = LM_IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
		.dev_id = dev_id, .pt_id = k->ioas_id,
	};

	if (iommu_ioctl(pci, LM_IOMMU_GET_HW_INFO, &info) != 0 ||
			(info.out_capabilities & LM_IOMMU_HW_CAP_DIRTY_TRACKING) == 0 ||
			iommu_ioctl(pci, LM_IOMMU_HWPT_ALLOC, &alloc) != 0)
		return k->ioas_id;
	k->tracks = true;
	k->hwpt_id = alloc.out_hwpt_id;
	return k->hwpt_id;
}

static int
read_apertures(struct lm_pci *pci)
{
	struct lm_iommu_iova_range ranges[LM_PCI_MAX_RANGES];
	struct lm_iommu_ioas_iova_ranges ask = {
		.size = sizeof(ask), .ioas_id = priv_of(pci)->ioas_id,
		.num_iovas = LM_PCI_MAX_RANGES, .allowed_iovas = (uintptr_t)ranges,
	};
	uint32_t i;
	int ret;

	ret = iommu_ioctl(pci, LM_IOMMU_IOAS_IOVA_RANGES, &ask);
	if (ret != 0 && ret != -EMSGSIZE)
		return lm_pci_fail(pci, ret, "apertures: %s", strerror(-ret));
	for (i = 0; i < ask.num_iovas && i < LM_PCI_MAX_RANGES; i++)
		pci->ranges[pci->nb_ranges++] = (struct lm_pci_range){
			.first = ranges[i].start, .last = ranges[i].last,
		};
	if (ask.out_iova_alignment > pci->page_bytes)
		pci->page_bytes = ask.out_iova_alignment;
	return 0;
}

static int
attach(struct lm_pci *pci, uint32_t dev_id)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	struct lm_vfio_device_attach_iommufd_pt pt = { .argsz = sizeof(pt) };
	struct lm_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret;

	ret = iommu_ioctl(pci, LM_IOMMU_IOAS_ALLOC, &alloc);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "no address space: %s", strerror(-ret));
	k->ioas_id = alloc.out_ioas_id;
	pt.pt_id = make_table(pci, dev_id);
	ret = k->vfio.sys->ioctl(k->vfio.device_fd, LM_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pt);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "cannot attach it to an address space: %s",
				strerror(-ret));
	return read_apertures(pci);
}

int
lm_pci_iommufd_open(struct lm_pci *pci, const char *vf_token)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	uint32_t dev_id = 0;
	char path[64];
	int ret;

	if (k->info.cdev < 0)
		return lm_pci_fail(pci, -ENOENT, "no character device: it wants Linux 6.6 or newer "
				"with CONFIG_VFIO_DEVICE_CDEV");
	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%d", k->info.cdev);
	k->vfio.device_fd = lm_pci_kernel_open_file(pci, path);
	if (k->vfio.device_fd < 0)
		return k->vfio.device_fd;
	k->space_fd = lm_pci_kernel_open_file(pci, "/dev/iommu");
	if (k->space_fd < 0)
		return k->space_fd;
	ret = bind_device(pci, vf_token, &dev_id);
	return ret == 0 ? attach(pci, dev_id) : ret;
}
