/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_MEM_H
#define LM_PCI_MEM_H

/* Inside of lib/pciaccess: the table of mappings; pci->lock is held unless said otherwise. */

#include "lm_pci_priv.h"

/* How messages name a region. */
#define LM_PCI_REGION "0x%" PRIx64 "+0x%" PRIx64
#define LM_PCI_REGION_ARGS(dma) (dma)->iova, (dma)->size_bytes

/** Alignment, reach and file of a region; needs no lock. */
int lm_pci_dma_check(const struct lm_pci *pci, const struct lm_pci_dma *dma,
		struct lm_pci_file *file);
int lm_pci_map_reserve(struct lm_pci *pci, uint32_t extra);
/** -EEXIST, with both names, when it overlaps any mapping. */
int lm_pci_map_one(struct lm_pci *pci, const struct lm_pci_dma *dma,
		const struct lm_pci_file *file, enum lm_pci_map_kind kind);
/** Forgets the mapping even when it fails (the device is gone then); keeps lm_pci_strerror(). */
int lm_pci_unmap_at(struct lm_pci *pci, uint32_t index);

#endif /* LM_PCI_MEM_H */
