/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_PDS_FRAME_H
#define DM_PDS_FRAME_H

/**
 * @file
 * What a card has to know of a frame: headers, checksums, the receive hash.
 */

#include <stdbool.h>
#include <stdint.h>

struct dm_pds_headers {
	uint32_t l3;         /* offset; 0: no IP */
	uint32_t l4;         /* offset; 0: neither TCP nor UDP, or a fragment */
	uint32_t l3_end;     /* where the IP packet ends: a short frame is padded */
	uint8_t pkt_type;    /* LM_IONIC_PKT_TYPE_* */
	bool ipv6;
	bool tcp;
};

/** Frames of any content; one VLAN tag is looked through. */
void dm_pds_parse(const uint8_t *frame, uint32_t len_bytes, struct dm_pds_headers *h);
/** Sum of 16-bit words as a little-endian machine reads them, folded; an odd byte is padded. */
uint16_t dm_pds_sum(const uint8_t *data, uint32_t len_bytes, uint32_t start);
/** Of a TCP or UDP part with its pseudo header, checksum field included: 0xffff if good. */
uint16_t dm_pds_l4_sum(const uint8_t *frame, const struct dm_pds_headers *h);
/** Write an IPv4 header's checksum, and a TCP or UDP one; nothing where there is no such header. */
void dm_pds_l3_csum_set(uint8_t *frame, const struct dm_pds_headers *h);
void dm_pds_l4_csum_set(uint8_t *frame, const struct dm_pds_headers *h);
/** LM_IONIC_RXQ_COMP_CSUM_F_* for what was found. */
uint8_t dm_pds_csum_flags(const uint8_t *frame, const struct dm_pds_headers *h);
/**
 * Toeplitz hash over addresses, and ports where types (LM_IONIC_RSS_TYPE_*) want them.
 *
 * @param key
 *   40 bytes.
 * @return false when no type fits.
 */
bool dm_pds_rss(const uint8_t *frame, const struct dm_pds_headers *h, uint16_t types,
		const uint8_t *key, uint32_t *hash);

static inline uint16_t
dm_pds_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void
dm_pds_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t
dm_pds_be32(const uint8_t *p)
{
	return (uint32_t)dm_pds_be16(p) << 16 | dm_pds_be16(p + 2);
}

static inline void
dm_pds_put_be32(uint8_t *p, uint32_t v)
{
	dm_pds_put_be16(p, (uint16_t)(v >> 16));
	dm_pds_put_be16(p + 2, (uint16_t)v);
}

#endif /* DM_PDS_FRAME_H */
