# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own net_ionic, in Debian's own dpdk-testpmd, on our Pensando VF.

The same card that Linux's ionic drives in test/uml, here at full speed: every frame is made and
judged at the far end of the cable, checksums and TCP segments by scapy. Rules are looked at before
the end: when it closes, net_ionic resets the function and then rings its admin queue once more.
"""

from __future__ import annotations

import random

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from shim_rig import Rig
from test_stock_virtio import frames

MAC, PEER = "52:54:00:4c:4d:01", "02:4c:4d:00:00:aa"


def test_io(rig: Rig) -> None:
    """Frames of all sizes, several times around the ring: each back, in order, unchanged."""
    rig.start_model("pds")
    pmd = rig.testpmd("--forward-mode=io", "--rxd=256", "--txd=256")
    pmd.command("start")
    sent = frames(1500)
    assert rig.cable.echo(sent) == sent
    rig.check()
    pmd.quit()


def test_jumbo(rig: Rig) -> None:
    """9000 bytes in buffers of 2 KiB: scattered in, several segments out."""
    rig.start_model("pds", "--mtu", 9000)
    pmd = rig.testpmd("--forward-mode=io", "--max-pkt-len=9018", "--mbuf-size=2176",
                      "--enable-scatter", "--tx-offloads=0x8000", "--rxd=128", "--txd=128",
                      "--total-num-mbufs=4096")
    pmd.command("start")
    sent = frames(60, 60, 9014)
    assert rig.cable.echo(sent, window=8) == sent
    rig.check()
    pmd.quit()


def test_queues(rig: Rig) -> None:
    """RSS over four queues, as its own key and table say: nothing lost, each flow in order."""
    rig.start_model("pds", "--queue-pairs", 4)
    pmd = rig.testpmd("--forward-mode=io", "--rxq=4", "--txq=4", "--rss-udp",
                      "--rxd=256", "--txd=256")
    pmd.command("start")
    sent = [bytes(Ether(dst=MAC, src=PEER) / IP(src="10.0.0.1", dst="10.0.0.2") /
                  UDP(sport=1000 + n % 32, dport=7) / Raw(n.to_bytes(4, "big") + bytes(60)))
            for n in range(320)]
    back = rig.cable.echo(sent)
    assert sorted(back) == sorted(sent)
    for flow in range(32):
        assert [f for f in back if f[34:36] == (1000 + flow).to_bytes(2, "big")] == sent[flow::32]
    assert pmd.command("show fwd stats all").count("RX Port= 0/Queue=") == 4
    rig.check()
    pmd.quit()


def test_segmentation(rig: Rig) -> None:
    """A TCP frame of 8000 bytes leaves as ten segments that scapy finds whole and right."""
    rig.start_model("pds", "--mtu", 9000)
    pmd = rig.testpmd("--forward-mode=csum", "--max-pkt-len=9018", "--mbuf-size=2176",
                      "--enable-scatter", "--tx-offloads=0x8000", "--rxd=128", "--txd=128",
                      "--total-num-mbufs=4096")
    pmd.command("port stop 0")
    for layer in ("ip", "tcp"):
        pmd.command(f"csum set {layer} hw 0")
    pmd.command("tso set 800 0")
    pmd.command("port start 0")
    pmd.command("start")
    data = random.Random(1).randbytes(8000)
    rig.cable.send(bytes(Ether(dst=MAC, src=PEER) / IP(src="10.0.0.1", dst="10.0.0.2", id=77) /
                         TCP(sport=5, dport=6, seq=1000, flags="PA") / Raw(data)))
    back = [Ether(f) for f in rig.cable.receive(10)]
    for packet in back:
        again = packet.copy()
        del again[IP].chksum, again[TCP].chksum
        assert bytes(Ether(bytes(again))) == bytes(packet), "a checksum is wrong"
    assert b"".join(bytes(p[Raw]) for p in back) == data
    assert [p[TCP].seq for p in back] == [1000 + 800 * n for n in range(10)]
    assert rig.cable.nothing(0.2)
    rig.check()
    pmd.quit()


def test_stop_and_start(rig: Rig) -> None:
    """The port is stopped and started, and forwards each time."""
    rig.start_model("pds")
    pmd = rig.testpmd("--forward-mode=io")
    sent = frames(20)
    for _ in range(5):
        pmd.command("start")
        assert rig.cable.echo(sent) == sent
        pmd.command("stop")
        pmd.command("port stop 0")
        pmd.command("port start 0")
    rig.check()
    pmd.quit()
