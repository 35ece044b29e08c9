/* SPDX-License-Identifier: BSD-3-Clause */

/* Opening a function without EAL: by its group and a container of its own. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "lm_pci_kernel_priv.h"

static struct lm_pci_kernel_priv *
priv_of(const struct lm_pci *pci)
{
	return pci->priv;
}

void
lm_pci_kernel_close(struct lm_pci *pci)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	const int fds[] = { k->vfio.device_fd, k->group_fd, k->space_fd };
	unsigned int i;

	lm_pci_vfio_release(pci);
	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			k->vfio.sys->close(fds[i]);
	free(k);
}

/* The kernel tells nobody through these descriptors that a device is gone. */
int
lm_pci_kernel_event_process(struct lm_pci *pci)
{
	(void)pci;
	return 0;
}

bool
lm_pci_kernel_alive(const struct lm_pci *pci)
{
	(void)pci;
	return true;
}

static const struct lm_pci_ops group_ops = {
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
	.dma_map = lm_pci_vfio_dma_map,
	.dma_unmap = lm_pci_vfio_dma_unmap,
	.reset = lm_pci_vfio_reset,
	.feature = lm_pci_vfio_feature,
	.mig = &lm_pci_vfio_mig_ops,
	.dma_needs_fd = false,
};

int
lm_pci_kernel_open_file(struct lm_pci *pci, const char *path)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	char full[PATH_MAX];
	int fd;

	snprintf(full, sizeof(full), "%s%s", k->root, path);
	fd = k->vfio.sys->open(full, O_RDWR);
	return fd < 0 ? lm_pci_fail(pci, fd, "cannot open %s: %s", path, strerror(-fd)) : fd;
}

static int
open_group(struct lm_pci *pci, bool *noiommu)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/dev/vfio/%d", k->info.group);
	k->group_fd = lm_pci_kernel_open_file(pci, path);
	*noiommu = k->group_fd == -ENOENT;
	if (*noiommu) {
		snprintf(path, sizeof(path), "/dev/vfio/noiommu-%d", k->info.group);
		k->group_fd = lm_pci_kernel_open_file(pci, path);
	}
	if (k->group_fd < 0)
		return k->group_fd;
	ret = k->vfio.sys->ioctl(k->group_fd, VFIO_GROUP_GET_STATUS, &status);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "%s: %s", path, strerror(-ret));
	if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		return lm_pci_fail(pci, -ENODEV, "%s: not all devices of the group are VFIO's%s%s",
				path, k->info.stranger[0] != '\0' ? ", among them " : "",
				k->info.stranger);
	return 0;
}

static int
attach_container(struct lm_pci *pci, bool noiommu)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	const struct lm_sys *sys = k->vfio.sys;
	const unsigned long type = noiommu ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU;
	int ret;

	k->space_fd = lm_pci_kernel_open_file(pci, "/dev/vfio/vfio");
	if (k->space_fd < 0)
		return k->space_fd;
	ret = sys->ioctl(k->group_fd, VFIO_GROUP_SET_CONTAINER, &k->space_fd);
	if (ret == 0)
		ret = sys->ioctl(k->space_fd, VFIO_SET_IOMMU, (void *)(uintptr_t)type);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "no container for group %d: %s", k->info.group,
				strerror(-ret));
	if (!noiommu)
		k->vfio.container_fd = k->space_fd;
	return 0;
}

static int
get_device(struct lm_pci *pci, const char *vf_token)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "%s%s%s", k->info.bdf, vf_token != NULL ? " vf_token=" : "",
			vf_token != NULL ? vf_token : "");
	fd = k->vfio.sys->ioctl(k->group_fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (fd == -EACCES || fd == -EINVAL)
		return lm_pci_fail(pci, fd, "VFIO does not give it: %s VF token (%s)",
				vf_token != NULL ? "wrong" : "it wants a", strerror(-fd));
	if (fd < 0)
		return lm_pci_fail(pci, fd, "VFIO does not give it: %s", strerror(-fd));
	k->vfio.device_fd = fd;
	return 0;
}

static int
open_by_group(struct lm_pci *pci, const struct lm_pci_kernel_params *kernel)
{
	bool noiommu;
	int ret;

	if (priv_of(pci)->info.group < 0)
		return lm_pci_fail(pci, -ENODEV, "no IOMMU group. Enable the IOMMU in firmware "
				"and kernel (intel_iommu=on)");
	ret = open_group(pci, &noiommu);
	if (ret == 0)
		ret = attach_container(pci, noiommu);
	return ret == 0 ? get_device(pci, kernel->vf_token) : ret;
}

static int
open_checked(struct lm_pci *pci, const struct lm_pci_kernel_params *kernel)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	int ret;

	if (!lm_pci_is_vfio_driver(k->info.driver))
		return lm_pci_fail(pci, -ENODEV, "bound to %s. Type: "
				"dpdk-devbind.py --bind=vfio-pci %s", k->info.driver[0] != '\0' ?
				k->info.driver : "no driver", k->info.bdf);
	snprintf(pci->driver, sizeof(pci->driver), "%s", k->info.driver);
	ret = kernel->way == LM_PCI_KERNEL_CDEV ? lm_pci_iommufd_open(pci, kernel->vf_token) :
			open_by_group(pci, kernel);
	return ret == 0 ? lm_pci_vfio_read(pci, &k->vfio) : ret;
}

int
lm_pci_open_kernel(const char *bdf, const struct lm_pci_params *params,
		const struct lm_pci_kernel_params *kernel, struct lm_pci **out)
{
	static const struct lm_pci_kernel_params plain;
	struct lm_pci_params named = { 0 };
	struct lm_pci_kernel_priv *k;
	struct lm_pci *pci;
	int ret;

	if (kernel == NULL)
		kernel = &plain;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return lm_pci_fail(NULL, -ENOMEM, "no memory");
	lm_pci_vfio_init(&k->vfio, kernel->sys != NULL ? kernel->sys : &lm_sys_kernel);
	k->group_fd = -1;
	k->space_fd = -1;
	k->root = kernel->root != NULL ? kernel->root : "";
	ret = lm_pci_sysfs_read(k->root, bdf, &k->info);
	if (ret != 0) {
		free(k);
		return lm_pci_fail(NULL, ret, ret == -EINVAL ? "%s is no PCI address" :
				"there is no PCI function %s", bdf);
	}
	if (params != NULL)
		named = *params;
	if (named.name == NULL)
		named.name = k->info.bdf;
	ret = lm_pci_new(&named, kernel->way == LM_PCI_KERNEL_CDEV ? &lm_pci_iommufd_ops :
			&group_ops, &pci);
	if (ret != 0) {
		free(k);
		return lm_pci_fail(NULL, ret, "%s: no memory", bdf);
	}
	pci->priv = k;
	ret = open_checked(pci, kernel);
	if (ret != 0) {
		lm_pci_close(pci);
		return ret;
	}
	*out = pci;
	return 0;
}
