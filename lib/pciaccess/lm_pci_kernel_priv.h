/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_KERNEL_PRIV_H
#define LM_PCI_KERNEL_PRIV_H

/* Inside of lib/pciaccess: what the two ways of opening without EAL share. */

#include "lm_pci_kernel.h"
#include "lm_pci_sysfs.h"
#include "lm_pci_vfio.h"

struct lm_pci_kernel_priv {
	struct lm_pci_vfio vfio; /* first: the ioctl back end looks at it */
	struct lm_pci_sysfs info;
	const char *root; /* while opening */
	int group_fd;
	int space_fd; /* the container, or /dev/iommu */
	uint32_t ioas_id;
	uint32_t hwpt_id; /* where tracks */
	bool tracks;      /* the IOMMU sets dirty bits, and the kernel tells them */
};

void lm_pci_kernel_close(struct lm_pci *pci);
int lm_pci_kernel_event_process(struct lm_pci *pci);
bool lm_pci_kernel_alive(const struct lm_pci *pci);
/** @return a descriptor, or -errno with words */
int lm_pci_kernel_open_file(struct lm_pci *pci, const char *path);

/* lm_pci_iommufd.c */
extern const struct lm_pci_ops lm_pci_iommufd_ops;
int lm_pci_iommufd_open(struct lm_pci *pci, const char *vf_token);

#endif /* LM_PCI_KERNEL_PRIV_H */
