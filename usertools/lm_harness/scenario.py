# SPDX-License-Identifier: BSD-3-Clause
"""What the demo does: timed migrations, the proof of memory, the negative control."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from .account import Account, Frames, violations
from .base import Deadline, HarnessError
from .events import Event, merge, modes, phases
from .migrate import BANDWIDTH_BYTES, Migration, Sample, cancel, migrate
from .ram import RamResult, compare, describe
from .screen import Screen, si_bytes
from .testbed import Side, Testbed

CONTROL_ONE_IN = 4
# Slow enough for the device to write many pages after their first copy was sent; the proof and
# its control run at the same speed, else the one says nothing about the other.
HELD_BANDWIDTH_BYTES = 128 << 20
FLOW_S = 20.0
WRAP_S = 180.0  # for 65536 chains of each queue


@dataclass
class Run:
    """One migration under traffic and what came of it."""

    source: str
    destination: str
    held: bool
    migration: Migration
    frames: Frames = field(default_factory=Frames)
    traffic: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, dict[str, int]] = field(default_factory=dict)
    ram: RamResult | None = None
    direct_again_ms: float | None = None  # since the switch-over; see Runner.until_direct()

    @property
    def blackout_ms(self) -> float:
        return round(float(self.traffic.get("longest_silence_us", 0)) / 1000, 1)

    @property
    def blackout_begin_ms(self) -> float:
        begin = int(self.traffic.get("silence_begin_ns", 0))
        return round((begin - self.migration.begin_ns) / 1e6, 1)

    def phases(self) -> list[dict[str, Any]]:
        return phases(self.migration, self.events, None if self.held else self.traffic)

    def as_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "from": self.source, "to": self.destination, "held": self.held,
            "total_ms": self.migration.total_ms, "downtime_ms": self.migration.downtime_ms,
            "setup_ms": self.migration.setup_ms, "ram_bytes": self.migration.ram,
            "frames": self.frames.as_json(), "phases": self.phases(),
            "modes": modes(self.events), "events": [e.as_json() for e in self.events]}
        if self.direct_again_ms is not None:
            out["direct_again_ms"] = self.direct_again_ms
        if self.ram is not None:
            out["ram"] = self.ram.as_json()
        else:
            out["blackout_ms"] = self.blackout_ms
            out["blackout_begin_ms"] = self.blackout_begin_ms
            out["switch_gap_us"] = self.traffic.get("switch_gap_us", 0)
            out["latency_us"] = self.traffic.get("latency_us", {})
        return out


@dataclass
class Cancelled:
    """A migration that did not come to its end, and how the guest went on where it was."""

    phase: str
    status: str = ""
    error: str = ""  # QEMU's words
    side: str = ""
    logging: str = ""
    modes: list[str] = field(default_factory=list)
    frames: Frames = field(default_factory=Frames)

    def as_json(self) -> dict[str, Any]:
        return {"phase": self.phase, "status": self.status, "error": self.error,
                "side": self.side, "logging": self.logging, "modes": self.modes,
                "frames": self.frames.as_json()}


class Runner:
    """Keeps where the guest is, and runs migrations with an account of every frame."""

    def __init__(self, testbed: Testbed, screen: Screen, seconds: float) -> None:
        self.testbed = testbed
        self.screen = screen
        self.seconds = seconds
        self.here = "A"
        self.runs: list[Run] = []
        self.cancelled: list[Cancelled] = []

    def other(self) -> str:
        return "B" if self.here == "A" else "A"

    def boot(self) -> dict[str, Any]:
        side = self.testbed.sides[self.here]
        return self.testbed.start_guest(side).boot()

    def _devices(self) -> dict[str, Any]:
        """What the back ends say of their devices, for who looks for a cause."""
        return {side.name: {what: side.telemetry.get(f"/lm/{what},{side.device}")
                            for what in ("info", "stats", "timeline")}
                for side in self.testbed.sides.values() if side.telemetry is not None}

    def flow(self, frames: int, what: str) -> dict[str, Any]:
        """Until so many more frames have come back from the guest."""
        control = self.testbed.generator()
        first = control.stats()["received"]
        deadline = Deadline(FLOW_S, f"{what}: waiting for {frames} frames to come back")
        while True:
            stats = control.stats()
            if stats["received"] - first >= frames:
                return stats
            if deadline.passed():
                raise deadline.error(f"{stats['received'] - first} came; {stats['sent']} sent in "
                                     f"all, drops {stats.get('drops')}; {self._devices()}")
            time.sleep(0.02)

    def _sampler(self, run: Run, begin_ns: list[int]) -> Any:
        control = self.testbed.generator()
        last = [0.0]

        def sample(s: Sample, elapsed: float) -> None:
            stats = control.stats()
            if not begin_ns:
                begin_ns.append(s.t_ns - int(elapsed * 1e9))
            run.samples.append({
                "t_ms": round((time.monotonic_ns() - begin_ns[0]) / 1e6, 1),
                "sent": stats["sent"], "received": stats["received"],
                "remaining": s.remaining, "transferred": s.transferred,
                "dirty_pages_per_s": s.dirty_rate, "round": s.sync_count})
            if s.status != "setup" and time.monotonic() - last[0] > 0.1:
                last[0] = time.monotonic()
                self.screen.moving(
                    f"          {s.status:<9} {elapsed:5.1f} s  remaining "
                    f"{si_bytes(s.remaining):>10}  dirty {s.dirty_rate:>6} pages/s  "
                    f"round {s.sync_count}")

        return sample

    def _after(self, run: Run, begin_ns: int) -> None:
        """Traffic for a while on the destination, sampled for the picture."""
        control = self.testbed.generator()
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            stats = control.stats()
            run.samples.append({
                "t_ms": round((time.monotonic_ns() - begin_ns) / 1e6, 1), "sent": stats["sent"],
                "received": stats["received"], "remaining": 0,
                "transferred": run.migration.ram.get("transferred", 0),
                "dirty_pages_per_s": 0, "round": run.migration.ram.get("dirty-sync-count", 0)})
            time.sleep(0.03)
            self.testbed.check_alive()

    def run(self, held: bool = False, account: bool = True) -> Run:
        """Migrate to the other side under traffic; held: compare memory before it goes on."""
        testbed = self.testbed
        src, dst = testbed.sides[self.here], testbed.sides[self.other()]
        control = testbed.generator()
        assert src.guest is not None
        run = Run(src.name, dst.name, held, Migration())
        frames = Account(testbed)
        frames.begin()
        self.flow(testbed.config.rate // 4, f"traffic on {src.name}")
        # Silence while the guest warmed up is not the migration's: count from here.
        frames.end()
        frames.begin()
        self.flow(testbed.config.rate // 4, f"traffic on {src.name}")
        dst_guest = testbed.start_guest(dst, incoming=True, held=held)
        begin: list[int] = []
        run.migration = migrate(src.guest, dst_guest, held,
                                bandwidth=HELD_BANDWIDTH_BYTES if held else BANDWIDTH_BYTES,
                                progress=self._sampler(run, begin))
        self.here = dst.name
        if held:
            run.ram = compare(src.guest.ram_path, dst_guest.ram_path)
            for page in run.ram.listed[:4] if account else []:
                self.screen.line("          page " + describe(
                    src.guest.ram_path, dst_guest.ram_path, page), "yellow")
            if not account:
                control.request("stop")
                self._collect(run, src, dst)
                return run
            dst_guest.monitor().cmd("cont")
        self._after(run, run.migration.begin_ns)
        self.flow(testbed.config.rate // 4, f"traffic on {dst.name} after the migration")
        run.frames = frames.end()
        run.traffic = frames.last
        self._collect(run, src, dst)
        testbed.drop_guest(src)
        testbed.check_alive()
        self.runs.append(run)
        return run

    def until_direct(self) -> float:
        """
        Traffic until every queue of the guest's function is direct again: past the wrap of its
        indices. Frames are accounted, and belong to the last run. @return ms since its switch-over.
        """
        side, run = self.testbed.sides[self.here], self.runs[-1]
        assert side.telemetry is not None
        names = [f"queue{i}" for i in range(2 * self.testbed.config.queues)]
        frames = Account(self.testbed)
        frames.begin()
        deadline = Deadline(WRAP_S, f"back end {side.name}: waiting for its queues to be direct")
        while True:
            info = side.telemetry.get(f"/lm/info,{side.device}")
            if all(info[name] == "direct" for name in names):
                break
            if deadline.passed():
                raise deadline.error(str({name: info[name] for name in names}))
            time.sleep(0.05)
        run.direct_again_ms = round((time.monotonic_ns() - run.migration.end_ns) / 1e6, 1)
        self.flow(self.testbed.config.rate // 4, f"traffic on {side.name} after the wrap")
        run.frames += frames.end()
        return run.direct_again_ms

    def cancel(self, phase: str) -> Cancelled:
        """Begin to migrate under traffic, and cancel; the guest stays where it is."""
        testbed = self.testbed
        src, dst = testbed.sides[self.here], testbed.sides[self.other()]
        assert src.guest is not None and src.telemetry is not None
        out = Cancelled(phase, side=self.here)
        frames = Account(testbed)
        frames.begin()
        self.flow(testbed.config.rate // 4, f"traffic on {src.name}")
        dst_guest = testbed.start_guest(dst, incoming=True, held=phase == "device")
        out.status, out.error = cancel(src.guest, dst_guest, phase)
        self.flow(testbed.config.rate // 4, f"traffic on {src.name} after the cancel in {phase}")
        out.frames = frames.end()
        info = src.telemetry.get(f"/lm/info,{src.device}")
        out.logging = info["logging"]
        out.modes = [info[f"queue{i}"] for i in range(2 * testbed.config.queues)]
        testbed.kill_guest(dst)
        testbed.check_alive()
        self.cancelled.append(out)
        return out

    def _collect(self, run: Run, src: Side, dst: Side) -> None:
        timelines = {}
        for side in (src, dst):
            if side.telemetry is not None:
                timelines[side.name] = side.telemetry.timeline(side.device)
                run.figures[side.name] = side.telemetry.get(f"/lm/stats,{side.device}") or {}
        run.events = merge(run.migration, timelines, run.traffic.get("switches", []))

    def negative_control(self) -> RamResult:
        """
        The guest's back end now forgets every mark of one page in N, in the last round too. The
        comparison must see that; if it does not, it proves nothing.
        """
        run = self.run(held=True, account=False)
        assert run.ram is not None
        return run.ram

    def spoil_idle_side(self) -> None:
        """The side without a guest gets a back end that will forget pages as a source."""
        side = self.testbed.sides[self.other()]
        if side.guest is not None:
            raise HarnessError(f"side {side.name} is not idle")
        self.testbed.restart_backend(side, f"test_log_drop={CONTROL_ONE_IN}")

    def violations(self) -> tuple[int, dict[str, int]]:
        return violations(self.testbed)
