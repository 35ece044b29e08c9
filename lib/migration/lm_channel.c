/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lm_channel_pvt.h"
#include "lm_clock.h"
#include "lm_thread_os.h"

#define NS_PER_S UINT64_C(1000000000)

/* How long until there is room for so many bytes; takes them when there is. */
static uint64_t
bucket_take(struct lm_bucket *b, uint64_t bytes)
{
	uint64_t now = lm_clock_ns(), most, wait_ns = 0, add;

	pthread_mutex_lock(&b->lock);
	most = b->bytes_per_s / 10 > bytes ? b->bytes_per_s / 10 : bytes;
	add = (uint64_t)((double)(now - b->filled_ns) * (double)b->bytes_per_s / (double)NS_PER_S);
	if (add > 0) {
		b->level_bytes = add > most - (b->level_bytes < most ? b->level_bytes : most) ?
			most : b->level_bytes + add;
		b->filled_ns = now;
	}
	if (b->level_bytes >= bytes)
		b->level_bytes -= bytes;
	else
		wait_ns = (uint64_t)((double)(bytes - b->level_bytes) * (double)NS_PER_S /
			(double)b->bytes_per_s) + 1;
	pthread_mutex_unlock(&b->lock);
	return wait_ns;
}

static int
bucket_wait(struct lm_channel *ch, uint64_t bytes)
{
	struct timespec nap;
	uint64_t wait_ns;

	if (ch->bucket.bytes_per_s == 0)
		return 0;
	for (;;) {
		if (atomic_load(&ch->broken))
			return -ECANCELED;
		wait_ns = bucket_take(&ch->bucket, bytes);
		if (wait_ns == 0)
			return 0;
		nap.tv_sec = 0;
		nap.tv_nsec = (long)(wait_ns < NS_PER_S / 100 ? wait_ns : NS_PER_S / 100);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	}
}

void
lm_channel_hold(struct lm_channel *ch, unsigned int conn)
{
	pthread_mutex_lock(&ch->conns[conn]->send_lock);
}

void
lm_channel_release(struct lm_channel *ch, unsigned int conn)
{
	pthread_mutex_unlock(&ch->conns[conn]->send_lock);
}

int
lm_channel_send_held(struct lm_channel *ch, unsigned int conn, uint16_t type,
		const struct iovec *iov, unsigned int nb)
{
	uint64_t bytes = sizeof(struct lm_record_hdr);
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nb; i++)
		bytes += iov[i].iov_len;
	if (conn != LM_CHANNEL_CONTROL)
		ret = bucket_wait(ch, bytes);
	if (ret == 0)
		ret = lm_conn_send_locked(ch->conns[conn], type, iov, nb,
			lm_clock_after_us(ch->conf.deadline_us), &ch->broken);
	/* What is cut off in the middle cannot be taken up again. */
	if (ret != 0 && ret != -ECANCELED)
		lm_channel_break(ch);
	return ret;
}

int
lm_channel_send(struct lm_channel *ch, unsigned int conn, uint16_t type, const struct iovec *iov,
		unsigned int nb)
{
	int ret;

	lm_channel_hold(ch, conn);
	ret = lm_channel_send_held(ch, conn, type, iov, nb);
	lm_channel_release(ch, conn);
	return ret;
}

int
lm_channel_recv(struct lm_channel *ch, unsigned int conn, struct lm_record *rec, uint64_t wait_us)
{
	int ret;

	ret = lm_conn_recv(ch->conns[conn], rec, lm_clock_after_us(wait_us));
	return ret == -ECONNRESET && atomic_load(&ch->broken) ? -ECANCELED : ret;
}

const char *
lm_channel_strerror(const struct lm_channel *ch, unsigned int conn)
{
	return lm_stream_strerror(ch->conns[conn]->parser);
}

void
lm_channel_break(struct lm_channel *ch)
{
	unsigned int i;

	atomic_store(&ch->broken, true);
	for (i = 0; i < ch->nb; i++)
		shutdown(ch->conns[i]->fd, SHUT_RDWR);
}

int
lm_channel_peer_dead(const struct lm_channel *ch)
{
	struct pollfd p = { .fd = ch->pidfd, .events = POLLIN };

	if (ch->pidfd < 0)
		return -ENOTSUP;
	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN) != 0;
}

uint64_t
lm_channel_silence_us(const struct lm_channel *ch)
{
	return ch->conf.alive_us * LM_CHANNEL_ALIVE_MISSED;
}

unsigned int
lm_channel_bulk(const struct lm_channel *ch)
{
	return ch->nb - 1;
}

unsigned int
lm_channel_of_address(const struct lm_channel *ch, uint64_t addr)
{
	return 1 + (unsigned int)(addr / LM_CHANNEL_STRIPE_BYTES % (ch->nb - 1));
}

unsigned int
lm_channel_of_member(const struct lm_channel *ch, unsigned int member)
{
	return 1 + member % (ch->nb - 1);
}

uint64_t
lm_channel_conn_sent_bytes(const struct lm_channel *ch, unsigned int conn)
{
	return atomic_load(&ch->conns[conn]->sent_bytes);
}

uint64_t
lm_channel_sent_bytes(const struct lm_channel *ch)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < ch->nb; i++)
		bytes += atomic_load(&ch->conns[i]->sent_bytes);
	return bytes;
}

uint64_t
lm_channel_received_bytes(const struct lm_channel *ch)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < ch->nb; i++)
		bytes += atomic_load(&ch->conns[i]->received_bytes);
	return bytes;
}

static void *
alive_main(void *arg)
{
	struct lm_channel *ch = arg;
	struct timespec until;
	uint64_t ns;

	pthread_mutex_lock(&ch->lock);
	while (!ch->ending) {
		ns = lm_clock_after_us(ch->conf.alive_us);
		until.tv_sec = (time_t)(ns / NS_PER_S);
		until.tv_nsec = (long)(ns % NS_PER_S);
		if (pthread_cond_timedwait(&ch->bell, &ch->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&ch->lock);
		if (!atomic_load(&ch->broken))
			lm_channel_send(ch, LM_CHANNEL_CONTROL, LM_RECORD_ALIVE, NULL, 0);
		pthread_mutex_lock(&ch->lock);
	}
	ch->alive_runs = false;
	pthread_cond_broadcast(&ch->bell);
	pthread_mutex_unlock(&ch->lock);
	return NULL;
}

int
lm_channel_of_conns(struct lm_conn *const *conns, unsigned int nb,
		const struct lm_channel_conf *conf, struct lm_channel **channel)
{
	struct lm_channel *ch = calloc(1, sizeof(*ch));
	pthread_condattr_t attr;
	int ret;

	if (ch == NULL)
		return -ENOMEM;
	ch->nb = nb;
	memcpy(ch->conns, conns, nb * sizeof(*conns));
	ch->conf = *conf;
	if (ch->conf.deadline_us == 0)
		ch->conf.deadline_us = LM_CHANNEL_DEADLINE_US;
	if (ch->conf.alive_us == 0)
		ch->conf.alive_us = LM_CHANNEL_ALIVE_US;
	ch->bucket.bytes_per_s = conf->bytes_per_s;
	ch->bucket.filled_ns = lm_clock_ns();
	pthread_mutex_init(&ch->bucket.lock, NULL);
	pthread_mutex_init(&ch->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ch->bell, &attr);
	pthread_condattr_destroy(&attr);
	ch->pidfd = lm_socket_peer_pidfd(conns[0]->fd);
	ch->alive_runs = true;
	ret = lm_thread_os_start("lm-alive", alive_main, ch);
	if (ret != 0) {
		ch->alive_runs = false;
		ch->nb = 0; /* still the caller's */
		lm_channel_destroy(ch);
		return ret;
	}
	*channel = ch;
	return 0;
}

int
lm_channel_adopt(const int *fds, unsigned int nb, const struct lm_channel_conf *conf,
		struct lm_channel **channel)
{
	struct lm_conn *conns[LM_CHANNEL_MAX_BULK + 1];
	unsigned int i, made;
	int ret = 0;

	if (nb < 2 || nb > LM_CHANNEL_MAX_BULK + 1)
		return -EINVAL;
	for (made = 0; made < nb && ret == 0; made++) {
		fcntl(fds[made], F_SETFL, fcntl(fds[made], F_GETFL) | O_NONBLOCK);
		ret = lm_conn_create(fds[made], &conns[made]);
	}
	if (ret == 0)
		ret = lm_channel_of_conns(conns, nb, conf, channel);
	else
		made--;
	for (i = 0; ret != 0 && i < made; i++) {
		conns[i]->fd = -1; /* the caller's */
		lm_conn_destroy(conns[i]);
	}
	return ret;
}

void
lm_channel_destroy(struct lm_channel *ch)
{
	unsigned int i;

	if (ch == NULL)
		return;
	lm_channel_break(ch);
	pthread_mutex_lock(&ch->lock);
	ch->ending = true;
	pthread_cond_broadcast(&ch->bell);
	while (ch->alive_runs)
		pthread_cond_wait(&ch->bell, &ch->lock);
	pthread_mutex_unlock(&ch->lock);
	for (i = 0; i < ch->nb; i++)
		lm_conn_destroy(ch->conns[i]);
	if (ch->pidfd >= 0)
		close(ch->pidfd);
	pthread_cond_destroy(&ch->bell);
	pthread_mutex_destroy(&ch->lock);
	pthread_mutex_destroy(&ch->bucket.lock);
	free(ch);
}
