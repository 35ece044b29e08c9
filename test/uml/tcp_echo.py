# SPDX-License-Identifier: BSD-3-Clause
"""Runs inside Linux: 'serve' gives back what comes; 'call ADDRESS BYTES' sends, reads, compares."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading

PORT = 7007
PIECE = 1 << 16


def serve() -> None:
    with socket.create_server(("", PORT)) as listener:
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(PIECE):
                peer.sendall(data)


def call(address: str, count: int) -> bool:
    """Random bytes there and back."""
    with open("/dev/urandom", "rb") as source, socket.create_connection((address, PORT)) as peer:
        sent, got = hashlib.sha256(), hashlib.sha256()

        def send() -> None:
            left = count
            while left:
                data = source.read(min(PIECE, left))
                sent.update(data)
                peer.sendall(data)
                left -= len(data)
            peer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        while data := peer.recv(PIECE):
            got.update(data)
        thread.join()
    return sent.digest() == got.digest()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        sys.exit(0 if call(sys.argv[2], int(sys.argv[3])) else 1)
