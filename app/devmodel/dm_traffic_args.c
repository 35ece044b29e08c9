/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "dm_traffic.h"

void
dm_traffic_usage(const char *program)
{
	printf("usage: %s --port NAME=PATH [--port NAME=PATH...] --guest-mac MAC [option...]\n"
		"A learning switch with a traffic generator and checker behind it.\n\n"
		"  --port NAME=PATH      a host; listens for a model with --wire link:PATH.\n"
		"                        NAME=tap:IF and NAME=link:PATH are possible too\n"
		"  --guest-mac MAC       frames go to the port where this was last seen,\n"
		"                        at first to the first port\n"
		"  --rate PPS            (default: 1000)\n"
		"  --size MIN[-MAX]      of frames, in bytes (default: 74-1514)\n"
		"  --flows N             (default: 4)\n"
		"  --burst N             frames sent late at once at most (default: 64)\n"
		"  --seed N              of the sizes (default: 1)\n"
		"  --control PATH        control socket, a JSON object per line: stats, start,\n"
		"                        stop, reset. Without it sending starts at once\n"
		"  --help\n\n"
		"Prints \"ready\" when it listens. SIGTERM and SIGINT end it.\n", program);
}

static int
parse_one(const struct option *option, const char *text, struct dm_traffic_args *args)
{
	const char *key = strcmp(option->name, "guest-mac") == 0 ? "mac" : option->name;

	switch (option->val) {
	case 'h':
		args->help = true;
		return 0;
	case 'c':
		args->control = text;
		return 0;
	case 'p':
		if (strchr(text, '=') == NULL || args->port_count == DM_TRAFFIC_PORTS)
			break;
		args->ports[args->port_count++] = text;
		return 0;
	default:
		if (dm_gen_conf_set(&args->gen, key, text) < 0)
			break;
		return 0;
	}
	fprintf(stderr, "--%s: '%s' is no valid value\n", option->name, text);
	return -EINVAL;
}

int
dm_traffic_parse(int argc, char **argv, struct dm_traffic_args *args)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "guest-mac", required_argument, NULL, 'g' },
		{ "rate", required_argument, NULL, 'g' },
		{ "size", required_argument, NULL, 'g' },
		{ "flows", required_argument, NULL, 'g' },
		{ "burst", required_argument, NULL, 'g' },
		{ "seed", required_argument, NULL, 'g' },
		{ "control", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const uint8_t no_mac[6];
	int c, index = 0;

	memset(args, 0, sizeof(*args));
	dm_gen_conf_init(&args->gen);
	while ((c = getopt_long(argc, argv, "", options, &index)) != -1)
		if (c == '?' || parse_one(&options[index], optarg, args) < 0)
			return -EINVAL;
	if (args->help)
		return 0;
	if (optind != argc || args->port_count == 0 ||
			memcmp(args->gen.guest_mac, no_mac, 6) == 0) {
		fprintf(stderr, "give --port and --guest-mac, and nothing without an option\n");
		return -EINVAL;
	}
	return 0;
}
