# SPDX-License-Identifier: BSD-3-Clause
"""drivers/common/pds against the headers of Linux's own drivers, as test_headers.py does it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import compare
import formats
import kernel_headers
import mapping_pds
import private_apt

TOP = Path(__file__).resolve().parents[2]
# What the drivers' headers take from others of the kernel.
WORDS = """\
#include <stdbool.h>
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
#define BIT(n) (1ULL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define GENMASK(h, l) ((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define __packed __attribute__((packed))
#define __iomem
#define ETH_ALEN 6
#define static_assert _Static_assert
#define iowrite32(value, to) ((void)(value), (void)(to))
#define ioread32(from) ((void)(from), 0u)
#define writeq(value, to) ((void)(value), (void)(to))
#define cpu_to_le64(value) (value)
"""


@pytest.fixture(name="kernel", scope="module")
def fixture_kernel(tmp_path_factory: pytest.TempPathFactory) -> kernel_headers.KernelHeaders:
    """User-space headers with those of the drivers beside them."""
    source = private_apt.cache_dir() / "uml/tree"
    missing = [name for name in mapping_pds.KERNEL_FILES if not (source / name).is_file()]
    if missing:
        pytest.skip(f"no Linux source in the cache: {source / missing[0]} is missing")
    try:
        base = kernel_headers.find()
    except kernel_headers.Unavailable as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("kernel")
    shutil.copytree(base.root / "usr", root / "usr")
    place = root / "usr/include"
    (place / "linux/pds").mkdir()
    for name in mapping_pds.KERNEL_FILES:
        to = "linux/pds/" if "/pds/" in name else ""
        text = (source / name).read_text(encoding="utf-8")
        # Their includes are among ours, or not for user space.
        text = re.sub(r"^#include.*$", "", text, flags=re.MULTILINE)
        (place / f"{to}{Path(name).name}").write_text(text, encoding="utf-8")
    (place / "lm_kernel_words.h").write_text(WORDS, encoding="utf-8")
    return kernel_headers.KernelHeaders(root, base.version, base.package)


def test_headers_agree(kernel: kernel_headers.KernelHeaders, tmp_path: Path,
                       capsys: pytest.CaptureFixture[str]) -> None:
    """No name disagrees, none is forgotten, and nothing in the lists is out of date."""
    result = compare.compare(TOP, kernel, tmp_path, mapping_pds)
    with capsys.disabled():
        print(f"\npds: {result.summary()}")
    assert result.problems() == []
    assert len(result.rows) > 600


def test_sees_a_wrong_number(kernel: kernel_headers.KernelHeaders, tmp_path: Path) -> None:
    """An opcode, a bit and a field that are off."""
    tree, work = tmp_path / "tree", tmp_path / "work"
    work.mkdir()
    edits = (("CMD_SUSPEND = 18", "CMD_SUSPEND = 17"),
             ("FLAG_VLAN 0x1", "FLAG_VLAN 0x2"),
             ("lm_le16_t vlan_tci;\n\tlm_le16_t len;", "lm_le16_t len;\n\tlm_le16_t vlan_tci;"))
    for name in (*mapping_pds.HEADERS, "drivers/common/lm_le.h"):
        text = formats.plain_text(TOP / name)
        for old, new in edits:
            text = text.replace(old, new)
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")
    result = compare.compare(tree, kernel, work, mapping_pds)
    assert {row.ours for row in result.wrong} == {
        "LM_PDS_LM_CMD_SUSPEND", "LM_IONIC_TXQ_DESC_FLAG_VLAN", "lm_ionic_rxq_comp.len",
        "lm_ionic_rxq_comp.vlan_tci"}
