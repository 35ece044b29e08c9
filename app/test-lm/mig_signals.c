/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "mig.h"
#include "test_lm.h"

static struct {
	int (*cancel)(void *ctx);
	void *ctx;
} on_signal;

static void
signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

void
mig_signals_block(void)
{
	sigset_t set;

	signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void *
signals_main(void *arg)
{
	sigset_t set;
	int sig;

	(void)arg;
	signal_set(&set);
	sigwait(&set, &sig);
	if (on_signal.cancel(on_signal.ctx) == -EALREADY)
		test_lm_error("too late to give up: the destination has been told to run; a second "
			"signal leaves at once");
	else
		test_lm_error("giving up; a second signal leaves at once");
	sigwait(&set, &sig);
	test_lm_error("left at once: devices stay as they are; reset them before they are used");
	_exit(TEST_LM_LOST);
	return NULL;
}

int
mig_signals_start(int (*cancel)(void *ctx), void *ctx)
{
	pthread_t t;
	int ret;

	on_signal.cancel = cancel;
	on_signal.ctx = ctx;
	ret = pthread_create(&t, NULL, signals_main, NULL);
	if (ret == 0)
		pthread_detach(t);
	return -ret;
}
