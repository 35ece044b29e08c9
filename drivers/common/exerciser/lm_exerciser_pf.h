/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_EXERCISER_PF_H
#define LM_EXERCISER_PF_H

/**
 * @file
 * Migration provider of exerciser VFs: commands their PF (exerciser_admin_if.h).
 *
 * The shape that drivers of real PFs have too: one handle for the PF, one provider a VF, commands
 * by DMA memory and a doorbell, an interrupt for each VF. Different VFs from different threads are
 * independent; calls for one VF are serialised inside.
 */

#include <stdint.h>

#include "lm_provider.h"

struct lm_pci;
struct lm_ex_pf;

#define LM_EX_PF_TIMEOUT_MS 60000u

struct lm_ex_pf_conf {
	/** Longest that one command may take; 0: LM_EX_PF_TIMEOUT_MS. */
	uint32_t timeout_ms;
};

/**
 * Take over a PF: enables bus mastering, allocates memory for commands, binds interrupts. pci stays
 * the caller's and outlives the handle.
 *
 * @return 0; -ENODEV: it is no PF of exercisers, or has no VFs; -ENOMEM; -errno of lm_pci.h.
 *   lm_pci_strerror(pci) has the words.
 */
int lm_ex_pf_open(struct lm_pci *pci, const struct lm_ex_pf_conf *conf, struct lm_ex_pf **pf);
/** No call may be under way. NULL is allowed. */
void lm_ex_pf_close(struct lm_ex_pf *pf);
unsigned int lm_ex_pf_nb_vfs(const struct lm_ex_pf *pf);
/**
 * Its functions return what lm_provider.h says, and -ETIMEDOUT: the PF did not answer in time.
 * Until that answer has come, further calls for this VF wait for it first, as long again.
 *
 * @param provider dev is valid until lm_ex_pf_close()
 * @return 0; -ENOENT: no such VF
 */
int lm_ex_pf_vf(struct lm_ex_pf *pf, unsigned int vf, struct lm_provider *provider);

#endif /* LM_EXERCISER_PF_H */
