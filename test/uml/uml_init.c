/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The first process inside User-Mode Linux. The root file system is the machine's own, read-only.
 * Serves shell commands on ttyS0: a line in; out come its lines, each after "| ", then "= STATUS".
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define LINE_BYTES 4096

static void
mounts(void)
{
	static const struct {
		const char *type, *dir;
	} list[] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "debugfs", "/sys/kernel/debug" },
		{ "devtmpfs", "/dev" }, { "tmpfs", "/run" }, { "tmpfs", "/mnt" },
	};
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (mount(list[i].type, list[i].dir, list[i].type, 0, NULL) < 0 && errno != EBUSY)
			printf("init: %s: %s\n", list[i].dir, strerror(errno));
	mkdir("/dev/pts", 0755);
	mkdir("/dev/shm", 01777);
	mount("devpts", "/dev/pts", "devpts", 0, NULL);
	mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
}

static int
open_port(const char *path)
{
	struct termios tio;
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &tio) < 0)
		return -1;
	cfmakeraw(&tio);
	tcsetattr(fd, TCSANOW, &tio);
	return fd;
}

/* The port is a tty: one write may take a part only. */
static void
put(int port, const char *text, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(port, text, len);
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static void
copy_output(int port, int from)
{
	FILE *f = fdopen(from, "r");
	char line[LINE_BYTES];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		put(port, "| ", 2);
		put(port, line, strcspn(line, "\n"));
		put(port, "\n", 1);
	}
	if (f != NULL)
		fclose(f);
}

static void
child(const char *command, int out)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	setsid();
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* What the command leaves running must not hold its output open. */
static void
run(int port, const char *command)
{
	char text[32];
	int fds[2], status = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0)
		child(command, fds[1]);
	close(fds[1]);
	copy_output(port, fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		status = -1;
	snprintf(text, sizeof(text), "= %d\n",
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	put(port, text, strlen(text));
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void
serve(int port)
{
	char line[LINE_BYTES];
	size_t len = 0;
	char c;

	put(port, "= 0\n", 4);
	while (read(port, &c, 1) == 1) {
		if (c != '\n') {
			if (len < sizeof(line) - 1)
				line[len++] = c;
			continue;
		}
		line[len] = '\0';
		len = 0;
		if (strcmp(line, "poweroff") == 0)
			return;
		run(port, line);
	}
}

int
main(void)
{
	int port;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/run", 1);
	mounts();
	port = open_port("/dev/ttyS0");
	if (port < 0)
		printf("init: no ttyS0: %s\n", strerror(errno));
	else
		serve(port);
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
