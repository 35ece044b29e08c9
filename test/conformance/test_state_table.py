# SPDX-License-Identifier: BSD-3-Clause
"""Ways between migration states: ours against what Linux itself computes.

The kernel's function is cut out of its source, where that is in the cache, and compiled as it is;
nothing of it is kept.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

from kernel_headers import Unavailable, find
from private_apt import cache_dir

FUNCTION = "vfio_mig_get_next_state"
STATES = 8
SETS = (1, 3, 5, 7)
EINVAL = -22

SHIM = """
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/vfio.h>
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define WARN_ON(c) (c)
typedef uint8_t u8;
struct vfio_device { unsigned int migration_flags; };
"""

MAIN = """
int main(void)
{
	for (unsigned int flags = 1; flags < 8; flags += 2)
		for (unsigned int from = 1; from < 8; from++)
			for (unsigned int to = 0; to < 9; to++) {
				struct vfio_device device = { flags };
				enum vfio_device_mig_state next = 0;
				int ret = vfio_mig_get_next_state(&device, from, to, &next);
				printf("%u %u %u %d\\n", flags, from, to, ret ? ret : (int)next);
			}
	return 0;
}
"""


def kernel_function() -> str:
    """The text of the kernel's function; the newest source that the cache has."""
    sources = sorted(cache_dir().glob("uml/**/drivers/vfio/vfio_main.c"))
    if not sources:
        pytest.skip("no Linux source in the cache (test/uml builds from it)")
    text = sources[-1].read_text(encoding="utf-8")
    match = re.search(rf"^(?:static )?int {FUNCTION}\(.*?^}}", text, re.M | re.S)
    assert match is not None, f"{sources[-1]} has no {FUNCTION}()"
    return match[0]


Answers = dict[tuple[int, int, int], int]


def answers_of(function: str, work: Path) -> Answers:
    """What such a function answers for (flags, from, to): the next state, or -EINVAL."""
    source, program = work / "fsm.c", work / "fsm"
    source.write_text(SHIM + function + MAIN, encoding="utf-8")
    try:
        headers = find()
    except Unavailable as error:
        pytest.skip(str(error))
    multiarch = subprocess.run(["gcc", "-print-multiarch"], check=True, capture_output=True,
                               text=True).stdout.strip()
    include = [f"-isystem{path}" for path in headers.include_dirs(multiarch)]
    subprocess.run(["gcc", "-w", *include, "-o", program, source], check=True, timeout=60)
    output = subprocess.run([program], check=True, capture_output=True, text=True, timeout=60)
    answers = {}
    for line in output.stdout.splitlines():
        flags, start, end, answer = map(int, line.split())
        answers[flags, start, end] = answer
    return answers


def our_answers(build_dir: Path) -> Answers:
    """The same questions put to lm_state_next()."""
    library = ctypes.CDLL(str(build_dir / "lib/migration/liblm_migration.so.0"))
    answers = {}
    for flags in SETS:
        for start in range(1, STATES):
            for end in range(STATES + 1):
                state = ctypes.c_uint(0)
                ret = library.lm_state_next(start, end, ctypes.c_uint64(flags),
                                            ctypes.byref(state))
                answers[flags, start, end] = ret if ret != 0 else state.value
    return answers


def test_every_answer_is_the_kernels(build_dir: Path, tmp_path: Path) -> None:
    """All states that are not ERROR, for every set of flags, to every state and beyond."""
    ours = our_answers(build_dir)
    kernel = answers_of(kernel_function(), tmp_path)
    ways = sum(answer != EINVAL for answer in kernel.values())
    print(f"{len(ours)} answers, {ways} of them ways")
    assert ours == kernel
    assert ways > 100


def test_another_table_is_told_apart(build_dir: Path, tmp_path: Path) -> None:
    """One entry of the kernel's table changed: a way that it blocks."""
    blocked = "[VFIO_DEVICE_STATE_PRE_COPY] = VFIO_DEVICE_STATE_ERROR"
    function = kernel_function().replace(blocked, blocked.replace("ERROR", "STOP"), 1)
    assert our_answers(build_dir) != answers_of(function, tmp_path)
