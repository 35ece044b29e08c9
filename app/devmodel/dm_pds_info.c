/* SPDX-License-Identifier: BSD-3-Clause */

/* Link, counters, and the two pages of information that the VF keeps in its driver's memory. */

#include <string.h>

#include "dm_pds_vf.h"

#define DM_PDS_INFO_NS 500000000u /* how old the counters there may be */

static const struct {
	const char *name;
} dm_pds_rx_drop_names[DM_PDS_RX_DROP_MAX] = {
#define DM_PDS_NAME(id, name) { name },
	DM_PDS_RX_DROPS(DM_PDS_NAME)
}, dm_pds_tx_drop_names[DM_PDS_TX_DROP_MAX] = {
	DM_PDS_TX_DROPS(DM_PDS_NAME)
#undef DM_PDS_NAME
};

static void
dm_pds_lif_info_write(struct dm_pds_vf *vf)
{
	const struct dm_pds_lif *lif = &vf->lif;
	struct lm_ionic_lif_info info;

	memset(&info, 0, sizeof(info));
	info.config.state = lif->state;
	memcpy(info.config.name, lif->name, sizeof(info.config.name));
	info.config.mtu = lif->mtu;
	memcpy(info.config.mac, lif->mac, sizeof(info.config.mac));
	info.config.features = lif->features;
	info.config.queue_count[LM_IONIC_QTYPE_ADMINQ] = 1;
	info.config.queue_count[LM_IONIC_QTYPE_NOTIFYQ] = 1;
	info.config.queue_count[LM_IONIC_QTYPE_RXQ] = vf->pairs;
	info.config.queue_count[LM_IONIC_QTYPE_TXQ] = vf->pairs;
	info.status.eid = lif->notifyq.eid;
	info.status.link_status = lif->link_status;
	info.status.link_speed = LM_IONIC_SPEED_100G;
	info.status.link_down_count = (uint16_t)lif->link_down_count;
	info.stats = lif->stats;
	dm_pds_write(&vf->fn, lif->info_pa, &info, sizeof(info));
}

static void
dm_pds_port_info_write(struct dm_pds_vf *vf)
{
	const struct dm_pds_lif *lif = &vf->lif;
	struct lm_ionic_port_info info;

	memset(&info, 0, sizeof(info));
	info.config = lif->port_config;
	info.status.speed = LM_IONIC_SPEED_100G;
	info.status.status = (uint8_t)lif->link_status;
	lm_le16_set(&info.status.link_down_count, (uint16_t)lif->link_down_count);
	info.status.xcvr.state = LM_IONIC_XCVR_STATE_INSERTED;
	info.status.xcvr.phy = LM_IONIC_PHY_TYPE_COPPER;
	info.status.xcvr.pid = LM_IONIC_XCVR_PID_QSFP_100G_CR4;
	info.stats = lif->port_stats;
	dm_pds_write(&vf->fn, lif->port_info_pa, &info, sizeof(info));
}

void
dm_pds_info_write(struct dm_pds_vf *vf)
{
	if (vf->fn.level != DM_PDS_RUNNING)
		return;
	if (vf->lif.info_pa != 0)
		dm_pds_lif_info_write(vf);
	if (vf->lif.port_info_pa != 0)
		dm_pds_port_info_write(vf);
}

void
dm_pds_info_tick(struct dm_pds_vf *vf, uint64_t now_ns)
{
	if (now_ns - vf->info_ns < DM_PDS_INFO_NS)
		return;
	vf->info_ns = now_ns;
	dm_pds_info_write(vf);
}

/* The pages first: the event only makes the driver look there. */
void
dm_pds_link_check(struct dm_pds_vf *vf)
{
	struct lm_ionic_link_change_event event = {
		.ecode = LM_IONIC_EVENT_LINK_CHANGE,
		.link_speed = LM_IONIC_SPEED_100G,
	};
	const bool up = !vf->link_forced_down && dm_wire_link_up(vf->wire) &&
			vf->lif.port_config.state != LM_IONIC_PORT_ADMIN_STATE_DOWN;
	const uint16_t status = up ? LM_IONIC_PORT_OPER_STATUS_UP : LM_IONIC_PORT_OPER_STATUS_DOWN;

	if (vf->fn.level != DM_PDS_RUNNING || status == vf->lif.link_status)
		return;
	vf->lif.link_status = status;
	if (!up)
		vf->lif.link_down_count++;
	dm_pds_info_write(vf);
	event.link_status = status;
	dm_pds_notify(&vf->fn, &vf->lif.notifyq, &event);
}

static bool
dm_pds_is_broadcast(const uint8_t *frame)
{
	return (frame[0] & frame[1] & frame[2] & frame[3] & frame[4] & frame[5]) == 0xff;
}

void
dm_pds_count_tx(struct dm_pds_vf *vf, const uint8_t *frame, uint32_t len_bytes)
{
	struct lm_ionic_lif_stats *s = &vf->lif.stats;
	struct lm_ionic_port_stats *p = &vf->lif.port_stats;

	p->frames_tx_ok++;
	p->frames_tx_all++;
	p->octets_tx_ok += len_bytes;
	p->octets_tx_total += len_bytes;
	if (dm_pds_is_broadcast(frame)) {
		s->tx_bcast_packets++;
		s->tx_bcast_bytes += len_bytes;
		p->frames_tx_broadcast++;
	} else if ((frame[0] & 1) != 0) {
		s->tx_mcast_packets++;
		s->tx_mcast_bytes += len_bytes;
		p->frames_tx_multicast++;
	} else {
		s->tx_ucast_packets++;
		s->tx_ucast_bytes += len_bytes;
		p->frames_tx_unicast++;
	}
}

void
dm_pds_count_rx(struct dm_pds_vf *vf, const uint8_t *frame, uint32_t len_bytes)
{
	struct lm_ionic_lif_stats *s = &vf->lif.stats;
	struct lm_ionic_port_stats *p = &vf->lif.port_stats;

	p->frames_rx_ok++;
	p->frames_rx_all++;
	p->octets_rx_ok += len_bytes;
	p->octets_rx_all += len_bytes;
	if (dm_pds_is_broadcast(frame)) {
		s->rx_bcast_packets++;
		s->rx_bcast_bytes += len_bytes;
		p->frames_rx_broadcast++;
	} else if ((frame[0] & 1) != 0) {
		s->rx_mcast_packets++;
		s->rx_mcast_bytes += len_bytes;
		p->frames_rx_multicast++;
	} else {
		s->rx_ucast_packets++;
		s->rx_ucast_bytes += len_bytes;
		p->frames_rx_unicast++;
	}
}

void
dm_pds_drop_tx(struct dm_pds_vf *vf, enum dm_pds_tx_drop why)
{
	vf->tx_drops[why]++;
	vf->lif.port_stats.frames_tx_bad++;
	vf->lif.stats.tx_ucast_drop_packets++;
	if (why == DM_PDS_TX_DMA)
		vf->lif.stats.tx_dma_error++;
	if (why == DM_PDS_TX_BAD)
		vf->lif.stats.tx_desc_data_error++;
}

void
dm_pds_drop_rx(struct dm_pds_vf *vf, enum dm_pds_rx_drop why, const uint8_t *frame,
		uint32_t len_bytes)
{
	struct lm_ionic_lif_stats *s = &vf->lif.stats;

	vf->rx_drops[why]++;
	if (why == DM_PDS_RX_QUEUE_OFF)
		s->rx_queue_disabled++;
	if (why == DM_PDS_RX_NO_BUFFER)
		s->rx_queue_empty++;
	if (why == DM_PDS_RX_DMA)
		s->rx_dma_error++;
	if (why != DM_PDS_RX_NO_BUFFER && why != DM_PDS_RX_NO_ROOM && why != DM_PDS_RX_DMA &&
			why != DM_PDS_RX_QUEUE_OFF)
		return;
	vf->lif.port_stats.frames_rx_dropped++;
	if (dm_pds_is_broadcast(frame)) {
		s->rx_bcast_drop_packets++;
		s->rx_bcast_drop_bytes += len_bytes;
	} else if ((frame[0] & 1) != 0) {
		s->rx_mcast_drop_packets++;
		s->rx_mcast_drop_bytes += len_bytes;
	} else {
		s->rx_ucast_drop_packets++;
		s->rx_ucast_drop_bytes += len_bytes;
	}
}

static int
dm_pds_stats_queues(const struct dm_pds_queue *queues, uint16_t nb, json_t *list)
{
	int ret = 0;
	uint16_t i;

	for (i = 0; i < nb; i++)
		ret |= json_array_append_new(list, json_pack("{s:b,s:i,s:i,s:i,s:I,s:I}",
				"enabled", (int)queues[i].enabled, "head", (int)queues[i].head,
				"p_index", (int)queues[i].p_index, "pid", (int)queues[i].pid,
				"frames", (json_int_t)queues[i].frames,
				"bytes", (json_int_t)queues[i].bytes));
	return ret;
}

int
dm_pds_vf_stats(void *dev, json_t *object)
{
	const struct dm_pds_vf *vf = dev;
	json_t *drops = json_object(), *tx_drops = json_object(), *wire;
	json_t *rxqs = json_array(), *txqs = json_array();
	uint64_t rx = 0, tx = 0;
	struct dm_wire_stats w;
	int ret, i;

	for (i = 0; i < vf->pairs; i++) {
		rx += vf->lif.rxq[i].frames;
		tx += vf->lif.txq[i].frames;
	}
	ret = dm_pds_fn_stats(&vf->fn, object);
	for (i = 0; i < DM_PDS_RX_DROP_MAX; i++)
		ret |= json_object_set_new(drops, dm_pds_rx_drop_names[i].name,
				json_integer((json_int_t)vf->rx_drops[i]));
	for (i = 0; i < DM_PDS_TX_DROP_MAX; i++)
		ret |= json_object_set_new(tx_drops, dm_pds_tx_drop_names[i].name,
				json_integer((json_int_t)vf->tx_drops[i]));
	ret |= dm_pds_stats_queues(vf->lif.rxq, vf->pairs, rxqs);
	ret |= dm_pds_stats_queues(vf->lif.txq, vf->pairs, txqs);
	dm_wire_stats_get(vf->wire, &w);
	wire = json_pack("{s:I,s:I,s:I,s:I}", "tx_frames", (json_int_t)w.tx_frames,
			"tx_bytes", (json_int_t)w.tx_bytes, "rx_frames", (json_int_t)w.rx_frames,
			"rx_bytes", (json_int_t)w.rx_bytes);
	ret |= json_object_set_new(object, "rx_frames", json_integer((json_int_t)rx));
	ret |= json_object_set_new(object, "tx_frames", json_integer((json_int_t)tx));
	ret |= json_object_set_new(object, "drops", drops);
	ret |= json_object_set_new(object, "tx_drops", tx_drops);
	ret |= json_object_set_new(object, "rx_queues", rxqs);
	ret |= json_object_set_new(object, "tx_queues", txqs);
	ret |= json_object_set_new(object, "wire", wire);
	ret |= json_object_set_new(object, "link_up",
			json_boolean(vf->lif.link_status == LM_IONIC_PORT_OPER_STATUS_UP));
	return ret;
}
