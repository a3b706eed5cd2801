"""Bad input: one clear line, the right exit status, and nothing changed. Real processes."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import HANG, Pq, tree

from pq_cli import Spool, UsageError
from pq_cli.commands.table import COMMANDS, load, options
from pq_cli.spool.check.check import Check

ESCAPE = "\x1b[2J\x1b]0;pwned\x07"
DRIVES = ("\x1b", "\x07", "\x9b", "\x7f", "\u202e", "\x08")
"""What must never reach a terminal from names, keys, errors or metadata."""


def refused(pq: Pq, *args: object, status: int, said: str, stdin: bytes = b"x") -> None:
    """Run a command that must fail with one line, and leave the spool as it was."""
    before = pq.tree() if pq.spool.is_dir() else None
    ran = pq(*args, stdin=stdin, expect=status)
    assert ran.out == b""
    (line,) = ran.err.splitlines()
    assert line.startswith("pq: ")
    assert said in line, line
    assert all(sign not in line for sign in DRIVES)
    assert (pq.tree() if pq.spool.is_dir() else None) == before


@pytest.mark.parametrize("value", ["0", "11", "high", "-1", "1.5", "", " 5", "５", "9" * 40])
def test_priority(pq: Pq, value: str) -> None:
    """A priority is a whole number from 1 to 10."""
    pq("init")
    refused(pq, "enqueue", f"--priority={value}", status=2, said="from 1 (most urgent) to 10")


@pytest.mark.parametrize("command", ["ls", "set 1", "retry 1", "retry --all"])
def test_priority_everywhere(pq: Pq, command: str) -> None:
    """What enqueue does not take as a priority, no other command does."""
    pq.fill(b"x")
    refused(pq, *command.split(), "-p", "11", status=2, said="from 1 (most urgent) to 10")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--key", ""), "a key has 1 to 200 bytes, this one has 0"),
        (("--key", "k" * 201), "a key has 1 to 200 bytes, this one has 201"),
        (("--key", "é" * 101), "this one has 202"),
        (("--key", "a\nb"), "control characters"),
        (("--key", f"a{ESCAPE}"), "control characters"),
        (("--key", "a\x9bb"), "control characters"),
        (("--if-exists", "maybe"), "skip, fail, replace, raise"),
        (("--delay", "soon"), "'soon' is not a duration"),
        (("--delay=-5",), "is not a duration"),
        (("--delay", "9" * 30), "longer than 100 years"),
        (("--at", "tomorrow"), "'tomorrow' is not a time"),
        (("--delay", "1", "--at", "2099-01-01"), "exclude each other"),
        (("--at", "1969-12-30"), "--at '1969-12-30': give a time from 1970 on"),
        (("--max-attempts", "0"), "max"),
        (("--max-attempts", "many"), "whole number"),
        (("--max-attempts", "9" * 30), "a whole number from 1 to 1000000"),
        (("--timeout", "0"), "--timeout '0': must be longer than 0"),
        (("--after", ""), "'' is not an item"),
        (("-m", "novalue"), "KEY=VALUE"),
        (("-m", "=x"), "KEY=VALUE"),
        (("--name", "n" * 1025), "at most 1024 bytes"),
        (("--lines", "--jsonl"), "exclude each other"),
        (("--move",), "--move takes whole FILEs"),
        (("--lock-timeout", "x"), "is not a duration"),
        (("-s", ""), "--spool: give a directory"),
    ],
)
def test_enqueue_options(pq: Pq, args: tuple[str, ...], said: str) -> None:
    """Every option of enqueue that means nothing is named, with what is allowed: exit 2."""
    pq("init")
    refused(pq, "enqueue", *args, status=2, said=said)


def test_bad_options_do_not_make_a_spool(pq: Pq) -> None:
    """A command line that is wrong makes nothing, not even the spool."""
    pq("enqueue", "-p", 11, stdin=b"x", expect=2)
    pq("enqueue", "--key", "a\x01", stdin=b"x", expect=2)
    assert not pq.spool.exists()


def test_unknown_options_after_the_command(pq: Pq) -> None:
    """An unknown option is a usage error for every command, never a FILE or an ITEM."""
    pq.fill(b"x")
    for command in COMMANDS:
        refused(pq, command, "--frobnicate", "1", status=2, said="No such option: --frobnicate")


@pytest.mark.parametrize(
    ("command", "field", "text"),
    [("run", "jobs", "0"), ("run", "rate", "often"), ("run", "when", "true && false"),
     ("run", "timeout", "0"), ("run", "defer_on", "0"), ("ls", "states", ("none",)),
     ("ls", "color", "red"), ("enqueue", "if_failed", "cry"), ("migrate", "tz", "Mars/Base")],
)  # fmt: skip
def test_an_option_that_refuses_a_value_names_itself(command: str, field: str, text: Any) -> None:
    """Whatever reads a value, an error begins with the option's long name and what was typed."""
    option = options(command)[field]
    shown = text if isinstance(text, str) else text[0]
    with pytest.raises(UsageError) as raised:
        option.meant(text)
    assert str(raised.value).startswith(f"{max(option.names, key=len)} {shown!r}: ")


OPERANDS = {
    "next": "-- true", "run": "-- true", "submit": "-- true", "set": "1 -p 2", "migrate": "src",
} | dict.fromkeys(
    ("done", "fail", "release", "renew", "hold", "retry", "cancel", "rm", "show", "cat", "explain",
     "wait"),
    "1",
)  # fmt: skip
"""What a command cannot do without, beside the spool."""


def test_an_empty_name_is_no_folder(pq: Pq, tmp_path: Path) -> None:
    """An empty name of a folder (an unset variable) is a usage error, never the current folder."""
    here = tmp_path / "here"
    (here / "src").mkdir(parents=True)
    (here / "src" / "notes.txt").write_text("mine")
    seen = []
    for command in COMMANDS:
        if any("--spool" in param.opts for param in load(command).params):
            words = OPERANDS.get(command, "").split()
            ran = pq(command, "--spool=", *words, expect=2, cwd=here)
            assert "--spool: give a directory" in ran.err and ran.out == b"", command
            seen.append(command)
    assert {"doctor", "check", "init", "enqueue"} <= set(seen)
    pq("init", "--upgrade", "-s", "", expect=2, cwd=here)
    pq("-s", "", "doctor", expect=2, cwd=here)
    ran = pq("migrate", "", "--move", "--force", expect=2, cwd=here / "src")
    assert "SRC is empty" in ran.err
    for make in (Spool, Check):
        with pytest.raises(UsageError, match="give a directory"):
            make("", lock_timeout=1.0)
    assert sorted(p.name for p in here.rglob("*")) == ["notes.txt", "src"]


def test_an_empty_variable_is_as_if_it_were_not_set(pq: Pq, tmp_path: Path) -> None:
    """`PQ_SPOOL=` is the default spool for every command, the plain forms too; never a folder."""
    here = tmp_path / "here"
    here.mkdir()
    pq.env["PQ_SPOOL"] = ""
    assert pq("enqueue", stdin=b"x", cwd=here).words == ["1"]
    assert pq("ls", cwd=here).words[0] == "1"
    spool = tmp_path / ".local" / "state" / "pq" / "default"
    assert str(spool) in pq("doctor", cwd=here).text
    assert (spool / "state.json").exists() and not list(here.iterdir())


def test_bad_files(pq: Pq, tmp_path: Path) -> None:
    """A FILE that is missing or a directory is named: exit 74; the spool stays as it was."""
    pq("init")
    refused(pq, "enqueue", tmp_path / "none", status=74, said=f"{tmp_path}/none: No such file")
    refused(pq, "enqueue", tmp_path, status=74, said=f"{tmp_path}: Is a directory")
    refused(pq, "enqueue", "--move", tmp_path, status=74, said="Is a directory")
    refused(pq, "enqueue", "--lines", tmp_path, status=74, said="Is a directory")
    refused(pq, "enqueue", "--jsonl", tmp_path / "none", status=74, said="No such file")
    refused(pq, "enqueue", f"{tmp_path}/{ESCAPE}", status=74, said="\\x1b[2J")
    refused(pq, "enqueue", "no\nsuch", status=74, said="no\\nsuch: No such file")
    refused(pq, "ls", "-n", "9" * 30, status=2, said="a whole number from 0 to 10")


@pytest.mark.parametrize("command", ["run", "next", "submit", "export --move"])
def test_a_command_without_a_name_costs_nothing(pq: Pq, command: str) -> None:
    """`pq run -- "$UPLOAD"` where nothing sets it: exit 2, and no item has lost an attempt."""
    pq.fill(b"x")
    refused(pq, *command.split(), "--", "", status=2, said="the first word behind -- is empty")


# -- the spool ---------------------------------------------------------------------------


def test_spool_that_is_a_file(pq: Pq) -> None:
    """A spool path that is a file, or leads through one, is exit 73; the file stays as it is."""
    pq.spool.write_text("mine")
    for command in (("enqueue",), ("next",), ("ls",), ("init",), ("done", "1")):
        ran = pq(*command, stdin=b"x", expect=73)
        assert ran.err == f"pq: {pq.spool} is not a directory; `-s DIR` names another place\n"
    pq("init", "-s", f"{pq.spool}-2")
    (pq.spool.with_name(f"{pq.spool.name}-2") / "workers").write_text("")
    refused(pq, "workers", "-s", f"{pq.spool}-2", status=74, said=f"`ls -ld {pq.spool}-2/workers`")
    inside = pq.spool / "in" / "side"
    assert pq("enqueue", "-s", inside, stdin=b"x", expect=73).err.count("\n") == 1
    assert pq.spool.read_text() == "mine"


def test_folder_that_is_no_spool(pq: Pq) -> None:
    """A folder of other things is not taken for a spool, nor made one: exit 73, untouched."""
    pq.spool.mkdir(mode=0o755)
    (pq.spool / "thesis.txt").write_text("years of work")
    for command in (("enqueue",), ("next",), ("ls",), ("init",), ("purge",)):
        refused(pq, *command, status=73, said="is not a pq spool: it holds 'thesis.txt'")
    assert stat.S_IMODE(pq.spool.stat().st_mode) == 0o755


def as_user(
    pq: Pq, uid: int, *args: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run pq as another user; everything is imported before, because only root may read it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    code = (
        "import os, sys, pq_cli.cli, pq_cli.commands.enqueue, pq_cli.commands.next\n"
        "import pq_cli.commands.ls, pq_cli.commands.init, typer.main, typer.core, tomllib\n"
        "import encodings.ascii, pq_cli.remedies\n"
        f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"
        "pq_cli.cli.main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *args], env=pq.env, capture_output=True, text=True,
        input="x", timeout=HANG, check=False, cwd=cwd,
    )  # fmt: skip


@pytest.mark.others
def test_in_a_folder_of_somebody_else(pq: Pq, tmp_path: Path) -> None:
    """A FILE named from where we may not even look is an error as any: exit 77, and an end."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    ran = as_user(pq, 65534, "enqueue", "-s", str(open_to_all / "spool"), "sub/file", cwd=closed)
    said = "pq: sub/file: Permission denied; `ls -ld sub/file` tells who may\n"
    assert (ran.returncode, ran.stderr) == (77, said)


@pytest.mark.others
def test_spool_of_somebody_else(pq: Pq) -> None:
    """A spool that is not ours, closed or open to all, takes nothing from us: exit 77."""
    pq.fill(b"x")
    for mode in (0o700, 0o777):
        pq.spool.chmod(mode)
        if mode == 0o777:
            subprocess.run(["chmod", "-R", "a+rwX", str(pq.spool)], check=True)
        before = pq.tree()
        for args in (("enqueue",), ("next",)):
            ran = as_user(pq, 65534, *args)
            assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (77, "", 1), ran.stderr
        assert pq.tree() == before


@pytest.mark.others
def test_place_that_cannot_be_written(pq: Pq) -> None:
    """Where no spool may be made, and nobody could read one: exit 77, and nothing is there."""
    ran = as_user(pq, 65534, "enqueue")
    assert (ran.returncode, ran.stderr) == (
        77, f"pq: {pq.spool}: Permission denied; `ls -ld {pq.spool}` tells who may\n"
    )  # fmt: skip
    assert not pq.spool.exists()


@pytest.mark.others
def test_unreadable_file(pq: Pq, tmp_path: Path) -> None:
    """A FILE that we may not read is named: exit 77."""
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    ran = as_user(pq, 65534, "enqueue", "-s", str(open_to_all / "spool"), str(secret))
    assert (ran.returncode, ran.stderr) == (
        77, f"pq: {secret}: Permission denied; `ls -ld {secret}` tells who may\n"
    )  # fmt: skip


def test_newer_format(pq: Pq) -> None:
    """A spool of a newer format, whatever else it then says, is left alone: exit 78."""
    pq.fill(b"x")
    commands: list[tuple[object, ...]] = [("enqueue",), ("next",), ("ls",), ("done", 1), ("init",)]
    for state in ({"format": 2}, {"format": 99, "reserved_id": "many", "boot": [], "aged_at": 3}):
        (pq.spool / "state.json").write_text(json.dumps(state))
        for command in commands if state["format"] == 99 else commands[:1]:
            said = f"has format {state['format']}, of a newer pq; `pq --version` tells which"
            refused(pq, *command, status=78, said=said)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "one"}', '{"format": 0}'])
def test_damaged_state(pq: Pq, text: str) -> None:
    """A state.json that is no state is exit 78 and names the file; nothing is served blindly."""
    pq.fill(b"x")
    (pq.spool / "state.json").write_text(text)
    for command in (("enqueue",), ("ls",)):
        refused(pq, *command, status=78, said="state.json is damaged")


CONFIGS = {
    "prioritty = 1": "unknown key 'prioritty'",
    "default_priority = 11": "default_priority = 11: allowed is 1 to 10",
    'default_priority = "5"': "allowed is a whole number",
    "enable_aging = 1": "enable_aging = 1: allowed is true or false",
    'lease = "soon"': "lease: 'soon' is not a duration",
    'lease = "0s"': "lease",
    'aging_clock = "atomic"': 'allowed is "live" or "manual"',
    'durability = "none"': 'allowed is "full" or "fast"',
    "max_items = -1": "max_items = -1: allowed is 0 to 1000000000000000",
    "backoff_factor = nan": "backoff_factor",
    "aging_threshold_seconds = 0": "aging_threshold_seconds",
    "[section]\na = 1": "unknown key 'section'",
    "not toml": "queue.toml",
    "\x00": "queue.toml",
    'x = "\x1b[2J"': "queue.toml",
}


@pytest.mark.parametrize("text", CONFIGS)
def test_bad_configuration(pq: Pq, text: str) -> None:
    """queue.toml: an unknown key or bad value names the file, the key, what is allowed: exit 78."""
    pq.fill(b"x")
    (pq.spool / "queue.toml").write_text(text)
    refused(pq, "enqueue", status=78, said=CONFIGS[text])
    assert str(pq.spool / "queue.toml") in pq("ls", expect=78).err


def test_configuration_that_is_not_utf8(pq: Pq) -> None:
    """A queue.toml that is not UTF-8, a folder or a link is exit 78 too, with its name."""
    pq.fill(b"x")
    config = pq.spool / "queue.toml"
    config.write_bytes(b'# caf\xe9\nlease = "1m"\n')
    refused(pq, "ls", status=78, said=str(config))
    config.unlink()
    config.mkdir()
    refused(pq, "ls", status=78, said=str(config))


def test_max_items(pq: Pq) -> None:
    """A full queue is exit 75 with both numbers; delayed, held and active items count."""
    pq("init")
    (pq.spool / "queue.toml").write_text("max_items = 3\n")
    pq.fill(b"a")
    pq.fill(b"b", delay=3600)
    pq.fill(b"c")
    pq("next", "--claim")
    refused(pq, "enqueue", status=75, said="the queue is full: 3 items, max_items = 3")
    ran = pq("enqueue", "--lines", stdin=b"d\ne\n", expect=75)
    assert ran.out == b""
    pq("done", 1)
    ran = pq("enqueue", "--lines", stdin=b"d\ne\n", expect=75)
    assert len(ran.words) == 1


# -- damaged items ------------------------------------------------------------------------


def _meta(**changes: Any) -> bytes:
    values = {
        "id": 1, "priority": 5, "created_at": "2026-01-01T00:00:00Z", "size": 3,
        "checksum": None, **changes,
    }  # fmt: skip
    return json.dumps({k: v for k, v in values.items() if v != "absent"}).encode()


BAD_METAS = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"id": 1, "name": "\xff"}',
    "no object": b"[1, 2]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "other id": _meta(id=2),
    "text for id": _meta(id="1"),
    "priority a text": _meta(priority="high"),
    "size a list": _meta(size=[3]),
    "negative size": _meta(size=-3),
    "attempts true": _meta(attempts=True),
    "metadata a text": _meta(metadata="x"),
    "no time": _meta(created_at="yesterday"),
    "time a number": _meta(created_at=1),
    "created_at absent": _meta(created_at="absent"),
    "history of numbers": _meta(history=[1]),
    "wrong size": _meta(size=4),
    "terminal": _meta(created_at=ESCAPE),
}


@pytest.mark.parametrize("what", BAD_METAS)
def test_bad_meta(pq: Pq, what: str) -> None:
    """An item with a bad meta is reported and passed over; the others are served; it stays."""
    pq.fill(b"bad", b"good")
    with pq.api() as spool:
        path = Path(spool.get(1).path or "")
    meta = path.with_name(path.name + ".meta.json")
    meta.write_bytes(BAD_METAS[what])
    before = meta.read_bytes(), path.read_bytes()
    ran = pq("next", "--ack")
    assert ran.out == b"good"
    (line,) = ran.err.splitlines()
    assert "item 1" in line
    assert all(sign not in line for sign in DRIVES)
    if what != "wrong size":
        listed = pq("ls")
        assert listed.out == b""
        assert "item 1" in listed.err and "`pq check`" in listed.err
    assert "item 1" in pq("cat", 1, expect=74).err
    assert (meta.read_bytes(), path.read_bytes()) == before


def test_tree_of_untouched_spool(pq: Pq) -> None:
    """The comparison these tests rest on sees a changed byte, a changed mode and a new file."""
    pq.fill(b"x")
    before = tree(pq.spool)
    (pq.spool / "state.json").chmod(0o644)
    assert tree(pq.spool) != before


def test_no_descriptor_left(pq: Pq) -> None:
    """With hardly a descriptor to open files by, an error is told in one line all the same."""
    pq("enqueue", stdin=b"x")
    said = ""
    for most in (5, 6, 7):
        script = f"ulimit -n {most}; exec {shlex.join(pq.argv('next', '--claim'))}"
        ran = subprocess.run(["bash", "-c", script], env=pq.env, capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, timeout=HANG, check=False)  # fmt: skip
        said += ran.stderr
    assert "Too many open files" in said
    assert "internal error" not in said and "Traceback" not in said
