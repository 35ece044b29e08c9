/* SPDX-License-Identifier: BSD-3-Clause */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "test_lm.h"

#define VDEV_NAME "vdpa_virtio_pci"

/* EAL moves the pointers about, so the words have a place of their own. */
struct eal_args {
	char text[16384];
	size_t used_bytes;
	int argc;
	int failed;
	char *argv[TEST_LM_MAX_EAL_ARGS + 1];
};

static void
eal_add(struct eal_args *args, const char *fmt, ...) __rte_format_printf(2, 3);
static void
eal_add(struct eal_args *args, const char *fmt, ...)
{
	size_t left = sizeof(args->text) - args->used_bytes;
	char *s = args->text + args->used_bytes;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s, left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= left || args->argc == TEST_LM_MAX_EAL_ARGS) {
		args->failed = -E2BIG;
		return;
	}
	args->used_bytes += (size_t)n + 1;
	args->argv[args->argc++] = s;
}

/* "0000:03:00.2,..." names a function on the bus; all else is arguments of a virtual device. */
static bool
is_bdf(const char *device)
{
	unsigned int domain, bus, dev, fn;
	int n = 0;

	return sscanf(device, "%x:%x:%x.%x%n", &domain, &bus, &dev, &fn, &n) == 4 &&
		(device[n] == ',' || device[n] == '\0');
}

/* Packed rings survive a restart of this process by what it writes beside its socket. */
static void
positions_arg(const struct test_lm_port *p, char *arg, size_t size)
{
	arg[0] = '\0';
	if (strstr(p->device, ",positions=") == NULL && strchr(p->vhost, ',') == NULL)
		snprintf(arg, size, ",positions=%s.positions", p->vhost);
}

static bool
eal_devices(struct eal_args *args, struct test_lm_serve_conf *conf)
{
	bool any_pci = false;
	char positions[PATH_MAX];
	struct test_lm_port *p;
	unsigned int i;

	for (i = 0; i < conf->nb_ports; i++) {
		p = &conf->port[i];
		p->is_pci = is_bdf(p->device);
		any_pci = any_pci || p->is_pci;
		positions_arg(p, positions, sizeof(positions));
		if (p->is_pci) {
			snprintf(p->name, sizeof(p->name), "%.*s", (int)strcspn(p->device, ","),
				p->device);
			eal_add(args, "-a");
			eal_add(args, "%s,vdpa=1%s", p->device, positions);
		} else {
			snprintf(p->name, sizeof(p->name), VDEV_NAME "%u", i);
			eal_add(args, "--vdev");
			eal_add(args, "%s,%s%s", p->name, p->device, positions);
		}
	}
	return any_pci;
}

static void
eal_extra(struct eal_args *args, const char *extra)
{
	char *copy = strdup(extra), *save = NULL, *word;

	if (copy == NULL) {
		args->failed = -ENOMEM;
		return;
	}
	for (word = strtok_r(copy, " \t", &save); word != NULL; word = strtok_r(NULL, " \t", &save))
		eal_add(args, "%s", word);
	free(copy);
}

/* EAL leaves its files for the next process of the same prefix; ours has the pid in it. */
static void
eal_remove_files(void)
{
	const char *dir = rte_eal_get_runtime_dir();
	struct dirent *e;
	DIR *d;

	d = dir == NULL || *dir == '\0' ? NULL : opendir(dir);
	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(dir);
}

int
test_lm_eal_start(struct test_lm_serve_conf *conf)
{
	char plugin[PATH_MAX];
	static struct eal_args args; /* EAL keeps pointers into it */
	int ret;

	ret = test_lm_plugin_find(conf->plugin, plugin, sizeof(plugin));
	if (ret != 0)
		return ret;
	eal_add(&args, "dpdk-test-lm");
	/* Rings and packets live in memory of the guest and of the driver, never in EAL's. */
	eal_add(&args, "--no-huge");
	eal_add(&args, "-m");
	eal_add(&args, "64");
	eal_add(&args, "-d");
	eal_add(&args, "%s", plugin);
	eal_add(&args, "--file-prefix");
	if (conf->file_prefix != NULL)
		eal_add(&args, "%s", conf->file_prefix);
	else
		eal_add(&args, "lm%d", (int)getpid());
	if (!eal_devices(&args, conf))
		eal_add(&args, "--no-pci");
	if (conf->eal != NULL)
		eal_extra(&args, conf->eal);
	if (args.failed != 0) {
		test_lm_error("too many EAL arguments");
		return args.failed;
	}
	if (conf->file_prefix == NULL)
		atexit(eal_remove_files);
	if (rte_eal_init(args.argc, args.argv) < 0) {
		test_lm_error("EAL does not start: %s (its messages are above)",
			rte_strerror(rte_errno));
		return -EIO;
	}
	return 0;
}
