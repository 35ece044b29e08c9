/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>

#include "lm_session_pvt.h"

static void
unref(struct lm_io *io)
{
	unsigned int i;

	if (atomic_fetch_sub(&io->refs, 1) != 1)
		return;
	for (i = 0; i < io->nb; i++) {
		pthread_mutex_destroy(&io->members[i].lock);
		free(io->members[i].buf);
	}
	free(io);
}

int
lm_io_create(struct lm_session *s, unsigned int nb, struct lm_io **io)
{
	struct lm_io *o = calloc(1, sizeof(*o) + nb * sizeof(o->members[0]));
	unsigned int i;

	if (o == NULL)
		return -ENOMEM;
	atomic_store(&o->refs, 1);
	o->session = s;
	o->group = s->group;
	for (i = 0; i < nb; i++) {
		pthread_mutex_init(&o->members[i].lock, NULL);
		o->nb++;
		o->members[i].buf = malloc(LM_RECORD_DATA_BYTES);
		if (o->members[i].buf == NULL) {
			unref(o);
			return -ENOMEM;
		}
	}
	*io = o;
	return 0;
}

void
lm_io_revoke(struct lm_io *io)
{
	unsigned int i;

	for (i = 0; io != NULL && i < io->nb; i++) {
		pthread_mutex_lock(&io->members[i].lock);
		io->members[i].revoked = true;
		pthread_mutex_unlock(&io->members[i].lock);
	}
}

void
lm_io_drop(struct lm_io *io)
{
	if (io != NULL)
		unref(io);
}

struct lm_io_member *
lm_io_enter(struct lm_io *io, unsigned int member)
{
	atomic_fetch_add(&io->refs, 1);
	return &io->members[member];
}

void
lm_io_leave(struct lm_io *io)
{
	unref(io);
}

bool
lm_io_lock(struct lm_io *io, struct lm_io_member *m)
{
	(void)io;
	pthread_mutex_lock(&m->lock);
	if (!m->revoked)
		return true;
	pthread_mutex_unlock(&m->lock);
	return false;
}

void
lm_io_unlock(struct lm_io_member *m)
{
	pthread_mutex_unlock(&m->lock);
}
