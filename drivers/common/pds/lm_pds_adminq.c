/* SPDX-License-Identifier: BSD-3-Clause */

/* Admin queue, one command at a time; notify queue; clients. */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "lm_pds_priv.h"
#include "lm_pds_text.h"

#define COMP_COLOR 15
#define COMP_INDEX 2
#define AQ_MASK (LM_PDS_AQ_SIZE - 1)
#define NQ_MASK (LM_PDS_NQ_SIZE - 1)
#define TEXT_BYTES 128

static struct lm_pds_queues *
lm_pds_queues_of(struct lm_pds_core *core)
{
	return core->queue_mem.vaddr;
}

void
lm_pds_notify_take_locked(struct lm_pds_core *core)
{
	uint8_t event[LM_PDS_NQ_ENTRY_BYTES];
	struct lm_pds_core_reset_event reset;
	struct lm_pds_core_link_change_event link;
	const uint8_t *entry;
	uint64_t eid;
	uint32_t i;

	for (i = 0; i < LM_PDS_NQ_SIZE; i++) {
		entry = lm_pds_queues_of(core)->events[core->nq_tail & NQ_MASK];
		eid = atomic_load_explicit((const _Atomic uint64_t *)(const void *)entry,
				memory_order_acquire);
		if (eid <= core->last_eid)
			return;
		memcpy(event, entry, sizeof(event));
		memcpy(&reset, event, sizeof(reset));
		memcpy(&link, event, sizeof(link));
		if (reset.ecode == LM_PDS_EVENT_LINK_CHANGE)
			lm_pds_event_add_locked(core, LM_PDS_EV_LINK, link.link_status);
		else if (reset.ecode == LM_PDS_EVENT_RESET)
			lm_pds_event_add_locked(core, LM_PDS_EV_RESET, reset.state);
		else if (reset.ecode == LM_PDS_EVENT_CLIENT)
			lm_pds_event_add_locked(core, LM_PDS_EV_CLIENT, link.link_status);
		core->last_eid = eid;
		core->nq_tail++;
	}
}

/* @return 0; -ETIMEDOUT, -ENXIO or an errno of pciaccess */
static int
lm_pds_admin_wait_locked(struct lm_pds_core *core, const uint8_t *slot, const void *cmd)
{
	const _Atomic uint8_t *color = (const _Atomic uint8_t *)(const void *)(slot + COMP_COLOR);
	char text[TEXT_BYTES];
	struct lm_pds_wait wait;
	int ret;

	lm_pds_wait_start(&wait, core->params.adminq_timeout_ms);
	do {
		if ((atomic_load_explicit(color, memory_order_acquire) & LM_PDS_COMP_COLOR_MASK) ==
				core->color)
			return 0;
		ret = lm_pds_fw_check(core);
		if (ret != 0)
			return ret == -ESTALE ? -ENXIO : ret;
	} while (lm_pds_wait_turn(&wait));
	return lm_pci_fail(core->pci, -ETIMEDOUT, "%s: %s: no completion in %u ms",
			lm_pci_name(core->pci),
			lm_pds_text(LM_PDS_PLACE_CORE_ADMINQ, cmd, text, sizeof(text)),
			core->params.adminq_timeout_ms);
}

static int
lm_pds_admin_locked(struct lm_pds_core *core, const void *cmd, uint8_t *comp)
{
	struct lm_pds_queues *q = lm_pds_queues_of(core);
	const uint8_t *slot = q->comp[core->head];
	uint64_t doorbell;
	uint16_t index;
	int ret;

	memcpy(q->cmd[core->head], cmd, LM_PDS_AQ_ENTRY_BYTES);
	doorbell = core->doorbell_qid | ((core->head + 1u) & AQ_MASK);
	ret = lm_pci_bar_write_posted(core->pci, core->dbell_bar, core->doorbell, &doorbell,
			sizeof(doorbell));
	if (ret == 0)
		ret = lm_pds_admin_wait_locked(core, slot, cmd);
	if (ret != 0)
		return ret;
	memcpy(comp, slot, LM_PDS_COMP_BYTES);
	memcpy(&index, comp + COMP_INDEX, sizeof(index));
	if (index != core->head)
		return lm_pci_fail(core->pci, -EPROTO,
				"%s: completion of command %u where %u was due",
				lm_pci_name(core->pci), index, core->head);
	core->head = (core->head + 1) & AQ_MASK;
	if (core->head == 0)
		core->color ^= LM_PDS_COMP_COLOR_MASK;
	return 0;
}

int
lm_pds_core_admin_cmd(struct lm_pds_core *core, const void *cmd, void *comp)
{
	uint8_t answer[LM_PDS_COMP_BYTES] = { 0 };
	char text[TEXT_BYTES];
	int ret;

	pthread_mutex_lock(&core->lock);
	ret = lm_pds_core_recover_locked(core);
	if (ret == 0) {
		ret = lm_pds_admin_locked(core, cmd, answer);
		/* What comes late must find no command that could take it for its own. */
		core->broken = ret != 0;
		lm_pds_notify_take_locked(core);
	}
	if (ret == 0 && answer[0] != LM_PDS_RC_SUCCESS)
		ret = lm_pci_fail(core->pci, lm_pds_status_errno(answer[0]), "%s: %s: %s",
				lm_pci_name(core->pci),
				lm_pds_text(LM_PDS_PLACE_CORE_ADMINQ, cmd, text, sizeof(text)),
				lm_pds_status_name(answer[0]));
	lm_pds_core_unlock(core);
	if (comp != NULL)
		memcpy(comp, answer, sizeof(answer));
	return ret;
}

static int
lm_pds_client_register(struct lm_pds_client *client)
{
	uint8_t cmd[LM_PDS_AQ_ENTRY_BYTES] = { LM_PDS_AQ_CMD_CLIENT_REG };
	struct lm_pds_core_client_reg_comp comp;
	int ret;

	memcpy(cmd + offsetof(struct lm_pds_core_client_reg_cmd, devname), client->name,
			sizeof(client->name));
	ret = lm_pds_core_admin_cmd(client->core, cmd, &comp);
	if (ret != 0)
		return ret;
	if (comp.client_id == 0)
		return lm_pci_fail(client->core->pci, -EPROTO, "%s: client id 0",
				lm_pci_name(client->core->pci));
	client->id = comp.client_id;
	return 0;
}

int
lm_pds_client_open(struct lm_pds_core *core, const char *name, struct lm_pds_client *client)
{
	size_t len = strlen(name);
	int ret;

	memset(client, 0, sizeof(*client));
	if (len == 0 || len >= sizeof(client->name))
		return lm_pci_fail(core->pci, -EINVAL,
				"%s: a client's name has 1 to %zu characters",
				lm_pci_name(core->pci), sizeof(client->name) - 1);
	client->core = core;
	memcpy(client->name, name, len);
	ret = lm_pds_client_register(client);
	if (ret != 0)
		client->core = NULL;
	return ret;
}

void
lm_pds_client_close(struct lm_pds_client *client)
{
	uint8_t cmd[LM_PDS_AQ_ENTRY_BYTES] = { LM_PDS_AQ_CMD_CLIENT_UNREG };

	if (client->core == NULL)
		return;
	memcpy(cmd + offsetof(struct lm_pds_core_client_unreg_cmd, client_id), &client->id,
			sizeof(client->id));
	lm_pds_core_admin_cmd(client->core, cmd, NULL);
	client->core = NULL;
}

int
lm_pds_client_cmd(struct lm_pds_client *client, const void *cmd, void *comp)
{
	struct lm_pds_core_client_request_cmd request;
	uint8_t answer[LM_PDS_COMP_BYTES] = { 0 };
	int ret;

	memset(&request, 0, sizeof(request));
	request.opcode = LM_PDS_AQ_CMD_CLIENT_CMD;
	request.client_id = client->id;
	memcpy(request.client_cmd, cmd, sizeof(request.client_cmd));
	ret = lm_pds_core_admin_cmd(client->core, &request, answer);
	if (ret == -ECHILD && lm_pds_client_register(client) == 0) {
		request.client_id = client->id;
		ret = lm_pds_core_admin_cmd(client->core, &request, answer);
	}
	if (comp != NULL)
		memcpy(comp, answer, sizeof(answer));
	return ret;
}
