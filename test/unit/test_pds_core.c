/* SPDX-License-Identifier: BSD-3-Clause */

/* The PF's control side on the model, through sockets: commands, faults, recovery, state. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_serve.h"
#include "lm_pds_lm.h"

#define CLIENT "pds_core.LM.vfio.0-8"

struct test {
	struct dm_serve s;
	struct lm_pci *pci;
	struct lm_pds_core *core;
	struct lm_pds_lm *lm;
	unsigned int events[8];
	uint8_t state[2][LM_PDS_STATE_MAX_BYTES];
};

static void
on_event(void *ctx, enum lm_pds_event event, uint32_t arg)
{
	struct test *t = ctx;

	(void)arg;
	t->events[event]++;
}

static int
setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	const struct lm_pds_core_params params = {
		.devcmd_timeout_ms = 200, .adminq_timeout_ms = 200, .event = on_event, .ctx = t,
	};

	*state = t;
	serve_start(&t->s, 2);
	assert_int_equal(lm_pci_open_vfio_user(t->s.paths[0], NULL, &t->pci), 0);
	assert_int_equal(lm_pds_core_open(t->pci, &params, &t->core), 0);
	assert_int_equal(lm_pds_lm_open(t->core, 0, CLIENT, &t->lm), 0);
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;

	lm_pds_lm_close(t->lm);
	lm_pds_core_close(t->core);
	lm_pci_close(t->pci);
	serve_stop(&t->s);
	assert_int_equal(t->s.functions[0].rules.total, 0);
	free(t);
	return 0;
}

static void
test_open(void **state)
{
	struct test *t = *state;
	uint8_t nop[64] = { 0 }, comp[16];
	unsigned int i;

	assert_string_equal(lm_pds_core_fw_version(t->core), "dpdk-lm-1");
	assert_int_equal(lm_pds_core_identity(t->core)->vif_types[LM_PDS_DEV_TYPE_LM], 1);
	for (i = 0; i < 100; i++) /* round the ring, both colours */
		assert_int_equal(lm_pds_core_admin_cmd(t->core, nop, comp), 0);
	nop[0] = 99;
	assert_int_equal(lm_pds_core_admin_cmd(t->core, nop, comp), -EIO);
	assert_int_equal(comp[0], 2);
	assert_non_null(strstr(lm_pci_strerror(t->pci), "EOPCODE"));
	assert_int_equal(lm_pds_core_health(t->core), 0);
}

/* Catches: a status that is taken for success, or whose error changes anything. */
static void
test_every_status(void **state)
{
	static const int errs[][2] = {
		{ 4, EPERM }, { 5, EINVAL }, { 7, ENOENT }, { 9, EAGAIN }, { 10, ENOMEM },
		{ 11, EFAULT }, { 12, EBUSY }, { 13, EEXIST }, { 15, ENOSPC }, { 16, ERANGE },
		{ 19, EOPNOTSUPP }, { 29, EIO }, { 31, ENODEV }, { 255, ENXIO }, { 77, EIO },
	};
	struct test *t = *state;
	char spec[32];
	unsigned int i;

	for (i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		snprintf(spec, sizeof(spec), "lm-status=1:%d", errs[i][0]);
		serve_fault(&t->s, spec);
		assert_int_equal(lm_pds_lm_host_status(t->lm, true), -errs[i][1]);
		assert_int_equal(lm_pds_lm_host_status(t->lm, true), 0);
	}
}

/*
 * Catches: the cascade after a lost completion, where each command gets the answer of the one
 * before it; here a status of the second command that the third would take for its own.
 */
static void
test_lost_completion(void **state)
{
	struct test *t = *state;
	uint8_t nop[64] = { 0 };

	serve_fault(&t->s, "adminq-lost=1");
	assert_int_equal(lm_pds_core_admin_cmd(t->core, nop, NULL), -ETIMEDOUT);
	serve_fault(&t->s, "lm-status=1:12");
	assert_int_equal(lm_pds_lm_host_status(t->lm, true), -EBUSY);
	assert_int_equal(lm_pds_core_admin_cmd(t->core, nop, NULL), 0);
	assert_int_equal(t->events[LM_PDS_EV_RECOVERED], 1);
	assert_int_equal(lm_pds_core_epoch(t->core), 1);
}

/* Catches: a late completion that is taken for that of the next command. */
static void
test_late_completion(void **state)
{
	struct test *t = *state;
	uint8_t bad[64] = { 99 }, nop[64] = { 0 };

	serve_fault(&t->s, "adminq-slow=300000");
	assert_int_equal(lm_pds_core_admin_cmd(t->core, bad, NULL), -ETIMEDOUT);
	serve_fault(&t->s, "adminq-slow=0");
	assert_int_equal(lm_pds_core_admin_cmd(t->core, nop, NULL), 0);
}

/* B14. Catches: a client id that is used for ever though the device no longer knows it. */
static void
test_forgotten_client(void **state)
{
	struct test *t = *state;

	serve_fault(&t->s, "adminq-status=8:33");
	assert_int_equal(lm_pds_lm_host_status(t->lm, true), 0);
	serve_fault(&t->s, "adminq-status=8:33:2");
	assert_int_equal(lm_pds_lm_host_status(t->lm, true), -ECHILD);
}

static void
fw_set(struct dm_serve *s, void *ctx)
{
	json_t *args = json_pack("{s:b}", "running", *(int *)ctx);
	struct dm_function *f = &s->functions[0];
	const char *error;

	assert_int_equal(f->device.ops->control(f->device.dev, "fw", args, &error), 0);
	json_decref(args);
}

/* Catches: commands that wait out their deadline while no firmware runs; an id that is lost. */
static void
test_recovery(void **state)
{
	struct test *t = *state;
	int down = 0, up = 1;

	serve_call(&t->s, fw_set, &down);
	assert_int_equal(lm_pds_lm_host_status(t->lm, true), -ENXIO);
	assert_int_equal(lm_pds_core_health(t->core), -ENXIO);
	assert_int_equal(t->events[LM_PDS_EV_FW_DOWN], 1);
	serve_call(&t->s, fw_set, &up);
	assert_int_equal(lm_pds_core_health(t->core), 0);
	assert_int_equal(t->events[LM_PDS_EV_RECOVERED], 1);
	assert_int_equal(lm_pds_lm_host_status(t->lm, true), 0);
	serve_call(&t->s, fw_set, &down);
	serve_call(&t->s, fw_set, &up); /* between two looks: only the generation tells */
	assert_int_equal(lm_pds_lm_host_status(t->lm, true), 0);
	assert_int_equal(t->events[LM_PDS_EV_RECOVERED], 2);
}

static void
event_call(struct dm_serve *s, void *ctx)
{
	json_t *args = json_pack("{s:i,s:i}", "code", *(int *)ctx, "state", 1);
	struct dm_function *f = &s->functions[0];
	const char *error;

	assert_int_equal(f->device.ops->control(f->device.dev, "event", args, &error), 0);
	json_decref(args);
}

/* Catches: an event that is taken twice, or not at the end of the ring. */
static void
test_events(void **state)
{
	struct test *t = *state;
	int code, i;

	for (i = 0; i < 100; i++) {
		code = 1 + i % 2;
		serve_call(&t->s, event_call, &code);
		assert_int_equal(lm_pds_core_health(t->core), 0);
	}
	assert_int_equal(t->events[LM_PDS_EV_LINK], 50);
	assert_int_equal(t->events[LM_PDS_EV_RESET], 50);
}

static void
test_devcmd_faults(void **state)
{
	struct test *t = *state;
	struct lm_pds_core *other;
	struct lm_pci *pci = t->pci;
	const struct lm_pds_core_params params = { .devcmd_timeout_ms = 100 };

	lm_pds_lm_close(t->lm);
	lm_pds_core_close(t->core);
	t->lm = NULL;
	t->core = NULL;
	serve_fault(&t->s, "devcmd-lost=1");
	assert_int_equal(lm_pds_core_open(pci, &params, &other), -ETIMEDOUT);
	assert_non_null(strstr(lm_pci_strerror(pci), "RESET"));
	serve_fault(&t->s, "devcmd-status=3:10");
	assert_int_equal(lm_pds_core_open(pci, &params, &other), -ENOMEM);
	assert_non_null(strstr(lm_pci_strerror(pci), "INIT"));
}

/* Catches: a level that is taken for reached while the device still says busy. */
static void
test_levels(void **state)
{
	struct test *t = *state;
	uint32_t len;

	serve_fault(&t->s, "suspend-busy=3");
	assert_int_equal(lm_pds_lm_suspend(t->lm, LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P), 0);
	assert_int_equal(serve_vf(&t->s)->fn.level, DM_PDS_SUSPENDED_P2P);
	assert_int_equal(lm_pds_lm_save(t->lm, t->state[0], &len), -EBUSY);
	assert_int_equal(lm_pds_lm_suspend(t->lm, LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL), 0);
	assert_int_equal(lm_pds_lm_save(t->lm, t->state[0], &len), 0);
	assert_int_equal(lm_pds_lm_restore(t->lm, t->state[0], len), 0);
	assert_int_equal(lm_pds_lm_resume(t->lm, LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P), 0);
	assert_int_equal(lm_pds_lm_resume(t->lm, LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL), 0);
	assert_int_equal(serve_vf(&t->s)->fn.level, DM_PDS_RUNNING);
}

/*
 * B10. Catches: a state that is cut short, has bytes too many or a wrong bit, and is handed to the
 * device all the same: Linux's driver sends 64 KiB whatever came.
 */
static void
test_state_is_whole(void **state)
{
	struct test *t = *state;
	uint64_t cmds;
	uint32_t len, at;

	assert_int_equal(lm_pds_lm_suspend(t->lm, LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL), 0);
	assert_int_equal(lm_pds_lm_save(t->lm, t->state[0], &len), 0);
	cmds = serve_pf(&t->s)->lm_cmds;
	for (at = 0; at < len; at += 499)
		assert_int_equal(lm_pds_lm_restore(t->lm, t->state[0], at), -EBADMSG);
	assert_int_equal(lm_pds_lm_restore(t->lm, t->state[0], len - 1), -EBADMSG);
	assert_int_equal(lm_pds_lm_restore(t->lm, t->state[0], len + 1), -EBADMSG);
	for (at = 12; at < len; at += 211) {
		t->state[0][at] ^= 4;
		assert_int_equal(lm_pds_lm_restore(t->lm, t->state[0], len), -EBADMSG);
		t->state[0][at] ^= 4;
	}
	t->state[0][0] ^= 1;
	assert_int_equal(lm_pds_lm_restore(t->lm, t->state[0], len), -EPROTO);
	t->state[0][0] ^= 1;
	assert_int_equal(serve_pf(&t->s)->lm_cmds, cmds); /* the device saw none of them */
	assert_int_equal(lm_pds_lm_restore(t->lm, t->state[0], len), 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_open),
		T(test_every_status),
		T(test_lost_completion),
		T(test_late_completion),
		T(test_forgotten_client),
		T(test_recovery),
		T(test_events),
		T(test_devcmd_faults),
		T(test_levels),
		T(test_state_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
