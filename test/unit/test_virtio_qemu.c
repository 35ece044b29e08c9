/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The virtio transport on a device by other hands: QEMU's virtio-net-pci, driven from outside
 * through QEMU's qtest socket (configuration space by port I/O, BARs by physical address, DMA in
 * the guest's RAM file). Its CPU halts at the first instruction. Skipped where QEMU is missing.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lm_pci_priv.h"
#include "lm_virtio.h"
#include "virtio_net_if.h"
#include "virtio_pci_if.h"
#include "virtio_ring_if.h"

#define QEMU "qemu-system-x86_64"
#define SKIPPED 77
#define SLOT 3u
#define RAM_BYTES (64u << 20)
#define DMA_FIRST (16u << 20) /* away from what a PC has below */
#define BAR_BASE 0xe0000000u
#define ANSWER_MS 10000
#define TIMEOUT_US 2000000u
#define MAC "\x52\x54\x00\x4c\x4d\x07"
#define RX 0
#define TX 1
#define CVQ 2
#define RING 64

static struct machine {
	char dir[64];
	char ram[96], qtest[96], net[96], peer[96], bios[96];
	pid_t pid;
	int sock;
	int ram_fd;
	int net_fd;
	uint64_t bar_addr[LM_PCI_NUM_BARS];
	struct lm_pci *pci;
	struct lm_virtio_dev *dev;
} m;

static uint64_t
qtest(const char *fmt, ...)
{
	struct pollfd p = { .fd = m.sock, .events = POLLIN };
	char line[128];
	size_t len = 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert_int_equal(write(m.sock, line, (size_t)n), n);
	do {
		assert_int_equal(poll(&p, 1, ANSWER_MS), 1);
		assert_true(len < sizeof(line) - 1);
		assert_int_equal(read(m.sock, line + len, 1), 1);
	} while (line[len++] != '\n');
	line[len] = '\0';
	if (strncmp(line, "OK", 2) != 0)
		fail_msg("qtest: %s", line);
	return len > 4 ? strtoull(line + 3, NULL, 16) : 0;
}

static char
suffix(uint32_t len)
{
	return len == 1 ? 'b' : len == 2 ? 'w' : len == 4 ? 'l' : 'q';
}

static void
config_address(uint32_t offset)
{
	qtest("outl 0xcf8 0x%x\n", 0x80000000u | SLOT << 11 | (offset & 0xfc));
}

/* Byte by byte: any length and alignment. */
static int
q_config_read(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len)
{
	uint8_t *bytes = buf;

	(void)pci;
	for (; len > 0; len--, offset++) {
		config_address(offset);
		*bytes++ = (uint8_t)qtest("inb 0x%x\n", 0xcfc + (offset & 3));
	}
	return 0;
}

static int
q_config_write(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len)
{
	const uint8_t *bytes = buf;

	(void)pci;
	for (; len > 0; len--, offset++) {
		config_address(offset);
		qtest("outb 0x%x 0x%x\n", 0xcfc + (offset & 3), *bytes++);
	}
	return 0;
}

static int
q_bar_read(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf, uint32_t len)
{
	uint64_t v = qtest("read%c 0x%" PRIx64 "\n", suffix(len), m.bar_addr[bar] + offset);

	(void)pci;
	memcpy(buf, &v, len);
	return 0;
}

static int
q_bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf, uint32_t len)
{
	uint64_t v = 0;

	(void)pci;
	memcpy(&v, buf, len);
	qtest("write%c 0x%" PRIx64 " 0x%" PRIx64 "\n", suffix(len), m.bar_addr[bar] + offset, v);
	return 0;
}

/* The driver's memory becomes guest RAM at that address. */
static int
q_dma_map(struct lm_pci *pci, struct lm_pci_dma *dma)
{
	(void)pci;
	return mmap(dma->vaddr, dma->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			m.ram_fd, (off_t)dma->iova) == MAP_FAILED ? -errno : 0;
}

static int
q_dma_unmap(struct lm_pci *pci, const struct lm_pci_map *map)
{
	(void)pci;
	(void)map;
	return 0;
}

static void
q_close(struct lm_pci *pci)
{
	(void)pci;
}

static const struct lm_pci_ops ops = {
	.close = q_close,
	.config_read = q_config_read,
	.config_write = q_config_write,
	.bar_read = q_bar_read,
	.bar_write = q_bar_write,
	.bar_write_posted = q_bar_write,
	.dma_map = q_dma_map,
	.dma_unmap = q_dma_unmap,
};

static int
listen_at(const char *path, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return -1;
	return sock;
}

static void
run_qemu(void)
{
	char object[192], net[320], chardev[128];

	snprintf(object, sizeof(object), "memory-backend-file,id=mem,size=%u,mem-path=%s,share=on",
			RAM_BYTES, m.ram);
	snprintf(net, sizeof(net), "dgram,id=n0,local.type=unix,local.path=%s,remote.type=unix,"
			"remote.path=%s", m.net, m.peer);
	snprintf(chardev, sizeof(chardev), "unix:%s", m.qtest);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(open("/dev/null", O_RDWR), STDIN_FILENO);
	execlp(QEMU, QEMU, "-nodefaults", "-no-user-config", "-display", "none",
			"-machine", "pc,accel=tcg,memory-backend=mem", "-m", "64",
			"-object", object, "-bios", m.bios, "-netdev", net,
			"-device", "virtio-net-pci,netdev=n0,addr=03.0,mac=52:54:00:4c:4d:07,"
			"host_mtu=1400,vectors=4,queue_reset=on,packed=on,disable-legacy=on",
			"-qtest", chardev, "-qtest-log", "/dev/null", (char *)NULL);
	_exit(SKIPPED);
}

/* Size BARs by writing ones, then place them. */
static void
place_bars(void)
{
	uint32_t ones = UINT32_MAX, low, high = UINT32_MAX, addr = BAR_BASE;
	unsigned int bar;
	uint64_t size;
	bool wide;

	for (bar = 0; bar < LM_PCI_NUM_BARS; bar += wide ? 2 : 1) {
		lm_pci_config_write(m.pci, 0x10 + 4 * bar, &ones, 4);
		lm_pci_config_read(m.pci, 0x10 + 4 * bar, &low, 4);
		wide = (low & 0x6) == 0x4;
		if (low == 0 || (low & 1) != 0)
			continue;
		size = -(uint64_t)(((uint64_t)high << 32) | (low & ~0xfu));
		addr = (addr + (uint32_t)size - 1) & ~((uint32_t)size - 1);
		lm_pci_config_write(m.pci, 0x10 + 4 * bar, &addr, 4);
		if (wide)
			lm_pci_config_write(m.pci, 0x14 + 4 * bar, &(uint32_t){ 0 }, 4);
		m.pci->bars[bar].size_bytes = size;
		m.bar_addr[bar] = addr;
		addr += (uint32_t)size;
	}
}

static int
stop_machine(void **state)
{
	int status;

	(void)state;
	lm_virtio_close(m.dev);
	lm_pci_close(m.pci);
	if (m.pid > 0) {
		kill(m.pid, SIGKILL);
		waitpid(m.pid, &status, 0);
	}
	close(m.sock);
	close(m.net_fd);
	close(m.ram_fd);
	unlink(m.ram);
	unlink(m.qtest);
	unlink(m.net);
	unlink(m.peer);
	unlink(m.bios);
	return rmdir(m.dir);
}

/* cli; hlt; and back, where the processor starts. */
static int
write_bios(void)
{
	int fd = open(m.bios, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ssize_t done = pwrite(fd, "\xfa\xf4\xeb\xfc", 4, 0xfff0);

	if (done != 4 || ftruncate(fd, 0x10000) != 0)
		return -1;
	return close(fd);
}

static int
boot(void)
{
	const struct lm_pci_params params = { .name = "qemu" };
	struct pollfd p = { .events = POLLIN };
	int ret;

	snprintf(m.dir, sizeof(m.dir), "/dev/shm/lm-qtest-XXXXXX");
	if (mkdtemp(m.dir) == NULL)
		return -1;
	snprintf(m.ram, sizeof(m.ram), "%s/ram", m.dir);
	snprintf(m.qtest, sizeof(m.qtest), "%s/qtest", m.dir);
	snprintf(m.net, sizeof(m.net), "%s/net", m.dir);
	snprintf(m.peer, sizeof(m.peer), "%s/peer", m.dir);
	snprintf(m.bios, sizeof(m.bios), "%s/bios", m.dir);
	m.ram_fd = open(m.ram, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	p.fd = listen_at(m.qtest, SOCK_STREAM);
	m.net_fd = listen_at(m.peer, SOCK_DGRAM);
	if (m.ram_fd < 0 || ftruncate(m.ram_fd, RAM_BYTES) != 0 || m.net_fd < 0 ||
			listen(p.fd, 1) != 0 || write_bios() != 0)
		return -1;
	m.pid = fork();
	if (m.pid == 0)
		run_qemu();
	if (poll(&p, 1, ANSWER_MS) == 1)
		m.sock = accept(p.fd, NULL, NULL);
	close(p.fd);
	if (m.sock < 0)
		return -1;
	ret = lm_pci_new(&params, &ops, &m.pci);
	if (ret != 0)
		return ret;
	m.pci->ranges[0] = (struct lm_pci_range){ .first = DMA_FIRST, .last = RAM_BYTES - 1 };
	m.pci->nb_ranges = 1;
	place_bars();
	return 0;
}

static int
start_machine(void **state)
{
	int ret;

	memset(&m, 0, sizeof(m));
	m.sock = m.net_fd = m.ram_fd = -1;
	ret = boot();
	if (ret != 0)
		stop_machine(state);
	return ret;
}

static void
must(int ret)
{
	if (ret != 0)
		fail_msg("%d: %s", ret, lm_pci_strerror(m.pci));
}

#define WANTED (LM_VIRTIO_BIT(LM_VIRTIO_F_VERSION_1) | LM_VIRTIO_BIT(LM_VIRTIO_F_RING_RESET) | \
		LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MAC) | LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MTU) | \
		LM_VIRTIO_BIT(LM_VIRTIO_NET_F_STATUS) | LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_VQ) | \
		LM_VIRTIO_BIT(LM_VIRTIO_NET_F_CTRL_RX) | LM_VIRTIO_BIT(LM_VIRTIO_NET_F_MRG_RXBUF))

/* One split ring in driver memory, with one buffer of 2 KiB per descriptor. */
struct ring {
	struct lm_pci_mem mem;
	struct lm_vring_desc *desc;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	uint8_t *buffers;
	struct lm_virtio_queue_conf conf;
};

#define AVAIL_AT 2048u
#define USED_AT 4096u
#define BUFFERS_AT 8192u
#define BUFFER_BYTES 2048u

static void
ring_make(struct ring *r)
{
	uint8_t *base;

	must(lm_pci_mem_alloc(m.pci, BUFFERS_AT + RING * BUFFER_BYTES, &r->mem));
	base = r->mem.vaddr;
	r->desc = (void *)base;
	r->avail = (void *)(base + AVAIL_AT);
	r->used = (void *)(base + USED_AT);
	r->buffers = base + BUFFERS_AT;
	r->conf = (struct lm_virtio_queue_conf){
		.size = RING, .vector = LM_VIRTIO_MSI_NO_VECTOR, .desc_iova = r->mem.iova,
		.driver_iova = r->mem.iova + AVAIL_AT, .device_iova = r->mem.iova + USED_AT,
	};
}

static void
ring_post(struct ring *r, uint16_t i, uint32_t len, uint16_t flags)
{
	uint16_t idx = r->avail->idx;

	r->desc[i] = (struct lm_vring_desc){
		.addr = r->mem.iova + BUFFERS_AT + i * BUFFER_BYTES, .len = len, .flags = flags,
	};
	r->avail->ring[idx % RING] = i;
	lm_vring_store_release(&r->avail->idx, (uint16_t)(idx + 1));
}

/* Each round trip lets QEMU's main loop turn. */
static void
ring_wait(struct ring *r, uint16_t used_idx)
{
	unsigned int turns;
	uint8_t status;

	for (turns = 0; turns < 100000; turns++) {
		if (lm_vring_load_acquire(&r->used->idx) == used_idx)
			return;
		must(lm_virtio_status(m.dev, &status));
	}
	fail_msg("used index %u, waited for %u", r->used->idx, used_idx);
}

static void
start(uint64_t features)
{
	must(lm_virtio_open(m.pci, &m.dev));
	must(lm_virtio_reset(m.dev, TIMEOUT_US));
	must(lm_virtio_negotiate(m.dev, features));
}

static void
test_device(void **state)
{
	struct lm_virtio_net_config config = { 0 };
	uint16_t max;
	uint8_t status;

	(void)state;
	start(WANTED);
	assert_int_equal(lm_virtio_device_id(m.dev), LM_VIRTIO_ID_NET);
	assert_int_equal(lm_virtio_num_queues(m.dev), 3);
	assert_int_equal(lm_virtio_device_features(m.dev) & WANTED, WANTED);
	must(lm_virtio_status(m.dev, &status));
	assert_int_equal(status, 0x0b);
	must(lm_virtio_config_get(m.dev, 0, &config, 12));
	assert_memory_equal(config.mac, MAC, 6);
	assert_int_equal(config.status & LM_VIRTIO_NET_S_LINK_UP, LM_VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config.mtu, 1400);
	must(lm_virtio_queue_max(m.dev, RX, &max));
	assert_int_equal(max, 256);
	must(lm_virtio_queue_max(m.dev, CVQ, &max));
	assert_int_equal(max, 64);
	assert_int_equal(lm_virtio_queue_max(m.dev, 3, &max), -EINVAL);
}

static void
test_vectors(void **state)
{
	struct ring r;
	unsigned int bar;
	uint64_t offset, size;

	(void)state;
	start(WANTED);
	must(lm_virtio_config_vector(m.dev, 3));
	assert_int_equal(lm_virtio_config_vector(m.dev, 4), -ENXIO);
	ring_make(&r);
	r.conf.vector = 4;
	assert_int_equal(lm_virtio_queue_setup(m.dev, RX, &r.conf), -ENXIO);
	r.conf.vector = 2;
	must(lm_virtio_queue_setup(m.dev, RX, &r.conf));
	assert_int_equal(lm_virtio_queue_setup(m.dev, RX, &r.conf), -EBUSY);
	must(lm_virtio_notify_area(m.dev, TX, &bar, &offset, &size));
	assert_true(offset + size <= lm_pci_bar_size(m.pci, bar));
	must(lm_virtio_reset(m.dev, TIMEOUT_US));
	lm_pci_mem_free(m.pci, &r.mem);
}

static void
control_queue(uint64_t features)
{
	struct lm_virtio_cvq *cvq;
	unsigned int i;

	start(features);
	must(lm_virtio_cvq_create(m.dev, CVQ, &cvq));
	must(lm_virtio_driver_ok(m.dev));
	for (i = 0; i < 40; i++)
		must(lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_RX, LM_VIRTIO_NET_CTRL_RX_PROMISC,
				&(uint8_t){ i & 1 }, 1, TIMEOUT_US));
	/* A command that was not negotiated, and one that nobody knows. */
	assert_int_equal(lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_MQ, 0, &(uint16_t){ 9 }, 2,
			TIMEOUT_US), -EIO);
	assert_int_equal(lm_virtio_cvq_cmd(cvq, 0x66, 0, NULL, 0, TIMEOUT_US), -EIO);
	must(lm_virtio_reset(m.dev, TIMEOUT_US));
	must(lm_virtio_negotiate(m.dev, features));
	must(lm_virtio_cvq_setup(cvq));
	must(lm_virtio_driver_ok(m.dev));
	must(lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_RX, LM_VIRTIO_NET_CTRL_RX_ALLMULTI,
			&(uint8_t){ 1 }, 1, TIMEOUT_US));
	must(lm_virtio_reset(m.dev, TIMEOUT_US));
	lm_virtio_cvq_destroy(cvq);
}

static void
test_control_queue(void **state)
{
	(void)state;
	control_queue(WANTED);
}

/* Catches: a list that is wrong where it goes over the ring's end, a lap counter that is lost. */
static void
test_control_queue_packed(void **state)
{
	(void)state;
	control_queue(WANTED | LM_VIRTIO_BIT(LM_VIRTIO_F_RING_PACKED));
}

static void
send_to_device(const void *frame, size_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", m.net);
	assert_int_equal(sendto(m.net_fd, frame, len, 0, (struct sockaddr *)&addr, sizeof(addr)),
			len);
}

static void
receive_one(struct ring *r, uint16_t used_idx, uint8_t fill)
{
	const struct lm_virtio_net_hdr *hdr;
	uint8_t frame[60];
	uint32_t id;

	memset(frame, fill, sizeof(frame));
	memcpy(frame, MAC, 6);
	send_to_device(frame, sizeof(frame));
	ring_wait(r, used_idx);
	id = r->used->ring[(used_idx - 1) % RING].id;
	assert_true(id < RING);
	assert_int_equal(r->used->ring[(used_idx - 1) % RING].len, sizeof(*hdr) + sizeof(frame));
	hdr = (void *)(r->buffers + id * BUFFER_BYTES);
	assert_int_equal(hdr->num_buffers, 1);
	assert_int_equal(hdr->gso_type, LM_VIRTIO_NET_HDR_GSO_NONE);
	assert_memory_equal(hdr + 1, frame, sizeof(frame));
}

/* Frames both ways, and a receive queue that is taken back and given again while running. */
static void
test_data_and_ring_reset(void **state)
{
	struct pollfd p = { .fd = m.net_fd, .events = POLLIN };
	struct ring rx, tx;
	uint8_t got[256];
	uint16_t i;

	(void)state;
	start(WANTED);
	ring_make(&rx);
	ring_make(&tx);
	for (i = 0; i < 4; i++)
		ring_post(&rx, i, BUFFER_BYTES, LM_VRING_DESC_F_WRITE);
	must(lm_virtio_queue_setup(m.dev, RX, &rx.conf));
	must(lm_virtio_queue_setup(m.dev, TX, &tx.conf));
	must(lm_virtio_driver_ok(m.dev));
	lm_virtio_notify(m.dev, RX);

	memset(tx.buffers, 0, sizeof(struct lm_virtio_net_hdr));
	memset(tx.buffers + sizeof(struct lm_virtio_net_hdr), 0x5a, 100);
	ring_post(&tx, 0, sizeof(struct lm_virtio_net_hdr) + 100, 0);
	lm_virtio_notify(m.dev, TX);
	ring_wait(&tx, 1);
	assert_int_equal(tx.used->ring[0].id, 0);
	assert_int_equal(poll(&p, 1, ANSWER_MS), 1);
	assert_int_equal(recv(m.net_fd, got, sizeof(got), 0), 100);
	assert_int_equal(got[0], 0x5a);
	assert_int_equal(got[99], 0x5a);

	receive_one(&rx, 1, 0x11);
	receive_one(&rx, 2, 0x22);
	must(lm_virtio_queue_reset(m.dev, RX, TIMEOUT_US));
	memset(rx.mem.vaddr, 0, rx.mem.size_bytes);
	for (i = 10; i < 14; i++)
		ring_post(&rx, i, BUFFER_BYTES, LM_VRING_DESC_F_WRITE);
	must(lm_virtio_queue_setup(m.dev, RX, &rx.conf));
	lm_virtio_notify(m.dev, RX);
	receive_one(&rx, 1, 0x33);
	assert_int_equal(rx.used->ring[0].id, 10);
	must(lm_virtio_reset(m.dev, TIMEOUT_US));
	lm_pci_mem_free(m.pci, &rx.mem);
	lm_pci_mem_free(m.pci, &tx.mem);
}

static bool
have_qemu(void)
{
	return system("command -v " QEMU " >/dev/null 2>&1") == 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_device, start_machine, stop_machine),
		cmocka_unit_test_setup_teardown(test_vectors, start_machine, stop_machine),
		cmocka_unit_test_setup_teardown(test_control_queue, start_machine, stop_machine),
		cmocka_unit_test_setup_teardown(test_control_queue_packed, start_machine,
				stop_machine),
		cmocka_unit_test_setup_teardown(test_data_and_ring_reset, start_machine,
				stop_machine),
	};

	if (!have_qemu()) {
		fprintf(stderr, "skipped: no " QEMU "\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
