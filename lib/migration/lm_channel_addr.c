/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "lm_channel_pvt.h"
#include "lm_clock.h"

#define KIND (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
#define BACKLOG 64
#define NS_PER_MS UINT64_C(1000000)

int
lm_socket_wait(int fd, short events, uint64_t until_ns)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now;
	int ret;

	for (;;) {
		now = lm_clock_ns();
		if (now >= until_ns)
			return -ETIMEDOUT;
		/* Rounded up, so that the last turn does not spin. */
		ret = poll(&p, 1, until_ns - now > 1000 * NS_PER_MS ? 1000 :
				(int)((until_ns - now) / NS_PER_MS) + 1);
		if (ret > 0)
			return 0;
		if (ret < 0 && errno != EINTR)
			return -errno;
	}
}

/* "unix:PATH", or anything with a slash and no scheme. */
static const char *
unix_path(const char *address)
{
	if (strncmp(address, "unix:", 5) == 0)
		return address + 5;
	return strncmp(address, "tcp:", 4) != 0 && strchr(address, '/') != NULL ? address : NULL;
}

static int
unix_addr(const char *path, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (*path == '\0' || strlen(path) >= sizeof(un->sun_path))
		return -EINVAL;
	strcpy(un->sun_path, path);
	return 0;
}

static int
tcp_addrs(const char *address, int flags, struct addrinfo **list)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };
	const char *host = address + 4, *colon = strrchr(address, ':');
	char copy[128];
	size_t len;
	int ret;

	if (strncmp(address, "tcp:", 4) != 0 || colon == NULL || colon < host)
		return -EINVAL;
	len = (size_t)(colon - host);
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, host, len);
	copy[len] = '\0';
	ret = getaddrinfo(len == 0 ? NULL : copy, colon + 1, &hints, list);
	if (ret == EAI_SYSTEM)
		return -errno;
	return ret == EAI_MEMORY ? -ENOMEM : ret == 0 ? 0 : -EINVAL;
}

static int
unix_connect(const char *path)
{
	struct sockaddr_un un;
	int fd, ret;

	ret = unix_addr(path, &un);
	if (ret != 0)
		return ret;
	fd = socket(AF_UNIX, KIND, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static int
tcp_connect_one(const struct addrinfo *a, uint64_t until_ns)
{
	int fd = socket(a->ai_family, KIND, 0), one = 1, ret = 0, error = 0;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
		ret = errno == EINPROGRESS ? lm_socket_wait(fd, POLLOUT, until_ns) : -errno;
	if (ret == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0)
		ret = -error;
	if (ret == 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		return fd;
	}
	close(fd);
	return ret;
}

int
lm_socket_connect(const char *address, uint64_t until_ns)
{
	struct addrinfo *list, *a;
	int ret;

	if (unix_path(address) != NULL)
		return unix_connect(unix_path(address));
	ret = tcp_addrs(address, 0, &list);
	if (ret != 0)
		return ret;
	ret = -EHOSTUNREACH;
	for (a = list; a != NULL && ret < 0; a = a->ai_next)
		ret = tcp_connect_one(a, until_ns);
	freeaddrinfo(list);
	return ret;
}

int
lm_socket_check_peer(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ucred cred;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return -errno;
	if (ss.ss_family != AF_UNIX)
		return 0;
	len = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return -errno;
	return cred.uid == geteuid() || cred.uid == 0 ? 0 : -EACCES;
}

/*
 * Should the number have gone to another process meanwhile, that one is watched: a death is then
 * not seen, and never invented.
 */
int
lm_socket_peer_pidfd(int fd)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || cred.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, cred.pid, 0);
}

static int
unix_is_stale(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, KIND, 0), stale;

	if (fd < 0)
		return 0;
	stale = connect(fd, (const struct sockaddr *)un, sizeof(*un)) != 0 &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int
unix_listen(const char *path, struct lm_listener *l)
{
	struct sockaddr_un un;
	struct stat st;
	int ret;

	ret = unix_addr(path, &un);
	if (ret != 0)
		return ret;
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode) || !unix_is_stale(&un))
			return -EADDRINUSE;
		unlink(path);
	}
	l->fd = socket(AF_UNIX, KIND, 0);
	if (l->fd < 0)
		return -errno;
	if (bind(l->fd, (const struct sockaddr *)&un, sizeof(un)) != 0)
		return -errno;
	strcpy(l->unix_path, un.sun_path);
	snprintf(l->address, sizeof(l->address), "unix:%s", path);
	return listen(l->fd, BACKLOG) == 0 ? 0 : -errno;
}

static void
tcp_name(struct lm_listener *l)
{
	char host[80] = "", port[16] = "";
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0)
		return;
	getnameinfo((const struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(l->address, sizeof(l->address), strchr(host, ':') != NULL ? "tcp:[%s]:%s" :
		"tcp:%s:%s", host, port);
}

static int
tcp_listen(const char *address, struct lm_listener *l)
{
	struct addrinfo *list, *a;
	int ret, one = 1;

	ret = tcp_addrs(address, AI_PASSIVE, &list);
	if (ret != 0)
		return ret;
	ret = -EADDRNOTAVAIL;
	for (a = list; a != NULL && ret != 0; a = a->ai_next) {
		l->fd = socket(a->ai_family, KIND, 0);
		if (l->fd < 0)
			continue;
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(l->fd, a->ai_addr, a->ai_addrlen) == 0 && listen(l->fd, BACKLOG) == 0) {
			ret = 0;
			continue;
		}
		ret = -errno;
		close(l->fd);
		l->fd = -1;
	}
	freeaddrinfo(list);
	if (ret == 0)
		tcp_name(l);
	return ret;
}

int
lm_listener_create(const char *address, struct lm_listener **listener, const char **why)
{
	const char *path = unix_path(address);
	struct lm_listener *l = calloc(1, sizeof(*l));
	int ret;

	*why = strerror(ENOMEM);
	if (l == NULL)
		return -ENOMEM;
	l->fd = -1;
	ret = path != NULL ? unix_listen(path, l) : tcp_listen(address, l);
	if (ret == 0) {
		*listener = l;
		return 0;
	}
	*why = ret == -EINVAL ? "an address is unix:PATH or tcp:HOST:PORT" :
		ret == -EADDRINUSE ? "it is in use by another process" : strerror(-ret);
	lm_listener_destroy(l);
	return ret;
}

void
lm_listener_destroy(struct lm_listener *l)
{
	if (l == NULL)
		return;
	if (l->fd >= 0)
		close(l->fd);
	if (l->unix_path[0] != '\0')
		unlink(l->unix_path);
	free(l);
}

const char *
lm_listener_address(const struct lm_listener *l)
{
	return l->address;
}
