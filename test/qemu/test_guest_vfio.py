# SPDX-License-Identifier: BSD-3-Clause
"""Real VFIO and an IOMMU inside a guest, on QEMU's virtio-net-pci, a device that is not ours.

Catches: mappings, resets and interrupts that only our own back end believes in; and in the vDPA
driver's PCI form, pages that a foreign device writes and the log does not name.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lm_harness.base import Deadline
from lm_harness.process import Process

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "py"))

import qemu_trace  # noqa: E402
import testpmd  # noqa: E402
from vdpa_traffic import frame  # noqa: E402
from vfio_guest import (BDF, BIND, BOOT, END, TOP, UNBIND, Cable, Guest, make_image,  # noqa: E402
                        python_program)

PLUGIN = "drivers/vdpa/virtio_pci/liblm_vdpa_virtio_pci.so"
DRIVERS = Path("/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0")
WINDOW = 32


@pytest.fixture(name="cable")
def fixture_cable(tmp_path: Path) -> Iterator[Callable[..., Cable]]:
    """cable(answer): the far end of the function's cable."""
    made: list[Cable] = []

    def make(answer: Callable[[bytes], bytes] | None) -> Cable:
        made.append(Cable(tmp_path, answer))
        return made[-1]

    yield make
    for cable in made:
        cable.close()


@pytest.mark.deadline(120)
def test_kernel_vfio(build_dir: Path, tmp_path: Path, cable: Callable[..., Cable],
                     launch: Callable[..., Process]) -> None:
    """Refused while bound to virtio-pci; then registers, DMA, MSI-X, frames, ring reset; twice."""
    oracle = build_dir / "test/vfio/vfio-oracle"
    if not oracle.exists():
        pytest.skip("no vfio-oracle in the build: it has sanitizers")
    image = make_image(f"""{BOOT}
{oracle} {BDF} refused
{UNBIND}{BIND}
{oracle} {BDF}
echo "exit code $?"
{oracle} {BDF}
echo "again: exit code $?"
{oracle} {BDF} group
if [ -e /dev/vfio/devices/vfio0 ]; then {oracle} {BDF} cdev
else echo "without EAL, no cdev in this kernel"; fi
{END}""", [oracle], tmp_path, "virtio_pci")
    inverted = cable(lambda frame: bytes(0xff - b for b in frame))
    text = Guest(launch, image, inverted, tmp_path).end(100)
    assert f"refused: {BDF}: bound to virtio-pci, which is not VFIO. Type: dpdk-devbind.py" in text
    assert "failed:" not in text
    assert text.count("200 frames and their answers") == 2
    assert "again: exit code 0" in text
    assert "without EAL, group, no dirty bits" in text
    assert "without EAL, cdev, " in text or "without EAL, no cdev in this kernel" in text


def frames(count: int) -> list[bytes]:
    """Of experimental type, all sizes, random contents, the same in every run."""
    luck = random.Random(count)
    head = bytes.fromhex("5254004c4d01024c4d0000aa88b5")
    return [head + luck.randbytes(luck.randint(46, 1500)) for _ in range(count)]


def forwarded(far: Cable, sent: list[bytes]) -> None:
    """Into the guest, at most a window ahead of what came out of it."""
    deadline = Deadline(60, f"{len(sent)} frames back from the guest")
    for number in range(len(sent) + 1):
        while len(far.frames) < (number - WINDOW if number < len(sent) else number):
            if deadline.passed():
                raise deadline.error(f"{len(far.frames)} came")
            time.sleep(0.001)
        if number < len(sent):
            far.send(sent[number])


def said(text: str) -> dict[str, list[dict[str, Any]]]:
    """What vdpa_judge.py reports, by step."""
    steps: dict[str, list[dict[str, Any]]] = {}
    for line in text.splitlines():
        if line.startswith('{"step"'):
            report = json.loads(line)
            steps.setdefault(report["step"], []).append(report)
    return steps


@pytest.mark.deadline(300)
@pytest.mark.judge("QEMU's virtio-net-pci under our driver")
@pytest.mark.parametrize("ring", ["split", "packed"])
def test_vdpa(build_dir: Path, tmp_path: Path, cable: Callable[..., Cable],
              launch: Callable[..., Process], program: Callable[[str], Path],
              trace: Callable[[str], list[str]], ring: str) -> None:
    """
    Steps: dpdk-test-lm serve drives the function; a VM in the guest sends, migrates, is cancelled,
    starts where it stopped, and goes back to direct mode at the wrap.

    Verify: each page that QEMU's device wrote is in the log, with marks forgotten on purpose it is
    not; each frame on the cable is what was sent.
    """
    serve = program("dpdk-test-lm")
    judge = python_program(TOP / "test/vfio/vdpa_judge.py")
    image = make_image(f"""{BOOT}{BIND}
{judge[0]} -I -S {judge[1]} {serve} {BDF} {ring} || $b cat /run/serve.log
{END}""", [serve, build_dir / PLUGIN, *judge], tmp_path)
    plain = cable(lambda frame: frame)
    log = tmp_path / "trace.log"
    text = Guest(launch, image, plain, tmp_path, *qemu_trace.options(log)).end(280)
    qemu_trace.save(log, Path(trace("card")[1]))
    steps = said(text)
    assert "judged" in steps, text[-2000:]
    (sums,) = steps["judged"]
    assert sums["received"] <= len(plain.frames) <= sums["sent"]
    for sent in plain.frames:
        number = int.from_bytes(sent[14:18], "big")
        assert sent == frame(number, 60 + number * 37 % 1400)
    assert sum(sent[14:18] == bytes(4) for sent in plain.frames) == sums["vms"]


@pytest.mark.deadline(300)
@pytest.mark.parametrize("ring", ["split", "packed"])
def test_vdpa_testpmd(build_dir: Path, tmp_path: Path, cable: Callable[..., Cable],
                      launch: Callable[..., Process], program: Callable[[str], Path], ring: str
                      ) -> None:
    """
    Neither side is ours: stock testpmd's virtio-user is the front end, and forwards.

    Verify: 1000 frames of all sizes come back as they were, in order; both programs end well.
    """
    serve, pmd = program("dpdk-test-lm"), Path(testpmd.program())
    drivers = [DRIVERS / f"librte_{name}.so" for name in ("net_virtio", "mempool_ring", "bus_vdev")]
    packed = ",packed_vq=1" if ring == "packed" else ""
    image = make_image(f"""{BOOT}{BIND}
RUNTIME_DIRECTORY=/run {serve} serve --device {BDF},stop_budget_ms=20000 --vhost /run/vhost \\
	>/run/serve.log 2>&1 &
serve=$!
until $b grep -s ^ready /run/serve.log; do
	kill -0 $serve || {{ $b cat /run/serve.log; $b poweroff -f; }}
	$b sleep 0.1
done
{pmd} -l 0,1 --no-pci --no-huge -m 128 --iova-mode=va --no-telemetry --file-prefix stock \\
	--vdev net_virtio_user0,path=/run/vhost,queues=1{packed} \\
	-- --forward-mode=io --total-num-mbufs=4096 </dev/ttyS1
echo "testpmd: exit code $?"
kill $serve
wait $serve
echo "serve: exit code $?"
$b cat /run/serve.log
{END}""", [serve, build_dir / PLUGIN, pmd, *drivers], tmp_path)
    sent = frames(1000)
    far = cable(None)
    guest = Guest(launch, image, far, tmp_path)
    guest.says("Press enter to exit", 150)  # what comes before that is thrown away
    assert "io packet forwarding - ports=1" in guest.text()
    forwarded(far, sent)
    guest.enter()
    text = guest.end(60)
    assert far.frames == sent
    assert "testpmd: exit code 0" in text and "serve: exit code 0" in text
