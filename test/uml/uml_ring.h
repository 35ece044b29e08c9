/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef UML_RING_H
#define UML_RING_H

/**
 * @file
 * The device's side of a split ring, for chains of few and short buffers.
 *
 * Independent of the models' rings on purpose: what carries a judge's messages must not share the
 * defects of the judged. Nothing here trusts the front end: indices and addresses are checked.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "uml_memory.h"

#define UML_RING_MAX_SIZE 1024u
#define UML_RING_MAX_IOVS 4

struct uml_ring {
	uint32_t size;
	uint64_t desc_addr, avail_addr, used_addr; /* in the front end's address space */
	uint16_t last_avail;
	uint16_t used_idx;
	bool enabled;
	int kick_fd; /* -1: none */
	int call_fd; /* -1: none */
};

struct uml_chain {
	uint16_t head;
	unsigned int nb_out, nb_in; /* readable buffers come first */
	struct iovec iovs[UML_RING_MAX_IOVS];
};

void uml_ring_init(struct uml_ring *r);
void uml_ring_close(struct uml_ring *r);
/** @return 1: a chain; 0: there is none; -EPROTO: the ring or a chain is broken. */
int uml_ring_pop(struct uml_ring *r, const struct uml_memory *m, struct uml_chain *chain);
/** Give the chain back with len_bytes written, and call. @return 0, -EPROTO. */
int uml_ring_push(struct uml_ring *r, const struct uml_memory *m, const struct uml_chain *chain,
		uint32_t len_bytes);

#endif /* UML_RING_H */
