/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Runs inside a guest: drives a virtio-net function that the guest's kernel gives through VFIO and
 * an IOMMU. So the kernel back end of lib/pciaccess is judged by a kernel, and the virtio
 * transport by QEMU's device. The network peer outside answers each frame with its bytes inverted.
 *
 *   vfio-oracle BDF refused   expect that opening fails, and say why
 *   vfio-oracle BDF group     open it without EAL, by its group: memory, no migration
 *   vfio-oracle BDF cdev      the same by its character device, and say what the IOMMU tracks
 *   vfio-oracle BDF           run it all; the last line is "passed" or "failed: WHAT"
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_pci.h>

#include <bus_pci_driver.h>

#include "lm_pci_eal.h"
#include "lm_pci_iommu.h"
#include "lm_pci_kernel.h"
#include "lm_pci_mig.h"
#include "lm_virtio.h"
#include "virtio_net_if.h"
#include "virtio_pci_if.h"
#include "virtio_ring_if.h"

#define TIMEOUT_US 5000000u
#define WAIT_MS 10000
#define RING 64
#define RX 0
#define TX 1
#define CVQ 2
#define VM_IOVA (UINT64_C(5) << 30) /* where a guest of ours would have memory */
#define VM_BYTES (UINT64_C(2) << 20)
#define FRAME_BYTES 200u
#define FEATURES (LM_VIRTIO_BIT(LM_VIRTIO_F_VERSION_1) | LM_VIRTIO_BIT(LM_VIRTIO_F_RING_RESET) | \
		LM_VIRTIO_BIT(LM_VIRTIO_F_ACCESS_PLATFORM) | \
		LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MAC) | LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_VQ) | \
		LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_RX))

static struct lm_pci *pci;
static struct lm_virtio_dev *dev;
static int vm_fd;
static uint8_t *vm;

static void
fail(const char *what)
{
	printf("failed: %s (%s)\n", what, lm_pci_strerror(pci));
	fflush(stdout);
	_exit(1);
}

#define MUST(call) do { \
	int ret_ = (call); \
	if (ret_ != 0) { \
		printf("%d\n", ret_); \
		fail(#call); \
	} \
} while (0)
#define CHECK(what) do { \
	if (!(what)) \
		fail(#what); \
} while (0)

static int
probe(struct rte_pci_driver *driver, struct rte_pci_device *pci_dev)
{
	(void)driver;
	return lm_pci_open_eal(pci_dev, NULL, &pci);
}

static int
forget(struct rte_pci_device *pci_dev)
{
	(void)pci_dev;
	return 0;
}

static const struct rte_pci_id ids[] = {
	{ RTE_PCI_DEVICE(LM_VIRTIO_PCI_VENDOR_ID, LM_VIRTIO_PCI_DEVICE_ID_MODERN + 1) },
	{ .vendor_id = 0 },
};

static struct rte_pci_driver oracle_driver = {
	.id_table = ids,
	.probe = probe,
	.remove = forget,
};

RTE_PMD_REGISTER_PCI(vfio_oracle, oracle_driver);

/* EAL gives up when no device is left. */
static int
start_eal(char *name, char *addr)
{
	char *argv[] = { name, (char *)(uintptr_t)"--no-huge", (char *)(uintptr_t)"-m",
		(char *)(uintptr_t)"64", (char *)(uintptr_t)"--no-telemetry",
		(char *)(uintptr_t)"-a", addr, NULL };

	return rte_eal_init(7, argv);
}

/* A split ring and its buffers, in the memory of "our VM". */
struct ring {
	struct lm_vring_desc *desc;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	uint8_t *buffers;
	uint64_t base; /* offset in the VM's memory */
	int eventfd;
};

#define AVAIL_AT 4096u
#define USED_AT 8192u
#define BUFFERS_AT 16384u
#define BUFFER_BYTES 2048u

static void
ring_setup(struct ring *r, uint16_t queue, uint64_t base)
{
	const struct lm_virtio_queue_conf conf = {
		.size = RING, .vector = queue, .desc_iova = VM_IOVA + base,
		.driver_iova = VM_IOVA + base + AVAIL_AT, .device_iova = VM_IOVA + base + USED_AT,
	};

	r->base = base;
	r->desc = (void *)(vm + base);
	r->avail = (void *)(vm + base + AVAIL_AT);
	r->used = (void *)(vm + base + USED_AT);
	r->buffers = vm + base + BUFFERS_AT;
	memset(vm + base, 0, BUFFERS_AT);
	MUST(lm_virtio_queue_setup(dev, queue, &conf));
}

static void
ring_post(struct ring *r, uint16_t queue, uint16_t i, uint32_t len, uint16_t flags)
{
	uint16_t idx = r->avail->idx;

	r->desc[i] = (struct lm_vring_desc){
		.addr = VM_IOVA + r->base + BUFFERS_AT + i * BUFFER_BYTES, .len = len,
		.flags = flags,
	};
	r->avail->ring[idx % RING] = i;
	lm_vring_store_release(&r->avail->idx, (uint16_t)(idx + 1));
	lm_virtio_notify(dev, queue);
}

/* By interrupt: through the IOMMU's remapping, the kernel, and the eventfd. */
static void
ring_wait(struct ring *r, uint16_t used_idx)
{
	struct pollfd p = { .fd = r->eventfd, .events = POLLIN };
	eventfd_t count;

	while (lm_vring_load_acquire(&r->used->idx) != used_idx) {
		if (poll(&p, 1, WAIT_MS) != 1)
			fail("no interrupt");
		CHECK(eventfd_read(r->eventfd, &count) == 0);
	}
}

/* One frame out; the peer's answer comes back with its bytes inverted. */
static void
exchange(struct ring *rx, struct ring *tx, uint16_t turn, uint16_t rx_used)
{
	const size_t hdr = sizeof(struct lm_virtio_net_hdr);
	uint8_t *out = tx->buffers + (turn % RING) * BUFFER_BYTES + hdr, *in;
	uint32_t id, i;

	memset(out - hdr, 0, hdr);
	for (i = 0; i < FRAME_BYTES; i++)
		out[i] = (uint8_t)(i * 7 + turn);
	ring_post(tx, TX, turn % RING, (uint32_t)hdr + FRAME_BYTES, 0);
	ring_wait(rx, rx_used);
	id = rx->used->ring[(rx_used - 1) % RING].id;
	CHECK(id < RING);
	CHECK(rx->used->ring[(rx_used - 1) % RING].len == hdr + FRAME_BYTES);
	in = rx->buffers + id * BUFFER_BYTES + hdr;
	for (i = 0; i < FRAME_BYTES; i++)
		CHECK((in[i] ^ out[i]) == 0xff);
	ring_post(rx, RX, (uint16_t)id, BUFFER_BYTES, LM_VRING_DESC_F_WRITE);
}

static void
check_function(void)
{
	uint64_t first, last;
	unsigned int i;

	for (i = 0; lm_pci_iova_range(pci, i, &first, &last) == 0; i++)
		printf("aperture 0x%" PRIx64 "..0x%" PRIx64 "\n", first, last);
	CHECK(i >= 2); /* an x86 IOMMU leaves the interrupt window out */
	CHECK(lm_pci_irq_count(pci) == 4);
	CHECK(lm_pci_bar_ptr(pci, 4, 0, 4096) != NULL);
	MUST(lm_pci_reset(pci));
	MUST(lm_pci_bus_master(pci, true));
}

static void
check_memory(void)
{
	struct lm_pci_dma region = {
		.iova = VM_IOVA, .size_bytes = VM_BYTES,
		.prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE,
	};
	uint64_t mapped, kept;

	vm_fd = memfd_create("vm", MFD_CLOEXEC);
	CHECK(ftruncate(vm_fd, VM_BYTES) == 0);
	vm = mmap(NULL, VM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vm_fd, 0);
	CHECK(vm != MAP_FAILED);
	region.fd = vm_fd;
	MUST(lm_pci_mem_sync(pci, &region, 1, &mapped, &kept));
	CHECK(mapped == VM_BYTES / 4096 && kept == 0);
	MUST(lm_pci_mem_sync(pci, &region, 1, &mapped, &kept));
	CHECK(mapped == 0 && kept == VM_BYTES / 4096);
	region.iova = 0xfee00000;
	CHECK(lm_pci_mem_sync(pci, &region, 1, NULL, NULL) == -ERANGE);
}

static void
check_traffic(void)
{
	struct lm_virtio_cvq *cvq;
	struct ring rx = { 0 }, tx = { 0 };
	uint16_t turn, i;

	MUST(lm_virtio_open(pci, &dev));
	MUST(lm_virtio_reset(dev, TIMEOUT_US));
	MUST(lm_virtio_negotiate(dev, FEATURES));
	rx.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tx.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* One after the other: the second must not disturb the first. */
	MUST(lm_pci_irq_set(pci, RX, 1, &rx.eventfd));
	MUST(lm_pci_irq_set(pci, TX, 1, &tx.eventfd));
	ring_setup(&rx, RX, 0);
	ring_setup(&tx, TX, VM_BYTES / 2);
	MUST(lm_virtio_cvq_create(dev, CVQ, &cvq));
	MUST(lm_virtio_driver_ok(dev));
	MUST(lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_RX, LM_VIRTIO_NET_CTRL_RX_PROMISC,
			&(uint8_t){ 1 }, 1, TIMEOUT_US));
	for (i = 0; i < 8; i++)
		ring_post(&rx, RX, i, BUFFER_BYTES, LM_VRING_DESC_F_WRITE);
	for (turn = 0; turn < 100; turn++)
		exchange(&rx, &tx, turn, (uint16_t)(turn + 1));
	MUST(lm_virtio_queue_reset(dev, RX, TIMEOUT_US));
	ring_setup(&rx, RX, 0);
	for (i = 8; i < 16; i++)
		ring_post(&rx, RX, i, BUFFER_BYTES, LM_VRING_DESC_F_WRITE);
	for (; turn < 200; turn++)
		exchange(&rx, &tx, turn, (uint16_t)(turn + 1 - 100));
	MUST(lm_pci_irq_disable(pci));
	MUST(lm_virtio_reset(dev, TIMEOUT_US));
	lm_virtio_cvq_destroy(cvq);
	lm_virtio_close(dev);
	printf("%u frames and their answers\n", turn);
}

/* Neither EAL nor traffic. */
static int
without_eal(const char *bdf, enum lm_pci_kernel_way way)
{
	const struct lm_pci_kernel_params kernel = { .way = way };
	struct lm_pci_mig_caps caps;
	uint64_t bits[VM_BYTES / 4096 / 64] = { 0 };

	MUST(lm_pci_open_kernel(bdf, NULL, &kernel, &pci));
	check_function();
	check_memory();
	CHECK(lm_pci_mig_caps(pci, &caps) == -ENOTTY);
	if (lm_pci_iommu_tracks(pci)) {
		MUST(lm_pci_iommu_start(pci));
		MUST(lm_pci_iommu_report(pci, VM_IOVA, VM_BYTES, 4096, bits));
		MUST(lm_pci_iommu_stop(pci));
	}
	printf("without EAL, %s, %s\n", way == LM_PCI_KERNEL_CDEV ? "cdev" : "group",
			lm_pci_iommu_tracks(pci) ? "dirty bits" : "no dirty bits");
	lm_pci_close(pci);
	return 0;
}

int
main(int argc, char **argv)
{
	int ret;

	if (argc < 2)
		return 2;
	if (argc > 2 && strcmp(argv[2], "refused") != 0)
		return without_eal(argv[1], strcmp(argv[2], "cdev") == 0 ? LM_PCI_KERNEL_CDEV :
				LM_PCI_KERNEL_GROUP);
	ret = start_eal(argv[0], argv[1]);
	if (argc > 2) {
		CHECK(pci == NULL);
		printf("refused: %s\n", lm_pci_strerror(NULL));
		return 0;
	}
	CHECK(ret >= 0);
	CHECK(pci != NULL);
	check_function();
	check_memory();
	check_traffic();
	lm_pci_close(pci);
	printf("passed\n");
	return 0;
}
