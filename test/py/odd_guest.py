# SPDX-License-Identifier: BSD-3-Clause
"""
A guest driver that does everything that VIRTIO allows and no driver does: buffers in pieces, in the
ring or in tables, heads in any order, notifications switched on and off, stops and resets under
way.
"""

from __future__ import annotations

import os
import random
import struct
from collections import Counter
from dataclasses import dataclass

import vhost_frontend as vf
import vhost_user as vu
from vdpa_bench import frame

F_INDIRECT = 1 << 28
NEXT, WRITE, INDIRECT = 1, 2, 4
TABLE_ENTRIES = 8
FRAME_MAX = 1514
U16 = struct.Struct("<H")
DESC = struct.Struct("<QIHH")  # split: flags, next; packed: id, flags


@dataclass
class Chain:
    """What was posted: pieces of memory, and how many ring slots they took."""

    pieces: list[tuple[int, int]]
    slots: list[int]
    serial: int = 0

    @property
    def size(self) -> int:
        return sum(size for _, size in self.pieces)


class OddRing:
    """One queue, split or packed; every use of it is drawn from `rng`."""

    def __init__(self, memory: vf.Memory, index: int, size: int, packed: bool, event_idx: bool,
                 rng: random.Random) -> None:
        self.memory, self.index, self.size = memory, index, size
        self.packed, self.event_idx, self.rng = packed, event_idx, rng
        self.desc = memory.alloc(16 * size)
        self.avail = memory.alloc(6 + 2 * size)
        self.used = memory.alloc(6 + 8 * size)
        self.tables = memory.alloc(16 * TABLE_ENTRIES * size)
        self.kick, self.call = vu.eventfd(), vu.eventfd()
        self.reset()

    def reset(self) -> int:
        """As a driver that starts anew. @return buffers that were out."""
        out = len(getattr(self, "out", {}))
        for gpa, size in ((self.desc, 16 * self.size), (self.avail, 6 + 2 * self.size),
                          (self.used, 6 + 8 * self.size)):
            self.put(gpa, bytes(size))
        self.free = list(range(self.size))
        self.out: dict[int, Chain] = {}
        self.avail_idx = self.used_seen = self.posted = 0
        self.room = self.size
        return out

    def close(self) -> None:
        os.close(self.kick)
        os.close(self.call)

    def put(self, gpa: int, data: bytes) -> None:
        at = self.memory.offset(gpa)
        self.memory.map[at:at + len(data)] = data

    def u16(self, gpa: int) -> int:
        at = self.memory.offset(gpa)
        return int(U16.unpack_from(self.memory.map, at)[0])

    def _wrap(self, slot: int) -> bool:
        return slot // self.size % 2 == 0

    def post(self, pieces: list[tuple[int, int]], write: bool, serial: int = 0) -> bool:
        """Some pieces in the ring, maybe the rest in a table. @return False: no room."""
        rng = self.rng
        table = rng.random() < 0.4 and len(pieces) <= TABLE_ENTRIES
        direct = rng.randrange(len(pieces)) if table else len(pieces)
        need = direct + table
        if need > self.room or not self.free:
            return False
        ids = [self.free.pop(rng.randrange(len(self.free)))
               for _ in range(1 if self.packed else need)]
        head = ids[0]
        flags = WRITE if write else 0
        slots = [(gpa, size, flags) for gpa, size in pieces[:direct]]
        if table:
            at = self.tables + head * 16 * TABLE_ENTRIES
            self._table(at, pieces[direct:], flags)
            slots.append((at, 16 * (len(pieces) - direct), INDIRECT))
        self.out[head] = Chain(pieces, ids if not self.packed else [head] * need, serial)
        self.room -= need
        self.posted += 1
        if self.packed:
            self._post_packed(head, slots)
        else:
            self._post_split(ids, slots)
        return True

    def _table(self, at: int, pieces: list[tuple[int, int]], flags: int) -> None:
        data = b""
        for i, (gpa, size) in enumerate(pieces):
            more = NEXT if i + 1 < len(pieces) else 0
            data += (DESC.pack(gpa, size, 0xAAAA, flags) if self.packed else
                     DESC.pack(gpa, size, flags | more, i + 1))
        self.put(at, data)

    def _post_split(self, ids: list[int], slots: list[tuple[int, int, int]]) -> None:
        for i, (gpa, size, flags) in enumerate(slots):
            more = i + 1 < len(slots)
            self.put(self.desc + 16 * ids[i], DESC.pack(
                gpa, size, flags | (NEXT if more else 0), ids[i + 1] if more else 0))
        self.put(self.avail + 4 + 2 * (self.avail_idx % self.size), U16.pack(ids[0]))
        self.avail_idx = (self.avail_idx + 1) & 0xFFFF
        self.put(self.avail + 2, U16.pack(self.avail_idx))

    def _post_packed(self, head: int, slots: list[tuple[int, int, int]]) -> None:
        first = b""
        for i, (gpa, size, flags) in enumerate(slots):
            slot = self.avail_idx + i
            at = self.desc + 16 * (slot % self.size)
            flags |= NEXT if i + 1 < len(slots) else 0
            flags |= vf.PACKED_AVAIL if self._wrap(slot) else vf.PACKED_USED
            data = DESC.pack(gpa, size, head, flags)
            self.put(at, data if i else data[:14])
            first = first or data[14:]
        self.put(self.desc + 16 * (self.avail_idx % self.size) + 14, first)
        self.avail_idx += len(slots)

    def _next(self) -> tuple[int, int] | None:
        if not self.packed:
            if self.used_seen == self.u16(self.used + 2):
                return None
            at = self.memory.offset(self.used + 4 + 8 * (self.used_seen % self.size))
            head, size = struct.unpack_from("<II", self.memory.map, at)
            return head, size
        if not self.out:
            return None
        gpa = self.desc + 16 * (self.used_seen % self.size)
        both = vf.PACKED_AVAIL | vf.PACKED_USED
        # The flags first: they say whether the rest is there.
        if self.u16(gpa + 14) & both != (both if self._wrap(self.used_seen) else 0):
            return None
        _, size, head, _ = DESC.unpack_from(self.memory.map, self.memory.offset(gpa))
        return head, size

    def poll(self) -> list[tuple[Chain, int]]:
        """Used chains; each must be out, and no longer than it is."""
        done = []
        while (found := self._next()) is not None:
            head, size = found
            assert head in self.out, f"ring {self.index}: {head} is not out"
            chain = self.out.pop(head)
            assert size <= chain.size, f"ring {self.index}: {size} of {chain.size} bytes"
            self.room += len(chain.slots)
            self.free += [head] if self.packed else chain.slots
            self.used_seen = (self.used_seen + len(chain.slots) if self.packed else
                              (self.used_seen + 1) & 0xFFFF)
            done.append((chain, size))
        return done

    def interrupts(self, on: bool) -> None:
        """Ask for them, or not, in one of the ways that there are."""
        if self.packed:
            at = self.used_seen % self.size | self._wrap(self.used_seen) << 15
            flags = (2 if self.event_idx and self.rng.random() < 0.7 else 0) if on else 1
            self.put(self.avail, struct.pack("<HH", at, flags))
        elif self.event_idx:
            at = self.used_seen if on else self.used_seen - self.rng.randrange(1, 9)
            self.put(self.avail + 4 + 2 * self.size, U16.pack(at & 0xFFFF))
        else:
            self.put(self.avail, U16.pack(not on))

    def notify(self) -> None:
        if self.packed:
            wanted = self.u16(self.used + 2) != 1
        else:
            wanted = self.event_idx or not self.u16(self.used) & 1
        if wanted:
            os.eventfd_write(self.kick, 1)

    def base(self) -> int:
        if self.packed:
            return self.used_seen % self.size | self._wrap(self.used_seen) << 15
        return self.used_seen


class OddGuest:
    """Sends numbered frames through a loop and takes them back, in odd ways."""

    def __init__(self, path: str, rng: random.Random, packed: bool) -> None:
        self.rng = rng
        event_idx = rng.random() < 0.5
        self.merge = rng.random() < 0.5
        memory = vf.Memory(24 << 20, 2 << 20)
        size = rng.choice([16, 32, 128, 256] + ([24, 57, 100] if packed else []))
        self.rings = [OddRing(memory, i, size, packed, event_idx, rng) for i in range(2)]
        self.vm = vf.Frontend(path, memory=memory, packed=packed, event_idx=event_idx,
                              features=F_INDIRECT, rings=self.rings)  # type: ignore[arg-type]
        if not self.merge:
            self.vm.want &= ~vf.F_MRG_RXBUF
        self.memory = memory
        self.all_buffers = [memory.alloc(4096) for _ in range(2 * size + 2)]
        self.buffers = list(self.all_buffers)
        self.seq = 0
        self.got: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.logging = False
        self.part: list[bytes] = []
        self.parts_left = 0
        self.vm.connect()
        self.start()

    def start(self) -> None:
        self.vm.bases = [ring.base() for ring in self.rings]
        self.vm.start(vu.F_LOG_ALL if self.logging else 0)

    def _pieces(self, total: int, most: int) -> list[tuple[int, int]]:
        """`total` bytes of a buffer of its own, cut at random; pieces may adjoin."""
        rng = self.rng
        gpa = self.buffers.pop(rng.randrange(len(self.buffers)))
        cuts = sorted(rng.sample(range(1, total), rng.randrange(min(most, total))))
        gap = rng.choice([0, 0, 16])
        return [(gpa + a + gap * i, b - a)
                for i, (a, b) in enumerate(zip([0, *cuts], [*cuts, total]))]

    def _release(self, pieces: list[tuple[int, int]]) -> None:
        self.buffers.append(pieces[0][0])

    def fill(self) -> None:
        rx = self.rings[0]
        while True:
            total = self.rng.randrange(600 if self.merge else 12 + FRAME_MAX, 3000)
            pieces = self._pieces(total, 4)
            if not rx.post(pieces, True):
                self._release(pieces)
                break
            self.counts["rx_posted"] += 1
        rx.notify()

    def send(self, most: int) -> None:
        tx = self.rings[1]
        for _ in range(self.rng.randrange(1, most)):
            data = bytes(12) + frame(self.seq, self.rng.randrange(60, FRAME_MAX))
            pieces = self._pieces(len(data), 4)
            at = 0
            for gpa, size in pieces:
                tx.put(gpa, data[at:at + size])
                at += size
            if not tx.post(pieces, False, self.seq):
                self._release(pieces)
                break
            self.seq += 1
            self.counts["tx_posted"] += 1
        tx.notify()

    def take(self) -> None:
        for chain, _ in self.rings[1].poll():
            self.counts["tx_back"] += 1
            self._release(chain.pieces)
        for chain, size in self.rings[0].poll():
            self.counts["rx_back"] += 1
            self._release(chain.pieces)
            if size == 0:
                self.counts["rx_empty"] += 1
                continue
            data = b"".join(self.memory.read(*piece) for piece in chain.pieces)[:size]
            if not self.parts_left:
                self.parts_left = U16.unpack_from(data, 10)[0] if self.merge else 1
                data = data[12:]
                self.part = []
            self.part.append(data)
            self.parts_left -= 1
            if not self.parts_left:
                self._frame(b"".join(self.part))

    def _frame(self, data: bytes) -> None:
        seq = int.from_bytes(data[14:18], "big")
        assert data == frame(seq, len(data)), f"frame {seq} came back changed"
        assert seq not in self.got, f"frame {seq} came back twice"
        self.got.add(seq)

    def pause(self) -> None:
        """Stop and go on, as for a migration that comes back to the same host."""
        bases = self.vm.stop()
        self.take()
        assert bases == [ring.base() for ring in self.rings]
        self.counts["pauses"] += 1
        self.start()

    def reset(self) -> None:
        """The guest's driver starts anew; what is out belongs to nobody any more."""
        self.vm.stop()
        self.take()
        self.parts_left = 0
        self.counts["rx_reset"] += self.rings[0].reset()
        self.counts["tx_reset"] += self.rings[1].reset()
        self.counts["resets"] += 1
        self.buffers = list(self.all_buffers)
        self.start()

    def log(self, on: bool) -> None:
        if on != self.logging:
            if on:
                self.vm.lm_begin()
            else:
                self.vm.lm_cancel()
            self.logging = on

    def step(self, toggle_log: bool) -> None:
        rng = self.rng
        self.fill()
        self.send(12)
        for ring in self.rings:
            ring.interrupts(rng.random() < 0.5)
        self.take()
        what = rng.random()
        if what < 0.004:
            self.pause()
        elif what < 0.006:
            self.reset()
        elif what < 0.008 and toggle_log:
            self.log(not self.logging)
        elif what < 0.02:
            self.vm.new_call(rng.randrange(2))

    def check(self) -> None:
        """Every buffer that was posted came back, was reset away, or is out."""
        c, (rx, tx) = self.counts, self.rings
        assert c["rx_posted"] == c["rx_back"] + c["rx_reset"] + len(rx.out), c
        assert c["tx_posted"] == c["tx_back"] + c["tx_reset"] + len(tx.out), c

    def close(self) -> None:
        self.vm.destroy()
