/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "guest.h"

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / 8)
#define KEEP_ONE_OF 2 /* leaves hardly any run of free pages: buffers are single ones */
#define SCRUB_AT_ONCE 8 /* then frames have their turn */

static uint64_t
next_random(uint64_t *state)
{
	return dm_frame_word(0, (*state)++, 0);
}

static uint64_t
word_of(uint32_t page, uint32_t version, uint32_t index)
{
	return ((uint64_t)page << 32 | version) * 0x9e3779b97f4a7c15ull + index;
}

static void
fill(uint8_t *base, uint32_t page, uint32_t version)
{
	uint64_t *p = (uint64_t *)(base + (size_t)page * PAGE_BYTES);
	uint32_t i;

	for (i = 0; i < PAGE_WORDS; i++)
		p[i] = word_of(page, version, i);
}

static void
check(struct guest_memory *m, uint32_t i)
{
	const uint64_t *p = (const uint64_t *)(m->base + (size_t)m->kept[i] * PAGE_BYTES);
	uint64_t wrong = 0;
	uint32_t k;

	for (k = 0; k < PAGE_WORDS; k++)
		wrong |= p[k] ^ word_of(m->kept[i], m->version[i], k);
	m->checked++;
	m->bad += wrong != 0;
}

/* The first pages of the shuffled list stay, the others go back to the kernel one by one. */
static void
free_at_random(struct guest_memory *m)
{
	uint32_t i, j, page;

	for (i = m->touched_pages - 1; i > 0; i--) {
		j = (uint32_t)(next_random(&m->random) % (i + 1));
		page = m->kept[i];
		m->kept[i] = m->kept[j];
		m->kept[j] = page;
	}
	m->kept_pages = m->touched_pages / KEEP_ONE_OF;
	for (i = m->kept_pages; i < m->touched_pages; i++)
		madvise(m->base + (size_t)m->kept[i] * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED);
}

int
guest_memory_spread(struct guest_memory *m, uint32_t percent)
{
	struct sysinfo info;
	uint64_t pages;
	uint32_t i;

	if (percent == 0)
		return 0;
	if (percent > 90 || sysinfo(&info) < 0)
		return -EINVAL;
	pages = (uint64_t)info.freeram * info.mem_unit / PAGE_BYTES * percent / 100;
	if (pages < KEEP_ONE_OF || pages > UINT32_MAX)
		return -ENOMEM;
	m->base = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	m->kept = calloc(pages, sizeof(*m->kept));
	m->version = calloc(pages / KEEP_ONE_OF, sizeof(*m->version));
	if (m->base == MAP_FAILED || m->kept == NULL || m->version == NULL)
		return -ENOMEM;
	madvise(m->base, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	m->touched_pages = (uint32_t)pages;
	for (i = 0; i < m->touched_pages; i++) {
		m->kept[i] = i;
		fill(m->base, i, 0);
	}
	free_at_random(m);
	return 0;
}

uint64_t
guest_memory_scrub(struct guest_memory *m, uint64_t now_ns)
{
	uint32_t i, n;

	if (m->kept_pages == 0 || m->scrub_pps == 0)
		return now_ns + 1000000000u;
	for (n = 0; m->scrub_ns <= now_ns; n++) {
		if (n == SCRUB_AT_ONCE) {
			m->scrub_ns = now_ns; /* time missed is not made up */
			break;
		}
		i = (uint32_t)(next_random(&m->random) % m->kept_pages);
		check(m, i);
		fill(m->base, m->kept[i], ++m->version[i]);
		m->written++;
		m->scrub_ns += 1000000000u / m->scrub_pps;
	}
	/* In groups, so that the guest can sleep between them. */
	return m->scrub_ns + 10000000u;
}

void
guest_memory_check(struct guest_memory *m)
{
	uint32_t i;

	for (i = 0; i < m->kept_pages; i++)
		check(m, i);
}
