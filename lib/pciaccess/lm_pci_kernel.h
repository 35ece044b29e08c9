/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_KERNEL_H
#define LM_PCI_KERNEL_H

/**
 * @file
 * Opening a PCI function that the kernel's VFIO has, without EAL: by its group, or by its own
 * character device and iommufd. A process opens a function once, by one of the two or through EAL,
 * never by several.
 *
 * A group without an IOMMU (/dev/vfio/noiommu-N) opens too: all works but memory for the device,
 * lm_pci_dma_map() says -ENOTSUP.
 */

#include "lm_pci.h"

struct lm_sys;

enum lm_pci_kernel_way {
	LM_PCI_KERNEL_GROUP, /* /dev/vfio/N or noiommu-N: any kernel */
	LM_PCI_KERNEL_CDEV,  /* /dev/vfio/devices/vfioN: Linux 6.6 or newer, dirty bits */
};

struct lm_pci_kernel_params {
	enum lm_pci_kernel_way way;
	const char *vf_token;     /* a UUID, where the PF is VFIO's as well; may be NULL */
	const char *root;         /* before all paths; NULL for this machine */
	const struct lm_sys *sys; /* NULL: the kernel */
};

/**
 * Open it and read what it has. VFIO resets a function when it is opened and when it is closed.
 *
 * @param bdf 0000:01:00.1
 * @param params, kernel may be NULL
 * @return 0; -EINVAL: no address; -ENODEV: no such function, bound to no VFIO driver, or no IOMMU
 *   group; -EACCES, -EPERM: no permission, or a wrong token; -EBUSY: in use; -ENOENT: no such
 *   character device; else -errno of the call, which lm_pci_strerror(NULL) names
 */
int lm_pci_open_kernel(const char *bdf, const struct lm_pci_params *params,
		const struct lm_pci_kernel_params *kernel, struct lm_pci **pci);

#endif /* LM_PCI_KERNEL_H */
