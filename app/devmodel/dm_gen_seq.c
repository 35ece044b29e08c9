/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "dm_gen_seq.h"

int
dm_gen_seq_reserve(struct dm_gen_seq *s)
{
	uint64_t **chunk;

	if (s->next >= DM_GEN_SEQ_MAX)
		return -ENOSPC;
	chunk = &s->chunks[s->next / DM_GEN_SEQ_CHUNK];
	if (*chunk == NULL)
		*chunk = calloc(DM_GEN_SEQ_CHUNK / 64, sizeof(**chunk));
	return *chunk == NULL ? -ENOMEM : 0;
}

enum dm_gen_seq_verdict
dm_gen_seq_mark(struct dm_gen_seq *s, uint64_t seq)
{
	uint64_t *word, bit;

	if (seq >= s->next)
		return DM_GEN_SEQ_UNSENT;
	if (seq < s->base)
		return DM_GEN_SEQ_STALE;
	word = &s->chunks[seq / DM_GEN_SEQ_CHUNK][seq % DM_GEN_SEQ_CHUNK / 64];
	bit = 1ull << seq % 64;
	if ((*word & bit) != 0)
		return DM_GEN_SEQ_DUPLICATE;
	*word |= bit;
	if (seq < s->above)
		return DM_GEN_SEQ_LATE;
	s->above = seq + 1;
	return DM_GEN_SEQ_IN_ORDER;
}

void
dm_gen_seq_rebase(struct dm_gen_seq *s)
{
	uint64_t i;

	s->base = s->above = s->next;
	for (i = 0; i < s->base / DM_GEN_SEQ_CHUNK; i++) {
		free(s->chunks[i]);
		s->chunks[i] = NULL;
	}
}

void
dm_gen_seq_free(struct dm_gen_seq *s)
{
	unsigned int i;

	for (i = 0; i < DM_GEN_SEQ_CHUNKS; i++)
		free(s->chunks[i]);
}
