# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-test-lm check: on trees that look like /sys, and on real sockets.

Catches advice that does not fit what is wrong, an exit code that lies, and a device that looks
ready and is not.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_harness.process import Process

VF = "0000:01:00.1"
PF = "0000:01:00.0"
Check = Callable[..., dict[str, Any]]


class Machine:
    """A tree with sys/, dev/ and proc/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.devices = root / "sys/bus/pci/devices"
        self.devices.mkdir(parents=True)
        (root / "dev/vfio").mkdir(parents=True)
        (root / "proc").mkdir()
        (root / "proc/meminfo").write_text(
            "HugePages_Total: 8\nHugePages_Free: 6\nHugepagesize: 2048 kB\n")

    def add(self, bdf: str, ids: str = "1dd8:1003", driver: str = "", group: int = -1,
            pf: str = "", class_code: str = "0x020000") -> Path:
        """A function on the bus."""
        path = self.devices / bdf
        path.mkdir()
        vendor, device = ids.split(":")
        (path / "vendor").write_text(f"0x{vendor}\n")
        (path / "device").write_text(f"0x{device}\n")
        (path / "class").write_text(class_code + "\n")
        if driver:
            place = self.root / "sys/bus/pci/drivers" / driver
            place.mkdir(parents=True, exist_ok=True)
            (path / "driver").symlink_to(place)
        if group >= 0:
            place = self.root / f"sys/kernel/iommu_groups/{group}"
            (place / "devices").mkdir(parents=True, exist_ok=True)
            (place / "devices" / bdf).symlink_to(path)
            (path / "iommu_group").symlink_to(place)
        if pf:
            (path / "physfn").symlink_to(self.devices / pf)
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "root")


@pytest.fixture
def check(program: Callable[[str], Path]) -> Check:
    """check(DEVICE, options...): what --json prints; exit code and text agree with it."""

    def run(device: str, *options: object) -> dict[str, Any]:
        argv = [str(program("dpdk-test-lm")), "check", *map(str, options), device]
        text = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        done = subprocess.run([*argv, "--json"], capture_output=True, text=True, timeout=20,
                              check=False)
        assert done.stderr == "" and text.stderr == ""
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == text.returncode == int(found["verdict"] == "blocked")
        assert found["device"] == device
        for line in found["lines"]:
            assert line["text"] in text.stdout and (line["next"] or "") in text.stdout
            if line["level"] == "blocked":
                assert line["next"], f"no way on from {line}"
        short = text.stdout.replace(device.removeprefix("socket="), "")
        assert max(map(len, short.splitlines())) <= 100
        return found

    return run


def line(found: dict[str, Any], what: str) -> dict[str, str]:
    """The one line of this name."""
    lines: list[dict[str, str]] = [entry for entry in found["lines"] if entry["what"] == what]
    assert len(lines) == 1, found
    return lines[0]


def test_no_such_device(check: Check, machine: Machine) -> None:
    found = check(VF, "--root", machine.root)
    assert line(found, "device")["level"] == "blocked"
    assert "lspci" in line(found, "device")["next"]
    assert line(found, "hugepages")["text"] == "6 of 8 free, of 2048 KiB"


@pytest.mark.parametrize("ids, variant", (
    ("1dd8:1003", "pds_vfio_pci"), ("15b3:101e", "mlx5_vfio_pci"), ("1af4:1041", "virtio_vfio_pci"),
    ("8086:154c", "vfio-pci"),
))
@pytest.mark.parametrize("driver", ("", "ionic"))
def test_binding(check: Check, machine: Machine, ids: str, variant: str, driver: str) -> None:
    """A VF that VFIO does not have: the command binds it to the driver that migrates it."""
    machine.add(PF, driver="pds_core")
    machine.add(VF, ids, driver=driver, group=7, pf=PF)
    found = check(VF, "--root", machine.root)
    assert f"a VF of {PF}, whose driver is pds_core" in line(found, "device")["text"]
    assert line(found, "driver")["level"] == "blocked"
    assert line(found, "driver")["next"].endswith(f"dpdk-devbind.py --bind={variant} {VF}")
    assert not [entry for entry in found["lines"] if entry["what"] == "open"]


def test_no_iommu_group(check: Check, machine: Machine) -> None:
    machine.add(VF, driver="pds_vfio_pci")
    found = check(VF, "--root", machine.root)
    assert line(found, "driver")["level"] == "ok"
    assert line(found, "iommu")["level"] == "blocked"
    assert "intel_iommu=on" in line(found, "iommu")["next"]


def test_group_with_a_stranger(check: Check, machine: Machine) -> None:
    """Bridges may stay; a NIC of the kernel in the same group may not."""
    machine.add(VF, driver="vfio-pci", group=7)
    machine.add("0000:00:1c.0", driver="pcieport", group=7, class_code="0x060400")
    found = check(VF, "--root", machine.root)
    assert line(found, "driver")["level"] == "warn"
    assert line(found, "iommu")["level"] == "ok"
    machine.add("0000:01:00.2", driver="ionic", group=7)
    found = check(VF, "--root", machine.root)
    assert "0000:01:00.2, which ionic holds" in line(found, "iommu")["text"]
    assert line(found, "iommu")["next"] == "dpdk-devbind.py --bind=vfio-pci 0000:01:00.2"


def test_open_fails(check: Check, machine: Machine) -> None:
    """No module; no permission; a file that is no VFIO group."""
    machine.add(VF, driver="mlx5_vfio_pci", ids="15b3:101e", group=7)
    assert "modprobe" in line(check(VF, "--root", machine.root), "open")["next"]
    group = machine.root / "dev/vfio/7"
    group.write_text("")
    assert "/dev/vfio/7" in line(check(VF, "--root", machine.root), "open")["text"]
    if os.geteuid() != 0:
        group.chmod(0)
        assert "chown" in line(check(VF, "--root", machine.root), "open")["next"]


@pytest.mark.parametrize("argv", ((), ("a", "b"), ("--nonsense", VF), ("gibberish",), ("01:00.8",)))
def test_usage(program: Callable[[str], Path], argv: tuple[str, ...]) -> None:
    done = subprocess.run([program("dpdk-test-lm"), "check", *argv], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 2 and done.stdout == "" and "Usage:" in done.stderr


def test_exerciser(check: Check, launch: Callable[..., Process], program: Callable[[str], Path],
                   tmp_path: Path) -> None:
    """A device that migrates; then the same while another client has it."""
    path = tmp_path / "ex"
    model = launch("model", program("dpdk-lm-devmodel"), "exerciser", "--socket", path)
    model.wait_line(f"^ready {path}$", 10)
    found = check(f"socket={path}")
    assert found["blocked"] == 0
    assert line(found, "migration")["text"] == "STOP_COPY, P2P, PRE_COPY"
    assert line(found, "state")["text"] == "RUNNING"
    assert line(found, "dirty-log")["level"] == "ok"
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(path))
        found = check(f"socket={path}")
        assert "serves somebody else" in line(found, "socket")["text"]


def test_virtio(check: Check, launch: Callable[..., Process], program: Callable[[str], Path],
                tmp_path: Path) -> None:
    """No migration of its own, but a driver that does without."""
    path = tmp_path / "net"
    model = launch("model", program("dpdk-lm-devmodel"), "virtio-net", "--socket", path)
    model.wait_line(f"^ready {path}$", 10)
    found = check(f"socket={path}")
    assert line(found, "migration")["level"] == "warn"
    assert line(found, "migration")["next"] == "dpdk-test-lm serve --help"


def test_bad_sockets(check: Check, tmp_path: Path) -> None:
    """Nothing there, no socket, a dead one, one that speaks something else, a name too long."""
    path = tmp_path / "sock"
    assert line(check(f"socket={path}"), "socket")["text"].endswith("no such file")
    path.write_text("")
    assert line(check(f"socket={path}"), "socket")["text"].endswith("not a socket")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert "any more" in line(check(f"socket={path}"), "socket")["text"]
    assert "too long" in line(check("socket=/" + "x" * 120), "socket")["text"]


def test_garbage(check: Check, tmp_path: Path) -> None:
    """A server that answers with noise."""
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        pid = os.fork()
        if pid == 0:
            for _ in range(2):
                peer = server.accept()[0]
                peer.sendall(b"\xa5" * 64)
                peer.recv(4096)
                peer.close()
            os._exit(0)
        try:
            found = check(f"socket={path}")
        finally:
            os.waitpid(pid, 0)
    assert line(found, "socket")["level"] == "blocked"
    assert "not vfio-user" in line(found, "socket")["text"]
