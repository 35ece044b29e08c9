/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "port_test.h"

/* DMA goes to the buffer area or nowhere. */
static void *
dma(struct port_device *d, const struct port_desc *desc)
{
	uint64_t base = (uintptr_t)lm_window_base(d->window);
	void *ptr = lm_window_buffer_at(d->window, desc->iova - base, desc->len_bytes);

	if (ptr == NULL)
		atomic_fetch_add(&d->errors, 1);
	return ptr;
}

static bool
transmit(struct port_device *d)
{
	struct port_desc *desc = &d->tx.desc[d->state.tx_next % PORT_NB_DESC];
	void *data;

	if (atomic_load(&d->tx_hold) || atomic_load(d->tx.doorbell) == d->state.tx_next)
		return false;
	data = dma(d, desc);
	if (data != NULL && send(d->sock, data, desc->len_bytes, MSG_DONTWAIT) < 0) {
		if (errno == EAGAIN)
			return false;
		atomic_fetch_add(&d->errors, 1);
	}
	d->state.tx_next++;
	atomic_store(&desc->done, 1);
	return true;
}

static bool
receive(struct port_device *d)
{
	struct port_desc *desc = &d->rx.desc[d->state.rx_next % PORT_NB_DESC];
	ssize_t len;
	void *data;

	if (atomic_load(d->rx.doorbell) == d->state.rx_next)
		return false;
	data = dma(d, desc);
	len = data == NULL ? -1 : recv(d->sock, data, desc->len_bytes, MSG_DONTWAIT);
	if (len < 0)
		return false;
	desc->len_bytes = (uint32_t)len;
	d->state.rx_next++;
	atomic_store(&desc->done, 1);
	return true;
}

static void *
device_main(void *arg)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	struct port_device *d = arg;
	bool busy;

	while (!atomic_load(&d->quit)) {
		atomic_store(&d->running, atomic_load(&d->wanted));
		busy = false;
		if (atomic_load(&d->running)) {
			busy = receive(d);
			busy = transmit(d) || busy;
		}
		if (!busy)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

static int
open_socket(const char *local, const char *peer)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", local);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		ret = -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", peer);
	if (ret == 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		ret = -errno;
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

int
port_device_create(struct port_device *d, const struct lm_window *window, const char *local,
		const char *peer)
{
	int ret;

	d->window = window;
	d->sock = open_socket(local, peer);
	if (d->sock < 0)
		return d->sock;
	ret = -pthread_create(&d->thread, NULL, device_main, d);
	if (ret != 0)
		close(d->sock);
	return ret;
}

void
port_device_destroy(struct port_device *d)
{
	atomic_store(&d->quit, true);
	pthread_join(d->thread, NULL);
	close(d->sock);
}

void
port_device_run(struct port_device *d, bool on)
{
	const struct timespec nap = { .tv_nsec = 20000 };

	atomic_store(&d->wanted, on);
	while (atomic_load(&d->running) != on)
		nanosleep(&nap, NULL);
}
