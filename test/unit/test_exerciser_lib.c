/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The library moves exercisers under a storm: group, tracker and VFIO provider over sockets, for
 * each capability set, for devices with the log of others, and for one that refuses what
 * libvfio-user refuses. Catches pages, state or operations lost between the parts, and a part that
 * needs more than such a device offers.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "ex_served.h"
#include "lm_bitmap.h"
#include "lm_clock.h"
#include "lm_exerciser_check.h"
#include "lm_group.h"
#include "lm_tracker.h"
#include "lm_vfio.h"

#define RAM_IOVA UINT64_C(0x40000000)
#define RAM_BYTES 0x400000u
#define RING_BYTES 4096u /* the last page */
#define RAM_PAGES (RAM_BYTES / LM_EX_PAGE_BYTES)
#define OUTSTANDING 7u /* operations that are never done */

struct side {
	struct lm_pci *pci;
	struct lm_vfio *vfio;
	struct lm_provider provider;
	struct lm_group *group;
	uint8_t *ram;
	int fd;
};

struct world {
	struct ex_served served;
	struct side src;
	struct side dst;
	struct lm_tracker *tracker;
};

static void
side_open(struct world *w, struct side *s, uint32_t function)
{
	struct lm_member_conf member = { .name = function == 0 ? "source" : "target" };
	const struct lm_group_conf conf = { .no_peer_dma = false };
	struct lm_pci_dma dma = {
		.iova = RAM_IOVA, .size_bytes = RAM_BYTES,
		.prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE,
	};

	s->pci = ex_served_open(&w->served, function);
	s->fd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(s->fd, RAM_BYTES), 0);
	s->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	assert_ptr_not_equal(s->ram, MAP_FAILED);
	dma.fd = s->fd;
	dma.vaddr = s->ram;
	assert_int_equal(lm_pci_bus_master(s->pci, true), 0);
	assert_int_equal(lm_pci_dma_map(s->pci, &dma), 0);
	assert_int_equal(lm_vfio_open(s->pci, &s->vfio), 0);
	s->provider = lm_vfio_provider(s->vfio);
	member.provider = s->provider;
	assert_int_equal(lm_group_create(&conf, &s->group), 0);
	assert_int_equal(lm_group_add(s->group, &member), 0);
}

static void
side_close(struct side *s)
{
	lm_group_destroy(s->group);
	lm_vfio_close(s->vfio);
	lm_pci_close(s->pci);
	munmap(s->ram, RAM_BYTES);
	close(s->fd);
}

static void
go(struct side *s, enum lm_state to)
{
	if (lm_group_go(s->group, to) != 0)
		fail_msg("%s", lm_group_strerror(s->group));
}

static int
copy_run(void *ctx, uint64_t addr, uint64_t len_bytes)
{
	struct world *w = ctx;

	assert_true(addr + len_bytes <= RAM_BYTES);
	memcpy(w->dst.ram + addr, w->src.ram + addr, len_bytes);
	return 0;
}

static int
copy_pages(void *ctx, const struct lm_bitmap *bm)
{
	return lm_bitmap_foreach_run(bm, copy_run, ctx);
}

static void
harvest(struct world *w)
{
	const struct lm_sink sink = { .merge = copy_pages, .ctx = w };

	assert_int_equal(lm_tracker_harvest(w->tracker, &sink), 0);
}

static void
track(struct world *w)
{
	const struct lm_interval ram = { .from = RAM_IOVA, .to = 0, .len_bytes = RAM_BYTES };
	const struct lm_tracker_conf conf = { .page_size_bytes = LM_EX_PAGE_BYTES };
	const struct lm_caps *caps = lm_group_caps(w->src.group, 0);

	assert_int_equal(lm_tracker_create(&conf, &w->tracker), 0);
	assert_int_equal(lm_tracker_map(w->tracker, &ram), 0);
	if (caps->dirty.present)
		assert_int_equal(lm_tracker_add_provider(w->tracker, "source", &w->src.provider,
				caps), 0);
	else
		assert_int_equal(lm_tracker_add_blind(w->tracker, "source"), 0);
	assert_int_equal(lm_tracker_start(w->tracker), 0);
	memcpy(w->dst.ram, w->src.ram, RAM_BYTES);
}

static int
pump(struct world *w)
{
	const struct lm_provider *from = &w->src.provider, *to = &w->dst.provider;
	static uint8_t buf[1 << 18];
	int got;

	while ((got = from->ops->read(from->dev, buf, sizeof(buf))) > 0)
		assert_int_equal(to->ops->write(to->dev, buf, (uint32_t)got), 0);
	return got;
}

static void
storm(struct side *s)
{
	const struct lm_ex_config config = {
		.rate = 30000, .pages = RAM_PAGES - 1, .stride = 5, .page_write_bytes = 256,
		.state_bytes = UINT64_MAX, .state_every = 1000, .nb_ranges = 1,
		.op_steps = UINT32_MAX, .ranges[0] = { RAM_IOVA, RAM_BYTES - RING_BYTES },
		.ring_iova = RAM_IOVA + RAM_BYTES - RING_BYTES, .ring_size = 64,
	};
	uint64_t token;

	assert_int_equal(lm_ex_start(s->pci, &config), 0);
	for (token = 1; token <= OUTSTANDING; token++)
		assert_int_equal(lm_ex_submit(s->pci, token), 0);
}

static uint64_t
wait_steps(struct side *s, uint64_t steps)
{
	uint64_t end_ns = lm_clock_after_us(20000000), now = 0;

	do {
		assert_int_equal(lm_ex_reg_read(s->pci, LM_EX_REG_STEPS, &now), 0);
		assert_true(lm_clock_ns() < end_ns);
	} while (now < steps);
	return now;
}

static const void *
ram_at(void *ctx, uint64_t iova, uint64_t len_bytes)
{
	struct side *s = ctx;

	return iova >= RAM_IOVA && iova - RAM_IOVA <= RAM_BYTES - len_bytes ?
			s->ram + (iova - RAM_IOVA) : NULL;
}

static uint64_t
check(struct side *s, bool is_sound)
{
	struct lm_ex_report report = { .faults = 0 };
	struct lm_ex_view view;
	char text[256];

	assert_int_equal(lm_ex_view_read(s->pci, &view), 0);
	lm_ex_check(&view, ram_at, s, &report);
	assert_int_equal(report.pages, RAM_PAGES - 1);
	if (is_sound && report.faults != 0) {
		lm_ex_finding_text(&report.findings[0], text, sizeof(text));
		fail_msg("%llu faults: %s", (unsigned long long)report.faults, text);
	}
	return report.faults;
}

/* Up to a destination that is loaded and stopped. */
static void
migrate(struct world *w)
{
	bool has_precopy = (lm_group_caps(w->src.group, 0)->flags & LM_STATE_F_PRE_COPY) != 0;
	uint64_t steps = wait_steps(&w->src, 2 * RAM_PAGES);
	unsigned int round;

	track(w);
	go(&w->dst, LM_STATE_RESUMING);
	go(&w->src, LM_STATE_PRE_COPY);
	for (round = 0; round < 3; round++) {
		if (has_precopy)
			assert_int_equal(pump(w), -ENOMSG);
		harvest(w);
		steps = wait_steps(&w->src, steps + 500);
	}
	go(&w->src, LM_STATE_STOP_COPY);
	harvest(w);
	assert_int_equal(pump(w), 0);
	go(&w->dst, LM_STATE_STOP);
	lm_tracker_stop(w->tracker);
	lm_tracker_destroy(w->tracker);
}

static void
world_open(struct world *w, const struct dm_ex_conf *conf, const char *fault)
{
	memset(w, 0, sizeof(*w));
	ex_served_init(&w->served, conf, 2);
	if (fault != NULL)
		ex_served_fault(&w->served, 0, fault);
	ex_served_start(&w->served);
	side_open(w, &w->src, 0);
	side_open(w, &w->dst, 1);
	storm(&w->src);
}

static void
world_close(struct world *w)
{
	side_close(&w->src);
	side_close(&w->dst);
	ex_served_fini(&w->served);
}

static void
every_kind_of_device(void **state)
{
	static const char *const kinds[] = {
		"caps=stop_copy", "caps=p2p", "caps=pre_copy", "caps=p2p+pre_copy", "strict=1",
		"log-align=64", "log-page-min=64K", "log-page-min=2M", "log=0",
	};
	struct world *w = calloc(1, sizeof(*w));
	struct dm_ex_conf conf;
	struct lm_ex_view view;
	uint64_t steps;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		dm_ex_conf_defaults(&conf);
		assert_int_equal(dm_ex_conf_parse(&conf, kinds[i]), 0);
		if (strcmp(kinds[i], "log-align=64") == 0)
			conf.log.max_ranges = 1;
		world_open(w, &conf, NULL);
		print_message("%s\n", kinds[i]);
		migrate(w);
		check(&w->dst, true);
		assert_int_equal(lm_ex_view_read(w->dst.pci, &view), 0);
		assert_int_equal(view.tokens[OUTSTANDING - 1], OUTSTANDING);
		steps = lm_ex_view_counter(&view, LM_EX_REG_STEPS);
		go(&w->dst, LM_STATE_RUNNING);
		wait_steps(&w->dst, steps + 2000);
		assert_int_equal(lm_ex_control(w->dst.pci, LM_EX_CONTROL_PAUSE), 0);
		check(&w->dst, true);
		/* The source is as good as before, whatever comes of the other. */
		go(&w->src, LM_STATE_RUNNING);
		wait_steps(&w->src, steps + 500);
		assert_int_equal(lm_ex_control(w->src.pci, LM_EX_CONTROL_PAUSE), 0);
		check(&w->src, true);
		world_close(w);
	}
	free(w);
}

static void
dropped_marks_are_seen(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct dm_ex_conf conf;

	(void)state;
	dm_ex_conf_defaults(&conf);
	world_open(w, &conf, "drop-dirty=17");
	migrate(w);
	assert_true(check(&w->dst, false) > 0);
	world_close(w);
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_device),
		cmocka_unit_test(dropped_marks_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
