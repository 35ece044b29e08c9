#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Instructions per descriptor of the relay's two halves, beside rte_vdpa_relay_vring_used().

Counted by callgrind inside the named functions only, so the figures repeat exactly. The gate is
on the used half with logging, the only part that both have: ours must not need more.

A second table: instructions, and nanoseconds of CPU time as medians of ten, per frame in one
descriptor, beside what net_vhost does for it on the same front end; "kept" is with positions=.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BURST = 32
AVAIL = "virtio_vdpa_relay_avail_burst"
USED = "virtio_vdpa_relay_used_burst"
DPDK = "rte_vdpa_relay_vring_used"


def count(program: str, who: str, function: str, chain: int, log: int, rounds: int,
          size: int = 64) -> int:
    """Instructions inside one function, callees included."""
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp) / "callgrind"
        subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}",
             "--collect-atstart=no", f"--toggle-collect={function}",
             program, who, str(chain), str(log), str(rounds), str(size)],
            check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        match = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
    if match is None or int(match.group(1)) == 0:
        raise RuntimeError(f"callgrind saw nothing of {function}")
    return int(match.group(1))


def per_desc(program: str, who: str, function: str, chain: int, log: int, size: int = 64
             ) -> float:
    """Between two lengths of run, so that set-up cancels out."""
    few, many = 8, 40
    diff = (count(program, who, function, chain, log, many, size)
            - count(program, who, function, chain, log, few, size))
    return diff / ((many - few) * BURST * chain)


def nanoseconds(program: str, who: str, log: int, size: int) -> float:
    """Median of ten runs."""
    times = [float(subprocess.run([program, who, "1", str(log), "2000", str(size)], check=True,
                                  timeout=60, capture_output=True, text=True).stdout.split()[-1])
             for _ in range(10)]
    return statistics.median(times)


def frames(program: str) -> None:
    """The second table."""
    print("\nper frame in one descriptor, one thread")
    print(f"{'who':<16} {'bytes':>6} {'log':>4} {'instructions':>13} {'ns':>7}")
    for who, name, functions in (
            ("ours", "relay, split", (AVAIL, USED)), ("packed", "relay, packed", (AVAIL, USED)),
            ("kept", "packed, kept", (AVAIL, USED)),
            ("rx", "net_vhost, Rx", ("rte_vhost_enqueue_burst",)),
            ("tx", "net_vhost, Tx", ("rte_vhost_dequeue_burst",))):
        for size in (64, 1518):
            for log in (0, 1):
                work = sum(per_desc(program, who, f, 1, log, size) for f in functions)
                print(f"{name:<16} {size:>6} {'on' if log else 'off':>4} {work:>13.1f} "
                      f"{nanoseconds(program, who, log, size):>7.1f}", flush=True)


def main() -> int:
    """Print the table; 1 when the gate is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the bench_relay executable")
    program = parser.parse_args().program
    print("instructions per descriptor, bursts of 32 chains")
    print(f"{'chain':>5} {'log':>4} {'ring':>7} {'available':>10} {'used':>8} {'DPDK used':>10} "
          f"{'ratio':>6}")
    worst = 0.0
    for chain in (1, 2, 4):
        for log in (0, 1):
            dpdk = per_desc(program, "dpdk", DPDK, chain, log) if log else 0.0
            for who, ring in (("ours", "split"), ("packed", "packed")):
                avail = per_desc(program, who, AVAIL, chain, log)
                used = per_desc(program, who, USED, chain, log)
                row = (f"{chain:>5} {'on' if log else 'off':>4} {ring:>7} {avail:>10.1f} "
                       f"{used:>8.1f}")
                if log:
                    worst = max(worst, used / dpdk)
                    row += f" {dpdk:>10.1f} {used / dpdk:>6.2f}"
                print(row, flush=True)
    frames(program)
    if worst > 1.0:
        print(f"FAILED: the used half needs {worst:.2f} times DPDK's instructions")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
