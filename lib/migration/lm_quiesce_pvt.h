/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_QUIESCE_PVT_H
#define LM_QUIESCE_PVT_H

/** @file Hook for tests, not exported. */

#include <stdbool.h>

/** As if membarrier were missing; call while no queue is in use. */
void lm_quiesce_force_fence(bool on);

#endif /* LM_QUIESCE_PVT_H */
