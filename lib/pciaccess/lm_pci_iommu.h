/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_IOMMU_H
#define LM_PCI_IOMMU_H

/**
 * @file
 * Dirty bits of the IOMMU, for functions that lm_pci_open_kernel() has opened by their character
 * device (LM_PCI_KERNEL_CDEV): what any device of the address space has written. Pages mapped by
 * larger ones of the IOMMU are reported whole.
 *
 * One thread at a time, which may be another than the one that migrates the function.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_pci.h"

/** Does this function's IOMMU set dirty bits, and can the kernel tell them? */
bool lm_pci_iommu_tracks(const struct lm_pci *pci);
/** From now on; bits from before are cleared. @return 0; -ENOTSUP: it does not track */
int lm_pci_iommu_start(struct lm_pci *pci);
/**
 * Read and clear: ORs into bitmap, whose bit n is the page n after iova. Never asked of the kernel
 * across a hole, where it would stop without a word. After an error all of it counts as written.
 * @return 0; -EFAULT: part of it is not mapped; -EINVAL: not aligned; -ENOTSUP; -errno of the call
 */
int lm_pci_iommu_report(struct lm_pci *pci, uint64_t iova, uint64_t size_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap);
int lm_pci_iommu_stop(struct lm_pci *pci);

#endif /* LM_PCI_IOMMU_H */
