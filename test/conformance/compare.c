/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Prints a line for each comparison: kind, our name, the kernel's, our value, the kernel's value.
 * The lists, and excerpts of ours, are generated; see compare.py.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kernel_includes.h"
#include "our_includes.h"

#define ROW(kind, name, kernels, our_value, kernel_value) \
	printf("%s\t%s\t%s\t%llu\t%llu\n", kind, name, kernels, \
		(unsigned long long)(our_value), (unsigned long long)(kernel_value))
#define WIDTH(type, field) sizeof(((type *)NULL)->field)

#define RING_SIZES 16 /* 1 to 32768 */

enum ring_part { DESC_BYTES, AVAIL_BYTES, USED_BYTES, USED_EVENT, AVAIL_EVENT };

static uint64_t ring_memory[(1 << 20) / sizeof(uint64_t)];

/* Nothing between the parts when they need no alignment. */
static int
ring_part_same(enum ring_part part, uint32_t size)
{
	struct vring ring;
	uint64_t desc_bytes, avail_bytes;

	vring_init(&ring, size, ring_memory, 1);
	desc_bytes = (uintptr_t)ring.avail - (uintptr_t)ring.desc;
	avail_bytes = (uintptr_t)ring.used - (uintptr_t)ring.avail;
	switch (part) {
	case DESC_BYTES:
		return lm_vring_desc_bytes(size) == desc_bytes;
	case AVAIL_BYTES:
		return lm_vring_avail_bytes(size) == avail_bytes;
	case USED_BYTES:
		return lm_vring_used_bytes(size) == vring_size(size, 1) - desc_bytes - avail_bytes;
	case USED_EVENT:
		return (uintptr_t)lm_vring_used_event((void *)ring.avail, size) ==
			(uintptr_t)&vring_used_event(&ring);
	case AVAIL_EVENT:
		return (uintptr_t)lm_vring_avail_event((void *)ring.used, size) ==
			(uintptr_t)&vring_avail_event(&ring);
	}
	return 0;
}

static unsigned int
ring_layout(enum ring_part part)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < RING_SIZES; i++)
		wrong += !ring_part_same(part, UINT32_C(1) << i);
	return wrong;
}

static unsigned int
need_event(void)
{
	static const uint16_t at[] = { 0, 1, 2, 3, 255, 256, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffd,
		0xfffe, 0xffff };
	const size_t nb = sizeof(at) / sizeof(at[0]);
	unsigned int wrong = 0;
	size_t event, next, old;

	for (event = 0; event < nb; event++)
		for (next = 0; next < nb; next++)
			for (old = 0; old < nb; old++)
				wrong += lm_vring_need_event(at[event], at[next], at[old]) !=
					vring_need_event(at[event], at[next], at[old]);
	return wrong;
}

int
main(void)
{
	ROW("version", "LINUX_VERSION_CODE", "", LINUX_VERSION_CODE, LINUX_VERSION_CODE);
#include "rows.h"
	return 0;
}
