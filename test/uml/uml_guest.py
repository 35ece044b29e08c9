# SPDX-License-Identifier: BSD-3-Clause
"""Linux as a process: its command line, its two ports, what it says on its console."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_harness import HarnessError
from lm_harness.base import Deadline
from lm_harness.process import Process

DEVICE_ID = 1234
# An access to a device waits so long for its answer, in steps of 1 us; the machine may be busy.
ACCESS_US = 20_000_000
# What a kernel prints when something in it went wrong.
TROUBLE = re.compile(r"WARNING:|BUG:|Call Trace|Kernel panic|rcu.*stall|hung task|"
                     r"um virt-pci delay|NETDEV WATCHDOG|scheduling while atomic")


class Port:
    """One end of a serial line, read by lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ours, self.theirs = socket.socketpair()
        self._buffer = b""

    def send(self, line: str) -> None:
        self._ours.sendall(line.encode() + b"\n")

    def line(self, deadline: Deadline) -> str:
        while b"\n" not in self._buffer:
            self._ours.settimeout(deadline.left())
            try:
                part = self._ours.recv(65536)
            except TimeoutError as error:
                raise deadline.error() from error
            if not part:
                raise HarnessError(f"{deadline.what}: {self.name} is closed")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode("utf-8", "replace").rstrip("\r")

    def close(self) -> None:
        self._ours.close()
        self.theirs.close()


@dataclass(frozen=True)
class Result:
    """What a command inside has said."""

    status: int
    lines: list[str]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Uml:
    """One kernel with its functions in slot order, each behind a bridge's socket."""

    def __init__(self, kernel: Path, programs: Path, sockets: Sequence[Path], log_dir: Path,
                 cpus: int = 1, memory_mib: int = 192) -> None:
        self.echo = programs / "uml-echo"
        self._shell = Port("shell")
        self._echo_port = Port("echo")
        ports = [p.theirs.fileno() for p in (self._shell, self._echo_port)]
        argv = [
            str(kernel), f"mem={memory_mib}M", "rootfstype=hostfs", "rootflags=/", "ro",
            f"init={programs / 'uml-init'}", f"ncpus={cpus}", "seccomp=on",
            f"uml_dir={log_dir / 'uml'}", "con0=null,fd:1", "con=null",
            *(f"ssl{i}=fd:{fd}" for i, fd in enumerate(ports)), "ssl=null",
            f"virtio_pcidev.max_delay_us={ACCESS_US}", "panic=-1",
            *(f"virtio_uml.device={path}:{DEVICE_ID}" for path in sockets),
        ]
        self.process = Process("linux", argv, log_dir / "linux.log",
                               {"TMPDIR": str(_memory_dir(memory_mib, log_dir))}, ports)
        try:
            self._answer(Deadline(60, "Linux boots"))
        except HarnessError as error:
            self.close()
            raise HarnessError(f"{error}{self._tail()}") from error

    def _tail(self) -> str:
        return "".join("\n    " + line for line in self.process.lines()[-12:])

    def _answer(self, deadline: Deadline) -> Result:
        lines = []
        while True:
            self.process.check_alive()
            line = self._shell.line(deadline)
            if line.startswith("| "):
                lines.append(line[2:])
            elif line.startswith("= "):
                return Result(int(line[2:]), lines)

    def ask(self, command: str, timeout: float = 30) -> Result:
        """Run a shell command inside."""
        self._shell.send(command)
        try:
            return self._answer(Deadline(timeout, f"inside: {command}"))
        except HarnessError as error:
            raise HarnessError(f"{error}{self._tail()}") from error

    def run(self, command: str, timeout: float = 30) -> list[str]:
        """The same; it must succeed."""
        result = self.ask(command, timeout)
        if result.status != 0:
            raise HarnessError(f"inside: {command}: status {result.status}: {result.text}")
        return result.lines

    def read(self, path: str) -> str:
        return "\n".join(self.run(f"cat {shlex.quote(path)}"))

    def write(self, path: str, text: str) -> None:
        self.run(f"printf %s {shlex.quote(text)} > {shlex.quote(path)}")

    def python(self, code: str, timeout: float = 60) -> list[str]:
        """Run a program of a few lines in the machine's own Python."""
        return self.run(f"python3 -c {shlex.quote(code)}", timeout)

    def start_echo(self) -> dict[str, Any]:
        """Take all interfaces and give back every frame of the generator, checked."""
        self.run(f"{self.echo} /dev/ttyS1 >/dev/kmsg 2>&1 & echo $! >/run/echo")
        return self._echo_json(Deadline(30, "echo: ready"))

    def stop_echo(self) -> None:
        self.run("kill $(cat /run/echo)")

    def echo_stats(self) -> dict[str, Any]:
        self._echo_port.send("stats")
        return self._echo_json(Deadline(20, "echo: stats"))

    def _echo_json(self, deadline: Deadline) -> dict[str, Any]:
        reply = json.loads(self._echo_port.line(deadline))
        assert isinstance(reply, dict)
        return reply

    def trouble(self) -> list[str]:
        """Lines of the console that no test may leave behind."""
        return [line for line in self.process.lines() if TROUBLE.search(line)]

    def poweroff(self, timeout: float = 30) -> None:
        self._shell.send("poweroff")
        code = self.process.wait(timeout)
        self.close()
        if code != 0:
            raise HarnessError(f"Linux ended with {code}{self._tail()}")

    def close(self) -> None:
        self.process.close()
        self._shell.close()
        self._echo_port.close()


def _memory_dir(memory_mib: int, fallback: Path) -> Path:
    """Where the file behind Linux's memory goes: without a disk when there is room."""
    shm = Path("/dev/shm")
    try:
        free = shutil.disk_usage(shm).free
    except OSError:
        return fallback
    return shm if os.access(shm, os.W_OK) and free > 2 * memory_mib << 20 else fallback
