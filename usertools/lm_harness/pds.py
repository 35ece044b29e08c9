# SPDX-License-Identifier: BSD-3-Clause
"""
Two hosts on one cable, a pds card each: a process that forwards goes from one to the other while
its queues run, and every frame is accounted for.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from .account import Frames
from .base import HarnessError
from .control import Control, settle
from .process import Process

MAC = "52:54:00:4c:4d:01"
READY_S = 30
MIGRATE_S = 40
# Of a report, those in which nobody forwards, in order; the destination's part is its own.
DOWNTIME = ("quiesce", "stop", "harvest", "transfer", "load", "commit", "resume")


@dataclass
class PdsConfig:
    build_dir: Path
    log_dir: Path
    queues: int = 1
    desc: int = 256
    rate: int = 5000
    size: str = "74-1514"
    flows: int = 64
    forward_options: list[str] = field(default_factory=list)

    def program(self, where: str) -> str:
        return str(self.build_dir / "app" / where)


@dataclass
class Move:
    """One migration."""

    source: dict[str, Any]
    destination: dict[str, Any]

    @property
    def downtime_ms(self) -> float:
        return float(self.source["downtime"])

    def phases_ms(self) -> dict[str, float]:
        return {p["phase"]: p["time"] for p in self.source["phases"] if p["phase"] in DOWNTIME}

    def cpu_ms(self) -> dict[str, float]:
        """CPU time of the two processes that move, phase by phase; they wait for each other."""
        out = dict.fromkeys(DOWNTIME, 0.0)
        for side in (self.source, self.destination):
            for phase, ms in side["cpu"].items():
                out[phase] += ms
        return out


class Forwarder:
    """One process of the application."""

    def __init__(self, bed: PdsBed, host: str, listen: str = "") -> None:
        bed.nb_forwarders += 1
        self.host = host
        self.name = f"forward{bed.nb_forwarders}"
        self.path = bed.directory / f"{self.name}.ctl"
        cfg = bed.config
        argv = [cfg.program("forward/dpdk-lm-forward"), "--device", str(bed.path(f"vf-{host}")),
                "--migration", str(bed.path(f"mig-{host}")), "--control", str(self.path),
                "--queues", str(cfg.queues), "--desc", str(cfg.desc), *cfg.forward_options]
        if listen:
            argv += ["--listen", listen]
        self.process = Process(self.name, argv, cfg.log_dir / f"{self.name}.log",
                               env={"RUNTIME_DIRECTORY": str(bed.directory)})
        self.control: Control

    def address(self) -> str:
        return self.process.wait_line("^listening ", READY_S).split()[1]

    def ready(self) -> None:
        self.process.wait_line("^ready ", READY_S)
        self.control = Control(self.name, str(self.path))

    def leave(self) -> None:
        """In order; what is left of its device is reset."""
        self.control.request("quit", timeout=READY_S)
        self.control.close()
        code = self.process.wait(READY_S)
        if code != 0:
            raise HarnessError(f"{self.name} ended with {code}")


class PdsBed:
    """A context: all processes end with it."""

    def __init__(self, config: PdsConfig) -> None:
        self.config = config
        self._stack = ExitStack()
        self.directory = Path(tempfile.mkdtemp(prefix="dpdk-lm-pds-"))
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        config.log_dir.mkdir(parents=True, exist_ok=True)
        self.nb_forwarders = 0
        self.nb_moves = 0
        self.models: dict[str, Control] = {}
        self.owners: dict[str, Process] = {}
        self.left = Frames()  # of forwarders that have ended
        self.traffic: Control
        self.current: Forwarder

    def __enter__(self) -> PdsBed:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def path(self, name: str) -> Path:
        return self.directory / name

    def launch(self, name: str, argv: list[object], ready: str) -> Process:
        proc = Process(name, [str(a) for a in argv], self.config.log_dir / f"{name}.log")
        self._stack.callback(proc.close)
        proc.wait_line(ready, READY_S)
        return proc

    def _control(self, name: str, path: Path) -> Control:
        control = Control(name, str(path))
        self._stack.callback(control.close)
        return control

    def _start(self) -> None:
        cfg = self.config
        self.launch("traffic", [cfg.program("devmodel/dpdk-lm-traffic"),
                                "--port", f"a={self.path('wire-a')}",
                                "--port", f"b={self.path('wire-b')}", "--guest-mac", MAC,
                                "--rate", cfg.rate, "--flows", cfg.flows, "--size", cfg.size,
                                "--control", self.path("traffic")], "^ready")
        self.traffic = self._control("traffic", self.path("traffic"))
        for host in "ab":
            self.launch(f"model-{host}",
                        [cfg.program("devmodel/dpdk-lm-devmodel"), "pds",
                         "--socket", self.path(f"pf-{host}"), "--socket", self.path(f"vf-{host}"),
                         "--wire", f"link:{self.path(f'wire-{host}')}", "--mac", MAC,
                         "--queue-pairs", cfg.queues, "--control", self.path(f"model-{host}")],
                        f"^ready {self.path(f'vf-{host}')}$")
            self.models[host] = self._control(f"model {host}", self.path(f"model-{host}"))
            self.owners[host] = self.launch(
                f"pf-{host}", [cfg.program("test-lm/dpdk-test-lm"), "pf", "--device",
                               f"socket={self.path(f'pf-{host}')}", "--vf",
                               self.path(f"mig-{host}")], "^ready")
        self.current = self._forwarder("a")
        self.current.ready()

    def _forwarder(self, host: str, listen: str = "") -> Forwarder:
        forwarder = Forwarder(self, host, listen)
        self._stack.callback(forwarder.process.close)
        return forwarder

    def start_traffic(self) -> None:
        self.traffic.request("start")

    def answered(self) -> int:
        return int(self.current.control.request("stats")["echoed"])

    def migrate(self) -> Move:
        """To the other host; whatever comes of it, somebody forwards afterwards."""
        source = self.current
        self.nb_moves += 1
        there = {"a": "b", "b": "a"}[source.host]
        destination = self._forwarder(there, f"unix:{self.path(f'move{self.nb_moves}')}")
        report = source.control.request("migrate", timeout=MIGRATE_S,
                                        to=destination.address())["report"]
        if report.get("status") != "completed":
            destination.process.close()
            raise HarnessError(f"migration {self.nb_moves}: {report.get('status')}: "
                               f"{report.get('error-desc')}")
        destination.ready()
        self.current = destination
        self._count(source)
        source.leave()
        return Move(report, destination.control.request("arrival")["report"])

    def _count(self, forwarder: Forwarder) -> None:
        stats = forwarder.control.request("stats")
        for reason in ("corrupt", "dropped"):
            key = f"forwarder.{reason}"
            self.left.dropped[key] = self.left.dropped.get(key, 0) + stats[reason]
        self.left.corrupt += stats["corrupt"]

    def frames(self) -> Frames:
        """After the traffic was stopped: where each frame is."""
        self.traffic.request("stop")
        reply = self._settled()
        out = Frames(sent=reply["sent"], received=reply["received"],
                     duplicated=reply["duplicated"], reordered=reply["reordered"],
                     corrupt=reply["corrupt"])
        for reason, count in reply["drops"].items():
            out.dropped[f"cable.{reason}"] = count
        for host, control in self.models.items():
            stats = control.request("stats", function=1)
            for kind in ("drops", "tx_drops"):
                for reason, count in stats[kind].items():
                    out.dropped[f"card {host}.{reason}"] = count
        self._count(self.current)
        out += self.left
        self.left = Frames()
        return out

    def _settled(self) -> dict[str, Any]:
        def counters() -> tuple[Any, ...]:
            stats = self.traffic.stats()
            return tuple(stats[k] for k in ("sent", "received", "other"))

        settle(counters, 10, "traffic that comes to rest", 0.3)
        return self.traffic.stats()

    def violations(self) -> dict[str, Any]:
        """Rules of the device that somebody broke; none is as it must be."""
        out: dict[str, Any] = {}
        for host, control in self.models.items():
            for function in range(2):
                stats = control.request("stats", function=function)
                if stats["violations"] != 0:
                    out[f"{host}{function}"] = stats["violation_list"]
        return out

    def commands(self) -> dict[str, dict[str, int]]:
        """What LM commands have cost, both PFs together. Their owners end."""
        out: dict[str, dict[str, int]] = {}
        for owner in self.owners.values():
            owner.stop()
            for line in owner.lines():
                words = line.split()
                if not line.startswith("command ") or len(words) != 11:
                    continue
                figures = dict(zip(words[3::2], map(int, words[4::2])))
                known = out.setdefault(words[2], {"count": 0, "errors": 0, "total_us": 0,
                                                  "max_us": 0})
                known["count"] += figures["count"]
                known["errors"] += figures["errors"]
                known["total_us"] += figures["count"] * figures["mean_us"]
                known["max_us"] = max(known["max_us"], figures["max_us"])
        return out


def percentile(values: list[float], share: float) -> float:
    """Of a list that is not empty; the value that so many are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
