# SPDX-License-Identifier: BSD-3-Clause
"""Linux with its cards: models, each behind a bridge, each on a cable."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_harness.base import Deadline
from lm_harness.control import Control, settle
from lm_harness.process import Process
from uml_guest import Uml

Boot = Callable[..., "Machine"]


def wait(done: Callable[[], Any], timeout: float, what: str) -> Any:
    """Until it is true."""
    deadline = Deadline(timeout, what)
    while not (value := done()):
        if deadline.passed():
            raise deadline.error()
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class CardSpec:
    """A card with a PF and VFs, in slots one after another; lists of options are virtio-net."""

    device: str
    vfs: int
    options: Sequence[object]


class Card:
    """A model, each of its functions behind a bridge."""

    def __init__(self, name: str, model: Process, bridges: list[Process], control: Control) -> None:
        self.name = name
        self.model = model
        self.bridges = bridges
        self.control = control

    def stats(self, function: int = 0) -> dict[str, Any]:
        """Of one function; the PF is the first."""
        return self.control.request("stats", function=function) if function else \
            self.control.stats()

    def received(self) -> int:
        return int(self.stats()["rx_frames"])

    def filtered(self) -> int:
        return int(self.stats()["drops"].get("rx_filtered", 0))

    def carried(self) -> list[dict[str, int]]:
        """What the bridges have carried; after their end."""
        return [dict(json.loads(bridge.wait_line(r"^\{", 10))) for bridge in self.bridges]


class Machine:
    """Linux and its cards."""

    def __init__(self, linux: Uml, cards: list[Card]) -> None:
        self.linux = linux
        self.cards = cards

    def clean(self, known: tuple[str, ...] = ()) -> None:
        """Off, and neither side has anything to complain of but what is known of Linux."""
        for card in self.cards:
            for function in range(len(card.bridges)):
                broken = card.stats(function)["violation_list"]
                assert set(broken) <= set(known), broken
        # UML takes slots away in their order: a VF would go before its PF lets go of it.
        self.linux.run("for pf in /sys/bus/pci/devices/*/sriov_numvfs; do"
                       " test ! -e $pf || echo 0 >$pf || exit 1; done")
        self.linux.poweroff()
        assert self.linux.trouble() == []
        for card in self.cards:
            for carried in card.carried():
                assert carried["refused"] == carried["unwanted"] == 0, carried
            assert [bridge.wait(10) for bridge in card.bridges] == [0] * len(card.bridges)


def losses(card: Card, linux: Uml, function: int) -> dict[str, int]:
    """Frames that ended in the model or in Linux, by the reason given there."""
    stats, echo = card.stats(function), linux.echo_stats()
    found = {f"model {name}": count for kind in ("drops", "tx_drops")
             for name, count in stats[kind].items()}
    found |= {f"echo {name}": count for name, count in echo["drops"].items()}
    return found | {f"Linux {name}": count for name, count in echo["nic"].items()
                    if name.endswith(("_errors", "_dropped"))}


@dataclass
class Traffic:
    """A generator at the end of the cable; Linux sends everything back."""

    wire: str
    control: Control

    def _counters(self) -> tuple[int, int]:
        stats = self.control.stats()
        return stats["sent"], stats["received"]

    def run(self, machine: Machine, frames: int, function: int = 0) -> dict[str, Any]:
        """Every frame comes back as it was, or is counted where it ended; few end."""
        card, linux = machine.cards[0], machine.linux
        before, lost = linux.echo_stats(), losses(card, linux, function)
        self.control.request("reset")
        self.control.request("start")
        wait(lambda: self.control.stats()["sent"] >= frames, 30, f"{frames} frames sent")
        self.control.request("stop")
        settle(self._counters, 20, "frames in flight to settle")
        stats = self.control.stats()
        after = linux.echo_stats()
        named = {name: count - lost.get(name, 0)
                 for name, count in losses(card, linux, function).items()
                 if count != lost.get(name, 0)}
        came, went = (after[key] - before[key] for key in ("received", "echoed"))
        assert stats["sent"] == stats["received"] + sum(named.values()), (stats, came, went, named)
        assert stats["received"] >= 0.9 * frames, named
        for side in (stats, after):
            assert side["corrupt"] == side["duplicated"] == 0, side
        return stats


class Cable:
    """The end of a cable that a test holds in its hand."""

    def __init__(self, path: Path) -> None:
        self.wire = f"link:{path}"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._listener.settimeout(10)
        self._peer: socket.socket | None = None

    def plugged(self) -> socket.socket:
        if self._peer is None:
            self._peer, _ = self._listener.accept()
            self._peer.settimeout(10)
        return self._peer

    def send(self, frame: bytes) -> None:
        self.plugged().send(frame)

    def receive(self, match: Callable[[bytes], bool], timeout: float) -> bytes:
        """The next frame that is meant; others are thrown away."""
        deadline = Deadline(timeout, "a frame from Linux")
        while True:
            self.plugged().settimeout(deadline.left())
            try:
                frame = self.plugged().recv(65536)
            except TimeoutError as error:
                raise deadline.error() from error
            if match(frame):
                return frame

    def close(self) -> None:
        self._listener.close()
        if self._peer is not None:
            self._peer.close()
