/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PORT_H
#define LM_PORT_H

/**
 * @file
 * Ports whose running queues can be given up by one process and adopted by another: what a poll
 * mode driver implements, and what an application or a session calls.
 *
 * Source: lm_port_park() (polling threads are out of the queues), device to STOP_COPY,
 * lm_port_give_up(); the record, the control area and the live buffers are sent; after COMMIT the
 * port is closed, before it lm_port_take_back() at any time.
 *
 * Destination: the driver is probed with its port *incoming*: memory is mapped, queues are set up
 * without buffers and are parked, the device is not started. Window and device state arrive,
 * lm_port_adopt(), COMMIT, device to RUNNING, lm_port_run().
 *
 * Bursts of a parked queue return 0 (lm_quiesce.h). Mbufs that the application holds do not travel.
 * One thread at a time per port.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lm_port_rec.h"
#include "lm_quiesce.h"

struct lm_port;
struct lm_timeline;
struct lm_window;
struct lm_ram;

enum lm_port_mode {
	LM_PORT_RUNNING,
	LM_PORT_PARKED,   /* no thread is in a queue; it can run again */
	LM_PORT_GIVEN,    /* its record was taken: nothing of it may change */
	LM_PORT_INCOMING, /* waits for a record */
	LM_PORT_ADOPTED,  /* has one, and does not run yet */
};
/** "running", "parked", ...; "unknown" beyond the last. Static. */
const char *lm_port_mode_name(enum lm_port_mode mode);

/** By the driver; const. Every function returns 0 or -errno unless said otherwise. */
struct lm_port_ops {
	/** Who writes and reads the record: 1..63 characters. */
	const char *driver;
	/** All queues' words, at most max. @return how many there are */
	unsigned int (*queues)(void *priv, struct lm_quiesce **queues, unsigned int max);
	/**
	 * Queues are parked and the device does nothing any more: describe them, by
	 * lm_port_rec_create() and so on. Changes nothing.
	 */
	int (*give_up)(void *priv, struct lm_port_rec **rec);
	/**
	 * Queues are parked and the device stopped: take over rings (lm_window_claim()), indices
	 * and buffers (lm_withdraw.h). After an error all is as before.
	 */
	int (*adopt)(void *priv, const struct lm_port_rec *rec);
	/**
	 * The device runs: ring every doorbell and fire every interrupt once, as either may have
	 * been lost on the way. Queues are still parked. Also before a port that was parked runs
	 * again where it is. May be NULL.
	 */
	int (*resume)(void *priv);
};

struct lm_port_conf {
	const char *name; /* copied; 1..63 characters, unique in the process: "net_pds0" */
	const struct lm_port_ops *ops;
	void *priv;
	struct lm_window *window;     /* the caller's, must outlive the port */
	struct lm_timeline *timeline; /* likewise; may be NULL */
	bool incoming;                /* nobody polls yet */
};

/**
 * By the application, before the device is probed: its port is to keep all that the device sees in
 * this window, and maybe to wait for a record. The window is the caller's and outlives the port.
 *
 * @param name the port's, 1..63 characters
 * @return 0; -EINVAL: bad name; -EEXIST: said already; -ENOMEM
 */
int lm_port_prepare(const char *name, struct lm_window *window, bool incoming);
/** By a driver that probes a port of this name. @return the window, NULL: nothing was prepared */
struct lm_window *lm_port_prepared(const char *name, bool *incoming);
/** Forget what was prepared; a port that has looked keeps it. */
void lm_port_unprepare(const char *name);

/**
 * By the driver, once its queues exist.
 * @return 0; -EINVAL: bad name; -EEXIST: it is taken; -ENOMEM; -errno of lm_quiesce_park()
 */
int lm_port_create(const struct lm_port_conf *conf, struct lm_port **port);
/** NULL is allowed. Queues that were parked stay so. */
void lm_port_destroy(struct lm_port *port);
/** Any thread; the port stays its driver's. NULL: no such port. */
struct lm_port *lm_port_find(const char *name);
const char *lm_port_name(const struct lm_port *port);
enum lm_port_mode lm_port_mode(const struct lm_port *port);

/**
 * Get all polling threads out of all queues.
 *
 * @param late NULL, or set to the name of the first queue whose thread stayed, else to NULL; valid
 * as long as the port
 * @return 0; -EINVAL: not running; -ETIMEDOUT: a thread stayed in its burst, the port runs on;
 * -ENOMEM
 */
int lm_port_park(struct lm_port *port, uint64_t deadline_us, const char **late);
/**
 * The device has stopped: take the record. May be called again.
 *
 * @param ram mark the live buffers in it (lm_port_rec_mark()); may be NULL
 * @param payload for free()
 * @return bytes; -EINVAL: neither parked nor given; -errno of the driver or of
 * lm_port_rec_encode()
 */
int lm_port_give_up(struct lm_port *port, struct lm_ram *ram, void **payload);
/**
 * Parked or given, and the device runs again, here: go on.
 * @return 0; -EINVAL: neither; -errno of the driver's resume: it stays as it was
 */
int lm_port_take_back(struct lm_port *port);
/**
 * Incoming: take over what a record says; the window's content has arrived, the device's state has
 * been loaded and it is stopped.
 * @return 0; -EINVAL: not incoming; as lm_port_rec_decode(); -errno of the driver: it is incoming
 * as before
 */
int lm_port_adopt(struct lm_port *port, const void *payload, size_t len_bytes);
/**
 * Adopted, and the device runs: let the polling threads in.
 * @return 0; -EINVAL: not adopted; -errno of the driver's resume: it stays adopted
 */
int lm_port_run(struct lm_port *port);

/**
 * All ports of a window, for the hooks of a session (lm_session.h). No port may come or go
 * meanwhile.
 *
 * Park: all or none; @p late as lm_port_park(). @return 0 or the first error
 */
int lm_ports_park(const struct lm_window *window, uint64_t deadline_us, const char **late);
/** Those that are parked or given. @return 0 or the first error; all are tried */
int lm_ports_take_back(const struct lm_window *window);
/**
 * The devices have stopped: give up all ports, and write their records, by name, where the window
 * keeps them, to be sent with the control area.
 *
 * @param ram mark live buffers in it; may be NULL
 * @return 0; -ENOSPC: struct lm_window_conf's record_bytes is too small; as lm_port_give_up()
 */
int lm_ports_save(const struct lm_window *window, struct lm_ram *ram);
/**
 * Window and devices' states have arrived: adopt all ports.
 * @return 0; -EPROTO: the records make no sense; -ENOENT: one has no port, or a port none; as
 * lm_port_adopt(). After an error some are adopted and some are incoming: close them.
 */
int lm_ports_load(const struct lm_window *window);
/** The devices run: all adopted ports do. @return 0 or the first error; all are tried */
int lm_ports_run(const struct lm_window *window);

#endif /* LM_PORT_H */
