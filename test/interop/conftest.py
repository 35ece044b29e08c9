# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: a newer Debian's QEMU and kernel, and models as the cards of its guests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from interop_rig import MAC, MakeRig, Model, Rig
from lm_harness.control import Control
from lm_harness.guest import Guest, GuestSpec
from lm_harness.process import Process
from newer_debian import NewerDebian, Unavailable, find

TOP = Path(__file__).resolve().parents[2]
DRIVERS = ("virtio_net", "ionic")


@pytest.fixture(scope="session")
def newer_debian() -> NewerDebian:
    """QEMU and a kernel, from the cache or fetched now; a skip that says why there are none."""
    try:
        found = find()
    except Unavailable as error:
        pytest.skip(str(error))
    print(f"judges: {found.packages()}")
    return found


@pytest.fixture(scope="session")
def guest_spec(newer_debian: NewerDebian, build_dir: Path,
               tmp_path_factory: pytest.TempPathFactory) -> GuestSpec:
    """Our test guest on that kernel, which says on its console what drivers say."""
    out = tmp_path_factory.mktemp("guest")
    modules = [word for name in DRIVERS for word in ("--module", name)]
    subprocess.run([sys.executable, TOP / "test/guest/mkguest.py", "--init",
                    build_dir / "test/guest/guest-init", "--kernel", newer_debian.kernel, "--out",
                    out, *modules], check=True, timeout=60)
    return GuestSpec(out / "vmlinuz", out / "initramfs.gz", mac=MAC, qemu=str(newer_debian.qemu),
                     append="console=ttyS0 panic=-1 loglevel=7")


@pytest.fixture
def rig(guest_spec: GuestSpec, program: Callable[[str], Path], launch: Callable[..., Process],
        trace: Callable[[str], list[str]], tmp_path: Path) -> Iterator[MakeRig]:
    """rig(device, functions, options...): a model; its last function is the guest's card."""
    with ExitStack() as stack:

        def control(name: str) -> Control:
            made = Control(name, str(tmp_path / f"{name}.ctl"))
            stack.callback(made.close)
            return made

        def start(device: str, functions: int, *options: str) -> Rig:
            launch("traffic", program("dpdk-lm-traffic"), "--port", f"A={tmp_path}/cable",
                   "--guest-mac", MAC, "--rate", 1000, "--control",
                   tmp_path / "traffic.ctl").wait_line("^ready$", 10)
            sockets = [tmp_path / f"{device}.{i}" for i in range(functions)]
            process = launch("model", program("dpdk-lm-devmodel"), device, "--mac", MAC, "--wire",
                             f"link:{tmp_path}/cable", "--control", tmp_path / "model.ctl",
                             *(word for path in sockets for word in ("--socket", path)),
                             *trace("card"), *options)
            process.wait_line(f"^ready {sockets[-1]}$", 10)
            model = Model(process, control("model"), functions - 1)
            card = {"driver": "vfio-user-pci", "socket": {"type": "unix", "path": str(sockets[-1])}}

            def boot(name: str) -> Guest:
                spec = replace(guest_spec, extra=("-device", json.dumps(card)))
                guest = Guest(name, spec, tmp_path, tmp_path, None)
                stack.callback(guest.close)
                return guest

            return Rig(model, control("traffic"), boot)

        yield start
