/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mig_fake.h"

#define DIM(a) (sizeof(a) / sizeof((a)[0]))
#define EARLY 0x45u
#define FINAL 0x46u
#define PAGE 4096u

_Atomic unsigned int mig_fake_twice;

struct part {
	uint32_t kind;
	uint32_t len;
};

static bool
lives(int state)
{
	return state == LM_STATE_RUNNING || state == LM_STATE_RUNNING_P2P ||
		state == LM_STATE_PRE_COPY || state == LM_STATE_PRE_COPY_P2P;
}

/* Before a device with a content comes alive, its twin must not be; one lock at a time. */
static void
check_twin(struct mig_fake *f, bool will_live)
{
	struct mig_fake *t = f->twin;
	bool both;

	if (t == NULL || !will_live)
		return;
	pthread_mutex_lock(&t->lock);
	both = t->full && lives(t->state);
	pthread_mutex_unlock(&t->lock);
	if (both)
		mig_fake_twice++;
}

void
mig_fake_init(struct mig_fake *f, uint64_t flags, uint32_t content_bytes, unsigned int seed)
{
	uint32_t i;

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->open, NULL);
	f->flags = flags;
	f->has_info = true;
	f->initial_bytes = content_bytes / 4;
	f->state = LM_STATE_RUNNING;
	f->full = true;
	f->content_bytes = content_bytes;
	f->content = malloc(content_bytes + 1);
	f->stream = malloc((size_t)content_bytes * 4 + 4096);
	for (i = 0; i < content_bytes; i++) {
		seed = seed * 1103515245 + 12345;
		f->content[i] = (uint8_t)(seed >> 16);
	}
}

void
mig_fake_fini(struct mig_fake *f)
{
	free(f->content);
	free(f->stream);
	free(f->log);
}

void
mig_fake_empty(struct mig_fake *f)
{
	pthread_mutex_lock(&f->lock);
	memset(f->content, 0, f->content_bytes);
	f->full = false;
	pthread_mutex_unlock(&f->lock);
}

void
mig_fake_refill(struct mig_fake *f)
{
	pthread_mutex_lock(&f->lock);
	f->full = true;
	pthread_mutex_unlock(&f->lock);
}

void
mig_fake_release(struct mig_fake *f, bool released)
{
	pthread_mutex_lock(&f->lock);
	f->released = released;
	pthread_cond_broadcast(&f->open);
	pthread_mutex_unlock(&f->lock);
}

bool
mig_fake_runs(struct mig_fake *f)
{
	bool runs;

	pthread_mutex_lock(&f->lock);
	runs = f->full && f->state == LM_STATE_RUNNING;
	pthread_mutex_unlock(&f->lock);
	return runs;
}

bool
mig_fake_dma(struct mig_fake *f, void *to, uint64_t addr, const void *from, uint32_t len)
{
	uint64_t page;
	bool alive;

	pthread_mutex_lock(&f->lock);
	alive = f->full && lives(f->state) && f->state != LM_STATE_RUNNING_P2P &&
		f->state != LM_STATE_PRE_COPY_P2P;
	if (alive) {
		memcpy(to, from, len);
		page = (addr - f->log_base) / PAGE;
		if (f->log != NULL && !f->hide_marks && addr >= f->log_base && page < f->log_pages)
			f->log[page / 64] |= UINT64_C(1) << (page % 64);
	}
	pthread_mutex_unlock(&f->lock);
	return alive;
}

/* All of the load was FINAL content of the right length, its sum is good. */
static int
load_end_locked(struct mig_fake *f)
{
	struct part part;
	uint32_t at = 0;
	bool full = false;

	while (at + sizeof(part) <= f->stream_bytes) {
		memcpy(&part, f->stream + at, sizeof(part));
		at += sizeof(part);
		if (part.len > f->stream_bytes - at)
			return -EINVAL;
		if (part.kind == FINAL && part.len == f->content_bytes + 1) {
			uint8_t sum = 0;
			uint32_t i;

			memcpy(f->content, f->stream + at, f->content_bytes);
			for (i = 0; i < f->content_bytes; i++)
				sum = (uint8_t)(sum * 31 + f->content[i]);
			full = sum == f->stream[at + f->content_bytes];
		}
		at += part.len;
	}
	f->full = full && at == f->stream_bytes;
	return f->full ? 0 : -EINVAL;
}

static void
save_begin_locked(struct mig_fake *f)
{
	const struct part part = { FINAL, f->content_bytes + 1 };
	uint8_t sum = 0;
	uint32_t i;

	memcpy(f->stream, &part, sizeof(part));
	memcpy(f->stream + sizeof(part), f->content, f->content_bytes);
	for (i = 0; i < f->content_bytes; i++)
		sum = (uint8_t)(sum * 31 + f->content[i]);
	f->stream[sizeof(part) + f->content_bytes] = sum;
	f->stream_bytes = (uint32_t)sizeof(part) + f->content_bytes + 1;
	f->stream_at = 0;
	if (f->fault == MIG_FAULT_SHORT)
		f->stream_bytes /= 2;
	if (f->fault == MIG_FAULT_CORRUPT)
		f->stream[sizeof(part) + f->content_bytes / 2] ^= 1;
}

static int
fake_arc(void *dev, enum lm_state from, enum lm_state to)
{
	const struct timespec nap = { .tv_nsec = 1000L * ((struct mig_fake *)dev)->arc_us };
	struct mig_fake *f = dev;
	int ret = 0;

	if (f->arc_us != 0)
		nanosleep(&nap, NULL);
	check_twin(f, f->full && lives((int)to) && !lives((int)from));
	pthread_mutex_lock(&f->lock);
	f->arcs++;
	if (f->bad_state == (int)to && f->fault == MIG_FAULT_HANG) {
		while (!f->released)
			pthread_cond_wait(&f->open, &f->lock);
		ret = -EIO;
	} else if (f->state != (int)from) {
		ret = -EINVAL;
	} else if (f->bad_state == (int)to && f->fault == MIG_FAULT_ARC) {
		f->fault = MIG_FAULT_NONE;
		ret = -EIO;
	} else if (from == LM_STATE_RESUMING) {
		ret = load_end_locked(f);
	} else if (to == LM_STATE_RESUMING) {
		f->stream_bytes = 0;
		f->full = false;
	} else if (to == LM_STATE_STOP_COPY) {
		save_begin_locked(f);
	} else if (to == LM_STATE_PRE_COPY && from == LM_STATE_RUNNING) {
		f->early_at = 0;
		f->early_headed = false;
	}
	if (ret == 0)
		f->state = (int)to;
	pthread_mutex_unlock(&f->lock);
	return ret;
}

static int
fake_caps(void *dev, struct lm_caps *caps)
{
	struct mig_fake *f = dev;

	caps->flags = f->flags;
	caps->dirty.present = true;
	strcpy(caps->provider, "fake");
	strcpy(caps->device, "fa4e:0001");
	return 0;
}

static int
fake_state(void *dev, enum lm_state *state)
{
	struct mig_fake *f = dev;

	pthread_mutex_lock(&f->lock);
	*state = (enum lm_state)f->state;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static int
fake_reset(void *dev)
{
	struct mig_fake *f = dev;

	pthread_mutex_lock(&f->lock);
	f->state = LM_STATE_RUNNING;
	f->full = false;
	f->resets++;
	free(f->log);
	f->log = NULL;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static int
fake_info(void *dev, struct lm_mig_info *info)
{
	struct mig_fake *f = dev;

	if (!f->has_info)
		return 0;
	pthread_mutex_lock(&f->lock);
	info->has_stop_copy = true;
	info->stop_copy_bytes = f->content_bytes;
	if (f->state == LM_STATE_PRE_COPY) {
		f->infos++;
		info->has_precopy = true;
		if (f->reinit_at != 0 && f->infos == f->reinit_at) {
			info->reinit = true;
			f->early_at = 0;
			f->early_headed = false;
		}
		/* The head before it counts too. */
		info->initial_bytes = f->initial_bytes - f->early_at +
			(f->early_headed ? 0 : (uint32_t)sizeof(struct part));
	}
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static int
read_early_locked(struct mig_fake *f, uint8_t *buf, uint32_t len)
{
	const struct part part = { EARLY, f->initial_bytes };
	uint32_t n = f->initial_bytes - f->early_at;

	if (!f->early_headed) {
		f->early_headed = true;
		memcpy(buf, &part, sizeof(part));
		return sizeof(part);
	}
	if (n == 0)
		return -ENOMSG;
	n = n < len ? n : len;
	memcpy(buf, f->content + f->early_at, n);
	f->early_at += n;
	return (int)n;
}

static int
fake_read(void *dev, void *buf, uint32_t len)
{
	struct mig_fake *f = dev;
	uint32_t n;
	int ret;

	pthread_mutex_lock(&f->lock);
	f->reads++;
	if (f->fault == MIG_FAULT_NOMEM || f->fault == MIG_FAULT_DEVICE) {
		ret = f->fault == MIG_FAULT_NOMEM ? -ENOMEM : -EIO;
		if (ret == -EIO)
			f->state = LM_STATE_ERROR;
		f->fault = MIG_FAULT_NONE;
	} else if (f->state == LM_STATE_PRE_COPY) {
		ret = read_early_locked(f, buf, len);
	} else if (f->state != LM_STATE_STOP_COPY) {
		ret = -EINVAL;
	} else if (f->early_headed && f->early_at < f->initial_bytes) {
		/* A part that was begun is ended first. */
		ret = read_early_locked(f, buf, len);
	} else {
		n = f->stream_bytes - f->stream_at;
		n = n < len ? n : len;
		memcpy(buf, f->stream + f->stream_at, n);
		f->stream_at += n;
		ret = (int)n;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

static int
fake_write(void *dev, const void *buf, uint32_t len)
{
	struct mig_fake *f = dev;
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	if (f->fault == MIG_FAULT_NOMEM || f->fault == MIG_FAULT_DEVICE) {
		ret = f->fault == MIG_FAULT_NOMEM ? -ENOMEM : -EIO;
		if (ret == -EIO)
			f->state = LM_STATE_ERROR;
		f->fault = MIG_FAULT_NONE;
	} else if (f->state != LM_STATE_RESUMING ||
			len > f->content_bytes * 4 + 4096 - f->stream_bytes) {
		ret = -EINVAL;
	} else {
		memcpy(f->stream + f->stream_bytes, buf, len);
		f->stream_bytes += len;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

static int
fake_dirty_start(void *dev, const struct lm_range *ranges, unsigned int nb, uint64_t *page_size)
{
	struct mig_fake *f = dev;
	uint64_t end = 0;
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	if (f->log != NULL || nb == 0) {
		ret = -EINVAL;
	} else {
		f->log_base = ranges[0].addr;
		for (i = 0; i < nb; i++)
			end = ranges[i].addr + ranges[i].len_bytes;
		f->log_pages = (end - f->log_base) / PAGE;
		f->log = calloc(f->log_pages / 64 + 1, 8);
		*page_size = PAGE;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

static int
fake_dirty_report(void *dev, uint64_t iova, uint64_t len, uint64_t page_size, uint64_t *bitmap)
{
	struct mig_fake *f = dev;
	uint64_t at, page;
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	while (f->fault == MIG_FAULT_MUTE && !f->released)
		pthread_cond_wait(&f->open, &f->lock);
	if (f->log == NULL || page_size != PAGE)
		ret = -EINVAL;
	for (at = 0; ret == 0 && at < len / PAGE; at++) {
		page = (iova - f->log_base) / PAGE + at;
		if ((f->log[page / 64] & (UINT64_C(1) << (page % 64))) == 0)
			continue;
		f->log[page / 64] &= ~(UINT64_C(1) << (page % 64));
		bitmap[at / 64] |= UINT64_C(1) << (at % 64);
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

static int
fake_dirty_stop(void *dev)
{
	struct mig_fake *f = dev;

	pthread_mutex_lock(&f->lock);
	free(f->log);
	f->log = NULL;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

#define ARC(f, t, r) { LM_STATE_##f, LM_STATE_##t, LM_STATE_##r, fake_arc }
static const struct lm_state_arc arcs[] = {
	ARC(STOP, STOP_COPY, STOP),
	ARC(STOP_COPY, STOP, STOP),
	ARC(STOP, RESUMING, STOP),
	ARC(RESUMING, STOP, ERROR),
	ARC(RUNNING, STOP, RUNNING),
	ARC(STOP, RUNNING, STOP),
	ARC(RUNNING, RUNNING_P2P, RUNNING),
	ARC(RUNNING_P2P, RUNNING, RUNNING),
	ARC(RUNNING_P2P, STOP, RUNNING),
	ARC(STOP, RUNNING_P2P, STOP),
	ARC(RUNNING, PRE_COPY, RUNNING),
	ARC(PRE_COPY, RUNNING, RUNNING),
	ARC(PRE_COPY, STOP_COPY, RUNNING),
	ARC(PRE_COPY, PRE_COPY_P2P, RUNNING),
	ARC(PRE_COPY_P2P, PRE_COPY, RUNNING),
	ARC(PRE_COPY_P2P, RUNNING_P2P, RUNNING),
	ARC(RUNNING_P2P, PRE_COPY_P2P, RUNNING),
	ARC(PRE_COPY_P2P, STOP_COPY, RUNNING),
};

const struct lm_provider_ops mig_fake_ops = {
	.name = "fake",
	.caps = fake_caps,
	.arcs = arcs,
	.nb_arcs = DIM(arcs),
	.state = fake_state,
	.reset = fake_reset,
	.info = fake_info,
	.read = fake_read,
	.write = fake_write,
	.dirty_start = fake_dirty_start,
	.dirty_report = fake_dirty_report,
	.dirty_stop = fake_dirty_stop,
};
