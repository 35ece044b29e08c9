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
#include "dm_type.h"

struct dm_app {
	struct dm_function functions[DM_MAX_FUNCTIONS];
	uint32_t nb_functions;
	struct dm_wire *wires[DM_MAX_FUNCTIONS];
	struct dm_loop *loop;
	struct dm_control *control;
	struct dm_trace *trace;
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
	unsigned int work = 0;
	uint32_t i;

	for (i = 0; i < app->nb_functions; i++)
		work += app->functions[i].device.ops->poll(app->functions[i].device.dev, now_ns);
	return work;
}

static uint32_t
dm_app_sleep(void *ctx)
{
	struct dm_app *app = ctx;
	uint32_t sleep_us = UINT32_MAX;
	uint32_t i, us;

	for (i = 0; i < app->nb_functions; i++) {
		us = app->functions[i].device.ops->sleep(app->functions[i].device.dev);
		sleep_us = us < sleep_us ? us : sleep_us;
	}
	return sleep_us;
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

/* "function": which one, in the order of --socket; the first without it. */
static struct dm_function *
dm_app_which(struct dm_app *app, const json_t *args)
{
	const json_t *number = json_object_get(args, "function");
	json_int_t i = number == NULL ? 0 : json_integer_value(number);

	if (number != NULL && !json_is_integer(number))
		return NULL;
	return i < 0 || i >= (json_int_t)app->nb_functions ? NULL : &app->functions[i];
}

static int
dm_app_command(void *ctx, const char *cmd, const json_t *args, json_t *reply, const char **error)
{
	struct dm_function *f = dm_app_which(ctx, args);
	const char *spec;

	if (f == NULL) {
		*error = "no such function";
		return -EINVAL;
	}
	if (strcmp(cmd, "stats") == 0)
		return dm_function_stats(f, reply);
	if (strcmp(cmd, "fault") != 0)
		return f->device.ops->control(f->device.dev, cmd, args, error);
	*error = "unknown fault";
	spec = json_string_value(json_object_get(args, "spec"));
	return spec == NULL ? -EINVAL : dm_function_fault(f, spec);
}

/* A fault of the command line goes to every function that knows it. */
static int
dm_app_faults(struct dm_app *app, const struct dm_args *args)
{
	uint32_t i, k, known;

	for (k = 0; k < args->nb_fault_specs; k++) {
		known = 0;
		for (i = 0; i < app->nb_functions; i++)
			known += dm_function_fault(&app->functions[i], args->fault_specs[k]) == 0;
		if (known == 0)
			return dm_app_fail("cannot do fault", args->fault_specs[k], -EINVAL);
	}
	return 0;
}

static int
dm_app_devices(struct dm_app *app, const struct dm_args *args)
{
	uint32_t i;
	int ret;

	for (i = 0; i < args->type->max_wires; i++) {
		ret = dm_wire_open(args->wires[i], &app->wires[i]);
		if (ret != 0)
			return dm_app_fail("cannot open wire", args->wires[i], ret);
	}
	app->nb_functions = args->nb_sockets;
	for (i = 0; i < app->nb_functions; i++) {
		dm_function_init(&app->functions[i], args->sockets[i]);
		app->functions[i].faults = args->faults;
		app->functions[i].host.trace = app->trace;
	}
	ret = args->type->create(args, app->wires, app->functions);
	for (i = 0; i < app->nb_functions; i++)
		app->functions[i].device.iova_bits = (uint8_t)args->iova_bits;
	return ret == 0 ? dm_app_faults(app, args) :
			dm_app_fail("cannot create", args->type->name, ret);
}

static int
dm_app_serve(struct dm_app *app)
{
	struct dm_function *f;
	uint32_t i;
	int ret;

	for (i = 0; i < app->nb_functions; i++) {
		f = &app->functions[i];
		ret = dm_function_open(f);
		if (ret == 0)
			ret = dm_function_watch(f, app->loop);
		if (ret != 0)
			return dm_app_fail("cannot listen at", f->path, ret);
	}
	return 0;
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

	app->signal_fd = -1;
	ret = dm_loop_create(&worker, &app->loop);
	if (ret == 0)
		ret = dm_app_signals(app);
	if (ret != 0)
		return dm_app_fail("cannot start", "the event loop", ret);
	if (args->trace != NULL && dm_trace_create(&app->trace) != 0)
		return -ENOMEM;
	ret = dm_app_devices(app, args);
	if (ret != 0)
		return ret;
	if (args->control != NULL) {
		ret = dm_control_open(args->control, dm_app_command, app, app->loop,
				&app->control);
		if (ret != 0)
			return dm_app_fail("cannot listen at", args->control, ret);
	}
	return dm_app_serve(app);
}

static void
dm_app_close(struct dm_app *app)
{
	uint32_t i;

	dm_control_close(app->control);
	for (i = 0; i < app->nb_functions; i++)
		dm_function_close(&app->functions[i]);
	for (i = 0; i < DM_MAX_FUNCTIONS; i++)
		dm_wire_close(app->wires[i]);
	dm_trace_destroy(app->trace);
	dm_loop_destroy(app->loop);
	if (app->signal_fd >= 0)
		close(app->signal_fd);
}

int
main(int argc, char **argv)
{
	struct dm_args args;
	struct dm_app *app;
	uint32_t i;
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
		for (i = 0; i < args.nb_sockets; i++)
			printf("ready %s\n", args.sockets[i]);
		fflush(stdout);
		dm_loop_run(app->loop);
	}
	if (ret == 0 && app->trace != NULL) {
		ret = dm_trace_save(app->trace, args.type->name, args.trace);
		if (ret != 0)
			dm_app_fail("cannot write", args.trace, ret);
	}
	dm_app_close(app);
	free(app);
	return ret == 0 ? 0 : 1;
}
