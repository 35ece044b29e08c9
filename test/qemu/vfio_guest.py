# SPDX-License-Identifier: BSD-3-Clause
"""A guest with an IOMMU whose kernel gives QEMU's own virtio-net-pci away through VFIO."""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from lm_harness.base import Deadline
from lm_harness.process import Process

TOP = Path(__file__).resolve().parents[2]
BDF = "0000:01:00.0"
QEMU = "qemu-system-x86_64"
BOOT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/shm /var/run /run
$b mount -t tmpfs shm /dev/shm
$b chmod 755 /
for m in $($b cat /modules/order); do $b insmod /modules/$m || echo "no module $m"; done
"""
UNBIND = f"""
echo {BDF} >/sys/bus/pci/devices/{BDF}/driver/unbind
"""
BIND = f"""
echo vfio-pci >/sys/bus/pci/devices/{BDF}/driver_override
echo {BDF} >/sys/bus/pci/drivers_probe
"""
MODULES = ("vfio_pci", "vfio_iommu_type1")
END = "$b poweroff -f\n"
# What a program's imports come to, without what the host's site adds.
IMPORTS = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="imported")
print("\\n".join(m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)))
"""


def _mkguest() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mkguest", TOP / "test/guest/mkguest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def libraries(binary: Path) -> list[Path]:
    """What the dynamic linker loads for it, the linker, its cache, and what libc loads included."""
    text = subprocess.run(["ldd", binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [Path(p) for p in re.findall(r"(/\S+) \(0x", text)]
    extra = [p.with_name("libgcc_s.so.1") for p in found if p.name == "libc.so.6"]
    extra.append(Path("/etc/ld.so.cache"))
    return found + [p for p in extra if p.exists()]


def python_program(script: Path) -> list[Path]:
    """This Python, a program, and all that it imports."""
    python = Path(sys.executable).resolve()
    text = subprocess.run([python, "-I", "-S", "-c", IMPORTS, script], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return [python, script, *map(Path, text.split())]


def make_image(init: str, programs: Sequence[Path], out: Path, *more: str) -> tuple[Path, Path]:
    """Kernel and initramfs with more modules; programs lie where they do here, with libraries."""
    mk = _mkguest()
    kernel = mk.default_kernel_dir()
    if not (kernel / "vmlinuz").exists():
        pytest.skip(f"no guest kernel in {kernel}; type: devtools/setup.sh demo")
    modules = mk.collect_modules(kernel / "modules", (*MODULES, *more))
    busybox = next(Path(p) for p in mk.BUSYBOX if Path(p).exists())
    files = {"init": init.encode(), "bin/busybox": busybox.read_bytes(),
             "modules/order": "".join(n + "\n" for n, _ in modules).encode()}
    files |= {f"modules/{name}": content for name, content in modules}
    needed = set(programs)
    # Of what is found by a program's own search path, others may have to find the libraries.
    todo = [path for path in programs if path.suffix != ".py"]
    while todo:
        found = set(libraries(todo.pop())) - needed
        needed |= found
        todo += [path for path in found if "/dpdk/" in str(path)]
    # Names that are one file here stay one: EAL would load a copy as another plugin.
    links = {}
    for path in needed:
        name, real = os.path.abspath(path), path.resolve()
        files[str(real).lstrip("/")] = real.read_bytes()
        if name != str(real):
            links[name.lstrip("/")] = str(real).encode()
    parents = {str(d) for f in (*files, *links) for d in Path(f).parents if str(d) != "."}
    parents |= {"dev", "proc", "sys", "tmp"}
    entries = [(d, stat.S_IFDIR | 0o755, b"") for d in sorted(parents)]
    entries += [(name, stat.S_IFREG | 0o755, data) for name, data in files.items()]
    entries += [(name, stat.S_IFLNK | 0o777, target) for name, target in links.items()]
    archive = mk.cpio_entry(1, "dev/console", stat.S_IFCHR | 0o600, b"", (5, 1))
    archive = b"".join(mk.cpio_entry(i + 2, *e) for i, e in enumerate(entries)) + archive
    archive += mk.cpio_entry(0, "TRAILER!!!", 0)
    initramfs = out / "initramfs.gz"
    initramfs.write_bytes(gzip.compress(archive, 1, mtime=0))
    return kernel / "vmlinuz", initramfs


class Cable:
    """The far end of the function's cable: keeps each frame, gives it back changed by answer."""

    def __init__(self, directory: Path, answer: Callable[[bytes], bytes] | None) -> None:
        self.near, self._far = directory / "near", directory / "far"
        self.frames: list[bytes] = []
        self._answer = answer
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(self._far))
        self._sock.settimeout(0.2)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._done.is_set():
            try:
                frame = self._sock.recv(65536)
            except TimeoutError:
                continue
            self.frames.append(frame)
            if self._answer is not None:
                self.send(self._answer(frame))

    def send(self, frame: bytes) -> None:
        """As soon as QEMU takes it; when QEMU is gone, nobody waits for it."""
        while not self._done.is_set():
            try:
                self._sock.sendto(frame, str(self.near))
                return
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                return

    def qemu(self) -> str:
        return (f"dgram,id=n0,local.type=unix,local.path={self.near},remote.type=unix,"
                f"remote.path={self._far}")

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._sock.close()


class Guest:
    """QEMU, whose virtio-net-pci the guest's kernel may give away."""

    def __init__(self, launch: Callable[..., Process], image: tuple[Path, Path], cable: Cable,
                 directory: Path, *options: str) -> None:
        if shutil.which(QEMU) is None:
            pytest.skip(f"no {QEMU}")
        self._console, self._port = directory / "console.log", directory / "port"
        self._process = launch(
            "guest-vfio", QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", 2, "-m", 512,
            "-device", "intel-iommu", "-kernel", image[0], "-initrd", image[1],
            "-append", "console=ttyS0 intel_iommu=on quiet panic=-1",
            "-serial", f"file:{self._console}",
            "-chardev", f"socket,id=port,path={self._port},server=on,wait=off",
            "-serial", "chardev:port", "-netdev", cable.qemu(),
            "-device", "pcie-root-port,id=rp0,slot=1",
            "-device", "virtio-net-pci,netdev=n0,bus=rp0,vectors=4,queue_reset=on,"
                       "disable-legacy=on,iommu_platform=on,romfile=", *options)

    def text(self) -> str:
        """What it has said so far."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def says(self, what: str, seconds: float) -> None:
        """Wait for it."""
        deadline = Deadline(seconds, f"the guest to say '{what}'")
        while what not in self.text():
            if deadline.passed() or not self._process.alive():
                raise deadline.error(self.text()[-2000:])
            time.sleep(0.05)

    def enter(self) -> None:
        """Type a line at its second serial port."""
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(str(self._port))
            port.sendall(b"\n")

    def end(self, seconds: float) -> str:
        """It switches itself off; all that it has said."""
        try:
            self._process.wait(seconds)
        finally:
            print(self.text())
        return self.text()
