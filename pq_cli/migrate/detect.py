"""Choosing the reader for a folder by looking into it."""

from __future__ import annotations

import os.path
from pathlib import Path

from pq_cli.migrate.files import read_object, tried
from pq_cli.migrate.model import MigrateError, Reported
from pq_cli.migrate.readers import (
    async_pending,
    dirq,
    envelopes,
    maildir,
    plain,
    pywats_persistent,
    simple_queue,
)
from pq_cli.migrate.traces import Format, traces_of

FORMATS: dict[str, Format] = {
    reader.name: reader
    for reader in (
        pywats_persistent.FORMAT,
        simple_queue.FORMAT,
        async_pending.FORMAT,
        *envelopes.FORMATS,
        plain.FORMAT,
        maildir.FORMAT,
        dirq.FORMAT,
    )
}
_ENDINGS = pywats_persistent.ENDINGS | simple_queue.ENDINGS | async_pending.ENDINGS


def spool_format(root: Path) -> int | None:
    """Return the format of the pq spool at `root`, or None if it is not one."""
    found = tried(read_object, root, "state.json")
    value = None if isinstance(found, Reported) else found[0].get("format")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def choose(root: Path, name: str | None = None) -> Format:
    """Return the reader for a folder; `name` (of `--from`) overrides looking.

    Raises MigrateError for what is no folder, a pq spool (also with a name: its files would be
    taken for payloads), or not known to be one thing; and SourceUnreadableError.
    """
    if not os.path.isdir(root):  # Path.is_dir raises where a parent may not be searched
        raise MigrateError(f"{str(root)!r} is not a folder that can be read")
    if (found := spool_format(root)) is not None:
        raise MigrateError(f"{str(root)!r} is a pq spool itself (format {found})")
    if name is not None:
        reader = FORMATS.get(name.replace("-", "_"))
        if reader is None:
            raise MigrateError(f"no reader is called {name!r}; there are {', '.join(FORMATS)}")
        return reader
    return _look(root)


def _look(root: Path) -> Format:
    seen = traces_of(root, _ENDINGS)
    evidence = {
        name: found
        for name, reader in FORMATS.items()
        if (found := reader.looks_like(seen)) is not None
    }
    strong = {name: found for name, found in evidence.items() if found.strong}
    candidates = strong or evidence
    if len(candidates) == 1:
        return FORMATS[next(iter(candidates))]
    if not candidates:
        raise MigrateError(
            f"{str(root)!r} is no queue known here: seen: {seen.describe()}; "
            f"pass --from NAME, one of {', '.join(FORMATS)}"
        )
    what = "; ".join(f"{name}: {found.seen}" for name, found in candidates.items())
    options = " or ".join(f"--from {name}" for name in candidates)
    raise MigrateError(f"{str(root)!r} could be more than one thing ({what}); pass {options}")
