/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_IOMMUFD_IF_H
#define LM_IOMMUFD_IF_H

/**
 * @file
 * /dev/iommu (linux/iommufd.h of Linux 6.7): address spaces for devices, and the IOMMU's dirty
 * bits. Our own copy of the numbers, because the headers of older distributions lack them.
 */

#include <assert.h>
#include <stdint.h>

/** ioctls: _IO(';', n), without a size in them. */
#define LM_IOMMU_IOAS_ALLOC 0x3b81u
#define LM_IOMMU_IOAS_IOVA_RANGES 0x3b84u
#define LM_IOMMU_IOAS_MAP 0x3b85u
#define LM_IOMMU_IOAS_UNMAP 0x3b86u
#define LM_IOMMU_HWPT_ALLOC 0x3b89u
#define LM_IOMMU_GET_HW_INFO 0x3b8au
#define LM_IOMMU_HWPT_SET_DIRTY_TRACKING 0x3b8bu
#define LM_IOMMU_HWPT_GET_DIRTY_BITMAP 0x3b8cu

#define LM_IOMMU_IOAS_MAP_FIXED_IOVA 0x1u
#define LM_IOMMU_IOAS_MAP_WRITEABLE 0x2u
#define LM_IOMMU_IOAS_MAP_READABLE 0x4u
#define LM_IOMMU_HWPT_ALLOC_DIRTY_TRACKING 0x2u
#define LM_IOMMU_HWPT_DIRTY_TRACKING_ENABLE 0x1u
#define LM_IOMMU_HW_CAP_DIRTY_TRACKING 0x1u

struct lm_iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};
static_assert(sizeof(struct lm_iommu_ioas_alloc) == 12, "linux/iommufd.h");

struct lm_iommu_iova_range {
	uint64_t start;
	uint64_t last;
};
static_assert(sizeof(struct lm_iommu_iova_range) == 16, "linux/iommufd.h");

struct lm_iommu_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
	uint64_t out_iova_alignment;
};
static_assert(sizeof(struct lm_iommu_ioas_iova_ranges) == 32, "linux/iommufd.h");

struct lm_iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};
static_assert(sizeof(struct lm_iommu_ioas_map) == 40, "linux/iommufd.h");

struct lm_iommu_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};
static_assert(sizeof(struct lm_iommu_ioas_unmap) == 24, "linux/iommufd.h");

/** Without the fault queues of newer kernels: size says how much of it there is. */
struct lm_iommu_hwpt_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pt_id;
	uint32_t out_hwpt_id;
	uint32_t reserved;
	uint32_t data_type;
	uint32_t data_len;
	uint64_t data_uptr;
};
static_assert(sizeof(struct lm_iommu_hwpt_alloc) == 40, "linux/iommufd.h");

struct lm_iommu_hw_info {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t out_data_type;
	uint32_t reserved;
	uint64_t out_capabilities;
};
static_assert(sizeof(struct lm_iommu_hw_info) == 40, "linux/iommufd.h");

struct lm_iommu_hwpt_set_dirty_tracking {
	uint32_t size;
	uint32_t flags;
	uint32_t hwpt_id;
	uint32_t reserved;
};
static_assert(sizeof(struct lm_iommu_hwpt_set_dirty_tracking) == 16, "linux/iommufd.h");

struct lm_iommu_hwpt_get_dirty_bitmap {
	uint32_t size;
	uint32_t hwpt_id;
	uint32_t flags;
	uint32_t reserved;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t data;
};
static_assert(sizeof(struct lm_iommu_hwpt_get_dirty_bitmap) == 48, "linux/iommufd.h");

#endif /* LM_IOMMUFD_IF_H */
