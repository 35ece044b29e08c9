/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_frame_if.h"
#include "dm_gen.h"
#include "dm_gen_hist.h"
#include "dm_gen_seq.h"

#define NS_PER_S 1000000000ull

static const uint8_t gen_mac[6] = DM_FRAME_GEN_MAC;

struct dm_gen {
	struct dm_gen_conf conf;
	bool running;
	uint64_t random;
	uint64_t credit;   /* in 1/NS_PER_S frames */
	uint64_t paced_ns; /* credit is as of this time */
	uint64_t last_rx_ns; /* 0: none since start */
	uint32_t flow;       /* of the next frame */
	uint32_t frame_len;  /* of the frame shown, 0: none */
	struct dm_gen_stats stats;
	struct dm_gen_hist latency;
	struct dm_gen_seq *seqs; /* one a flow */
	uint8_t frame[DM_FRAME_LEN_MAX];
};

static bool
conf_is_valid(const struct dm_gen_conf *c)
{
	return c->rate_pps >= 1 && c->rate_pps <= DM_GEN_RATE_MAX &&
		c->size_min_bytes >= DM_FRAME_LEN_MIN && c->size_max_bytes <= DM_FRAME_LEN_MAX &&
		c->size_min_bytes <= c->size_max_bytes &&
		c->flows >= 1 && c->flows <= DM_GEN_FLOWS_MAX && c->burst >= 1;
}

int
dm_gen_create(const struct dm_gen_conf *conf, struct dm_gen **gen)
{
	struct dm_gen *g;

	if (!conf_is_valid(conf))
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->seqs = calloc(conf->flows, sizeof(*g->seqs));
	if (g->seqs == NULL) {
		free(g);
		return -ENOMEM;
	}
	g->conf = *conf;
	g->random = conf->seed;
	*gen = g;
	return 0;
}

void
dm_gen_destroy(struct dm_gen *g)
{
	uint32_t i;

	if (g == NULL)
		return;
	for (i = 0; i < g->conf.flows; i++)
		dm_gen_seq_free(&g->seqs[i]);
	free(g->seqs);
	free(g);
}

void
dm_gen_start(struct dm_gen *g, uint64_t now_ns)
{
	if (g->running)
		return;
	g->running = true;
	g->credit = NS_PER_S;
	g->paced_ns = now_ns;
	g->last_rx_ns = 0;
}

static void
note_silence(struct dm_gen_stats *s, uint64_t begin_ns, uint64_t end_ns)
{
	if (begin_ns == 0 || end_ns - begin_ns <= s->longest_silence_ns)
		return;
	s->longest_silence_ns = end_ns - begin_ns;
	s->silence_begin_ns = begin_ns;
}

void
dm_gen_stop(struct dm_gen *g, uint64_t now_ns)
{
	if (!g->running)
		return;
	note_silence(&g->stats, g->last_rx_ns, now_ns);
	g->running = false;
	g->last_rx_ns = 0;
	g->frame_len = 0;
}

bool
dm_gen_running(const struct dm_gen *g)
{
	return g->running;
}

void
dm_gen_reset(struct dm_gen *g)
{
	uint32_t i;

	for (i = 0; i < g->conf.flows; i++)
		dm_gen_seq_rebase(&g->seqs[i]);
	memset(&g->stats, 0, sizeof(g->stats));
	memset(&g->latency, 0, sizeof(g->latency));
	g->last_rx_ns = 0;
}

void
dm_gen_set_guest_mac(struct dm_gen *g, const uint8_t mac[6])
{
	memcpy(g->conf.guest_mac, mac, 6);
	g->frame_len = 0; /* one shown before would be wrong now */
}

static void
pace(struct dm_gen *g, uint64_t now_ns)
{
	const uint64_t most = g->conf.burst * NS_PER_S;
	uint64_t passed_ns = now_ns - g->paced_ns;

	if (passed_ns > NS_PER_S)
		passed_ns = NS_PER_S;
	g->paced_ns = now_ns;
	g->credit += passed_ns * g->conf.rate_pps;
	if (g->credit > most)
		g->credit = most;
}

static uint32_t
next_size(struct dm_gen *g)
{
	const uint32_t span = g->conf.size_max_bytes - g->conf.size_min_bytes + 1;

	return g->conf.size_min_bytes + (uint32_t)(dm_frame_word(0, g->random++, 0) % span);
}

/* A flow without room is passed over; when none has any, the generator is silent. */
static struct dm_gen_seq *
next_flow(struct dm_gen *g)
{
	uint32_t tries;

	for (tries = 0; tries < g->conf.flows; tries++) {
		if (dm_gen_seq_reserve(&g->seqs[g->flow]) == 0)
			return &g->seqs[g->flow];
		g->flow = (g->flow + 1) % g->conf.flows;
	}
	return NULL;
}

uint32_t
dm_gen_peek(struct dm_gen *g, uint64_t now_ns, const uint8_t **frame)
{
	struct dm_frame_desc d = { .type = DM_FRAME_REQUEST, .t_ns = now_ns };
	const struct dm_gen_seq *seq;

	*frame = g->frame;
	if (!g->running)
		return 0;
	pace(g, now_ns);
	if (g->frame_len != 0)
		return g->frame_len;
	if (g->credit < NS_PER_S)
		return 0;
	seq = next_flow(g);
	if (seq == NULL)
		return 0;
	memcpy(d.dst_mac, g->conf.guest_mac, 6);
	memcpy(d.src_mac, gen_mac, 6);
	d.flow = (uint16_t)g->flow;
	d.seq = seq->next;
	d.len_bytes = next_size(g) - DM_FRAME_PAYLOAD_OFFSET;
	g->frame_len = dm_frame_build(g->frame, &d);
	return g->frame_len;
}

void
dm_gen_commit(struct dm_gen *g)
{
	struct dm_gen_seq *seq = &g->seqs[g->flow];

	if (g->frame_len == 0)
		return;
	g->stats.sent++;
	g->stats.sent_bytes += g->frame_len;
	g->frame_len = 0;
	g->credit -= NS_PER_S;
	if (++seq->next == DM_GEN_SEQ_MAX)
		g->stats.flows_ended++;
	g->flow = (g->flow + 1) % g->conf.flows;
}

uint64_t
dm_gen_due_ns(const struct dm_gen *g)
{
	if (!g->running)
		return UINT64_MAX;
	if (g->credit >= NS_PER_S)
		return g->paced_ns;
	return g->paced_ns + (NS_PER_S - g->credit + g->conf.rate_pps - 1) / g->conf.rate_pps;
}

static void
count_received(struct dm_gen *g, uint32_t len, uint64_t t_ns, uint64_t now_ns)
{
	g->stats.received++;
	g->stats.received_bytes += len;
	dm_gen_hist_add(&g->latency, now_ns - t_ns);
	if (g->running) {
		note_silence(&g->stats, g->last_rx_ns, now_ns);
		g->last_rx_ns = now_ns;
	}
}

static enum dm_gen_verdict
judge(struct dm_gen *g, const uint8_t *frame, uint32_t len, uint64_t now_ns)
{
	static const enum dm_gen_verdict verdicts[] = {
		[DM_GEN_SEQ_IN_ORDER] = DM_GEN_RECEIVED,
		[DM_GEN_SEQ_LATE] = DM_GEN_REORDERED,
		[DM_GEN_SEQ_DUPLICATE] = DM_GEN_DUPLICATED,
		[DM_GEN_SEQ_STALE] = DM_GEN_STALE,
		[DM_GEN_SEQ_UNSENT] = DM_GEN_CORRUPT,
	};
	struct dm_frame_desc d;
	enum dm_gen_verdict v;

	switch (dm_frame_check(frame, len, DM_FRAME_ECHO, gen_mac, g->conf.guest_mac, &d)) {
	case DM_FRAME_FOREIGN:
		return DM_GEN_FOREIGN;
	case DM_FRAME_CORRUPT:
		return DM_GEN_CORRUPT;
	case DM_FRAME_GOOD:
		break;
	}
	if (d.flow >= g->conf.flows || d.t_ns > now_ns)
		return DM_GEN_CORRUPT;
	v = verdicts[dm_gen_seq_mark(&g->seqs[d.flow], d.seq)];
	if (v == DM_GEN_RECEIVED || v == DM_GEN_REORDERED)
		count_received(g, len, d.t_ns, now_ns);
	return v;
}

enum dm_gen_verdict
dm_gen_check(struct dm_gen *g, const uint8_t *frame, uint32_t len, uint64_t now_ns)
{
	const enum dm_gen_verdict v = judge(g, frame, len, now_ns);
	uint64_t *const counters[DM_GEN_VERDICTS] = {
		[DM_GEN_REORDERED] = &g->stats.reordered,
		[DM_GEN_DUPLICATED] = &g->stats.duplicated,
		[DM_GEN_CORRUPT] = &g->stats.corrupt,
		[DM_GEN_STALE] = &g->stats.stale,
		[DM_GEN_FOREIGN] = &g->stats.foreign,
	};

	if (counters[v] != NULL)
		++*counters[v];
	return v;
}

void
dm_gen_stats_get(const struct dm_gen *g, uint64_t now_ns, struct dm_gen_stats *stats)
{
	*stats = g->stats;
	if (g->running)
		note_silence(stats, g->last_rx_ns, now_ns);
	stats->latency_p50_ns = dm_gen_hist_quantile(&g->latency, 500);
	stats->latency_p99_ns = dm_gen_hist_quantile(&g->latency, 990);
	stats->latency_max_ns = g->latency.max;
}
