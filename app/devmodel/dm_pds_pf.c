/* SPDX-License-Identifier: BSD-3-Clause */

/* The core PF: identity, device commands, admin queue, clients, firmware status. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_pci_sriov.h"
#include "dm_pds_card.h"
#include "dm_pds_vf.h"

#define DM_PDS_PF_CLASS 0x120000 /* processing accelerator */
#define DM_PDS_PF_VECTORS 8
#define DM_PDS_PF_SLEEP_US 100000
#define DM_PDS_LM_CLIENT "pds_core.LM"
#define DM_PDS_MAX_QUEUE_LG2 12

static uint8_t
dm_pds_pf_identify(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_pds_core_dev_identity id;

	memset(&id, 0, sizeof(id));
	id.version = LM_PDS_CORE_IDENTITY_VERSION_1;
	id.nlifs = 1;
	id.nintrs = pf->fn.nb_vectors;
	id.ndbpgs_per_lif = 1;
	id.intr_coal_mult = 1;
	id.intr_coal_div = DM_PDS_COAL_UNIT_US;
	id.vif_types[LM_PDS_DEV_TYPE_LM] = (uint16_t)pf->nb_vfs;
	if (cmd[offsetof(struct lm_pds_core_dev_identify_cmd, ver)] == 0)
		return LM_PDS_RC_EVERSION;
	memset(data, 0, LM_PDS_DEVCMD_DATA_BYTES);
	memcpy(data, &id, sizeof(id));
	comp[offsetof(struct lm_pds_core_dev_identify_comp, ver)] = id.version;

	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_pf_init_cmd(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_pds_core_dev_init_data_in in;
	struct lm_pds_core_dev_init_data_out out;
	uint16_t vector;

	(void)cmd;
	(void)comp;
	memcpy(&in, data, sizeof(in));
	vector = (in.flags & LM_PDS_CORE_QINIT_F_IRQ) != 0 ? in.intr_index : UINT16_MAX;
	if (in.adminq_ring_size < LM_PDS_CORE_QSIZE_MIN_LG2 ||
			in.adminq_ring_size > DM_PDS_MAX_QUEUE_LG2 ||
			in.notifyq_ring_size < LM_PDS_CORE_QSIZE_MIN_LG2 ||
			in.notifyq_ring_size > DM_PDS_MAX_QUEUE_LG2 ||
			(vector != UINT16_MAX && vector >= pf->fn.nb_vectors))
		return LM_PDS_RC_EINVAL;
	dm_pds_cmdq_start(&pf->adminq, in.adminq_q_base, in.adminq_cq_base, in.adminq_ring_size,
			vector);
	pf->adminq.enabled = (in.flags & LM_PDS_CORE_QINIT_F_ENA) != 0;
	memset(&pf->notifyq, 0, sizeof(pf->notifyq));
	pf->notifyq.cq_base = in.notifyq_cq_base;
	pf->notifyq.size_lg2 = in.notifyq_ring_size;
	pf->notifyq.vector = vector;
	pf->notifyq.enabled = pf->adminq.enabled;
	memset(&out, 0, sizeof(out));
	out.adminq_hw_type = LM_PDS_CORE_QTYPE_ADMINQ;
	out.notifyq_hw_type = LM_PDS_CORE_QTYPE_NOTIFYQ;
	memcpy(data, &out, sizeof(out));
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_pf_reset_cmd(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	(void)cmd;
	(void)comp;
	(void)data;
	memset(&pf->adminq, 0, sizeof(pf->adminq));
	memset(&pf->notifyq, 0, sizeof(pf->notifyq));
	dm_pds_intr_reset(&pf->fn);
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_pf_fw_control(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct lm_pds_core_fw_list_info list;

	(void)pf;
	if (cmd[offsetof(struct lm_pds_core_fw_control_cmd, oper)] != LM_PDS_CORE_FW_GET_LIST)
		return LM_PDS_RC_ENOSUPP;
	memset(&list, 0, sizeof(list));
	list.num_fw_slots = 1;
	snprintf(list.fw_names[0].slotname, sizeof(list.fw_names[0].slotname), "fw.a");
	snprintf(list.fw_names[0].fw_version, sizeof(list.fw_names[0].fw_version), "dpdk-lm-1");
	memset(data, 0, LM_PDS_DEVCMD_DATA_BYTES);
	memcpy(data, &list, sizeof(list));
	comp[offsetof(struct lm_pds_core_fw_control_comp, slot)] = LM_PDS_CORE_FW_SLOT_A;
	return LM_PDS_RC_SUCCESS;
}

static uint8_t
dm_pds_pf_nop(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	(void)pf;
	(void)cmd;
	(void)comp;
	(void)data;
	return LM_PDS_RC_SUCCESS;
}

static const struct {
	uint8_t opcode;
	uint8_t (*run)(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp, uint8_t *data);
} dm_pds_pf_cmds[] = {
	{ LM_PDS_CORE_CMD_NOP, dm_pds_pf_nop },
	{ LM_PDS_CORE_CMD_IDENTIFY, dm_pds_pf_identify },
	{ LM_PDS_CORE_CMD_RESET, dm_pds_pf_reset_cmd },
	{ LM_PDS_CORE_CMD_INIT, dm_pds_pf_init_cmd },
	{ LM_PDS_CORE_CMD_FW_CONTROL, dm_pds_pf_fw_control },
};

static uint8_t
dm_pds_pf_devcmd(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp, uint8_t *data)
{
	struct dm_pds_pf *pf = (struct dm_pds_pf *)fn;
	size_t i;

	for (i = 0; i < sizeof(dm_pds_pf_cmds) / sizeof(dm_pds_pf_cmds[0]); i++)
		if (dm_pds_pf_cmds[i].opcode == cmd[0])
			return dm_pds_pf_cmds[i].run(pf, cmd, comp, data);
	return LM_PDS_RC_EOPCODE;
}

static void
dm_pds_pf_doorbell(struct dm_pds_fn *fn, uint32_t page, uint32_t type, uint32_t qid,
		uint16_t index)
{
	struct dm_pds_pf *pf = (struct dm_pds_pf *)fn;

	(void)page;
	if (type == LM_PDS_CORE_QTYPE_ADMINQ && qid == 0)
		dm_pds_cmdq_rung(fn, &pf->adminq, index);
	else
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_DOORBELL, "type %u, queue %u", type,
				qid);
}

static uint8_t
dm_pds_client_reg(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp)
{
	struct dm_pds_client *free_one = NULL;
	char name[LM_PDS_DEVNAME_LEN];
	uint16_t i, id = 0;

	memcpy(name, cmd + offsetof(struct lm_pds_core_client_reg_cmd, devname), sizeof(name));
	for (i = 0; i < DM_PDS_MAX_CLIENTS; i++) {
		if (pf->clients[i].used && memcmp(pf->clients[i].name, name, sizeof(name)) == 0)
			break;
		if (!pf->clients[i].used && free_one == NULL) {
			free_one = &pf->clients[i];
			id = i + 1;
		}
	}
	if (i < DM_PDS_MAX_CLIENTS)
		id = i + 1;
	else if (free_one == NULL)
		return LM_PDS_RC_ENOSPC;
	pf->clients[id - 1].used = true;
	memcpy(pf->clients[id - 1].name, name, sizeof(name));
	memcpy(comp + offsetof(struct lm_pds_core_client_reg_comp, client_id), &id, sizeof(id));
	return LM_PDS_RC_SUCCESS;
}

static struct dm_pds_client *
dm_pds_client_find(struct dm_pds_pf *pf, const uint8_t *cmd)
{
	uint16_t id;

	memcpy(&id, cmd + offsetof(struct lm_pds_core_client_request_cmd, client_id), sizeof(id));
	if (id == 0 || id > DM_PDS_MAX_CLIENTS || !pf->clients[id - 1].used)
		return NULL;
	return &pf->clients[id - 1];
}

static void
dm_pds_pf_adminq(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp)
{
	struct dm_pds_pf *pf = (struct dm_pds_pf *)fn;
	struct dm_pds_client *client = dm_pds_client_find(pf, cmd);

	lm_pds_text(LM_PDS_PLACE_CORE_ADMINQ, cmd, fn->last, sizeof(fn->last));
	switch (cmd[0]) {
	case LM_PDS_AQ_CMD_NOP:
		break;
	case LM_PDS_AQ_CMD_CLIENT_REG:
		comp[0] = dm_pds_client_reg(pf, cmd, comp);
		break;
	case LM_PDS_AQ_CMD_CLIENT_UNREG:
		if (client == NULL)
			comp[0] = LM_PDS_RC_ECLIENT;
		else
			client->used = false;
		break;
	case LM_PDS_AQ_CMD_CLIENT_CMD:
		if (client == NULL)
			comp[0] = LM_PDS_RC_ECLIENT;
		else if (memcmp(client->name, DM_PDS_LM_CLIENT, sizeof(DM_PDS_LM_CLIENT) - 1) != 0)
			comp[0] = LM_PDS_RC_EPERM;
		else
			dm_pds_lm_run(pf, cmd + offsetof(struct lm_pds_core_client_request_cmd,
					client_cmd), comp);
		break;
	default:
		comp[0] = lm_pds_op_name(LM_PDS_PLACE_CORE_DEVCMD, cmd[0]) != NULL ?
				LM_PDS_RC_DEV_CMD : LM_PDS_RC_EOPCODE;
	}
}

static const struct dm_pds_fn_ops dm_pds_pf_fn_ops = {
	.devcmd_place = LM_PDS_PLACE_CORE_DEVCMD,
	.trace_devcmd = "core.devcmd",
	.trace_adminq = "core.adminq",
	.devcmd = dm_pds_pf_devcmd,
	.doorbell = dm_pds_pf_doorbell,
};

static int
dm_pds_pf_bar_read(void *dev, uint32_t bar, uint64_t offset, void *buf, uint32_t len_bytes)
{
	return dm_pds_bar_read(dev, bar, offset, buf, len_bytes);
}

static int
dm_pds_pf_bar_write(void *dev, uint32_t bar, uint64_t offset, const void *buf,
		uint32_t len_bytes)
{
	return dm_pds_bar_write(dev, bar, offset, buf, len_bytes);
}

static void
dm_pds_pf_reset(void *dev)
{
	struct dm_pds_pf *pf = dev;

	memset(&pf->adminq, 0, sizeof(pf->adminq));
	memset(&pf->notifyq, 0, sizeof(pf->notifyq));
	dm_pds_fn_reset(&pf->fn);
}

static unsigned int
dm_pds_pf_poll(void *dev, uint64_t now_ns)
{
	struct dm_pds_pf *pf = dev;

	return dm_pds_fn_tick(&pf->fn, now_ns) +
			dm_pds_cmdq_poll(&pf->fn, &pf->adminq, now_ns, dm_pds_pf_adminq);
}

static uint32_t
dm_pds_pf_sleep(void *dev)
{
	struct dm_pds_pf *pf = dev;

	return dm_pds_fn_sleep_us(&pf->fn, pf->fn.host->now_ns(pf->fn.host->ctx),
			DM_PDS_PF_SLEEP_US);
}

static int
dm_pds_pf_stats(void *dev, json_t *object)
{
	const struct dm_pds_pf *pf = dev;
	json_int_t clients = 0;
	int ret, i;

	for (i = 0; i < DM_PDS_MAX_CLIENTS; i++)
		clients += pf->clients[i].used;
	ret = dm_pds_fn_stats(&pf->fn, object);
	ret |= json_object_set_new(object, "clients", json_integer(clients));
	ret |= json_object_set_new(object, "lm_cmds", json_integer((json_int_t)pf->lm_cmds));
	ret |= json_object_set_new(object, "events", json_integer((json_int_t)pf->notifyq.eid));
	return ret;
}

/* {"cmd":"fw","running":false}; true starts it again as a new generation. */
static int
dm_pds_pf_fw(struct dm_pds_pf *pf, const json_t *args, const char **error)
{
	const json_t *running = json_object_get(args, "running");
	uint8_t generation = pf->fn.regs.fw_status & LM_PDS_CORE_FW_STS_F_GENERATION;

	if (!json_is_boolean(running)) {
		*error = "fw needs \"running\": true or false";
		return -EINVAL;
	}
	pf->fn.regs.fw_status = generation;
	if (json_is_true(running))
		pf->fn.regs.fw_status = (uint8_t)(generation + 0x10) |
				LM_PDS_CORE_FW_STS_F_RUNNING;
	return 0;
}

/* {"cmd":"event","code":1}: a link change or a reset, for the driver's notify queue. */
static int
dm_pds_pf_event(struct dm_pds_pf *pf, const json_t *args)
{
	uint8_t event[LM_PDS_NQ_ENTRY_BYTES] = { 0 };
	uint16_t code = (uint16_t)json_integer_value(json_object_get(args, "code"));

	memcpy(event + offsetof(struct lm_pds_core_notifyq_event, ecode), &code, sizeof(code));
	event[offsetof(struct lm_pds_core_reset_event, state)] =
			(uint8_t)json_integer_value(json_object_get(args, "state"));
	dm_pds_notify(&pf->fn, &pf->notifyq, event);
	return 0;
}

static int
dm_pds_pf_control(void *dev, const char *cmd, const json_t *args, const char **error)
{
	if (strcmp(cmd, "fw") == 0)
		return dm_pds_pf_fw(dev, args, error);
	if (strcmp(cmd, "event") == 0)
		return dm_pds_pf_event(dev, args);
	return -ENOTSUP;
}

static int
dm_pds_pf_fault(void *dev, const char *spec)
{
	struct dm_pds_pf *pf = dev;

	return dm_pds_fault_parse(&pf->fn.faults, spec);
}

static int
dm_pds_pf_add_caps(void *dev)
{
	const struct dm_pds_pf *pf = dev;
	struct dm_pci_sriov_conf conf = {
		.nb_vfs = (uint16_t)pf->nb_vfs,
		.vf_device = LM_PCI_DEVICE_ID_PENSANDO_IONIC_ETH_VF,
	};

	if (pf->nb_vfs == 0)
		return 0;
	dm_pds_vf_bars(pf->vfs[0], conf.bar_bytes, conf.bar_64bit);
	dm_pci_add_sriov(pf->pci, &conf);
	return 0;
}

static void
dm_pds_pf_destroy(void *dev)
{
	struct dm_pds_pf *pf = dev;

	dm_pds_db_fini(&pf->fn);
	free(pf);
}

static const struct dm_device_ops dm_pds_pf_ops = {
	.destroy = dm_pds_pf_destroy,
	.add_caps = dm_pds_pf_add_caps,
	.bar_read = dm_pds_pf_bar_read,
	.bar_write = dm_pds_pf_bar_write,
	.reset = dm_pds_pf_reset,
	.poll = dm_pds_pf_poll,
	.sleep = dm_pds_pf_sleep,
	.stats = dm_pds_pf_stats,
	.control = dm_pds_pf_control,
	.fault = dm_pds_pf_fault,
};

int
dm_pds_pf_create(struct dm_host *host, struct dm_pci *pci, struct dm_device *device)
{
	struct dm_pds_pf *pf = calloc(1, sizeof(*pf));
	int ret;

	if (pf == NULL)
		return -ENOMEM;
	pf->pci = pci;
	dm_pds_fn_init(&pf->fn, host, &dm_pds_pf_fn_ops, DM_PDS_PF_VECTORS, 1);
	dm_pds_fn_fill(&pf->fn, device);
	ret = dm_pds_db_init(&pf->fn, &device->bars[DM_PDS_DBELL_BAR]);
	if (ret != 0) {
		free(pf);
		return ret;
	}
	device->name = "pds-core";
	device->ops = &dm_pds_pf_ops;
	device->dev = pf;
	device->ids.vendor = LM_PCI_VENDOR_ID_PENSANDO;
	device->ids.device = LM_PCI_DEVICE_ID_PENSANDO_CORE_PF;
	device->ids.sub_vendor = LM_PCI_VENDOR_ID_PENSANDO;
	device->ids.class_code = DM_PDS_PF_CLASS;
	return 0;
}

void
dm_pds_pf_add_vf(struct dm_pds_pf *pf, struct dm_pds_vf *vf)
{
	pf->vfs[pf->nb_vfs++] = vf;
}
