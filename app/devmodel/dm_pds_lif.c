/* SPDX-License-Identifier: BSD-3-Clause */

/* Admin queue of the VF: attributes of the LIF, receive mode, filters, queues. */

#include <string.h>

#include "dm_pds_vf.h"

#define DM_PDS_MTU_START 1500

void
dm_pds_lif_reset(struct dm_pds_vf *vf)
{
	struct dm_pds_lif *lif = &vf->lif;

	memset(lif, 0, sizeof(*lif));
	memcpy(lif->mac, vf->mac, sizeof(lif->mac));
	lif->mtu = DM_PDS_MTU_START;
	lif->state = LM_IONIC_LIF_ENABLE;
	lif->port_config.speed = LM_IONIC_SPEED_100G;
	lif->port_config.mtu = DM_PDS_MTU_MAX;
	lif->port_config.state = LM_IONIC_PORT_ADMIN_STATE_UP;
	lif->link_status = LM_IONIC_PORT_OPER_STATUS_DOWN;
	dm_pds_link_check(vf);
}

/* The table is in the driver's memory: read now, and at each such command. */
static uint8_t
dm_pds_lif_rss(struct dm_pds_vf *vf, const uint8_t *value)
{
	struct dm_pds_lif *lif = &vf->lif;
	struct lm_ionic_lif_setattr_rss rss;
	uint8_t table[DM_PDS_RSS_TABLE];
	uint32_t i;

	memcpy(&rss, value, sizeof(rss));
	if (rss.types == 0) {
		lif->rss_types = 0;
		return LM_PDS_RC_SUCCESS;
	}
	if (!dm_pds_read(&vf->fn, lm_le64_get(&rss.addr), table, sizeof(table)))
		return LM_PDS_RC_BAD_ADDR;
	for (i = 0; i < sizeof(table); i++)
		if (table[i] >= vf->pairs)
			return LM_PDS_RC_ERANGE;
	lif->rss_types = rss.types;
	memcpy(lif->rss_key, rss.key, sizeof(lif->rss_key));
	memcpy(lif->rss_table, table, sizeof(lif->rss_table));
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lif_setattr(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct dm_pds_lif *lif = &vf->lif;
	struct lm_ionic_lif_setattr_cmd c;
	uint64_t features;
	uint32_t mtu;

	memcpy(&c, cmd, sizeof(c));
	memcpy(&features, c.value, sizeof(features));
	memcpy(&mtu, c.value, sizeof(mtu));
	if (c.index != 0)
		return LM_PDS_RC_ENOENT;
	switch (c.attr) {
	case LM_IONIC_LIF_ATTR_STATE:
		lif->state = c.value[0];
		break;
	case LM_IONIC_LIF_ATTR_NAME:
		memcpy(lif->name, c.value, sizeof(lif->name));
		break;
	case LM_IONIC_LIF_ATTR_MTU:
		/* DPDK's ionic takes the limit of a frame for that of the MTU. */
		if (mtu < DM_PDS_MTU_MIN || mtu > DM_PDS_FRAME_MAX)
			return LM_PDS_RC_ERANGE;
		lif->mtu = mtu;
		break;
	case LM_IONIC_LIF_ATTR_MAC:
		if ((c.value[0] & 1) != 0)
			return LM_PDS_RC_EINVAL;
		memcpy(lif->mac, c.value, sizeof(lif->mac));
		break;
	case LM_IONIC_LIF_ATTR_FEATURES:
		lif->features = features & DM_PDS_FEATURES;
		dm_trace_bits(vf->fn.host->trace, "eth.feature", lif->features);
		memcpy(comp + offsetof(struct lm_ionic_admin_comp, cmd_data), &lif->features,
				sizeof(lif->features));
		break;
	case LM_IONIC_LIF_ATTR_RSS:
		return dm_pds_lif_rss(vf, c.value);
	case LM_IONIC_LIF_ATTR_STATS_CTRL:
		memset(&lif->stats, 0, sizeof(lif->stats));
		break;
	default:
		return LM_PDS_RC_ENOSUPP;
	}
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lif_getattr(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	uint8_t *value = comp + offsetof(struct lm_ionic_admin_comp, cmd_data);

	switch (cmd[offsetof(struct lm_ionic_lif_getattr_cmd, attr)]) {
	case LM_IONIC_LIF_ATTR_STATE:
		value[0] = vf->lif.state;
		break;
	case LM_IONIC_LIF_ATTR_MTU:
		memcpy(value, &vf->lif.mtu, sizeof(vf->lif.mtu));
		break;
	case LM_IONIC_LIF_ATTR_MAC:
		memcpy(value, vf->lif.mac, sizeof(vf->lif.mac));
		break;
	case LM_IONIC_LIF_ATTR_FEATURES:
		memcpy(value, &vf->lif.features, sizeof(vf->lif.features));
		break;
	default:
		return LM_PDS_RC_ENOSUPP;
	}
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_rx_mode_set(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	struct lm_ionic_rx_mode_set_cmd c;

	(void)comp;
	memcpy(&c, cmd, sizeof(c));
	vf->lif.rx_mode = c.rx_mode;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_filter_add_cmd(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	uint32_t id = 0;
	uint8_t status = dm_pds_filter_add(&vf->lif, cmd, &id);

	memcpy(comp + offsetof(struct lm_ionic_rx_filter_add_comp, filter_id), &id, sizeof(id));
	return status;
}

static uint8_t
dm_pds_filter_del_cmd(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	(void)comp;
	return dm_pds_filter_del(&vf->lif, cmd);
}

static uint8_t
dm_pds_lif_nop(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp)
{
	(void)vf;
	(void)cmd;
	(void)comp;
	return LM_PDS_RC_SUCCESS;
}

static const struct {
	uint8_t opcode;
	uint8_t (*run)(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp);
} dm_pds_lif_cmds[] = {
	{ LM_IONIC_CMD_NOP, dm_pds_lif_nop },
	{ LM_IONIC_CMD_LIF_GETATTR, dm_pds_lif_getattr },
	{ LM_IONIC_CMD_LIF_SETATTR, dm_pds_lif_setattr },
	{ LM_IONIC_CMD_RX_MODE_SET, dm_pds_rx_mode_set },
	{ LM_IONIC_CMD_RX_FILTER_ADD, dm_pds_filter_add_cmd },
	{ LM_IONIC_CMD_RX_FILTER_DEL, dm_pds_filter_del_cmd },
	{ LM_IONIC_CMD_Q_INIT, dm_pds_q_init },
	{ LM_IONIC_CMD_Q_CONTROL, dm_pds_q_control },
};

void
dm_pds_vf_adminq(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp)
{
	uint8_t status;
	size_t i;

	lm_pds_text(LM_PDS_PLACE_ETH, cmd, fn->last, sizeof(fn->last));
	for (i = 0; i < sizeof(dm_pds_lif_cmds) / sizeof(dm_pds_lif_cmds[0]); i++)
		if (dm_pds_lif_cmds[i].opcode == cmd[0]) {
			status = dm_pds_lif_cmds[i].run(dm_pds_vf_of(fn), cmd, comp);
			comp[0] = status;
			return;
		}
	comp[0] = lm_pds_op_name(LM_PDS_PLACE_ETH, cmd[0]) != NULL ? LM_PDS_RC_DEV_CMD :
			LM_PDS_RC_EOPCODE;
}
