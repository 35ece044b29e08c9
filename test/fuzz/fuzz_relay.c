/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The relay between a guest and a device that both write what they like. Input: operations of one
 * byte with arguments. What the device can see is checked after each: every descriptor published
 * must lie in guest memory or in the shadow area, and chains must end.
 */

#include <stdlib.h>
#include <string.h>

#include "lm_imap.h"
#include "lm_vhost_log.h"
#include "virtio_ring_if.h"
#include "virtio_vdpa_relay.h"

#define N 8u
#define RAM_BYTES 0x4000u
#define SPLIT_AT 0x2800u /* two regions that do not adjoin in guest-physical space */
#define GPA_LOW 0x10000ull
#define GPA_HIGH 0x100000ull
#define SHADOW_IOVA 0x800000000000ull
#define DESC_OFF 0x0u
#define AVAIL_OFF 0x100u
#define USED_OFF 0x200u
#define PACKED 8 /* in the flags of a relay's start */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bed {
	const uint8_t *in;
	size_t left;
	uint8_t *ram;
	uint8_t *shadow;
	size_t shadow_bytes;
	struct lm_imap *imap;
	struct lm_vhost_log *log;
	struct virtio_vdpa_relay *relay;
	uint16_t checked; /* shadow available index */
	bool packed;
	uint32_t slot;    /* packed: the guest's next, counted without end */
};

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static uint32_t
take(struct bed *b, unsigned int bytes)
{
	uint32_t v = 0;

	for (; bytes != 0 && b->left != 0; bytes--, b->left--)
		v = v << 8 | *b->in++;
	return v;
}

static bool
inside(uint64_t addr, uint64_t len, uint64_t begin, uint64_t bytes)
{
	return addr >= begin && len <= bytes && addr - begin <= bytes - len;
}

static void
check_chain(struct bed *b, const struct lm_vring_desc *table, uint32_t nb, uint32_t i, bool nested)
{
	const struct lm_vring_desc *d;
	uint32_t steps;

	for (steps = 0;; steps++) {
		must(steps < nb && i < nb);
		d = &table[i];
		if ((d->flags & LM_VRING_DESC_F_INDIRECT) != 0) {
			must(!nested && inside(d->addr, d->len, SHADOW_IOVA, b->shadow_bytes));
			check_chain(b, (struct lm_vring_desc *)(b->shadow +
					(d->addr - SHADOW_IOVA)),
					d->len / (uint32_t)sizeof(*d), 0, true);
		} else {
			must(d->len != 0);
			must(inside(d->addr, d->len, GPA_LOW, SPLIT_AT) ||
					inside(d->addr, d->len, GPA_HIGH, RAM_BYTES - SPLIT_AT) ||
					inside(d->addr, d->len, SHADOW_IOVA, b->shadow_bytes));
		}
		if ((d->flags & LM_VRING_DESC_F_NEXT) == 0)
			break;
		i = d->next;
	}
}

static void
check_published(struct bed *b)
{
	uint64_t desc, avail, used;
	struct lm_vring_avail *ring;

	virtio_vdpa_relay_device_ring(b->relay, &desc, &avail, &used);
	ring = (struct lm_vring_avail *)(b->shadow + (avail - SHADOW_IOVA));
	must((uint16_t)(ring->idx - b->checked) <= N);
	for (; b->checked != ring->idx; b->checked++)
		check_chain(b, (struct lm_vring_desc *)(b->shadow + (desc - SHADOW_IOVA)), N,
				ring->ring[b->checked % N], false);
}

static void
start(struct bed *b, uint16_t base, uint8_t flags)
{
	struct virtio_vdpa_relay_conf conf = {
		.desc = b->ram + DESC_OFF, .avail = b->ram + AVAIL_OFF, .used = b->ram + USED_OFF,
		.desc_gpa = GPA_LOW + DESC_OFF, .used_gpa = GPA_LOW + USED_OFF,
		.size = flags & PACKED ? N - 1 : N, .base = base, .packed = flags & PACKED,
		.in_order = flags & 16,
		.event_idx = flags & 1, .indirect = flags & 2, .log_full = flags & 4,
		.mem = b->imap, .log = b->log, .shadow_iova = SHADOW_IOVA,
	};

	memset(b->shadow, 0, b->shadow_bytes);
	conf.shadow = b->shadow;
	must(virtio_vdpa_relay_create(&conf, &b->relay) == 0);
	virtio_vdpa_relay_set_log(b->relay, true);
	b->checked = 0;
	b->packed = (flags & PACKED) != 0;
	b->slot = (base & 0x7fffu) + (base >> 15 != 0 ? 0 : N - 1);
}

/* A chain of plausible shape, so that the fuzzer reaches what lies behind the checks. */
static void
guest_chain(struct bed *b)
{
	struct lm_vring_desc *d = (struct lm_vring_desc *)(b->ram + DESC_OFF);
	struct lm_vring_avail *avail = (struct lm_vring_avail *)(b->ram + AVAIL_OFF);
	uint32_t i = take(b, 1) % N;

	d[i] = (struct lm_vring_desc){ GPA_LOW + 0x400 + take(b, 2) % SPLIT_AT, take(b, 1),
			(uint16_t)(take(b, 1) & 7), (uint16_t)(take(b, 1) % (N + 1)) };
	if ((d[i].flags & LM_VRING_DESC_F_INDIRECT) != 0)
		d[i].len = take(b, 1) % 9 * 16;
	avail->ring[avail->idx % N] = (uint16_t)i;
	avail->idx++;
}

static void
guest_chain_packed(struct bed *b)
{
	struct lm_vring_packed_desc *ring = (struct lm_vring_packed_desc *)(b->ram + DESC_OFF);
	uint32_t size = N - 1;
	bool wrap = b->slot / size % 2 == 0;
	struct lm_vring_packed_desc d = { GPA_LOW + 0x400 + take(b, 2) % SPLIT_AT, take(b, 1),
			(uint16_t)take(b, 1), (uint16_t)(take(b, 1) & 7) };

	if ((d.flags & LM_VRING_DESC_F_INDIRECT) != 0)
		d.len = take(b, 1) % 9 * 16;
	d.flags |= wrap ? LM_VRING_PACKED_F_AVAIL : LM_VRING_PACKED_F_USED;
	ring[b->slot++ % size] = d;
}

static void
device_use(struct bed *b)
{
	uint64_t desc, avail, used;
	struct lm_vring_used *ring;

	virtio_vdpa_relay_device_ring(b->relay, &desc, &avail, &used);
	ring = (struct lm_vring_used *)(b->shadow + (used - SHADOW_IOVA));
	ring->ring[ring->idx % N] = (struct lm_vring_used_elem){ take(b, 1) % (N + 1), take(b, 2) };
	ring->idx += (uint16_t)(1 + (take(b, 1) > 250));
}

static void
step(struct bed *b)
{
	uint32_t op = take(b, 1), off;
	uint16_t base;

	switch (op % 10) {
	case 0:
	case 1:
		if (b->packed)
			guest_chain_packed(b);
		else
			guest_chain(b);
		break;
	case 2:
		virtio_vdpa_relay_avail_burst(b->relay, 1 + op / 10);
		virtio_vdpa_relay_need_kick(b->relay);
		check_published(b);
		break;
	case 3:
		device_use(b);
		break;
	case 4:
		virtio_vdpa_relay_used_burst(b->relay, 1 + op / 10);
		virtio_vdpa_relay_need_call(b->relay);
		break;
	case 5: /* the guest writes anywhere in its memory */
		off = take(b, 2) % (RAM_BYTES - 4);
		memcpy(b->ram + off, &(uint32_t){ take(b, 4) }, 4);
		break;
	case 6:
		off = take(b, 1) % 0x260;
		b->ram[off] = (uint8_t)take(b, 1);
		break;
	case 7:
		virtio_vdpa_relay_hold(b->relay, (op / 10 & 1) != 0);
		if (!virtio_vdpa_relay_sleep(b->relay))
			virtio_vdpa_relay_wake(b->relay);
		break;
	case 8:
		virtio_vdpa_relay_inject(b->relay, SHADOW_IOVA, 72);
		check_published(b);
		break;
	case 9:
		base = (op / 10 & 4) != 0 ? virtio_vdpa_relay_give_up(b->relay) :
			virtio_vdpa_relay_quiesce(b->relay);
		must(virtio_vdpa_relay_avail_burst(b->relay, N) == 0);
		must(virtio_vdpa_relay_used_burst(b->relay, N) == 0);
		virtio_vdpa_relay_destroy(b->relay);
		/* A base of one format may be none of the other. */
		start(b, b->packed && (op / 10 & PACKED) == 0 ? base & 0x7fffu :
			!b->packed && (op / 10 & PACKED) != 0 ? base % (N - 1) : base,
			(uint8_t)(op / 10));
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bed b = { .in = data, .left = size };
	struct lm_interval iv[2];
	uint16_t outstanding[N];
	unsigned int holes;
	uint8_t flags;
	int nb;

	b.ram = calloc(1, RAM_BYTES);
	b.shadow_bytes = virtio_vdpa_relay_shadow_size(N);
	b.shadow = calloc(1, b.shadow_bytes);
	iv[0] = (struct lm_interval){ GPA_LOW, (uintptr_t)b.ram, SPLIT_AT };
	iv[1] = (struct lm_interval){ GPA_HIGH, (uintptr_t)b.ram + SPLIT_AT, RAM_BYTES - SPLIT_AT };
	must(lm_imap_create(iv, 2, &b.imap) == 0);
	must(lm_vhost_log_create(GPA_HIGH + RAM_BYTES, &b.log) == 0);
	flags = (uint8_t)take(&b, 1);
	start(&b, 0, flags);
	while (b.left != 0)
		step(&b);
	nb = virtio_vdpa_ring_outstanding(b.ram + AVAIL_OFF, b.ram + USED_OFF, N, outstanding,
			&holes);
	must(nb <= (int)N);
	virtio_vdpa_relay_quiesce(b.relay);
	virtio_vdpa_relay_destroy(b.relay);
	lm_vhost_log_destroy(b.log);
	lm_imap_destroy(b.imap);
	free(b.ram);
	free(b.shadow);
	return 0;
}
