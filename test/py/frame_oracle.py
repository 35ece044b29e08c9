# SPDX-License-Identifier: BSD-3-Clause
"""Test frames built and judged from their description alone, by code that shares nothing with C.

Ethernet II, IPv4 (RFC 791), UDP (RFC 768) and the Internet checksum (RFC 1071), then the header
and payload that app/devmodel/dm_frame_if.h describes.
"""

import struct

MAGIC = 0x4C4D4652
REQUEST, ECHO = 1, 2
GEN_MAC = bytes.fromhex("024c4d000001")
GEN_IP, GUEST_IP = bytes([10, 77, 0, 1]), bytes([10, 77, 0, 2])
UDP_PORT, SRC_PORT = 7777, 20000
HEADERS = 74
MASK = (1 << 64) - 1


def payload(flow: int, seq: int, length: int) -> bytes:
    """The bytes after the header."""
    out = bytearray()
    for index in range((length + 7) // 8):
        x = (seq * 0x9E3779B97F4A7C15 + (flow << 48) + index) & MASK
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
        out += struct.pack("<Q", x ^ x >> 31)
    return bytes(out[:length])


def checksum(data: bytes) -> int:
    """Internet checksum; over data that holds its own checksum it is 0."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def build(kind: int, flow: int, seq: int, t_ns: int, size: int, guest_mac: bytes) -> bytes:
    """A whole frame of size bytes."""
    body = payload(flow, seq, size - HEADERS)
    app = struct.pack("<IHHQQII", MAGIC, kind, flow, seq, t_ns, len(body), 0) + body
    ports, ips, macs = (SRC_PORT + flow, UDP_PORT), (GEN_IP, GUEST_IP), (guest_mac, GEN_MAC)
    if kind == ECHO:
        ports, ips, macs = ports[::-1], ips[::-1], macs[::-1]
    udp_len = 8 + len(app)
    pseudo = ips[0] + ips[1] + struct.pack(">HH", 17, udp_len)
    head = struct.pack(">HHHH", *ports, udp_len, 0)
    udp_sum = checksum(pseudo + head + app) or 0xFFFF
    udp = struct.pack(">HHHH", *ports, udp_len, udp_sum) + app
    fields = (0x45, 0, 20 + udp_len, 0, 0x4000, 64, 17)
    ip = struct.pack(">BBHHHBBH4s4s", *fields, 0, *ips)
    ip = struct.pack(">BBHHHBBH4s4s", *fields, checksum(ip), *ips)
    return macs[0] + macs[1] + b"\x08\0" + ip + udp


def parse(frame: bytes) -> tuple[int, int, int, int]:
    """(type, flow, seq, t_ns) of a frame's header, unchecked."""
    return struct.unpack_from("<HHQQ", frame, 46)
