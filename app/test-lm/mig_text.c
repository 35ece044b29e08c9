/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "mig.h"
#include "test_lm.h"

static double
num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "" : s;
}

/* 80 columns; 1234567 bytes as "1.18 MiB". */
static const char *
bytes(double n, char *text, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned int i = 0;

	while (n >= 1024 && i < 4) {
		n /= 1024;
		i++;
	}
	snprintf(text, size, i == 0 ? "%.0f %s" : "%.2f %s", n, units[i]);
	return text;
}

static void
text_phases(FILE *out, const json_t *o)
{
	const json_t *list = json_object_get(o, "phases"), *p;
	char b[32];
	size_t i;

	fprintf(out, "\n  %-10s %12s %12s %14s\n", "phase", "time ms", "expected ms", "sent");
	json_array_foreach(list, i, p) {
		if (num(p, "time") <= 0 && num(p, "expected") <= 0)
			continue;
		fprintf(out, "  %-10s %12.3f ", str(p, "phase"), num(p, "time"));
		if (num(p, "expected") > 0)
			fprintf(out, "%12.3f ", num(p, "expected"));
		else
			fprintf(out, "%12s ", "");
		fprintf(out, "%14s\n", bytes(num(p, "bytes"), b, sizeof(b)));
	}
}

static void
text_devices(FILE *out, const json_t *o)
{
	const json_t *list = json_object_get(o, "devices"), *d;
	char all[32], early[32];
	size_t i;

	if (json_array_size(list) == 0)
		return;
	fprintf(out, "\n  %-16s %12s %12s %12s %12s\n", "device", "state", "precopied",
		"round trips", "in downtime");
	json_array_foreach(list, i, d)
		fprintf(out, "  %-16s %12s %12s %12.0f %12.0f\n", str(d, "device"),
			bytes(num(d, "transferred"), all, sizeof(all)),
			bytes(num(d, "precopied"), early, sizeof(early)), num(d, "round-trips"),
			num(d, "downtime-round-trips"));
}

static void
text_check(FILE *out, const json_t *o)
{
	const json_t *c = json_object_get(o, "check");

	if (c == NULL)
		return;
	fprintf(out, "\n  checked: %.0f pages of devices, %.0f of a CPU: %.0f lost%s%s\n",
		num(c, "device-pages"), num(c, "cpu-pages"), num(c, "lost"),
		str(c, "first")[0] == '\0' ? "" : "; first: ", str(c, "first"));
}

void
mig_text(FILE *out, const json_t *o)
{
	const json_t *ram = json_object_get(o, "ram");
	char a[32], b[32];

	fprintf(out, "Migration status: %s (%s side)\n", str(o, "status"), str(o, "side"));
	if (str(o, "error-desc")[0] != '\0')
		fprintf(out, "  error: %s\n", str(o, "error-desc"));
	fprintf(out, "  total time: %.3f ms, setup: %.3f ms\n", num(o, "total-time"),
		num(o, "setup-time"));
	if (num(o, "downtime-limit") > 0)
		fprintf(out, "  downtime: %.3f ms, expected: %.3f ms, limit: %.0f ms; %.0f round "
			"trips to the peer\n", num(o, "downtime"), num(o, "expected-downtime"),
			num(o, "downtime-limit"), num(o, "downtime-session-round-trips"));
	if (ram != NULL)
		fprintf(out, "  ram: transferred %s of %s; %.0f normal, %.0f duplicate pages; "
			"%.0f rounds, %s\n",
			bytes(num(ram, "transferred"), a, sizeof(a)),
			bytes(num(ram, "total"), b, sizeof(b)), num(ram, "normal"),
			num(ram, "duplicate"), num(ram, "dirty-sync-count"), str(o, "convergence"));
	fprintf(out, "  vfio device transferred: %s\n",
		bytes(num(json_object_get(o, "vfio"), "transferred"), a, sizeof(a)));
	text_phases(out, o);
	text_devices(out, o);
	text_check(out, o);
}

static const struct {
	const char *id;
	enum lm_outcome outcome;
	const char *side;
	const char *now;
	const char *next;
} words[] = {
	{ "LM-0101", LM_OUTCOME_FAILED, "source", "the devices run here, as before",
		"see to what failed, and send again" },
	{ "LM-0102", LM_OUTCOME_CANCELLED, "source", "the devices run here, as before",
		"send again when you like" },
	{ "LM-0103", LM_OUTCOME_UNDECIDED, "source",
		"the devices are stopped here; whether the other side runs them is not known",
		"look there, then type dpdk-test-lm resolve, see below" },
	{ "LM-0104", LM_OUTCOME_LOST, "source",
		"a device does not answer; the other side does not run it",
		"reset the device, or its function, before anything uses its memory" },
	{ "LM-0201", LM_OUTCOME_FAILED, "destination", "the devices are empty here",
		"see to what failed, and receive again" },
	{ "LM-0202", LM_OUTCOME_CANCELLED, "destination", "the devices are empty here",
		"receive again when you like" },
	{ "LM-0204", LM_OUTCOME_LOST, "destination",
		"a device does not answer, and may hold what was loaded",
		"reset the device; until then the source may not run" },
};

void
mig_explain(const struct mig_conf *conf, const char *side, const struct lm_report *r)
{
	unsigned int i;

	(void)conf;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].outcome != r->outcome || strcmp(words[i].side, side) != 0)
			continue;
		test_lm_error("%s: %s: %s", words[i].id, lm_outcome_name(r->outcome), r->why);
		fprintf(stderr, "  now:  %s\n  next: %s\n", words[i].now, words[i].next);
	}
}

int
mig_exit_code(const struct lm_report *r, const struct mig_check *check)
{
	switch (r->outcome) {
	case LM_OUTCOME_COMPLETED:
		return check != NULL && check->done && check->lost != 0 ? TEST_LM_FAILED :
			TEST_LM_OK;
	case LM_OUTCOME_LOST:
		return TEST_LM_LOST;
	default:
		return r->error == -EXDEV ? TEST_LM_BLOCKED : TEST_LM_FAILED;
	}
}
