/* SPDX-License-Identifier: BSD-3-Clause */

/* Device commands: data, command, done := 0, doorbell := 1, poll done. Every wait has an end. */

#include <errno.h>
#include <string.h>
#include <time.h>

#include "lm_pds_priv.h"
#include "lm_pds_text.h"

#define REGS(field) (LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET + \
	offsetof(struct lm_pds_core_dev_cmd_regs, field))
#define FW_STATUS offsetof(struct lm_pds_core_dev_info_regs, fw_status)
#define FW_GONE 0xff /* what a device that left the bus reads as */
#define WAIT_MAX_US 1000

uint64_t
lm_pds_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
lm_pds_wait_start(struct lm_pds_wait *wait, uint32_t timeout_ms)
{
	wait->end_us = lm_pds_now_us() + (uint64_t)timeout_ms * 1000;
	wait->turns = 0;
}

bool
lm_pds_wait_turn(struct lm_pds_wait *wait)
{
	struct timespec pause = { .tv_nsec = 1000 };

	if (lm_pds_now_us() >= wait->end_us)
		return false;
	wait->turns++;
	if (wait->turns > 10)
		pause.tv_nsec = 1000L * (wait->turns < WAIT_MAX_US ? wait->turns : WAIT_MAX_US);
	nanosleep(&pause, NULL);
	return true;
}

int
lm_pds_fw_check(struct lm_pds_core *core)
{
	uint8_t status;
	int ret = lm_pci_bar_read(core->pci, core->regs_bar, FW_STATUS, &status, 1);

	if (ret != 0)
		return ret;
	if (status == FW_GONE)
		return lm_pci_fail(core->pci, -ENXIO, "%s: the device is gone from the bus",
				lm_pci_name(core->pci));
	if ((status & LM_PDS_CORE_FW_STS_F_RUNNING) == 0)
		return lm_pci_fail(core->pci, -ENXIO, "%s: its firmware is not running",
				lm_pci_name(core->pci));
	return (status & LM_PDS_CORE_FW_STS_F_GENERATION) == core->generation ? 0 : -ESTALE;
}

static int
lm_pds_copy_in(struct lm_pds_core *core, uint64_t offset, const void *from, uint32_t len_bytes)
{
	const uint8_t *p = from;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < len_bytes && ret == 0; i += 4)
		ret = lm_pci_bar_write_posted(core->pci, core->regs_bar, offset + i, p + i, 4);
	return ret;
}

static int
lm_pds_copy_out(struct lm_pds_core *core, uint64_t offset, void *to, uint32_t len_bytes)
{
	uint8_t *p = to;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < len_bytes && ret == 0; i += 4)
		ret = lm_pci_bar_read(core->pci, core->regs_bar, offset + i, p + i, 4);
	return ret;
}

static int
lm_pds_devcmd_wait(struct lm_pds_core *core, const char *name)
{
	struct lm_pds_wait wait;
	uint32_t done;
	int ret;

	lm_pds_wait_start(&wait, core->params.devcmd_timeout_ms);
	do {
		ret = lm_pci_bar_read(core->pci, core->regs_bar, REGS(done), &done, sizeof(done));
		if (ret != 0 || (done & LM_PDS_CORE_DEV_CMD_DONE) != 0)
			return ret;
		ret = lm_pds_fw_check(core);
		if (ret != 0 && ret != -ESTALE)
			return ret;
	} while (lm_pds_wait_turn(&wait));
	return lm_pci_fail(core->pci, -ETIMEDOUT, "%s: device command %s: not done in %u ms",
			lm_pci_name(core->pci), name, core->params.devcmd_timeout_ms);
}

int
lm_pds_devcmd(struct lm_pds_core *core, const uint8_t *cmd, const void *in, uint32_t in_bytes,
		void *out, uint32_t out_bytes)
{
	const char *name = lm_pds_op_name(LM_PDS_PLACE_CORE_DEVCMD, cmd[0]);
	static const uint32_t zero, one = 1;
	uint8_t status;
	int ret;

	ret = lm_pds_copy_in(core, REGS(data), in, in_bytes);
	if (ret == 0)
		ret = lm_pds_copy_in(core, REGS(cmd), cmd, LM_PDS_DEVCMD_BYTES);
	if (ret == 0)
		ret = lm_pds_copy_in(core, REGS(done), &zero, sizeof(zero));
	if (ret == 0)
		ret = lm_pds_copy_in(core, REGS(doorbell), &one, sizeof(one));
	if (ret == 0)
		ret = lm_pds_devcmd_wait(core, name);
	if (ret == 0)
		ret = lm_pci_bar_read(core->pci, core->regs_bar, REGS(comp), &status, 1);
	if (ret != 0) {
		lm_pds_copy_in(core, REGS(doorbell), &zero, sizeof(zero));
		return ret;
	}
	if (status != LM_PDS_RC_SUCCESS)
		return lm_pci_fail(core->pci, lm_pds_status_errno(status),
				"%s: device command %s: %s", lm_pci_name(core->pci), name,
				lm_pds_status_name(status));
	return lm_pds_copy_out(core, REGS(data), out, out_bytes);
}
