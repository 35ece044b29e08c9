# SPDX-License-Identifier: BSD-3-Clause
"""Linux's virtio_net judges the model's control queue: what it sets takes effect."""

from __future__ import annotations

import struct

import pytest

from lm_harness import HarnessError
from uml_machine import Boot, Cable, Card, wait

MAC = "52:54:00:4c:4d:01"
OTHER = "52:54:00:4c:4d:77"
GROUP = "01:00:5e:01:02:03"
pytestmark = pytest.mark.judge("virtio_net")
UP = ("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1;"
      " ip link set eth0 up")


def frame(destination: str, vlan: int | None = None) -> bytes:
    """A short frame with an experimental type."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return bytes.fromhex(destination.replace(":", "") + "020000000009") + tag + b"\x88\xb5" + \
        bytes(60)


def passes(cable: Cable, card: Card, *frames: bytes) -> list[bool]:
    """Which of them the model gives to Linux."""
    outcome = []
    for one in frames:
        before = card.received(), card.filtered()
        cable.send(one)
        wait(lambda: (card.received(), card.filtered()) != before, 10, "a frame to end")
        outcome.append(card.received() > before[0])
    return outcome


def expect(cable: Cable, card: Card, *pairs: tuple[bytes, bool]) -> None:
    """Linux sets modes and tables by a worker of its own: it may come a little later."""
    frames, wanted = [f for f, _ in pairs], [w for _, w in pairs]
    seen: list[bool] = []

    def done() -> bool:
        seen[:] = passes(cable, card, *frames)
        return seen == wanted

    try:
        wait(done, 5, "the filter")
    except HarnessError:
        assert seen == wanted


def test_receive_modes(boot: Boot, cable: Cable) -> None:
    """Catches: a mode that is acknowledged and not kept, or not given back."""
    machine = boot(["--mac", MAC, "--wire", cable.wire])
    linux, card = machine.linux, machine.cards[0]
    linux.run(UP)
    probe = [frame(MAC), frame(OTHER), frame(GROUP), frame("ff:ff:ff:ff:ff:ff")]
    expect(cable, card, *zip(probe, [True, False, False, True]))
    linux.run("ip link set eth0 promisc on")
    expect(cable, card, *zip(probe, [True, True, True, True]))
    linux.run("ip link set eth0 promisc off; ip link set eth0 allmulticast on")
    expect(cable, card, *zip(probe, [True, False, True, True]))
    linux.run("ip link set eth0 allmulticast off")
    expect(cable, card, *zip(probe, [True, False, False, True]))
    machine.clean()


def test_addresses(boot: Boot, cable: Cable) -> None:
    """Catches: filter tables read at the wrong offset; an address that is not taken over."""
    machine = boot(["--mac", MAC, "--wire", cable.wire])
    linux, card = machine.linux, machine.cards[0]
    linux.run(UP)
    linux.run(f"ip maddress add {GROUP} dev eth0; ip maddress add 33:33:00:00:00:99 dev eth0")
    probe = [frame(GROUP), frame("33:33:00:00:00:99"), frame("33:33:00:00:00:98")]
    expect(cable, card, *zip(probe, [True, True, False]))
    linux.run(f"ip maddress del {GROUP} dev eth0")
    expect(cable, card, *zip(probe, [False, True, False]))
    linux.run(f"ip link set eth0 address {OTHER}")
    expect(cable, card, (frame(MAC), False), (frame(OTHER), True))
    linux.run(f"bridge fdb add {MAC} dev eth0 self permanent")
    expect(cable, card, (frame(MAC), True), (frame(OTHER), True))
    machine.clean()


def test_vlans(boot: Boot, cable: Cable) -> None:
    """Catches: a VLAN filter that is off by one, or forgets."""
    machine = boot(["--mac", MAC, "--wire", cable.wire])
    linux, card = machine.linux, machine.cards[0]
    linux.run(UP)
    probe = [frame(MAC, vlan) for vlan in (1, 2, 4094)]
    linux.run("for i in 1 4094; do ip link add link eth0 name v$i type vlan id $i || exit 1;"
              " ip link set v$i up; done")
    expect(cable, card, *zip(probe, [True, False, True]))
    linux.run("ip link del v1")
    expect(cable, card, *zip(probe, [False, False, True]))
    expect(cable, card, (frame(MAC), True))
    machine.clean()


def test_link_and_announce(boot: Boot, cable: Cable) -> None:
    """Catches: a configuration interrupt that is not sent, a generation that does not change."""
    machine = boot(["--mac", MAC, "--wire", cable.wire])
    linux, card = machine.linux, machine.cards[0]
    linux.run(UP + "; ip address add 192.0.2.1/24 dev eth0")
    wait(lambda: linux.read("/sys/class/net/eth0/carrier") == "1", 5, "carrier")
    card.control.request("link", up=False)
    wait(lambda: linux.read("/sys/class/net/eth0/carrier") == "0", 5, "loss of carrier")
    card.control.request("link", up=True)
    wait(lambda: linux.read("/sys/class/net/eth0/carrier") == "1", 5, "carrier")
    card.control.request("announce")
    arp = cable.receive(lambda f: f[12:14] == b"\x08\x06", 10)
    assert arp[28:32] == arp[38:42] == bytes([192, 0, 2, 1])
    wait(lambda: not card.stats()["announce"], 5, "Linux's acknowledgement")
    machine.clean()
