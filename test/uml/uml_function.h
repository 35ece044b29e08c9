/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef UML_FUNCTION_H
#define UML_FUNCTION_H

/**
 * @file
 * One PCI function: accesses from User-Mode Linux to a vfio-user server, interrupts back.
 *
 * Nothing is emulated here but what VFIO hides from its users: a virtual function's identity.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lm_vu_client.h"
#include "uml_vhost.h"

#define UML_MAX_VECTORS 64
#define UML_MAX_DATA (64u << 10)

struct uml_function_stats {
	uint64_t reads, writes, interrupts;
	uint64_t refused;  /* accesses that the server answered with an error */
	uint64_t unwanted; /* interrupts on a vector whose entry was never written */
};

struct uml_function {
	struct uml_vhost vhost;
	struct lm_vu_client *client;
	bool virtual_function; /* no identity and no BARs of its own in configuration space */
	struct uml_function_stats stats;

	uint32_t table_bar, table_offset; /* MSI-X */
	uint32_t nb_vectors;
	uint8_t table[UML_MAX_VECTORS * 16]; /* as the driver wrote it */
	int vector_fds[UML_MAX_VECTORS];
	bool pending[UML_MAX_VECTORS]; /* fired, and the driver's ring had no room */

	uint8_t data[UML_MAX_DATA];
};

/** Connect to the server and bind its interrupts. @return 0, -errno. */
int uml_function_open(struct uml_function *f, const char *device_path, bool virtual_function);
void uml_function_close(struct uml_function *f);

/** The server is to see the memory that the front end has just named. */
int uml_function_map(struct uml_function *f);
/** All accesses that wait in the command ring. */
int uml_function_commands(struct uml_function *f);
/** Pass on what has fired, as far as the interrupt ring has room. */
int uml_function_interrupts(struct uml_function *f);

#endif /* UML_FUNCTION_H */
