/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PDS_PF_PRIV_H
#define LM_PDS_PF_PRIV_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "lm_pds_pf.h"

#define LM_PDS_PF_MAX_VFS 256u

struct lm_pds_vf {
	struct lm_pds_pf *pf;
	struct lm_pds_lm *lm; /* NULL: nobody has asked for this VF */
	pthread_mutex_t lock; /* all below */
	enum lm_state state;
	uint32_t restarts;    /* of the firmware, when the VF left RUNNING */
	bool in_progress;     /* the firmware was told of a migration */
	bool tracking;
	uint32_t state_bytes; /* of the stream, as last known */
	uint8_t *stream;      /* STOP_COPY, RESUMING */
	uint32_t stream_bytes;
	uint32_t at;
};

struct lm_pds_pf {
	struct lm_pci *pci;
	struct lm_pds_core *core;
	uint32_t nb_vfs;
	uint16_t vf_device;
	struct lm_pds_vf *vfs;
};

/** Not refused by the device, but lost on the way there or back: it may have had its effect. */
static inline bool
lm_pds_in_doubt(int err)
{
	return err == -ETIMEDOUT || err == -ENXIO || err == -EPROTO || err == -ENOTCONN;
}

/** The table; dev is a struct lm_pds_vf. */
extern const struct lm_provider_ops lm_pds_vf_ops;

#endif /* LM_PDS_PF_PRIV_H */
