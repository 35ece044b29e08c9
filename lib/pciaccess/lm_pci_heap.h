/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_HEAP_H
#define LM_PCI_HEAP_H

/**
 * @file
 * DPDK's own memory (rings, mbufs) made reachable by a function, at the IOVA that DPDK knows it by.
 *
 * Works for both back ends of lm_pci: behind a socket the files of the pages are handed on
 * (hugepages; with --no-huge EAL takes a memfd), behind the kernel the function's container gets
 * the mappings. Memory that is allocated later follows, by EAL's memory events; --no-huge has none
 * and needs none. External memory is not touched: who registers it maps it.
 */

#include "lm_pci.h"

struct lm_pci_heap;

/**
 * Map all of DPDK's memory, and what will come. One for each function; control thread.
 *
 * @param pci must outlive the heap
 * @return 0; -ENOMEM; -EBADF and what lm_pci_dma_map() returns: lm_pci_strerror() says which memory
 */
int lm_pci_heap_map(struct lm_pci *pci, struct lm_pci_heap **heap);
/** Nothing follows any more; what is mapped goes with the handle. NULL is allowed. */
void lm_pci_heap_unmap(struct lm_pci_heap *heap);

#endif /* LM_PCI_HEAP_H */
