/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_host.h"

static void *
fake_span(void *ctx, uint64_t iova, uint64_t *len_bytes, uint32_t prot)
{
	struct fake_host *f = ctx;
	unsigned int i;

	for (i = 0; i < f->nb_maps; i++) {
		struct fake_map *m = &f->maps[i];

		if (iova < m->iova || iova - m->iova >= m->size_bytes ||
				(m->prot & prot) != prot)
			continue;
		if (*len_bytes > m->size_bytes - (iova - m->iova))
			*len_bytes = m->size_bytes - (iova - m->iova);
		return m->ptr + (iova - m->iova);
	}
	return NULL;
}

static void
fake_irq(void *ctx, uint16_t vector)
{
	struct fake_host *f = ctx;

	assert_true(vector < FAKE_MAX_VECTORS);
	f->irqs[vector]++;
}

static uint64_t
fake_now_ns(void *ctx)
{
	struct fake_host *f = ctx;

	return f->now_ns;
}

void
fake_init(struct fake_host *f)
{
	memset(f, 0, sizeof(*f));
	f->host.ctx = f;
	f->host.dma_span = fake_span;
	f->host.irq = fake_irq;
	f->host.now_ns = fake_now_ns;
	f->host.bus_master = true;
	f->host.rules = &f->rules;
	f->host.faults = &f->faults;
	f->rules.who = "test";
	f->now_ns = 1000000000;
}

void
fake_fini(struct fake_host *f)
{
	unsigned int i;

	for (i = 0; i < f->nb_maps; i++)
		free(f->maps[i].ptr);
	f->nb_maps = 0;
}

uint8_t *
fake_map(struct fake_host *f, uint64_t iova, uint64_t size_bytes, uint32_t prot)
{
	struct fake_map *m = &f->maps[f->nb_maps];

	assert_true(f->nb_maps < FAKE_MAX_MAPS);
	m->ptr = aligned_alloc(4096, (size_bytes + 4095) & ~UINT64_C(4095));
	assert_non_null(m->ptr);
	memset(m->ptr, 0, size_bytes);
	m->iova = iova;
	m->size_bytes = size_bytes;
	m->prot = prot;
	f->nb_maps++;
	f->host.dma_epoch++;
	return m->ptr;
}

uint8_t *
fake_at(struct fake_host *f, uint64_t iova, uint64_t len_bytes)
{
	uint64_t len = len_bytes;
	uint8_t *ptr = fake_span(f, iova, &len, 0);

	assert_non_null(ptr);
	assert_int_equal(len, len_bytes);
	return ptr;
}

static void
put_le(struct fake_host *f, uint64_t iova, uint64_t v, unsigned int bytes)
{
	uint8_t *p = fake_at(f, iova, bytes);
	unsigned int i;

	for (i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t
get_le(struct fake_host *f, uint64_t iova, unsigned int bytes)
{
	const uint8_t *p = fake_at(f, iova, bytes);
	uint64_t v = 0;
	unsigned int i;

	for (i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

void
put8(struct fake_host *f, uint64_t iova, uint8_t v)
{
	put_le(f, iova, v, 1);
}

void
put16(struct fake_host *f, uint64_t iova, uint16_t v)
{
	put_le(f, iova, v, 2);
}

void
put32(struct fake_host *f, uint64_t iova, uint32_t v)
{
	put_le(f, iova, v, 4);
}

void
put64(struct fake_host *f, uint64_t iova, uint64_t v)
{
	put_le(f, iova, v, 8);
}

uint16_t
get16(struct fake_host *f, uint64_t iova)
{
	return (uint16_t)get_le(f, iova, 2);
}

uint32_t
get32(struct fake_host *f, uint64_t iova)
{
	return (uint32_t)get_le(f, iova, 4);
}
