/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MIG_RIG_H
#define MIG_RIG_H

/** @file Two sides with devices and memory, and everything needed to migrate between them. */

#include <pthread.h>
#include <stdatomic.h>

#include "lm_session.h"
#include "mig_between.h"
#include "mig_fake.h"

#define RIG_DEVS 4u
#define RIG_PAGES 512u
#define RIG_ADDR UINT64_C(0x40000000)

struct rig_side {
	struct mig_fake fakes[RIG_DEVS];
	struct lm_group *group;
	struct lm_ram *ram;
	struct lm_tracker *tracker;
	uint8_t *memory;
	int fds[8];
	struct lm_channel *channel;
};

/** The device of which a hang is noticed soon, where one is to be. */
#define RIG_STRUCK 1u
#ifdef __SANITIZE_THREAD__ /* which is slow: what does not hang must not look like it */
#define RIG_LATE_US UINT64_C(3000000)
#else
#define RIG_LATE_US UINT64_C(300000)
#endif

#define RIG_LIMIT_US UINT64_C(60000000)

struct rig {
	unsigned int nb;
	uint64_t late_us;
	unsigned int bulk;
	struct rig_side src, dst;
	struct between *between; /* NULL: nobody is */
	struct lm_outgoing_conf out_conf;
	struct lm_incoming_conf in_conf;
	struct lm_outgoing *out;
	struct lm_incoming *in;
	pthread_t in_thread;
	enum lm_outcome out_outcome, in_outcome;
	struct lm_report out_report, in_report;
	/* DMA of device 0 while it may. */
	pthread_t storm;
	_Atomic bool storm_on, storm_ends;
	_Atomic uint64_t storm_writes;
};

void rig_open(struct rig *r, unsigned int nb, uint64_t flags, uint32_t state_bytes);
/** The same; calls of the device RIG_STRUCK may take late_us, those of all others the default. */
void rig_open_late(struct rig *r, unsigned int nb, uint64_t flags, uint32_t state_bytes,
		uint64_t late_us);
void rig_close(struct rig *r);
/** Connect the sides anew. */
void rig_connect(struct rig *r);
/** A whole migration; outcomes and reports are in r. Keeps r->out for resolve. */
void rig_migrate(struct rig *r);
/** Let the sessions go. */
void rig_end(struct rig *r);
void rig_storm(struct rig *r, bool on);
/** Pages that differ. */
unsigned int rig_compare(const struct rig *r);
/** Source and destination as before the first migration: a full source, an empty destination. */
void rig_refill(struct rig *r);

#endif /* MIG_RIG_H */
