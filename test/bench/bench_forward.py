#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Frames a second through the vDPA driver, direct and relayed, beside stock net_vhost.

One front end for all: stock testpmd with net_virtio_user, which sends frames that come back to it.
Ours is a model with a loop for a cable, and dpdk-test-lm serve; the other is a second testpmd, with
net_vhost, that forwards to where it came from. Medians of ten windows; with more polling threads
than cores only the ratios of one run mean something.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "usertools"))

from lm_harness.control import Telemetry  # noqa: E402
from lm_harness.process import Process  # noqa: E402

WINDOWS = 10
WINDOW_S = 0.3
READY_S = 20.0
SKIPPED = 77
MAC = "52:54:00:4c:4d:01"
EAL = ["--no-huge", "-m", "192", "--no-pci", "--no-telemetry"]

Start = Callable[..., Process]


def start_ours(start: Start, build: Path, run: Path, devargs: str) -> Telemetry:
    """A model and dpdk-test-lm serve."""
    model = start("model", build / "app/devmodel/dpdk-lm-devmodel", "virtio-net", "--socket",
                  run / "vfu", "--wire", "loop")
    model.wait_line("^ready", READY_S)
    device = f"socket={run / 'vfu'}" + (f",{devargs}" if devargs else "")
    backend = start("back-end", build / "app/test-lm/dpdk-test-lm", "serve", "--device", device,
                    "--vhost", run / "vhost", "--file-prefix", "lm")
    backend.wait_line("^ready", READY_S)
    return Telemetry("back end", str(run / "dpdk/lm/dpdk_telemetry.v2"))


def start_stock(start: Start, testpmd: str, run: Path) -> None:
    """A testpmd that sends back what comes; without a terminal it runs until it is ended."""
    start("net_vhost", testpmd, "-l", "0,1", "--main-lcore", "1", *EAL,
          "--file-prefix", "vhost", "--vdev", f"net_vhost0,iface={run / 'vhost'}", "--",
          "--forward-mode=io", "--total-num-mbufs=4096", "--stats-period", "600")
    deadline = time.monotonic() + READY_S
    while not (run / "vhost").exists():
        if time.monotonic() > deadline:
            raise RuntimeError("net_vhost makes no socket")
        time.sleep(0.05)


class Front:
    """testpmd with net_virtio_user, at its prompt."""

    def __init__(self, testpmd: str, run: Path, packed: bool) -> None:
        options = f"path={run / 'vhost'},queues=1,queue_size=256,mac={MAC},packed_vq={packed:d}"
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", testpmd, "-l", "0,1", *EAL, "--file-prefix", "front", "--vdev",
             f"net_virtio_user0,{options}", "--", "-i", "--forward-mode=io",
             "--total-num-mbufs=4096"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={"PATH": "/usr/bin:/bin", "RUNTIME_DIRECTORY": str(run)})
        self.until("testpmd> ")

    def until(self, what: str) -> str:
        """What is printed up to here; the prompt has no end of line."""
        assert self.process.stdout is not None
        text = ""
        while not text.endswith(what):
            char = self.process.stdout.read(1)
            if char == "":
                raise RuntimeError(f"testpmd ended: {text[-500:]}")
            text += char
        return text

    def ask(self, command: str) -> str:
        """One command."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.until("testpmd> ")

    def received(self) -> tuple[int, float]:
        """Frames so far, and when."""
        match = re.search(r"RX-packets: (\d+)", self.ask("show port stats 0"))
        assert match is not None
        return int(match.group(1)), time.monotonic()

    def close(self) -> None:
        """Whatever it does."""
        self.process.kill()
        self.process.wait(10)


def measure(front: Front, size: int) -> list[float]:
    """Millions of frames a second, a window each."""
    front.ask(f"set txpkts {size}")
    front.ask("start tx_first 4")
    time.sleep(WINDOW_S)
    rates = []
    for _ in range(WINDOWS):
        first, begin = front.received()
        time.sleep(WINDOW_S)
        last, end = front.received()
        rates.append((last - first) / (end - begin) / 1e6)
    front.ask("stop")
    return rates


def one(build: Path, testpmd: str, who: str, packed: bool) -> None:
    """A row for each size."""
    with ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))

        def start(name: str, *argv: object) -> Process:
            env = {"RUNTIME_DIRECTORY": str(run), "DPDK_LM_BUILD": str(build)}
            process = Process(name, [str(a) for a in argv], run / f"{name}.log", env)
            stack.callback(process.close)
            return process

        telemetry = None
        if who == "net_vhost":
            start_stock(start, testpmd, run)
        else:
            devargs = "relay=1,relay_cpus=0" if who == "relay" else ""
            telemetry = start_ours(start, build, run, devargs)
        front = Front(testpmd, run, packed)
        stack.callback(front.close)
        for size in (64, 1518):
            rates = measure(front, size)
            print(f"{who:<10} {'packed' if packed else 'split':<7} {size:>5} "
                  f"{statistics.median(rates):>8.3f} {min(rates):>8.3f} {max(rates):>8.3f}",
                  flush=True)
            if statistics.median(rates) == 0:
                raise RuntimeError("no frame came back")
        if telemetry is not None:
            info = telemetry.get("/lm/info,vdpa_virtio_pci0")
            if not str(info["queue0"]).startswith("direct" if who == "direct" else "relay"):
                raise RuntimeError(f"wanted {who}, it is {info['queue0']}")
            telemetry.close()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build-dir", type=Path, required=True)
    build = parser.parse_args().build_dir.resolve()
    testpmd = shutil.which("dpdk-testpmd")
    if testpmd is None:
        print("skipped: no dpdk-testpmd (Debian's package dpdk-dev)")
        return SKIPPED
    print(f"{'back end':<10} {'ring':<7} {'bytes':>5} {'Mframes/s':>8} {'least':>8} {'most':>8}")
    for who, packed in (("direct", False), ("relay", False), ("relay", True),
                        ("net_vhost", False), ("net_vhost", True)):
        one(build, testpmd, who, packed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
