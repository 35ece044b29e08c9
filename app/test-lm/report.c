/* SPDX-License-Identifier: BSD-3-Clause */

/* Reports that were saved with --json: as a table, or as a picture. */

#include <stdio.h>
#include <string.h>

#include "mig.h"
#include "test_lm.h"

#define WIDTH 900.0
#define LEFT 110.0
#define ROW 26.0

static json_t *
load(const char *path)
{
	json_error_t error;
	json_t *o = strcmp(path, "-") == 0 ? json_loadf(stdin, 0, &error) :
		json_load_file(path, 0, &error);

	if (o == NULL) {
		test_lm_error("%s: %s", path, error.text);
		return NULL;
	}
	if (json_integer_value(json_object_get(o, "schema")) != 1 ||
			!json_is_array(json_object_get(o, "phases")) ||
			!json_is_string(json_object_get(o, "status"))) {
		test_lm_error("%s is no report of dpdk-test-lm (--json)", path);
		json_decref(o);
		return NULL;
	}
	return o;
}

static int
usage(int argc, char **argv, const char *verb, const char *what)
{
	bool help = argc == 2 && strcmp(argv[1], "--help") == 0;

	if (argc == 2 && !help && (argv[1][0] != '-' || argv[1][1] == '\0'))
		return -1;
	fprintf(help ? stdout : stderr, "Usage: dpdk-test-lm %s FILE\n\n%s\n", verb, what);
	return help ? TEST_LM_OK : TEST_LM_USAGE;
}

int
test_lm_report(int argc, char **argv)
{
	int ret = usage(argc, argv, "report", "Print a report that was saved with --json.");
	json_t *o;

	if (ret >= 0)
		return ret;
	o = load(argv[1]);
	if (o == NULL)
		return TEST_LM_FAILED;
	mig_text(stdout, o);
	json_decref(o);
	return TEST_LM_OK;
}

/* One bar per phase of the downtime, what was expected below what was measured. */
static void
draw(const json_t *o)
{
	const json_t *phases = json_object_get(o, "phases"), *p;
	double most = 0.001, y = 60, time, expected;
	const char *name;
	size_t i;

	json_array_foreach(phases, i, p) {
		expected = json_number_value(json_object_get(p, "expected"));
		time = expected > 0 ? json_number_value(json_object_get(p, "time")) : 0;
		most = time > most ? time : most;
		most = expected > most ? expected : most;
	}
	printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n", WIDTH + LEFT + 90,
		y + ROW * (double)json_array_size(phases) + 20);
	printf("<text x=\"10\" y=\"24\" font-size=\"16\">Downtime %.3f ms, expected %.3f ms"
		"</text>\n<text x=\"10\" y=\"44\">dark: measured; light: expected</text>\n",
		json_number_value(json_object_get(o, "downtime")),
		json_number_value(json_object_get(o, "expected-downtime")));
	json_array_foreach(phases, i, p) {
		time = json_number_value(json_object_get(p, "time"));
		expected = json_number_value(json_object_get(p, "expected"));
		name = json_string_value(json_object_get(p, "phase"));
		/* Names of others' files are not drawn. */
		if (expected <= 0 || name == NULL || strspn(name, "abcdefghijklmnopqrstuvwxyz") !=
				strlen(name))
			continue;
		printf("<text x=\"10\" y=\"%.0f\">%s</text>\n"
			"<rect x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"10\" fill=\"#246\"/>\n"
			"<rect x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"8\" fill=\"#9bd\"/>\n"
			"<text x=\"%.1f\" y=\"%.0f\">%.3f ms</text>\n",
			y + 12, name, LEFT, y, WIDTH * time / most, LEFT, y + 11,
			WIDTH * expected / most,
			LEFT + 5 + WIDTH * (time > expected ? time : expected) / most, y + 12,
			time);
		y += ROW;
	}
	printf("</svg>\n");
}

int
test_lm_plot(int argc, char **argv)
{
	int ret = usage(argc, argv, "plot", "Draw a report that was saved with --json; SVG on "
		"stdout.");
	json_t *o;

	if (ret >= 0)
		return ret;
	o = load(argv[1]);
	if (o == NULL)
		return TEST_LM_FAILED;
	draw(o);
	json_decref(o);
	return TEST_LM_OK;
}
