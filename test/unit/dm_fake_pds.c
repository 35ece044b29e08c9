/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_pds.h"

#define DEVCMD 0x800
#define DEVCMD_CMD (DEVCMD + 0x08)
#define DEVCMD_COMP (DEVCMD + 0x48)
#define DEVCMD_DATA (DEVCMD + 0x88)
#define INTR(v) (0x2000 + 32 * (v))
#define MAX_POLLS 100

static void
fake_bus_master(void *ctx, bool on)
{
	(void)ctx;
	(void)on;
}

static const struct dm_pci_ops fake_pci_ops = { .bus_master = fake_bus_master };

static void
side_create(struct pds_side *s)
{
	fake_init(&s->f);
	fake_map(&s->f, PDS_RAM, PDS_RAM_BYTES, LM_VU_PROT_READ | LM_VU_PROT_WRITE);
	dm_pci_init(&s->pci, &fake_pci_ops, s);
}

void
pds_create(struct fake_pds *p, uint16_t pairs, const char *wire)
{
	struct dm_pds_vf_conf conf = { .pairs = pairs, .mac = { 2, 0, 0, 0, 0, 1 } };

	memset(p, 0, sizeof(*p));
	side_create(&p->pf);
	side_create(&p->vf);
	assert_int_equal(dm_wire_open(wire, &p->wire), 0);
	assert_int_equal(dm_pds_pf_create(&p->pf.f.host, &p->pf.pci, &p->pf.dev), 0);
	conf.host = &p->vf.f.host;
	conf.wire = p->wire;
	assert_int_equal(dm_pds_vf_create(&conf, &p->vf.dev), 0);
	p->model = p->vf.dev.dev;
	dm_pds_pf_add_vf(p->pf.dev.dev, p->model);
	assert_int_equal(p->pf.dev.ops->add_caps(p->pf.dev.dev), 0);
}

void
pds_destroy(struct fake_pds *p)
{
	p->pf.dev.ops->destroy(p->pf.dev.dev);
	p->vf.dev.ops->destroy(p->vf.dev.dev);
	dm_wire_close(p->wire);
	fake_fini(&p->pf.f);
	fake_fini(&p->vf.f);
}

uint64_t
pds_rd(struct pds_side *s, uint32_t bar, uint64_t offset, uint32_t width)
{
	uint64_t v = 0;

	assert_int_equal(s->dev.ops->bar_read(s->dev.dev, bar, offset, &v, width), 0);
	return v;
}

void
pds_wr(struct pds_side *s, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value)
{
	assert_int_equal(s->dev.ops->bar_write(s->dev.dev, bar, offset, &value, width), 0);
}

void
pds_poll(struct pds_side *s)
{
	unsigned int i;

	for (i = 0; i < MAX_POLLS && s->dev.ops->poll(s->dev.dev, s->f.now_ns) != 0; i++)
		;
	assert_true(i < MAX_POLLS);
}

void
pds_put(uint8_t *cmd, unsigned int at, uint64_t value, unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < bytes; i++)
		cmd[at + i] = (uint8_t)(value >> 8 * i);
}

uint64_t
pds_get(const uint8_t *data, unsigned int at, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | data[at + bytes];
	return v;
}

/* The handshake of all drivers: command, done 0, doorbell 1, poll, clean up. */
uint8_t
pds_devcmd(struct pds_side *s, const uint8_t *cmd)
{
	uint8_t zero[64] = { 0 };
	uint8_t status;

	assert_int_equal(s->dev.ops->bar_write(s->dev.dev, 0, DEVCMD_CMD, cmd, 64), 0);
	pds_wr(s, 0, DEVCMD + 4, 4, 0);
	pds_wr(s, 0, DEVCMD, 4, 1);
	pds_poll(s);
	assert_int_equal(pds_rd(s, 0, DEVCMD + 4, 4), 1);
	status = (uint8_t)pds_rd(s, 0, DEVCMD_COMP, 1);
	pds_wr(s, 0, DEVCMD, 4, 0);
	assert_int_equal(s->dev.ops->bar_write(s->dev.dev, 0, DEVCMD_CMD, zero, 64), 0);
	return status;
}

static void
aq_start(struct pds_side *s)
{
	memset(&s->aq, 0, sizeof(s->aq));
	s->aq.color = 0x80;
}

uint8_t
pds_admin(struct pds_side *s, const uint8_t *cmd, uint8_t *comp)
{
	unsigned int irqs = s->f.irqs[0];
	const uint8_t *from;

	memcpy(fake_at(&s->f, PDS_AQ + 64u * s->aq.head, 64), cmd, 64);
	s->aq.head = (s->aq.head + 1) % 16;
	pds_wr(s, 2, 0, 8, s->aq.head);
	pds_poll(s);
	from = fake_at(&s->f, PDS_ACQ + 16u * s->aq.tail, 16);
	assert_int_equal(from[15] & 0x80, s->aq.color);
	assert_int_equal(pds_get(from, 2, 2), s->aq.tail);
	s->aq.tail = (s->aq.tail + 1) % 16;
	if (s->aq.tail == 0)
		s->aq.color ^= 0x80;
	assert_int_equal(s->f.irqs[0], irqs + 1);
	pds_wr(s, 0, INTR(0) + 8, 4, 1 | 0x30000);
	if (comp != NULL)
		memcpy(comp, from, 16);
	return from[0];
}

uint8_t
pds_lm(struct fake_pds *p, uint8_t opcode, const uint8_t *body, uint8_t *comp)
{
	uint8_t cmd[64] = { 8 };

	pds_put(cmd, 2, p->client, 2);
	cmd[4] = opcode;
	if (body != NULL)
		memcpy(cmd + 8, body, 24);
	return pds_admin(&p->pf, cmd, comp);
}

uint8_t
pds_level(struct fake_pds *p, uint8_t opcode, uint8_t type)
{
	uint8_t body[24] = { type };

	return pds_lm(p, opcode, body, NULL);
}

static void
intr_init(struct pds_side *s, unsigned int vector)
{
	pds_wr(s, 0, INTR(vector) + 8, 4, (pds_rd(s, 0, INTR(vector) + 8, 4) & 0xffff) | 0x20000);
	pds_wr(s, 0, INTR(vector) + 12, 4, 1);
	pds_wr(s, 0, INTR(vector) + 4, 4, 1);
}

void
pds_core_probe(struct fake_pds *p)
{
	static const uint8_t client[64] = { 6, 0, 0, 0, 'p', 'd', 's', '_', 'c', 'o', 'r', 'e', '.',
		'L', 'M', '.', 'v', 'f', 'i', 'o', '.', '0', '-', '8' };
	uint8_t cmd[64] = { 2 }, data[32] = { 0 }, comp[16];
	struct pds_side *s = &p->pf;

	assert_int_equal(pds_rd(s, 0, 0, 4), 0x44455649);
	assert_int_equal(pds_rd(s, 0, 7, 1) & 1, 1);
	assert_int_equal(pds_devcmd(s, cmd), 0);
	pds_wr(s, 0, DEVCMD_DATA, 4, 1);
	cmd[0] = 1;
	cmd[1] = 1;
	assert_int_equal(pds_devcmd(s, cmd), 0);
	assert_true(pds_rd(s, 0, DEVCMD_DATA + 8, 4) >= 1);
	assert_int_equal(pds_rd(s, 0, DEVCMD_DATA + 24 + 2 * 5, 2), 1);
	intr_init(s, 0);
	pds_put(data, 0, PDS_PF_AQ, 8);
	pds_put(data, 8, PDS_PF_ACQ, 8);
	pds_put(data, 16, PDS_PF_NCQ, 8);
	pds_put(data, 24, 3, 4);
	data[30] = 4;
	data[31] = 6;
	assert_int_equal(s->dev.ops->bar_write(s->dev.dev, 0, DEVCMD_DATA, data, 32), 0);
	cmd[0] = 3;
	cmd[1] = 0;
	assert_int_equal(pds_devcmd(s, cmd), 0);
	memset(fake_at(&s->f, PDS_PF_ACQ, 256), 0, 256);
	aq_start(s);
	pds_wr(s, 0, INTR(0) + 4, 4, 0);
	assert_int_equal(pds_admin(s, client, comp), 0);
	p->client = (uint16_t)pds_get(comp, 4, 2);
	assert_int_not_equal(p->client, 0);
}

static void
q_init_cmd(const struct fake_pds *p, uint8_t *cmd, unsigned int type, unsigned int i,
		uint16_t flags, uint16_t vector, uint64_t ring)
{
	static const uint8_t versions[] = { 0, 0, 2, 3 };

	memset(cmd, 0, 64);
	cmd[0] = 40;
	cmd[4] = (uint8_t)type;
	cmd[5] = versions[type];
	pds_put(cmd, 8, i, 4);
	pds_put(cmd, 12, p->page, 2);
	pds_put(cmd, 14, vector, 2);
	pds_put(cmd, 16, flags, 2);
	cmd[19] = 6;
	pds_put(cmd, 20, ring, 8);
	pds_put(cmd, 28, ring + 0x4000, 8);
	pds_put(cmd, 36, ring + 0x8000, 8);
}

uint64_t
pds_set_features(struct fake_pds *p, uint64_t features)
{
	uint8_t cmd[64] = { 24, 4 }, comp[16];

	pds_put(cmd, 4, features, 8);
	assert_int_equal(pds_admin(&p->vf, cmd, comp), 0);
	return pds_get(comp, 4, 7);
}

void
pds_rx_mode(struct fake_pds *p, uint16_t mode)
{
	uint8_t cmd[64] = { 30 };

	pds_put(cmd, 4, mode, 2);
	assert_int_equal(pds_admin(&p->vf, cmd, NULL), 0);
}

/* What PORT_IDENTIFY said is what PORT_INIT gets. */
static void
port_config(struct fake_pds *p)
{
	uint8_t config[256];
	const struct dm_device *dev = &p->vf.dev;

	assert_int_equal(dev->ops->bar_read(dev->dev, 0, DEVCMD_DATA + 128, config, 256), 0);
	assert_int_equal(dev->ops->bar_write(dev->dev, 0, DEVCMD_DATA, config, 256), 0);
}

/* Device commands in the order of Linux's ionic: RESET, IDENTIFY 2, LIF_IDENTIFY... */
static void
ionic_devcmds(struct fake_pds *p)
{
	static const uint8_t cmds[][6] = {
		{ 3 }, { 1, 2 }, { 20, 0, 1 }, { 2 }, { 10 }, { 11 }, { 14, 0, 0, 0, 2 },
		{ 20, 0, 1 }, { 39 }, { 39, 0, 0, 0, 1, 0 }, { 39, 0, 0, 0, 2, 2 },
		{ 39, 0, 0, 0, 3, 3 }, { 21 },
	};
	uint8_t cmd[64];
	unsigned int i;

	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		memset(cmd, 0, sizeof(cmd));
		memcpy(cmd, cmds[i], 6);
		if (cmd[0] == 11) {
			port_config(p);
			pds_put(cmd, 8, PDS_PORT_INFO, 8);
		}
		if (cmd[0] == 21)
			pds_put(cmd, 8, PDS_LIF_INFO, 8);
		assert_int_equal(pds_devcmd(&p->vf, cmd), 0);
		if (cmd[0] == 1) {
			assert_int_equal(pds_rd(&p->vf, 0, DEVCMD_DATA + 8, 4), 1);
			assert_true(pds_rd(&p->vf, 0, DEVCMD_DATA + 12, 4) >= 2);
			assert_true(pds_rd(&p->vf, 0, DEVCMD_DATA + 16, 4) >= 1);
		}
		if (cmd[0] == 39 && cmd[4] == 3)
			assert_int_equal(pds_rd(&p->vf, 0, DEVCMD_COMP + 4, 1), 3);
	}
	assert_int_equal(pds_rd(&p->vf, 0, DEVCMD_COMP + 2, 2), 0);
}

void
pds_ionic_probe(struct fake_pds *p)
{
	uint8_t cmd[64], comp[16];

	ionic_devcmds(p);
	intr_init(&p->vf, 0);
	p->page = 0;
	q_init_cmd(p, cmd, 0, 0, 3, 0, PDS_AQ);
	cmd[19] = 4;
	pds_put(cmd, 28, PDS_ACQ, 8);
	pds_put(cmd, 36, 0, 8);
	assert_int_equal(pds_devcmd(&p->vf, cmd), 0);
	memset(fake_at(&p->vf.f, PDS_ACQ, 256), 0, 256);
	aq_start(&p->vf);
	pds_wr(&p->vf, 0, INTR(0) + 4, 4, 0);
	q_init_cmd(p, cmd, 1, 0, 3, 0, PDS_NQ);
	pds_put(cmd, 28, 0, 8);
	pds_put(cmd, 36, 0, 8);
	assert_int_equal(pds_admin(&p->vf, cmd, comp), 0);
	pds_set_features(p, 0x1ffb7);
	memset(cmd, 0, sizeof(cmd));
	cmd[0] = 23;
	cmd[1] = 3;
	assert_int_equal(pds_admin(&p->vf, cmd, comp), 0);
	memset(cmd, 0, sizeof(cmd));
	cmd[0] = 31;
	cmd[8] = 1;
	memcpy(cmd + 10, comp + 4, 6);
	assert_int_equal(pds_admin(&p->vf, cmd, comp), 0);
}

uint8_t
pds_q_init(struct fake_pds *p, unsigned int type, unsigned int i, uint16_t flags, uint16_t vector)
{
	struct pds_q *q = type == 3 ? &p->tx[i] : &p->rx[i];
	uint8_t cmd[64];

	memset(fake_at(&p->vf.f, PDS_RING(type, i), 0x10000), 0, 0x10000);
	memset(q, 0, sizeof(*q));
	q->color = 0x80;
	q_init_cmd(p, cmd, type, i, flags, vector, PDS_RING(type, i));
	return pds_admin(&p->vf, cmd, NULL);
}

uint8_t
pds_q_control(struct fake_pds *p, unsigned int type, unsigned int i, uint8_t oper)
{
	uint8_t cmd[64] = { 41, (uint8_t)type };

	pds_put(cmd, 4, i, 4);
	cmd[8] = oper;
	return pds_admin(&p->vf, cmd, NULL);
}

void
pds_doorbell(struct fake_pds *p, unsigned int type, unsigned int qid, uint16_t index)
{
	pds_wr(&p->vf, 2, 8u * type, 8, (uint64_t)qid << 24 | index);
}

void
pds_ionic_open(struct fake_pds *p, uint16_t pairs)
{
	uint16_t i;

	for (i = 0; i < pairs; i++) {
		intr_init(&p->vf, 1u + i);
		assert_int_equal(pds_q_init(p, 3, i, 5, 1 + i), 0);
		assert_int_equal(pds_q_init(p, 2, i, 5, 1 + i), 0);
	}
	pds_rx_mode(p, 7);
	for (i = 0; i < pairs; i++) {
		assert_int_equal(pds_q_control(p, 2, i, 1), 0);
		assert_int_equal(pds_q_control(p, 3, i, 1), 0);
		pds_wr(&p->vf, 0, INTR(1 + i) + 4, 4, 0);
	}
}

void
pds_tx_desc(struct fake_pds *p, unsigned int i, uint64_t at, uint16_t len, unsigned int opcode,
		unsigned int flags, uint16_t vlan, uint16_t w1, uint16_t w2)
{
	uint64_t desc = PDS_RING(3, i) + 16u * p->tx[i].head;

	put64(&p->vf.f, desc, at << 12 | opcode << 4 | flags);
	put16(&p->vf.f, desc + 8, len);
	put16(&p->vf.f, desc + 10, vlan);
	put16(&p->vf.f, desc + 12, w1);
	put16(&p->vf.f, desc + 14, w2);
	p->tx[i].head = (p->tx[i].head + 1) % PDS_QSIZE;
}

void
pds_tx_sg(struct fake_pds *p, unsigned int i, unsigned int n, uint64_t at, uint16_t len)
{
	unsigned int index = (p->tx[i].head + PDS_QSIZE - 1u) % PDS_QSIZE;
	uint64_t sg = PDS_RING(3, i) + 0x8000 + 256u * index + 16u * n;
	uint8_t *nsge = fake_at(&p->vf.f, PDS_RING(3, i) + 16u * index + 1, 1);

	put64(&p->vf.f, sg, at);
	put16(&p->vf.f, sg + 8, len);
	*nsge = (uint8_t)((*nsge & 0xf0) | (n + 1));
}

void
pds_rx_post(struct fake_pds *p, unsigned int i, uint64_t at, uint16_t len)
{
	uint64_t desc = PDS_RING(2, i) + 16u * p->rx[i].head;

	put64(&p->vf.f, desc, (uint64_t)len << 48 | 1);
	put64(&p->vf.f, desc + 8, at);
	p->rx[i].head = (p->rx[i].head + 1) % PDS_QSIZE;
}

const uint8_t *
pds_rx_comp(struct fake_pds *p, unsigned int i)
{
	struct pds_q *q = &p->rx[i];
	const uint8_t *c = fake_at(&p->vf.f, PDS_RING(2, i) + 0x4000 + 16u * q->cq, 16);

	if ((c[15] & 0x80) != q->color)
		return NULL;
	assert_int_equal(pds_get(c, 2, 2), q->cq);
	q->cq = (q->cq + 1) % PDS_QSIZE;
	if (q->cq == 0)
		q->color ^= 0x80;
	return c;
}
