/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MIG_H
#define MIG_H

/**
 * @file
 * What send, receive and the demo share: a side with its devices and memory (mig_side.c), options
 * (mig_args.c), the load that exercises it (mig_load.c), and how a migration is shown
 * (mig_screen.c, mig_text.c, mig_json.c).
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "lm_exerciser_check.h"
#include "lm_session.h"

struct lm_pci;
struct lm_vfio;
struct lm_timeline;

#define MIG_MAX_DEVICES 64u
#define MIG_MAX_RAM 16u

struct mig_ram {
	char name[32];
	uint64_t addr;
	uint64_t size_bytes;
	char file[108]; /* empty: memory of our own */
	uint32_t flags; /* LM_RAM_F_* */
};

struct mig_conf {
	struct {
		char name[LM_GROUP_NAME_BYTES];
		char socket[108]; /* empty: bdf */
		char bdf[16];
		char migration[108]; /* where its PF serves that; empty: itself */
	} devices[MIG_MAX_DEVICES];
	unsigned int nb_devices;
	struct mig_ram ram[MIG_MAX_RAM];
	unsigned int nb_ram;
	const char *address;
	unsigned int connections;
	uint64_t bytes_per_s;
	uint64_t downtime_limit_us;
	uint64_t precopy_us;
	uint64_t force_after_us;
	uint64_t deadline_us;
	bool zstd;
	bool no_peer_dma;
	bool quiet;
	const char *json;
	const char *jsonl;
	const char *junit;
	const char *control;
	const char *calibration;
	/* The load. */
	bool exercise;
	uint64_t load_rate;  /* device writes a second, each device */
	uint64_t load_pages; /* working set, each device */
	uint64_t load_state_bytes; /* UINT64_MAX: as the device has it */
	unsigned int load_ms;      /* runs so long before the migration */
};

enum mig_verb {
	MIG_SEND = 0x1,
	MIG_RECEIVE = 0x2,
};

/** @return TEST_LM_OK, TEST_LM_USAGE after a message; *help: print usage and end */
int mig_args_parse(int argc, char **argv, enum mig_verb verb, struct mig_conf *conf, bool *help);
void mig_usage(FILE *out, enum mig_verb verb);
void mig_conf_defaults(struct mig_conf *conf);

struct mig_side {
	const struct mig_conf *conf;
	bool source;
	unsigned int nb;
	struct lm_pci *pci[MIG_MAX_DEVICES];
	struct lm_pci *mig[MIG_MAX_DEVICES]; /* pci[], or what its PF serves */
	struct lm_vfio *vfio[MIG_MAX_DEVICES];
	struct lm_group *group;
	struct lm_ram *ram;
	struct lm_tracker *tracker;
	struct lm_compat *compat;
	struct lm_timeline *timeline;
	void *memory[MIG_MAX_RAM];
	int fds[MIG_MAX_RAM];
};

/** Open everything. @return 0 or -errno, after a message. Close it also after a failure. */
int mig_side_open(struct mig_side *side, const struct mig_conf *conf, bool source);
void mig_side_close(struct mig_side *side);

/** Devices that write to memory, a thread that does, and what must be of it afterwards. */
struct mig_load {
	struct mig_side *side;
	pthread_t writer;
	bool writer_runs;
	_Atomic bool hold;  /* the writer is to stop where it is */
	_Atomic bool held;
	_Atomic bool end;
	_Atomic uint64_t cpu_writes;
};

struct mig_check {
	bool done;
	uint64_t device_pages;
	uint64_t cpu_pages;
	uint64_t lost;     /* pages, completions and all else that is not what it must be */
	uint64_t cpu_lost; /* of them, pages that a CPU wrote */
	char first[160];   /* in words */
};

int mig_load_start(struct mig_load *load, struct mig_side *side);
/** Hold the writer; for lm_outgoing_conf. */
int mig_load_hold(struct mig_load *load);
void mig_load_let_go(struct mig_load *load);
void mig_load_end(struct mig_load *load);
/** Destination, before the devices run: what a VMM restores. */
int mig_load_arrive(struct mig_side *side);
/** As soon as they run: hold them to be looked at; a few writes may have come before. */
void mig_load_pause(struct mig_side *side);
/** Destination: compare all with what it must be, and let the devices go on. */
int mig_load_check(struct mig_side *side, struct mig_check *check);

/** One line that moves, on a terminal; a line per phase elsewhere. */
struct mig_screen {
	FILE *out;
	FILE *jsonl;
	bool moving;
	bool quiet;
	enum lm_phase phase;
	bool begun;
	uint64_t shown_us;
};
void mig_screen_open(struct mig_screen *screen, const struct mig_conf *conf);
void mig_screen_show(struct mig_screen *screen, const struct lm_report *report);
void mig_screen_close(struct mig_screen *screen);

/* mig_calibration.c: a file of one JSON object. */

/** One that is not there, or not understood, is as nothing known; the latter is said. */
void mig_calibration_read(const char *path, struct lm_calibration *c);
/** @return 0 or -EIO, after a message */
int mig_calibration_write(const char *path, const struct lm_calibration *c);

/** All that is known of a migration when it is over. */
json_t *mig_json(const char *side, const struct lm_report *report,
		const struct lm_member_report *members, const struct mig_check *check,
		const struct lm_timeline *timeline);
/** As a table; json is what mig_json() made, of this run or of another. */
void mig_text(FILE *out, const json_t *json);
/** Write --json and --junit files. @return 0 or -errno, after a message */
int mig_json_write(const struct mig_conf *conf, const json_t *json);
/** What went wrong, where everybody is, what next. */
void mig_explain(const struct mig_conf *conf, const char *side, const struct lm_report *report);
/** TEST_LM_* of an outcome. */
int mig_exit_code(const struct lm_report *report, const struct mig_check *check);

/** SIGINT and SIGTERM: cancel at the first, leave at the second. Before other threads start. */
void mig_signals_block(void);
int mig_signals_start(int (*cancel)(void *ctx), void *ctx);

/** Wait on a control socket until somebody says which side runs. @return true: the source */
bool mig_await_resolve(const struct mig_conf *conf);

#endif /* MIG_H */
