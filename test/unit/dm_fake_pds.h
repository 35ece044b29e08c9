/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_FAKE_PDS_H
#define DM_FAKE_PDS_H

/*
 * A driver for the pds model, by hand: bytes and offsets as Linux's drivers use them, independent
 * of the structures that the model is made of. PF and VF have memory of their own.
 */

#include "dm_fake_host.h"
#include "dm_pds_card.h"
#include "dm_pds_vf.h"

#define PDS_RAM UINT64_C(0x100000)
#define PDS_RAM_BYTES UINT64_C(0x800000)
/* The PF's. */
#define PDS_PF_AQ (PDS_RAM + 0x0000)
#define PDS_PF_ACQ (PDS_RAM + 0x1000)
#define PDS_PF_NCQ (PDS_RAM + 0x2000)
#define PDS_PF_SGL (PDS_RAM + 0x4000)
#define PDS_PF_BLOB (PDS_RAM + 0x10000)
#define PDS_PF_BITS (PDS_RAM + 0x40000)
#define PDS_PF_TABLE (PDS_RAM + 0x5000)
/* The VF's. */
#define PDS_AQ (PDS_RAM + 0x0000)
#define PDS_ACQ (PDS_RAM + 0x1000)
#define PDS_NQ (PDS_RAM + 0x2000) /* events one page on */
#define PDS_LIF_INFO (PDS_RAM + 0x4000)
#define PDS_PORT_INFO (PDS_RAM + 0x5000)
#define PDS_RSS (PDS_RAM + 0x6000)
#define PDS_RING(type, i) (PDS_RAM + 0x100000 + ((type) == 3 ? 0x200000 : 0) + \
	0x20000 * (uint64_t)(i)) /* ring, completions at 0x4000, SG at 0x8000 */
#define PDS_BUFS (PDS_RAM + 0x600000)
#define PDS_QSIZE 64

struct pds_aq {
	uint16_t head; /* next command */
	uint16_t tail; /* next completion */
	uint8_t color;
};

struct pds_side {
	struct fake_host f;
	struct dm_pci pci;
	struct dm_device dev;
	struct pds_aq aq;
};

struct pds_q {
	uint16_t head, tail, cq;
	uint8_t color;
};

struct fake_pds {
	struct pds_side pf, vf;
	struct dm_wire *wire;
	struct dm_pds_vf *model;
	struct pds_q rx[16], tx[16];
	uint16_t client;
	uint16_t page; /* of doorbells, of all queues from now on */
};

void pds_create(struct fake_pds *p, uint16_t pairs, const char *wire);
void pds_destroy(struct fake_pds *p);
uint64_t pds_rd(struct pds_side *s, uint32_t bar, uint64_t offset, uint32_t width);
void pds_wr(struct pds_side *s, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value);
void pds_poll(struct pds_side *s);
void pds_put(uint8_t *cmd, unsigned int at, uint64_t value, unsigned int bytes);
uint64_t pds_get(const uint8_t *data, unsigned int at, unsigned int bytes);
/* @return status of a device command */
uint8_t pds_devcmd(struct pds_side *s, const uint8_t *cmd);
/* @return status of an admin queue command; comp: 16 bytes */
uint8_t pds_admin(struct pds_side *s, const uint8_t *cmd, uint8_t *comp);
/* A live migration command; fields of it from byte 4 on are in body. */
uint8_t pds_lm(struct fake_pds *p, uint8_t opcode, const uint8_t *body, uint8_t *comp);
uint8_t pds_level(struct fake_pds *p, uint8_t opcode, uint8_t type);

/* As pds_core and pds-vfio-pci probe. */
void pds_core_probe(struct fake_pds *p);
/* As Linux's ionic probes, and opens with pairs of queues. */
void pds_ionic_probe(struct fake_pds *p);
void pds_ionic_open(struct fake_pds *p, uint16_t pairs);
void pds_doorbell(struct fake_pds *p, unsigned int type, unsigned int qid, uint16_t index);
uint8_t pds_q_init(struct fake_pds *p, unsigned int type, unsigned int i, uint16_t flags,
		uint16_t vector);
uint8_t pds_q_control(struct fake_pds *p, unsigned int type, unsigned int i, uint8_t oper);
uint64_t pds_set_features(struct fake_pds *p, uint64_t features);
void pds_rx_mode(struct fake_pds *p, uint16_t mode);
/* One transmit descriptor, not rung; at: where its bytes are. */
void pds_tx_desc(struct fake_pds *p, unsigned int i, uint64_t at, uint16_t len,
		unsigned int opcode, unsigned int flags, uint16_t vlan, uint16_t w1, uint16_t w2);
/* An SG element of the descriptor that was put last. */
void pds_tx_sg(struct fake_pds *p, unsigned int i, unsigned int n, uint64_t at, uint16_t len);
void pds_rx_post(struct fake_pds *p, unsigned int i, uint64_t at, uint16_t len);
/* @return completion of a receive queue, NULL: none */
const uint8_t *pds_rx_comp(struct fake_pds *p, unsigned int i);

#endif /* DM_FAKE_PDS_H */
