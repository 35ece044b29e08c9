/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fwd.h"
#include "lm_pci.h"
#include "lm_port.h"
#include "lm_vfio.h"

#define LINE_BYTES 4096

static json_t *
stats(const struct fwd *f)
{
	const struct lm_port *port = lm_port_find(FWD_PORT);

	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I}",
		"mode", port == NULL ? "closed" : lm_port_mode_name(lm_port_mode(port)),
		"received", (json_int_t)f->count.received, "echoed", (json_int_t)f->count.echoed,
		"corrupt", (json_int_t)f->count.corrupt, "foreign", (json_int_t)f->count.foreign,
		"dropped", (json_int_t)f->count.dropped,
		"announced", (json_int_t)f->count.announced);
}

/* What is left here after it has moved: a stopped function, which is reset, with its owner told. */
static json_t *
leave(struct fwd *f)
{
	struct lm_provider p;
	int ret;

	fwd_poll_end(f);
	fwd_port_close(f);
	ret = fwd_migration_open(f);
	if (ret == 0) {
		p = lm_vfio_provider(f->vfio);
		ret = p.ops->reset(p.dev);
	}
	return ret == 0 ? json_object() : json_pack("{s:s}", "error", strerror(-ret));
}

static json_t *
command(struct fwd *f, const json_t *request, bool *end)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	const char *to = json_string_value(json_object_get(request, "to"));
	json_t *reply = NULL;

	if (cmd == NULL)
		return json_pack("{s:s}", "error", "no cmd");
	if (strcmp(cmd, "stats") == 0)
		return stats(f);
	if (strcmp(cmd, "migrate") == 0 && to != NULL && !f->gone) {
		(void)fwd_send(f, to, &reply);
		return json_pack("{s:o}", "report", reply);
	}
	if (strcmp(cmd, "quit") == 0) {
		*end = true;
		return leave(f);
	}
	return json_pack("{s:s}", "error", "unknown command, or not now");
}

static int
answer(struct fwd *f, FILE *in, int fd, json_t *arrival, bool *end)
{
	char line[LINE_BYTES], *text;
	json_t *request, *reply;
	ssize_t sent;

	if (fgets(line, sizeof(line), in) == NULL)
		return -ECONNRESET;
	request = json_loads(line, 0, NULL);
	if (strstr(line, "\"arrival\"") != NULL && arrival != NULL)
		reply = json_pack("{s:O}", "report", arrival);
	else
		reply = command(f, request, end);
	json_decref(request);
	text = reply == NULL ? NULL : json_dumps(reply, JSON_COMPACT);
	json_decref(reply);
	if (text == NULL)
		return -ENOMEM;
	sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
	if (sent >= 0)
		sent = send(fd, "\n", 1, MSG_NOSIGNAL);
	free(text);
	return sent < 0 ? -errno : 0;
}

static int
listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 4) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int
fwd_control(struct fwd *f, json_t *arrival)
{
	int fd = listen_at(f->conf.control), conn;
	bool end = false;
	FILE *in;

	if (fd < 0) {
		fwd_error("%s: %s", f->conf.control, strerror(-fd));
		return fd;
	}
	printf("ready %s\n", f->conf.control);
	fflush(stdout);
	while (!end) {
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		in = conn < 0 ? NULL : fdopen(conn, "r");
		if (in == NULL)
			break;
		while (!end && answer(f, in, conn, arrival, &end) == 0)
			;
		fclose(in);
	}
	close(fd);
	(void)unlink(f->conf.control);
	return end ? 0 : -EIO;
}
