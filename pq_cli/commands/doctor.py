"""`pq doctor`: what a bug report needs, and what is plainly wrong."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import stat
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from pq_cli import __version__
from pq_cli.backends import directory, open_queue
from pq_cli.commands.common import JsonOption, SpoolOption
from pq_cli.core.item import State, printable
from pq_cli.core.record import Record
from pq_cli.errors import NoSpoolError, PqError
from pq_cli.messages import os_error_text
from pq_cli.render import emit, emit_json, stdout_is_terminal
from pq_cli.render.counting import Counting
from pq_cli.render.sheet import fact_sheet
from pq_cli.render.terminal import console
from pq_cli.render.words import counted, human_size, lie_in_quarantine
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.lock import is_locked
from pq_cli.spool.opening import absolute
from pq_cli.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOUBTFUL = frozenset(("nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "9p", "fuse.sshfs"))
"""File systems that may break what pq-spool(5) assumes about locks, renames or syncs."""
_LITTLE = 100 * 1024 * 1024


class Fact(Record):
    """One line. wrong: what is wrong about it and what to do, or None."""

    name: str
    value: str
    wrong: str | None = None


def command(as_json: JsonOption = False, spool: SpoolOption = "") -> int:
    """Show versions, the spool, its permissions, file system, lock and policy: for a bug report.

    Nothing is changed. Exit 1 if something is wrong; it says what, and what to do. `pq check` looks
    at the items.
    """
    facts = list(_facts(absolute(directory(spool))))
    if as_json:
        for fact in facts:
            emit_json(dict(fact.__dict__))
    elif stdout_is_terminal():
        fact_sheet([(fact.name, fact.value, fact.wrong) for fact in facts], console("auto"))
    else:
        for fact in facts:
            trouble = f"\tWRONG: {printable(fact.wrong)}" if fact.wrong else ""
            emit(f"{fact.name}\t{printable(fact.value)}{trouble}")
    return int(any(fact.wrong is not None for fact in facts))


def _facts(path: str) -> Iterator[Fact]:
    yield Fact(name="pq", value=f"{__version__} at {os.path.dirname(os.path.dirname(__file__))}")
    yield Fact(name="python", value=f"{platform.python_version()} at {sys.executable}")
    yield Fact(name="system", value=f"{platform.system()} {platform.release()}")
    for package in _packages():
        try:
            yield Fact(name=package, value=version(package))
        except PackageNotFoundError:
            yield Fact(name=package, value="missing", wrong="install pq again")
    yield Fact(name="spool", value=path)
    try:
        queue = open_queue(path, create=False)
    except NoSpoolError as error:
        yield Fact(name="state", value="none yet", wrong=None if _can_be_made(path) else str(error))
        return
    except PqError as error:
        yield Fact(name="state", value="cannot be opened", wrong=str(error))
        return
    except OSError as error:
        yield Fact(name="state", value="cannot be opened", wrong=os_error_text(error))
        return
    yield from _about(queue)


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


def _about(queue: Spool) -> Iterator[Fact]:
    info = os.stat(queue.path)
    mode = stat.S_IMODE(info.st_mode)
    mine = os.geteuid() in (info.st_uid, 0)
    yield Fact(
        name="owner",
        value=f"{_user(info.st_uid)}, mode {mode:04o}",
        wrong=None
        if mine
        else f"it is not yours: you may look, {_user(info.st_uid)} may change it",
    )
    kind = file_system(queue.path)
    doubt = "see ASSUMPTIONS in pq-spool(5); a local file system is safer"
    yield Fact(name="file system", value=kind, wrong=doubt if kind in _DOUBTFUL else None)
    free = shutil.disk_usage(queue.path).free
    yield Fact(
        name="free",
        value=human_size(free),
        wrong="the disk is nearly full" if free < _LITTLE else None,
    )
    held = is_locked(f"{queue.path}/{layout.LOCK}")
    yield Fact(name="lock", value="held by somebody just now" if held else "free")
    differing = {
        name: value
        for name, value in queue.config.__dict__.items()
        if value != type(queue.config)().__dict__[name]
    }
    policy = ", ".join(f"{name} = {value}" for name, value in differing.items())
    yield Fact(name="policy", value=policy or "the defaults")
    pause = queue.paused
    if pause is not None:
        yield Fact(name="paused", value=pause.reason or "yes", wrong="`pq resume` ends it")
    with Counting("items looked at") as counting:
        survey = queue.survey(counting.tick)
    counts = {str(state): survey.count(state) for state in (State.ACTIVE, State.HELD, State.FAILED)}
    counts |= {"pending": sum(map(len, survey.lanes.values())), "delayed": survey.delayed}
    yield Fact(name="items", value=", ".join(f"{n} {name}" for name, n in sorted(counts.items())))
    aside = len(queue.quarantine())
    wrong = lie_in_quarantine(aside) if aside else None
    yield Fact(name="quarantine", value=counted(aside, "thing") if aside else "empty", wrong=wrong)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def file_system(path: str) -> str:
    """Return the type of the file system that holds `path`, or "unknown"."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                fields, _, rest = line.partition(" - ")
                if fields.split()[2] == wanted:
                    return rest.split()[0]
    except (OSError, IndexError):
        pass
    return "unknown"
