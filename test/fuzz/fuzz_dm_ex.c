/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Exercisers under a hostile driver, PF driver and stream: the input is a program of register
 * writes, arcs, commands, and states that are saved, edited, given sound checks again and loaded.
 */

#include <stdlib.h>
#include <string.h>

#include "dm_ex_pf.h"
#include "exerciser_admin_if.h"

#define MEMORY_IOVA UINT64_C(0x100000)
#define MEMORY_BYTES 0x20000u
#define STATE_MAX 0x18000u
#define MAX_OPS 200

struct input {
	const uint8_t *data;
	size_t left;
};

struct world {
	struct dm_host host;
	struct dm_rules rules;
	struct dm_faults faults;
	uint8_t *memory; /* an allocation of its own */
	uint64_t now_ns;
	struct dm_device devices[3]; /* two exercisers and their PF */
	struct dm_ex *ex[2];
	uint8_t state[STATE_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take(struct input *in, void *buf, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(buf, 0, len);
	memcpy(buf, in->data, n);
	in->data += n;
	in->left -= n;
}

static uint8_t
take8(struct input *in)
{
	uint8_t value;

	take(in, &value, sizeof(value));
	return value;
}

/* Small numbers, addresses of memory, or anything. */
static uint64_t
take_value(struct input *in)
{
	uint8_t kind = take8(in);
	uint64_t value = 0;

	if (kind < 0x80)
		return kind;
	take(in, &value, kind < 0xc0 ? 3 : 8);
	return kind < 0xc0 ? MEMORY_IOVA + value % (MEMORY_BYTES + 0x2000) : value;
}

static void *
world_span(void *ctx, uint64_t iova, uint64_t *len_bytes, uint32_t prot)
{
	struct world *w = ctx;

	(void)prot;
	if (iova < MEMORY_IOVA || iova - MEMORY_IOVA >= MEMORY_BYTES)
		return NULL;
	if (*len_bytes > MEMORY_BYTES - (iova - MEMORY_IOVA))
		*len_bytes = MEMORY_BYTES - (iova - MEMORY_IOVA);
	return w->memory + (iova - MEMORY_IOVA);
}

static void
world_irq(void *ctx, uint16_t vector)
{
	(void)ctx;
	if (vector > 1)
		abort();
}

static uint64_t
world_now(void *ctx)
{
	return ((struct world *)ctx)->now_ns;
}

static void
world_resume(void *ctx)
{
	(void)ctx;
}

static struct world *
world_new(struct input *in)
{
	struct world *w = calloc(1, sizeof(*w));
	uint8_t kind = take8(in);
	struct dm_ex_conf conf;
	int i;

	w->memory = calloc(1, MEMORY_BYTES);
	w->rules.who = "fuzz";
	for (i = 0; i < DM_RULE_MAX; i++)
		w->rules.count[i] = 1; /* nothing is printed */
	w->host = (struct dm_host){
		.ctx = w, .dma_span = world_span, .irq = world_irq, .now_ns = world_now,
		.mig_resume = world_resume, .bus_master = true, .rules = &w->rules,
		.faults = &w->faults,
	};
	dm_ex_conf_defaults(&conf);
	conf.host = &w->host;
	conf.mig_flags = 1 | (kind & 6);
	conf.by_pf = true;
	conf.state_bytes = (kind & 1) != 0 ? 70000 : 64;
	conf.log.align_pages = (kind & 8) != 0 ? 64 : 0;
	for (i = 0; i < 2; i++) {
		if (dm_ex_create(&conf, &w->devices[i]) != 0)
			abort();
		w->ex[i] = w->devices[i].dev;
	}
	if (dm_ex_pf_create(&w->host, w->ex, 2, &w->devices[2]) != 0)
		abort();
	return w;
}

static void
world_free(struct world *w)
{
	int i;

	for (i = 0; i < 3; i++)
		w->devices[i].ops->destroy(w->devices[i].dev);
	free(w->memory);
	free(w);
}

static void
reg_write(struct world *w, struct dm_device *d, struct input *in)
{
	static const uint16_t bases[] = {
		LM_EX_REG_CONTROL, LM_EX_REG_DOORBELL, LM_EX_REG_CONFIG, LM_EX_REG_RANGES,
		LM_EX_REG_COUNTERS, LM_EX_REG_OPS,
	};
	uint8_t which = take8(in);
	uint64_t offset = bases[which % 6] + (which / 6) % 20 * 8u, value = take_value(in);

	(void)w;
	d->ops->bar_write(d->dev, 0, offset, &value, sizeof(value));
	d->ops->bar_read(d->dev, 0, offset, &value, sizeof(value));
}

static void
command(struct world *w, struct input *in)
{
	struct lm_ex_admin cmd = { .opcode = take8(in) % 12u, .vf = take8(in) % 3u };
	uint64_t iova = MEMORY_IOVA;
	int i;

	for (i = 0; i < 3; i++)
		cmd.in[i] = take_value(in);
	cmd.data_iova = take_value(in);
	cmd.data_bytes = (uint32_t)take_value(in);
	memcpy(w->memory, &cmd, sizeof(cmd));
	w->devices[2].ops->bar_write(w->devices[2].dev, 0, LM_EX_PF_REG_DOORBELL, &iova,
			sizeof(iova));
}

static uint32_t
save(struct world *w, struct dm_ex *ex)
{
	uint32_t len = 0;
	int got;

	if (dm_ex_go(ex, LM_STATE_STOP_COPY, true) != 0)
		return 0;
	while ((got = dm_ex_read(ex, w->state + len, STATE_MAX - len)) > 0)
		len += (uint32_t)got;
	return len;
}

/* Whatever the edits left: checks that are right again. */
static void
mend(uint8_t *state, uint32_t len)
{
	struct lm_ex_record record;
	uint64_t sum;
	uint32_t at = 0;

	while (len - at >= sizeof(record)) {
		memcpy(&record, state + at, sizeof(record));
		record.check = lm_ex_record_check(&record);
		memcpy(state + at, &record, sizeof(record));
		at += sizeof(record);
		if (record.bytes > len - at)
			return;
		if (record.type != LM_EX_RECORD_BLOCK && record.bytes >= 8 &&
				record.bytes % 8 == 0) {
			sum = lm_ex_sum(state + at, record.bytes - 8);
			memcpy(state + at + record.bytes - 8, &sum, sizeof(sum));
		}
		at += (uint32_t)record.bytes;
	}
}

static void
transplant(struct world *w, struct input *in)
{
	uint32_t len = save(w, w->ex[0]), at, n;
	uint8_t edits = take8(in) % 4;
	uint64_t value;

	if (len == 0 || len == STATE_MAX)
		return;
	for (; edits > 0; edits--) {
		at = 0;
		take(in, &at, 2);
		value = take_value(in);
		at = at * 8 % (len - 8);
		memcpy(w->state + at, &value, sizeof(value));
	}
	mend(w->state, len);
	dm_ex_reset(w->ex[1]);
	if (dm_ex_go(w->ex[1], LM_STATE_RESUMING, true) != 0)
		return;
	n = 1 + take8(in) * 16u;
	for (at = 0; at < len; at += n)
		dm_ex_write(w->ex[1], w->state + at, n < len - at ? n : len - at);
	dm_ex_go(w->ex[1], LM_STATE_RUNNING, true);
}

static void
run(struct world *w, struct input *in)
{
	uint8_t nb = take8(in) % 8;
	int i;

	for (; nb > 0; nb--) {
		w->now_ns += 1000000;
		for (i = 0; i < 3; i++)
			w->devices[i].ops->poll(w->devices[i].dev, w->now_ns);
	}
}

static void
operate(struct world *w, struct input *in)
{
	uint8_t op = take8(in), byte;
	struct dm_ex *ex = w->ex[op >> 7];
	uint8_t buf[256];

	switch (op % 8) {
	case 0:
	case 1:
		reg_write(w, &w->devices[op >> 7], in);
		break;
	case 2:
		dm_ex_go(ex, (enum lm_state)(1 + take8(in) % 7), true);
		break;
	case 3:
		command(w, in);
		break;
	case 4:
		transplant(w, in);
		break;
	case 5:
		byte = take8(in);
		take(in, buf, byte);
		dm_ex_write(ex, buf, byte);
		break;
	case 6:
		dm_ex_read(ex, buf, take8(in));
		break;
	default:
		run(w, in);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .left = size };
	struct world *w = world_new(&in);
	int i;

	for (i = 0; i < MAX_OPS && in.left > 0; i++)
		operate(w, &in);
	world_free(w);
	return 0;
}
