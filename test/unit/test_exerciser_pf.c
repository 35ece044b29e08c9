/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The exerciser's driver and its PF's provider against the model, over sockets. Catches a provider
 * that breaks the contract, loses state or marks, confuses VFs, or never comes back from a PF that
 * does not answer.
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
#include "lm_clock.h"
#include "lm_exerciser_check.h"
#include "lm_exerciser_pf.h"

#define RAM_IOVA UINT64_C(0xa00000000) /* 40 GiB */
#define RAM_PAGES 128u
#define RAM_BYTES (RAM_PAGES * LM_EX_PAGE_BYTES)
#define RING_BYTES 4096u /* the last page */
#define NB_FUNCTIONS 3u  /* a PF and two VFs */

struct vf {
	struct lm_pci *pci;
	struct lm_provider provider;
	uint8_t *ram;
	int fd;
};

struct world {
	struct ex_served served;
	struct lm_pci *pf_pci;
	struct lm_ex_pf *pf;
	struct vf vfs[2];
};

static void
vf_open(struct world *w, unsigned int i)
{
	struct vf *vf = &w->vfs[i];
	struct lm_pci_dma dma = {
		.iova = RAM_IOVA, .size_bytes = RAM_BYTES,
		.prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE,
	};

	vf->pci = ex_served_open(&w->served, i + 1);
	vf->fd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(vf->fd, RAM_BYTES), 0);
	vf->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vf->fd, 0);
	assert_ptr_not_equal(vf->ram, MAP_FAILED);
	dma.fd = vf->fd;
	dma.vaddr = vf->ram;
	assert_int_equal(lm_ex_probe(vf->pci), 0);
	assert_int_equal(lm_pci_bus_master(vf->pci, true), 0);
	assert_int_equal(lm_pci_dma_map(vf->pci, &dma), 0);
	assert_int_equal(lm_ex_pf_vf(w->pf, i, &vf->provider), 0);
}

static void
world_open(struct world *w, uint32_t timeout_ms)
{
	const struct lm_ex_pf_conf conf = { .timeout_ms = timeout_ms };
	struct lm_provider none;
	unsigned int i;

	ex_served_start(&w->served);
	w->pf_pci = ex_served_open(&w->served, 0);
	assert_int_equal(lm_ex_pf_open(w->pf_pci, &conf, &w->pf), 0);
	assert_int_equal(lm_ex_pf_nb_vfs(w->pf), 2);
	assert_int_equal(lm_ex_pf_vf(w->pf, 2, &none), -ENOENT);
	for (i = 0; i < 2; i++)
		vf_open(w, i);
}

static void
world_close(struct world *w)
{
	unsigned int i;

	lm_ex_pf_close(w->pf);
	lm_pci_close(w->pf_pci);
	for (i = 0; i < 2; i++) {
		lm_pci_close(w->vfs[i].pci);
		munmap(w->vfs[i].ram, RAM_BYTES);
		close(w->vfs[i].fd);
	}
	ex_served_fini(&w->served);
	free(w);
}

static struct world *
world_new(uint64_t flags)
{
	struct world *w = calloc(1, sizeof(*w));
	struct dm_ex_conf conf;

	dm_ex_conf_defaults(&conf);
	conf.mig_flags = flags;
	conf.by_pf = true;
	conf.state_bytes = 2 * LM_EX_STATE_BLOCK_BYTES + 8;
	ex_served_init(&w->served, &conf, NB_FUNCTIONS);
	return w;
}

static void
storm(struct vf *vf, uint64_t rate)
{
	const struct lm_ex_config config = {
		.rate = rate, .pages = RAM_PAGES - 1, .stride = 3, .page_write_bytes = 512,
		.state_bytes = UINT64_MAX, .state_every = 50, .nb_ranges = 1, .op_steps = 10,
		.ranges[0] = { RAM_IOVA, RAM_BYTES - RING_BYTES },
		.ring_iova = RAM_IOVA + RAM_BYTES - RING_BYTES, .ring_size = 64,
	};

	assert_int_equal(lm_ex_start(vf->pci, &config), 0);
}

static void
wait_steps(struct vf *vf, uint64_t steps)
{
	uint64_t end_ns = lm_clock_after_us(10000000), now = 0;

	while (now < steps) {
		assert_int_equal(lm_ex_reg_read(vf->pci, LM_EX_REG_STEPS, &now), 0);
		assert_true(lm_clock_ns() < end_ns);
	}
}

static const void *
ram_at(void *ctx, uint64_t iova, uint64_t len_bytes)
{
	struct vf *vf = ctx;

	return iova >= RAM_IOVA && iova - RAM_IOVA <= RAM_BYTES - len_bytes ?
			vf->ram + (iova - RAM_IOVA) : NULL;
}

static void
assert_sound(struct vf *vf)
{
	struct lm_ex_report report = { .faults = 0 };
	struct lm_ex_view view;
	char text[256];

	assert_int_equal(lm_ex_view_read(vf->pci, &view), 0);
	lm_ex_check(&view, ram_at, vf, &report);
	assert_int_equal(report.pages, RAM_PAGES - 1);
	if (report.faults != 0) {
		lm_ex_finding_text(&report.findings[0], text, sizeof(text));
		fail_msg("%s", text);
	}
}

static void
walk(struct vf *vf, enum lm_state to, int want)
{
	const struct lm_provider_ops *ops = vf->provider.ops;
	struct lm_state_machine machine = {
		.arcs = ops->arcs, .nb_arcs = ops->nb_arcs, .state = ops->state,
		.reset = ops->reset,
	};
	struct lm_caps caps = { .flags = 0 };
	struct lm_state_result result;

	assert_int_equal(ops->caps(vf->provider.dev, &caps), 0);
	machine.flags = caps.flags;
	assert_int_equal(lm_state_machine_check(&machine, NULL), 0);
	assert_int_equal(lm_state_walk(&machine, vf->provider.dev, to, &result), want);
}

static void
copy_dirty(struct world *w)
{
	const struct lm_provider *p = &w->vfs[0].provider;
	uint64_t bitmap[RAM_PAGES / 64] = { 0 };
	unsigned int i;

	assert_int_equal(p->ops->dirty_report(p->dev, RAM_IOVA, RAM_BYTES, 4096, bitmap), 0);
	for (i = 0; i < RAM_PAGES; i++)
		if ((bitmap[i / 64] >> (i % 64) & 1) != 0)
			memcpy(w->vfs[1].ram + i * 4096, w->vfs[0].ram + i * 4096, 4096);
}

static int
pump(struct world *w)
{
	const struct lm_provider *from = &w->vfs[0].provider, *to = &w->vfs[1].provider;
	static uint8_t buf[300000];
	int got;

	while ((got = from->ops->read(from->dev, buf, sizeof(buf))) > 0)
		assert_int_equal(to->ops->write(to->dev, buf, (uint32_t)got), 0);
	return got;
}

/* Up to a destination that is loaded and stopped. */
static void
migrate(struct world *w, bool has_precopy)
{
	const struct lm_range range = { RAM_IOVA, RAM_BYTES };
	const struct lm_provider *p = &w->vfs[0].provider;
	struct lm_mig_info info = { .poll_fd = -1 };
	uint64_t page_bytes = 4096;

	assert_int_equal(p->ops->dirty_start(p->dev, &range, 1, &page_bytes), 0);
	assert_int_equal(p->ops->dirty_start(p->dev, &range, 1, &page_bytes), -EINVAL);
	memcpy(w->vfs[1].ram, w->vfs[0].ram, RAM_BYTES);
	walk(&w->vfs[1], LM_STATE_RESUMING, 0);
	assert_int_equal(p->ops->info(p->dev, &info), 0);
	assert_true(info.has_stop_copy && info.stop_copy_bytes > 2 * LM_EX_STATE_BLOCK_BYTES);
	assert_false(info.has_precopy);
	if (has_precopy) {
		walk(&w->vfs[0], LM_STATE_PRE_COPY, 0);
		assert_int_equal(p->ops->info(p->dev, &info), 0);
		assert_true(info.has_precopy && info.initial_bytes > LM_EX_STATE_BLOCK_BYTES);
		assert_int_equal(pump(w), -ENOMSG);
		copy_dirty(w);
	}
	wait_steps(&w->vfs[0], 1000);
	walk(&w->vfs[0], LM_STATE_STOP_COPY, 0);
	copy_dirty(w);
	assert_int_equal(pump(w), 0);
	walk(&w->vfs[1], LM_STATE_STOP, 0);
	assert_int_equal(p->ops->dirty_stop(p->dev), 0);
}

static void
vf_migrates_by_its_pf(void **state)
{
	static const uint64_t sets[] = { 1, 3, 5, 7 };
	uint64_t steps, token;
	struct world *w;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		w = world_new(sets[i]);
		world_open(w, 0);
		storm(&w->vfs[0], 20000);
		for (token = 1; token <= 20; token++)
			assert_int_equal(lm_ex_submit(w->vfs[0].pci, token), 0);
		migrate(w, (sets[i] & LM_STATE_F_PRE_COPY) != 0);
		assert_sound(&w->vfs[1]);
		walk(&w->vfs[1], LM_STATE_RUNNING, 0);
		assert_int_equal(lm_ex_reg_read(w->vfs[0].pci, LM_EX_REG_STEPS, &steps), 0);
		wait_steps(&w->vfs[1], steps + 500);
		assert_int_equal(lm_ex_control(w->vfs[1].pci, LM_EX_CONTROL_PAUSE), 0);
		assert_sound(&w->vfs[1]);
		world_close(w);
	}
}

static void
errors_come_through(void **state)
{
	struct world *w = world_new(7);
	const struct lm_provider *p = &w->vfs[0].provider;
	struct lm_caps caps = { .flags = 0 };
	enum lm_state at;
	uint8_t byte = 0;

	(void)state;
	ex_served_fault(&w->served, 1, "busy@running-running_p2p");
	ex_served_fault(&w->served, 1, "error@running_p2p-stop");
	world_open(w, 0);
	assert_int_equal(p->ops->caps(p->dev, &caps), 0);
	assert_string_equal(caps.provider, "exerciser");
	assert_string_equal(caps.device, "1234:4c4e");
	assert_string_equal(caps.firmware, "compat 0");
	assert_true(caps.dirty.present);
	walk(&w->vfs[0], LM_STATE_STOP, -EBUSY);
	walk(&w->vfs[0], LM_STATE_STOP, -EIO);
	assert_int_equal(p->ops->state(p->dev, &at), 0);
	assert_int_equal(at, LM_STATE_RUNNING); /* by a reset */
	walk(&w->vfs[1], LM_STATE_STOP, 0);     /* the other one is another */
	assert_int_equal(p->ops->read(p->dev, &byte, 1), -EINVAL);
	assert_int_equal(p->ops->write(p->dev, &byte, 1), -EINVAL);
	assert_int_equal(p->ops->dirty_stop(p->dev), -EINVAL);
	walk(&w->vfs[0], LM_STATE_STOP_COPY, 0);
	walk(&w->vfs[0], LM_STATE_RUNNING, 0);
	world_close(w);
}

/* A bitmap that takes two commands, with the dirty pages behind the first. */
static void
large_report(void **state)
{
	struct world *w = world_new(7);
	const struct lm_provider *p = &w->vfs[0].provider;
	const uint64_t len_bytes = UINT64_C(1) << 36; /* 64 GiB: 2 MiB of bits */
	uint64_t *bitmap = calloc(1, len_bytes / 4096 / 8);
	uint64_t page_bytes = 4096, i, nb = 0;

	(void)state;
	world_open(w, 0);
	assert_int_equal(p->ops->dirty_start(p->dev, NULL, 0, &page_bytes), 0);
	storm(&w->vfs[0], 20000);
	wait_steps(&w->vfs[0], 2 * RAM_PAGES);
	bitmap[0] = UINT64_C(1) << 63; /* is ORed into */
	assert_int_equal(p->ops->dirty_report(p->dev, 0, len_bytes, 4096, bitmap), 0);
	assert_int_equal(bitmap[0], UINT64_C(1) << 63);
	bitmap[0] = 0;
	for (i = 0; i < len_bytes / 4096 / 64; i++)
		nb += (uint64_t)__builtin_popcountll(bitmap[i]);
	assert_int_equal(nb, RAM_PAGES - 1);
	assert_int_equal(bitmap[RAM_IOVA / 4096 / 64], UINT64_MAX);
	assert_int_equal(bitmap[RAM_IOVA / 4096 / 64 + 1], UINT64_MAX >> 1);
	free(bitmap);
	world_close(w);
}

static void
late_answers(void **state)
{
	struct world *w = world_new(7);
	const struct lm_provider *p = &w->vfs[0].provider;
	enum lm_state at = LM_STATE_ERROR;
	struct lm_provider again;
	uint64_t end_ns;
	int ret;

	(void)state;
	ex_served_fault(&w->served, 1, "slow@running-running_p2p=300000");
	ex_served_fault(&w->served, 2, "hang@*-*");
	world_open(w, 50);
	assert_int_equal(p->ops->arcs[0].fn(p->dev, LM_STATE_RUNNING, LM_STATE_RUNNING_P2P),
			-ETIMEDOUT);
	/* What comes meanwhile waits for it, and does not disturb it. */
	end_ns = lm_clock_after_us(10000000);
	do {
		ret = p->ops->state(p->dev, &at);
	} while (ret == -ETIMEDOUT && lm_clock_ns() < end_ns);
	assert_int_equal(ret, 0);
	assert_int_equal(at, LM_STATE_RUNNING_P2P);
	walk(&w->vfs[0], LM_STATE_RUNNING, 0);
	/* This one never comes: closing does not wait for it, and a new handle is not troubled. */
	p = &w->vfs[1].provider;
	assert_int_equal(p->ops->arcs[0].fn(p->dev, LM_STATE_RUNNING, LM_STATE_RUNNING_P2P),
			-ETIMEDOUT);
	lm_ex_pf_close(w->pf);
	assert_int_equal(lm_ex_pf_open(w->pf_pci, NULL, &w->pf), 0);
	assert_int_equal(lm_ex_pf_vf(w->pf, 1, &again), 0);
	assert_int_equal(again.ops->state(again.dev, &at), 0);
	assert_int_equal(at, LM_STATE_RUNNING);
	world_close(w);
}

static void
only_a_pf_is_a_pf(void **state)
{
	struct world *w = world_new(7);
	struct lm_ex_pf *pf;

	(void)state;
	world_open(w, 0);
	assert_int_equal(lm_ex_pf_open(w->vfs[0].pci, NULL, &pf), -ENODEV);
	assert_int_equal(lm_ex_probe(w->pf_pci), -ENODEV);
	/* A VF by itself has nothing to offer: VFIO_DEVICE_FEATURE_MIGRATION, probe and get. */
	assert_int_equal(lm_pci_feature(w->vfs[0].pci, 0x50001, NULL, 0, 0), -ENOTTY);
	world_close(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vf_migrates_by_its_pf),
		cmocka_unit_test(errors_come_through),
		cmocka_unit_test(large_report),
		cmocka_unit_test(late_answers),
		cmocka_unit_test(only_a_pf_is_a_pf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
