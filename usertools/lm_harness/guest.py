# SPDX-License-Identifier: BSD-3-Clause
"""A guest under stock QEMU: its command line, its monitor, its control port."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .base import Deadline, HarnessError
from .control import LineSocket
from .process import Process
from .qmp import Qmp

QEMU = os.environ.get("DPDK_LM_QEMU", "qemu-system-x86_64")


@dataclass(frozen=True)
class GuestSpec:
    """What must be equal on both sides of a migration."""

    kernel: Path
    initrd: Path
    queues: int = 1
    memory_mib: int = 256
    mac: str = "52:54:00:4c:4d:01"
    # QEMU sees what the guest's CPU writes; a mark that our log misses shows in a page that only
    # the device wrote. So the kernel must not clear the pages that it gives to the device.
    append: str = "console=ttyS0 panic=-1 quiet init_on_alloc=0"
    device_options: str = ""
    machine: str = "q35"
    qemu: str = QEMU
    extra: Sequence[str] = field(default_factory=tuple)

    @property
    def cpus(self) -> int:
        return max(1, self.queues)


class Guest:
    """One QEMU process. RAM is a shared file, so that it can be compared from outside."""

    def __init__(self, name: str, spec: GuestSpec, directory: Path, log_dir: Path,
                 vhost: Path | None, incoming: bool = False, held: bool = False) -> None:
        self.name = name
        self.spec = spec
        self.ram_path = directory / f"{name}.ram"
        self.incoming_uri = f"unix:{directory / (name + '.mig')}"
        self._qmp_path = directory / f"{name}.qmp"
        self._ctl_path = directory / f"{name}.ctl"
        self.console_path = log_dir / f"{name}.console.log"
        self._incoming = incoming
        self._held = held
        self.qmp: Qmp | None = None
        self._port: LineSocket | None = None
        self.process = Process(f"qemu {name}", self._argv(vhost), log_dir / f"{name}.qemu.log")
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _argv(self, vhost: Path | None) -> list[str]:
        spec = self.spec
        argv = [
            spec.qemu, "-name", f"lm-{self.name}", "-machine",
            f"{spec.machine},accel=tcg,memory-backend=ram", "-cpu", "max",
            "-smp", str(spec.cpus), "-m", f"{spec.memory_mib}M",
            "-object", f"memory-backend-file,id=ram,size={spec.memory_mib}M,share=on,"
                       f"mem-path={self.ram_path}",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(spec.kernel), "-initrd", str(spec.initrd), "-append", spec.append,
            "-serial", f"file:{self.console_path}",
            "-chardev", f"socket,id=ctl,path={self._ctl_path},server=on,wait=off",
            "-serial", "chardev:ctl",
            "-qmp", f"unix:{self._qmp_path},server=on,wait=off",
        ]
        if vhost is not None:
            options = f",{spec.device_options}" if spec.device_options else ""
            multi = f",mq=on,vectors={2 * spec.queues + 2}" if spec.queues > 1 else ""
            argv += [
                "-chardev", f"socket,id=vu,path={vhost},reconnect-ms=100",
                "-netdev", f"vhost-user,id=n0,chardev=vu,queues={spec.queues}",
                "-device", f"virtio-net-pci,netdev=n0,mac={spec.mac}{multi}{options}",
            ]
        argv += list(spec.extra)
        # Stopped until someone listens to its ports: nothing that it says is missed.
        if self._incoming:
            argv += ["-incoming", "defer"] + (["-S"] if self._held else [])
        else:
            argv += ["-S"]
        return argv

    def _attach(self) -> None:
        deadline = Deadline(20, f"{self.name}: QEMU's monitor")
        while not self._qmp_path.exists() or not self._ctl_path.exists():
            self.process.check_alive()
            if deadline.passed():
                raise deadline.error(f"log: {self.process.log_path}")
            time.sleep(0.01)
        self.qmp = Qmp(f"qemu {self.name}", str(self._qmp_path), 20)
        self._port = LineSocket(f"guest {self.name}", str(self._ctl_path), 10)

    def monitor(self) -> Qmp:
        if self.qmp is None:
            raise HarnessError(f"{self.name}: no monitor")
        return self.qmp

    def boot(self, timeout: float = 90) -> dict[str, Any]:
        """Run a fresh guest; returns what it says when it is ready."""
        self.monitor().cmd("cont")
        assert self._port is not None
        deadline = Deadline(timeout, f"guest {self.name}: booting (console: {self.console_path})")
        try:
            while True:
                reply = self._json_line(deadline)
                if "ready" in reply:
                    return reply
        except HarnessError as err:
            raise HarnessError(f"{err}{self._console_tail()}") from err

    def listen(self, uri: str) -> None:
        """Make an incoming guest wait for its migration."""
        self.monitor().cmd("migrate-incoming", uri=uri)

    def stats(self, timeout: float = 10) -> dict[str, Any]:
        """Counters of the guest's own program; the guest must run."""
        assert self._port is not None
        deadline = Deadline(timeout, f"guest {self.name}: 'stats'")
        self._port.drain()
        self._port.send_line("stats", deadline)
        while True:
            reply = self._json_line(deadline)
            if "received" in reply:
                return reply

    def _json_line(self, deadline: Deadline) -> dict[str, Any]:
        assert self._port is not None
        while True:
            line = self._port.read_line(deadline)
            start = line.find("{")
            if start < 0:
                continue
            try:
                reply = json.loads(line[start:])
            except ValueError as err:
                raise HarnessError(f"{deadline.what}: no JSON: {line[:120]!r}") from err
            if not isinstance(reply, dict):
                raise HarnessError(f"{deadline.what}: no object: {line[:120]!r}")
            if "error" in reply:
                raise HarnessError(f"{deadline.what}: the guest says: {reply['error']}")
            return reply

    def _console_tail(self) -> str:
        try:
            lines = self.console_path.read_text(errors="replace").splitlines()[-8:]
        except OSError:
            return ""
        return "".join("\n    " + line for line in lines)

    def quit(self) -> None:
        """End QEMU by its monitor and forget its files."""
        try:
            self.monitor().cmd("quit", timeout=5)
        except HarnessError:
            pass
        try:
            code = self.process.wait(10)
        finally:
            self.close()
        if code != 0:
            raise HarnessError(f"qemu {self.name} exited with {code}")

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        for sock in (self.qmp, self._port):
            if sock is not None:
                sock.close()
        self.qmp = None
        self._port = None
        self.process.close()
        for path in (self.ram_path, self._qmp_path, self._ctl_path,
                     Path(self.incoming_uri.removeprefix("unix:"))):
            path.unlink(missing_ok=True)
