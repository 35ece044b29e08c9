/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Joins a PCI function that a vfio-user server serves to User-Mode Linux: one process a function.
 * "ready PATH" once it listens; ends with Linux, the server, or SIGTERM, and says what it carried.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "uml_function.h"

enum { AT_SIGNAL, AT_SOCKET, AT_CLIENT, AT_CMD, AT_IRQ, AT_VECTORS };

static int
bridge_listen(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int
bridge_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
bridge_drain(int fd)
{
	uint64_t count;

	/* An eventfd that another thread emptied first is no error. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

/* Something has happened. @return 0; -ECONNRESET: Linux is gone; -errno. */
static int
bridge_work(struct uml_function *f, const struct pollfd *fds)
{
	int ret = 0;

	if (fds[AT_SOCKET].revents != 0)
		ret = uml_vhost_process(&f->vhost);
	if (ret == 0 && f->vhost.memory_changed)
		ret = uml_function_map(f);
	if (ret == 0 && fds[AT_CLIENT].revents != 0)
		ret = lm_vu_client_process(f->client);
	if (fds[AT_CMD].revents != 0)
		bridge_drain(fds[AT_CMD].fd);
	if (fds[AT_IRQ].revents != 0)
		bridge_drain(fds[AT_IRQ].fd);
	if (ret == 0)
		ret = uml_function_commands(f);
	if (ret == 0)
		ret = uml_function_interrupts(f);
	return ret;
}

static int
bridge_run(struct uml_function *f, int listen_fd, int signal_fd)
{
	struct pollfd fds[AT_VECTORS + UML_MAX_VECTORS];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < AT_VECTORS + f->nb_vectors; i++)
		fds[i].events = POLLIN;
	fds[AT_SIGNAL].fd = signal_fd;
	fds[AT_CLIENT].fd = lm_vu_client_fd(f->client);
	for (i = 0; i < f->nb_vectors; i++)
		fds[AT_VECTORS + i].fd = f->vector_fds[i];
	while (ret == 0) {
		fds[AT_SOCKET].fd = f->vhost.fd >= 0 ? f->vhost.fd : listen_fd;
		fds[AT_CMD].fd = f->vhost.rings[UML_VHOST_CMD].kick_fd;
		fds[AT_IRQ].fd = f->vhost.rings[UML_VHOST_IRQ].kick_fd;
		if (poll(fds, AT_VECTORS + f->nb_vectors, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[AT_SIGNAL].revents != 0)
			return 0;
		if (f->vhost.fd >= 0)
			ret = bridge_work(f, fds);
		else if (fds[AT_SOCKET].revents != 0)
			uml_vhost_init(&f->vhost, accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC));
		else if (fds[AT_CLIENT].revents != 0)
			ret = lm_vu_client_process(f->client);
	}
	return ret;
}

static int
bridge_serve(struct uml_function *f, const char *path)
{
	int signal_fd = bridge_signals();
	int listen_fd = bridge_listen(path);
	int ret;

	if (listen_fd < 0 || signal_fd < 0) {
		fprintf(stderr, "cannot listen at %s: %s\n", path, strerror(-listen_fd));
		return listen_fd;
	}
	printf("ready %s\n", path);
	fflush(stdout);
	ret = bridge_run(f, listen_fd, signal_fd);
	printf("{\"reads\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"interrupts\":%" PRIu64
		",\"refused\":%" PRIu64 ",\"unwanted\":%" PRIu64 "}\n", f->stats.reads,
		f->stats.writes, f->stats.interrupts, f->stats.refused, f->stats.unwanted);
	unlink(path);
	return ret == -ECONNRESET && lm_vu_client_alive(f->client) ? 0 : ret;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "vf", no_argument, NULL, 'v' }, { 0 } };
	struct uml_function *f = malloc(sizeof(*f));
	bool virtual_function = false;
	int c, ret;

	while ((c = getopt_long(argc, argv, "", options, NULL)) == 'v')
		virtual_function = true;
	if (c != -1 || argc - optind != 2 || f == NULL) {
		fprintf(stderr, "usage: %s [--vf] SOCKET-FOR-LINUX SOCKET-OF-DEVICE\n", argv[0]);
		return 2;
	}
	ret = uml_function_open(f, argv[optind + 1], virtual_function);
	if (ret != 0)
		fprintf(stderr, "%s: %s\n", argv[optind + 1], strerror(-ret));
	else
		ret = bridge_serve(f, argv[optind]);
	if (ret != 0)
		fprintf(stderr, "ended: %s\n", strerror(-ret));
	uml_function_close(f);
	free(f);
	return ret == 0 ? 0 : 1;
}
