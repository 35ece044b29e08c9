/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lm_vu_server_priv.h"

static int
ops_check(struct lm_vu_server *s)
{
	const struct lm_vu_server_ops *o = s->ops;
	int mig = (o->mig_flags != NULL) + (o->mig_state_get != NULL) + (o->mig_state_set != NULL) +
			(o->mig_read != NULL) + (o->mig_write != NULL);
	int log = (o->log_start != NULL) + (o->log_stop != NULL) + (o->log_report != NULL);

	if (o->region_read == NULL || o->region_write == NULL)
		return -EINVAL;
	if ((mig != 0 && mig != 5) || (log != 0 && log != 3))
		return -EINVAL;
	if (mig == 0 && (o->mig_precopy_info != NULL || o->mig_data_size != NULL))
		return -EINVAL;
	s->has_migration = mig != 0;
	s->has_logging = log != 0;
	return 0;
}

static int
areas_check(const struct lm_vu_region_conf *r)
{
	uint64_t end = 0;
	uint32_t i;

	for (i = 0; i < r->nb_areas; i++) {
		const struct lm_vu_area *a = &r->areas[i];

		if (a->size_bytes == 0 ||
				((a->offset | a->size_bytes) & (LM_VU_PAGE_BYTES - 1)) != 0)
			return -EINVAL;
		if (a->offset < end || a->offset > r->size_bytes ||
				a->size_bytes > r->size_bytes - a->offset)
			return -EINVAL;
		end = a->offset + a->size_bytes;
	}
	return 0;
}

static int
region_copy(struct lm_vu_region_conf *r)
{
	struct lm_vu_area whole = { .size_bytes = r->size_bytes };
	const struct lm_vu_area *areas = r->nb_areas != 0 ? r->areas : &whole;
	const struct lm_vu_ioeventfd *ioeventfds = r->ioeventfds;
	uint32_t nb_areas = r->nb_areas != 0 ? r->nb_areas : 1, i;
	struct lm_vu_area *own_areas;
	struct lm_vu_ioeventfd *own_fds;

	r->areas = NULL;
	r->ioeventfds = NULL;
	if ((r->flags & ~(LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE | LM_VU_REGION_F_MMAP)) != 0 ||
			r->nb_ioeventfds > LM_VU_MAX_FDS || nb_areas > LM_VU_MAX_AREAS)
		return -EINVAL;
	if ((r->flags & LM_VU_REGION_F_MMAP) != 0) {
		own_areas = calloc(nb_areas, sizeof(*own_areas));
		if (own_areas == NULL)
			return -ENOMEM;
		memcpy(own_areas, areas, nb_areas * sizeof(*own_areas));
		r->areas = own_areas;
		r->nb_areas = nb_areas;
		if (r->fd < 0 || areas_check(r) < 0)
			return -EINVAL;
	}
	if (r->nb_ioeventfds == 0)
		return 0;
	own_fds = calloc(r->nb_ioeventfds, sizeof(*own_fds));
	if (own_fds == NULL)
		return -ENOMEM;
	memcpy(own_fds, ioeventfds, r->nb_ioeventfds * sizeof(*own_fds));
	r->ioeventfds = own_fds;
	for (i = 0; i < r->nb_ioeventfds; i++)
		if (own_fds[i].fd < 0 || own_fds[i].offset > r->size_bytes ||
				own_fds[i].size_bytes > r->size_bytes - own_fds[i].offset)
			return -EINVAL;
	return 0;
}

int
lm_vu_srv_conf_copy(struct lm_vu_server *s, const struct lm_vu_server_conf *conf)
{
	uint32_t i;
	int ret = 0;

	s->conf = *conf;
	s->ops = conf->ops;
	s->ctx = conf->ctx;
	s->conf.path = NULL;
	for (i = 0; i < LM_VU_NUM_REGIONS; i++) {
		struct lm_vu_region_conf *r = &s->conf.regions[i];
		int err;

		if (r->size_bytes == 0)
			*r = (struct lm_vu_region_conf){ .fd = -1 };
		err = r->size_bytes == 0 ? 0 : region_copy(r);
		ret = ret < 0 ? ret : err;
	}
	if (ret < 0)
		return ret;
	if (conf->path == NULL || conf->ops == NULL)
		return -EINVAL;
	s->conf.path = strdup(conf->path);
	if (s->conf.path == NULL)
		return -ENOMEM;
	return ops_check(s);
}

void
lm_vu_srv_conf_free(struct lm_vu_server *s)
{
	uint32_t i;

	for (i = 0; i < LM_VU_NUM_REGIONS; i++) {
		free((void *)(uintptr_t)s->conf.regions[i].areas);
		free((void *)(uintptr_t)s->conf.regions[i].ioeventfds);
	}
	free((void *)(uintptr_t)s->conf.path);
}

/* Somebody who answers keeps the path; a socket that nobody listens on is a leftover. */
static int
remove_stale(const struct sockaddr_un *addr)
{
	struct stat st, again;
	int sock, err;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	err = connect(sock, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
	close(sock);
	if (err == 0 || err == EAGAIN)
		return -EADDRINUSE;
	if (err != ECONNREFUSED)
		return -err;
	if (lstat(addr->sun_path, &again) < 0 || again.st_ino != st.st_ino ||
			again.st_dev != st.st_dev)
		return -EADDRINUSE;
	return unlink(addr->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

int
lm_vu_srv_listen(struct lm_vu_server *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int ret;

	if (strlen(s->conf.path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, s->conf.path, strlen(s->conf.path) + 1);
	ret = remove_stale(&addr);
	if (ret < 0)
		return ret;
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		return -errno;
	if (bind(s->listener, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (lstat(s->conf.path, &st) == 0) {
		s->sock_dev = st.st_dev;
		s->sock_ino = st.st_ino;
	}
	return listen(s->listener, 4) < 0 ? -errno : 0;
}

/* Only our own socket file: somebody may have replaced it. */
void
lm_vu_srv_unlink(struct lm_vu_server *s)
{
	struct stat st;

	if (s->sock_ino != 0 && lstat(s->conf.path, &st) == 0 && st.st_ino == s->sock_ino &&
			st.st_dev == s->sock_dev)
		unlink(s->conf.path);
}
