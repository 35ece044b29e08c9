/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dm_control.h"

#define DM_CONTROL_MAX_CLIENTS 8
#define DM_CONTROL_LINE_BYTES 4096

struct dm_control_client {
	struct dm_control *control;
	int fd; /* -1: free */
	uint32_t have_bytes;
	char line[DM_CONTROL_LINE_BYTES];
};

struct dm_control {
	dm_control_fn fn;
	void *ctx;
	struct dm_loop *loop;
	int fd;
	struct sockaddr_un addr;
	struct dm_control_client clients[DM_CONTROL_MAX_CLIENTS];
};

static void
dm_control_drop(struct dm_control_client *client)
{
	dm_loop_del(client->control->loop, client->fd);
	close(client->fd);
	client->fd = -1;
}

static json_t *
dm_control_error(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

static json_t *
dm_control_run(const struct dm_control *c, const char *cmd, const json_t *args)
{
	const char *error = "bad arguments";
	json_t *reply = json_object();
	int ret = c->fn(c->ctx, cmd, args, reply, &error);

	if (ret == 0)
		return reply;
	json_decref(reply);
	if (ret == -ENOTSUP)
		error = "unknown command";
	return dm_control_error(ret == -ENOMEM ? "out of memory" : error);
}

static json_t *
dm_control_answer(const struct dm_control *c, const char *line, size_t len_bytes)
{
	json_t *args = json_loadb(line, len_bytes, JSON_REJECT_DUPLICATES, NULL);
	const char *cmd = json_string_value(json_object_get(args, "cmd"));
	json_t *reply;

	if (args == NULL)
		reply = dm_control_error("not a JSON object");
	else if (cmd == NULL)
		reply = dm_control_error("no \"cmd\"");
	else
		reply = dm_control_run(c, cmd, args);
	json_decref(args);
	return reply;
}

/* One line out; false when the client does not take it. */
static bool
dm_control_send(struct dm_control_client *client, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);
	bool sent = false;
	size_t len;

	json_decref(reply);
	if (text == NULL)
		return false;
	len = strlen(text);
	text[len] = '\n'; /* instead of the final 0 */
	sent = send(client->fd, text, len + 1, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(len + 1);
	free(text);
	return sent;
}

static void
dm_control_read(void *ctx)
{
	struct dm_control_client *client = ctx;
	char *end;
	ssize_t got;
	size_t used;

	got = recv(client->fd, client->line + client->have_bytes,
			sizeof(client->line) - client->have_bytes, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		dm_control_drop(client);
		return;
	}
	client->have_bytes += (uint32_t)got;
	while ((end = memchr(client->line, '\n', client->have_bytes)) != NULL) {
		used = (size_t)(end - client->line) + 1;
		if (!dm_control_send(client, dm_control_answer(client->control, client->line,
				used - 1))) {
			dm_control_drop(client);
			return;
		}
		client->have_bytes -= (uint32_t)used;
		memmove(client->line, end + 1, client->have_bytes);
	}
	if (client->have_bytes == sizeof(client->line)) {
		dm_control_send(client, dm_control_error("line too long"));
		dm_control_drop(client);
	}
}

static void
dm_control_accept(void *ctx)
{
	struct dm_control *c = ctx;
	struct dm_control_client *client = NULL;
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int i;

	if (fd < 0)
		return;
	for (i = 0; i < DM_CONTROL_MAX_CLIENTS && client == NULL; i++)
		if (c->clients[i].fd < 0)
			client = &c->clients[i];
	if (client == NULL || dm_loop_add(c->loop, fd, dm_control_read, client) != 0) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->have_bytes = 0;
}

/* A socket file that nobody answers at is left over from a killed process. */
static int
dm_control_clear_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, ret;

	if (lstat(addr->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
	ret = ret == 0 || errno != ECONNREFUSED ? -EADDRINUSE : 0;
	close(fd);
	if (ret == 0 && unlink(addr->sun_path) != 0)
		ret = -errno;
	return ret;
}

int
dm_control_open(const char *path, dm_control_fn fn, void *ctx, struct dm_loop *loop,
		struct dm_control **control)
{
	struct dm_control *c = calloc(1, sizeof(*c));
	int ret = 0;
	int i;

	if (c == NULL)
		return -ENOMEM;
	c->fn = fn;
	c->ctx = ctx;
	c->loop = loop;
	for (i = 0; i < DM_CONTROL_MAX_CLIENTS; i++) {
		c->clients[i].control = c;
		c->clients[i].fd = -1;
	}
	c->addr.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(c->addr.sun_path)) {
		free(c);
		return -ENAMETOOLONG;
	}
	memcpy(c->addr.sun_path, path, strlen(path) + 1);

	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0) {
		ret = -errno;
		free(c);
		return ret;
	}
	ret = dm_control_clear_stale(&c->addr);
	if (ret == 0 && (bind(c->fd, (const struct sockaddr *)&c->addr, sizeof(c->addr)) != 0 ||
			listen(c->fd, DM_CONTROL_MAX_CLIENTS) != 0))
		ret = -errno;
	if (ret == 0)
		ret = dm_loop_add(loop, c->fd, dm_control_accept, c);
	if (ret != 0) {
		close(c->fd);
		free(c);
		return ret;
	}
	*control = c;
	return 0;
}

void
dm_control_close(struct dm_control *c)
{
	int i;

	if (c == NULL)
		return;
	for (i = 0; i < DM_CONTROL_MAX_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			dm_control_drop(&c->clients[i]);
	dm_loop_del(c->loop, c->fd);
	close(c->fd);
	unlink(c->addr.sun_path);
	free(c);
}
