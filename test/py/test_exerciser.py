# SPDX-License-Identifier: BSD-3-Clause
"""The exerciser as a process, by a driver and a checker that share no code with it."""

from __future__ import annotations

import errno
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import vfu_ex as ex
from lm_harness.control import Control
from lm_harness.process import Process
from vfio_user_oracle import Command
from vfu_ex import Exerciser, Setup

LOW, HIGH, RING = 0x100000, 0x40_0000_0000, 0x80000
LOW_PAGES, HIGH_PAGES = 150, 51
RAM = ((LOW, LOW_PAGES * ex.PAGE), (HIGH, HIGH_PAGES * ex.PAGE))
CAPS = {"stop_copy": 1, "p2p": 3, "pre_copy": 5, "p2p+pre_copy": 7}


class Model:
    """The process: some functions, one control socket."""

    def __init__(self, process: Process, directory: Path, functions: int) -> None:
        self.process = process
        self.paths = [directory / f"vfu{i}" for i in range(functions)]
        process.wait_line(f"^ready {self.paths[-1]}$", 10)
        self.control = Control("model", str(directory / "ctl"))
        self.stack = ExitStack()

    def open(self, function: int = 0, memory: bool = True) -> Exerciser:
        device = self.stack.enter_context(ex.exerciser(self.paths[function]))
        if memory:
            for iova, size in (*RAM, (RING, ex.PAGE)):
                device.map_memory(iova, size)
            device.bus_master()
        return device

    def stats(self, function: int = 0) -> dict[str, Any]:
        return self.control.request("stats", function=function)

    def fault(self, spec: str, function: int = 0) -> None:
        self.control.request("fault", spec=spec, function=function)


@pytest.fixture(name="model")
def _model(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path
           ) -> Iterator[Callable[..., Model]]:
    made: list[Model] = []

    def make(*options: str, functions: int = 1) -> Model:
        argv: list[object] = [program("dpdk-lm-devmodel"), "exerciser",
                              "--control", tmp_path / "ctl"]
        for i in range(functions):
            argv += ["--socket", tmp_path / f"vfu{i}"]
        for option in options:
            argv += ["--option", option]
        made.append(Model(launch("model", *argv), tmp_path, functions))
        return made[-1]

    yield make
    for one in made:
        one.stack.close()
        one.control.close()


def setup(**changes: Any) -> Setup:
    """Storm over both ranges, operations, changing state."""
    values: dict[str, Any] = {"pages": LOW_PAGES + HIGH_PAGES, "stride": 7, "ranges": RAM,
                              "ring": RING, "ring_size": 128, "state_every": 40}
    return Setup(**{**values, **changes})


def steps_reach(device: Exerciser, count: int) -> None:
    end = time.monotonic() + 10
    while device.counters()["steps"] < count:
        assert time.monotonic() < end, f"no {count} steps within 10 s"


def copy_dirty(source: Exerciser, target: Exerciser) -> int:
    """What a migration of RAM does after the first round."""
    count = 0
    for iova, size in (*RAM, (RING, ex.PAGE)):
        for page in source.log_report(iova, size):
            at = page * ex.PAGE
            target.memory[iova].map[at:at + ex.PAGE] = source.memory[iova].map[at:at + ex.PAGE]
            count += 1
    return count


def copy_all(source: Exerciser, target: Exerciser) -> None:
    for iova, memory in source.memory.items():
        target.memory[iova].map[:] = memory.map[:]


def test_pages_follow_steps(model: Callable[..., Model]) -> None:
    """Catches: a page that is not what its step says, by the text of the specification alone."""
    one = model()
    device = one.open()
    for stride in (1, 7, 200):
        for memory in device.memory.values():
            memory.map[:] = bytes(len(memory.map))
        device.submitted = 0
        device.start(setup(stride=stride, page_write=4096))
        device.submit(9)
        steps_reach(device, 300)
        device.put(ex.CONTROL, ex.PAUSE)
        device.assert_sound()
    assert one.stats()["violations"] == 0


@pytest.mark.parametrize("caps", CAPS)
def test_arcs(model: Callable[..., Model], caps: str) -> None:
    """Catches: a way that is not the kernel's, or none where there is one, for each set."""
    one = model(f"caps={caps}")
    device = one.open(memory=False)
    flags = CAPS[caps]
    assert device.flags() == flags
    for start in range(1, 8):
        if ex.path_oracle(ex.RUNNING, start, flags) is None:
            with pytest.raises(OSError, match=ex.EINVAL):
                device.go(start)
            continue
        for end in range(1, 8):
            device.vfu.ask(Command.RESET)
            device.go(start)
            before = one.stats()["arcs"]
            path = ex.path_oracle(start, end, flags)
            if path is None:
                with pytest.raises(OSError, match=ex.EINVAL):
                    device.go(end)
                assert device.state() == start
                continue
            device.go(end)
            assert device.state() == end
            assert one.stats()["arcs"] - before == len(path), (start, end, path)
    for bad in (0, 8, 0xffffffff):
        with pytest.raises(OSError, match=ex.EINVAL):
            device.go(bad)


def test_log_is_true(model: Callable[..., Model]) -> None:
    """Catches: a page written and not reported, reported without a write, or bits misplaced."""
    one = model()
    device = one.open()
    shadow = {iova: bytearray(memory.map) for iova, memory in device.memory.items()}
    device.log_start([(iova, len(m.map)) for iova, m in device.memory.items()])
    rng = random.Random(4)
    device.start(setup(rate=20000))
    for _ in range(60):
        iova, size = rng.choice(RAM)
        page = ex.PAGE << rng.randrange(3)
        units = size // page
        first = rng.randrange(units)
        count = rng.randint(1, units - first)
        for number in device.log_report(iova + first * page, count * page, page):
            at = (first + number) * page
            shadow[iova][at:at + page] = device.memory[iova].map[at:at + page]
    device.put(ex.CONTROL, ex.PAUSE)
    for iova, memory in device.memory.items():
        for number in device.log_report(iova, len(memory.map)):
            at = number * ex.PAGE
            shadow[iova][at:at + ex.PAGE] = memory.map[at:at + ex.PAGE]
    assert all(shadow[iova] == memory.map[:] for iova, memory in device.memory.items())

    # Exactly what one round of steps writes.
    before = device.counters()["steps"]
    device.put(ex.CONTROL, ex.CONTINUE)
    steps_reach(device, before + 10)
    device.put(ex.CONTROL, ex.PAUSE)
    after = device.counters()["steps"]
    written = {k * 7 % (LOW_PAGES + HIGH_PAGES) for k in range(before + 1, after + 1)}
    assert device.log_report(*RAM[0]) == {n for n in written if n < LOW_PAGES}
    assert device.log_report(*RAM[1]) == {n - LOW_PAGES for n in written if n >= LOW_PAGES}
    assert device.log_report(*RAM[0]) == set()
    device.log_stop()
    with pytest.raises(OSError, match=ex.EINVAL):
        device.log_report(*RAM[0])


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("drop", [0, 11])
def test_round_trip(model: Callable[..., Model], caps: str, drop: int) -> None:
    """Catches: state or pages lost on the way, a stream that is not as written, and a control
    with marks dropped on purpose that nobody sees."""
    one = model(f"caps={caps}", f"state={3 * ex.BLOCK + 8}", functions=2)
    source, target = one.open(0), one.open(1)
    source.start(setup(op_steps=400))
    source.submit(5)
    source.log_start([(iova, len(m.map)) for iova, m in source.memory.items()])
    steps_reach(source, 250)
    copy_all(source, target)
    copy_dirty(source, target)
    target.go(ex.RESUMING)
    stream = b""
    if drop:
        one.fault(f"drop-dirty={drop}")
    if CAPS[caps] & 4:
        source.go(ex.PRE_COPY)
        for _ in range(3):
            while data := source.read_state(50000):
                target.write_state(data)
                stream += data
            copy_dirty(source, target)
            steps_reach(source, source.counters()["steps"] + 100)
    steps_reach(source, source.counters()["steps"] + 100)
    source.put(ex.CONTROL, ex.PAUSE)  # so that they are outstanding, however slow we are
    source.submit(3)
    source.go(ex.STOP_COPY)
    copy_dirty(source, target)
    while data := source.read_state(7777):
        target.write_state(data)
        stream += data
    target.go(ex.STOP)
    target.submitted = source.submitted

    want, got = source.counters(), target.counters()
    assert want["ops_done"] <= 5 < want["ops_accepted"]
    assert got == want | {"migrations": want["migrations"] + 1}
    assert source.config() == target.config()
    found = ex.records(stream)
    assert found[0][0] == 1 and found[-1][0] == 3
    last: dict[int, bytes] = {struct.unpack_from("<Q", data)[0]: data
                              for kind, data in found if kind == 2}
    for index, data in last.items():
        mod, = struct.unpack_from("<Q", data, 8)
        assert data[16:] == ex.words(ex.block_key(1, index, mod), (len(data) - 16) // 8)
    assert sum(len(data) - 16 for data in last.values()) == 3 * ex.BLOCK + 8
    if drop:
        assert target.wrong_pages() != []
        return
    target.assert_sound()
    target.go(ex.RUNNING)
    target.put(ex.CONTROL, ex.CONTINUE)
    steps_reach(target, want["steps"] + 500)
    target.put(ex.CONTROL, ex.PAUSE)
    target.assert_sound()
    assert target.counters()["ops_done"] == 8
    for function in (0, 1):
        assert one.stats(function)["violations"] == 0


@pytest.mark.deadline(120)
def test_large_state(model: Callable[..., Model]) -> None:
    """Catches: a model that holds its state in memory."""
    one = model("state=256M", functions=2)
    source, target = one.open(0), one.open(1)
    source.start(setup(rate=1000, state_every=10))
    before = one.process.memory_bytes()[0]
    target.go(ex.RESUMING)
    source.go(ex.PRE_COPY)
    total = 0
    while total < 280 << 20 and (data := source.read_state()):
        target.write_state(data)
        total += len(data)
    source.go(ex.STOP_COPY)
    while data := source.read_state():
        target.write_state(data)
        total += len(data)
    target.go(ex.STOP)
    assert total > 256 << 20
    assert target.counters()["digest"] == source.counters()["digest"] == source.digest()
    if "DPDK_LM_SANITIZED" not in os.environ:  # ASan keeps what was freed
        assert one.process.memory_bytes()[0] - before < 16 << 20


def test_strict(model: Callable[..., Model]) -> None:
    """Catches: anything that libvfio-user refuses and the strict mode lets pass."""
    one = model("strict=1")
    device = one.open()
    vfu = device.vfu
    assert device.flags() == 5
    for state in (ex.RUNNING_P2P, ex.PRE_COPY_P2P):
        with pytest.raises(OSError, match=ex.EINVAL):
            device.go(state)
    for feature in (3, ex.DATA_SIZE, 12, 99):
        with pytest.raises(OSError, match=ex.EINVAL):
            vfu.feature(ex.GET | ex.PROBE | feature)
    assert "mig_precopy_info" not in vfu.caps

    device.log_start([])
    device.start(setup())
    steps_reach(device, 300)
    assert len(device.log_report(*RAM[0])) == LOW_PAGES
    for iova, size, page in ((LOW, ex.PAGE, ex.PAGE), (LOW, RAM[0][1] + ex.PAGE, ex.PAGE),
                             (LOW, RAM[0][1] // 2, ex.PAGE), (LOW, RAM[0][1], 2 * ex.PAGE)):
        with pytest.raises(OSError, match=ex.EINVAL):
            device.log_report(iova, size, page)

    for state in (ex.STOP, ex.STOP_COPY):
        device.go(state)
        for command, payload in ((Command.RESET, b""), (Command.GET_INFO, struct.pack("=4I", 16, 0,
                                 0, 0)), (Command.DMA_UNMAP, struct.pack("=2I2Q", 24, 0, RING,
                                 ex.PAGE)), (Command.MIG_DATA_WRITE, struct.pack("=2IQ", 16, 8, 0)),
                                 (Command.GET_IRQ_INFO, struct.pack("=4I", 16, 0, 2, 0))):
            with pytest.raises(OSError, match=ex.EINVAL):
                vfu.ask(command, payload)
        device.log_report(*RAM[0])
    with pytest.raises(OSError, match=ex.EINVAL):
        device.get(ex.STATUS)
    # Padded: the reply has as many bytes as were asked for.
    size = 1 << 20
    lengths = []
    for _ in range(3):
        reply = vfu.ask(Command.MIG_DATA_READ, struct.pack("<II", 8 + size, size)).payload
        assert len(reply) == 8 + size
        lengths.append(struct.unpack_from("<I", reply, 4)[0])
    assert lengths[0] == size and 0 < lengths[1] < size and lengths[2] == 0

    # A reset leaves the migration state alone, and needs a device that runs.
    device.go(ex.RUNNING)
    device.go(ex.RESUMING)
    vfu.ask(Command.RESET)
    assert device.state() == ex.RESUMING
    device.go(ex.RUNNING)
    vfu.ask(Command.RESET)
    assert device.counters()["steps"] == 0


def test_hanging_arc_ends_with_the_client(model: Callable[..., Model]) -> None:
    """Catches: a function that stays stuck after its client is gone, or sticks others."""
    one = model(functions=2)
    device, other = one.open(0), one.open(1)
    one.fault("hang@running_p2p-stop")
    ident = device.go_post(ex.STOP)
    other.go(ex.STOP)
    assert one.stats()["waits"] is True
    assert one.stats()["state"] == "RUNNING_P2P"
    one.control.request("release", function=0)
    assert device.vfu.take(ident, Command.FEATURE).error == 0

    device.go(ex.RUNNING)
    one.fault("hang@*-*")
    device.go_post(ex.STOP)
    device.close()
    with ex.exerciser(one.paths[0]) as again:
        assert again.state() == ex.RUNNING
        again.go(ex.STOP_COPY)
    device.memory.clear()


def test_slow_arcs_run_in_parallel(model: Callable[..., Model]) -> None:
    """Catches: functions that wait for each other's arcs."""
    number = 64
    one = model("state=0", functions=number)
    devices = [one.open(i, memory=False) for i in range(number)]
    for i in range(number):
        one.fault("slow@*-*=20000", i)
    begin = time.monotonic()
    devices[0].go(ex.STOP_COPY)
    single = time.monotonic() - begin
    devices[0].go(ex.RUNNING)
    begin = time.monotonic()
    idents = [device.go_post(ex.STOP_COPY) for device in devices]
    for device, ident in zip(devices, idents):
        assert device.vfu.take(ident, Command.FEATURE).error == 0
    together = time.monotonic() - begin
    assert single >= 0.06
    assert together <= 3 * single, f"{together:.3f} s for {number}, {single:.3f} s for one"


def test_death_at_an_arc(model: Callable[..., Model]) -> None:
    """Catches: a death on demand that does not come."""
    one = model()
    device = one.open()
    one.fault("die@stop-stop_copy")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        device.go(ex.STOP_COPY)


@pytest.mark.parametrize("word,number", [("busy", errno.EBUSY), ("fail-before", errno.EIO),
                                         ("fail-after", errno.EIO), ("error", errno.EIO)])
def test_arc_fails(model: Callable[..., Model], word: str, number: int) -> None:
    """Catches: a failure with another errno, in another state, or one that no reset ends."""
    one = model()
    device = one.open()
    one.fault(f"{word}@running_p2p-stop")
    with pytest.raises(OSError, match=ex.refused(number)):
        device.go(ex.STOP_COPY)
    where = {"fail-after": ex.STOP, "error": ex.ERROR}.get(word, ex.RUNNING_P2P)
    assert device.state() == where
    if where == ex.ERROR:
        with pytest.raises(OSError, match=ex.refused(errno.EIO)):
            device.go(ex.RUNNING)
        device.vfu.ask(Command.RESET)
        assert device.state() == ex.RUNNING
    device.go(ex.STOP_COPY)


def test_peers(model: Callable[..., Model]) -> None:
    """Catches: DMA between devices that goes elsewhere, and a late write that nobody sees."""
    one = model(functions=2)
    left, right = one.open(0), one.open(1)
    window = 0x60000
    for device, peer in ((left, right), (right, left)):
        region = peer.vfu.region_info(4)
        assert region.areas == [(0, 4096)]
        device.vfu.dma_map(window, 4096, fd=region.fds[0], offset=region.offset)
        device.start(setup(peer=window, peer_every=2))
    steps_reach(left, 300)
    steps_reach(right, 300)
    for device in (left, right):
        device.go(ex.RUNNING_P2P)
    for device, peer in ((left, right), (right, left)):
        assert device.get(ex.PEER_SEEN) == peer.counters()["steps"] // 2
    for device in (left, right):
        device.go(ex.STOP)
    assert [one.stats(i)["peer_late"] for i in (0, 1)] == [0, 0]

    # The wrong order: one runs while the other is stopped.
    left.go(ex.RUNNING)
    steps_reach(left, left.counters()["steps"] + 20)
    right.go(ex.RUNNING)
    assert right.get(ex.PEER_LATE) > 0
    assert one.stats(1)["violation_list"] == {"ex_peer": right.get(ex.PEER_LATE)}


def test_pf_commands_its_vfs(model: Callable[..., Model]) -> None:
    """Catches: a command whose layout both C halves have wrong, and one that is taken on trust."""
    one = model("pf=1", f"state={ex.BLOCK}", "log-align=64", functions=3)
    pf = ex.Pf(one.paths[0])
    one.stack.callback(pf.close)
    source, target = one.open(1), one.open(2)
    with pytest.raises(OSError, match=ex.refused(errno.ENOTTY)):
        source.flags()
    assert int.from_bytes(pf.vfu.read(0, 8, 8), "little") == 2
    caps, state, arc, info, read, write, log_start, log_report, log_stop, reset = range(1, 11)
    assert pf.ask(caps, 0) == (7, 1, 64, 0)

    source.start(setup())
    steps_reach(source, 300)
    pf.put(struct.pack("<4Q", *RAM[0], *RAM[1]))
    assert pf.ask(log_start, 0, ex.PAGE, data=32)[0] == ex.PAGE
    steps_reach(source, 900)
    for place in (ex.RUNNING_P2P, ex.STOP, ex.STOP_COPY):
        pf.ask(arc, 0, pf.ask(state, 0)[0], place)
    pf.put(bytes(24))
    pf.ask(log_report, 0, *RAM[0], ex.PAGE, data=24)
    assert int.from_bytes(pf.data(24), "little") == (1 << LOW_PAGES) - 1
    for iova, memory in source.memory.items():
        target.memory[iova].map[:] = memory.map[:]
    for place in (ex.RUNNING_P2P, ex.STOP, ex.RESUMING):
        pf.ask(arc, 1, pf.ask(state, 1)[0], place)
    left = pf.ask(info, 0)[2]
    while count := pf.ask(read, 0, data=30000)[0]:
        left -= count
        pf.ask(write, 1, data=count)
    assert left == 0
    pf.ask(arc, 1, ex.RESUMING, ex.STOP)
    target.assert_sound()
    pf.ask(log_stop, 0)
    pf.ask(reset, 0)
    assert pf.ask(state, 0)[0] == ex.RUNNING

    bad: list[tuple[int, ...]] = [(0, 0), (11, 0), (99, 0), (state, 2), (state, 0xffffffff),
                                  (arc, 0, ex.RUNNING, ex.STOP), (arc, 0, ex.STOP, ex.RUNNING),
                                  (arc, 0, ex.RUNNING, 8), (arc, 0, ex.RUNNING, 0),
                                  (log_report, 0, LOW, ex.PAGE, 0), (log_start, 0, 4095)]
    for command in bad:
        with pytest.raises(OSError, match=ex.EINVAL):
            pf.ask(*command)
    for size in ((1 << 20) + 1, 0xffffffff):
        with pytest.raises(OSError, match=ex.EINVAL):
            pf.ask(read, 0, data=size)

    # One command a VF at a time, others meanwhile; nothing is written for a PF that was reset.
    one.fault("hang@*-*", 1)
    pf.post(arc, 0, ex.RUNNING, ex.RUNNING_P2P, at=512)
    assert pf.done(512) is None
    with pytest.raises(OSError, match=ex.refused(errno.EBUSY)):
        pf.ask(state, 0)
    assert pf.ask(state, 1)[0] == ex.STOP
    pf.vfu.ask(Command.RESET)
    pf.vfu.write(7, 4, struct.pack("<H", 6))
    one.control.request("release", function=1)
    assert pf.ask(state, 0)[0] == ex.RUNNING
    assert pf.done(512) is None
    for place in (0, 1, pf.AREA + 8, pf.AREA + 0x200000 - 64, 1 << 60):
        pf.vfu.write(0, 0x10, struct.pack("<Q", place))
    stats = one.stats(0)
    assert stats["lost"] == 5 and stats["violation_list"] == {"dma_unmapped": 5}


def test_log_like_pds(model: Callable[..., Model]) -> None:
    """Catches: a report across ranges or off the 64-page grid that is answered."""
    one = model("log-align=64", "log-ranges=1")
    device = one.open()
    with pytest.raises(OSError, match=ex.refused(errno.E2BIG)):
        device.log_start(list(RAM))
    device.log_start([RAM[0]])
    assert device.log_report(LOW + 64 * ex.PAGE, ex.PAGE) == set()
    for iova, size in ((LOW + ex.PAGE, ex.PAGE), (LOW, RAM[0][1] + ex.PAGE), (HIGH, ex.PAGE)):
        with pytest.raises(OSError, match=ex.EINVAL):
            device.log_report(iova, size)


def test_refuses_nonsense(program: Callable[[str], Path], launch: Callable[..., Process],
                          tmp_path: Path) -> None:
    """Catches: an option or fault of the command line that is taken silently."""
    for word in (("--option", "caps=all"), ("--option", "nothing=1"), ("--fault", "lazy@*-*")):
        process = launch("bad", program("dpdk-lm-devmodel"), "exerciser", "--socket",
                         tmp_path / "vfu", *word)
        assert process.wait(10) in (1, 2)
