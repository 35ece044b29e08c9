# SPDX-License-Identifier: BSD-3-Clause
"""Drive one migration over the monitors of two QEMUs, and measure it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
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
    destination.listen(destination.incoming_uri)
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


# Where a migration can be cancelled, or made to fail; QEMU's words for its status there.
PHASES = ("setup", "active", "pre-switchover", "device", "failed")
SLOW_BANDWIDTH_BYTES = 8 << 20  # keeps a migration going until it is cancelled


def _wait_migration(source: Guest, wanted: tuple[str, ...], timeout: float, what: str
                    ) -> dict[str, Any]:
    deadline = Deadline(timeout, f"{source.name}: {what}")
    while True:
        info: dict[str, Any] = source.monitor().cmd("query-migrate")
        if info.get("status", "none") in wanted:
            return info
        if deadline.passed():
            raise deadline.error(f"status {info.get('status')}: {info.get('error-desc', '')}")
        source.monitor().events(wait_s=0.002)


class OneWay:
    """
    A channel that never brings the destination's word back, so that the source stays in phase
    "device" until it is cancelled. No socket: QEMU shuts a socket down before it notes that the
    migration is being cancelled, and when its threads see that first, the migration has failed.
    """

    def __init__(self, guest: Guest) -> None:
        path = guest.incoming_uri.removeprefix("unix:")
        self._fifos = [f"{path}.there", f"{path}.back"]
        for fifo in self._fifos:
            os.mkfifo(fifo)
        there, back = (shlex.quote(fifo) for fifo in self._fifos)
        self._back = os.open(self._fifos[1], os.O_RDWR | os.O_CLOEXEC)
        self.destination = f"exec:exec cat {there}"
        self.source = f"exec:exec 3<&0; cat <&3 >{there} & exec cat {back}"

    def close(self) -> None:
        """The way back ends."""
        os.close(self._back)
        for fifo in self._fifos:
            os.unlink(fifo)


def _give_up(source: Guest, destination: Guest, phase: str, timeout: float) -> None:
    if phase in ("pre-switchover", "device", "failed"):
        _wait_migration(source, ("pre-switchover",), timeout, phase)
    if phase == "failed":
        destination.process.kill()
    if phase in ("device", "failed"):
        source.monitor().cmd("migrate-continue", state="pre-switchover")
    if phase in ("active", "device"):
        _wait_migration(source, (phase,), timeout, phase)
    if phase != "failed":
        source.monitor().cmd("migrate_cancel")


def cancel(source: Guest, destination: Guest, phase: str, timeout: float = 30.0
           ) -> tuple[str, str]:
    """
    Begin a migration and cancel it in that phase ("failed": kill its destination at the switch-over
    instead). Returns when the source runs again, with the status that the migration ended in and
    QEMU's reason. The destination must be held for "device", and is of no use afterwards.
    """
    if phase not in PHASES:
        raise HarnessError(f"no phase '{phase}', there are {', '.join(PHASES)}")
    late = phase in ("pre-switchover", "device", "failed")
    for guest in (destination, source):
        prepare(guest, DOWNTIME_LIMIT_MS, BANDWIDTH_BYTES if late else SLOW_BANDWIDTH_BYTES)
        guest.monitor().cmd("migrate-set-capabilities", capabilities=[
            {"capability": "pause-before-switchover", "state": late},
            {"capability": "return-path", "state": late}])
    with ExitStack() as stack:
        there = here = destination.incoming_uri
        if phase == "device":
            way = stack.enter_context(closing(OneWay(destination)))
            there, here = way.destination, way.source
        destination.listen(there)
        source.monitor().cmd("migrate", uri=here)
        _give_up(source, destination, phase, timeout)
    info = _wait_migration(source, ("cancelled", "failed"), timeout, f"cancel in {phase}")
    source.monitor().wait_status("running", timeout)
    source.monitor().cmd("migrate-set-capabilities", capabilities=[
        {"capability": "pause-before-switchover", "state": False},
        {"capability": "return-path", "state": False}])
    return info["status"], info.get("error-desc", "")


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
