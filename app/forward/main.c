/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fwd.h"
#include "lm_channel.h"
#include "test_lm.h"

void
fwd_error(const char *fmt, ...)
{
	va_list ap;

	fputs("dpdk-lm-forward: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* For what this program shares with dpdk-test-lm. */
void
test_lm_error(const char *fmt, ...)
{
	va_list ap;

	fputs("dpdk-lm-forward: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void
usage(FILE *out)
{
	fprintf(out,
		"Usage: dpdk-lm-forward --device SOCKET --migration SOCKET --control PATH "
		"[OPTION]...\n\n"
		"Answer test frames on a pds VF, and move with it while its queues run.\n\n"
		"  --device SOCKET     the VF, served over vfio-user\n"
		"  --migration SOCKET  where the owner of its PF serves the VF's migration\n"
		"  --listen ADDRESS    wait for another dpdk-lm-forward and take its place;\n"
		"                      unix:PATH or tcp:HOST:PORT\n"
		"  --control PATH      a JSON object a line: stats, arrival, migrate with \"to\", "
		"quit\n"
		"  --queues N          1 to 16 (default 1)\n"
		"  --desc N            of each ring (default 512)\n"
		"  --buffers N         (default: three for each descriptor)\n"
		"  --connections N     of a migration, for bulk (default 1)\n"
		"  --precopy           send all buffers before the stop\n"
		"  --plugin FILE       liblm_net_pds.so\n\n"
		"Both sides of a migration need the same queues, descriptors and buffers.\n");
}

static int
parse(int argc, char **argv, struct fwd_conf *c)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "migration", required_argument, NULL, 'm' },
		{ "listen", required_argument, NULL, 'l' },
		{ "control", required_argument, NULL, 'c' },
		{ "queues", required_argument, NULL, 'q' },
		{ "desc", required_argument, NULL, 'n' },
		{ "buffers", required_argument, NULL, 'b' },
		{ "connections", required_argument, NULL, 'x' },
		{ "precopy", no_argument, NULL, 'p' },
		{ "plugin", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int *numbers[128] = {
		['q'] = &c->queues, ['n'] = &c->desc, ['b'] = &c->buffers, ['x'] = &c->connections,
	};
	const char **texts[128] = {
		['d'] = &c->socket, ['m'] = &c->migration, ['l'] = &c->listen, ['c'] = &c->control,
		['g'] = &c->plugin,
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'h')
			return 1;
		if (opt == 'p')
			c->precopy = true;
		else if (opt < 128 && numbers[opt] != NULL)
			*numbers[opt] = (unsigned int)strtoul(optarg, NULL, 0);
		else if (opt < 128 && texts[opt] != NULL)
			*texts[opt] = optarg;
		else
			return -EINVAL;
	}
	if (c->buffers == 0)
		c->buffers = 3 * c->queues * c->desc + 64;
	return optind == argc && c->socket != NULL && c->migration != NULL && c->control != NULL &&
		c->queues >= 1 && c->queues <= FWD_MAX_QUEUES && c->desc >= 64 &&
		c->desc <= 16384 && c->buffers <= 1u << 20 ? 0 : -EINVAL;
}

/* Listen before anybody is told, so that a source finds somebody. */
static int
arrive(struct fwd *f, json_t **arrival)
{
	const char *why;
	int ret;

	f->rest = true;
	ret = lm_listener_create(f->conf.listen, &f->listener, &why);
	if (ret != 0) {
		fwd_error("%s: %s", f->conf.listen, why);
		return ret;
	}
	ret = fwd_poll_start(f);
	if (ret == 0) {
		printf("listening %s\n", lm_listener_address(f->listener));
		fflush(stdout);
		ret = fwd_receive(f, arrival);
	}
	lm_listener_destroy(f->listener);
	return ret;
}

int
main(int argc, char **argv)
{
	static struct fwd f;
	json_t *arrival = NULL;
	int ret;

	f.conf = (struct fwd_conf){ .queues = 1, .desc = 512, .connections = 1 };
	ret = parse(argc, argv, &f.conf);
	if (ret != 0) {
		usage(ret > 0 ? stdout : stderr);
		return ret > 0 ? 0 : 2;
	}
	ret = fwd_open(&f);
	if (ret == 0)
		ret = f.conf.listen != NULL ? arrive(&f, &arrival) : fwd_poll_start(&f);
	if (ret == 0)
		ret = fwd_control(&f, arrival);
	fwd_poll_end(&f);
	if (ret == 0)
		fwd_close(&f);
	json_decref(arrival);
	return ret == 0 ? 0 : 1;
}
