# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own stack at both ends of a cable between two models, and through vDPA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from uml_machine import Boot, Traffic, wait

TCP_ECHO = Path(__file__).resolve().parent / "tcp_echo.py"
MAC = "52:54:00:4c:4d:01"
PCI = "/sys/bus/pci/devices/0000:00:00.0"


@pytest.mark.judge("Linux TCP")
@pytest.mark.parametrize("mtu", [1500, 9000])
def test_tcp(boot: Boot, tmp_path: Path, mtu: int) -> None:
    """Catches: bytes changed or lost where the generator's frames are not; checksums, segments."""
    machine = boot(["--wire", f"listen:{tmp_path}/wire", "--mtu", str(mtu), "--queue-pairs", "2"],
                   ["--wire", f"link:{tmp_path}/wire", "--mtu", str(mtu), "--mac",
                    "52:54:00:4c:4d:02"], cpus=2)
    linux = machine.linux
    linux.run("ip netns add far && ip link set eth1 netns far &&"
              " ip address add 192.0.2.1/24 dev eth0 && ip link set eth0 up &&"
              " ip -n far address add 192.0.2.2/24 dev eth1 && ip -n far link set eth1 up")
    offloads = linux.run("ethtool -k eth0")
    assert "tcp-segmentation-offload: on" in offloads and "tx-checksumming: on" in offloads
    linux.run(f"ip netns exec far python3 {TCP_ECHO} serve >/dev/kmsg 2>&1 & sleep 1")
    linux.run(f"python3 {TCP_ECHO} call 192.0.2.2 {16 << 20}", 50)
    # Linux left it to the models to cut what is longer than the cable takes.
    assert all(card.stats()["tx_segments"] > 1000 for card in machine.cards)
    machine.clean()


@pytest.mark.judge("vp_vdpa")
def test_vp_vdpa(boot: Boot, traffic: Callable[..., Traffic], ring: tuple[str, str]) -> None:
    """Catches: what Linux's vDPA driver asks of a function and virtio-pci does not."""
    cable = traffic(MAC, "--rate", "1000")
    machine = boot(["--mac", MAC, "--wire", cable.wire, *ring])
    linux, card = machine.linux, machine.cards[0]
    linux.run(f"echo 0000:00:00.0 >{PCI}/driver/unbind; echo vp-vdpa >{PCI}/driver_override;"
              " echo 0000:00:00.0 >/sys/bus/pci/drivers_probe")
    linux.run("vdpa dev add name v0 mgmtdev pci/0000:00:00.0")
    wait(lambda: linux.ask("test -e /sys/class/net/eth0").status == 0, 10, "an interface")
    linux.start_echo()
    cable.run(machine, 1000)
    linux.stop_echo()
    linux.run("vdpa dev del v0")
    assert card.stats()["status"] & 4 == 0
    # virtio_vdpa takes queues back one by one, which the specification forbids.
    machine.clean(known=("queue_enable_zero",))
