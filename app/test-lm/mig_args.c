/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "mig.h"
#include "test_lm.h"

#define NUMBER 0x100u
#define MS_US 1000u
#define S_US 1000000u

/* One table for parsing and for help. */
static const struct {
	const char *name;
	const char *arg; /* NULL: a flag */
	unsigned int verbs;
	int key;
	const char *help;
} opts[] = {
	{ "device", "socket=PATH|BDF[,name=N][,migration=PATH]", MIG_SEND | MIG_RECEIVE, 'd',
		"a function served over vfio-user, or one bound to a VFIO driver (see\n"
		"                     dpdk-test-lm check BDF); repeatable; migration: where\n"
		"                     dpdk-test-lm pf serves that" },
	{ "ram", "name=N,addr=A,size=S[,file=PATH][,cpu][,after-stop]", MIG_SEND | MIG_RECEIVE, 'r',
		"memory to be moved, mapped to all devices; cpu: written by CPUs too;\n"
		"                     after-stop: a control area, sent whole at the end" },
	{ "to", "ADDRESS", MIG_SEND, 'a', "unix:PATH or tcp:HOST:PORT" },
	{ "listen", "ADDRESS", MIG_RECEIVE, 'a', "unix:PATH or tcp:HOST:PORT (port 0: any)" },
	{ "connections", "N", MIG_SEND, 'c', "for bulk, 1 to 16 (default 1)" },
	{ "bandwidth", "BYTES", MIG_SEND, 'b', "a second at most, with K, M or G" },
	{ "downtime", "MS", MIG_SEND, 'D', "allowed (default 300)" },
	{ "precopy-timeout", "S", MIG_SEND, 'P', "then fail (default 600)" },
	{ "force-after", "S", MIG_SEND, 'F', "then switch over whatever is expected" },
	{ "timeout", "S", MIG_SEND | MIG_RECEIVE, 't',
		"of each wait for the other side (default 10)" },
	{ "zstd", NULL, MIG_SEND, 'z', "compress RAM" },
	{ "no-peer-dma", NULL, MIG_SEND | MIG_RECEIVE, 'p',
		"my word that devices without P2P do no DMA to each other" },
	{ "exercise", NULL, MIG_SEND | MIG_RECEIVE, 'e',
		"devices are exercisers: load them, check them afterwards" },
	{ "load-rate", "N", MIG_SEND, 'R', "writes a second of each device (default 20000)" },
	{ "load-pages", "N", MIG_SEND, 'W', "each of them writes to (default 2048)" },
	{ "load-state", "BYTES", MIG_SEND, 'S', "of state in each (default: its own)" },
	{ "load-ms", "MS", MIG_SEND, 'L', "of load before the migration (default 300)" },
	{ "json", "FILE", MIG_SEND | MIG_RECEIVE, 'j', "report when it is over; -: stdout" },
	{ "jsonl", "FILE", MIG_SEND | MIG_RECEIVE, 'l', "an object a line while it runs" },
	{ "junit", "FILE", MIG_SEND | MIG_RECEIVE, 'u', "result for CI" },
	{ "calibration", "FILE", MIG_SEND, 'K',
		"what earlier migrations measured, for the prediction; kept up to date" },
	{ "control", "PATH", MIG_SEND, 'C',
		"socket for dpdk-test-lm resolve, if it comes to that" },
	{ "quiet", NULL, MIG_SEND | MIG_RECEIVE, 'q', "no progress" },
	{ "help", NULL, MIG_SEND | MIG_RECEIVE, 'h', "this" },
};
#define NB_OPTS (sizeof(opts) / sizeof(opts[0]))

void
mig_usage(FILE *out, enum mig_verb verb)
{
	unsigned int i;

	fprintf(out, verb == MIG_SEND ?
		"Usage: dpdk-test-lm send --to ADDRESS --device DEVICE [OPTION]...\n\n"
		"Move devices, and memory, to a dpdk-test-lm receive. Ctrl-C gives up and runs on\n"
		"here; a second one leaves at once.\n\n" :
		"Usage: dpdk-test-lm receive --listen ADDRESS --device DEVICE [OPTION]...\n\n"
		"Take devices, and memory, from a dpdk-test-lm send.\n"
		"Prints \"ready ADDRESS\".\n\n");
	for (i = 0; i < NB_OPTS; i++)
		if ((opts[i].verbs & verb) != 0)
			fprintf(out, "  --%s%s%s\n                     %s\n", opts[i].name,
				opts[i].arg == NULL ? "" : " ", opts[i].arg == NULL ? "" :
				opts[i].arg, opts[i].help);
	fprintf(out, "\nExit codes: 0 done; 1 failed, the source runs; 2 usage; 3 refused before\n"
		"anything stopped; 4 a device is lost.\n");
}

void
mig_conf_defaults(struct mig_conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	conf->connections = 1;
	conf->load_rate = 20000;
	conf->load_pages = 2048;
	conf->load_state_bytes = UINT64_MAX;
	conf->load_ms = 300;
}

static int
number(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (!isdigit((unsigned char)text[0]) || errno != 0)
		return -EINVAL;
	unit = *end == '\0' ? NULL : strchr(units, toupper((unsigned char)*end));
	if (unit != NULL) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (*value > UINT64_MAX >> shift)
			return -ERANGE;
		*value <<= shift;
		end++;
	}
	return *end == '\0' ? 0 : -EINVAL;
}

/* "key=value" or "key" at the front of a list. @return what follows the value */
static char *
next_word(char *text, char **key, char **value)
{
	char *end = text + strcspn(text, ",");
	char *rest = *end == ',' ? end + 1 : end;

	*end = '\0';
	*key = text;
	*value = strchr(text, '=');
	if (*value != NULL)
		*(*value)++ = '\0';
	return rest;
}

static int
copy_text(char *to, size_t size, const char *from)
{
	if (from == NULL || strlen(from) >= size)
		return -EINVAL;
	strcpy(to, from);
	return 0;
}

static bool
is_bdf(const char *text)
{
	unsigned int domain, bus, dev, fn;
	int n = 0;

	return strlen(text) < sizeof(((struct mig_conf *)NULL)->devices[0].bdf) &&
		sscanf(text, "%x:%x:%x.%x%n", &domain, &bus, &dev, &fn, &n) == 4 && text[n] == '\0';
}

static int
parse_device(struct mig_conf *conf, char *text)
{
	unsigned int i = conf->nb_devices;
	char *key, *value;
	int ret = 0;

	if (i == MIG_MAX_DEVICES)
		return -E2BIG;
	snprintf(conf->devices[i].name, sizeof(conf->devices[i].name), "dev%u", i);
	while (*text != '\0' && ret == 0) {
		text = next_word(text, &key, &value);
		if (strcmp(key, "socket") == 0)
			ret = copy_text(conf->devices[i].socket, sizeof(conf->devices[i].socket),
				value);
		else if (strcmp(key, "name") == 0)
			ret = copy_text(conf->devices[i].name, sizeof(conf->devices[i].name),
				value);
		else if (strcmp(key, "migration") == 0)
			ret = copy_text(conf->devices[i].migration,
				sizeof(conf->devices[i].migration), value);
		else if (value == NULL && is_bdf(key))
			strcpy(conf->devices[i].bdf, key);
		else
			ret = -EINVAL;
	}
	if (ret == 0 && (conf->devices[i].socket[0] == '\0') == (conf->devices[i].bdf[0] == '\0'))
		ret = -EINVAL;
	conf->nb_devices++;
	return ret;
}

static int
parse_ram(struct mig_conf *conf, char *text)
{
	struct mig_ram *r = &conf->ram[conf->nb_ram];
	char *key, *value;
	int ret = 0;

	if (conf->nb_ram == MIG_MAX_RAM)
		return -E2BIG;
	while (*text != '\0' && ret == 0) {
		text = next_word(text, &key, &value);
		if (value == NULL && strcmp(key, "cpu") == 0)
			r->flags |= LM_RAM_F_CPU_WRITES;
		else if (value == NULL && strcmp(key, "after-stop") == 0)
			r->flags |= LM_RAM_F_AFTER_STOP;
		else if (value == NULL)
			ret = -EINVAL;
		else if (strcmp(key, "name") == 0)
			ret = copy_text(r->name, sizeof(r->name), value);
		else if (strcmp(key, "file") == 0)
			ret = copy_text(r->file, sizeof(r->file), value);
		else if (strcmp(key, "addr") == 0)
			ret = number(value, &r->addr);
		else if (strcmp(key, "size") == 0)
			ret = number(value, &r->size_bytes);
		else
			ret = -EINVAL;
	}
	conf->nb_ram++;
	return ret == 0 && (r->name[0] == '\0' || r->size_bytes == 0) ? -EINVAL : ret;
}

static int
set_number(struct mig_conf *conf, int key, const char *text)
{
	uint64_t n;

	if (number(text, &n) != 0)
		return -EINVAL;
	switch (key) {
	case 'c':
		conf->connections = n > LM_CHANNEL_MAX_BULK ? 0 : (unsigned int)n;
		return conf->connections == 0 ? -EINVAL : 0;
	case 'b':
		conf->bytes_per_s = n;
		return 0;
	case 'D':
		conf->downtime_limit_us = n * MS_US;
		return 0;
	case 'P':
		conf->precopy_us = n * S_US;
		return 0;
	case 'F':
		conf->force_after_us = n * S_US;
		return 0;
	case 't':
		conf->deadline_us = n * S_US;
		return 0;
	case 'R':
		conf->load_rate = n;
		return 0;
	case 'W':
		conf->load_pages = n;
		return n == 0 ? -EINVAL : 0;
	case 'S':
		conf->load_state_bytes = n;
		return 0;
	default:
		conf->load_ms = (unsigned int)n;
		return 0;
	}
}

static int
set_text(struct mig_conf *conf, int key, char *text)
{
	switch (key) {
	case 'd':
		return parse_device(conf, text);
	case 'r':
		return parse_ram(conf, text);
	case 'a':
		conf->address = text;
		return 0;
	case 'z':
		conf->zstd = true;
		return 0;
	case 'p':
		conf->no_peer_dma = true;
		return 0;
	case 'e':
		conf->exercise = true;
		return 0;
	case 'q':
		conf->quiet = true;
		return 0;
	case 'j':
		conf->json = text;
		return 0;
	case 'l':
		conf->jsonl = text;
		return 0;
	case 'u':
		conf->junit = text;
		return 0;
	case 'C':
		conf->control = text;
		return 0;
	case 'K':
		conf->calibration = text;
		return 0;
	default:
		return set_number(conf, key, text);
	}
}

int
mig_args_parse(int argc, char **argv, enum mig_verb verb, struct mig_conf *conf, bool *help)
{
	struct option options[NB_OPTS + 1] = { { 0 } };
	unsigned int i, nb = 0;
	char *copy;
	int key, ret;

	for (i = 0; i < NB_OPTS; i++)
		if ((opts[i].verbs & verb) != 0)
			options[nb++] = (struct option){ opts[i].name, opts[i].arg == NULL ?
				no_argument : required_argument, NULL, opts[i].key };
	while ((key = getopt_long(argc, argv, "hq", options, NULL)) != -1) {
		*help = key == 'h';
		if (*help)
			return TEST_LM_OK;
		copy = optarg == NULL ? NULL : strdup(optarg);
		ret = key == '?' ? -EINVAL : set_text(conf, key, key == 'd' || key == 'r' ? copy :
			optarg);
		free(copy);
		if (key != '?' && ret != 0)
			test_lm_error("--%s %s: %s", argv[optind - 1][0] == '-' ? "" : "option",
				optarg, ret == -E2BIG ? "too many" : "I do not understand that");
		if (ret != 0)
			return TEST_LM_USAGE;
	}
	if (optind != argc || conf->address == NULL || conf->nb_devices + conf->nb_ram == 0) {
		test_lm_error(optind != argc ? "\"%s\" is not an option" :
			conf->address == NULL ? "give --%s ADDRESS" :
			"give a --device, or --ram, to be moved",
			optind != argc ? argv[optind] : verb == MIG_SEND ? "to" : "listen");
		return TEST_LM_USAGE;
	}
	return TEST_LM_OK;
}
