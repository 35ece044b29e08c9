/* SPDX-License-Identifier: BSD-3-Clause */

/* Device commands of the VF: identity, port, LIF. */

#include <string.h>

#include "dm_pds_vf.h"

#define DM_PDS_FILTERS_OF_A_KIND 32

static uint8_t
dm_pds_vf_identify(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_dev_identity id;
	uint8_t version = cmd[offsetof(struct lm_ionic_dev_identify_cmd, ver)];

	if (version == 0)
		return LM_PDS_RC_EVERSION;
	memset(&id, 0, sizeof(id));
	id.version = version < LM_IONIC_DEV_IDENTITY_VERSION_2 ? version :
			LM_IONIC_DEV_IDENTITY_VERSION_2;
	id.nports = 1;
	id.nlifs = 1;
	id.nintrs = vf->fn.nb_vectors;
	id.ndbpgs_per_lif = vf->fn.nb_pages;
	id.intr_coal_mult = 1;
	id.intr_coal_div = DM_PDS_COAL_UNIT_US;
	memcpy(data, &id, sizeof(id));
	comp[1] = id.version;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_vf_nop(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	(void)vf;
	(void)cmd;
	(void)comp;
	(void)data;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_vf_reset_cmd(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	(void)cmd;
	(void)comp;
	(void)data;
	dm_pds_lif_reset(vf);
	dm_pds_intr_reset(&vf->fn);
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_lif_identify(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_lif_identity id;

	if (cmd[offsetof(struct lm_ionic_lif_identify_cmd, type)] != LM_IONIC_LIF_TYPE_CLASSIC)
		return LM_PDS_RC_EINVAL;
	memset(&id, 0, sizeof(id));
	id.capabilities = LM_IONIC_LIF_CAP_ETH;
	id.version = 1;
	id.max_ucast_filters = DM_PDS_FILTERS_OF_A_KIND;
	id.max_mcast_filters = DM_PDS_FILTERS_OF_A_KIND;
	id.rss_ind_tbl_sz = DM_PDS_RSS_TABLE;
	lm_le32_set(&id.min_frame_size, DM_PDS_MTU_MIN);
	lm_le32_set(&id.max_frame_size, DM_PDS_FRAME_MAX);
	id.config.mtu = vf->lif.mtu;
	id.config.features = DM_PDS_FEATURES;
	memcpy(id.config.mac, vf->lif.mac, sizeof(id.config.mac));
	id.config.queue_count[LM_IONIC_QTYPE_ADMINQ] = 1;
	id.config.queue_count[LM_IONIC_QTYPE_NOTIFYQ] = 1;
	id.config.queue_count[LM_IONIC_QTYPE_RXQ] = vf->pairs;
	id.config.queue_count[LM_IONIC_QTYPE_TXQ] = vf->pairs;
	memcpy(data, &id, sizeof(id));
	comp[1] = id.version;
	return LM_PDS_RC_SUCCESS;
}

/* The completion's hw_index is 0: DPDK's ionic uses the first doorbell page whatever it says. */
static uint8_t
dm_pds_lif_init(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_lif_init_cmd c;

	(void)comp;
	(void)data;
	memcpy(&c, cmd, sizeof(c));
	if (c.index != 0)
		return LM_PDS_RC_ENOENT;
	if (vf->lif.inited)
		return LM_PDS_RC_EBUSY;
	vf->lif.inited = 1;
	vf->lif.info_pa = c.info_pa;
	dm_pds_info_write(vf);
	return LM_PDS_RC_SUCCESS;
}

/* The port is not the LIF's. */
static uint8_t
dm_pds_lif_reset_cmd(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_port_config config = vf->lif.port_config;
	struct lm_ionic_port_stats stats = vf->lif.port_stats;
	uint64_t port_info_pa = vf->lif.port_info_pa;

	(void)cmd;
	(void)comp;
	(void)data;
	dm_pds_lif_reset(vf);
	vf->lif.port_config = config;
	vf->lif.port_stats = stats;
	vf->lif.port_info_pa = port_info_pa;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_port_identify(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_port_identity id;

	(void)cmd;
	memset(&id, 0, sizeof(id));
	id.version = 1;
	id.type = LM_IONIC_PORT_TYPE_ETH;
	id.num_lanes = 4;
	id.min_frame_size = DM_PDS_MTU_MIN;
	id.max_frame_size = DM_PDS_FRAME_MAX;
	id.speeds[0] = LM_IONIC_SPEED_100G;
	id.config = vf->lif.port_config;
	memcpy(data, &id, sizeof(id));
	comp[1] = id.version;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_port_init(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_port_init_cmd c;

	(void)comp;
	memcpy(&c, cmd, sizeof(c));
	memcpy(&vf->lif.port_config, data, sizeof(vf->lif.port_config));
	vf->lif.port_info_pa = c.info_pa;
	dm_pds_info_write(vf);
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_port_reset(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	(void)cmd;
	(void)comp;
	(void)data;
	vf->lif.port_info_pa = 0;
	memset(&vf->lif.port_stats, 0, sizeof(vf->lif.port_stats));
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_port_setattr(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_ionic_port_config *config = &vf->lif.port_config;
	struct lm_ionic_port_setattr_cmd c;
	uint32_t number;

	(void)comp;
	(void)data;
	memcpy(&c, cmd, sizeof(c));
	memcpy(&number, c.value, sizeof(number));
	switch (c.attr) {
	case LM_IONIC_PORT_ATTR_STATE:
		config->state = c.value[0];
		dm_pds_link_check(vf);
		break;
	case LM_IONIC_PORT_ATTR_SPEED:
		if (number != 0 && number != LM_IONIC_SPEED_100G)
			return LM_PDS_RC_ENOSUPP;
		break;
	case LM_IONIC_PORT_ATTR_MTU:
		config->mtu = number;
		break;
	case LM_IONIC_PORT_ATTR_AUTONEG:
		config->an_enable = c.value[0];
		break;
	case LM_IONIC_PORT_ATTR_FEC:
		config->fec_type = c.value[0];
		break;
	case LM_IONIC_PORT_ATTR_PAUSE:
		config->pause_type = c.value[0];
		break;
	case LM_IONIC_PORT_ATTR_LOOPBACK:
		return c.value[0] == 0 ? LM_PDS_RC_SUCCESS : LM_PDS_RC_ENOSUPP;
	case LM_IONIC_PORT_ATTR_STATS_CTRL:
		memset(&vf->lif.port_stats, 0, sizeof(vf->lif.port_stats));
		break;
	default:
		return LM_PDS_RC_EINVAL;
	}
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_port_getattr(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	const struct lm_ionic_port_config *config = &vf->lif.port_config;
	uint32_t value;

	(void)data;
	switch (cmd[offsetof(struct lm_ionic_port_setattr_cmd, attr)]) {
	case LM_IONIC_PORT_ATTR_STATE:
		value = config->state;
		break;
	case LM_IONIC_PORT_ATTR_SPEED:
		value = config->speed;
		break;
	case LM_IONIC_PORT_ATTR_MTU:
		value = config->mtu;
		break;
	case LM_IONIC_PORT_ATTR_AUTONEG:
		value = config->an_enable;
		break;
	case LM_IONIC_PORT_ATTR_FEC:
		value = config->fec_type;
		break;
	case LM_IONIC_PORT_ATTR_PAUSE:
		value = config->pause_type;
		break;
	default:
		return LM_PDS_RC_EINVAL;
	}
	memcpy(comp + offsetof(struct lm_ionic_admin_comp, cmd_data), &value, sizeof(value));
	return LM_PDS_RC_SUCCESS;
}

/* All other queues are set up through the admin queue. */
static uint8_t
dm_pds_vf_q_init(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	(void)data;
	return cmd[offsetof(struct lm_ionic_q_init_cmd, type)] == LM_IONIC_QTYPE_ADMINQ ?
			dm_pds_q_init(vf, cmd, comp) : LM_PDS_RC_EQTYPE;
}

static const struct {
	uint8_t opcode;
	uint8_t (*run)(struct dm_pds_vf *vf, const uint8_t *cmd, uint8_t *comp, uint8_t *data);
} dm_pds_vf_cmds[] = {
	{ LM_IONIC_CMD_NOP, dm_pds_vf_nop },
	{ LM_IONIC_CMD_IDENTIFY, dm_pds_vf_identify },
	{ LM_IONIC_CMD_INIT, dm_pds_vf_nop },
	{ LM_IONIC_CMD_RESET, dm_pds_vf_reset_cmd },
	{ LM_IONIC_CMD_PORT_IDENTIFY, dm_pds_port_identify },
	{ LM_IONIC_CMD_PORT_INIT, dm_pds_port_init },
	{ LM_IONIC_CMD_PORT_RESET, dm_pds_port_reset },
	{ LM_IONIC_CMD_PORT_GETATTR, dm_pds_port_getattr },
	{ LM_IONIC_CMD_PORT_SETATTR, dm_pds_port_setattr },
	{ LM_IONIC_CMD_LIF_IDENTIFY, dm_pds_lif_identify },
	{ LM_IONIC_CMD_LIF_INIT, dm_pds_lif_init },
	{ LM_IONIC_CMD_LIF_RESET, dm_pds_lif_reset_cmd },
	{ LM_IONIC_CMD_Q_IDENTIFY, dm_pds_q_identify },
	{ LM_IONIC_CMD_Q_INIT, dm_pds_vf_q_init },
};

uint8_t
dm_pds_vf_devcmd(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	size_t i;

	for (i = 0; i < sizeof(dm_pds_vf_cmds) / sizeof(dm_pds_vf_cmds[0]); i++)
		if (dm_pds_vf_cmds[i].opcode == cmd[0])
			return dm_pds_vf_cmds[i].run(dm_pds_vf_of(fn), cmd, comp, data);
	return LM_PDS_RC_EOPCODE;
}
