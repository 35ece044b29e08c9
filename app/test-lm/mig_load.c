/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A load that knows what must be: exercisers write to their part of memory, a thread to another,
 * and each page tells whose it is, which, and how new. The thread keeps book of its pages, in a
 * control area that travels with them.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lm_pci.h"
#include "mig.h"
#include "mig_load.h"
#include "test_lm.h"

#define CPU_SEED UINT64_C(0xc9d0)
#define CPU_BYTES 512u
#define CPU_BURST 16u
#define CPU_NAP_NS 500000
#define WRITE_BYTES 256u
#define STRIDE 7919u
#define STATE_EVERY 64u
#define PAGE 4096u

/* Both sides make it from the number of devices alone. */
int
mig_load_layout(struct mig_conf *conf, bool track_cpu)
{
	const struct mig_ram ram[] = {
		{ "cpu", MIG_LOAD_CPU_ADDR, (uint64_t)MIG_LOAD_CPU_PAGES * PAGE, "",
			track_cpu ? LM_RAM_F_CPU_WRITES : 0 },
		{ "book", MIG_LOAD_BOOK_ADDR, MIG_LOAD_CPU_PAGES * sizeof(uint64_t), "",
			LM_RAM_F_AFTER_STOP },
		{ "dma", MIG_LOAD_DMA_ADDR, conf->nb_devices * MIG_LOAD_DMA_BYTES, "", 0 },
	};

	if (conf->nb_ram != 0) {
		test_lm_error("--exercise brings its own memory; leave --ram out");
		return -EINVAL;
	}
	if (conf->nb_devices == 0 || conf->load_pages > MIG_LOAD_DMA_BYTES / PAGE) {
		test_lm_error("--exercise needs a --device, and --load-pages of at most %" PRIu64,
			MIG_LOAD_DMA_BYTES / PAGE);
		return -EINVAL;
	}
	memcpy(conf->ram, ram, sizeof(ram));
	conf->nb_ram = sizeof(ram) / sizeof(ram[0]);
	return 0;
}

static int
device_start(struct mig_side *s, unsigned int i)
{
	const struct mig_conf *c = s->conf;
	const struct lm_ex_config config = {
		.rate = c->load_rate,
		.pages = c->load_pages,
		.stride = c->load_pages % STRIDE == 0 ? 1 : STRIDE,
		.page_write_bytes = WRITE_BYTES,
		.state_bytes = c->load_state_bytes,
		.state_every = STATE_EVERY,
		.nb_ranges = 1,
		.ranges = { { MIG_LOAD_DMA_ADDR + i * MIG_LOAD_DMA_BYTES, MIG_LOAD_DMA_BYTES } },
	};
	int ret;

	ret = lm_ex_probe(s->pci[i]);
	if (ret == 0)
		ret = lm_ex_start(s->pci[i], &config);
	if (ret != 0)
		test_lm_error("%s: %s", lm_pci_name(s->pci[i]), lm_pci_strerror(s->pci[i]));
	return ret;
}

static void *
writer_main(void *arg)
{
	const struct timespec nap = { .tv_nsec = CPU_NAP_NS };
	struct mig_load *l = arg;
	uint8_t *pages = lm_ram_ptr(l->side->ram, MIG_LOAD_CPU_ADDR, PAGE);
	uint64_t *book = lm_ram_ptr(l->side->ram, MIG_LOAD_BOOK_ADDR, sizeof(*book));
	uint64_t seq = 0, random = 1, page;

	while (!l->end) {
		if (l->hold) {
			l->held = true;
			nanosleep(&nap, NULL);
			continue;
		}
		l->held = false;
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		page = (random >> 33) % MIG_LOAD_CPU_PAGES;
		lm_ex_page_fill(pages + page * PAGE, CPU_SEED, page, ++seq, CPU_BYTES);
		book[page] = seq;
		l->cpu_writes = seq;
		if (seq % CPU_BURST == 0)
			nanosleep(&nap, NULL);
	}
	l->held = true;
	return NULL;
}

int
mig_load_start(struct mig_load *l, struct mig_side *side)
{
	unsigned int i;
	int ret = 0;

	memset(l, 0, sizeof(*l));
	l->side = side;
	for (i = 0; i < side->nb && ret == 0; i++)
		ret = device_start(side, i);
	if (ret != 0)
		return ret;
	ret = -pthread_create(&l->writer, NULL, writer_main, l);
	l->writer_runs = ret == 0;
	return ret;
}

int
mig_load_hold(struct mig_load *l)
{
	const struct timespec nap = { .tv_nsec = 100000 };
	unsigned int i;

	l->hold = true;
	for (i = 0; i < 10000 && !l->held; i++)
		nanosleep(&nap, NULL);
	return l->held ? 0 : -ETIMEDOUT;
}

void
mig_load_let_go(struct mig_load *l)
{
	l->held = false;
	l->hold = false;
}

void
mig_load_end(struct mig_load *l)
{
	l->end = true;
	if (l->writer_runs)
		pthread_join(l->writer, NULL);
	l->writer_runs = false;
}

int
mig_load_arrive(struct mig_side *s)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < s->nb && ret == 0; i++)
		ret = lm_pci_bus_master(s->pci[i], true);
	return ret;
}

/* Not before they run: a stopped device is not written to. */
void
mig_load_pause(struct mig_side *s)
{
	unsigned int i;

	for (i = 0; i < s->nb && s->conf->exercise; i++)
		lm_ex_control(s->pci[i], LM_EX_CONTROL_PAUSE);
}

static const void *
memory_at(void *ctx, uint64_t iova, uint64_t len_bytes)
{
	return lm_ram_ptr(ctx, iova, len_bytes);
}

static int
check_device(struct mig_side *s, unsigned int i, struct mig_check *check)
{
	struct lm_ex_report report = { 0 };
	static struct lm_ex_view view;
	int ret;

	ret = lm_ex_view_read(s->pci[i], &view);
	if (ret != 0)
		return ret;
	lm_ex_check(&view, memory_at, s->ram, &report);
	check->device_pages += report.pages;
	check->lost += report.faults;
	if (report.faults != 0 && check->first[0] == '\0')
		lm_ex_finding_text(&report.findings[0], check->first, sizeof(check->first));
	return lm_ex_control(s->pci[i], LM_EX_CONTROL_CONTINUE);
}

static void
check_cpu(struct mig_side *s, struct mig_check *check)
{
	const uint8_t *pages = lm_ram_ptr(s->ram, MIG_LOAD_CPU_ADDR, PAGE);
	const uint64_t *book = lm_ram_ptr(s->ram, MIG_LOAD_BOOK_ADDR, sizeof(*book));
	uint64_t page, seq;
	int ret;

	for (page = 0; page < MIG_LOAD_CPU_PAGES; page++) {
		seq = 0;
		ret = lm_ex_page_read(pages + page * PAGE, CPU_SEED, page, PAGE, &seq);
		check->cpu_pages++;
		if (seq == book[page] && (ret == 0 || (ret == -ENOENT && seq == 0)))
			continue;
		check->lost++;
		if (check->cpu_lost++ == 0 && check->first[0] == '\0')
			snprintf(check->first, sizeof(check->first), "page %" PRIu64
				" of the CPU has write %" PRIu64 ", not %" PRIu64, page, seq,
				book[page]);
	}
}

int
mig_load_check(struct mig_side *s, struct mig_check *check)
{
	unsigned int i;
	int ret = 0;

	memset(check, 0, sizeof(*check));
	for (i = 0; i < s->nb && ret == 0; i++) {
		ret = check_device(s, i, check);
		if (ret != 0)
			test_lm_error("%s: %s", lm_pci_name(s->pci[i]), lm_pci_strerror(s->pci[i]));
	}
	check_cpu(s, check);
	check->done = ret == 0;
	return ret;
}
