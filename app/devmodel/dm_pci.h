/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_PCI_H
#define DM_PCI_H

/**
 * @file
 * Configuration space of one function, byte by byte with write masks, and its MSI-X table.
 *
 * Source: PCI Local Bus 3.0, chapters 6 and 6.8 (MSI-X); PCI Express Base, 7.8 (function-level
 * reset). Accesses of every width and alignment are allowed.
 */

#include <stdbool.h>
#include <stdint.h>

#define DM_PCI_CONFIG_BYTES 4096u
#define DM_PCI_MAX_VECTORS 64
#define DM_PCI_MSIX_TABLE_OFF 0x0u
#define DM_PCI_MSIX_PBA_OFF 0x800u
#define DM_PCI_MSIX_BAR_BYTES 0x1000u

struct dm_pci_ops {
	void (*bus_master)(void *ctx, bool on);
	/** The driver asked for a function-level reset. */
	void (*flr)(void *ctx);
	/** A window of 4 bytes on a BAR, see LM_VIRTIO_PCI_CAP_PCI_CFG. */
	void (*window_read)(void *ctx, uint8_t data[4]);
	void (*window_write)(void *ctx, const uint8_t data[4]);
	/** A vector that was masked when it was raised is unmasked. */
	void (*irq)(void *ctx, uint16_t vector);
};

struct dm_pci_ids {
	uint16_t vendor;
	uint16_t device;
	uint16_t sub_vendor;
	uint16_t sub_device;
	uint32_t class_code;
	uint8_t revision;
};

struct dm_pci_msix_entry {
	uint32_t words[4]; /* address, address, data, control */
	bool touched;      /* the driver wrote its control word: its mask bit counts */
};

struct dm_pci {
	uint8_t config[DM_PCI_CONFIG_BYTES];
	uint8_t initial[DM_PCI_CONFIG_BYTES];
	uint8_t wmask[DM_PCI_CONFIG_BYTES];
	uint8_t next_cap; /* where the next capability goes */
	uint8_t last_cap; /* whose next pointer is 0 */
	uint8_t msix_cap;
	uint8_t express_cap;
	uint8_t window;   /* 0: none */
	uint16_t nb_vectors;
	struct dm_pci_msix_entry msix[DM_PCI_MAX_VECTORS];
	uint64_t pending;
	const struct dm_pci_ops *ops;
	void *ctx;
};

void dm_pci_init(struct dm_pci *pci, const struct dm_pci_ops *ops, void *ctx);
void dm_pci_identify(struct dm_pci *pci, const struct dm_pci_ids *ids);
/** size_bytes: a power of two. A 64-bit BAR takes the next one too. */
void dm_pci_add_bar(struct dm_pci *pci, unsigned int bar, uint64_t size_bytes, bool is_64bit);
/** @return offset of a zeroed capability of len_bytes, id and link filled in; 0: no room. */
uint8_t dm_pci_add_cap(struct dm_pci *pci, uint8_t id, uint8_t len_bytes);
int dm_pci_add_msix(struct dm_pci *pci, unsigned int bar, uint16_t nb_vectors);
/** PCI Express capability of an endpoint that offers function-level reset. */
int dm_pci_add_express(struct dm_pci *pci);
void dm_pci_put(struct dm_pci *pci, uint32_t offset, uint32_t value, uint32_t len_bytes);
void dm_pci_allow(struct dm_pci *pci, uint32_t offset, uint32_t mask, uint32_t len_bytes);
/** All is built: what a reset comes back to. */
void dm_pci_seal(struct dm_pci *pci);
void dm_pci_reset(struct dm_pci *pci);

/* offset + len_bytes <= DM_PCI_CONFIG_BYTES. */
void dm_pci_config_read(struct dm_pci *pci, uint32_t offset, void *buf, uint32_t len_bytes);
void dm_pci_config_write(struct dm_pci *pci, uint32_t offset, const void *buf,
		uint32_t len_bytes);

/* The MSI-X BAR; offset + len_bytes <= DM_PCI_MSIX_BAR_BYTES. */
void dm_pci_msix_read(struct dm_pci *pci, uint32_t offset, void *buf, uint32_t len_bytes);
void dm_pci_msix_write(struct dm_pci *pci, uint32_t offset, const void *buf, uint32_t len_bytes);
/** @return true when the vector may fire now; else it is pending. */
bool dm_pci_msix_raise(struct dm_pci *pci, uint16_t vector);

#endif /* DM_PCI_H */
