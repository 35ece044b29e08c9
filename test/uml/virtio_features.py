# SPDX-License-Identifier: BSD-3-Clause
"""Feature bits of the virtio-net model, and masks of them."""

from __future__ import annotations

# VIRTIO 1.3, 5.1.3 and 6: what the model offers and Linux knows.
FEATURES = {
    "CSUM": 0, "GUEST_CSUM": 1, "CTRL_GUEST_OFFLOADS": 2, "MTU": 3, "MAC": 5, "GUEST_TSO4": 7,
    "GUEST_TSO6": 8, "GUEST_ECN": 9, "HOST_TSO4": 11, "HOST_TSO6": 12, "HOST_ECN": 13,
    "MRG_RXBUF": 15, "STATUS": 16, "CTRL_VQ": 17, "CTRL_RX": 18, "CTRL_VLAN": 19,
    "GUEST_ANNOUNCE": 21, "MQ": 22, "CTRL_MAC_ADDR": 23, "INDIRECT_DESC": 28, "EVENT_IDX": 29,
    "ACCESS_PLATFORM": 33, "RING_PACKED": 34, "IN_ORDER": 35, "RING_RESET": 40,
    "HASH_REPORT": 57, "RSS": 60, "SPEED_DUPLEX": 63,
}
RINGS = {
    "split": ("RING_PACKED", "IN_ORDER"), "split-in-order": ("RING_PACKED",),
    "packed": ("IN_ORDER",), "packed-in-order": (),
}
NOT_LINUX = 1 << 20  # CTRL_RX_EXTRA
VERSION_1 = 1 << 32
ALL = sum(1 << bit for bit in FEATURES.values()) | VERSION_1


def without(*names: str) -> str:
    """A mask for the model."""
    return f"{ALL & ~sum(1 << FEATURES[name] for name in names):x}"
