/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * RAM on its way out: a thread for each bulk connection takes dirty runs and sends them. A page
 * always goes over the connection of its address, and is copied while that is held: whatever is
 * copied later arrives later, also when two threads have taken the same page one after the other.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "lm_clock.h"
#include "lm_live.h"
#include "lm_session_pvt.h"

#define PAGE LM_RAM_PAGE_BYTES
#define ZSTD_LEVEL 1

struct worker {
	struct lm_ram_sender *sender;
	uint8_t *copy;
	uint8_t *packed; /* NULL: do not compress */
	ZSTD_CCtx *cctx;
};

struct lm_ram_sender {
	struct lm_session *session;
	struct lm_ram *ram;
	struct lm_channel *channel;
	pthread_mutex_t take_lock; /* protects cursor, budget_bytes and the taking itself */
	uint64_t cursor;
	uint64_t budget_bytes;
	bool pass;
	/* Under the session's lock. */
	unsigned int round;
	unsigned int busy; /* workers in the round */
	int error;
	_Atomic bool failed;
	_Atomic uint64_t normal_pages, duplicate_pages, compressed_bytes, wire_bytes;
	unsigned int nb;
	struct worker workers[LM_CHANNEL_MAX_BULK];
};

static int
send_zero(struct lm_ram_sender *sn, unsigned int conn, uint64_t addr, uint64_t len)
{
	const struct lm_record_zero zero = { .addr = addr, .len_bytes = len };
	const struct iovec iov = { (void *)(uintptr_t)&zero, sizeof(zero) };

	atomic_fetch_add(&sn->duplicate_pages, len / PAGE);
	atomic_fetch_add(&sn->wire_bytes, sizeof(struct lm_record_hdr) + sizeof(zero));
	return lm_channel_send_held(sn->channel, conn, LM_RECORD_ZERO, &iov, 1);
}

static int
send_pages(struct worker *w, unsigned int conn, uint64_t addr, const uint8_t *data, uint32_t len)
{
	struct lm_record_ram ram = { .addr = addr, .len_bytes = len };
	struct iovec iov[2] = { { &ram, sizeof(ram) }, { w->copy, len } };
	struct lm_ram_sender *sn = w->sender;
	size_t n;

	/* What is hashed has to be what is sent. */
	lm_live_copy(w->copy, data, len);
	if (w->packed != NULL) {
		n = ZSTD_compressCCtx(w->cctx, w->packed, len - len / 8, w->copy, len, ZSTD_LEVEL);
		if (!ZSTD_isError(n)) {
			ram.flags = LM_RECORD_RAM_F_ZSTD;
			iov[1] = (struct iovec){ w->packed, n };
			atomic_fetch_add(&sn->compressed_bytes, len);
		}
	}
	atomic_fetch_add(&sn->normal_pages, len / PAGE);
	atomic_fetch_add(&sn->wire_bytes, sizeof(struct lm_record_hdr) + sizeof(ram) +
			iov[1].iov_len);
	return lm_channel_send_held(sn->channel, conn, LM_RECORD_RAM, iov, 2);
}

/* What lies on one connection: stretches of zeroes, and of pages. */
static int
send_stripe(struct worker *w, const struct lm_ram_run *run)
{
	unsigned int conn = lm_channel_of_address(w->sender->channel, run->addr);
	const uint8_t *data = run->data;
	uint64_t at = 0, end;
	bool zero;
	int ret = 0;

	lm_channel_hold(w->sender->channel, conn);
	while (at < run->len_bytes && ret == 0) {
		zero = lm_live_is_zero(data + at, PAGE);
		for (end = at + PAGE; end < run->len_bytes; end += PAGE)
			if (lm_live_is_zero(data + end, PAGE) != zero)
				break;
		ret = zero ? send_zero(w->sender, conn, run->addr + at, end - at) :
			send_pages(w, conn, run->addr + at, data + at, (uint32_t)(end - at));
		at = end;
	}
	lm_channel_release(w->sender->channel, conn);
	return ret;
}

static int
send_run(struct worker *w, const struct lm_ram_run *run)
{
	uint64_t left = run->len_bytes, cut;
	struct lm_ram_run part = *run;
	int ret = 0;

	while (left > 0 && ret == 0) {
		cut = LM_CHANNEL_STRIPE_BYTES - part.addr % LM_CHANNEL_STRIPE_BYTES;
		part.len_bytes = cut < left ? cut : left;
		ret = send_stripe(w, &part);
		part.addr += part.len_bytes;
		part.data = (const uint8_t *)part.data + part.len_bytes;
		left -= part.len_bytes;
	}
	return ret;
}

static bool
take_run(struct lm_ram_sender *sn, struct lm_ram_run *run)
{
	uint64_t max = LM_RECORD_DATA_BYTES;
	bool taken;

	pthread_mutex_lock(&sn->take_lock);
	if (max > sn->budget_bytes)
		max = sn->budget_bytes;
	taken = max >= PAGE && lm_ram_take(sn->ram, sn->pass, max, &sn->cursor, run);
	if (taken)
		sn->budget_bytes -= run->len_bytes;
	pthread_mutex_unlock(&sn->take_lock);
	return taken;
}

static int
work(struct worker *w)
{
	struct lm_ram_run run;
	int ret = 0;

	while (ret == 0 && !atomic_load(&w->sender->failed) && take_run(w->sender, &run)) {
		ret = send_run(w, &run);
		if (ret != 0) {
			atomic_store(&w->sender->failed, true);
			lm_ram_give_back(w->sender->ram, &run);
		}
	}
	return ret;
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct lm_ram_sender *sn = w->sender;
	struct lm_session *s = sn->session;
	unsigned int seen = 0;
	int ret;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (sn->round == seen && !s->ending)
			pthread_cond_wait(&s->bell, &s->lock);
		if (sn->round == seen)
			break;
		seen = sn->round;
		pthread_mutex_unlock(&s->lock);
		ret = work(w);
		pthread_mutex_lock(&s->lock);
		if (sn->error == 0)
			sn->error = ret;
		if (--sn->busy == 0)
			pthread_cond_broadcast(&s->bell);
	}
	pthread_mutex_unlock(&s->lock);
	lm_session_thread_end(s);
	return NULL;
}

static int
worker_init(struct lm_ram_sender *sn, struct worker *w, bool zstd)
{
	w->sender = sn;
	w->copy = malloc(LM_RECORD_DATA_BYTES);
	if (w->copy == NULL)
		return -ENOMEM;
	if (!zstd)
		return 0;
	w->packed = malloc(LM_RECORD_DATA_BYTES);
	w->cctx = ZSTD_createCCtx();
	return w->packed == NULL || w->cctx == NULL ? -ENOMEM : 0;
}

int
lm_ram_sender_create(struct lm_session *s, struct lm_ram *ram, bool zstd,
		struct lm_ram_sender **sender)
{
	struct lm_ram_sender *sn = calloc(1, sizeof(*sn));
	int ret = 0;

	if (sn == NULL)
		return -ENOMEM;
	sn->session = s;
	sn->ram = ram;
	sn->channel = s->channel;
	pthread_mutex_init(&sn->take_lock, NULL);
	*sender = sn;
	while (sn->nb < lm_channel_bulk(s->channel) && ret == 0) {
		ret = worker_init(sn, &sn->workers[sn->nb], zstd);
		if (ret == 0)
			ret = lm_session_thread(s, "lm-ram", worker_main, &sn->workers[sn->nb]);
		if (ret == 0)
			sn->nb++;
	}
	return ret;
}

void
lm_ram_sender_destroy(struct lm_ram_sender *sn)
{
	unsigned int i;

	if (sn == NULL)
		return;
	for (i = 0; i < LM_CHANNEL_MAX_BULK; i++) {
		free(sn->workers[i].copy);
		free(sn->workers[i].packed);
		ZSTD_freeCCtx(sn->workers[i].cctx);
	}
	pthread_mutex_destroy(&sn->take_lock);
	free(sn);
}

void
lm_ram_sender_start(struct lm_ram_sender *sn, bool pass, uint64_t budget_bytes)
{
	struct lm_session *s = sn->session;

	pthread_mutex_lock(&s->lock);
	sn->pass = pass;
	sn->budget_bytes = budget_bytes;
	sn->busy = sn->nb;
	sn->round++;
	pthread_cond_broadcast(&s->bell);
	pthread_mutex_unlock(&s->lock);
}

bool
lm_ram_sender_done(struct lm_ram_sender *sn, uint64_t wait_us, int *error)
{
	uint64_t until_ns = lm_clock_after_us(wait_us);
	struct lm_session *s = sn->session;
	bool done;

	pthread_mutex_lock(&s->lock);
	while (sn->busy != 0 && lm_clock_ns() < until_ns)
		lm_session_wait_locked(s, until_ns);
	done = sn->busy == 0;
	*error = sn->error;
	pthread_mutex_unlock(&s->lock);
	return done;
}

void
lm_ram_sender_report(const struct lm_ram_sender *sn, struct lm_ram_report *report)
{
	report->normal_pages = atomic_load(&sn->normal_pages);
	report->duplicate_pages = atomic_load(&sn->duplicate_pages);
	report->compressed_bytes = atomic_load(&sn->compressed_bytes);
	report->transferred_bytes = atomic_load(&sn->wire_bytes);
}
