/* SPDX-License-Identifier: BSD-3-Clause */

/* How connections find each other: each says which session it is of, and which number it has. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lm_channel_pvt.h"
#include "lm_clock.h"

#define MAX_PENDING 64u
#define NS_PER_MS UINT64_C(1000000)

static uint64_t
set_up_ends(const struct lm_channel_conf *conf)
{
	return lm_clock_after_us(conf->deadline_us != 0 ? conf->deadline_us :
			LM_CHANNEL_DEADLINE_US);
}

static int
say_hello(struct lm_conn *c, const struct lm_record_hello *hello, uint64_t until_ns)
{
	const struct iovec iov = { (void *)(uintptr_t)hello, sizeof(*hello) };

	return lm_conn_send_locked(c, LM_RECORD_HELLO, &iov, 1, until_ns, NULL);
}

static int
connect_one(const char *address, const struct lm_record_hello *hello, uint64_t until_ns,
		struct lm_conn **conn)
{
	int fd, ret;

	fd = lm_socket_connect(address, until_ns);
	if (fd < 0)
		return fd;
	ret = lm_socket_check_peer(fd);
	if (ret == 0)
		ret = lm_conn_create(fd, conn);
	if (ret != 0) {
		close(fd);
		return ret;
	}
	ret = say_hello(*conn, hello, until_ns);
	if (ret != 0)
		lm_conn_destroy(*conn);
	return ret;
}

static int
hear_answer(struct lm_conn *c, const struct lm_record_hello *mine, uint64_t until_ns)
{
	const struct lm_record_hello *h;
	struct lm_record rec;
	int ret;

	ret = lm_conn_recv(c, &rec, until_ns);
	if (ret != 0)
		return ret;
	h = rec.payload;
	if (rec.type != LM_RECORD_HELLO || (h->flags & LM_HELLO_F_ANSWER) == 0 ||
			memcmp(h->session, mine->session, sizeof(h->session)) != 0 ||
			h->index != mine->index)
		return -EPROTO;
	return 0;
}

int
lm_channel_connect(const char *address, const struct lm_channel_conf *conf,
		struct lm_channel **channel)
{
	struct lm_conn *conns[LM_CHANNEL_MAX_BULK + 1];
	unsigned int nb_bulk = conf->nb_bulk == 0 ? 1 : conf->nb_bulk;
	uint64_t until_ns = set_up_ends(conf);
	struct lm_record_hello hello = { 0 };
	unsigned int i, made;
	int ret = 0;

	if (nb_bulk > LM_CHANNEL_MAX_BULK)
		return -EINVAL;
	if (getrandom(hello.session, sizeof(hello.session), 0) != sizeof(hello.session))
		return -EIO;
	hello.count = (uint16_t)(nb_bulk + 1);
	for (made = 0; made < hello.count; made++) {
		hello.index = (uint16_t)made;
		ret = connect_one(address, &hello, until_ns, &conns[made]);
		if (ret != 0)
			break;
	}
	for (i = 0; i < made && ret == 0; i++) {
		hello.index = (uint16_t)i;
		ret = hear_answer(conns[i], &hello, until_ns);
	}
	if (ret == 0)
		ret = lm_channel_of_conns(conns, made, conf, channel);
	for (i = 0; i < made && ret != 0; i++)
		lm_conn_destroy(conns[i]);
	return ret;
}

struct pending {
	struct lm_conn *conn;
	struct lm_record_hello hello;
	bool greeted;
};

struct meeting {
	struct pending pending[MAX_PENDING];
	unsigned int nb;
	int last_error; /* of one that was sent away */
};

static void
send_away(struct meeting *m, unsigned int i, int error)
{
	m->last_error = error;
	lm_conn_destroy(m->pending[i].conn);
	m->pending[i] = m->pending[--m->nb];
}

static void
welcome(struct meeting *m, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1, ret;
	struct pending *p;

	if (fd < 0)
		return;
	/* The oldest makes room: it had its time. */
	if (m->nb == MAX_PENDING)
		send_away(m, 0, -EBUSY);
	p = &m->pending[m->nb];
	memset(p, 0, sizeof(*p));
	ret = lm_socket_check_peer(fd);
	if (ret == 0)
		ret = lm_conn_create(fd, &p->conn);
	if (ret != 0) {
		m->last_error = ret;
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	m->nb++;
}

static void
hear(struct meeting *m, unsigned int i)
{
	struct pending *p = &m->pending[i];
	struct lm_record_hello refusal = { .count = 2, .flags = LM_HELLO_F_ANSWER };
	struct lm_record rec;
	int ret;

	ret = lm_conn_try(p->conn, &rec);
	if (ret == 0)
		return;
	if (ret == 1 && rec.type == LM_RECORD_HELLO) {
		memcpy(&p->hello, rec.payload, sizeof(p->hello));
		p->greeted = p->hello.count <= LM_CHANNEL_MAX_BULK + 1;
		if (p->greeted)
			return;
	}
	/* Our header tells a peer of another version what we are. */
	if (ret == -EPROTONOSUPPORT)
		say_hello(p->conn, &refusal, lm_clock_after_us(0) + NS_PER_MS);
	send_away(m, i, ret < 0 ? ret : -EPROTO);
}

/* All connections of one session; in order, and out of the pending ones. */
static unsigned int
complete(struct meeting *m, struct lm_conn **conns)
{
	const struct lm_record_hello *first, *h;
	unsigned int i, j, at[LM_CHANNEL_MAX_BULK + 1], found;

	for (i = 0; i < m->nb; i++) {
		first = &m->pending[i].hello;
		if (!m->pending[i].greeted || first->index != 0)
			continue;
		found = 0;
		memset(at, 0xff, sizeof(at));
		for (j = 0; j < m->nb; j++) {
			h = &m->pending[j].hello;
			if (!m->pending[j].greeted || h->count != first->count ||
					memcmp(h->session, first->session, 16) != 0 ||
					at[h->index] != UINT32_MAX)
				continue;
			at[h->index] = j;
			found++;
		}
		if (found != first->count)
			continue;
		for (j = 0; j < found; j++) {
			conns[j] = m->pending[at[j]].conn;
			m->pending[at[j]].conn = NULL;
		}
		return found;
	}
	return 0;
}

static int
answer(struct lm_conn *const *conns, unsigned int nb, const struct lm_record_hello *theirs,
		uint64_t until_ns)
{
	struct lm_record_hello hello = *theirs;
	unsigned int i;
	int ret = 0;

	hello.flags = LM_HELLO_F_ANSWER;
	for (i = 0; i < nb && ret == 0; i++) {
		hello.index = (uint16_t)i;
		ret = say_hello(conns[i], &hello, until_ns);
	}
	return ret;
}

static int
wait_for_any(struct meeting *m, int listener, uint64_t until_ns)
{
	struct pollfd p[MAX_PENDING + 1] = { { .fd = listener, .events = POLLIN } };
	uint64_t now = lm_clock_ns();
	unsigned int i, nb = m->nb;

	if (now >= until_ns)
		return -ETIMEDOUT;
	for (i = 0; i < nb; i++) {
		/* One that has said all is watched no more; its end shows later. */
		p[i + 1].fd = m->pending[i].greeted ? -1 : m->pending[i].conn->fd;
		p[i + 1].events = POLLIN;
		p[i + 1].revents = 0;
	}
	if (poll(p, nb + 1, until_ns - now > 1000 * NS_PER_MS ? 1000 :
			(int)((until_ns - now) / NS_PER_MS) + 1) < 0)
		return errno == EINTR ? 0 : -errno;
	while (nb-- > 0)
		if (p[nb + 1].revents != 0)
			hear(m, nb);
	if (p[0].revents != 0)
		welcome(m, listener);
	return 0;
}

static void
meeting_end(struct meeting *m)
{
	unsigned int i;

	for (i = 0; i < m->nb; i++)
		lm_conn_destroy(m->pending[i].conn);
}

int
lm_channel_accept(struct lm_listener *listener, const struct lm_channel_conf *conf,
		uint64_t wait_us, struct lm_channel **channel)
{
	struct meeting m = { .nb = 0 };
	struct lm_conn *conns[LM_CHANNEL_MAX_BULK + 1];
	uint64_t until_ns = wait_us == 0 ? UINT64_MAX : lm_clock_after_us(wait_us);
	uint64_t follow_ns = UINT64_MAX;
	struct lm_record_hello hello;
	unsigned int nb, i;
	int ret = 0;

	for (;;) {
		/* The caller's wait is for the first: half a session has a time of its own. */
		ret = wait_for_any(&m, listener->fd, m.nb == 0 ? until_ns : follow_ns);
		if (ret == -ETIMEDOUT && m.nb != 0) {
			while (m.nb > 0)
				send_away(&m, 0, -ETIMEDOUT);
		} else if (ret != 0) {
			break;
		}
		if (m.nb == 0)
			follow_ns = UINT64_MAX;
		else if (follow_ns == UINT64_MAX)
			follow_ns = set_up_ends(conf);
		nb = complete(&m, conns);
		if (nb == 0)
			continue;
		for (i = 0; m.pending[i].conn != NULL; i++)
			;
		hello = m.pending[i].hello;
		ret = answer(conns, nb, &hello, set_up_ends(conf));
		if (ret == 0)
			ret = lm_channel_of_conns(conns, nb, conf, channel);
		for (i = 0; i < nb && ret != 0; i++)
			lm_conn_destroy(conns[i]);
		break;
	}
	meeting_end(&m);
	return ret == -ETIMEDOUT && m.last_error != 0 ? m.last_error : ret;
}
