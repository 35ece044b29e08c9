/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_EX_PF_H
#define DM_EX_PF_H

/**
 * @file
 * The PF of exercisers (exerciser_admin_if.h): a device without a storm of its own.
 */

#include "dm_ex.h"

#define DM_EX_MAX_VFS 64u

/** vfs stay the caller's and outlive the PF. @return 0; -ENOMEM; -EINVAL: too many, or none */
int dm_ex_pf_create(struct dm_host *host, struct dm_ex *const *vfs, uint32_t nb_vfs,
		struct dm_device *device);

#endif /* DM_EX_PF_H */
