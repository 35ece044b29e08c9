/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * MSI-X table and pending bits (PCI Local Bus 3.0, 6.8.2).
 *
 * Vectors reach the driver as eventfds, and a driver behind VFIO never writes the table: its
 * initial mask bits would silence it for ever. So a mask bit counts once its word was written.
 */

#include <string.h>

#include <linux/pci_regs.h>

#include "dm_pci.h"

static bool
dm_pci_msix_masked(const struct dm_pci *pci, uint16_t vector)
{
	const struct dm_pci_msix_entry *e = &pci->msix[vector];

	if ((pci->config[pci->msix_cap + PCI_MSIX_FLAGS + 1] & (PCI_MSIX_FLAGS_MASKALL >> 8)) != 0)
		return true;
	return e->touched && (e->words[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT) != 0;
}

bool
dm_pci_msix_raise(struct dm_pci *pci, uint16_t vector)
{
	if (vector >= pci->nb_vectors)
		return false;
	if (!dm_pci_msix_masked(pci, vector))
		return true;
	pci->pending |= UINT64_C(1) << vector;
	return false;
}

void
dm_pci_msix_read(struct dm_pci *pci, uint32_t offset, void *buf, uint32_t len_bytes)
{
	uint8_t *out = buf;
	uint32_t at, i;

	for (i = 0; i < len_bytes; i++) {
		at = offset + i;
		out[i] = 0;
		if (at / PCI_MSIX_ENTRY_SIZE < pci->nb_vectors)
			out[i] = (uint8_t)(pci->msix[at / PCI_MSIX_ENTRY_SIZE].words[
					at % PCI_MSIX_ENTRY_SIZE / 4] >> (8 * (at % 4)));
		else if (at >= DM_PCI_MSIX_PBA_OFF && at < DM_PCI_MSIX_PBA_OFF + 8)
			out[i] = (uint8_t)(pci->pending >> (8 * (at - DM_PCI_MSIX_PBA_OFF)));
	}
}

void
dm_pci_msix_write(struct dm_pci *pci, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	const uint8_t *in = buf;
	struct dm_pci_msix_entry *e;
	uint32_t at, i, word, shift;

	for (i = 0; i < len_bytes; i++) {
		at = offset + i;
		if (at / PCI_MSIX_ENTRY_SIZE >= pci->nb_vectors)
			break;
		e = &pci->msix[at / PCI_MSIX_ENTRY_SIZE];
		word = at % PCI_MSIX_ENTRY_SIZE / 4;
		shift = 8 * (at % 4);
		e->words[word] &= ~(0xffu << shift);
		e->words[word] |= (uint32_t)in[i] << shift;
		if (word == 3)
			e->touched = true;
	}
	for (i = 0; i < pci->nb_vectors; i++)
		if ((pci->pending & (UINT64_C(1) << i)) != 0 && !dm_pci_msix_masked(pci, i)) {
			pci->pending &= ~(UINT64_C(1) << i);
			pci->ops->irq(pci->ctx, (uint16_t)i);
		}
}
