/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Telemetry of the registered devices. A reply of rte_telemetry is cut at 16 KiB without a word,
 * therefore each reply is kept below by a budget, and says when something was left out.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "lm_compat.h"
#include "lm_device_pvt.h"
#include "lm_timeline.h"

#define REPLY_BUDGET_BYTES 15000
#define MAX_ENTRIES 250 /* of the 256 in a dictionary: room for our own */
#define MAX_NAMES 200
#define PAGE_EVENTS 96  /* below 128 bytes each */
#define U64_DIGITS 20

/* Telemetry answers -EINVAL to other characters in a name, and the figure would be lost. */
static void
clean_name(char *name)
{
	static const char alphabet[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/";

	for (; *name != '\0'; name++)
		if (strchr(alphabet, *name) == NULL)
			*name = '_';
}

/* No character that JSON would have to escape, so that lengths stay what they are. */
static void
clean_text(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			*text = '.';
}

static int
reply_error(struct rte_tel_data *d, const char *what, const char *name)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	snprintf(text, sizeof(text), what, name);
	clean_text(text);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "error", text);
	return 0;
}

static struct lm_device *
enter_or_error(const char *name, struct rte_tel_data *d)
{
	struct lm_device *dev;

	if (name == NULL || name[0] == '\0') {
		reply_error(d, "which device%s? /lm/list names them", "");
		return NULL;
	}
	dev = lm_device_enter(name);
	if (dev == NULL)
		reply_error(d, "no device %.64s; /lm/list names them", name);
	return dev;
}

static int
handle_list(const char *cmd, const char *params, struct rte_tel_data *d)
{
	char (*names)[LM_DEVICE_NAME_BYTES];
	unsigned int i, nb;

	RTE_SET_USED(cmd);
	RTE_SET_USED(params);
	names = calloc(MAX_NAMES, sizeof(names[0]));
	if (names == NULL)
		return -ENOMEM;
	nb = lm_device_names(names, MAX_NAMES);
	rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	for (i = 0; i < nb && i < MAX_NAMES; i++)
		rte_tel_data_add_array_string(d, names[i]);
	free(names);
	return 0;
}

static void
add_figures(struct rte_tel_data *d, struct lm_figure *figures, unsigned int nb)
{
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < nb; i++) {
		figures[i].name[sizeof(figures[i].name) - 1] = '\0';
		clean_name(figures[i].name);
		used += strlen(figures[i].name) + U64_DIGITS + sizeof("\"\":,");
		if (used > REPLY_BUDGET_BYTES)
			break;
		rte_tel_data_add_dict_uint(d, figures[i].name, figures[i].value);
	}
	if (i < nb)
		rte_tel_data_add_dict_uint(d, "left_out", nb - i);
}

static int
handle_stats(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct lm_figure *figures;
	struct lm_device *dev;
	unsigned int nb = 0;

	RTE_SET_USED(cmd);
	dev = enter_or_error(params, d);
	if (dev == NULL)
		return 0;
	figures = calloc(MAX_ENTRIES, sizeof(*figures));
	if (figures != NULL && dev->view->stats != NULL)
		nb = dev->view->stats(dev->view->ctx, figures, MAX_ENTRIES);
	lm_device_leave(dev);
	if (figures == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(d);
	add_figures(d, figures, RTE_MIN(nb, (unsigned int)MAX_ENTRIES));
	free(figures);
	return 0;
}

static void
add_texts(struct rte_tel_data *d, struct lm_text *texts, unsigned int nb)
{
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < nb; i++) {
		texts[i].name[sizeof(texts[i].name) - 1] = '\0';
		texts[i].value[sizeof(texts[i].value) - 1] = '\0';
		clean_name(texts[i].name);
		clean_text(texts[i].value);
		used += strlen(texts[i].name) + strlen(texts[i].value) + sizeof("\"\":\"\",");
		if (used > REPLY_BUDGET_BYTES)
			break;
		rte_tel_data_add_dict_string(d, texts[i].name, texts[i].value);
	}
	if (i < nb)
		rte_tel_data_add_dict_uint(d, "left_out", nb - i);
}

static int
reply_texts(const char *params, struct rte_tel_data *d, bool is_caps)
{
	unsigned int (*fill)(void *ctx, struct lm_text *out, unsigned int max);
	struct lm_device *dev;
	struct lm_text *texts;
	unsigned int nb = 0;

	dev = enter_or_error(params, d);
	if (dev == NULL)
		return 0;
	texts = calloc(MAX_ENTRIES, sizeof(*texts));
	fill = is_caps ? dev->view->caps : dev->view->info;
	if (texts != NULL && fill != NULL)
		nb = fill(dev->view->ctx, texts, MAX_ENTRIES);
	lm_device_leave(dev);
	if (texts == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(d);
	add_texts(d, texts, RTE_MIN(nb, (unsigned int)MAX_ENTRIES));
	free(texts);
	return 0;
}

static int
handle_info(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	return reply_texts(params, d, false);
}

static int
handle_caps(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	return reply_texts(params, d, true);
}

/* "SEQ T_NS BYTES ERROR PHASE EVENT"; only EVENT may hold spaces. */
static void
add_event(struct rte_tel_data *events, struct lm_timeline_event *e)
{
	char text[RTE_TEL_MAX_STRING_LEN], *c;

	for (c = e->phase; *c != '\0'; c++)
		if (*c == ' ')
			*c = '_';
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId32 " %s %s",
			e->seq, e->t_ns, e->bytes, e->error, e->phase[0] == '\0' ? "-" : e->phase,
			e->event);
	clean_text(text);
	rte_tel_data_add_array_string(events, text);
}

static void
add_timeline(struct rte_tel_data *d, const struct lm_timeline *tl, uint64_t from,
		struct lm_timeline_event *page, struct rte_tel_data *events)
{
	uint64_t oldest = 0, next = 0;
	unsigned int i, nb = 0;

	if (tl != NULL) {
		nb = lm_timeline_read(tl, from, page, PAGE_EVENTS);
		lm_timeline_bounds(tl, &oldest, &next);
	}
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_uint(d, "oldest", oldest);
	rte_tel_data_add_dict_uint(d, "next", next);
	rte_tel_data_start_array(events, RTE_TEL_STRING_VAL);
	for (i = 0; i < nb; i++)
		add_event(events, &page[i]);
	rte_tel_data_add_dict_container(d, "events", events, 0);
}

static int
handle_timeline(const char *cmd, const char *params, struct rte_tel_data *d)
{
	char name[LM_DEVICE_NAME_BYTES] = "";
	struct lm_timeline_event *page;
	struct rte_tel_data *events;
	struct lm_device *dev;
	uint64_t from = 0;
	const char *comma;
	char *end = NULL;

	RTE_SET_USED(cmd);
	comma = params == NULL ? NULL : strchr(params, ',');
	if (comma != NULL) {
		errno = 0;
		from = strtoull(comma + 1, &end, 10);
		if (errno != 0 || *end != '\0' || comma[1] < '0' || comma[1] > '9')
			return reply_error(d, "not a sequence number: %.64s", comma + 1);
		snprintf(name, sizeof(name), "%.*s", (int)RTE_MIN(comma - params, 63), params);
	}
	dev = enter_or_error(comma != NULL ? name : params, d);
	if (dev == NULL)
		return 0;
	page = calloc(PAGE_EVENTS, sizeof(*page));
	events = rte_tel_data_alloc();
	if (page != NULL && events != NULL)
		add_timeline(d, dev->view->timeline, from, page, events);
	else
		rte_tel_data_free(events);
	lm_device_leave(dev);
	free(page);
	return page == NULL || events == NULL ? -ENOMEM : 0;
}

RTE_INIT(lm_telemetry_register)
{
	static const struct {
		const char *cmd;
		telemetry_cb handler;
		const char *help;
	} commands[] = {
		{ "/lm/list", handle_list, "Names of the migratable devices. No parameter" },
		{ "/lm/info", handle_info, "What a device is and does now. Parameter: name" },
		{ "/lm/stats", handle_stats, "Figures of a device. Parameter: name" },
		{ "/lm/caps", handle_caps, "What a device can do. Parameter: name" },
		{ "/lm/timeline", handle_timeline,
			"Events: SEQ T_NS BYTES ERROR PHASE EVENT. Parameters: name[,first SEQ]" },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(commands); i++)
		rte_telemetry_register_cmd(commands[i].cmd, commands[i].handler, commands[i].help);
}
