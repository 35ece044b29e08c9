/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_FAKE_HOST_H
#define DM_FAKE_HOST_H

/* A host for device modules without socket or process: memory, clock and interrupts by hand. */

#include <stdbool.h>
#include <stdint.h>

#include "dm_device.h"

#define FAKE_MAX_MAPS 4
#define FAKE_MAX_VECTORS 32

struct fake_map {
	uint64_t iova;
	uint64_t size_bytes;
	uint8_t *ptr;
	uint32_t prot;
};

struct fake_host {
	struct dm_host host;
	struct dm_rules rules;
	struct dm_faults faults;
	struct fake_map maps[FAKE_MAX_MAPS];
	unsigned int nb_maps;
	uint64_t now_ns;
	unsigned int irqs[FAKE_MAX_VECTORS];
};

void fake_init(struct fake_host *f);
void fake_fini(struct fake_host *f);
/* Zeroed memory; freed by fake_fini(). Each map is an allocation of its own, so that ASan sees
 * one byte too many. */
uint8_t *fake_map(struct fake_host *f, uint64_t iova, uint64_t size_bytes, uint32_t prot);
/* The driver's own view: fails the test outside every map. */
uint8_t *fake_at(struct fake_host *f, uint64_t iova, uint64_t len_bytes);

/* Little-endian stores and loads at a guest address, independent of the model's structures. */
void put8(struct fake_host *f, uint64_t iova, uint8_t v);
void put16(struct fake_host *f, uint64_t iova, uint16_t v);
void put32(struct fake_host *f, uint64_t iova, uint32_t v);
void put64(struct fake_host *f, uint64_t iova, uint64_t v);
uint16_t get16(struct fake_host *f, uint64_t iova);
uint32_t get32(struct fake_host *f, uint64_t iova);

#endif /* DM_FAKE_HOST_H */
