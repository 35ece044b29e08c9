# SPDX-License-Identifier: BSD-3-Clause
"""Numbered frames of the small VM, and what must be in its log. Also runs inside a guest."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import vhost_frontend as vf

MAC = bytes.fromhex("5254004c4d01")


def frame(seq: int, size: int = 200) -> bytes:
    """A frame whose every byte follows from its number."""
    head = b"\xff" * 6 + MAC + b"\x88\xb5" + seq.to_bytes(4, "big")
    body = (seq * 2654435761 & 0xFFFFFFFF).to_bytes(4, "big")
    return (head + body * (size // 4))[:size]


class Traffic:
    """Numbered frames out and back; what comes back is checked byte by byte."""

    def __init__(self, vm: vf.Frontend, window: int = 24) -> None:
        self.vm = vm
        self.window = window
        self.sent = 0
        self.received: list[int] = []
        self.rarps = 0

    def _take(self, frames: list[bytes]) -> None:
        for data in frames:
            if data[12:14] == b"\x80\x35":
                assert data[6:12] == data[22:28] and data[:6] == b"\xff" * 6
                self.rarps += 1
                continue
            seq = int.from_bytes(data[14:18], "big")
            assert data == frame(seq, len(data)), f"frame {seq} came back changed"
            self.received.append(seq)

    def poll(self, pairs: Iterator[int] | range = range(1)) -> None:
        for pair in pairs:
            self._take(self.vm.receive(pair))

    def run(self, count: int, pair: int = 0, lost: int = 0) -> None:
        """Send `count` more, at most a window ahead of what came back."""
        end = self.sent + count
        want = len(self.received) + count
        while self.sent < end:
            while self.sent - len(self.received) - lost >= self.window:
                self._take(self.vm.receive_until(1, pair=pair))
            self.vm.send(frame(self.sent, 60 + self.sent * 37 % 1400), pair)
            self.sent += 1
            self._take(self.vm.receive(pair))
        while len(self.received) < want - lost:
            self._take(self.vm.receive_until(1, pair=pair))

    def check_order(self) -> None:
        assert self.received == sorted(set(self.received)), "reordered or duplicated"

    def check_complete(self) -> None:
        assert self.received == list(range(self.sent))


class Pump:
    """Traffic from a thread while the test's own thread talks vhost-user."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        t = self.traffic
        given_up = 0  # frames that fell into a switch, found by nothing coming back
        try:
            while not self._stop.is_set():
                t.poll()
                if t.sent - len(t.received) - given_up < t.window:
                    t.vm.send(frame(t.sent, 60 + t.sent * 37 % 1400))
                    t.sent += 1
                elif not t.vm.wait([t.vm.rings[0]], 0.2):
                    given_up = t.sent - len(t.received)
        except BaseException as err:  # given to the test by __exit__
            self._error = err

    def __enter__(self) -> "Pump":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


def attach_to(path: str, **options: object) -> vf.Frontend:
    """A VM that runs."""
    vm = vf.Frontend(path, **options)  # type: ignore[arg-type]
    vm.connect()
    for pair in range(vm.pairs):
        vm.fill_rx(pair)
    vm.start()
    return vm


def lost_pages(vm: vf.Frontend, before: bytes) -> set[int]:
    """Pages that changed since `before`, not by the guest's CPU, and are in no log."""
    vm.harvest()
    return vm.memory.changed(before) - vm.memory.cpu_pages - vm.dirty


def everything(vm: vf.Frontend) -> set[int]:
    return {(g + i) // vf.PAGE for g, s, _ in vm.memory.regions for i in range(0, s, vf.PAGE)}


def relayed(queues: int = 2, permanent: bool = False) -> list[str]:
    """What the modes are then; a packed ring, or a function without RING_RESET, stays so."""
    return ["relay-permanent" if permanent else "relay"] * queues
