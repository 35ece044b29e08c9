# SPDX-License-Identifier: BSD-3-Clause
"""The guest image under stock QEMU, without our data path: it boots, echoes, checks and counts."""

import json
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "py"))

import frame_oracle as oracle  # noqa: E402

BUILD = pathlib.Path(os.environ.get("DPDK_LM_BUILD", pathlib.Path(__file__).parents[2] / "build"))
QEMU = shutil.which(os.environ.get("DPDK_LM_QEMU", "qemu-system-x86_64"))
GUEST_MAC = bytes.fromhex("5254004c4d01")
BOOT_S = 60.0
DEADLINE_S = 20.0

pytestmark = pytest.mark.skipif(QEMU is None or not (BUILD / "guest/initramfs.gz").exists(),
                                reason="needs QEMU and the guest image")


class Guest:
    """QEMU with one virtio-net device whose other end is a socket of this test."""

    def __init__(self, directory: pathlib.Path, machine: str) -> None:
        self.wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.wire.bind(str(directory / "peer"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(directory / "ctl"))
        listener.listen(1)
        listener.settimeout(DEADLINE_S)
        self.begin = time.monotonic()
        self.ram = directory / "ram"
        self.console = directory / "console"
        self.process = subprocess.Popen([
            str(QEMU), "-machine", f"{machine},accel=tcg,memory-backend=ram", "-cpu", "max",
            "-m", "256", "-object",
            f"memory-backend-file,id=ram,size=256M,share=on,mem-path={directory}/ram",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", BUILD / "guest/vmlinuz", "-initrd", BUILD / "guest/initramfs.gz",
            "-append", "console=ttyS0 panic=-1 quiet", "-serial", f"file:{self.console}",
            "-chardev", f"socket,id=ctl,path={directory}/ctl", "-serial", "chardev:ctl",
            "-netdev", f"dgram,id=n,local.type=unix,local.path={directory}/qemu,"
                       f"remote.type=unix,remote.path={directory}/peer",
            "-device", f"virtio-net-pci,netdev=n,mac={GUEST_MAC.hex(':')}"])
        try:
            self.control = listener.accept()[0]
            self.control.settimeout(BOOT_S)
            self.lines = self.control.makefile("r")
            self.ready = json.loads(self.lines.readline())
            self.boot_s = time.monotonic() - self.begin
            self.control.settimeout(DEADLINE_S)
            self.wire.connect(str(directory / "qemu"))
        except BaseException:
            self.close()
            raise
        finally:
            listener.close()

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command, return its answer."""
        self.control.sendall(command.encode() + b"\n")
        answer = json.loads(self.lines.readline())
        assert isinstance(answer, dict)
        return answer

    def exchange(self, frames: list[bytes], expected: int, window: int = 64) -> list[bytes]:
        """Send all, with at most window unanswered ones; what came back until expected."""
        answers: list[bytes] = []
        deadline = time.monotonic() + DEADLINE_S
        sent = 0
        while len(answers) < expected:
            assert time.monotonic() < deadline, f"{len(answers)} of {expected}"
            may_send = sent < len(frames) and sent - len(answers) < window
            can = select.select([self.wire], [self.wire] if may_send else [], [], 1)
            if can[0]:
                answers.append(self.wire.recv(70000))
            elif can[1]:
                self.wire.send(frames[sent])
                sent += 1
        return answers

    def close(self) -> None:
        """End it, whatever happened."""
        self.process.kill()
        self.process.wait()
        self.wire.close()
        self.ram.unlink(missing_ok=True)


@pytest.fixture(name="guest", params=("q35", "pc"), scope="module")
def fixture_guest(request: pytest.FixtureRequest,
                  tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest that is ready."""
    guest = Guest(tmp_path_factory.mktemp("guest"), request.param)
    try:
        yield guest
    finally:
        guest.close()


def build(kind: int, seq: int, size: int, flow: int = 0) -> bytes:
    """A frame for or of the guest."""
    return oracle.build(kind, flow, seq, seq * 1000, size, GUEST_MAC)


def test_ready(guest: Guest) -> None:
    """It says what it has, and was quick."""
    assert guest.ready["nics"][0]["mac"] == GUEST_MAC.hex(":")
    assert guest.ready["memory"]["kept_pages"] > 5000
    print(f"boot: {guest.boot_s:.1f} s, in the guest {guest.ready['boot_ms']} ms")
    assert not select.select([guest.wire], [], [], 0)[0], "traffic that nobody asked for"


def test_echo(guest: Guest) -> None:
    """Every request comes back as the oracle's echo, in order; the counters say so."""
    guest.ask("reset")
    plan = [(seq, 74 + seq * 37 % 1441, seq % 5) for seq in range(3000)]
    requests = [build(oracle.REQUEST, seq, size, flow) for seq, size, flow in plan]
    echoes = guest.exchange(requests, len(requests))
    assert echoes == [build(oracle.ECHO, seq, size, flow) for seq, size, flow in plan]
    stats = guest.ask("stats")
    assert stats["received"] == stats["echoed"] == 3000
    for key in ("corrupt", "duplicated", "reordered", "waiting", "foreign"):
        assert stats[key] == 0, key
    assert set(stats["drops"].values()) == {0}
    assert [f["received"] for f in stats["flows"]] == [600] * 5
    assert stats["memory"]["written"] > 0 and stats["memory"]["bad"] == 0


def test_spread(guest: Guest) -> None:
    """Frames use many pages, not the same few again and again."""
    ram = guest.ram.read_bytes()
    magic = struct.pack("<I", oracle.MAGIC)
    pages, at = set(), ram.find(magic)
    while at >= 0:
        pages.add(at // 4096)
        at = ram.find(magic, at + 1)
    assert len(pages) > 1000


def test_stalled(guest: Guest) -> None:
    """While nothing can leave, echoes wait; all of them come once it can."""
    guest.ask("reset")
    requests = [build(oracle.REQUEST, seq, 600, 20) for seq in range(3000)]
    for request in requests:
        guest.wire.send(request)
    deadline = time.monotonic() + DEADLINE_S
    while guest.ask("stats")["tx_retries"] == 0:
        assert time.monotonic() < deadline
    assert len(guest.exchange([], len(requests))) == len(requests)
    stats = guest.ask("stats")
    assert stats["received"] == stats["echoed"] == len(requests)
    assert set(stats["drops"].values()) == {0}
    assert stats["duplicated"] == stats["reordered"] == 0


def test_faults(guest: Guest) -> None:
    """Corrupt frames are not echoed; duplicates and late ones are, and are counted."""
    guest.ask("reset")
    frames = [build(oracle.REQUEST, seq, 200, 9) for seq in range(100)]
    late = frames.pop(40)
    corrupt = bytearray(frames[50])
    corrupt[150] ^= 1
    wrong_mac = b"\x52" + bytes(5) + frames[51][6:]
    foreign = b"\xff" * 12 + b"\x08\x06" + bytes(46)
    sent = [*frames, late, frames[3], bytes(corrupt), wrong_mac, foreign,
            build(oracle.REQUEST, 100, 74, 9)]
    assert len(guest.exchange(sent, 102, len(sent))) == 102
    stats = guest.ask("stats")
    assert stats["received"] == stats["echoed"] == 102
    assert [stats[k] for k in ("corrupt", "duplicated", "reordered", "foreign")] == [2, 1, 1, 1]
    assert stats["drops"]["corrupt"] == 2
    assert stats["flows"] == [{"flow": 9, "received": 102, "duplicated": 1, "reordered": 1}]


def test_control(guest: Guest) -> None:
    """Its memory is as it was written; what is no command is refused."""
    memory = guest.ask("check")["memory"]
    assert memory["checked"] >= memory["kept_pages"] and memory["bad"] == 0
    assert "error" in guest.ask("nonesuch")


def test_quit(guest: Guest) -> None:
    """The last test of a guest: it ends by itself."""
    guest.control.sendall(b"quit\n")
    assert guest.process.wait(DEADLINE_S) == 0
    assert "panic" not in guest.console.read_text(errors="replace")
