/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mig.h"
#include "mig_load.h"
#include "mig_run.h"
#include "test_lm.h"

static void
progress(void *ctx, const struct lm_report *report)
{
	struct mig_run *run = ctx;

	mig_screen_show(&run->screen, report);
}

static int
quiesce(void *ctx)
{
	struct mig_run *run = ctx;

	return run->loaded ? mig_load_hold(&run->load) : 0;
}

static void
resume(void *ctx)
{
	struct mig_run *run = ctx;

	if (run->loaded)
		mig_load_let_go(&run->load);
}

static int
cancel(void *ctx)
{
	struct mig_run *run = ctx;

	return lm_outgoing_cancel(run->out);
}

static int
connect_to(struct mig_run *run, struct lm_channel **channel)
{
	const struct lm_channel_conf conf = {
		.nb_bulk = run->conf->connections,
		.deadline_us = run->conf->deadline_us,
		.bytes_per_s = run->conf->bytes_per_s,
	};
	int ret = lm_channel_connect(run->conf->address, &conf, channel);

	if (ret != 0)
		test_lm_error("LM-0001: %s: %s", run->conf->address, ret == -EINVAL ?
			"an address is unix:PATH or tcp:HOST:PORT" : ret == -EACCES ?
			"it belongs to another user" : ret == -EPROTONOSUPPORT ?
			"it speaks another version" : strerror(-ret));
	return ret;
}

int
mig_run_load(struct mig_run *run)
{
	const struct timespec nap = {
		.tv_sec = run->conf->load_ms / 1000,
		.tv_nsec = run->conf->load_ms % 1000 * 1000000L,
	};
	int ret;

	ret = mig_load_start(&run->load, &run->side);
	run->loaded = ret == 0;
	if (ret == 0)
		nanosleep(&nap, NULL);
	return ret;
}

int
mig_run_send(struct mig_run *run)
{
	const struct mig_conf *c = run->conf;
	struct lm_outgoing_conf conf = {
		.group = run->side.group,
		.tracker = run->side.tracker,
		.ram = run->side.ram,
		.compat = run->side.compat,
		.timeline = run->side.timeline,
		.downtime_limit_us = c->downtime_limit_us,
		.precopy_us = c->precopy_us,
		.force_after_us = c->force_after_us,
		.deadline_us = c->deadline_us,
		.zstd = c->zstd,
		.quiesce = quiesce,
		.resume = resume,
		.progress = progress,
		.ctx = run,
	};
	struct lm_calibration known;
	unsigned int i;
	int ret;

	if (c->calibration != NULL) {
		mig_calibration_read(c->calibration, &known);
		conf.calibration = &known;
	}
	ret = connect_to(run, &conf.channel);
	if (ret != 0)
		return ret;
	ret = lm_outgoing_create(&conf, &run->out);
	if (ret != 0) {
		lm_channel_destroy(conf.channel);
		test_lm_error("%s", strerror(-ret));
		return ret;
	}
	if (run->signals)
		mig_signals_start(cancel, run);
	mig_screen_open(&run->screen, c);
	lm_outgoing_run(run->out);
	lm_outgoing_report(run->out, &run->report);
	mig_screen_close(&run->screen);
	for (i = 0; i < run->side.nb; i++)
		lm_outgoing_member(run->out, i, &run->members[i]);
	if (c->calibration != NULL && run->report.outcome == LM_OUTCOME_COMPLETED)
		(void)mig_calibration_write(c->calibration, &known);
	return 0;
}

static void
undecided(struct mig_run *run)
{
	bool source_runs = mig_await_resolve(run->conf);

	lm_outgoing_resolve(run->out, source_runs);
	lm_outgoing_report(run->out, &run->report);
	printf("resolved: the %s runs: %s\n", source_runs ? "source" : "destination",
		lm_outcome_name(run->report.outcome));
}

/* Devices that ran on here must not be left writing to memory that goes away with us. */
static void
leave(struct mig_run *run)
{
	mig_load_end(&run->load);
	if (run->out != NULL)
		lm_outgoing_destroy(run->out);
	mig_side_close(&run->side);
}

int
test_lm_send(int argc, char **argv)
{
	static struct mig_conf conf;
	static struct mig_run run;
	bool help = false;
	json_t *json;
	int ret;

	mig_conf_defaults(&conf);
	ret = mig_args_parse(argc, argv, MIG_SEND, &conf, &help);
	if (help) {
		mig_usage(stdout, MIG_SEND);
		return TEST_LM_OK;
	}
	if (ret != TEST_LM_OK || (conf.exercise && mig_load_layout(&conf, true) != 0))
		return TEST_LM_USAGE;
	run.conf = &conf;
	run.signals = true;
	mig_signals_block();
	ret = mig_side_open(&run.side, &conf, true);
	if (ret == 0 && conf.exercise)
		ret = mig_run_load(&run);
	if (ret == 0)
		ret = mig_run_send(&run);
	if (ret != 0) {
		leave(&run);
		return TEST_LM_FAILED;
	}
	mig_explain(&conf, "source", &run.report);
	json = mig_json("source", &run.report, run.members, NULL, run.side.timeline);
	if (conf.json == NULL || strcmp(conf.json, "-") != 0)
		mig_text(stdout, json);
	fflush(stdout);
	ret = mig_json_write(&conf, json);
	json_decref(json);
	if (run.report.outcome == LM_OUTCOME_UNDECIDED)
		undecided(&run);
	leave(&run);
	return ret == 0 ? mig_exit_code(&run.report, NULL) : TEST_LM_FAILED;
}
