/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_PCI_IF_H
#define VIRTIO_PCI_IF_H

/**
 * @file
 * Virtio over PCI, modern interface: identity, capabilities, registers, status, feature bits.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.3; the section is named at each block. All fields are
 * little-endian. Driver, relay and device model share this file: it includes nothing but the
 * compiler's headers.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "../lm_le.h"

/* 4.1.2: PCI device discovery. A transitional device has its virtio id as subsystem id. */
#define LM_VIRTIO_PCI_VENDOR_ID 0x1af4
#define LM_VIRTIO_PCI_DEVICE_ID_MIN 0x1000
#define LM_VIRTIO_PCI_DEVICE_ID_MODERN 0x1040 /* plus virtio device id */
#define LM_VIRTIO_PCI_DEVICE_ID_MAX 0x107f

/* 5: device types. */
#define LM_VIRTIO_ID_NET 1
#define LM_VIRTIO_ID_BLOCK 2

/* 4.1.4: virtio structure PCI capabilities. */
#define LM_VIRTIO_PCI_CAP_VNDR 0x09 /* PCI's id of a vendor-specific capability */

enum lm_virtio_pci_cfg_type {
	LM_VIRTIO_PCI_CAP_COMMON_CFG = 1,
	LM_VIRTIO_PCI_CAP_NOTIFY_CFG = 2,
	LM_VIRTIO_PCI_CAP_ISR_CFG = 3,
	LM_VIRTIO_PCI_CAP_DEVICE_CFG = 4,
	LM_VIRTIO_PCI_CAP_PCI_CFG = 5,
	LM_VIRTIO_PCI_CAP_SHARED_MEMORY_CFG = 8,
	LM_VIRTIO_PCI_CAP_VENDOR_CFG = 9,
};

struct lm_virtio_pci_cap {
	uint8_t cap_vndr;
	uint8_t cap_next;
	uint8_t cap_len; /* this structure and what follows it */
	uint8_t cfg_type;
	uint8_t bar; /* 0..5; others are reserved, skip the capability */
	uint8_t id;
	uint8_t padding[2];
	lm_le32_t offset; /* in the BAR */
	lm_le32_t length;
};
static_assert(sizeof(struct lm_virtio_pci_cap) == 16, "4.1.4");
static_assert(offsetof(struct lm_virtio_pci_cap, offset) == 8, "4.1.4");

/* 4.1.4.4 */
struct lm_virtio_pci_notify_cap {
	struct lm_virtio_pci_cap cap;
	lm_le32_t notify_off_multiplier; /* 0: all queues share one address */
};
static_assert(sizeof(struct lm_virtio_pci_notify_cap) == 20, "4.1.4.4");

/* 4.1.4.7: offset and length of 64 bits. */
struct lm_virtio_pci_cap64 {
	struct lm_virtio_pci_cap cap;
	lm_le32_t offset_hi;
	lm_le32_t length_hi;
};
static_assert(sizeof(struct lm_virtio_pci_cap64) == 24, "4.1.4.7");

/* 4.1.4.9: a window on the BARs in configuration space; cap.length is the access width. */
struct lm_virtio_pci_cfg_cap {
	struct lm_virtio_pci_cap cap;
	uint8_t pci_cfg_data[4];
};
static_assert(sizeof(struct lm_virtio_pci_cfg_cap) == 20, "4.1.4.9");

/*
 * 4.1.4.3: common configuration. Each field is accessed with its own width, 64-bit ones as two
 * 32-bit halves.
 */
struct lm_virtio_pci_common_cfg {
	lm_le32_t device_feature_select;
	lm_le32_t device_feature;
	lm_le32_t driver_feature_select;
	lm_le32_t driver_feature;
	lm_le16_t config_msix_vector;
	lm_le16_t num_queues; /* administration queues not counted */
	uint8_t device_status;
	uint8_t config_generation;

	lm_le16_t queue_select; /* what follows is of this queue, up to queue_reset */
	lm_le16_t queue_size;   /* 0: no such queue */
	lm_le16_t queue_msix_vector;
	lm_le16_t queue_enable;
	lm_le16_t queue_notify_off; /* times notify_off_multiplier */
	lm_le32_t queue_desc_lo;
	lm_le32_t queue_desc_hi;
	lm_le32_t queue_driver_lo;
	lm_le32_t queue_driver_hi;
	lm_le32_t queue_device_lo;
	lm_le32_t queue_device_hi;
	lm_le16_t queue_notif_config_data; /* LM_VIRTIO_F_NOTIF_CONFIG_DATA */
	lm_le16_t queue_reset;             /* LM_VIRTIO_F_RING_RESET */

	lm_le16_t admin_queue_index; /* LM_VIRTIO_F_ADMIN_VQ */
	lm_le16_t admin_queue_num;
};
static_assert(sizeof(struct lm_virtio_pci_common_cfg) == 64, "4.1.4.3");

/* Offsets in the common configuration, for code that switches on a register's address. */
#define LM_VIRTIO_PCI_COMMON_DFSELECT 0
#define LM_VIRTIO_PCI_COMMON_DF 4
#define LM_VIRTIO_PCI_COMMON_GFSELECT 8
#define LM_VIRTIO_PCI_COMMON_GF 12
#define LM_VIRTIO_PCI_COMMON_MSIX 16
#define LM_VIRTIO_PCI_COMMON_NUMQ 18
#define LM_VIRTIO_PCI_COMMON_STATUS 20
#define LM_VIRTIO_PCI_COMMON_CFGGENERATION 21
#define LM_VIRTIO_PCI_COMMON_Q_SELECT 22
#define LM_VIRTIO_PCI_COMMON_Q_SIZE 24
#define LM_VIRTIO_PCI_COMMON_Q_MSIX 26
#define LM_VIRTIO_PCI_COMMON_Q_ENABLE 28
#define LM_VIRTIO_PCI_COMMON_Q_NOFF 30
#define LM_VIRTIO_PCI_COMMON_Q_DESCLO 32
#define LM_VIRTIO_PCI_COMMON_Q_DESCHI 36
#define LM_VIRTIO_PCI_COMMON_Q_DRIVERLO 40
#define LM_VIRTIO_PCI_COMMON_Q_DRIVERHI 44
#define LM_VIRTIO_PCI_COMMON_Q_DEVICELO 48
#define LM_VIRTIO_PCI_COMMON_Q_DEVICEHI 52
#define LM_VIRTIO_PCI_COMMON_Q_NDATA 56
#define LM_VIRTIO_PCI_COMMON_Q_RESET 58
#define LM_VIRTIO_PCI_COMMON_ADM_Q_IDX 60
#define LM_VIRTIO_PCI_COMMON_ADM_Q_NUM 62

#define LM_VIRTIO_PCI_COMMON_ASSERT(field, off) \
	static_assert(offsetof(struct lm_virtio_pci_common_cfg, field) == (off), "4.1.4.3")
LM_VIRTIO_PCI_COMMON_ASSERT(device_feature_select, LM_VIRTIO_PCI_COMMON_DFSELECT);
LM_VIRTIO_PCI_COMMON_ASSERT(device_feature, LM_VIRTIO_PCI_COMMON_DF);
LM_VIRTIO_PCI_COMMON_ASSERT(driver_feature_select, LM_VIRTIO_PCI_COMMON_GFSELECT);
LM_VIRTIO_PCI_COMMON_ASSERT(driver_feature, LM_VIRTIO_PCI_COMMON_GF);
LM_VIRTIO_PCI_COMMON_ASSERT(config_msix_vector, LM_VIRTIO_PCI_COMMON_MSIX);
LM_VIRTIO_PCI_COMMON_ASSERT(num_queues, LM_VIRTIO_PCI_COMMON_NUMQ);
LM_VIRTIO_PCI_COMMON_ASSERT(device_status, LM_VIRTIO_PCI_COMMON_STATUS);
LM_VIRTIO_PCI_COMMON_ASSERT(config_generation, LM_VIRTIO_PCI_COMMON_CFGGENERATION);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_select, LM_VIRTIO_PCI_COMMON_Q_SELECT);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_size, LM_VIRTIO_PCI_COMMON_Q_SIZE);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_msix_vector, LM_VIRTIO_PCI_COMMON_Q_MSIX);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_enable, LM_VIRTIO_PCI_COMMON_Q_ENABLE);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_notify_off, LM_VIRTIO_PCI_COMMON_Q_NOFF);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_desc_lo, LM_VIRTIO_PCI_COMMON_Q_DESCLO);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_desc_hi, LM_VIRTIO_PCI_COMMON_Q_DESCHI);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_driver_lo, LM_VIRTIO_PCI_COMMON_Q_DRIVERLO);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_driver_hi, LM_VIRTIO_PCI_COMMON_Q_DRIVERHI);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_device_lo, LM_VIRTIO_PCI_COMMON_Q_DEVICELO);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_device_hi, LM_VIRTIO_PCI_COMMON_Q_DEVICEHI);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_notif_config_data, LM_VIRTIO_PCI_COMMON_Q_NDATA);
LM_VIRTIO_PCI_COMMON_ASSERT(queue_reset, LM_VIRTIO_PCI_COMMON_Q_RESET);
LM_VIRTIO_PCI_COMMON_ASSERT(admin_queue_index, LM_VIRTIO_PCI_COMMON_ADM_Q_IDX);
LM_VIRTIO_PCI_COMMON_ASSERT(admin_queue_num, LM_VIRTIO_PCI_COMMON_ADM_Q_NUM);

/* Bytes of the common configuration that every modern device has. */
#define LM_VIRTIO_PCI_COMMON_MIN_BYTES 56

/* 4.1.5.1.2: MSI-X vectors are 0..0x7ff; a vector that the device cannot use reads back as none. */
#define LM_VIRTIO_MSI_NO_VECTOR 0xffff
#define LM_VIRTIO_MSI_MAX_VECTOR 0x7ff

/* 4.1.4.5: ISR status, one byte, cleared by reading. */
#define LM_VIRTIO_PCI_ISR_QUEUE 0x1
#define LM_VIRTIO_PCI_ISR_CONFIG 0x2

/* 2.1: device status. */
#define LM_VIRTIO_STATUS_ACKNOWLEDGE 0x01
#define LM_VIRTIO_STATUS_DRIVER 0x02
#define LM_VIRTIO_STATUS_DRIVER_OK 0x04
#define LM_VIRTIO_STATUS_FEATURES_OK 0x08
#define LM_VIRTIO_STATUS_SUSPEND 0x10 /* after 1.3, with LM_VIRTIO_F_SUSPEND */
#define LM_VIRTIO_STATUS_NEEDS_RESET 0x40
#define LM_VIRTIO_STATUS_FAILED 0x80

/* 6: reserved feature bits, as bit numbers. */
#define LM_VIRTIO_BIT(nr) (UINT64_C(1) << (nr))
#define LM_VIRTIO_F_NOTIFY_ON_EMPTY 24 /* legacy */
#define LM_VIRTIO_F_ANY_LAYOUT 27      /* legacy */
#define LM_VIRTIO_F_INDIRECT_DESC 28
#define LM_VIRTIO_F_EVENT_IDX 29
#define LM_VIRTIO_F_VERSION_1 32
#define LM_VIRTIO_F_ACCESS_PLATFORM 33
#define LM_VIRTIO_F_RING_PACKED 34
#define LM_VIRTIO_F_IN_ORDER 35
#define LM_VIRTIO_F_ORDER_PLATFORM 36
#define LM_VIRTIO_F_SR_IOV 37
#define LM_VIRTIO_F_NOTIFICATION_DATA 38
#define LM_VIRTIO_F_NOTIF_CONFIG_DATA 39
#define LM_VIRTIO_F_RING_RESET 40
#define LM_VIRTIO_F_ADMIN_VQ 41
#define LM_VIRTIO_F_SUSPEND 43 /* after 1.3 */

/* 4.1.5.2: the doorbell's value with LM_VIRTIO_F_NOTIFICATION_DATA (32 bits). */
#define LM_VIRTIO_NOTIFY_VQN_MASK 0xffffu
#define LM_VIRTIO_NOTIFY_NEXT_OFF_SHIFT 16
#define LM_VIRTIO_NOTIFY_NEXT_WRAP_SHIFT 31

#endif /* VIRTIO_PCI_IF_H */
