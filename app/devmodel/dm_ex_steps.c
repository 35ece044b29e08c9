/* SPDX-License-Identifier: BSD-3-Clause */

/* What an exerciser does while it runs. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_ex.h"

#define DM_EX_BATCH 64u              /* steps in one poll */
#define DM_EX_MAX_DEBT_NS 10000000u  /* later than this it does not hurry to catch up */
#define DM_EX_NS UINT64_C(1000000000)

static uint64_t
dm_ex_conf(const struct dm_ex *ex, uint32_t reg)
{
	return ex->config[DM_EX_CONFIG(reg)];
}

static uint64_t *
dm_ex_count(struct dm_ex *ex, uint32_t reg)
{
	return &ex->counters[DM_EX_COUNTER(reg)];
}

static uint64_t
dm_ex_gcd(uint64_t a, uint64_t b)
{
	uint64_t rest;

	while (b != 0) {
		rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

static int
dm_ex_ranges_check(struct dm_ex *ex)
{
	uint64_t nb = dm_ex_conf(ex, LM_EX_REG_NB_RANGES), pages = 0, i;

	if (nb > LM_EX_MAX_RANGES)
		return -EINVAL;
	for (i = 0; i < nb; i++) {
		const struct lm_ex_range *r = &ex->ranges[i];

		if (r->bytes == 0 || (r->iova | r->bytes) % LM_EX_PAGE_BYTES != 0 ||
				r->iova + (r->bytes - 1) < r->iova)
			return -EINVAL;
		ex->range_first[i] = pages;
		pages += r->bytes / LM_EX_PAGE_BYTES;
	}
	ex->range_first[nb] = pages;
	return dm_ex_conf(ex, LM_EX_REG_PAGES) > pages ? -EINVAL : 0;
}

bool
dm_ex_state_bytes_ok(uint64_t bytes)
{
	return bytes <= LM_EX_MAX_STATE_BYTES && bytes % 8 == 0;
}

int
dm_ex_config_check(struct dm_ex *ex)
{
	uint64_t pages = dm_ex_conf(ex, LM_EX_REG_PAGES);
	uint64_t ring = dm_ex_conf(ex, LM_EX_REG_RING_SIZE);
	uint64_t bytes = dm_ex_conf(ex, LM_EX_REG_PAGE_WRITE);

	if (pages > LM_EX_MAX_PAGES || dm_ex_conf(ex, LM_EX_REG_RATE) > DM_EX_NS ||
			!dm_ex_state_bytes_ok(dm_ex_conf(ex, LM_EX_REG_STATE_BYTES)))
		return -EINVAL;
	if (pages != 0 && (dm_ex_gcd(pages, dm_ex_conf(ex, LM_EX_REG_STRIDE)) != 1 ||
			bytes < sizeof(struct lm_ex_page) || bytes > LM_EX_PAGE_BYTES ||
			bytes % 8 != 0))
		return -EINVAL;
	if (ring > LM_EX_MAX_RING || (ring & (ring - 1)) != 0)
		return -EINVAL;
	return dm_ex_ranges_check(ex);
}

uint64_t
dm_ex_digest(const uint64_t *mods, uint64_t nb, uint64_t seed)
{
	uint64_t digest = 0, i;

	for (i = 0; i < nb; i++)
		digest += lm_ex_block_key(seed, i, mods[i]);
	return digest;
}

int
dm_ex_blocks(struct dm_ex *ex)
{
	uint64_t nb = lm_ex_nb_blocks(dm_ex_conf(ex, LM_EX_REG_STATE_BYTES));
	uint64_t *mods = calloc(nb + 1, sizeof(*mods));

	if (mods == NULL)
		return -ENOMEM;
	free(ex->mods);
	ex->mods = mods;
	ex->nb_blocks = nb;
	*dm_ex_count(ex, LM_EX_REG_STATE_DIGEST) = dm_ex_digest(mods, nb,
			dm_ex_conf(ex, LM_EX_REG_SEED));
	return 0;
}

/* Anew; a reader of the old state has to start from its head again. */
void
dm_ex_start(struct dm_ex *ex)
{
	uint64_t migrations = *dm_ex_count(ex, LM_EX_REG_MIGRATIONS);

	if (ex->started || dm_ex_config_check(ex) != 0) {
		ex->bad = true;
		dm_rule_broken(ex->host->rules, DM_RULE_EX_CONFIG_BAD, "start");
		return;
	}
	memset(ex->counters, 0, sizeof(ex->counters));
	*dm_ex_count(ex, LM_EX_REG_MIGRATIONS) = migrations;
	ex->nb_ops = 0;
	ex->bad = dm_ex_blocks(ex) != 0 || (ex->save.on && dm_ex_save_reinit(ex) != 0);
	ex->started = !ex->bad;
	ex->paused = false;
	dm_ex_steps_from_now(ex);
}

void
dm_ex_doorbell(struct dm_ex *ex, uint64_t token)
{
	uint32_t at = (ex->first_op + ex->nb_ops) % LM_EX_MAX_OPS;

	if (!ex->started || token == 0 || ex->nb_ops == LM_EX_MAX_OPS ||
			dm_ex_conf(ex, LM_EX_REG_RING_SIZE) == 0) {
		(*dm_ex_count(ex, LM_EX_REG_OPS_REFUSED))++;
		return;
	}
	ex->op[at].token = token;
	ex->op[at].due = *dm_ex_count(ex, LM_EX_REG_STEPS) + dm_ex_conf(ex, LM_EX_REG_OP_STEPS);
	ex->nb_ops++;
	(*dm_ex_count(ex, LM_EX_REG_OPS_ACCEPTED))++;
}

/* Where the device writes, in memory that the driver mapped; NULL: the write is lost. */
static void *
dm_ex_target(struct dm_ex *ex, uint64_t iova, uint64_t len_bytes)
{
	uint64_t len = len_bytes;
	void *ptr = ex->host->dma_span(ex->host->ctx, iova, &len, LM_VU_PROT_WRITE);

	if (ptr != NULL && len == len_bytes)
		/* cppcheck-suppress returnDanglingLifetime ; it is not &len that comes back */
		return ptr;
	(*dm_ex_count(ex, LM_EX_REG_DMA_ERRORS))++;
	dm_rule_broken(ex->host->rules, DM_RULE_DMA_UNMAPPED, "%llu bytes at 0x%llx",
			(unsigned long long)len_bytes, (unsigned long long)iova);
	return NULL;
}

/* After the write: who reads the log and then memory sees it. */
static void
dm_ex_written(struct dm_ex *ex, uint64_t iova, uint64_t len_bytes)
{
	const struct dm_ex_faults *f = &ex->faults;

	if (f->drop_dirty != 0 && (ex->dirty.marked + ex->dropped_marks + 1) % f->drop_dirty == 0 &&
			ex->dirty.on) {
		ex->dropped_marks++;
		return;
	}
	dm_dirty_mark(&ex->dirty, iova, len_bytes + f->extra_dirty * LM_EX_PAGE_BYTES);
}

static uint64_t
dm_ex_page_iova(const struct dm_ex *ex, uint64_t page)
{
	uint64_t lo = 0, hi = dm_ex_conf(ex, LM_EX_REG_NB_RANGES), mid;

	while (hi - lo > 1) {
		mid = (lo + hi) / 2;
		if (ex->range_first[mid] <= page)
			lo = mid;
		else
			hi = mid;
	}
	return ex->ranges[lo].iova + (page - ex->range_first[lo]) * LM_EX_PAGE_BYTES;
}

static void
dm_ex_write_page(struct dm_ex *ex, uint64_t step, uint64_t now_ns)
{
	uint64_t pages = dm_ex_conf(ex, LM_EX_REG_PAGES), iova, key, i, nb;
	struct lm_ex_page head = {
		.magic = LM_EX_PAGE_MAGIC,
		.seed = dm_ex_conf(ex, LM_EX_REG_SEED),
		.seq = step,
		.time_ns = now_ns,
		.bytes = (uint32_t)dm_ex_conf(ex, LM_EX_REG_PAGE_WRITE),
		.state = ex->state,
	};
	uint64_t *words;

	if (pages == 0)
		return;
	head.page = (step % pages) * (dm_ex_conf(ex, LM_EX_REG_STRIDE) % pages) % pages;
	head.check = lm_ex_page_check(&head);
	iova = dm_ex_page_iova(ex, head.page);
	words = dm_ex_target(ex, iova, head.bytes);
	if (words == NULL)
		return;
	memcpy(words, &head, sizeof(head));
	words += sizeof(head) / 8;
	nb = (head.bytes - sizeof(head)) / 8;
	key = lm_ex_key(head.seed, head.page, head.seq);
	for (i = 0; i < nb; i++)
		words[i] = lm_ex_word(key, i);
	dm_ex_written(ex, iova, head.bytes);
}

static void
dm_ex_write_peer(struct dm_ex *ex, uint64_t step)
{
	uint64_t every = dm_ex_conf(ex, LM_EX_REG_PEER_EVERY), iova;
	struct lm_ex_peer record = { .seed = dm_ex_conf(ex, LM_EX_REG_SEED), .step = step };
	void *ptr;

	if (every == 0 || step % every != 0)
		return;
	record.number = step / every;
	record.check = lm_ex_mix(record.number ^ record.seed ^ record.step);
	iova = dm_ex_conf(ex, LM_EX_REG_PEER) +
			record.number % LM_EX_PEER_SLOTS * sizeof(record);
	ptr = dm_ex_target(ex, iova, sizeof(record));
	if (ptr == NULL)
		return;
	memcpy(ptr, &record, sizeof(record));
	dm_ex_written(ex, iova, sizeof(record));
}

static void
dm_ex_change_state(struct dm_ex *ex, uint64_t step)
{
	uint64_t every = dm_ex_conf(ex, LM_EX_REG_STATE_EVERY);
	uint64_t seed = dm_ex_conf(ex, LM_EX_REG_SEED);
	uint64_t *digest = dm_ex_count(ex, LM_EX_REG_STATE_DIGEST);
	uint64_t mod, block;

	if (every == 0 || step % every != 0 || ex->nb_blocks == 0)
		return;
	mod = step / every;
	block = (mod - 1) % ex->nb_blocks;
	*digest -= lm_ex_block_key(seed, block, ex->mods[block]);
	*digest += lm_ex_block_key(seed, block, mod);
	ex->mods[block] = mod;
	dm_ex_save_changed(ex, block);
}

static void
dm_ex_complete(struct dm_ex *ex, uint64_t step)
{
	uint64_t size = dm_ex_conf(ex, LM_EX_REG_RING_SIZE), iova;
	uint64_t *done = dm_ex_count(ex, LM_EX_REG_OPS_DONE);
	struct lm_ex_done entry;
	void *ptr;

	while (ex->nb_ops > 0 && ex->op[ex->first_op].due <= step) {
		entry.token = ex->op[ex->first_op].token;
		entry.number = ++*done;
		entry.step = step;
		entry.check = lm_ex_mix(dm_ex_conf(ex, LM_EX_REG_SEED) ^ entry.token ^
				entry.number ^ entry.step);
		ex->first_op = (ex->first_op + 1) % LM_EX_MAX_OPS;
		ex->nb_ops--;
		iova = dm_ex_conf(ex, LM_EX_REG_RING) + (entry.number - 1) % size * sizeof(entry);
		ptr = dm_ex_target(ex, iova, sizeof(entry));
		if (ptr != NULL) {
			memcpy(ptr, &entry, sizeof(entry));
			dm_ex_written(ex, iova, sizeof(entry));
		}
		if (dm_fault_irq(ex->host->faults))
			continue;
		(*dm_ex_count(ex, LM_EX_REG_IRQS))++;
		ex->host->irq(ex->host->ctx, 0);
	}
}

bool
dm_ex_runs(const struct dm_ex *ex)
{
	return ex->started && !ex->paused && ex->host->bus_master &&
			(ex->state == LM_STATE_RUNNING || ex->state == LM_STATE_PRE_COPY);
}

void
dm_ex_steps_from_now(struct dm_ex *ex)
{
	ex->next_ns = ex->host->now_ns(ex->host->ctx);
}

unsigned int
dm_ex_steps(struct dm_ex *ex, uint64_t now_ns)
{
	uint64_t rate = dm_ex_conf(ex, LM_EX_REG_RATE), step;
	unsigned int nb = 0;

	if (!dm_ex_runs(ex)) {
		ex->next_ns = now_ns;
		return 0;
	}
	if (now_ns > ex->next_ns + DM_EX_MAX_DEBT_NS)
		ex->next_ns = now_ns - DM_EX_MAX_DEBT_NS;
	while (nb < DM_EX_BATCH && (rate == 0 || ex->next_ns <= now_ns)) {
		step = ++*dm_ex_count(ex, LM_EX_REG_STEPS);
		dm_ex_write_page(ex, step, now_ns);
		dm_ex_change_state(ex, step);
		dm_ex_write_peer(ex, step);
		dm_ex_complete(ex, step);
		ex->next_ns += rate == 0 ? 0 : DM_EX_NS / rate;
		nb++;
	}
	if (rate == 0)
		ex->next_ns = now_ns;
	return nb;
}

uint64_t
dm_ex_peer_seen(const struct dm_ex *ex)
{
	struct lm_ex_peer record;
	uint64_t seen = 0;
	uint32_t i;

	for (i = 0; i < LM_EX_PEER_SLOTS; i++) {
		memcpy(&record, ex->window + i * sizeof(record), sizeof(record));
		if (record.number > seen && record.check ==
				lm_ex_mix(record.number ^ record.seed ^ record.step))
			seen = record.number;
	}
	return seen;
}

void
dm_ex_window_check(struct dm_ex *ex)
{
	if (memcmp(ex->window_was, ex->window, LM_EX_WINDOW_BYTES) == 0)
		return;
	memcpy(ex->window_was, ex->window, LM_EX_WINDOW_BYTES);
	ex->peer_late++;
	dm_rule_broken(ex->host->rules, DM_RULE_EX_PEER, "in %s", lm_state_name(ex->state));
}
