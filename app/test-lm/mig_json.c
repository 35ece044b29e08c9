/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lm_timeline.h"
#include "mig.h"
#include "test_lm.h"

#define SCHEMA 1
#define MS(us) ((double)(us) / 1000.0)
#define PAGE LM_RAM_PAGE_BYTES

/* Names and units as in QEMU's query-migrate, where it has them: milliseconds and bytes. */
static json_t *
json_ram(const struct lm_report *r)
{
	const struct lm_ram_report *ram = &r->ram;

	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:i}",
		"transferred", (json_int_t)ram->transferred_bytes,
		"remaining", (json_int_t)ram->remaining_bytes,
		"total", (json_int_t)ram->total_bytes,
		"duplicate", (json_int_t)ram->duplicate_pages,
		"normal", (json_int_t)ram->normal_pages,
		"normal-bytes", (json_int_t)(ram->normal_pages * PAGE),
		"compressed-bytes", (json_int_t)ram->compressed_bytes,
		"dirty-sync-count", (json_int_t)r->rounds,
		"dirty-pages-rate", (json_int_t)ram->dirty_pages_per_s,
		"mbps", (double)r->bytes_per_s * 8 / 1e6,
		"page-size", (int)PAGE);
}

static json_t *
json_phases(const struct lm_report *r)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < LM_PHASE_NB; i++)
		json_array_append_new(list, json_pack("{s:s,s:f,s:f,s:I}",
			"phase", lm_phase_name((enum lm_phase)i),
			"time", MS(r->phases[i].measured_us),
			"expected", MS(r->phases[i].predicted_us),
			"bytes", (json_int_t)r->phases[i].bytes));
	return list;
}

static json_t *
json_devices(const struct lm_report *r, const struct lm_member_report *m)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < r->nb_members; i++)
		json_array_append_new(list, json_pack("{s:s,s:I,s:I,s:I,s:I,s:i}",
			"device", m[i].name,
			"transferred", (json_int_t)m[i].bytes,
			"precopied", (json_int_t)m[i].early_bytes,
			"round-trips", (json_int_t)m[i].calls,
			"downtime-round-trips", (json_int_t)m[i].downtime_calls,
			"reinits", (int)m[i].reinits));
	return list;
}

static json_t *
json_timeline(const struct lm_timeline *tl)
{
	static struct lm_timeline_event events[LM_TIMELINE_EVENTS];
	json_t *list = json_array();
	unsigned int i, nb;

	nb = tl == NULL ? 0 : lm_timeline_read(tl, 0, events, LM_TIMELINE_EVENTS);
	for (i = 0; i < nb; i++)
		json_array_append_new(list, json_pack("{s:I,s:s,s:s,s:s,s:I,s:i}",
			"t-ns", (json_int_t)events[i].t_ns, "device", events[i].device,
			"phase", events[i].phase, "event", events[i].event,
			"bytes", (json_int_t)events[i].bytes, "error", (int)events[i].error));
	return list;
}

json_t *
mig_json(const char *side, const struct lm_report *r, const struct lm_member_report *members,
		const struct mig_check *check, const struct lm_timeline *timeline)
{
	json_t *o;

	o = json_pack("{s:i,s:s,s:s,s:s,s:i,s:s,s:f,s:f,s:f,s:f,s:f,s:s,s:i,s:f,s:o,s:o,s:o,s:o}",
		"schema", SCHEMA, "side", side,
		"status", lm_outcome_name(r->outcome),
		"phase", lm_phase_name(r->phase),
		"error", r->error, "error-desc", r->why,
		"total-time", MS(r->total_us), "setup-time", MS(r->setup_us),
		"downtime", MS(r->downtime_us), "expected-downtime", MS(r->expected_downtime_us),
		"downtime-limit", MS(r->downtime_limit_us),
		"convergence", lm_converge_name(r->verdict),
		"downtime-session-round-trips", (int)r->round_trips,
		"session-round-trip-time", MS(r->rtt_us),
		"ram", json_ram(r),
		"vfio", json_pack("{s:I}", "transferred", (json_int_t)r->device_bytes),
		"phases", json_phases(r), "devices", json_devices(r, members));
	if (o != NULL && check != NULL && check->done)
		json_object_set_new(o, "check", json_pack("{s:I,s:I,s:I,s:I,s:s}",
			"device-pages", (json_int_t)check->device_pages,
			"cpu-pages", (json_int_t)check->cpu_pages,
			"lost", (json_int_t)check->lost, "cpu-lost", (json_int_t)check->cpu_lost,
			"first", check->first));
	if (o != NULL && timeline != NULL)
		json_object_set_new(o, "timeline", json_timeline(timeline));
	return o;
}

static void
xml_text(FILE *f, const char *text)
{
	for (; *text != '\0'; text++)
		if (strchr("<>&\"", *text) != NULL)
			fprintf(f, "&#%d;", *text);
		else
			fputc(*text, f);
}

static int
junit_write(const char *path, const json_t *o)
{
	const char *status = json_string_value(json_object_get(o, "status"));
	const char *side = json_string_value(json_object_get(o, "side"));
	json_int_t lost = json_integer_value(json_object_get(json_object_get(o, "check"), "lost"));
	bool bad = strcmp(status, "completed") != 0 || lost != 0;
	FILE *f = fopen(path, "w");

	if (f == NULL)
		return -errno;
	fprintf(f, "<testsuite name=\"dpdk-test-lm\" tests=\"1\" failures=\"%d\">\n"
		"<testcase classname=\"migration\" name=\"%s\" time=\"%.3f\">", bad, side,
		json_number_value(json_object_get(o, "total-time")) / 1000);
	if (bad) {
		fprintf(f, "<failure message=\"%s, %" JSON_INTEGER_FORMAT " lost: ", status, lost);
		xml_text(f, json_string_value(json_object_get(o, "error-desc")));
		fprintf(f, "\"/>");
	}
	fprintf(f, "</testcase>\n</testsuite>\n");
	return fclose(f) == 0 ? 0 : -errno;
}

int
mig_json_write(const struct mig_conf *conf, const json_t *o)
{
	int ret = 0;

	if (conf->json != NULL && strcmp(conf->json, "-") == 0) {
		json_dumpf(o, stdout, JSON_INDENT(2));
		fputc('\n', stdout);
	} else if (conf->json != NULL && json_dump_file(o, conf->json, JSON_INDENT(2)) != 0) {
		ret = errno == 0 ? -EIO : -errno;
		test_lm_error("%s: %s", conf->json, strerror(-ret));
	}
	if (ret == 0 && conf->junit != NULL) {
		ret = junit_write(conf->junit, o);
		if (ret != 0)
			test_lm_error("%s: %s", conf->junit, strerror(-ret));
	}
	return ret;
}
