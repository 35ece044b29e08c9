/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "dm_frame_if.h"
#include "dm_traffic.h"

#define ETHER_RARP 0x8035
#define BURST 256 /* frames of a port, before others have their turn */
#define SLEEP_MIN_US 200u
#define SLEEP_MAX_US 1000u /* while running; wires want their tick */
#define SLEEP_STOPPED_US 10000u

int
dm_traffic_add_port(struct dm_traffic *t, const char *name, const char *spec)
{
	struct dm_traffic_port *p = &t->ports[t->port_count];
	int ret;

	if (t->port_count == DM_TRAFFIC_PORTS)
		return -ENOSPC;
	if (name[0] == '\0' || strlen(name) >= sizeof(p->name))
		return -EINVAL;
	ret = dm_wire_open(spec, &p->wire);
	if (ret < 0)
		return ret;
	memcpy(p->name, name, strlen(name) + 1);
	t->port_count++;
	return 0;
}

void
dm_traffic_close(struct dm_traffic *t)
{
	while (t->port_count > 0)
		dm_wire_close(t->ports[--t->port_count].wire);
	dm_gen_destroy(t->gen);
	t->gen = NULL;
}

static void
note_switch(struct dm_traffic *t, uint32_t to, const char *by, uint64_t now_ns)
{
	if (t->switch_count < DM_TRAFFIC_SWITCHES)
		t->switches[t->switch_count] = (struct dm_traffic_switch){
			.t_ns = now_ns, .from = t->active, .to = to, .by = by,
		};
	t->switch_count++;
	t->active = to;
	t->active_since_ns = now_ns;
}

/*
 * An answer to what was sent before the last move: its old host has sent it before that, too, and
 * only this machine was late with it. A switch would have seen it in time.
 */
static bool
is_late(const struct dm_traffic *t, const uint8_t *frame, enum dm_gen_verdict verdict)
{
	return (verdict == DM_GEN_RECEIVED || verdict == DM_GEN_REORDERED) &&
		dm_frame_time_ns(frame) < t->active_since_ns;
}

static const char *
kind_of(const uint8_t *frame, enum dm_gen_verdict verdict)
{
	if ((frame[12] << 8 | frame[13]) == ETHER_RARP)
		return "rarp";
	return verdict == DM_GEN_FOREIGN ? "other" : "frame";
}

/* The first echo since the guest was seen here closes the gap that its move made. */
static void
note_echo(struct dm_traffic *t, uint32_t port, uint64_t now_ns)
{
	struct dm_traffic_switch *s;

	t->ports[port].received++;
	if (t->switch_count > 0 && t->switch_count <= DM_TRAFFIC_SWITCHES) {
		s = &t->switches[t->switch_count - 1];
		if (!s->gap_known && s->to == port && t->ports[s->from].last_echo_ns != 0) {
			s->gap_known = true;
			s->gap_ns = now_ns - t->ports[s->from].last_echo_ns;
		}
	}
	t->ports[port].last_echo_ns = now_ns;
}

static void
take_frame(struct dm_traffic *t, uint32_t port, const uint8_t *frame, uint32_t len,
	uint64_t now_ns)
{
	enum dm_gen_verdict verdict = dm_gen_check(t->gen, frame, len, now_ns);

	if (len >= 14 && port != t->active && memcmp(frame + 6, t->guest_mac, 6) == 0 &&
			!is_late(t, frame, verdict))
		note_switch(t, port, kind_of(frame, verdict), now_ns);
	if (verdict == DM_GEN_RECEIVED || verdict == DM_GEN_REORDERED)
		note_echo(t, port, now_ns);
	else if (verdict == DM_GEN_FOREIGN)
		t->ports[port].other++;
}

static unsigned int
drain(struct dm_traffic *t, uint32_t port, uint64_t now_ns)
{
	struct dm_wire *w = t->ports[port].wire;
	const uint8_t *frame;
	unsigned int n;
	uint32_t len;

	for (n = 0; n < BURST; n++) {
		len = dm_wire_peek(w, &frame);
		if (len == 0)
			break;
		take_frame(t, port, frame, len, now_ns);
		dm_wire_pop(w);
	}
	return n;
}

/*
 * The active port first: what the guest sent there before it moved is then taken before what it
 * sent elsewhere, and does not look like a move back.
 */
static unsigned int
drain_all(struct dm_traffic *t, uint64_t now_ns)
{
	const uint32_t first = t->active;
	unsigned int n, moved = 0;
	uint32_t i;

	do {
		n = drain(t, first, now_ns);
		moved += n;
	} while (n == BURST && moved < 16 * BURST);
	for (i = 0; i < t->port_count; i++)
		if (i != first)
			moved += drain(t, i, now_ns);
	return moved;
}

static unsigned int
send_due(struct dm_traffic *t, uint64_t now_ns)
{
	struct dm_traffic_port *p = &t->ports[t->active];
	struct iovec iov;
	const uint8_t *frame;
	unsigned int n = 0;

	while ((iov.iov_len = dm_gen_peek(t->gen, now_ns, &frame)) != 0) {
		iov.iov_base = (void *)(uintptr_t)frame;
		switch (dm_wire_send(p->wire, &iov, 1)) {
		case 0:
			p->sent++;
			break;
		case -EAGAIN:
			t->drop_port_full++;
			break;
		case -EMSGSIZE:
			t->drop_port_size++;
			break;
		default:
			t->drop_port_down++;
			break;
		}
		dm_gen_commit(t->gen);
		n++;
	}
	return n;
}

unsigned int
dm_traffic_poll(struct dm_traffic *t, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < t->port_count; i++)
		dm_wire_tick(t->ports[i].wire, now_ns);
	return drain_all(t, now_ns) + send_due(t, now_ns);
}

uint32_t
dm_traffic_idle_us(const struct dm_traffic *t, uint64_t now_ns)
{
	const uint64_t due_ns = dm_gen_due_ns(t->gen);
	uint64_t us;

	if (due_ns == UINT64_MAX)
		return SLEEP_STOPPED_US;
	us = due_ns > now_ns ? (due_ns - now_ns + 999) / 1000 : 0;
	if (us < SLEEP_MIN_US)
		return SLEEP_MIN_US;
	return us > SLEEP_MAX_US ? SLEEP_MAX_US : (uint32_t)us;
}

void
dm_traffic_reset(struct dm_traffic *t)
{
	struct dm_wire_stats ws;
	uint32_t i;

	dm_gen_reset(t->gen);
	t->drop_port_down = t->drop_port_full = t->drop_port_size = 0;
	t->switch_count = 0;
	for (i = 0; i < t->port_count; i++) {
		struct dm_traffic_port *p = &t->ports[i];

		dm_wire_stats_get(p->wire, &ws);
		p->sent = p->received = p->other = p->last_echo_ns = 0;
		p->rx_dropped_size_base = ws.rx_dropped_size;
	}
}
