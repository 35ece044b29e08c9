/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PDS_CORE_H
#define LM_PDS_CORE_H

/**
 * @file
 * A pds core PF (1dd8:100c), commanded from user space: device commands, admin and notify queue,
 * clients, firmware health and recovery.
 *
 * Any thread may call; calls on one PF are serialised inside and block, each up to its deadline.
 * Completions are polled: no interrupt is used, so none can be lost. Failures have words in
 * lm_pci_strerror() of the PF's handle.
 *
 * What differs from Linux's pds_core on purpose: a completion must carry the index of its command;
 * after one that came too late, or not at all, the queues are set up again instead of taking each
 * later completion for the one before it; nothing the device may still write to is on a stack.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_pci.h"
#include "pds_aq_if.h"

struct lm_pds_core;

/** What the PF tells: from its notify queue, or found out by lm_pds_core_health(). */
enum lm_pds_event {
	LM_PDS_EV_LINK,      /* arg: link status */
	LM_PDS_EV_RESET,     /* arg: 0 pending, 1 complete, 2 error */
	LM_PDS_EV_CLIENT,    /* arg: client id */
	LM_PDS_EV_FW_DOWN,   /* commands fail with -ENXIO until it is back */
	LM_PDS_EV_RECOVERED, /* queues are set up again: what VFs had going is in doubt */
	LM_PDS_EV_STALLED,   /* the heartbeat has stopped */
};

struct lm_pds_core_params {
	uint32_t devcmd_timeout_ms; /* 0: 5000, as Linux */
	uint32_t adminq_timeout_ms; /* 0: 5000 */
	uint32_t suspend_timeout_ms; /* of a VF that is busy; 0: 5000 */
	/** May be NULL. Called without locks by whoever calls a function here. */
	void (*event)(void *ctx, enum lm_pds_event event, uint32_t arg);
	void *ctx;
};

/**
 * Take a PF: bus master on, RESET, IDENTIFY, INIT.
 *
 * @param pci
 *   The PF's; the caller's, and must outlive the core. Nothing else may command it.
 * @param params
 *   Copied; may be NULL.
 * @return 0; -ENODEV: no such device behind the handle; -ENXIO: its firmware does not run;
 *   -ETIMEDOUT: a device command was not done in time; -EPROTO: it answered nonsense; -ENOMEM;
 *   an errno of a refused command, or of pciaccess
 */
int lm_pds_core_open(struct lm_pci *pci, const struct lm_pds_core_params *params,
		struct lm_pds_core **core);
/** RESET, so that the device writes no more, and free. Clients are to be closed before. */
void lm_pds_core_close(struct lm_pds_core *core);

/** What IDENTIFY said. */
const struct lm_pds_core_dev_identity *lm_pds_core_identity(const struct lm_pds_core *core);
/** Firmware's version, at most 31 characters. */
const char *lm_pds_core_fw_version(const struct lm_pds_core *core);
/** Counts recoveries: who remembers it sees that one happened. */
uint32_t lm_pds_core_epoch(struct lm_pds_core *core);
/** Counts recoveries that a firmware's restart made necessary: it has forgotten VFs' levels. */
uint32_t lm_pds_core_restarts(struct lm_pds_core *core);
/** The PF's handle, for lm_pci_strerror() and memory. */
struct lm_pci *lm_pds_core_pci(struct lm_pds_core *core);

/**
 * Look after the firmware and take notify events; call it every few seconds.
 *
 * A firmware that stopped, or came back as another generation, is noticed here and at every
 * command; when it runs again, the queues are set up again. Clients keep their ids.
 * @return 0: healthy; -ENXIO: not running; an errno of a failed recovery, which the next call
 *   tries again
 */
int lm_pds_core_health(struct lm_pds_core *core);

/**
 * A command on the admin queue.
 *
 * @param cmd
 *   64 bytes.
 * @param comp
 *   16 bytes, filled also when the command was refused; may be NULL.
 * @return 0; -ETIMEDOUT: no completion in time, the queues will be set up again; -ENXIO: the
 *   firmware stopped; -EPROTO: a completion of another command; else the errno of its status,
 *   see lm_pds_status_errno()
 */
int lm_pds_core_admin_cmd(struct lm_pds_core *core, const void *cmd, void *comp);

/**
 * Memory of the PF for commands' data, one user at a time: lm_pds_core_lock_data() waits for it.
 * The device reads and writes all of it.
 */
#define LM_PDS_DATA_BYTES (128u << 10)
void *lm_pds_core_lock_data(struct lm_pds_core *core, uint64_t *iova);
void lm_pds_core_unlock_data(struct lm_pds_core *core);

/** A client: a name on the PF under which commands for a VF are sent. */
struct lm_pds_client {
	struct lm_pds_core *core;
	char name[LM_PDS_DEVNAME_LEN];
	uint16_t id;
};

/**
 * @param name
 *   1 to 31 characters.
 * @return 0; -EINVAL: name; -EPROTO: the device gave the id 0; else as lm_pds_core_admin_cmd()
 */
int lm_pds_client_open(struct lm_pds_core *core, const char *name, struct lm_pds_client *client);
/** Tells the device; does nothing when client->core is NULL. */
void lm_pds_client_close(struct lm_pds_client *client);
/**
 * A client's command. When the device has forgotten the client, it is registered again and the
 * command sent once more.
 *
 * @param cmd
 *   60 bytes.
 * @return as lm_pds_core_admin_cmd(); -ECHILD: the device does not know the client even then
 */
int lm_pds_client_cmd(struct lm_pds_client *client, const void *cmd, void *comp);

#endif /* LM_PDS_CORE_H */
