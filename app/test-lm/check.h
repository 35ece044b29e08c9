/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef CHECK_H
#define CHECK_H

/* Inside of "dpdk-test-lm check": one line for each thing that was looked at. */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <rte_common.h>

struct lm_pci;

enum check_level {
	CHECK_OK,
	CHECK_WARN,    /* works, with less */
	CHECK_BLOCKED, /* does not work before this is mended */
};

struct check {
	const char *device; /* as given */
	const char *root;   /* before all paths; "" for this machine */
	const char *vf_token;
	bool is_socket;
	bool colours;
	json_t *lines; /* collected; NULL: printed at once */
	unsigned int nb[CHECK_BLOCKED + 1];
};

/**
 * One line. what is one word; next says what to type or do, NULL or "" when there is nothing.
 */
void check_line(struct check *c, enum check_level level, const char *what, const char *next,
		const char *fmt, ...) __rte_format_printf(5, 6);

/* check_pci.c: a function on the bus; check_socket.c: one behind a socket. */
void check_pci(struct check *c);
void check_socket(struct check *c, const char *path);
/* check_mig.c: what is the same for both, once it is open. */
void check_function(struct check *c, struct lm_pci *pci);
void check_migration(struct check *c, struct lm_pci *pci);
/* check_host.c: this machine and these programs. */
void check_host(struct check *c);

#endif /* CHECK_H */
