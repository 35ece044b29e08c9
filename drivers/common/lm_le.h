/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_COMMON_LE_H
#define LM_COMMON_LE_H

/**
 * @file
 * Little-endian wire types. We support little-endian hosts only (x86-64, arm64), so that fields
 * are used as they are; the type says what is on the wire. lib/migration installs a header of this
 * name too, so this one is included by its place.
 */

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the formats of devices are little-endian: this host needs conversions that are not here"
#endif

typedef uint16_t lm_le16_t;
typedef uint32_t lm_le32_t;
typedef uint64_t lm_le64_t;

/* For fields that their format does not align. */
struct lm_le16_packed {
	uint8_t byte[2];
};
struct lm_le32_packed {
	uint8_t byte[4];
};
struct lm_le64_packed {
	uint8_t byte[8];
};

static inline uint16_t
lm_le16_get(const struct lm_le16_packed *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
lm_le16_set(struct lm_le16_packed *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline uint32_t
lm_le32_get(const struct lm_le32_packed *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
lm_le32_set(struct lm_le32_packed *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline uint64_t
lm_le64_get(const struct lm_le64_packed *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
lm_le64_set(struct lm_le64_packed *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

#endif /* LM_COMMON_LE_H */
