#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Make the test guest: an unpacked kernel, and an initramfs of init, busybox and modules."""

import argparse
import gzip
import lzma
import os
import pathlib
import stat
import subprocess
import sys
from collections.abc import Sequence

MODULES = ("virtio_pci", "virtio_net")
BUSYBOX = ("/bin/busybox", "/usr/bin/busybox")


class GuestError(Exception):
    """Something that the image needs is not there."""


def default_kernel_dir() -> pathlib.Path:
    """Where devtools/setup.sh unpacks the guest's kernel."""
    cache = os.environ.get("DPDK_LM_CACHE")
    if cache is None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        cache = os.path.join(base, "dpdk-lm")
    return pathlib.Path(cache) / "guest-kernel"


def unpack(path: pathlib.Path) -> bytes:
    """A module's content, whatever it is packed with."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
    return data


def module_name(path: pathlib.Path) -> str:
    """Module name of a file: 'virtio-rng.ko.xz' is virtio_rng."""
    return path.name.split(".ko")[0].replace("-", "_")


def module_depends(content: bytes) -> list[str]:
    """Names in the depends= entry of a module's .modinfo."""
    start = content.find(b"\0depends=")
    if start < 0:
        return []
    start += len(b"\0depends=")
    text = content[start:content.index(b"\0", start)].decode()
    return [name.replace("-", "_") for name in text.split(",") if name]


def collect_modules(modules_dir: pathlib.Path, wanted: Sequence[str]) -> list[tuple[str, bytes]]:
    """These modules, each after those that it depends on."""
    files = {module_name(p): p for p in modules_dir.rglob("*.ko*")}
    builtin = set()
    listing = modules_dir / "modules.builtin"
    if listing.exists():
        builtin = {module_name(pathlib.Path(line)) for line in listing.read_text().split()}
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in order or name in builtin:
            return
        if name not in files:
            raise GuestError(f"module {name} is not in {modules_dir}")
        content = unpack(files[name])
        for needed in module_depends(content):
            add(needed)
        order[name] = content

    for name in wanted:
        add(name)
    return [(name + ".ko", content) for name, content in order.items()]


def cpio_entry(number: int, name: str, mode: int, data: bytes = b"",
               device: tuple[int, int] = (0, 0)) -> bytes:
    """One entry in the "newc" format (kernel: driver-api/early-userspace/buffer-format)."""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 2 if stat.S_ISDIR(mode) else 1, 0, len(data), 0, 0, *device,
              len(path), 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def make_initramfs(init: bytes, busybox: bytes, modules: list[tuple[str, bytes]]) -> bytes:
    """The whole archive; the same input gives the same bytes."""
    entries: list[tuple[str, int, bytes, tuple[int, int]]] = [
        (d, stat.S_IFDIR | 0o755, b"", (0, 0))
        for d in ("bin", "dev", "modules", "proc", "sys", "tmp")]
    entries.append(("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)))
    entries.append(("init", stat.S_IFREG | 0o755, init, (0, 0)))
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, busybox, (0, 0)))
    order = "".join(name + "\n" for name, _ in modules).encode()
    entries.append(("modules/order", stat.S_IFREG | 0o644, order, (0, 0)))
    entries += [("modules/" + name, stat.S_IFREG | 0o644, content, (0, 0))
                for name, content in modules]
    out = [cpio_entry(i + 1, name, mode, data, device)
           for i, (name, mode, data, device) in enumerate(entries)]
    out.append(cpio_entry(0, "TRAILER!!!", 0))
    return b"".join(out)


def write_new(path: pathlib.Path, data: bytes) -> None:
    """Replace a file in one step: a guest may be starting from the old one."""
    tmp = path.with_name(f".{path.name}.{os.getpid()}")
    tmp.write_bytes(data)
    tmp.replace(path)


def make(init: pathlib.Path, kernel_dir: pathlib.Path, out: pathlib.Path,
         more: Sequence[str] = ()) -> None:
    """Write vmlinuz and initramfs.gz into out."""
    vmlinuz = kernel_dir / "vmlinuz"
    if not vmlinuz.exists():
        raise GuestError(f"no {vmlinuz}; type: devtools/setup.sh demo")
    busybox = next((p for p in BUSYBOX if os.path.exists(p)), None)
    if busybox is None:
        raise GuestError("no busybox; type: devtools/setup.sh demo")
    if not init.exists():
        raise GuestError(f"no {init}; build it with ninja")
    modules = collect_modules(kernel_dir / "modules", (*MODULES, *more))
    archive = make_initramfs(init.read_bytes(), pathlib.Path(busybox).read_bytes(), modules)
    out.mkdir(parents=True, exist_ok=True)
    write_new(out / "vmlinuz", vmlinuz.read_bytes())
    write_new(out / "initramfs.gz", gzip.compress(archive, 1, mtime=0))
    print(f"guest: {out} with " + ", ".join(name for name, _ in modules))


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--init", type=pathlib.Path,
                        help="static init program (default: the one built beside --out)")
    parser.add_argument("--kernel", type=pathlib.Path, default=default_kernel_dir(),
                        metavar="DIR", help="with vmlinuz and modules/ (default: %(default)s)")
    parser.add_argument("--module", action="append", default=[], metavar="NAME",
                        help="one more, with what it needs; repeatable")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR")
    parser.add_argument("--stamp", type=pathlib.Path, help="file to touch when done")
    parser.add_argument("--if-possible", action="store_true",
                        help="without a kernel say so and succeed")
    args = parser.parse_args()
    try:
        make(args.init or args.out.parent / "test/guest/guest-init", args.kernel, args.out,
             args.module)
    except GuestError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 0 if args.if_possible else 1
    if args.stamp is not None:
        args.stamp.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
