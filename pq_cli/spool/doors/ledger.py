"""The ledger of imports: which item of which origin has entered this spool already.

`imports/DIGEST.taken` belongs to one realm (a source folder, another spool) and holds a line for
each item taken from it: 32 hexadecimal digits and a line break, a digest of the item's name in
that realm. It is only ever appended to; a line that a power loss tore is no line.
`imports/DIGEST.json` names a realm that is a folder, and the reader that fits it.
"""

from __future__ import annotations

import os

from pq_cli.core.jsonio import parse_own, to_json
from pq_cli.core.origin import DIGITS, digest
from pq_cli.opened import FOUND, Reading
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.reader import beginning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pq_cli.core.item import Item

_LINE = DIGITS + 1


def path_of(realm: str) -> str:
    """Return the path of a realm's ledger in the spool."""
    return f"{layout.IMPORTS}/{digest(realm).decode()[:16]}.taken"


def append(disk: Disk, items: Iterable[Item]) -> None:
    """Write down of those items that come from elsewhere that they enter. Twice does no harm.

    Not synced: the sync that lets their metas take their places (see `handover`) is this one's too.
    """
    realms: dict[str, list[bytes]] = {}
    for item in items:
        origin: Any = item.extra.get("origin")
        if isinstance(origin, dict) and {"realm", "name"} <= origin.keys():
            path, name = path_of(str(origin["realm"])), str(origin["name"])
            realms.setdefault(path, []).append(digest(name) + b"\n")
    for path, lines in realms.items():
        # The first line break ends what a power loss may have torn.
        disk.append_lines(path, b"\n" + b"".join(lines))


def taken(root: str, realm: str) -> Iterator[bytes]:
    """Yield the digests of the names that have entered from a realm, a few at a time in memory."""
    try:
        file = os.fdopen(os.open(f"{root}/{path_of(realm)}", FOUND), "rb")
    except FileNotFoundError:
        return
    with file, Reading(file):
        for line in file:
            if len(line) == _LINE and line.endswith(b"\n"):
                yield line[:DIGITS]


def describe(disk: Disk, realm: str, reader: str) -> None:
    """Remember, beside the ledger, what the realm is and how it was read, if that is new.

    Not synced: it is needed when something was taken from the realm, and that syncs.
    """
    if reader_of(disk.root, realm) == reader:
        return
    about = to_json({"realm": realm, "reader": reader}) + b"\n"
    disk.replace(layout.tmp_name("about"), _about(realm), about, sync=False)


def reader_of(root: str, realm: str) -> str | None:
    """Return how a realm was read before, or None.

    After `--move` what is left of a queue may look like something else.
    """
    try:
        reader = parse_own(beginning(f"{root}/{_about(realm)}", 65536))["reader"]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    return reader if isinstance(reader, str) else None


def _about(realm: str) -> str:
    return path_of(realm).removesuffix(".taken") + ".json"
