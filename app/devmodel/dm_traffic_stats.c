/* SPDX-License-Identifier: BSD-3-Clause */

/* The control socket's commands. */

#include <errno.h>
#include <string.h>

#include "dm_loop.h"
#include "dm_traffic.h"

static int
put_number(json_t *object, const char *key, uint64_t value)
{
	return json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *
drops_json(const struct dm_traffic *t)
{
	struct dm_wire_stats ws;
	uint64_t rx_size = 0;
	uint32_t i;

	for (i = 0; i < t->port_count; i++) {
		dm_wire_stats_get(t->ports[i].wire, &ws);
		rx_size += ws.rx_dropped_size - t->ports[i].rx_dropped_size_base;
	}
	return json_pack("{s:I s:I s:I s:I}",
		"port_down", (json_int_t)t->drop_port_down,
		"port_full", (json_int_t)t->drop_port_full,
		"port_size", (json_int_t)t->drop_port_size,
		"rx_size", (json_int_t)rx_size);
}

static uint64_t
drops_sum(const json_t *drops)
{
	const char *key;
	json_t *value;
	uint64_t sum = 0;

	json_object_foreach((json_t *)(uintptr_t)drops, key, value)
		sum += (uint64_t)json_integer_value(value);
	return sum;
}

static json_t *
switches_json(const struct dm_traffic *t)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < t->switch_count && i < DM_TRAFFIC_SWITCHES; i++) {
		const struct dm_traffic_switch *s = &t->switches[i];
		json_t *item = json_pack("{s:I s:s s:s s:s}", "t_ns", (json_int_t)s->t_ns,
			"from", t->ports[s->from].name, "to", t->ports[s->to].name, "by", s->by);

		json_object_set_new(item, "gap_us", s->gap_known ?
			json_integer((json_int_t)(s->gap_ns / 1000)) : json_null());
		json_array_append_new(list, item);
	}
	return list;
}

/* Of the last move that an echo followed; 0 when there was none. */
static json_t *
gap_json(const struct dm_traffic *t)
{
	uint32_t i = t->switch_count < DM_TRAFFIC_SWITCHES ? t->switch_count : DM_TRAFFIC_SWITCHES;

	while (i-- > 0)
		if (t->switches[i].gap_known)
			return json_integer((json_int_t)(t->switches[i].gap_ns / 1000));
	return json_integer(0);
}

static json_t *
ports_json(const struct dm_traffic *t)
{
	json_t *ports = json_object();
	uint32_t i;

	for (i = 0; i < t->port_count; i++) {
		const struct dm_traffic_port *p = &t->ports[i];

		json_object_set_new(ports, p->name, json_pack("{s:I s:I s:I s:b}",
			"sent", (json_int_t)p->sent, "received", (json_int_t)p->received,
			"other", (json_int_t)p->other, "link", dm_wire_link_up(p->wire)));
	}
	return ports;
}

static int
stats(struct dm_traffic *t, json_t *reply)
{
	json_t *drops = drops_json(t);
	struct dm_gen_stats s;
	uint64_t gone;
	size_t i;

	dm_gen_stats_get(t->gen, dm_loop_now_ns(), &s);
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{ "sent", s.sent }, { "sent_bytes", s.sent_bytes },
		{ "received", s.received }, { "received_bytes", s.received_bytes },
		{ "duplicated", s.duplicated }, { "reordered", s.reordered },
		{ "corrupt", s.corrupt }, { "stale", s.stale }, { "other", s.foreign },
		{ "longest_silence_us", s.longest_silence_ns / 1000 },
		{ "silence_begin_ns", s.silence_begin_ns },
		{ "switch_count", t->switch_count },
		{ "flows_ended", s.flows_ended },
		{ "now_ns", dm_loop_now_ns() },
	};

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		put_number(reply, numbers[i].key, numbers[i].value);
	/* Not come back whole: in flight, dropped elsewhere, or corrupt. */
	gone = s.received + drops_sum(drops);
	put_number(reply, "lost_so_far", s.sent > gone ? s.sent - gone : 0);
	json_object_set_new(reply, "drops", drops);
	json_object_set_new(reply, "running", json_boolean(dm_gen_running(t->gen)));
	json_object_set_new(reply, "active_port", json_string(t->ports[t->active].name));
	json_object_set_new(reply, "switches", switches_json(t));
	json_object_set_new(reply, "switch_gap_us", gap_json(t));
	json_object_set_new(reply, "ports", ports_json(t));
	json_object_set_new(reply, "latency_us", json_pack("{s:f s:f s:f}",
		"p50", (double)s.latency_p50_ns / 1e3, "p99", (double)s.latency_p99_ns / 1e3,
		"max", (double)s.latency_max_ns / 1e3));
	return 0;
}

static int
start(struct dm_traffic *t, json_t *reply)
{
	dm_gen_start(t->gen, dm_loop_now_ns());
	return json_object_set_new(reply, "running", json_true());
}

static int
stop(struct dm_traffic *t, json_t *reply)
{
	dm_gen_stop(t->gen, dm_loop_now_ns());
	return json_object_set_new(reply, "running", json_false());
}

static int
reset(struct dm_traffic *t, json_t *reply)
{
	dm_traffic_reset(t);
	return json_object_set_new(reply, "running", json_boolean(dm_gen_running(t->gen)));
}

int
dm_traffic_command(void *ctx, const char *cmd, const json_t *args, json_t *reply,
	const char **error)
{
	static const struct {
		const char *cmd;
		int (*run)(struct dm_traffic *t, json_t *reply);
	} commands[] = {
		{ "stats", stats }, { "start", start }, { "stop", stop }, { "reset", reset },
	};
	size_t i;

	(void)args, (void)error;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(cmd, commands[i].cmd) == 0)
			return commands[i].run(ctx, reply) < 0 ? -ENOMEM : 0;
	return -ENOTSUP;
}
