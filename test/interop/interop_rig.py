# SPDX-License-Identifier: BSD-3-Clause
"""A model as the card of a guest, and the traffic that both ends of the cable check."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lm_harness.base import Deadline
from lm_harness.control import Control, settle
from lm_harness.guest import Guest
from lm_harness.process import Process

MAC = "52:54:00:4c:4d:01"
BOOT_S, TRAFFIC_S = 100.0, 60.0
TROUBLE = re.compile(r"BUG:|WARNING:|Oops|Call Trace|Kernel panic|rcu.*stall"
                     r"|(virtio_net|ionic) .*(fail|error|timeout|timed out|hang|reset)", re.I)


@dataclass
class Model:
    """A model and the function that the guest has."""

    process: Process
    control: Control
    function: int

    def stats(self) -> dict[str, Any]:
        """Of that function."""
        return self.control.request("stats", function=self.function) if self.function else \
            self.control.stats()


@dataclass
class Rig:
    """One model; guests come and go."""

    model: Model
    traffic: Control
    start: Callable[[str], Guest]

    def boot(self, name: str) -> tuple[Guest, dict[str, Any]]:
        """A guest, and what it says when it is ready."""
        guest = self.start(name)
        return guest, guest.boot(BOOT_S)

    def console(self, guest: Guest, pattern: str) -> str:
        """Wait until a driver has said so."""
        deadline = Deadline(30, f"guest {guest.name}: a line like '{pattern}' on its console")
        while not (found := re.search(pattern, _text(guest))):
            if deadline.passed():
                raise deadline.error()
            time.sleep(0.05)
        return found[0]

    def run(self, guest: Guest, frames: int) -> None:
        """Every frame reaches the guest and comes back as it was, once and in order."""
        before = guest.stats()
        self.traffic.request("reset")
        self.traffic.request("start")
        deadline = Deadline(TRAFFIC_S, f"guest {guest.name}: {frames} frames back")
        while self.traffic.stats()["received"] < frames:
            if deadline.passed():
                raise deadline.error(f"{self.traffic.stats()}, {self.model.stats()}")
            time.sleep(0.05)
        self.traffic.request("stop")
        settle(lambda: (self.traffic.stats()["sent"], self.traffic.stats()["received"]), 20,
               "frames in flight to settle")
        here, after = self.traffic.stats(), guest.stats()
        for side in (here, after):
            assert [side[key] for key in ("corrupt", "duplicated", "reordered")] == [0] * 3, side
        came, went = (after[key] - before[key] for key in ("received", "echoed"))
        assert here["sent"] == came == went == here["received"] >= frames, (here, came, went)

    def leave(self, guest: Guest) -> None:
        """QEMU ends; neither the model nor Linux has anything to complain of."""
        guest.quit()
        assert [line for line in _text(guest).splitlines() if TROUBLE.search(line)] == []
        stats = self.model.stats()
        assert stats["violations"] == 0, stats["violation_list"]

    def end(self) -> None:
        """The model ends as it should."""
        self.model.process.stop()


MakeRig = Callable[..., Rig]


def _text(guest: Guest) -> str:
    return guest.console_path.read_text(errors="replace")
