# SPDX-License-Identifier: BSD-3-Clause
"""
One stock dpdk-testpmd takes net_pds's port over from another: what was set on it, not its rings.
Frames are made here, at the far ends of two cards' cables, and judged when they come back.
"""

from __future__ import annotations

import errno
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lm_harness.base import Deadline
from lm_harness.control import Control
from lm_harness.process import Process

from testpmd import READY_S, Cable, Testpmd

MAC = {"a": "52:54:00:4c:4d:01", "b": "52:54:00:4c:4d:02"}
OWN = "02:11:22:33:44:55"   # set on the first port, and to be found on the second
SECOND = "02:11:22:33:44:66"
STRANGER = "02:11:22:33:44:77"
GROUP = "01:00:5e:00:00:05"
NO_GROUP = "01:00:5e:00:00:06"
HEADER = struct.Struct("<QIIQ")
MAGIC, EMPTY = 0x444C4F4353445044, 0x2D06800538D394C2  # of a body without bytes
TAKE, RECORD, REFUSED = 2, 16, 17
PEER = "02:4c:4d:00:00:aa"


class Rig:
    """Two cards, and a testpmd on each."""

    def __init__(self, stack: ExitStack, directory: Path, plugin: Path,
                 launch: Callable[..., Process], program: Callable[[str], Path]) -> None:
        self.stack, self.directory, self.plugin = stack, directory, plugin
        self.cables: dict[str, Cable] = {}
        self.controls: dict[str, Control] = {}
        for host, mac in MAC.items():
            d = directory / host
            d.mkdir()
            model = launch(f"model-{host}", program("dpdk-lm-devmodel"), "pds", "--socket",
                           d / "pf", "--socket", d / "vf", "--wire", f"listen:{d}/wire", "--mac",
                           mac, "--queue-pairs", 2, "--control", d / "control")
            model.wait_line(f"^ready {d}/vf", READY_S)
            self.controls[host] = Control(host, str(d / "control"))
            stack.callback(self.controls[host].close)
            self.cables[host] = Cable(d / "wire")
            stack.callback(self.cables[host].close)

    def testpmd(self, host: str, devargs: str, *options: str) -> Testpmd:
        d = self.directory / host
        run = d / "run"
        run.mkdir(exist_ok=True)
        pmd = Testpmd({"RUNTIME_DIRECTORY": str(run)}, d / "testpmd.log",
                      ["--no-pci", "-d", str(self.plugin), "--vdev",
                       f"net_pds0,socket={d}/vf,{devargs}"],
                      ["--forward-mode=io", "--rxq=2", "--txq=2", "--rss-udp", *options])
        self.stack.callback(pmd.close)
        return pmd

    def giver(self) -> Testpmd:
        pmd = self.testpmd("a", f"lm={self.directory}/lm", "--enable-hw-vlan-filter")
        pmd.expect("testpmd>")
        pmd.command("set promisc 0 off")
        pmd.command(f"mac_addr set 0 {OWN}")
        pmd.command(f"mac_addr add 0 {SECOND}")
        pmd.command(f"mcast_addr add 0 {GROUP}")
        pmd.command("rx_vlan add 7 0")
        pmd.command("start")
        return pmd

    def taker(self, *options: str) -> Testpmd:
        return self.testpmd("b", f"lm_from={self.directory}/lm", "--enable-hw-vlan-filter",
                            "--no-lsc-interrupt", *options)

    def stats(self, host: str) -> dict[str, Any]:
        stats = self.controls[host].request("stats", function=1)
        assert stats["violations"] == 0, stats["violation_list"]
        return stats


@pytest.fixture
def rig(tmp_path: Path, build_dir: Path, launch: Callable[..., Process],
        program: Callable[[str], Path]) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, tmp_path, build_dir / "drivers/net/pds/liblm_net_pds.so", launch, program)


def frames(mac: str, count: int, vlan: int = 0) -> list[bytes]:
    rng = random.Random(count)
    head = bytes.fromhex((mac + PEER).replace(":", "")) + \
        (struct.pack(">HH", 0x8100, vlan) if vlan else b"") + b"\x88\xb5"
    return [head + rng.randbytes(rng.randint(46, 1400)) for _ in range(count)]


def counted(pmd: Testpmd, frames_in: int) -> None:
    """Until so many frames are in a port's statistics, which the card writes now and then."""
    deadline = Deadline(10, f"{frames_in} frames in the statistics")
    while True:
        shown = pmd.command("show port stats 0")
        if int(shown.split("RX-packets:")[1].split()[0]) >= frames_in:
            return
        if deadline.passed():
            raise deadline.error(shown)


def test_takes_over(rig: Rig) -> None:
    """What was set on the one port works on the other; the first one stops, and quits."""
    giver = rig.giver()
    sent = frames(OWN, 300)
    assert rig.cables["a"].echo(sent) == sent
    counted(giver, 300)
    taker = rig.taker()
    taker.expect("testpmd>")
    giver.expect("was given to another process")
    assert f"MAC address: {OWN}".upper() in taker.command("show port info 0").upper()
    taker.command("set promisc 0 off")
    taker.command("start")
    for mac in (OWN, SECOND, GROUP):
        sent = frames(mac, 100)
        assert rig.cables["b"].echo(sent) == sent
    tagged = frames(OWN, 20, vlan=7)
    assert rig.cables["b"].echo(tagged) == tagged
    for mac in (STRANGER, NO_GROUP, MAC["b"]):
        for frame in frames(mac, 5):
            rig.cables["b"].send(frame)
    for frame in frames(OWN, 5, vlan=8):
        rig.cables["b"].send(frame)
    assert rig.cables["b"].nothing(0.3)
    assert rig.stats("b")["drops"]["rx_filtered"] >= 20
    # Counters go on where the first port's were.
    counted(taker, 300 + 320)
    for frame in frames(OWN, 5):
        rig.cables["a"].send(frame)
    assert rig.cables["a"].nothing(0.3)
    giver.command("stop")
    giver.quit()
    taker.command("stop")
    taker.quit()


def test_taker_dies_before_it_runs(rig: Rig) -> None:
    """One that asked, and never said that it runs: the giver goes on with the same rings."""
    giver = rig.giver()
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(rig.directory / "lm"))
            sock.settimeout(10)
            sock.sendall(HEADER.pack(MAGIC, TAKE, 0, EMPTY))
            magic, kind, length, _ = HEADER.unpack(sock.recv(24, socket.MSG_WAITALL))
            assert (magic, kind) == (MAGIC, RECORD)
            assert len(sock.recv(length, socket.MSG_WAITALL)) == length
            rig.cables["a"].send(frames(OWN, 1)[0])
            assert rig.cables["a"].nothing(0.2)
        giver.expect("it goes on here")
        sent = frames(OWN, 300)
        assert rig.cables["a"].echo(sent) == sent
    giver.command("stop")
    giver.quit()
    rig.stats("a")


@pytest.mark.parametrize("data", [
    b"", b"x" * 24, HEADER.pack(MAGIC, 2**32 - 1, 2**32 - 1, 2**64 - 1),
    HEADER.pack(MAGIC, 99, 0, EMPTY), HEADER.pack(MAGIC + 1, TAKE, 0, EMPTY),
    HEADER.pack(MAGIC, TAKE, 0, EMPTY + 1)],
    ids=["nothing", "text", "ones", "type", "magic", "checksum"])
def test_nonsense_is_refused(rig: Rig, data: bytes) -> None:
    """Nothing is taken, so nothing stops, and no record is given."""
    giver = rig.giver()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(rig.directory / "lm"))
        sock.settimeout(12)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(64, socket.MSG_WAITALL)
        assert answer == b"" or HEADER.unpack_from(answer)[1] == REFUSED, answer
    sent = frames(OWN, 100)
    assert rig.cables["a"].echo(sent) == sent
    giver.command("stop")
    giver.quit()


def test_nobody_to_take_from(rig: Rig) -> None:
    taker = rig.taker()
    taker.expect("No such file or directory")


def test_given_once(rig: Rig) -> None:
    """A second one that comes for it is told so."""
    giver = rig.giver()
    taker = rig.taker()
    taker.expect("testpmd>")
    giver.expect("was given to another process")
    taker.close()
    again = rig.taker()
    again.expect("Device or resource busy")
    with socket.socket(socket.AF_UNIX) as sock:  # also to one that does not look first
        sock.connect(str(rig.directory / "lm"))
        sock.settimeout(10)
        sock.sendall(HEADER.pack(MAGIC, TAKE, 0, EMPTY))
        answer = sock.recv(28, socket.MSG_WAITALL)
        assert HEADER.unpack_from(answer)[:3] == (MAGIC, REFUSED, 4)
        assert int.from_bytes(answer[24:], "little") == errno.EBUSY
    # Nor does the device that was left receive again.
    before = rig.stats("a")["drops"]["rx_queue_off"]
    rig.cables["a"].send(frames(OWN, 1)[0])
    deadline = Deadline(5, "the device to drop a frame")
    while rig.stats("a")["drops"]["rx_queue_off"] == before:
        assert not deadline.passed(), rig.stats("a")["drops"]
    giver.command("stop")
    giver.quit()
