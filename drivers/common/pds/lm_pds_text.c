/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lm_pds_text.h"
#include "pds_aq_if.h"
#include "pds_eth_if.h"
#include "pds_stats_if.h"

/** A number in a command; name NULL ends a list. */
struct lm_pds_field {
	const char *name;
	uint8_t offset;
	uint8_t bytes;
	bool hex;
};

struct lm_pds_op {
	uint8_t opcode;
	const char *name;
	const struct lm_pds_field *fields;
};

#define FIELD(type, field) { #field, offsetof(struct type, field), \
	sizeof(((struct type *)NULL)->field), false }
#define ADDRESS(type, field) { #field, offsetof(struct type, field), \
	sizeof(((struct type *)NULL)->field), true }

static const struct lm_pds_field lm_pds_ver[] = {
	FIELD(lm_pds_core_dev_identify_cmd, ver), { NULL },
};
static const struct lm_pds_field lm_pds_fw[] = {
	FIELD(lm_pds_core_fw_control_cmd, oper), FIELD(lm_pds_core_fw_control_cmd, slot), { NULL },
};
static const struct lm_pds_field lm_pds_client[] = {
	FIELD(lm_pds_core_client_unreg_cmd, client_id), { NULL },
};
static const struct lm_pds_field lm_pds_vf[] = { FIELD(lm_pds_lm_cmd, vf_id), { NULL } };
static const struct lm_pds_field lm_pds_level[] = {
	FIELD(lm_pds_lm_suspend_cmd, vf_id), FIELD(lm_pds_lm_suspend_cmd, type), { NULL },
};
static const struct lm_pds_field lm_pds_host[] = {
	FIELD(lm_pds_lm_host_vf_status_cmd, vf_id), FIELD(lm_pds_lm_host_vf_status_cmd, status),
	{ NULL },
};
static const struct lm_pds_field lm_pds_blob[] = {
	FIELD(lm_pds_lm_save_cmd, vf_id), ADDRESS(lm_pds_lm_save_cmd, sgl_addr),
	FIELD(lm_pds_lm_save_cmd, num_sge), { NULL },
};
static const struct lm_pds_field lm_pds_regions[] = {
	FIELD(lm_pds_lm_dirty_status_cmd, vf_id), FIELD(lm_pds_lm_dirty_status_cmd, max_regions),
	ADDRESS(lm_pds_lm_dirty_status_cmd, regions_dma), { NULL },
};
static const struct lm_pds_field lm_pds_enable[] = {
	FIELD(lm_pds_lm_dirty_enable_cmd, vf_id), FIELD(lm_pds_lm_dirty_enable_cmd, bmp_type),
	FIELD(lm_pds_lm_dirty_enable_cmd, num_regions),
	ADDRESS(lm_pds_lm_dirty_enable_cmd, regions_dma), { NULL },
};
static const struct lm_pds_field lm_pds_bitmap[] = {
	FIELD(lm_pds_lm_dirty_seq_ack_cmd, vf_id), FIELD(lm_pds_lm_dirty_seq_ack_cmd, off_bytes),
	FIELD(lm_pds_lm_dirty_seq_ack_cmd, len_bytes), FIELD(lm_pds_lm_dirty_seq_ack_cmd, num_sge),
	ADDRESS(lm_pds_lm_dirty_seq_ack_cmd, sgl_addr), { NULL },
};
static const struct lm_pds_field lm_pds_port_init[] = {
	FIELD(lm_ionic_port_init_cmd, index), ADDRESS(lm_ionic_port_init_cmd, info_pa), { NULL },
};
static const struct lm_pds_field lm_pds_port_attr[] = {
	FIELD(lm_ionic_port_setattr_cmd, index), FIELD(lm_ionic_port_setattr_cmd, attr), { NULL },
};
static const struct lm_pds_field lm_pds_lif_identify[] = {
	FIELD(lm_ionic_lif_identify_cmd, type), FIELD(lm_ionic_lif_identify_cmd, ver), { NULL },
};
static const struct lm_pds_field lm_pds_lif_init[] = {
	FIELD(lm_ionic_lif_init_cmd, index), ADDRESS(lm_ionic_lif_init_cmd, info_pa), { NULL },
};
static const struct lm_pds_field lm_pds_lif_attr[] = {
	FIELD(lm_ionic_lif_setattr_cmd, attr), FIELD(lm_ionic_lif_setattr_cmd, index), { NULL },
};
static const struct lm_pds_field lm_pds_rx_mode[] = {
	ADDRESS(lm_ionic_rx_mode_set_cmd, rx_mode), { NULL },
};
static const struct lm_pds_field lm_pds_filter_add[] = {
	FIELD(lm_ionic_rx_filter_add_cmd, match), FIELD(lm_ionic_rx_filter_add_cmd, qid), { NULL },
};
static const struct lm_pds_field lm_pds_filter_del[] = {
	FIELD(lm_ionic_rx_filter_del_cmd, filter_id), { NULL },
};
static const struct lm_pds_field lm_pds_q_identify[] = {
	FIELD(lm_ionic_q_identify_cmd, type), FIELD(lm_ionic_q_identify_cmd, ver), { NULL },
};
static const struct lm_pds_field lm_pds_q_init[] = {
	FIELD(lm_ionic_q_init_cmd, type), FIELD(lm_ionic_q_init_cmd, ver),
	FIELD(lm_ionic_q_init_cmd, index), FIELD(lm_ionic_q_init_cmd, pid),
	FIELD(lm_ionic_q_init_cmd, intr_index), ADDRESS(lm_ionic_q_init_cmd, flags),
	FIELD(lm_ionic_q_init_cmd, ring_size), ADDRESS(lm_ionic_q_init_cmd, ring_base),
	ADDRESS(lm_ionic_q_init_cmd, cq_ring_base), ADDRESS(lm_ionic_q_init_cmd, sg_ring_base),
	{ NULL },
};
static const struct lm_pds_field lm_pds_q_control[] = {
	FIELD(lm_ionic_q_control_cmd, type), FIELD(lm_ionic_q_control_cmd, index),
	FIELD(lm_ionic_q_control_cmd, oper), { NULL },
};

static const struct lm_pds_op lm_pds_core_devcmds[] = {
	{ LM_PDS_CORE_CMD_NOP, "NOP", NULL },
	{ LM_PDS_CORE_CMD_IDENTIFY, "IDENTIFY", lm_pds_ver },
	{ LM_PDS_CORE_CMD_RESET, "RESET", NULL },
	{ LM_PDS_CORE_CMD_INIT, "INIT", NULL },
	{ LM_PDS_CORE_CMD_FW_DOWNLOAD, "FW_DOWNLOAD", NULL },
	{ LM_PDS_CORE_CMD_FW_CONTROL, "FW_CONTROL", lm_pds_fw },
	{ LM_PDS_CORE_CMD_VF_GETATTR, "VF_GETATTR", NULL },
	{ LM_PDS_CORE_CMD_VF_SETATTR, "VF_SETATTR", NULL },
	{ LM_PDS_CORE_CMD_VF_CTRL, "VF_CTRL", NULL },
};
static const struct lm_pds_op lm_pds_core_adminq[] = {
	{ LM_PDS_AQ_CMD_NOP, "NOP", NULL },
	{ LM_PDS_AQ_CMD_CLIENT_REG, "CLIENT_REG", NULL },
	{ LM_PDS_AQ_CMD_CLIENT_UNREG, "CLIENT_UNREG", lm_pds_client },
	{ LM_PDS_AQ_CMD_CLIENT_CMD, "CLIENT_CMD", lm_pds_client },
};
static const struct lm_pds_op lm_pds_lm[] = {
	{ LM_PDS_LM_CMD_HOST_VF_STATUS, "HOST_VF_STATUS", lm_pds_host },
	{ LM_PDS_LM_CMD_STATE_SIZE, "STATE_SIZE", lm_pds_vf },
	{ LM_PDS_LM_CMD_SUSPEND, "SUSPEND", lm_pds_level },
	{ LM_PDS_LM_CMD_SUSPEND_STATUS, "SUSPEND_STATUS", lm_pds_level },
	{ LM_PDS_LM_CMD_RESUME, "RESUME", lm_pds_level },
	{ LM_PDS_LM_CMD_SAVE, "SAVE", lm_pds_blob },
	{ LM_PDS_LM_CMD_RESTORE, "RESTORE", lm_pds_blob },
	{ LM_PDS_LM_CMD_DIRTY_STATUS, "DIRTY_STATUS", lm_pds_regions },
	{ LM_PDS_LM_CMD_DIRTY_ENABLE, "DIRTY_ENABLE", lm_pds_enable },
	{ LM_PDS_LM_CMD_DIRTY_DISABLE, "DIRTY_DISABLE", lm_pds_vf },
	{ LM_PDS_LM_CMD_DIRTY_READ_SEQ, "DIRTY_READ_SEQ", lm_pds_bitmap },
	{ LM_PDS_LM_CMD_DIRTY_WRITE_ACK, "DIRTY_WRITE_ACK", lm_pds_bitmap },
};
static const struct lm_pds_op lm_pds_eth[] = {
	{ LM_IONIC_CMD_NOP, "NOP", NULL },
	{ LM_IONIC_CMD_IDENTIFY, "IDENTIFY", lm_pds_ver },
	{ LM_IONIC_CMD_INIT, "INIT", NULL },
	{ LM_IONIC_CMD_RESET, "RESET", NULL },
	{ LM_IONIC_CMD_GETATTR, "GETATTR", NULL },
	{ LM_IONIC_CMD_SETATTR, "SETATTR", NULL },
	{ LM_IONIC_CMD_PORT_IDENTIFY, "PORT_IDENTIFY", NULL },
	{ LM_IONIC_CMD_PORT_INIT, "PORT_INIT", lm_pds_port_init },
	{ LM_IONIC_CMD_PORT_RESET, "PORT_RESET", NULL },
	{ LM_IONIC_CMD_PORT_GETATTR, "PORT_GETATTR", lm_pds_port_attr },
	{ LM_IONIC_CMD_PORT_SETATTR, "PORT_SETATTR", lm_pds_port_attr },
	{ LM_IONIC_CMD_LIF_IDENTIFY, "LIF_IDENTIFY", lm_pds_lif_identify },
	{ LM_IONIC_CMD_LIF_INIT, "LIF_INIT", lm_pds_lif_init },
	{ LM_IONIC_CMD_LIF_RESET, "LIF_RESET", NULL },
	{ LM_IONIC_CMD_LIF_GETATTR, "LIF_GETATTR", lm_pds_lif_attr },
	{ LM_IONIC_CMD_LIF_SETATTR, "LIF_SETATTR", lm_pds_lif_attr },
	{ LM_IONIC_CMD_LIF_SETPHC, "LIF_SETPHC", NULL },
	{ LM_IONIC_CMD_RX_MODE_SET, "RX_MODE_SET", lm_pds_rx_mode },
	{ LM_IONIC_CMD_RX_FILTER_ADD, "RX_FILTER_ADD", lm_pds_filter_add },
	{ LM_IONIC_CMD_RX_FILTER_DEL, "RX_FILTER_DEL", lm_pds_filter_del },
	{ LM_IONIC_CMD_Q_IDENTIFY, "Q_IDENTIFY", lm_pds_q_identify },
	{ LM_IONIC_CMD_Q_INIT, "Q_INIT", lm_pds_q_init },
	{ LM_IONIC_CMD_Q_CONTROL, "Q_CONTROL", lm_pds_q_control },
	{ LM_IONIC_CMD_VF_GETATTR, "VF_GETATTR", NULL },
	{ LM_IONIC_CMD_VF_SETATTR, "VF_SETATTR", NULL },
	{ LM_IONIC_CMD_VF_CTRL, "VF_CTRL", NULL },
	{ LM_IONIC_CMD_DISCOVER_CMB, "DISCOVER_CMB", NULL },
	{ LM_IONIC_CMD_FW_DOWNLOAD, "FW_DOWNLOAD", NULL },
	{ LM_IONIC_CMD_FW_CONTROL, "FW_CONTROL", NULL },
};

#define NB(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const struct lm_pds_op *ops;
	size_t nb;
} lm_pds_places[] = {
	[LM_PDS_PLACE_CORE_DEVCMD] = { lm_pds_core_devcmds, NB(lm_pds_core_devcmds) },
	[LM_PDS_PLACE_CORE_ADMINQ] = { lm_pds_core_adminq, NB(lm_pds_core_adminq) },
	[LM_PDS_PLACE_LM] = { lm_pds_lm, NB(lm_pds_lm) },
	[LM_PDS_PLACE_ETH] = { lm_pds_eth, NB(lm_pds_eth) },
};

static const struct {
	uint8_t status;
	int err;
	const char *name;
} lm_pds_statuses[] = {
	{ LM_PDS_RC_SUCCESS, 0, "SUCCESS" }, { LM_PDS_RC_EVERSION, EINVAL, "EVERSION" },
	{ LM_PDS_RC_EOPCODE, EIO, "EOPCODE" }, { LM_PDS_RC_EIO, EIO, "EIO" },
	{ LM_PDS_RC_EPERM, EPERM, "EPERM" }, { LM_PDS_RC_EQID, EINVAL, "EQID" },
	{ LM_PDS_RC_EQTYPE, EINVAL, "EQTYPE" }, { LM_PDS_RC_ENOENT, ENOENT, "ENOENT" },
	{ LM_PDS_RC_EINTR, EIO, "EINTR" }, { LM_PDS_RC_EAGAIN, EAGAIN, "EAGAIN" },
	{ LM_PDS_RC_ENOMEM, ENOMEM, "ENOMEM" }, { LM_PDS_RC_EFAULT, EFAULT, "EFAULT" },
	{ LM_PDS_RC_EBUSY, EBUSY, "EBUSY" }, { LM_PDS_RC_EEXIST, EEXIST, "EEXIST" },
	{ LM_PDS_RC_EINVAL, EINVAL, "EINVAL" }, { LM_PDS_RC_ENOSPC, ENOSPC, "ENOSPC" },
	{ LM_PDS_RC_ERANGE, ERANGE, "ERANGE" }, { LM_PDS_RC_BAD_ADDR, EFAULT, "BAD_ADDR" },
	{ LM_PDS_RC_DEV_CMD, EIO, "DEV_CMD" }, { LM_PDS_RC_ENOSUPP, EOPNOTSUPP, "ENOSUPP" },
	{ LM_PDS_RC_ERROR, EIO, "ERROR" }, { LM_PDS_RC_ERDMA, EIO, "ERDMA" },
	{ LM_PDS_RC_EVFID, ENODEV, "EVFID" }, { LM_PDS_RC_BAD_FW, EIO, "BAD_FW" },
	{ LM_PDS_RC_ECLIENT, ECHILD, "ECLIENT" }, { LM_PDS_RC_BAD_PCI, ENXIO, "BAD_PCI" },
};

const char *
lm_pds_status_name(uint8_t status)
{
	size_t i;

	for (i = 0; i < NB(lm_pds_statuses); i++)
		if (lm_pds_statuses[i].status == status)
			return lm_pds_statuses[i].name;
	return "unknown";
}

int
lm_pds_status_errno(uint8_t status)
{
	size_t i;

	for (i = 0; i < NB(lm_pds_statuses); i++)
		if (lm_pds_statuses[i].status == status)
			return -lm_pds_statuses[i].err;
	return -EIO;
}

static const struct lm_pds_op *
lm_pds_op_find(enum lm_pds_place place, uint8_t opcode)
{
	size_t i;

	for (i = 0; i < lm_pds_places[place].nb; i++)
		if (lm_pds_places[place].ops[i].opcode == opcode)
			return &lm_pds_places[place].ops[i];
	return NULL;
}

const char *
lm_pds_op_name(enum lm_pds_place place, uint8_t opcode)
{
	const struct lm_pds_op *op = lm_pds_op_find(place, opcode);

	return op == NULL ? NULL : op->name;
}

static void
lm_pds_put(char *text, size_t size_bytes, const char *name, uint64_t value, bool hex)
{
	size_t used = strlen(text);

	if (hex)
		snprintf(text + used, size_bytes - used, " %s=0x%" PRIx64, name, value);
	else
		snprintf(text + used, size_bytes - used, " %s=%" PRIu64, name, value);
}

static void
lm_pds_text_op(enum lm_pds_place place, const uint8_t *cmd, char *text, size_t size_bytes)
{
	const struct lm_pds_op *op = lm_pds_op_find(place, cmd[0]);
	const struct lm_pds_field *f;
	uint64_t value;

	if (op == NULL) {
		snprintf(text + strlen(text), size_bytes - strlen(text), "opcode %u", cmd[0]);
		return;
	}
	strncat(text, op->name, size_bytes - strlen(text) - 1);
	for (f = op->fields; f != NULL && f->name != NULL; f++) {
		value = 0;
		memcpy(&value, cmd + f->offset, f->bytes);
		lm_pds_put(text, size_bytes, f->name, value, f->hex);
	}
}

char *
lm_pds_text(enum lm_pds_place place, const void *cmd, char *text, size_t size_bytes)
{
	const uint8_t *bytes = cmd;

	text[0] = '\0';
	lm_pds_text_op(place, bytes, text, size_bytes);
	if (place != LM_PDS_PLACE_CORE_ADMINQ)
		return text;
	if (bytes[0] == LM_PDS_AQ_CMD_CLIENT_REG)
		snprintf(text + strlen(text), size_bytes - strlen(text), " devname=%.*s",
				LM_PDS_DEVNAME_LEN, (const char *)bytes +
				offsetof(struct lm_pds_core_client_reg_cmd, devname));
	if (bytes[0] == LM_PDS_AQ_CMD_CLIENT_CMD) {
		strncat(text, ": ", size_bytes - strlen(text) - 1);
		lm_pds_text_op(LM_PDS_PLACE_LM, bytes +
				offsetof(struct lm_pds_core_client_request_cmd, client_cmd), text,
				size_bytes);
	}
	return text;
}
