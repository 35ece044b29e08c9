# SPDX-License-Identifier: BSD-3-Clause
"""
A driver of a pds VF for tests, as little as receives frames: bytes and offsets of its own, after
Linux's ionic_if.h. It polls, and keeps all that the CPU writes while frames come in one piece of
memory, and all that only the device writes in another, so that a migration of the second one lives
from the device's dirty log alone.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

from vfu_net import CONFIG, DEADLINE_S, Client

CTL_IOVA, CTL_BYTES = 0x1_0000_0000, 1 << 20
DMA_IOVA, DMA_BYTES = 0x1_1000_0000, 32 << 20
# In the first piece.
AQ, RXQ = 0x0, 0x10000
# In the second.
ACQ, NOTIFYQ, LIF_INFO, PORT_INFO, RX_COMP, BUFFERS = 0, 0x2000, 0x5000, 0x6000, 0x10000, 0x100000
INFO_END = 0x8000  # below it the device writes whenever it runs, traffic or not
RING_LG2, BUFFER_BYTES = 13, 2048
RING = 1 << RING_LG2
DEVCMD = 0x800
REGS, DBELL = 0, 2


class PdsGuest:
    """Memory in two files, and a VF that is attached to it."""

    def __init__(self, path: Path, tag: str) -> None:
        self.files = {"ctl": (path / f"{tag}-ctl", CTL_IOVA, CTL_BYTES),
                      "dma": (path / f"{tag}-dma", DMA_IOVA, DMA_BYTES)}
        self.maps: dict[str, mmap.mmap] = {}
        self.fds: dict[str, int] = {}
        for name, (file, _, size) in self.files.items():
            fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(fd, size)
            self.fds[name] = fd
            self.maps[name] = mmap.mmap(fd, size)
        self.ctl, self.dma = self.maps["ctl"], self.maps["dma"]
        self.head = self.tail = 0  # of the receive ring, not wrapped
        self.aq_head = 0
        self.client: Client

    def ram(self) -> list[str]:
        """Options of send and receive."""
        return [a for name, (file, addr, size) in self.files.items()
                for a in ("--ram", f"name={name},addr={addr:#x},size={size},file={file}"
                          + (",after-stop" if name == "ctl" else ""))]

    def attach(self, socket: Path) -> None:
        self.client = Client(str(socket))
        for name, (_, addr, size) in self.files.items():
            self.client.dma_map(self.fds[name], 0, addr, size)
        self.client.write(CONFIG, 4, 2, 6)  # memory, bus master

    def close(self) -> None:
        self.client.close()
        for name, fd in self.fds.items():
            self.maps[name].close()
            os.close(fd)

    def devcmd(self, cmd: bytes, data: bytes = b"") -> None:
        c = self.client
        for i in range(0, len(data), 4):
            c.write(REGS, DEVCMD + 0x88 + i, 4, int.from_bytes(data[i:i + 4], "little"))
        cmd = cmd.ljust(64, b"\0")
        for i in range(0, 64, 8):
            c.write(REGS, DEVCMD + 8 + i, 8, int.from_bytes(cmd[i:i + 8], "little"))
        c.write(REGS, DEVCMD + 4, 4, 0)
        c.write(REGS, DEVCMD, 4, 1)
        end = time.monotonic() + DEADLINE_S
        while c.read(REGS, DEVCMD + 4, 4) != 1:
            assert time.monotonic() < end, f"device command {cmd[0]} is not done"
        assert c.read(REGS, DEVCMD + 0x48, 1) == 0, f"device command {cmd[0]} is refused"

    def doorbell(self, kind: int, index: int) -> None:
        self.client.write(DBELL, 8 * kind, 8, index)

    def admin(self, cmd: bytes) -> bytes:
        slot, color = self.aq_head % 16, 0x80 if self.aq_head // 16 % 2 == 0 else 0
        self.ctl[AQ + 64 * slot:AQ + 64 * slot + 64] = cmd.ljust(64, b"\0")
        self.aq_head += 1
        self.doorbell(0, self.aq_head % 16)
        end = time.monotonic() + DEADLINE_S
        while self.dma[ACQ + 16 * slot + 15] & 0x80 != color:
            assert time.monotonic() < end, f"command {cmd[0]} is not done"
        comp = self.dma[ACQ + 16 * slot:ACQ + 16 * slot + 16]
        assert comp[0] == 0 and struct.unpack_from("<H", comp, 2)[0] == slot, comp.hex()
        return comp

    @staticmethod
    def q_init(kind: int, version: int, lg2: int, ring: int, comp: int) -> bytes:
        """No interrupt, enabled."""
        cmd = bytearray(64)
        cmd[0], cmd[4], cmd[5], cmd[19] = 40, kind, version, lg2
        struct.pack_into("<HH", cmd, 14, 0xffff, 2)
        struct.pack_into("<QQ", cmd, 20, ring, comp)
        return bytes(cmd)

    def start(self) -> None:
        """Bring the LIF up, as Linux does, with one receive queue full of buffers."""
        for first in ((3,), (1, 2), (20, 0, 1), (2,), (10,)):
            self.devcmd(bytes(first))
        config = self.client.read_bytes(REGS, DEVCMD + 0x88 + 128, 256)
        self.devcmd(bytes((11,)) + bytes(7) + struct.pack("<Q", DMA_IOVA + PORT_INFO), config)
        self.devcmd(bytes((21,)) + bytes(7) + struct.pack("<Q", DMA_IOVA + LIF_INFO))
        self.devcmd(self.q_init(0, 0, 4, CTL_IOVA + AQ, DMA_IOVA + ACQ))
        self.admin(self.q_init(1, 0, 6, DMA_IOVA + NOTIFYQ, 0))
        self.admin(self.q_init(2, 2, RING_LG2, CTL_IOVA + RXQ, DMA_IOVA + RX_COMP))
        self.admin(bytes((30, 0, 0, 0)) + struct.pack("<H", 0xf))  # all frames
        self.post(RING - 1)

    def post(self, count: int) -> None:
        for _ in range(count):
            slot = self.head % RING
            at = DMA_IOVA + BUFFERS + slot * BUFFER_BYTES
            struct.pack_into("<B5xHQ", self.ctl, RXQ + 16 * slot, 0, BUFFER_BYTES, at)
            self.head += 1
        self.doorbell(2, self.head % RING)

    def poll(self) -> list[bytes]:
        """Frames that have come, in the order of the ring."""
        frames: list[bytes] = []
        while True:
            slot, color = self.tail % RING, 0x80 if self.tail // RING % 2 == 0 else 0
            at = RX_COMP + 16 * slot
            if self.dma[at + 15] & 0x80 != color:
                return frames
            status, index, length = struct.unpack_from("<BxH8xH", self.dma, at)
            assert status == 0 and index == slot, (status, index, slot)
            begin = BUFFERS + slot * BUFFER_BYTES
            frames.append(self.dma[begin:begin + length])
            self.tail += 1

    def receive(self, count: int) -> list[bytes]:
        """At least so many frames; their buffers are posted again."""
        frames: list[bytes] = []
        end = time.monotonic() + DEADLINE_S
        while len(frames) < count:
            assert time.monotonic() < end, f"{len(frames)} of {count} frames"
            got = self.poll()
            frames += got
            if got:
                self.post(len(got))
        return frames

    def take_over(self, other: PdsGuest) -> None:
        """What a guest knows, where its memory has gone to another host."""
        self.head, self.tail, self.aq_head = other.head, other.tail, other.aq_head

    def ring_all(self) -> None:
        """As after any migration: a doorbell may have been lost on the way."""
        self.doorbell(2, self.head % RING)
