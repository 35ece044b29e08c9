/* SPDX-License-Identifier: BSD-3-Clause */

/* The pds card's control side: Linux's probe sequences, interrupts, clients, faults. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_pds.h"

static struct fake_pds *
begin(void **state)
{
	struct fake_pds *p = *state;

	pds_create(p, 2, "loop");
	return p;
}

static int
setup(void **state)
{
	*state = calloc(1, sizeof(struct fake_pds));
	return 0;
}

static int
teardown(void **state)
{
	pds_destroy(*state);
	free(*state);
	return 0;
}

/* Catches: PF and VF with each other's command numbers; colour or order of completions. */
static void
test_probe(void **state)
{
	struct fake_pds *p = begin(state);
	uint8_t nop[64] = { 0 };
	unsigned int i;

	pds_core_probe(p);
	pds_ionic_probe(p);
	pds_ionic_open(p, 2);
	for (i = 0; i < 40; i++) { /* round the ring, both colours */
		assert_int_equal(pds_admin(&p->vf, nop, NULL), 0);
		assert_int_equal(pds_admin(&p->pf, nop, NULL), 0);
	}
	assert_int_equal(get16(&p->vf.f, PDS_LIF_INFO + 266), 1); /* link up, at once */
	assert_int_equal(*fake_at(&p->vf.f, PDS_PORT_INFO + 316, 1), 1); /* transceiver */
	assert_int_equal(p->pf.f.rules.total + p->vf.f.rules.total, 0);
}

/* Catches: a status that hides what was wrong. */
static void
test_status(void **state)
{
	struct fake_pds *p = begin(state);
	uint8_t cmd[64] = { 200 };

	pds_core_probe(p);
	pds_ionic_probe(p);
	cmd[0] = 13;
	cmd[2] = 1;
	assert_int_equal(pds_devcmd(&p->vf, cmd), 0);
	assert_int_equal(pds_rd(&p->vf, 0, 0x84c, 4), 100000);
	cmd[0] = 200;
	assert_int_equal(pds_devcmd(&p->vf, cmd), 2);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 2);
	cmd[0] = 21;
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 18);
	assert_int_equal(pds_q_init(p, 2, 2, 0, 0xffff), 5);
	assert_int_equal(pds_q_init(p, 2, 0, 0x10, 0xffff), 19);
	assert_int_equal(pds_q_control(p, 3, 1, 1), 7);
	assert_int_equal(pds_q_init(p, 2, 0, 1, 3), 14); /* vectors 0 to 2 */
}

/* Catches: an interrupt that is lost because it came while the vector was masked. */
static void
test_interrupt_latch(void **state)
{
	struct fake_pds *p = begin(state);
	struct dm_pds_fn *fn = &p->model->fn;

	dm_pds_intr_raise(fn, 1, 1);
	dm_pds_intr_raise(fn, 1, 2);
	assert_int_equal(p->vf.f.irqs[1], 0); /* masked from reset on */
	assert_int_equal(pds_rd(&p->vf, 0, 0x2000 + 32 + 8, 2), 3);
	pds_wr(&p->vf, 0, 0x2000 + 32 + 12, 4, 1);
	pds_wr(&p->vf, 0, 0x2000 + 32 + 4, 4, 0);
	assert_int_equal(p->vf.f.irqs[1], 1); /* one, however many events */
	assert_int_equal(pds_rd(&p->vf, 0, 0x2000 + 32 + 4, 4), 1); /* mask on assert */
	pds_wr(&p->vf, 0, 0x2000 + 32 + 8, 4, 3 | 0x10000);
	assert_int_equal(p->vf.f.irqs[1], 1); /* all taken: nothing waits */
	dm_pds_intr_raise(fn, 1, 1);
	assert_int_equal(p->vf.f.irqs[1], 2);
	pds_wr(&p->vf, 0, 0x2000 + 32 + 8, 4, 2); /* more than were counted */
	assert_int_equal((int16_t)pds_rd(&p->vf, 0, 0x2000 + 32 + 8, 2), -1);
	dm_pds_intr_raise(fn, 1, 1);
	pds_wr(&p->vf, 0, 0x2000 + 32 + 4, 4, 0);
	assert_int_equal(p->vf.f.irqs[1], 2); /* the one it had seen already */
}

/* Catches: moderation that drops instead of delaying. */
static void
test_coalescing(void **state)
{
	struct fake_pds *p = begin(state);
	struct dm_pds_fn *fn = &p->model->fn;

	pds_wr(&p->vf, 0, 0x2000 + 32, 4, 50);
	pds_wr(&p->vf, 0, 0x2000 + 32 + 4, 4, 0);
	dm_pds_intr_raise(fn, 1, 1);
	dm_pds_intr_raise(fn, 1, 1);
	assert_int_equal(p->vf.f.irqs[1], 1);
	assert_int_equal(pds_rd(&p->vf, 0, 0x2000 + 32 + 16, 4), 200);
	p->vf.f.now_ns += 199999;
	pds_poll(&p->vf);
	assert_int_equal(p->vf.f.irqs[1], 1);
	p->vf.f.now_ns += 1;
	pds_poll(&p->vf);
	assert_int_equal(p->vf.f.irqs[1], 2);
}

/* Catches: a client that is forgotten at a reset of the PF, which Linux never registers again. */
static void
test_clients(void **state)
{
	struct fake_pds *p = begin(state);
	uint8_t reset[64] = { 2 }, cmd[64] = { 8, 0, 77 };
	uint16_t client;

	pds_core_probe(p);
	client = p->client;
	assert_int_equal(pds_lm(p, 1, NULL, NULL), 0);
	assert_int_equal(pds_devcmd(&p->pf, reset), 0);
	pds_core_probe(p);
	p->client = client;
	assert_int_equal(pds_lm(p, 1, NULL, NULL), 0);
	assert_int_equal(pds_admin(&p->pf, cmd, NULL), 33);
	cmd[2] = (uint8_t)client;
	cmd[4] = 18;
	cmd[6] = 5;
	assert_int_equal(pds_admin(&p->pf, cmd, NULL), 31);
	cmd[4] = 17;
	assert_int_equal(pds_admin(&p->pf, cmd, NULL), 2);
}

/* Catches: an event that looks new before it is there, or is counted twice. */
static void
test_notify(void **state)
{
	struct fake_pds *p = begin(state);
	const uint8_t *event;
	const char *error;
	json_t *args = json_pack("{s:b}", "up", 0);

	pds_core_probe(p);
	pds_ionic_probe(p);
	assert_int_equal(p->vf.dev.ops->control(p->model, "link", args, &error), 0);
	event = fake_at(&p->vf.f, PDS_NQ + 4096, 64);
	assert_int_equal(pds_get(event, 0, 8), 1);
	assert_int_equal(pds_get(event, 8, 2), 1);
	assert_int_equal(pds_get(event, 10, 2), 2);
	assert_int_equal(get16(&p->vf.f, PDS_LIF_INFO + 266), 2);
	json_decref(args);
}

/* Catches: a fault that is not one: a status, a late command, a lost one. */
static void
test_faults(void **state)
{
	struct fake_pds *p = begin(state);
	uint8_t reset[64] = { 2 }, nop[64] = { 0 };
	uint8_t code;
	char spec[32];

	for (code = 1; code < 34; code++) {
		snprintf(spec, sizeof(spec), "devcmd-status=2:%u", code);
		assert_int_equal(p->pf.dev.ops->fault(p->pf.dev.dev, spec), 0);
		assert_int_equal(pds_devcmd(&p->pf, reset), code);
		assert_int_equal(pds_devcmd(&p->pf, reset), 0);
	}
	pds_core_probe(p);
	assert_int_equal(p->pf.dev.ops->fault(p->pf.dev.dev, "adminq-status=0:12:2"), 0);
	assert_int_equal(pds_admin(&p->pf, nop, NULL), 12);
	assert_int_equal(pds_admin(&p->pf, nop, NULL), 12);
	assert_int_equal(pds_admin(&p->pf, nop, NULL), 0);
	assert_int_equal(p->pf.dev.ops->fault(p->pf.dev.dev, "devcmd-slow=100"), 0);
	pds_wr(&p->pf, 0, 0x804, 4, 0);
	pds_wr(&p->pf, 0, 0x800, 4, 1);
	pds_poll(&p->pf);
	assert_int_equal(pds_rd(&p->pf, 0, 0x804, 4), 0);
	p->pf.f.now_ns += 100000;
	pds_poll(&p->pf);
	assert_int_equal(pds_rd(&p->pf, 0, 0x804, 4), 1);
	assert_int_not_equal(p->pf.dev.ops->fault(p->pf.dev.dev, "devcmd-slow"), 0);
	assert_int_not_equal(p->pf.dev.ops->fault(p->pf.dev.dev, "lm-status=18"), 0);
	assert_int_not_equal(p->pf.dev.ops->fault(p->pf.dev.dev, "lm-status=18:9:1:1"), 0);
}

/* Catches: firmware that is down and answers, or comes back as the same generation. */
static void
test_firmware(void **state)
{
	struct fake_pds *p = begin(state);
	json_t *down = json_pack("{s:b}", "running", 0), *up = json_pack("{s:b}", "running", 1);
	uint8_t before = (uint8_t)pds_rd(&p->pf, 0, 7, 1);
	const char *error;

	assert_int_equal(p->pf.dev.ops->control(p->pf.dev.dev, "fw", down, &error), 0);
	assert_int_equal(pds_rd(&p->pf, 0, 7, 1), before & 0xf0);
	pds_wr(&p->pf, 0, 0x800, 4, 1);
	pds_poll(&p->pf);
	assert_int_equal(pds_rd(&p->pf, 0, 0x804, 4), 0);
	assert_int_equal(p->pf.dev.ops->control(p->pf.dev.dev, "fw", up, &error), 0);
	assert_int_equal(pds_rd(&p->pf, 0, 7, 1), ((before & 0xf0) + 0x10) | 1);
	json_decref(down);
	json_decref(up);
}

/* Catches: a capability that says other VFs than there are (PCI Express, 9.3.3). */
static void
test_sriov(void **state)
{
	struct fake_pds *p = begin(state);
	uint32_t ones = UINT32_MAX, v = 0;

	dm_pci_seal(&p->pf.pci);
	dm_pci_config_read(&p->pf.pci, 0x100, &v, 4);
	assert_int_equal(v & 0xfffff, 0x10010);
	dm_pci_config_read(&p->pf.pci, 0x10c, &v, 4);
	assert_int_equal(v, 0x00010001);
	v = 0;
	dm_pci_config_read(&p->pf.pci, 0x11a, &v, 2);
	assert_int_equal(v, 0x1003);
	dm_pci_config_write(&p->pf.pci, 0x124, &ones, 4);
	dm_pci_config_read(&p->pf.pci, 0x124, &v, 4);
	assert_int_equal(v, 0xffff8004);
	dm_pci_config_write(&p->pf.pci, 0x12c, &ones, 4);
	dm_pci_config_read(&p->pf.pci, 0x12c, &v, 4);
	assert_int_equal(v, 0xffffc000); /* 3 pages, as 4 */
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_probe),
		T(test_status),
		T(test_interrupt_latch),
		T(test_coalescing),
		T(test_clients),
		T(test_notify),
		T(test_faults),
		T(test_firmware),
		T(test_sriov),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
