/* SPDX-License-Identifier: BSD-3-Clause */

/* Live migration of the pds VF: levels, state, dirty tracking. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm_fake_pds.h"

#define PAGE 4096u
#define NB_PAGES (PDS_RAM_BYTES / PAGE)
#define BUF(n) (PDS_BUFS + 0x4000 * (uint64_t)(n))
#define BLOB_MAX 65536u
enum { HOST = 1, SIZE = 16, SUSPEND = 18, STATUS = 19, RESUME = 20, SAVE = 21, RESTORE = 22,
	D_STATUS = 32, D_ENABLE = 33, D_DISABLE = 34, D_SEQ = 35, D_ACK = 36 };

static const uint8_t frame[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 0x88, 0xb5, 1, 2, 3 };

static void
begin(struct fake_pds *p)
{
	pds_create(p, 1, "loop");
	pds_core_probe(p);
	pds_ionic_probe(p);
	pds_ionic_open(p, 1);
}

static int
setup(void **state)
{
	*state = calloc(2, sizeof(struct fake_pds));
	begin(*state);
	return 0;
}

static int
teardown(void **state)
{
	pds_destroy(*state);
	free(*state);
	return 0;
}

static void
rx_post(struct fake_pds *p, unsigned int nb)
{
	while (nb-- > 0)
		pds_rx_post(p, 0, BUF(p->rx[0].head), 2048);
	pds_doorbell(p, 2, 0, p->rx[0].head);
}

static void
tx(struct fake_pds *p)
{
	memcpy(fake_at(&p->vf.f, BUF(100), 64), frame, 64);
	pds_tx_desc(p, 0, BUF(100), 64, 0, 0, 0, 0, 0);
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
}

/* SGL of one element, at PDS_PF_SGL. */
static uint8_t
blob_cmd(struct fake_pds *p, uint8_t opcode, uint32_t len)
{
	uint8_t body[24] = { 0 };

	put64(&p->pf.f, PDS_PF_SGL, PDS_PF_BLOB);
	put32(&p->pf.f, PDS_PF_SGL + 8, len);
	pds_put(body, 4, PDS_PF_SGL, 8);
	pds_put(body, 12, 1, 4);
	return pds_lm(p, opcode, body, NULL);
}

static uint32_t
state_size(struct fake_pds *p)
{
	uint8_t comp[16];

	assert_int_equal(pds_lm(p, SIZE, NULL, comp), 0);
	return (uint32_t)pds_get(comp, 4, 8 - 1);
}

static void
stop(struct fake_pds *p)
{
	assert_int_equal(pds_level(p, HOST, 1), 0);
	assert_int_equal(pds_level(p, SUSPEND, 1), 0);
	assert_int_equal(pds_level(p, STATUS, 1), 0);
	assert_int_equal(pds_level(p, SUSPEND, 0), 0);
	assert_int_equal(pds_level(p, STATUS, 0), 0);
}

static void
start(struct fake_pds *p)
{
	assert_int_equal(pds_level(p, RESUME, 1), 0);
	assert_int_equal(pds_level(p, RESUME, 0), 0);
	assert_int_equal(pds_level(p, HOST, 0), 0);
}

/* Catches: DMA or an interrupt while suspended; work that is forgotten. */
static void
test_suspended_is_quiet(void **state)
{
	struct fake_pds *p = *state;
	uint8_t *before = malloc(PDS_RAM_BYTES);
	unsigned int irqs;

	rx_post(p, 4);
	assert_int_equal(pds_level(p, SUSPEND, 1), 0);
	irqs = p->vf.f.irqs[1];
	tx(p); /* a doorbell at P2P is taken, not followed */
	memcpy(before, fake_at(&p->vf.f, PDS_RAM, PDS_RAM_BYTES), PDS_RAM_BYTES);
	p->vf.f.now_ns += 5000000000;
	pds_poll(&p->vf);
	assert_int_equal(pds_level(p, SUSPEND, 0), 0);
	pds_poll(&p->vf);
	assert_memory_equal(before, fake_at(&p->vf.f, PDS_RAM, PDS_RAM_BYTES), PDS_RAM_BYTES);
	assert_int_equal(p->vf.f.irqs[1], irqs);
	assert_int_equal(p->vf.f.rules.total, 0);
	start(p);
	pds_poll(&p->vf);
	assert_non_null(pds_rx_comp(p, 0));
	assert_true(p->vf.f.irqs[1] > irqs);
	assert_int_equal(pds_level(p, RESUME, 0), 0); /* of what runs */
	stop(p);
	pds_doorbell(p, 3, 0, 5);
	assert_int_equal(p->vf.f.rules.count[DM_RULE_PDS_DOORBELL_STOPPED], 1);
	free(before);
}

/* Catches: a level that a reset of the VF leaves; a reset that forgets clients or tracking. */
static void
test_reset(void **state)
{
	struct fake_pds *p = *state;
	uint8_t body[24] = { 1, 1 };

	put64(&p->pf.f, PDS_PF_TABLE, PDS_RAM);
	put64(&p->pf.f, PDS_PF_TABLE + 8, 64 | UINT64_C(12) << 32);
	pds_put(body, 4, PDS_PF_TABLE, 8);
	assert_int_equal(pds_lm(p, D_ENABLE, body, NULL), 0);
	stop(p);
	p->vf.dev.ops->reset(p->vf.dev.dev);
	assert_int_equal(pds_level(p, STATUS, 1), 14); /* it runs */
	assert_int_equal(pds_lm(p, D_ENABLE, body, NULL), 13);
	assert_int_equal(pds_lm(p, D_DISABLE, NULL, NULL), 0);
}

static void
test_order(void **state)
{
	struct fake_pds *p = *state;
	uint32_t size = state_size(p);

	assert_true(size > 1000 && size <= BLOB_MAX);
	assert_int_equal(blob_cmd(p, SAVE, size), 12);
	assert_int_equal(blob_cmd(p, RESTORE, BLOB_MAX), 12);
	assert_int_equal(pds_level(p, SUSPEND, 2), 14);
	assert_int_equal(pds_level(p, HOST, 2), 14);
	stop(p);
	assert_int_equal(blob_cmd(p, SAVE, size - 1), 15);
	assert_int_equal(blob_cmd(p, SAVE, size), 0);
	assert_int_equal(p->pf.dev.ops->fault(p->pf.dev.dev, "suspend-busy=2"), 0);
	assert_int_equal(pds_level(p, STATUS, 0), 9);
	assert_int_equal(pds_level(p, STATUS, 0), 9);
	assert_int_equal(pds_level(p, STATUS, 0), 0);
}

/* The destination: its own card, the source's memory, configured by nobody. */
static void
move(struct fake_pds *from, struct fake_pds *to)
{
	uint32_t size = state_size(from);
	unsigned int i;

	assert_int_equal(blob_cmd(from, SAVE, size), 0);
	pds_create(to, 1, "loop");
	pds_core_probe(to);
	stop(to);
	memset(fake_at(&to->pf.f, PDS_PF_BLOB, BLOB_MAX), 0, BLOB_MAX);
	memcpy(fake_at(&to->pf.f, PDS_PF_BLOB, size),
			fake_at(&from->pf.f, PDS_PF_BLOB, size), size);
	assert_int_equal(blob_cmd(to, RESTORE, BLOB_MAX), 0);
	memcpy(fake_at(&to->vf.f, PDS_RAM, PDS_RAM_BYTES),
			fake_at(&from->vf.f, PDS_RAM, PDS_RAM_BYTES), PDS_RAM_BYTES);
	to->vf.aq = from->vf.aq;
	to->page = from->page;
	for (i = 0; i < 16; i++) {
		to->rx[i] = from->rx[i];
		to->tx[i] = from->tx[i];
	}
}

/* Catches: state that does not travel: ring positions, colours, admin queue, filters, firmware. */
static void
test_move(void **state)
{
	struct fake_pds *p = *state, *to = p + 1;
	uint8_t nop[64] = { 0 };
	unsigned int i;

	rx_post(p, 10);
	for (i = 0; i < 5; i++)
		tx(p);
	for (i = 0; i < 5; i++)
		assert_non_null(pds_rx_comp(p, 0));
	p->model->fn.regs.fw_status = 0x71;
	stop(p);
	move(p, to);
	assert_int_equal(pds_rd(&to->vf, 0, 7, 1), 0x71); /* a guest sees no new firmware */
	assert_int_equal(pds_rd(&to->vf, 0, 0x2000 + 12, 4), 1);
	start(to);
	for (i = 0; i < 100; i++) {
		tx(to);
		assert_non_null(pds_rx_comp(to, 0));
		rx_post(to, 1);
		assert_int_equal(pds_admin(&to->vf, nop, NULL), 0);
	}
	assert_int_equal(to->vf.f.rules.total, 0);
	assert_int_equal(to->model->lif.txq[0].frames, 105);
	/* And the source comes back to life from where it stood. */
	start(p);
	tx(p);
	assert_non_null(pds_rx_comp(p, 0));
	pds_destroy(to);
}

/* Catches: a device command under way that is lost, or run twice. */
static void
test_move_devcmd(void **state)
{
	struct fake_pds *p = *state, *to = p + 1;

	assert_int_equal(pds_level(p, SUSPEND, 1), 0);
	pds_wr(&p->vf, 0, 0x808, 4, 0x0201); /* IDENTIFY, version 2 */
	pds_wr(&p->vf, 0, 0x804, 4, 0);
	pds_wr(&p->vf, 0, 0x800, 4, 1);
	pds_poll(&p->vf);
	assert_int_equal(pds_rd(&p->vf, 0, 0x804, 4), 0);
	stop(p);
	move(p, to);
	start(to);
	pds_poll(&to->vf);
	assert_int_equal(pds_rd(&to->vf, 0, 0x804, 4), 1);
	assert_int_equal(pds_rd(&to->vf, 0, 0x848, 1), 0);
	assert_int_equal(pds_rd(&to->vf, 0, 0x888, 1), 2);
	pds_destroy(to);
}

/* Catches: a blob that is believed: short, wrong in a bit, of another card; old state that goes. */
static void
test_bad_blob(void **state)
{
	struct fake_pds *p = *state;
	struct dm_pds_lif *before = malloc(sizeof(*before));
	uint32_t size = state_size(p), at;
	uint8_t *blob = fake_at(&p->pf.f, PDS_PF_BLOB, BLOB_MAX);

	stop(p);
	assert_int_equal(blob_cmd(p, SAVE, size), 0);
	*before = p->model->lif;
	for (at = 0; at < size; at += 97) {
		blob[at] ^= 0x10;
		assert_int_not_equal(blob_cmd(p, RESTORE, BLOB_MAX), 0);
		blob[at] ^= 0x10;
	}
	assert_int_equal(blob_cmd(p, RESTORE, size / 2), 14);
	memset(blob + size / 2, 0, BLOB_MAX - size / 2);
	assert_int_equal(blob_cmd(p, RESTORE, BLOB_MAX), 14);
	assert_memory_equal(before, &p->model->lif, sizeof(*before));
	assert_int_equal(p->vf.dev.ops->fault(p->model, "blob-bytes=60000"), 0);
	assert_int_equal(state_size(p), 60000);
	assert_int_equal(blob_cmd(p, SAVE, 60000), 0);
	assert_int_equal(blob_cmd(p, RESTORE, 60000), 0);
	assert_int_equal(p->vf.dev.ops->fault(p->model, "blob-corrupt=1"), 0);
	assert_int_equal(blob_cmd(p, SAVE, 60000), 0);
	assert_int_equal(blob_cmd(p, RESTORE, BLOB_MAX), 14);
	free(before);
}

/* A field of the state, and a value that no card could have. */
#define LIF(field, bad) { offsetof(struct dm_pds_vf, lif) + offsetof(struct dm_pds_lif, field), \
	sizeof(((struct dm_pds_lif *)NULL)->field), bad }
#define REG(field, bad) { offsetof(struct dm_pds_vf, fn.regs.field), \
	sizeof(((struct dm_pds_regs *)NULL)->field), bad }

/* Catches: a state with a right checksum whose numbers lead outside of rings and tables. */
static void
test_hostile_state(void **state)
{
	static const struct {
		size_t offset, bytes;
		uint64_t bad;
	} fields[] = {
		LIF(rxq[0].head, 64), LIF(rxq[0].p_index, 64), LIF(txq[0].cq_head, 65535),
		LIF(rxq[0].size_lg2, 17), LIF(txq[0].size_lg2, 1), LIF(txq[0].vector, 2),
		LIF(rxq[0].pid, 2), LIF(txq[0].version, 4), LIF(rxq[0].color, 1),
		LIF(rxq[1].inited, 1), LIF(txq[5].enabled, 1), LIF(rss_table[127], 1),
		LIF(mtu, 67), LIF(mtu, 9235), LIF(features, UINT64_C(1) << 30), LIF(mac[0], 1),
		LIF(adminq.head, 16), LIF(adminq.p_index, 99), LIF(adminq.size_lg2, 20),
		LIF(adminq.vector, 2), LIF(notifyq.head, 64), LIF(notifyq.vector, 17),
		REG(cmd_waits, 2), REG(fw_status, 0xff), REG(intr[1].mask, 2),
		REG(intr[0].coal_init, 64),
	};
	struct fake_pds *p = *state;
	uint32_t size = state_size(p);
	uint8_t *vf = (uint8_t *)p->model;
	uint8_t before[8];
	unsigned int i;

	stop(p);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		memcpy(before, vf + fields[i].offset, fields[i].bytes);
		memcpy(vf + fields[i].offset, &fields[i].bad, fields[i].bytes);
		assert_int_equal(blob_cmd(p, SAVE, size), 0);
		memcpy(vf + fields[i].offset, before, fields[i].bytes);
		assert_int_equal(blob_cmd(p, RESTORE, BLOB_MAX), 14);
	}
	assert_int_equal(blob_cmd(p, SAVE, size), 0);
	assert_int_equal(blob_cmd(p, RESTORE, BLOB_MAX), 0);
}

static uint8_t
bitmap_cmd(struct fake_pds *p, uint8_t opcode, uint32_t off, uint32_t len)
{
	uint8_t body[24] = { 0 };

	put64(&p->pf.f, PDS_PF_SGL, PDS_PF_BITS);
	put32(&p->pf.f, PDS_PF_SGL + 8, 3);
	put64(&p->pf.f, PDS_PF_SGL + 16, PDS_PF_BITS + 3);
	put32(&p->pf.f, PDS_PF_SGL + 24, 0x10000);
	pds_put(body, 0, off, 4);
	pds_put(body, 4, len, 4);
	pds_put(body, 8, 2, 2);
	pds_put(body, 12, PDS_PF_SGL, 8);
	return pds_lm(p, opcode, body, NULL);
}

static void
enable_all(struct fake_pds *p, uint32_t pages)
{
	uint8_t body[24] = { 1, 1 };

	put64(&p->pf.f, PDS_PF_TABLE, PDS_RAM);
	put32(&p->pf.f, PDS_PF_TABLE + 8, pages);
	put32(&p->pf.f, PDS_PF_TABLE + 12, 12);
	pds_put(body, 4, PDS_PF_TABLE, 8);
	assert_int_equal(pds_lm(p, D_ENABLE, body, NULL), 0);
}

/* The self-check: every page whose bytes changed is dirty. Catches: a write past the tracker. */
static void
test_every_write_is_marked(void **state)
{
	struct fake_pds *p = *state;
	uint8_t *before = malloc(PDS_RAM_BYTES), *now = fake_at(&p->vf.f, PDS_RAM, PDS_RAM_BYTES);
	uint8_t nop[64] = { 0 };
	const uint8_t *bits = fake_at(&p->pf.f, PDS_PF_BITS, NB_PAGES / 8);
	unsigned int i, changed = 0, marked = 0;
	json_t *args = json_pack("{s:b}", "up", 0);
	const char *error;

	rx_post(p, 40);
	enable_all(p, NB_PAGES);
	for (i = 0; i < 30; i++) {
		memcpy(fake_at(&p->vf.f, BUF(100), 64), frame, 64);
		pds_tx_desc(p, 0, BUF(100), 64, 0, 0, 0, 0, 0);
	}
	memcpy(before, now, PDS_RAM_BYTES);
	pds_doorbell(p, 3, 0, p->tx[0].head);
	pds_poll(&p->vf);
	assert_int_equal(p->vf.dev.ops->control(p->model, "link", args, &error), 0);
	p->vf.f.now_ns += 2000000000;
	pds_poll(&p->vf);
	pds_wr(&p->vf, 0, 0x2000 + 8, 4, 1 | 0x30000); /* the event is taken */
	pds_admin(&p->vf, nop, NULL);
	assert_int_equal(bitmap_cmd(p, D_SEQ, 0, NB_PAGES / 8), 0);
	for (i = 0; i < NB_PAGES; i++) {
		marked += bits[i / 8] >> i % 8 & 1;
		if (memcmp(before + PAGE * i, now + PAGE * i, PAGE) == 0 ||
				PDS_RAM + PAGE * i == PDS_AQ) /* the command, by the CPU */
			continue;
		changed++;
		assert_true((bits[i / 8] >> i % 8 & 1) != 0);
	}
	assert_true(changed >= 30 + 5);
	assert_true(marked <= changed + 8);
	free(before);
	json_decref(args);
}

/* Catches: SEQ and ACK the wrong way round; marking twice that cleans; neighbours lost. */
static void
test_seq_ack(void **state)
{
	struct fake_pds *p = *state;
	struct dm_pds_dirty *d = &p->model->fn.dirty;
	uint8_t *bits = fake_at(&p->pf.f, PDS_PF_BITS, 64);

	enable_all(p, 100);
	assert_int_equal(get32(&p->pf.f, PDS_PF_TABLE + 8), 128); /* rounded up, in place */
	dm_pds_dirty_mark(d, PDS_RAM + 3 * PAGE + 10, 2 * PAGE);
	dm_pds_dirty_mark(d, PDS_RAM + 4 * PAGE, 1);
	assert_int_equal(bitmap_cmd(p, D_SEQ, 0, 16), 0);
	assert_int_equal(bits[0], 0x38);
	assert_int_equal(bitmap_cmd(p, D_ACK, 0, 1), 0);
	dm_pds_dirty_mark(d, PDS_RAM + 4 * PAGE, 1); /* dirty again: SEQ goes back */
	assert_int_equal(bitmap_cmd(p, D_SEQ, 0, 16), 0);
	assert_int_equal(bits[0], 0x28);
	dm_pds_dirty_mark(d, PDS_RAM + 4 * PAGE, 1);
	assert_int_equal(bitmap_cmd(p, D_SEQ, 0, 16), 0);
	assert_int_equal(bits[0], 0x28);
	assert_int_equal(bitmap_cmd(p, D_SEQ, 8, 9), 16);
	assert_int_equal(bitmap_cmd(p, D_ACK, 0xffffffff, 8), 16);
	assert_int_equal(pds_lm(p, D_DISABLE, NULL, NULL), 0);
	assert_int_equal(bitmap_cmd(p, D_SEQ, 0, 1), 16);
}

static void
test_dirty_regions(void **state)
{
	struct fake_pds *p = *state;
	uint8_t body[24] = { 1, 2 }, comp[16];
	unsigned int i;

	for (i = 0; i < 9; i++) {
		put64(&p->pf.f, PDS_PF_TABLE + 16 * i, 0x10000 * (i + 1));
		put32(&p->pf.f, PDS_PF_TABLE + 16 * i + 8, 10);
		put32(&p->pf.f, PDS_PF_TABLE + 16 * i + 12, 12);
	}
	pds_put(body, 4, PDS_PF_TABLE, 8);
	body[1] = 9;
	assert_int_equal(pds_lm(p, D_ENABLE, body, comp), 16);
	assert_int_equal(comp[4], 8); /* max_regions */
	assert_int_equal(pds_get(comp, 8, 4), 2);
	body[1] = 2;
	body[0] = 2;
	assert_int_equal(pds_lm(p, D_ENABLE, body, comp), 19);
	body[0] = 1;
	put64(&p->pf.f, PDS_PF_TABLE + 16, 0x19000);
	assert_int_equal(pds_lm(p, D_ENABLE, body, comp), 14); /* overlap */
	put64(&p->pf.f, PDS_PF_TABLE + 16, 0x20000);
	assert_int_equal(pds_lm(p, D_ENABLE, body, comp), 0);
	assert_int_equal(comp[5], 2);
	assert_int_equal(pds_lm(p, D_ENABLE, body, comp), 13);
	memset(body, 0, sizeof(body));
	body[0] = 8;
	pds_put(body, 4, PDS_PF_BLOB, 8);
	assert_int_equal(pds_lm(p, D_STATUS, body, comp), 0);
	assert_int_equal(get32(&p->pf.f, PDS_PF_BLOB + 16), 0x20000);
	assert_int_equal(get32(&p->pf.f, PDS_PF_BLOB + 24), 64);
	assert_int_equal(pds_lm(p, D_DISABLE, NULL, comp), 0);
	assert_int_equal(comp[5], 0);
	assert_int_equal(p->pf.dev.ops->fault(p->pf.dev.dev, "lm-status=34:11"), 0);
	assert_int_equal(pds_lm(p, D_DISABLE, NULL, comp), 11);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_suspended_is_quiet),
		T(test_reset),
		T(test_order),
		T(test_move),
		T(test_move_devcmd),
		T(test_bad_blob),
		T(test_hostile_state),
		T(test_every_write_is_marked),
		T(test_seq_ack),
		T(test_dirty_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
