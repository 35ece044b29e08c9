/* SPDX-License-Identifier: BSD-3-Clause */

/* Which frames come in: receive mode, MAC and VLAN filters. */

#include <string.h>

#include "dm_pds_frame.h"
#include "dm_pds_vf.h"

#define DM_PDS_TPID 0x8100
#define DM_PDS_VID_MASK 0xfff

static bool
dm_pds_filter_has(const struct dm_pds_lif *lif, uint16_t match, const uint8_t *mac, uint16_t vid)
{
	const struct dm_pds_filter *f;
	uint32_t i;

	for (i = 0; i < DM_PDS_MAX_FILTERS; i++) {
		f = &lif->filters[i];
		if (!f->used || f->match != match)
			continue;
		if ((match == LM_IONIC_RX_FILTER_MATCH_VLAN || memcmp(f->mac, mac, 6) == 0) &&
				(match == LM_IONIC_RX_FILTER_MATCH_MAC || f->vlan == vid))
			return true;
	}
	return false;
}

static bool
dm_pds_filter_mac(const struct dm_pds_lif *lif, const uint8_t *mac)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const bool listed = dm_pds_filter_has(lif, LM_IONIC_RX_FILTER_MATCH_MAC, mac, 0);

	if (memcmp(mac, broadcast, sizeof(broadcast)) == 0)
		return (lif->rx_mode & LM_IONIC_RX_MODE_F_BROADCAST) != 0;
	if ((mac[0] & 1) != 0)
		return (lif->rx_mode & LM_IONIC_RX_MODE_F_ALLMULTI) != 0 ||
				((lif->rx_mode & LM_IONIC_RX_MODE_F_MULTICAST) != 0 && listed);
	return (lif->rx_mode & LM_IONIC_RX_MODE_F_UNICAST) != 0 && listed;
}

bool
dm_pds_filter_pass(const struct dm_pds_lif *lif, const uint8_t *frame, uint32_t len_bytes)
{
	const bool tagged = len_bytes >= 18 && dm_pds_be16(frame + 12) == DM_PDS_TPID;
	const uint16_t vid = tagged ? dm_pds_be16(frame + 14) & DM_PDS_VID_MASK : 0;

	if ((lif->rx_mode & LM_IONIC_RX_MODE_F_PROMISC) != 0)
		return true;
	if (tagged && dm_pds_filter_has(lif, LM_IONIC_RX_FILTER_MATCH_MAC_VLAN, frame, vid))
		return true;
	if (tagged && vid != 0 && (lif->features & LM_IONIC_ETH_HW_VLAN_RX_FILTER) != 0 &&
			!dm_pds_filter_has(lif, LM_IONIC_RX_FILTER_MATCH_VLAN, frame, vid))
		return false;
	return dm_pds_filter_mac(lif, frame);
}

uint8_t
dm_pds_filter_add(struct dm_pds_lif *lif, const uint8_t *cmd, uint32_t *id)
{
	struct lm_ionic_rx_filter_add_cmd c;
	struct dm_pds_filter f;
	uint32_t i, place = DM_PDS_MAX_FILTERS;

	memcpy(&c, cmd, sizeof(c));
	memset(&f, 0, sizeof(f));
	f.used = 1;
	f.match = c.match;
	if (c.match == LM_IONIC_RX_FILTER_MATCH_MAC) {
		memcpy(f.mac, c.value, sizeof(f.mac));
	} else if (c.match == LM_IONIC_RX_FILTER_MATCH_VLAN) {
		memcpy(&f.vlan, c.value, sizeof(f.vlan));
	} else if (c.match == LM_IONIC_RX_FILTER_MATCH_MAC_VLAN) {
		memcpy(&f.vlan, c.value, sizeof(f.vlan));
		memcpy(f.mac, c.value + 2, sizeof(f.mac));
	} else {
		return LM_PDS_RC_ENOSUPP;
	}
	if (f.vlan > DM_PDS_VID_MASK)
		return LM_PDS_RC_EINVAL;
	for (i = 0; i < DM_PDS_MAX_FILTERS; i++) {
		if (memcmp(&lif->filters[i], &f, sizeof(f)) == 0)
			return LM_PDS_RC_EEXIST;
		if (!lif->filters[i].used && place == DM_PDS_MAX_FILTERS)
			place = i;
	}
	if (place == DM_PDS_MAX_FILTERS)
		return LM_PDS_RC_ENOSPC;
	lif->filters[place] = f;
	*id = place;
	return LM_PDS_RC_SUCCESS;
}

uint8_t
dm_pds_filter_del(struct dm_pds_lif *lif, const uint8_t *cmd)
{
	struct lm_ionic_rx_filter_del_cmd c;

	memcpy(&c, cmd, sizeof(c));
	if (c.filter_id >= DM_PDS_MAX_FILTERS || !lif->filters[c.filter_id].used)
		return LM_PDS_RC_ENOENT;
	memset(&lif->filters[c.filter_id], 0, sizeof(lif->filters[0]));
	return LM_PDS_RC_SUCCESS;
}
