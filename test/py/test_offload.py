# SPDX-License-Identifier: BSD-3-Clause
"""Checksum and segmentation offloads of the model, judged by Linux."""

from __future__ import annotations

import hashlib
import random
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import vfu_net
from lm_harness.control import Control
from lm_harness.process import Process
from vfu_net import Nic, bits, wait

HERE = Path(__file__).parent
BASE = bits(vfu_net.F_VERSION_1, vfu_net.F_ACCESS, vfu_net.F_MAC, vfu_net.F_MRG, vfu_net.F_MTU)
SEND = bits(vfu_net.F_CSUM, vfu_net.F_HOST_TSO4, vfu_net.F_HOST_TSO6, vfu_net.F_HOST_ECN)
TAKE = bits(vfu_net.F_GUEST_CSUM, vfu_net.F_GUEST_TSO4, vfu_net.F_GUEST_TSO6, vfu_net.F_GUEST_ECN)
TCP, UDP = 6, 17


def namespaces() -> bool:
    """May this process make network namespaces, and interfaces in them?"""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    trial = "ip link add lm0 type veth peer name lm1"
    return subprocess.run(["unshare", "-n", *trial.split()], check=False,
                          capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not namespaces(), reason="needs root and network namespaces (veth)")


def ones_sum(data: bytes) -> int:
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) & 1)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def unfinished(rng: random.Random, gso: bool) -> tuple[bytes, bytes]:
    """A header and its frame, as a driver would leave them."""
    ipv6, proto = rng.random() < 0.5, TCP if gso else rng.choice((TCP, UDP))
    payload = rng.randbytes(rng.randrange(1, 50000 if gso else 1300))
    ecn = gso and rng.random() < 0.3
    if proto == TCP:
        options = b"\1" * 4 * rng.randrange(6)
        flags = 0x10 | rng.choice((0, 8, 9, 1)) | (0x80 if ecn else 0)
        l4 = struct.pack(">HHIIBBHHH", 80, rng.randrange(1, 65536), rng.getrandbits(32),
                         rng.getrandbits(32), (20 + len(options)) << 2, flags, 5000, 0, 0) + options
        place = 16
    else:
        l4, place = struct.pack(">HHHH", 53, 99, 8 + len(payload), 0), 6
    addresses = rng.randbytes(32) if ipv6 else b"\x0a\0\0\1" b"\x0a\0\0\2"
    pseudo = addresses + struct.pack(">IHBB", len(l4) + len(payload), 0, 0, proto)
    l4 = l4[:place] + struct.pack(">H", ones_sum(pseudo)) + l4[place + 2:]
    if ipv6:
        extra = struct.pack(">BB6s", proto, 0, b"\1\4\0\0\0\0") if rng.random() < 0.3 else b""
        l3 = struct.pack(">IHBB", 0x60000000, len(extra) + len(l4) + len(payload) & 0xffff,
                         0 if extra else proto, 64) + addresses + extra
    else:
        extra = b"\1" * 4 * rng.randrange(3)
        l3 = struct.pack(">BBHHHBBH", 0x45 + len(extra) // 4, 0,
                         20 + len(extra) + len(l4) + len(payload), rng.getrandbits(16), 0x4000, 64,
                         proto, 0) + addresses + extra
        l3 = l3[:10] + struct.pack(">H", ones_sum(l3) ^ 0xffff) + l3[12:]
    tag = struct.pack(">HH", 0x8100, rng.randrange(1, 4095)) if rng.random() < 0.3 else b""
    eth = bytes.fromhex("020000000001" "020000000002") + tag + (b"\x86\xdd" if ipv6 else b"\x08\0")
    start = len(eth) + len(l3)
    kind = (4 if ipv6 else 1) | (0x80 if ecn else 0)
    hdr = struct.pack("<BBHHHH", 1, kind if gso else 0, start + len(l4) if gso else 0,
                      rng.randrange(500, 1360) if gso else 0, start, place)
    return hdr, eth + l3 + l4 + payload


def linux_makes(frames: list[tuple[bytes, bytes]]) -> list[list[bytes]]:
    run = subprocess.run(["unshare", "-n", sys.executable, HERE / "linux_gso.py"], check=True,
                         input="".join((hdr + frame).hex() + "\n" for hdr, frame in frames),
                         stdout=subprocess.PIPE, text=True, timeout=50)
    return [[bytes.fromhex(one) for one in line.split()] for line in run.stdout.splitlines()]


@pytest.fixture
def model(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path
          ) -> Callable[..., tuple[str, Control]]:
    def make(name: str, wire: str, *before: str) -> tuple[str, Control]:
        path = str(tmp_path / name)
        process = launch(name, *before, program("dpdk-lm-devmodel"), "virtio-net", "--socket", path,
                         "--control", path + ".ctl", "--wire", wire, "--queue-size", "256")
        process.wait_line(f"^ready {path}$", 10)
        return path, Control(name, path + ".ctl")

    return make


@pytest.mark.parametrize("gso", [True, False], ids=["tso", "csum"])
def test_as_linux(model: Callable[..., tuple[str, Control]], tmp_path: Path, gso: bool) -> None:
    """Catches: a segment or checksum that differs from Linux's by one bit, on a plain cable."""
    rng = random.Random(gso)
    frames = [unfinished(rng, gso) for _ in range(150)]
    expected = linux_makes(frames)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "cable"))
        listener.listen(1)
        listener.settimeout(10)
        path, control = model("a", f"link:{tmp_path}/cable")
        peer, _ = listener.accept()
        with vfu_net.nic(path, "eventfd") as card, peer:
            peer.settimeout(10)
            card.start(BASE | SEND, 256)
            for (hdr, frame), segments in zip(frames, expected):
                assert len(segments) > 0
                card.tx_big(1, 0, hdr + bytes(2), frame)
                card.kick(card.rings[1])
                assert [peer.recv(1 << 17) for _ in segments] == segments
                wait(lambda: card.rings[1].take() is not None, "used element")
        stats = control.stats()
    assert stats["violations"] == 0, stats["violation_list"]
    assert stats["tx_frames"] == len(frames) and stats["tx_drops"] == {}
    made = stats["tx_segments"] if gso else stats["tx_csums"]
    assert made == sum(len(segments) for segments in expected)


def receive(card: Nic) -> tuple[bytes, bytes]:
    got: list[tuple[bytes, bytes]] = []

    def arrived() -> bool:
        one = card.rx_hdr(0)
        if one is not None:
            got.append(one)
        return one is not None

    wait(arrived, "frame")
    return got[0]


@pytest.mark.parametrize("wire", ["null", "loop", "gen"])
def test_wires(model: Callable[..., tuple[str, Control]], wire: str) -> None:
    """Catches: a wire that gets what it cannot take, or loses it; each way back for a loop."""
    rng = random.Random(5)
    path, control = model("a", wire)
    with vfu_net.nic(path, "eventfd") as card:
        for features in (BASE | SEND, BASE | SEND | TAKE, BASE | SEND | TAKE | bits(34)):
            card.start(features, 256)
            card.rx_post(0, 128)
            for _ in range(20):
                hdr, frame = unfinished(rng, True)
                card.tx_big(1, 0, hdr + bytes(2), frame)
                card.kick(card.rings[1])
                wait(lambda: card.rings[1].take() is not None, "used element")
                if wire != "loop":
                    continue
                begin, mss = struct.unpack_from("<HH", hdr, 2)
                number = 1 if features & TAKE else -(-(len(frame) - begin) // mss)
                got = [receive(card) for _ in range(number)]
                assert b"".join(one[begin:] for _, one in got) == frame[begin:]
                assert {one_hdr[:10] for one_hdr, _ in got} == {
                    hdr if features & TAKE else bytes(10)}
        stats = control.stats()
    assert stats["violations"] == 0, stats["violation_list"]
    assert stats["tx_frames"] == 60 and stats["tx_drops"] == {}
    if wire == "gen":
        assert stats["tx_segments"] == stats["wire"]["tx_frames"] > 60


class Host:
    """A Linux in a namespace of its own, behind a tap; it lives as long as its model."""

    def __init__(self, launch: Callable[..., Process], model: Process, number: int) -> None:
        self.launch, self.pid, self.number = launch, model.pid, number
        self.run("ip", "addr", "add", f"10.9.8.{number}/24", "dev", "lmt0")

    def run(self, *argv: str) -> str:
        return subprocess.run(["nsenter", "-t", str(self.pid), "-n", *argv], check=True,
                              capture_output=True, text=True, timeout=30).stdout

    def start(self, *argv: str) -> Process:
        return self.launch(f"host{self.number}", "nsenter", "-t", str(self.pid), "-n", *argv)

    def bad_checksums(self) -> int:
        names, values = [line.split()[1:] for line in self.run("cat", "/proc/net/snmp").splitlines()
                         if line.startswith("Tcp:")]
        return int(dict(zip(names, values))["InCsumErrors"])


SERVER = """
import hashlib, socket
s = socket.create_server(("10.9.8.1", 7000)); print("listening", flush=True)
c, _ = s.accept(); h = hashlib.sha256()
while (b := c.recv(1 << 16)): h.update(b)
c.sendall(h.hexdigest().encode()); c.close()
"""
CLIENT = """
import random, socket
c = socket.create_connection(("10.9.8.1", 7000)); data = random.Random(3).randbytes({size})
c.sendall(data); c.shutdown(socket.SHUT_WR); got = b""
while (b := c.recv(100)): got += b
print("sum", got.decode(), flush=True)
"""


def carry(cards: tuple[Nic, Nic], frames: list[int], slots: list[int]) -> None:
    """What one card has received is sent by the other."""
    for i, card in enumerate(cards):
        other = cards[1 - i]
        while other.rings[1].take() is not None:
            slots[i] += 1
        sent = 0
        while slots[i] > 0 and (got := card.rx_hdr(0)) is not None:
            hdr, frame = got
            other.tx_big(1, frames[i] % 32, hdr[:10] + bytes(2), frame)
            frames[i] += 1
            slots[i] -= 1
            sent += 1
        if sent:
            other.kick(other.rings[1])


@pytest.mark.parametrize("features", [BASE, BASE | SEND | TAKE, BASE | SEND | TAKE | bits(34, 35)],
                         ids=["whole", "unfinished", "packed"])
def test_tcp(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path,
             features: int) -> None:
    """Catches: what two Linux TCPs, each behind a tap, do not take for their own segments."""
    size = 4 << 20
    models, hosts, controls = [], [], []
    for number in (1, 2):
        path = str(tmp_path / f"m{number}")
        process = launch(f"m{number}", "unshare", "-n", program("dpdk-lm-devmodel"), "virtio-net",
                         "--socket", path, "--control", path + ".ctl", "--wire", "tap:lmt0",
                         "--queue-size", "256")
        process.wait_line(f"^ready {path}$", 10)
        models.append(path)
        hosts.append(Host(launch, process, number))
        controls.append(Control(path, path + ".ctl"))
    with vfu_net.nic(models[0], "eventfd") as one, vfu_net.nic(models[1], "eventfd") as two:
        for card in (one, two):
            card.start(features, 128)
            card.rx_post(0, 128)
        server = hosts[0].start(sys.executable, "-c", SERVER)
        server.wait_line("^listening$", 10)
        client = hosts[1].start(sys.executable, "-c", CLIENT.format(size=size))
        frames, slots = [0, 0], [32, 32]
        wait(lambda: (carry((one, two), frames, slots),
                      any("sum" in line for line in client.lines()))[1], "end of the transfer", 40)
        expected = hashlib.sha256(random.Random(3).randbytes(size)).hexdigest()
        assert f"sum {expected}" in client.lines()
        assert [host.bad_checksums() for host in hosts] == [0, 0]
        stats = [control.stats() for control in controls]
    for each in stats:
        assert each["violations"] == 0, each["violation_list"]
    if features & TAKE:
        assert stats[1]["rx_segments"] == 0 and stats[1]["rx_frames"] < size / 1448
    else:
        assert stats[1]["rx_segments"] >= size / 1448 / 2
