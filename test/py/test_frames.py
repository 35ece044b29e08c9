# SPDX-License-Identifier: BSD-3-Clause
"""C's frames against the oracle: a wrong offset, byte order, checksum or swap on both C sides."""

import os
import pathlib
import random
import subprocess
from collections.abc import Iterator

import pytest

import frame_oracle as oracle

BUILD = pathlib.Path(os.environ.get("DPDK_LM_BUILD", pathlib.Path(__file__).parents[2] / "build"))
GUEST_MAC = bytes.fromhex("525400123456")
SIZES = (*range(74, 100), 127, 128, 129, 576, 1513, 1514, 9014, 65535, 65549)


class Tool:
    """The C helper, a line in and a line out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, *words: object) -> str:
        """Send a command, return the answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture(name="tool", scope="module")
def fixture_tool() -> Iterator[Tool]:
    """The running helper."""
    with subprocess.Popen([BUILD / "test/py/frame-tool"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Tool(process)
        finally:
            process.kill()


def cases() -> Iterator[tuple[int, int, int, int]]:
    """(flow, seq, t_ns, size)"""
    rng = random.Random(1)
    for size in SIZES:
        yield rng.randrange(4096), rng.getrandbits(rng.randrange(1, 65)), rng.getrandbits(62), size


@pytest.mark.parametrize("kind", (oracle.REQUEST, oracle.ECHO))
def test_build(tool: Tool, kind: int) -> None:
    """Each byte of a frame is what the description says."""
    for flow, seq, t_ns, size in cases():
        want = oracle.build(kind, flow, seq, t_ns, size, GUEST_MAC)
        assert len(want) == size
        assert oracle.checksum(want[14:34]) == 0
        macs = (GUEST_MAC, oracle.GEN_MAC)
        dst, src = macs if kind == oracle.REQUEST else macs[::-1]
        got = tool.ask("build", kind, flow, seq, t_ns, size, dst.hex(), src.hex())
        assert got == want.hex(), f"size {size}"


def test_check_and_echo(tool: Tool) -> None:
    """A request of the oracle is good, and its echo is the oracle's echo."""
    for flow, seq, t_ns, size in cases():
        args = (flow, seq, t_ns, size, GUEST_MAC)
        request = oracle.build(oracle.REQUEST, *args).hex()
        macs = (GUEST_MAC.hex(), oracle.GEN_MAC.hex())
        assert tool.ask("check", oracle.REQUEST, *macs, request) == "good"
        assert tool.ask("check", oracle.ECHO, *macs, request) == "corrupt"
        assert tool.ask("check", oracle.REQUEST, *macs[::-1], request) == "corrupt"
        assert tool.ask("echo", *macs, request) == oracle.build(oracle.ECHO, *args).hex()


def test_zero_udp_checksum(tool: Tool) -> None:
    """A sum of 0 is sent as 0xffff: 0 would say that there is none (RFC 768)."""
    for t_ns in range(1 << 18):
        frame = oracle.build(oracle.REQUEST, 0, 0, t_ns, 74, GUEST_MAC)
        if frame[40:42] == b"\xff\xff":
            break
    else:
        pytest.fail("no such frame")
    got = tool.ask("build", oracle.REQUEST, 0, 0, t_ns, 74, GUEST_MAC.hex(), oracle.GEN_MAC.hex())
    assert got == frame.hex()


def test_corrupt(tool: Tool) -> None:
    """Each byte of a frame matters."""
    frame = oracle.build(oracle.REQUEST, 3, 12345, 678, 101, GUEST_MAC)
    macs = (GUEST_MAC.hex(), oracle.GEN_MAC.hex())
    for at in range(len(frame)):
        for flip in (1, 0x80, 0xFF):
            bad = bytearray(frame)
            bad[at] ^= flip
            assert tool.ask("check", oracle.REQUEST, *macs, bad.hex()) == "corrupt", f"byte {at}"
    rarp = b"\xff" * 6 + GUEST_MAC + b"\x80\x35" + bytes(46)
    assert tool.ask("check", oracle.REQUEST, *macs, rarp.hex()) == "foreign"
