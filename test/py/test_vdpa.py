# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver behind dpdk-test-lm serve, with a small VM in place of QEMU."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lm_harness.process import Process

import vhost_frontend as vf
import vhost_user as vu
from vdpa_bench import (FORMATS, MAC, Bench, Pump, Traffic, attach, everything, frame, lost_pages,
                        relayed)

PAGE = vf.PAGE


@pytest.mark.parametrize("event_idx", [False, True])
def test_direct(bench: Callable[..., Bench], event_idx: bool) -> None:
    """
    A fresh ring is given to the function itself, and its positions come back at the stop.

    Verify: every frame comes back unchanged and in order; the bases are what was used.
    """
    b = bench()
    vm = attach(b, event_idx=event_idx)
    assert b.modes() == ["direct", "direct"]
    t = Traffic(vm)
    t.run(1500)
    t.check_complete()
    assert vm.stop() == [1500, 1500]
    b.check()
    vm.destroy()
    b.end()


@pytest.mark.parametrize("event_idx", [False, True])
@pytest.mark.parametrize("log", ["used", "full"])
@FORMATS
def test_log_on_under_traffic(bench: Callable[..., Bench], event_idx: bool, log: str,
                              packed: bool) -> None:
    """
    Migration, source side: logging is switched on while frames fly, then the VM stops.

    Verify: queues are relayed; every page that the device wrote is in the log; nothing is lost
    but what the model counted while its queues were being switched.
    """
    b = bench(devargs=f"log={log}")
    vm = attach(b, packed=packed, event_idx=event_idx)
    t = Traffic(vm)
    t.run(200)
    before = b""
    with Pump(t):
        # In this order: a frame written between the two is one page too many, not one too few.
        vm.memory.cpu_pages.clear()
        before = vm.memory.snapshot()
        vm.lm_begin()
        assert b.modes() == relayed(permanent=packed)
        deadline = time.monotonic() + 10
        base = len(t.received)
        while len(t.received) < base + 500:
            assert time.monotonic() < deadline, "traffic stalls after the switch"
            time.sleep(0.001)
    bases = vm.stop()
    assert bases == [r.base() for r in vm.rings]
    t.poll()
    t.check_order()
    assert not lost_pages(vm, before)
    drops = sum(b.control.stats()["drops"].values())
    in_flight = vm.rings[1].outstanding()
    assert t.sent == len(t.received) + drops + in_flight
    stats = b.stats()
    assert stats["all_dirty"] == 0 and stats["log_on_us"] > 0
    b.check()
    vm.destroy()
    b.end()


def test_lost_marks_are_found(bench: Callable[..., Bench]) -> None:
    """Negative control: with marks thrown away, the check of the test above must fail."""
    b = bench(devargs="test_log_drop=3")
    vm = attach(b)
    t = Traffic(vm)
    before = vm.memory.snapshot()
    vm.memory.cpu_pages.clear()
    vm.lm_begin()
    t.run(300)
    vm.stop()
    assert lost_pages(vm, before)
    vm.destroy()


@FORMATS
def test_stop_marks_what_the_device_may_have_written(bench: Callable[..., Bench],
                                                     packed: bool) -> None:
    """Every page of every receive buffer that is outstanding at the stop is in the log."""
    b = bench()
    vm = attach(b, packed=packed, buffer_bytes=6000)
    t = Traffic(vm)
    vm.lm_begin()
    t.run(100)
    deadline = time.monotonic() + 5
    while b.stats()["q0_avail_chains"] != vm.rings[0].avail_idx:
        assert time.monotonic() < deadline, "the relay leaves available chains where they are"
    vm.stop()
    vm.harvest()
    assert vm.rings[0].outstanding() > 0
    for gpa in vm.rings[0].cookies.values():
        assert isinstance(gpa, int)
        for page in range(gpa // PAGE, (gpa + 5999) // PAGE + 1):
            assert page in vm.dirty, f"page {page:#x} of an outstanding buffer is not marked"
    b.check()
    vm.destroy()
    b.end()


@FORMATS
def test_cancel_and_again(bench: Callable[..., Bench], packed: bool) -> None:
    """A migration that is cancelled: traffic goes on, nothing is logged, the next one works."""
    b = bench()
    vm = attach(b, packed=packed)
    t = Traffic(vm)
    vm.lm_begin()
    t.run(100)
    vm.lm_cancel()
    assert b.info()["logging"] == "off"
    logged = b.stats()["logged_pages"]
    t.run(300)
    assert b.stats()["logged_pages"] == logged
    before = vm.memory.snapshot()
    vm.memory.cpu_pages.clear()
    vm.lm_begin()
    vm.dirty.clear()
    t.run(300)
    vm.stop()
    t.check_complete()
    assert not lost_pages(vm, before)
    b.check()
    vm.destroy()
    b.end()


@FORMATS
def test_back_and_forth(bench: Callable[..., Bench], packed: bool) -> None:
    """
    The VM moves between two back ends and back, with traffic between the moves.

    Verify: positions carry over, outstanding receive buffers are used, nothing is lost, doubled
    or reordered; the destination announces the guest as often as it is asked once it runs.
    """
    sides = [bench("a"), bench("b")]
    vm = attach(sides[0], packed=packed)
    t = Traffic(vm)
    for move in range(4):
        t.run(100)
        vm.lm_begin()
        t.run(100)
        bases = vm.stop()
        vm.close()
        to = sides[(move + 1) % 2]
        old, vm = vm, vf.Frontend(str(to.vhost), memory=vm.memory, rings=vm.rings,
                                     packed=packed)
        vm.tx_buffers = old.tx_buffers
        vm.bases = bases
        vm.connect()
        vm.rarp(MAC)  # QEMU's first round comes before the start
        vm.start()
        assert to.modes() == relayed(permanent=packed)
        t.vm = vm
        t.run(50)
        vm.rarp(MAC)
        t.run(50)
        assert to.stats()["rarp_sent"] == 2 * (move // 2 + 1), to.stats()
        assert t.rarps == 2 * (move + 1)
    t.check_complete()
    vm.stop()
    for side in sides:
        side.check()
    vm.destroy()
    for side in sides:
        side.end()


def test_index_zero_is_direct_again(bench: Callable[..., Bench]) -> None:
    """A stop where the index is 0 modulo 65536 lets the function have the ring itself."""
    b = bench()
    vm = attach(b, size=256)
    t = Traffic(vm, window=120)
    t.run(65536)
    assert vm.stop() == [0, 0]
    vm.start()
    assert b.modes() == ["direct", "direct"]
    t.run(300)
    vm.lm_begin()
    assert b.modes() == ["relay", "relay"]
    t.run(65536 + 300)
    t.check_complete()
    assert vm.stop() == [600, 600]
    b.check()
    vm.destroy()
    b.end()


def test_premap(bench: Callable[..., Bench]) -> None:
    """A memory file that is mapped beforehand is kept when the front end announces it."""
    memory = vf.Memory()
    _, size, _ = memory.regions[0]
    b = bench(devargs=f"premap=/proc/{os.getpid()}/fd/{memory.fd}@0:{size:#x}:0")
    vm = attach(b, memory=memory)
    stats = b.stats()
    assert stats["kept_pages"] == size // PAGE
    assert stats["mapped_pages"] == memory.regions[1][1] // PAGE
    t = Traffic(vm)
    t.run(100)
    t.check_complete()
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


@pytest.mark.parametrize("logging", [False, True])
@FORMATS
def test_call_fd_changes(bench: Callable[..., Bench], logging: bool, packed: bool) -> None:
    """Linux masks vectors at run time, QEMU then gives other call fds: no interrupt may hang."""
    b = bench()
    vm = attach(b, packed=packed)
    t = Traffic(vm)
    if logging:
        vm.lm_begin()
    for i in range(60):
        t.run(7)
        vm.new_call(i % 2)
        # Whatever went to the old fd is gone with it.
        assert vm.wait([vm.rings[i % 2]], 5), "no call after the call fd changed"
    t.run(100)
    t.check_complete()
    b.check()
    vm.destroy()
    b.end()


@pytest.mark.parametrize("logging", [False, True])
@FORMATS
def test_kick_fd_changes(bench: Callable[..., Bench], logging: bool, packed: bool) -> None:
    """A kick that went to the old kick fd is made up for: the function looks at the ring."""
    b = bench()
    vm = attach(b, packed=packed)
    t = Traffic(vm)
    if logging:
        vm.lm_begin()
    for _ in range(20):
        t.run(5)
        vm.send(frame(t.sent), notify=False)
        t.sent += 1
        vm.new_kick(1)
        deadline = time.monotonic() + 5
        while len(t.received) < t.sent:
            assert time.monotonic() < deadline, "no kick after the kick fd changed"
            t.poll()
    t.check_complete()
    if not logging and not packed:
        # The model polls for a while after a kick, which would hide that none comes.
        before = b.control.stats()["queues"][1]["kicks"]
        vm.new_kick(1)
        deadline = time.monotonic() + 5
        while b.control.stats()["queues"][1]["kicks"] == before:
            assert time.monotonic() < deadline, "no doorbell after the kick fd changed"
    b.check()
    vm.destroy()
    b.end()


def test_log_replaced_under_traffic(bench: Callable[..., Bench]) -> None:
    """A larger log is given while frames fly: no mark is lost between the two."""
    b = bench()
    vm = attach(b)
    t = Traffic(vm)
    before = vm.memory.snapshot()
    vm.memory.cpu_pages.clear()
    vm.lm_begin()
    with Pump(t):
        for i in range(30):
            vm.set_log((40 + i % 3) * 32 * PAGE)
    vm.stop()
    assert not lost_pages(vm, before)
    b.check()
    vm.destroy()
    b.end()


@FORMATS
def test_two_pairs(bench: Callable[..., Bench], packed: bool) -> None:
    """The function's own control queue follows what the front end enables."""
    b = bench(pairs=4)
    vm = attach(b, packed=packed, pairs=2)
    assert b.control.stats()["pairs"] == 2
    t = Traffic(vm)
    for pair in (0, 1):
        for ring in vm.rings[2 * pair:2 * pair + 2]:
            assert b.modes(4)[ring.index] == (
                "relay-permanent" if packed else "direct")
    vm.enable(2, False)
    vm.enable(3, False)
    vm.sync()
    assert b.control.stats()["pairs"] == 1
    t.run(100)
    vm.lm_begin()
    vm.enable(2, True)
    vm.enable(3, True)
    vm.sync()
    assert b.control.stats()["pairs"] == 2
    assert b.modes(4) == relayed(4, packed)
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


@FORMATS
def test_without_ring_reset(bench: Callable[..., Bench], packed: bool) -> None:
    """A function without RING_RESET is reset whole when logging starts, and goes on."""
    all_but_ring_reset = (1 << 64) - 1 - (1 << 40)
    b = bench(model=("--features", f"{all_but_ring_reset:x}"))
    vm = attach(b, packed=packed)
    t = Traffic(vm)
    t.run(100)
    before = vm.memory.snapshot()
    vm.memory.cpu_pages.clear()
    vm.lm_begin()
    assert b.modes() == relayed(permanent=True)
    t.run(200)
    t.check_complete()
    vm.stop()
    assert not lost_pages(vm, before)
    b.check()
    vm.destroy()
    b.end()


@FORMATS
def test_memory_changes_while_running(bench: Callable[..., Bench], packed: bool) -> None:
    """Another memory table (hot-plug): the device is stopped, mapped again, and goes on."""
    b = bench()
    vm = attach(b, packed=packed)
    t = Traffic(vm)
    t.run(100)
    gpa, size, offset = vm.memory.regions[1]
    vm.memory.regions[1] = (gpa, size // 2, offset)
    vm.channel.acked(vu.SET_MEM_TABLE, vm.memory.table(), [vm.memory.fd] * 2)
    vm.sync()
    stats = b.stats()
    assert stats["confs"] == 2 and stats["kept_pages"] > 0
    t.run(100)
    t.check_complete()
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


def bad_head(vm: vf.Frontend) -> None:
    vm.rings[1].post_head(0x7FFF)


def bad_address(vm: vf.Frontend) -> None:
    vm.rings[1].post(0x40_0000_0000, 100, False, None)


def bad_index(vm: vf.Frontend) -> None:
    ring = vm.rings[1]
    vm.memory.write(ring.avail + 2, struct.pack("<H", (ring.avail_idx + 5000) & 0xFFFF))


@pytest.mark.parametrize("attack", [bad_head, bad_address, bad_index])
def test_hostile_ring(bench: Callable[..., Bench], attack: Callable[[vf.Frontend], None]) -> None:
    """A broken transmit ring stops that queue alone, is named once, and the stop still works."""
    b = bench()
    vm = attach(b)
    t = Traffic(vm)
    vm.lm_begin()
    t.run(50)
    attack(vm)
    vm.rings[1].notify()
    b.backend.wait_line("queue 1 is stopped: ", 5)
    assert "stopped: " in b.modes()[1]
    assert b.modes()[0] == "relay"
    vm.stop()
    stats = b.stats()
    assert stats["q1_errors"] == 1 and stats["q0_errors"] == 0
    assert sum("is stopped" in line for line in b.backend.lines()) == 1
    b.check()
    vm.close()
    b.end()


@pytest.mark.parametrize("logging", [False, True])
def test_function_dies(bench: Callable[..., Bench], logging: bool) -> None:
    """The model is killed: said once; the VM can be stopped at once, with usable positions."""
    b = bench()
    vm = attach(b)
    t = Traffic(vm)
    if logging:
        vm.lm_begin()
    t.run(50)
    b.model.kill()
    b.backend.wait_line("the function's process is gone", 5)
    assert b.info()["state"] == "lost"
    begin = time.monotonic()
    bases = vm.stop()
    assert time.monotonic() - begin < 2
    assert bases == [r.base() for r in vm.rings]
    if logging:
        vm.harvest()
        assert everything(vm) <= vm.dirty
    assert sum("process is gone" in line for line in b.backend.lines()) == 1
    vm.close()
    b.telemetry.close()
    b.backend.stop()


def test_attach_and_detach_leak_nothing(bench: Callable[..., Bench]) -> None:
    """Front ends come and go, some without a stop: file descriptors stay as many as they were."""
    b = bench()
    # Kept for the next VM: shadow rings of four queues and the control queue's memory.
    limit = b.backend.fd_count() + 5
    for i in range(16):
        vm = attach(b, pairs=1 + i % 2)
        t = Traffic(vm)
        t.run(20)
        if i % 3:
            vm.lm_begin()
            t.run(20)
        if i % 4 == 0:
            vm.stop()
        vm.destroy()
    deadline = time.monotonic() + 10
    while b.backend.fd_count() > limit:
        assert time.monotonic() < deadline, f"{b.backend.fd_count()} fds, {limit} expected"
        b.telemetry.get("/lm/list")
    b.check()
    b.end()


def test_stats_of_rte_vdpa_names(bench: Callable[..., Bench]) -> None:
    """Figures add up: chains in, chains out, and pages logged."""
    b = bench()
    vm = attach(b)
    t = Traffic(vm)
    vm.lm_begin()
    t.run(100)
    stats = b.stats()
    assert stats["q1_avail_chains"] == 100
    assert stats["q0_used_chains"] == 100
    assert stats["logged_pages"] >= 100
    vm.stop()
    vm.destroy()
    b.end()


@pytest.mark.parametrize(("devargs", "says"), [
    ("colour=blue", "valid: socket="),
    ("log=half", "give log=<full or used>"),
    ("features=xyz", "give features=<hexadecimal mask>"),
    ("stop_budget_ms=0", "give stop_budget_ms=<1 to 60000>"),
    ("relay_cpus=3-1", "give relay_cpus="),
    ("features=0", "VERSION_1 is not among the features"),
])
def test_bad_devargs(launch: Callable[..., Process], program: Callable[[str], Path],
                     tmp_path: Path, devargs: str, says: str) -> None:
    """Wrong arguments are refused by name, with what would be right."""
    b = Bench(launch, program, tmp_path)
    b.backend.stop()
    proc = launch("again", program("dpdk-test-lm"), "serve",
                  "--device", f"socket={b.vfu},{devargs}", "--vhost", tmp_path / "v",
                  env={"RUNTIME_DIRECTORY": str(tmp_path)})
    assert proc.wait(15) == 1
    assert any(says in line for line in proc.lines()), proc.lines()
    assert not (tmp_path / "v").exists()


def run_serve(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path,
              *argv: object) -> tuple[int, str]:
    proc = launch("serve", program("dpdk-test-lm"), *argv,
                  env={"RUNTIME_DIRECTORY": str(tmp_path)})
    code = proc.wait(15)
    return code, "\n".join(proc.lines())


def test_usage(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path
               ) -> None:
    """Exit codes: 0 for help, 2 for wrong use, 1 for what failed; a message for each."""
    for argv, code, says in (
            (["help"], 0, "Usage"), (["--version"], 0, "DPDK"), ([], 2, "Usage"),
            (["fly"], 2, 'no verb "fly"'), (["serve"], 2, "--device"),
            (["serve", "--device", "socket=x"], 2, "as many --vhost as --device"),
            (["serve", "--device", "socket=x", "--vhost", "y" * 200], 2, "too long"),
            (["serve", "--device", f"socket={tmp_path}/none", "--vhost", tmp_path / "v"], 1,
             "is its server running?"),
            (["serve", "--plugin", "/none", "--device", "socket=x", "--vhost", "v"], 1,
             "plugin /none: No such file"),
    ):
        got, text = run_serve(launch, program, tmp_path, *argv)
        assert got == code and says in text, (argv, got, text)


def test_vhost_socket_trouble(bench: Callable[..., Bench], launch: Callable[..., Process],
                              program: Callable[[str], Path], tmp_path: Path) -> None:
    """A stale socket is taken over; a live one, a file, and a closed folder are named."""
    b = bench()
    device = f"socket={b.vfu}"
    code, text = run_serve(launch, program, tmp_path, "serve", "--device", device,
                           "--vhost", b.vhost, "--file-prefix", "y")
    assert code == 1
    b.backend.kill()
    assert b.vhost.exists()
    plain = tmp_path / "file"
    plain.write_text("mine")
    code, text = run_serve(launch, program, tmp_path, "serve", "--device", device,
                           "--vhost", plain, "--file-prefix", "y")
    assert code == 1 and "is not a socket" in text and plain.read_text() == "mine"
    code, text = run_serve(launch, program, tmp_path, "serve", "--device", device,
                           "--vhost", tmp_path / "no" / "v", "--file-prefix", "y")
    assert code == 1 and "cannot make a socket in" in text
    b.start_backend()
    vm = attach(b)
    Traffic(vm).run(10)
    vm.destroy()
    b.check()
    b.end()


def test_client_mode(bench: Callable[..., Bench], tmp_path: Path) -> None:
    """The back end connects to the front end's socket, and again after a hang-up."""
    import socket
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (tmp_path / "a").mkdir(exist_ok=True)
    b: Bench | None = None
    try:
        listener.bind(str(tmp_path / "front"))
        listener.listen(4)
        listener.settimeout(15)
        (tmp_path / "a").rmdir()
        b = bench()
        b.backend.stop()
        b.vhost = tmp_path / "front"
        b.start_backend(client=True)
        for _ in range(2):
            sock, _ = listener.accept()
            sock.settimeout(10)
            vm = vf.Frontend(sock)
            vm.connect()
            vm.fill_rx()
            vm.start()
            t = Traffic(vm)
            t.run(30)
            t.check_complete()
            vm.destroy()
        b.check()
        b.end()
    finally:
        listener.close()


def test_pmdinfo(build_dir: Path) -> None:
    """dpdk-pmdinfo.py shows the driver's arguments, kernel modules and ids."""
    import json
    import subprocess
    plugin = build_dir / "drivers/vdpa/virtio_pci/liblm_vdpa_virtio_pci.so"
    out = subprocess.run(["dpdk-pmdinfo.py", plugin], capture_output=True, timeout=20, check=True)
    (info,) = json.loads(out.stdout)
    assert info["name"] == "vdpa_virtio_pci"
    assert {i["device"] for i in info["pci_ids"]} == {"1041", "1000"}
    assert "stop_budget_ms=" in info["params"] and "vfio-pci" in info["kmod"]
    exported = subprocess.run(["nm", "-D", "--defined-only", plugin], capture_output=True,
                              timeout=20, check=True).stdout
    assert exported == b"", exported


def test_plugin_in_a_writable_folder(launch: Callable[..., Process],
                                     program: Callable[[str], Path], build_dir: Path,
                                     tmp_path: Path) -> None:
    """EAL would refuse it with a message that says little."""
    import shutil
    folder = tmp_path / "open"
    folder.mkdir()
    os.chmod(folder, 0o777)
    plugin = folder / "liblm_vdpa_virtio_pci.so"
    shutil.copy(build_dir / "drivers/vdpa/virtio_pci/liblm_vdpa_virtio_pci.so", plugin)
    code, text = run_serve(launch, program, tmp_path, "serve", "--plugin", plugin, "--device",
                           "socket=x", "--vhost", tmp_path / "v")
    assert code == 1 and "can be written by everybody" in text
