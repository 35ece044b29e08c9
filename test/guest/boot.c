/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

static void
write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		guest_say("%s: %s", path, strerror(errno));
	close(fd);
}

void
guest_boot_mounts(void)
{
	static const struct {
		const char *type, *dir;
	} mounts[] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" },
	};
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].dir, 0755);
		mount(mounts[i].type, mounts[i].dir, mounts[i].type, 0, NULL);
	}
	/* One that never drops of its own accord, and no traffic but ours. */
	write_text("/proc/sys/net/core/default_qdisc", "pfifo_fast");
	/* Network buffers in single pages: they come from wherever one is free. */
	write_text("/proc/sys/net/core/high_order_alloc_disable", "1");
	write_text("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	write_text("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
}

static void
load(const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "/modules/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
		guest_say("module %s: %s", name, strerror(errno));
	if (fd >= 0)
		close(fd);
}

void
guest_boot_modules(void)
{
	FILE *order = fopen("/modules/order", "re");
	char name[128];

	if (order == NULL)
		return;
	while (fgets(name, sizeof(name), order) != NULL) {
		name[strcspn(name, "\n")] = '\0';
		load(name);
	}
	fclose(order);
}
