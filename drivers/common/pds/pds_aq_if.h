/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_AQ_IF_H
#define PDS_AQ_IF_H

/**
 * @file
 * Admin queue, notify queue and clients of the PF, and the live migration commands that a client
 * sends through it.
 *
 * Source: Linux, include/linux/pds/pds_adminq.h; the names are its names. Completions come in
 * the order of commands, one each; the driver's expected colour starts at 1 and flips at each end
 * of the ring.
 */

#include "pds_if.h"

#define LM_PDS_AQ_ENTRY_BYTES 64
#define LM_PDS_NQ_ENTRY_BYTES 64
#define LM_PDS_COMP_COLOR_MASK 0x80 /* of byte 15 of a completion */

enum lm_pds_core_adminq_opcode {
	LM_PDS_AQ_CMD_NOP = 0,
	LM_PDS_AQ_CMD_CLIENT_REG = 6,
	LM_PDS_AQ_CMD_CLIENT_UNREG = 7,
	LM_PDS_AQ_CMD_CLIENT_CMD = 8,
};

#define LM_PDS_CORE_QTYPE_ADMINQ 0
#define LM_PDS_CORE_QTYPE_NOTIFYQ 1
#define LM_PDS_DEVNAME_LEN 32

struct lm_pds_core_client_reg_cmd {
	uint8_t opcode;
	uint8_t rsvd[3];
	char devname[LM_PDS_DEVNAME_LEN]; /* "pds_core.LM.vfio.<domain>-<bus and function>" */
	uint8_t vif_type;
};
static_assert(sizeof(struct lm_pds_core_client_reg_cmd) == 37, "pds_adminq.h");

struct lm_pds_core_client_reg_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t comp_index;
	lm_le16_t client_id; /* not 0 */
	uint8_t rsvd1[9];
	uint8_t color;
};
static_assert(sizeof(struct lm_pds_core_client_reg_comp) == 16, "pds_adminq.h");

struct lm_pds_core_client_unreg_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t client_id;
};

#define LM_PDS_CLIENT_CMD_BYTES 60

struct lm_pds_core_client_request_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t client_id;
	uint8_t client_cmd[LM_PDS_CLIENT_CMD_BYTES];
};
static_assert(sizeof(struct lm_pds_core_client_request_cmd) == 64, "pds_adminq.h");

/* Events: an entry is new when its eid is greater than the last one seen. */
#define LM_PDS_EVENT_LINK_CHANGE 1
#define LM_PDS_EVENT_RESET 2
#define LM_PDS_EVENT_CLIENT 6

struct lm_pds_core_notifyq_event {
	lm_le64_t eid;
	lm_le16_t ecode;
};
struct lm_pds_core_link_change_event {
	lm_le64_t eid;
	lm_le16_t ecode;
	lm_le16_t link_status;
	lm_le32_t link_speed; /* Mb/s */
};
static_assert(sizeof(struct lm_pds_core_link_change_event) == 16, "pds_adminq.h");
struct lm_pds_core_reset_event {
	lm_le64_t eid;
	lm_le16_t ecode;
	uint8_t reset_code;
	uint8_t state; /* 0 pending, 1 complete, 2 error */
};
static_assert(sizeof(struct lm_pds_core_reset_event) == 16, "pds_adminq.h");

/* Live migration: wrapped in CLIENT_CMD. Its DMA is the PF's, except dirty addresses: the VF's. */
#define LM_PDS_LM_DEVICE_STATE_LENGTH 65536

enum lm_pds_lm_cmd_opcode {
	LM_PDS_LM_CMD_HOST_VF_STATUS = 1,
	LM_PDS_LM_CMD_STATE_SIZE = 16,
	LM_PDS_LM_CMD_SUSPEND = 18,
	LM_PDS_LM_CMD_SUSPEND_STATUS = 19,
	LM_PDS_LM_CMD_RESUME = 20,
	LM_PDS_LM_CMD_SAVE = 21,
	LM_PDS_LM_CMD_RESTORE = 22,
	LM_PDS_LM_CMD_DIRTY_STATUS = 32,
	LM_PDS_LM_CMD_DIRTY_ENABLE = 33,
	LM_PDS_LM_CMD_DIRTY_DISABLE = 34,
	LM_PDS_LM_CMD_DIRTY_READ_SEQ = 35,
	LM_PDS_LM_CMD_DIRTY_WRITE_ACK = 36,
};

/* The level that is entered or left; a P2P level comes before the FULL one. */
#define LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL 0
#define LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P 1

#define LM_PDS_LM_STA_NONE 0
#define LM_PDS_LM_STA_IN_PROGRESS 1
#define LM_PDS_LM_STA_MAX 2

#define LM_PDS_LM_DIRTY_BMP_TYPE_NONE 0
#define LM_PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK 1

struct lm_pds_lm_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t vf_id; /* from 0 */
	uint8_t rsvd2[56];
};
static_assert(sizeof(struct lm_pds_lm_cmd) == 60, "pds_adminq.h");

struct lm_pds_lm_state_size_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t comp_index;
	struct lm_le64_packed size;
	uint8_t lm_pad[3];
	uint8_t color;
};
static_assert(sizeof(struct lm_pds_lm_state_size_comp) == 16, "pds_adminq.h");

struct lm_pds_lm_suspend_cmd { /* also SUSPEND_STATUS and RESUME */
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t vf_id;
	uint8_t type;
	uint8_t lm_pad;
};
static_assert(sizeof(struct lm_pds_lm_suspend_cmd) == 6, "pds_adminq.h");

struct lm_pds_lm_sg_elem {
	lm_le64_t addr;
	lm_le32_t len;
	lm_le16_t rsvd[2];
};
static_assert(sizeof(struct lm_pds_lm_sg_elem) == 16, "pds_adminq.h");

struct lm_pds_lm_save_cmd { /* also RESTORE */
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t vf_id;
	uint8_t rsvd2[4];
	struct lm_le64_packed sgl_addr;
	lm_le32_t num_sge;
};
static_assert(sizeof(struct lm_pds_lm_save_cmd) == 20, "pds_adminq.h");

struct lm_pds_lm_dirty_region_info {
	lm_le64_t dma_base;
	lm_le32_t page_count; /* the device may round it up, in place */
	uint8_t page_size_log2;
	uint8_t rsvd[3];
};
static_assert(sizeof(struct lm_pds_lm_dirty_region_info) == 16, "pds_adminq.h");

struct lm_pds_lm_dirty_status_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t vf_id;
	uint8_t max_regions; /* room at regions_dma */
	uint8_t rsvd2[3];
	lm_le64_t regions_dma;
};
static_assert(sizeof(struct lm_pds_lm_dirty_status_cmd) == 16, "pds_adminq.h");

struct lm_pds_lm_dirty_status_comp {
	uint8_t status;
	uint8_t rsvd;
	lm_le16_t comp_index;
	uint8_t max_regions; /* the device's limit */
	uint8_t num_regions; /* enabled now */
	uint8_t bmp_type;
	uint8_t rsvd2;
	lm_le32_t bmp_type_mask;
	uint8_t rsvd3[3];
	uint8_t color;
};
static_assert(sizeof(struct lm_pds_lm_dirty_status_comp) == 16, "pds_adminq.h");

struct lm_pds_lm_dirty_enable_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t vf_id;
	uint8_t bmp_type;
	uint8_t num_regions;
	uint8_t rsvd2[2];
	lm_le64_t regions_dma;
};
static_assert(sizeof(struct lm_pds_lm_dirty_enable_cmd) == 16, "pds_adminq.h");

struct lm_pds_lm_dirty_seq_ack_cmd { /* READ_SEQ and WRITE_ACK */
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t vf_id;
	lm_le32_t off_bytes;
	lm_le32_t len_bytes;
	lm_le16_t num_sge;
	uint8_t rsvd2[2];
	lm_le64_t sgl_addr;
};
static_assert(sizeof(struct lm_pds_lm_dirty_seq_ack_cmd) == 24, "pds_adminq.h");

struct lm_pds_lm_host_vf_status_cmd {
	uint8_t opcode;
	uint8_t rsvd;
	lm_le16_t vf_id;
	uint8_t status;
};

#endif /* PDS_AQ_IF_H */
