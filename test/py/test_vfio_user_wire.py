# SPDX-License-Identifier: BSD-3-Clause
"""Our vfio-user server against the oracle: layouts, orders and errors that C could agree on."""

import errno
import mmap
import os
import pathlib
import struct
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vfio_user_oracle import NO_REPLY, Client, Command, Message

BUILD = pathlib.Path(os.environ.get("DPDK_LM_BUILD", pathlib.Path(__file__).parents[2] / "build"))
BAR0, BAR1, CONFIG, MSIX, INTX = 0, 1, 7, 2, 0
# Registers of the device, see vu_device.h.
DO_READ, DO_WRITE, DO_IRQ, RESULT, DO_BULK, IOVA, DATA = (
    0x100, 0x104, 0x108, 0x110, 0x114, 0x120, 0x128)
MAX_MAPS = 8
PAGE = 4096


@pytest.fixture(name="path", scope="module")
def fixture_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A running device."""
    path = tmp_path_factory.mktemp("vu") / "dev"
    with subprocess.Popen([BUILD / "test/py/vu-device", path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield path
            process.stdin.close()
            assert process.wait(5) == 0
            assert not path.exists()
        finally:
            process.kill()


@pytest.fixture(name="client", params=(False, True), ids=("one", "twin"))
def fixture_client(path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A connection with a device in its first state."""
    client = Client(path, request.param)
    try:
        client.ask(Command.RESET)
        yield client
    finally:
        client.close()


@pytest.fixture(name="memory")
def fixture_memory() -> Iterator[tuple[int, mmap.mmap]]:
    """A file of 1 MiB that can be mapped by both."""
    fd = os.memfd_create("guest")
    os.ftruncate(fd, 1 << 20)
    with mmap.mmap(fd, 1 << 20) as mem:
        yield fd, mem
    os.close(fd)


def expect(error: int, call: object, *args: object) -> None:
    """The server refuses with this errno."""
    with pytest.raises(OSError) as info:
        call(*args)  # type: ignore[operator]
    assert info.value.errno == error


def result(client: Client) -> int:
    """What the device's last action returned."""
    return int(struct.unpack("=i", client.read(BAR0, RESULT, 4))[0])


def act(client: Client, register: int, iova: int, value: int = 0) -> int:
    """Let the device do something at an address."""
    client.write(BAR0, IOVA, struct.pack("=Q", iova))
    client.write(BAR0, register, struct.pack("=I", value))
    return result(client)


def test_information(client: Client) -> None:
    """Version, device, regions with their descriptors, interrupts."""
    assert client.version == (0, 1)
    assert 1 <= client.caps["max_msg_fds"] <= 16
    assert client.caps["migration"]["pgsize"] == PAGE
    assert client.caps["max_dma_maps"] == MAX_MAPS
    assert client.device_info() == (3, 9, 5)
    region = client.region_info(BAR0)
    assert (region.flags, region.size, region.areas, region.fds) == (3, 0x10000, None, [])
    short = client.region_info(BAR1, 32)
    assert (short.flags & 8, short.areas, short.fds) == (0, None, [])
    region = client.region_info(BAR1)
    assert (region.flags, region.size, region.areas) == (15, 0x4000, [(0x1000, 0x1000)])
    fd, = region.fds
    with mmap.mmap(fd, 0x1000, offset=region.offset + 0x1000) as area:
        client.write(BAR1, 0x1010, b"through the socket")
        assert area[0x10:0x22] == b"through the socket"
        area[0x20:0x24] = b"mmap"
        assert client.read(BAR1, 0x1020, 4) == b"mmap"
    os.close(fd)


def test_interrupts(client: Client) -> None:
    """Eventfds bound, fired by device and client, and let go."""
    fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(3)]
    client.set_irqs(0x24, MSIX, 4, 3, fds=fds)
    assert act(client, DO_IRQ, 0, 5) == 1
    assert os.eventfd_read(fds[1]) == 1
    client.set_irqs(0x22, MSIX, 4, 3, b"\1\0\1")
    assert [os.eventfd_read(fds[0]), os.eventfd_read(fds[2])] == [1, 1]
    expect(errno.EAGAIN, os.eventfd_read, fds[1])
    client.set_irqs(0x24, MSIX, 5, 1)
    assert act(client, DO_IRQ, 0, 5) == 0
    client.set_irqs(0x21, MSIX, 0, 0)
    assert act(client, DO_IRQ, 0, 6) == 0
    expect(errno.EINVAL, client.set_irqs, 0x24, MSIX, 39, 2)
    for fd in fds:
        os.close(fd)


def test_dma_mapped(client: Client, memory: tuple[int, mmap.mmap]) -> None:
    """The device works in our file, at the offset that we gave."""
    fd, mem = memory
    client.dma_map(0x100000, 0x2000, fd=fd, offset=0x3000)
    mem[0x4010:0x4018] = b"in place"
    assert act(client, DO_READ, 0x101010) == 0
    assert client.read(BAR0, DATA, 8) == b"in place"
    client.write(BAR0, DATA, b"changed!")
    assert act(client, DO_WRITE, 0x101ff8) == 0
    assert mem[0x4ff8:0x5000] == b"changed!"
    assert act(client, DO_WRITE, 0x101ffc) == -errno.EFAULT
    client.dma_unmap(0x100000, 0x2000)
    assert act(client, DO_READ, 0x101010) == -errno.EFAULT


def test_dma_messages(client: Client) -> None:
    """Without a file the device asks for each piece; errors of ours reach it."""
    mem = bytearray(os.urandom(0x80000))
    seen: list[tuple[int, int, int]] = []

    def serve(message: Message) -> bytes | int:
        addr, count = struct.unpack_from("=QQ", message.payload)
        seen.append((message.command, addr, count))
        if addr < 0x100000:
            return errno.EPERM
        start = addr - 0x100000
        if message.command == Command.DMA_READ:
            assert len(message.payload) == 16
            return message.payload + mem[start:start + count]
        assert message.command == Command.DMA_WRITE and len(message.payload) == 16 + count
        mem[start:start + count] = message.payload[16:]
        return message.payload[:16]

    client.on_dma = serve
    client.dma_map(0x100000, 0x80000)
    client.dma_map(0, PAGE)
    assert act(client, DO_READ, 0x100123) == 0
    assert client.read(BAR0, DATA, 8) == mem[0x123:0x12b]
    client.write(BAR0, DATA, b"by a msg")
    assert act(client, DO_WRITE, 0x17fff8) == 0
    assert mem[-8:] == b"by a msg"
    assert act(client, DO_BULK, 0x110000) == 0
    assert struct.unpack("=Q", client.read(BAR0, DATA, 8))[0] == sum(mem[0x10000:0x50000])
    assert act(client, DO_READ, 0) == -errno.EPERM
    assert [command for command, _, _ in seen] == [11, 12, 11, 11]


def test_commands_behind_dma(path: pathlib.Path) -> None:
    """Commands sent while the device waits for our answer are done later, in their order."""
    client = Client(path)
    client.dma_map(0x100000, PAGE)
    client.write(BAR0, IOVA, struct.pack("=Q", 0x100000))

    def wr(offset: int, data: bytes, flags: int = 0) -> int:
        head = struct.pack("=QII", offset, BAR0, len(data))
        return client.post(Command.REGION_WRITE, head + data, flags=flags)

    def serve(message: Message) -> bytes:
        # Only now do we answer: all that follows was sent before.
        return message.payload + b"latelate"

    first = wr(DO_READ, bytes(4))
    ids = [wr(0x1000 + 8 * i, struct.pack("=Q", i)) for i in range(100)]
    for i in range(50):
        wr(0x2000, struct.pack("=I", i), NO_REPLY)
    client.on_dma = serve
    client.take(first, Command.REGION_WRITE)
    for ident in ids:
        client.take(ident, Command.REGION_WRITE)
    assert client.read(BAR0, DATA, 8) == b"latelate"
    assert client.read(BAR0, 0x1000, 800) == b"".join(struct.pack("=Q", i) for i in range(100))
    assert client.read(BAR0, 0x2000, 4) == struct.pack("=I", 49)
    client.close()


def test_migration(client: Client) -> None:
    """The device's state out, and in again, through messages."""
    assert client.feature(0x10001, room=8) == struct.pack("=Q", 7)
    blob = b""
    client.feature(0x20002, struct.pack("=II", 3, 0))
    assert client.feature(0x10002, room=8)[:4] == struct.pack("=I", 3)
    while True:
        reply = client.ask(Command.MIG_DATA_READ, struct.pack("=II", 8 + 700, 700)).payload
        argsz, size = struct.unpack_from("=II", reply)
        assert argsz == len(reply) == 8 + size
        blob += reply[8:]
        if size < 700:
            break
    assert blob == bytes((i * 7 + 1) & 0xff for i in range(3000))
    client.feature(0x20002, struct.pack("=II", 4, 0))
    client.ask(Command.MIG_DATA_WRITE, struct.pack("=II", 8 + len(blob), len(blob)) + blob)
    client.feature(0x20002, struct.pack("=II", 1, 0))
    expect(errno.ENOTTY, client.feature, 0x50003)
    expect(errno.EINVAL, client.feature, 0x60001)
    expect(errno.EINVAL, client.feature, 0x20002, struct.pack("=II", 8, 0))


def test_logging(client: Client, memory: tuple[int, mmap.mmap]) -> None:
    """Bit n of the bitmap is page n of the range asked for."""
    client.dma_map(0x40000, 1 << 20, fd=memory[0])
    ranges = struct.pack("=QIIQQ", PAGE, 1, 0, 0x40000, 1 << 20)
    assert client.feature(0x20006, ranges) == ranges
    for page in (0x41, 0x7f, 0x80, 0x13f):
        assert act(client, DO_WRITE, page * PAGE + 8) == 0
    ask = struct.pack("=QQQ", 0x41000, 0xff000, PAGE)
    got = client.feature(0x10008, ask, 24 + 32)
    assert got[:24] == ask and len(got) == 24 + 32
    bits = int.from_bytes(got[24:], "little")
    assert [0x41 + n for n in range(256) if bits >> n & 1] == [0x41, 0x7f, 0x80, 0x13f]
    assert int.from_bytes(client.feature(0x10008, ask, 24 + 32)[24:], "little") == 0
    client.feature(0x20007)


def test_one_at_a_time(path: pathlib.Path) -> None:
    """A second client is served when the first has gone; mappings do not survive."""
    first = Client(path)
    first.dma_map(0x5000, PAGE)
    first.close()
    for _ in range(30):
        client = Client(path)
        assert act(client, DO_READ, 0x5000) == -errno.EFAULT
        client.dma_map(0x5000, PAGE)
        client.close()


RANGES = st.tuples(st.integers(0, 11), st.integers(0, 4))


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(
    st.tuples(st.just("map"), RANGES), st.tuples(st.just("unmap"), RANGES),
    st.tuples(st.just("all"), st.just((0, 0)))), max_size=40))
def test_dma_table(path: pathlib.Path, steps: list[tuple[str, tuple[int, int]]]) -> None:
    """Any sequence of maps and unmaps against a set of pages; then each page is looked at."""
    fd = os.memfd_create("guest")
    os.ftruncate(fd, 16 * PAGE)
    for page in range(16):
        os.pwrite(fd, struct.pack("=Q", 0xabc0 + page), page * PAGE)
    client = Client(path)
    maps: dict[int, int] = {}
    try:
        for what, (start, count) in steps:
            covered = {page for at, pages in maps.items() for page in range(at, at + pages)}
            args = (start * PAGE, count * PAGE)
            if what == "all":
                client.dma_unmap(0, 0, 2)
                maps.clear()
            elif what == "unmap":
                if count and maps.get(start) == count:
                    client.dma_unmap(*args)
                    del maps[start]
                else:
                    expect(errno.ENOENT, client.dma_unmap, *args)
            elif count == 0:
                expect(errno.EINVAL, client.dma_map, *args, 3, fd, args[0])
            elif covered & set(range(start, start + count)):
                expect(errno.EEXIST, client.dma_map, *args, 3, fd, args[0])
            elif len(maps) == MAX_MAPS:
                expect(errno.ENOSPC, client.dma_map, *args, 3, fd, args[0])
            else:
                client.dma_map(*args, 3, fd, args[0])
                maps[start] = count
        covered = {page for at, pages in maps.items() for page in range(at, at + pages)}
        for page in range(16):
            assert act(client, DO_READ, page * PAGE) == (0 if page in covered else -errno.EFAULT)
            if page in covered:
                assert client.read(BAR0, DATA, 8) == struct.pack("=Q", 0xabc0 + page)
    finally:
        client.close()
        os.close(fd)


def test_driver_less_model(tmp_path: pathlib.Path) -> None:
    """The shipped device program speaks the same protocol."""
    program = BUILD / "app/devmodel/dpdk-lm-devmodel"
    if not program.exists():
        pytest.skip("no dpdk-lm-devmodel in this build")
    path = tmp_path / "net"
    with subprocess.Popen([program, "virtio-net", "--socket", path],
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().split() == ["ready", os.fspath(path)]
            client = Client(path)
            assert client.device_info()[1:] == (9, 5)
            assert client.read(CONFIG, 0, 4) == bytes.fromhex("f41a4110")
            client.close()
            process.terminate()
            assert process.wait(5) == 0
            assert not path.exists()
        finally:
            process.kill()
