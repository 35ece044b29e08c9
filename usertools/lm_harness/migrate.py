# SPDX-License-Identifier: BSD-3-Clause
"""Drive one migration over the monitors of two QEMUs, and measure it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .base import Deadline, HarnessError
from .guest import Guest

BANDWIDTH_BYTES = 10 << 30  # a local socket; nothing is to be throttled
DOWNTIME_LIMIT_MS = 20      # QEMU goes on copying until the rest fits into this
FAILED = ("failed", "cancelled", "cancelling", "postcopy-paused")
COUNTERS = ("transferred", "remaining", "total", "duplicate", "normal", "dirty-sync-count",
            "dirty-pages-rate", "mbps", "pages-per-second")


@dataclass
class Sample:
    """query-migrate at one moment, QEMU's words."""

    t_ns: int
    status: str
    remaining: int
    transferred: int
    dirty_rate: int
    sync_count: int


@dataclass
class Migration:
    """What QEMU says about a migration; times are CLOCK_MONOTONIC."""

    begin_ns: int = 0
    end_ns: int = 0
    total_ms: int = 0
    downtime_ms: int = 0
    setup_ms: int = 0
    ram: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[int, str, str]] = field(default_factory=list)  # (t_ns, who, what)
    samples: list[Sample] = field(default_factory=list)

    def event_ns(self, who: str, what: str) -> int | None:
        for t_ns, w, name in self.events:
            if w == who and name == what:
                return t_ns
        return None


def _keep_events(guest: Guest, who: str, result: Migration, wait_s: float = 0.0) -> None:
    # QEMU stamps events by the wall clock; everything else here is monotonic.
    offset = time.time_ns() - time.monotonic_ns()
    for event in guest.monitor().events(wait_s):
        stamp = event["timestamp"]
        t_ns = stamp["seconds"] * 10**9 + stamp["microseconds"] * 1000 - offset
        name = event["event"]
        if name == "MIGRATION":
            name = "migration " + event["data"]["status"]
        result.events.append((t_ns, who, name))


def prepare(guest: Guest, downtime_limit_ms: int, bandwidth: int) -> None:
    """The same capabilities on both sides."""
    qmp = guest.monitor()
    qmp.cmd("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    qmp.cmd("migrate-set-parameters", downtime_limit=downtime_limit_ms,
            max_bandwidth=bandwidth)


def migrate(source: Guest, destination: Guest, held: bool, timeout: float = 60.0,
            downtime_limit_ms: int = DOWNTIME_LIMIT_MS, bandwidth: int = BANDWIDTH_BYTES,
            progress: Callable[[Sample, float], None] | None = None) -> Migration:
    """
    Returns when the destination runs, or, when held, when it has loaded everything and stands
    still. Raises with both sides' words when it fails. `bandwidth` is in bytes a second.
    """
    result = Migration()
    for guest in (destination, source):
        prepare(guest, downtime_limit_ms, bandwidth)
    destination.listen()
    source.monitor().events()
    destination.monitor().events()
    deadline = Deadline(timeout, f"migration {source.name} -> {destination.name}")
    result.begin_ns = time.monotonic_ns()
    source.monitor().cmd("migrate", uri=destination.incoming_uri)
    info: dict[str, Any] = {}
    while info.get("status") != "completed":
        _keep_events(source, "source", result, wait_s=0.03)
        info = source.monitor().cmd("query-migrate")
        sample = _sample(info)
        result.samples.append(sample)
        if progress is not None:
            progress(sample, (sample.t_ns - result.begin_ns) / 1e9)
        if sample.status in FAILED:
            raise HarnessError(f"{deadline.what}: {sample.status}: {_reasons(source, destination)}")
        if deadline.passed():
            raise deadline.error(f"status {sample.status}, {sample.remaining} bytes remaining")
        destination.process.check_alive()
    destination.monitor().wait_status("paused" if held else "running", deadline.left())
    result.end_ns = time.monotonic_ns()
    _keep_events(source, "source", result)
    _keep_events(destination, "destination", result)
    result.events.sort()
    result.total_ms = info["total-time"]
    result.downtime_ms = info["downtime"]
    result.setup_ms = info.get("setup-time", 0)
    result.ram = {k: info["ram"][k] for k in COUNTERS if k in info["ram"]}
    return result


def _sample(info: dict[str, Any]) -> Sample:
    ram = info.get("ram", {})
    return Sample(time.monotonic_ns(), info.get("status", "none"), ram.get("remaining", 0),
                  ram.get("transferred", 0), ram.get("dirty-pages-rate", 0),
                  ram.get("dirty-sync-count", 0))


def _reasons(*guests: Guest) -> str:
    out = []
    for guest in guests:
        try:
            info = guest.monitor().cmd("query-migrate")
            out.append(f"{guest.name}: {info.get('error-desc', info.get('status', 'no word'))}")
        except HarnessError as err:
            out.append(str(err))
    return "; ".join(out)
