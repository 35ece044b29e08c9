# SPDX-License-Identifier: BSD-3-Clause
"""net_pds in Debian's own dpdk-testpmd, on the model of a Pensando VF.

Frames are made here, go through the model's cable, the driver and testpmd, and are judged here when
they come back; checksums and segments by scapy.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from lm_harness.base import Deadline
from lm_harness.control import Control
from lm_harness.process import Process

from testpmd import READY_S, Cable, Testpmd

MAC = "52:54:00:4c:4d:01"
PEER = "02:4c:4d:00:00:aa"


class Rig:
    """A card with one VF whose cable's far end is the test."""

    def __init__(self, stack: ExitStack, directory: Path, plugin: Path,
                 launch: Callable[..., Process], program: Callable[[str], Path]) -> None:
        self._stack = stack
        self._directory = directory
        self.plugin = plugin
        self._launch = launch
        self._program = program
        self.cable: Cable
        self.control: Control

    def start_model(self, *options: object) -> None:
        d = self._directory
        model = self._launch("model", self._program("dpdk-lm-devmodel"), "pds", "--socket",
                             d / "pf", "--socket", d / "vf", "--wire", f"listen:{d}/wire",
                             "--control", d / "control", *options)
        model.wait_line(f"^ready {d}/vf", READY_S)
        self.control = Control("model", str(d / "control"))
        self._stack.callback(self.control.close)
        self.cable = Cable(d / "wire")
        self._stack.callback(self.cable.close)

    def testpmd(self, *options: str) -> Testpmd:
        run = self._directory / "run"
        run.mkdir(exist_ok=True)
        pmd = Testpmd({"RUNTIME_DIRECTORY": str(run)}, self._directory / "testpmd.log",
                      ["--no-pci", "-d", str(self.plugin), "--vdev",
                       f"net_pds0,socket={self._directory}/vf"], list(options))
        self._stack.callback(pmd.close)
        pmd.expect("testpmd>")
        return pmd

    def stats(self) -> dict[str, Any]:
        return self.control.request("stats", function=1)

    def check(self) -> None:
        """The driver broke no rule."""
        stats = self.stats()
        assert stats["violations"] == 0, stats["violation_list"]


@pytest.fixture
def rig(tmp_path: Path, build_dir: Path, launch: Callable[..., Process],
        program: Callable[[str], Path]) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, tmp_path, build_dir / "drivers/net/pds/liblm_net_pds.so", launch, program)


def frames(count: int, smallest: int = 60, largest: int = 1514) -> list[bytes]:
    """Frames of experimental type with random contents, the same in every run."""
    rng = random.Random(count * 65536 + largest)
    head = bytes.fromhex((MAC + PEER).replace(":", "")) + b"\x88\xb5"
    return [head + rng.randbytes(rng.randint(smallest, largest) - 14) for _ in range(count)]


def payload(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def checked(frame: bytes) -> Any:
    """The frame as scapy reads it, whose checksums it has to agree with."""
    packet = Ether(frame)
    again = packet.copy()
    for layer in (IP, TCP, UDP):
        if layer in again:
            del again[layer].chksum
    assert bytes(Ether(bytes(again))) == frame, "a checksum or a length is wrong"
    return packet


def test_io(rig: Rig) -> None:
    """Frames of all sizes, several times around the ring: each back, in order, unchanged."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=io", "--rxd=128", "--txd=128")
    pmd.command("start")
    sent = frames(1500)
    assert rig.cable.echo(sent) == sent
    # The device writes its statistics to our memory once in a while.
    deadline = Deadline(READY_S, "1500 packets in the port's statistics")
    while not ("RX-packets: 1500 " in (shown := pmd.command("show port stats 0")) and
               "TX-packets: 1500 " in shown):
        assert not deadline.passed(), shown
    pmd.quit()
    rig.check()


def test_mac_swap(rig: Rig) -> None:
    """The application writes into the buffers: the wire carries what it wrote."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=macswap")
    pmd.command("start")
    sent = frames(300)
    assert rig.cable.echo(sent) == [f[6:12] + f[:6] + f[12:] for f in sent]
    pmd.quit()
    rig.check()


@pytest.mark.parametrize("buffers", [2176, 1280, 9728])
def test_jumbo(rig: Rig, buffers: int) -> None:
    """9000 bytes in buffers of several sizes: scattered in, several segments out."""
    rig.start_model("--mtu", 9000)
    scatter = ["--enable-scatter", "--tx-offloads=0x8000"] if buffers < 9000 else []
    pmd = rig.testpmd("--forward-mode=io", "--max-pkt-len=9018", f"--mbuf-size={buffers}",
                      "--rxd=64", "--txd=64", "--total-num-mbufs=4096", *scatter)
    pmd.command("start")
    sent = frames(60, 60, 9014)
    assert rig.cable.echo(sent, window=8) == sent
    pmd.quit()
    rig.check()


def test_mixed_fast_free(rig: Rig) -> None:
    """Frames of one and of several buffers in a ring whose buffers leave it as they lie there."""
    rig.start_model("--mtu", 9000)
    pmd = rig.testpmd("--forward-mode=io", "--max-pkt-len=9018", "--mbuf-size=2176", "--rxd=64",
                      "--txd=64", "--total-num-mbufs=1025", "--enable-scatter",
                      "--tx-offloads=0x18000")
    pmd.command("start")
    for largest in (1514, 9014, 1514):
        sent = frames(800, 60, largest)
        assert rig.cable.echo(sent, window=8) == sent
    pmd.quit()
    rig.check()


def test_queues(rig: Rig) -> None:
    """RSS over four queues: every queue gets flows, and a flow stays in its queue and order."""
    rig.start_model("--queue-pairs", 4)
    pmd = rig.testpmd("--forward-mode=io", "--rxq=4", "--txq=4", "--rss-udp")
    pmd.command("start")
    sent = [bytes(Ether(dst=MAC, src=PEER) / IP(src="10.0.0.1", dst="10.0.0.2") /
                  UDP(sport=1000 + n % 32, dport=7) / Raw(n.to_bytes(4, "big") + payload(60)))
            for n in range(320)]
    back = rig.cable.echo(sent)
    assert sorted(back) == sorted(sent)
    for flow in range(32):
        assert [f for f in back if f[34:36] == (1000 + flow).to_bytes(2, "big")] == sent[flow::32]
    shown = pmd.command("show fwd stats all")
    assert shown.count("RX Port= 0/Queue=") == 4, shown
    pmd.quit()
    rig.check()


@pytest.mark.parametrize("network", ["IPv4", "IPv6"])
def test_checksums(rig: Rig, network: str) -> None:
    """The device computes them, of what the application changed."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=csum")
    pmd.command("port stop 0")
    for layer in ("ip", "udp", "tcp"):
        pmd.command(f"csum set {layer} hw 0")
    pmd.command("port start 0")
    pmd.command("set fwd csum")
    pmd.command("start")
    outer = IP(src="10.0.0.1", dst="10.0.0.2") if network == "IPv4" else \
        IPv6(src="fd00::1", dst="fd00::2")
    sent = [bytes(Ether(dst=MAC, src=PEER) / outer / (UDP(sport=9, dport=n) if n % 2 else
                                                      TCP(sport=9, dport=n)) /
                  Raw(payload(n * 7, n))) for n in range(1, 60)]
    for was, frame in zip(sent, rig.cable.echo(sent)):
        packet = checked(frame)
        assert packet.src != PEER, "testpmd writes its own address"
        assert frame[14:14 + 8] == was[14:14 + 8] and frame[-20:] == was[-20:]
    pmd.quit()
    rig.check()


def test_segmentation(rig: Rig) -> None:
    """TCP frames of 8000 bytes leave as segments of 800 that scapy finds whole and right."""
    rig.start_model("--mtu", 9000)
    pmd = rig.testpmd("--forward-mode=csum", "--max-pkt-len=9018", "--mbuf-size=2176",
                      "--enable-scatter", "--tx-offloads=0x8000", "--total-num-mbufs=4096")
    pmd.command("port stop 0")
    for layer in ("ip", "tcp"):
        pmd.command(f"csum set {layer} hw 0")
    pmd.command("tso set 800 0")
    pmd.command("port start 0")
    pmd.command("start")
    data = payload(8000)
    sent = Ether(dst=MAC, src=PEER) / IP(src="10.0.0.1", dst="10.0.0.2", id=77) / \
        TCP(sport=5, dport=6, seq=1000, flags="PA") / Raw(data)
    rig.cable.send(bytes(sent))
    back = [checked(f) for f in rig.cable.receive(10)]
    assert b"".join(bytes(p[Raw]) for p in back) == data
    assert [p[TCP].seq for p in back] == [1000 + 800 * n for n in range(10)]
    assert [str(p[TCP].flags) for p in back] == ["A"] * 9 + ["PA"]
    assert rig.cable.nothing(0.2)
    pmd.quit()
    rig.check()


def test_vlan(rig: Rig) -> None:
    """Tags taken out, put in, and used to filter."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=mac")
    pmd.command("port stop 0")
    pmd.command("vlan set strip on 0")
    pmd.command("tx_vlan set 0 5")
    pmd.command("port start 0")
    pmd.command("start")
    plain = Ether(dst=MAC, src=PEER) / IP(dst="10.0.0.2") / UDP() / Raw(payload(100))
    tagged = Ether(dst=MAC, src=PEER) / Dot1Q(vlan=9) / IP(dst="10.0.0.2") / UDP() / \
        Raw(payload(100))
    back = rig.cable.echo([bytes(plain), bytes(tagged)])
    for frame in back:
        packet = Ether(frame)
        assert packet[Dot1Q].vlan == 5 and bytes(packet[IP]) == bytes(Ether(bytes(plain))[IP])
    pmd.quit()
    rig.check()


def test_addresses(rig: Rig) -> None:
    """Without promiscuous mode only our addresses come in, and those that are added."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=io", "--disable-link-check")
    pmd.command("set promisc 0 off")
    pmd.command("start")
    ours, other = frames(2)
    other = bytes.fromhex("0200000000bb") + other[6:]
    rig.cable.send(other)
    assert rig.cable.echo([ours]) == [ours]
    pmd.command("mac_addr add 0 02:00:00:00:00:bb")
    assert rig.cable.echo([other, ours]) == [other, ours]
    pmd.command("mac_addr remove 0 02:00:00:00:00:bb")
    rig.cable.send(other)
    assert rig.cable.echo([ours]) == [ours]
    pmd.command("set promisc 0 on")
    assert rig.cable.echo([other]) == [other]
    pmd.quit()
    assert rig.stats()["drops"]["rx_filtered"] == 2
    rig.check()


def test_stop_start_reset(rig: Rig) -> None:
    """The port is stopped and started, and reset: it forwards each time."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=io")
    sent = frames(20)
    for turn in range(12):
        pmd.command("start")
        assert rig.cable.echo(sent) == sent
        pmd.command("stop")
        pmd.command("port stop 0")
        if turn % 3 == 2:
            pmd.command("port reset 0")
        pmd.command("port start 0")
    pmd.quit()
    rig.check()


def test_link(rig: Rig) -> None:
    """Pulling the cable interrupts the driver, and so does putting it back."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=io")
    assert "Link status: up" in pmd.command("show port info 0")
    rig.control.request("link", function=1, up=False)
    pmd.expect("link state change event")
    assert "Link status: down" in pmd.command("show port info 0")
    rig.control.request("link", function=1, up=True)
    pmd.expect("link state change event")
    assert "Link status: up" in pmd.command("show port info 0")
    pmd.quit()
    rig.check()


def test_pool_runs_dry(rig: Rig) -> None:
    """
    Steps: two buffers more than the receive ring takes, so that each frame which is being sent is
    one that the ring lacks.

    Verify: descriptors could not be filled, and no frame was lost or changed by that.
    """
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=io", "--total-num-mbufs=1025", "--rxd=1024", "--txd=1024",
                      "--mbcache=0")
    pmd.command("start")
    sent = frames(2500)
    assert rig.cable.echo(sent, window=8) == sent
    shown = pmd.command("show port xstats 0")
    assert int(shown.split("rx_driver_no_mbuf:")[1].split()[0]) > 0
    pmd.quit()
    rig.check()


@pytest.mark.parametrize(("argument", "words"), [
    ("", "which function"),
    ("socket=/nowhere", "is its server running"),
    ("sock=1", "the arguments are"),
])
def test_says_what_is_wrong(rig: Rig, tmp_path: Path, argument: str, words: str) -> None:
    """A bad argument makes no port, and a line says what to give."""
    rig.start_model()
    (tmp_path / "run").mkdir()
    pmd = Testpmd({"RUNTIME_DIRECTORY": str(tmp_path / "run")}, tmp_path / "testpmd.log",
                  ["--no-pci", "-d", str(rig.plugin), "--vdev",
                   f"net_pds0{',' if argument else ''}{argument}"], [])
    try:
        pmd.expect(words)
        pmd.expect("No probed ethernet devices")
    finally:
        pmd.close()


def test_mtu_grows(rig: Rig) -> None:
    """A port whose queues had one buffer a descriptor is started again with several."""
    rig.start_model("--mtu", 9000)
    pmd = rig.testpmd("--forward-mode=io", "--enable-scatter", "--tx-offloads=0x8000",
                      "--rxd=64", "--txd=64")
    for mtu, largest in (1500, 1514), (9000, 9014), (1500, 1514):
        pmd.command("port stop 0")
        pmd.command(f"port config mtu 0 {mtu}")
        pmd.command("port start 0")
        pmd.command("start")
        sent = frames(100, 60, largest)
        assert rig.cable.echo(sent, window=8) == sent
        pmd.command("stop")
    pmd.quit()
    rig.check()


def test_more_receive_queues(rig: Rig) -> None:
    """Statistics of queues of which there are more of one kind: shown, cleared, shown again."""
    rig.start_model("--queue-pairs", 4)
    pmd = rig.testpmd("--forward-mode=io", "--rxq=4", "--txq=1", "--rss-udp")
    pmd.command("start")
    sent = frames(40)
    assert rig.cable.echo(sent) == sent
    assert "rx_q0_packets: 40" in pmd.command("show port xstats 0")
    pmd.command("clear port xstats 0")
    assert "rx_q0_packets: 0" in pmd.command("show port xstats 0")
    assert rig.cable.echo(sent) == sent
    assert "tx_q0_packets: 40" in pmd.command("show port xstats 0")
    pmd.quit()
    rig.check()


def test_reset_event(rig: Rig) -> None:
    """The device asks for a reset: the application is told, resets the port, and goes on."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=io")
    sent = frames(20)
    for _ in range(3):
        pmd.command("start")
        assert rig.cable.echo(sent) == sent
        rig.control.request("reset-event", function=1)
        pmd.expect("reset event")
        for line in ("stop", "port stop 0", "port reset 0", "port start 0"):
            pmd.command(line)
    pmd.command("start")
    assert rig.cable.echo(sent) == sent
    pmd.quit()
    rig.check()


@pytest.mark.deadline(180)
def test_hundred_resets(rig: Rig) -> None:
    """Nothing of a reset is left behind: after a hundred, and as many starts, frames come back."""
    rig.start_model()
    pmd = rig.testpmd("--forward-mode=io")
    sent = frames(20)
    for turn in range(100):
        pmd.command("port stop 0")
        assert "Fail" not in pmd.command("port reset 0")
        assert "Fail" not in pmd.command("port start 0")
        if turn % 10 == 9:
            pmd.command("start")
            assert rig.cable.echo(sent) == sent
            pmd.command("stop")
    pmd.quit()
    rig.check()
