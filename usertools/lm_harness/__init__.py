# SPDX-License-Identifier: BSD-3-Clause
"""Start, drive and judge a live migration: processes, sockets, guests, accounting."""

from .base import Deadline, HarnessError

__all__ = ["Deadline", "HarnessError"]
