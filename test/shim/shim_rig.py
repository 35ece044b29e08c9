# SPDX-License-Identifier: BSD-3-Clause
"""A model, a cable whose far end is the test, and stock programs under the shim."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lm_harness.control import Control
from lm_harness.process import Process

import shim_tree
from testpmd import READY_S, Cable, Testpmd

BDF = "0000:00:05.0"


class Rig:
    """One function of a model behind the shim."""

    def __init__(self, stack: ExitStack, directory: Path, build: Path,
                 launch: Callable[..., Process], program: Callable[[str], Path],
                 trace: Callable[[str], list[str]]) -> None:
        self._stack = stack
        self.directory = directory
        self._build = build
        self._launch = launch
        self._program = program
        self._trace = trace
        self.socket = directory / "vfu"
        self._function = 0
        self.cable: Cable
        self.model: Process
        self.control: Control

    def start_model(self, device: str, *options: object) -> None:
        # A card's first function is its PF.
        self._function = 1 if device == "pds" else 0
        pf: list[object] = ["--socket", self.directory / "pf"] if self._function else []
        self.model = self._launch(
            "model", self._program("dpdk-lm-devmodel"), device, *pf, "--socket", self.socket,
            "--wire", f"listen:{self.directory}/wire", "--control", self.directory / "control",
            *self._trace("card"), *options)
        self.model.wait_line(f"^ready {self.socket}$", READY_S)
        self.control = Control("model", str(self.directory / "control"))
        self._stack.callback(self.control.close)
        self.cable = Cable(self.directory / "wire")
        self._stack.callback(self.cable.close)

    def environment(self, driver: str = "vfio-pci") -> dict[str, str]:
        """For a program that is to find the function on its PCI bus."""
        function = shim_tree.ask(BDF, self.socket, driver)
        env = shim_tree.make(self.directory / f"tree-{driver}", [function])
        shim = next(self._build.glob("test/shim/liblm_vfio_shim.so"), None)
        if shim is None:
            pytest.skip("a build with sanitizers has no shim")
        run = self.directory / "run"
        run.mkdir(exist_ok=True)
        return {**env, "LD_PRELOAD": str(shim), "RUNTIME_DIRECTORY": str(run)}

    def testpmd(self, *options: str, eal: list[str] | None = None) -> Testpmd:
        pmd = Testpmd(self.environment(), self.directory / "testpmd.log",
                      ["-a", BDF, *(eal or [])], list(options))
        self._stack.callback(pmd.close)
        pmd.expect("testpmd>")
        return pmd

    def check(self) -> dict[str, Any]:
        """Nobody broke a rule; returns the model's statistics."""
        stats = self.control.request("stats", function=self._function)
        assert stats["violations"] == 0, stats["violation_list"]
        return stats
