/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_SYSFS_H
#define LM_PCI_SYSFS_H

/**
 * @file
 * What sysfs says of a PCI function: what it is, who has it, and by which file VFIO gives it.
 */

#include <stdbool.h>
#include <stdint.h>

#define LM_PCI_BDF_BYTES 13 /* 0000:00:00.0 */

struct lm_pci_sysfs {
	char bdf[LM_PCI_BDF_BYTES];
	uint16_t vendor;
	uint16_t device;
	uint32_t class_code;
	char driver[32]; /* "": bound to none */
	char pf[LM_PCI_BDF_BYTES]; /* "": not a VF */
	char pf_driver[32];
	uint32_t nb_vfs;
	int group; /* -1: no IOMMU group */
	int cdev;  /* N of /dev/vfio/devices/vfioN; -1: none */
	/** Another member of the group that VFIO does not have, and who has it; "": none. */
	char stranger[LM_PCI_BDF_BYTES];
	char stranger_driver[32];
};

/** vfio-pci itself, or a variant driver by its name: pds_vfio_pci, mlx5-vfio-pci, ... */
bool lm_pci_is_vfio_driver(const char *name);

/**
 * Read it.
 *
 * @param root before all paths; "" for this machine
 * @param bdf 0000:01:00.1, or without the domain
 * @return 0; -EINVAL: no address; -ENODEV: no such function
 */
int lm_pci_sysfs_read(const char *root, const char *bdf, struct lm_pci_sysfs *info);

#endif /* LM_PCI_SYSFS_H */
