/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lm_exerciser_check.h"
#include "lm_state.h"

static const char *const lm_ex_kinds[LM_EX_NB_FAULT_KINDS] = {
	[LM_EX_PAGE_STALE] = "page stale",
	[LM_EX_PAGE_LOST] = "page lost",
	[LM_EX_PAGE_FUTURE] = "page from the future",
	[LM_EX_PAGE_TORN] = "page torn",
	[LM_EX_PAGE_ALIEN] = "page alien",
	[LM_EX_PAGE_UNMAPPED] = "page unmapped",
	[LM_EX_STATE_WRONG] = "internal state wrong",
	[LM_EX_DONE_WRONG] = "completion wrong",
	[LM_EX_OP_LOST] = "operation lost",
	[LM_EX_OP_ORDER] = "operations out of order",
	[LM_EX_PEER_STALE] = "peer record stale",
	[LM_EX_PEER_STOPPED] = "peer wrote to a stopped device",
	[LM_EX_DMA_ERROR] = "DMA to unmapped memory",
};

const char *
lm_ex_fault_kind_name(enum lm_ex_fault_kind kind)
{
	return kind < LM_EX_NB_FAULT_KINDS ? lm_ex_kinds[kind] : "unknown";
}

int
lm_ex_finding_text(const struct lm_ex_finding *f, char *text, size_t max)
{
	const char *state = f->since_state == 0 ? "an unknown state" :
			lm_state_name((enum lm_state)f->since_state);

	if (f->since != 0)
		return snprintf(text, max, "%s: number %" PRIu64 " at 0x%" PRIx64 " has %" PRIu64
				", must have %" PRIu64 "; the first write that is missing is %"
				PRIu64 ", made in %s", lm_ex_fault_kind_name(f->kind), f->index,
				f->iova, f->have, f->want, f->since, state);
	return snprintf(text, max, "%s: number %" PRIu64 " at 0x%" PRIx64 " has %" PRIu64
			", must have %" PRIu64, lm_ex_fault_kind_name(f->kind), f->index, f->iova,
			f->have, f->want);
}

static void
lm_ex_found(struct lm_ex_report *r, const struct lm_ex_finding *f)
{
	r->faults++;
	r->of_kind[f->kind]++;
	if (r->nb_findings < LM_EX_MAX_FINDINGS)
		r->findings[r->nb_findings++] = *f;
}

static void
lm_ex_expect(struct lm_ex_report *r, enum lm_ex_fault_kind kind, uint64_t index, uint64_t have,
		uint64_t want)
{
	const struct lm_ex_finding f = {
		.kind = kind, .index = index, .have = have, .want = want,
	};

	if (have != want)
		lm_ex_found(r, &f);
}

/* The inverse of a modulo n, which have no common factor; extended Euclid. */
static uint64_t
lm_ex_inverse(uint64_t a, uint64_t n)
{
	int64_t t = 0, new_t = 1, swap;
	uint64_t r = n, new_r = a % n, quotient, rest;

	while (new_r != 0) {
		quotient = r / new_r;
		rest = r % new_r;
		r = new_r;
		new_r = rest;
		swap = t - (int64_t)quotient * new_t;
		t = new_t;
		new_t = swap;
	}
	return t < 0 ? n - (uint64_t)-t : (uint64_t)t;
}

/* The last step k <= steps with k * stride = page modulo pages. */
static uint64_t
lm_ex_last_step(uint64_t steps, uint64_t page, uint64_t pages, uint64_t inverse)
{
	uint64_t first = page * inverse % pages; /* of 0, the pages-th */

	return lm_ex_last_turn(steps, (first + pages - 1) % pages, pages);
}

uint64_t
lm_ex_page_want(const struct lm_ex_view *view, uint64_t page)
{
	uint64_t pages = lm_ex_view_config(view, LM_EX_REG_PAGES);

	return lm_ex_last_step(lm_ex_view_counter(view, LM_EX_REG_STEPS), page, pages,
			lm_ex_inverse(lm_ex_view_config(view, LM_EX_REG_STRIDE), pages));
}

/* The state that the device was in when it made a step: the last mark before it. */
static uint32_t
lm_ex_state_at(const struct lm_ex_view *view, uint64_t step)
{
	const struct lm_ex_mark *best = NULL, *m;
	uint32_t state = 0, i;

	for (i = 0; i < 16; i++) {
		m = i < 8 ? &view->origin_marks[i] : &view->marks[i - 8];
		if (m->time_ns == 0 || m->steps >= step)
			continue;
		if (best == NULL || m->steps > best->steps ||
				(m->steps == best->steps && m->time_ns > best->time_ns)) {
			best = m;
			state = i % 8;
		}
	}
	return state;
}

int
lm_ex_page_read(const void *memory, uint64_t seed, uint64_t page, uint32_t max_bytes,
		uint64_t *seq)
{
	static const struct lm_ex_page none;
	const uint8_t *words = (const uint8_t *)memory + sizeof(struct lm_ex_page);
	struct lm_ex_page head;
	uint64_t key, word, i;

	memcpy(&head, memory, sizeof(head));
	if (memcmp(&head, &none, sizeof(head)) == 0)
		return -ENOENT;
	if (head.magic != LM_EX_PAGE_MAGIC || head.check != lm_ex_page_check(&head) ||
			head.seed != seed || head.page != page || head.bytes < sizeof(head) ||
			head.bytes > max_bytes)
		return -ESRCH;
	*seq = head.seq;
	key = lm_ex_key(seed, page, head.seq);
	for (i = 0; i < (head.bytes - sizeof(head)) / 8; i++) {
		memcpy(&word, words + 8 * i, sizeof(word));
		if (word != lm_ex_word(key, i))
			return -EBADMSG;
	}
	return 0;
}

void
lm_ex_page_fill(void *memory, uint64_t seed, uint64_t page, uint64_t seq, uint32_t bytes)
{
	struct lm_ex_page head = {
		.magic = LM_EX_PAGE_MAGIC, .seed = seed, .page = page, .seq = seq, .bytes = bytes,
	};
	uint64_t key = lm_ex_key(seed, page, seq), i;
	uint64_t *words = memory;

	head.check = lm_ex_page_check(&head);
	memcpy(words, &head, sizeof(head));
	words += sizeof(head) / 8;
	for (i = 0; i < (bytes - sizeof(head)) / 8; i++)
		words[i] = lm_ex_word(key, i);
}

static void
lm_ex_check_page(const struct lm_ex_view *view, const void *memory, uint64_t want,
		struct lm_ex_finding *f)
{
	uint64_t pages = lm_ex_view_config(view, LM_EX_REG_PAGES);
	int ret = -ENOENT;

	f->want = want;
	if (memory == NULL) {
		f->kind = LM_EX_PAGE_UNMAPPED;
		return;
	}
	ret = lm_ex_page_read(memory, lm_ex_view_config(view, LM_EX_REG_SEED), f->index,
			LM_EX_PAGE_BYTES, &f->have);
	if (ret == 0 && f->have == want)
		return;
	if (ret == -ENOENT && want == 0) {
		f->kind = LM_EX_NB_FAULT_KINDS;
		return;
	}
	if (ret == -EBADMSG) {
		f->kind = LM_EX_PAGE_TORN;
	} else if (ret == -ESRCH) {
		f->kind = LM_EX_PAGE_ALIEN;
	} else if (ret == 0 && f->have > want) {
		f->kind = LM_EX_PAGE_FUTURE;
	} else {
		f->kind = ret == 0 ? LM_EX_PAGE_STALE : LM_EX_PAGE_LOST;
		f->since = ret == 0 ? f->have + pages : (want - 1) % pages + 1;
		f->since_state = lm_ex_state_at(view, f->since);
	}
}

static void
lm_ex_check_pages(const struct lm_ex_view *view, lm_ex_memory at, void *ctx,
		struct lm_ex_report *r)
{
	uint64_t pages = lm_ex_view_config(view, LM_EX_REG_PAGES), first = 0, page = 0, i, inverse;
	uint64_t steps = lm_ex_view_counter(view, LM_EX_REG_STEPS);
	uint64_t nb = lm_ex_view_config(view, LM_EX_REG_NB_RANGES);

	if (pages == 0)
		return;
	inverse = lm_ex_inverse(lm_ex_view_config(view, LM_EX_REG_STRIDE), pages);
	for (i = 0; i < nb && i < LM_EX_MAX_RANGES; i++) {
		const struct lm_ex_range *range = &view->ranges[i];

		for (; page < pages && (page - first) < range->bytes / LM_EX_PAGE_BYTES; page++) {
			struct lm_ex_finding f = {
				.kind = LM_EX_NB_FAULT_KINDS, .index = page,
				.iova = range->iova + (page - first) * LM_EX_PAGE_BYTES,
			};

			lm_ex_check_page(view, at(ctx, f.iova, LM_EX_PAGE_BYTES),
					lm_ex_last_step(steps, page, pages, inverse), &f);
			if (f.kind != LM_EX_NB_FAULT_KINDS)
				lm_ex_found(r, &f);
			r->pages++;
		}
		first += range->bytes / LM_EX_PAGE_BYTES;
	}
}

static void
lm_ex_check_done(const struct lm_ex_view *view, lm_ex_memory at, void *ctx,
		struct lm_ex_report *r)
{
	uint64_t done = lm_ex_view_counter(view, LM_EX_REG_OPS_DONE), number;
	uint64_t size = lm_ex_view_config(view, LM_EX_REG_RING_SIZE);
	uint64_t seed = lm_ex_view_config(view, LM_EX_REG_SEED);
	struct lm_ex_done entry;
	const void *memory;

	if (size == 0)
		return;
	for (number = done > size ? done - size + 1 : 1; number <= done; number++) {
		struct lm_ex_finding f = {
			.kind = LM_EX_DONE_WRONG, .index = number, .want = number,
			.iova = lm_ex_view_config(view, LM_EX_REG_RING) +
				(number - 1) % size * sizeof(entry),
		};

		r->done++;
		memory = at(ctx, f.iova, sizeof(entry));
		memset(&entry, 0, sizeof(entry));
		if (memory != NULL)
			memcpy(&entry, memory, sizeof(entry));
		f.have = entry.number;
		if (entry.number != number || entry.token != number || entry.check !=
				lm_ex_mix(seed ^ entry.token ^ entry.number ^ entry.step))
			lm_ex_found(r, &f);
	}
}

static void
lm_ex_check_ops(const struct lm_ex_view *view, struct lm_ex_report *r)
{
	uint64_t done = lm_ex_view_counter(view, LM_EX_REG_OPS_DONE), nb = 0;

	while (nb < LM_EX_MAX_OPS && view->tokens[nb] != 0) {
		lm_ex_expect(r, LM_EX_OP_ORDER, nb, view->tokens[nb], done + nb + 1);
		nb++;
	}
	lm_ex_expect(r, LM_EX_OP_LOST, 0, done + nb,
			lm_ex_view_counter(view, LM_EX_REG_OPS_ACCEPTED));
}

static void
lm_ex_check_state(const struct lm_ex_view *view, struct lm_ex_report *r)
{
	uint64_t nb = lm_ex_nb_blocks(lm_ex_view_config(view, LM_EX_REG_STATE_BYTES)), i, want = 0;
	uint64_t every = lm_ex_view_config(view, LM_EX_REG_STATE_EVERY);
	uint64_t seed = lm_ex_view_config(view, LM_EX_REG_SEED);
	uint64_t mods = every == 0 ? 0 : lm_ex_view_counter(view, LM_EX_REG_STEPS) / every;

	for (i = 0; i < nb; i++)
		want += lm_ex_block_key(seed, i, lm_ex_last_turn(mods, i, nb));
	lm_ex_expect(r, LM_EX_STATE_WRONG, 0,
			lm_ex_view_counter(view, LM_EX_REG_STATE_DIGEST), want);
}

void
lm_ex_check(const struct lm_ex_view *view, lm_ex_memory at, void *ctx, struct lm_ex_report *report)
{
	lm_ex_check_pages(view, at, ctx, report);
	lm_ex_check_done(view, at, ctx, report);
	lm_ex_check_ops(view, report);
	lm_ex_check_state(view, report);
	lm_ex_expect(report, LM_EX_DMA_ERROR, 0,
			lm_ex_view_counter(view, LM_EX_REG_DMA_ERRORS), 0);
	lm_ex_expect(report, LM_EX_PEER_STOPPED, 0, view->peer_late, 0);
}

void
lm_ex_check_peer(const struct lm_ex_view *writer, const void *window, struct lm_ex_report *report)
{
	uint64_t every = lm_ex_view_config(writer, LM_EX_REG_PEER_EVERY), sent, slot, want;
	uint64_t seed = lm_ex_view_config(writer, LM_EX_REG_SEED);
	struct lm_ex_peer record;

	if (every == 0)
		return;
	sent = lm_ex_view_counter(writer, LM_EX_REG_STEPS) / every;
	for (slot = 0; slot < LM_EX_PEER_SLOTS; slot++) {
		memcpy(&record, (const uint8_t *)window + slot * sizeof(record), sizeof(record));
		want = lm_ex_last_turn(sent, (slot + LM_EX_PEER_SLOTS - 1) % LM_EX_PEER_SLOTS,
				LM_EX_PEER_SLOTS);
		report->records++;
		if (record.number == want && (want == 0 || (record.seed == seed &&
				record.step == want * every && record.check ==
				lm_ex_mix(record.number ^ record.seed ^ record.step))))
			continue;
		lm_ex_found(report, &(struct lm_ex_finding){
			.kind = LM_EX_PEER_STALE, .index = slot, .have = record.number,
			.want = want,
		});
	}
}
