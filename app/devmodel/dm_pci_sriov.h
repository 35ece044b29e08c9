/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_PCI_SRIOV_H
#define DM_PCI_SRIOV_H

/**
 * @file
 * SR-IOV capability of a PF (PCI Express Base, 9.3.3). It says what VFs there are; each VF is a
 * function with a socket of its own, there before and after VF Enable.
 */

#include "dm_pci.h"

#define DM_PCI_VF_FIRST 8  /* in steps of a slot, so that a bus without ARI holds them */
#define DM_PCI_VF_STRIDE 8

struct dm_pci_sriov_conf {
	uint16_t nb_vfs;
	uint16_t vf_device;
	uint64_t bar_bytes[6]; /* of each VF; 0: none */
	bool bar_64bit[6];
};

/** The first extended capability. */
void dm_pci_add_sriov(struct dm_pci *pci, const struct dm_pci_sriov_conf *conf);

#endif /* DM_PCI_SRIOV_H */
