/* SPDX-License-Identifier: BSD-3-Clause */

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

uint64_t
guest_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint32_t
guest_env(const char *name, uint32_t value)
{
	const char *text = getenv(name);

	return text == NULL ? value : (uint32_t)strtoul(text, NULL, 10);
}

void
guest_say(const char *format, ...)
{
	va_list ap;

	printf("init: ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

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

/* How long poll may sleep: until the next page is due, or a full transmit ring is tried again. */
static int
wait_ms(const struct guest *g, uint64_t scrub_ns, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < g->nic_count; i++)
		if (g->nics[i].stuck_ns != 0)
			return 1;
	return scrub_ns <= now_ns ? 0 : (int)((scrub_ns - now_ns + 999999) / 1000000);
}

static void
run(struct guest *g)
{
	struct pollfd fds[GUEST_NICS + 1];
	uint64_t now_ns, scrub_ns;
	bool more = false;
	uint32_t i;

	for (;;) {
		now_ns = guest_now_ns();
		scrub_ns = guest_memory_scrub(&g->memory, now_ns);
		for (i = 0; i < g->nic_count; i++) {
			fds[i].fd = g->nics[i].fd;
			fds[i].events = g->nics[i].stuck_ns != 0 ? 0 : POLLIN;
		}
		fds[i].fd = g->control_fd;
		fds[i].events = g->out_bytes != 0 ? POLLOUT : POLLIN;
		fds[i].revents = 0;
		poll(fds, g->nic_count + 1, more ? 0 : wait_ms(g, scrub_ns, now_ns));
		guest_control_work(g, fds[i].revents);
		now_ns = guest_now_ns();
		more = false;
		for (i = 0; i < g->nic_count; i++)
			more |= guest_nic_work(&g->nics[i], now_ns);
	}
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
	run(&g);
	return 0;
}
