/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VFIO_IF_H
#define LM_VFIO_IF_H

/**
 * @file
 * What Linux's VFIO learned about migration after 6.1 (linux/vfio.h of 6.2, 6.6 and 7.2): our own
 * copy of the numbers, because the headers of older distributions lack them. What 6.1 has is taken
 * from there.
 */

#include <assert.h>
#include <stdint.h>

/** ioctls: _IO(';', 100 + n), without a size in them. */
#define LM_VFIO_DEVICE_BIND_IOMMUFD 0x3b76u
#define LM_VFIO_DEVICE_ATTACH_IOMMUFD_PT 0x3b77u
#define LM_VFIO_DEVICE_DETACH_IOMMUFD_PT 0x3b78u
#define LM_VFIO_MIG_GET_PRECOPY_INFO 0x3b79u

/** Indexes of VFIO_DEVICE_FEATURE. */
#define LM_VFIO_DEVICE_FEATURE_PCI_VF_TOKEN 0
#define LM_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE 9
#define LM_VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 12

#define LM_VFIO_MIGRATION_PRE_COPY 0x4u
#define LM_VFIO_DEVICE_STATE_PRE_COPY 6
#define LM_VFIO_DEVICE_STATE_PRE_COPY_P2P 7

/** Bit of lm_vfio_precopy_info.flags; means something only after MIG_PRECOPY_INFOv2. */
#define LM_VFIO_PRECOPY_INFO_REINIT 0x1u

/** Asked on the stream's descriptor, in PRE_COPY and PRE_COPY_P2P. */
struct lm_vfio_precopy_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t initial_bytes;
	uint64_t dirty_bytes;
};
static_assert(sizeof(struct lm_vfio_precopy_info) == 24, "linux/vfio.h");

struct lm_vfio_device_feature_mig_data_size {
	uint64_t stop_copy_length;
};
static_assert(sizeof(struct lm_vfio_device_feature_mig_data_size) == 8, "linux/vfio.h");

#define LM_VFIO_DEVICE_BIND_FLAG_TOKEN 0x1u

struct lm_vfio_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	uint32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr;
};
static_assert(sizeof(struct lm_vfio_device_bind_iommufd) == 24, "linux/vfio.h");

/** Without the PASID of newer kernels: argsz says how much of it there is. */
struct lm_vfio_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
};
static_assert(sizeof(struct lm_vfio_device_attach_iommufd_pt) == 12, "linux/vfio.h");

#endif /* LM_VFIO_IF_H */
