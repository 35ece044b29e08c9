/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lm_port_pvt.h"
#include "lm_timeline.h"

#define PARK_NOW 0 /* nobody polls an incoming port: one look is enough */

struct lm_port {
	char name[LM_PORT_NAME_BYTES];
	struct lm_port_conf conf;
	enum lm_port_mode mode;
	struct lm_port *next;
};

static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;

struct prepared {
	char name[LM_PORT_NAME_BYTES];
	struct lm_window *window;
	bool incoming;
	struct prepared *next;
};

/* A registration: applications say where a port's memory will be, drivers ask when they probe. */
static struct prepared *prepared; /* under ports_lock */

/* A registration: drivers put ports in, applications find them by name. */
static struct lm_port *ports; /* under ports_lock */

const char *
lm_port_mode_name(enum lm_port_mode mode)
{
	static const char *const names[] = {
		[LM_PORT_RUNNING] = "running",
		[LM_PORT_PARKED] = "parked",
		[LM_PORT_GIVEN] = "given",
		[LM_PORT_INCOMING] = "incoming",
		[LM_PORT_ADOPTED] = "adopted",
	};

	return (unsigned int)mode <= LM_PORT_ADOPTED ? names[mode] : "unknown";
}

static struct lm_port *
find_locked(const char *name)
{
	struct lm_port *p = ports;

	while (p != NULL && strcmp(p->name, name) != 0)
		p = p->next;
	return p;
}

struct lm_port *
lm_port_find(const char *name)
{
	struct lm_port *p;

	pthread_mutex_lock(&ports_lock);
	p = find_locked(name);
	pthread_mutex_unlock(&ports_lock);
	return p;
}

static struct prepared **
prepared_locked(const char *name)
{
	struct prepared **at = &prepared;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

int
lm_port_prepare(const char *name, struct lm_window *window, bool incoming)
{
	struct prepared *p;
	int ret = 0;

	if (name[0] == '\0' || strlen(name) >= LM_PORT_NAME_BYTES)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	strcpy(p->name, name);
	p->window = window;
	p->incoming = incoming;
	pthread_mutex_lock(&ports_lock);
	if (*prepared_locked(name) != NULL) {
		ret = -EEXIST;
	} else {
		p->next = prepared;
		prepared = p;
	}
	pthread_mutex_unlock(&ports_lock);
	if (ret != 0)
		free(p);
	return ret;
}

struct lm_window *
lm_port_prepared(const char *name, bool *incoming)
{
	struct lm_window *window = NULL;
	struct prepared *p;

	pthread_mutex_lock(&ports_lock);
	p = *prepared_locked(name);
	if (p != NULL) {
		window = p->window;
		*incoming = p->incoming;
	}
	pthread_mutex_unlock(&ports_lock);
	return window;
}

void
lm_port_unprepare(const char *name)
{
	struct prepared **at, *p;

	pthread_mutex_lock(&ports_lock);
	at = prepared_locked(name);
	p = *at;
	if (p != NULL)
		*at = p->next;
	pthread_mutex_unlock(&ports_lock);
	free(p);
}

struct lm_port *
lm_port_next(const struct lm_window *window, const struct lm_port *after)
{
	struct lm_port *p;

	pthread_mutex_lock(&ports_lock);
	p = after == NULL ? ports : after->next;
	while (p != NULL && p->conf.window != window)
		p = p->next;
	pthread_mutex_unlock(&ports_lock);
	return p;
}

/* The driver's queues, for free(). */
static int
get_queues(const struct lm_port *port, struct lm_quiesce ***queues, unsigned int *nb)
{
	struct lm_quiesce **q = calloc(LM_PORT_MAX_QUEUES, sizeof(q[0]));

	if (q == NULL)
		return -ENOMEM;
	*nb = port->conf.ops->queues(port->conf.priv, q, LM_PORT_MAX_QUEUES);
	*queues = q;
	return 0;
}

static int
park(struct lm_port *port, uint64_t deadline_us, const char **late)
{
	const struct lm_quiesce *stuck = NULL;
	struct lm_quiesce **queues;
	unsigned int nb;
	int ret;

	ret = get_queues(port, &queues, &nb);
	if (ret != 0)
		return ret;
	ret = lm_quiesce_park(queues, nb, deadline_us, &stuck);
	free(queues);
	if (late != NULL)
		*late = stuck == NULL ? NULL : stuck->name;
	return ret;
}

static int
release(struct lm_port *port)
{
	struct lm_quiesce **queues;
	unsigned int nb;
	int ret;

	ret = get_queues(port, &queues, &nb);
	if (ret != 0)
		return ret;
	if (port->conf.ops->resume != NULL)
		ret = port->conf.ops->resume(port->conf.priv);
	if (ret == 0)
		lm_quiesce_release(queues, nb);
	free(queues);
	return ret;
}

static int
go_to(struct lm_port *port, enum lm_port_mode mode, int ret)
{
	if (ret == 0)
		port->mode = mode;
	lm_timeline_add(port->conf.timeline, "port", lm_port_mode_name(mode), 0, ret);
	return ret;
}

int
lm_port_create(const struct lm_port_conf *conf, struct lm_port **port)
{
	struct lm_port *p;
	int ret = 0;

	if (conf->name[0] == '\0' || strlen(conf->name) >= LM_PORT_NAME_BYTES)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->conf = *conf;
	p->conf.name = p->name;
	strcpy(p->name, conf->name);
	if (conf->incoming) {
		p->mode = LM_PORT_INCOMING;
		ret = park(p, PARK_NOW, NULL);
	}
	pthread_mutex_lock(&ports_lock);
	if (ret == 0 && find_locked(p->name) != NULL)
		ret = -EEXIST;
	if (ret == 0) {
		p->next = ports;
		ports = p;
	}
	pthread_mutex_unlock(&ports_lock);
	if (ret != 0)
		free(p);
	else
		*port = p;
	return ret;
}

void
lm_port_destroy(struct lm_port *port)
{
	struct lm_port **at = &ports;

	if (port == NULL)
		return;
	pthread_mutex_lock(&ports_lock);
	while (*at != port)
		at = &(*at)->next;
	*at = port->next;
	pthread_mutex_unlock(&ports_lock);
	free(port);
}

const char *
lm_port_name(const struct lm_port *port)
{
	return port->name;
}

enum lm_port_mode
lm_port_mode(const struct lm_port *port)
{
	return port->mode;
}

int
lm_port_park(struct lm_port *port, uint64_t deadline_us, const char **late)
{
	if (late != NULL)
		*late = NULL;
	if (port->mode != LM_PORT_RUNNING)
		return -EINVAL;
	return go_to(port, LM_PORT_PARKED, park(port, deadline_us, late));
}

int
lm_port_give_up(struct lm_port *port, struct lm_ram *ram, void **payload)
{
	struct lm_port_rec *rec = NULL;
	int ret;

	if (port->mode != LM_PORT_PARKED && port->mode != LM_PORT_GIVEN)
		return -EINVAL;
	ret = port->conf.ops->give_up(port->conf.priv, &rec);
	if (ret == 0) {
		ret = lm_port_rec_encode(rec, payload);
		if (ret > 0 && ram != NULL)
			lm_port_rec_mark(rec, port->conf.window, ram);
		lm_port_rec_destroy(rec);
	}
	go_to(port, LM_PORT_GIVEN, ret < 0 ? ret : 0);
	return ret;
}

int
lm_port_take_back(struct lm_port *port)
{
	if (port->mode != LM_PORT_PARKED && port->mode != LM_PORT_GIVEN)
		return -EINVAL;
	return go_to(port, LM_PORT_RUNNING, release(port));
}

int
lm_port_adopt(struct lm_port *port, const void *payload, size_t len_bytes)
{
	struct lm_port_rec *rec = NULL;
	int ret;

	if (port->mode != LM_PORT_INCOMING)
		return -EINVAL;
	ret = lm_port_rec_decode(payload, len_bytes, port->conf.window, port->conf.ops->driver,
			&rec);
	if (ret == 0) {
		ret = port->conf.ops->adopt(port->conf.priv, rec);
		lm_port_rec_destroy(rec);
	}
	return go_to(port, LM_PORT_ADOPTED, ret);
}

int
lm_port_run(struct lm_port *port)
{
	if (port->mode != LM_PORT_ADOPTED)
		return -EINVAL;
	return go_to(port, LM_PORT_RUNNING, release(port));
}
