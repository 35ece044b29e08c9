/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_stream.h"
#include "mig_between.h"

#define PIECE_BYTES 65536u

static bool
send_all(int fd, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	for (; len > 0; bytes += n, len -= (size_t)n) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

static void
change_version(const struct between_way *w, struct lm_stream_hdr *hdr)
{
	uint32_t which = w->forward ? w->between->forward : w->between->back;

	if ((which >> w->conn & 1) == 0)
		return;
	hdr->major = w->between->major;
	hdr->minor = w->between->minor;
}

static void *
way_main(void *arg)
{
	struct between_way *w = arg;
	uint8_t piece[PIECE_BYTES];
	struct lm_stream_hdr hdr;
	ssize_t n;

	if (recv(w->from, &hdr, sizeof(hdr), MSG_WAITALL) == sizeof(hdr)) {
		change_version(w, &hdr);
		if (send_all(w->to, (const uint8_t *)&hdr, sizeof(hdr)))
			while ((n = recv(w->from, piece, sizeof(piece), 0)) > 0)
				if (!send_all(w->to, piece, (size_t)n))
					break;
	}
	shutdown(w->from, SHUT_RD);
	shutdown(w->to, SHUT_WR);
	return NULL;
}

static void
start(struct between *b, unsigned int conn, bool forward, int from, int to)
{
	struct between_way *w = &b->ways[b->nb_ways++];

	*w = (struct between_way){
		.between = b,
		.conn = conn,
		.from = from,
		.to = to,
		.forward = forward,
	};
	assert_int_equal(pthread_create(&w->thread, NULL, way_main, w), 0);
}

void
between_put(struct between *b, unsigned int conn, int pair[2])
{
	int inner[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, inner), 0);
	start(b, conn, true, pair[1], inner[0]);
	start(b, conn, false, inner[0], pair[1]);
	pair[1] = inner[1];
}

void
between_end(struct between *b)
{
	unsigned int i;

	for (i = 0; i < b->nb_ways; i++)
		pthread_join(b->ways[i].thread, NULL);
	/* Each end is of two ways. */
	for (i = 0; i < b->nb_ways; i += 2) {
		close(b->ways[i].from);
		close(b->ways[i].to);
	}
	b->nb_ways = 0;
}
