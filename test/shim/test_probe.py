# SPDX-License-Identifier: BSD-3-Clause
"""Our own way onto the PCI bus, without a kernel that has VFIO.

The vDPA driver claims a function that is bound to any VFIO driver, and says what to type where it
is bound to something else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import vhost_frontend as vf
from lm_harness.process import Process
from vdpa_bench import frame

from shim_rig import BDF, Rig
from testpmd import READY_S


def serve(rig: Rig, launch: Callable[..., Process], program: Callable[[str], Path],
          driver: str) -> Process:
    """dpdk-test-lm with the function on its bus, bound to this driver."""
    return launch("serve", program("dpdk-test-lm"), "serve", "--device", BDF, "--vhost",
                  rig.directory / "vhost", "--file-prefix", "probe", env=rig.environment(driver))


@pytest.mark.parametrize("driver", ["vfio-pci", "virtio_vfio_pci"])
def test_claims_any_vfio_binding(rig: Rig, launch: Callable[..., Process],
                                 program: Callable[[str], Path], driver: str) -> None:
    """
    Steps: the function is bound to vfio-pci, or to the variant driver that EAL's bus does not
    know; a VM attaches and sends.

    Verify: frames reach the cable as sent, and those from there reach the VM.
    """
    rig.start_model("virtio-net")
    backend = serve(rig, launch, program, driver)
    backend.wait_line("^ready", READY_S)
    vm = vf.Frontend(str(rig.directory / "vhost"))
    vm.connect()
    vm.fill_rx()
    vm.start()
    sent = [frame(n, 60 + n * 13) for n in range(100)]
    for data in sent:
        vm.send(data)
        assert rig.cable.receive(1) == [data]
        rig.cable.send(data)
        assert vm.receive_until(1) == [data]
    vm.stop()
    vm.destroy()
    backend.stop()
    rig.check()


@pytest.mark.parametrize(("driver", "words"), [
    ("", "is it there, and bound"),
    ("virtio-pci", "bound to virtio-pci, which is not VFIO"),
    ("vfio", "which is not VFIO"),
])
def test_says_what_to_bind(rig: Rig, launch: Callable[..., Process],
                           program: Callable[[str], Path], driver: str, words: str) -> None:
    """The message names the binding and the command; the program ends with an error."""
    rig.start_model("virtio-net")
    backend = serve(rig, launch, program, driver)
    backend.expected_exit = (1,)
    backend.wait_line(f"{words}.*dpdk-devbind.py --bind=vfio-pci {BDF}", READY_S)
    assert backend.wait(READY_S) == 1
