# SPDX-License-Identifier: BSD-3-Clause
"""A model and a back end for one test, with the small VM and its traffic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_harness.control import Control, Telemetry
from lm_harness.process import Process

import vhost_frontend as vf
from vdpa_traffic import MAC, Pump, Traffic, attach_to, everything, frame, lost_pages, relayed

__all__ = ["DEVICE", "FORMATS", "MAC", "READY_S", "Bench", "Pump", "Traffic", "attach",
           "everything", "frame", "lost_pages", "relayed"]

DEVICE = "vdpa_virtio_pci0"
READY_S = 15.0
FORMATS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


class Bench:
    """dpdk-lm-devmodel with a loop wire, and dpdk-test-lm serve in front of it."""

    def __init__(self, launch: Callable[..., Process], program: Callable[[str], Path],
                 directory: Path, tag: str = "a", devargs: str = "", pairs: int = 2,
                 model: tuple[str, ...] = (), client: bool = False, eal: str = "") -> None:
        self.launch = launch
        self.program = program
        self.directory = directory / tag
        self.directory.mkdir()
        self.tag = tag
        self.vfu = self.directory / "vfu"
        self.vhost = self.directory / "vhost"
        self.model = launch(
            f"model-{tag}", program("dpdk-lm-devmodel"), "virtio-net", "--socket", self.vfu,
            "--wire", "loop", "--queue-pairs", str(pairs), "--control", self.directory / "control",
            *model)
        self.model.wait_line("^ready", READY_S)
        self.control = Control(f"model {tag}", str(self.directory / "control"))
        self.start_backend(devargs, client, eal)

    def start_backend(self, devargs: str = "", client: bool = False, eal: str = "") -> None:
        run = self.directory / "run"
        run.mkdir(exist_ok=True)
        device = f"socket={self.vfu}" + (f",{devargs}" if devargs else "")
        argv: list[object] = [self.program("dpdk-test-lm"), "serve", "--device", device,
                              "--vhost", self.vhost, "--file-prefix", self.tag]
        if client:
            argv.append("--client")
        if eal:
            argv += ["--eal", eal]
        self.backend = self.launch(f"backend-{self.tag}", *argv,
                                   env={"RUNTIME_DIRECTORY": str(run)})
        self.backend.wait_line("^ready", READY_S)
        self.telemetry = Telemetry("back end", str(run / "dpdk" / self.tag / "dpdk_telemetry.v2"))

    def info(self) -> dict[str, Any]:
        return dict(self.telemetry.get(f"/lm/info,{DEVICE}"))

    def stats(self) -> dict[str, Any]:
        return dict(self.telemetry.get(f"/lm/stats,{DEVICE}"))

    def modes(self, queues: int = 2) -> list[str]:
        info = self.info()
        return [info[f"queue{i}"] for i in range(queues)]

    def check(self) -> None:
        """What must hold after every test: everybody lives, and nobody broke a rule."""
        self.model.check_alive()
        self.backend.check_alive()
        model = self.control.stats()
        assert model["violations"] == 0, model["violation_list"]
        assert model["irqs_lost"] == 0

    def end(self) -> None:
        """An orderly end, exit code checked."""
        self.telemetry.close()
        self.backend.stop()
        self.control.close()
        self.model.stop()


def attach(bench: Bench, **options: object) -> vf.Frontend:
    return attach_to(str(bench.vhost), **options)
