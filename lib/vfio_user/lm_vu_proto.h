/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_PROTO_H
#define LM_VU_PROTO_H

/**
 * @file
 * The vfio-user wire format: messages on a UNIX stream socket, host byte order.
 *
 * Source: "vfio-user Protocol Specification" (QEMU, docs/interop/vfio-user.rst) and, for payloads
 * that the specification takes over from the kernel, include/uapi/linux/vfio.h.
 */

#include <assert.h>
#include <stdint.h>

#define LM_VU_MAJOR 0
#define LM_VU_MINOR 1

enum lm_vu_command {
	LM_VU_VERSION = 1,
	LM_VU_DMA_MAP = 2,
	LM_VU_DMA_UNMAP = 3,
	LM_VU_DEVICE_GET_INFO = 4,
	LM_VU_DEVICE_GET_REGION_INFO = 5,
	LM_VU_DEVICE_GET_REGION_IO_FDS = 6,
	LM_VU_DEVICE_GET_IRQ_INFO = 7,
	LM_VU_DEVICE_SET_IRQS = 8,
	LM_VU_REGION_READ = 9,
	LM_VU_REGION_WRITE = 10,
	LM_VU_DMA_READ = 11,
	LM_VU_DMA_WRITE = 12,
	LM_VU_DEVICE_RESET = 13,
	LM_VU_REGION_WRITE_MULTI = 15,
	LM_VU_DEVICE_FEATURE = 16,
	LM_VU_MIG_DATA_READ = 17,
	LM_VU_MIG_DATA_WRITE = 18,
	LM_VU_MIG_GET_PRECOPY_INFO = 19, /* optional capability, see lm_vu_caps */
	LM_VU_COMMAND_MAX
};

#define LM_VU_F_TYPE_MASK 0xfu
#define LM_VU_F_TYPE_COMMAND 0x0u
#define LM_VU_F_TYPE_REPLY 0x1u
#define LM_VU_F_NO_REPLY 0x10u
#define LM_VU_F_ERROR 0x20u

struct lm_vu_hdr {
	uint16_t msg_id;
	uint16_t command;
	uint32_t msg_size; /* header included */
	uint32_t flags;
	uint32_t error; /* an errno, when LM_VU_F_ERROR is set */
};
static_assert(sizeof(struct lm_vu_hdr) == 16, "vfio-user header is 16 bytes");

/* VFIO region and IRQ indexes of a PCI device (linux/vfio.h). */
enum lm_vu_region {
	LM_VU_REGION_BAR0 = 0,
	LM_VU_REGION_BAR5 = 5,
	LM_VU_REGION_ROM = 6,
	LM_VU_REGION_CONFIG = 7,
	LM_VU_REGION_VGA = 8,
	LM_VU_NUM_REGIONS = 9,
};

enum lm_vu_irq {
	LM_VU_IRQ_INTX = 0,
	LM_VU_IRQ_MSI = 1,
	LM_VU_IRQ_MSIX = 2,
	LM_VU_IRQ_ERR = 3,
	LM_VU_IRQ_REQ = 4,
	LM_VU_NUM_IRQS = 5,
};

/* DMA_MAP and region access rights. */
#define LM_VU_PROT_READ 0x1u
#define LM_VU_PROT_WRITE 0x2u

#define LM_VU_REGION_F_READ 0x1u
#define LM_VU_REGION_F_WRITE 0x2u
#define LM_VU_REGION_F_MMAP 0x4u
#define LM_VU_REGION_F_CAPS 0x8u

#define LM_VU_MAX_AREAS 64      /* sparse mmap areas of one region */
#define LM_VU_MAX_FDS 64        /* file descriptors in one message, whatever is negotiated */
#define LM_VU_MAX_XFER (1u << 20) /* payload bytes of one region, DMA or migration transfer */

/** What version negotiation settled; both ends keep one. */
struct lm_vu_caps {
	uint16_t minor;
	uint32_t max_msg_fds;
	uint32_t max_data_xfer_bytes;
	uint32_t max_dma_maps;
	uint64_t pgsizes;
	uint32_t mig_pgsize;       /* 0: peer offers no migration */
	uint64_t mig_max_bitmap_bytes;
	uint8_t write_multiple;    /* REGION_WRITE_MULTI understood */
	uint8_t twin_socket;       /* server-to-client commands travel on a second socket */
	uint8_t mig_precopy_info;  /* MIG_GET_PRECOPY_INFO understood */
	uint8_t mig_data_size;     /* feature MIG_DATA_SIZE understood */
	uint8_t iova_bits;         /* of the server: what its device can address; 0: not said */
};

#endif /* LM_VU_PROTO_H */
