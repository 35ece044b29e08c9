/* SPDX-License-Identifier: BSD-3-Clause */

/* The driver's own control queue: one command at a time, polled (VIRTIO 1.3, 5.1.6.5). */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lm_virtio_priv.h"
#include "virtio_net_if.h"
#include "virtio_ring_if.h"

#define CVQ_SIZE 16
#define CVQ_MIN_SIZE 4 /* header, data, acknowledgement */
#define CVQ_DATA_MAX 4096u
#define ACK_NOTHING 0xa5 /* neither OK nor ERR */

/* All of the queue's memory; the device writes to its areas and ack at any time. */
struct cvq_mem {
	union {
		struct lm_vring_desc desc[CVQ_SIZE];
		struct lm_vring_packed_desc packed[CVQ_SIZE];
	};
	union {
		struct {
			lm_le16_t flags;
			lm_le16_t idx;
			lm_le16_t ring[CVQ_SIZE];
			lm_le16_t used_event;
		} avail;
		struct lm_vring_packed_event driver_event;
	};
	_Alignas(LM_VRING_USED_ALIGN) union {
		struct {
			lm_le16_t flags;
			lm_le16_t idx;
			struct lm_vring_used_elem ring[CVQ_SIZE];
			lm_le16_t avail_event;
		} used;
		struct lm_vring_packed_event device_event;
	};
	struct lm_virtio_net_ctrl_hdr hdr;
	uint8_t ack;
	_Alignas(64) uint8_t data[CVQ_DATA_MAX];
};

struct lm_virtio_cvq {
	struct lm_virtio_dev *dev;
	struct lm_pci_mem mem;
	uint16_t queue;
	uint16_t size;
	bool packed;
	bool wrap;         /* packed: counter at next */
	uint16_t next;     /* split: available index; packed: descriptor of the next command */
	uint16_t posted;   /* packed: descriptors of the command that is out */
	bool ready;        /* programmed, and no command is stuck in it */
};

static struct cvq_mem *
mem_of(struct lm_virtio_cvq *cvq)
{
	return cvq->mem.vaddr;
}

static uint64_t
iova_of(const struct lm_virtio_cvq *cvq, size_t offset)
{
	return cvq->mem.iova + offset;
}

int
lm_virtio_cvq_setup(struct lm_virtio_cvq *cvq)
{
	struct lm_virtio_queue_conf conf = {
		.vector = LM_VIRTIO_MSI_NO_VECTOR,
		.desc_iova = iova_of(cvq, offsetof(struct cvq_mem, desc)),
		.driver_iova = iova_of(cvq, offsetof(struct cvq_mem, avail)),
		.device_iova = iova_of(cvq, offsetof(struct cvq_mem, used)),
	};
	uint16_t max;
	int ret;

	cvq->ready = false;
	ret = lm_virtio_queue_max(cvq->dev, cvq->queue, &max);
	if (ret != 0)
		return ret;
	if (max < CVQ_MIN_SIZE)
		return lm_pci_fail(cvq->dev->pci, -ENOTSUP, "control queue of %u entries", max);
	cvq->size = max < CVQ_SIZE ? max : CVQ_SIZE;
	cvq->next = 0;
	cvq->wrap = true;
	cvq->packed = lm_virtio_has(cvq->dev, LM_VIRTIO_F_RING_PACKED);
	memset(mem_of(cvq), 0, sizeof(struct cvq_mem));
	if (cvq->packed)
		mem_of(cvq)->driver_event.flags = LM_VRING_PACKED_EVENT_F_DISABLE;
	else
		mem_of(cvq)->avail.flags = LM_VRING_AVAIL_F_NO_INTERRUPT;
	conf.size = cvq->size;
	ret = lm_virtio_queue_setup(cvq->dev, cvq->queue, &conf);
	cvq->ready = ret == 0;
	return ret;
}

int
lm_virtio_cvq_create(struct lm_virtio_dev *dev, uint16_t queue, struct lm_virtio_cvq **out)
{
	struct lm_virtio_cvq *cvq;
	int ret;

	cvq = calloc(1, sizeof(*cvq));
	if (cvq == NULL)
		return lm_pci_fail(dev->pci, -ENOMEM, "no memory");
	cvq->dev = dev;
	cvq->queue = queue;
	ret = lm_pci_mem_alloc(dev->pci, sizeof(struct cvq_mem), &cvq->mem);
	if (ret == 0)
		ret = lm_virtio_cvq_setup(cvq);
	if (ret != 0) {
		lm_virtio_cvq_destroy(cvq);
		return ret;
	}
	*out = cvq;
	return 0;
}

void
lm_virtio_cvq_destroy(struct lm_virtio_cvq *cvq)
{
	if (cvq == NULL)
		return;
	lm_pci_mem_free(cvq->dev->pci, &cvq->mem);
	free(cvq);
}

/* Header, data if any, acknowledgement. @return their number. */
static uint16_t
command_parts(const struct lm_virtio_cvq *cvq, uint32_t len, struct lm_vring_desc part[3])
{
	uint16_t last = len > 0 ? 2 : 1;

	part[0] = (struct lm_vring_desc){
		.addr = iova_of(cvq, offsetof(struct cvq_mem, hdr)),
		.len = sizeof(struct lm_virtio_net_ctrl_hdr),
		.flags = LM_VRING_DESC_F_NEXT,
		.next = 1,
	};
	part[1] = (struct lm_vring_desc){
		.addr = iova_of(cvq, offsetof(struct cvq_mem, data)),
		.len = len,
		.flags = LM_VRING_DESC_F_NEXT,
		.next = 2,
	};
	part[last] = (struct lm_vring_desc){
		.addr = iova_of(cvq, offsetof(struct cvq_mem, ack)),
		.len = 1,
		.flags = LM_VRING_DESC_F_WRITE,
	};
	return last + 1;
}

static void
post_split(struct lm_virtio_cvq *cvq, const struct lm_vring_desc *part, uint16_t nb)
{
	struct cvq_mem *mem = mem_of(cvq);

	memcpy(mem->desc, part, nb * sizeof(*part));
	mem->avail.ring[cvq->next % cvq->size] = 0;
	lm_vring_store_release(&mem->avail.idx, ++cvq->next);
}

/* 2.8.21: the first descriptor's flags make the list available. The buffer's id is 0. */
static void
post_packed(struct lm_virtio_cvq *cvq, const struct lm_vring_desc *part, uint16_t nb)
{
	struct cvq_mem *mem = mem_of(cvq);
	uint16_t first_flags = 0, flags, at = cvq->next;
	bool wrap = cvq->wrap;
	uint16_t i;

	for (i = 0; i < nb; i++) {
		flags = part[i].flags | (wrap ? LM_VRING_PACKED_F_AVAIL : LM_VRING_PACKED_F_USED);
		mem->packed[at].addr = part[i].addr;
		mem->packed[at].len = part[i].len;
		mem->packed[at].id = 0;
		if (i == 0)
			first_flags = flags;
		else
			mem->packed[at].flags = flags;
		if (++at == cvq->size) {
			at = 0;
			wrap = !wrap;
		}
	}
	cvq->posted = nb;
	lm_vring_store_release(&mem->packed[cvq->next].flags, first_flags);
}

static void
post(struct lm_virtio_cvq *cvq, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	struct cvq_mem *mem = mem_of(cvq);
	struct lm_vring_desc part[3];
	uint16_t nb;

	mem->hdr = (struct lm_virtio_net_ctrl_hdr){ .class = class, .cmd = cmd };
	mem->ack = ACK_NOTHING;
	if (len > 0)
		memcpy(mem->data, data, len);
	nb = command_parts(cvq, len, part);
	if (cvq->packed)
		post_packed(cvq, part, nb);
	else
		post_split(cvq, part, nb);
	lm_virtio_notify(cvq->dev, cvq->queue);
}

/* Has the one command that is out come back? @return 1, 0, -EPROTO. */
static int
used_split(const struct lm_virtio_cvq *cvq, struct lm_vring_used_elem *elem)
{
	const struct cvq_mem *mem = cvq->mem.vaddr;
	uint16_t idx = lm_vring_load_acquire(&mem->used.idx);
	const volatile struct lm_vring_used_elem *used =
			&mem->used.ring[(uint16_t)(cvq->next - 1) % cvq->size];

	if (idx == (uint16_t)(cvq->next - 1))
		return 0;
	if (idx != cvq->next)
		return lm_pci_fail(cvq->dev->pci, -EPROTO, "control queue: used index %u for %u",
				idx, cvq->next);
	elem->id = used->id;
	elem->len = used->len;
	return 1;
}

static int
used_packed(struct lm_virtio_cvq *cvq, struct lm_vring_used_elem *elem)
{
	const volatile struct lm_vring_packed_desc *used = &mem_of(cvq)->packed[cvq->next];
	uint16_t flags = lm_vring_load_acquire(&mem_of(cvq)->packed[cvq->next].flags);

	if (!lm_vring_packed_is_used(flags, cvq->wrap))
		return 0;
	elem->id = used->id;
	elem->len = used->len; /* whether WRITE is set or not: QEMU never sets it */
	cvq->next += cvq->posted;
	if (cvq->next >= cvq->size) {
		cvq->next -= cvq->size;
		cvq->wrap = !cvq->wrap;
	}
	return 1;
}

/* The device's answer to the one command that is out. */
static int
collect(struct lm_virtio_cvq *cvq, const struct lm_vring_used_elem *elem)
{
	const struct cvq_mem *mem = mem_of(cvq);
	uint8_t ack = *(const volatile uint8_t *)&mem->ack;

	if (elem->id != 0 || elem->len != sizeof(mem->ack))
		return lm_pci_fail(cvq->dev->pci, -EPROTO, "control queue: used id %u, %u bytes",
				elem->id, elem->len);
	if (ack == LM_VIRTIO_NET_OK)
		return 0;
	if (ack == LM_VIRTIO_NET_ERR)
		return lm_pci_fail(cvq->dev->pci, -EIO, "control command %u/%u: the device says no",
				mem->hdr.class, mem->hdr.cmd);
	return lm_pci_fail(cvq->dev->pci, -EPROTO, "control command %u/%u: answer 0x%02x",
			mem->hdr.class, mem->hdr.cmd, ack);
}

int
lm_virtio_cvq_cmd(struct lm_virtio_cvq *cvq, uint8_t class, uint8_t cmd, const void *data,
		uint32_t len, uint64_t timeout_us)
{
	struct lm_vring_used_elem elem = { 0 };
	struct lm_virtio_wait wait;
	int ret;

	if (len > CVQ_DATA_MAX)
		return lm_pci_fail(cvq->dev->pci, -EMSGSIZE, "control command of %u bytes", len);
	if (!cvq->ready || (cvq->dev->status & LM_VIRTIO_STATUS_DRIVER_OK) == 0)
		return lm_pci_fail(cvq->dev->pci, -EINVAL, "control command %u/%u: the queue is "
				"not running", class, cmd);
	post(cvq, class, cmd, data, len);
	lm_virtio_wait_start(&wait, timeout_us);
	do {
		ret = cvq->packed ? used_packed(cvq, &elem) : used_split(cvq, &elem);
		if (ret == 0)
			continue;
		if (ret > 0)
			ret = collect(cvq, &elem);
		/* After nonsense the device's place in the ring is unknown. */
		cvq->ready = ret != -EPROTO;
		return ret;
	} while (lm_virtio_wait_turn(&wait));
	/* The command may still be carried out: its memory is the device's until a reset. */
	cvq->ready = false;
	return lm_pci_fail(cvq->dev->pci, -ETIMEDOUT, "control command %u/%u: no answer in %"
			PRIu64 " us", class, cmd, timeout_us);
}
