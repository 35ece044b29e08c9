# SPDX-License-Identifier: BSD-3-Clause
"""Where every frame went: sent = received + drops by named reason, and nothing unexplained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .base import Deadline
from .control import settle
from .testbed import Testbed

Counters = dict[str, int]

LATE_S = 10.0  # for frames that a guest without CPU still holds
# Of a back end's figures, those that count frames which ended there.
BACKEND_DROPS = ("tx_dropped_at_quiesce",)


@dataclass
class Frames:
    """The account of one run of the generator."""

    sent: int = 0
    received: int = 0
    duplicated: int = 0
    reordered: int = 0
    corrupt: int = 0
    dropped: Counters = field(default_factory=dict)
    guest_memory_bad: int = 0

    @property
    def unexplained(self) -> int:
        return self.sent - self.received - sum(self.dropped.values())

    def __iadd__(self, other: Frames) -> Frames:
        for name in ("sent", "received", "duplicated", "reordered", "corrupt"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.guest_memory_bad = other.guest_memory_bad  # counted since the guest's start
        return self

    def as_json(self) -> dict[str, Any]:
        return {"sent": self.sent, "received": self.received, "duplicated": self.duplicated,
                "reordered": self.reordered, "corrupt": self.corrupt,
                "dropped": {k: v for k, v in sorted(self.dropped.items()) if v},
                "unexplained": self.unexplained}


def _flat(prefix: str, figures: dict[str, Any], out: Counters) -> None:
    for key, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        out[f"{prefix}{key}"] = value


def drop_counters(testbed: Testbed) -> Counters:
    """Every counter in the testbed that says 'a frame ended here'."""
    out: Counters = {}
    _flat("traffic.", testbed.generator().stats().get("drops", {}), out)
    for side in testbed.sides.values():
        if side.model_control is not None:
            stats = side.model_control.stats()
            _flat(f"model {side.name}.", stats.get("drops", {}), out)
            # What the wire refused to send is among these.
            _flat(f"model {side.name}.", stats.get("tx_drops", {}), out)
            wire = {k: v for k, v in stats.get("wire", {}).items() if k.startswith("rx_dropped")}
            _flat(f"model {side.name}.wire_", wire, out)
        if side.telemetry is not None:
            figures = side.telemetry.get(f"/lm/stats,{side.device}") or {}
            drops = {k: v for k, v in figures.items() if k in BACKEND_DROPS}
            _flat(f"back end {side.name}.", drops, out)
    return out


def guest_stats(testbed: Testbed) -> dict[str, Any]:
    """Of the one guest that runs; empty when none does."""
    for side in testbed.sides.values():
        if side.guest is not None and side.guest.monitor().cmd("query-status")["running"]:
            return side.guest.stats()
    return {}


def guest_drops(stats: dict[str, Any]) -> Counters:
    """What ended in the guest: its program's counters and its driver's."""
    out: Counters = {}
    _flat("guest.", stats.get("drops", {}), out)
    _flat("guest.nic_", {k: v for k, v in stats.get("nic", {}).items()
                         if k.endswith(("_errors", "_dropped"))}, out)
    return out


def quiet(testbed: Testbed, timeout: float = 10.0) -> dict[str, Any]:
    """Wait until nothing is in flight (the generator is stopped); the traffic's last word."""
    control = testbed.generator()

    def counters() -> tuple[Any, ...]:
        stats = control.stats()
        models = tuple((m["rx_frames"], m["tx_frames"], sum(m["drops"].values()))
                       for m in (s.model_control.stats() for s in testbed.sides.values()
                                 if s.model_control is not None))
        return (stats["sent"], stats["received"], models)

    settle(counters, timeout, "frames in flight to settle")
    return control.stats()


class Account:
    """One run: begin() with nothing in flight, end() when the generator has been stopped."""

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self._before: Counters = {}
        self._guest: dict[str, Any] = {}
        self.last: dict[str, Any] = {}

    def begin(self) -> None:
        control = self.testbed.generator()
        control.request("stop")
        quiet(self.testbed)
        control.request("reset")
        self._guest = guest_stats(self.testbed)
        self._before = drop_counters(self.testbed) | guest_drops(self._guest)
        control.request("start")

    def end(self) -> Frames:
        self.testbed.generator().request("stop")
        deadline = Deadline(LATE_S, "frames in flight to come")
        frames = self._frames()
        # Counters stand still, too, while the guest has no CPU: what is missing may be with it.
        while frames.unexplained > 0 and not deadline.passed():
            frames = self._frames()
        return frames

    def _frames(self) -> Frames:
        self.last = quiet(self.testbed)
        guest = guest_stats(self.testbed)
        after = drop_counters(self.testbed) | guest_drops(guest)
        dropped = {key: value - self._before.get(key, 0) for key, value in after.items()}
        seen = {key: self.last[key] + guest.get(key, 0) - self._guest.get(key, 0)
                for key in ("duplicated", "reordered", "corrupt")}
        return Frames(self.last["sent"], self.last["received"], **seen, dropped=dropped,
                      guest_memory_bad=guest.get("memory", {}).get("bad", 0))


def violations(testbed: Testbed) -> tuple[int, dict[str, int]]:
    """Rules that a driver broke, as the models saw it."""
    total = 0
    rules: dict[str, int] = {}
    for side in testbed.sides.values():
        if side.model_control is None:
            continue
        stats = side.model_control.stats()
        total += stats["violations"]
        for rule, count in stats.get("violation_list", {}).items():
            rules[f"{side.name}: {rule}"] = count
    return total, rules
