# SPDX-License-Identifier: BSD-3-Clause
"""vhost-user messages, front-end side, from the vhost-user specification."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Sequence

GET_FEATURES = 1
SET_FEATURES = 2
SET_OWNER = 3
SET_MEM_TABLE = 5
SET_LOG_BASE = 6
SET_VRING_NUM = 8
SET_VRING_ADDR = 9
SET_VRING_BASE = 10
GET_VRING_BASE = 11
SET_VRING_KICK = 12
SET_VRING_CALL = 13
SET_VRING_ERR = 14
GET_PROTOCOL_FEATURES = 15
SET_PROTOCOL_FEATURES = 16
GET_QUEUE_NUM = 17
SET_VRING_ENABLE = 18
SEND_RARP = 19
SET_BACKEND_REQ_FD = 21
BACKEND_VRING_HOST_NOTIFIER = 3
SET_STATUS = 39
GET_STATUS = 40

F_LOG_ALL = 1 << 26
F_PROTOCOL_FEATURES = 1 << 30

VERSION = 0x1
REPLY = 0x4
NEED_REPLY = 0x8
HEADER = struct.Struct("<III")
NOFD = 0x100


class Channel:
    """One vhost-user connection; every exchange has a deadline."""

    def __init__(self, where: str | socket.socket, timeout: float = 10.0) -> None:
        """A path to connect to, or a connection."""
        if isinstance(where, socket.socket):
            self.sock = where
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(where)

    def close(self) -> None:
        self.sock.close()

    def send(self, request: int, payload: bytes = b"", fds: Sequence[int] = (),
             flags: int = 0) -> None:
        message = HEADER.pack(request, VERSION | flags, len(payload)) + payload
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        self.sock.sendmsg([message], ancillary)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if not part:
                raise ConnectionError("the back end closed the connection")
            data += part
        return data

    def reply(self, request: int) -> bytes:
        got, flags, size = HEADER.unpack(self._exactly(HEADER.size))
        assert got == request and flags & REPLY, f"reply {got} to {request}"
        return self._exactly(size)

    def ask(self, request: int, payload: bytes = b"", fds: Sequence[int] = ()) -> bytes:
        """A message that has a reply of its own."""
        self.send(request, payload, fds)
        return self.reply(request)

    def ask_u64(self, request: int) -> int:
        return int(struct.unpack("<Q", self.ask(request))[0])

    def acked(self, request: int, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """A message whose success is asked for (REPLY_ACK)."""
        self.send(request, payload, fds, NEED_REPLY)
        result = struct.unpack("<Q", self.reply(request))[0]
        assert result == 0, f"request {request} refused"

    def u64(self, request: int, value: int) -> None:
        self.send(request, struct.pack("<Q", value))

    def state(self, request: int, index: int, value: int) -> None:
        self.send(request, struct.pack("<II", index, value))

    def vring_fd(self, request: int, index: int, fd: int) -> None:
        self.send(request, struct.pack("<Q", index), [fd])


def eventfd() -> int:
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
