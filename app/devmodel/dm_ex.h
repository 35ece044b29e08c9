/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_EX_H
#define DM_EX_H

/**
 * @file
 * The exerciser (exerciser_if.h): a device made to torture migration, and its insides for its own
 * files.
 */

#include "dm_device.h"
#include "dm_dirty.h"
#include "dm_ex_fault.h"
#include "exerciser_state_if.h"
#include "lm_state.h"

/** What one exerciser is; zeros but for host: no migration, no log, no state. */
struct dm_ex_conf {
	struct dm_host *host;
	uint64_t mig_flags;    /* LM_STATE_F_*; 0: it does not migrate by itself */
	uint64_t seed;         /* LM_EX_REG_SEED after a reset */
	uint64_t state_bytes;  /* LM_EX_REG_STATE_BYTES after a reset */
	uint64_t compat;       /* a state loads only where it is the same */
	uint32_t initial_percent; /* of the state that counts as initial in pre-copy */
	bool has_log;
	bool by_pf;            /* a VF: its PF commands its migration */
	bool strict;           /* a libvfio-user device: mig_flags 5, whole mappings */
	struct dm_dirty_conf log;
};

/** Being saved: from the entry into a saving state to its end. */
struct dm_ex_save {
	bool on;
	bool has_head;        /* HEAD is to be sent */
	bool reinit;          /* and the reader has not seen any of it */
	bool done;            /* TAIL was sent */
	uint64_t *unsent;     /* a bit a block */
	uint64_t nb_blocks;
	uint64_t unsent_bytes; /* records of those blocks */
	uint64_t nb_initial;
	uint64_t next_initial; /* the first of nb_initial that was not sent once */
	uint64_t scan;
	uint64_t serial;
	uint64_t offset;      /* bytes read since the start */
	/* The record that is being read: fixed bytes, then of a block its words. */
	uint8_t *fixed;
	uint64_t fixed_bytes;
	uint64_t data_bytes;
	uint64_t data_key;
	uint64_t at;
};

/** Being loaded: from RESUMING to its end; only then does the device become what came. */
struct dm_ex_load {
	bool on;
	int failed; /* what the first bad byte got; so does all that follows */
	bool done;  /* TAIL has come */
	uint64_t serial;
	uint64_t offset;
	struct lm_ex_record record;
	struct lm_ex_block block;
	uint64_t at;        /* in the record, its head included */
	uint64_t data_key;
	bool has_head;
	struct lm_ex_head head;
	struct lm_ex_tail tail;
	uint64_t *mods;     /* a block each; UINT64_MAX: has not come */
	uint64_t nb_blocks;
};

/** On the way from one state to another; waits where a fault wants it. */
struct dm_ex_walk {
	bool on;
	bool waited;      /* the arc that is next has had its wait */
	uint64_t wait_ns; /* until then; 0: not at all, UINT64_MAX: until it is released */
	enum lm_state to;
};

struct dm_ex {
	struct dm_host *host;
	struct dm_ex_conf conf;
	struct dm_device_ops ops;

	uint64_t config[LM_EX_NB_CONFIG];
	struct lm_ex_range ranges[LM_EX_MAX_RANGES];
	uint64_t range_first[LM_EX_MAX_RANGES + 1]; /* number of the first page of each */
	bool started;
	bool paused;
	bool bad;

	uint64_t counters[LM_EX_NB_COUNTERS];
	struct lm_ex_op op[LM_EX_MAX_OPS]; /* a ring */
	uint32_t first_op;
	uint32_t nb_ops;
	uint64_t next_ns; /* when the next step is due */

	uint64_t *mods; /* last modification of each block */
	uint64_t nb_blocks;

	int window_fd;
	uint8_t *window;
	uint8_t window_was[LM_EX_WINDOW_BYTES]; /* when the device stopped */
	uint64_t peer_late;

	enum lm_state state;
	struct dm_ex_walk walk;
	uint64_t io_wait_ns; /* a read or write that waits, as in walk */
	bool io_waited;
	struct lm_ex_mark marks[LM_STATE_NB];
	struct lm_ex_mark origin_marks[LM_STATE_NB];
	struct dm_ex_save save;
	struct dm_ex_load load;
	struct dm_dirty dirty;
	struct dm_ex_faults faults;
	uint64_t dropped_marks;
	uint64_t arcs;
};

/** All capabilities, 1 MiB of state. */
void dm_ex_conf_defaults(struct dm_ex_conf *conf);
/** One KEY=VALUE. @return 0; -EINVAL. */
int dm_ex_conf_parse(struct dm_ex_conf *conf, const char *option);
/** Do all go together? @return 0; -EINVAL. */
int dm_ex_conf_check(const struct dm_ex_conf *conf);

/** Fill in the device; ends with its destroy. @return 0; -ENOMEM; -errno of the window's memory */
int dm_ex_create(const struct dm_ex_conf *conf, struct dm_device *device);
void dm_ex_reset(struct dm_ex *ex);

/* The place of a register in config[] and counters[]. */
#define DM_EX_CONFIG(reg) (((reg) - LM_EX_REG_CONFIG) / 8)
#define DM_EX_COUNTER(reg) (((reg) - LM_EX_REG_COUNTERS) / 8)

/* Registers. */
int dm_ex_bar_read(void *dev, uint32_t bar, uint64_t offset, void *buf, uint32_t len_bytes);
int dm_ex_bar_write(void *dev, uint32_t bar, uint64_t offset, const void *buf,
		uint32_t len_bytes);

/* Steps. */
/** Check the configuration; makes range_first. @return 0; -EINVAL. */
int dm_ex_config_check(struct dm_ex *ex);
/** Can the internal state be so large? */
bool dm_ex_state_bytes_ok(uint64_t bytes);
void dm_ex_start(struct dm_ex *ex);
void dm_ex_doorbell(struct dm_ex *ex, uint64_t token);
unsigned int dm_ex_steps(struct dm_ex *ex, uint64_t now_ns);
/** When it runs again the steps of the time between are not made up for. */
void dm_ex_steps_from_now(struct dm_ex *ex);
/** Does it take steps in this state, as it is now? */
bool dm_ex_runs(const struct dm_ex *ex);
/** Make the blocks of config's state. @return 0; -ENOMEM. */
int dm_ex_blocks(struct dm_ex *ex);
uint64_t dm_ex_digest(const uint64_t *mods, uint64_t nb, uint64_t seed);
/** Highest sound record in the window. */
uint64_t dm_ex_peer_seen(const struct dm_ex *ex);
/** Nobody may have written there while the device is stopped: counted, and a broken rule. */
void dm_ex_window_check(struct dm_ex *ex);

/* Migration. */
extern const struct dm_mig_ops dm_ex_mig_ops;
extern const struct dm_mig_ops dm_ex_strict_mig_ops;
extern const struct dm_log_ops dm_ex_log_ops;
/** May it write to memory, be written to by peers, take operations? */
bool dm_ex_is_stopped(const struct dm_ex *ex);
/**
 * One arc, or with a path all of the way. -EINPROGRESS: call again, dm_ex_waits() tells when.
 * @return 0; -EINVAL: no such way; -EIO: it is in ERROR; what faults and loads say
 */
int dm_ex_go(struct dm_ex *ex, enum lm_state to, bool path);
/** Time when something that waits is over; UINT64_MAX: it waits for a release; 0: nothing waits. */
uint64_t dm_ex_waits(const struct dm_ex *ex);
/** What hangs goes on. */
void dm_ex_release(struct dm_ex *ex);
/** As dm_mig_ops; -ENOMSG in PRE_COPY. */
int dm_ex_read(struct dm_ex *ex, void *buf, uint32_t len_bytes);
int dm_ex_write(struct dm_ex *ex, const void *buf, uint32_t len_bytes);
void dm_ex_info(const struct dm_ex *ex, uint32_t *flags, uint64_t *initial, uint64_t *dirty);
uint64_t dm_ex_left_bytes(const struct dm_ex *ex);

/** all: not as pre-copy but in STOP_COPY. @return 0; -ENOMEM. */
int dm_ex_save_begin(struct dm_ex *ex, bool all);
void dm_ex_save_end(struct dm_ex *ex);
/** A block was changed; or all was, with the configuration. */
void dm_ex_save_changed(struct dm_ex *ex, uint64_t block);
int dm_ex_save_reinit(struct dm_ex *ex);
int dm_ex_save_read(struct dm_ex *ex, uint8_t *buf, uint32_t len_bytes);

int dm_ex_load_begin(struct dm_ex *ex);
/** Become what was loaded; nothing changes if nothing came. @return 0; -EINVAL: not complete. */
int dm_ex_load_end(struct dm_ex *ex);
void dm_ex_load_drop(struct dm_ex *ex);
int dm_ex_load_write(struct dm_ex *ex, const uint8_t *buf, uint32_t len_bytes);

/* Words of a block from a byte on; compare: are they these? */
void dm_ex_data_fill(uint64_t key, uint64_t from, uint8_t *buf, uint64_t len_bytes);
bool dm_ex_data_same(uint64_t key, uint64_t from, const uint8_t *buf, uint64_t len_bytes);

int dm_ex_log_start(struct dm_ex *ex, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes);
int dm_ex_log_stop(struct dm_ex *ex);
int dm_ex_log_report(struct dm_ex *ex, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap);

int dm_ex_stats(void *dev, json_t *object);

#endif /* DM_EX_H */
