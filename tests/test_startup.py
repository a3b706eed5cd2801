"""What the everyday commands import: an allow-list, because start-up is most of what they cost."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support import Pq

_TELL = (
    "import atexit, os, sys\n"
    "def tell(): os.write(2, ('\\nMODULES ' + ' '.join(sorted(sys.modules))).encode())\n"
    "atexit.register(tell)\n"
    "before = set(sys.modules)\n"
    "from pq_cli.cli import main\n"
    "main()\n"
)
PQ = {
    "pq_cli", "pq_cli.backends", "pq_cli.cli", "pq_cli.commands", "pq_cli.core", "pq_cli.errors",
    "pq_cli.host",
    "pq_cli.opened", "pq_cli.options",
    "pq_cli.queue", "pq_cli.queue.entering", "pq_cli.queue.looking", "pq_cli.queue.request",
    "pq_cli.queue.verbs", "pq_cli.queue.working", "pq_cli.render",
    "pq_cli.render.present",
    "pq_cli.screen", "pq_cli.spool",
}  # fmt: skip
"""Our own modules that every command may load; below core, spool and commands all are allowed."""
LATER = {
    "pq_cli.commands.enqueue_records", "pq_cli.spool.doors.dropbox", "pq_cli.spool.doors.handover",
    "pq_cli.spool.doors.ledger", "pq_cli.spool.listing", "pq_cli.spool.quarantine",
    "pq_cli.spool.removals", "pq_cli.spool.backlog",
}  # fmt: skip
"""Ours, for what the plain forms do not do; records are for streams of them."""
FORBIDDEN = {
    "rich", "asyncio", "subprocess", "tomllib", "dataclasses", "inspect", "pathlib", "tempfile",
    "shutil", "logging", "threading", "random", "argparse", "importlib.metadata", "socket",
    "concurrent.futures", "multiprocessing", "unittest", "pickle",
}  # fmt: skip
STANDARD = {
    "__future__", "_collections", "_datetime", "_functools", "_heapq", "_json", "_operator", "_sre",
    "_strptime", "_thread", "binascii", "collections", "copyreg", "datetime", "encodings.ascii",
    "enum", "errno", "fcntl", "functools", "heapq", "itertools", "json", "json.decoder",
    "json.encoder", "json.scanner", "keyword", "math", "operator", "re", "re._casefix",
    "re._compiler", "re._constants", "re._parser", "reprlib", "select", "signal", "time", "types",
    "zlib",
}  # fmt: skip
"""What the plain forms of the commands may add to bare Python."""


def modules(pq: Pq, *args: object, stdin: bytes = b"") -> set[str]:
    """Run a command and return the modules that it loaded beyond those of bare Python."""
    bare = _modules_of(pq, "import atexit, os, sys\nsys.argv = []\n", (), b"")
    return _modules_of(pq, "", args, stdin) - bare


def _modules_of(pq: Pq, script: str, args: tuple[object, ...], stdin: bytes) -> set[str]:
    if script:
        script += _TELL.replace("from pq_cli.cli import main\nmain()\n", "")
    argv = [sys.executable, "-I", "-c", script or _TELL, *(str(arg) for arg in args)]
    done = subprocess.run(argv, env=pq.env, input=stdin, capture_output=True, check=True)
    return set(done.stderr.decode().rpartition("MODULES ")[2].split())


@pytest.fixture
def busy(pq: Pq) -> Pq:
    """A spool with work in every state that a command has to look at."""
    pq.fill(b"a", b"b", b"c")
    pq.fill(b"d", delay=3600, key="k")
    pq("next", "--claim")
    return pq


PLAIN = {
    "enqueue": ("enqueue", "-p", "2"),
    "enqueue --key": ("enqueue", "--key", "new"),
    "enqueue --lines": ("enqueue", "--lines"),
    "next": ("next",),
    "next --ack": ("next", "--ack"),
    "next --claim": ("next", "--claim"),
    "next --json": ("next", "--json"),
    "done": ("done", "1.1"),
}


@pytest.mark.parametrize("form", PLAIN)
def test_plain_forms_load_only_what_they_need(busy: Pq, form: str) -> None:
    """The plain forms of enqueue, next and done load nothing beyond this list, typer included."""
    loaded = modules(busy, *PLAIN[form], stdin=b"x\n")
    foreign = {name for name in loaded if name.partition(".")[0] != "pq_cli"}
    assert foreign - STANDARD == set()
    ours = {
        n for n in loaded - foreign if n.split(".")[1:2] not in (["core"], ["spool"], ["commands"])
    }
    assert ours - PQ == set()
    assert not FORBIDDEN & loaded
    assert "--lines" in form or not LATER & loaded


@pytest.mark.parametrize(
    ("form", "needs_it"),
    [(PLAIN["enqueue"], False), (PLAIN["next"], False), (PLAIN["done"], False), (("ls",), False),
     (("check",), False), (("hold", "2"), True), (("run", "--", "true"), True)],
)  # fmt: skip
def test_filelock_takes_the_lock_but_for_the_plain_forms(
    busy: Pq, form: tuple[str, ...], needs_it: bool
) -> None:
    """Who looks takes no lock; the plain forms make the same system call without the library."""
    assert ("filelock" in modules(busy, *form, stdin=b"x\n")) == needs_it


WHOLE_FORMS = {
    "enqueue": ("enqueue", "-m", "a=b"),
    "enqueue --jsonl": ("enqueue", "--jsonl"),
    "next": ("next", "--wait=0", "--ack"),
    "next -- CMD": ("next", "--", "true"),
    "done": ("done", "--", "1.1"),
}


@pytest.mark.parametrize("form", WHOLE_FORMS)
def test_other_forms_load_nothing_heavy(busy: Pq, form: str) -> None:
    """No form of enqueue, next or done loads rich, asyncio, tomllib, or itself subprocess.

    typer imports subprocess for its own use; so it is left out of this account.
    """
    of_typer = _modules_of(busy, "import typer, typer.main, typer.core\n", (), b"")
    loaded = modules(busy, *WHOLE_FORMS[form], stdin=b'{"payload": ""}\n') - of_typer
    heavy = {"rich", "asyncio", "tomllib", "subprocess"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_nothing_heavy_comes_with_typer(busy: Pq) -> None:
    """Nor do they come with typer: the whole process is without rich, asyncio and tomllib."""
    loaded = modules(busy, "next", "--", "true")
    assert not {"rich", "asyncio", "tomllib", "pydantic"} & loaded


@pytest.mark.parametrize("command", [("ls",), ("run", "--", "true"), ("stats",), ("doctor",)])
def test_who_has_a_folder_loads_nothing_of_databases(busy: Pq, command: tuple[str, ...]) -> None:
    """psycopg is neither loaded nor needed, and nothing of ours that is about it."""
    loaded = modules(busy, *command)
    assert not {name for name in loaded if "psycopg" in name or "postgres" in name}
