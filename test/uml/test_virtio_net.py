# SPDX-License-Identifier: BSD-3-Clause
"""Linux's virtio_net judges the virtio-net model: features, queues, resets, traffic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from uml_machine import Boot, Traffic
from virtio_features import ALL, FEATURES, NOT_LINUX, VERSION_1, without

MAC = "52:54:00:4c:4d:01"
PCI = "/sys/bus/pci/devices/0000:00:00.0"
DRIVER = "/sys/bus/pci/drivers/virtio-pci"

Make = Callable[..., Traffic]
pytestmark = pytest.mark.judge("virtio_net")


def test_features(boot: Boot, traffic: Make, ring: tuple[str, str]) -> None:
    """Catches: a feature that Linux does not believe, and frames changed on their way."""
    cable = traffic(MAC, "--rate", "2000", "--flows", "8")
    machine = boot(["--mac", MAC, "--wire", cable.wire, *ring, "--queue-pairs", "2"], cpus=2)
    linux, card = machine.linux, machine.cards[0]
    assert linux.read("/sys/class/net/eth0/address") == MAC
    assert linux.read("/sys/class/net/eth0/mtu") == "1500"
    stats = card.stats()
    assert stats["features_offered"] & ALL == int(ring[1], 16)
    assert stats["features"] == stats["features_offered"] & ~NOT_LINUX
    assert stats["status"] == 0xf
    assert linux.start_echo()["nics"][0]["queue_pairs"] == 2
    cable.run(machine, 4000)
    assert card.stats()["pairs"] == 2
    machine.clean()


@pytest.mark.parametrize("missing", FEATURES)
def test_feature_missing(boot: Boot, traffic: Make, missing: str) -> None:
    """Catches: a path that works only together with a feature; one offered without its base."""
    cable = traffic(MAC, "--rate", "2000")
    machine = boot(["--mac", MAC, "--wire", cable.wire, "--queue-pairs", "2", "--features",
                    without(missing)])
    stats = machine.cards[0].stats()
    assert stats["features"] == stats["features_offered"] & ~NOT_LINUX
    assert stats["features"] >> FEATURES[missing] & 1 == 0
    machine.linux.start_echo()
    if missing != "MAC":  # else Linux invents one, and the generator does not know it
        cable.run(machine, 1000)
    machine.clean()


def test_bare(boot: Boot, traffic: Make) -> None:
    """Catches: a model that cannot do without what every other test negotiates."""
    cable = traffic(MAC, "--rate", "2000")
    machine = boot(["--mac", MAC, "--wire", cable.wire, "--features",
                    f"{VERSION_1 | 1 << FEATURES['MAC']:x}"])
    assert machine.cards[0].stats()["features"] == VERSION_1 | 1 << FEATURES["MAC"]
    machine.linux.start_echo()
    cable.run(machine, 1000)
    machine.clean()


def test_jumbo(boot: Boot, traffic: Make, ring: tuple[str, str]) -> None:
    """Catches: a frame that spans several receive buffers put together wrongly."""
    cable = traffic(MAC, "--rate", "1000", "--size", "74-9014")
    machine = boot(["--mac", MAC, "--wire", cable.wire, *ring, "--mtu", "9000"])
    assert machine.linux.read("/sys/class/net/eth0/mtu") == "9000"
    machine.linux.start_echo()
    cable.run(machine, 2000)
    machine.clean()


def test_queues(boot: Boot, traffic: Make, ring: tuple[str, str]) -> None:
    """Catches: a pair that never works, works after it was given up, or shares its vector."""
    cable = traffic(MAC, "--rate", "4000", "--flows", "32")
    machine = boot(["--mac", MAC, "--wire", cable.wire, *ring, "--queue-pairs", "4"], cpus=4)
    linux, card = machine.linux, machine.cards[0]
    for pairs in (4, 2, 3, 1, 4):
        linux.run(f"ethtool -L eth0 combined {pairs}")
        assert card.stats()["pairs"] == pairs
    linux.start_echo()
    before = [(q["used_idx"], q["irqs"]) for q in card.stats()["queues"]]
    cable.run(machine, 4000)
    after = [(q["used_idx"], q["irqs"]) for q in card.stats()["queues"]]
    assert all(b != a for b, a in zip(before[:8], after[:8])), (before, after)
    lines = [line for line in linux.read("/proc/interrupts").splitlines() if "PCI-MSI" in line]
    assert len(lines) == 1 + 2 * 4, lines
    machine.clean()


def test_ring_reset(boot: Boot, traffic: Make, ring: tuple[str, str]) -> None:
    """Catches: a ring that comes back from its reset with old indices or the old size."""
    cable = traffic(MAC, "--rate", "2000")
    machine = boot(["--mac", MAC, "--wire", cable.wire, *ring])
    linux, card = machine.linux, machine.cards[0]
    linux.start_echo()
    for size in (64, 256, 128):
        linux.run(f"ethtool -G eth0 rx {size} tx {size}")
        assert [q["size"] for q in card.stats()["queues"]][:2] == [size, size]
        cable.run(machine, 500)
    machine.clean()


@pytest.mark.deadline(180)
def test_rebind(boot: Boot, traffic: Make, ring: tuple[str, str]) -> None:
    """Catches: what a reset leaves behind in the device: vectors, queues, filters, memory."""
    cable = traffic(MAC, "--rate", "2000")
    machine = boot(["--mac", MAC, "--wire", cable.wire, *ring, "--queue-pairs", "2"])
    linux, card = machine.linux, machine.cards[0]
    linux.run("for i in $(seq 100); do ip link set eth0 up || exit 1;"
              f" echo 0000:00:00.0 >{DRIVER}/unbind && echo 0000:00:00.0 >{DRIVER}/bind || exit 1;"
              " done", 150)
    linux.start_echo()
    cable.run(machine, 1000)
    linux.stop_echo()
    linux.run(f"echo 0000:00:00.0 >{DRIVER}/unbind")
    assert card.stats()["status"] == 1  # reset, and acknowledged again by the bus
    linux.run(f"echo 1 >{PCI}/reset")
    linux.run(f"echo 0000:00:00.0 >{DRIVER}/bind")
    linux.start_echo()
    cable.run(machine, 1000)
    machine.clean()


def test_four_functions(boot: Boot) -> None:
    """Catches: a bridge or model that mixes up functions."""
    macs = [f"52:54:00:4c:4d:1{i}" for i in range(4)]
    machine = boot(*(["--mac", mac] for mac in macs))
    linux = machine.linux
    for slot, mac in enumerate(macs):
        assert linux.read(f"/sys/bus/pci/devices/0000:00:0{slot}.0/virtio{slot + 4}/net/eth{slot}"
                          "/address") == mac
    machine.clean()
