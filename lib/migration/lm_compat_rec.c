/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_compat_rec.h"
#include "lm_record.h"

enum item_type {
	ITEM_BASE = 1,
	ITEM_MEMBER = 2,
	ITEM_REGION = 3,
	ITEM_WINDOW = 4,
};

struct item_hdr {
	lm_le16_t type; /* enum item_type | LM_RECORD_F_MANDATORY */
	lm_le16_t reserved;
	lm_le32_t len_bytes;
};
static_assert(sizeof(struct item_hdr) == 8, "item header");

struct item_base {
	lm_le32_t page_bytes;
	lm_le32_t nb_members;
	lm_le32_t nb_regions;
	lm_le32_t reserved;
};
static_assert(sizeof(struct item_base) == 16, "base");

/* The structures of lm_compat_rec.h are what is on the wire: no holes, little-endian hosts. */
static_assert(sizeof(struct lm_compat_member) == 64 + 24 + 40 + 40 + 8 + 48 + 8 + 8 + 8 * 16,
	"member");
static_assert(sizeof(struct lm_compat_region) == 48, "region");
static_assert(sizeof(struct lm_compat_window) == 40, "window");

static int
compat_alloc(unsigned int nb_members, unsigned int nb_regions, struct lm_compat **compat)
{
	struct lm_compat *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->members = calloc(nb_members + 1, sizeof(*c->members));
	c->regions = calloc(nb_regions + 1, sizeof(*c->regions));
	if (c->members == NULL || c->regions == NULL) {
		lm_compat_destroy(c);
		return -ENOMEM;
	}
	c->page_bytes = LM_RAM_PAGE_BYTES;
	c->nb_members = nb_members;
	c->nb_regions = nb_regions;
	*compat = c;
	return 0;
}

void
lm_compat_destroy(struct lm_compat *c)
{
	if (c == NULL)
		return;
	free(c->members);
	free(c->regions);
	free(c);
}

int
lm_compat_create(const struct lm_group *group, const struct lm_ram *ram, struct lm_compat **compat)
{
	const struct lm_ram_region *region;
	const struct lm_caps *caps;
	struct lm_compat_member *m;
	struct lm_compat *c;
	unsigned int i;
	int ret;

	ret = compat_alloc(group == NULL ? 0 : lm_group_count(group),
		ram == NULL ? 0 : lm_ram_count(ram), &c);
	if (ret != 0)
		return ret;
	for (i = 0; i < c->nb_members; i++) {
		m = &c->members[i];
		caps = lm_group_caps(group, i);
		snprintf(m->name, sizeof(m->name), "%s", lm_group_name(group, i));
		memcpy(m->provider, caps->provider, sizeof(m->provider) - 1);
		memcpy(m->device, caps->device, sizeof(m->device) - 1);
		memcpy(m->firmware, caps->firmware, sizeof(m->firmware) - 1);
		m->flags = caps->flags;
	}
	for (i = 0; i < c->nb_regions; i++) {
		region = lm_ram_get(ram, i);
		memcpy(c->regions[i].name, region->name, sizeof(c->regions[i].name) - 1);
		c->regions[i].addr = region->addr;
		c->regions[i].size_bytes = region->size_bytes;
	}
	*compat = c;
	return 0;
}

static uint8_t *
put(uint8_t *at, uint16_t type, const void *body, uint32_t len_bytes)
{
	const struct item_hdr hdr = {
		.type = type | LM_RECORD_F_MANDATORY,
		.len_bytes = len_bytes,
	};

	memcpy(at, &hdr, sizeof(hdr));
	memcpy(at + sizeof(hdr), body, len_bytes);
	return at + sizeof(hdr) + len_bytes;
}

int
lm_compat_encode(const struct lm_compat *c, void **payload)
{
	const struct item_base base = {
		.page_bytes = c->page_bytes,
		.nb_members = c->nb_members,
		.nb_regions = c->nb_regions,
	};
	size_t bytes;
	uint8_t *at;
	unsigned int i;

	bytes = sizeof(struct item_hdr) + sizeof(base) +
		(size_t)c->nb_members * (sizeof(struct item_hdr) + sizeof(c->members[0])) +
		(size_t)c->nb_regions * (sizeof(struct item_hdr) + sizeof(c->regions[0])) +
		sizeof(struct item_hdr) + sizeof(c->window);
	if (bytes > LM_COMPAT_MAX_BYTES)
		return -EMSGSIZE;
	*payload = malloc(bytes);
	if (*payload == NULL)
		return -ENOMEM;
	at = put(*payload, ITEM_BASE, &base, sizeof(base));
	for (i = 0; i < c->nb_members; i++)
		at = put(at, ITEM_MEMBER, &c->members[i], sizeof(c->members[i]));
	for (i = 0; i < c->nb_regions; i++)
		at = put(at, ITEM_REGION, &c->regions[i], sizeof(c->regions[i]));
	if (c->window.size_bytes != 0)
		at = put(at, ITEM_WINDOW, &c->window, sizeof(c->window));
	return (int)(at - (uint8_t *)*payload);
}

#define ENDS(text) (memchr(text, 0, sizeof(text)) != NULL)

static bool
range_is_good(uint64_t addr, uint64_t len)
{
	return len != 0 && addr <= UINT64_MAX - (len - 1);
}

static bool
member_is_good(const struct lm_compat *c, unsigned int index)
{
	const struct lm_compat_member *m = &c->members[index];
	unsigned int i;

	if (!ENDS(m->name) || !ENDS(m->provider) || !ENDS(m->device) || !ENDS(m->firmware) ||
			m->name[0] == '\0' || m->nb_iovas > LM_COMPAT_IOVAS)
		return false;
	for (i = 0; i < m->nb_iovas; i++)
		if (!range_is_good(m->iovas[i].addr, m->iovas[i].len_bytes))
			return false;
	for (i = 0; i < index; i++)
		if (strcmp(c->members[i].name, m->name) == 0)
			return false;
	return true;
}

static bool
region_is_good(const struct lm_compat_region *r)
{
	return ENDS(r->name) && range_is_good(r->addr, r->size_bytes) &&
		r->addr % LM_RAM_PAGE_BYTES == 0 && r->size_bytes % LM_RAM_PAGE_BYTES == 0;
}

struct cursor {
	const uint8_t *at;
	size_t left_bytes;
	struct lm_compat *c; /* NULL until the base was read */
	unsigned int nb_members;
	unsigned int nb_regions;
};

static int
item_base(struct cursor *cur, const uint8_t *body)
{
	struct item_base base;
	int ret;

	memcpy(&base, body, sizeof(base));
	if (cur->c != NULL || base.nb_members > LM_COMPAT_MAX_MEMBERS ||
			base.nb_regions > LM_COMPAT_MAX_REGIONS)
		return -EPROTO;
	ret = compat_alloc(base.nb_members, base.nb_regions, &cur->c);
	if (ret == 0)
		cur->c->page_bytes = base.page_bytes;
	return ret;
}

static int
item_member(struct cursor *cur, const uint8_t *body)
{
	if (cur->c == NULL || cur->nb_members == cur->c->nb_members)
		return -EPROTO;
	memcpy(&cur->c->members[cur->nb_members], body, sizeof(cur->c->members[0]));
	return member_is_good(cur->c, cur->nb_members++) ? 0 : -EPROTO;
}

static int
item_region(struct cursor *cur, const uint8_t *body)
{
	if (cur->c == NULL || cur->nb_regions == cur->c->nb_regions)
		return -EPROTO;
	memcpy(&cur->c->regions[cur->nb_regions], body, sizeof(cur->c->regions[0]));
	return region_is_good(&cur->c->regions[cur->nb_regions++]) ? 0 : -EPROTO;
}

static int
item_window(struct cursor *cur, const uint8_t *body)
{
	if (cur->c == NULL || cur->c->window.size_bytes != 0)
		return -EPROTO;
	memcpy(&cur->c->window, body, sizeof(cur->c->window));
	return range_is_good(cur->c->window.addr, cur->c->window.size_bytes) ? 0 : -EPROTO;
}

static const struct {
	uint16_t type;
	uint32_t len_bytes;
	int (*fn)(struct cursor *cur, const uint8_t *body);
} items[] = {
	{ ITEM_BASE, sizeof(struct item_base), item_base },
	{ ITEM_MEMBER, sizeof(struct lm_compat_member), item_member },
	{ ITEM_REGION, sizeof(struct lm_compat_region), item_region },
	{ ITEM_WINDOW, sizeof(struct lm_compat_window), item_window },
};
#define NB_ITEMS (sizeof(items) / sizeof(items[0]))

static int
item(struct cursor *cur)
{
	struct item_hdr hdr;
	const uint8_t *body = cur->at + sizeof(hdr);
	unsigned int i;

	if (cur->left_bytes < sizeof(hdr))
		return -EPROTO;
	memcpy(&hdr, cur->at, sizeof(hdr));
	if (hdr.len_bytes > cur->left_bytes - sizeof(hdr))
		return -EPROTO;
	cur->at = body + hdr.len_bytes;
	cur->left_bytes -= sizeof(hdr) + hdr.len_bytes;
	for (i = 0; i < NB_ITEMS; i++) {
		if (items[i].type != (hdr.type & LM_RECORD_TYPE_MASK))
			continue;
		return hdr.len_bytes == items[i].len_bytes ? items[i].fn(cur, body) : -EPROTO;
	}
	return (hdr.type & LM_RECORD_F_MANDATORY) != 0 ? -ENOTSUP : 0;
}

int
lm_compat_decode(const void *payload, size_t len_bytes, struct lm_compat **compat)
{
	struct cursor cur = { .at = payload, .left_bytes = len_bytes };
	int ret = 0;

	while (ret == 0 && cur.left_bytes > 0)
		ret = item(&cur);
	if (ret == 0 && (cur.c == NULL || cur.nb_members != cur.c->nb_members ||
			cur.nb_regions != cur.c->nb_regions))
		ret = -EPROTO;
	if (ret == 0)
		*compat = cur.c;
	else
		lm_compat_destroy(cur.c);
	return ret;
}

void
lm_compat_describe(const struct lm_compat *c, void (*emit)(void *ctx, const char *line), void *ctx)
{
	const struct lm_compat_member *m;
	char line[320];
	unsigned int i;

	for (i = 0; i < c->nb_members; i++) {
		m = &c->members[i];
		snprintf(line, sizeof(line),
			"member %u %s: %s by %s, firmware \"%s\"%s%s, %u MSI-X",
			i, m->name, m->device, m->provider, m->firmware,
			(m->flags & LM_STATE_F_P2P) != 0 ? ", P2P" : "",
			(m->flags & LM_STATE_F_PRE_COPY) != 0 ? ", PRE_COPY" : "", m->nb_msix);
		emit(ctx, line);
	}
	for (i = 0; i < c->nb_regions; i++) {
		snprintf(line, sizeof(line), "region %s: 0x%" PRIx64 " + 0x%" PRIx64,
			c->regions[i].name, c->regions[i].addr, c->regions[i].size_bytes);
		emit(ctx, line);
	}
	if (c->window.size_bytes == 0)
		return;
	snprintf(line, sizeof(line), "window: 0x%" PRIx64 " + 0x%" PRIx64 ", pages of %" PRIu64
		", elements of %u, headroom %u, node %u", c->window.addr, c->window.size_bytes,
		c->window.page_bytes, c->window.element_bytes, c->window.headroom_bytes,
		c->window.numa_node);
	emit(ctx, line);
}
