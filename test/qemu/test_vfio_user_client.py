# SPDX-License-Identifier: BSD-3-Clause
"""Our vfio-user server under QEMU's own client: Linux drives the model through vfio-user-pci.

Needs QEMU 10.1 or later. Where the system's is older, unpack another release and name the command:
    mmdebstrap --variant=extract --include=qemu-system-x86,seabios \\
        --aptopt='APT::Default-Release "trixie-backports"' trixie DIR \\
        'deb http://deb.debian.org/debian trixie main' \\
        'deb http://deb.debian.org/debian trixie-backports main'
    LIB=DIR/usr/lib/x86_64-linux-gnu
    DPDK_LM_QEMU_VFIO_USER="env QEMU_MODULE_DIR=$LIB/qemu DIR/usr/lib64/ld-linux-x86-64.so.2
        --library-path $LIB DIR/usr/bin/qemu-system-x86_64 -L DIR/usr/share/qemu
        -L DIR/usr/share/seabios"
"""

import json
import os
import pathlib
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

BUILD = pathlib.Path(os.environ.get("DPDK_LM_BUILD", pathlib.Path(__file__).parents[2] / "build"))
QEMU = shlex.split(os.environ.get("DPDK_LM_QEMU_VFIO_USER", "qemu-system-x86_64"))
GUEST_MAC = "52:54:00:4c:4d:01"
BOOT_S, DEADLINE_S = 60.0, 30.0
FRAMES = 3000


def has_client() -> bool:
    """This QEMU has the device."""
    try:
        text = subprocess.run([*QEMU, "-device", "help"], check=False, timeout=20,
                              capture_output=True, text=True).stdout
    except OSError:
        return False
    return "vfio-user-pci" in text


pytestmark = [
    pytest.mark.skipif(not (BUILD / "guest/initramfs.gz").exists(), reason="no guest image"),
    pytest.mark.skipif(not has_client(), reason="this QEMU has no vfio-user-pci")]


def ask(path: pathlib.Path, command: str) -> dict[str, Any]:
    """One question to a program's control socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(os.fspath(path))
        sock.sendall(json.dumps({"cmd": command}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(sock.makefile().readline())
        return answer


def until(what: str, done: Callable[[], bool]) -> None:
    """Look again and again, within the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.05)


def start(stack: ExitStack, *argv: object) -> subprocess.Popen[str]:
    """A program of ours that listens now."""
    process = stack.enter_context(
        subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready")
    return process


def boot(stack: ExitStack, directory: pathlib.Path, device: pathlib.Path
         ) -> subprocess.Popen[bytes]:
    """QEMU with the device; returns when the guest says that it is ready."""
    control = directory / "guest"
    control.unlink(missing_ok=True)
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(os.fspath(control))
    listener.listen(1)
    listener.settimeout(DEADLINE_S)
    process = stack.enter_context(subprocess.Popen([
        *QEMU, "-machine", "q35,accel=tcg,memory-backend=ram", "-cpu", "max", "-m", "256",
        "-object", "memory-backend-memfd,id=ram,size=256M,share=on", "-nodefaults",
        "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", BUILD / "guest/vmlinuz", "-initrd", BUILD / "guest/initramfs.gz",
        "-append", "console=ttyS0 panic=-1 quiet", "-serial", f"file:{directory}/console",
        "-chardev", f"socket,id=ctl,path={control}", "-serial", "chardev:ctl",
        "-device", json.dumps({"driver": "vfio-user-pci",
                               "socket": {"type": "unix", "path": os.fspath(device)}})]))
    stack.callback(process.kill)
    guest = stack.enter_context(listener.accept()[0])
    guest.settimeout(BOOT_S)
    assert "ready" in json.loads(guest.makefile().readline())
    return process


def test_guest_traffic(tmp_path: pathlib.Path) -> None:
    """Every frame goes in and out; doorbells reach the mapped page; a second guest does as well."""
    device, traffic, model = tmp_path / "dev", tmp_path / "traffic", tmp_path / "model"
    with ExitStack() as stack:
        start(stack, BUILD / "app/devmodel/dpdk-lm-traffic", "--port", f"A={tmp_path}/A",
              "--guest-mac", GUEST_MAC, "--rate", 1000, "--control", traffic)
        program = start(stack, BUILD / "app/devmodel/dpdk-lm-devmodel", "virtio-net",
                        "--socket", device, "--mac", GUEST_MAC, "--wire", f"link:{tmp_path}/A",
                        "--control", model)
        for guest in (1, 2):
            with ExitStack() as life:
                qemu = boot(life, tmp_path, device)
                ask(traffic, "reset")
                ask(traffic, "start")
                until("frames", lambda: ask(traffic, "stats")["received"] >= FRAMES)
                ask(traffic, "stop")
                until("the rest", lambda: (stats := ask(traffic, "stats"))["received"]
                      == stats["sent"])
                stats, device_stats = ask(traffic, "stats"), ask(model, "stats")
                assert {stats[k] for k in ("duplicated", "reordered", "corrupt")} == {0}
                assert device_stats["violations"] == 0, device_stats["violation_list"]
                assert device_stats["connections"] == guest
                assert {q["doorbell"] for q in device_stats["queues"][:2]} == {"store"}
                assert qemu.poll() is None
        program.terminate()
        assert program.wait(DEADLINE_S) == 0
