# SPDX-License-Identifier: BSD-3-Clause
"""
A small VM for tests: guest memory, a virtio-net driver on split or packed rings, and QEMU's order
of vhost-user messages (10.0 and later) at start, stop, and on both sides of a migration.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import threading
import time

import vhost_user as vu

PAGE = 4096
NET_HDR_BYTES = 12
USER_BASE = 0x7E00_0000_0000
F_MRG_RXBUF = 1 << 15
F_MQ = 1 << 22
F_EVENT_IDX = 1 << 29
F_VERSION_1 = 1 << 32
F_RING_PACKED = 1 << 34
DESC_NEXT = 1
DESC_WRITE = 2
PACKED_AVAIL = 1 << 7
PACKED_USED = 1 << 15
PROTOCOL_STATUS = 1 << 16


class Memory:
    """Guest RAM in one file, in two regions with a hole between them, as PCs have it."""

    def __init__(self, low: int = 24 << 20, high: int = 8 << 20) -> None:
        self.size = low + high
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, self.size)
        self.map = mmap.mmap(self.fd, self.size)
        self.regions = [(0, low, 0), (1 << 32, high, low)]  # gpa, size, file offset
        self.cpu_pages: set[int] = set()  # written by the guest's own CPU
        self._next = [0x10000, (1 << 32) + 0x1000]

    def close(self) -> None:
        self.map.close()
        os.close(self.fd)

    def offset(self, gpa: int) -> int:
        for base, size, offset in self.regions:
            if base <= gpa < base + size:
                return gpa - base + offset
        raise AssertionError(f"no memory at {gpa:#x}")

    def user(self, gpa: int) -> int:
        """What QEMU's user address of it would be."""
        return USER_BASE + self.offset(gpa)

    def alloc(self, size: int, high: bool = False, align: int = PAGE) -> int:
        gpa = (self._next[high] + align - 1) & -align
        self._next[high] = gpa + size
        return gpa

    def write(self, gpa: int, data: bytes) -> None:
        at = self.offset(gpa)
        self.map[at:at + len(data)] = data
        self.cpu_pages.update(range(gpa // PAGE, (gpa + len(data) - 1) // PAGE + 1))

    def read(self, gpa: int, size: int) -> bytes:
        at = self.offset(gpa)
        return self.map[at:at + size]

    def u16(self, gpa: int) -> int:
        return int(struct.unpack("<H", self.read(gpa, 2))[0])

    def table(self) -> bytes:
        out = struct.pack("<II", len(self.regions), 0)
        for gpa, size, offset in self.regions:
            out += struct.pack("<QQQQ", gpa, size, USER_BASE + offset, offset)
        return out

    def snapshot(self) -> bytes:
        return bytes(self.map)

    def changed(self, snapshot: bytes) -> set[int]:
        """Pages (by guest-physical number) that differ from a snapshot."""
        pages = set()
        for gpa, size, offset in self.regions:
            for i in range(0, size, PAGE):
                at = offset + i
                if self.map[at:at + PAGE] != snapshot[at:at + PAGE]:
                    pages.add((gpa + i) // PAGE)
        return pages


class Ring:
    """Driver side of one split ring. Used chains are taken by poll()."""

    def __init__(self, memory: Memory, index: int, size: int, high: bool, event_idx: bool,
                 start: int = 0) -> None:
        self.memory = memory
        self.index = index
        self.size = size
        self.event_idx = event_idx
        self.desc = memory.alloc(16 * size, high)
        self.avail = memory.alloc(6 + 2 * size, high)
        self.used = memory.alloc(6 + 8 * size, high)
        self.avail_idx = 0
        self.used_seen = 0
        self.free = list(range(size))
        self.cookies: dict[int, object] = {}
        self.kick = vu.eventfd()
        self.call = vu.eventfd()
        self.kicks = 0
        self.doorbell: mmap.mmap | None = None
        if start:
            self.avail_idx = self.used_seen = start
            memory.write(self.avail + 2, struct.pack("<H", start))
            memory.write(self.used + 2, struct.pack("<H", start))

    def close(self) -> None:
        os.close(self.kick)
        os.close(self.call)

    def post(self, gpa: int, size: int, writable: bool, cookie: object) -> None:
        head = self.free.pop()
        self.cookies[head] = cookie
        self.memory.write(self.desc + 16 * head, struct.pack(
            "<QIHH", gpa, size, DESC_WRITE if writable else 0, 0))
        self.post_head(head)

    def post_head(self, head: int) -> None:
        self.memory.write(self.avail + 4 + 2 * (self.avail_idx % self.size),
                          struct.pack("<H", head))
        self.avail_idx = (self.avail_idx + 1) & 0xFFFF
        self.memory.write(self.avail + 2, struct.pack("<H", self.avail_idx))

    def used_idx(self) -> int:
        return self.memory.u16(self.used + 2)

    def notify(self) -> None:
        """Kick unless the other side has said that it looks anyway."""
        if not self.event_idx and self.memory.u16(self.used) & 1:
            return
        self.ring_bell()

    def ring_bell(self) -> None:
        self.kicks += 1
        doorbell = self.doorbell
        if doorbell is not None:
            doorbell[:2] = struct.pack("<H", self.index)
        else:
            os.eventfd_write(self.kick, 1)

    def poll(self) -> list[tuple[object, int]]:
        done = []
        while self.used_seen != self.used_idx():
            head, size = struct.unpack(
                "<II", self.memory.read(self.used + 4 + 8 * (self.used_seen % self.size), 8))
            assert head in self.cookies, f"ring {self.index}: head {head} was not outstanding"
            self.used_seen = (self.used_seen + 1) & 0xFFFF
            self.free.append(head)
            done.append((self.cookies.pop(head), size))
        if self.event_idx:
            self.memory.write(self.avail + 4 + 2 * self.size, struct.pack("<H", self.used_seen))
        return done

    def outstanding(self) -> int:
        return (self.avail_idx - self.used_idx()) & 0xFFFF

    def base(self) -> int:
        """What GET_VRING_BASE must answer after a stop."""
        return self.used_idx()


class PackedRing(Ring):
    """
    Driver side of a packed ring, one descriptor a chain. `avail` is the driver event area, `used`
    the device event area; indices count descriptors.
    """

    def _slot(self, count: int) -> tuple[int, bool]:
        """Address of the descriptor with this number, and its wrap counter."""
        return self.desc + 16 * (count % self.size), count // self.size % 2 == 0

    def post(self, gpa: int, size: int, writable: bool, cookie: object) -> None:
        ident = self.free.pop()
        self.cookies[ident] = cookie
        at, wrap = self._slot(self.avail_idx)
        flags = (DESC_WRITE if writable else 0) | (PACKED_AVAIL if wrap else PACKED_USED)
        self.memory.write(at, struct.pack("<QIH", gpa, size, ident))
        self.memory.write(at + 14, struct.pack("<H", flags))
        self.avail_idx += 1

    def _used(self, count: int) -> bool:
        at, wrap = self._slot(count)
        both = PACKED_AVAIL | PACKED_USED
        return self.memory.u16(at + 14) & both == (both if wrap else 0)

    def used_idx(self) -> int:
        count = self.used_seen
        while count < self.avail_idx and self._used(count):
            count += 1
        return count

    def notify(self) -> None:
        if self.memory.u16(self.used + 2) == 1:
            return
        self.ring_bell()

    def poll(self) -> list[tuple[object, int]]:
        done = []
        while self.used_seen < self.avail_idx and self._used(self.used_seen):
            at, _ = self._slot(self.used_seen)
            size, ident = struct.unpack("<IH", self.memory.read(at + 8, 6))
            assert ident in self.cookies, f"ring {self.index}: id {ident} was not outstanding"
            self.used_seen += 1
            self.free.append(ident)
            done.append((self.cookies.pop(ident), size))
        if self.event_idx:
            at = self.used_seen % self.size | (self.used_seen // self.size % 2 == 0) << 15
            self.memory.write(self.avail, struct.pack("<HH", at, 2))
        return done

    def outstanding(self) -> int:
        return self.avail_idx - self.used_idx()

    def base(self) -> int:
        count = self.used_idx()
        return count % self.size | (count // self.size % 2 == 0) << 15


class Frontend:
    """A VM with one virtio-net device."""

    def __init__(self, path: str | socket.socket, pairs: int = 1, size: int = 64,
                 event_idx: bool = False, memory: Memory | None = None,
                 rings: list[Ring] | None = None, buffer_bytes: int = 2048,
                 packed: bool = False, features: int = 0, start: int = 0,
                 map_doorbells: bool = False) -> None:
        self.channel = vu.Channel(path)
        self.memory = memory or Memory()
        self.want = F_VERSION_1 | F_MRG_RXBUF | vu.F_PROTOCOL_FEATURES | features
        if packed:
            self.want |= F_RING_PACKED
        if event_idx:
            self.want |= F_EVENT_IDX
        if pairs > 1:
            self.want |= F_MQ
        self.pairs = pairs
        self.buffer_bytes = buffer_bytes
        kind = PackedRing if packed else Ring
        self.rings = rings or [kind(self.memory, i, size, bool(i & 2), event_idx, start)
                               for i in range(2 * pairs)]
        self.bases = [ring.base() for ring in self.rings]
        self.log_fd = -1
        self.log: mmap.mmap | None = None
        self.dirty: set[int] = set()
        self.features = 0
        self.tx_buffers: dict[tuple[int, int], int] = {}
        self.backend_req: socket.socket | None = None
        self.map_doorbells = map_doorbells
        self.refuse_doorbells = False
        self.doorbell_msgs = 0
        self.answer_doorbells = threading.Event()
        self.answer_doorbells.set()
        self._listener: threading.Thread | None = None

    def close(self) -> None:
        self.channel.close()
        if self.backend_req is not None:
            self.backend_req.shutdown(socket.SHUT_RDWR)
            if self._listener is not None:
                self._listener.join(5)
            self.backend_req.close()
            self.backend_req = None
        for ring in self.rings:
            ring.doorbell = None
        if self.log is not None:
            self.log.close()
            os.close(self.log_fd)
            self.log = None

    def destroy(self) -> None:
        self.close()
        for ring in self.rings:
            ring.close()
        self.memory.close()

    # messages, in QEMU's order

    def connect(self) -> None:
        ch = self.channel
        offered = ch.ask_u64(vu.GET_FEATURES)
        assert not self.want & ~offered, f"wanted {self.want:#x}, offered {offered:#x}"
        self.offered = offered
        protocol = ch.ask_u64(vu.GET_PROTOCOL_FEATURES) & 0x10C3F
        assert protocol & PROTOCOL_STATUS
        ch.u64(vu.SET_PROTOCOL_FEATURES, protocol)
        assert ch.ask_u64(vu.GET_QUEUE_NUM) >= self.pairs
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.backend_req = ours
        ch.acked(vu.SET_BACKEND_REQ_FD, fds=[theirs.fileno()])
        theirs.close()
        if self.map_doorbells:
            self._listener = threading.Thread(target=self._listen, args=[ours], daemon=True)
            self._listener.start()
        ch.send(vu.SET_OWNER)
        ch.ask_u64(vu.GET_FEATURES)
        for ring in self.rings:
            ch.vring_fd(vu.SET_VRING_CALL, ring.index, ring.call)
        for ring in self.rings:
            self.enable(ring.index, ring.index < 2)

    def _listen(self, sock: socket.socket) -> None:
        """What the back end asks for: doorbell pages mapped, or taken away, as QEMU does it."""
        try:
            while True:
                head, fds, _, _ = socket.recv_fds(sock, vu.HEADER.size, 1)
                if len(head) != vu.HEADER.size:
                    return
                request, flags, size = vu.HEADER.unpack(head)
                value, length, offset = struct.unpack("<QQQ", sock.recv(size))
                assert request == vu.BACKEND_VRING_HOST_NOTIFIER and flags & vu.NEED_REPLY
                ring = self.rings[value & 0xFF]
                self.doorbell_msgs += 1
                self.answer_doorbells.wait()
                if value & vu.NOFD:
                    ring.doorbell = None
                elif not self.refuse_doorbells:
                    assert length == PAGE and offset % PAGE == 0
                    ring.doorbell = mmap.mmap(fds[0], length, offset=offset)
                for fd in fds:
                    os.close(fd)
                sock.sendall(vu.HEADER.pack(request, vu.VERSION | vu.REPLY, 8) +
                             struct.pack("<Q", self.refuse_doorbells))
        except OSError:
            return

    def enable(self, index: int, on: bool) -> None:
        self.channel.acked(vu.SET_VRING_ENABLE, struct.pack("<II", index, on))

    def status(self, value: int) -> None:
        self.channel.u64(vu.SET_STATUS, value)

    def sync(self) -> None:
        """Every message before this one has been handled."""
        self.channel.ask_u64(vu.GET_STATUS)

    def vring_addr(self, ring: Ring, log: bool) -> None:
        user = self.memory.user
        self.channel.send(vu.SET_VRING_ADDR, struct.pack(
            "<IIQQQQ", ring.index, int(log), user(ring.desc), user(ring.used), user(ring.avail),
            ring.used))

    def start(self, features: int = 0) -> None:
        ch = self.channel
        self.features = self.want | features
        ch.u64(vu.SET_FEATURES, self.features)
        ch.ask_u64(vu.GET_STATUS)
        self.status(0x8)
        ch.acked(vu.SET_MEM_TABLE, self.memory.table(), [self.memory.fd] * 2)
        for ring in self.rings:
            ch.state(vu.SET_VRING_NUM, ring.index, ring.size)
            ch.state(vu.SET_VRING_BASE, ring.index, self.bases[ring.index])
            self.vring_addr(ring, False)
            ch.vring_fd(vu.SET_VRING_KICK, ring.index, ring.kick)
            ch.vring_fd(vu.SET_VRING_CALL, ring.index, ring.call)
        ch.ask_u64(vu.GET_STATUS)
        self.status(0xF)
        for ring in self.rings:
            self.enable(ring.index, True)
        self.sync()

    def stop(self) -> list[int]:
        """GET_VRING_BASE of all, then the status; as QEMU 10 and 11."""
        for ring in self.rings:
            reply = self.channel.ask(vu.GET_VRING_BASE, struct.pack("<II", ring.index, 0))
            index, self.bases[ring.index] = struct.unpack("<II", reply)
            assert index == ring.index
        self.status(0)
        self.sync()
        return list(self.bases)

    def lm_begin(self) -> None:
        size = (max(g + s for g, s, _ in self.memory.regions) // PAGE + 7) // 8
        size = (size + PAGE - 1) & -PAGE
        self.set_log(size)
        self.features |= vu.F_LOG_ALL
        for _ in range(self.pairs):
            self.channel.acked(vu.SET_FEATURES, struct.pack("<Q", self.features))
            self.channel.ask_u64(vu.GET_STATUS)
        for ring in self.rings:
            self.vring_addr(ring, True)
        self.sync()

    def set_log(self, size: int) -> None:
        """Give a new log; what the old one holds is harvested after the back end let go."""
        fd = os.memfd_create("log")
        os.ftruncate(fd, size)
        log = mmap.mmap(fd, size)
        self.channel.ask(vu.SET_LOG_BASE, struct.pack("<QQ", size, 0), [fd])
        if self.log is not None:
            self.harvest()
            self.log.close()
            os.close(self.log_fd)
        self.log, self.log_fd = log, fd

    def lm_cancel(self) -> None:
        self.features &= ~vu.F_LOG_ALL
        for _ in range(self.pairs):
            self.channel.u64(vu.SET_FEATURES, self.features)
            self.channel.ask_u64(vu.GET_STATUS)
        for ring in self.rings:
            self.vring_addr(ring, False)
        self.sync()

    def harvest(self) -> None:
        """Move the log's bits into self.dirty. No atomic exchange here: bits are never cleared."""
        assert self.log is not None
        for i in range(0, len(self.log), 8):
            word = int.from_bytes(self.log[i:i + 8], "little")
            while word:
                bit = word & -word
                self.dirty.add(i * 8 + bit.bit_length() - 1)
                word ^= bit

    def rarp(self, mac: bytes) -> None:
        self.channel.send(vu.SEND_RARP, mac + b"\0\0")
        self.sync()

    def new_call(self, index: int) -> None:
        """What QEMU does when the guest masks a vector: another call fd."""
        ring = self.rings[index]
        os.close(ring.call)
        ring.call = vu.eventfd()
        self.channel.vring_fd(vu.SET_VRING_CALL, index, ring.call)
        self.sync()

    def new_kick(self, index: int) -> None:
        ring = self.rings[index]
        os.close(ring.kick)
        ring.kick = vu.eventfd()
        self.channel.vring_fd(vu.SET_VRING_KICK, index, ring.kick)
        self.sync()

    # the guest's network driver

    def fill_rx(self, pair: int = 0) -> int:
        """Post receive buffers, each on a page of its own; every second one in high memory."""
        ring = self.rings[2 * pair]
        n = 0
        while ring.free:
            gpa = self.memory.alloc(self.buffer_bytes, high=bool(len(ring.free) & 1))
            ring.post(gpa, self.buffer_bytes, True, gpa)
            n += 1
        if n:
            ring.notify()
        return n

    def send(self, frame: bytes, pair: int = 0, notify: bool = True) -> None:
        ring = self.rings[2 * pair + 1]
        self.reap_tx(pair)
        deadline = time.monotonic() + 10
        while not ring.free:
            assert time.monotonic() < deadline, "transmit ring does not drain"
            self.wait([ring])
            self.reap_tx(pair)
        data = bytes(NET_HDR_BYTES) + frame
        gpa = self.tx_buffers.setdefault((pair, ring.free[-1]), 0) or self.memory.alloc(
            self.buffer_bytes)
        self.tx_buffers[pair, ring.free[-1]] = gpa
        self.memory.write(gpa, data)
        ring.post(gpa, len(data), False, gpa)
        if notify:
            ring.notify()

    def reap_tx(self, pair: int = 0) -> int:
        return len(self.rings[2 * pair + 1].poll())

    def receive(self, pair: int = 0) -> list[bytes]:
        """Frames that have arrived; their buffers are posted again."""
        ring = self.rings[2 * pair]
        frames = []
        for gpa, size in ring.poll():
            assert isinstance(gpa, int)
            if size:
                assert size > NET_HDR_BYTES, f"frame of {size} bytes"
                frames.append(self.memory.read(gpa + NET_HDR_BYTES, size - NET_HDR_BYTES))
            ring.post(gpa, self.buffer_bytes, True, gpa)
        if frames:
            ring.notify()
        return frames

    def receive_until(self, count: int, timeout: float = 10.0, pair: int = 0) -> list[bytes]:
        """At least `count` frames, woken by the call fd alone, so that lost calls are found."""
        deadline = time.monotonic() + timeout
        frames: list[bytes] = []
        while len(frames) < count:
            frames += self.receive(pair)
            if len(frames) >= count:
                break
            left = deadline - time.monotonic()
            assert left > 0, f"{len(frames)} of {count} frames within {timeout} s"
            self.wait([self.rings[2 * pair]], left)
        return frames

    @staticmethod
    def wait(rings: list[Ring], timeout: float = 10.0) -> bool:
        ready, _, _ = select.select([r.call for r in rings], [], [], timeout)
        for fd in ready:
            os.eventfd_read(fd)
        return bool(ready)
