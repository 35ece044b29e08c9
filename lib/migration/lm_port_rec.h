/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PORT_REC_H
#define LM_PORT_REC_H

/**
 * @file
 * The driver record: what a port that is given up says of itself, beside the state of its device.
 * The device knows its rings; this says what the driver knows: indices, colours, and which buffer
 * sits in which slot, by offset in the window (lm_window.h), never by pointer.
 *
 * On the wire it is a list of items, each { le16 type, le16 0, le32 length, body }, little-endian,
 * as in the compatibility record: with LM_RECORD_F_MANDATORY in its type where a reader that does
 * not know it must refuse; other items that are not known are skipped. Types from
 * LM_PORT_ITEM_DRIVER on are a driver's own.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lm_le.h"
#include "lm_record.h"

struct lm_window;
struct lm_ram;

#define LM_PORT_REC_MAX_BYTES (16u * 1024 * 1024)
#define LM_PORT_MAX_QUEUES 2048u
#define LM_PORT_MAX_DESC 32768u
#define LM_PORT_MAX_ITEMS 64u
#define LM_PORT_NAME_BYTES 64

enum lm_port_item_type {
	LM_PORT_ITEM_PORT = 1,
	LM_PORT_ITEM_QUEUE = 2, /* its slots follow in the same item */
	LM_PORT_ITEM_DRIVER = 0x100,
};

struct lm_port_item_hdr {
	lm_le16_t type;
	lm_le16_t reserved;
	lm_le32_t len_bytes;
};
static_assert(sizeof(struct lm_port_item_hdr) == 8, "item header");

#define LM_PORT_F_PROMISCUOUS 0x1u
#define LM_PORT_F_ALLMULTICAST 0x2u

/** The port; also as it is in memory. */
struct lm_port_info {
	char driver[LM_PORT_NAME_BYTES]; /* NUL-terminated: who wrote it, and must read it */
	lm_le32_t mtu;
	lm_le32_t flags; /* LM_PORT_F_* */
	uint8_t mac[6];
	lm_le16_t nb_rxq;
	lm_le16_t nb_txq;
	lm_le16_t reserved[3];
};
static_assert(sizeof(struct lm_port_info) == 88, "port");

/** One queue, without its slots. */
struct lm_port_queue_info {
	lm_le16_t id;
	uint8_t is_tx;
	uint8_t colour; /* phase or owner bit, as the driver means it */
	lm_le32_t nb_desc;
	lm_le32_t producer; /* indices as the driver counts; not checked */
	lm_le32_t consumer;
	lm_le64_t ring; /* offset in the control area */
	lm_le64_t ring_bytes;
	lm_le64_t doorbell; /* likewise; LM_PORT_NO_OFFSET: none */
	lm_le32_t nb_slots;
	lm_le32_t reserved;
};
static_assert(sizeof(struct lm_port_queue_info) == 48, "queue");
#define LM_PORT_NO_OFFSET UINT64_MAX
/** Bytes of a doorbell record that are checked to be in the control area. */
#define LM_PORT_DOORBELL_BYTES 8u

/** In a slot's number: the buffer holds nothing yet, its content need not be sent. */
#define LM_PORT_SLOT_EMPTY (UINT32_C(1) << 31)

/** A buffer that the device still has, or that nobody has looked at. */
struct lm_port_slot {
	lm_le32_t slot; /* below nb_desc, maybe with LM_PORT_SLOT_EMPTY */
	lm_le32_t len_bytes;
	lm_le64_t buffer; /* where its data begins: offset in the buffer area */
};
static_assert(sizeof(struct lm_port_slot) == 16, "slot");

struct lm_port_queue {
	struct lm_port_queue_info info;
	struct lm_port_slot *slots; /* info.nb_slots of them */
};

/** A driver's own: not looked at. */
struct lm_port_item {
	uint16_t type;
	uint32_t len_bytes;
	const void *body;
};

struct lm_port_rec {
	struct lm_port_info port;
	unsigned int nb_queues; /* port.nb_rxq + port.nb_txq */
	struct lm_port_queue *queues; /* Rx by id, then Tx by id */
	unsigned int nb_items;
	struct lm_port_item items[LM_PORT_MAX_ITEMS];
	void *memory; /* what item bodies point to */
};

/**
 * An empty record for so many queues: ids and directions are filled in, slots for nb_desc of each
 * are there with nb_slots 0.
 *
 * @param driver 1..63 characters
 * @return 0; -EINVAL: too many, or a bad name; -ENOMEM
 */
int lm_port_rec_create(const char *driver, uint16_t nb_rxq, uint16_t nb_txq, uint32_t nb_desc,
		struct lm_port_rec **rec);
/** NULL is allowed. */
void lm_port_rec_destroy(struct lm_port_rec *rec);
/** Queue by direction and id, or NULL. */
struct lm_port_queue *lm_port_rec_queue(const struct lm_port_rec *rec, bool is_tx, uint16_t id);
/** Append a slot to a queue that is being written. @return 0; -ENOSPC: nb_desc of them */
int lm_port_rec_slot(struct lm_port_queue *queue, uint32_t slot, uint64_t buffer,
		uint32_t len_bytes);
/** A driver's item by type, without LM_RECORD_F_MANDATORY, or NULL. */
const struct lm_port_item *lm_port_rec_item(const struct lm_port_rec *rec, uint16_t type);

/** @return bytes; -EMSGSIZE: more than LM_PORT_REC_MAX_BYTES; -ENOMEM. *payload: for free() */
int lm_port_rec_encode(const struct lm_port_rec *rec, void **payload);
/**
 * Read what nobody vouches for. The payload is copied once, then checked: every queue of the port
 * is there, once; slots are below nb_desc and named once; rings, doorbells and buffers are in
 * their areas of the window, and no two rings and no two buffers overlap.
 *
 * @param driver who reads it
 * @return 0; -EPROTO: it makes no sense; -EXDEV: another driver's; -ENOTSUP: a mandatory item that
 * is not known; -EMSGSIZE; -ENOMEM
 */
int lm_port_rec_decode(const void *payload, size_t len_bytes, const struct lm_window *window,
		const char *driver, struct lm_port_rec **rec);

/** Mark the live buffers, to be sent after the stop: all but those that are empty. */
void lm_port_rec_mark(const struct lm_port_rec *rec, const struct lm_window *window,
		struct lm_ram *ram);
/** All of it as text, a line each, for dumps; emit is called once a line. */
void lm_port_rec_describe(const struct lm_port_rec *rec,
		void (*emit)(void *ctx, const char *line), void *ctx);

#endif /* LM_PORT_REC_H */
