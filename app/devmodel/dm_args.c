/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_args.h"
#include "dm_type.h"

void
dm_args_usage(const char *program)
{
	const struct dm_type *type;
	unsigned int i;

	printf("usage: %s DEVICE --socket PATH [option...]\n"
		"Presents PCI functions, each to one vfio-user client.\n\n", program);
	for (i = 0; (type = dm_type_get(i)) != NULL; i++)
		printf("  %-12s %s\n", type->name, type->summary);
	printf("\n"
		"  --socket PATH         where the client connects; repeatable where the device\n"
		"                        has several functions\n"
		"  --wire SPEC           null, loop, gen[,key=value...], link:PATH, listen:PATH,\n"
		"                        tap:NAME (default: null); repeatable likewise\n"
		"  --mac MAC             of the first port (default: 52:54:00:4c:4d:01)\n"
		"  --queue-pairs N       (default: 1)\n"
		"  --queue-size N        at most (default: 256)\n"
		"  --mtu N               68 to 65521; 0: do not offer MTU (default: 1500)\n"
		"  --features HEXMASK    offer at most these\n"
		"  --notify-guest        doorbell pages are given to a guest, who rings when it\n"
		"                        likes\n"
		"  --iova-bits N         that the device can address; others are refused\n"
		"  --notify-shared       one doorbell for all queues, trapped\n"
		"  --control PATH        control socket, a JSON object per line\n"
		"  --trace PATH          save what drivers have used of the device, at the end\n"
		"  --fault SPEC          slow-reset=US, slow-ring-reset=US, slow-suspend=US,\n"
		"                        no-ring-reset,\n"
		"                        stuck-ring-reset, no-function-reset, lost-irq=N,\n"
		"                        die-at=FRAMES, overrun, disorder=CHAINS,\n"
		"                        early-write=BUFFERS, short-used=N, flip=N, offer=BITS,\n"
		"                        deaf-ctrl, deaf-reset, lost-config-irq, or one of the\n"
		"                        device; repeatable\n"
		"  --option KEY=VALUE    of the device; repeatable\n"
		"  --help\n\n"
		"Prints \"ready PATH\" for each socket when all listen. SIGTERM and SIGINT end\n"
		"it.\n");
}

int
dm_args_bad(const char *option, const char *value)
{
	fprintf(stderr, "--%s: '%s' is no valid value\n", option, value);
	return -EINVAL;
}

static int
dm_args_number(const char *option, const char *text, uint16_t min, uint16_t max, uint16_t *value)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || number > max ||
			number < min)
		return dm_args_bad(option, text);
	*value = (uint16_t)number;
	return 0;
}

static int
dm_args_features(const char *option, const char *text, uint64_t *value)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 16);
	if (!isxdigit((unsigned char)text[0]) || *end != '\0' || errno != 0)
		return dm_args_bad(option, text);
	*value = number;
	return 0;
}

static int
dm_args_mac(const char *option, const char *text, uint8_t *mac)
{
	unsigned int byte[6];
	int used = 0;
	int i;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
			&byte[4], &byte[5], &used) != 6 || text[used] != '\0' || (byte[0] & 1) != 0)
		return dm_args_bad(option, text);
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)byte[i];
	return 0;
}

static int
dm_args_add(const char *option, const char *text, const char **list, uint32_t max, uint32_t *nb)
{
	if (*nb == max) {
		fprintf(stderr, "--%s: too many\n", option);
		return -EINVAL;
	}
	list[(*nb)++] = text;
	return 0;
}

static int
dm_args_one(const struct option *option, const char *text, struct dm_args *args)
{
	const char *name = option->name;

	switch (option->val) {
	case 's':
		return dm_args_add(name, text, args->sockets, DM_MAX_FUNCTIONS,
				&args->nb_sockets);
	case 'w':
		return dm_args_add(name, text, args->wires, DM_MAX_FUNCTIONS, &args->nb_wires);
	case 'c':
		args->control = text;
		return 0;
	case 't':
		args->trace = text;
		return 0;
	case 'm':
		return dm_args_mac(name, text, args->mac);
	case 'p':
		return dm_args_number(name, text, 1, UINT16_MAX, &args->queue_pairs);
	case 'q':
		return dm_args_number(name, text, 8, UINT16_MAX, &args->queue_size);
	case 'u':
		return dm_args_number(name, text, 0, 65521, &args->mtu);
	case 'f':
		return dm_args_features(name, text, &args->features);
	case 'o':
		return dm_args_add(name, text, args->options, DM_MAX_OPTIONS, &args->nb_options);
	case 'i':
		return dm_args_number(name, text, 20, 64, &args->iova_bits);
	case 'g':
		args->notify_guest = true;
		return 0;
	case 'n':
		args->notify_shared = true;
		return 0;
	case 'x':
		return dm_fault_parse(&args->faults, text) == 0 ? 0 :
				dm_args_add(name, text, args->fault_specs, DM_MAX_FAULT_SPECS,
				&args->nb_fault_specs);
	default:
		args->help = true;
		return 0;
	}
}

static int
dm_args_check(const char *name, struct dm_args *args)
{
	const struct dm_type *type = dm_type_find(name);
	uint32_t i;

	args->type = type;
	if (type == NULL) {
		fprintf(stderr, "'%s' is no device\n", name);
		return -EINVAL;
	}
	if (args->nb_sockets == 0) {
		fprintf(stderr, "--socket PATH is missing\n");
		return -EINVAL;
	}
	if (args->nb_sockets > type->max_sockets)
		return dm_args_bad("socket", args->sockets[type->max_sockets]);
	if (args->nb_wires > type->max_wires)
		return dm_args_bad("wire", args->wires[type->max_wires]);
	if (args->nb_fault_specs != 0 && !type->has_faults)
		return dm_args_bad("fault", args->fault_specs[0]);
	if (args->nb_options != 0 && !type->has_options)
		return dm_args_bad("option", args->options[0]);
	for (i = args->nb_wires; i < DM_MAX_FUNCTIONS; i++)
		args->wires[i] = "null";
	return type->check(args);
}

int
dm_args_parse(int argc, char **argv, struct dm_args *args)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "wire", required_argument, NULL, 'w' },
		{ "control", required_argument, NULL, 'c' },
		{ "trace", required_argument, NULL, 't' },
		{ "mac", required_argument, NULL, 'm' },
		{ "queue-pairs", required_argument, NULL, 'p' },
		{ "queue-size", required_argument, NULL, 'q' },
		{ "mtu", required_argument, NULL, 'u' },
		{ "features", required_argument, NULL, 'f' },
		{ "iova-bits", required_argument, NULL, 'i' },
		{ "notify-shared", no_argument, NULL, 'n' },
		{ "fault", required_argument, NULL, 'x' },
		{ "option", required_argument, NULL, 'o' },
		{ "notify-guest", no_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x4c, 0x4d, 0x01 };
	int index = 0;
	int c;

	memset(args, 0, sizeof(*args));
	args->queue_pairs = 1;
	args->queue_size = 256;
	args->mtu = 1500;
	args->features = UINT64_MAX;
	memcpy(args->mac, mac, sizeof(mac));

	while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (c == '?' || dm_args_one(&options[index], optarg, args) != 0)
			return -EINVAL;
	}
	if (args->help)
		return 0;
	if (argc - optind != 1) {
		fprintf(stderr, "give one device\n");
		return -EINVAL;
	}
	return dm_args_check(argv[optind], args);
}
