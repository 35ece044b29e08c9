/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PDS_PF_H
#define LM_PDS_PF_H

/**
 * @file
 * Migration provider of pds VFs: commands their core PF (lm_pds_lm.h).
 *
 * States and arcs are those of Linux's pds-vfio-pci: STOP_COPY and P2P, no PRE_COPY. A PF has no
 * command that tells a VF's level, so the provider keeps it, as Linux does; where a command may or
 * may not have had its effect it says what makes the way back, or on, send it once more.
 * After the firmware was started anew a VF that does not run counts as in ERROR: its level is gone.
 *
 * A PF cannot reset its VFs: who has the VF does it (lm_pci_reset(), VFIO_DEVICE_RESET), then calls
 * the provider's reset, which takes what was saved or loaded away and lets the VF run.
 *
 * Different VFs from different threads are independent, but for the PF's one queue of commands.
 */

#include <stdint.h>

#include "lm_pds_lm.h"
#include "lm_provider.h"

struct lm_pds_pf;

struct lm_pds_pf_conf {
	/** Longest that one command, or a VF that suspends, may take; 0: 5000, as Linux. */
	uint32_t timeout_ms;
};

/**
 * Take over a core PF (1dd8:100c). pci stays the caller's and outlives the handle. Clients are
 * registered when a VF is asked for.
 *
 * @param conf may be NULL
 * @return 0; -ENODEV: it is no core PF, or has no VFs that can migrate; as lm_pds_core_open().
 *   lm_pci_strerror(pci) has the words.
 */
int lm_pds_pf_open(struct lm_pci *pci, const struct lm_pds_pf_conf *conf, struct lm_pds_pf **pf);
/** Stops tracking and unregisters the clients. No call may be under way. NULL is allowed. */
void lm_pds_pf_close(struct lm_pds_pf *pf);
/** TotalVFs of its SR-IOV capability, and what device id they have. */
unsigned int lm_pds_pf_nb_vfs(const struct lm_pds_pf *pf);
uint16_t lm_pds_pf_vf_device(const struct lm_pds_pf *pf);
/** As lm_pds_core_health(); call it every few seconds. */
int lm_pds_pf_health(struct lm_pds_pf *pf);
/**
 * Its functions return what lm_provider.h says, and the errno of a refused command
 * (lm_pds_status_errno()); -ETIMEDOUT: no completion in time, or a VF that stays busy; -ENXIO: the
 * firmware stopped; in write -EFBIG: more than any state has.
 *
 * @param provider dev is valid until lm_pds_pf_close()
 * @return 0; -ENOENT: no such VF; -ENOMEM; as lm_pds_lm_open()
 */
int lm_pds_pf_vf(struct lm_pds_pf *pf, unsigned int vf, struct lm_provider *provider);
/** What a VF's commands have cost, as lm_pds_lm_costs(). @return number; 0 before lm_pds_pf_vf() */
unsigned int lm_pds_pf_costs(struct lm_pds_pf *pf, unsigned int vf,
		struct lm_pds_lm_cost costs[LM_PDS_LM_NB_COSTS]);

#endif /* LM_PDS_PF_H */
