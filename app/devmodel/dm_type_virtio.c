/* SPDX-License-Identifier: BSD-3-Clause */

/* virtio-net on the command line. */

#include <string.h>

#include "dm_type.h"
#include "dm_virtio_net.h"

static int
dm_type_virtio_check(const struct dm_args *args)
{
	if (args->queue_pairs > DM_NET_MAX_PAIRS)
		return dm_args_bad("queue-pairs", "more than the kind has");
	if (args->queue_size > DM_NET_IOVS / 2 || !lm_vring_split_size_ok(args->queue_size))
		return dm_args_bad("queue-size", "no power of two, or too large");
	if (args->mtu != 0 && args->mtu < LM_VIRTIO_NET_MTU_MIN)
		return dm_args_bad("mtu", "too small");
	return 0;
}

static int
dm_type_virtio_create(const struct dm_args *args, struct dm_wire *const *wires,
		struct dm_function *functions)
{
	struct dm_net_conf conf = {
		.host = &functions->host,
		.pci = &functions->pci,
		.wire = wires[0],
		.pairs = args->queue_pairs,
		.queue_size = args->queue_size,
		.mtu = args->mtu,
		.feature_mask = args->features,
		.notify_shared = args->notify_shared,
		.notify_guest = args->notify_guest,
	};

	memcpy(conf.mac, args->mac, sizeof(conf.mac));
	return dm_net_create(&conf, &functions->device);
}

const struct dm_type dm_type_virtio_net = {
	.name = "virtio-net",
	.summary = "a virtio-net function",
	.max_sockets = 1,
	.max_wires = 1,
	.check = dm_type_virtio_check,
	.create = dm_type_virtio_create,
};
