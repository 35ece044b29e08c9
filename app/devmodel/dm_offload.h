/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_OFFLOAD_H
#define DM_OFFLOAD_H

/**
 * @file
 * What a card does to frames that a driver left unfinished (VIRTIO 1.3, 5.1.6.2): checksums and TCP
 * segmentation. No address and no length in a frame is trusted.
 */

#include <stdbool.h>
#include <stdint.h>

#include "virtio_net_if.h"

#define DM_OFFLOAD_HEAD_BYTES 256u /* of a frame: all headers that segmentation goes by are there */

/** A frame to be cut into segments; filled by dm_gso_parse(). */
struct dm_gso {
	uint32_t len_bytes;     /* of the frame */
	uint16_t l3, l4;        /* where the IP and the TCP header begin */
	uint16_t hdr_bytes;     /* all headers */
	uint16_t mss_bytes;
	uint32_t nb_segments;
	bool ipv6;
};

/**
 * Can the checksum that hdr asks for be put into a frame of this length?
 */
bool dm_csum_fits(const struct lm_virtio_net_hdr *hdr, uint32_t len_bytes);
/** Finish the checksum at hdr's place; dm_csum_fits(). */
void dm_csum_finish(const struct lm_virtio_net_hdr *hdr, uint8_t *frame, uint32_t len_bytes);
/**
 * @param head
 *   The frame's first head_bytes, DM_OFFLOAD_HEAD_BYTES or the whole frame.
 * @return 0; -EINVAL: hdr asks for something that cannot be done with this frame.
 */
int dm_gso_parse(const struct lm_virtio_net_hdr *hdr, const uint8_t *head, uint32_t head_bytes,
		uint32_t len_bytes, struct dm_gso *gso);
/**
 * Write the nth segment, checksums and all.
 *
 * @param frame
 *   As it was parsed. Lengths are gso's: nothing is read from it but bytes to copy.
 * @return its length, at most gso->hdr_bytes + gso->mss_bytes.
 */
uint32_t dm_gso_segment(const struct dm_gso *gso, const uint8_t *frame, uint32_t nth,
		uint8_t *segment);

#endif /* DM_OFFLOAD_H */
