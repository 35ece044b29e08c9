/* SPDX-License-Identifier: BSD-3-Clause */

/* Commands on ttyS1: a line in, a line of JSON out. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"

static void __attribute__((format(printf, 2, 3)))
put(struct guest *g, const char *format, ...)
{
	const size_t room = sizeof(g->out) - g->out_bytes;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(g->out + g->out_bytes, room, format, ap);
	va_end(ap);
	if (n > 0)
		g->out_bytes += (size_t)n < room ? (uint32_t)n : (uint32_t)room - 1;
}

static uint64_t
read_number(const char *path)
{
	uint64_t value = 0;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%" SCNu64, &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* Frames that the kernel's receive path dropped before any socket, all CPUs. */
static uint64_t
read_softnet_drops(void)
{
	FILE *f = fopen("/proc/net/softnet_stat", "re");
	unsigned int processed, dropped;
	uint64_t sum = 0;

	if (f == NULL)
		return 0;
	while (fscanf(f, "%x %x%*[^\n]", &processed, &dropped) == 2)
		sum += dropped;
	fclose(f);
	return sum;
}

static void
put_memory(struct guest *g)
{
	const struct guest_memory *m = &g->memory;

	put(g, "\"memory\":{\"touched_pages\":%u,\"kept_pages\":%u,\"written\":%" PRIu64
		",\"checked\":%" PRIu64 ",\"bad\":%" PRIu64 "}",
		m->touched_pages, m->kept_pages, m->written, m->checked, m->bad);
}

static const char *const nic_counters[] = {
	"rx_packets", "rx_bytes", "rx_errors", "rx_dropped", "rx_nohandler",
	"tx_packets", "tx_bytes", "tx_errors", "tx_dropped",
};

static uint64_t
read_nic(const struct guest_nic *n, const char *dir, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s%s", n->name, dir, name);
	return read_number(path);
}

/* The kernel's counters, over all interfaces. */
static void
put_nic_sums(struct guest *g)
{
	uint64_t sum;
	uint32_t n;
	size_t i;

	put(g, "\"nic\":{");
	for (i = 0; i < sizeof(nic_counters) / sizeof(nic_counters[0]); i++) {
		sum = 0;
		for (n = 0; n < g->nic_count; n++)
			sum += read_nic(&g->nics[n], "statistics/", nic_counters[i]);
		put(g, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", nic_counters[i], sum);
	}
	put(g, "}");
}

static void
put_nics(struct guest *g)
{
	uint32_t i;

	put(g, "\"nics\":[");
	for (i = 0; i < g->nic_count; i++) {
		const struct guest_nic *n = &g->nics[i];

		put(g, "%s{\"name\":\"%s\",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"mtu\":%u,"
			"\"queue_pairs\":%u,\"carrier_changes\":%" PRIu64 "}", i == 0 ? "" : ",",
			n->name, n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5],
			n->mtu, n->queue_pairs, read_nic(n, "", "carrier_changes"));
	}
	put(g, "]");
}

static void
put_flows(struct guest *g)
{
	const char *separator = "";
	uint32_t i, flow;

	put(g, "\"flows\":[");
	for (i = 0; i < g->nic_count; i++)
		for (flow = 0; flow < GUEST_FLOWS; flow++) {
			const struct guest_flow *f = &g->nics[i].flows[flow];

			if (f->received == 0)
				continue;
			put(g, "%s{\"flow\":%u,\"received\":%" PRIu64 ",\"duplicated\":%" PRIu64
				",\"reordered\":%" PRIu64 "}", separator, flow, f->received,
				f->duplicated, f->reordered);
			separator = ",";
		}
	put(g, "]");
}

static struct guest_counters
sum_counters(struct guest *g)
{
	struct guest_counters sum = { 0 };
	uint64_t *into = (uint64_t *)&sum;
	uint32_t i, k;

	for (i = 0; i < g->nic_count; i++) {
		const uint64_t *from = (const uint64_t *)&g->nics[i].c;

		guest_nic_poll_drops(&g->nics[i]);
		for (k = 0; k < sizeof(sum) / sizeof(uint64_t); k++)
			into[k] += from[k];
	}
	return sum;
}

static void
do_stats(struct guest *g)
{
	const struct guest_counters c = sum_counters(g);
	uint64_t waiting = 0;
	uint32_t i, slot;

	for (i = 0; i < g->nic_count; i++)
		for (slot = g->nics[i].first; slot < g->nics[i].count; slot++)
			waiting += g->nics[i].len[slot] != 0;
	put(g, "{\"received\":%" PRIu64 ",\"echoed\":%" PRIu64 ",\"waiting\":%" PRIu64
		",\"corrupt\":%" PRIu64 ",\"duplicated\":%" PRIu64 ",\"reordered\":%" PRIu64
		",\"foreign\":%" PRIu64 ",\"too_old\":%" PRIu64 ",\"untracked\":%" PRIu64
		",\"tx_retries\":%" PRIu64 ",\"uptime_ms\":%" PRIu64 ",",
		c.received, c.echoed, waiting, c.corrupt, c.duplicated, c.reordered, c.foreign,
		c.too_old, c.untracked, c.tx_retries, guest_now_ns() / 1000000);
	put(g, "\"drops\":{\"socket\":%" PRIu64 ",\"tx_full\":%" PRIu64 ",\"tx_error\":%" PRIu64
		",\"too_big\":%" PRIu64 ",\"corrupt\":%" PRIu64 ",\"softnet\":%" PRIu64 "},",
		c.drop_socket, c.drop_tx_full, c.drop_tx_error, c.drop_too_big, c.corrupt,
		read_softnet_drops());
	put_memory(g);
	put(g, ",");
	put_nic_sums(g);
	put(g, ",");
	put_nics(g);
	put(g, ",");
	put_flows(g);
	put(g, "}\n");
}

static void
do_check(struct guest *g)
{
	guest_memory_check(&g->memory);
	put(g, "{");
	put_memory(g);
	put(g, "}\n");
}

static void
do_reset(struct guest *g)
{
	uint32_t i;

	for (i = 0; i < g->nic_count; i++) {
		guest_nic_poll_drops(&g->nics[i]);
		memset(&g->nics[i].c, 0, sizeof(g->nics[i].c));
		memset(g->nics[i].flows, 0, sizeof(g->nics[i].flows));
	}
	put(g, "{\"ok\":true}\n");
}

static void
do_quit(struct guest *g)
{
	(void)g;
	guest_say("quit");
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
}

static void
command(struct guest *g, const char *line)
{
	static const struct {
		const char *name;
		void (*run)(struct guest *g);
	} commands[] = {
		{ "stats", do_stats }, { "check", do_check }, { "reset", do_reset },
		{ "quit", do_quit },
	};
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(line, commands[i].name) == 0) {
			commands[i].run(g);
			return;
		}
	}
	if (line[0] != '\0')
		put(g, "{\"error\":\"no such command\"}\n");
}

void
guest_control_ready(struct guest *g)
{
	put(g, "{\"ready\":true,\"boot_ms\":%" PRIu64 ",", g->boot_ns / 1000000);
	put_memory(g);
	put(g, ",");
	put_nics(g);
	put(g, "}\n");
}

int
guest_control_open(struct guest *g, const char *path)
{
	struct termios tio;

	g->control_fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (g->control_fd < 0)
		return -errno;
	if (tcgetattr(g->control_fd, &tio) < 0) {
		close(g->control_fd);
		g->control_fd = -1;
		return -ENODEV; /* the node is there without a port behind it */
	}
	cfmakeraw(&tio);
	tio.c_cflag |= CLOCAL;
	cfsetspeed(&tio, B115200);
	tcsetattr(g->control_fd, TCSANOW, &tio);
	return 0;
}

static void
flush_out(struct guest *g)
{
	ssize_t n = write(g->control_fd, g->out + g->out_sent, g->out_bytes - g->out_sent);

	if (n > 0)
		g->out_sent += (uint32_t)n;
	if (g->out_sent == g->out_bytes)
		g->out_sent = g->out_bytes = 0;
}

/* One answer is on its way at a time; what comes meanwhile waits in the port. */
static void
read_in(struct guest *g)
{
	char c;

	while (g->out_bytes == 0 && read(g->control_fd, &c, 1) == 1) {
		if (c != '\n' && c != '\r') {
			if (g->in_bytes < sizeof(g->in) - 1)
				g->in[g->in_bytes++] = c;
			continue;
		}
		g->in[g->in_bytes] = '\0';
		g->in_bytes = 0;
		command(g, g->in);
	}
}

void
guest_control_work(struct guest *g, short revents)
{
	if (g->control_fd < 0)
		return;
	if (revents & POLLIN)
		read_in(g);
	if (g->out_bytes != 0)
		flush_out(g);
}
