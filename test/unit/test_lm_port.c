/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A port's ways through its modes, with a driver that fails on demand: what is refused, who is
 * late, and that a failure leaves the port where it was.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lm_port.h"
#include "lm_ram.h"
#include "lm_timeline.h"
#include "lm_window.h"

#define ADDR UINT64_C(0x7e9000000000)
#define PAGE UINT64_C(4096)
#define NB_QUEUES 2u

struct driver {
	struct lm_quiesce queues[NB_QUEUES];
	int give_up_error;
	int adopt_error;
	int resume_error;
	bool shared;     /* by two ports, of which the other may run */
	bool bad_record; /* one that its own decoder refuses */
	unsigned int adopted;
	unsigned int resumed;
};

static unsigned int
queues(void *priv, struct lm_quiesce **out, unsigned int max)
{
	struct driver *d = priv;
	unsigned int i;

	assert_true(max >= NB_QUEUES);
	for (i = 0; i < NB_QUEUES; i++)
		out[i] = &d->queues[i];
	return NB_QUEUES;
}

static int
give_up(void *priv, struct lm_port_rec **rec)
{
	struct driver *d = priv;
	struct lm_port_queue *q;
	unsigned int i;

	if (d->give_up_error != 0)
		return d->give_up_error;
	assert_int_equal(lm_port_rec_create("test", 1, 1, 4, rec), 0);
	for (i = 0; i < NB_QUEUES; i++) {
		q = &(*rec)->queues[i];
		q->info.ring = i * (d->bad_record ? 0 : 64);
		q->info.ring_bytes = 64;
		assert_int_equal(lm_port_rec_slot(q, i, (4 + i) * PAGE, 100), 0);
	}
	return 0;
}

static int
adopt(void *priv, const struct lm_port_rec *rec)
{
	struct driver *d = priv;

	assert_int_equal(rec->nb_queues, NB_QUEUES);
	if (d->adopt_error != 0)
		return d->adopt_error;
	d->adopted++;
	return 0;
}

static int
resume(void *priv)
{
	struct driver *d = priv;

	assert_true(d->shared || !lm_quiesce_enter(&d->queues[0])); /* still parked */
	if (d->resume_error != 0)
		return d->resume_error;
	d->resumed++;
	return 0;
}

static const struct lm_port_ops ops = { "test", queues, give_up, adopt, resume };
static const struct lm_port_ops ops_without_resume = { "test", queues, give_up, adopt, NULL };

struct world {
	struct lm_window *window;
	struct driver d;
	struct lm_port *port;
};

static struct lm_port *
add(struct world *w, const char *name, const struct lm_port_ops *o, bool incoming)
{
	const struct lm_port_conf conf = {
		.name = name,
		.ops = o,
		.priv = &w->d,
		.window = w->window,
		.incoming = incoming,
	};
	struct lm_port *port = NULL;

	assert_int_equal(lm_port_create(&conf, &port), 0);
	return port;
}

static struct world *
create(bool incoming)
{
	const struct lm_window_conf conf = {
		.addr = ADDR,
		.control_bytes = 4 * PAGE,
		.buffer_bytes = 4 * PAGE,
		.page_bytes = PAGE,
		.record_bytes = 800,
	};
	struct world *w = calloc(1, sizeof(*w));
	unsigned int i;

	assert_non_null(w);
	assert_int_equal(lm_quiesce_init(), 0);
	assert_int_equal(lm_window_create(&conf, &w->window), 0);
	for (i = 0; i < NB_QUEUES; i++)
		lm_quiesce_setup(&w->d.queues[i], i == 0 ? "rx 0" : "tx 0");
	w->port = add(w, "port0", &ops, incoming);
	return w;
}

static void
destroy(struct world *w)
{
	lm_port_destroy(w->port);
	lm_window_destroy(w->window);
	free(w);
}

static void
is_open(struct world *w, bool open)
{
	assert_int_equal(lm_quiesce_enter(&w->d.queues[1]), open);
	if (open)
		lm_quiesce_exit(&w->d.queues[1]);
}

static void
test_names(void **state)
{
	struct world *w = create(false);
	struct lm_port_conf conf = { .name = "port0", .ops = &ops, .priv = &w->d };
	struct lm_port *second, *bad = NULL;
	char name[LM_PORT_NAME_BYTES + 1] = "";

	(void)state;
	assert_int_equal(lm_port_create(&conf, &bad), -EEXIST);
	conf.name = "";
	assert_int_equal(lm_port_create(&conf, &bad), -EINVAL);
	memset(name, 'x', LM_PORT_NAME_BYTES);
	conf.name = name;
	assert_int_equal(lm_port_create(&conf, &bad), -EINVAL);
	second = add(w, "port1", &ops, false);
	assert_ptr_equal(lm_port_find("port0"), w->port);
	assert_ptr_equal(lm_port_find("port1"), second);
	assert_null(lm_port_find("port2"));
	assert_string_equal(lm_port_name(second), "port1");
	lm_port_destroy(w->port);
	assert_null(lm_port_find("port0"));
	w->port = second;
	assert_string_equal(lm_port_mode_name(LM_PORT_INCOMING), "incoming");
	assert_string_equal(lm_port_mode_name((enum lm_port_mode)99), "unknown");
	lm_port_destroy(NULL);
	destroy(w);
}

static void
test_source(void **state)
{
	struct world *w = create(false);
	struct lm_ram *ram = NULL;
	const char *late = "";
	void *rec = NULL;
	int len;

	(void)state;
	is_open(w, true);
	assert_int_equal(lm_port_give_up(w->port, NULL, &rec), -EINVAL);
	assert_int_equal(lm_port_take_back(w->port), -EINVAL);
	assert_int_equal(lm_port_run(w->port), -EINVAL);
	assert_int_equal(lm_port_adopt(w->port, "", 0), -EINVAL);
	/* A thread stays in its burst: named, and the port runs on. */
	assert_true(lm_quiesce_enter(&w->d.queues[1]));
	assert_int_equal(lm_port_park(w->port, 1000, &late), -ETIMEDOUT);
	assert_string_equal(late, "tx 0");
	assert_int_equal(lm_port_mode(w->port), LM_PORT_RUNNING);
	lm_quiesce_exit(&w->d.queues[1]);
	is_open(w, true);
	assert_int_equal(lm_port_park(w->port, 1000000, &late), 0);
	assert_null(late);
	assert_int_equal(lm_port_park(w->port, 1000000, NULL), -EINVAL);
	is_open(w, false);
	w->d.give_up_error = -EIO;
	assert_int_equal(lm_port_give_up(w->port, NULL, &rec), -EIO);
	assert_int_equal(lm_port_mode(w->port), LM_PORT_PARKED);
	w->d.give_up_error = 0;
	assert_int_equal(lm_ram_create(&ram), 0);
	assert_int_equal(lm_window_add_ram(w->window, ram, false), 0);
	len = lm_port_give_up(w->port, ram, &rec);
	assert_true(len > 0);
	assert_int_equal(lm_ram_dirty_bytes(ram, true), 2 * PAGE);
	free(rec);
	assert_int_equal(lm_port_give_up(w->port, NULL, &rec), len); /* again */
	free(rec);
	assert_int_equal(lm_port_mode(w->port), LM_PORT_GIVEN);
	w->d.resume_error = -EAGAIN;
	assert_int_equal(lm_port_take_back(w->port), -EAGAIN);
	assert_int_equal(lm_port_mode(w->port), LM_PORT_GIVEN);
	is_open(w, false);
	w->d.resume_error = 0;
	assert_int_equal(lm_port_take_back(w->port), 0);
	is_open(w, true);
	assert_int_equal(w->d.resumed, 1);
	lm_ram_destroy(ram);
	destroy(w);
}

static void
test_destination(void **state)
{
	struct world *w = create(true);
	struct lm_port *source = add(w, "source", &ops_without_resume, false);
	void *rec = NULL, *bad = NULL;
	int len, bad_len;

	(void)state;
	is_open(w, false);
	assert_int_equal(lm_port_mode(w->port), LM_PORT_INCOMING);
	assert_int_equal(lm_port_park(source, 1000000, NULL), 0);
	len = lm_port_give_up(source, NULL, &rec);
	w->d.bad_record = true;
	bad_len = lm_port_give_up(source, NULL, &bad);
	assert_int_equal(lm_port_run(w->port), -EINVAL);
	assert_int_equal(lm_port_park(w->port, 0, NULL), -EINVAL);
	assert_int_equal(lm_port_adopt(w->port, bad, (size_t)bad_len), -EPROTO);
	w->d.adopt_error = -ENOENT;
	assert_int_equal(lm_port_adopt(w->port, rec, (size_t)len), -ENOENT);
	assert_int_equal(lm_port_mode(w->port), LM_PORT_INCOMING);
	w->d.adopt_error = 0;
	assert_int_equal(lm_port_adopt(w->port, rec, (size_t)len), 0);
	assert_int_equal(lm_port_mode(w->port), LM_PORT_ADOPTED);
	assert_int_equal(w->d.adopted, 1);
	is_open(w, false);
	assert_int_equal(lm_port_adopt(w->port, rec, (size_t)len), -EINVAL);
	assert_int_equal(lm_port_run(w->port), 0);
	is_open(w, true);
	assert_int_equal(lm_port_take_back(source), 0); /* no resume: nothing to ring */
	free(rec);
	free(bad);
	lm_port_destroy(source);
	destroy(w);
}

/* A burst is never in an incoming port; a driver that says otherwise is refused. */
static void
test_incoming_but_polled(void **state)
{
	struct world *w = create(false);
	struct lm_port_conf conf = { .name = "late", .ops = &ops, .priv = &w->d,
		.window = w->window, .incoming = true };
	struct lm_port *port = NULL;

	(void)state;
	assert_true(lm_quiesce_enter(&w->d.queues[0]));
	assert_int_equal(lm_port_create(&conf, &port), -ETIMEDOUT);
	assert_null(lm_port_find("late"));
	lm_quiesce_exit(&w->d.queues[0]);
	destroy(w);
}

/* Two ports of one window, through the memory that is sent: what the source wrote is loaded. */
static void
test_all_ports(void **state)
{
	struct world *w = create(false);
	struct lm_port *second = add(w, "port1", &ops, false);
	const char *late = "";
	uint64_t len, *words;

	(void)state;
	w->d.shared = true;
	/* One is late: none stays parked. */
	assert_true(lm_quiesce_enter(&w->d.queues[1]));
	assert_int_equal(lm_ports_park(w->window, 1000, &late), -ETIMEDOUT);
	assert_string_equal(late, "tx 0");
	lm_quiesce_exit(&w->d.queues[1]);
	assert_int_equal(lm_port_mode(w->port), LM_PORT_RUNNING);
	assert_int_equal(lm_port_mode(second), LM_PORT_RUNNING);
	assert_int_equal(lm_ports_park(w->window, 1000000, &late), 0);
	w->d.give_up_error = -EIO;
	assert_int_equal(lm_ports_save(w->window, NULL), -EIO);
	w->d.give_up_error = 0;
	assert_int_equal(lm_ports_save(w->window, NULL), 0);
	assert_int_equal(lm_port_mode(second), LM_PORT_GIVEN);
	assert_int_equal(lm_ports_load(w->window), -EINVAL); /* they are not incoming */
	w->d.resume_error = -EAGAIN;
	assert_int_equal(lm_ports_take_back(w->window), -EAGAIN);
	w->d.resume_error = 0;
	assert_int_equal(lm_ports_take_back(w->window), 0);
	is_open(w, true);
	lm_port_destroy(second);
	lm_port_destroy(w->port);
	/* The destination: the same names, and the window as it is. */
	w->port = add(w, "port0", &ops, true);
	assert_int_equal(lm_ports_load(w->window), -ENOENT);
	second = add(w, "port1", &ops, true);
	lm_port_destroy(w->port);
	w->port = add(w, "port0", &ops, true);
	words = lm_window_records(w->window, &len);
	assert_int_equal(len, 800);
	words[8] += 1024;
	assert_int_equal(lm_ports_load(w->window), -EPROTO);
	words[8] = UINT64_MAX - 3;
	assert_int_equal(lm_ports_load(w->window), -EPROTO);
	memset(words, 'x', 64);
	assert_int_equal(lm_ports_load(w->window), -EPROTO);
	memset(words, 0, len);
	assert_int_equal(lm_ports_load(w->window), -ENOENT);
	lm_port_destroy(second);
	destroy(w);
}

static void
test_ports_round_trip(void **state)
{
	struct world *w = create(false);
	struct lm_port *second = add(w, "port1", &ops, false);
	struct lm_port *third;

	(void)state;
	w->d.shared = true;
	assert_int_equal(lm_ports_park(w->window, 1000000, NULL), 0);
	assert_int_equal(lm_ports_save(w->window, NULL), 0);
	lm_port_destroy(second);
	lm_port_destroy(w->port);
	w->port = add(w, "port1", &ops, true);
	second = add(w, "port0", &ops, true);
	assert_int_equal(lm_ports_load(w->window), 0);
	assert_int_equal(w->d.adopted, 2);
	assert_int_equal(lm_port_mode(second), LM_PORT_ADOPTED);
	assert_int_equal(lm_port_run(w->port), 0);
	assert_int_equal(lm_port_take_back(second), -EINVAL);
	assert_int_equal(lm_ports_run(w->window), 0);
	assert_int_equal(lm_port_mode(second), LM_PORT_RUNNING);
	/* A third does not fit. */
	third = add(w, "port2", &ops, false);
	assert_int_equal(lm_ports_park(w->window, 1000000, NULL), 0);
	assert_int_equal(lm_ports_save(w->window, NULL), -ENOSPC);
	lm_port_destroy(third);
	lm_port_destroy(second);
	destroy(w);
}

static void
test_prepared(void **state)
{
	struct lm_window *window = (struct lm_window *)state; /* is only handed on */
	char name[LM_PORT_NAME_BYTES + 1];
	bool incoming = false;

	memset(name, 'x', sizeof(name));
	name[LM_PORT_NAME_BYTES] = '\0';
	assert_int_equal(lm_port_prepare("", window, true), -EINVAL);
	assert_int_equal(lm_port_prepare(name, window, true), -EINVAL);
	assert_null(lm_port_prepared("net0", &incoming));
	assert_int_equal(lm_port_prepare("net0", window, true), 0);
	assert_int_equal(lm_port_prepare("net0", window, false), -EEXIST);
	assert_int_equal(lm_port_prepare("net1", window, false), 0);
	assert_ptr_equal(lm_port_prepared("net0", &incoming), window);
	assert_true(incoming);
	assert_ptr_equal(lm_port_prepared("net1", &incoming), window);
	assert_false(incoming);
	lm_port_unprepare("net0");
	lm_port_unprepare("net0");
	assert_null(lm_port_prepared("net0", &incoming));
	lm_port_unprepare("net1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_prepared),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_destination),
		cmocka_unit_test(test_incoming_but_polled),
		cmocka_unit_test(test_all_ports),
		cmocka_unit_test(test_ports_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
