/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "check.h"
#include "lm_pci_iommu.h"
#include "lm_pci_kernel.h"
#include "lm_pci_sysfs.h"

/* Who migrates what. 0 as device: all of the vendor's. */
static const struct known {
	uint16_t vendor;
	uint16_t device;
	const char *variant; /* Linux's variant driver */
	const char *ours;  /* who takes it in a DPDK application */
	const char *stock; /* who of DPDK's own does behind vfio-pci, NULL: none */
} known[] = {
	{ 0x1dd8, 0x1003, "pds_vfio_pci", "net_pds", "net_ionic" },
	{ 0x15b3, 0, "mlx5_vfio_pci", "net_mlx5_lm", NULL },
	{ 0x1af4, 0, "virtio_vfio_pci", "vdpa_virtio_pci (vdpa=1)", "net_virtio" },
};

static const struct known *
find_known(const struct lm_pci_sysfs *info)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(known); i++)
		if (known[i].vendor == info->vendor &&
				(known[i].device == 0 || known[i].device == info->device))
			return &known[i];
	return NULL;
}

static void
check_device(struct check *c, const struct lm_pci_sysfs *info)
{
	if (info->pf[0] != '\0')
		check_line(c, CHECK_OK, "device", NULL, "%04x:%04x, a VF of %s, whose driver is %s",
				info->vendor, info->device, info->pf, info->pf_driver[0] != '\0' ?
				info->pf_driver : "none");
	else
		check_line(c, CHECK_OK, "device", NULL, "%04x:%04x, not a VF%s", info->vendor,
				info->device, info->nb_vfs > 0 ? "; it has VFs of its own" : "");
}

static bool
check_driver(struct check *c, const struct lm_pci_sysfs *info)
{
	const struct known *k = find_known(info);
	const char *wanted = k != NULL && info->pf[0] != '\0' ? k->variant : "vfio-pci";
	char next[256];

	snprintf(next, sizeof(next), "modprobe %s && dpdk-devbind.py --bind=%s %s", wanted, wanted,
			info->bdf);
	if (info->driver[0] == '\0') {
		check_line(c, CHECK_BLOCKED, "driver", next, "bound to none");
		return false;
	}
	if (!lm_pci_is_vfio_driver(info->driver)) {
		check_line(c, CHECK_BLOCKED, "driver", next, "%s, which is not VFIO",
				info->driver);
		return false;
	}
	if (strcmp(info->driver, "vfio-pci") != 0)
		check_line(c, CHECK_OK, "driver", NULL, "%s, a variant driver of VFIO",
				info->driver);
	else
		check_line(c, CHECK_WARN, "driver", strcmp(wanted, "vfio-pci") != 0 ? next : NULL,
				"vfio-pci, which has no migration of its own");
	return true;
}

/* DPDK's PCI bus knows the driver by the name "vfio-pci" only. */
static void
check_claims(struct check *c, const struct lm_pci_sysfs *info)
{
	const struct known *k = find_known(info);
	bool any = strcmp(info->driver, "vfio-pci") == 0;

	if (k == NULL)
		check_line(c, CHECK_OK, "claimed-by", NULL, "no driver of dpdk-lm; its state can "
				"be moved all the same");
	else if (k->stock == NULL)
		check_line(c, CHECK_OK, "claimed-by", NULL, "%s of dpdk-lm", k->ours);
	else
		check_line(c, CHECK_OK, "claimed-by", NULL, "%s of dpdk-lm%s DPDK's %s", k->ours,
				any ? ", or" : "; not", k->stock);
}

static bool
check_group(struct check *c, const struct lm_pci_sysfs *info)
{
	char next[128];

	if (info->group < 0) {
		check_line(c, CHECK_BLOCKED, "iommu", "enable the IOMMU in firmware and kernel "
				"(intel_iommu=on, amd_iommu=on)", "no IOMMU group");
		return false;
	}
	if (info->stranger[0] == '\0') {
		check_line(c, CHECK_OK, "iommu", NULL, "group %d", info->group);
		return true;
	}
	snprintf(next, sizeof(next), "dpdk-devbind.py --bind=vfio-pci %s",
			info->stranger);
	check_line(c, CHECK_BLOCKED, "iommu", next, "group %d also has %s, which %s holds",
			info->group, info->stranger, info->stranger_driver);
	return false;
}

static void
check_open_failed(struct check *c, const struct lm_pci_sysfs *info, int error)
{
	const char *why = lm_pci_strerror(NULL);
	char next[160] = "look at dmesg";

	/* The name before the words is the device's, which the reader knows. */
	if (strncmp(why, info->bdf, strlen(info->bdf)) == 0)
		why += strlen(info->bdf) + strlen(": ");
	if (strstr(why, "token") != NULL)
		snprintf(next, sizeof(next), "%s", c->vf_token != NULL ?
				"give the token that the PF's owner has set" :
				"give --vf-token UUID, the one that the PF's owner has set");
	else if (error == -EACCES || error == -EPERM)
		snprintf(next, sizeof(next), "sudo chown $USER /dev/vfio/%d, or run as root",
				info->group);
	else if (error == -EBUSY)
		snprintf(next, sizeof(next), "end who has it: sudo fuser -v /dev/vfio/%d",
				info->group);
	else if (error == -ENOENT)
		snprintf(next, sizeof(next), "modprobe vfio-pci");
	check_line(c, CHECK_BLOCKED, "open", next, "%s", why);
}

/* A process opens a function once: by its group before, now by its character device. */
static void
check_dirty_bits(struct check *c, const struct lm_pci_sysfs *info)
{
	const struct lm_pci_kernel_params kernel = {
		.root = c->root, .vf_token = c->vf_token, .way = LM_PCI_KERNEL_CDEV,
	};
	struct lm_pci *pci;
	int ret;

	/* Kernels without it show the device's number all the same, but no file. */
	ret = info->cdev < 0 ? -ENOENT : lm_pci_open_kernel(c->device, NULL, &kernel, &pci);
	if (ret == -ENOENT) {
		check_line(c, CHECK_WARN, "iommu-bits", "modprobe iommufd; it wants Linux 6.6 or "
				"newer with CONFIG_VFIO_DEVICE_CDEV", "no character device: the "
				"IOMMU's dirty bits cannot be read");
		return;
	}
	if (ret != 0) {
		check_line(c, CHECK_WARN, "iommu-bits", "modprobe iommufd, and look at the rights "
				"of /dev/iommu and /dev/vfio/devices", "%s", lm_pci_strerror(NULL));
		return;
	}
	if (lm_pci_iommu_tracks(pci))
		check_line(c, CHECK_OK, "iommu-bits", NULL, "the IOMMU has dirty bits");
	else
		check_line(c, CHECK_WARN, "iommu-bits", NULL, "the IOMMU, or the kernel, has no "
				"dirty bits");
	lm_pci_close(pci);
}

void
check_pci(struct check *c)
{
	const struct lm_pci_kernel_params kernel = { .root = c->root, .vf_token = c->vf_token };
	struct lm_pci_sysfs info;
	struct lm_pci *pci;
	int ret;

	ret = lm_pci_sysfs_read(c->root, c->device, &info);
	if (ret != 0) {
		check_line(c, CHECK_BLOCKED, "device", "lspci -D shows what there is",
				"there is no PCI function %s", c->device);
		return;
	}
	check_device(c, &info);
	if (!check_driver(c, &info))
		return;
	check_claims(c, &info);
	if (!check_group(c, &info))
		return;
	ret = lm_pci_open_kernel(c->device, NULL, &kernel, &pci);
	if (ret != 0) {
		check_open_failed(c, &info, ret);
		return;
	}
	check_function(c, pci);
	check_migration(c, pci);
	lm_pci_close(pci);
	check_dirty_bits(c, &info);
}
