/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_PRIV_H
#define LM_PCI_PRIV_H

/* Inside of lib/pciaccess: the handle, and what a back end implements. */

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "lm_pci.h"
#include "lm_pci_mig.h"

#define LM_PCI_NAME_BYTES 64
#define LM_PCI_DRIVER_BYTES 32
#define LM_PCI_MAX_RANGES 16
#define LM_PCI_MAX_VECTORS 2048u
#define LM_PCI_CONFIG_MIN_BYTES 256u

/* PCI Local Bus 3.0, 6.1 and 6.7. */
#define LM_PCI_CFG_COMMAND 0x04
#define LM_PCI_CFG_COMMAND_MEMORY 0x0002
#define LM_PCI_CFG_COMMAND_MASTER 0x0004
#define LM_PCI_CFG_STATUS 0x06
#define LM_PCI_CFG_STATUS_CAP_LIST 0x0010
#define LM_PCI_CFG_CAP_POINTER 0x34
#define LM_PCI_CFG_CAP_FIRST 0x40
#define LM_PCI_CAP_ID_MSIX 0x11
#define LM_PCI_MSIX_CONTROL 2
#define LM_PCI_MSIX_CONTROL_ENABLE 0x8000
#define LM_PCI_MAX_CAPS ((LM_PCI_CONFIG_MIN_BYTES - LM_PCI_CFG_CAP_FIRST) / 4)

struct lm_pci_map;

/* lm_pci_mig.h; pci->mig_state is kept by the caller. */
struct lm_pci_mig_ops {
	int (*caps)(struct lm_pci *pci, struct lm_pci_mig_caps *caps);
	int (*get_state)(struct lm_pci *pci, uint32_t *state);
	int (*set_state)(struct lm_pci *pci, uint32_t state);
	int (*read)(struct lm_pci *pci, void *buf, uint32_t len);
	int (*write)(struct lm_pci *pci, const void *buf, uint32_t len);
	int (*poll_fd)(const struct lm_pci *pci);
	int (*precopy_info)(struct lm_pci *pci, struct lm_pci_mig_precopy *info);
	int (*data_size)(struct lm_pci *pci, uint64_t *bytes);
	int (*log_start)(struct lm_pci *pci, const struct lm_pci_log_range *ranges, uint32_t nb,
			uint64_t *page_size);
	int (*log_report)(struct lm_pci *pci, uint64_t iova, uint64_t size, uint64_t page_size,
			uint64_t *bitmap);
	int (*log_stop)(struct lm_pci *pci);
};

struct lm_pci_ops {
	void (*close)(struct lm_pci *pci);
	int (*event_process)(struct lm_pci *pci);
	bool (*alive)(const struct lm_pci *pci);
	int (*config_read)(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len);
	int (*config_write)(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len);
	/* Unmapped parts of a BAR; offset, length and alignment are checked. */
	int (*bar_read)(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf,
			uint32_t len);
	int (*bar_write)(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
			uint32_t len);
	int (*bar_write_posted)(struct lm_pci *pci, unsigned int bar, uint64_t offset,
			const void *buf, uint32_t len);
	int (*irq_set)(struct lm_pci *pci, uint32_t first, uint32_t count, const int *eventfds);
	int (*irq_disable)(struct lm_pci *pci);
	/* May replace dma->vaddr by what unmap wants to see again. */
	int (*dma_map)(struct lm_pci *pci, struct lm_pci_dma *dma);
	int (*dma_unmap)(struct lm_pci *pci, const struct lm_pci_map *map);
	int (*reset)(struct lm_pci *pci);
	int (*feature)(struct lm_pci *pci, uint32_t flags, void *data, uint32_t in_len,
			uint32_t out_max);
	const struct lm_pci_mig_ops *mig;
	bool dma_needs_fd; /* else vaddr */
};

struct lm_pci_window {
	uint64_t offset; /* in the BAR */
	uint64_t size_bytes;
	volatile uint8_t *addr;
};

struct lm_pci_ioeventfd {
	uint64_t offset;
	uint64_t size_bytes;
	int fd;
};

struct lm_pci_bar {
	uint64_t size_bytes; /* 0: absent */
	int fd;              /* owned; -1 when nothing can be mapped */
	uint64_t fd_offset;  /* of the BAR's first byte in fd */
	struct lm_pci_window *windows;
	uint32_t nb_windows;
	struct lm_pci_ioeventfd *ioeventfds;
	uint32_t nb_ioeventfds;
};

enum lm_pci_map_kind {
	LM_PCI_MAP_DRIVER,  /* lm_pci_dma_map(), lm_pci_mem_alloc() */
	LM_PCI_MAP_FOREIGN, /* lm_pci_mem_sync(), lm_pci_premap() */
};

/* What tells two mappings of the same memory from two that look alike. */
struct lm_pci_file {
	bool valid; /* false: memory without a file */
	dev_t dev;
	ino_t ino;
};

struct lm_pci_map {
	struct lm_pci_dma dma; /* fd is not kept */
	struct lm_pci_file file;
	enum lm_pci_map_kind kind;
};

struct lm_pci_range {
	uint64_t first;
	uint64_t last;
};

struct lm_pci {
	const struct lm_pci_ops *ops;
	void *priv; /* the back end's */
	char name[LM_PCI_NAME_BYTES];
	char driver[LM_PCI_DRIVER_BYTES]; /* the kernel's, "" where there is none */
	uint32_t mig_state; /* as last known; 0 (ERROR) before that */
	pthread_mutex_t lock; /* IRQ state and the table of mappings */
	int event_fd;
	uint32_t config_bytes;
	struct lm_pci_bar bars[LM_PCI_NUM_BARS];
	uint32_t nb_vectors;
	struct lm_pci_range ranges[LM_PCI_MAX_RANGES];
	uint32_t nb_ranges;
	uint64_t page_bytes;
	struct lm_pci_map *maps;
	uint32_t nb_maps;
	uint32_t max_maps; /* entries allocated */
};

int lm_pci_new(const struct lm_pci_params *params, const struct lm_pci_ops *ops,
		struct lm_pci **pci);
void lm_pci_free(struct lm_pci *pci);

/** PRE_COPY or PRE_COPY_P2P; a state with a stream that is read or written. */
bool lm_pci_mig_is_precopy(uint32_t state);
bool lm_pci_mig_has_stream(uint32_t state);

/** mmap one part of a BAR; a part that cannot be mapped safely is left to messages. */
int lm_pci_bar_add_window(struct lm_pci *pci, unsigned int bar, uint64_t offset,
		uint64_t size_bytes);

/** FILE[@IOVA[,SIZE[,OFFSET]]]; SIZE not given: dma->size_bytes is 0. */
int lm_pci_premap_parse(const char *spec, char *path, size_t path_bytes, struct lm_pci_dma *dma);

#endif /* LM_PCI_PRIV_H */
