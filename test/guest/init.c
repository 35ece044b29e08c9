/* SPDX-License-Identifier: BSD-3-Clause */

#include <fcntl.h>
#include <unistd.h>

#include "guest.h"

static void
open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
}

static void
rescue(void)
{
	static char *const argv[] = { (char *)(uintptr_t)"sh", NULL };

	guest_say("rescue shell");
	execv("/bin/busybox", argv);
}

int
main(void)
{
	static struct guest g;

	guest_boot_mounts();
	open_console();
	if (guest_env("LM_RESCUE", 0) != 0)
		rescue();
	/* Before there is a network, so that its buffers come from the pages freed here. */
	g.memory.scrub_pps = guest_env("LM_SCRUB_PPS", 200);
	if (guest_memory_spread(&g.memory, guest_env("LM_SPREAD_PERCENT", 90)) < 0)
		guest_say("no memory to spread");
	guest_boot_modules();
	g.nic_count = guest_nic_open_all(g.nics, GUEST_NICS);
	if (guest_control_open(&g, "/dev/ttyS1") < 0)
		guest_say("no ttyS1: nobody will be told");
	g.boot_ns = guest_now_ns();
	guest_control_ready(&g);
	guest_say("ready, %u interfaces, %u ms", g.nic_count, (unsigned int)(g.boot_ns / 1000000));
	guest_run(&g);
	return 0;
}
