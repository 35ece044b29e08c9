/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_clock.h"
#include "lm_incoming_pvt.h"

#define QUEUE_BYTES (UINT64_C(8) << 20)
#define CALL_US(s) (LM_SESSION_SLICE_US + (s)->deadline_us)

static bool
is_over_locked(const struct lm_session *s)
{
	return s->ending || s->peer.closed || s->peer.aborted || s->cancelled ||
		s->report.error != 0;
}

int
lm_incoming_queue(struct lm_incoming *in, unsigned int member, enum lm_chunk_kind kind,
		uint32_t generation, uint64_t offset, const void *data, uint32_t len_bytes)
{
	struct lm_io_member *m = &in->io->members[member];
	struct lm_session *s = &in->s;
	struct lm_chunk *c = malloc(sizeof(*c) + len_bytes);
	int ret = 0;

	if (c == NULL)
		return -ENOMEM;
	*c = (struct lm_chunk){ .kind = kind, .generation = generation, .offset = offset,
		.len_bytes = len_bytes };
	if (len_bytes != 0)
		memcpy(c->data, data, len_bytes);
	pthread_mutex_lock(&s->lock);
	while (m->queued_bytes > QUEUE_BYTES && !is_over_locked(s))
		pthread_cond_wait(&s->bell, &s->lock);
	if (is_over_locked(s)) {
		ret = -ECANCELED;
	} else {
		if (m->last != NULL)
			m->last->next = c;
		else
			m->first = c;
		m->last = c;
		m->queued_bytes += len_bytes;
		pthread_cond_broadcast(&s->bell);
	}
	pthread_mutex_unlock(&s->lock);
	if (ret != 0)
		free(c);
	return ret;
}

static struct lm_chunk *
pop(struct lm_session *s, struct lm_io_member *m, uint64_t until_ns)
{
	struct lm_chunk *c;

	pthread_mutex_lock(&s->lock);
	while (m->first == NULL && lm_clock_ns() < until_ns && !is_over_locked(s))
		lm_session_wait_locked(s, until_ns);
	c = is_over_locked(s) ? NULL : m->first;
	if (c != NULL) {
		m->first = c->next;
		if (m->first == NULL)
			m->last = NULL;
		m->queued_bytes -= c->len_bytes;
		pthread_cond_broadcast(&s->bell);
	}
	pthread_mutex_unlock(&s->lock);
	return c;
}

void
lm_incoming_unqueue(struct lm_incoming *in)
{
	struct lm_chunk *c;
	unsigned int i;

	for (i = 0; i < in->io->nb; i++) {
		while (in->io->members[i].first != NULL) {
			c = in->io->members[i].first;
			in->io->members[i].first = c->next;
			free(c);
		}
	}
}

static int
acknowledge(struct lm_incoming *in, unsigned int member, uint32_t generation)
{
	const struct lm_record_early ack = {
		.member = in->source[member],
		.generation = generation,
	};

	return lm_session_send(&in->s, LM_RECORD_EARLY_ACK, &ack, sizeof(ack));
}

/* Everything but data, which is the device's. */
static int
take_mark(struct lm_incoming *in, unsigned int member, const struct lm_chunk *c)
{
	struct lm_io_member *m = &in->io->members[member];

	if (c->kind == LM_CHUNK_EARLY) {
		m->early_bytes = m->offset;
		return acknowledge(in, member, c->generation);
	}
	m->ended = true;
	return 0;
}

static int
load_slice(void *ctx, unsigned int member, const struct lm_provider *p)
{
	struct lm_io *io = ctx;
	struct lm_io_member *m = lm_io_enter(io, member);
	uint64_t until_ns = lm_clock_after_us(LM_SESSION_SLICE_US);
	struct lm_incoming *in;
	struct lm_chunk *c;
	unsigned int calls = 0;
	int ret = 0;

	if (!lm_io_lock(io, m)) {
		lm_io_leave(io);
		return -ECANCELED;
	}
	in = (struct lm_incoming *)io->session;
	while (!m->ended && ret == 0) {
		c = pop(&in->s, m, until_ns);
		if (c == NULL)
			break;
		/* What is missing, doubled or swapped shows here. */
		if (c->kind != LM_CHUNK_EARLY && c->offset != m->offset) {
			ret = -EBADMSG;
		} else if (c->kind != LM_CHUNK_DATA) {
			ret = take_mark(in, member, c);
		} else {
			lm_io_unlock(m);
			ret = p->ops->write(p->dev, c->data, c->len_bytes);
			calls++;
			if (!lm_io_lock(io, m)) {
				free(c);
				lm_io_leave(io);
				return -ECANCELED;
			}
			m->offset += c->len_bytes;
		}
		free(c);
	}
	lm_io_unlock(m);
	if (calls > 0)
		lm_group_count_call(io->group, member, calls);
	lm_io_leave(io);
	return ret;
}

static bool
all_ended(struct lm_incoming *in)
{
	unsigned int i;

	for (i = 0; i < in->io->nb; i++)
		if (!in->io->members[i].ended)
			return false;
	return true;
}

static bool
is_last(const struct lm_session *s, uint64_t nb_bulk)
{
	const struct lm_incoming *in = (const struct lm_incoming *)s;

	return in->last >= nb_bulk;
}

int
lm_incoming_load(struct lm_incoming *in)
{
	struct lm_session *s = &in->s;
	int ret = 0;

	while (ret == 0 && !all_ended(in)) {
		ret = lm_group_each(s->group, "loading its state", CALL_US(s), load_slice, in->io);
		if (ret != 0)
			ret = lm_session_check(s) != 0 ? ret : lm_session_fail_group(s, ret);
		else
			ret = lm_session_check(s);
		lm_session_tell(s);
	}
	if (ret != 0)
		return ret;
	/* A source without devices may take as long as it wants; signs of life bound it. */
	do {
		pthread_mutex_lock(&s->lock);
		if (!is_last(s, lm_channel_bulk(s->channel)))
			lm_session_wait_locked(s, lm_clock_after_us(LM_SESSION_SLICE_US));
		ret = is_last(s, lm_channel_bulk(s->channel)) ? 1 : 0;
		pthread_mutex_unlock(&s->lock);
		if (lm_session_check(s) != 0)
			ret = s->report.error;
	} while (ret == 0);
	return ret > 0 ? 0 : ret;
}
