/* SPDX-License-Identifier: BSD-3-Clause */

/* Levels and state of one VF. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "lm_clock.h"
#include "lm_pds_lm_priv.h"
#include "lm_pds_priv.h"

#define STATE_MAGIC UINT64_C(0x4d4c5344502d4d4c) /* "LM-PDSLM" */
#define STATE_VERSION 1

static void
lm_pds_lm_cost_add(struct lm_pds_lm *lm, uint8_t opcode, uint64_t ns, int ret)
{
	struct lm_pds_lm_cost *c = lm->costs;

	pthread_mutex_lock(&lm->cost_lock);
	while (c < lm->costs + lm->nb_costs && c->opcode != opcode)
		c++;
	if (c == lm->costs + lm->nb_costs && lm->nb_costs < LM_PDS_LM_NB_COSTS)
		lm->nb_costs++;
	if (c < lm->costs + lm->nb_costs) {
		c->opcode = opcode;
		c->count++;
		c->errors += ret != 0;
		c->total_ns += ns;
		c->max_ns = ns > c->max_ns ? ns : c->max_ns;
	}
	pthread_mutex_unlock(&lm->cost_lock);
}

unsigned int
lm_pds_lm_costs(struct lm_pds_lm *lm, struct lm_pds_lm_cost costs[LM_PDS_LM_NB_COSTS])
{
	unsigned int nb;

	pthread_mutex_lock(&lm->cost_lock);
	nb = lm->nb_costs;
	memcpy(costs, lm->costs, nb * sizeof(costs[0]));
	pthread_mutex_unlock(&lm->cost_lock);
	return nb;
}

int
lm_pds_lm_send(struct lm_pds_lm *lm, const void *cmd, uint32_t cmd_bytes, void *comp)
{
	uint8_t full[LM_PDS_CLIENT_CMD_BYTES] = { 0 };
	uint64_t begin_ns = lm_clock_ns();
	int ret;

	memcpy(full, cmd, cmd_bytes);
	memcpy(full + offsetof(struct lm_pds_lm_cmd, vf_id), &lm->vf_id, sizeof(lm->vf_id));
	ret = lm_pds_client_cmd(&lm->client, full, comp);
	lm_pds_lm_cost_add(lm, full[0], lm_clock_ns() - begin_ns, ret);
	return ret;
}

int
lm_pds_lm_open(struct lm_pds_core *core, uint16_t vf_id, const char *client_name,
		struct lm_pds_lm **lm)
{
	struct lm_pds_lm *l = calloc(1, sizeof(*l));
	int ret;

	if (l == NULL)
		return -ENOMEM;
	l->vf_id = vf_id;
	pthread_mutex_init(&l->dirty_lock, NULL);
	pthread_mutex_init(&l->cost_lock, NULL);
	ret = lm_pds_client_open(core, client_name, &l->client);
	if (ret != 0) {
		pthread_mutex_destroy(&l->dirty_lock);
		pthread_mutex_destroy(&l->cost_lock);
		free(l);
		return ret;
	}
	*lm = l;
	return 0;
}

void
lm_pds_lm_close(struct lm_pds_lm *lm)
{
	if (lm == NULL)
		return;
	lm_pds_lm_dirty_stop(lm);
	lm_pds_client_close(&lm->client);
	pthread_mutex_destroy(&lm->dirty_lock);
	pthread_mutex_destroy(&lm->cost_lock);
	free(lm);
}

int
lm_pds_lm_host_status(struct lm_pds_lm *lm, bool in_progress)
{
	struct lm_pds_lm_host_vf_status_cmd cmd = { .opcode = LM_PDS_LM_CMD_HOST_VF_STATUS };

	cmd.status = in_progress ? LM_PDS_LM_STA_IN_PROGRESS : LM_PDS_LM_STA_NONE;
	return lm_pds_lm_send(lm, &cmd, sizeof(cmd), NULL);
}

int
lm_pds_lm_suspend_begin(struct lm_pds_lm *lm, uint8_t type)
{
	struct lm_pds_lm_suspend_cmd cmd = { .opcode = LM_PDS_LM_CMD_SUSPEND, .type = type };

	return lm_pds_lm_send(lm, &cmd, sizeof(cmd), NULL);
}

int
lm_pds_lm_suspend_wait(struct lm_pds_lm *lm, uint8_t type)
{
	struct lm_pds_lm_suspend_cmd cmd = { .opcode = LM_PDS_LM_CMD_SUSPEND_STATUS, .type = type };
	const struct lm_pds_core *core = lm->client.core;
	struct lm_pds_wait wait;
	int ret;

	lm_pds_wait_start(&wait, core->params.suspend_timeout_ms);
	do {
		ret = lm_pds_lm_send(lm, &cmd, sizeof(cmd), NULL);
		if (ret != -EAGAIN)
			return ret;
	} while (lm_pds_wait_turn(&wait));
	return lm_pci_fail(core->pci, -ETIMEDOUT, "%s: VF %u: not suspended in %u ms",
			lm_pci_name(core->pci), lm->vf_id, core->params.suspend_timeout_ms);
}

int
lm_pds_lm_suspend(struct lm_pds_lm *lm, uint8_t type)
{
	int ret = lm_pds_lm_suspend_begin(lm, type);

	return ret == 0 ? lm_pds_lm_suspend_wait(lm, type) : ret;
}

int
lm_pds_lm_resume(struct lm_pds_lm *lm, uint8_t type)
{
	struct lm_pds_lm_suspend_cmd cmd = { .opcode = LM_PDS_LM_CMD_RESUME, .type = type };

	return lm_pds_lm_send(lm, &cmd, sizeof(cmd), NULL);
}

int
lm_pds_lm_state_bytes(struct lm_pds_lm *lm, uint32_t *bytes)
{
	struct lm_pds_lm_state_size_comp comp;
	uint8_t cmd[4] = { LM_PDS_LM_CMD_STATE_SIZE };
	uint64_t size;
	int ret;

	ret = lm_pds_lm_send(lm, cmd, sizeof(cmd), &comp);
	if (ret != 0)
		return ret;
	size = lm_le64_get(&comp.size);
	if (size == 0)
		return lm_pci_fail(lm->client.core->pci, -ENODATA, "%s: VF %u has no state",
				lm_pci_name(lm->client.core->pci), lm->vf_id);
	if (size > LM_PDS_LM_DEVICE_STATE_LENGTH)
		return lm_pci_fail(lm->client.core->pci, -EFBIG,
				"%s: VF %u: a state that no device could restore",
				lm_pci_name(lm->client.core->pci), lm->vf_id);
	*bytes = (uint32_t)size;
	return 0;
}

/* One element, of exactly the state's length; list and state lie in the PF's data memory. */
static int
lm_pds_lm_blob(struct lm_pds_lm *lm, uint8_t opcode, uint8_t *data, uint64_t iova, uint32_t bytes)
{
	struct lm_pds_lm_sg_elem elem = { .addr = iova + LM_PDS_BLOB_AT, .len = bytes };
	struct lm_pds_lm_save_cmd cmd = { .opcode = opcode, .num_sge = 1 };

	memcpy(data, &elem, sizeof(elem));
	lm_le64_set(&cmd.sgl_addr, iova);
	return lm_pds_lm_send(lm, &cmd, sizeof(cmd), NULL);
}

int
lm_pds_lm_save(struct lm_pds_lm *lm, void *buf, uint32_t *len_bytes)
{
	struct lm_pds_state_hdr hdr = { .magic = STATE_MAGIC, .version = STATE_VERSION };
	struct lm_pds_core *core = lm->client.core;
	uint8_t *data, *out = buf;
	uint64_t iova;
	int ret;

	ret = lm_pds_lm_state_bytes(lm, &hdr.blob_bytes);
	if (ret != 0)
		return ret;
	data = lm_pds_core_lock_data(core, &iova);
	memset(data + LM_PDS_BLOB_AT, 0, hdr.blob_bytes);
	ret = lm_pds_lm_blob(lm, LM_PDS_LM_CMD_SAVE, data, iova, hdr.blob_bytes);
	memcpy(out + sizeof(hdr), data + LM_PDS_BLOB_AT, hdr.blob_bytes);
	lm_pds_core_unlock_data(core);
	hdr.checksum = XXH3_64bits(out + sizeof(hdr), hdr.blob_bytes);
	memcpy(out, &hdr, sizeof(hdr));
	*len_bytes = (uint32_t)sizeof(hdr) + hdr.blob_bytes;
	return ret;
}

int
lm_pds_lm_restore(struct lm_pds_lm *lm, const void *buf, uint32_t len_bytes)
{
	struct lm_pds_core *core = lm->client.core;
	const uint8_t *in = buf;
	struct lm_pds_state_hdr hdr;
	uint8_t *data;
	uint64_t iova;
	int ret;

	if (len_bytes < sizeof(hdr))
		return lm_pci_fail(core->pci, -EBADMSG, "%s: VF %u: a state of %u bytes",
				lm_pci_name(core->pci), lm->vf_id, len_bytes);
	memcpy(&hdr, in, sizeof(hdr));
	if (hdr.magic != STATE_MAGIC || hdr.version != STATE_VERSION)
		return lm_pci_fail(core->pci, -EPROTO, "%s: VF %u: a state of another format",
				lm_pci_name(core->pci), lm->vf_id);
	if (hdr.blob_bytes == 0 || hdr.blob_bytes > LM_PDS_LM_DEVICE_STATE_LENGTH ||
			len_bytes - sizeof(hdr) != hdr.blob_bytes ||
			XXH3_64bits(in + sizeof(hdr), hdr.blob_bytes) != hdr.checksum)
		return lm_pci_fail(core->pci, -EBADMSG, "%s: VF %u: its state is not whole",
				lm_pci_name(core->pci), lm->vf_id);
	data = lm_pds_core_lock_data(core, &iova);
	memcpy(data + LM_PDS_BLOB_AT, in + sizeof(hdr), hdr.blob_bytes);
	ret = lm_pds_lm_blob(lm, LM_PDS_LM_CMD_RESTORE, data, iova, hdr.blob_bytes);
	lm_pds_core_unlock_data(core);
	return ret;
}
