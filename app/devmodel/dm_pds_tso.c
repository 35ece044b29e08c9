/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TCP segmentation: one descriptor a segment. The first has the headers and a segment's worth of
 * payload, the others payload only; the device makes a header for each from the first one.
 */

#include <string.h>

#include "dm_pds_frame.h"
#include "dm_pds_vf.h"

#define DM_PDS_TSO_MAX_HEADER 512
#define DM_PDS_TSO_MIN_HEADER (14 + 20 + 20)
#define TCP_SEQ 4
#define TCP_DATA_OFF 12
#define TCP_FLAGS 13
#define TCP_FIN_PSH 0x09
#define TCP_CWR 0x80
#define IPV6_HDR_BYTES 40

struct dm_pds_tso_state {
	uint8_t header[DM_PDS_TSO_MAX_HEADER]; /* as the first descriptor has it */
	uint32_t header_bytes;
	uint32_t mss;
	uint32_t index;       /* of the segment */
	uint32_t sent_bytes;  /* payload of those before */
	int32_t vlan_tci;
};

static unsigned int
dm_pds_tso_flags(const struct lm_ionic_txq_desc *desc)
{
	return desc->cmd >> LM_IONIC_TXQ_DESC_FLAGS_SHIFT & LM_IONIC_TXQ_DESC_FLAGS_MASK;
}

static uint16_t
dm_pds_tso_next(const struct dm_pds_queue *q, uint32_t nb)
{
	return (uint16_t)((q->head + nb) & ((1u << q->size_lg2) - 1));
}

/* Set *nb to the packet's descriptors. @return false: it is broken, they are to be dropped */
static bool
dm_pds_tso_extent(struct dm_pds_vf *vf, struct dm_pds_queue *q, uint32_t posted, uint32_t *nb)
{
	struct lm_ionic_txq_desc desc;
	unsigned int flags;

	for (*nb = 0; *nb < posted; (*nb)++) {
		if (!dm_pds_tx_fetch(vf, q, dm_pds_tso_next(q, *nb), &desc))
			return false;
		flags = dm_pds_tso_flags(&desc);
		if ((desc.cmd >> LM_IONIC_TXQ_DESC_OPCODE_SHIFT & LM_IONIC_TXQ_DESC_OPCODE_MASK) !=
				LM_IONIC_TXQ_DESC_OPCODE_TSO ||
				((flags & LM_IONIC_TXQ_DESC_FLAG_TSO_SOT) != 0) != (*nb == 0)) {
			*nb += *nb == 0; /* at least what is at the head */
			return false;
		}
		if ((flags & LM_IONIC_TXQ_DESC_FLAG_TSO_EOT) != 0) {
			(*nb)++;
			return true;
		}
	}
	/* Its end may still come, unless the ring is full already. */
	if (posted == (1u << q->size_lg2) - 1)
		return false;
	*nb = 0;
	return true;
}

/* Lengths, numbers and checksums of one segment. false: no TCP where the headers end */
static bool
dm_pds_tso_finish(const struct dm_pds_tso_state *t, uint8_t *frame, uint32_t len_bytes, bool last)
{
	const uint32_t l3 = dm_pds_be16(frame + 12) == 0x8100 ? 18 : 14;
	struct dm_pds_headers h;
	uint8_t *tcp;

	if ((frame[l3] >> 4) == 4) {
		dm_pds_put_be16(frame + l3 + 2, (uint16_t)(len_bytes - l3));
		dm_pds_put_be16(frame + l3 + 4, (uint16_t)(dm_pds_be16(frame + l3 + 4) + t->index));
	} else {
		dm_pds_put_be16(frame + l3 + 4, (uint16_t)(len_bytes - l3 - IPV6_HDR_BYTES));
	}
	dm_pds_parse(frame, len_bytes, &h);
	if (!h.tcp || h.l4 + (uint32_t)(frame[h.l4 + TCP_DATA_OFF] >> 4) * 4 != t->header_bytes)
		return false;
	tcp = frame + h.l4;
	dm_pds_put_be32(tcp + TCP_SEQ, dm_pds_be32(tcp + TCP_SEQ) + t->sent_bytes);
	if (!last)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_FIN_PSH;
	if (t->index != 0)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	dm_pds_l3_csum_set(frame, &h);
	dm_pds_l4_csum_set(frame, &h);
	return true;
}

static bool
dm_pds_tso_begin(struct dm_pds_tso_state *t, const struct lm_ionic_txq_desc *desc,
		const uint8_t *frame, uint32_t len_bytes)
{
	t->header_bytes = desc->csum_start;
	t->mss = desc->csum_offset;
	t->vlan_tci = (dm_pds_tso_flags(desc) & LM_IONIC_TXQ_DESC_FLAG_VLAN) != 0 ?
			desc->vlan_tci : -1;
	if (t->header_bytes < DM_PDS_TSO_MIN_HEADER || t->header_bytes > sizeof(t->header) ||
			t->header_bytes > len_bytes || t->mss == 0)
		return false;
	memcpy(t->header, frame, t->header_bytes);
	return true;
}

static bool
dm_pds_tso_segment(struct dm_pds_vf *vf, struct dm_pds_queue *q, struct dm_pds_tso_state *t,
		uint32_t nth, bool last)
{
	uint16_t at = dm_pds_tso_next(q, nth);
	struct lm_ionic_txq_desc desc;
	uint32_t len_bytes;

	if (!dm_pds_tx_fetch(vf, q, at, &desc))
		return false;
	memcpy(vf->segment, t->header, t->header_bytes);
	len_bytes = dm_pds_tx_gather(vf, q, at, &desc, vf->segment, t->header_bytes);
	if (len_bytes == 0)
		return false;
	if ((nth == 0 && !dm_pds_tso_begin(t, &desc, vf->segment, len_bytes)) ||
			len_bytes - t->header_bytes > t->mss ||
			!dm_pds_tso_finish(t, vf->segment, len_bytes, last)) {
		dm_rule_broken(vf->fn.host->rules, DM_RULE_PDS_TX_TSO,
				"segment %u: %u bytes, headers %u, mss %u", nth, len_bytes,
				t->header_bytes, t->mss);
		dm_pds_drop_tx(vf, DM_PDS_TX_BAD);
		return false;
	}
	dm_pds_tx_send(vf, q, vf->segment, len_bytes, t->vlan_tci);
	t->sent_bytes += len_bytes - t->header_bytes;
	t->index++;
	return true;
}

uint32_t
dm_pds_tso(struct dm_pds_vf *vf, struct dm_pds_queue *q, uint32_t posted)
{
	struct dm_pds_tso_state t;
	uint32_t nb, i;

	if (!dm_pds_tso_extent(vf, q, posted, &nb)) {
		dm_rule_broken(vf->fn.host->rules, DM_RULE_PDS_TX_TSO, "at %u", q->head);
		dm_pds_drop_tx(vf, DM_PDS_TX_BAD);
		return nb == 0 ? 1 : nb;
	}
	memset(&t, 0, sizeof(t));
	for (i = 0; i < nb; i++)
		if (!dm_pds_tso_segment(vf, q, &t, i, i + 1 == nb))
			break; /* without this one, those behind it are of no use */
	return nb;
}
