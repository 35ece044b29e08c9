/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include "dm_virtio_net.h"

static const char *const dm_net_rx_drop_names[] = {
#define DM_NET_NAME(id, name) [DM_NET_RX_##id] = (name),
	DM_NET_RX_DROPS(DM_NET_NAME)
#undef DM_NET_NAME
};

static const char *const dm_net_tx_drop_names[] = {
#define DM_NET_NAME(id, name) [DM_NET_TX_##id] = (name),
	DM_NET_TX_DROPS(DM_NET_NAME)
#undef DM_NET_NAME
};

static int
dm_net_set(json_t *object, const char *name, uint64_t value)
{
	return json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *
dm_net_drops(const char *const *names, const uint64_t *counts, unsigned int nb)
{
	json_t *object = json_object();
	unsigned int i;

	for (i = 0; i < nb; i++)
		if (counts[i] != 0)
			dm_net_set(object, names[i], counts[i]);
	return object;
}

static json_t *
dm_net_wire_stats(const struct dm_net *net)
{
	json_t *object = json_object();
	struct dm_wire_stats s;

	dm_wire_stats_get(net->wire, &s);
	dm_net_set(object, "tx_frames", s.tx_frames);
	dm_net_set(object, "tx_bytes", s.tx_bytes);
	dm_net_set(object, "rx_frames", s.rx_frames);
	dm_net_set(object, "rx_bytes", s.rx_bytes);
	dm_net_set(object, "tx_dropped_down", s.tx_dropped_down);
	dm_net_set(object, "tx_dropped_full", s.tx_dropped_full);
	dm_net_set(object, "tx_dropped_size", s.tx_dropped_size);
	dm_net_set(object, "rx_dropped_size", s.rx_dropped_size);
	return object;
}

int
dm_net_stats(void *dev, json_t *object)
{
	struct dm_net *net = dev;
	int ret = 0;

	ret |= dm_net_set(object, "rx_frames", net->rx_frames);
	ret |= dm_net_set(object, "rx_bytes", net->rx_bytes);
	ret |= dm_net_set(object, "tx_frames", net->tx_frames);
	ret |= dm_net_set(object, "tx_bytes", net->tx_bytes);
	ret |= dm_net_set(object, "rx_segments", net->rx_segments);
	ret |= dm_net_set(object, "tx_segments", net->tx_segments);
	ret |= dm_net_set(object, "rx_csums", net->rx_csums);
	ret |= dm_net_set(object, "tx_csums", net->tx_csums);
	ret |= dm_net_set(object, "ctrl_cmds", net->ctrl_cmds);
	ret |= dm_net_set(object, "pairs", net->pairs);
	ret |= json_object_set_new(object, "link_up", json_boolean(net->link_up));
	ret |= json_object_set_new(object, "announce", json_boolean(net->announce));
	ret |= json_object_set_new(object, "promisc", json_boolean(net->filter.promisc));
	ret |= json_object_set_new(object, "drops", dm_net_drops(dm_net_rx_drop_names,
			net->rx_drops, DM_NET_RX_DROP_MAX));
	ret |= json_object_set_new(object, "tx_drops", dm_net_drops(dm_net_tx_drop_names,
			net->tx_drops, DM_NET_TX_DROP_MAX));
	ret |= json_object_set_new(object, "wire", dm_net_wire_stats(net));
	ret |= dm_virtio_stats(&net->vio, object);
	return ret == 0 ? 0 : -ENOMEM;
}
