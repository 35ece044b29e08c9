/* SPDX-License-Identifier: BSD-3-Clause */

/* Device commands by registers (pds_if.h), and commands by the LIF's admin queue (pds_eth_if.h). */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_io.h>

#include "pds.h"

#define DEADLINE_US UINT64_C(5000000)
#define RING_AGAIN_US UINT64_C(500000)
#define AGAIN_US 20000
#define POLL_US 20

#define DEVCMD(field) (LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET + \
	(uint32_t)offsetof(struct lm_pds_core_dev_cmd_regs, field))
#define DEVINFO(field) (LM_PDS_CORE_BAR0_DEV_INFO_REGS_OFFSET + \
	(uint32_t)offsetof(struct lm_pds_core_dev_info_regs, field))

int
pds_status_to_errno(uint8_t status)
{
	static const int errnos[] = {
		[LM_PDS_RC_EVERSION] = EINVAL,
		[LM_PDS_RC_EOPCODE] = EIO,
		[LM_PDS_RC_EIO] = EIO,
		[LM_PDS_RC_EPERM] = EPERM,
		[LM_PDS_RC_EQID] = EINVAL,
		[LM_PDS_RC_EQTYPE] = EINVAL,
		[LM_PDS_RC_ENOENT] = ENOENT,
		[LM_PDS_RC_EINTR] = EINTR,
		[LM_PDS_RC_EAGAIN] = EAGAIN,
		[LM_PDS_RC_ENOMEM] = ENOMEM,
		[LM_PDS_RC_EFAULT] = EFAULT,
		[LM_PDS_RC_EBUSY] = EBUSY,
		[LM_PDS_RC_EEXIST] = EEXIST,
		[LM_PDS_RC_EINVAL] = EINVAL,
		[LM_PDS_RC_ENOSPC] = ENOSPC,
		[LM_PDS_RC_ERANGE] = ERANGE,
		[LM_PDS_RC_BAD_ADDR] = EFAULT,
		[LM_PDS_RC_DEV_CMD] = EIO,
		[LM_PDS_RC_ENOSUPP] = EOPNOTSUPP,
	};

	if (status == LM_PDS_RC_SUCCESS)
		return 0;
	if (status == LM_PDS_RC_BAD_PCI)
		return -ENXIO;
	return status < RTE_DIM(errnos) && errnos[status] != 0 ? -errnos[status] : -EIO;
}

int
pds_reg_read(struct pds_port *p, uint32_t offset, void *value, uint32_t bytes)
{
	return lm_pci_bar_read(p->pci, p->bar_regs, offset, value, bytes);
}

int
pds_reg_write(struct pds_port *p, uint32_t offset, const void *value, uint32_t bytes)
{
	return lm_pci_bar_write(p->pci, p->bar_regs, offset, value, bytes);
}

static int
copy_in(struct pds_port *p, uint32_t offset, const void *from, uint32_t bytes)
{
	const uint8_t *at = from;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < bytes && ret == 0; i += 4)
		ret = pds_reg_write(p, offset + i, at + i, 4);
	return ret;
}

static int
copy_out(struct pds_port *p, uint32_t offset, void *to, uint32_t bytes)
{
	uint8_t *at = to;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < bytes && ret == 0; i += 4)
		ret = pds_reg_read(p, offset + i, at + i, 4);
	return ret;
}

static uint64_t
now_us(void)
{
	return rte_get_timer_cycles() / (rte_get_timer_hz() / 1000000);
}

/* Until the device says done. */
static int
wait_done(struct pds_port *p, uint8_t opcode)
{
	const uint64_t end_us = now_us() + DEADLINE_US;
	uint32_t done = 0;
	uint8_t fw;
	int ret;

	for (;;) {
		ret = pds_reg_read(p, DEVCMD(done), &done, sizeof(done));
		if (ret == 0)
			ret = pds_reg_read(p, DEVINFO(fw_status), &fw, sizeof(fw));
		if (ret != 0)
			return ret;
		if (fw == UINT8_MAX || (fw & LM_PDS_CORE_FW_STS_F_RUNNING) == 0) {
			PDS_LOG(ERR, p, "device command %u: the firmware does not run (status "
				"0x%x)", opcode, fw);
			return -ENXIO;
		}
		if ((done & LM_PDS_CORE_DEV_CMD_DONE) != 0)
			return 0;
		if (now_us() > end_us) {
			PDS_LOG(ERR, p, "device command %u: not done in %u ms", opcode,
				(unsigned int)(DEADLINE_US / 1000));
			return -ETIMEDOUT;
		}
		rte_delay_us_sleep(POLL_US);
	}
}

static int
devcmd_once(struct pds_port *p, const struct pds_devcmd *dc, uint8_t *comp)
{
	const uint32_t zero = 0, one = 1;
	int ret;

	ret = copy_in(p, DEVCMD(data), dc->in, dc->in_bytes);
	if (ret == 0)
		ret = copy_in(p, DEVCMD(cmd), dc->cmd, LM_PDS_DEVCMD_BYTES);
	if (ret == 0)
		ret = pds_reg_write(p, DEVCMD(done), &zero, sizeof(zero));
	if (ret == 0)
		ret = pds_reg_write(p, DEVCMD(doorbell), &one, sizeof(one));
	if (ret == 0)
		ret = wait_done(p, *(const uint8_t *)dc->cmd);
	if (ret == 0)
		ret = copy_out(p, DEVCMD(comp), comp, LM_PDS_COMP_BYTES);
	return ret;
}

int
pds_devcmd(struct pds_port *p, const struct pds_devcmd *dc)
{
	const uint64_t end_us = now_us() + DEADLINE_US;
	const uint8_t opcode = *(const uint8_t *)dc->cmd;
	uint8_t comp[LM_PDS_COMP_BYTES];
	int ret;

	for (;;) {
		ret = devcmd_once(p, dc, comp);
		if (ret == 0)
			ret = pds_status_to_errno(comp[0]);
		if (ret != -EAGAIN || now_us() > end_us)
			break;
		rte_delay_us_sleep(AGAIN_US);
	}
	if (ret == 0 && dc->out_bytes != 0)
		ret = copy_out(p, DEVCMD(data), dc->out, dc->out_bytes);
	if (ret == 0 && dc->comp != NULL)
		memcpy(dc->comp, comp, sizeof(comp));
	if (ret != 0)
		PDS_LOG(DEBUG, p, "device command %u: %s", opcode, strerror(-ret));
	return ret;
}

int
pds_adminq_init(struct pds_port *p)
{
	const size_t comp_offset = PDS_PAGE_BYTES;
	struct pds_adminq *q = &p->adminq;
	struct lm_ionic_q_init_cmd cmd = {
		.opcode = LM_IONIC_CMD_Q_INIT,
		.type = LM_IONIC_QTYPE_ADMINQ,
		.intr_index = LM_IONIC_QINIT_NO_INTR,
		.flags = LM_IONIC_QINIT_F_ENA,
		.ring_size = PDS_ADMINQ_LG2,
	};
	struct lm_ionic_q_init_comp comp;
	const struct pds_devcmd dc = { .cmd = &cmd, .comp = &comp };
	int ret;

	ret = pds_dma_alloc(p, "adminq", 0, 2 * PDS_PAGE_BYTES, &q->dma);
	if (ret != 0)
		return ret;
	q->desc = q->dma.va;
	q->comp = RTE_PTR_ADD(q->dma.va, comp_offset);
	q->head = 0;
	q->color = LM_IONIC_COMP_COLOR_MASK;
	lm_le64_set(&cmd.ring_base, q->dma.iova);
	lm_le64_set(&cmd.cq_ring_base, q->dma.iova + comp_offset);
	ret = pds_devcmd(p, &dc);
	if (ret != 0)
		return ret;
	if (comp.hw_type >= LM_PDS_DBELL_TYPES || comp.hw_index > LM_PDS_DBELL_QID_MASK)
		return -EPROTO;
	q->qid = comp.hw_index;
	q->hw_type = comp.hw_type;
	return 0;
}

void
pds_adminq_release(struct pds_port *p)
{
	pds_dma_free(&p->adminq.dma);
}

static void
adminq_ring(struct pds_port *p)
{
	const struct pds_adminq *q = &p->adminq;

	pds_doorbell_post(p, 0, q->hw_type, q->head |
			(uint64_t)q->qid << LM_PDS_DBELL_QID_SHIFT);
}

/* One command at a time: its completion is at the same place of its own ring. */
static int
adminq_wait(struct pds_port *p, uint16_t index, uint8_t opcode, struct lm_ionic_admin_comp *comp)
{
	const uint64_t began_us = now_us();
	const struct pds_adminq *q = &p->adminq;
	const volatile uint8_t *color = &q->comp[index].color;
	uint64_t again_us = began_us + RING_AGAIN_US, now;

	while ((*color & LM_IONIC_COMP_COLOR_MASK) != q->color) {
		now = now_us();
		if (now > began_us + DEADLINE_US) {
			PDS_LOG(ERR, p, "admin command %u: no completion in %u ms", opcode,
				(unsigned int)(DEADLINE_US / 1000));
			return -ETIMEDOUT;
		}
		if (now > again_us) {
			adminq_ring(p);
			again_us = now + RING_AGAIN_US;
		}
		rte_delay_us_sleep(POLL_US);
	}
	rte_io_rmb();
	memcpy(comp, &q->comp[index], sizeof(*comp));
	if (comp->comp_index != index) {
		PDS_LOG(ERR, p, "admin command %u at %u: the completion is of %u", opcode, index,
			comp->comp_index);
		return -EPROTO;
	}
	return pds_status_to_errno(comp->status);
}

static int
adminq_cmd_locked(struct pds_port *p, const void *cmd, void *out)
{
	struct pds_adminq *q = &p->adminq;
	const uint8_t opcode = *(const uint8_t *)cmd;
	struct lm_ionic_admin_comp comp;
	uint16_t index = q->head;
	int ret;

	memcpy(q->desc[index], cmd, LM_PDS_DEVCMD_BYTES);
	q->head = (index + 1) & (PDS_ADMINQ_SIZE - 1);
	adminq_ring(p);
	ret = adminq_wait(p, index, opcode, &comp);
	if (q->head == 0)
		q->color ^= LM_IONIC_COMP_COLOR_MASK;
	if (ret != 0)
		PDS_LOG(DEBUG, p, "admin command %u: %s", opcode, strerror(-ret));
	else if (out != NULL)
		memcpy(out, &comp, sizeof(comp));
	return ret;
}

int
pds_adminq_cmd(struct pds_port *p, const void *cmd, void *out)
{
	int ret;

	/* What is set will be as in the state that comes; what is stopped answers nothing. */
	if (pds_lm_is_away(p)) {
		if (out != NULL)
			memset(out, 0, sizeof(struct lm_ionic_admin_comp));
		return p->incoming ? 0 : -EBUSY;
	}
	pthread_mutex_lock(&p->admin_lock);
	ret = adminq_cmd_locked(p, cmd, out);
	pthread_mutex_unlock(&p->admin_lock);
	return ret;
}

int
pds_q_init(struct pds_port *p, struct lm_ionic_q_init_cmd *cmd, uint32_t *qid, uint8_t *hw_type)
{
	struct lm_ionic_q_init_comp comp;
	int ret;

	cmd->opcode = LM_IONIC_CMD_Q_INIT;
	ret = pds_adminq_cmd(p, cmd, &comp);
	if (ret == 0 && (comp.hw_type >= LM_PDS_DBELL_TYPES ||
			comp.hw_index > LM_PDS_DBELL_QID_MASK))
		ret = -EPROTO;
	if (ret != 0) {
		PDS_LOG(ERR, p, "cannot set up queue %u of type %u: %s", cmd->index, cmd->type,
			strerror(-ret));
		return ret;
	}
	*qid = comp.hw_index;
	*hw_type = comp.hw_type;
	return 0;
}

int
pds_q_control(struct pds_port *p, uint8_t type, uint32_t index, uint8_t oper)
{
	const struct lm_ionic_q_control_cmd cmd = {
		.opcode = LM_IONIC_CMD_Q_CONTROL,
		.type = type,
		.index = index,
		.oper = oper,
	};

	return pds_adminq_cmd(p, &cmd, NULL);
}
