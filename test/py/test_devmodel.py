# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-lm-devmodel as a process, driven through its socket by a driver that is not ours."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vfu_net
from lm_harness import HarnessError
from lm_harness.control import Control, settle
from lm_harness.process import Process
from vfu_net import bits, wait

MAC = "02:00:00:00:00:01"
BASIC = bits(vfu_net.F_VERSION_1, vfu_net.F_ACCESS, vfu_net.F_MAC, vfu_net.F_STATUS)
FULL = BASIC | bits(vfu_net.F_MRG, vfu_net.F_CTRL, vfu_net.F_CTRL_RX, vfu_net.F_INDIRECT,
                    vfu_net.F_EVENT_IDX, vfu_net.F_RING_RESET, vfu_net.F_ANNOUNCE)
PACKED, IN_ORDER = bits(vfu_net.F_PACKED), bits(vfu_net.F_IN_ORDER)
LAYOUTS = {"basic": BASIC, "full": FULL, "in-order": FULL | IN_ORDER, "packed": BASIC | PACKED,
           "packed-full": FULL | PACKED, "packed-in-order": FULL | PACKED | IN_ORDER,
           "notify-data": FULL | bits(vfu_net.F_NOTIFY_DATA),
           "packed-notify-data": FULL | PACKED | bits(vfu_net.F_NOTIFY_DATA,
                                                      vfu_net.F_NOTIFY_CONFIG)}
layouts = pytest.mark.parametrize("features", LAYOUTS.values(), ids=LAYOUTS.keys())


class Model:
    """The process, its control socket, and its path for drivers."""

    def __init__(self, process: Process, directory: Path) -> None:
        self.process = process
        self.path = str(directory / "vfu")
        process.wait_line(f"^ready {self.path}$", 10)
        self.control = Control("model", str(directory / "ctl"))

    def stats(self) -> dict[str, Any]:
        return self.control.stats()

    def clean(self) -> None:
        """A correct driver broke no rule, and every frame of the wire is accounted for."""
        stats = self.stats()
        assert stats["violations"] == 0, stats["violation_list"]
        assert stats["wire"]["rx_frames"] == stats["rx_frames"] + sum(stats["drops"].values())


@pytest.fixture
def model(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path
          ) -> Callable[..., Model]:
    def make(*options: str) -> Model:
        argv = (program("dpdk-lm-devmodel"), "virtio-net", "--socket", tmp_path / "vfu",
                "--control", tmp_path / "ctl", "--mac", MAC, *options)
        return Model(launch("model", *argv), tmp_path)

    return make


def frame(number: int, size: int = 200, flow: int = 0) -> bytes:
    head = bytes.fromhex("020000000001" "020000000002" "0800" "4500")
    rest = bytes.fromhex("00000000" "4011" "0000" "0a000001" "0a000002")
    ip = head + (size - 14).to_bytes(2, "big") + rest
    udp = ip + (20000 + flow).to_bytes(2, "big") + (7777).to_bytes(2, "big")
    return (udp + number.to_bytes(4, "big") + random.Random(number).randbytes(size))[:size]


def ping(card: vfu_net.Nic, number: int, size: int = 200) -> None:
    """A frame around the loop wire, byte for byte."""
    sent = frame(number, size)
    card.tx(1, number % 32, sent)
    got: list[bytes] = []

    def arrived() -> bool:
        one = card.rx(0)
        if one is not None:
            got.append(one)
        return one is not None

    wait(arrived, f"echo of frame {number}")
    assert got == [sent]
    assert card.rings[1].take() == (number % 32, 0)


@pytest.mark.parametrize("doorbell", ["message", "eventfd", "mapped"])
@layouts
def test_loop(model: Callable[..., Model], doorbell: str, features: int) -> None:
    """Catches: a lost doorbell of any kind, wrong lengths, wrong bytes, ring wrap."""
    one = model("--wire", "loop")
    with vfu_net.nic(one.path, doorbell) as card:
        assert card.common(18, 2) == 3
        card.start(features)
        assert card.vfu.read_bytes(0, card.caps[4][1], 6) == bytes.fromhex(MAC.replace(":", ""))
        card.rx_post(0, 32)
        for number in range(300):
            ping(card, number, 60 + number * 7 % 1455)
        assert card.interrupted(1) > 0
        assert card.interrupted(2) > 0
        stats = one.stats()
        assert stats["rx_frames"] == stats["tx_frames"] == 300
        assert stats["drops"] == {} and stats["status"] == 0xf and stats["features"] == features
        used = [q["used_idx"] for q in stats["queues"]]
        assert used == [ring.code(300 if ring.index < 2 else 0) for ring in card.rings]
        one.clean()


@layouts
def test_pieces(model: Callable[..., Model], features: int) -> None:
    """Catches: chains over a ring's end, tables, one used element for many, doorbells in bursts."""
    one = model("--wire", "loop", "--queue-size", "32")
    rng = random.Random(features)
    with vfu_net.nic(one.path, "eventfd") as card:
        size = 29 if features & PACKED else 32
        card.start(features, size)
        card.rx_post(0, size)
        for burst in range(60):
            sent = [frame(16 * burst + i, 60 + rng.randrange(1400))
                    for i in range(rng.randrange(1, 5))]
            for i, one_frame in enumerate(sent):
                table = bool(features & bits(vfu_net.F_INDIRECT)) and rng.random() < 0.4
                card.tx_pieces(1, 7 * i, one_frame, rng.randrange(1, 8), table)
            card.kick(card.rings[1])
            got: list[bytes] = []
            wait(lambda got=got, sent=sent: (  # type: ignore[misc]
                got.extend(card.rx_all(0)) or len(got) >= len(sent)), "all echoes")
            assert got == sent
            done = [card.rings[1].take() for _ in sent]
            assert done == [(7 * i, 0) for i in range(len(sent))]
            assert card.rings[1].take() is None
        one.clean()


def test_mapped_doorbell_wakes(model: Callable[..., Model]) -> None:
    """Catches: a model that sleeps for long although its doorbell is a store nobody hears."""
    one = model("--wire", "loop")
    with vfu_net.nic(one.path, "mapped") as card:
        card.start(BASIC)
        card.rx_post(0, 32)
        slowest = 0.0
        for number in range(20):
            time.sleep(0.02)  # the model goes to sleep; that is what is tried here
            begin = time.monotonic()
            ping(card, number)
            slowest = max(slowest, time.monotonic() - begin)
        assert slowest < 0.5
        one.clean()


def test_shared_doorbell(model: Callable[..., Model]) -> None:
    """Catches: a multiplier of 0 that still promises pages or eventfds."""
    one = model("--wire", "loop", "--notify-shared", "--queue-pairs", "2")
    with vfu_net.nic(one.path) as card:
        assert card.multiplier == 0
        flags, _, areas, fd = card.vfu.region_info(0)
        assert (flags & 4, areas, fd) == (0, [], -1)
        assert card.vfu.io_fds(0) == {}
        card.start(BASIC)
        card.rx_post(0, 32)
        for number in range(10):
            ping(card, number)
        one.clean()


@pytest.mark.parametrize("layout", ["full", "packed-full", "packed-in-order"])
def test_ring_reset_under_traffic(model: Callable[..., Model], layout: str) -> None:
    """Catches: a chain that was sent and not marked used, or used after the reset's end."""
    one = model("--wire", "loop")
    with vfu_net.nic(one.path, "eventfd") as card:
        card.start(LAYOUTS[layout])
        sent = 0
        for round_ in range(50):
            count = 1 + round_ * 5 % 40
            for slot in range(count):
                card.tx(1, slot, frame(slot))
            card.ring_reset(1)
            done = 0
            while card.rings[1].take() is not None:
                done += 1
            sent += done
            before = bytes(card.ram)
            assert one.stats()["tx_frames"] == sent
            assert bytes(card.ram) == before
            card.rings[1] = card.enable(1, 64)
        one.clean()


@pytest.mark.parametrize("options", [[], ["--fault", "slow-suspend=3000"]], ids=["quick", "slow"])
@pytest.mark.parametrize("layout", ["full", "packed-in-order"])
def test_suspend(model: Callable[..., Model], layout: str, options: list[str]) -> None:
    """Catches: DMA or an interrupt while suspended, a ring that has lost its place after."""
    one = model("--wire", "loop", *options)
    with vfu_net.nic(one.path, "eventfd") as card:
        card.start(LAYOUTS[layout] | bits(vfu_net.F_SUSPEND))
        card.rx_post(0, 32)
        for round_ in range(20):
            for number in range(7):
                ping(card, number)
            card.common_write(20, 1, 0x1f)
            wait(lambda: card.common(20, 1) == 0x1b, "suspension")
            for vector in range(3):
                card.interrupted(vector, 0)
            before = bytes(card.ram)
            time.sleep(0.002)  # nothing may happen in it
            assert bytes(card.ram) == before
            assert [card.interrupted(vector, 0) for vector in range(3)] == [0, 0, 0]
            card.common_write(20, 1, 0xf)
            assert card.common(20, 1) == 0xf
        one.clean()


def test_device_reset(model: Callable[..., Model]) -> None:
    """Catches: state that survives a reset, by status, by message or with the connection."""
    one = model("--wire", "loop")
    for how in ("status", "message", "connection"):
        with vfu_net.nic(one.path) as card:
            card.start(FULL)
            card.rx_post(0, 32)
            for number in range(5):
                ping(card, number)
            if how == "status":
                card.reset()
            elif how == "message":
                card.vfu.request(vfu_net.RESET)
                assert card.vfu.read(vfu_net.CONFIG, 4, 2) & 4 == 0
                card.vfu.write(vfu_net.CONFIG, 4, 2, 6)
            if how != "connection":
                assert card.common(20, 1) == 0
                card.start(BASIC)
                card.rx_post(0, 32)
                ping(card, 1)
        wait(lambda: not one.stats()["connected"], "end of the connection")
        stats = one.stats()
        assert (stats["status"], stats["features"]) == (0, 0)
        assert not any(q["enabled"] for q in stats["queues"])
        one.clean()


def test_vanish_with_early_write(model: Callable[..., Model]) -> None:
    """Catches: writes to a driver's memory when it is the driver that has gone."""
    one = model("--wire", "loop", "--fault", "early-write=4", "--fault", "overrun")
    with vfu_net.nic(one.path) as card:
        card.start(FULL)
        card.rx_post(0, 32)
        ping(card, 0)
    wait(lambda: not one.stats()["connected"], "end of the connection")
    one.clean()


def test_unmap_while_running(model: Callable[..., Model]) -> None:
    """Catches: a crash, or a write through a stale pointer, when memory goes away."""
    one = model("--wire", "loop")
    with vfu_net.nic(one.path) as card:
        card.start(FULL)
        card.rx_post(0, 32)
        ping(card, 0)
        card.vfu.dma_unmap(vfu_net.RAM_IOVA, vfu_net.RAM_BYTES)
        before = bytes(card.ram)
        card.kick(card.rings[1])
        wait(lambda: bool(card.common(20, 1) & 0x40), "NEEDS_RESET")
        assert card.interrupted(0) == 1
        assert bytes(card.ram) == before
        assert one.stats()["violation_list"] == {"dma_unmapped": 1}
        card.vfu.dma_map(card.memfd, 0, vfu_net.RAM_IOVA, vfu_net.RAM_BYTES)
        card.start(FULL)
        card.rx_post(0, 32)
        ping(card, 1)


def test_no_bus_master(model: Callable[..., Model]) -> None:
    """Catches: DMA that ignores the command register."""
    one = model("--wire", "loop")
    with vfu_net.nic(one.path) as card:
        card.vfu.write(vfu_net.CONFIG, 4, 2, 2)
        card.start(BASIC)
        wait(lambda: bool(card.common(20, 1) & 0x40), "NEEDS_RESET")
        assert one.stats()["violation_list"] == {"dma_bus_master": 1}


def test_config_window(model: Callable[..., Model]) -> None:
    """Catches: a PCI_CFG capability that is only decoration (4.1.4.9)."""
    one = model()
    with vfu_net.nic(one.path) as card:
        at = card.caps[5][3]

        def through(offset: int, size: int) -> None:
            card.vfu.write(vfu_net.CONFIG, at + 4, 1, 0)
            card.vfu.write(vfu_net.CONFIG, at + 8, 4, offset)
            card.vfu.write(vfu_net.CONFIG, at + 12, 4, size)

        through(18, 2)
        assert card.vfu.read(vfu_net.CONFIG, at + 16, 2) == 3
        through(20, 1)
        card.vfu.write(vfu_net.CONFIG, at + 16, 1, 1)
        assert card.common(20, 1) == 1
        for offset, size in ((0xffffffff, 4), (1, 4), (0, 3), (0, 0), (0x7fffffff, 1)):
            through(offset, size)
            card.vfu.read(vfu_net.CONFIG, at + 16, 4)
            card.vfu.write(vfu_net.CONFIG, at + 16, 4, 0)
        assert one.process.alive()


def test_link_wire(model: Callable[..., Model], tmp_path: Path) -> None:
    """Catches: frames that vanish without a reason while no driver is there; link changes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(tmp_path / "wire"))
    listener.listen(1)
    listener.settimeout(10)
    one = model("--wire", f"link:{tmp_path}/wire")
    peer, _ = listener.accept()
    for number in range(7):
        peer.send(frame(number))
    wait(lambda: one.stats()["drops"] == {"rx_not_running": 7}, "seven drops by reason")
    with vfu_net.nic(one.path, "eventfd") as card:
        card.start(FULL)
        card.rx_post(0, 4)
        assert card.config(6, 2) & 1 == 1
        for number in range(9):
            peer.send(frame(number))
        wait(lambda: one.stats()["wire"]["rx_frames"] == 16, "all frames")
        assert one.stats()["drops"] == {"rx_not_running": 7, "rx_no_buffer": 5}
        one.clean()
        listener.close()  # nobody to connect to again
        peer.close()
        wait(lambda: card.config(6, 2) & 1 == 0, "link down")
        assert card.interrupted(0) == 1


@pytest.mark.parametrize("fault,check", [
    ("slow-reset=20000", 0.02), ("slow-ring-reset=20000", 0.0), ("no-ring-reset", 0.0)])
def test_faults(model: Callable[..., Model], fault: str, check: float) -> None:
    """Catches: a fault that is accepted and does nothing."""
    one = model("--wire", "loop", "--fault", fault)
    with vfu_net.nic(one.path) as card:
        features = FULL & ~bits(vfu_net.F_RING_RESET) if fault.startswith("no-") else FULL
        if fault.startswith("no-"):
            with pytest.raises(AssertionError, match="not offered: 0x10000000000"):
                card.start(FULL)
        card.start(features)
        card.rx_post(0, 32)
        ping(card, 0)
        begin = time.monotonic()
        if fault.startswith("slow-ring"):
            card.ring_reset(1)
            check = 0.02
        else:
            card.reset()
        assert time.monotonic() - begin >= check
        one.clean()


def test_die_at(model: Callable[..., Model]) -> None:
    """Catches: a death that is an orderly end."""
    one = model("--wire", "loop", "--fault", "die-at=5")
    with vfu_net.nic(one.path) as card:
        card.start(BASIC)
        for slot in range(10):
            try:
                card.tx(1, slot, frame(slot))
            except (OSError, AssertionError):
                break
        assert one.process.wait(10) == -signal.SIGKILL
    assert os.path.exists(one.path)


def test_stale_socket(model: Callable[..., Model]) -> None:
    """Catches: a model that cannot start where another one was killed, or starts beside it."""
    first = model("--wire", "null")
    with pytest.raises(HarnessError, match="(?s)ended before.*in use"):
        model("--wire", "null")
    assert first.stats()["violations"] == 0
    first.process.kill()
    assert os.path.exists(first.path)
    second = model("--wire", "null")
    assert second.process.stop() == 0


def test_end(model: Callable[..., Model], tmp_path: Path) -> None:
    """Catches: sockets left behind, an end that hangs while a driver is connected."""
    one = model("--wire", "loop")
    with vfu_net.nic(one.path) as card:
        card.start(FULL)
        card.rx_post(0, 32)
        ping(card, 0)
        assert one.process.stop() == 0
    assert not (tmp_path / "vfu").exists()
    assert not (tmp_path / "ctl").exists()


@pytest.mark.parametrize("argv", [
    [], ["virtio-net"], ["virtio-blk", "--socket", "x"], ["virtio-net", "--socket"],
    ["virtio-net", "--socket", "x", "--queue-pairs", "9"],
    ["virtio-net", "--socket", "x", "--queue-pairs", "0"],
    ["virtio-net", "--socket", "x", "--queue-size", "100"],
    ["virtio-net", "--socket", "x", "--queue-size", "65536"],
    ["virtio-net", "--socket", "x", "--mtu", "67"],
    ["virtio-net", "--socket", "x", "--mtu", "-1"],
    ["virtio-net", "--socket", "x", "--mac", "01:00:00:00:00:00"],
    ["virtio-net", "--socket", "x", "--mac", "02:00:00:00:00"],
    ["virtio-net", "--socket", "x", "--features", "zz"],
    ["virtio-net", "--socket", "x", "--fault", "nonsense"],
    ["virtio-net", "--socket", "x", "--fault", "die-at"],
    ["virtio-net", "--socket", "x", "--fault", "no-ring-reset=1"],
    ["virtio-net", "--socket", "x", "--nonsense"]])
def test_bad_arguments(launch: Callable[..., Process], program: Callable[[str], Path],
                       argv: list[str]) -> None:
    """Catches: a wrong argument that is taken for something else."""
    proc = launch("bad", program("dpdk-lm-devmodel"), *argv)
    assert proc.wait(10) == 2
    assert any("--help" in line for line in proc.lines())


def test_bad_places(launch: Callable[..., Process], program: Callable[[str], Path],
                    tmp_path: Path) -> None:
    """Catches: a message that does not say what could not be opened."""
    for option, value in (("--wire", "nonsense"), ("--control", str(tmp_path / "no" / "c")),
                          ("--socket", str(tmp_path / "no" / "s"))):
        argv = ["virtio-net", option, value]
        if option != "--socket":
            argv += ["--socket", tmp_path / "s"]
        proc = launch("bad", program("dpdk-lm-devmodel"), *argv)
        assert proc.wait(10) == 1
        assert any(value in line for line in proc.lines())
        assert not (tmp_path / "s").exists()


def test_garbage(model: Callable[..., Model]) -> None:
    """Catches: bytes on either socket that kill the process or lock out the next client."""
    one = model("--wire", "null")
    rng = random.Random(7)
    for size in (1, 15, 16, 17, 100, 5000, 70000):
        for path in (one.path, one.path[:-3] + "ctl"):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(5)
            sock.connect(path)
            try:
                sock.sendall(rng.randbytes(size))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
            sock.close()
    for line in ("{}", "[]", "1", '{"cmd":1}', '{"cmd":"stats"', '{"cmd":"link"}',
                 '{"cmd":"fault","spec":"x"}', '{"cmd":"nonsense"}', "\x00"):
        control = Control("model", one.path[:-3] + "ctl")
        sock = control._sock
        sock.sendall(line.encode() + b"\n")
        assert b"error" in sock.recv(4096)
        control.close()
    with vfu_net.nic(one.path) as card:
        card.start(FULL)
    assert one.stats()["violations"] == 0


def test_idle_cpu(model: Callable[..., Model]) -> None:
    """Catches: a model that spins while there is nothing to do, or leaks while it runs."""
    one = model("--wire", "loop", "--queue-pairs", "8")

    def used_by(seconds: float) -> float:
        begin = one.process.cpu_seconds()
        time.sleep(seconds)
        return (one.process.cpu_seconds() - begin) / seconds

    assert used_by(1.0) <= 0.05
    with vfu_net.nic(one.path, "mapped") as card:
        card.start(FULL)
        card.rx_post(0, 32)
        ping(card, 0)
        settle(lambda: one.stats()["tx_frames"], 5, "the model")
        assert used_by(1.0) <= 0.10


def test_fds_flat(model: Callable[..., Model]) -> None:
    """Catches: a descriptor that each connection leaves behind."""
    one = model("--wire", "loop")
    counts = []
    for _ in range(10):
        with vfu_net.nic(one.path, "eventfd") as card:
            card.start(FULL)
        wait(lambda: not one.stats()["connected"], "end of the connection")
        counts.append(one.process.fd_count())
    assert len(set(counts)) == 1, counts
