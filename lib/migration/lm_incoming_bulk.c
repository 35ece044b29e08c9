/* SPDX-License-Identifier: BSD-3-Clause */

/* One thread for each bulk connection: RAM goes to its place, device state to its member. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lm_incoming_pvt.h"

#define LOOK_US 500000u

static int
bulk_ram(struct lm_bulk *b, const struct lm_record *rec)
{
	struct lm_incoming *in = b->in;
	const struct lm_record_zero *z = rec->payload;
	const struct lm_record_ram *r = rec->payload;
	uint64_t addr = r->addr, len = rec->type == LM_RECORD_ZERO ? z->len_bytes : r->len_bytes;
	struct lm_ram_report report = b->ram;
	int ret;

	/* Elsewhere it could overtake an older copy of the same page. */
	if (len > LM_CHANNEL_STRIPE_BYTES - addr % LM_CHANNEL_STRIPE_BYTES ||
			lm_channel_of_address(in->s.channel, addr) != b->conn)
		return -EPROTO;
	ret = lm_ram_receive(in->conf.ram, rec, &report);
	pthread_mutex_lock(&in->s.lock);
	b->ram = report;
	pthread_mutex_unlock(&in->s.lock);
	return ret;
}

static int
bulk_device(struct lm_bulk *b, const struct lm_record *rec)
{
	const struct lm_record_device *d = rec->payload;
	struct lm_incoming *in = b->in;

	if (d->member >= in->nb_source || lm_channel_of_member(in->s.channel, d->member) != b->conn)
		return -EPROTO;
	return lm_incoming_queue(in, in->members[d->member],
		rec->type == LM_RECORD_DEVICE ? LM_CHUNK_DATA : LM_CHUNK_END, 0, d->offset, d + 1,
		rec->len_bytes - (uint32_t)sizeof(*d));
}

static int
bulk_early(struct lm_bulk *b, const struct lm_record *rec)
{
	const struct lm_record_early *e = rec->payload;
	struct lm_incoming *in = b->in;

	if (e->member >= in->nb_source || lm_channel_of_member(in->s.channel, e->member) != b->conn)
		return -EPROTO;
	return lm_incoming_queue(in, in->members[e->member], LM_CHUNK_EARLY, e->generation, 0, NULL,
		0);
}

static int
bulk_fence(struct lm_bulk *b, const struct lm_record *rec)
{
	const struct lm_record_fence *f = rec->payload;
	struct lm_record_fence answer = { 0 };
	struct lm_incoming *in = b->in;
	struct lm_session *s = &in->s;
	uint64_t least = UINT64_MAX;
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&s->lock);
	if (f->id <= in->fences[b->conn])
		ret = -EPROTO;
	in->fences[b->conn] = f->id;
	if ((f->flags & LM_FENCE_F_LAST) != 0)
		in->last++;
	for (i = 1; i <= lm_channel_bulk(s->channel); i++)
		least = in->fences[i] < least ? in->fences[i] : least;
	if (least > in->fenced)
		answer.id = in->fenced = least;
	pthread_cond_broadcast(&s->bell);
	pthread_mutex_unlock(&s->lock);
	if (ret == 0 && answer.id != 0)
		ret = lm_session_send(s, LM_RECORD_FENCED, &answer, sizeof(answer));
	return ret;
}

static int
bulk_probe(struct lm_bulk *b, const struct lm_record *rec)
{
	(void)b;
	(void)rec;
	return 0;
}

static const struct {
	uint16_t type;
	int (*fn)(struct lm_bulk *b, const struct lm_record *rec);
} takes[] = {
	{ LM_RECORD_RAM, bulk_ram },
	{ LM_RECORD_ZERO, bulk_ram },
	{ LM_RECORD_DEVICE, bulk_device },
	{ LM_RECORD_DEVICE_END, bulk_device },
	{ LM_RECORD_EARLY, bulk_early },
	{ LM_RECORD_FENCE, bulk_fence },
	{ LM_RECORD_PROBE, bulk_probe },
};
#define NB_TAKES (sizeof(takes) / sizeof(takes[0]))

static int
take(struct lm_bulk *b, const struct lm_record *rec)
{
	char line[160], what[200];
	unsigned int i;
	int ret = -EPROTO;

	for (i = 0; i < NB_TAKES; i++)
		if (takes[i].type == rec->type)
			ret = takes[i].fn(b, rec);
	if (ret != 0 && ret != -ECANCELED) {
		lm_record_describe(rec, line, sizeof(line));
		snprintf(what, sizeof(what), "connection %u, record %s", b->conn, line);
		lm_session_fail(&b->in->s, ret, "%s: %s", what,
			ret == -EPROTO ? "out of turn" : ret == -ERANGE ? "no such memory here" :
			strerror(-ret));
	}
	return ret;
}

static bool
is_over(struct lm_session *s)
{
	bool over;

	pthread_mutex_lock(&s->lock);
	over = s->ending || s->peer.closed;
	pthread_mutex_unlock(&s->lock);
	return over;
}

/* What becomes of the connection then is of no interest. */
static bool
was_last(const struct lm_record *rec)
{
	const struct lm_record_fence *f = rec->payload;

	return rec->type == LM_RECORD_FENCE && (f->flags & LM_FENCE_F_LAST) != 0;
}

static void *
bulk_main(void *arg)
{
	struct lm_bulk *b = arg;
	struct lm_session *s = &b->in->s;
	struct lm_record rec;
	bool last = false;
	int ret;

	do {
		ret = lm_channel_recv(s->channel, b->conn, &rec, LOOK_US);
		if (ret == 0) {
			ret = take(b, &rec);
			last = was_last(&rec);
		} else if (ret == -ETIMEDOUT && !is_over(s)) {
			ret = 0;
		}
	} while (ret == 0 && !last);
	if (ret == -ECONNRESET)
		lm_session_last_words(s);
	if (ret != 0)
		lm_session_closed(s, b->conn, ret);
	lm_session_thread_end(s);
	return NULL;
}

int
lm_incoming_bulk_start(struct lm_incoming *in)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < lm_channel_bulk(in->s.channel) && ret == 0; i++) {
		in->bulks[i].in = in;
		in->bulks[i].conn = i + 1;
		ret = lm_session_thread(&in->s, "lm-bulk", bulk_main, &in->bulks[i]);
	}
	return ret == 0 ? 0 : lm_session_fail(&in->s, ret, "starting a thread: %s",
		strerror(-ret));
}
