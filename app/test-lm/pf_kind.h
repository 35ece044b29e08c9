/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PF_KIND_H
#define PF_KIND_H

/** @file Kinds of PF that `dpdk-test-lm pf` can own: a row of a table each (pf_kind.c). */

#include <stdint.h>
#include <stdio.h>

#include "lm_provider.h"

struct lm_pci;

struct pf_kind {
	const char *name;
	uint16_t vendor, device; /* of the PF; VFs have the same vendor */
	int (*open)(struct lm_pci *pci, void **pf);
	void (*close)(void *pf);
	unsigned int (*nb_vfs)(const void *pf);
	uint16_t (*vf_device)(const void *pf);
	/** As lm_ex_pf_vf(). */
	int (*vf)(void *pf, unsigned int vf, struct lm_provider *provider);
	/** Called every second beside everything else; may be NULL. */
	void (*look)(void *pf);
	/** What commands for a VF have cost, a line each; may be NULL. */
	void (*costs)(void *pf, unsigned int vf, const char *path, FILE *out);
};

/** By vendor and device id; NULL: not known here. */
const struct pf_kind *pf_kind_find(uint16_t vendor, uint16_t device);
/** For usage: the names. */
void pf_kind_list(FILE *out);

#endif /* PF_KIND_H */
