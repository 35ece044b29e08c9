/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MIG_RUN_H
#define MIG_RUN_H

/** @file One run of a side, from opening its devices to its report; send.c and receive.c. */

#include "mig.h"

struct mig_run {
	const struct mig_conf *conf;
	bool signals; /* cancel on SIGINT and SIGTERM */
	struct mig_side side;
	struct mig_load load;
	bool loaded;
	struct mig_screen screen;
	struct lm_outgoing *out;
	struct lm_incoming *in;
	struct lm_listener *listener;
	_Atomic bool cancelled;
	struct lm_report report;
	struct lm_member_report members[MIG_MAX_DEVICES];
	struct mig_check check;
};

/** Start the load and let it run for a while. @return 0 or -errno, after a message */
int mig_run_load(struct mig_run *run);
/** Migrate; the result is in report. @return -errno after a message when it did not begin */
int mig_run_send(struct mig_run *run);
/** Listen at conf->address. @return 0 or -errno, after a message */
int mig_run_listen(struct mig_run *run);
/** Wait for a source and take what it has; check it, when it was exercised. As mig_run_send(). */
int mig_run_receive(struct mig_run *run);

#endif /* MIG_RUN_H */
