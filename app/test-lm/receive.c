/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mig.h"
#include "mig_load.h"
#include "mig_run.h"
#include "test_lm.h"

#define LOOK_US 200000u

static void
progress(void *ctx, const struct lm_report *report)
{
	struct mig_run *run = ctx;

	mig_screen_show(&run->screen, report);
}

/* What a VMM does for its guest: command register first, then they may run. */
static int
commit(void *ctx)
{
	struct mig_run *run = ctx;

	return mig_load_arrive(&run->side);
}

static void
running(void *ctx)
{
	struct mig_run *run = ctx;

	mig_load_pause(&run->side);
}

static int
cancel(void *ctx)
{
	struct mig_run *run = ctx;

	run->cancelled = true;
	return run->in == NULL ? 0 : lm_incoming_cancel(run->in);
}

int
mig_run_listen(struct mig_run *run)
{
	const char *why;
	int ret;

	ret = lm_listener_create(run->conf->address, &run->listener, &why);
	if (ret != 0)
		test_lm_error("LM-0002: %s: %s", run->conf->address, why);
	return ret;
}

static int
accept_from(struct mig_run *run, struct lm_channel **channel)
{
	const struct lm_channel_conf conf = { .deadline_us = run->conf->deadline_us };
	int ret;

	do {
		ret = lm_channel_accept(run->listener, &conf, LOOK_US, channel);
		if (ret != 0 && ret != -ETIMEDOUT)
			test_lm_error("a source was sent away: %s", ret == -EACCES ?
				"it belongs to another user" : ret == -EPROTONOSUPPORT ?
				"it speaks another version" : strerror(-ret));
	} while (ret != 0 && !run->cancelled);
	return ret;
}

int
mig_run_receive(struct mig_run *run)
{
	struct lm_incoming_conf conf = {
		.group = run->side.group,
		.ram = run->side.ram,
		.compat = run->side.compat,
		.timeline = run->side.timeline,
		.deadline_us = run->conf->deadline_us,
		.commit = commit,
		.running = running,
		.progress = progress,
		.ctx = run,
	};
	struct lm_incoming *in;
	unsigned int i;
	int ret;

	ret = accept_from(run, &conf.channel);
	if (ret != 0)
		return ret;
	ret = lm_incoming_create(&conf, &in);
	if (ret != 0) {
		lm_channel_destroy(conf.channel);
		test_lm_error("%s", strerror(-ret));
		return ret;
	}
	run->in = in;
	mig_screen_open(&run->screen, run->conf);
	lm_incoming_run(in);
	lm_incoming_report(in, &run->report);
	mig_screen_close(&run->screen);
	for (i = 0; i < run->side.nb; i++)
		lm_incoming_member(in, i, &run->members[i]);
	if (run->report.outcome == LM_OUTCOME_COMPLETED && run->conf->exercise)
		return mig_load_check(&run->side, &run->check);
	return 0;
}

static void
leave(struct mig_run *run)
{
	lm_listener_destroy(run->listener);
	lm_incoming_destroy(run->in);
	mig_side_close(&run->side);
}

/* The devices write to our memory: it stays until somebody says that they need it no more. */
static void
stay(const struct mig_run *run)
{
	printf("running; SIGTERM ends it\n");
	fflush(stdout);
	while (!run->cancelled)
		usleep(LOOK_US);
}

static int
cancel_or_end(void *ctx)
{
	struct mig_run *run = ctx;
	int ret = cancel(run);

	return run->report.outcome == LM_OUTCOME_COMPLETED ? 0 : ret;
}

int
test_lm_receive(int argc, char **argv)
{
	static struct mig_conf conf;
	static struct mig_run run;
	bool help = false;
	json_t *json;
	int ret;

	mig_conf_defaults(&conf);
	ret = mig_args_parse(argc, argv, MIG_RECEIVE, &conf, &help);
	if (help) {
		mig_usage(stdout, MIG_RECEIVE);
		return TEST_LM_OK;
	}
	if (ret != TEST_LM_OK || (conf.exercise && mig_load_layout(&conf, true) != 0))
		return TEST_LM_USAGE;
	run.conf = &conf;
	mig_signals_block();
	ret = mig_side_open(&run.side, &conf, false);
	if (ret == 0)
		ret = mig_run_listen(&run);
	if (ret == 0) {
		mig_signals_start(cancel_or_end, &run);
		printf("ready %s\n", lm_listener_address(run.listener));
		fflush(stdout);
		ret = mig_run_receive(&run);
	}
	if (ret != 0) {
		leave(&run);
		return TEST_LM_FAILED;
	}
	mig_explain(&conf, "destination", &run.report);
	json = mig_json("destination", &run.report, run.members, &run.check, run.side.timeline);
	if (conf.json == NULL || strcmp(conf.json, "-") != 0)
		mig_text(stdout, json);
	fflush(stdout);
	ret = mig_json_write(&conf, json);
	json_decref(json);
	if (run.report.outcome == LM_OUTCOME_COMPLETED && !conf.exercise)
		stay(&run);
	leave(&run);
	return ret == 0 ? mig_exit_code(&run.report, &run.check) : TEST_LM_FAILED;
}
