/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_PDS_CARD_H
#define DM_PDS_CARD_H

/**
 * @file
 * The card: its core PF (1dd8:100c) and the VFs behind it.
 *
 * Choices that the specification leaves open: a client's id outlives resets of the PF, as Linux
 * takes for granted; the same name gives the same id. SUSPEND of what is suspended and RESUME of
 * what runs succeed. SAVE and RESTORE need the FULL level. A VF's reset clears its level and
 * leaves its dirty tracking. Commands that wait when the PF is reset are dropped.
 */

#include "dm_pds.h"

#define DM_PDS_MAX_CLIENTS 64

struct dm_pds_vf;

struct dm_pds_client {
	bool used;
	char name[LM_PDS_DEVNAME_LEN];
};

struct dm_pds_pf {
	struct dm_pds_fn fn; /* first: the two are one pointer */
	struct dm_pci *pci;
	struct dm_pds_vf *vfs[DM_PDS_MAX_VFS];
	uint32_t nb_vfs;
	struct dm_pds_cmdq adminq;
	struct dm_pds_notifyq notifyq;
	struct dm_pds_client clients[DM_PDS_MAX_CLIENTS]; /* id is the index plus 1 */
	uint64_t lm_cmds;
	uint64_t in_progress; /* bit a VF: what HOST_VF_STATUS said */
};

/** VFs are added afterwards; the PF may be destroyed before or after them. */
int dm_pds_pf_create(struct dm_host *host, struct dm_pci *pci, struct dm_device *device);
void dm_pds_pf_add_vf(struct dm_pds_pf *pf, struct dm_pds_vf *vf);

/** Run a live migration command of a client that was checked: dm_pds_lm.c. */
void dm_pds_lm_run(struct dm_pds_pf *pf, const uint8_t *cmd, uint8_t *comp);

#endif /* DM_PDS_CARD_H */
