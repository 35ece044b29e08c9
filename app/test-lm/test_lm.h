/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef TEST_LM_H
#define TEST_LM_H

/**
 * @file
 * dpdk-test-lm: owner of what DPDK's own applications have no place for.
 *
 * Exit codes of every verb: 0 done, 1 failed and whoever ran before runs on, 2 usage, 3 refused
 * before anything was touched, 4 failed and a device is lost. A message says what, and what next.
 */

#include <stdbool.h>
#include <stddef.h>

#include <rte_common.h>

#define TEST_LM_OK 0
#define TEST_LM_FAILED 1
#define TEST_LM_USAGE 2
#define TEST_LM_BLOCKED 3
#define TEST_LM_LOST 4

#define TEST_LM_MAX_PORTS 64
#define TEST_LM_MAX_EAL_ARGS 256

/** A device and the vhost-user socket that a VM attaches to. */
struct test_lm_port {
	const char *device;     /* as given: socket=PATH[,key=value...] or BDF[,key=value...] */
	const char *vhost;
	char name[64];          /* of the rte_device */
	bool is_pci;
};

struct test_lm_serve_conf {
	struct test_lm_port port[TEST_LM_MAX_PORTS];
	unsigned int nb_ports;
	const char *file_prefix;
	const char *plugin;
	const char *eal;
	bool client;
};

int test_lm_check(int argc, char **argv);
int test_lm_serve(int argc, char **argv);
int test_lm_pf(int argc, char **argv);
int test_lm_send(int argc, char **argv);
int test_lm_receive(int argc, char **argv);
int test_lm_resolve(int argc, char **argv);
int test_lm_demo(int argc, char **argv);
int test_lm_report(int argc, char **argv);
int test_lm_dump(int argc, char **argv);
int test_lm_plot(int argc, char **argv);

/* serve_eal.c */

/** Start EAL for these devices. @return 0 or -errno, after a message. */
int test_lm_eal_start(struct test_lm_serve_conf *conf);

/* plugin.c */

/**
 * Where the plugin is: the one asked for, the one beside this build, or the installed one.
 * @return 0 or -errno, after a message.
 */
int test_lm_plugin_find(const char *asked, char *path, size_t size_bytes);

/** A line on stderr, beginning with the program's name. */
void test_lm_error(const char *fmt, ...) __rte_format_printf(1, 2);

#endif /* TEST_LM_H */
