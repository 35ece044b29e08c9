/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "dm_args.h"
#include "dm_control.h"
#include "dm_function.h"
#include "dm_virtio_net.h"

struct dm_app {
	struct dm_function f;
	struct dm_loop *loop;
	struct dm_wire *wire;
	struct dm_control *control;
	int signal_fd;
};

static int
dm_app_fail(const char *what, const char *which, int ret)
{
	fprintf(stderr, "%s %s: %s\n", what, which, strerror(-ret));
	return ret;
}

static unsigned int
dm_app_poll(void *ctx, uint64_t now_ns)
{
	struct dm_app *app = ctx;

	return app->f.device.ops->poll(app->f.device.dev, now_ns);
}

static uint32_t
dm_app_sleep(void *ctx)
{
	struct dm_app *app = ctx;

	return app->f.device.ops->sleep(app->f.device.dev);
}

static void
dm_app_signal(void *ctx)
{
	struct dm_app *app = ctx;

	dm_loop_stop(app->loop);
}

static int
dm_app_signals(struct dm_app *app)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	app->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (app->signal_fd < 0)
		return -errno;
	return dm_loop_add(app->loop, app->signal_fd, dm_app_signal, app);
}

static int
dm_app_command(void *ctx, const char *cmd, const json_t *args, json_t *reply, const char **error)
{
	struct dm_function *f = ctx;
	const char *spec;

	if (strcmp(cmd, "stats") == 0)
		return dm_function_stats(f, reply);
	if (strcmp(cmd, "fault") != 0)
		return f->device.ops->control(f->device.dev, cmd, args, error);
	*error = "unknown fault";
	spec = json_string_value(json_object_get(args, "spec"));
	return spec == NULL ? -EINVAL : dm_function_fault(f, spec);
}

static int
dm_app_device(struct dm_app *app, const struct dm_args *args)
{
	struct dm_net_conf conf = {
		.host = &app->f.host,
		.pci = &app->f.pci,
		.wire = app->wire,
		.pairs = args->queue_pairs,
		.queue_size = args->queue_size,
		.mtu = args->mtu,
		.feature_mask = args->features,
		.notify_shared = args->notify_shared,
	};

	memcpy(conf.mac, args->mac, sizeof(conf.mac));
	return dm_net_create(&conf, &app->f.device);
}

static int
dm_app_open(struct dm_app *app, const struct dm_args *args)
{
	const struct dm_loop_worker worker = {
		.poll = dm_app_poll,
		.sleep = dm_app_sleep,
		.ctx = app,
	};
	int ret;

	dm_function_init(&app->f, args->socket);
	app->f.faults = args->faults;
	app->signal_fd = -1;
	ret = dm_loop_create(&worker, &app->loop);
	if (ret == 0)
		ret = dm_app_signals(app);
	if (ret != 0)
		return dm_app_fail("cannot start", "the event loop", ret);
	ret = dm_wire_open(args->wire, &app->wire);
	if (ret != 0)
		return dm_app_fail("cannot open wire", args->wire, ret);
	ret = dm_app_device(app, args);
	if (ret != 0)
		return dm_app_fail("cannot create", "virtio-net", ret);
	if (args->control != NULL) {
		ret = dm_control_open(args->control, dm_app_command, &app->f, app->loop,
				&app->control);
		if (ret != 0)
			return dm_app_fail("cannot listen at", args->control, ret);
	}
	ret = dm_function_open(&app->f);
	if (ret == 0)
		ret = dm_function_watch(&app->f, app->loop);
	return ret == 0 ? 0 : dm_app_fail("cannot listen at", args->socket, ret);
}

static void
dm_app_close(struct dm_app *app)
{
	dm_control_close(app->control);
	dm_function_close(&app->f);
	dm_wire_close(app->wire);
	dm_loop_destroy(app->loop);
	if (app->signal_fd >= 0)
		close(app->signal_fd);
}

int
main(int argc, char **argv)
{
	struct dm_args args;
	struct dm_app *app;
	int ret;

	if (dm_args_parse(argc, argv, &args) != 0) {
		fprintf(stderr, "'%s --help' lists the options\n", argv[0]);
		return 2;
	}
	if (args.help) {
		dm_args_usage(argv[0]);
		return 0;
	}
	app = calloc(1, sizeof(*app));
	if (app == NULL)
		return 1;
	ret = dm_app_open(app, &args);
	if (ret == 0) {
		printf("ready %s\n", args.socket);
		fflush(stdout);
		dm_loop_run(app->loop);
	}
	dm_app_close(app);
	free(app);
	return ret == 0 ? 0 : 1;
}
