"""Every error of the system that reaches a person names what it was about."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support import Pq

from pq_cli.cli import main

Site = tuple[str, ...]
RECORDS = b'{"payload": "x"}\n{"payload": "y"}\n'
UNREADABLE = "/proc/self/mem"
"""A regular file by its looks; its first byte cannot be read: EIO."""
BY_DESCRIPTOR = (
    "read", "pread", "write", "pwrite", "fsync", "fdatasync", "fstat", "lseek", "fchmod",
    "fchown", "copy_file_range", "flock",
)  # fmt: skip
"""Calls about a descriptor: the kernel's error has no name in it."""
COMMANDS = [
    "ls", "show 1", "cat 1", "explain 1", "stats", "log", "check", "doctor", "export",
    "export --tar", "enqueue", "enqueue FILE", "enqueue --move FILE", "enqueue --lines FILE",
    "enqueue -0", "enqueue --jsonl FILE", "enqueue --key k", "next", "next --ack", "done 5",
    "fail 5", "release 5", "renew 5", "retry 3", "set 1 -p 3", "hold 1", "rm 1", "undo",
    "purge --state failed", "age", "pause", "resume", "init", "check --repair",
    "export --move -- cat", "import", "migrate SRC",
]  # fmt: skip


@pytest.fixture
def filled(pq: Pq, tmp_path: Path) -> Pq:
    """A spool with items in every state, a payload with no cheap checksum, and things to read."""
    pq.fill(b"one", b"x" * 1_200_000)
    with pq.api() as spool:
        spool.fail(spool.claim(lease=1e6) or 0, "x", dead=True)
        spool.retry(1)
        spool.enqueue(b"three", priority=1)
        spool.fail(spool.claim(lease=1e6) or 0, "x", dead=True)
        spool.remove(spool.enqueue(b"four"))
        spool.enqueue(b"five", priority=1)
        spool.claim(lease=1e6, bound=False)
    (tmp_path / "FILE").write_bytes(RECORDS)
    (tmp_path / "SRC").mkdir()
    (tmp_path / "SRC" / "data.txt").write_bytes(b"x")
    return pq


def run(pq: Pq, words: list[str], fatal: int = -1) -> tuple[list[Site], str]:
    """Run a command of which one call about a descriptor fails; return (sites of all, stderr).

    In a forked child, without the start of an interpreter: there are hundreds of them.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
        pid = os.fork()
        if pid == 0:
            sites: list[Site] = []
            try:
                _become(pq, out.fileno(), told.fileno(), sites, fatal)
                main(words)
            finally:
                (pq.folder / "sites").write_bytes(pickle.dumps(sites))
                os._exit(0)
        os.waitpid(pid, 0)
        told.seek(0)
        sites = pickle.loads((pq.folder / "sites").read_bytes())
        return sites, told.read().decode(errors="replace")


def _become(pq: Pq, out: int, told: int, sites: list[Site], fatal: int) -> None:
    os.environ.clear()
    os.environ.update(pq.env)
    os.chdir(pq.folder)
    os.dup2(os.open(pq.folder / "FILE", os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(told, 2)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115

    def failing(real: Any) -> Any:
        def call(fd: Any, *args: Any, **kwargs: Any) -> Any:
            if fd not in (1, 2):
                sites.append(_site())
                if len(sites) == fatal:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(fd, *args, **kwargs)

        return call

    for name in BY_DESCRIPTOR:
        module = fcntl if name == "flock" else os
        setattr(module, name, failing(getattr(module, name)))


def _site() -> Site:
    """Return where in pq the call is made: the innermost lines of it."""
    frame, found = sys._getframe(2), []
    while frame is not None and len(found) < 4:
        if "pq_cli" in frame.f_code.co_filename:
            found.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(found)


tried: set[Site] = set()
"""Where a call has failed already, for whatever command."""


@pytest.mark.parametrize("command", COMMANDS)
def test_whatever_call_fails_the_message_names_a_file(
    filled: Pq, command: str, tmp_path: Path
) -> None:
    """Each read, write and sync fails in turn, wherever it is made: no message lacks a name."""
    shutil.copytree(filled.spool, tmp_path / "template", symlinks=True)
    sites, said = run(filled, command.split())
    assert sites and "internal error" not in said
    for number, site in enumerate(sites, 1):
        if site in tried:
            continue
        tried.add(site)
        shutil.rmtree(filled.spool)
        shutil.copytree(tmp_path / "template", filled.spool, symlinks=True)
        (tmp_path / "FILE").write_bytes(RECORDS)
        _, said = run(filled, command.split(), number)
        assert "internal error" not in said and "Traceback" not in said, said
        for line in said.splitlines():
            if os.strerror(errno.EIO) in line:
                assert re.match(r"pq: .*\S: ", line), f"{site}: {line}"


@pytest.mark.parametrize("mode", ["", "--lines", "-0", "--jsonl", "--move"])
def test_a_file_that_cannot_be_read_is_named(pq: Pq, mode: str) -> None:
    """A read error names the FILE as it was typed: 74, and the other FILEs go in."""
    pq("init")
    (pq.folder / "good").write_text('{"payload": "x"}')
    ran = pq("enqueue", *mode.split(), UNREADABLE, pq.folder / "good", expect=74)
    assert ran.err.startswith(f"pq: {UNREADABLE}: Input/output error")
    assert ran.words == ["1"]


@pytest.mark.parametrize(
    "command",
    ["enqueue", "enqueue --lines", "enqueue --jsonl", "import", "done -",
     "submit -- cat"],
)  # fmt: skip
def test_standard_input_that_cannot_be_read_is_named(pq: Pq, command: str) -> None:
    """What comes by stdin and cannot be read: the message says so."""
    pq.fill(b"x")
    with open(UNREADABLE, "rb", buffering=0) as broken:
        ran = pq(*command.split(), stdin_from=broken, expect=74)
    assert any(line.startswith("pq: standard input: Input") for line in ran.err.splitlines())


@pytest.mark.parametrize("mode", ["", "--lines", "-0", "--jsonl", "--move"])
def test_a_device_or_a_socket_is_no_file(pq: Pq, mode: str) -> None:
    """What may have no end, or does something when it is opened, is refused before it is opened."""
    pq("init")
    before = pq.tree()
    name = str(pq.folder / "socket")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(name)
        devices = ["/dev/full", "/dev/zero", "/dev/null", "/dev/tty", "/dev/random"]
        for path in [*devices, name]:
            ran = pq("enqueue", *mode.split(), path, expect=2)
            what = "socket" if path == name else "device"
            assert ran.err.startswith(f"pq: {path} is a {what}, no FILE")
            assert "standard input" in ran.err and ran.out == b""
    assert pq.tree() == before and Path(name).exists()


def test_a_pipe_is_read_to_its_end(pq: Pq) -> None:
    """`pq enqueue <(CMD)` and a named pipe: their bytes are an item; they are not moved."""
    ran = pq.shell(
        "pq enqueue <(printf abc); mkfifo p; (printf def >p &); pq enqueue p; pq cat 1 2"
    )
    assert ran.out == b"1\n2\nabcdef"
    ran = pq.shell("pq enqueue --move p", expect=2)
    assert "p is a pipe: --move takes whole FILEs" in ran.err and (pq.folder / "p").exists()
