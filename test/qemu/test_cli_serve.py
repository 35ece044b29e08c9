# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-test-lm serve: wrong options, wrong peers, garbage; each error names what is wrong."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lm_harness.process import Process

Find = Callable[[str], Path]
Launch = Callable[..., Process]

ANSWER_S = 30  # a peer that says nothing is given up by then


def serve(program: Find, tmp: Path, *args: object,
          before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    (tmp / "run").mkdir(exist_ok=True)
    return subprocess.run([*before, str(program("dpdk-test-lm")), "serve", *map(str, args)],
                          text=True, timeout=ANSWER_S + 20, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "RUNTIME_DIRECTORY": str(tmp / "run")})


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Callable[[bytes | None], Path]]:
    """peer(reply): a listening socket that answers with garbage, or never (None)."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(reply: bytes | None) -> Path:
        path = tmp_path / "peer"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        listeners.append(listener)

        def run() -> None:
            try:
                while True:
                    conn, _ = listener.accept()
                    with conn:
                        if reply is not None:
                            conn.sendall(reply)
                        while conn.recv(4096):
                            pass
            except OSError:
                pass

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return path

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize("args, words", [
    ([], "--vhost"), (["--nonsense"], "nonsense"),
    (["--device", "socket=/x"], "as many --vhost as --device"),
    (["--device", "socket=/x", "--vhost", "/a", "--vhost", "/b"], "as many")])
def test_usage(program: Find, tmp_path: Path, args: list[str], words: str) -> None:
    """Catches: usage errors that start EAL first, or do not name the option."""
    run = serve(program, tmp_path, *args)
    assert run.returncode == 2 and words in run.stdout and "EAL:" not in run.stdout


@pytest.mark.parametrize("device, words", [
    ("socket=/nonexistent/sock", "/nonexistent/sock: No such file or directory"),
    ("socket=/etc/passwd", "/etc/passwd"), ("nonsense=1", "nonsense"),
    ("socket=/x,log=maybe", "log="), ("socket=" + "x" * 200, "xxx")])
def test_device(program: Find, tmp_path: Path, device: str, words: str) -> None:
    """Catches: a start that goes on without its device, or an error without path and reason."""
    run = serve(program, tmp_path, "--device", device, "--vhost", tmp_path / "v")
    assert run.returncode == 1, run.stdout
    assert words in run.stdout and "ready" not in run.stdout


@pytest.mark.parametrize("reply", [None, b"\xff" * 64, b"GET / HTTP/1.0\r\n\r\n", b"\0" * 16])
def test_peer(program: Find, tmp_path: Path, peer: Callable[[bytes | None], Path],
              reply: bytes | None) -> None:
    """Catches: a wait for ever on a silent peer; belief in one that talks nonsense."""
    path = peer(reply)
    run = serve(program, tmp_path, "--device", f"socket={path}", "--vhost", tmp_path / "v")
    assert run.returncode == 1, run.stdout
    assert str(path) in run.stdout and "ready" not in run.stdout


@pytest.mark.parametrize("what", ["device", "vhost"])
def test_no_permission(program: Find, tmp_path: Path, launch: Launch, what: str) -> None:
    """Catches: 'permission denied' that does not say for which path."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root to become somebody else")
    exe = program("dpdk-test-lm")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if subprocess.run([*nobody, "test", "-x", str(exe)], check=False).returncode != 0:
        pytest.skip(f"'nobody' cannot read {exe}")
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    model = launch("model", program("dpdk-lm-devmodel"), "virtio-net", "--socket", tmp_path / "m")
    model.wait_line("^ready", 10)
    (tmp_path / "m").chmod(0o600 if what == "device" else 0o666)
    bad = tmp_path / "m" if what == "device" else tmp_path  # where it makes its socket
    run = serve(program, tmp_path, "--device", f"socket={tmp_path / 'm'}",
                "--vhost", tmp_path / "v", "--eal=--no-huge", before=nobody)
    assert run.returncode == 1, run.stdout
    assert any(str(bad) in line and "ermission" in line for line in run.stdout.splitlines()), \
        run.stdout


def test_garbage_front_end(program: Find, tmp_path: Path, launch: Launch) -> None:
    """Catches: a back end that a wrong front end can stop for the next one."""
    (tmp_path / "run").mkdir()
    model = launch("model", program("dpdk-lm-devmodel"), "virtio-net", "--socket", tmp_path / "m")
    model.wait_line("^ready", 10)
    back = launch("serve", program("dpdk-test-lm"), "serve", "--device", f"socket={tmp_path / 'm'}",
                  "--vhost", tmp_path / "v", env={"RUNTIME_DIRECTORY": str(tmp_path / "run")})
    back.wait_line("^ready", 20)
    for garbage in (b"\xff" * 100, b"GET / HTTP/1.0\r\n\r\n", bytes(11),
                    # GET_FEATURES that claims 4 GiB, and a message number that nobody has
                    b"\x01\0\0\0\x01\0\0\0\xff\xff\xff\xff", b"\xee\0\0\0\x01\0\0\0\0\0\0\0"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(tmp_path / "v"))
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    with socket.socket(socket.AF_UNIX) as sock:  # a decent one: GET_FEATURES, version 1
        sock.settimeout(10)
        sock.connect(str(tmp_path / "v"))
        sock.sendall(b"\x01\0\0\0\x01\0\0\0\0\0\0\0")
        assert len(sock.recv(4096)) == 20
    back.check_alive()
    assert back.stop() == 0
    assert not (tmp_path / "v").exists(), "the socket stayed behind"
    assert model.stop() == 0
    assert not (tmp_path / "m").exists(), "the model's socket stayed behind"
