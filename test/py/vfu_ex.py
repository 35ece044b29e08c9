# SPDX-License-Identifier: BSD-3-Clause
"""
A driver of the exerciser and a checker of its own, for tests.

Written from the text of exerciser_if.h and exerciser_state_if.h; it shares no code with the model,
and counts where the C checker has a closed form.
"""

from __future__ import annotations

import dataclasses
import errno
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import vfio_user_oracle as vfu
from vfio_user_oracle import Command

MASK = (1 << 64) - 1
PAGE = 4096
BLOCK = 65536
PROBE, SET, GET = 1 << 18, 1 << 17, 1 << 16
MIGRATION, STATE, LOG_START, LOG_STOP, LOG_REPORT, DATA_SIZE = 1, 2, 6, 7, 8, 9
PRECOPY_INFO = 19

ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P = range(8)
NAMES = ("ERROR", "STOP", "RUNNING", "STOP_COPY", "RESUMING", "RUNNING_P2P", "PRE_COPY",
         "PRE_COPY_P2P")

STATUS, CONTROL, DOORBELL = 0x8, 0x10, 0x18
CONFIG = ("seed", "rate", "pages", "stride", "page_write", "state_bytes", "state_every", "peer",
          "peer_every", "ring", "ring_size", "op_steps", "nb_ranges")
COUNTERS = ("steps", "dma_errors", "ops_accepted", "ops_refused", "ops_done", "irqs", "digest",
            "migrations")
PEER_SEEN, PEER_LATE, RANGES = 0x140, 0x148, 0x1000
END, START, PAUSE, CONTINUE = range(4)


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb & MASK
    return z ^ (z >> 31)


def key(seed: int, index: int, version: int) -> int:
    return mix(mix(mix(seed) ^ index) ^ version)


def words(seed_key: int, count: int) -> bytes:
    step = 0x9e3779b97f4a7c15
    return struct.pack(f"<{count}Q", *(mix((seed_key + (i + 1) * step) & MASK)
                                       for i in range(count)))


def block_key(seed: int, index: int, mod: int) -> int:
    return key(seed ^ MASK, index, mod)


def checksum(data: bytes) -> int:
    total = len(data)
    for word, in struct.iter_unpack("<Q", data):
        total = mix(total ^ word)
    return total


def page_seq(data: bytes, seed: int, page: int) -> int:
    """Sequence number of the page in these bytes; 0: empty; -1: it is none, or it is broken."""
    if data[:64] == bytes(64):
        return 0
    magic, its_seed, number, seq, time_ns, size, state, check, _ = struct.unpack_from(
        "<5QII2Q", data)
    if (magic.to_bytes(8, "little"), its_seed, number) != (b"LMEXPAGE", seed, page):
        return -1
    if check != mix(key(seed, page, seq) ^ time_ns ^ state << 32 ^ size) or size > len(data):
        return -1
    good = data[64:size] == words(key(seed, page, seq), (size - 64) // 8)
    return int(seq) if good else -1


@dataclasses.dataclass
class Setup:
    """What a device is told; ranges are (IOVA, bytes)."""

    rate: int = 5000
    pages: int = 0
    stride: int = 1
    page_write: int = 256
    state_every: int = 3
    peer: int = 0
    peer_every: int = 0
    ring: int = 0
    ring_size: int = 0
    op_steps: int = 20
    state_bytes: int | None = None
    ranges: tuple[tuple[int, int], ...] = ()


class Memory:
    """Host memory that a device can be given."""

    def __init__(self, size: int) -> None:
        self.fd = os.memfd_create("exerciser-host")
        os.ftruncate(self.fd, size)
        self.map = mmap.mmap(self.fd, size)

    def close(self) -> None:
        self.map.close()
        os.close(self.fd)


class Exerciser:
    """One device on its socket."""

    def __init__(self, path: os.PathLike[str] | str) -> None:
        self.vfu = vfu.Client(path)
        self.memory: dict[int, Memory] = {}  # by IOVA
        self.submitted = 0

    def close(self) -> None:
        self.vfu.close()
        for memory in self.memory.values():
            memory.close()

    def bus_master(self) -> None:
        self.vfu.write(7, 4, struct.pack("<H", 6))

    def map_memory(self, iova: int, size: int) -> None:
        self.memory[iova] = Memory(size)
        self.vfu.dma_map(iova, size, fd=self.memory[iova].fd)

    def get(self, reg: int) -> int:
        return int.from_bytes(self.vfu.read(0, reg, 8), "little")

    def put(self, reg: int, value: int) -> None:
        self.vfu.write(0, reg, value.to_bytes(8, "little"))

    def start(self, setup: Setup) -> None:
        self.put(CONTROL, END)
        for i, name in enumerate(CONFIG):
            value = len(setup.ranges) if name == "nb_ranges" else getattr(setup, name, None)
            if value is not None:
                self.put(0x40 + 8 * i, value)
        for i, (iova, size) in enumerate(setup.ranges):
            self.put(RANGES + 16 * i, iova)
            self.put(RANGES + 16 * i + 8, size)
        self.put(CONTROL, START)
        assert self.get(STATUS) == 1

    def submit(self, count: int) -> None:
        for _ in range(count):
            self.submitted += 1
            self.put(DOORBELL, self.submitted)

    def config(self) -> dict[str, int]:
        return {name: self.get(0x40 + 8 * i) for i, name in enumerate(CONFIG)}

    def counters(self) -> dict[str, int]:
        return {name: self.get(0x100 + 8 * i) for i, name in enumerate(COUNTERS)}

    # -- migration

    def flags(self) -> int:
        return int.from_bytes(self.vfu.feature(GET | MIGRATION, room=8), "little")

    def state(self) -> int:
        return int(struct.unpack("<II", self.vfu.feature(GET | STATE, room=8))[0])

    def go(self, state: int) -> None:
        self.vfu.feature(SET | STATE, struct.pack("<II", state, 0xffffffff))

    def go_post(self, state: int) -> int:
        """Ask for a state without waiting; the id is for vfu.take()."""
        return self.vfu.post(Command.FEATURE, struct.pack("<4I", 16, SET | STATE, state, 0))

    def read_state(self, size: int = 1 << 20) -> bytes:
        reply = self.vfu.ask(Command.MIG_DATA_READ, struct.pack("<II", 8 + size, size)).payload
        argsz, count = struct.unpack_from("<II", reply)
        assert argsz == 8 + count and count <= size
        return reply[8:8 + count]

    def write_state(self, data: bytes) -> None:
        payload = struct.pack("<II", 8 + len(data), len(data)) + data
        assert self.vfu.ask(Command.MIG_DATA_WRITE, payload).payload == b""

    # -- log

    def log_start(self, ranges: list[tuple[int, int]], page: int = PAGE) -> int:
        data = struct.pack("<QII", page, len(ranges), 0)
        for iova, size in ranges:
            data += struct.pack("<QQ", iova, size)
        return int(struct.unpack_from("<Q", self.vfu.feature(SET | LOG_START, data))[0])

    def log_stop(self) -> None:
        self.vfu.feature(SET | LOG_STOP)

    def log_report(self, iova: int, size: int, page: int = PAGE) -> set[int]:
        """Numbers of dirty pages, counted from iova."""
        head = struct.pack("<QQQ", iova, size, page)
        room = (size // page + 63) // 64 * 8
        reply = self.vfu.feature(GET | LOG_REPORT, head, 24 + room)
        assert reply[:24] == head and len(reply) == 24 + room
        bitmap = int.from_bytes(reply[24:], "little")
        assert bitmap >> (size // page) == 0
        return {i for i in range(size // page) if bitmap >> i & 1}

    # -- truth

    def last_writes(self) -> dict[int, int]:
        """Page -> step that wrote it last, by counting."""
        conf, steps = self.config(), self.counters()["steps"]
        pages = conf["pages"]
        return {k * conf["stride"] % pages: k for k in range(1, steps + 1)} if pages else {}

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Number and contents of each page of the working set."""
        conf, number = self.config(), 0
        for i in range(conf["nb_ranges"]):
            iova, size = self.get(RANGES + 16 * i), self.get(RANGES + 16 * i + 8)
            for at in range(0, size, PAGE):
                if number < conf["pages"]:
                    yield number, self.memory[iova].map[at:at + PAGE]
                number += 1

    def wrong_pages(self) -> list[int]:
        """Pages that are not what they must be; the device is quiet."""
        want, seed = self.last_writes(), self.config()["seed"]
        return [n for n, data in self.pages() if page_seq(data, seed, n) != want.get(n, 0)]

    def digest(self) -> int:
        """Of the internal state, as it must be."""
        conf = self.config()
        blocks = -(-conf["state_bytes"] // BLOCK)
        mods = [0] * blocks
        every = conf["state_every"]
        for number in range(1, self.counters()["steps"] // every + 1 if every and blocks else 1):
            mods[(number - 1) % blocks] = number
        return sum(block_key(conf["seed"], i, mod) for i, mod in enumerate(mods)) & MASK

    def check_operations(self) -> None:
        """Every operation is done in order, or outstanding."""
        conf, count = self.config(), self.counters()
        tokens: list[int] = []
        while len(tokens) < 256 and (token := self.get(0x800 + 8 * len(tokens))):
            tokens.append(token)
        assert tokens == list(range(count["ops_done"] + 1, self.submitted + 1))
        ring = self.memory[conf["ring"]].map
        for number in range(max(1, count["ops_done"] - conf["ring_size"] + 1),
                            count["ops_done"] + 1):
            at = (number - 1) % conf["ring_size"] * 32
            token, its_number, step, check = struct.unpack_from("<4Q", ring, at)
            assert (token, its_number) == (number, number)
            assert check == mix(conf["seed"] ^ token ^ number ^ step)
            assert step <= count["steps"]

    def assert_sound(self) -> None:
        """All of it."""
        assert self.wrong_pages() == []
        count = self.counters()
        assert count["digest"] == self.digest()
        assert count["dma_errors"] == 0
        if self.config()["ring_size"]:
            self.check_operations()


class Pf:
    """The PF, by exerciser_admin_if.h."""

    AREA, DATA = 0x200000, 0x1000

    def __init__(self, path: os.PathLike[str] | str) -> None:
        self.vfu = vfu.Client(path)
        self.memory = Memory(0x200000)
        self.vfu.dma_map(self.AREA, 0x200000, fd=self.memory.fd)
        self.vfu.write(7, 4, struct.pack("<H", 6))

    def close(self) -> None:
        self.vfu.close()
        self.memory.close()

    def post(self, opcode: int, vf: int, *arguments: int, data: int = 0, at: int = 0) -> None:
        """Ring for a command in slot at; its data is in the one buffer that there is."""
        ins = (*arguments, 0, 0, 0)[:3]
        self.memory.map[at:at + 128] = struct.pack("<II3QQII", opcode, vf, *ins, self.AREA +
                                                   self.DATA, data, 0).ljust(128, b"\0")
        self.vfu.write(0, 0x10, struct.pack("<Q", self.AREA + at))

    def done(self, at: int = 0) -> tuple[int, tuple[int, ...]] | None:
        """errno and results, or nothing yet."""
        *outs, error, is_done = struct.unpack_from("<4QII", self.memory.map, at + 48)
        return (error, tuple(outs)) if is_done else None

    def ask(self, opcode: int, vf: int, *arguments: int, data: int = 0) -> tuple[int, ...]:
        """A command that is answered at once."""
        self.post(opcode, vf, *arguments, data=data)
        answer = self.done()
        assert answer is not None
        if answer[0]:
            raise OSError(answer[0], os.strerror(answer[0]))
        return answer[1]

    def data(self, size: int) -> bytes:
        return self.memory.map[self.DATA:self.DATA + size]

    def put(self, data: bytes) -> None:
        self.memory.map[self.DATA:self.DATA + len(data)] = data


@contextmanager
def exerciser(path: os.PathLike[str] | str) -> Iterator[Exerciser]:
    device = Exerciser(path)
    try:
        yield device
    finally:
        device.close()


def refused(number: int) -> str:
    """What pytest.raises(OSError, match=...) is to see for this errno."""
    return f"^\\[Errno {number}\\]"


EINVAL = refused(errno.EINVAL)


def path_oracle(start: int, end: int, flags: int) -> list[int] | None:
    """
    linux/vfio.h: the shortest path over single arcs that has no saving state inside. Besides:
    PRE_COPY to STOP_COPY takes PRE_COPY_P2P where there is one, STOP_COPY never goes back.
    """
    p2p, pre = bool(flags & 2), bool(flags & 4)
    arcs = {(STOP, STOP_COPY), (STOP_COPY, STOP), (STOP, RESUMING), (RESUMING, STOP)}
    run = (RUNNING, RUNNING_P2P, STOP) if p2p else (RUNNING, STOP)
    arcs |= {pair for a, b in zip(run, run[1:]) for pair in ((a, b), (b, a))}
    if pre:
        arcs |= {(RUNNING, PRE_COPY), (PRE_COPY, RUNNING)}
    if pre and p2p:
        arcs |= {(PRE_COPY, PRE_COPY_P2P), (PRE_COPY_P2P, PRE_COPY), (PRE_COPY_P2P, STOP_COPY),
                 (RUNNING_P2P, PRE_COPY_P2P), (PRE_COPY_P2P, RUNNING_P2P)}
    elif pre:
        arcs.add((PRE_COPY, STOP_COPY))
    states = {s for arc in arcs for s in arc}
    saving = {PRE_COPY, PRE_COPY_P2P, STOP_COPY}
    if start not in states or end not in states:
        return None
    if start == STOP_COPY and end in (PRE_COPY, PRE_COPY_P2P):
        return None
    if (start, end) == (PRE_COPY, STOP_COPY) and p2p:
        return [PRE_COPY_P2P, STOP_COPY]
    paths: list[list[int]] = [[]]
    while paths:
        longer = []
        for path in paths:
            here = path[-1] if path else start
            if here == end:
                return path
            if path and here in saving:
                continue
            longer += [path + [b] for a, b in sorted(arcs) if a == here and b not in path
                       and b != start]
        paths = longer
    return None


def records(stream: bytes) -> list[tuple[int, bytes]]:
    """The state stream: (type, payload) of each record, all checked."""
    out: list[tuple[int, bytes]] = []
    at = 0
    while at < len(stream):
        magic, kind, serial, size, check = struct.unpack_from("<4sIQQQ", stream, at)
        assert magic == b"LMXR" and serial == len(out)
        assert check == key(int.from_bytes(magic, "little") << 32 | kind, serial, size)
        payload = stream[at + 32:at + 32 + size]
        assert len(payload) == size
        if kind != 2:
            assert int.from_bytes(payload[-8:], "little") == checksum(payload[:-8])
        out.append((kind, payload))
        at += 32 + size
    return out
