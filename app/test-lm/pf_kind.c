/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>

#include "exerciser_if.h"
#include "lm_exerciser_pf.h"
#include "lm_pds_pf.h"
#include "lm_pds_text.h"
#include "pf_kind.h"

static int
ex_open(struct lm_pci *pci, void **pf)
{
	return lm_ex_pf_open(pci, NULL, (struct lm_ex_pf **)pf);
}

static void
ex_close(void *pf)
{
	lm_ex_pf_close(pf);
}

static unsigned int
ex_nb_vfs(const void *pf)
{
	return lm_ex_pf_nb_vfs(pf);
}

static uint16_t
ex_vf_device(const void *pf)
{
	(void)pf;
	return LM_EX_DEVICE_VF;
}

static int
ex_vf(void *pf, unsigned int vf, struct lm_provider *provider)
{
	return lm_ex_pf_vf(pf, vf, provider);
}

static int
pds_open(struct lm_pci *pci, void **pf)
{
	return lm_pds_pf_open(pci, NULL, (struct lm_pds_pf **)pf);
}

static void
pds_close(void *pf)
{
	lm_pds_pf_close(pf);
}

static unsigned int
pds_nb_vfs(const void *pf)
{
	return lm_pds_pf_nb_vfs(pf);
}

static uint16_t
pds_vf_device(const void *pf)
{
	return lm_pds_pf_vf_device(pf);
}

static int
pds_vf(void *pf, unsigned int vf, struct lm_provider *provider)
{
	return lm_pds_pf_vf(pf, vf, provider);
}

static void
pds_look(void *pf)
{
	(void)lm_pds_pf_health(pf); /* who has a VF going learns of it from its own calls */
}

static void
pds_costs(void *pf, unsigned int vf, const char *path, FILE *out)
{
	struct lm_pds_lm_cost costs[LM_PDS_LM_NB_COSTS];
	unsigned int nb = lm_pds_pf_costs(pf, vf, costs), i;
	const char *name;

	for (i = 0; i < nb; i++) {
		name = lm_pds_op_name(LM_PDS_PLACE_LM, costs[i].opcode);
		fprintf(out, "command %s %s count %" PRIu64 " errors %" PRIu64 " mean_us %" PRIu64
			" max_us %" PRIu64 "\n", path, name != NULL ? name : "?", costs[i].count,
			costs[i].errors, costs[i].total_ns / costs[i].count / 1000,
			costs[i].max_ns / 1000);
	}
}

static const struct pf_kind kinds[] = {
	{ "exerciser", LM_EX_VENDOR, LM_EX_DEVICE_PF, ex_open, ex_close, ex_nb_vfs, ex_vf_device,
		ex_vf, NULL, NULL },
	{ "pds", LM_PCI_VENDOR_ID_PENSANDO, LM_PCI_DEVICE_ID_PENSANDO_CORE_PF, pds_open, pds_close,
		pds_nb_vfs, pds_vf_device, pds_vf, pds_look, pds_costs },
};

#define NB_KINDS (sizeof(kinds) / sizeof(kinds[0]))

const struct pf_kind *
pf_kind_find(uint16_t vendor, uint16_t device)
{
	unsigned int i;

	for (i = 0; i < NB_KINDS; i++)
		if (kinds[i].vendor == vendor && kinds[i].device == device)
			return &kinds[i];
	return NULL;
}

void
pf_kind_list(FILE *out)
{
	unsigned int i;

	for (i = 0; i < NB_KINDS; i++)
		fprintf(out, "%s%s (%04x:%04x)", i == 0 ? "" : ", ", kinds[i].name,
			kinds[i].vendor, kinds[i].device);
}
