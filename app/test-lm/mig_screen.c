/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "mig.h"
#include "test_lm.h"

#define SHOW_US 100000u
#define MIB(bytes) ((double)(bytes) / (1024 * 1024))
#define MS(us) ((double)(us) / 1000)

void
mig_screen_open(struct mig_screen *s, const struct mig_conf *conf)
{
	memset(s, 0, sizeof(*s));
	s->out = stderr;
	s->quiet = conf->quiet;
	s->moving = isatty(STDERR_FILENO) == 1;
	if (conf->jsonl == NULL)
		return;
	s->jsonl = strcmp(conf->jsonl, "-") == 0 ? stdout : fopen(conf->jsonl, "w");
	if (s->jsonl == NULL)
		test_lm_error("%s: %s", conf->jsonl, strerror(errno));
}

static void
show_json(struct mig_screen *s, const struct lm_report *r)
{
	json_t *o = json_pack("{s:f,s:s,s:s,s:I,s:I,s:I,s:I,s:f,s:s}",
		"t", MS(r->total_us), "status", lm_outcome_name(r->outcome),
		"phase", lm_phase_name(r->phase),
		"transferred", (json_int_t)r->ram.transferred_bytes,
		"remaining", (json_int_t)(r->ram.remaining_bytes + r->device_remaining_bytes),
		"dirty-pages-rate", (json_int_t)r->ram.dirty_pages_per_s,
		"dirty-sync-count", (json_int_t)r->rounds,
		"expected-downtime", MS(r->expected_downtime_us),
		"convergence", lm_converge_name(r->verdict));

	json_dumpf(o, s->jsonl, JSON_COMPACT);
	fputc('\n', s->jsonl);
	fflush(s->jsonl);
	json_decref(o);
}

void
mig_screen_show(struct mig_screen *s, const struct lm_report *r)
{
	bool news = !s->begun || r->phase != s->phase || r->outcome != LM_OUTCOME_NONE;

	if (!news && r->total_us - s->shown_us < SHOW_US)
		return;
	s->begun = true;
	s->phase = r->phase;
	s->shown_us = r->total_us;
	if (s->jsonl != NULL)
		show_json(s, r);
	if (s->quiet)
		return;
	if (s->moving)
		fprintf(s->out, "\r%8.1f s  %-9s %8.1f MiB sent %7.1f left %5.0f MiB/s  "
			"round %-3u down %.1f ms %-10s", MS(r->total_us) / 1000,
			lm_phase_name(r->phase), MIB(r->ram.transferred_bytes),
			MIB(r->ram.remaining_bytes + r->device_remaining_bytes),
			MIB(r->bytes_per_s), r->rounds, MS(r->expected_downtime_us),
			r->verdict == LM_CONVERGE_UNKNOWN ? "" : lm_converge_name(r->verdict));
	else if (news)
		fprintf(s->out, "%8.3f s  %s\n", MS(r->total_us) / 1000,
			r->outcome == LM_OUTCOME_NONE ? lm_phase_name(r->phase) :
			lm_outcome_name(r->outcome));
	fflush(s->out);
}

void
mig_screen_close(struct mig_screen *s)
{
	if (s->moving && s->begun && !s->quiet)
		fputc('\n', s->out);
	if (s->jsonl != NULL && s->jsonl != stdout)
		fclose(s->jsonl);
	s->jsonl = NULL;
}
