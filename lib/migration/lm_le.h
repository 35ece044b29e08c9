/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_LE_H
#define LM_LE_H

/**
 * @file
 * Little-endian wire types. Hosts are little-endian (x86-64, arm64), so that fields are used as
 * they are; the type says what is on the wire.
 */

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "streams are little-endian: this host needs conversions that nobody has written"
#endif

typedef uint16_t lm_le16_t;
typedef uint32_t lm_le32_t;
typedef uint64_t lm_le64_t;

#endif /* LM_LE_H */
