# SPDX-License-Identifier: BSD-3-Clause
"""The same two hosts with DPDK's own testpmd and net_vhost: the software switch to compare with."""

from __future__ import annotations

import os
import shutil

from .base import HarnessError
from .process import Process
from .testbed import READY_S, Config, Side, Testbed

TESTPMD = os.environ.get("DPDK_LM_TESTPMD", "dpdk-testpmd")


class StockTestbed(Testbed):
    """
    testpmd forwards between net_vhost (to QEMU) and net_af_packet on a tap device whose other
    end is the generator's. Guest, QEMU, generator and measure are the same as ours.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if shutil.which(TESTPMD) is None:
            raise HarnessError(f"no {TESTPMD}; it is in Debian's package 'dpdk-dev'")

    def _tap(self, side: Side) -> str:
        return f"lm{os.getpid() % 100000}{side.name}"

    def wire_of(self, side: Side) -> str:
        return f"tap:{self._tap(side)}"

    def start_model(self, side: Side) -> None:
        """No function here: the switch is software."""

    def start_backend(self, side: Side, extra: str = "") -> None:
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
