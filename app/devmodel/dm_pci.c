/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "dm_pci.h"

#define DM_PCI_FIRST_CAP 0x40
#define DM_PCI_EXPRESS_CAP_BYTES 0x3c

void
dm_pci_put(struct dm_pci *pci, uint32_t offset, uint32_t value, uint32_t len_bytes)
{
	uint32_t i;

	for (i = 0; i < len_bytes; i++)
		pci->config[offset + i] = (uint8_t)(value >> (8 * i));
}

void
dm_pci_allow(struct dm_pci *pci, uint32_t offset, uint32_t mask, uint32_t len_bytes)
{
	uint32_t i;

	for (i = 0; i < len_bytes; i++)
		pci->wmask[offset + i] |= (uint8_t)(mask >> (8 * i));
}

void
dm_pci_identify(struct dm_pci *pci, const struct dm_pci_ids *ids)
{
	dm_pci_put(pci, PCI_VENDOR_ID, ids->vendor, 2);
	dm_pci_put(pci, PCI_DEVICE_ID, ids->device, 2);
	dm_pci_put(pci, PCI_REVISION_ID, ids->revision, 1);
	dm_pci_put(pci, PCI_CLASS_PROG, ids->class_code, 3);
	dm_pci_put(pci, PCI_SUBSYSTEM_VENDOR_ID, ids->sub_vendor, 2);
	dm_pci_put(pci, PCI_SUBSYSTEM_ID, ids->sub_device, 2);
}

void
dm_pci_init(struct dm_pci *pci, const struct dm_pci_ops *ops, void *ctx)
{
	memset(pci, 0, sizeof(*pci));
	pci->ops = ops;
	pci->ctx = ctx;
	pci->next_cap = DM_PCI_FIRST_CAP;
	dm_pci_put(pci, PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	dm_pci_allow(pci, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE, 2);
	dm_pci_allow(pci, PCI_CACHE_LINE_SIZE, 0xff, 1);
	dm_pci_allow(pci, PCI_INTERRUPT_LINE, 0xff, 1);
}

void
dm_pci_add_bar(struct dm_pci *pci, unsigned int bar, uint64_t size_bytes, bool is_64bit)
{
	uint32_t offset = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t mask = ~(size_bytes - 1);

	if (is_64bit) {
		dm_pci_put(pci, offset, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
		dm_pci_allow(pci, offset + 4, (uint32_t)(mask >> 32), 4);
	}
	dm_pci_allow(pci, offset, (uint32_t)mask & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK, 4);
}

uint8_t
dm_pci_add_cap(struct dm_pci *pci, uint8_t id, uint8_t len_bytes)
{
	uint32_t offset = pci->next_cap;
	uint32_t end = (offset + len_bytes + 3) & ~3u;

	if (offset == 0 || end > PCI_CFG_SPACE_SIZE)
		return 0;
	pci->config[offset] = id;
	pci->config[pci->last_cap == 0 ? PCI_CAPABILITY_LIST :
			pci->last_cap + PCI_CAP_LIST_NEXT] = (uint8_t)offset;
	pci->last_cap = (uint8_t)offset;
	pci->next_cap = (uint8_t)end; /* 0 when the space is full */
	return (uint8_t)offset;
}

int
dm_pci_add_msix(struct dm_pci *pci, unsigned int bar, uint16_t nb_vectors)
{
	uint8_t cap;

	if (nb_vectors == 0 || nb_vectors > DM_PCI_MAX_VECTORS)
		return -EINVAL;
	cap = dm_pci_add_cap(pci, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	if (cap == 0)
		return -ENOSPC;
	pci->msix_cap = cap;
	pci->nb_vectors = nb_vectors;
	dm_pci_put(pci, cap + PCI_MSIX_FLAGS, nb_vectors - 1u, 2);
	dm_pci_put(pci, cap + PCI_MSIX_TABLE, DM_PCI_MSIX_TABLE_OFF | bar, 4);
	dm_pci_put(pci, cap + PCI_MSIX_PBA, DM_PCI_MSIX_PBA_OFF | bar, 4);
	dm_pci_allow(pci, cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	return 0;
}

int
dm_pci_add_express(struct dm_pci *pci)
{
	uint8_t cap = dm_pci_add_cap(pci, PCI_CAP_ID_EXP, DM_PCI_EXPRESS_CAP_BYTES);

	if (cap == 0)
		return -ENOSPC;
	pci->express_cap = cap;
	dm_pci_put(pci, cap + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4, 2);
	dm_pci_put(pci, cap + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR, 4);
	dm_pci_put(pci, cap + PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS_2_5GB | 1 << 4, 4);
	dm_pci_put(pci, cap + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1, 2);
	dm_pci_allow(pci, cap + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE |
			PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_PAYLOAD |
			PCI_EXP_DEVCTL_READRQ, 2);
	return 0;
}

void
dm_pci_seal(struct dm_pci *pci)
{
	memcpy(pci->initial, pci->config, sizeof(pci->initial));
	dm_pci_reset(pci);
}

void
dm_pci_reset(struct dm_pci *pci)
{
	uint16_t i;

	memcpy(pci->config, pci->initial, sizeof(pci->config));
	memset(pci->msix, 0, sizeof(pci->msix));
	for (i = 0; i < pci->nb_vectors; i++)
		pci->msix[i].words[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	pci->pending = 0;
	pci->ops->bus_master(pci->ctx, false);
}

static bool
dm_pci_overlaps(uint32_t offset, uint32_t len_bytes, uint32_t what, uint32_t what_bytes)
{
	return offset < what + what_bytes && what < offset + len_bytes;
}

void
dm_pci_config_read(struct dm_pci *pci, uint32_t offset, void *buf, uint32_t len_bytes)
{
	if (pci->window != 0 && dm_pci_overlaps(offset, len_bytes, pci->window, 4))
		pci->ops->window_read(pci->ctx, &pci->config[pci->window]);
	memcpy(buf, &pci->config[offset], len_bytes);
}

static void
dm_pci_msix_unmasked(struct dm_pci *pci)
{
	uint64_t pending = pci->pending;
	uint16_t i;

	pci->pending = 0;
	for (i = 0; i < pci->nb_vectors; i++)
		if ((pending & (UINT64_C(1) << i)) != 0 && dm_pci_msix_raise(pci, i))
			pci->ops->irq(pci->ctx, i);
}

void
dm_pci_config_write(struct dm_pci *pci, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	const uint8_t *in = buf;
	uint8_t *byte;
	uint32_t i;

	for (i = 0; i < len_bytes; i++) {
		byte = &pci->config[offset + i];
		*byte = (*byte & ~pci->wmask[offset + i]) | (in[i] & pci->wmask[offset + i]);
	}

	if (dm_pci_overlaps(offset, len_bytes, PCI_COMMAND, 2))
		pci->ops->bus_master(pci->ctx,
				(pci->config[PCI_COMMAND] & PCI_COMMAND_MASTER) != 0);
	if (pci->msix_cap != 0 && dm_pci_overlaps(offset, len_bytes,
			pci->msix_cap + PCI_MSIX_FLAGS, 2))
		dm_pci_msix_unmasked(pci);
	if (pci->window != 0 && dm_pci_overlaps(offset, len_bytes, pci->window, 4))
		pci->ops->window_write(pci->ctx, &pci->config[pci->window]);
	/* The bit itself reads as 0, so it is looked for in what was written. */
	i = pci->express_cap + PCI_EXP_DEVCTL + 1;
	if (pci->express_cap != 0 && dm_pci_overlaps(offset, len_bytes, i, 1) &&
			(in[i - offset] & (PCI_EXP_DEVCTL_BCR_FLR >> 8)) != 0)
		pci->ops->flr(pci->ctx);
}
