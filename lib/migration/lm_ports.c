/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_port_pvt.h"
#include "lm_window.h"

/* Records, where the window keeps them: blocks, the last one with no name. */
struct block {
	char name[LM_PORT_NAME_BYTES]; /* NUL-terminated */
	lm_le64_t len_bytes;           /* of the record that follows, padded to 8 bytes */
};
static_assert(sizeof(struct block) == 72, "block");

static uint64_t
padded(uint64_t len_bytes)
{
	return (len_bytes + 7) & ~UINT64_C(7);
}

int
lm_ports_park(const struct lm_window *window, uint64_t deadline_us, const char **late)
{
	struct lm_port *p = NULL;
	int ret = 0;

	while (ret == 0 && (p = lm_port_next(window, p)) != NULL)
		ret = lm_port_park(p, deadline_us, late);
	if (ret != 0)
		lm_ports_take_back(window);
	return ret;
}

static int
for_mode(const struct lm_window *window, enum lm_port_mode first, enum lm_port_mode second,
		int (*fn)(struct lm_port *port))
{
	struct lm_port *p = NULL;
	int ret = 0, one;

	while ((p = lm_port_next(window, p)) != NULL) {
		if (lm_port_mode(p) != first && lm_port_mode(p) != second)
			continue;
		one = fn(p);
		if (ret == 0)
			ret = one;
	}
	return ret;
}

int
lm_ports_take_back(const struct lm_window *window)
{
	return for_mode(window, LM_PORT_PARKED, LM_PORT_GIVEN, lm_port_take_back);
}

int
lm_ports_run(const struct lm_window *window)
{
	return for_mode(window, LM_PORT_ADOPTED, LM_PORT_ADOPTED, lm_port_run);
}

/* @return bytes of the block */
static int
save_one(struct lm_port *port, struct lm_ram *ram, uint8_t *at, uint64_t room_bytes)
{
	struct block block = { .len_bytes = 0 };
	void *rec = NULL;
	uint64_t bytes;
	int len;

	len = lm_port_give_up(port, ram, &rec);
	if (len < 0)
		return len;
	bytes = sizeof(block) + padded((uint64_t)len);
	if (bytes > room_bytes) {
		free(rec);
		return -ENOSPC;
	}
	strcpy(block.name, lm_port_name(port));
	block.len_bytes = (uint64_t)len;
	memcpy(at, &block, sizeof(block));
	memcpy(at + sizeof(block), rec, (size_t)len);
	free(rec);
	return (int)bytes;
}

int
lm_ports_save(const struct lm_window *window, struct lm_ram *ram)
{
	uint64_t room_bytes, used = 0;
	uint8_t *at = lm_window_records(window, &room_bytes);
	struct lm_port *p = NULL;
	int ret;

	if (at != NULL)
		memset(at, 0, room_bytes);
	while ((p = lm_port_next(window, p)) != NULL) {
		ret = save_one(p, ram, at + used, room_bytes - used);
		if (ret < 0)
			return ret;
		used += (uint64_t)ret;
	}
	return 0;
}

/* Nobody vouches for what arrived: each block is copied, then checked. */
static int
load_one(const struct lm_window *window, const uint8_t *at, uint64_t room_bytes, uint64_t *used)
{
	struct lm_port *port;
	struct block block;

	*used = 0;
	if (room_bytes < sizeof(block))
		return 0;
	memcpy(&block, at, sizeof(block));
	if (block.name[0] == '\0')
		return 0;
	room_bytes -= sizeof(block);
	if (memchr(block.name, '\0', sizeof(block.name)) == NULL ||
			block.len_bytes > room_bytes || padded(block.len_bytes) > room_bytes)
		return -EPROTO;
	for (port = lm_port_next(window, NULL); port != NULL; port = lm_port_next(window, port))
		if (strcmp(lm_port_name(port), block.name) == 0)
			break;
	if (port == NULL)
		return -ENOENT;
	*used = sizeof(block) + padded(block.len_bytes);
	return lm_port_adopt(port, at + sizeof(block), block.len_bytes);
}

int
lm_ports_load(const struct lm_window *window)
{
	uint64_t room_bytes, used = 0, at = 0;
	const uint8_t *records = lm_window_records(window, &room_bytes);
	struct lm_port *p = NULL;
	int ret;

	do {
		ret = load_one(window, records + at, room_bytes - at, &used);
		at += used;
	} while (ret == 0 && used != 0);
	while (ret == 0 && (p = lm_port_next(window, p)) != NULL)
		if (lm_port_mode(p) == LM_PORT_INCOMING)
			ret = -ENOENT;
	return ret;
}
