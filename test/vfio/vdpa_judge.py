# SPDX-License-Identifier: BSD-3-Clause
"""
Runs inside a guest: the vDPA driver on a function that the guest's kernel gives through VFIO and an
IOMMU, with the small VM of test/py as its front end. The far end of the function's cable gives
every frame back.

    vdpa_judge.py PROGRAM BDF split|packed

Says what it did, an object a line; the last line is "judged" or a traceback.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "usertools"), str(TOP / "test/py")]

from lm_harness.control import Telemetry  # noqa: E402
from lm_harness.process import Process  # noqa: E402
from vdpa_traffic import Pump, Traffic, attach_to, everything, lost_pages, relayed  # noqa: E402
import vhost_frontend as vf  # noqa: E402

RUN = Path("/run")
VHOST = RUN / "vhost"
READY_S = 60.0
WRAP_S = 60.0
# An emulated machine on a busy one: a budget that runs out marks all memory, which hides much.
BUDGET = "stop_budget_ms=20000"


def say(step: str, **what: object) -> None:
    print(json.dumps({"step": step, **what}), flush=True)


class BackEnd:
    """dpdk-test-lm serve, with the function behind the kernel's VFIO."""

    def __init__(self, program: str, bdf: str, devargs: str, counts: Counter[str]) -> None:
        self._bdf = bdf
        self._counts = counts
        self._process = Process("serve", [program, "serve", "--device", f"{bdf},{devargs}",
                                          "--vhost", str(VHOST), "--file-prefix", "judge"],
                                RUN / "serve.log", {"RUNTIME_DIRECTORY": str(RUN)})
        self._process.wait_line(f"^ready {VHOST}", READY_S)
        self._telemetry = Telemetry("serve", str(RUN / "dpdk/judge/dpdk_telemetry.v2"))

    def stats(self) -> dict[str, Any]:
        return dict(self._telemetry.get(f"/lm/stats,{self._bdf}"))

    def modes(self) -> list[str]:
        info = self._telemetry.get(f"/lm/info,{self._bdf}")
        assert info["state"] != "lost", info
        return [info["queue0"], info["queue1"]]

    def traffic(self, **options: object) -> Traffic:
        """Of a new VM."""
        self._counts["vms"] += 1
        return Traffic(attach_to(str(VHOST), **options))

    def retire(self, traffic: Traffic) -> None:
        """The VM is gone, its frames are counted."""
        self._counts["sent"] += traffic.sent
        self._counts["received"] += len(traffic.received)
        traffic.vm.destroy()

    def end(self) -> None:
        self._telemetry.close()
        self._process.stop()


def drained(traffic: Traffic) -> None:
    """Nothing is on its way any more; what was called for last may not have been looked at."""
    traffic.poll()
    while len(traffic.received) < traffic.sent and traffic.vm.wait([traffic.vm.rings[0]], 2.0):
        traffic.poll()


def stopped(vm: vf.Frontend) -> None:
    """Both bases are where the rings are."""
    assert vm.stop() == [ring.base() for ring in vm.rings]


def logged(back: BackEnd, traffic: Traffic, before: bytes, step: str) -> None:
    """The log has every page that the function wrote, and is no blanket."""
    vm = traffic.vm
    written = vm.memory.changed(before) - vm.memory.cpu_pages
    missing = lost_pages(vm, before)
    assert not missing, f"not in the log: {sorted(missing)[:20]}"
    assert written and len(vm.dirty) < len(everything(vm)) / 2 and back.stats()["all_dirty"] == 0
    say(step, frames=traffic.sent, received=len(traffic.received), written=len(written),
        marked=len(vm.dirty))


def fresh(vm: vf.Frontend) -> bytes:
    """Memory as it is; from now on, what the guest's CPU writes is noted."""
    vm.memory.cpu_pages.clear()
    return vm.memory.snapshot()


def migrate(back: BackEnd, packed: bool, event_idx: bool) -> None:
    """Start, log, stop, start where it stopped, cancel, stop."""
    traffic = back.traffic(packed=packed, event_idx=event_idx)
    vm = traffic.vm
    assert back.modes() == (relayed(permanent=True) if packed else ["direct"] * 2), back.modes()
    traffic.run(300)
    traffic.check_complete()
    say("started", modes=back.modes(), frames=300)
    before = fresh(vm)
    vm.lm_begin()
    assert back.modes() == relayed(permanent=packed), back.modes()
    traffic.run(300)
    traffic.check_complete()
    stopped(vm)
    logged(back, traffic, before, "logged")
    vm.start()
    assert back.modes() == relayed(permanent=packed), back.modes()
    traffic.run(100)
    before = fresh(vm)
    vm.lm_begin()
    traffic.run(100)
    vm.lm_cancel()
    traffic.run(100)
    traffic.check_complete()
    stopped(vm)
    say("started again", frames=traffic.sent, modes=relayed(permanent=packed))
    back.retire(traffic)


def under_traffic(back: BackEnd, packed: bool) -> None:
    """Logging is switched on while frames fly: order holds, and no mark is missing."""
    traffic = back.traffic(packed=packed)
    vm = traffic.vm
    traffic.run(50)
    with Pump(traffic):
        before = fresh(vm)
        vm.lm_begin()
        base, end = len(traffic.received), time.monotonic() + WRAP_S
        while len(traffic.received) < base + 300:
            assert time.monotonic() < end, "traffic stalls after the switch"
            time.sleep(0.01)
    drained(traffic)
    stopped(vm)
    traffic.check_order()
    assert traffic.sent - len(traffic.received) <= traffic.window
    logged(back, traffic, before, "logged under traffic")
    back.retire(traffic)


def wrap(back: BackEnd) -> None:
    """A guest whose indices near 65536: relayed first, reset queue by queue, then direct."""
    traffic = back.traffic(start=65300)
    vm = traffic.vm
    assert back.modes() == relayed(), back.modes()
    end = time.monotonic() + WRAP_S
    with Pump(traffic):
        while back.modes() != ["direct"] * 2:
            assert time.monotonic() < end, (back.modes(), back.stats())
            time.sleep(0.01)
    drained(traffic)
    traffic.check_order()
    lost = traffic.sent - len(traffic.received)
    assert lost <= traffic.window, lost
    stats = back.stats()
    assert stats["wraps"] == 2 and stats["q0_to_wrap"] == stats["q1_to_wrap"] == 0, stats
    traffic.run(300, lost=lost)
    before = fresh(vm)
    vm.lm_begin()
    assert back.modes() == relayed(), back.modes()
    traffic.run(100, lost=lost)
    stopped(vm)
    traffic.check_order()
    assert traffic.sent - len(traffic.received) <= lost
    logged(back, traffic, before, "logged behind the wrap")
    say("direct at the wrap", lost=lost, wrap_us=stats["wrap_us"])
    back.retire(traffic)


def marks_lost(back: BackEnd, packed: bool) -> None:
    """Negative control: the driver forgets marks, and the same check sees it."""
    traffic = back.traffic(packed=packed)
    vm = traffic.vm
    before = fresh(vm)
    vm.lm_begin()
    traffic.run(200)
    stopped(vm)
    missing = lost_pages(vm, before)
    assert missing
    say("forgotten marks seen", missing=len(missing))
    back.retire(traffic)


def main() -> None:
    program, bdf, kind = sys.argv[1:]
    packed = kind == "packed"
    counts: Counter[str] = Counter()
    back = BackEnd(program, bdf, BUDGET, counts)
    migrate(back, packed, event_idx=False)
    migrate(back, packed, event_idx=True)
    under_traffic(back, packed)
    if not packed:
        wrap(back)
    back.end()
    back = BackEnd(program, bdf, f"{BUDGET},test_log_drop=3", counts)
    marks_lost(back, packed)
    back.end()
    say("judged", **counts)


if __name__ == "__main__":
    main()
