# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts with a pds card each: model, owner of the PF, a driver of the VF, one migration."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lm_harness.control import Control
from lm_harness.process import Process

from vfu_pds import INFO_END, PdsGuest

READY_S = 10
MAC = "52:54:00:4c:4d:01"


class Host:
    """A card whose PF belongs to a process of its own."""

    def __init__(self, bench: PdsBench, name: str, wire: str) -> None:
        self.bench, self.name = bench, name
        self.path = bench.path / name
        self.path.mkdir()
        self.model = bench.launch(
            f"model-{name}", bench.program("dpdk-lm-devmodel"), "pds", "--socket",
            self.path / "pf", "--socket", self.path / "vf", "--wire", wire, "--mac", MAC,
            "--control", self.path / "control")
        self.model.wait_line(f"^ready {self.path}/vf$", READY_S)
        self.control = Control(name, str(self.path / "control"))
        bench.stack.callback(self.control.close)
        self.nb_owners = 0
        self.owner: Process
        self.own()
        self.guest = PdsGuest(self.path, "ram")
        self.guest.attach(self.path / "vf")
        bench.stack.callback(self.guest.close)

    def own(self) -> None:
        """Take the PF, again if need be."""
        self.nb_owners += 1
        self.owner = self.bench.launch(
            f"pf-{self.name}{self.nb_owners}", self.bench.program("dpdk-test-lm"), "pf",
            "--device", f"socket={self.path}/pf", "--vf", self.path / "mig")
        self.owner.wait_line(f"^ready {self.path}/mig$", READY_S)

    def fault(self, spec: str, function: int = 0) -> None:
        self.control.request("fault", function=function, spec=spec)

    def stats(self, function: int = 1) -> dict[str, Any]:
        return self.control.request("stats", function=function)

    def check(self) -> None:
        for function in range(2):
            stats = self.stats(function)
            assert stats["violations"] == 0, stats["violation_list"]

    def device(self) -> list[str]:
        return ["--device", f"name=vf,socket={self.path}/mig", *self.guest.ram()]


class PdsBench:
    """Where hosts are, and what moves between them."""

    def __init__(self, launch: Callable[..., Process], program: Callable[[str], Path],
                 path: Path, stack: ExitStack) -> None:
        self.launch, self.program, self.path, self.stack = launch, program, path, stack
        self.nb = 0

    def host(self, name: str, wire: str = "null") -> Host:
        return Host(self, name, wire)

    def begin(self, src: Host, dst: Host, *options: str,
              timeout: int = 10) -> tuple[Process, Process]:
        self.nb += 1
        tool, common = self.program("dpdk-test-lm"), ("--timeout", str(timeout))
        receive = self.launch(f"receive{self.nb}", tool, "receive", "--listen",
                              f"unix:{self.path}/migration", "--json", self.path / "dst.json",
                              *dst.device(), *common)
        address = receive.wait_line("^ready ", READY_S).split()[1]
        send = self.launch(f"send{self.nb}", tool, "send", "--to", address, "--json",
                           self.path / "src.json", *src.device(), *common, *options)
        return send, receive

    def migrate(self, src: Host, dst: Host, *options: str, timeout: int = 10) -> tuple[int, int]:
        """Exit codes of both. A destination stays, as it does not know whose memory it holds."""
        send, receive = self.begin(src, dst, *options, timeout=timeout)
        code = send.wait(40)
        if code == 0:
            receive.wait_line("^running; SIGTERM ends it", 40)
            receive.popen.terminate()
        return code, receive.wait(40)

    def report(self, side: str = "src") -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.path / f"{side}.json").read_text())
        return report


def stale_pages(src: Host, dst: Host) -> list[int]:
    """Pages that only the device writes, and that differ between a stopped source and its
    destination. What the destination's own device writes as soon as it runs is left out."""
    a, b = src.guest.dma, dst.guest.dma
    return [at for at in range(INFO_END, len(a), 4096) if a[at:at + 4096] != b[at:at + 4096]]
