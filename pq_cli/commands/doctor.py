"""`pq doctor`: what a bug report needs, and what is plainly wrong."""

from __future__ import annotations

import os
import platform
import re
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from pq_cli import __version__
from pq_cli.backends import folder_of, open_queue
from pq_cli.core.insight.fact import Fact
from pq_cli.core.item import State, printable
from pq_cli.core.policy import QueueConfig
from pq_cli.core.shellwords import typed
from pq_cli.errors import NoSpoolError, PqError, UsageError
from pq_cli.opened import os_error_text
from pq_cli.options import AS_JSON, LookOptions
from pq_cli.queue.policytext import policy_lines
from pq_cli.render.present import present
from pq_cli.render.sheet import fact_sheet
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.queue.verbs import Queue


_OURS = b"pq_cli"
"""Stands in every script that an installer writes for pq, and in what `pq.pyz` is made of."""
_MOST = 64 * 1024


class DoctorOptions(LookOptions):
    """The command line of `pq doctor`, as typed."""

    as_json: bool = AS_JSON


def command(o: DoctorOptions, screen: Screen) -> int:
    """Show versions, the spool, its permissions, file system, lock and policy: for a bug report.

    Nothing is changed. Exit 1 if something is wrong; it says what, and what to do. `pq check` looks
    at the items.
    """
    facts = list(_facts(o.spool))
    present(
        facts,
        screen,
        as_json=o.as_json,
        record=lambda fact: dict(fact.__dict__),
        line=_line,
        table=lambda rows, out: fact_sheet([(f.name, f.value, f.wrong) for f in rows], out),
    )
    return int(any(fact.wrong is not None for fact in facts))


def _line(fact: Fact) -> str:
    trouble = f"\tWRONG: {printable(fact.wrong)}" if fact.wrong else ""
    return f"{fact.name}\t{printable(fact.value)}{trouble}"


def _facts(spool: str) -> Iterator[Fact]:
    yield Fact(name="pq", value=f"{__version__} at {os.path.dirname(os.path.dirname(__file__))}")
    yield _on_path()
    yield Fact(name="python", value=f"{platform.python_version()} at {sys.executable}")
    yield Fact(name="system", value=f"{platform.system()} {platform.release()}")
    for package in _packages():
        try:
            yield Fact(name=package, value=version(package))
        except PackageNotFoundError:
            spare = package == "orjson"  # pq.pyz has nothing compiled
            yield Fact(
                name=package,
                value="none: the standard library reads JSON" if spare else "missing",
                wrong=None if spare else "install pq again",
            )
    path = folder_of(spool)
    if path is not None:
        yield Fact(name="spool", value=path)
    try:
        queue = open_queue(spool, create=False)
    except UsageError:
        raise
    except NoSpoolError as error:
        made = path is not None and _can_be_made(path)
        yield Fact(name="state", value="none yet", wrong=None if made else str(error))
        return
    except (PqError, OSError) as error:
        yield Fact(name="state", value="cannot be opened", wrong=os_error_text(error))
        return
    if path is None:
        yield Fact(name="queue", value=queue.where)
    yield from _about(queue)


def _on_path() -> Fact:
    """Say what `pq` runs when it is typed, and what else has that name."""
    found = _programs()
    if not found:
        return Fact(name="on PATH", value=f"no pq; {_what_to_type()} runs it")
    others = [f"{path}{'' if ours else ' (another program)'}" for path, ours in found[1:]]
    (first, ours), wrong = found[0], None
    if not ours:
        wrong = (
            f"{first} is another program of that name: type {_what_to_type()}, "
            f"or uninstall the other, or have this one's folder first in PATH"
        )
    return Fact(name="on PATH", value=", behind it ".join([first, *others]), wrong=wrong)


def _programs() -> list[tuple[str, bool]]:
    """Return (path, whether it is this project's) of every `pq` on PATH, the one that runs first.

    One file that several folders lead to is told once.
    """
    found: dict[str, tuple[str, bool]] = {}
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or ".", "pq")
        if os.path.isfile(path) and os.access(path, os.X_OK):
            found.setdefault(os.path.realpath(path), (path, _is_ours(path)))
    return list(found.values())


def _is_ours(path: str) -> bool:
    """Tell whether a program is pq; one that may not be read is taken for another."""
    try:
        with open(path, "rb") as file:
            if _OURS in file.read(_MOST):
                return True
        with zipfile.ZipFile(path) as archive:
            return "pq_cli/__init__.py" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _what_to_type() -> str:
    """Return what runs this pq at a shell, wherever `pq` leads."""
    started = os.path.abspath(sys.argv[0])
    for path in [started, *(path for path, ours in _programs() if ours)]:
        if os.access(path, os.X_OK) and _is_ours(path):
            return typed([path])
    return typed([sys.executable, "-m", "pq_cli"])


def _packages() -> list[str]:
    """Return the names of the packages that pq needs, as its own metadata has them."""
    try:
        needed = requires("pq-cli") or []
    except PackageNotFoundError:
        return []
    return [re.split(r"[^\w.-]", line)[0] for line in needed if "extra ==" not in line]


def _can_be_made(path: str) -> bool:
    """Tell whether the nearest folder that exists can be written in."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.access(path, os.W_OK | os.X_OK)


def _about(queue: Queue) -> Iterator[Fact]:
    yield from queue.facts()
    defaults = set(policy_lines(QueueConfig()))
    policy = ", ".join(
        f"{name} = {value}"
        for name, value in policy_lines(queue.config)
        if (name, value) not in defaults
    )
    yield Fact(name="policy", value=policy or "the defaults")
    pause = queue.paused
    if pause is not None:
        yield Fact(name="paused", value=pause.reason or "yes", wrong="`pq resume` ends it")
    backlog = queue.backlog()
    counts = {str(s): queue.count([s]) for s in (State.ACTIVE, State.HELD, State.FAILED)}
    counts |= {"pending": sum(map(len, backlog.lanes.values())), "delayed": backlog.delayed}
    yield Fact(name="items", value=", ".join(f"{n} {name}" for name, n in sorted(counts.items())))
