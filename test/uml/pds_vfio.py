# SPDX-License-Identifier: BSD-3-Clause
"""Runs inside Linux: drives pds-vfio-pci by VFIO's own calls; prints what it saw as JSON.

    pds_vfio.py migrate FROM TO | log DEVICE | recover DEVICE      (PCI addresses)

VFIO without an IOMMU: what a device writes to is named by physical address.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import struct
import sys
import time
from pathlib import Path

# linux/vfio.h
SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD = 0x3b66, 0x3b68, 0x3b6a
REGION_INFO, RESET, FEATURE = 0x3b6c, 0x3b6f, 0x3b75
NOIOMMU = 8
GET, SET = 1 << 16, 1 << 17
MIGRATION, STATE, LOG_START, LOG_STOP, LOG_REPORT, DATA_SIZE = 1, 2, 6, 7, 8, 9
ERROR, STOP, RUNNING, STOP_COPY, RESUMING = 0, 1, 2, 3, 4

# PCI
CONFIG, COMMAND, MEMORY, BUS_MASTER = 7, 4, 2, 4

# The card's device commands, in BAR 0.
DEVCMD, DEVCMD_DONE, DEVCMD_CMD, DEVCMD_COMP = 0x800, 0x804, 0x808, 0x848
PORT_INIT, PORT_RESET = 11, 12
PAGE = 4096
BLOCK = 64 * PAGE  # the driver counts pages in words of 64


class Device:
    """One VF, opened."""

    def __init__(self, address: str) -> None:
        group = Path(f"/sys/bus/pci/devices/{address}/iommu_group").resolve().name
        self._container = os.open("/dev/vfio/vfio", os.O_RDWR)
        self._group = os.open(f"/dev/vfio/noiommu-{group}", os.O_RDWR)
        fcntl.ioctl(self._group, SET_CONTAINER, struct.pack("i", self._container))
        fcntl.ioctl(self._container, SET_IOMMU, NOIOMMU)
        self.fd = fcntl.ioctl(self._group, GET_DEVICE_FD, bytearray(address.encode() + b"\0"))
        self._bar0 = self._region(0)
        os.pwrite(self.fd, struct.pack("<H", MEMORY | BUS_MASTER), self._region(CONFIG) + COMMAND)

    def _region(self, index: int) -> int:
        """Its place in the device's file."""
        info = bytearray(struct.pack("IIIIQQ", 32, 0, index, 0, 0, 0))
        fcntl.ioctl(self.fd, REGION_INFO, info)
        return int(struct.unpack_from("Q", info, 24)[0])

    def feature(self, flags: int, data: bytes) -> bytes:
        """VFIO_DEVICE_FEATURE; raises OSError."""
        arg = bytearray(struct.pack("II", 8 + len(data), flags) + data)
        fcntl.ioctl(self.fd, FEATURE, arg)
        return bytes(arg[8:])

    def flags(self) -> int:
        return int(struct.unpack("Q", self.feature(GET | MIGRATION, bytes(8)))[0])

    def state(self) -> int:
        return int(struct.unpack("Ii", self.feature(GET | STATE, bytes(8)))[0])

    def go(self, state: int) -> int:
        """To a state; the descriptor of its data, or -1."""
        return int(struct.unpack("Ii", self.feature(SET | STATE, struct.pack("Ii", state, -1)))[1])

    def command(self, opcode: int, pointer: int = 0) -> int:
        """A device command with an address; its status."""
        os.pwrite(self.fd, struct.pack("<B7xQ", opcode, pointer).ljust(64, b"\0"),
                  self._bar0 + DEVCMD_CMD)
        os.pwrite(self.fd, bytes(4), self._bar0 + DEVCMD_DONE)
        os.pwrite(self.fd, struct.pack("<I", 1), self._bar0 + DEVCMD)
        until = time.monotonic() + 10
        while not os.pread(self.fd, 4, self._bar0 + DEVCMD_DONE)[0] & 1:
            assert time.monotonic() < until, "a device command"
        return os.pread(self.fd, 1, self._bar0 + DEVCMD_COMP)[0]

    def write_to(self, address: int) -> None:
        """Make the card write there, once and for all."""
        assert self.command(PORT_INIT, address) == 0
        assert self.command(PORT_RESET) == 0

    def save(self) -> bytes:
        """Everything that STOP_COPY gives."""
        with os.fdopen(self.go(STOP_COPY), "rb") as stream:
            return stream.read()

    def load(self, state: bytes) -> None:
        with os.fdopen(self.go(RESUMING), "wb", buffering=0) as stream:
            stream.write(state)

    def log_start(self, ranges: list[tuple[int, int]]) -> None:
        table = ctypes.create_string_buffer(b"".join(struct.pack("QQ", *r) for r in ranges))
        self.feature(SET | LOG_START, struct.pack("QIIQ", PAGE, len(ranges), 0,
                                                  ctypes.addressof(table)))

    def log_stop(self) -> None:
        self.feature(SET | LOG_STOP, b"")

    def report(self, start: int, length: int) -> list[int]:
        """Addresses of the dirty pages."""
        words = (ctypes.c_uint64 * (length // BLOCK))()
        self.feature(GET | LOG_REPORT, struct.pack("QQQQ", start, length, PAGE,
                                                   ctypes.addressof(words)))
        return [start + (64 * i + bit) * PAGE for i, word in enumerate(words) for bit in range(64)
                if word >> bit & 1]


class Memory:
    """Pages of ours whose physical addresses are known, far from each other."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 16 << 20)
        for at in range(0, len(self._map), PAGE):
            self._map[at] = 1
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.pages: dict[int, int] = {}  # block -> physical address of a page in it
        with open("/proc/self/pagemap", "rb") as table:
            for at in range(0, len(self._map), PAGE):
                table.seek((base + at) // PAGE * 8)
                entry = struct.unpack("Q", table.read(8))[0]
                physical = (entry & ((1 << 55) - 1)) * PAGE
                if entry >> 63 and physical:
                    self.pages.setdefault(physical // BLOCK * BLOCK, physical)


def migrate(source: Device, target: Device) -> dict[str, object]:
    """Save one VF, load another; a broken stream must be refused, and change nothing."""
    seen: dict[str, object] = {"flags": source.flags(), "before": source.state()}
    state = source.save()
    seen["bytes"], seen["stopped"] = len(state), source.state()
    source.go(RUNNING)
    broken = bytearray(state)
    broken[len(broken) // 2] ^= 0xff
    target.load(bytes(broken))
    try:
        target.go(STOP)
        seen["broken"] = 0
    except OSError as error:
        seen["broken"] = error.errno
    fcntl.ioctl(target.fd, RESET)
    seen["reset"] = target.state()
    target.load(state)
    target.go(STOP)
    seen["loaded"] = target.state()
    target.go(RUNNING)
    seen["after"] = [source.state(), target.state()]
    return seen


def log(device: Device) -> dict[str, object]:
    """Several ranges; each report against what the card was made to write."""
    memory = Memory()
    blocks = sorted(memory.pages)[1::4][:3]
    first, second, third = blocks
    outside = next(page for block, page in memory.pages.items() if block not in blocks)
    device.write_to(memory.pages[first])  # before the start: no page of it
    device.log_start([(block, BLOCK) for block in blocks])
    wrong = []

    def expect(what: str, block: int, pages: list[int]) -> None:
        got = device.report(block, BLOCK)
        if got != pages:
            wrong.append(f"{what}: {[hex(p) for p in got]}, not {[hex(p) for p in pages]}")

    for block in blocks:
        expect("nothing written", block, [])
    device.write_to(memory.pages[second])
    device.write_to(outside)
    expect("written elsewhere", first, [])
    expect("written", second, [memory.pages[second]])
    expect("reported before", second, [])
    for _ in range(3):
        device.write_to(memory.pages[third])
    device.write_to(memory.pages[first])
    expect("written with others", first, [memory.pages[first]])
    expect("written three times", third, [memory.pages[third]])
    device.log_stop()
    device.log_start([(first, BLOCK)])
    expect("started again", first, [])
    device.log_stop()
    return {"ranges": len(blocks), "wrong": wrong}


def recover(device: Device) -> dict[str, object]:
    """The firmware goes away while a stopped VF waits: ERROR, and a reset leads out of it."""
    device.go(STOP)
    Path("/run/stopped").touch()
    until = time.monotonic() + 60
    while device.state() != ERROR:
        assert time.monotonic() < until, f"still in state {device.state()}"
        time.sleep(0.1)
    seen: dict[str, object] = {"error": True}
    try:
        device.go(RUNNING)
    except OSError as error:
        seen["refused"] = error.errno == errno.EIO
    fcntl.ioctl(device.fd, RESET)
    seen["after"] = device.state()
    seen["bytes"] = len(device.save())
    device.go(RUNNING)
    return seen


if __name__ == "__main__":
    opened = [Device(address) for address in sys.argv[2:]]
    if sys.argv[1] == "migrate":
        print(json.dumps(migrate(*opened)))
    else:
        print(json.dumps({"log": log, "recover": recover}[sys.argv[1]](opened[0])))
