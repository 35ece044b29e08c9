/* SPDX-License-Identifier: BSD-3-Clause */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#include "guest.h"

#define WAIT_NS 10000000000ull /* for an interface to appear */
#define STUCK_NS 30000000000ull /* a transmit ring that takes nothing for so long: drop */
#define SOCKBUF_BYTES (16 << 20)
#define HOLD_BYTES (128 << 20)
/* Of memory that a frame keeps busy, with what the kernel needs beside it. */
#define HOLD_FRAME_BYTES(mtu) (1024 + ((mtu) + 1535) / 1536 * 1536)

static const uint8_t gen_mac[6] = DM_FRAME_GEN_MAC;

static int
ethtool(const struct guest_nic *n, void *command)
{
	struct ifreq ifr = { 0 };
	int ret;

	memcpy(ifr.ifr_name, n->name, sizeof(ifr.ifr_name));
	ifr.ifr_data = command;
	ret = ioctl(n->fd, SIOCETHTOOL, &ifr);
	return ret < 0 ? -errno : 0;
}

static void
use_all_queues(struct guest_nic *n)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	char path[96];
	uint32_t i;
	int fd;

	n->queue_pairs = 1;
	if (ethtool(n, &ch) < 0)
		return;
	if (ch.combined_count < ch.max_combined) {
		ch.cmd = ETHTOOL_SCHANNELS;
		ch.combined_count = ch.max_combined;
		if (ethtool(n, &ch) < 0)
			guest_say("%s: %u queue pairs: %s", n->name, ch.max_combined,
				strerror(errno));
		ch.cmd = ETHTOOL_GCHANNELS;
		ethtool(n, &ch);
	}
	n->queue_pairs = ch.combined_count;
	/* A queue by flow: with queues bound to CPUs, one CPU would use one queue only. */
	for (i = 0; i < n->queue_pairs; i++) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/queues/tx-%u/xps_cpus", n->name, i);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (write(fd, "0", 1) < 0 && errno != ENOENT)
			guest_say("%s: %s", path, strerror(errno));
		close(fd);
	}
}

static int
set_up(struct guest_nic *n)
{
	struct ethtool_value gro = { .cmd = ETHTOOL_SGRO, .data = 0 };
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, n->name, sizeof(ifr.ifr_name));
	if (ioctl(n->fd, SIOCGIFHWADDR, &ifr) < 0)
		return -errno;
	memcpy(n->mac, ifr.ifr_hwaddr.sa_data, 6);
	if (ioctl(n->fd, SIOCGIFMTU, &ifr) < 0)
		return -errno;
	n->mtu = (uint32_t)ifr.ifr_mtu;
	if (ioctl(n->fd, SIOCGIFINDEX, &ifr) < 0)
		return -errno;
	n->ifindex = ifr.ifr_ifindex;
	ethtool(n, &gro);
	use_all_queues(n);
	if (ioctl(n->fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(n->fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int
bind_socket(const struct guest_nic *n, int fd, int bytes)
{
	const struct packet_mreq promiscuous = {
		.mr_ifindex = n->ifindex, .mr_type = PACKET_MR_PROMISC,
	};
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = n->ifindex,
	};
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
			setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
			setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
			setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
				sizeof(promiscuous)) < 0 ||
			bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return 0;
}

/*
 * The kernel gives the buffer freed last to the device first, so a guest that reads at once uses
 * few pages again and again. With many frames held, buffers wander through the free memory.
 */
static void
open_hold(struct guest_nic *n)
{
	uint32_t most = guest_env("LM_HOLD_FRAMES", 16384);
	struct sysinfo info;
	uint64_t fits;

	n->hold_fd = -1;
	if (most == 0 || sysinfo(&info) < 0)
		return;
	fits = (uint64_t)info.freeram * info.mem_unit / 4 / HOLD_FRAME_BYTES(n->mtu);
	n->hold_max = most < fits ? most : (uint32_t)fits;
	n->hold_fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (n->hold_fd >= 0 && bind_socket(n, n->hold_fd, HOLD_BYTES) < 0) {
		close(n->hold_fd);
		n->hold_fd = -1;
	}
}

/* As many old frames go as new ones came. */
static void
hold(struct guest_nic *n, uint32_t received)
{
	struct mmsghdr msgs[GUEST_BATCH];
	int gone;

	if (n->hold_fd < 0)
		return;
	n->held += received;
	while (n->held > n->hold_max) {
		memset(msgs, 0, sizeof(msgs));
		gone = recvmmsg(n->hold_fd, msgs, GUEST_BATCH, MSG_DONTWAIT, NULL);
		n->held = gone <= 0 ? 0 : n->held - (uint32_t)gone;
	}
}

static int
open_nic(struct guest_nic *n, const char *name)
{
	int ret;

	snprintf(n->name, sizeof(n->name), "%s", name);
	/* Protocol 0 receives nothing before it is bound to its interface. */
	n->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return -errno;
	ret = set_up(n);
	if (ret == 0)
		ret = bind_socket(n, n->fd, SOCKBUF_BYTES);
	if (ret == 0) {
		open_hold(n);
		n->slot_bytes = n->mtu + 64;
		n->slots = malloc((size_t)GUEST_BATCH * n->slot_bytes);
		if (n->slots == NULL)
			ret = -ENOMEM;
	}
	if (ret < 0) {
		guest_say("%s: %s", name, strerror(-ret));
		close(n->fd);
	}
	return ret;
}

uint32_t
guest_nic_open_all(struct guest_nic *nics, uint32_t max)
{
	const uint64_t deadline_ns = guest_now_ns() + WAIT_NS;
	uint32_t i, count = 0;
	char path[64], name[16];

	for (i = 0; i < max; i++) {
		snprintf(name, sizeof(name), "eth%u", i);
		snprintf(path, sizeof(path), "/sys/class/net/%s", name);
		/* The first may be late; the others are there by then. */
		while (i == 0 && access(path, F_OK) < 0 && guest_now_ns() < deadline_ns)
			usleep(10000);
		if (access(path, F_OK) < 0)
			break;
		if (open_nic(&nics[count], name) == 0)
			count++;
	}
	return count;
}

static void
track(struct guest_nic *n, const struct dm_frame_desc *d)
{
	struct guest_flow *f;
	uint64_t bit = 1ull << d->seq % 64, *word;

	if (d->flow >= GUEST_FLOWS) {
		n->c.untracked++;
		return;
	}
	f = &n->flows[d->flow];
	f->received++;
	word = &f->seen[d->seq % GUEST_WINDOW / 64];
	if (d->seq >= f->next) {
		if (d->seq - f->next >= GUEST_WINDOW)
			memset(f->seen, 0, sizeof(f->seen));
		else
			for (; f->next < d->seq; f->next++)
				f->seen[f->next % GUEST_WINDOW / 64] &= ~(1ull << f->next % 64);
		f->next = d->seq + 1;
		*word |= bit;
	} else if (f->next - d->seq > GUEST_WINDOW) {
		n->c.too_old++;
	} else if ((*word & bit) != 0) {
		f->duplicated++;
		n->c.duplicated++;
	} else {
		*word |= bit;
		f->reordered++;
		n->c.reordered++;
	}
}

/* Turn what was received into echoes, packed to the front of the slots' list. */
static void
turn(struct guest_nic *n, const struct mmsghdr *msgs, uint32_t received)
{
	struct dm_frame_desc d;
	uint32_t i;

	for (i = 0; i < received; i++) {
		uint8_t *frame = n->slots + (size_t)i * n->slot_bytes;

		n->len[i] = 0;
		if ((msgs[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
			n->c.drop_too_big++;
			continue;
		}
		switch (dm_frame_check(frame, msgs[i].msg_len, DM_FRAME_REQUEST, n->mac, gen_mac,
				&d)) {
		case DM_FRAME_FOREIGN:
			n->c.foreign++;
			continue;
		case DM_FRAME_CORRUPT:
			n->c.corrupt++;
			continue;
		case DM_FRAME_GOOD:
			break;
		}
		n->c.received++;
		track(n, &d);
		dm_frame_echo(frame, &d);
		n->len[i] = msgs[i].msg_len;
	}
	n->first = 0;
	n->count = received;
}

static bool
receive(struct guest_nic *n)
{
	struct mmsghdr msgs[GUEST_BATCH];
	struct iovec iovs[GUEST_BATCH];
	uint32_t i;
	int got;

	memset(msgs, 0, sizeof(msgs));
	for (i = 0; i < GUEST_BATCH; i++) {
		iovs[i].iov_base = n->slots + (size_t)i * n->slot_bytes;
		iovs[i].iov_len = n->slot_bytes;
		msgs[i].msg_hdr.msg_iov = &iovs[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	got = recvmmsg(n->fd, msgs, GUEST_BATCH, MSG_DONTWAIT, NULL);
	if (got <= 0)
		return false;
	turn(n, msgs, (uint32_t)got);
	hold(n, (uint32_t)got);
	return true;
}

static void
skip_first(struct guest_nic *n)
{
	n->first++;
	n->stuck_ns = 0;
}

/* The first waiting echo was refused: try later, or count it. */
static void
refused(struct guest_nic *n, int error, uint64_t now_ns)
{
	const bool full = error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == EINTR;

	if (!full) {
		n->c.drop_tx_error++;
		skip_first(n);
		return;
	}
	n->c.tx_retries++;
	if (n->stuck_ns == 0) {
		n->stuck_ns = now_ns;
	} else if (now_ns - n->stuck_ns > STUCK_NS) {
		n->c.drop_tx_full++;
		skip_first(n);
	}
}

static void
send_echoes(struct guest_nic *n, uint64_t now_ns)
{
	struct mmsghdr msgs[GUEST_BATCH];
	struct iovec iovs[GUEST_BATCH];
	uint32_t slot, k;
	int sent;

	while (n->first < n->count) {
		if (n->len[n->first] == 0) {
			n->first++;
			continue;
		}
		memset(msgs, 0, sizeof(msgs));
		for (k = 0, slot = n->first; slot < n->count && n->len[slot] != 0; slot++, k++) {
			iovs[k].iov_base = n->slots + (size_t)slot * n->slot_bytes;
			iovs[k].iov_len = n->len[slot];
			msgs[k].msg_hdr.msg_iov = &iovs[k];
			msgs[k].msg_hdr.msg_iovlen = 1;
		}
		sent = sendmmsg(n->fd, msgs, k, MSG_DONTWAIT);
		if (sent <= 0) {
			refused(n, errno, now_ns);
			if (n->stuck_ns != 0)
				return;
			continue;
		}
		n->c.echoed += (uint32_t)sent;
		n->first += (uint32_t)sent;
		n->stuck_ns = 0;
	}
	n->first = n->count = 0;
}

bool
guest_nic_work(struct guest_nic *n, uint64_t now_ns)
{
	bool any = false;

	if (n->first == n->count)
		any = receive(n);
	send_echoes(n, now_ns);
	return any && n->stuck_ns == 0;
}

void
guest_nic_poll_drops(struct guest_nic *n)
{
	struct tpacket_stats st;
	socklen_t len = sizeof(st);

	if (getsockopt(n->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
		n->c.drop_socket += st.tp_drops;
}
