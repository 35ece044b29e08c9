# SPDX-License-Identifier: BSD-3-Clause
"""Print the ABI major of a DPDK version: 22.11.x -> 23, 24.11 -> 25 (one a year, from 20.11)."""

import sys

year, month = (int(part) for part in sys.argv[1].split(".")[:2])
print(year + 1 if month >= 11 else year)
