# SPDX-License-Identifier: BSD-3-Clause
"""Our format headers against the kernel's: every constant, size, offset and width.

Catches a number that driver and model have wrong alike, and a new name that nobody compared.
The seeded copies show that no comparison of any kind is blind.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import compare
import formats
import kernel_headers
import mapping
import mapping_pds

TOP = Path(__file__).resolve().parents[2]
NET, PCI, RING = mapping.HEADERS[2], mapping.HEADERS[0], mapping.HEADERS[1]
WIRE = mapping.HEADERS[4]
Edit = Callable[[str], str]
Seeded = Callable[[dict[str, Edit]], compare.Comparison]

WIDER = {
    "uint8_t": "uint16_t", "uint16_t": "uint32_t", "uint32_t": "uint64_t",
    "uint64_t": "__uint128_t", "lm_le16_t": "lm_le32_t", "lm_le32_t": "lm_le64_t",
    "lm_le64_t": "__uint128_t",
}


@pytest.fixture(name="kernel", scope="module")
def fixture_kernel() -> kernel_headers.KernelHeaders:
    """The kernel's headers, or a skip that says why there are none."""
    try:
        return kernel_headers.find()
    except kernel_headers.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(name="seeded")
def fixture_seeded(kernel: kernel_headers.KernelHeaders, tmp_path: Path) -> Seeded:
    """seeded({file: edit}): compare a copy of our headers, made wrong in these files.

    The headers' own assertions are off in it, or the compiler would speak first.
    """

    def run(edits: dict[str, Edit]) -> compare.Comparison:
        tree, work = tmp_path / "tree", tmp_path / "work"
        work.mkdir()
        for name in (*mapping.HEADERS, *mapping.EXCERPTS, "drivers/common/lm_le.h"):
            before = formats.plain_text(TOP / name)
            after = edits.get(name, str)(before)
            assert (after != before) == (name in edits), f"{name}: nothing to make wrong"
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(after.replace("static_assert(", "LM_IGNORED_ASSERT("),
                                     encoding="utf-8")
        return compare.compare(tree, kernel, work)

    return run


def everywhere(edit: Edit) -> dict[str, Edit]:
    """The same edit for all headers."""
    return {name: edit for name in mapping.HEADERS}


def in_structs(edit: Edit) -> Edit:
    """Edit what is inside of structures."""
    return lambda text: re.sub(
        r"(^struct \w+ \{\n)(.*?)(^\};)", lambda m: m[1] + edit(m[2]) + m[3], text,
        flags=re.DOTALL | re.MULTILINE)


def in_function(name: str, edit: Edit) -> Edit:
    """Edit the body of one function."""
    return lambda text: re.sub(
        rf"(^{name}\(.*?\)\n\{{)(.*?)(^\}})", lambda m: m[1] + edit(m[2]) + m[3], text,
        flags=re.DOTALL | re.MULTILINE)


def test_headers_agree(kernel: kernel_headers.KernelHeaders, tmp_path: Path,
                       capsys: pytest.CaptureFixture[str]) -> None:
    """No name disagrees, none is forgotten, and nothing in the lists is out of date."""
    result = compare.compare(TOP, kernel, tmp_path)
    with capsys.disabled():
        print(f"\n{kernel.package}: {result.summary()}")
    assert result.problems() == []
    results = Path(os.environ.get("DPDK_LM_BUILD", TOP / "build")) / "results"
    if results.is_dir():  # for devtools/judged.py
        agreed = sorted({row.ours for row in result.rows if row.same})
        (results / "headers.json").write_text(json.dumps(agreed), encoding="utf-8")
    without = {name for names in result.without.values() for name in names}
    seen = {row.ours for row in result.rows} | without
    assert {name for name in result.names - seen
            if f"struct {name.partition('.')[0]}" not in without} == set()


def test_every_format_header_is_listed() -> None:
    """A new *_if.h must be compared, or be a format of our own."""
    listing = [str(path.relative_to(TOP)) for part in ("app", "drivers", "lib")
               for path in (TOP / part).rglob("*_if.h")]
    assert set(listing) <= {*mapping.HEADERS, *mapping_pds.HEADERS, *mapping.OWN_HEADERS}
    assert set(mapping.OWN_HEADERS) <= set(listing)


def test_sees_every_wrong_value(seeded: Seeded) -> None:
    """Each constant that is compared, one too large."""

    def edit(text: str) -> str:
        number = r"(?:0x[0-9a-f]+|\d+)u?"
        text = re.sub(rf"^(#define \w+[ \t]+)({number})[ \t]*$", r"\1(\2 + 1)", text,
                      flags=re.MULTILINE)
        return re.sub(rf"^(\t[A-Z]\w+ = )({number}),", r"\1\2 + 1,", text, flags=re.MULTILINE)

    result = seeded({name: edit for name in (*mapping.HEADERS, *mapping.EXCERPTS)})
    values = [row for row in result.rows if row.kind == "value"]
    assert len(values) > 200
    assert [str(row) for row in values if row.same] == []


def test_sees_every_wrong_offset_and_size(seeded: Seeded) -> None:
    """Each structure that is compared, with eight bytes more at its head."""
    result = seeded(everywhere(in_structs(lambda body: "\tuint64_t lm_seed;\n" + body)))
    places = [row for row in result.rows if row.kind in ("offset", "size")]
    assert len(places) > 150
    assert [str(row) for row in places if row.same] == []
    assert "lm_vring_desc.lm_seed" in result.missing


def test_sees_every_wrong_width(seeded: Seeded) -> None:
    """Each field that is compared, of a type twice as wide."""
    result = seeded(everywhere(in_structs(
        lambda body: re.sub(r"\b(?:uint\d+|lm_le\d+)_t\b", lambda m: WIDER[m[0]], body))))
    widths = [row for row in result.rows if row.kind == "width"]
    assert len(widths) > 100
    assert [str(row) for row in widths if row.same] == []


@pytest.mark.parametrize("name", mapping.FUNCTIONS)
def test_sees_a_wrong_function(seeded: Seeded, name: str) -> None:
    """Ring arithmetic that is off by one."""
    result = seeded({RING: in_function(
        name, lambda body: re.sub(r"\b(size|event)\b(?!\()", r"(\1 + 1)", body, count=1))})
    assert [row.ours for row in result.wrong] == [name]


def test_sees_swapped_fields(seeded: Seeded) -> None:
    """Two fields of one size: neither the structure's size nor a width gives it away."""
    result = seeded({RING: lambda text: text.replace(
        "lm_le16_t flags;\n\tlm_le16_t next;", "lm_le16_t next;\n\tlm_le16_t flags;")})
    assert [str(row).split(" is ")[0] for row in result.wrong] == [
        "offset of lm_vring_desc.next", "offset of lm_vring_desc.flags"]


@pytest.mark.parametrize("header, old, new, name", (
    (PCI, "#endif", "#define LM_VIRTIO_F_NEW 44\n#endif", "LM_VIRTIO_F_NEW"),
    (NET, "#endif", "#define LM_VIRTIO_NET_NEW(x) (x)\n#endif", "LM_VIRTIO_NET_NEW"),
    (WIRE, "LM_VU_STATE_MAX", "LM_VU_STATE_NEW,\n\tLM_VU_STATE_MAX", "LM_VU_STATE_NEW"),
    (NET, "uint8_t cmd;", "uint8_t cmd;\n\tuint8_t lm_new[2];", "lm_virtio_net_ctrl_hdr.lm_new"),
    (RING, "#endif", "struct lm_vring_new {\n\tuint8_t x;\n};\n#endif", "struct lm_vring_new"),
    (RING, "#endif", "static inline int\nlm_new(void)\n{\n\treturn 0;\n}\n#endif", "lm_new"),
))
def test_sees_a_new_name(seeded: Seeded, header: str, old: str, new: str, name: str) -> None:
    """A name that neither the kernel nor the lists have."""
    assert name in seeded({header: lambda text: text.replace(old, new)}).missing


def test_sees_a_name_that_is_gone(seeded: Seeded) -> None:
    """Lists may not keep what the headers have lost."""
    result = seeded({NET: lambda text: text.replace("LM_VIRTIO_NET_MTU_MIN", "LM_VIRTIO_NET_OLD")})
    assert result.missing == ["LM_VIRTIO_NET_OLD"]
    assert len(result.stale) == 1 and result.stale[0].startswith("LM_VIRTIO_NET_MTU_MIN:")


def test_newer_names_are_compared_once_the_kernel_has_them(
        seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    """'Not yet' ends by itself; any other reason is then out of date."""
    names = mapping.WITHOUT[mapping.NEWER]
    monkeypatch.setitem(mapping.WITHOUT, mapping.NEWER, (*names, "LM_VIRTIO_F_ADMIN_VQ"))
    monkeypatch.setitem(mapping.WITHOUT, "of no use", ("LM_VIRTIO_F_RING_RESET",))
    result = seeded({PCI: lambda text: text.replace("ADMIN_VQ 41", "ADMIN_VQ 42")})
    assert [row.ours for row in result.wrong] == ["LM_VIRTIO_F_ADMIN_VQ"]
    assert len(result.stale) == 1 and result.stale[0].startswith("LM_VIRTIO_F_RING_RESET:")


@pytest.mark.parametrize("text", (
    "typedef int lm_new_t;", "union lm_new {\n\tint a;\n};", "extern int lm_new;",
    "#ifdef LM_NEW\n#endif", "#undef LM_NEW", "struct lm_new {\n\tint a : 3;\n};",
    "struct lm_new {\n\tstruct { int a; } b;\n};", "struct lm_new {\n\tint a, b;\n};",
    "static const int lm_new = 3;",
))
def test_unknown_source_is_an_error(tmp_path: Path, text: str) -> None:
    """What the reader of our headers does not understand, it does not pass over."""
    shutil.copy(TOP / PCI, tmp_path / "new_if.h")
    path = tmp_path / "new_if.h"
    path.write_text(path.read_text(encoding="utf-8").replace("#endif", text + "\n#endif"),
                    encoding="utf-8")
    with pytest.raises(formats.FormatError):
        formats.read_header(path)
