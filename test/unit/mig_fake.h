/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MIG_FAKE_H
#define MIG_FAKE_H

/**
 * @file
 * A device in memory with every capability set and every way to fail, for sessions. Its stream is
 * { u32 kind, u32 length, bytes }: early parts while it runs, and all of its content at the end. A
 * load of anything else is refused at RESUMING > STOP.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "lm_provider.h"

enum mig_fault {
	MIG_FAULT_NONE,
	MIG_FAULT_ARC,     /* -EIO in the arc into bad_state */
	MIG_FAULT_HANG,    /* that arc does not return before mig_fake_release() */
	MIG_FAULT_MUTE,    /* dirty_report does not return before mig_fake_release() */
	MIG_FAULT_NOMEM,   /* -ENOMEM in read (source) or write (destination) */
	MIG_FAULT_SHORT,   /* the stream ends too early */
	MIG_FAULT_DEVICE,  /* read or write says -EIO, the device is in ERROR */
	MIG_FAULT_CORRUPT, /* a byte of the state is another: the load has to notice */
};

struct mig_fake {
	uint64_t flags;
	bool has_info;
	uint32_t arc_us;       /* each arc takes so long */
	uint32_t initial_bytes;
	unsigned int reinit_at; /* REINIT at this info; 0: never */
	struct mig_fake *twin; /* the same device on the other side */
	_Atomic enum mig_fault fault;
	_Atomic int bad_state; /* of ARC and HANG */
	_Atomic bool hide_marks; /* it does not tell what it writes */

	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t open;
	bool released;
	int state;
	bool full;            /* has a content that must not live twice */
	uint8_t *content;
	uint32_t content_bytes;
	unsigned int infos;
	uint32_t early_at;    /* of what was read early */
	bool early_headed;
	uint8_t *stream;      /* being loaded, or being read to the end */
	uint32_t stream_bytes, stream_at;
	uint64_t *log;        /* a bit a page; NULL: does not run */
	uint64_t log_base, log_pages;
	unsigned int resets;
	unsigned int arcs;
	uint64_t reads;
};

extern const struct lm_provider_ops mig_fake_ops;
/** Times that a content was alive on both sides; 0, for ever. */
extern _Atomic unsigned int mig_fake_twice;

void mig_fake_init(struct mig_fake *f, uint64_t flags, uint32_t content_bytes, unsigned int seed);
void mig_fake_fini(struct mig_fake *f);
/** Nothing in it; as a destination is. */
void mig_fake_empty(struct mig_fake *f);
/** What it held is in it again. */
void mig_fake_refill(struct mig_fake *f);
/** What hangs returns, and nothing hangs; or may again. */
void mig_fake_release(struct mig_fake *f, bool released);
/** The device writes to memory at an address, while it may. @return false: it is stopped */
bool mig_fake_dma(struct mig_fake *f, void *to, uint64_t addr, const void *from, uint32_t len);
bool mig_fake_runs(struct mig_fake *f);

#endif /* MIG_FAKE_H */
