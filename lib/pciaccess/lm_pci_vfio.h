/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_VFIO_H
#define LM_PCI_VFIO_H

/*
 * Inside of lib/pciaccess: the kernel's VFIO (linux/vfio.h), given a device and a type 1 container
 * that the caller has opened. What opens them differs (EAL's groups; later a character device).
 */

#include "lm_pci_priv.h"
#include "lm_sys.h"

/* Bits for 8 GiB of 4 KiB pages; within what any process may lock. */
#define LM_PCI_LOG_BITMAP_BYTES 0x40000u

struct lm_pci_vfio {
	const struct lm_sys *sys;
	int device_fd;
	int container_fd; /* -1: no IOMMU, no DMA */
	uint64_t config_offset; /* of configuration space in device_fd */
	uint64_t bar_offset[LM_PCI_NUM_BARS];
	bool irq_enabled;
	bool has_reset;
	int stream_fd; /* of the state that the device is in, -1 when it has none */
	bool stream_polls;
	bool has_reinit;
	pthread_mutex_t log_lock; /* log_bitmap */
	uint64_t *log_bitmap; /* locked; see lm_pci_vfio_log.c */
};

/** Nothing is open. */
void lm_pci_vfio_init(struct lm_pci_vfio *vfio, const struct lm_sys *sys);

/** Read regions, interrupts and apertures into pci. The fds stay the caller's. */
int lm_pci_vfio_read(struct lm_pci *pci, struct lm_pci_vfio *vfio);
/** Unbind interrupts, end all mappings, close the stream. */
void lm_pci_vfio_release(struct lm_pci *pci);

/* Members of struct lm_pci_ops; pci->priv starts with a struct lm_pci_vfio. */
int lm_pci_vfio_config_read(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len);
int lm_pci_vfio_config_write(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len);
int lm_pci_vfio_bar_read(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf,
		uint32_t len);
int lm_pci_vfio_bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		uint32_t len);
int lm_pci_vfio_irq_set(struct lm_pci *pci, uint32_t first, uint32_t count, const int *eventfds);
int lm_pci_vfio_irq_disable(struct lm_pci *pci);
int lm_pci_vfio_dma_map(struct lm_pci *pci, struct lm_pci_dma *dma);
int lm_pci_vfio_dma_unmap(struct lm_pci *pci, const struct lm_pci_map *map);
int lm_pci_vfio_reset(struct lm_pci *pci);
int lm_pci_vfio_feature(struct lm_pci *pci, uint32_t flags, void *data, uint32_t in_len,
		uint32_t out_max);

extern const struct lm_pci_mig_ops lm_pci_vfio_mig_ops;

/* lm_pci_vfio_log.c: its share of these ops. */
int lm_pci_vfio_log_start(struct lm_pci *pci, const struct lm_pci_log_range *ranges, uint32_t nb,
		uint64_t *page_size);
int lm_pci_vfio_log_report(struct lm_pci *pci, uint64_t iova, uint64_t size, uint64_t page_size,
		uint64_t *bitmap);
int lm_pci_vfio_log_stop(struct lm_pci *pci);
/** Sees to log_bitmap. @return 0 or -errno with words */
int lm_pci_vfio_bitmap_make(struct lm_pci *pci);

#endif /* LM_PCI_VFIO_H */
