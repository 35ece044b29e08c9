# SPDX-License-Identifier: BSD-3-Clause
"""A vfio-user client written from the specification (QEMU's docs/interop/vfio-user.rst).

It shares nothing with the C library, so that a layout that both C halves have wrong is seen.
"""

import array
import dataclasses
import enum
import json
import os
import socket
import struct
from collections.abc import Callable, Sequence

HEADER = struct.Struct("=HHIII")
REPLY, NO_REPLY, ERROR = 1, 0x10, 0x20
MAX_FDS = 32


class Command(enum.IntEnum):
    """The specification's table of commands."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    GET_INFO = 4
    GET_REGION_INFO = 5
    GET_REGION_IO_FDS = 6
    GET_IRQ_INFO = 7
    SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DMA_READ = 11
    DMA_WRITE = 12
    RESET = 13
    WRITE_MULTI = 15
    FEATURE = 16
    MIG_DATA_READ = 17
    MIG_DATA_WRITE = 18


@dataclasses.dataclass
class Message:
    """One message as it was on the wire."""

    ident: int
    command: int
    flags: int
    error: int
    payload: bytes
    fds: list[int]


@dataclasses.dataclass
class Region:
    """What GET_REGION_INFO says; areas is None without a sparse capability."""

    flags: int
    size: int
    offset: int
    areas: list[tuple[int, int]] | None
    fds: list[int]


def receive(sock: socket.socket) -> Message:
    """Exactly one message, with its descriptors."""
    head, ancillary, flags, _ = sock.recvmsg(HEADER.size, socket.CMSG_SPACE(4 * MAX_FDS))
    if not head:
        raise ConnectionResetError("end of stream")
    assert not flags & socket.MSG_CTRUNC
    fds = array.array("i")
    for level, kind, data in ancillary:
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        fds.frombytes(data)
    while len(head) < HEADER.size:
        head += sock.recv(HEADER.size - len(head))
    ident, command, size, mflags, error = HEADER.unpack(head)
    payload = b""
    while len(payload) < size - HEADER.size:
        more = sock.recv(size - HEADER.size - len(payload))
        assert more, "end of stream inside a message"
        payload += more
    return Message(ident, command, mflags, error, payload, list(fds))


def send(sock: socket.socket, ident: int, command: int, flags: int, payload: bytes = b"",
         fds: Sequence[int] = (), error: int = 0) -> None:
    """One message in one sendmsg."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    data = HEADER.pack(ident, command, HEADER.size + len(payload), flags, error) + payload
    sent = sock.sendmsg([data], rights)
    sock.sendall(data[sent:])


class Client:
    """Synchronous, except for post() and take()."""

    def __init__(self, path: os.PathLike[str] | str, twin: bool = False) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(os.fspath(path))
        self.commands = self.sock
        self.on_dma: Callable[[Message], bytes | int] | None = None
        self.next_id = 1000
        offer: dict[str, object] = {"max_msg_fds": 16, "max_data_xfer_size": 1 << 20,
                                    "write_multiple": True, "migration": {"pgsize": 4096}}
        if twin:
            offer["twin_socket"] = {"supported": True}
        reply = self.ask(Command.VERSION, struct.pack("=HH", 0, 1) +
                         json.dumps({"capabilities": offer}).encode() + b"\0")
        self.version = struct.unpack_from("=HH", reply.payload)
        assert reply.payload[-1] == 0
        self.caps = json.loads(reply.payload[4:-1])["capabilities"]
        if twin:
            assert self.caps["twin_socket"]["supported"] is True
            fd = reply.fds[self.caps["twin_socket"]["fd_index"]]
            self.commands = socket.socket(fileno=fd)
            self.commands.settimeout(5)

    def close(self) -> None:
        """End the connection."""
        self.commands.close()
        self.sock.close()

    def post(self, command: Command, payload: bytes = b"", fds: Sequence[int] = (),
             flags: int = 0) -> int:
        """Send a command without waiting. Returns its id."""
        self.next_id = (self.next_id + 1) & 0xffff
        send(self.sock, self.next_id, command, flags, payload, fds)
        return self.next_id

    def serve(self, message: Message) -> None:
        """Answer a command of the server."""
        assert self.on_dma is not None, f"unexpected {message}"
        answer = self.on_dma(message)
        if isinstance(answer, int):
            send(self.commands, message.ident, message.command, REPLY | ERROR, error=answer)
        else:
            send(self.commands, message.ident, message.command, REPLY, answer)

    def take(self, ident: int, command: Command) -> Message:
        """The reply to a command; serves the server's commands until it comes."""
        while True:
            if self.commands is not self.sock and self.on_dma is not None:
                self.commands.settimeout(0.01)
                try:
                    self.serve(receive(self.commands))
                    continue
                except TimeoutError:
                    pass
                finally:
                    self.commands.settimeout(5)
            message = receive(self.sock)
            if message.flags & 0xf == 0:
                assert self.commands is self.sock, "a command on the wrong socket"
                self.serve(message)
                continue
            assert (message.ident, message.command) == (ident, command)
            return message

    def ask(self, command: Command, payload: bytes = b"", fds: Sequence[int] = ()) -> Message:
        """Command and reply; raises OSError when the reply is an error."""
        message = self.take(self.post(command, payload, fds), command)
        if message.flags & ERROR:
            assert message.payload == b"" and message.fds == []
            raise OSError(message.error, os.strerror(message.error))
        return message

    def device_info(self) -> tuple[int, int, int]:
        """flags, regions, irqs"""
        argsz, *info = struct.unpack("=4I", self.ask(
            Command.GET_INFO, struct.pack("=4I", 16, 0, 0, 0)).payload)
        assert argsz == 16
        return info[0], info[1], info[2]

    def region_info(self, index: int, argsz: int = 4096) -> Region:
        """Information with capabilities where argsz suffices."""
        reply = self.ask(Command.GET_REGION_INFO,
                         struct.pack("=4I2Q", argsz, 0, index, 0, 0, 0))
        full, flags, back, cap, size, offset = struct.unpack_from("=4I2Q", reply.payload)
        assert back == index and len(reply.payload) <= argsz
        assert (full > argsz) == (len(reply.payload) < full)
        areas = None
        while flags & 8 and cap:
            ident, version, cap_next = struct.unpack_from("=HHI", reply.payload, cap)
            if ident == 1:
                assert version == 1
                count, = struct.unpack_from("=I", reply.payload, cap + 8)
                flat = struct.unpack_from(f"={2 * count}Q", reply.payload, cap + 16)
                areas = list(zip(flat[::2], flat[1::2]))
            cap = cap_next
        return Region(flags, size, offset, areas, reply.fds)

    def read(self, region: int, offset: int, count: int) -> bytes:
        """REGION_READ"""
        head = struct.pack("=QII", offset, region, count)
        reply = self.ask(Command.REGION_READ, head)
        assert reply.payload[:16] == head and len(reply.payload) == 16 + count
        return reply.payload[16:]

    def write(self, region: int, offset: int, data: bytes) -> None:
        """REGION_WRITE"""
        head = struct.pack("=QII", offset, region, len(data))
        assert self.ask(Command.REGION_WRITE, head + data).payload == head

    def set_irqs(self, flags: int, index: int, start: int, count: int, data: bytes = b"",
                 fds: Sequence[int] = ()) -> None:
        """SET_IRQS"""
        head = struct.pack("=5I", 20 + len(data), flags, index, start, count)
        assert self.ask(Command.SET_IRQS, head + data, fds).payload == b""

    def dma_map(self, addr: int, size: int, flags: int = 3, fd: int = -1, offset: int = 0) -> None:
        """DMA_MAP"""
        payload = struct.pack("=2I3Q", 32, flags, offset, addr, size)
        assert self.ask(Command.DMA_MAP, payload, [fd] if fd >= 0 else []).payload == b""

    def dma_unmap(self, addr: int, size: int, flags: int = 0) -> None:
        """DMA_UNMAP"""
        payload = struct.pack("=2I2Q", 24, flags, addr, size)
        assert self.ask(Command.DMA_UNMAP, payload).payload == payload

    def feature(self, flags: int, data: bytes = b"", room: int = 0) -> bytes:
        """DEVICE_FEATURE; room is what the reply's data may have."""
        head = struct.pack("=II", 8 + max(len(data), room), flags)
        reply = self.ask(Command.FEATURE, head + data).payload
        argsz, back = struct.unpack_from("=II", reply)
        assert back == flags and argsz == len(reply)
        return reply[8:]
