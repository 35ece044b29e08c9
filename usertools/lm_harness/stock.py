# SPDX-License-Identifier: BSD-3-Clause
"""The same two hosts with DPDK's own testpmd and net_vhost: the software switch to compare with."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from .base import HarnessError
from .process import Process
from .testbed import READY_S, Config, Side, Testbed

TESTPMD = os.environ.get("DPDK_LM_TESTPMD", "dpdk-testpmd")


class StockTestbed(Testbed):
    """
    testpmd forwards between net_vhost (to QEMU) and net_af_packet on a tap device whose other
    end is the generator's. Guest, QEMU, generator and measure are the same as ours.
    """

    stock_sides: tuple[str, ...] = ("A", "B")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if shutil.which(TESTPMD) is None:
            raise HarnessError(f"no {TESTPMD}; it is in Debian's package 'dpdk-dev'")

    def _tap(self, side: Side) -> str:
        return f"lm{os.getpid() % 100000}{side.name}"

    def wire_of(self, side: Side) -> str:
        return f"tap:{self._tap(side)}" if side.name in self.stock_sides else super().wire_of(side)

    def start_traffic(self) -> None:
        """The host's own IPv6 would speak on the taps, too."""
        super().start_traffic()
        for name in self.stock_sides:
            knob = Path(f"/proc/sys/net/ipv6/conf/{self._tap(self.sides[name])}/disable_ipv6")
            if knob.exists():
                knob.write_text("1")

    def start_model(self, side: Side) -> None:
        """Where the switch is software, there is no function."""
        if side.name not in self.stock_sides:
            super().start_model(side)

    def start_backend(self, side: Side, extra: str = "") -> None:
        if side.name not in self.stock_sides:
            super().start_backend(side, extra)
            return
        queues = self.config.queues
        runtime = self.directory / f"run-{side.name}{side.generation}"
        runtime.mkdir()
        side.generation += 1
        argv = [TESTPMD, "-l", "0,1", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
                "--file-prefix", f"stock{side.name}",
                "--vdev", f"net_vhost0,iface={side.path('vhost')},queues={queues}",
                "--vdev", f"net_af_packet0,iface={self._tap(side)},qpairs={queues}",
                "--", "--forward-mode=io", "--auto-start", "--stats-period=86400",
                "--disable-link-check",
                f"--rxq={queues}", f"--txq={queues}", "--total-num-mbufs=16384"]
        side.backend = self._own(Process(f"testpmd {side.name}", argv,
                                         self._log(f"testpmd-{side.name}"),
                                         env={"RUNTIME_DIRECTORY": str(runtime)}))
        side.backend.wait_line("VHOST_CONFIG.*binding succeeded", READY_S)


class PeerTestbed(StockTestbed):
    """Our back end on side A, stock testpmd on side B: either can be the other's destination."""

    stock_sides = ("B",)
    # What both offer; QEMU refuses a destination that lacks what its guest uses.
    device_options = ("csum=off,guest_csum=off,gso=off,host_tso4=off,host_tso6=off,guest_tso4=off,"
                      "guest_tso6=off,host_ecn=off,guest_ecn=off,host_ufo=off,guest_ufo=off,"
                      "guest_announce=off")

    def __init__(self, config: Config) -> None:
        options = ",".join(filter(None, [config.device_options, self.device_options]))
        super().__init__(replace(config, device_options=options))
