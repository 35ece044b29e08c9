/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_IF_H
#define PDS_IF_H

/**
 * @file
 * AMD Pensando DSC: identity, registers, status codes and the device commands of the PF.
 *
 * Names and layouts are those of Linux (include/linux/pds/pds_core_if.h, pds_intr.h and
 * pds_common.h, drivers/net/ethernet/pensando/ionic/ionic_if.h and ionic_regs.h) with LM_ or lm_
 * before them; test/conformance compares each. All fields are little-endian.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "../lm_le.h"

/* PCI identity: pds_core_if.h; the Ethernet VF is an SR-IOV VF of the core PF. */
#define LM_PCI_VENDOR_ID_PENSANDO 0x1dd8
#define LM_PCI_DEVICE_ID_PENSANDO_IONIC_ETH_VF 0x1003
#define LM_PCI_DEVICE_ID_PENSANDO_CORE_PF 0x100c

/* BAR 0 of every function; the n-th memory BAR counts, whatever its register. */
#define LM_PDS_CORE_BAR0_SIZE 0x8000
#define LM_PDS_CORE_BAR0_DEV_INFO_REGS_OFFSET 0x0000
#define LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET 0x0800
#define LM_PDS_CORE_BAR0_INTR_STATUS_OFFSET 0x1000
#define LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET 0x2000
#define LM_PDS_CORE_PCI_BAR_DBELL 1
#define LM_PDS_CORE_ADDR_LEN 52 /* bits of a DMA address */

/* Device information, read-only. */
#define LM_PDS_CORE_DEV_INFO_SIGNATURE 0x44455649
#define LM_PDS_CORE_FW_STS_F_RUNNING 0x01
#define LM_PDS_CORE_FW_STS_F_GENERATION 0xf0
#define LM_IONIC_ASIC_TYPE_CAPRI 1
#define LM_IONIC_ASIC_TYPE_ELBA 2
#define LM_IONIC_ASIC_TYPE_GIGLIO 3
#define LM_IONIC_ASIC_TYPE_SALINA 4

struct lm_pds_core_dev_info_regs {
	lm_le32_t signature;
	uint8_t version;
	uint8_t asic_type;
	uint8_t asic_rev;
	uint8_t fw_status; /* 0xff: the function is gone from the bus */
	lm_le32_t fw_heartbeat;
	char fw_version[32];
	char serial_num[32];
	uint8_t oprom_regs[32];
	uint8_t rsvd_pad1024[916];
	uint8_t hwstamp[8];
	uint8_t rsvd_pad2048[1016];
};
static_assert(sizeof(struct lm_pds_core_dev_info_regs) == 2048, "pds_core_if.h");

/* Device command: data, cmd, done := 0, doorbell := 1, poll done, read comp. */
#define LM_PDS_CORE_DEV_CMD_DONE 0x00000001
#define LM_PDS_CORE_DEVCMD_TIMEOUT 5 /* seconds, what Linux waits */
#define LM_PDS_DEVCMD_BYTES 64
#define LM_PDS_COMP_BYTES 16
#define LM_PDS_DEVCMD_DATA_BYTES 1912

struct lm_pds_core_dev_cmd_regs {
	lm_le32_t doorbell;
	lm_le32_t done;
	uint8_t cmd[LM_PDS_DEVCMD_BYTES];
	uint8_t comp[LM_PDS_COMP_BYTES];
	uint8_t rsvd[48];
	uint8_t data[LM_PDS_DEVCMD_DATA_BYTES];
};
static_assert(sizeof(struct lm_pds_core_dev_cmd_regs) == 2048, "pds_core_if.h");

/* Interrupt control, one block a vector: pds_intr.h. */
struct lm_pds_core_intr {
	lm_le32_t coal_init;      /* in device units; 0: no moderation */
	lm_le32_t mask;
	lm_le16_t credits;        /* signed; a write subtracts */
	lm_le16_t flags;
	lm_le32_t mask_on_assert;
	lm_le32_t coalescing_curr;
	lm_le32_t rsvd6[3];
};
static_assert(sizeof(struct lm_pds_core_intr) == 32, "pds_intr.h");

#define LM_PDS_CORE_INTR_CTRL_COAL_MAX 0x3F
#define LM_PDS_CORE_INTR_MASK_CLEAR 0
#define LM_PDS_CORE_INTR_MASK_SET 1
/* credits and flags as one word. */
#define LM_PDS_CORE_INTR_CRED_COUNT 0x7fffu
#define LM_PDS_CORE_INTR_CRED_COUNT_SIGNED 0xffffu
#define LM_PDS_CORE_INTR_CRED_UNMASK 0x10000u
#define LM_PDS_CORE_INTR_CRED_RESET_COALESCE 0x20000u
#define LM_PDS_CORE_INTR_CRED_REARM 0x30000u

/*
 * Doorbell: ionic_regs.h; a 64-bit store to 8 times the queue's hw_type in its page, which is
 * page hw_index * ndbpgs_per_lif + pid of the doorbell BAR.
 */
#define LM_PDS_DBELL_PAGE_BYTES 4096
#define LM_PDS_DBELL_TYPES 8
#define LM_PDS_DBELL_INDEX_MASK 0xffffu
#define LM_PDS_DBELL_QID_SHIFT 24
#define LM_PDS_DBELL_QID_MASK 0xffffffu

/* Queue sizes: ionic_if.h and pds_adminq.h, as a logarithm; the device takes 2 to 16. */
#define LM_PDS_CORE_QSIZE_MIN_LG2 2
#define LM_PDS_QSIZE_MAX_LG2 16

/* Device commands of the PF. The Ethernet functions have other numbers, see pds_eth_if.h. */
enum lm_pds_core_cmd_opcode {
	LM_PDS_CORE_CMD_NOP = 0,
	LM_PDS_CORE_CMD_IDENTIFY = 1,
	LM_PDS_CORE_CMD_RESET = 2,
	LM_PDS_CORE_CMD_INIT = 3,
	LM_PDS_CORE_CMD_FW_DOWNLOAD = 4,
	LM_PDS_CORE_CMD_FW_CONTROL = 5,
	LM_PDS_CORE_CMD_VF_GETATTR = 60,
	LM_PDS_CORE_CMD_VF_SETATTR = 61,
	LM_PDS_CORE_CMD_VF_CTRL = 62,
};

/* Status of device commands and of admin queue completions; ionic_if.h agrees. */
enum lm_pds_core_status_code {
	LM_PDS_RC_SUCCESS = 0,
	LM_PDS_RC_EVERSION = 1,
	LM_PDS_RC_EOPCODE = 2,
	LM_PDS_RC_EIO = 3,
	LM_PDS_RC_EPERM = 4,
	LM_PDS_RC_EQID = 5,
	LM_PDS_RC_EQTYPE = 6,
	LM_PDS_RC_ENOENT = 7,
	LM_PDS_RC_EINTR = 8,
	LM_PDS_RC_EAGAIN = 9,
	LM_PDS_RC_ENOMEM = 10,
	LM_PDS_RC_EFAULT = 11,
	LM_PDS_RC_EBUSY = 12,
	LM_PDS_RC_EEXIST = 13,
	LM_PDS_RC_EINVAL = 14,
	LM_PDS_RC_ENOSPC = 15,
	LM_PDS_RC_ERANGE = 16,
	LM_PDS_RC_BAD_ADDR = 17,
	LM_PDS_RC_DEV_CMD = 18,
	LM_PDS_RC_ENOSUPP = 19,
	LM_PDS_RC_ERROR = 29,
	LM_PDS_RC_ERDMA = 30,
	LM_PDS_RC_EVFID = 31,
	LM_PDS_RC_BAD_FW = 32,
	LM_PDS_RC_ECLIENT = 33,
	LM_PDS_RC_BAD_PCI = 255,
};

#define LM_PDS_DRIVER_LINUX 1
#define LM_PDS_DRIVER_DPDK 3

/* IDENTIFY: the driver's side into data, the device's out of it. */
#define LM_PDS_CORE_IDENTITY_VERSION_1 1

struct lm_pds_core_drv_identity {
	lm_le32_t drv_type;
	lm_le32_t os_dist;
	char os_dist_str[128];
	lm_le32_t kernel_ver;
	char kernel_ver_str[32];
	char driver_ver_str[32];
};
static_assert(sizeof(struct lm_pds_core_drv_identity) == 204, "pds_core_if.h");

#define LM_PDS_DEV_TYPE_LM 5
#define LM_PDS_DEV_TYPE_MAX 16

struct lm_pds_core_dev_identity {
	uint8_t version;
	uint8_t type;
	uint8_t state;
	uint8_t rsvd;
	lm_le32_t nlifs;
	lm_le32_t nintrs;
	lm_le32_t ndbpgs_per_lif;
	lm_le32_t intr_coal_mult;
	lm_le32_t intr_coal_div;
	lm_le16_t vif_types[LM_PDS_DEV_TYPE_MAX];
};
static_assert(sizeof(struct lm_pds_core_dev_identity) == 56, "pds_core_if.h");

struct lm_pds_core_dev_identify_cmd {
	uint8_t opcode;
	uint8_t ver;
};
struct lm_pds_core_dev_identify_comp {
	uint8_t status;
	uint8_t ver;
};

/* INIT: sets up the admin and the notify queue; input and output in data. */
#define LM_PDS_CORE_QINIT_F_IRQ 0x01
#define LM_PDS_CORE_QINIT_F_ENA 0x02

struct lm_pds_core_dev_init_data_in {
	lm_le64_t adminq_q_base;
	lm_le64_t adminq_cq_base;
	lm_le64_t notifyq_cq_base;
	lm_le32_t flags;
	lm_le16_t intr_index;
	uint8_t adminq_ring_size; /* logarithm, as the next */
	uint8_t notifyq_ring_size;
};
static_assert(sizeof(struct lm_pds_core_dev_init_data_in) == 32, "pds_core_if.h");

struct lm_pds_core_dev_init_data_out {
	lm_le32_t core_hw_index;
	lm_le32_t adminq_hw_index;
	lm_le32_t notifyq_hw_index;
	uint8_t adminq_hw_type;
	uint8_t notifyq_hw_type;
	uint8_t lm_pad[2];
};
static_assert(sizeof(struct lm_pds_core_dev_init_data_out) == 16, "pds_core_if.h");

/* FW_CONTROL: only the list of images is answered here. */
#define LM_PDS_CORE_FW_GET_LIST 7
#define LM_PDS_CORE_FW_SLOT_A 1

struct lm_pds_core_fw_control_cmd {
	uint8_t opcode;
	uint8_t rsvd[3];
	uint8_t oper;
	uint8_t slot;
};
struct lm_pds_core_fw_control_comp {
	uint8_t status;
	uint8_t rsvd[3];
	uint8_t slot;
	uint8_t rsvd1[10];
	uint8_t color;
};
struct lm_pds_core_fw_name_info {
	char slotname[8];
	char fw_version[32];
};
struct lm_pds_core_fw_list_info {
	uint8_t num_fw_slots;
	struct lm_pds_core_fw_name_info fw_names[16];
};
static_assert(sizeof(struct lm_pds_core_fw_list_info) == 641, "pds_core_if.h");

#endif /* PDS_IF_H */
