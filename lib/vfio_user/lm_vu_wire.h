/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_WIRE_H
#define LM_VU_WIRE_H

/**
 * @file
 * Payloads behind struct lm_vu_hdr, private to the two halves. Names of sections are those of the
 * vfio-user specification; structures without one there are the kernel's (linux/vfio.h).
 */

#include <assert.h>
#include <stdint.h>

#include "lm_vu_proto.h"

#define LM_VU_PAGE_BYTES 4096u
#define LM_VU_MAX_PAYLOAD (LM_VU_MAX_XFER + 4096u) /* data and the structure before it */
#define LM_VU_MAX_MSG ((uint32_t)sizeof(struct lm_vu_hdr) + LM_VU_MAX_PAYLOAD)
#define LM_VU_F_KNOWN (LM_VU_F_TYPE_MASK | LM_VU_F_NO_REPLY | LM_VU_F_ERROR)
#define LM_VU_MAX_ERRNO 4096u

/* VFIO_USER_VERSION: a NUL-terminated JSON text follows. */
struct lm_vu_version {
	uint16_t major;
	uint16_t minor;
};
static_assert(sizeof(struct lm_vu_version) == 4, "version");

/* VFIO_USER_DMA_MAP */
struct lm_vu_dma_map {
	uint32_t argsz;
	uint32_t flags; /* LM_VU_PROT_* */
	uint64_t offset;
	uint64_t addr;
	uint64_t size;
};
static_assert(sizeof(struct lm_vu_dma_map) == 32, "dma_map");

/* VFIO_USER_DMA_UNMAP; flag as VFIO_DMA_UNMAP_FLAG_ALL. */
#define LM_VU_UNMAP_ALL 0x2u
struct lm_vu_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t addr;
	uint64_t size;
};
static_assert(sizeof(struct lm_vu_dma_unmap) == 24, "dma_unmap");

/* VFIO_USER_DEVICE_GET_INFO */
#define LM_VU_DEVICE_F_RESET 0x1u
#define LM_VU_DEVICE_F_PCI 0x2u
struct lm_vu_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};
static_assert(sizeof(struct lm_vu_device_info) == 16, "device_info");

/* VFIO_USER_DEVICE_GET_REGION_INFO, struct vfio_region_info. */
struct lm_vu_wire_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset;
};
static_assert(sizeof(struct lm_vu_wire_region_info) == 32, "region_info");

/* struct vfio_info_cap_header and vfio_region_info_cap_sparse_mmap. */
#define LM_VU_CAP_SPARSE_MMAP 1u
struct lm_vu_cap_hdr {
	uint16_t id;
	uint16_t version;
	uint32_t next; /* from the start of region_info, 0: last */
};
static_assert(sizeof(struct lm_vu_cap_hdr) == 8, "cap_hdr");

struct lm_vu_wire_area {
	uint64_t offset;
	uint64_t size;
};
static_assert(sizeof(struct lm_vu_wire_area) == 16, "sparse area");

struct lm_vu_cap_sparse {
	struct lm_vu_cap_hdr hdr;
	uint32_t nr_areas;
	uint32_t reserved;
	struct lm_vu_wire_area areas[];
};
static_assert(sizeof(struct lm_vu_cap_sparse) == 16, "sparse cap");

/* VFIO_USER_DEVICE_GET_REGION_IO_FDS */
struct lm_vu_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
static_assert(sizeof(struct lm_vu_io_fds) == 16, "io_fds");

#define LM_VU_IO_FD_IOEVENTFD 0u
struct lm_vu_io_fd {
	uint64_t offset;
	uint64_t size;
	uint32_t fd_index;
	uint32_t type;
	uint32_t flags;
	uint32_t padding;
	uint64_t datamatch;
};
static_assert(sizeof(struct lm_vu_io_fd) == 40, "io_fd");

/* VFIO_USER_DEVICE_GET_IRQ_INFO, struct vfio_irq_info. */
#define LM_VU_IRQ_F_EVENTFD 0x1u
#define LM_VU_IRQ_F_MASKABLE 0x2u
#define LM_VU_IRQ_F_NORESIZE 0x8u
struct lm_vu_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
static_assert(sizeof(struct lm_vu_irq_info) == 16, "irq_info");

/* VFIO_USER_DEVICE_SET_IRQS, struct vfio_irq_set. */
#define LM_VU_IRQ_DATA_NONE 0x01u
#define LM_VU_IRQ_DATA_BOOL 0x02u
#define LM_VU_IRQ_DATA_EVENTFD 0x04u
#define LM_VU_IRQ_DATA_MASK 0x07u
#define LM_VU_IRQ_ACTION_MASK 0x08u
#define LM_VU_IRQ_ACTION_UNMASK 0x10u
#define LM_VU_IRQ_ACTION_TRIGGER 0x20u
#define LM_VU_IRQ_ACTIONS 0x38u
struct lm_vu_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
};
static_assert(sizeof(struct lm_vu_irq_set) == 20, "irq_set");

/* VFIO_USER_REGION_READ and _WRITE; data follows. */
struct lm_vu_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};
static_assert(sizeof(struct lm_vu_region_access) == 16, "region_access");

/* VFIO_USER_DMA_READ and _WRITE; data follows. */
struct lm_vu_dma_access {
	uint64_t addr;
	uint64_t count;
};
static_assert(sizeof(struct lm_vu_dma_access) == 16, "dma_access");
#define LM_VU_DMA_WRITE_REPLY_MIN 12u /* the specification's reply has a 4-byte count */

/* VFIO_USER_REGION_WRITE_MULTI: a u64 count, then this. */
struct lm_vu_multi_entry {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	uint8_t data[8];
};
static_assert(sizeof(struct lm_vu_multi_entry) == 24, "write_multi");

/* VFIO_USER_DEVICE_FEATURE, struct vfio_device_feature; data follows. */
#define LM_VU_FEATURE_INDEX_MASK 0xffffu
#define LM_VU_FEATURE_GET 0x10000u
#define LM_VU_FEATURE_SET 0x20000u
#define LM_VU_FEATURE_PROBE 0x40000u
#define LM_VU_FEATURE_KNOWN 0x7ffffu
struct lm_vu_feature {
	uint32_t argsz;
	uint32_t flags;
};
static_assert(sizeof(struct lm_vu_feature) == 8, "feature");

enum lm_vu_feature_index {
	LM_VU_FEATURE_MIGRATION = 1,
	LM_VU_FEATURE_MIG_STATE = 2,
	LM_VU_FEATURE_LOG_START = 6,
	LM_VU_FEATURE_LOG_STOP = 7,
	LM_VU_FEATURE_LOG_REPORT = 8,
	LM_VU_FEATURE_MIG_DATA_SIZE = 9,
};

#define LM_VU_MIG_F_STOP_COPY 0x1u
#define LM_VU_MIG_F_P2P 0x2u
#define LM_VU_MIG_F_PRE_COPY 0x4u
#define LM_VU_MIG_F_KNOWN 0x7u

/* enum vfio_device_mig_state */
enum lm_vu_mig_state {
	LM_VU_STATE_ERROR = 0,
	LM_VU_STATE_STOP = 1,
	LM_VU_STATE_RUNNING = 2,
	LM_VU_STATE_STOP_COPY = 3,
	LM_VU_STATE_RESUMING = 4,
	LM_VU_STATE_RUNNING_P2P = 5,
	LM_VU_STATE_PRE_COPY = 6,
	LM_VU_STATE_PRE_COPY_P2P = 7,
	LM_VU_STATE_MAX
};

struct lm_vu_mig_state_data {
	uint32_t device_state;
	uint32_t data_fd; /* unused in vfio-user */
};
static_assert(sizeof(struct lm_vu_mig_state_data) == 8, "mig_state");

/* DMA_LOGGING_START: the ranges follow inline. */
struct lm_vu_log_start {
	uint64_t page_size;
	uint32_t num_ranges; /* 0: everything */
	uint32_t reserved;
};
static_assert(sizeof(struct lm_vu_log_start) == 16, "log_start");

/* DMA_LOGGING_REPORT: the bitmap follows inline in the reply. */
struct lm_vu_log_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
};
static_assert(sizeof(struct lm_vu_log_report) == 24, "log_report");

/* VFIO_USER_MIG_DATA_READ and _WRITE; data follows. */
struct lm_vu_mig_data {
	uint32_t argsz;
	uint32_t size;
};
static_assert(sizeof(struct lm_vu_mig_data) == 8, "mig_data");

/* MIG_GET_PRECOPY_INFO: not in the specification, struct vfio_precopy_info. */
struct lm_vu_precopy_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t initial_bytes;
	uint64_t dirty_bytes;
};
static_assert(sizeof(struct lm_vu_precopy_info) == 24, "precopy_info");

/** Bytes of a bitmap of 64-bit words; UINT64_MAX when page_size is 0. */
static inline uint64_t
lm_vu_bitmap_bytes(uint64_t length_bytes, uint64_t page_size_bytes)
{
	uint64_t pages;

	if (page_size_bytes == 0)
		return UINT64_MAX;
	pages = length_bytes / page_size_bytes + (length_bytes % page_size_bytes != 0);
	return (pages / 64 + (pages % 64 != 0)) * 8;
}

#endif /* LM_VU_WIRE_H */
