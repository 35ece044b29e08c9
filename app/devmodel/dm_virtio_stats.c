/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include "dm_virtio.h"

static const char *const dm_virtio_doorbell_names[] = {
	[DM_VIRTIO_DOORBELL_UNKNOWN] = "unknown",
	[DM_VIRTIO_DOORBELL_WAKES] = "wakes",
	[DM_VIRTIO_DOORBELL_STORE] = "store",
};

static json_t *
dm_virtio_queue_stats(struct dm_virtio *v, uint16_t index)
{
	struct dm_virtio_queue *q = &v->queues[index];
	bool live = dm_virtio_queue_live(v, index);

	return json_pack("{s:i,s:b,s:i,s:i,s:i,s:b,s:b,s:I,s:I,s:s}",
			"index", index, "enabled", q->enabled, "size", q->size,
			"avail_idx", live ? dm_vring_avail_idx(&q->ring) : 0,
			"used_idx", live ? dm_vring_used_idx(&q->ring) : 0,
			"broken", q->enabled && q->ring.broken, "resetting", q->resetting,
			"kicks", (json_int_t)q->kicks, "irqs", (json_int_t)q->irqs,
			"doorbell", dm_virtio_doorbell_names[q->doorbell]);
}

int
dm_virtio_stats(struct dm_virtio *v, json_t *object)
{
	json_t *queues = json_array();
	uint16_t i;
	int ret = 0;

	for (i = 0; i < v->num_queues; i++)
		ret |= json_array_append_new(queues, dm_virtio_queue_stats(v, i));
	ret |= json_object_set_new(object, "queues", queues);
	ret |= json_object_set_new(object, "status", json_integer(v->status));
	ret |= json_object_set_new(object, "features", json_integer((json_int_t)v->accepted));
	ret |= json_object_set_new(object, "features_offered",
			json_integer((json_int_t)v->offered));
	ret |= json_object_set_new(object, "stray_stores",
			json_integer((json_int_t)v->stray_stores));
	ret |= json_object_set_new(object, "config_irqs", json_integer((json_int_t)v->config_irqs));
	return ret == 0 ? 0 : -ENOMEM;
}
