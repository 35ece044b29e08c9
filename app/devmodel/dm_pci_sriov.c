/* SPDX-License-Identifier: BSD-3-Clause */

#include <linux/pci_regs.h>

#include "dm_pci_sriov.h"

#define DM_PCI_SRIOV_AT PCI_CFG_SPACE_SIZE
#define DM_PCI_SRIOV_PAGES 0x553u /* 4 KiB to 4 MiB, as the specification wants */

static void
dm_pci_vf_bar(struct dm_pci *pci, unsigned int bar, uint64_t size_bytes, bool is_64bit)
{
	uint32_t at = DM_PCI_SRIOV_AT + PCI_SRIOV_BAR + 4 * bar;
	uint64_t mask = ~(size_bytes - 1);

	if (is_64bit) {
		dm_pci_put(pci, at, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
		dm_pci_allow(pci, at + 4, (uint32_t)(mask >> 32), 4);
	}
	dm_pci_allow(pci, at, (uint32_t)mask & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK, 4);
}

void
dm_pci_add_sriov(struct dm_pci *pci, const struct dm_pci_sriov_conf *conf)
{
	const uint32_t at = DM_PCI_SRIOV_AT;
	unsigned int bar;

	dm_pci_put(pci, at, PCI_EXT_CAP_ID_SRIOV | 1 << 16, 4);
	dm_pci_put(pci, at + PCI_SRIOV_INITIAL_VF, conf->nb_vfs, 2);
	dm_pci_put(pci, at + PCI_SRIOV_TOTAL_VF, conf->nb_vfs, 2);
	dm_pci_put(pci, at + PCI_SRIOV_VF_OFFSET, DM_PCI_VF_FIRST, 2);
	dm_pci_put(pci, at + PCI_SRIOV_VF_STRIDE, DM_PCI_VF_STRIDE, 2);
	dm_pci_put(pci, at + PCI_SRIOV_VF_DID, conf->vf_device, 2);
	dm_pci_put(pci, at + PCI_SRIOV_SUP_PGSIZE, DM_PCI_SRIOV_PAGES, 4);
	dm_pci_put(pci, at + PCI_SRIOV_SYS_PGSIZE, 1, 4);
	dm_pci_allow(pci, at + PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE, 2);
	dm_pci_allow(pci, at + PCI_SRIOV_NUM_VF, UINT16_MAX, 2);
	dm_pci_allow(pci, at + PCI_SRIOV_SYS_PGSIZE, DM_PCI_SRIOV_PAGES, 4);
	for (bar = 0; bar < 6; bar++)
		if (conf->bar_bytes[bar] != 0)
			dm_pci_vf_bar(pci, bar, conf->bar_bytes[bar], conf->bar_64bit[bar]);
}
