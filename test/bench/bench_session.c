/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How fast a migration moves device state and RAM pages, beside a raw loop of write() and read()
 * over the same kind of socket and beside memcpy(): all that a session adds to them shows. Two
 * sides as two threads, Unix sockets and TCP on the loopback, one and two connections.
 *
 * Medians of NB_RUNS; the three take turns in each run. Exit status 0 only if every byte arrived
 * and the stream reaches GATE of the raw loop.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lm_session.h"

#define DIM(a) (sizeof(a) / sizeof((a)[0]))
#define MIB (UINT64_C(1) << 20)
#define TOTAL_BYTES (256 * MIB)
#define CHUNK_BYTES MIB
#define NB_RUNS 5
#define GATE 0.25
#define MAX_CONNS 2u

/* A device whose state is memory, read and written by copying. */
struct device {
	_Atomic int state;
	uint8_t *bytes;
	uint64_t size_bytes;
	uint64_t at;
};

static int
device_caps(void *dev, struct lm_caps *caps)
{
	(void)dev;
	caps->flags = LM_STATE_F_STOP_COPY | LM_STATE_F_P2P;
	return 0;
}

static int
device_arc(void *dev, enum lm_state from, enum lm_state to)
{
	struct device *d = dev;

	(void)from;
	d->at = 0;
	d->state = (int)to;
	return 0;
}

static int
device_state(void *dev, enum lm_state *state)
{
	struct device *d = dev;

	*state = (enum lm_state)d->state;
	return 0;
}

static int
device_reset(void *dev)
{
	struct device *d = dev;

	d->state = LM_STATE_RUNNING;
	return 0;
}

static int
device_info(void *dev, struct lm_mig_info *info)
{
	struct device *d = dev;

	info->has_stop_copy = true;
	info->stop_copy_bytes = d->size_bytes;
	return 0;
}

static int
device_read(void *dev, void *buf, uint32_t len_bytes)
{
	struct device *d = dev;
	uint64_t left = d->size_bytes - d->at;

	len_bytes = left < len_bytes ? (uint32_t)left : len_bytes;
	memcpy(buf, d->bytes + d->at, len_bytes);
	d->at += len_bytes;
	return (int)len_bytes;
}

static int
device_write(void *dev, const void *buf, uint32_t len_bytes)
{
	struct device *d = dev;

	if (len_bytes > d->size_bytes - d->at)
		return -ENOSPC;
	memcpy(d->bytes + d->at, buf, len_bytes);
	d->at += len_bytes;
	return 0;
}

#define ARC(f, t, r) { LM_STATE_##f, LM_STATE_##t, LM_STATE_##r, device_arc }
static const struct lm_state_arc arcs[] = {
	ARC(RUNNING, RUNNING_P2P, RUNNING), ARC(RUNNING_P2P, RUNNING, RUNNING),
	ARC(RUNNING_P2P, STOP, RUNNING), ARC(STOP, RUNNING_P2P, STOP),
	ARC(STOP, STOP_COPY, STOP), ARC(STOP_COPY, STOP, STOP),
	ARC(STOP, RESUMING, STOP), ARC(RESUMING, STOP, ERROR),
};

static const struct lm_provider_ops ops = {
	.name = "memory",
	.caps = device_caps,
	.arcs = arcs,
	.nb_arcs = DIM(arcs),
	.state = device_state,
	.reset = device_reset,
	.info = device_info,
	.read = device_read,
	.write = device_write,
};

/* What is moved: memory of each side, and how it is presented. */
struct load {
	bool is_ram;
	bool is_tcp;
	unsigned int nb_conns;
	uint8_t *from;
	uint8_t *to;
};

struct side {
	struct lm_group *group;
	struct lm_ram *ram;
	struct device devices[MAX_CONNS];
	struct lm_channel *channel;
	enum lm_outcome outcome;
};

static void
must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench_session: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Device state: one device a connection, each with its share. */
static void
side_open(struct side *s, const struct load *l, uint8_t *memory)
{
	const struct lm_group_conf conf = { 0 };
	struct lm_member_conf member = { .provider.ops = &ops };
	struct lm_ram_region region = { .name = "memory", .addr = 16 * MIB, .vaddr = memory,
			.size_bytes = TOTAL_BYTES };
	uint64_t share = l->is_ram ? 0 : TOTAL_BYTES / l->nb_conns;
	unsigned int i, nb = l->is_ram ? 1 : l->nb_conns;
	char name[16];

	memset(s, 0, sizeof(*s));
	must(lm_group_create(&conf, &s->group) == 0, "group");
	for (i = 0; i < nb; i++) {
		s->devices[i].state = LM_STATE_RUNNING;
		s->devices[i].bytes = memory + i * share;
		s->devices[i].size_bytes = share;
		snprintf(name, sizeof(name), "dev%u", i);
		member.name = name;
		member.provider.dev = &s->devices[i];
		must(lm_group_add(s->group, &member) >= 0, "member");
	}
	if (l->is_ram) {
		must(lm_ram_create(&s->ram) == 0 && lm_ram_add(s->ram, &region) == 0, "RAM");
		lm_ram_mark_all(s->ram);
	}
}

static void
side_close(struct side *s)
{
	lm_channel_destroy(s->channel);
	lm_group_destroy(s->group);
	lm_ram_destroy(s->ram);
}

static void *
incoming(void *arg)
{
	struct side *s = arg;
	const struct lm_incoming_conf conf = { .group = s->group, .ram = s->ram,
			.channel = s->channel };
	struct lm_incoming *in;

	must(lm_incoming_create(&conf, &in) == 0, "incoming");
	s->channel = NULL;
	s->outcome = lm_incoming_run(in);
	lm_incoming_destroy(in);
	return NULL;
}

struct accept {
	struct lm_listener *listener;
	const struct lm_channel_conf *conf;
	struct lm_channel *channel;
};

static void *
accept_main(void *arg)
{
	struct accept *a = arg;

	must(lm_channel_accept(a->listener, a->conf, 5000000, &a->channel) == 0, "accept");
	return NULL;
}

static void
join_channels(const struct load *l, struct lm_channel **source, struct lm_channel **dest)
{
	const struct lm_channel_conf conf = { .nb_bulk = l->nb_conns };
	struct accept a = { .conf = &conf };
	char address[64];
	const char *why = "";
	pthread_t thread;

	snprintf(address, sizeof(address), l->is_tcp ? "tcp:127.0.0.1:0" :
			"unix:/tmp/bench_session.%d", getpid());
	must(lm_listener_create(address, &a.listener, &why) == 0, why);
	must(pthread_create(&thread, NULL, accept_main, &a) == 0, "thread");
	must(lm_channel_connect(lm_listener_address(a.listener), &conf, source) == 0, "connect");
	pthread_join(thread, NULL);
	lm_listener_destroy(a.listener);
	*dest = a.channel;
}

/* @return bytes a second of the phase that moves them */
static double
run_session(const struct load *l)
{
	const enum lm_phase phase = l->is_ram ? LM_PHASE_PRECOPY : LM_PHASE_TRANSFER;
	struct lm_outgoing_conf conf = { .downtime_limit_us = UINT64_C(60000000) };
	struct side source, dest;
	struct lm_report report;
	struct lm_outgoing *out;
	pthread_t thread;

	memset(l->to, 0, TOTAL_BYTES);
	side_open(&source, l, l->from);
	side_open(&dest, l, l->to);
	join_channels(l, &source.channel, &dest.channel);
	must(pthread_create(&thread, NULL, incoming, &dest) == 0, "thread");
	conf.group = source.group;
	conf.ram = source.ram;
	conf.channel = source.channel;
	must(lm_outgoing_create(&conf, &out) == 0, "outgoing");
	source.channel = NULL;
	source.outcome = lm_outgoing_run(out);
	pthread_join(thread, NULL);
	lm_outgoing_report(out, &report);
	lm_outgoing_destroy(out);
	if (source.outcome != LM_OUTCOME_COMPLETED) {
		fprintf(stderr, "bench_session: %s\n", report.why);
		exit(1);
	}
	must(memcmp(l->from, l->to, TOTAL_BYTES) == 0, "bytes differ");
	side_close(&source);
	side_close(&dest);
	if (report.phases[phase].bytes < TOTAL_BYTES) {
		/* All that was dirty fitted into the downtime. */
		must(report.phases[LM_PHASE_TRANSFER].bytes >= TOTAL_BYTES, "not one phase");
		return (double)TOTAL_BYTES * 1e6 /
				(double)report.phases[LM_PHASE_TRANSFER].measured_us;
	}
	return (double)TOTAL_BYTES * 1e6 / (double)report.phases[phase].measured_us;
}

struct raw {
	int fd;
	uint8_t *memory;
	uint64_t bytes;
};

static void *
raw_writer(void *arg)
{
	struct raw *r = arg;
	uint64_t at;
	ssize_t n;

	for (at = 0; at < r->bytes; at += (uint64_t)n) {
		n = write(r->fd, r->memory + at, CHUNK_BYTES < r->bytes - at ? CHUNK_BYTES :
				r->bytes - at);
		must(n > 0, "write");
	}
	return NULL;
}

static void *
raw_reader(void *arg)
{
	struct raw *r = arg;
	uint64_t at;
	ssize_t n;

	for (at = 0; at < r->bytes; at += (uint64_t)n) {
		n = read(r->fd, r->memory + at, CHUNK_BYTES < r->bytes - at ? CHUNK_BYTES :
				r->bytes - at);
		must(n > 0, "read");
	}
	return NULL;
}

static void
raw_pair(bool is_tcp, int fds[2])
{
	struct sockaddr_storage addr = { .ss_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener;

	if (!is_tcp) {
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
		return;
	}
	listener = socket(AF_INET, SOCK_STREAM, 0);
	must(listener >= 0 && bind(listener, (struct sockaddr *)&addr, 16) == 0 &&
			listen(listener, 1) == 0 &&
			getsockname(listener, (struct sockaddr *)&addr, &len) == 0, "listen");
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(fds[0], (struct sockaddr *)&addr, len) == 0, "connect");
	fds[1] = accept(listener, NULL, NULL);
	must(fds[1] >= 0, "accept");
	close(listener);
}

static double
run_raw(const struct load *l)
{
	uint64_t share = TOTAL_BYTES / l->nb_conns;
	pthread_t threads[2 * MAX_CONNS];
	struct raw ends[2 * MAX_CONNS];
	unsigned int i;
	double began;
	int fds[2];

	memset(l->to, 0, TOTAL_BYTES);
	for (i = 0; i < l->nb_conns; i++) {
		raw_pair(l->is_tcp, fds);
		ends[2 * i] = (struct raw){ fds[0], l->from + i * share, share };
		ends[2 * i + 1] = (struct raw){ fds[1], l->to + i * share, share };
	}
	began = now_s();
	for (i = 0; i < 2 * l->nb_conns; i++)
		must(pthread_create(&threads[i], NULL, i % 2 == 0 ? raw_writer : raw_reader,
				&ends[i]) == 0, "thread");
	for (i = 0; i < 2 * l->nb_conns; i++) {
		pthread_join(threads[i], NULL);
		close(ends[i].fd);
	}
	return (double)TOTAL_BYTES / (now_s() - began);
}

static double
run_memcpy(const struct load *l)
{
	double began;

	memset(l->to, 0, TOTAL_BYTES);
	began = now_s();
	memcpy(l->to, l->from, TOTAL_BYTES);
	must(l->to[TOTAL_BYTES - 1] == l->from[TOTAL_BYTES - 1], "memcpy");
	return (double)TOTAL_BYTES / (now_s() - began);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *values)
{
	qsort(values, NB_RUNS, sizeof(*values), compare);
	return values[NB_RUNS / 2];
}

static bool
measure(const struct load *l)
{
	double session[NB_RUNS], raw[NB_RUNS], copy[NB_RUNS], s, r, c;
	unsigned int i;

	for (i = 0; i < NB_RUNS; i++) {
		raw[i] = run_raw(l);
		session[i] = run_session(l);
		copy[i] = run_memcpy(l);
	}
	s = median(session);
	r = median(raw);
	c = median(copy);
	printf("%-6s  %-4s  %u  %8.0f  %8.0f  %8.0f  %6.2f  %6.2f\n", l->is_ram ? "RAM" : "state",
			l->is_tcp ? "TCP" : "Unix", l->nb_conns, s / 1e6, r / 1e6, c / 1e6, s / r,
			s / c);
	fflush(stdout);
	return s / r >= GATE;
}

int
main(void)
{
	struct load l = { 0 };
	unsigned int i;
	bool good = true;

	l.from = mmap(NULL, 2 * TOTAL_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	must(l.from != MAP_FAILED, "memory");
	l.to = l.from + TOTAL_BYTES;
	/* No page is all zeroes, and none is like another. */
	for (i = 0; i < TOTAL_BYTES / 8; i++)
		((uint64_t *)l.from)[i] = i * UINT64_C(0x9e3779b97f4a7c15) + 1;
	printf("what    over  n   session       raw    memcpy   /raw    /memcpy   (MB/s, medians "
			"of %u, %u MiB)\n", NB_RUNS, (unsigned int)(TOTAL_BYTES / MIB));
	for (i = 0; i < 8; i++) {
		l.is_ram = (i & 4) != 0;
		l.is_tcp = (i & 2) != 0;
		l.nb_conns = 1 + (i & 1);
		good &= measure(&l);
	}
	printf("%s\n", good ? "good" : "too slow");
	return good ? 0 : 1;
}
