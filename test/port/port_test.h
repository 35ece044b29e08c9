/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PORT_TEST_H
#define PORT_TEST_H

/*
 * A device and its poll mode driver, as small as they can be, to show that running queues move
 * from one process to another: one Rx and one Tx ring in the window, doorbells that count
 * descriptors, frames on a datagram socket. The device is a thread; what it knows (the next
 * descriptor of each ring) is its state, that moves with it.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lm_window.h"

#define PORT_NB_DESC 64u

struct port_desc {
	uint64_t iova;
	uint32_t len_bytes;    /* Rx: room, then length */
	_Atomic uint32_t done; /* by the device */
};

struct port_ring {
	struct port_desc *desc;
	_Atomic uint32_t *doorbell; /* descriptors handed over so far */
};

/** What the device knows. */
struct port_device_state {
	uint32_t rx_next;
	uint32_t tx_next;
};

struct port_device {
	const struct lm_window *window;
	struct port_ring rx;
	struct port_ring tx;
	struct port_device_state state;
	int sock;
	pthread_t thread;
	_Atomic bool wanted;  /* to run */
	_Atomic bool running;
	_Atomic bool quit;
	_Atomic bool tx_hold; /* leave the Tx ring alone */
	_Atomic uint64_t errors; /* descriptors outside the window, frames that went nowhere */
};

/** @return 0 or -errno */
int port_device_create(struct port_device *d, const struct lm_window *window, const char *local,
		const char *peer);
void port_device_destroy(struct port_device *d);
/** Returns when it has started or come to rest. */
void port_device_run(struct port_device *d, bool on);

/** What the driver finds when it is probed: set before rte_vdev_init(). */
struct port_setup {
	struct lm_window *window;
	const char *local; /* socket paths */
	const char *peer;
	bool incoming;
};
extern struct port_setup port_setup;

/** The device behind a port of the driver. */
struct port_device *port_device_of(uint16_t port_id);
/** Descriptors of a ring that the device has completed and the driver has not looked at. */
unsigned int port_rx_filled(uint16_t port_id);
unsigned int port_tx_pending(uint16_t port_id);
unsigned int port_rx_posted(uint16_t port_id);

#endif /* PORT_TEST_H */
