/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "lm_pci_sysfs.h"
#include "test_lm.h"

#define SOCKET_PREFIX "socket="

static const struct {
	const char *word;
	const char *colour;
} levels[] = {
	[CHECK_OK] = { "ok", "\033[32m" },
	[CHECK_WARN] = { "warn", "\033[33m" },
	[CHECK_BLOCKED] = { "blocked", "\033[31m" },
};

static void
check_usage(FILE *out)
{
	fprintf(out,
		"Usage: dpdk-test-lm check [OPTION]... DEVICE\n"
		"\n"
		"Can this device be migrated from here, and if not, what is to be done? Each\n"
		"line is ok, warn or blocked, and says what to type next. The device must not\n"
		"be in use: it is opened, which makes VFIO reset it; nothing else is changed.\n"
		"\n"
		"  DEVICE               BDF: a function on the PCI bus, 0000:01:00.1;\n"
		"                       socket=PATH: one that is served over vfio-user\n"
		"  --vf-token UUID      where the PF belongs to VFIO as well\n"
		"  --json               one JSON object on stdout\n"
		"  --root DIR           look at DIR/sys, DIR/dev and DIR/proc\n"
		"\n"
		"Exit code: 0 nothing is blocked, 1 something is, 2 usage.\n");
}

void
check_line(struct check *c, enum check_level level, const char *what, const char *next,
		const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	c->nb[level]++;
	if (next != NULL && next[0] == '\0')
		next = NULL;
	if (c->lines != NULL) {
		/* "s?": null when there is none */
		json_array_append_new(c->lines, json_pack("{s:s, s:s, s:s, s:s?}",
				"level", levels[level].word, "what", what, "text", text,
				"next", next));
		return;
	}
	printf("  %s%-7s%s  %-10s %s\n", c->colours ? levels[level].colour : "",
			levels[level].word, c->colours ? "\033[0m" : "", what, text);
	if (next != NULL)
		printf("%22s-> %s\n", "", next);
}

static enum check_level
verdict(const struct check *c)
{
	return c->nb[CHECK_BLOCKED] > 0 ? CHECK_BLOCKED : c->nb[CHECK_WARN] > 0 ? CHECK_WARN :
			CHECK_OK;
}

static void
print_json(struct check *c)
{
	json_t *all = json_pack("{s:i, s:s, s:s, s:i, s:i, s:i, s:O}", "version", 1,
			"device", c->device, "verdict", levels[verdict(c)].word,
			"ok", c->nb[CHECK_OK], "warn", c->nb[CHECK_WARN],
			"blocked", c->nb[CHECK_BLOCKED], "lines", c->lines);

	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
	json_decref(c->lines);
}

static void
print_end(const struct check *c)
{
	if (c->nb[CHECK_BLOCKED] > 0)
		printf("%s: blocked by %u of %u\n", c->device, c->nb[CHECK_BLOCKED],
				c->nb[CHECK_OK] + c->nb[CHECK_WARN] + c->nb[CHECK_BLOCKED]);
	else if (c->nb[CHECK_WARN] > 0)
		printf("%s: ready, with %u warning%s\n", c->device, c->nb[CHECK_WARN],
				c->nb[CHECK_WARN] > 1 ? "s" : "");
	else
		printf("%s: ready\n", c->device);
}

static int
check_parse(int argc, char **argv, struct check *c, bool *json, bool *help)
{
	static const struct option options[] = {
		{ "vf-token", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ "root", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct lm_pci_sysfs info;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 't')
			c->vf_token = optarg;
		else if (opt == 'j')
			*json = true;
		else if (opt == 'r')
			c->root = optarg;
		else if (opt == 'h')
			*help = true;
		else
			return TEST_LM_USAGE;
	}
	if (*help)
		return TEST_LM_OK;
	if (optind + 1 != argc) {
		test_lm_error(optind == argc ? "which device?" : "one device at a time");
		return TEST_LM_USAGE;
	}
	c->device = argv[optind];
	c->is_socket = strncmp(c->device, SOCKET_PREFIX, strlen(SOCKET_PREFIX)) == 0;
	if (c->is_socket || lm_pci_sysfs_read(c->root, c->device, &info) != -EINVAL)
		return TEST_LM_OK;
	test_lm_error("\"%s\" is neither a PCI address nor socket=PATH", c->device);
	return TEST_LM_USAGE;
}

int
test_lm_check(int argc, char **argv)
{
	struct check c = { .root = "" };
	bool json = false, help = false;

	if (check_parse(argc, argv, &c, &json, &help) != TEST_LM_OK) {
		check_usage(stderr);
		return TEST_LM_USAGE;
	}
	if (help) {
		check_usage(stdout);
		return TEST_LM_OK;
	}
	c.colours = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
	if (json)
		c.lines = json_array();
	if (c.is_socket)
		check_socket(&c, c.device + strlen(SOCKET_PREFIX));
	else
		check_pci(&c);
	check_host(&c);
	if (json)
		print_json(&c);
	else
		print_end(&c);
	return c.nb[CHECK_BLOCKED] > 0 ? TEST_LM_FAILED : TEST_LM_OK;
}
