"""Every command as a real process, on every kind of standard stream."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from support import Pq, wait_until

from pq_cli.commands.table import COMMANDS

PREPARED = {1: "active", 2: "failed", 3: "pending", 4: "delayed", 5: "held"}


class Case(NamedTuple):
    """A command line that succeeds on the prepared spool, and what is on stdout.

    prints: a word that must be there, or None: it prints nothing. keeps: whether the item states
    stay as they were when stdout cannot be written. reads: the file that is its stdin, if any.
    """

    args: str
    prints: str | None = None
    keeps: bool = True
    reads: str | None = None


CASES = {
    "enqueue": Case("enqueue FILE", prints="6", keeps=False),
    "next": Case("next", prints="third"),
    "done": Case("done 1.1", keeps=False),
    "fail": Case("fail 1.1", keeps=False),
    "release": Case("release 1.1", keeps=False),
    "renew": Case("renew 1.1"),
    "ls": Case("ls", prints="pending"),
    "show": Case("show 3", prints="created_at"),
    "wait": Case("wait 6", prints="done"),
    "cat": Case("cat 3", prints="third"),
    "retry": Case("retry 2 4 5", keeps=False),
    "age": Case("age --dry-run --at 2099-01-01T00:00:00Z", prints="1"),
    "set": Case("set 3 -p 1"),
    "hold": Case("hold 3", keeps=False),
    "cancel": Case("cancel 3", keeps=False),
    "rm": Case("rm 3", keeps=False),
    "purge": Case("purge --state failed", prints="2", keeps=False),
    "undo": Case("undo 6", prints="6", keeps=False),
    "pause": Case("pause"),
    "resume": Case("resume"),
    "log": Case("log", prints="3"),
    "stats": Case("stats", prints="pending"),
    "workers": Case("workers", prints="lease"),
    "explain": Case("explain 3", prints="3"),
    "check": Case("check"),
    "init": Case("init"),
    "export": Case("export", prints="third"),
    "completion": Case("completion bash", prints="complete"),
    "doctor": Case("doctor", prints="spool"),
    "config": Case("config", prints="lease"),
    "import": Case("import", prints="6", keeps=False, reads="STREAM"),
    "migrate": Case("migrate --json QUEUE", prints="report.xml", keeps=False),
    "run": Case("run --json -- true", prints="start", keeps=False),
    "selftest": Case("selftest EMPTY", prints="holds"),
    "submit": Case("submit -- false", prints="6", keeps=False, reads="FILE"),
}
PRINTING = [name for name, case in CASES.items() if case.prints]


@pytest.fixture
def prepared(pq: Pq) -> Pq:
    """A spool with an item in every state, and beside it what commands read."""
    (pq.folder / "FILE").write_bytes(b"from a file")
    (pq.folder / "EMPTY").mkdir()
    (pq.folder / "QUEUE").mkdir()
    (pq.folder / "QUEUE" / "report.xml").write_bytes(b"from an older queue")
    other = Pq(pq.folder / "other")
    other.fill(b"from another spool")
    (pq.folder / "STREAM").write_bytes(other("export").out)
    with pq.api() as spool:
        spool.enqueue(b"first")
        spool.claim(bound=False)
        spool.enqueue(b"second")
        spool.fail(spool.claim() or 0, "no", dead=True)
        spool.enqueue(b"third", name="third name")
        spool.enqueue(b"fourth", delay=3600)
        spool.hold(spool.enqueue(b"fifth"))
    return pq


def arguments(pq: Pq, name: str) -> list[str]:
    """Return the case's arguments; `undo` first gets something to undo, `wait` an end."""
    words = CASES[name].args.split()
    if name == "undo":
        with pq.api() as spool:
            spool.remove(spool.enqueue(b"removed"))
    if name == "wait":
        with pq.api() as spool:
            spool.enqueue(b"urgent", priority=1)
            spool.done(spool.claim() or 0)
    return [str(pq.folder / word) if word.isupper() and word.isalpha() else word for word in words]


def nothing_is_lost(pq: Pq, name: str) -> None:
    """Assert that what the command was given, and was there, is there still or was done."""
    after, asked = pq.states(), {"done": 1, "purge": 2, "rm": 3, "run": 3}
    assert set(PREPARED) - {asked.get(name)} <= set(after)
    assert not list((pq.folder / "EMPTY").iterdir())


def test_every_command_is_here() -> None:
    """A new command cannot be forgotten: it is run on all streams here."""
    assert set(CASES) == set(COMMANDS)


@pytest.mark.parametrize("name", CASES)
def test_pipe_with_stdin_closed(prepared: Pq, name: str) -> None:
    """Every command works with stdin closed (that reads none) and stdout a pipe."""
    args = arguments(prepared, name)
    ran = prepared.shell(f'pq "$@" <{CASES[name].reads or "&-"}', *args)
    assert (CASES[name].prints or "") in ran.text
    assert bool(ran.out) == (CASES[name].prints is not None)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.reads])
def test_terminal(prepared: Pq, name: str) -> None:
    """Every command works when all its streams are a terminal."""
    shown = prepared.on_terminal(*arguments(prepared, name))
    assert (CASES[name].prints or "") in shown


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", [">/dev/full", ">&-"])
def test_stdout_that_takes_nothing(prepared: Pq, name: str, how: str) -> None:
    """A full or closed stdout is exit 74 and one line for a command that prints, else no matter.

    What could not be printed is not lost: `next` gives the item back uncounted, and no item
    disappears that was not asked to.
    """
    case = CASES[name]
    before = prepared.states()
    ran = prepared.shell(
        f'pq "$@" {how} <{case.reads or "/dev/null"}',
        *arguments(prepared, name),
        expect=74 * bool(case.prints),
    )
    if case.prints:
        lines = ran.err.splitlines()
        assert "standard output" in lines[-1]
        assert len(lines) == 1 or name in ("purge", "migrate", "import", "submit")
    if case.keeps:
        assert prepared.states() == before
    nothing_is_lost(prepared, name)
    if name == "next":
        with prepared.api() as spool:
            assert spool.get(3).attempts == 0


@pytest.mark.parametrize("unbuffered", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])
@pytest.mark.parametrize("name", PRINTING)
def test_reader_that_left(prepared: Pq, name: str, unbuffered: dict[str, str]) -> None:
    """Nobody reads stdout any more: exit 141 without a word, as with any Unix filter."""
    prepared.env |= unbuffered
    read, write = os.pipe()
    os.close(read)
    args = arguments(prepared, name)
    source = prepared.folder / (CASES[name].reads or os.devnull)
    with source.open("rb") as stdin, os.fdopen(write, "wb") as stdout:
        ran = prepared(*args, expect=141, stdout=stdout, stdin_from=stdin)
    assert "standard output" not in ran.err
    nothing_is_lost(prepared, name)


def test_stderr_that_takes_nothing(prepared: Pq) -> None:
    """Messages that cannot be written do not change what a command does, or its status."""
    prepared.shell("pq show 99 2>/dev/full", expect=3)
    prepared.shell("pq show 99 2>&-", expect=3)
    prepared.shell("pq init 2>&-")
    assert prepared.states() == PREPARED


def test_next_ack_to_a_reader_that_takes_one_byte(pq: Pq) -> None:
    """`next --ack | head -c1` on a large payload gives it back uncounted: it was not delivered."""
    (item,) = pq.fill(b"x" * 5_000_000)
    ran = pq.shell("pq next --ack | head -c1; exit ${PIPESTATUS[0]}", expect=141)
    assert ran.out == b"x"
    with pq.api() as spool:
        found = spool.get(item)
        assert (found.state, found.attempts, found.history) == ("pending", 0, ())


def test_next_ack_to_a_full_disk(pq: Pq) -> None:
    """`next --ack` removes the item only after its payload was written: here it was not."""
    pq.fill(b"payload")
    pq.shell("pq next --ack > /dev/full", expect=74)
    assert pq.states() == {1: "pending"}
    assert pq("next", "--ack").out == b"payload"
    assert pq.states() == {}


@pytest.mark.parametrize("option", ["--claim", "--path", "--json"])
def test_next_whose_answer_is_lost(pq: Pq, option: str) -> None:
    """A claim that could not be told to anybody is given back uncounted."""
    pq.fill(b"payload")
    pq.shell(f"pq next {option} >/dev/full", expect=74)
    with pq.api() as spool:
        assert (spool.get(1).state, spool.get(1).attempts) == ("pending", 0)


def test_ids_that_could_not_be_printed(pq: Pq, tmp_path: Path) -> None:
    """When enqueue cannot print an id it stops: nothing more goes in of which nobody would know.

    But for what shares its commit, as small FILEs do.
    """
    for name in "abc":
        with open(tmp_path / name, "wb") as file:
            file.truncate(10_000_000)
    ran = pq.shell("pq enqueue a b c >/dev/full", expect=74)
    assert ran.err.startswith("pq: standard output: No space left on device; `pq")
    assert pq.states() == {1: "pending"}
    assert pq.shell("printf 'a\\nb\\nc\\n' | pq enqueue --lines >/dev/full", expect=74).err


def test_nonblocking_stdout(pq: Pq) -> None:
    """A stdout that somebody made non-blocking still gets all of a large payload."""
    payload = os.urandom(2_000_000)
    pq.fill(payload)
    read, write = os.pipe()
    os.set_blocking(write, False)
    with pq.start("next", "--ack", stdout=write) as process:
        os.close(write)
        with os.fdopen(read, "rb") as reader:
            assert reader.read() == payload
        assert process.wait() == 0


def test_closed_descriptors_are_not_reused(pq: Pq) -> None:
    """With the streams closed no file of the spool takes their place, to be printed into."""
    (pq.folder / "FILE").write_bytes(b"content")
    pq.shell("pq enqueue FILE <&- >&- 2>&-", expect=74)
    ran = pq.shell("pq enqueue FILE missing FILE <&- 2>&-", expect=74)
    assert ran.words == ["1", "2"]
    assert pq.shell("pq cat 1 2>&-").out == b"content"
    files = [path for path in pq.spool.rglob("*") if path.is_file()]
    assert not [path for path in files if b"No such file" in path.read_bytes()]


def test_signals_end_quietly(pq: Pq) -> None:
    """INT, TERM and HUP end a waiting `next` with 130, 143 and 129, and without a traceback."""
    pq.fill(b"x", delay=3600)
    for number, status in ((2, 130), (15, 143), (1, 129)):
        with pq.start("next", "--wait", stdin=subprocess.DEVNULL) as process:
            wait_for_open(process.pid, "/lock")
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out, err) == (status, b"", b"")


def test_an_interrupt_in_an_import_ends_quietly(pq: Pq, tmp_path: Path) -> None:
    """Also where a library executes a text as it is loaded, and the interrupt comes out of that."""
    text = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"
    (tmp_path / "filelock.py").write_text(f"exec({text!r})")
    pq.env["PYTHONPATH"] = str(tmp_path)
    with pq.start("next", "--wait") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")


def wait_for_open(pid: int, end: str) -> None:
    """Wait until a process has a file open whose name ends so: it has come that far."""

    def is_open() -> bool:
        folder = f"/proc/{pid}/fd"
        try:
            return any(os.readlink(f"{folder}/{fd}").endswith(end) for fd in os.listdir(folder))
        except FileNotFoundError:
            return False

    wait_until(is_open, f"{end} is opened")
