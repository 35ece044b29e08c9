/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_TRAFFIC_H
#define DM_TRAFFIC_H

/**
 * @file
 * The outside world of a migrating guest: a learning switch with a port for each host, and behind
 * it a generator that sends frames to the guest and judges what the guest sends back.
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "dm_gen.h"
#include "dm_wire.h"

#define DM_TRAFFIC_PORTS 8
#define DM_TRAFFIC_NAME_BYTES 32
#define DM_TRAFFIC_SWITCHES 1024 /* remembered; further ones are only counted */

/** The guest's MAC was seen at another port than before. */
struct dm_traffic_switch {
	uint64_t t_ns;
	uint32_t from, to; /* ports */
	const char *by;    /* rarp, frame, other */
	bool gap_known;
	uint64_t gap_ns;   /* from the last echo at the old port to the first at the new one */
};

struct dm_traffic_port {
	char name[DM_TRAFFIC_NAME_BYTES];
	struct dm_wire *wire;
	uint64_t sent, received; /* echoes that count as received, late ones included */
	uint64_t other;          /* frames of other protocols */
	uint64_t last_echo_ns;   /* 0: none */
	uint64_t rx_dropped_size_base; /* the wire's count at the last reset */
};

struct dm_traffic {
	struct dm_gen *gen;
	uint8_t guest_mac[6];
	uint32_t active; /* port */
	uint64_t active_since_ns;
	uint32_t port_count;
	uint32_t switch_count;
	uint64_t drop_port_down, drop_port_full, drop_port_size;
	struct dm_traffic_port ports[DM_TRAFFIC_PORTS];
	struct dm_traffic_switch switches[DM_TRAFFIC_SWITCHES];
};

/** Open a port of that name; on failure the traffic is as before. */
int dm_traffic_add_port(struct dm_traffic *t, const char *name, const char *spec);
void dm_traffic_close(struct dm_traffic *t);
/** Take what has come, send what is due. @return how many frames moved. */
unsigned int dm_traffic_poll(struct dm_traffic *t, uint64_t now_ns);
/** How long nothing is due, in microseconds. */
uint32_t dm_traffic_idle_us(const struct dm_traffic *t, uint64_t now_ns);
void dm_traffic_reset(struct dm_traffic *t);
/** A dm_control_fn: stats, start, stop, reset. @p ctx is a struct dm_traffic. */
int dm_traffic_command(void *ctx, const char *cmd, const json_t *args, json_t *reply,
	const char **error);

struct dm_traffic_args {
	struct dm_gen_conf gen;
	const char *control;
	const char *ports[DM_TRAFFIC_PORTS]; /* NAME=PATH or NAME=WIRE:... */
	uint32_t port_count;
	bool help;
};

void dm_traffic_usage(const char *program);
/** -EINVAL: a message was printed. */
int dm_traffic_parse(int argc, char **argv, struct dm_traffic_args *args);

#endif /* DM_TRAFFIC_H */
