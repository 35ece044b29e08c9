/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lm_bits.h"
#include "lm_clock.h"
#include "lm_vhost_log_pvt.h"

#define CACHE_LOOKS 2u /* words back that a mark looks for its own: data and used ring alternate */

static void
count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/*
 * R7: be counted before the base is read. Both are sequentially consistent, as are publish and
 * count in detach: either detach sees this writer, or this writer sees what detach published.
 */
void
lm_log_visit_begin(struct lm_log_visit *v, struct lm_vhost_log *log, const void *who)
{
	uintptr_t spread = (uintptr_t)who / LM_LOG_LINE_BYTES;
	uint32_t phase = atomic_load_explicit(&log->phase, memory_order_relaxed) & 1;

	v->log = log;
	v->inside = &log->shards[(spread ^ spread >> 4) % LM_LOG_SHARDS].inside[phase];
	atomic_fetch_add(v->inside, 1);
	v->epoch = atomic_load(&log->current);
	v->drop_one_in = atomic_load_explicit(&log->drop_one_in, memory_order_relaxed);
}

void
lm_log_visit_end(struct lm_log_visit *v)
{
	atomic_fetch_sub_explicit(v->inside, 1, memory_order_release);
}

static uint64_t
page_hash(uint64_t page)
{
	page += UINT64_C(0x9e3779b97f4a7c15);
	page = (page ^ page >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	page = (page ^ page >> 27) * UINT64_C(0x94d049bb133111eb);
	return page ^ page >> 31;
}

static uint64_t
drop_some(struct lm_log_visit *v, uint64_t index, uint64_t bits)
{
	uint64_t left = bits, kept = bits;

	for (; left != 0; left &= left - 1) {
		unsigned int bit = lm_bits_lowest(left);

		if (page_hash(index * LM_WORD_BITS + bit) % v->drop_one_in == 0)
			kept &= ~(UINT64_C(1) << bit);
	}
	count(&v->log->dropped_pages, lm_bits_count(bits & ~kept));
	return kept;
}

static uint64_t
kept_take(struct lm_vhost_log *log, uint64_t index)
{
	uint64_t bits = atomic_exchange(&log->kept[index], 0);

	atomic_fetch_sub(&log->kept_pages, lm_bits_count(bits));
	return bits;
}

static void
keep(struct lm_log_visit *v, uint64_t index, uint64_t bits)
{
	struct lm_vhost_log *log = v->log;
	struct lm_log_epoch *epoch;
	uint64_t old;

	if (index < log->nb_kept) {
		/* Counted first: who finds the count at 0 can rely on our look at `current`. */
		atomic_fetch_add(&log->kept_pages, lm_bits_count(bits));
		old = atomic_fetch_or(&log->kept[index], bits);
		atomic_fetch_sub(&log->kept_pages, lm_bits_count(bits & old));
	}
	/* An attach that came meanwhile may have looked at this word before our OR. */
	epoch = atomic_load(&log->current);
	if (epoch != NULL && index < epoch->nb_words) {
		if (index < log->nb_kept)
			bits = kept_take(log, index);
		if (bits != 0)
			lm_log_or(epoch, index, bits);
	} else if (index >= log->nb_kept && v->epoch == NULL) {
		count(&log->out_of_range_pages, lm_bits_count(bits));
	}
}

void
lm_log_visit_or_slow(struct lm_log_visit *v, uint64_t index, uint64_t bits)
{
	if (v->drop_one_in != 0) {
		bits = drop_some(v, index, bits);
		if (bits == 0)
			return;
	}
	if (v->epoch != NULL && index < v->epoch->nb_words) {
		lm_log_or(v->epoch, index, bits);
		return;
	}
	if (v->epoch != NULL)
		count(&v->log->out_of_range_pages, lm_bits_count(bits));
	/* Kept also when beyond an attached log: a larger one may follow. */
	keep(v, index, bits);
}

int
lm_vhost_log_create(uint64_t max_gpa, struct lm_vhost_log **log)
{
	struct lm_vhost_log *l;

	l = aligned_alloc(LM_LOG_LINE_BYTES, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	memset(l, 0, sizeof(*l));
	l->nb_kept = (max_gpa >> LM_VHOST_LOG_PAGE_SHIFT) / LM_WORD_BITS + 1;
	l->kept = calloc(l->nb_kept, sizeof(l->kept[0]));
	if (l->kept == NULL) {
		free(l);
		return -ENOMEM;
	}
	atomic_init(&l->limit_pages, l->nb_kept * LM_WORD_BITS);
	*log = l;
	return 0;
}

static void
free_epochs(struct lm_log_epoch *epoch)
{
	struct lm_log_epoch *older;

	for (; epoch != NULL; epoch = older) {
		older = epoch->older;
		free(epoch);
	}
}

void
lm_vhost_log_destroy(struct lm_vhost_log *log)
{
	if (log == NULL)
		return;
	free_epochs(log->epochs);
	free((void *)log->kept);
	free(log);
}

int
lm_vhost_log_attach(struct lm_vhost_log *log, void *base, uint64_t size_bytes)
{
	struct lm_log_epoch *epoch = atomic_load(&log->current);
	uint64_t i, bits;

	if (base == NULL || size_bytes == 0 || (uintptr_t)base % sizeof(uint64_t) != 0 ||
			size_bytes % sizeof(uint64_t) != 0)
		return -EINVAL;
	if (epoch != NULL)
		return epoch->words == base && epoch->nb_words == size_bytes / sizeof(uint64_t) ?
			0 : -EBUSY;
	epoch = calloc(1, sizeof(*epoch));
	if (epoch == NULL)
		return -ENOMEM;
	epoch->words = base;
	epoch->nb_words = size_bytes / sizeof(uint64_t);
	epoch->older = log->epochs;
	log->epochs = epoch;
	if (epoch->nb_words * LM_WORD_BITS > atomic_load(&log->limit_pages))
		atomic_store(&log->limit_pages, epoch->nb_words * LM_WORD_BITS);
	count(&log->nb_epochs, 1);
	atomic_store(&log->current, epoch);
	if (atomic_load(&log->kept_pages) == 0)
		return 0;
	for (i = 0; i < log->nb_kept && i < epoch->nb_words; i++) {
		if (atomic_load(&log->kept[i]) == 0)
			continue;
		bits = kept_take(log, i);
		if (bits != 0)
			lm_log_or(epoch, i, bits);
	}
	return 0;
}

static int
wait_phase(struct lm_vhost_log *log, uint32_t phase, uint64_t until_ns)
{
	unsigned int i, tries = 0;

	for (i = 0; i < LM_LOG_SHARDS; i++) {
		while (atomic_load(&log->shards[i].inside[phase]) != 0) {
			if (lm_clock_ns() >= until_ns)
				return -ETIMEDOUT;
			lm_clock_relax(tries++);
		}
	}
	return 0;
}

int
lm_vhost_log_detach(struct lm_vhost_log *log, uint64_t deadline_us)
{
	uint64_t until_ns = lm_clock_after_us(deadline_us);
	unsigned int round;
	uint32_t phase;
	int ret;

	atomic_store(&log->current, NULL);
	/* Twice: a writer that read the phase early may be counted under either parity. */
	for (round = 0; round < 2; round++) {
		phase = atomic_fetch_add(&log->phase, 1) & 1;
		ret = wait_phase(log, phase, until_ns);
		if (ret != 0)
			return ret;
	}
	free_epochs(log->epochs);
	log->epochs = NULL;
	return 0;
}

bool
lm_vhost_log_attached(const struct lm_vhost_log *log)
{
	return atomic_load(&log->current) != NULL;
}

void
lm_vhost_log_flush(struct lm_vhost_log *log, struct lm_log_cache *cache)
{
	struct lm_log_visit v;
	unsigned int i;

	if (cache->nb == 0)
		return;
	lm_log_visit_begin(&v, log, cache);
	for (i = 0; i < cache->nb; i++)
		lm_log_visit_or(&v, cache->w[i].index, cache->w[i].bits);
	lm_log_visit_end(&v);
	cache->words += cache->nb;
	cache->nb = 0;
}

static void
cache_add(struct lm_vhost_log *log, struct lm_log_cache *cache, uint64_t index, uint64_t bits)
{
	unsigned int i, oldest = cache->nb > CACHE_LOOKS ? cache->nb - CACHE_LOOKS : 0;

	for (i = cache->nb; i > oldest; i--) {
		if (cache->w[i - 1].index == index) {
			cache->w[i - 1].bits |= bits;
			return;
		}
	}
	if (cache->nb == LM_LOG_CACHE_WORDS)
		lm_vhost_log_flush(log, cache);
	cache->w[cache->nb].index = index;
	cache->w[cache->nb].bits = bits;
	cache->nb++;
}

static void
mark_range(struct lm_vhost_log *log, struct lm_log_cache *cache, uint64_t first, uint64_t last,
		uint64_t limit)
{
	uint64_t i;

	if (last >= limit) {
		i = first > limit ? first : limit;
		count(&log->out_of_range_pages, last - i + 1);
		if (first >= limit)
			return;
		last = limit - 1;
	}
	for (i = first / LM_WORD_BITS; i <= last / LM_WORD_BITS; i++)
		cache_add(log, cache, i, lm_bits_word_mask(i, first, last));
}

void
lm_vhost_log_mark(struct lm_vhost_log *log, struct lm_log_cache *cache, uint64_t gpa,
		uint64_t len_bytes)
{
	uint64_t limit = atomic_load_explicit(&log->limit_pages, memory_order_relaxed);
	uint64_t first, last;

	if (len_bytes == 0)
		return;
	first = gpa >> LM_VHOST_LOG_PAGE_SHIFT;
	last = (len_bytes - 1 > UINT64_MAX - gpa ? UINT64_MAX : gpa + (len_bytes - 1)) >>
		LM_VHOST_LOG_PAGE_SHIFT;
	cache->marks += last - first + 1;
	if (first == last && last < limit)
		cache_add(log, cache, first / LM_WORD_BITS, UINT64_C(1) << (first % LM_WORD_BITS));
	else
		mark_range(log, cache, first, last, limit);
}

void
lm_vhost_log_stats_get(const struct lm_vhost_log *log, struct lm_vhost_log_stats *stats)
{
	stats->pages_out_of_range = atomic_load(&log->out_of_range_pages);
	stats->kept_pages = atomic_load(&log->kept_pages);
	stats->epochs = atomic_load(&log->nb_epochs);
	stats->merges = atomic_load(&log->nb_merges);
}

void
lm_vhost_log_set_drop(struct lm_vhost_log *log, uint32_t one_in)
{
	atomic_store(&log->drop_one_in, one_in);
}

uint64_t
lm_vhost_log_dropped(const struct lm_vhost_log *log)
{
	return atomic_load(&log->dropped_pages);
}
