/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PCI_FAKE_H
#define PCI_FAKE_H

/*
 * A PCI function served over vfio-user by a thread of the test: memory behind configuration space
 * and BAR 0 unless a hook says otherwise, BAR 2 mapped, BAR 4 with one doorbell as an eventfd.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lm_pci.h"
#include "lm_vu_server.h"

#define FAKE_BAR0_BYTES 0x4000u
#define FAKE_BAR2_BYTES 0x4000u
#define FAKE_BAR2_MAPPED 0x2000u /* the first half */
#define FAKE_BAR4_BYTES 0x1000u
#define FAKE_DOORBELL 0x100u     /* eventfd, in BAR 4 */
#define FAKE_MATCH_DOORBELL 0x200u /* eventfd for one value only, in BAR 4 */
#define FAKE_VECTORS 8u

struct fake_pci {
	uint8_t config[256];
	uint8_t bar0[FAKE_BAR0_BYTES];
	uint8_t bar4[FAKE_BAR4_BYTES];
	uint8_t *bar2; /* shared with the client */
	int bar2_fd;
	int doorbell_fd;
	int match_fd;
	uint32_t max_dma_maps;
	uint32_t bar0_bytes; /* announced; 0: FAKE_BAR0_BYTES */
	/* Return 1 when handled. They run on the server's thread. */
	int (*on_read)(struct fake_pci *f, uint32_t region, uint64_t offset, void *buf,
			uint32_t len);
	int (*on_write)(struct fake_pci *f, uint32_t region, uint64_t offset, const void *buf,
			uint32_t len);
	void *ctx;
	atomic_uint nb_mapped; /* since the start */
	atomic_uint nb_unmapped;
	atomic_uint nb_writes;  /* to BARs, by message */
	atomic_uint nb_resets;

	char dir[64];
	char path[96];
	struct lm_vu_server *server;
	pthread_t thread;
	bool running;
	int stop_fd;
};

/** Zeroed, with defaults: an empty capability list. Then change it, then start it. */
void fake_init(struct fake_pci *f);
void fake_start(struct fake_pci *f);
/** Hangs up on the client; may be called twice. */
void fake_stop(struct fake_pci *f);
void fake_fini(struct fake_pci *f);
struct lm_pci *fake_open(struct fake_pci *f);
/** Append a capability of len bytes (header included) to configuration space, at pos. */
void fake_cap(struct fake_pci *f, uint8_t pos, uint8_t id, uint8_t next);

#endif /* PCI_FAKE_H */
