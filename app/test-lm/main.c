/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_version.h>

#include "test_lm.h"

static int verb_help(int argc, char **argv);
static int verb_version(int argc, char **argv);

static const struct {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "check", "can this device be migrated, and what is to be done", test_lm_check },
	{ "serve", "own the vhost-user sockets of vDPA devices, for VMs", test_lm_serve },
	{ "pf", "own a PF, and serve the migration of its VFs", test_lm_pf },
	{ "send", "move devices and memory to another host", test_lm_send },
	{ "receive", "take devices and memory from another host", test_lm_receive },
	{ "resolve", "tell a source that is undecided which side runs", test_lm_resolve },
	{ "demo", "migrate exercisers under load, and prove that nothing is lost", test_lm_demo },
	{ "report", "print a report that was saved with --json", test_lm_report },
	{ "dump", "put a state stream, or what was stored of one, in words", test_lm_dump },
	{ "plot", "draw a saved report as SVG", test_lm_plot },
	{ "version", "print the versions of this program and of DPDK", verb_version },
	{ "help", "print this", verb_help },
};

static void
usage(FILE *out)
{
	unsigned int i;

	fprintf(out, "Usage: dpdk-test-lm VERB [OPTION]...\n\nVerbs:\n");
	for (i = 0; i < RTE_DIM(verbs); i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
	fprintf(out, "\ndpdk-test-lm VERB --help tells more.\n");
}

static int
verb_help(int argc, char **argv)
{
	RTE_SET_USED(argc);
	RTE_SET_USED(argv);
	usage(stdout);
	return TEST_LM_OK;
}

static int
verb_version(int argc, char **argv)
{
	RTE_SET_USED(argc);
	RTE_SET_USED(argv);
	printf("dpdk-test-lm %s, %s\n", LM_VERSION, rte_version());
	return TEST_LM_OK;
}

void
test_lm_error(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "dpdk-test-lm: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int
main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	unsigned int i;

	if (strcmp(verb, "-h") == 0 || strcmp(verb, "--help") == 0)
		verb = "help";
	if (strcmp(verb, "--version") == 0)
		verb = "version";
	for (i = 0; i < RTE_DIM(verbs); i++) {
		if (strcmp(verb, verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	if (verb[0] != '\0')
		test_lm_error("there is no verb \"%s\"", verb);
	usage(stderr);
	return TEST_LM_USAGE;
}
