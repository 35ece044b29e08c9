/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lm_compat_rec.h"
#include "lm_record.h"

#define PAGE_BYTES 4096u
#define MUST LM_RECORD_F_MANDATORY
#define DATA LM_RECORD_DATA_BYTES

#define FIXED(t, flag, s) { LM_RECORD_##t | (flag), sizeof(struct s), sizeof(struct s), #t }

static const struct lm_record_rule rules[] = {
	FIXED(HELLO, MUST, lm_record_hello),
	{ LM_RECORD_COMPAT | MUST, 0, LM_COMPAT_MAX_BYTES, "COMPAT" },
	{ LM_RECORD_COMMIT | MUST, 0, 0, "COMMIT" },
	FIXED(VERDICT, MUST, lm_record_verdict),
	FIXED(PREPARED, MUST, lm_record_took),
	FIXED(EARLY_ACK, MUST, lm_record_early),
	FIXED(FENCED, MUST, lm_record_fence),
	FIXED(LOADED, MUST, lm_record_took),
	FIXED(RUNNING, MUST, lm_record_took),
	FIXED(ABORT, MUST, lm_record_abort),
	{ LM_RECORD_ALIVE, 0, 0, "ALIVE" },
	{ LM_RECORD_RAM | MUST, sizeof(struct lm_record_ram) + 1,
		sizeof(struct lm_record_ram) + DATA, "RAM" },
	FIXED(ZERO, MUST, lm_record_zero),
	{ LM_RECORD_DEVICE | MUST, sizeof(struct lm_record_device) + 1,
		sizeof(struct lm_record_device) + DATA, "DEVICE" },
	FIXED(DEVICE_END, MUST, lm_record_device),
	FIXED(EARLY, MUST, lm_record_early),
	FIXED(FENCE, MUST, lm_record_fence),
	{ LM_RECORD_PROBE, 0, DATA, "PROBE" },
};
#define NB_RULES (sizeof(rules) / sizeof(rules[0]))

const struct lm_record_rule *
lm_record_rule(uint16_t type)
{
	unsigned int i;

	for (i = 0; i < NB_RULES; i++)
		if ((rules[i].type & LM_RECORD_TYPE_MASK) == (type & LM_RECORD_TYPE_MASK))
			return &rules[i];
	return NULL;
}

const char *
lm_record_name(uint16_t type)
{
	const struct lm_record_rule *rule = lm_record_rule(type);

	return rule == NULL ? "unknown" : rule->name;
}

static bool
ram_is_good(const struct lm_record *rec)
{
	const struct lm_record_ram *r = rec->payload;
	uint32_t data = rec->len_bytes - (uint32_t)sizeof(*r);

	if (r->len_bytes == 0 || r->len_bytes > DATA || r->len_bytes % PAGE_BYTES != 0 ||
			r->addr % PAGE_BYTES != 0 || r->addr > UINT64_MAX - r->len_bytes)
		return false;
	return (r->flags & ~LM_RECORD_RAM_F_ZSTD) == 0 &&
		((r->flags & LM_RECORD_RAM_F_ZSTD) != 0 || data == r->len_bytes);
}

static bool
zero_is_good(const struct lm_record *rec)
{
	const struct lm_record_zero *z = rec->payload;

	return z->len_bytes != 0 && z->len_bytes % PAGE_BYTES == 0 && z->addr % PAGE_BYTES == 0 &&
		z->addr <= UINT64_MAX - z->len_bytes;
}

static bool
hello_is_good(const struct lm_record *rec)
{
	const struct lm_record_hello *h = rec->payload;

	return h->count >= 2 && h->index < h->count;
}

int
lm_record_check(const struct lm_record *rec)
{
	const struct lm_record_rule *rule = lm_record_rule(rec->type);
	const struct lm_record_verdict *verdict = rec->payload;
	const struct lm_record_abort *ab = rec->payload;
	bool good = true;

	if (rule == NULL)
		return 0;
	if (rec->len_bytes < rule->min_bytes || rec->len_bytes > rule->max_bytes)
		return -EPROTO;
	switch (rec->type) {
	case LM_RECORD_HELLO:
		good = hello_is_good(rec);
		break;
	case LM_RECORD_VERDICT:
		good = memchr(verdict->text, 0, sizeof(verdict->text)) != NULL;
		break;
	case LM_RECORD_ABORT:
		good = memchr(ab->text, 0, sizeof(ab->text)) != NULL;
		break;
	case LM_RECORD_RAM:
		good = ram_is_good(rec);
		break;
	case LM_RECORD_ZERO:
		good = zero_is_good(rec);
		break;
	default:
		break;
	}
	return good ? 0 : -EPROTO;
}

static void
describe_control(const struct lm_record *rec, char *s, size_t size)
{
	const struct lm_record_hello *h = rec->payload;
	const struct lm_record_verdict *v = rec->payload;
	const struct lm_record_took *t = rec->payload;
	const struct lm_record_abort *a = rec->payload;

	switch (rec->type) {
	case LM_RECORD_HELLO:
		snprintf(s, size, "session %02x%02x%02x%02x, connection %u of %u%s", h->session[0],
			h->session[1], h->session[2], h->session[3], h->index, h->count,
			(h->flags & LM_HELLO_F_ANSWER) != 0 ? ", answer" : "");
		break;
	case LM_RECORD_VERDICT:
		snprintf(s, size, "%s%s", v->error == 0 ? "accepted" : "refused: ",
			v->error == 0 ? "" : v->text);
		break;
	case LM_RECORD_PREPARED:
	case LM_RECORD_LOADED:
	case LM_RECORD_RUNNING:
		snprintf(s, size, "took %" PRIu64 " us, longest arc %" PRIu64 " us", t->took_us,
			t->arc_us);
		break;
	case LM_RECORD_ABORT:
		snprintf(s, size, "%s: %s", strerror((int)(a->error & 0xfff)), a->text);
		break;
	default:
		s[0] = '\0';
		break;
	}
}

static void
describe_bulk(const struct lm_record *rec, char *s, size_t size)
{
	const struct lm_record_ram *r = rec->payload;
	const struct lm_record_zero *z = rec->payload;
	const struct lm_record_device *d = rec->payload;
	const struct lm_record_early *e = rec->payload;
	const struct lm_record_fence *f = rec->payload;

	switch (rec->type) {
	case LM_RECORD_RAM:
		snprintf(s, size, "0x%" PRIx64 " + 0x%x%s", r->addr, r->len_bytes,
			(r->flags & LM_RECORD_RAM_F_ZSTD) != 0 ? ", zstd" : "");
		break;
	case LM_RECORD_ZERO:
		snprintf(s, size, "0x%" PRIx64 " + 0x%" PRIx64, z->addr, z->len_bytes);
		break;
	case LM_RECORD_DEVICE:
		snprintf(s, size, "member %u, offset %" PRIu64 ", %zu bytes", d->member, d->offset,
			rec->len_bytes - sizeof(*d));
		break;
	case LM_RECORD_DEVICE_END:
		snprintf(s, size, "member %u, %" PRIu64 " bytes in all", d->member, d->offset);
		break;
	case LM_RECORD_EARLY:
	case LM_RECORD_EARLY_ACK:
		snprintf(s, size, "member %u, generation %u", e->member, e->generation);
		break;
	case LM_RECORD_FENCE:
	case LM_RECORD_FENCED:
		snprintf(s, size, "%" PRIu64 "%s", f->id,
			(f->flags & LM_FENCE_F_LAST) != 0 ? ", last" : "");
		break;
	default:
		describe_control(rec, s, size);
		break;
	}
}

void
lm_record_describe(const struct lm_record *rec, char *text, size_t size_bytes)
{
	char what[LM_RECORD_TEXT_BYTES + 64];

	describe_bulk(rec, what, sizeof(what));
	snprintf(text, size_bytes, "%" PRIu64 " %s (%u bytes)%s%s", rec->number,
		lm_record_name(rec->type), rec->len_bytes, what[0] == '\0' ? "" : " ", what);
}
