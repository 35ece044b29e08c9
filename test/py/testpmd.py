# SPDX-License-Identifier: BSD-3-Clause
"""Stock dpdk-testpmd at its prompt, and the far end of a model's cable."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from pathlib import Path
from typing import IO

import pytest

from lm_harness.base import Deadline

READY_S = 20.0
ANSWER_S = 10.0


def program() -> str:
    """Debian's testpmd, or the test is skipped."""
    found = shutil.which("dpdk-testpmd")
    if found is None:
        pytest.skip("no dpdk-testpmd (Debian's package dpdk-dev)")
    return found


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

    def __init__(self, env: dict[str, str], log: Path, eal: list[str],
                 options: list[str]) -> None:
        # What it prints and its prompt have to come in order.
        argv = ["stdbuf", "-oL", program(), "-l", "0,1", "--no-huge", "-m", "192", "--iova-mode=va",
                "--no-telemetry", "--file-prefix", "stock", *eal, "--", "-i",
                "--total-num-mbufs=8192",
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
