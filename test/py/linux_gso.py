#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""
What Linux makes of unfinished frames: run in a network namespace of its own, as its root.

Each line of input is a virtio-net header (10 bytes) and a frame, in hexadecimal; each line of
output the whole frames that came out of a veth pair without offloads, separated by blanks.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import subprocess
import sys

SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, ETH_P_ALL = 263, 8, 15, 3
SIOCETHTOOL, SET_TXCSUM, SET_TSO = 0x8946, 0x17, 0x1f
STATUS_VLAN_VALID, STATUS_VLAN_TPID_VALID = 0x10, 0x40
END = bytes.fromhex("020000000009" "020000000008" "88b5") + b"end of this one".ljust(50, b".")


def offload_off(name: str, command: int) -> None:
    value = ctypes.create_string_buffer(struct.pack("II", command, 0))
    ifreq = struct.pack("16sP", name.encode(), ctypes.addressof(value)).ljust(40, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, ifreq)


def receive(sock: socket.socket) -> bytes:
    """A frame; the kernel keeps its first VLAN tag beside it."""
    data, ancillary, _, _ = sock.recvmsg(1 << 17, 64)
    for _, kind, raw in ancillary:
        if kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", raw[:20])
            if status & STATUS_VLAN_VALID:
                tpid = tpid if status & STATUS_VLAN_TPID_VALID else 0x8100
                data = data[:12] + struct.pack(">HH", tpid, tci) + data[12:]
    return data


def main() -> None:
    for command in ("link add gso0 type veth peer name gso1", "link set gso0 up",
                    "link set gso1 up"):
        subprocess.run(["ip", *command.split()], check=True)
    for command in (SET_TSO, SET_TXCSUM):
        offload_off("gso0", command)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as here, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as there:
        here.bind(("gso0", 0))
        here.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        there.bind(("gso1", ETH_P_ALL))
        there.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        there.settimeout(10)
        for line in sys.stdin:
            unfinished = bytes.fromhex(line)
            mine = unfinished[16:22]
            here.send(unfinished)
            here.send(bytes(10) + END)
            out = []
            while (frame := receive(there)) != END:
                if frame[6:12] == mine:
                    out.append(frame.hex())
            print(" ".join(out), flush=True)


main()
