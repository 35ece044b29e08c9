/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_PDS_H
#define DM_PDS_H

/**
 * @file
 * AMD Pensando DSC: what its core PF and its Ethernet VFs have in common. Registers, device
 * commands, interrupts, DMA, dirty tracking, doorbells, admin and notify queues.
 *
 * A function's migrating state is in plain structures without pointers (struct dm_pds_regs here,
 * struct dm_pds_lif in dm_pds_vf.h): saving is a copy, restoring is a check and a copy.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dm_device.h"
#include "lm_pds_text.h"
#include "pds_aq_if.h"

#define DM_PDS_REGS_BAR 0  /* 64-bit, with BAR 1 */
#define DM_PDS_DBELL_BAR 2
#define DM_PDS_MSIX_BAR 3  /* not 4: Linux's ionic takes that for controller memory */
#define DM_PDS_MAX_VFS 8
#define DM_PDS_MAX_PAIRS 16
#define DM_PDS_MAX_VECTORS (1 + DM_PDS_MAX_PAIRS)
#define DM_PDS_MAX_PAGES (1 + DM_PDS_MAX_PAIRS)
#define DM_PDS_MAX_REGIONS 8      /* of dirty tracking */
#define DM_PDS_COAL_UNIT_US 4       /* with 63 units at most: Linux's default of 64 us must fit */
#define DM_PDS_DBELL_IDLE UINT64_MAX /* what a slot holds while nobody rang */

struct dm_pds_fn;

struct dm_pds_intr {
	uint32_t coal_init;
	uint32_t mask;
	uint32_t mask_on_assert;
	int16_t credits;   /* events since the driver last took them; an interrupt waits if > 0 */
	uint16_t pad;
	uint64_t sent;
};

/** Registers that a driver writes. */
struct dm_pds_regs {
	struct lm_pds_core_dev_cmd_regs cmd;
	struct dm_pds_intr intr[DM_PDS_MAX_VECTORS];
	uint8_t cmd_waits;   /* rung, not done */
	uint8_t fw_status;
	uint8_t pad[2];
	uint32_t heartbeat;
};

/** A queue of 64-byte commands with completions: index, colour and place of both rings. */
struct dm_pds_cmdq {
	uint64_t base;
	uint64_t cq_base;
	uint16_t head;      /* next command to take */
	uint16_t p_index;   /* as last rung */
	uint16_t cq_head;
	uint16_t vector;    /* LM_IONIC_QINIT_NO_INTR: none */
	uint8_t size_lg2;
	uint8_t color;
	uint8_t enabled;
	uint8_t pad;
};

struct dm_pds_notifyq {
	uint64_t cq_base;
	uint64_t eid;
	uint16_t head;
	uint16_t vector;
	uint8_t size_lg2;
	uint8_t enabled;
	uint8_t pad[2];
};

/** Levels of LM_PDS_LM_CMD_SUSPEND; without telling peers apart, both stop all DMA. */
enum dm_pds_level { DM_PDS_RUNNING, DM_PDS_SUSPENDED_P2P, DM_PDS_SUSPENDED_FULL };

/** SEQ and ACK: a page is dirty when its two bits differ. */
struct dm_pds_dirty {
	uint32_t nb_regions; /* 0: off */
	struct {
		uint64_t base;
		uint64_t page_count;
		uint64_t first_bit; /* of the concatenated bitmaps */
		uint8_t page_size_lg2;
	} regions[DM_PDS_MAX_REGIONS];
	uint64_t bytes; /* of each bitmap */
	uint8_t *seq;
	uint8_t *ack;
	uint64_t writes; /* that were marked */
};

struct dm_pds_status_fault {
	uint64_t count; /* how many times still */
	uint8_t opcode;
	uint8_t status;
};

/** Misbehaviour on demand; counts go down as they are used up. */
struct dm_pds_faults {
	struct dm_pds_status_fault devcmd_status, adminq_status, lm_status;
	uint64_t devcmd_slow_us, adminq_slow_us;
	uint64_t devcmd_lost, adminq_lost;
	uint64_t suspend_busy; /* SUSPEND_STATUS says EAGAIN so often */
	uint64_t blob_bytes;   /* STATE_SIZE and SAVE give at least so many */
	uint64_t blob_corrupt;
	uint64_t wrong_colour;
	uint64_t dirty_lost; /* writes that leave no dirty page */
};

struct dm_pds_fn_ops {
	enum lm_pds_place devcmd_place;
	const char *trace_devcmd, *trace_adminq; /* groups of commands that succeeded */
	/** Run a device command: comp is zeroed. @return status */
	uint8_t (*devcmd)(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp, uint8_t *data);
	/** A doorbell of a page, with qid and index inside 24 and 16 bits. */
	void (*doorbell)(struct dm_pds_fn *fn, uint32_t page, uint32_t type, uint32_t qid,
			uint16_t index);
};

struct dm_pds_fn {
	const struct dm_pds_fn_ops *ops;
	struct dm_host *host;
	uint16_t nb_vectors;
	uint16_t nb_pages;        /* of doorbells; the first is trapped, the others are shared */
	enum dm_pds_level level;
	struct dm_pds_regs regs;
	struct dm_pds_faults faults;
	struct dm_pds_dirty dirty;
	uint64_t coal_end_ns[DM_PDS_MAX_VECTORS];
	uint64_t cmd_due_ns;
	uint64_t aq_due_ns;       /* 0: the command at the head was not looked at yet */
	uint64_t heartbeat_ns;

	int db_fd;
	uint8_t *db_pages;        /* shared pages, from page 1 on; NULL: none */
	uint64_t db_seen[DM_PDS_MAX_PAGES][LM_PDS_DBELL_TYPES];
	bool db_stored;           /* somebody rings by store: only polling sees it */
	struct lm_vu_area db_area;

	uint64_t devcmds, adminq_cmds, doorbells;
	char last[160];           /* last command, in words */
};

/* Registers: dm_pds_regs.c */
void dm_pds_fn_init(struct dm_pds_fn *fn, struct dm_host *host, const struct dm_pds_fn_ops *ops,
		uint16_t nb_vectors, uint16_t nb_pages);
/** Everything a driver did to registers and interrupts is gone. */
void dm_pds_fn_reset(struct dm_pds_fn *fn);
int dm_pds_bar_read(struct dm_pds_fn *fn, uint32_t bar, uint64_t offset, void *buf,
		uint32_t len_bytes);
int dm_pds_bar_write(struct dm_pds_fn *fn, uint32_t bar, uint64_t offset, const void *buf,
		uint32_t len_bytes);
/** Commands and moderated interrupts whose time has come. @return work done */
unsigned int dm_pds_fn_tick(struct dm_pds_fn *fn, uint64_t now_ns);
/** Until when fn_tick() has nothing to do. */
uint32_t dm_pds_fn_sleep_us(struct dm_pds_fn *fn, uint64_t now_ns, uint32_t max_us);
/** BARs and vectors of a function. */
void dm_pds_fn_fill(struct dm_pds_fn *fn, struct dm_device *device);
int dm_pds_fn_stats(const struct dm_pds_fn *fn, json_t *object);

/* Interrupts: dm_pds_intr.c */
void dm_pds_intr_reset(struct dm_pds_fn *fn);
void dm_pds_intr_raise(struct dm_pds_fn *fn, uint16_t vector, uint16_t events);
/** What waited while the function was suspended. */
void dm_pds_intr_resume(struct dm_pds_fn *fn);
/** Moderation timers. */
void dm_pds_intr_tick(struct dm_pds_fn *fn, uint64_t now_ns);
void dm_pds_intr_read(struct dm_pds_fn *fn, uint32_t offset, uint8_t *buf, uint32_t len_bytes);
void dm_pds_intr_write(struct dm_pds_fn *fn, uint32_t offset, const uint8_t *buf,
		uint32_t len_bytes);
/** Bit i: vector i waits. */
uint64_t dm_pds_intr_pending(const struct dm_pds_fn *fn);

/* DMA: dm_pds_dma.c. false: not mapped, not allowed, or the bus master is off. */
bool dm_pds_read(struct dm_pds_fn *fn, uint64_t iova, void *buf, uint64_t len_bytes);
/** Marked dirty once the data is visible. */
bool dm_pds_write(struct dm_pds_fn *fn, uint64_t iova, const void *buf, uint64_t len_bytes);
/** A 16-byte completion: the last byte, with the colour, after the others. */
bool dm_pds_write_comp(struct dm_pds_fn *fn, uint64_t iova, const uint8_t *comp);

/* Dirty tracking: dm_pds_dirty.c. Functions return status codes. */
void dm_pds_dirty_mark(struct dm_pds_dirty *d, uint64_t iova, uint64_t len_bytes);
uint8_t dm_pds_dirty_enable(struct dm_pds_dirty *d, struct lm_pds_lm_dirty_region_info *regions,
		uint32_t nb_regions);
void dm_pds_dirty_disable(struct dm_pds_dirty *d);

/* Doorbells: dm_pds_db.c */
int dm_pds_db_init(struct dm_pds_fn *fn, struct lm_vu_region_conf *bar);
void dm_pds_db_fini(struct dm_pds_fn *fn);
void dm_pds_db_write(struct dm_pds_fn *fn, uint64_t offset, const uint8_t *buf,
		uint32_t len_bytes);
/** Look at the shared pages. */
void dm_pds_db_poll(struct dm_pds_fn *fn);
/** A queue begins: what was rung there before is not meant for it. */
void dm_pds_db_forget(struct dm_pds_fn *fn, uint32_t page, uint32_t type);

/* Queues of commands: dm_pds_cmdq.c */
void dm_pds_cmdq_start(struct dm_pds_cmdq *q, uint64_t base, uint64_t cq_base, uint8_t size_lg2,
		uint16_t vector);
void dm_pds_cmdq_rung(struct dm_pds_fn *fn, struct dm_pds_cmdq *q, uint16_t index);
/** Take the command at the head: run() fills comp but for index and colour. @return work done */
unsigned int dm_pds_cmdq_poll(struct dm_pds_fn *fn, struct dm_pds_cmdq *q, uint64_t now_ns,
		void (*run)(struct dm_pds_fn *fn, const uint8_t *cmd, uint8_t *comp));
/** event: 64 bytes, its eid is filled in. Nothing happens while the queue is off. */
void dm_pds_notify(struct dm_pds_fn *fn, struct dm_pds_notifyq *q, void *event);

/* Faults: dm_pds_fault.c */
int dm_pds_fault_parse(struct dm_pds_faults *f, const char *spec);
/** Does a fault want another status for this command? */
bool dm_pds_fault_status(struct dm_pds_status_fault *f, uint8_t opcode, uint8_t *status);
/** One of a fault's times is used up. */
bool dm_pds_fault_take(uint64_t *count);

#endif /* DM_PDS_H */
