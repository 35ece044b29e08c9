# SPDX-License-Identifier: BSD-3-Clause
"""Linux's pds_core and ionic judge the pds model: a PF that makes VFs, and their data path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pds_machine import IONIC, PF, VF, create_vfs, pds
from uml_machine import Boot, Traffic, wait

MAC = "52:54:00:4c:4d:01"
TCP_ECHO = Path(__file__).resolve().parent / "tcp_echo.py"
pytestmark = [pytest.mark.judge("ionic"), pytest.mark.deadline(150)]
Make = Callable[..., Traffic]


def test_probe(boot: Boot) -> None:
    """Catches: what pds_core or ionic do not believe; a link that never comes up."""
    machine = boot(pds(2, "--mac", MAC), cpus=2)
    linux = machine.linux
    create_vfs(linux, 2)
    assert linux.read("/sys/class/net/eth0/address") == MAC
    assert "driver: ionic" in linux.run("ethtool -i eth0")
    linux.run("ip link set eth0 up")
    wait(lambda: linux.ask("cat /sys/class/net/eth0/carrier").text == "1", 10, "carrier")
    assert "Speed: 100000Mb/s" in linux.run("ethtool eth0 | sed 's/^[ \\t]*//'")
    linux.write(f"{PF}/sriov_numvfs", "0")
    create_vfs(linux, 1)
    machine.clean()


@pytest.mark.parametrize("cpus", [1, 4])
def test_traffic(boot: Boot, traffic: Make, cpus: int) -> None:
    """Catches: frames changed or lost; queues that never work; statistics that are wrong."""
    cable = traffic(MAC, "--rate", "2000", "--flows", "32")
    machine = boot(pds(1, "--mac", MAC, "--wire", cable.wire, "--queue-pairs", cpus), cpus=cpus)
    linux = machine.linux
    create_vfs(linux)
    linux.start_echo()
    assert linux.run("ls /sys/class/net/eth0/queues | grep -c rx") == [str(cpus)]
    cable.run(machine, 4000, function=1)
    ours = machine.cards[0].stats(1)
    theirs = {name.strip(): int(value) for name, _, value in
              (line.partition(":") for line in linux.run("ethtool -S eth0")) if value.strip()}
    assert theirs["hw_rx_packets"] if "hw_rx_packets" in theirs else theirs["rx_packets"] >= 4000
    assert theirs["rx_packets"] <= ours["rx_frames"]
    assert theirs["rx_csum_error"] == 0
    if cpus > 1:
        used = [theirs[f"rx_{i}_pkts"] for i in range(cpus)]
        assert sum(used) == theirs["rx_packets"] and all(used), used
    machine.clean()


def test_jumbo(boot: Boot, traffic: Make) -> None:
    """Catches: a frame in several receive or transmit buffers put together wrongly."""
    cable = traffic(MAC, "--rate", "1000", "--size", "74-9014")
    machine = boot(pds(1, "--mac", MAC, "--wire", cable.wire, "--mtu", "9000"))
    linux = machine.linux
    create_vfs(linux)
    linux.run("ip link set eth0 mtu 9000")
    linux.start_echo()
    cable.run(machine, 2000, function=1)
    machine.clean()


def test_rebind(boot: Boot, traffic: Make) -> None:
    """Catches: what resets leave behind in the card."""
    cable = traffic(MAC, "--rate", "2000")
    machine = boot(pds(1, "--mac", MAC, "--wire", cable.wire))
    linux = machine.linux
    create_vfs(linux)
    linux.run("for i in $(seq 100); do ip link set eth0 up || exit 1;"
              f" echo {VF} >{IONIC}/unbind && echo {VF} >{IONIC}/bind || exit 1; done", 140)
    linux.start_echo()
    cable.run(machine, 1000, function=1)
    machine.clean()


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_tcp(boot: Boot, tmp_path: Path, mtu: int) -> None:
    """Catches: segments cut wrongly, checksums, VLAN tags: two VFs, a cable, two networks."""
    machine = boot(pds(2, "--wire", f"listen:{tmp_path}/wire", "--wire", f"link:{tmp_path}/wire",
                       "--mtu", mtu, "--queue-pairs", 2), cpus=2)
    linux = machine.linux
    create_vfs(linux, 2)
    linux.run("ip netns add far && ip link set eth1 netns far")
    for prefix, dev, last in (("ip", "eth0", 1), ("ip -n far", "eth1", 2)):
        linux.run(f"{prefix} link set {dev} mtu {mtu} up && {prefix} address add 192.0.2.{last}/24"
                  f" dev {dev} && {prefix} link add link {dev} name {dev}.7 type vlan id 7 &&"
                  f" {prefix} address add 198.51.100.{last}/24 dev {dev}.7 &&"
                  f" {prefix} link set {dev}.7 up")
    offloads = linux.run("ethtool -k eth0")
    assert "tcp-segmentation-offload: on" in offloads and "tx-checksumming: on" in offloads
    for network in ("192.0.2", "198.51.100"):
        linux.run(f"ip netns exec far python3 {TCP_ECHO} serve >/dev/kmsg 2>&1 & sleep 1")
        linux.run(f"python3 {TCP_ECHO} call {network}.2 {8 << 20}", 50)
    machine.clean()
