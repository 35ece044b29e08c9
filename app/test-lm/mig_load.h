/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MIG_LOAD_H
#define MIG_LOAD_H

/** @file Where the load (mig_load.c) has its memory, on both sides. */

#include <stdint.h>

#define MIG_LOAD_CPU_ADDR UINT64_C(0x30000000)
#define MIG_LOAD_CPU_PAGES 1024u
#define MIG_LOAD_BOOK_ADDR UINT64_C(0x38000000)
#define MIG_LOAD_DMA_ADDR UINT64_C(0x40000000)
#define MIG_LOAD_DMA_BYTES (UINT64_C(16) << 20) /* of each device */

struct mig_conf;

/** @return 0; -EINVAL after a message */
int mig_load_layout(struct mig_conf *conf, bool track_cpu);

#endif /* MIG_LOAD_H */
