# SPDX-License-Identifier: BSD-3-Clause
"""The kernel back end of lib/pciaccess inside a guest: real VFIO, an IOMMU, QEMU's virtio-net."""

from __future__ import annotations

import gzip
import importlib.util
import re
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lm_harness.process import Process

TOP = Path(__file__).resolve().parents[2]
BDF = "0000:01:00.0"
QEMU = "qemu-system-x86_64"
INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/shm /var/run /run
$b mount -t tmpfs shm /dev/shm
for m in $($b cat /modules/order); do $b insmod /modules/$m || echo "no module $m"; done
/bin/vfio-oracle {BDF} refused
echo {BDF} >/sys/bus/pci/devices/{BDF}/driver/unbind
echo vfio-pci >/sys/bus/pci/devices/{BDF}/driver_override
echo {BDF} >/sys/bus/pci/drivers_probe
/bin/vfio-oracle {BDF}
echo "exit code $?"
/bin/vfio-oracle {BDF}
echo "again: exit code $?"
/bin/vfio-oracle {BDF} group
if [ -e /dev/vfio/devices/vfio0 ]; then /bin/vfio-oracle {BDF} cdev
else echo "without EAL, no cdev in this kernel"; fi
$b poweroff -f
"""


def load_mkguest():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("mkguest", TOP / "test/guest/mkguest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def libraries(binary: Path) -> list[Path]:
    """What the dynamic linker loads for it, the linker included."""
    text = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    return [Path(p) for p in re.findall(r"(/\S+) \(0x", text)]


def make_image(binary: Path, out: Path) -> tuple[Path, Path]:
    mk = load_mkguest()
    kernel = mk.default_kernel_dir()
    if not (kernel / "vmlinuz").exists():
        pytest.skip(f"no guest kernel in {kernel}; type: devtools/setup.sh demo")
    mk.MODULES = ("vfio_pci", "vfio_iommu_type1", "virtio_pci")
    modules = mk.collect_modules(kernel / "modules")
    busybox = next(Path(p) for p in mk.BUSYBOX if Path(p).exists())
    files = {"init": INIT.encode(), "bin/busybox": busybox.read_bytes(),
             "bin/vfio-oracle": binary.read_bytes(),
             "modules/order": "".join(n + "\n" for n, _ in modules).encode()}
    files |= {f"modules/{name}": content for name, content in modules}
    files |= {str(p).lstrip("/"): p.read_bytes() for p in libraries(binary)}
    parents = {str(d) for f in files for d in Path(f).parents if str(d) != "."}
    parents |= {"dev", "proc", "sys", "tmp"}
    entries = [(d, stat.S_IFDIR | 0o755, b"") for d in sorted(parents)]
    entries += [(name, stat.S_IFREG | 0o755, data) for name, data in files.items()]
    archive = mk.cpio_entry(1, "dev/console", stat.S_IFCHR | 0o600, b"", (5, 1))
    archive = b"".join(mk.cpio_entry(i + 2, *e) for i, e in enumerate(entries)) + archive
    archive += mk.cpio_entry(0, "TRAILER!!!", 0)
    initramfs = out / "initramfs.gz"
    initramfs.write_bytes(gzip.compress(archive, 1, mtime=0))
    return kernel / "vmlinuz", initramfs


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The other end of the cable: answers each frame with its bytes inverted."""
    near, far = tmp_path / "near", tmp_path / "far"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(far))
    sock.settimeout(0.2)
    done = threading.Event()

    def answer() -> None:
        while not done.is_set():
            try:
                frame = sock.recv(65536)
                sock.sendto(bytes(0xff - b for b in frame), str(near))
            except OSError:
                continue

    thread = threading.Thread(target=answer)
    thread.start()
    yield near, far
    done.set()
    thread.join()
    sock.close()


@pytest.mark.deadline(120)
def test_kernel_vfio(build_dir: Path, tmp_path: Path, peer: tuple[Path, Path],
                     launch: Callable[..., Process]) -> None:
    """Refused while bound to virtio-pci; then registers, DMA, MSI-X, frames, ring reset; twice."""
    binary = build_dir / "test/vfio/vfio-oracle"
    if shutil.which(QEMU) is None or not binary.exists():
        pytest.skip(f"no {QEMU}, or no vfio-oracle in the build")
    kernel, initramfs = make_image(binary, tmp_path)
    console = tmp_path / "console.log"
    proc = launch(
        "guest-vfio", QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-machine", "q35,accel=tcg", "-cpu", "max", "-m", "512", "-device", "intel-iommu",
        "-kernel", kernel, "-initrd", initramfs,
        "-append", "console=ttyS0 intel_iommu=on quiet panic=-1",
        "-serial", f"file:{console}",
        "-netdev", f"dgram,id=n0,local.type=unix,local.path={peer[0]},remote.type=unix,"
                   f"remote.path={peer[1]}",
        "-device", "pcie-root-port,id=rp0,slot=1",
        "-device", "virtio-net-pci,netdev=n0,bus=rp0,vectors=4,queue_reset=on,"
                   "disable-legacy=on,iommu_platform=on")
    proc.wait(100)
    text = console.read_text(errors="replace")
    print(text)
    assert f"refused: {BDF}: bound to virtio-pci, which is not VFIO. Type: dpdk-devbind.py" in text
    assert "failed:" not in text
    assert text.count("200 frames and their answers") == 2
    assert "again: exit code 0" in text
    assert "without EAL, group, no dirty bits" in text
    assert "without EAL, cdev, " in text or "without EAL, no cdev in this kernel" in text
