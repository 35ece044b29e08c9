# SPDX-License-Identifier: BSD-3-Clause
"""One timeline from three witnesses: QEMU, the back ends, the traffic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .migrate import Migration

MODE_EVENT = re.compile(r"^queue (\d+) (\S+)")


@dataclass
class Event:
    """Milliseconds since the migration was asked for."""

    t_ms: float
    who: str
    phase: str
    what: str
    bytes: int = 0
    error: int = 0

    def as_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"t_ms": round(self.t_ms, 3), "who": self.who, "event": self.what}
        if self.phase:
            out["phase"] = self.phase
        if self.bytes:
            out["bytes"] = self.bytes
        if self.error:
            out["error"] = self.error
        return out


def merge(migration: Migration, timelines: dict[str, list[dict[str, Any]]],
          switches: list[dict[str, Any]]) -> list[Event]:
    """
    All events of one migration in their order. Of what a back end did before, only the mode
    that each queue was in is kept; its time is negative.
    """
    begin = migration.begin_ns
    out: list[Event] = []
    for t_ns, who, what in migration.events:
        out.append(Event((t_ns - begin) / 1e6, f"qemu {who}", "", what))
    before: dict[tuple[str, str], Event] = {}
    for side, events in timelines.items():
        for e in events:
            event = Event((int(e["t_ns"]) - begin) / 1e6, f"back end {side}", e["phase"],
                          e["event"], e["bytes"], e["error"])
            match = MODE_EVENT.match(event.what)
            if event.t_ms >= 0:
                out.append(event)
            elif event.phase == "mode" and match:
                before[(side, match.group(1))] = event
    for s in switches:
        t_ms = (int(s["t_ns"]) - begin) / 1e6
        if t_ms >= 0:
            out.append(Event(t_ms, "switch", "", f"{s['from']} -> {s['to']} by {s['by']}"))
    out += [event for event in before.values() if not event.what.endswith(" off")]
    out.sort(key=lambda e: e.t_ms)
    return out


def phases(migration: Migration, events: list[Event],
           traffic: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """QEMU's phases, every begin/end pair of the back ends, and what the network saw."""
    out: list[dict[str, Any]] = []

    def add(name: str, who: str, begin_ms: float, end_ms: float, count: int = 0) -> None:
        out.append({"name": name, "who": who, "begin_ms": round(begin_ms, 3),
                    "ms": round(end_ms - begin_ms, 3), "bytes": count})

    at = {(e.who, e.what): e.t_ms for e in reversed(events) if e.who.startswith("qemu")}
    stop = at.get(("qemu source", "STOP"))
    done = at.get(("qemu source", "migration completed"))
    resume = at.get(("qemu destination", "RESUME"))
    if stop is not None:
        add("pre-copy", "qemu", 0.0, stop)
        if done is not None:
            add("stop and copy", "qemu", stop, done)
        if resume is not None:
            add("guest stands still", "qemu", stop, resume)
    begun: dict[tuple[str, str], float] = {}
    for e in events:
        if not e.who.startswith("back end"):
            continue
        if e.what == "begin":
            begun[(e.who, e.phase)] = e.t_ms
        elif e.what == "end" and (e.who, e.phase) in begun:
            add(e.phase, e.who, begun.pop((e.who, e.phase)), e.t_ms, e.bytes)
    moved = next((e.t_ms for e in events if e.who == "switch"), None)
    if moved is not None and stop is not None:
        add("stop to first frame from the destination", "switch", stop, moved)
    if traffic and stop is not None:
        silent = (int(traffic["silence_begin_ns"]) - migration.begin_ns) / 1e6
        until = silent + float(traffic["longest_silence_us"]) / 1e3
        add("blackout", "network", silent, until)
        if moved is not None and silent <= moved <= until:
            add("first frames at its new place to its first answer", "guest", moved, until)
    out.sort(key=lambda p: float(p["begin_ms"]))
    return out


def modes(events: list[Event]) -> list[dict[str, Any]]:
    """Which queue was driven how, from when on."""
    out = []
    for e in events:
        match = MODE_EVENT.match(e.what)
        if match and e.phase == "mode" and e.who.startswith("back end"):
            out.append({"t_ms": round(e.t_ms, 3), "side": e.who.removeprefix("back end "),
                        "queue": int(match.group(1)), "mode": match.group(2)})
    return out
