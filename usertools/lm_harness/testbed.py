# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts in one temporary directory: models, back ends, guests, and the traffic between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from .base import HarnessError
from .control import Control, Telemetry
from .guest import Guest, GuestSpec
from .process import ENDING, Process

READY_S = 20.0
PATH_MAX_BYTES = 80  # a socket's name has 107, and ours come below this


class _Closable(Protocol):
    def close(self) -> None: ...


_T = TypeVar("_T", bound=_Closable)


@dataclass
class Config:
    """What a testbed is made of."""

    build_dir: Path
    log_dir: Path
    queues: int = 1
    rate: int = 2000
    frame_size: str = "74-9014"
    mtu: int = 9000
    flows: int = 16
    memory_mib: int = 256
    mac: str = "52:54:00:4c:4d:01"
    device_options: str = ""
    model_options: tuple[str, ...] = ()
    devargs: str = ""
    sides: tuple[str, ...] = ("A", "B")

    def program(self, name: str) -> Path:
        for folder in ("app/devmodel", "app/traffic", "app/test-lm", "app"):
            path = self.build_dir / folder / name
            if path.is_file():
                return path
        raise HarnessError(f"no {name} in {self.build_dir}; run 'ninja -C {self.build_dir}'")


@dataclass
class Side:
    """One host."""

    name: str
    directory: Path
    model: Process | None = None
    model_control: Control | None = None
    backend: Process | None = None
    telemetry: Telemetry | None = None
    guest: Guest | None = None
    generation: int = 0
    device: str = field(default="")

    def path(self, kind: str) -> Path:
        return self.directory / f"{self.name}.{kind}"


def _shared_memory(need_bytes: int) -> str | None:
    """Where two guests' memory fits without a disk below it; None: where temporary files go."""
    try:
        stat = os.statvfs("/dev/shm")
    except OSError:
        return None
    room = stat.f_bavail * stat.f_frsize
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) and room > need_bytes else None


class Testbed:
    """A context: whatever was started is gone when it is left, whatever happened."""

    __test__ = False  # not a pytest class

    def __init__(self, config: Config) -> None:
        self.config = config
        self._stack = ExitStack()
        base = os.environ.get("DPDK_LM_TMP") or _shared_memory(2 * config.memory_mib << 20)
        self.directory = Path(tempfile.mkdtemp(prefix="dpdk-lm-", dir=base))
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self._stack.callback(self._end_processes)
        if len(str(self.directory)) > PATH_MAX_BYTES:
            self._stack.close()
            raise HarnessError(f"{self.directory} is too long for names of sockets; "
                               "set DPDK_LM_TMP to a shorter directory")
        config.log_dir.mkdir(parents=True, exist_ok=True)
        self.sides = {name: Side(name, self.directory) for name in config.sides}
        self.traffic: Process | None = None
        self.traffic_control: Control | None = None
        self._guests = 0
        self.spec: GuestSpec | None = None

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        handlers = [(s, signal.signal(s, signal.SIG_IGN)) for s in ENDING]
        try:
            self._stack.close()
        finally:
            for signum, handler in handlers:
                signal.signal(signum, handler)

    def _end_processes(self) -> None:
        """What was interrupted before its owner had it."""
        for proc in list(Process.started):
            if any(str(self.directory) in word for word in proc.argv):
                proc.close()

    def start(self) -> None:
        """Everything but the guests."""
        self.start_traffic()
        for side in self.sides.values():
            self.start_model(side)
            self.start_backend(side)

    def _log(self, name: str) -> Path:
        return self.config.log_dir / f"{name}.log"

    def _own(self, thing: _T) -> _T:
        self._stack.callback(thing.close)
        return thing

    def wire_of(self, side: Side) -> str:
        """Where the generator listens for this host."""
        return str(side.path("wire"))

    def generator(self) -> Control:
        """Its control socket."""
        if self.traffic_control is None:
            raise HarnessError("the generator is not running")
        return self.traffic_control

    def start_traffic(self) -> None:
        cfg = self.config
        control = self.directory / "traffic.ctl"
        argv = [str(cfg.program("dpdk-lm-traffic"))]
        for side in self.sides.values():
            argv += ["--port", f"{side.name}={self.wire_of(side)}"]
        argv += ["--guest-mac", cfg.mac, "--rate", str(cfg.rate), "--size", cfg.frame_size,
                 "--flows", str(cfg.flows), "--control", str(control)]
        self.traffic = self._own(Process("traffic", argv, self._log("traffic")))
        self.traffic.wait_line(r"^ready", READY_S)
        self.traffic_control = self._own(Control("traffic", str(control)))

    def start_model(self, side: Side) -> None:
        cfg = self.config
        argv = [str(cfg.program("dpdk-lm-devmodel")), "virtio-net",
                "--socket", str(side.path("vfu")), "--wire", f"link:{side.path('wire')}",
                "--mac", cfg.mac, "--queue-pairs", str(cfg.queues), "--mtu", str(cfg.mtu),
                "--control", str(side.path("mctl")), *cfg.model_options]
        name = f"model {side.name}"
        side.model = self._own(Process(name, argv, self._log(f"model-{side.name}")))
        side.model.wait_line(r"^ready", READY_S)
        side.model_control = self._own(Control(name, str(side.path("mctl"))))

    def start_backend(self, side: Side, extra: str = "") -> None:
        """`extra`: more devargs, e.g. a fault for the negative control."""
        cfg = self.config
        device = f"socket={side.path('vfu')}"
        for more in (cfg.devargs, extra):
            if more:
                device += f",{more}"
        prefix = f"lm{side.name}"
        runtime = self.directory / f"run-{side.name}{side.generation}"
        runtime.mkdir()
        side.generation += 1
        argv = [str(cfg.program("dpdk-test-lm")), "serve", "--device", device,
                "--vhost", str(side.path("vhost")), "--file-prefix", prefix]
        name = f"back end {side.name}"
        side.backend = self._own(Process(
            name, argv, self._log(f"backend-{side.name}"),
            env={"RUNTIME_DIRECTORY": str(runtime), "DPDK_LM_BUILD": str(cfg.build_dir)}))
        side.backend.wait_line(r"^ready", READY_S)
        path = runtime / "dpdk" / prefix / "dpdk_telemetry.v2"
        side.telemetry = self._own(Telemetry(name, str(path)))
        devices = side.telemetry.get("/lm/list")
        if not isinstance(devices, list) or len(devices) != 1:
            raise HarnessError(f"{name}: /lm/list says {devices!r}; one device expected")
        side.device = devices[0]

    def restart_backend(self, side: Side, extra: str = "") -> None:
        """End it in order if it still runs, then start it again, maybe with other devargs."""
        if side.telemetry is not None:
            side.telemetry.close()
            side.telemetry = None
        if side.backend is not None and side.backend.alive():
            side.backend.stop()
        self.start_backend(side, extra)

    def restart_model(self, side: Side) -> None:
        if side.model_control is not None:
            side.model_control.close()
            side.model_control = None
        if side.model is not None and side.model.alive():
            side.model.stop()
        self.start_model(side)

    def guest_spec(self) -> GuestSpec:
        if self.spec is None:
            kernel, initrd = build_guest_image(self.config.build_dir)
            cfg = self.config
            more = [cfg.device_options] if cfg.device_options else []
            options = [f"host_mtu={cfg.mtu}", *more]
            self.spec = GuestSpec(kernel, initrd, cfg.queues, cfg.memory_mib, cfg.mac,
                                  device_options=",".join(options))
        return self.spec

    def start_guest(self, side: Side, incoming: bool = False, held: bool = False) -> Guest:
        if side.guest is not None:
            raise HarnessError(f"side {side.name} has a guest already")
        self._guests += 1
        name = f"{side.name}{self._guests}"
        side.guest = self._own(Guest(name, self.guest_spec(), self.directory, self.config.log_dir,
                                     side.path("vhost"), incoming, held))
        return side.guest

    def drop_guest(self, side: Side) -> None:
        """The source after its migration: nothing runs in it any more."""
        if side.guest is not None:
            side.guest.quit()
            side.guest = None

    def kill_guest(self, side: Side) -> None:
        """One that is in no state to be asked."""
        if side.guest is not None:
            side.guest.kill()
            side.guest = None

    def processes(self) -> dict[str, Process]:
        """Those that live as long as the testbed."""
        out: dict[str, Process] = {}
        for side in self.sides.values():
            for proc in (side.model, side.backend):
                if proc is not None:
                    out[proc.name] = proc
        if self.traffic is not None:
            out[self.traffic.name] = self.traffic
        return out

    def finish(self) -> None:
        """End everything in order, and look at the exit codes: a sanitizer speaks there."""
        for side in self.sides.values():
            self.drop_guest(side)
        for proc in self.processes().values():
            proc.stop()

    def check_alive(self) -> None:
        for proc in self.processes().values():
            proc.check_alive()


def build_guest_image(build_dir: Path) -> tuple[Path, Path]:
    """(kernel, initramfs); ninja makes them when the kernel is in the cache."""
    out = build_dir / "guest"
    kernel, initrd = out / "vmlinuz", out / "initramfs.gz"
    if kernel.is_file() and initrd.is_file():
        return kernel, initrd
    init = build_dir / "test" / "guest" / "guest-init"
    if not init.is_file():
        raise HarnessError(f"no {init}; run 'ninja -C {build_dir}'")
    script = Path(__file__).resolve().parents[2] / "test" / "guest" / "mkguest.py"
    run = subprocess.run([sys.executable, str(script), "--init", str(init), "--out", str(out)],
                         text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         timeout=300, check=False)
    if run.returncode != 0:
        raise HarnessError(f"{script.name} failed with {run.returncode}:\n{run.stdout[-2000:]}")
    return kernel, initrd
