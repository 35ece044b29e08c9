/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_VERSION_H
#define LM_VU_VERSION_H

/**
 * @file
 * VFIO_USER_VERSION payloads: two numbers and a JSON text of capabilities.
 */

#include <stdint.h>

#include "lm_vu_wire.h"

#define LM_VU_JSON_MAX 4096u
#define LM_VU_MIN_IOVA_BITS 20u

/** What a VERSION payload says; what it leaves out has the specification's default. */
struct lm_vu_offer {
	uint16_t major;
	uint16_t minor;
	struct lm_vu_caps caps;
	int twin_fd_index; /* -1: not given */
};

/** What this library offers as a client, and the most that it grants as a server. */
void lm_vu_offer_ours(struct lm_vu_offer *offer);
/** @return 0; -EINVAL: too short, not NUL-terminated, not JSON, or a value that cannot be */
int lm_vu_offer_parse(const uint8_t *payload, uint32_t len_bytes, struct lm_vu_offer *offer);
/** @return malloc()ed payload, its length in *len_bytes; NULL: no memory */
uint8_t *lm_vu_offer_format(const struct lm_vu_offer *offer, uint32_t *len_bytes);

#endif /* LM_VU_VERSION_H */
