"""Helpers that tests of every area share."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pq_cli import QueueConfig, Spool
from pq_cli.errors import EXIT_COMMAND_FAILED

HANG = 60
"""Seconds after which a test calls something hung. Never a measure of speed."""


def need_tool(name: str) -> str:
    """Return the path of a tool; without it skip, but fail where CI is set."""
    found = shutil.which(name)
    if found is not None:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{name} is missing; .ci/run installs it")
    return pytest.skip(f"{name} is not installed")


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """Return the first truthy value of `true()`; fail when it does not come in `HANG` seconds."""
    deadline = time.monotonic() + HANG
    while not (value := true()):
        assert time.monotonic() < deadline, f"waited {HANG} s: {what}"
        time.sleep(0.01)
    return value


def heed_signals() -> None:
    """Undo what a background job of a script inherits, INT ignored: pq rightly would ignore it."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def runs(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_renewed(spool: Spool, lease_until: float | None) -> None:
    """Wait until item 1 has outlived this end of its lease; nobody else gets it meanwhile."""
    first = lease_until or 0.0

    def outlived() -> bool:
        assert spool.claim() is None
        return time.time() > first and (spool.get(1).lease_until or 0.0) > first

    wait_until(outlived, "the lease was renewed")


def die_at(
    step: int, after: bool, work: Callable[[], object], *writes: tuple[object, Sequence[str]]
) -> bool:
    """Do the work in a child that ends, as by kill -9, at its step-th write; tell if it ended so.

    after: right after the write instead of right before it. writes: what has functions of these
    names that write.
    """
    child = os.fork()
    if child == 0:
        left = [step]

        def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                mine = left[0] == 0  # it may call another one that counts
                if mine and not after:
                    os._exit(9)
                try:
                    return real(*arguments, **options)
                finally:
                    if mine:
                        os._exit(9)

            return call

        for owner, names in writes:
            for name in names:
                setattr(owner, name, deadly(getattr(owner, name)))
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Extract one of this project's own archives. Python before 3.11.4 knows no filters."""
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    archive.extractall(folder, **safely)


class Ran(NamedTuple):
    """What a finished `pq` gave: stdout as bytes, stderr as text, exit status."""

    out: bytes
    err: str
    status: int

    @property
    def text(self) -> str:
        """The whole stdout as text."""
        return self.out.decode()

    @property
    def words(self) -> list[str]:
        """The words on stdout."""
        return self.text.split()


def assert_ends_with_a_command(ran: Ran) -> None:
    """What pq says of an error names what to type next."""
    if 1 < ran.status < 128 and ran.status != EXIT_COMMAND_FAILED and "pq: " in ran.err:
        assert "`" in ran.err


class Pq:
    """Runs the real `pq` on one spool, as a shell would.

    Calling it runs a command to its end and checks what holds for every command: the status that
    was expected, no traceback, and what to type next after an error.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        mine = ("PQ_", "XDG_", "PYTHON")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(mine)}
        self.env |= {"PQ_SPOOL": str(self.spool), "HOME": str(folder)}

    def __call__(self, *args: object, stdin: bytes = b"", expect: int = 0, **popen: Any) -> Ran:
        """Run `pq ARGS` with these bytes on stdin; `expect` is the exit status it must have."""
        source: dict[str, Any] = {} if "stdin_from" in popen else {"input": stdin}
        if "stdin_from" in popen:
            source = {"stdin": popen.pop("stdin_from")}
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.env} | popen
        done = subprocess.run(self.argv(*args), timeout=HANG, check=False, **source, **popen)
        ran = Ran(done.stdout or b"", (done.stderr or b"").decode(), done.returncode)
        assert "Traceback" not in ran.err, ran.err
        assert ran.status == expect, f"pq {args}: exit {ran.status}, stderr: {ran.err}"
        assert_ends_with_a_command(ran)
        return ran

    def argv(self, *args: object) -> list[str]:
        """Return the argument vector that runs `pq ARGS`."""
        return [sys.executable, "-m", "pq_cli", *(str(arg) for arg in args)]

    @contextlib.contextmanager
    def start(self, *args: object, **popen: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Start `pq ARGS` and go on; it is killed at the end if it still runs."""
        popen = {
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            "env": self.env,
        } | popen  # fmt: skip
        with subprocess.Popen(self.argv(*args), **popen) as process:
            try:
                yield process
            finally:
                process.kill()

    def shell(self, script: str, *args: object, expect: int = 0) -> Ran:
        """Run a shell script in which `pq` is the command under test."""
        whole = f'pq() {{ "{sys.executable}" -m pq_cli "$@"; }}\n{script}'
        done = subprocess.run(
            ["bash", "-c", whole, "bash", *(str(arg) for arg in args)],
            env=self.env, cwd=self.folder, capture_output=True, timeout=HANG, check=False,
        )  # fmt: skip
        ran = Ran(done.stdout, done.stderr.decode(), done.returncode)
        assert "Traceback" not in ran.err, ran.err
        assert ran.status == expect, f"exit {ran.status}, stderr: {ran.err}"
        assert_ends_with_a_command(ran)
        return ran

    def on_terminal(
        self, *args: object, typed: bytes = b"", expect: int = 0, size: tuple[int, int] = (0, 0)
    ) -> str:
        """Run `pq ARGS` with all three streams on a terminal; return what it shows.

        size: its lines and columns, if it tells them.
        """
        pid, master = pty.fork()
        if pid == 0:
            termios.tcsetwinsize(0, size)
            os.execve(sys.executable, self.argv(*args), self.env)
        os.write(master, typed)
        shown = read_terminal(master)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(master)
        assert "Traceback" not in shown, shown
        assert status == expect, f"pq {args}: exit {status}, terminal: {shown}"
        return shown

    def api(self, **config: Any) -> Spool:
        """Return the spool, for preparing and looking; `config` overrides its queue.toml."""
        return Spool(self.spool, config=QueueConfig(**config) if config else None)

    def fill(self, *payloads: bytes, **fields: Any) -> list[int]:
        """Enqueue payloads in this process; return the ids."""
        with self.api() as spool:
            return [spool.enqueue(payload, **fields).id for payload in payloads]

    def states(self) -> dict[int, str]:
        """Return id -> state of every item, done ones included."""
        with self.api() as spool:
            return {item.id: str(item.state) for item in spool.items()}

    def tree(self) -> dict[str, tuple[int, str]]:
        """Return path -> (mode, content) of everything in the spool, to compare.

        Without `counter`, which every locked look may sign, whether or not it changes an item.
        """
        return tree(self.spool, without=("counter",))


def readable(fd: int) -> bool:
    """Wait until there is something to read; False when it does not come. For any descriptor."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(HANG * 1000))


def read_terminal(master: int) -> str:
    """Return everything a terminal's other side writes until it closes."""
    shown = b""
    while True:
        assert readable(master), f"the terminal is silent: {shown!r}"
        try:
            chunk = os.read(master, 65536)
        except OSError as error:
            assert error.errno == errno.EIO
            break
        if not chunk:
            break
        shown += chunk
    return shown.decode(errors="replace")


def started_together(argvs: Iterable[Sequence[object]]) -> list[subprocess.Popen[str]]:
    """Start processes that say "ready" and wait for a line, and let all of them go at once."""
    running = [
        subprocess.Popen(
            list(map(str, argv)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for argv in argvs
    ]
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return running


def tree(folder: Path, without: tuple[str, ...] = ()) -> dict[str, tuple[int, str]]:
    """Return relative path -> (mode, content) below a folder; contents of files as a hash."""
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name in without:
            continue
        mode = path.lstat().st_mode
        if path.is_symlink():
            found[name] = (mode, os.readlink(path))
        elif path.is_file():
            found[name] = (mode, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            found[name] = (mode, "")
    return found
