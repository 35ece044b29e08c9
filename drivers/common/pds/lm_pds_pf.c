/* SPDX-License-Identifier: BSD-3-Clause */

/* A core PF with its VFs: who they are, and the life of the providers. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "lm_pci.h"
#include "lm_pds_pf_priv.h"

#define EXT_CAPS_MAX ((4096 - PCI_CFG_SPACE_SIZE) / 4)

/* Extended capabilities are a list that the device vouches for: at most as many as fit. */
static int
lm_pds_sriov_find(struct lm_pci *pci, uint32_t *at)
{
	uint32_t offset = PCI_CFG_SPACE_SIZE, header, i;
	int ret;

	for (i = 0; i < EXT_CAPS_MAX && offset >= PCI_CFG_SPACE_SIZE; i++) {
		ret = lm_pci_config_read(pci, offset, &header, sizeof(header));
		if (ret != 0)
			return ret;
		*at = offset;
		if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_SRIOV)
			return 0;
		offset = PCI_EXT_CAP_NEXT(header);
	}
	return -ENODEV;
}

static int
lm_pds_pf_probe(struct lm_pds_pf *pf)
{
	uint16_t ids[2], total = 0;
	uint32_t at;
	int ret = lm_pci_config_read(pf->pci, 0, ids, sizeof(ids));

	if (ret != 0)
		return ret;
	if (ids[0] != LM_PCI_VENDOR_ID_PENSANDO || ids[1] != LM_PCI_DEVICE_ID_PENSANDO_CORE_PF)
		return lm_pci_fail(pf->pci, -ENODEV, "%s: no core PF: %04x:%04x",
				lm_pci_name(pf->pci), ids[0], ids[1]);
	ret = lm_pds_sriov_find(pf->pci, &at);
	if (ret == 0)
		ret = lm_pci_config_read(pf->pci, at + PCI_SRIOV_TOTAL_VF, &total, sizeof(total));
	if (ret == 0)
		ret = lm_pci_config_read(pf->pci, at + PCI_SRIOV_VF_DID, &pf->vf_device,
				sizeof(pf->vf_device));
	if (ret != 0 || total == 0)
		return lm_pci_fail(pf->pci, -ENODEV, "%s: it has no VFs", lm_pci_name(pf->pci));
	pf->nb_vfs = total < LM_PDS_PF_MAX_VFS ? total : LM_PDS_PF_MAX_VFS;
	return 0;
}

static int
lm_pds_pf_start(struct lm_pds_pf *pf, const struct lm_pds_pf_conf *conf)
{
	struct lm_pds_core_params params = { .event = NULL };
	uint32_t i;
	int ret;

	if (conf != NULL)
		params.devcmd_timeout_ms = params.adminq_timeout_ms = params.suspend_timeout_ms =
				conf->timeout_ms;
	ret = lm_pds_pf_probe(pf);
	if (ret == 0)
		ret = lm_pds_core_open(pf->pci, &params, &pf->core);
	if (ret != 0)
		return ret;
	if (lm_pds_core_identity(pf->core)->vif_types[LM_PDS_DEV_TYPE_LM] == 0)
		return lm_pci_fail(pf->pci, -ENODEV, "%s: its firmware migrates no VFs",
				lm_pci_name(pf->pci));
	pf->vfs = calloc(pf->nb_vfs, sizeof(*pf->vfs));
	if (pf->vfs == NULL)
		return -ENOMEM;
	for (i = 0; i < pf->nb_vfs; i++) {
		pf->vfs[i].pf = pf;
		pf->vfs[i].state = LM_STATE_RUNNING;
		pthread_mutex_init(&pf->vfs[i].lock, NULL);
	}
	return 0;
}

int
lm_pds_pf_open(struct lm_pci *pci, const struct lm_pds_pf_conf *conf, struct lm_pds_pf **pf)
{
	struct lm_pds_pf *p = calloc(1, sizeof(*p));
	int ret;

	if (p == NULL)
		return -ENOMEM;
	p->pci = pci;
	ret = lm_pds_pf_start(p, conf);
	if (ret != 0) {
		lm_pds_pf_close(p);
		return ret;
	}
	*pf = p;
	return 0;
}

void
lm_pds_pf_close(struct lm_pds_pf *pf)
{
	uint32_t i;

	if (pf == NULL)
		return;
	for (i = 0; pf->vfs != NULL && i < pf->nb_vfs; i++) {
		lm_pds_lm_close(pf->vfs[i].lm);
		free(pf->vfs[i].stream);
		pthread_mutex_destroy(&pf->vfs[i].lock);
	}
	free(pf->vfs);
	lm_pds_core_close(pf->core);
	free(pf);
}

unsigned int
lm_pds_pf_nb_vfs(const struct lm_pds_pf *pf)
{
	return pf->nb_vfs;
}

uint16_t
lm_pds_pf_vf_device(const struct lm_pds_pf *pf)
{
	return pf->vf_device;
}

int
lm_pds_pf_health(struct lm_pds_pf *pf)
{
	return lm_pds_core_health(pf->core);
}

/*
 * Who had the PF before may have left the VF suspended. Only a VF at a level says that it has
 * reached it.
 */
static int
lm_pds_vf_find(struct lm_pds_vf *vf)
{
	static const struct {
		uint8_t type;
		enum lm_state state;
	} levels[] = {
		{ LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL, LM_STATE_STOP },
		{ LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P, LM_STATE_RUNNING_P2P },
	};
	unsigned int i;
	int ret;

	vf->restarts = lm_pds_core_restarts(vf->pf->core);
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		ret = lm_pds_lm_suspend_wait(vf->lm, levels[i].type);
		if (ret == 0) {
			vf->state = levels[i].state;
			return 0;
		}
		if (lm_pds_in_doubt(ret))
			return ret;
	}
	return 0;
}

/* The firmware looks at a client's name as far as "pds_core.LM"; behind it all differ. */
static int
lm_pds_vf_open(struct lm_pds_pf *pf, unsigned int index)
{
	struct lm_pds_vf *vf = &pf->vfs[index];
	char name[LM_PDS_DEVNAME_LEN];
	int ret;

	snprintf(name, sizeof(name), "pds_core.LM.dpdk.%u", index);
	vf->stream = malloc(LM_PDS_STATE_MAX_BYTES);
	if (vf->stream == NULL)
		return -ENOMEM;
	ret = lm_pds_lm_open(pf->core, (uint16_t)index, name, &vf->lm);
	if (ret == 0)
		ret = lm_pds_vf_find(vf);
	if (ret != 0) {
		lm_pds_lm_close(vf->lm);
		vf->lm = NULL;
		free(vf->stream);
		vf->stream = NULL;
	}
	return ret;
}

int
lm_pds_pf_vf(struct lm_pds_pf *pf, unsigned int vf, struct lm_provider *provider)
{
	int ret = 0;

	if (vf >= pf->nb_vfs)
		return -ENOENT;
	if (pf->vfs[vf].lm == NULL)
		ret = lm_pds_vf_open(pf, vf);
	if (ret != 0)
		return ret;
	provider->ops = &lm_pds_vf_ops;
	provider->dev = &pf->vfs[vf];
	return 0;
}

unsigned int
lm_pds_pf_costs(struct lm_pds_pf *pf, unsigned int vf,
		struct lm_pds_lm_cost costs[LM_PDS_LM_NB_COSTS])
{
	if (vf >= pf->nb_vfs || pf->vfs[vf].lm == NULL)
		return 0;
	return lm_pds_lm_costs(pf->vfs[vf].lm, costs);
}
