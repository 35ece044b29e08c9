/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "dm_control.h"
#include "dm_loop.h"
#include "dm_traffic.h"

struct app {
	struct dm_traffic traffic;
	struct dm_loop *loop;
	struct dm_control *control;
	int signal_fd;
};

static int
fail(const char *what, const char *which, int ret)
{
	fprintf(stderr, "%s %s: %s\n", what, which, strerror(-ret));
	return ret;
}

static unsigned int
app_poll(void *ctx, uint64_t now_ns)
{
	return dm_traffic_poll(ctx, now_ns);
}

static uint32_t
app_sleep(void *ctx)
{
	return dm_traffic_idle_us(ctx, dm_loop_now_ns());
}

static void
app_signal(void *ctx)
{
	dm_loop_stop(ctx);
}

static int
open_loop(struct app *app)
{
	const struct dm_loop_worker worker = {
		.poll = app_poll, .sleep = app_sleep, .ctx = &app->traffic,
	};
	sigset_t set;
	int ret;

	ret = dm_loop_create(&worker, &app->loop);
	if (ret < 0)
		return ret;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	app->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (app->signal_fd < 0)
		return -errno;
	return dm_loop_add(app->loop, app->signal_fd, app_signal, app->loop);
}

/* NAME=PATH listens there; NAME=KIND:... is any other wire. */
static int
open_port(struct app *app, const char *text)
{
	static const char *const kinds[] = { "listen:", "link:", "tap:" };
	const char *where = strchr(text, '=') + 1;
	char name[DM_TRAFFIC_NAME_BYTES], spec[160];
	const char *prefix = "listen:";
	size_t i, n = (size_t)(where - 1 - text);
	int fd, ret;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(where, kinds[i], strlen(kinds[i])) == 0)
			prefix = "";
	if (n >= sizeof(name))
		return -EINVAL;
	memcpy(name, text, n);
	name[n] = '\0';
	n = (size_t)snprintf(spec, sizeof(spec), "%s%s", prefix, where);
	if (n >= sizeof(spec))
		return -ENAMETOOLONG;
	ret = dm_traffic_add_port(&app->traffic, name, spec);
	if (ret < 0)
		return ret;
	fd = dm_wire_fd(app->traffic.ports[app->traffic.port_count - 1].wire);
	return fd < 0 ? 0 : dm_loop_add(app->loop, fd, NULL, NULL);
}

static int
app_open(struct app *app, const struct dm_traffic_args *args)
{
	uint32_t i;
	int ret;

	ret = open_loop(app);
	if (ret < 0)
		return fail("cannot start", "the event loop", ret);
	ret = dm_gen_create(&args->gen, &app->traffic.gen);
	if (ret < 0)
		return fail("cannot start", "the generator (rate, size, flows or burst)", ret);
	memcpy(app->traffic.guest_mac, args->gen.guest_mac, 6);
	for (i = 0; i < args->port_count; i++) {
		ret = open_port(app, args->ports[i]);
		if (ret < 0)
			return fail("cannot open port", args->ports[i], ret);
	}
	if (args->control == NULL) {
		dm_gen_start(app->traffic.gen, dm_loop_now_ns());
		return 0;
	}
	ret = dm_control_open(args->control, dm_traffic_command, &app->traffic, app->loop,
		&app->control);
	return ret < 0 ? fail("cannot listen at", args->control, ret) : 0;
}

static void
app_close(struct app *app)
{
	dm_control_close(app->control);
	dm_traffic_close(&app->traffic);
	dm_loop_destroy(app->loop);
	if (app->signal_fd >= 0)
		close(app->signal_fd);
}

int
main(int argc, char **argv)
{
	struct dm_traffic_args args;
	struct app *app;
	int ret;

	if (dm_traffic_parse(argc, argv, &args) < 0) {
		fprintf(stderr, "'%s --help' lists the options\n", argv[0]);
		return 2;
	}
	if (args.help) {
		dm_traffic_usage(argv[0]);
		return 0;
	}
	app = calloc(1, sizeof(*app));
	if (app == NULL)
		return 1;
	app->signal_fd = -1;
	ret = app_open(app, &args);
	if (ret == 0) {
		printf("ready\n");
		fflush(stdout);
		dm_loop_run(app->loop);
	}
	app_close(app);
	free(app);
	return ret == 0 ? 0 : 1;
}
