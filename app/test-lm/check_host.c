/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <rte_version.h>

#include "check.h"

#define MEMLOCK_MIN_BYTES (UINT64_C(64) << 20)

/* A line of /proc/meminfo; 0 when it is not there. */
static uint64_t
meminfo(const struct check *c, const char *name)
{
	char path[PATH_MAX], line[128];
	uint64_t value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/meminfo", c->root);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (value == 0 && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), ": %" SCNu64, &value);
	fclose(file);
	return value;
}

static void
check_memlock(struct check *c)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		check_line(c, CHECK_OK, "memlock", NULL, "no limit");
	else if (c->is_socket || limit.rlim_cur >= MEMLOCK_MIN_BYTES)
		check_line(c, CHECK_OK, "memlock", NULL, "%ju KiB%s",
				(uintmax_t)limit.rlim_cur / 1024, c->is_socket ?
				"; nothing is pinned for a device behind a socket" : "");
	else
		check_line(c, CHECK_WARN, "memlock", "ulimit -l unlimited, or LimitMEMLOCK= in the "
				"unit", "%ju KiB: memory for the device is pinned and counts",
				(uintmax_t)limit.rlim_cur / 1024);
}

static void
check_hugepages(struct check *c)
{
	uint64_t total = meminfo(c, "HugePages_Total"), unused = meminfo(c, "HugePages_Free");
	uint64_t size_kib = meminfo(c, "Hugepagesize");

	if (unused > 0)
		check_line(c, CHECK_OK, "hugepages", NULL, "%" PRIu64 " of %" PRIu64 " free, of %"
				PRIu64 " KiB", unused, total, size_kib);
	else
		check_line(c, CHECK_WARN, "hugepages", "dpdk-hugepages.py --setup 1G, or run DPDK "
				"with --no-huge", "%s", total > 0 ? "all in use" : "none reserved");
}

/* Linux 6.7 has the asynchronous write-protection that CPU tracking wants. */
static void
check_kernel(struct check *c)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) != 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return;
	if (major > 6 || (major == 6 && minor >= 7))
		check_line(c, CHECK_OK, "kernel", NULL, "%s", u.release);
	else
		check_line(c, CHECK_WARN, "kernel", "Linux 6.7 or newer tracks them",
				"%s: memory that CPUs write is sent again after the stop",
				u.release);
}

void
check_host(struct check *c)
{
	check_hugepages(c);
	check_memlock(c);
	check_kernel(c);
	check_line(c, CHECK_OK, "version", NULL, "dpdk-lm %s, %s", LM_VERSION, rte_version());
}
