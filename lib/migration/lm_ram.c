/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_ram_pvt.h"

#define PAGE_MASK ((uint64_t)LM_RAM_PAGE_BYTES - 1)

int
lm_ram_create(struct lm_ram **ram)
{
	struct lm_ram *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	*ram = r;
	return 0;
}

static void
free_area(struct lm_ram_area *a)
{
	if (a == NULL)
		return;
	free((void *)a->words);
	free((void *)a->summary);
	free(a);
}

void
lm_ram_destroy(struct lm_ram *ram)
{
	unsigned int i;

	if (ram == NULL)
		return;
	lm_ram_cpu_stop(ram);
	for (i = 0; i < ram->nb; i++)
		free_area(ram->areas[i]);
	free(ram->areas);
	free(ram);
}

static uint64_t
last_byte(const struct lm_ram_region *region)
{
	return region->addr + (region->size_bytes - 1);
}

unsigned int
lm_ram_find(const struct lm_ram *ram, uint64_t addr)
{
	unsigned int low = 0, high = ram->nb, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (last_byte(&ram->areas[mid]->region) < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int
check_region(const struct lm_ram *ram, const struct lm_ram_region *region)
{
	unsigned int i;

	if (region->name[0] == '\0' ||
			memchr(region->name, '\0', sizeof(region->name)) == NULL ||
			region->vaddr == NULL || region->size_bytes == 0 ||
			((region->addr | region->size_bytes) & PAGE_MASK) != 0 ||
			last_byte(region) < region->addr)
		return -EINVAL;
	for (i = 0; i < ram->nb; i++) {
		const struct lm_ram_region *other = &ram->areas[i]->region;

		if (strcmp(other->name, region->name) == 0 ||
				(region->addr <= last_byte(other) &&
				other->addr <= last_byte(region)))
			return -EEXIST;
	}
	return 0;
}

static uint64_t
nb_words(const struct lm_ram_area *a)
{
	return (a->end_bit - 1) / LM_WORD_BITS + 1;
}

static struct lm_ram_area *
create_area(const struct lm_ram_region *region)
{
	struct lm_ram_area *a = calloc(1, sizeof(*a));
	uint64_t page = region->addr >> LM_RAM_PAGE_SHIFT;

	if (a == NULL)
		return NULL;
	a->region = *region;
	a->first_word = page / LM_WORD_BITS;
	a->first_bit = page % LM_WORD_BITS;
	a->end_bit = a->first_bit + (region->size_bytes >> LM_RAM_PAGE_SHIFT);
	a->words = calloc(nb_words(a), sizeof(a->words[0]));
	a->summary = calloc(a->end_bit / LM_RAM_GROUP_BITS / LM_WORD_BITS + 1,
			sizeof(a->summary[0]));
	if (a->words == NULL || a->summary == NULL) {
		free_area(a);
		return NULL;
	}
	return a;
}

int
lm_ram_add(struct lm_ram *ram, const struct lm_ram_region *region)
{
	struct lm_ram_area *a, **areas;
	unsigned int at;
	int ret;

	ret = check_region(ram, region);
	if (ret != 0)
		return ret;
	areas = realloc(ram->areas, (ram->nb + 1) * sizeof(areas[0]));
	if (areas == NULL)
		return -ENOMEM;
	ram->areas = areas;
	a = create_area(region);
	if (a == NULL)
		return -ENOMEM;
	at = lm_ram_find(ram, region->addr);
	memmove(&areas[at + 1], &areas[at], (ram->nb - at) * sizeof(areas[0]));
	areas[at] = a;
	ram->nb++;
	return 0;
}

unsigned int
lm_ram_count(const struct lm_ram *ram)
{
	return ram->nb;
}

const struct lm_ram_region *
lm_ram_get(const struct lm_ram *ram, unsigned int index)
{
	return index < ram->nb ? &ram->areas[index]->region : NULL;
}

void *
lm_ram_ptr(struct lm_ram *ram, uint64_t addr, uint64_t len_bytes)
{
	unsigned int i = lm_ram_find(ram, addr);
	const struct lm_ram_region *region = lm_ram_get(ram, i);

	if (region == NULL || addr < region->addr ||
			len_bytes > region->size_bytes - (addr - region->addr))
		return NULL;
	return (uint8_t *)region->vaddr + (addr - region->addr);
}

/*
 * The summary may say "maybe" in vain, never "clean" in error. All accesses are sequentially
 * consistent: either this look finds the bit of the group gone and sets it, or it came before
 * try_clean() took it away, which then finds the word.
 */
static void
set_summary(struct lm_ram_area *a, uint64_t index)
{
	uint64_t group = index / LM_RAM_GROUP_WORDS;
	_Atomic uint64_t *summary = &a->summary[group / LM_WORD_BITS];
	uint64_t bit = UINT64_C(1) << (group % LM_WORD_BITS);

	if ((atomic_load(summary) & bit) == 0)
		atomic_fetch_or(summary, bit);
}

void
lm_ram_area_or(struct lm_ram_area *a, uint64_t index, uint64_t bits)
{
	atomic_fetch_or(&a->words[index], bits);
	set_summary(a, index);
}

/* Who set a bit that is there may not have come to the summary yet. */
void
lm_ram_area_or_harvested(struct lm_ram_area *a, uint64_t index, uint64_t bits)
{
	if ((bits & ~atomic_load(&a->words[index])) != 0)
		atomic_fetch_or(&a->words[index], bits);
	set_summary(a, index);
}

void
lm_ram_area_mark(struct lm_ram_area *a, uint64_t first, uint64_t last)
{
	uint64_t i;

	for (i = first / LM_WORD_BITS; i <= last / LM_WORD_BITS; i++)
		lm_ram_area_or(a, i, lm_bits_word_mask(i, first, last));
}

/* Bit of the page of addr, which lies in the region. */
static uint64_t
bit_of(const struct lm_ram_area *a, uint64_t addr)
{
	return (addr >> LM_RAM_PAGE_SHIFT) - a->first_word * LM_WORD_BITS;
}

void
lm_ram_mark(struct lm_ram *ram, uint64_t addr, uint64_t len_bytes)
{
	uint64_t last;
	unsigned int i;

	if (len_bytes == 0)
		return;
	last = len_bytes - 1 > UINT64_MAX - addr ? UINT64_MAX : addr + (len_bytes - 1);
	for (i = lm_ram_find(ram, addr); i < ram->nb; i++) {
		struct lm_ram_area *a = ram->areas[i];
		uint64_t end = last_byte(&a->region);

		if (a->region.addr > last)
			return;
		lm_ram_area_mark(a, addr > a->region.addr ? bit_of(a, addr) : a->first_bit,
				last < end ? bit_of(a, last) : a->end_bit - 1);
	}
}

void
lm_ram_mark_all(struct lm_ram *ram)
{
	unsigned int i;

	for (i = 0; i < ram->nb; i++)
		if ((ram->areas[i]->region.flags & LM_RAM_F_NAMED_ONLY) == 0)
			lm_ram_area_mark(ram->areas[i], ram->areas[i]->first_bit,
					ram->areas[i]->end_bit - 1);
}

/* First word after those of a group. */
static uint64_t
group_end(const struct lm_ram_area *a, uint64_t group)
{
	uint64_t end = (group + 1) * LM_RAM_GROUP_WORDS, nb = nb_words(a);

	return end < nb ? end : nb;
}

/* Next group at or after *group that may hold dirty pages. */
static bool
next_group(const struct lm_ram_area *a, uint64_t *group)
{
	uint64_t end = (a->end_bit - 1) / LM_RAM_GROUP_BITS + 1, word;

	while (*group < end) {
		word = atomic_load(&a->summary[*group / LM_WORD_BITS]) >> (*group % LM_WORD_BITS);
		if (word != 0) {
			*group += lm_bits_lowest(word);
			return true;
		}
		*group = (*group | (LM_WORD_BITS - 1)) + 1;
	}
	return false;
}

uint64_t
lm_ram_dirty_bytes(const struct lm_ram *ram, bool after_stop)
{
	uint64_t group, w, pages = 0;
	unsigned int i;

	for (i = 0; i < ram->nb; i++) {
		const struct lm_ram_area *a = ram->areas[i];

		if (after_stop != ((a->region.flags & LM_RAM_F_AFTER_STOP) != 0))
			continue;
		for (group = 0; next_group(a, &group); group++)
			for (w = group * LM_RAM_GROUP_WORDS; w < group_end(a, group); w++)
				pages += lm_bits_count(atomic_load(&a->words[w]));
	}
	return pages << LM_RAM_PAGE_SHIFT;
}

/* See lm_ram_area_or(): the bit goes first, then each word is looked at once more. */
static void
try_clean(struct lm_ram_area *a, uint64_t group)
{
	_Atomic uint64_t *summary = &a->summary[group / LM_WORD_BITS];
	uint64_t bit = UINT64_C(1) << (group % LM_WORD_BITS), w;

	atomic_fetch_and(summary, ~bit);
	for (w = group * LM_RAM_GROUP_WORDS; w < group_end(a, group); w++) {
		if (atomic_load(&a->words[w]) != 0) {
			atomic_fetch_or(summary, bit);
			return;
		}
	}
}

/* First dirty page at or after *bit. */
static bool
find_dirty(struct lm_ram_area *a, uint64_t *bit)
{
	uint64_t group = *bit / LM_RAM_GROUP_BITS, w, word;

	for (; next_group(a, &group); group++) {
		if (group != *bit / LM_RAM_GROUP_BITS)
			*bit = group * LM_RAM_GROUP_BITS;
		for (w = *bit / LM_WORD_BITS; w < group_end(a, group); w++) {
			word = atomic_load(&a->words[w]);
			if (w == *bit / LM_WORD_BITS)
				word &= UINT64_MAX << (*bit % LM_WORD_BITS);
			if (word != 0) {
				*bit = w * LM_WORD_BITS + lm_bits_lowest(word);
				return true;
			}
		}
		try_clean(a, group);
	}
	return false;
}

/*
 * R2: the bits go first, then the pages are read. Nobody else clears bits, so those that were seen
 * are still there.
 */
static uint64_t
take_bits(struct lm_ram_area *a, uint64_t first, uint64_t max_pages)
{
	uint64_t bit = first, end, word, mask;

	do {
		end = (bit | (LM_WORD_BITS - 1)) + 1;
		word = ~atomic_load(&a->words[bit / LM_WORD_BITS]) &
			(UINT64_MAX << (bit % LM_WORD_BITS));
		if (word != 0)
			end = (bit & ~(uint64_t)(LM_WORD_BITS - 1)) + lm_bits_lowest(word);
		if (end - first > max_pages)
			end = first + max_pages;
		if (end == bit)
			break;
		mask = lm_bits_word_mask(bit / LM_WORD_BITS, bit, end - 1);
		atomic_fetch_and(&a->words[bit / LM_WORD_BITS], ~mask);
		bit = end;
	} while (bit % LM_WORD_BITS == 0 && bit < a->end_bit && bit - first < max_pages);
	return bit - first;
}

static bool
take_in(struct lm_ram_area *a, uint64_t bit, uint64_t max_pages, struct lm_ram_run *run)
{
	uint64_t off;

	if (!find_dirty(a, &bit))
		return false;
	off = (bit - a->first_bit) << LM_RAM_PAGE_SHIFT;
	run->addr = a->region.addr + off;
	run->data = (const uint8_t *)a->region.vaddr + off;
	run->len_bytes = take_bits(a, bit, max_pages) << LM_RAM_PAGE_SHIFT;
	return true;
}

bool
lm_ram_take(struct lm_ram *ram, bool after_stop, uint64_t max_bytes, uint64_t *cursor,
		struct lm_ram_run *run)
{
	uint64_t max_pages = max_bytes >> LM_RAM_PAGE_SHIFT, bit;
	unsigned int begin = lm_ram_find(ram, *cursor), n;

	if (max_pages == 0)
		max_pages = 1;
	/* The area that the cursor is in comes twice: from there on, and at last from its start. */
	for (n = 0; n <= ram->nb && ram->nb != 0; n++) {
		struct lm_ram_area *a = ram->areas[(begin + n) % ram->nb];

		if (!after_stop && (a->region.flags & LM_RAM_F_AFTER_STOP) != 0)
			continue;
		bit = n == 0 && begin < ram->nb && *cursor > a->region.addr ?
			bit_of(a, *cursor) : a->first_bit;
		if (take_in(a, bit, max_pages, run)) {
			*cursor = run->addr + run->len_bytes;
			return true;
		}
	}
	return false;
}

void
lm_ram_give_back(struct lm_ram *ram, const struct lm_ram_run *run)
{
	lm_ram_mark(ram, run->addr, run->len_bytes);
}
