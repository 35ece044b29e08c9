# SPDX-License-Identifier: BSD-3-Clause
"""
A vfio-user client and a virtio-net driver on top of it, for tests.

Written from the vfio-user specification, linux/vfio.h and VIRTIO 1.3; it shares no code and no
header with what it tests. Slow and simple: one chain at a time.
"""

from __future__ import annotations

import array
import json
import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO, REGION_IO_FDS = 1, 2, 3, 4, 5, 6
IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE, RESET = 7, 8, 9, 10, 13
CONFIG = 7
DEADLINE_S = 10.0
RAM_IOVA = 0x1_0000_0000
RAM_BYTES = 8 << 20
HDR = 12

F_CSUM, F_GUEST_CSUM, F_GUEST_OFFLOADS, F_GUEST_TSO4, F_GUEST_TSO6, F_GUEST_ECN = 0, 1, 2, 7, 8, 9
F_HOST_TSO4, F_HOST_TSO6, F_HOST_ECN = 11, 12, 13
F_MTU, F_MAC, F_MRG, F_STATUS, F_CTRL, F_CTRL_RX, F_ANNOUNCE, F_MQ = 3, 5, 15, 16, 17, 18, 21, 22
F_INDIRECT, F_EVENT_IDX, F_VERSION_1, F_ACCESS, F_RING_RESET = 28, 29, 32, 33, 40
F_PACKED, F_IN_ORDER, F_NOTIFY_DATA, F_NOTIFY_CONFIG, F_SUSPEND = 34, 35, 38, 39, 43


def bits(*numbers: int) -> int:
    return sum(1 << n for n in numbers)


class VfuError(Exception):
    """The server answered with an errno."""


class Client:
    """One connection."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(path)
        self.msg_id = 0
        self.fds: list[int] = []
        caps = {"capabilities": {"max_msg_fds": 32, "max_data_xfer_size": 1 << 20}}
        self.request(VERSION, struct.pack("<HH", 0, 1) + json.dumps(caps).encode() + b"\0")

    def close(self) -> None:
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def request(self, command: int, payload: bytes = b"", fds: tuple[int, ...] = ()) -> bytes:
        self.msg_id = (self.msg_id + 1) & 0xffff
        head = struct.pack("<HHIII", self.msg_id, command, 16 + len(payload), 0, 0)
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([head + payload], anc)
        data, ancdata, _, _ = self.sock.recvmsg(16, socket.CMSG_SPACE(64 * 4))
        for level, kind, raw in ancdata:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                got = array.array("i")
                got.frombytes(raw)
                self.fds += list(got)
        assert len(data) == 16, "connection closed"
        msg_id, cmd, size, flags, err = struct.unpack("<HHIII", data)
        assert (msg_id, cmd, flags & 0xf) == (self.msg_id, command, 1)
        body = b""
        while len(body) < size - 16:
            part = self.sock.recv(size - 16 - len(body))
            assert part
            body += part
        if flags & 0x20:
            raise VfuError(os.strerror(err))
        return body

    def read(self, region: int, offset: int, size: int) -> int:
        return int.from_bytes(self.read_bytes(region, offset, size), "little")

    def read_bytes(self, region: int, offset: int, size: int) -> bytes:
        body = self.request(REGION_READ, struct.pack("<QII", offset, region, size))
        assert len(body) == 16 + size
        return body[16:]

    def write(self, region: int, offset: int, size: int, value: int) -> None:
        self.request(REGION_WRITE, struct.pack("<QII", offset, region, size) +
                     value.to_bytes(size, "little"))

    def region_info(self, index: int) -> tuple[int, int, list[tuple[int, int]], int]:
        """flags, size, sparse areas, fd (-1: none)."""
        have = len(self.fds)
        body = self.request(REGION_INFO, struct.pack("<IIIIQQ", 1024, 0, index, 0, 0, 0))
        _, flags, _, cap, size, _ = struct.unpack_from("<IIIIQQ", body)
        areas = []
        if cap:
            kind, _, _, number = struct.unpack_from("<HHII", body, cap)
            assert kind == 1
            areas = [struct.unpack_from("<QQ", body, cap + 16 + 16 * i) for i in range(number)]
        return flags, size, areas, self.fds[-1] if len(self.fds) > have else -1

    def io_fds(self, index: int) -> dict[int, int]:
        """Offset in the region -> eventfd."""
        have = len(self.fds)
        body = self.request(REGION_IO_FDS, struct.pack("<IIII", 4096, 0, index, 0))
        count = struct.unpack_from("<I", body, 12)[0]
        out = {}
        for i in range(count):
            offset, _, fd_index, kind, _, _, _ = struct.unpack_from("<QQIIIIQ", body, 16 + 40 * i)
            assert kind == 0
            out[offset] = self.fds[have + fd_index]
        return out

    def dma_map(self, fd: int, offset: int, iova: int, size: int) -> None:
        self.request(DMA_MAP, struct.pack("<IIQQQ", 32, 3, offset, iova, size), (fd,))

    def dma_unmap(self, iova: int, size: int) -> None:
        self.request(DMA_UNMAP, struct.pack("<IIQQ", 24, 0, iova, size))

    def set_irqs(self, fds: list[int]) -> None:
        """MSI-X vectors from 0 on; few at a time, as the server allows only so many."""
        for start in range(0, len(fds), 8):
            part = tuple(fds[start:start + 8])
            self.request(SET_IRQS, struct.pack("<IIIII", 20, 0x24, 2, start, len(part)), part)


class Ring:
    """Driver side of one split queue."""

    def __init__(self, nic: Nic, index: int, size: int) -> None:
        self.nic, self.index, self.size = nic, index, size
        self.base = index * 0x4000
        self.avail = self.used = 0
        self.out: list[int] = []  # what the device has, in order
        self.batch: list[tuple[int, int]] = []  # used, and not taken yet
        nic.ram[self.base:self.base + 0x4000] = bytes(0x4000)

    def desc(self, i: int, addr: int, length: int, flags: int, following: int = 0) -> None:
        struct.pack_into("<QIHH", self.nic.ram, self.base + 16 * i, addr, length, flags, following)

    def offer(self, head: int) -> None:
        self.out.append(head)
        at = self.base + 0x2000
        self.nic.put16(at + 4 + 2 * (self.avail % self.size), head)
        self.avail = (self.avail + 1) & 0xffff
        self.nic.put16(at + 2, self.avail)

    def code(self, nth: int) -> int:
        """How the model reports the nth chain (split) or descriptor (packed)."""
        return nth & 0xffff

    def wants_kick(self) -> bool:
        if self.nic.has(F_EVENT_IDX):
            event = self.nic.get16(self.base + 0x3000 + 4 + 8 * self.size)
            return event == (self.avail - 1) & 0xffff
        return not self.nic.get16(self.base + 0x3000) & 1

    def take(self) -> tuple[int, int] | None:
        """Next used chain: id, length."""
        if not self.batch:
            self.look()
        return self.batch.pop(0) if self.batch else None

    def look(self) -> None:
        at = self.base + 0x3000
        if self.nic.get16(at + 2) == self.used:
            return
        head, length = struct.unpack_from(
            "<II", self.nic.ram, at + 4 + 8 * (self.used % self.size))
        self.done(head, length)
        self.used = (self.used + len(self.batch)) & 0xffff
        if self.nic.has(F_EVENT_IDX):
            self.nic.put16(self.base + 0x2000 + 4 + 2 * self.size, self.used)

    def done(self, head: int, length: int) -> None:
        """With IN_ORDER an element stands for all chains up to its own."""
        if not self.nic.has(F_IN_ORDER):
            self.out.remove(head)
            self.batch = [(head, length)]
            return
        number = self.out.index(head) + 1
        self.batch = [(skipped, 0) for skipped in self.out[:number - 1]] + [(head, length)]
        del self.out[:number]


class PackedRing(Ring):
    """Driver side of one packed queue; a chain is named by its first descriptor, as in split."""

    def __init__(self, nic: Nic, index: int, size: int) -> None:
        super().__init__(nic, index, size)
        self.table: dict[int, tuple[int, int, int, int]] = {}
        self.slots: dict[int, int] = {}  # descriptors of a chain that is out
        self.last = 0                    # descriptors of the chain offered last

    def desc(self, i: int, addr: int, length: int, flags: int, following: int = 0) -> None:
        self.table[i] = (addr, length, flags, following)

    def code(self, nth: int) -> int:
        return nth % self.size | (0x8000 if nth // self.size % 2 == 0 else 0)

    def offer(self, head: int) -> None:
        self.out.append(head)
        chain = [self.table[head]]
        while chain[-1][2] & 1:
            chain.append(self.table[chain[-1][3]])
        for i in reversed(range(len(chain))):
            addr, length, flags, _ = chain[i]
            at = self.base + 16 * ((self.avail + i) % self.size)
            struct.pack_into("<QIH", self.nic.ram, at, addr, length, head)
            mark = 0x80 if self.code(self.avail + i) & 0x8000 else 0x8000
            self.nic.put16(at + 14, flags | mark)
        self.slots[head] = self.last = len(chain)
        self.avail += len(chain)

    def wants_kick(self) -> bool:
        off_wrap, flags = (self.nic.get16(self.base + 0x3000 + i) for i in (0, 2))
        assert flags <= (2 if self.nic.has(F_EVENT_IDX) else 1)
        if flags < 2:
            return bool(flags == 0)
        return off_wrap in [self.code(nth) for nth in range(self.avail - self.last, self.avail)]

    def look(self) -> None:
        at = self.base + 16 * (self.used % self.size)
        # The flags first: they say whether the rest is there.
        flags = self.nic.get16(at + 14)
        if flags & 0x8080 != (0x8080 if self.code(self.used) & 0x8000 else 0):
            return
        length, head = struct.unpack_from("<IH", self.nic.ram, at + 8)
        self.done(head, length if flags & 2 else 0)
        self.used += sum(self.slots.pop(one) for one, _ in self.batch)
        if self.nic.has(F_EVENT_IDX):
            self.nic.put16(self.base + 0x2000, self.code(self.used))
            self.nic.put16(self.base + 0x2002, 2)


class Nic:
    """The device, from probing to frames. Receive buffers are 2048 bytes, posted by rx_post()."""

    def __init__(self, path: str, doorbell: str = "message") -> None:
        self.vfu = Client(path)
        self.doorbell = doorbell
        self.features = 0
        self.memfd = os.memfd_create("guest")
        os.ftruncate(self.memfd, RAM_BYTES)
        self.ram = mmap.mmap(self.memfd, RAM_BYTES)
        self.words = memoryview(self.ram).cast("H")
        self.vfu.dma_map(self.memfd, 0, RAM_IOVA, RAM_BYTES)
        self.caps = self._virtio_caps()
        self.vectors: list[int] = []
        self.rings: list[Ring] = []
        self.mapped: memoryview | None = None
        self._doorbells()
        self.vfu.write(CONFIG, 4, 2, 0x6)  # memory, bus master

    def close(self) -> None:
        self.vfu.close()
        for fd in [*self.vectors, self.memfd]:
            os.close(fd)
        self.vectors = []

    def put16(self, at: int, value: int) -> None:
        """
        What the device looks at meanwhile, in one store: struct.pack_into() writes zeros first and
        then byte by byte, and an index is 0 for a moment.
        """
        self.words[at // 2] = value

    def get16(self, at: int) -> int:
        """In one load."""
        return self.words[at // 2]

    def has(self, bit: int) -> bool:
        return bool(self.features >> bit & 1)

    def pci_caps(self) -> Iterator[tuple[int, int]]:
        at, seen = self.vfu.read(CONFIG, 0x34, 1), 0
        while at:
            seen += 1
            assert seen < 48, "capability list loops"
            yield self.vfu.read(CONFIG, at, 1), at
            at = self.vfu.read(CONFIG, at + 1, 1)

    def _virtio_caps(self) -> dict[int, tuple[int, int, int, int]]:
        """cfg_type -> BAR, offset, length, place in configuration space; the first wins."""
        out: dict[int, tuple[int, int, int, int]] = {}
        for kind, at in self.pci_caps():
            if kind == 9:
                raw = self.vfu.read_bytes(CONFIG, at, 16)
                offset, length = struct.unpack_from("<II", raw, 8)
                out.setdefault(raw[3], (raw[4], offset, length, at))
        return out

    def _doorbells(self) -> None:
        bar, offset, length, at = self.caps[2]
        self.multiplier = self.vfu.read(CONFIG, at + 16, 4)
        if self.doorbell == "mapped":
            _, _, areas, fd = self.vfu.region_info(bar)
            assert any(a <= offset and a + s >= offset + length for a, s in areas)
            self.mapped = memoryview(mmap.mmap(fd, length, offset=offset))
        elif self.doorbell == "eventfd":
            self.eventfds = self.vfu.io_fds(bar)

    def kick(self, ring: Ring) -> None:
        bar, offset, _, _ = self.caps[2]
        self.common_write(22, 2, ring.index)
        place = self.common(30, 2) * self.multiplier
        value = self.common(56, 2) if self.has(F_NOTIFY_CONFIG) else ring.index
        size = 4 if self.has(F_NOTIFY_DATA) else 2
        if size == 4:
            value |= ring.code(ring.avail) << 16
        if self.mapped is not None:
            self.mapped.cast("I" if size == 4 else "H")[place // size] = value
        elif self.doorbell == "eventfd":
            os.eventfd_write(self.eventfds[offset + place], 1)
        else:
            self.vfu.write(bar, offset + place, size, value)

    def common(self, offset: int, size: int) -> int:
        bar, base, _, _ = self.caps[1]
        return self.vfu.read(bar, base + offset, size)

    def common_write(self, offset: int, size: int, value: int) -> None:
        bar, base, _, _ = self.caps[1]
        self.vfu.write(bar, base + offset, size, value)

    def config(self, offset: int, size: int) -> int:
        bar, base, _, _ = self.caps[4]
        return self.vfu.read(bar, base + offset, size)

    def reset(self) -> None:
        self.common_write(20, 1, 0)
        wait(lambda: self.common(20, 1) == 0, "status 0 after a reset")

    def start(self, features: int, queue_size: int = 64) -> None:
        self.reset()
        for status in (1, 3):
            self.common_write(20, 1, status)
        offered = 0
        for word in (0, 1):
            self.common_write(0, 4, word)
            offered |= self.common(4, 4) << 32 * word
        assert features & ~offered == 0, f"not offered: {features & ~offered:#x}"
        for word in (0, 1):
            self.common_write(8, 4, word)
            self.common_write(12, 4, features >> 32 * word & 0xffffffff)
        self.common_write(20, 1, 0xb)
        assert self.common(20, 1) == 0xb
        self.features = features
        number = self.common(18, 2)
        if not self.vectors:
            self.vectors = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(number + 1)]
            self.vfu.set_irqs(self.vectors)
        self.common_write(16, 2, 0)
        self.rings = [self.enable(q, queue_size) for q in range(number)]
        self.common_write(20, 1, 0xf)

    def enable(self, q: int, size: int) -> Ring:
        ring = (PackedRing if self.has(F_PACKED) else Ring)(self, q, size)
        self.common_write(22, 2, q)
        self.common_write(24, 2, size)
        self.common_write(26, 2, q + 1)
        assert self.common(26, 2) == q + 1
        for i, part in enumerate((0, 0x2000, 0x3000)):
            iova = RAM_IOVA + ring.base + part
            self.common_write(32 + 8 * i, 4, iova & 0xffffffff)
            self.common_write(36 + 8 * i, 4, iova >> 32)
        self.common_write(28, 2, 1)
        return ring

    def ring_reset(self, q: int) -> None:
        self.common_write(22, 2, q)
        self.common_write(58, 2, 1)
        wait(lambda: self.common(58, 2) == 0 and self.common(28, 2) == 0, "the end of a ring reset")

    @staticmethod
    def buffer(q: int, slot: int) -> int:
        return 0x100000 + (q * 128 + slot) * 2048

    def rx_post(self, q: int, number: int, length: int = 2048) -> None:
        for slot in range(number):
            self.rings[q].desc(slot, RAM_IOVA + self.buffer(q, slot), length, 2)
            self.rings[q].offer(slot)

    def tx(self, q: int, slot: int, frame: bytes) -> None:
        """Send from a slot that is free; kicks only where the device asks for it."""
        at = self.buffer(q, slot)
        self.ram[at:at + HDR + len(frame)] = bytes(HDR) + frame
        self.rings[q].desc(slot, RAM_IOVA + at, HDR + len(frame), 0)
        self.rings[q].offer(slot)
        if self.rings[q].wants_kick():
            self.kick(self.rings[q])

    def tx_big(self, q: int, slot: int, hdr: bytes, frame: bytes) -> None:
        """A frame of any length with its virtio header, in one descriptor; no kick."""
        assert slot < 32 and len(hdr) + len(frame) <= 0x11000
        at = 0x500000 + slot * 0x11000
        self.ram[at:at + len(hdr) + len(frame)] = hdr + frame
        self.rings[q].desc(slot, RAM_IOVA + at, len(hdr) + len(frame), 0)
        self.rings[q].offer(slot)

    def tx_pieces(self, q: int, slot: int, frame: bytes, number: int, table: bool) -> None:
        """The same in so many descriptors from slot on, or in a table of them; no kick."""
        ring, at, data = self.rings[q], self.buffer(q, slot), bytes(HDR) + frame
        self.ram[at:at + len(data)] = data
        step = len(data) // number
        for i in range(number):
            here = RAM_IOVA + at + i * step
            length = step if i + 1 < number else len(data) - i * step
            more = 1 if i + 1 < number else 0
            if table:
                rest = (0, 0) if self.has(F_PACKED) else (more, i + 1)
                struct.pack_into("<QIHH", self.ram, 0x400000 + 1024 * slot + 16 * i, here, length,
                                 *rest)
            else:
                ring.desc(slot + i, here, length, more, slot + i + 1)
        if table:
            ring.desc(slot, RAM_IOVA + 0x400000 + 1024 * slot, 16 * number, 4)
        ring.offer(slot)

    def rx_all(self, q: int) -> list[bytes]:
        frames = []
        while (frame := self.rx(q)) is not None:
            frames.append(frame)
        return frames

    def rx(self, q: int) -> bytes | None:
        """A frame, put together from its buffers, which are posted again."""
        got = self.rx_hdr(q)
        return None if got is None else got[1]

    def rx_hdr(self, q: int) -> tuple[bytes, bytes] | None:
        """Its virtio header, and the frame."""
        first = self.rings[q].take()
        if first is None:
            return None
        hdr, frame, chunks = b"", b"", 1
        while chunks:
            slot, length = first
            at = self.buffer(q, slot)
            data = self.ram[at:at + length]
            if not hdr:
                hdr, data = data[:HDR], data[HDR:]
                chunks = struct.unpack_from("<H", hdr, 10)[0]
            frame += data
            self.rings[q].offer(slot)
            chunks -= 1
            if chunks:
                following = self.rings[q].take()
                assert following is not None, "num_buffers promises more"
                first = following
        return hdr, frame

    def interrupted(self, vector: int, timeout_s: float = DEADLINE_S) -> int:
        """How often, once at least; 0 after the timeout."""
        if not select.select([self.vectors[vector]], [], [], timeout_s)[0]:
            return 0
        return os.eventfd_read(self.vectors[vector])


def wait(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"no {what} within {deadline_s:g} s"
        time.sleep(0.0005)


@contextmanager
def nic(path: str, doorbell: str = "message") -> Iterator[Nic]:
    card = Nic(path, doorbell)
    try:
        yield card
    finally:
        card.close()
