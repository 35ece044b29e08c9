/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_BITS_H
#define LM_BITS_H

/** @file Bits of 64-bit words; private to this library. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LM_WORD_BITS 64u

/**
 * R3: a full fence between the data and each look at a shared map, so that a merge may skip what
 * the map already holds. Its bits were harvested: a device's writes are visible before its report
 * returns, and this orders what the CPU wrote before the call as well. A mark of fresh CPU writes
 * has no such fence and always does the OR.
 */
static inline void
lm_bits_fence_for_skip(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/** Index of the lowest bit set; word must not be 0. */
static inline unsigned int
lm_bits_lowest(uint64_t word)
{
	return (unsigned int)ffsll((long long)word) - 1;
}

static inline unsigned int
lm_bits_count(uint64_t word)
{
	word -= (word >> 1) & UINT64_C(0x5555555555555555);
	word = (word & UINT64_C(0x3333333333333333)) + ((word >> 2) & UINT64_C(0x3333333333333333));
	word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned int)((word * UINT64_C(0x0101010101010101)) >> 56);
}

/** Set bits of nb words; clean cache lines cost a look. */
static inline uint64_t
lm_bits_count_words(const uint64_t *w, uint64_t nb)
{
	uint64_t count = 0;
	unsigned int i;

	for (; nb >= 8; nb -= 8, w += 8) {
		if ((w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) == 0)
			continue;
		for (i = 0; i < 8; i++)
			count += lm_bits_count(w[i]);
	}
	for (; nb != 0; nb--, w++)
		count += lm_bits_count(*w);
	return count;
}

/** Bits first..last of a word, both included, 0..63. */
static inline uint64_t
lm_bits_mask(unsigned int first, unsigned int last)
{
	return (UINT64_MAX << first) & (UINT64_MAX >> (LM_WORD_BITS - 1 - last));
}

/** The bits of word `index` that a bit range first..last (both included) covers. */
static inline uint64_t
lm_bits_word_mask(uint64_t index, uint64_t first, uint64_t last)
{
	return lm_bits_mask(index == first / LM_WORD_BITS ? first % LM_WORD_BITS : 0,
			index == last / LM_WORD_BITS ? last % LM_WORD_BITS : LM_WORD_BITS - 1);
}

/**
 * Next set bit of words[0..nb_bits) at or after *bit.
 * @return false: there is none, *bit is left alone
 */
static inline bool
lm_bits_next(const uint64_t *words, uint64_t nb_bits, uint64_t *bit)
{
	uint64_t at = *bit, word;

	for (; at < nb_bits; at = (at | (LM_WORD_BITS - 1)) + 1) {
		word = words[at / LM_WORD_BITS] >> (at % LM_WORD_BITS);
		if (word == 0)
			continue;
		at += lm_bits_lowest(word);
		if (at >= nb_bits)
			return false;
		*bit = at;
		return true;
	}
	return false;
}

/**
 * Next run of set bits of words[0..nb_bits) at or after *first.
 * @return its length, 0 when there is none; *first is where it starts.
 */
static inline uint64_t
lm_bits_next_run(const uint64_t *words, uint64_t nb_bits, uint64_t *first)
{
	uint64_t bit = *first, start, word;

	for (;;) {
		if (bit >= nb_bits)
			return 0;
		word = words[bit / LM_WORD_BITS] & (UINT64_MAX << (bit % LM_WORD_BITS));
		if (word != 0)
			break;
		bit = (bit | (LM_WORD_BITS - 1)) + 1;
	}
	start = (bit & ~(uint64_t)(LM_WORD_BITS - 1)) + lm_bits_lowest(word);
	if (start >= nb_bits)
		return 0;
	for (bit = start; bit < nb_bits; bit = (bit | (LM_WORD_BITS - 1)) + 1) {
		word = ~words[bit / LM_WORD_BITS] & (UINT64_MAX << (bit % LM_WORD_BITS));
		if (word != 0) {
			bit = (bit & ~(uint64_t)(LM_WORD_BITS - 1)) + lm_bits_lowest(word);
			break;
		}
	}
	*first = start;
	return (bit < nb_bits ? bit : nb_bits) - start;
}

#endif /* LM_BITS_H */
