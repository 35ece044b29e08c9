/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_EAL_H
#define LM_PCI_EAL_H

/**
 * @file
 * Kernel VFIO (group and container) back end of lm_pci, for devices that EAL's PCI bus found.
 *
 * Works on any variant driver's binding: the PCI driver is registered without
 * RTE_PCI_DRV_NEED_MAPPING and this code opens VFIO itself. A function bound to something that
 * is not VFIO is refused with a message that says what to bind.
 */

#include "lm_pci.h"

struct rte_pci_device;

int lm_pci_open_eal(struct rte_pci_device *dev, const struct lm_pci_params *params,
		struct lm_pci **pci);

#endif /* LM_PCI_EAL_H */
