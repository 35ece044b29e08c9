/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_COLD_H
#define PDS_COLD_H

/**
 * @file
 * Cold hand-over, for applications that know nothing of migration: what is set on the port goes
 * from one process to another, rings are fresh. The devarg lm=PATH serves a port to who wants it;
 * lm_from=PATH takes one.
 *
 * Messages, little-endian: a header, then its body. PEEK when the taker is probed, answered by
 * RECORD. TAKE when its port is started, all but the last step: the giver stops and answers RECORD,
 * or REFUSED and goes on. RUNNING: the giver's port is over, DONE. When the connection ends before
 * RUNNING, or it does not come in time, the giver goes on: never lost. It answers DONE only to
 * somebody who has forwarding queues, who then has them: never twice.
 */

#include "pds.h"

#define PDS_COLD_MAGIC UINT64_C(0x444c4f4353445044) /* "DPDSCOLD" */
#define PDS_COLD_DEADLINE_MS 10000

enum pds_cold_type {
	PDS_COLD_PEEK = 1,
	PDS_COLD_TAKE = 2,
	PDS_COLD_RUNNING = 3,
	PDS_COLD_RECORD = 16,  /* struct pds_cold_rec */
	PDS_COLD_REFUSED = 17, /* lm_le32_t: errno */
	PDS_COLD_DONE = 18,
};

struct pds_cold_hdr {
	lm_le64_t magic;
	lm_le32_t type;
	lm_le32_t len_bytes;
	lm_le64_t checksum; /* XXH3 of the body */
};
static_assert(sizeof(struct pds_cold_hdr) == 24, "header");

#define PDS_COLD_F_PROMISCUOUS 0x1u
#define PDS_COLD_F_ALLMULTICAST 0x2u
#define PDS_COLD_F_RSS 0x4u

struct pds_cold_rec {
	lm_le32_t flags;
	lm_le16_t mtu;
	lm_le16_t nb_rxq; /* for the table */
	lm_le64_t rss_hf;
	lm_le32_t nb_mcast;
	lm_le16_t rss_entries;
	lm_le16_t pad;
	uint8_t rss_key[LM_IONIC_RSS_HASH_KEY_SIZE];
	uint8_t rss_table[PDS_RSS_MAX_ENTRIES];
	uint8_t macs[PDS_MAX_MAC][RTE_ETHER_ADDR_LEN]; /* the first is the port's; zeroes: none */
	uint8_t mcast[PDS_MAX_MAC][RTE_ETHER_ADDR_LEN];
	lm_le64_t vlans[(RTE_ETHER_MAX_VLAN_ID + 1) / 64];
	struct lm_ionic_lif_stats stats; /* as the application has seen them */
};

/** Whole or not at all, within PDS_COLD_DEADLINE_MS. @return 0 or -errno */
int pds_cold_send(int fd, enum pds_cold_type type, const void *body, uint32_t len_bytes);
/** *len_bytes: room in, bytes out. @return also -EPROTO: no such message, -EBADMSG: damaged */
int pds_cold_recv(int fd, enum pds_cold_type *type, void *body, uint32_t *len_bytes);

#endif /* PDS_COLD_H */
