/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An application that echoes frames, and moves:
 *
 *   port-app CONTROL WIRE PEER BUFFERS run|incoming
 *
 * Commands are datagrams of CONTROL, a sequenced-packet socket, each answered by one:
 *   stats         counters and what the queues hold
 *   poll, rest    the polling thread polls, or leaves the queues alone
 *   tx on|off     the device takes frames to send, or leaves them
 *   give FILE     park, stop the device, write the record and the pages it needs
 *   back          the device runs again, here
 *   take FILE     read them, adopt
 *   run           the device runs, let the poller in
 *   quit
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lm_compat.h"

#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "lm_port.h"
#include "lm_ram.h"
#include "port_test.h"

#define ADDR UINT64_C(0x7e9000000000)
#define CONTROL_BYTES (UINT64_C(1) << 16)
#define ELEMENT_BYTES 2048u
#define PARK_US 2000000
#define PORT_NAME "net_lmtest0"

struct app {
	struct lm_window *window;
	struct lm_ram *ram;
	struct rte_mempool *pool;
	struct lm_port *port;
	uint16_t port_id;
	pthread_t poller;
	_Atomic bool poll;
	_Atomic bool rests; /* has seen that it shall not poll */
	_Atomic bool quit;
	_Atomic uint64_t echoed;
	_Atomic uint64_t dropped; /* that the port did not take */
};

static void *
poll_main(void *arg)
{
	struct app *a = arg;
	struct rte_mbuf *pkts[16];
	uint16_t got, sent;

	while (!atomic_load(&a->quit)) {
		if (!atomic_load(&a->poll)) {
			atomic_store(&a->rests, true);
			sched_yield();
			continue;
		}
		got = rte_eth_rx_burst(a->port_id, 0, pkts, RTE_DIM(pkts));
		sent = rte_eth_tx_burst(a->port_id, 0, pkts, got);
		atomic_fetch_add(&a->echoed, sent);
		atomic_fetch_add(&a->dropped, got - sent);
		rte_pktmbuf_free_bulk(&pkts[sent], got - sent);
		if (got == 0)
			sched_yield();
	}
	return NULL;
}

static int
write_all(FILE *f, const void *data, size_t len)
{
	return fwrite(data, 1, len, f) == len ? 0 : -EIO;
}

/* The record, then pages: the control area and the live buffers. */
static int
save(struct app *a, FILE *f, const void *rec, uint64_t rec_bytes)
{
	uint64_t head[2] = { rec_bytes, 0 }, cursor = 0;
	struct lm_ram_run run;
	int ret;

	ret = write_all(f, head, sizeof(head[0]));
	if (ret == 0)
		ret = write_all(f, rec, rec_bytes);
	while (ret == 0 && lm_ram_take(a->ram, true, UINT64_MAX, &cursor, &run)) {
		head[0] = run.addr;
		head[1] = run.len_bytes;
		ret = write_all(f, head, sizeof(head));
		if (ret == 0)
			ret = write_all(f, run.data, run.len_bytes);
	}
	return ret;
}

static int
give(struct app *a, const char *path)
{
	const char *late;
	void *rec = NULL;
	FILE *f;
	int len, ret;

	ret = lm_port_park(a->port, PARK_US, &late);
	if (ret != 0)
		return ret;
	port_device_run(port_device_of(a->port_id), false);
	lm_ram_mark_all(a->ram);
	len = lm_port_give_up(a->port, a->ram, &rec);
	if (len < 0)
		return len;
	f = fopen(path, "w");
	ret = f == NULL ? -errno : save(a, f, rec, (uint64_t)len);
	if (f != NULL && fclose(f) != 0 && ret == 0)
		ret = -errno;
	free(rec);
	return ret;
}

static int
load(struct app *a, FILE *f, void **rec, uint64_t *rec_bytes)
{
	uint64_t head[2];
	void *to;

	if (fread(rec_bytes, sizeof(*rec_bytes), 1, f) != 1 || *rec_bytes > LM_PORT_REC_MAX_BYTES)
		return -EPROTO;
	*rec = malloc(*rec_bytes + 1);
	if (*rec == NULL)
		return -ENOMEM;
	if (fread(*rec, 1, *rec_bytes, f) != *rec_bytes)
		return -EPROTO;
	while (fread(head, sizeof(head), 1, f) == 1) {
		to = lm_ram_ptr(a->ram, head[0], head[1]);
		if (to == NULL || fread(to, 1, head[1], f) != head[1])
			return -EPROTO;
	}
	return 0;
}

static int
take(struct app *a, const char *path)
{
	FILE *f = fopen(path, "r");
	uint64_t rec_bytes = 0;
	void *rec = NULL;
	int ret;

	if (f == NULL)
		return -errno;
	ret = load(a, f, &rec, &rec_bytes);
	fclose(f);
	if (ret == 0)
		ret = lm_port_adopt(a->port, rec, rec_bytes);
	free(rec);
	return ret;
}

static int
resume(struct app *a, int (*go)(struct lm_port *port))
{
	int ret;

	if (lm_port_mode(a->port) == LM_PORT_INCOMING)
		return go(a->port); /* which refuses; the device has no rings yet */
	port_device_run(port_device_of(a->port_id), true);
	ret = go(a->port);
	if (ret != 0)
		port_device_run(port_device_of(a->port_id), false);
	return ret;
}

static void
stats(struct app *a, char *reply, size_t size)
{
	snprintf(reply, size, "mode=%s echoed=%" PRIu64 " dropped=%" PRIu64
			" errors=%" PRIu64 " rx_filled=%u rx_posted=%u tx_pending=%u free=%u",
			lm_port_mode_name(lm_port_mode(a->port)), atomic_load(&a->echoed),
			atomic_load(&a->dropped),
			atomic_load(&port_device_of(a->port_id)->errors),
			port_rx_filled(a->port_id), port_rx_posted(a->port_id),
			port_tx_pending(a->port_id), rte_mempool_avail_count(a->pool));
}

static void
set_poll(struct app *a, bool on)
{
	atomic_store(&a->rests, false);
	atomic_store(&a->poll, on);
	while (!on && !atomic_load(&a->rests))
		sched_yield();
}

static int
command(struct app *a, char *text)
{
	char *arg = strchr(text, ' ');

	if (arg != NULL)
		*arg++ = '\0';
	if (strcmp(text, "poll") == 0 || strcmp(text, "rest") == 0)
		set_poll(a, text[0] == 'p');
	else if (strcmp(text, "tx") == 0 && arg != NULL)
		atomic_store(&port_device_of(a->port_id)->tx_hold, strcmp(arg, "off") == 0);
	else if (strcmp(text, "give") == 0 && arg != NULL)
		return give(a, arg);
	else if (strcmp(text, "take") == 0 && arg != NULL)
		return take(a, arg);
	else if (strcmp(text, "back") == 0)
		return resume(a, lm_port_take_back);
	else if (strcmp(text, "run") == 0)
		return resume(a, lm_port_run);
	else if (strcmp(text, "quit") == 0)
		atomic_store(&a->quit, true);
	else
		return -EINVAL;
	return 0;
}

static int
serve(struct app *a, int fd)
{
	char text[512], reply[512];
	ssize_t len;

	while (!atomic_load(&a->quit)) {
		len = recv(fd, text, sizeof(text) - 1, 0);
		if (len <= 0)
			return len == 0 ? 0 : -errno;
		text[len] = '\0';
		if (strcmp(text, "stats") == 0)
			stats(a, reply, sizeof(reply));
		else
			snprintf(reply, sizeof(reply), "%d", command(a, text));
		if (send(fd, reply, strlen(reply), MSG_NOSIGNAL) < 0)
			return -errno;
	}
	return 0;
}

static int
wait_control(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), conn = -1;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 1) != 0)
		return -errno;
	printf("ready\n");
	fflush(stdout);
	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	close(fd);
	return conn < 0 ? -errno : conn;
}

static int
make_memory(struct app *a, unsigned int nb_buffers)
{
	const struct lm_window_conf conf = {
		.addr = ADDR,
		.control_bytes = CONTROL_BYTES,
		.buffer_bytes = UINT64_C(1) << 21,
		.page_bytes = 4096,
		.element_bytes = ELEMENT_BYTES,
		.headroom_bytes = RTE_PKTMBUF_HEADROOM,
	};
	struct rte_pktmbuf_extmem mem = { .elt_size = ELEMENT_BYTES };
	uint64_t len;
	int ret;

	ret = lm_window_create(&conf, &a->window);
	if (ret == 0)
		ret = lm_ram_create(&a->ram);
	if (ret == 0)
		ret = lm_window_add_ram(a->window, a->ram, false);
	if (ret != 0)
		return ret;
	mem.buf_ptr = lm_window_buffers(a->window, &len);
	mem.buf_iova = (uintptr_t)mem.buf_ptr;
	mem.buf_len = len;
	a->pool = rte_pktmbuf_pool_create_extbuf("buffers", nb_buffers, 0, 0, ELEMENT_BYTES,
			SOCKET_ID_ANY, &mem, 1);
	return a->pool == NULL ? -rte_errno : 0;
}

static int
start_port(struct app *a)
{
	const struct rte_eth_conf conf = { 0 };
	int ret;

	ret = rte_vdev_init(PORT_NAME, NULL);
	if (ret == 0)
		ret = rte_eth_dev_get_port_by_name(PORT_NAME, &a->port_id);
	if (ret == 0)
		ret = rte_eth_dev_configure(a->port_id, 1, 1, &conf);
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(a->port_id, 0, PORT_NB_DESC, SOCKET_ID_ANY, NULL,
				a->pool);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(a->port_id, 0, PORT_NB_DESC, SOCKET_ID_ANY, NULL);
	if (ret == 0)
		ret = rte_eth_dev_start(a->port_id);
	if (ret != 0)
		return ret;
	a->port = lm_port_find(PORT_NAME);
	return a->port == NULL ? -ENODEV : 0;
}

static int
run(char **argv)
{
	struct app a = { 0 };
	int fd, ret;

	ret = make_memory(&a, (unsigned int)strtoul(argv[4], NULL, 10));
	port_setup.window = a.window;
	port_setup.local = argv[2];
	port_setup.peer = argv[3];
	port_setup.incoming = strcmp(argv[5], "incoming") == 0;
	if (ret == 0)
		ret = start_port(&a);
	if (ret == 0)
		ret = -pthread_create(&a.poller, NULL, poll_main, &a);
	if (ret != 0)
		return ret;
	atomic_store(&a.poll, true);
	fd = wait_control(argv[1]);
	ret = fd < 0 ? fd : serve(&a, fd);
	atomic_store(&a.quit, true);
	pthread_join(a.poller, NULL);
	if (fd >= 0)
		close(fd);
	rte_eth_dev_stop(a.port_id);
	rte_vdev_uninit(PORT_NAME);
	rte_mempool_free(a.pool);
	lm_ram_destroy(a.ram);
	lm_window_destroy(a.window);
	return ret;
}

int
main(int argc, char **argv)
{
	int used, ret;

	used = rte_eal_init(argc, argv);
	if (used < 0 || argc - used != 6) {
		fprintf(stderr, "usage: port-app EAL... -- CONTROL WIRE PEER BUFFERS "
				"run|incoming\n");
		return EXIT_FAILURE;
	}
	ret = run(argv + used);
	if (ret != 0)
		fprintf(stderr, "port-app: %s\n", strerror(-ret));
	rte_eal_cleanup();
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
