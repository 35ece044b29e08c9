/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_port_rec.h"
#include "lm_window.h"

/* A piece of the window that a record lays claim to. */
struct claim {
	uint64_t offset;
	uint64_t len_bytes;
};

static int
by_offset(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Each of them lies in the window, so that ends do not wrap. */
static bool
overlap(struct claim *claims, size_t nb)
{
	size_t i;

	qsort(claims, nb, sizeof(claims[0]), by_offset);
	for (i = 1; i < nb; i++)
		if (claims[i].offset - claims[i - 1].offset < claims[i - 1].len_bytes)
			return true;
	return false;
}

static int
read_port(const uint8_t *body, uint32_t len_bytes, const char *driver, struct lm_port_rec **rec)
{
	struct lm_port_info port;
	struct lm_port_rec *r = NULL;
	int ret;

	if (len_bytes != sizeof(port))
		return -EPROTO;
	memcpy(&port, body, sizeof(port));
	if (memchr(port.driver, '\0', sizeof(port.driver)) == NULL)
		return -EPROTO;
	if (strcmp(port.driver, driver) != 0)
		return -EXDEV;
	ret = lm_port_rec_create(driver, port.nb_rxq, port.nb_txq, 0, &r);
	if (ret != 0)
		return ret == -EINVAL ? -EPROTO : ret;
	r->port = port;
	*rec = r;
	return 0;
}

static int
check_slots(const struct lm_port_queue *q, const struct lm_window *window)
{
	uint8_t *seen = calloc(1, q->info.nb_desc);
	int ret = 0;
	uint32_t i;

	if (seen == NULL)
		return -ENOMEM;
	for (i = 0; i < q->info.nb_slots && ret == 0; i++) {
		const struct lm_port_slot *s = &q->slots[i];
		uint32_t slot = s->slot & ~LM_PORT_SLOT_EMPTY;

		if (slot >= q->info.nb_desc || seen[slot]++ != 0 ||
				lm_window_buffer_at(window, s->buffer, s->len_bytes) == NULL)
			ret = -EPROTO;
	}
	free(seen);
	return ret;
}

static bool
queue_is_good(const struct lm_port_queue_info *q, uint32_t rest_bytes,
		const struct lm_window *window)
{
	return q->is_tx <= 1 && q->nb_desc != 0 && q->nb_desc <= LM_PORT_MAX_DESC &&
		q->nb_slots <= q->nb_desc &&
		rest_bytes == q->nb_slots * sizeof(struct lm_port_slot) &&
		lm_window_control_at(window, q->ring, q->ring_bytes) != NULL &&
		(q->doorbell == LM_PORT_NO_OFFSET || lm_window_control_at(window, q->doorbell,
			LM_PORT_DOORBELL_BYTES) != NULL);
}

static int
read_queue(const uint8_t *body, uint32_t len_bytes, const struct lm_window *window,
		struct lm_port_rec *rec)
{
	struct lm_port_queue_info info;
	struct lm_port_queue *q;
	struct lm_port_slot *slots;

	if (len_bytes < sizeof(info))
		return -EPROTO;
	memcpy(&info, body, sizeof(info));
	q = lm_port_rec_queue(rec, info.is_tx, info.id);
	/* nb_desc is 0 until a queue was read. */
	if (q == NULL || q->info.nb_desc != 0 ||
			!queue_is_good(&info, len_bytes - (uint32_t)sizeof(info), window))
		return -EPROTO;
	slots = realloc(q->slots, ((size_t)info.nb_slots + 1) * sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	q->slots = slots;
	q->info = info;
	memcpy(slots, body + sizeof(info), info.nb_slots * sizeof(slots[0]));
	return check_slots(q, window);
}

static int
read_driver_item(const struct lm_port_item_hdr *hdr, const uint8_t *body, struct lm_port_rec *rec)
{
	uint16_t type = hdr->type & LM_RECORD_TYPE_MASK;

	if (lm_port_rec_item(rec, type) != NULL || rec->nb_items == LM_PORT_MAX_ITEMS)
		return -EPROTO;
	rec->items[rec->nb_items++] = (struct lm_port_item){
		.type = hdr->type,
		.len_bytes = hdr->len_bytes,
		.body = body,
	};
	return 0;
}

/* The port comes first, and once. */
static int
read_item(const struct lm_port_item_hdr *hdr, const uint8_t *body, const struct lm_window *window,
		const char *driver, struct lm_port_rec **rec)
{
	uint16_t type = hdr->type & LM_RECORD_TYPE_MASK;

	if ((*rec == NULL) != (type == LM_PORT_ITEM_PORT))
		return -EPROTO;
	if (type == LM_PORT_ITEM_PORT)
		return read_port(body, hdr->len_bytes, driver, rec);
	if (type == LM_PORT_ITEM_QUEUE)
		return read_queue(body, hdr->len_bytes, window, *rec);
	if (type >= LM_PORT_ITEM_DRIVER)
		return read_driver_item(hdr, body, *rec);
	return (hdr->type & LM_RECORD_F_MANDATORY) != 0 ? -ENOTSUP : 0;
}

static int
read_all(const uint8_t *memory, size_t len_bytes, const struct lm_window *window,
		const char *driver, struct lm_port_rec **rec)
{
	struct lm_port_item_hdr hdr;
	size_t at = 0;
	int ret = 0;

	while (at < len_bytes && ret == 0) {
		if (len_bytes - at < sizeof(hdr))
			return -EPROTO;
		memcpy(&hdr, memory + at, sizeof(hdr));
		at += sizeof(hdr);
		if (hdr.len_bytes > len_bytes - at)
			return -EPROTO;
		ret = read_item(&hdr, memory + at, window, driver, rec);
		at += hdr.len_bytes;
	}
	return ret == 0 && *rec == NULL ? -EPROTO : ret;
}

/* What no queue can say alone. */
static int
check_together(const struct lm_port_rec *rec)
{
	struct claim *rings, *buffers;
	size_t nb_buffers = 0;
	unsigned int i;
	uint32_t s;
	int ret = 0;

	for (i = 0; i < rec->nb_queues; i++)
		nb_buffers += rec->queues[i].info.nb_slots;
	rings = calloc((size_t)rec->nb_queues + 1, sizeof(rings[0]));
	buffers = calloc(nb_buffers + 1, sizeof(buffers[0]));
	if (rings == NULL || buffers == NULL)
		ret = -ENOMEM;
	nb_buffers = 0;
	for (i = 0; i < rec->nb_queues && ret == 0; i++) {
		const struct lm_port_queue *q = &rec->queues[i];

		if (q->info.nb_desc == 0) /* never came */
			ret = -EPROTO;
		rings[i] = (struct claim){ q->info.ring, q->info.ring_bytes };
		for (s = 0; s < q->info.nb_slots; s++)
			buffers[nb_buffers++] = (struct claim){ q->slots[s].buffer,
				q->slots[s].len_bytes };
	}
	if (ret == 0 && (overlap(rings, rec->nb_queues) || overlap(buffers, nb_buffers)))
		ret = -EPROTO;
	free(rings);
	free(buffers);
	return ret;
}

int
lm_port_rec_decode(const void *payload, size_t len_bytes, const struct lm_window *window,
		const char *driver, struct lm_port_rec **rec)
{
	struct lm_port_rec *r = NULL;
	uint8_t *memory;
	int ret;

	if (len_bytes > LM_PORT_REC_MAX_BYTES)
		return -EMSGSIZE;
	memory = malloc(len_bytes + 1);
	if (memory == NULL)
		return -ENOMEM;
	memcpy(memory, payload, len_bytes);
	ret = read_all(memory, len_bytes, window, driver, &r);
	if (ret == 0)
		ret = check_together(r);
	if (ret != 0) {
		lm_port_rec_destroy(r);
		free(memory);
		return ret;
	}
	r->memory = memory;
	*rec = r;
	return 0;
}
