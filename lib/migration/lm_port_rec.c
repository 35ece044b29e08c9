/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_port_rec.h"
#include "lm_ram.h"
#include "lm_window.h"

int
lm_port_rec_create(const char *driver, uint16_t nb_rxq, uint16_t nb_txq, uint32_t nb_desc,
		struct lm_port_rec **rec)
{
	struct lm_port_rec *r;
	unsigned int i;

	if (driver[0] == '\0' || strlen(driver) >= LM_PORT_NAME_BYTES ||
			(unsigned int)nb_rxq + nb_txq > LM_PORT_MAX_QUEUES ||
			nb_desc > LM_PORT_MAX_DESC)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	strcpy(r->port.driver, driver);
	r->port.nb_rxq = nb_rxq;
	r->port.nb_txq = nb_txq;
	r->queues = calloc((size_t)nb_rxq + nb_txq + 1, sizeof(r->queues[0]));
	if (r->queues == NULL) {
		free(r);
		return -ENOMEM;
	}
	r->nb_queues = (unsigned int)nb_rxq + nb_txq;
	for (i = 0; i < r->nb_queues; i++) {
		struct lm_port_queue *q = &r->queues[i];

		q->info.is_tx = i >= nb_rxq;
		q->info.id = (uint16_t)(i >= nb_rxq ? i - nb_rxq : i);
		q->info.nb_desc = nb_desc;
		q->info.doorbell = LM_PORT_NO_OFFSET;
		q->slots = calloc((size_t)nb_desc + 1, sizeof(q->slots[0]));
		if (q->slots == NULL) {
			lm_port_rec_destroy(r);
			return -ENOMEM;
		}
	}
	*rec = r;
	return 0;
}

void
lm_port_rec_destroy(struct lm_port_rec *rec)
{
	unsigned int i;

	if (rec == NULL)
		return;
	for (i = 0; i < rec->nb_queues; i++)
		free(rec->queues[i].slots);
	free(rec->queues);
	free(rec->memory);
	free(rec);
}

struct lm_port_queue *
lm_port_rec_queue(const struct lm_port_rec *rec, bool is_tx, uint16_t id)
{
	if (id >= (is_tx ? rec->port.nb_txq : rec->port.nb_rxq))
		return NULL;
	return &rec->queues[is_tx ? (unsigned int)rec->port.nb_rxq + id : id];
}

int
lm_port_rec_slot(struct lm_port_queue *queue, uint32_t slot, uint64_t buffer, uint32_t len_bytes)
{
	if (queue->info.nb_slots >= queue->info.nb_desc)
		return -ENOSPC;
	queue->slots[queue->info.nb_slots++] = (struct lm_port_slot){
		.slot = slot,
		.buffer = buffer,
		.len_bytes = len_bytes,
	};
	return 0;
}

const struct lm_port_item *
lm_port_rec_item(const struct lm_port_rec *rec, uint16_t type)
{
	unsigned int i;

	for (i = 0; i < rec->nb_items; i++)
		if ((rec->items[i].type & LM_RECORD_TYPE_MASK) == type)
			return &rec->items[i];
	return NULL;
}

static uint8_t *
put(uint8_t *at, uint16_t type, const void *body, uint32_t len_bytes, uint32_t more_bytes)
{
	const struct lm_port_item_hdr hdr = {
		.type = type,
		.len_bytes = len_bytes + more_bytes,
	};

	memcpy(at, &hdr, sizeof(hdr));
	if (len_bytes != 0)
		memcpy(at + sizeof(hdr), body, len_bytes);
	return at + sizeof(hdr) + len_bytes;
}

int
lm_port_rec_encode(const struct lm_port_rec *rec, void **payload)
{
	size_t bytes = sizeof(struct lm_port_item_hdr) + sizeof(rec->port);
	uint8_t *memory, *at;
	unsigned int i;

	for (i = 0; i < rec->nb_queues; i++)
		bytes += sizeof(struct lm_port_item_hdr) + sizeof(rec->queues[i].info) +
			(size_t)rec->queues[i].info.nb_slots * sizeof(struct lm_port_slot);
	for (i = 0; i < rec->nb_items; i++)
		bytes += sizeof(struct lm_port_item_hdr) + (size_t)rec->items[i].len_bytes;
	if (bytes > LM_PORT_REC_MAX_BYTES)
		return -EMSGSIZE;
	memory = malloc(bytes);
	if (memory == NULL)
		return -ENOMEM;
	at = put(memory, LM_PORT_ITEM_PORT | LM_RECORD_F_MANDATORY, &rec->port, sizeof(rec->port),
			0);
	for (i = 0; i < rec->nb_queues; i++) {
		const struct lm_port_queue *q = &rec->queues[i];
		uint32_t slots = q->info.nb_slots * (uint32_t)sizeof(q->slots[0]);

		at = put(at, LM_PORT_ITEM_QUEUE | LM_RECORD_F_MANDATORY, &q->info,
				sizeof(q->info), slots);
		memcpy(at, q->slots, slots);
		at += slots;
	}
	for (i = 0; i < rec->nb_items; i++)
		at = put(at, rec->items[i].type, rec->items[i].body, rec->items[i].len_bytes, 0);
	*payload = memory;
	return (int)bytes;
}

void
lm_port_rec_mark(const struct lm_port_rec *rec, const struct lm_window *window,
		struct lm_ram *ram)
{
	uint64_t base = (uintptr_t)lm_window_base(window);
	unsigned int i, s;

	for (i = 0; i < rec->nb_queues; i++)
		for (s = 0; s < rec->queues[i].info.nb_slots; s++)
			if ((rec->queues[i].slots[s].slot & LM_PORT_SLOT_EMPTY) == 0)
				lm_ram_mark(ram, base + rec->queues[i].slots[s].buffer,
						rec->queues[i].slots[s].len_bytes);
}

void
lm_port_rec_describe(const struct lm_port_rec *rec,
		void (*emit)(void *ctx, const char *line), void *ctx)
{
	const struct lm_port_info *p = &rec->port;
	char line[160];
	unsigned int i;

	snprintf(line, sizeof(line), "port of %s: %u Rx and %u Tx queues, MTU %u, "
			"%02x:%02x:%02x:%02x:%02x:%02x, flags %#x", p->driver, p->nb_rxq, p->nb_txq,
			p->mtu, p->mac[0], p->mac[1], p->mac[2], p->mac[3], p->mac[4], p->mac[5],
			p->flags);
	emit(ctx, line);
	for (i = 0; i < rec->nb_queues; i++) {
		const struct lm_port_queue_info *q = &rec->queues[i].info;

		snprintf(line, sizeof(line), "%s queue %u: %u descriptors at %#" PRIx64
				", producer %u, consumer %u, colour %u, %u buffers",
				q->is_tx ? "Tx" : "Rx", q->id, q->nb_desc, q->ring, q->producer,
				q->consumer, q->colour, q->nb_slots);
		emit(ctx, line);
	}
	for (i = 0; i < rec->nb_items; i++) {
		snprintf(line, sizeof(line), "item %#x: %u bytes",
				rec->items[i].type & LM_RECORD_TYPE_MASK, rec->items[i].len_bytes);
		emit(ctx, line);
	}
}
