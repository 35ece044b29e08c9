/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The pds card under hostile drivers: the input is a program of register accesses, doorbells,
 * stores to memory and turns of the event loop, on the PF and on the VF. Admin queues, rings and
 * lists lie at fixed places in 64 KiB of memory each, so that stores hit them often; all addresses
 * in commands and descriptors are the input's.
 */

#include <stdlib.h>
#include <string.h>

#include "dm_pds_card.h"
#include "dm_pds_vf.h"

#define RAM_IOVA 0x10000u
#define RAM_BYTES 0x10000u
#define AQ RAM_IOVA
#define ACQ (RAM_IOVA + 0x1000u)
#define NQ (RAM_IOVA + 0x2000u)
#define RXQ (RAM_IOVA + 0x4000u) /* ring, completions + 0x400, SG + 0x800 */
#define TXQ (RAM_IOVA + 0x8000u) /* likewise, SG + 0x800 */
#define RING_LG2 4
#define MAX_STEPS 512
#define DEVCMD 0x800u

struct side {
	struct dm_host host;
	struct dm_rules rules;
	struct dm_faults faults;
	struct dm_pci pci;
	struct dm_device device;
	uint8_t *ram;
	uint64_t *now_ns;
	uint16_t head; /* of the admin queue */
};

struct input {
	const uint8_t *data;
	size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *
fuzz_span(void *ctx, uint64_t iova, uint64_t *len_bytes, uint32_t prot)
{
	struct side *s = ctx;

	(void)prot;
	if (iova < RAM_IOVA || iova - RAM_IOVA >= RAM_BYTES)
		return NULL;
	if (*len_bytes > RAM_BYTES - (iova - RAM_IOVA))
		*len_bytes = RAM_BYTES - (iova - RAM_IOVA);
	return s->ram + (iova - RAM_IOVA);
}

static void
fuzz_irq(void *ctx, uint16_t vector)
{
	struct side *s = ctx;

	dm_pci_msix_raise(&s->pci, vector);
}

static uint64_t
fuzz_now_ns(void *ctx)
{
	return *((struct side *)ctx)->now_ns;
}

static void
fuzz_bus_master(void *ctx, bool on)
{
	(void)ctx;
	(void)on;
}

static const struct dm_pci_ops fuzz_pci_ops = { .bus_master = fuzz_bus_master };

static void
side_init(struct side *s, uint64_t *now_ns)
{
	memset(s, 0, sizeof(*s));
	s->ram = calloc(1, RAM_BYTES);
	s->now_ns = now_ns;
	s->host.ctx = s;
	s->host.dma_span = fuzz_span;
	s->host.irq = fuzz_irq;
	s->host.now_ns = fuzz_now_ns;
	s->host.bus_master = true;
	s->host.rules = &s->rules;
	s->host.faults = &s->faults;
	s->rules.who = "fuzz";
	memset(s->rules.count, 1, sizeof(s->rules.count)); /* nothing is logged */
	dm_pci_init(&s->pci, &fuzz_pci_ops, s);
}

static void
wr(struct side *s, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value)
{
	s->device.ops->bar_write(s->device.dev, bar, offset, &value, width);
}

static void
devcmd(struct side *s, const uint8_t *cmd)
{
	s->device.ops->bar_write(s->device.dev, 0, DEVCMD + 8, cmd, 64);
	wr(s, 0, DEVCMD + 4, 4, 0);
	wr(s, 0, DEVCMD, 4, 1);
}

static void
admin(struct side *s, const uint8_t *cmd)
{
	memcpy(s->ram + (AQ - RAM_IOVA) + 64u * s->head, cmd, 64);
	s->head = (s->head + 1) % 16;
	wr(s, 2, 0, 8, s->head);
	s->device.ops->poll(s->device.dev, *s->now_ns);
}

static void
put(uint8_t *cmd, unsigned int at, uint64_t value, unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < bytes; i++)
		cmd[at + i] = (uint8_t)(value >> 8 * i);
}

static void
pf_start(struct side *s)
{
	uint8_t cmd[64] = { 3 }, data[32] = { 0 };
	uint8_t client[64] = { 6, 0, 0, 0, 'p', 'd', 's', '_', 'c', 'o', 'r', 'e', '.', 'L', 'M' };

	put(data, 0, AQ, 8);
	put(data, 8, ACQ, 8);
	put(data, 16, NQ, 8);
	data[24] = 3;
	data[30] = 4;
	data[31] = 4;
	s->device.ops->bar_write(s->device.dev, 0, DEVCMD + 0x88, data, sizeof(data));
	devcmd(s, cmd);
	admin(s, client);
}

static void
q_init(uint8_t *cmd, unsigned int type, uint64_t ring, uint64_t comp)
{
	memset(cmd, 0, 64);
	cmd[0] = 40;
	cmd[4] = (uint8_t)type;
	cmd[5] = type == 2 ? 2 : type == 3 ? 3 : 0;
	put(cmd, 14, type == 2 || type == 3, 2);
	put(cmd, 16, 7, 2);
	cmd[19] = RING_LG2;
	put(cmd, 20, ring, 8);
	put(cmd, 28, comp, 8);
	put(cmd, 36, type == 2 || type == 3 ? ring + 0x800 : 0, 8);
}

static void
vf_start(struct side *s)
{
	uint8_t cmd[64] = { 21 };

	put(cmd, 8, RAM_IOVA + 0xe000, 8);
	devcmd(s, cmd);
	q_init(cmd, 0, AQ, ACQ);
	devcmd(s, cmd);
	q_init(cmd, 1, NQ, 0);
	admin(s, cmd);
	q_init(cmd, 2, RXQ, RXQ + 0x400);
	admin(s, cmd);
	q_init(cmd, 3, TXQ, TXQ + 0x400);
	admin(s, cmd);
	memset(cmd, 0, sizeof(cmd));
	cmd[0] = 24;
	cmd[1] = 4;
	put(cmd, 4, 0x7ff, 8);
	admin(s, cmd);
	memset(cmd, 0, sizeof(cmd));
	cmd[0] = 30;
	cmd[4] = 0xf;
	admin(s, cmd);
}

static uint64_t
take(struct input *in, unsigned int bytes)
{
	uint64_t v = 0;
	unsigned int i;

	for (i = 0; i < bytes && in->left > 0; i++, in->left--)
		v |= (uint64_t)*in->data++ << (8 * i);
	return v;
}

static void
take_bytes(struct input *in, uint8_t *to, size_t bytes)
{
	memset(to, 0, bytes);
	if (bytes > in->left)
		bytes = in->left;
	memcpy(to, in->data, bytes);
	in->data += bytes;
	in->left -= bytes;
}

/* Steps: see corpus; each is a byte whose lowest bit says PF or VF, then its arguments. */
static void
step(struct side *pf, struct side *vf, struct input *in, uint64_t *now_ns)
{
	unsigned int op = (unsigned int)take(in, 1);
	struct side *s = (op & 1) != 0 ? vf : pf;
	uint8_t buf[64];
	uint64_t at;

	switch (op >> 1 & 7) {
	case 0: /* a register, of any width */
		at = take(in, 2) % (LM_PDS_CORE_BAR0_SIZE - 8);
		wr(s, 0, at, 1u << (at & 3), take(in, 8));
		s->device.ops->bar_read(s->device.dev, 0, at, buf, 1u << (at & 3));
		break;
	case 1: /* a device command */
		take_bytes(in, buf, sizeof(buf));
		devcmd(s, buf);
		break;
	case 2: /* an admin queue command */
		take_bytes(in, buf, sizeof(buf));
		admin(s, buf);
		break;
	case 3: /* live migration */
		memset(buf, 0, sizeof(buf));
		buf[0] = 8;
		buf[2] = 1;
		take_bytes(in, buf + 4, 24);
		admin(pf, buf);
		break;
	case 4: /* a doorbell */
		at = take(in, 1) % (2 * LM_PDS_DBELL_PAGE_BYTES / 8) * 8;
		wr(s, 2, at, 8, take(in, 4));
		break;
	case 5: /* memory, 16 bytes */
		at = take(in, 2) % (RAM_BYTES / 16) * 16;
		take_bytes(in, buf, 16);
		memcpy(s->ram + at, buf, 16);
		break;
	case 6: /* time */
		*now_ns += take(in, 2) * 100000;
		break;
	default:
		if (take(in, 1) == 0)
			s->device.ops->reset(s->device.dev);
	}
	pf->device.ops->poll(pf->device.dev, *now_ns);
	vf->device.ops->poll(vf->device.dev, *now_ns);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_pds_vf_conf conf = { .pairs = 1, .mac = { 2, 0, 0, 0, 0, 1 } };
	struct input in = { data, size };
	uint64_t now_ns = 1000000000;
	struct dm_wire *wire;
	struct side pf, vf;
	unsigned int i;

	side_init(&pf, &now_ns);
	side_init(&vf, &now_ns);
	if (dm_wire_open("loop", &wire) != 0 ||
			dm_pds_pf_create(&pf.host, &pf.pci, &pf.device) != 0)
		abort();
	conf.host = &vf.host;
	conf.wire = wire;
	if (dm_pds_vf_create(&conf, &vf.device) != 0)
		abort();
	dm_pds_pf_add_vf(pf.device.dev, vf.device.dev);
	pf_start(&pf);
	vf_start(&vf);
	for (i = 0; i < MAX_STEPS && in.left > 0; i++)
		step(&pf, &vf, &in, &now_ns);
	pf.device.ops->destroy(pf.device.dev);
	vf.device.ops->destroy(vf.device.dev);
	dm_wire_close(wire);
	free(pf.ram);
	free(vf.ram);
	return 0;
}
