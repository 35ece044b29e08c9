/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef UML_VHOST_H
#define UML_VHOST_H

/**
 * @file
 * The device's side of vhost-user on a connected socket: memory and two rings.
 */

#include "uml_memory.h"
#include "uml_ring.h"

enum uml_vhost_queue { UML_VHOST_CMD, UML_VHOST_IRQ, UML_VHOST_QUEUES };

struct uml_vhost {
	int fd; /* the connection; -1: none */
	struct uml_memory memory;
	bool memory_changed; /* for the caller, who clears it */
	struct uml_ring rings[UML_VHOST_QUEUES];
};

/** Takes over the descriptor. */
void uml_vhost_init(struct uml_vhost *v, int fd);
void uml_vhost_close(struct uml_vhost *v);
/** Handle one message, waiting for it. @return 0; -ECONNRESET: the peer is gone; -errno. */
int uml_vhost_process(struct uml_vhost *v);

#endif /* UML_VHOST_H */
