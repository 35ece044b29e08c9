/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fwd.h"
#include "lm_compat_rec.h"
#include "lm_pci.h"
#include "lm_port.h"
#include "lm_ram.h"
#include "lm_session.h"
#include "lm_tracker.h"
#include "lm_vfio.h"
#include "lm_window.h"
#include "mig.h"

#define PARK_US UINT64_C(100000)
#define LOOK_US UINT64_C(200000)
#define FORCE_US UINT64_C(5000000) /* what was slow once makes a long downtime predicted */
#define PAGE 4096u

/* What a side of a session is made of. */
struct side {
	struct lm_group *group;
	struct lm_tracker *tracker;
	struct lm_compat *compat;
};

static uint64_t
cpu_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static int
tracker_open(struct fwd *f, struct side *s, const struct lm_provider *p)
{
	const struct lm_tracker_conf conf = { .page_size_bytes = PAGE, .timeline = f->timeline };
	struct lm_interval iv = { .len_bytes = lm_window_size(f->window) };
	int ret;

	iv.from = iv.to = (uintptr_t)lm_window_base(f->window);
	ret = lm_tracker_create(&conf, &s->tracker);
	if (ret == 0)
		ret = lm_tracker_map(s->tracker, &iv);
	if (ret == 0)
		ret = lm_tracker_add_provider(s->tracker, FWD_PORT, p, lm_group_caps(s->group, 0));
	return ret;
}

static int
side_open(struct fwd *f, struct side *s, bool source)
{
	const struct lm_group_conf group = { .deadline_us = LM_SESSION_DEADLINE_US };
	const struct lm_member_conf member = {
		.name = FWD_PORT,
		.provider = lm_vfio_provider(f->vfio),
		.timeline = f->timeline,
	};
	int ret;

	memset(s, 0, sizeof(*s));
	ret = lm_group_create(&group, &s->group);
	if (ret == 0)
		ret = lm_group_add(s->group, &member) < 0 ? -EIO : 0;
	if (ret == 0 && source && f->conf.precopy)
		ret = tracker_open(f, s, &member.provider);
	if (ret == 0)
		ret = lm_compat_create(s->group, f->ram, &s->compat);
	if (ret == 0)
		lm_window_describe(f->window, &s->compat->window);
	if (ret != 0)
		fwd_error("%s", strerror(-ret));
	return ret;
}

static void
side_close(struct side *s)
{
	lm_tracker_destroy(s->tracker);
	lm_group_destroy(s->group);
	lm_compat_destroy(s->compat);
}

static void
progress(void *ctx, const struct lm_report *report)
{
	struct fwd *f = ctx;

	if (f->cpu_ns[report->phase] == 0)
		f->cpu_ns[report->phase] = cpu_now_ns();
}

/* CPU time of this process, phase by phase of the downtime. */
static json_t *
cpu_json(const struct fwd *f)
{
	json_t *o = json_object();
	uint64_t end_ns = f->cpu_end_ns;
	unsigned int i;

	for (i = LM_PHASE_NB; i-- > 0;) {
		if (f->cpu_ns[i] == 0)
			continue;
		if (i >= LM_PHASE_QUIESCE && i <= LM_PHASE_RESUME)
			json_object_set_new(o, lm_phase_name((enum lm_phase)i),
				json_real((double)(end_ns - f->cpu_ns[i]) / 1e6));
		end_ns = f->cpu_ns[i];
	}
	return o;
}

/* Between two bursts first: an application that holds no frame loses none. */
static int
quiesce(void *ctx)
{
	const char *late = NULL;
	struct fwd *f = ctx;
	int ret;

	ret = fwd_poll_rest(f);
	if (ret == 0)
		ret = lm_ports_park(f->window, PARK_US, &late);
	if (ret != 0) {
		fwd_error("a polling thread stays in %s: %s", late != NULL ? late : "its queues",
			strerror(-ret));
		fwd_poll_go_on(f);
	}
	return ret;
}

static int
stopped(void *ctx)
{
	struct fwd *f = ctx;

	return lm_ports_save(f->window, f->ram);
}

static void
resume(void *ctx)
{
	struct fwd *f = ctx;

	(void)lm_ports_take_back(f->window);
	fwd_poll_go_on(f);
}

int
fwd_send(struct fwd *f, const char *to, json_t **out)
{
	const struct lm_channel_conf channel = { .nb_bulk = f->conf.connections };
	struct lm_outgoing_conf conf = {
		.ram = f->ram, .timeline = f->timeline, .quiesce = quiesce, .stopped = stopped,
		.resume = resume, .progress = progress, .ctx = f,
		.force_after_us = FORCE_US,
	};
	struct lm_member_report member;
	struct lm_outgoing *o = NULL;
	struct lm_report report;
	struct side s;
	int ret;

	memset(f->cpu_ns, 0, sizeof(f->cpu_ns));
	memset(&s, 0, sizeof(s));
	ret = fwd_migration_open(f);
	if (ret == 0)
		ret = side_open(f, &s, true);
	if (ret == 0)
		ret = lm_channel_connect(to, &channel, &conf.channel);
	if (ret == 0) {
		conf.group = s.group;
		conf.tracker = s.tracker;
		conf.compat = s.compat;
		ret = lm_outgoing_create(&conf, &o);
		if (ret != 0)
			lm_channel_destroy(conf.channel);
	}
	if (ret != 0) {
		side_close(&s);
		*out = json_pack("{s:s}", "error", strerror(-ret));
		return ret;
	}
	lm_outgoing_run(o);
	f->cpu_end_ns = cpu_now_ns();
	lm_outgoing_report(o, &report);
	lm_outgoing_member(o, 0, &member);
	*out = mig_json("source", &report, &member, NULL, NULL);
	json_object_set_new(*out, "cpu", cpu_json(f));
	f->gone = report.outcome == LM_OUTCOME_COMPLETED;
	lm_outgoing_destroy(o);
	side_close(&s);
	return 0;
}

static int
commit(void *ctx)
{
	struct fwd *f = ctx;
	int ret = lm_ports_load(f->window);

	if (ret != 0)
		fwd_error("the queues that came cannot be adopted: %s", strerror(-ret));
	return ret;
}

static void
running(void *ctx)
{
	struct fwd *f = ctx;
	int ret = lm_ports_run(f->window);

	if (ret != 0)
		fwd_error("the port does not run: %s", strerror(-ret));
	f->announce = true;
	fwd_poll_go_on(f);
}

static int
receive_from(struct fwd *f, const struct side *s, struct lm_channel *channel, json_t **out)
{
	const struct lm_incoming_conf conf = {
		.group = s->group, .ram = f->ram, .compat = s->compat, .channel = channel,
		.timeline = f->timeline, .commit = commit, .running = running,
		.progress = progress, .ctx = f,
	};
	struct lm_member_report member;
	struct lm_incoming *in;
	struct lm_report report;
	int ret;

	ret = lm_incoming_create(&conf, &in);
	if (ret != 0) {
		lm_channel_destroy(channel);
		return ret;
	}
	lm_incoming_run(in);
	f->cpu_end_ns = cpu_now_ns();
	lm_incoming_report(in, &report);
	lm_incoming_member(in, 0, &member);
	*out = mig_json("destination", &report, &member, NULL, NULL);
	json_object_set_new(*out, "cpu", cpu_json(f));
	lm_incoming_destroy(in);
	return report.outcome == LM_OUTCOME_COMPLETED ? 0 : -ECANCELED;
}

int
fwd_receive(struct fwd *f, json_t **out)
{
	const struct lm_channel_conf channel = { .nb_bulk = f->conf.connections };
	struct lm_channel *c;
	struct side s;
	int ret;

	memset(f->cpu_ns, 0, sizeof(f->cpu_ns));
	ret = side_open(f, &s, false);
	while (ret == 0) {
		ret = lm_channel_accept(f->listener, &channel, LOOK_US, &c);
		if (ret == 0) {
			ret = receive_from(f, &s, c, out);
			break;
		}
		ret = ret == -ETIMEDOUT && !f->quit ? 0 : ret;
	}
	side_close(&s);
	return ret;
}
