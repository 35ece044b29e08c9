# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-test-lm inside Linux, with VFs that the kernel's own pds-vfio-pci holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pds_machine import VF, pds
from test_pds_vfio import OTHER, bind
from uml_machine import Boot, wait

Program = Callable[[str], Path]
pytestmark = [pytest.mark.judge("pds-vfio-pci"), pytest.mark.deadline(120)]


def test_check(boot: Boot, program: Program) -> None:
    """Catches: a kernel provider that reads what a variant driver says wrongly."""
    machine = boot(pds(1), memory_mib=256)
    linux = machine.linux
    bind(linux, VF)
    report = json.loads(linux.ask(f"{program('dpdk-test-lm')} check --json {VF}", 60).text)
    found = {entry["what"]: entry for entry in report["lines"]}
    assert found["state"]["text"] == "RUNNING"
    assert "64 KiB" in found["size"]["text"]
    assert found["dirty-log"]["level"] == "ok"
    machine.clean()


def test_migrate(boot: Boot, program: Program) -> None:
    """Catches: arcs or data that our kernel provider and Linux's state machine see differently."""
    machine = boot(pds(2), memory_mib=256)
    linux = machine.linux
    bind(linux, VF, OTHER)
    tool = program("dpdk-test-lm")
    linux.run(f"{tool} receive --listen unix:/run/lm --device {OTHER},name=vf --json /run/received"
              " >/run/receive.log 2>&1 & echo $! >/run/receive.pid")
    wait(lambda: linux.ask("grep -q ^ready /run/receive.log").status == 0, 20, "receive: ready")
    result = linux.ask(f"{tool} send --to unix:/run/lm --device {VF},name=vf --json /run/sent", 60)
    assert result.status == 0, (result.text, linux.ask("cat /run/receive.log").text)
    assert machine.cards[0].stats(2)["level"] == "running"
    linux.run("kill $(cat /run/receive.pid)")
    wait(lambda: linux.ask("kill -0 $(cat /run/receive.pid)").status != 0, 20, "receive to end")
    sent, received = (json.loads(linux.read(f"/run/{name}")) for name in ("sent", "received"))
    assert sent["status"] == received["status"] == "completed"
    assert 0 < sent["vfio"]["transferred"] <= 65536
    machine.clean()
