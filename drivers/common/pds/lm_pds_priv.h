/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PDS_PRIV_H
#define LM_PDS_PRIV_H

/* Inside of drivers/common/pds. */

#include <pthread.h>

#include "lm_pds_core.h"

#define LM_PDS_AQ_LG2 4
#define LM_PDS_NQ_LG2 6
#define LM_PDS_AQ_SIZE (1u << LM_PDS_AQ_LG2)
#define LM_PDS_NQ_SIZE (1u << LM_PDS_NQ_LG2)

/* Queue memory; the device writes to comp and events at any time. */
struct lm_pds_queues {
	_Alignas(4096) uint8_t cmd[LM_PDS_AQ_SIZE][LM_PDS_AQ_ENTRY_BYTES];
	_Alignas(4096) uint8_t comp[LM_PDS_AQ_SIZE][LM_PDS_COMP_BYTES];
	_Alignas(4096) uint8_t events[LM_PDS_NQ_SIZE][LM_PDS_NQ_ENTRY_BYTES];
};

struct lm_pds_core {
	struct lm_pci *pci;
	struct lm_pds_core_params params;
	unsigned int regs_bar, dbell_bar;
	struct lm_pds_core_dev_identity identity;
	char fw_version[32];
	struct lm_pci_mem queue_mem;
	struct lm_pci_mem data_mem;

	pthread_mutex_t data_lock; /* data_mem's contents; taken before lock */
	pthread_mutex_t lock;      /* all below, and the order of commands */
	bool broken;               /* the queues are to be set up again */
	bool fw_down;
	uint8_t generation;
	uint8_t color;
	uint16_t head;
	uint16_t nq_tail;
	uint64_t last_eid;
	uint64_t doorbell;         /* offset in its BAR */
	uint64_t doorbell_qid;
	uint32_t epoch;
	uint32_t restarts;         /* of them, those of a firmware that was started anew */
	uint32_t heartbeat;
	uint64_t heartbeat_us;     /* when it was seen to change */
	uint32_t nb_events;        /* to be told when the lock is free */
	struct {
		enum lm_pds_event event;
		uint32_t arg;
	} events[LM_PDS_NQ_SIZE + 4];
};

uint64_t lm_pds_now_us(void);
/* Deadline: sleeps ever longer, up to 1 ms. */
struct lm_pds_wait {
	uint64_t end_us;
	uint32_t turns;
};
void lm_pds_wait_start(struct lm_pds_wait *wait, uint32_t timeout_ms);
/** @return false when the deadline has passed */
bool lm_pds_wait_turn(struct lm_pds_wait *wait);

/** Running and of the known generation? @return 0; -ENXIO: not running; -ESTALE: another one */
int lm_pds_fw_check(struct lm_pds_core *core);
/**
 * A device command; data in and out may be NULL, lengths are multiples of 4.
 * @return 0; -ENXIO, -ETIMEDOUT, an errno of its status or of pciaccess
 */
int lm_pds_devcmd(struct lm_pds_core *core, const uint8_t *cmd, const void *in, uint32_t in_bytes,
		void *out, uint32_t out_bytes);
/** RESET, IDENTIFY, INIT. */
int lm_pds_core_setup_locked(struct lm_pds_core *core);
/** Set up again what is broken, once the firmware runs. */
int lm_pds_core_recover_locked(struct lm_pds_core *core);
/** New entries of the notify queue. */
void lm_pds_notify_take_locked(struct lm_pds_core *core);
void lm_pds_event_add_locked(struct lm_pds_core *core, enum lm_pds_event event, uint32_t arg);
/** Unlock, then tell what happened. */
void lm_pds_core_unlock(struct lm_pds_core *core);

#endif /* LM_PDS_PRIV_H */
