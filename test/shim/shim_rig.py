# SPDX-License-Identifier: BSD-3-Clause
"""A model, a cable whose far end is the test, and stock programs under the shim."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pytest

from lm_harness.base import Deadline
from lm_harness.control import Control
from lm_harness.process import Process

import shim_tree

BDF = "0000:00:05.0"
READY_S = 20.0
ANSWER_S = 10.0


class Cable:
    """The far end of a model's wire: frames out, frames in."""

    def __init__(self, path: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.connect(str(path))
        self._sock.setblocking(False)

    def close(self) -> None:
        self._sock.close()

    def send(self, frame: bytes) -> None:
        select.select([], [self._sock], [], ANSWER_S)
        self._sock.send(frame)

    def receive(self, count: int) -> list[bytes]:
        """So many frames; fails when they do not come."""
        frames: list[bytes] = []
        deadline = Deadline(ANSWER_S, f"{count} frames from the model")
        while len(frames) < count:
            ready, _, _ = select.select([self._sock], [], [], deadline.left())
            assert ready, f"{len(frames)} of {count} frames came back"
            frames.append(self._sock.recv(1 << 17))
        return frames

    def nothing(self, seconds: float) -> bool:
        """True when nothing comes for so long."""
        ready, _, _ = select.select([self._sock], [], [], seconds)
        return not ready

    def echo(self, frames: list[bytes], window: int = 32) -> list[bytes]:
        """Send all, at most a window ahead of what came back."""
        back: list[bytes] = []
        for number, frame in enumerate(frames):
            if number - len(back) >= window:
                back += self.receive(1)
            self.send(frame)
        return back + self.receive(len(frames) - len(back))


class Testpmd:
    """Stock dpdk-testpmd at its prompt."""

    __test__ = False

    def __init__(self, program: str, env: dict[str, str], log: Path, eal: list[str],
                 options: list[str]) -> None:
        # What it prints and its prompt have to come in order.
        argv = ["stdbuf", "-oL", program, "-l", "0,1", "--no-huge", "-m", "192", "--iova-mode=va",
                "--no-telemetry", "--file-prefix", "shim", *eal, "--", "-i", "--total-num-mbufs=8192",
                *options]
        self.log = log
        self._out: IO[bytes] = open(log, "wb+", buffering=0)
        self._out.write((" ".join(argv) + "\n").encode())
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=self._out,
                                      stderr=subprocess.STDOUT, env={**os.environ, **env})
        self._read = 0

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def expect(self, what: str) -> str:
        """Wait for a text after what was read last; returns all up to it."""
        deadline = Deadline(READY_S, f"testpmd to print \"{what}\"")
        while True:
            text = self.text()
            at = text.find(what, self._read)
            if at >= 0:
                found = text[self._read:at + len(what)]
                self._read = at + len(what)
                return found
            if self.popen.poll() is not None:
                raise AssertionError(f"testpmd ended before \"{what}\":\n{text[-2000:]}")
            if deadline.passed():
                raise deadline.error(text[-2000:])
            select.select([], [], [], 0.02)

    def command(self, line: str) -> str:
        """Type a line; returns what is printed until the next prompt."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()
        self.expect(line.split()[0])
        return self.expect("testpmd>")

    def quit(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(b"quit\n")
        self.popen.stdin.close()
        assert self.popen.wait(READY_S) == 0, self.text()[-2000:]

    def close(self) -> None:
        """End it, whatever happened."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(READY_S)
        self._out.close()


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
        self.cable: Cable
        self.model: Process
        self.control: Control

    def start_model(self, device: str, *options: object) -> None:
        self.model = self._launch(
            "model", self._program("dpdk-lm-devmodel"), device, "--socket", self.socket, "--wire",
            f"listen:{self.directory}/wire", "--control", self.directory / "control",
            *self._trace("card"), *options)
        self.model.wait_line("^ready", READY_S)
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
        stock = shutil.which("dpdk-testpmd")
        if stock is None:
            pytest.skip("no dpdk-testpmd (Debian's package dpdk-dev)")
        pmd = Testpmd(stock, self.environment(), self.directory / "testpmd.log",
                      ["-a", BDF, *(eal or [])], list(options))
        self._stack.callback(pmd.close)
        pmd.expect("testpmd>")
        return pmd

    def check(self) -> dict[str, Any]:
        """Nobody broke a rule; returns the model's statistics."""
        stats = self.control.stats()
        assert stats["violations"] == 0, stats["violation_list"]
        return stats
