/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PDS_LM_PRIV_H
#define LM_PDS_LM_PRIV_H

#include <pthread.h>

#include "lm_pds_lm.h"

#define LM_PDS_BLOB_AT 4096u /* in the PF's data memory; what comes before is for lists */
#define LM_PDS_BITS_MAX (LM_PDS_DATA_BYTES - LM_PDS_BLOB_AT) /* bytes of bitmap a command */
#define LM_PDS_MAX_REGIONS 255

struct lm_pds_region {
	uint64_t first, end;   /* pages, as asked for; the device's count is rounded up */
	uint64_t off_bytes;    /* in the device's bitmaps */
	uint64_t *ack;         /* as last written to the device; a word is 64 pages */
};

struct lm_pds_lm {
	struct lm_pds_client client;
	uint16_t vf_id;
	pthread_mutex_t dirty_lock; /* all below; taken before the PF's locks */
	bool tracking;
	bool lost;                  /* the device's bitmaps are gone */
	uint32_t epoch;             /* of the PF, when tracking began */
	uint32_t nb_regions;
	uint8_t page_lg2;
	struct lm_pds_region *regions; /* ascending */

	pthread_mutex_t cost_lock;
	struct lm_pds_lm_cost costs[LM_PDS_LM_NB_COSTS]; /* as commands came first */
	unsigned int nb_costs;
};

/** Fill in the VF and send. cmd begins as struct lm_pds_lm_cmd does. */
int lm_pds_lm_send(struct lm_pds_lm *lm, const void *cmd, uint32_t cmd_bytes, void *comp);

#endif /* LM_PDS_LM_PRIV_H */
