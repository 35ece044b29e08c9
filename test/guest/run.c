/* SPDX-License-Identifier: BSD-3-Clause */

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

void
guest_run(struct guest *g)
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
