/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "uml_function.h"
#include "uml_pcidev_if.h"

#define CONFIG_BYTES 4096u
#define DEADLINE_MS 20000

static int
uml_function_config(struct uml_function *f, uint32_t offset, void *value, uint32_t len_bytes)
{
	return lm_vu_client_region_read(f->client, LM_VU_REGION_CONFIG, offset, value, len_bytes);
}

/* Where the vectors are. A function without MSI-X has none. */
static int
uml_function_find_msix(struct uml_function *f)
{
	uint16_t control;
	uint8_t at, head[2];
	uint32_t where;
	unsigned int n;
	int ret;

	ret = uml_function_config(f, PCI_CAPABILITY_LIST, &at, 1);
	for (n = 0; ret == 0 && at >= PCI_STD_HEADER_SIZEOF && n < 48; n++) {
		ret = uml_function_config(f, at, head, sizeof(head));
		if (ret != 0 || head[0] == PCI_CAP_ID_MSIX)
			break;
		at = head[1];
	}
	if (ret != 0 || at < PCI_STD_HEADER_SIZEOF || n == 48)
		return ret;
	ret = uml_function_config(f, at + PCI_MSIX_FLAGS, &control, sizeof(control));
	if (ret == 0)
		ret = uml_function_config(f, at + PCI_MSIX_TABLE, &where, sizeof(where));
	if (ret != 0)
		return ret;
	f->nb_vectors = (control & PCI_MSIX_FLAGS_QSIZE) + 1u;
	f->table_bar = where & PCI_MSIX_TABLE_BIR;
	f->table_offset = where & PCI_MSIX_TABLE_OFFSET;
	return f->nb_vectors <= UML_MAX_VECTORS ? 0 : -E2BIG;
}

static int
uml_function_bind(struct uml_function *f)
{
	uint32_t i;

	for (i = 0; i < f->nb_vectors; i++) {
		f->vector_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (f->vector_fds[i] < 0)
			return -errno;
	}
	return f->nb_vectors == 0 ? 0 : lm_vu_client_set_irqs(f->client, LM_VU_IRQ_MSIX, 0,
			f->nb_vectors, f->vector_fds);
}

int
uml_function_open(struct uml_function *f, const char *device_path, bool virtual_function)
{
	static const struct lm_vu_client_conf conf = { .timeout_ms = DEADLINE_MS };
	unsigned int i;
	int ret;

	memset(f, 0, sizeof(*f));
	uml_vhost_init(&f->vhost, -1);
	for (i = 0; i < UML_MAX_VECTORS; i++)
		f->vector_fds[i] = -1;
	f->virtual_function = virtual_function;
	ret = lm_vu_client_connect(device_path, &conf, &f->client);
	if (ret == 0)
		ret = uml_function_find_msix(f);
	if (ret == 0)
		ret = uml_function_bind(f);
	return ret;
}

void
uml_function_close(struct uml_function *f)
{
	unsigned int i;

	lm_vu_client_close(f->client);
	f->client = NULL;
	uml_vhost_close(&f->vhost);
	for (i = 0; i < UML_MAX_VECTORS; i++)
		if (f->vector_fds[i] >= 0)
			close(f->vector_fds[i]);
}

int
uml_function_map(struct uml_function *f)
{
	const struct uml_memory_region *r = f->vhost.memory.regions;
	uint32_t i;
	int ret;

	f->vhost.memory_changed = false;
	ret = lm_vu_client_dma_unmap_all(f->client);
	for (i = 0; i < f->vhost.memory.nb_regions && ret == 0; i++)
		ret = lm_vu_client_dma_map(f->client, r[i].at.guest_addr, r[i].at.size_bytes,
				r[i].fd, r[i].at.mmap_offset, LM_VU_PROT_READ | LM_VU_PROT_WRITE);
	return ret;
}

static void
uml_function_hide(uint64_t addr, uint8_t *value, uint32_t len_bytes)
{
	uint64_t at;

	for (at = addr; at < addr + len_bytes; at++) {
		if (at < PCI_COMMAND)
			value[at - addr] = 0xff;
		else if (at >= PCI_BASE_ADDRESS_0 && at < PCI_CARDBUS_CIS)
			value[at - addr] = 0;
	}
}

static int
uml_function_read(struct uml_function *f, uint32_t region, uint64_t addr, struct iovec *into,
		uint32_t len_bytes)
{
	int ret;

	if (into->iov_len < len_bytes)
		return -EPROTO;
	f->stats.reads++;
	ret = lm_vu_client_region_read(f->client, region, addr, into->iov_base, len_bytes);
	if (ret != 0)
		memset(into->iov_base, 0xff, len_bytes);
	else if (region == LM_VU_REGION_CONFIG && f->virtual_function)
		uml_function_hide(addr, into->iov_base, len_bytes);
	return ret;
}

/* Remember what the driver puts into the table of vectors; the server has it too. */
static void
uml_function_snoop(struct uml_function *f, uint32_t region, uint64_t addr, const uint8_t *value,
		uint32_t len_bytes)
{
	uint32_t i;

	if (region != f->table_bar || f->nb_vectors == 0)
		return;
	for (i = 0; i < len_bytes; i++)
		if (addr + i >= f->table_offset &&
				addr + i - f->table_offset < f->nb_vectors * 16u)
			f->table[addr + i - f->table_offset] = value[i];
}

static int
uml_function_write(struct uml_function *f, uint32_t region, uint64_t addr, const uint8_t *value,
		uint32_t len_bytes)
{
	f->stats.writes++;
	uml_function_snoop(f, region, addr, value, len_bytes);
	return lm_vu_client_region_write(f->client, region, addr, value, len_bytes);
}

/* The connection's end is not to be survived; a refused access is: a bus says all ones. */
static int
uml_function_result(struct uml_function *f, const struct uml_pcidev_msg *msg, int ret)
{
	if (ret == 0 || ret == -EPROTO)
		return ret;
	if (!lm_vu_client_alive(f->client))
		return ret;
	if (f->stats.refused++ == 0)
		fprintf(stderr, "refused: operation %u, BAR %u, address 0x%llx, %u bytes: %s\n",
				msg->op, msg->bar, (unsigned long long)msg->addr, msg->size,
				strerror(-ret));
	return 0;
}

/* @return bytes stored for the driver, -errno. */
static int
uml_function_access(struct uml_function *f, const struct uml_pcidev_msg *msg, uint32_t data_bytes,
		struct uml_chain *chain)
{
	const bool config = msg->op == UML_PCIDEV_OP_CFG_READ || msg->op == UML_PCIDEV_OP_CFG_WRITE;
	const uint32_t region = config ? LM_VU_REGION_CONFIG : msg->bar;
	struct iovec *into = chain->nb_in == 1 ? &chain->iovs[chain->nb_out] : NULL;
	int ret;

	if (msg->size == 0 || msg->size > UML_MAX_DATA || region > LM_VU_REGION_CONFIG)
		return -EPROTO;
	switch (msg->op) {
	case UML_PCIDEV_OP_CFG_READ:
	case UML_PCIDEV_OP_MMIO_READ:
		if (into == NULL)
			return -EPROTO;
		ret = uml_function_read(f, region, msg->addr, into, msg->size);
		ret = uml_function_result(f, msg, ret);
		return ret == 0 ? (int)msg->size : ret;
	case UML_PCIDEV_OP_MMIO_MEMSET:
		if (data_bytes == 0)
			return -EPROTO;
		memset(f->data, f->data[0], msg->size);
		break;
	case UML_PCIDEV_OP_CFG_WRITE:
	case UML_PCIDEV_OP_MMIO_WRITE:
		if (data_bytes < msg->size)
			return -EPROTO;
		break;
	default:
		return -EPROTO;
	}
	ret = uml_function_write(f, region, msg->addr, f->data, msg->size);
	return uml_function_result(f, msg, ret);
}

/* The readable buffers, as one: the header, then data. */
static int
uml_function_gather(struct uml_function *f, const struct uml_chain *chain,
		struct uml_pcidev_msg *msg, uint32_t *data_bytes)
{
	const uint8_t *from;
	size_t skip = 0;
	unsigned int i;

	*data_bytes = 0;
	if (chain->nb_out == 0 || chain->iovs[0].iov_len < sizeof(*msg))
		return -EPROTO;
	memcpy(msg, chain->iovs[0].iov_base, sizeof(*msg));
	skip = sizeof(*msg);
	for (i = 0; i < chain->nb_out; i++, skip = 0) {
		from = (const uint8_t *)chain->iovs[i].iov_base + skip;
		if (chain->iovs[i].iov_len - skip > UML_MAX_DATA - *data_bytes)
			return -EPROTO;
		memcpy(f->data + *data_bytes, from, chain->iovs[i].iov_len - skip);
		*data_bytes += (uint32_t)(chain->iovs[i].iov_len - skip);
	}
	return 0;
}

int
uml_function_commands(struct uml_function *f)
{
	struct uml_ring *ring = &f->vhost.rings[UML_VHOST_CMD];
	struct uml_pcidev_msg msg;
	struct uml_chain chain;
	uint32_t data_bytes;
	int ret;

	while ((ret = uml_ring_pop(ring, &f->vhost.memory, &chain)) > 0) {
		ret = uml_function_gather(f, &chain, &msg, &data_bytes);
		if (ret == 0)
			ret = uml_function_access(f, &msg, data_bytes, &chain);
		if (ret >= 0)
			ret = uml_ring_push(ring, &f->vhost.memory, &chain, (uint32_t)ret);
		if (ret < 0)
			return ret;
	}
	return ret;
}

/* @return 1: delivered; 0: no room; -errno. */
static int
uml_function_fire(struct uml_function *f, uint32_t vector)
{
	struct uml_ring *ring = &f->vhost.rings[UML_VHOST_IRQ];
	struct uml_pcidev_msg msg = { .op = UML_PCIDEV_OP_MSI, .size = sizeof(uint32_t) };
	const uint8_t *data = &f->table[vector * 16 + PCI_MSIX_ENTRY_DATA];
	struct uml_chain chain;
	int ret;

	ret = uml_ring_pop(ring, &f->vhost.memory, &chain);
	if (ret <= 0)
		return ret;
	if (chain.nb_out != 0 || chain.iovs[0].iov_len < sizeof(msg) + msg.size)
		return -EPROTO;
	memcpy(chain.iovs[0].iov_base, &msg, sizeof(msg));
	memcpy((uint8_t *)chain.iovs[0].iov_base + sizeof(msg), data, msg.size);
	ret = uml_ring_push(ring, &f->vhost.memory, &chain, (uint32_t)sizeof(msg) + msg.size);
	if (ret == 0)
		f->stats.interrupts++;
	return ret == 0 ? 1 : ret;
}

int
uml_function_interrupts(struct uml_function *f)
{
	static const uint8_t never[16];
	uint64_t count;
	uint32_t i;
	int ret;

	for (i = 0; i < f->nb_vectors; i++) {
		if (read(f->vector_fds[i], &count, sizeof(count)) == (ssize_t)sizeof(count))
			f->pending[i] = true;
		if (!f->pending[i])
			continue;
		if (memcmp(&f->table[i * 16], never, sizeof(never)) == 0) {
			f->stats.unwanted++;
			f->pending[i] = false;
			continue;
		}
		ret = uml_function_fire(f, i);
		if (ret < 0)
			return ret;
		if (ret > 0)
			f->pending[i] = false;
	}
	return 0;
}
