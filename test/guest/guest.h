/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef GUEST_H
#define GUEST_H

/**
 * @file
 * The test guest: its whole user space is one static init. It echoes the generator's frames,
 * keeps memory that it writes and checks, and answers on ttyS1.
 *
 * Environment, from the kernel command line: LM_SPREAD_PERCENT (of free memory, default 90),
 * LM_SCRUB_PPS (pages written a second, default 200), LM_HOLD_FRAMES (received frames whose buffers
 * are not given back yet, default 16384, less in a small guest), LM_RESCUE=1 (a shell instead).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm_frame_if.h"

#define GUEST_NICS 4
#define GUEST_BATCH 64
#define GUEST_FLOWS 64
#define GUEST_WINDOW 65536u /* frames of a flow that are told from duplicates */

struct guest_flow {
	uint64_t next; /* one more than the highest seen */
	uint64_t received, duplicated, reordered;
	uint64_t seen[GUEST_WINDOW / 64];
};

struct guest_counters {
	uint64_t received, echoed, corrupt, duplicated, reordered, foreign;
	uint64_t too_old; /* behind the window: late or a duplicate */
	uint64_t untracked; /* flow number out of range; echoed all the same */
	uint64_t drop_socket, drop_tx_full, drop_tx_error, drop_too_big;
	uint64_t tx_retries;
};

struct guest_nic {
	char name[16];
	int fd;
	int ifindex;
	uint32_t mtu;
	uint32_t queue_pairs;
	uint8_t mac[6];
	uint32_t first, count; /* echoes not sent yet: slots first..count-1 */
	int hold_fd;           /* a second socket, read late: keeps old frames' buffers busy */
	uint32_t held, hold_max; /* frames */
	uint64_t stuck_ns;     /* since when the first one waits; 0: none waits */
	uint32_t slot_bytes;
	uint8_t *slots;
	uint32_t len[GUEST_BATCH];
	struct guest_counters c;
	struct guest_flow flows[GUEST_FLOWS];
};

struct guest_memory {
	uint8_t *base;
	uint32_t *kept;    /* page numbers within base */
	uint32_t *version; /* what the page of kept[i] holds follows from i and this */
	uint32_t touched_pages, kept_pages;
	uint64_t written, checked, bad;
	uint64_t random;
	uint32_t scrub_pps;
	uint64_t scrub_ns; /* the next page is due then */
};

uint64_t guest_now_ns(void);
uint32_t guest_env(const char *name, uint32_t value);
/** Print a line on the console. */
void guest_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Mount the kernel's file systems. */
void guest_boot_mounts(void);
/** Load /modules in the order of /modules/order. */
void guest_boot_modules(void);

/** Fill much of the free memory, keep half and free the rest page by page at random. */
int guest_memory_spread(struct guest_memory *m, uint32_t percent);
/** Check and write again the pages that are due. @return when the next one is. */
uint64_t guest_memory_scrub(struct guest_memory *m, uint64_t now_ns);
/** Check every kept page. */
void guest_memory_check(struct guest_memory *m);

/** Find the Ethernet interfaces, set them up and open them. @return how many. */
uint32_t guest_nic_open_all(struct guest_nic *nics, uint32_t max);
/** Move frames. @return true when there may be more to do at once. */
bool guest_nic_work(struct guest_nic *n, uint64_t now_ns);
/** Read and clear the kernel's count of frames that the socket had no room for. */
void guest_nic_poll_drops(struct guest_nic *n);

struct guest;
int guest_control_open(struct guest *g, const char *path);
void guest_control_work(struct guest *g, short revents);
void guest_control_ready(struct guest *g);
/** Echo, scrub and answer, for ever. */
void guest_run(struct guest *g);

struct guest {
	uint64_t boot_ns; /* from the start of the kernel to ready */
	uint32_t nic_count;
	struct guest_nic nics[GUEST_NICS];
	struct guest_memory memory;
	int control_fd; /* -1: none */
	uint32_t in_bytes, out_bytes, out_sent;
	char in[128];
	char out[8192];
};

#endif /* GUEST_H */
