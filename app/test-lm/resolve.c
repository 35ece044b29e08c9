/* SPDX-License-Identifier: BSD-3-Clause */

/* A source that is UNDECIDED waits on a socket; somebody who has looked at the other side tells. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mig.h"
#include "test_lm.h"

#define SOURCE "source"
#define DESTINATION "destination"
#define LINE_BYTES 64

static int
address(const char *path, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(un->sun_path))
		return -ENAMETOOLONG;
	strcpy(un->sun_path, path);
	return 0;
}

static int
listen_at(const char *path)
{
	struct sockaddr_un un;
	mode_t mask;
	int fd, ret;

	ret = address(path, &un);
	if (ret != 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0177);
	ret = bind(fd, (const struct sockaddr *)&un, sizeof(un)) == 0 && listen(fd, 4) == 0 ? 0 :
		-errno;
	umask(mask);
	if (ret != 0)
		close(fd);
	return ret == 0 ? fd : ret;
}

static bool
peer_is_us(int fd)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
		(cred.uid == geteuid() || cred.uid == 0);
}

static void
default_path(char *path, size_t size)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	snprintf(path, size, "%s/dpdk-test-lm.%d", dir != NULL ? dir : "/run", (int)getpid());
}

bool
mig_await_resolve(const struct mig_conf *conf)
{
	const struct timeval patience = { .tv_sec = 5 };
	char line[LINE_BYTES], path[256];
	int fd, client;
	ssize_t n;

	default_path(path, sizeof(path));
	if (conf->control != NULL)
		snprintf(path, sizeof(path), "%s", conf->control);
	fd = listen_at(path);
	if (fd < 0) {
		test_lm_error("%s: %s; nobody can be asked: the devices stay stopped", path,
			strerror(-fd));
		pause();
		return false;
	}
	fprintf(stderr, "  type: dpdk-test-lm resolve %s --destination-runs   (it does)\n"
		"  or:   dpdk-test-lm resolve %s --source-runs        (it never will)\n",
		path, path);
	for (;;) {
		client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			continue;
		setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		n = peer_is_us(client) ? recv(client, line, sizeof(line) - 1, 0) : 0;
		line[n > 0 ? n : 0] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, SOURCE) == 0 || strcmp(line, DESTINATION) == 0)
			break;
		close(client);
	}
	send(client, "ok\n", 3, MSG_NOSIGNAL);
	close(client);
	close(fd);
	unlink(path);
	return strcmp(line, SOURCE) == 0;
}

static void
resolve_usage(FILE *out)
{
	fprintf(out,
		"Usage: dpdk-test-lm resolve SOCKET --source-runs|--destination-runs\n\n"
		"Tell a dpdk-test-lm send that is undecided which side runs the devices. Look at\n"
		"the destination first: two copies must never run.\n");
}

static int
tell(const char *path, const char *word)
{
	const struct timeval patience = { .tv_sec = 10 };
	struct sockaddr_un un;
	char line[LINE_BYTES];
	int fd, ret;
	ssize_t n;

	ret = address(path, &un);
	if (ret != 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	snprintf(line, sizeof(line), "%s\n", word);
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0 ||
			send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		ret = -errno;
	n = ret == 0 ? recv(fd, line, sizeof(line), 0) : 0;
	if (ret == 0 && n <= 0)
		ret = n == 0 ? -ECONNRESET : -errno;
	close(fd);
	return ret;
}

int
test_lm_resolve(int argc, char **argv)
{
	const char *word = NULL;
	int ret;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		resolve_usage(stdout);
		return TEST_LM_OK;
	}
	if (argc == 3 && strcmp(argv[2], "--source-runs") == 0)
		word = SOURCE;
	if (argc == 3 && strcmp(argv[2], "--destination-runs") == 0)
		word = DESTINATION;
	if (word == NULL) {
		resolve_usage(stderr);
		return TEST_LM_USAGE;
	}
	ret = tell(argv[1], word);
	if (ret == 0) {
		printf("told: the %s runs\n", word);
		return TEST_LM_OK;
	}
	test_lm_error("%s: %s", argv[1], ret == -ENOENT || ret == -ECONNREFUSED ?
		"nobody is undecided there" : strerror(-ret));
	return TEST_LM_FAILED;
}
