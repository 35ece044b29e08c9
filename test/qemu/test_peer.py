# SPDX-License-Identifier: BSD-3-Clause
"""Stock testpmd with net_vhost as the other end of migrations, in both directions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lm_harness import HarnessError
from lm_harness.screen import Screen
from lm_harness.scenario import Runner
from lm_harness.stock import PeerTestbed
from lm_harness.testbed import Config


@pytest.mark.deadline(300)
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_testpmd(build_dir: Path, guest_image: tuple[Path, Path], tmp_path: Path, packed: bool
                 ) -> None:
    """
    To testpmd, back, and there again with the memory of both compared. Catches: positions in a form
    that only we understand, pages that nobody marked, rings left in a state that only
    we start from.
    """
    assert guest_image[0].is_file()
    if not os.path.exists("/dev/net/tun") or os.geteuid() != 0:
        pytest.skip("no tap devices: not root, or no /dev/net/tun")
    config = Config(build_dir=build_dir, log_dir=tmp_path / "logs", frame_size="74-1514", mtu=1500,
                    device_options="packed=on" if packed else "")
    try:
        testbed = PeerTestbed(config)
    except HarnessError as err:
        pytest.skip(str(err))
    with testbed:
        testbed.start()
        run = Runner(testbed, Screen(quiet=True), seconds=0.2)
        run.boot()
        for held in (False, False, True):
            run.run(held=held)
            frames = run.runs[-1].frames
            assert frames.corrupt == 0 and frames.duplicated == 0 and frames.received > 0
            assert frames.guest_memory_bad == 0
        ram = run.runs[-1].ram
        assert ram is not None and ram.nonzero > 1000
        assert ram.different == 0, [hex(p * 4096) for p in ram.listed]
        total, rules = run.violations()
        assert total == 0, rules
