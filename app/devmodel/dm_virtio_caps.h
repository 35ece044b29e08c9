/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_VIRTIO_CAPS_H
#define DM_VIRTIO_CAPS_H

#include "dm_virtio.h"

/** Virtio's capabilities in configuration space. -ENOSPC: no room. */
int dm_virtio_add_caps(struct dm_virtio *v);
/** Where the PCI_CFG window points; false when it points nowhere. */
bool dm_virtio_window(const struct dm_virtio *v, uint64_t bar_bytes, uint64_t *offset,
		uint32_t *len_bytes);

#endif /* DM_VIRTIO_CAPS_H */
