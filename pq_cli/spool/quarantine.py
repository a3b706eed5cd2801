"""Quarantine: what cannot be brought in order moves to `quarantine/`, with a file beside it that
says when, from where and why.

One thing has one name there: NAME is its payload (or whatever it was), NAME.meta.json its meta,
NAME.reason the line about it.
"""

from __future__ import annotations

import os
import time

from pq_cli.core.item import printable
from pq_cli.core.record import Record
from pq_cli.core.timefmt import format_time
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.reader import beginning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.spool.disk.reader import Reader

REASON = ".reason"
_ENDS = (REASON, layout.META)
_MOST = 65536


class Aside(Record):
    """One thing that lies in quarantine.

    name: what it is called there. at, came_from, why: when (RFC 3339) it was set aside, the path in
    the spool that it had, and the reason; empty where nothing says so. id: that of the item, if
    its name was one. has: the endings of the files that are there ("" is the payload).
    """

    name: str
    at: str
    came_from: str
    why: str
    id: int | None
    has: frozenset[str]


def set_aside(disk: Disk, path: str, why: str, *, pair: bool = False) -> str | None:
    """Move what lies at `path` to the quarantine, durably; return its name there, None: it is gone.

    pair: it is a payload's, whose meta goes first, under the same name. The reason is there before.
    """
    stem = path.removesuffix(layout.META)
    paths = [stem + layout.META, stem] if pair else [path]
    there = [each for each in paths if os.path.lexists(f"{disk.root}/{each}")]
    if not there:
        return None
    disk.make_dir(layout.QUARANTINE)
    name = f"{os.urandom(4).hex()}-{os.path.basename(stem)[-60:]}"
    place = f"{layout.QUARANTINE}/{name}"
    text = f"{format_time(time.time())}\t{printable(stem)}\t{printable(why)}\n"
    disk.write_new(place + REASON, text.encode("utf-8", "replace"))
    for each in there:
        disk.rename(each, place + each[len(stem) :])
    disk.sync_dir(layout.QUARANTINE)
    disk.sync_dir(os.path.dirname(stem))
    return name


def count_asides(reader: Reader) -> int:
    """Return how many things lie in quarantine, by their names alone."""
    return len(_by_name(reader))


def asides(reader: Reader) -> list[Aside]:
    """Return what lies in quarantine, the oldest first."""
    found = [_aside(reader, name, ends) for name, ends in _by_name(reader).items()]
    return sorted(found, key=lambda aside: (aside.at, aside.name))


def forget(disk: Disk, name: str) -> None:
    """Remove what lies under a name, and the line about it: it is elsewhere, durably.

    Not synced: should a power loss bring it back, to restore it once more changes nothing.
    """
    for end in (layout.META, "", REASON):
        disk.discard(f"{layout.QUARANTINE}/{name}{end}")


def _by_name(reader: Reader) -> dict[str, set[str]]:
    """Return name -> endings of the files there; a line about nothing is none."""
    found: dict[str, set[str]] = {}
    for file in reader.names(layout.QUARANTINE):
        end = next((end for end in _ENDS if file.endswith(end)), "")
        if not file.startswith(".nfs"):
            found.setdefault(file.removesuffix(end), set()).add(end)
    return {name: ends for name, ends in found.items() if ends != {REASON}}


def _aside(reader: Reader, name: str, ends: set[str]) -> Aside:
    try:
        path = f"{reader.root}/{layout.QUARANTINE}/{name}{REASON}"
        reason = beginning(path, _MOST).decode("utf-8", "replace").strip("\n").split("\t")
    except (FileNotFoundError, IsADirectoryError):
        reason = []
    at, came_from, why, *_ = [*reason, "", "", ""]
    parsed = layout.parse_name(name.partition("-")[2])
    return Aside(
        name=name, at=at, came_from=came_from, why=why, id=parsed and parsed[0],
        has=frozenset(ends - {REASON}),
    )  # fmt: skip
