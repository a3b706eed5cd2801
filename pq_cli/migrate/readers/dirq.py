"""A dirq QueueSimple: `DIR/ELEMENT`, names of 8 and 14 hexadecimal digits, `.lck` while in use.

Small digits only, as dirq writes them and its programs look for: anything else was put there by
somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from pathlib import Path

from pq_cli.migrate.files import stamp_of, tried
from pq_cli.migrate.model import Entry, LegacyItem, Reported, SourceUnreadableError, Why
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import by_owner
from pq_cli.migrate.traces import Evidence, Format, Traces

_DIR = re.compile(r"[0-9a-f]{8}")
_ELEMENT = re.compile(r"([0-9a-f]{14})(\.lck)?")
_ELEMENT_TAG, _LOCK_TAG = 0, 1


def _looks_like(traces: Traces) -> Evidence | None:
    if not traces.hex_folders:
        return None
    strong = any(_has_elements(traces, name) for name in traces.hex_folders)
    return Evidence(strong, f"folders such as {traces.hex_folders[0]}")


def _has_elements(traces: Traces, folder: str) -> bool:
    try:
        return any(_ELEMENT.fullmatch(name) for name in traces.peek_names(folder))
    except SourceUnreadableError:
        return False


def _read(root: Path, _: tzinfo | None) -> Iterator[Entry]:
    return by_owner(root, _classify, partial(_element, root), _DIR.fullmatch, apart=True)


def _classify(path: str) -> tuple[str, int] | None:
    folder, _, name = path.partition("/")
    match = _ELEMENT.fullmatch(name)
    return match and (f"{folder}/{match[1]}", _LOCK_TAG if match[2] else _ELEMENT_TAG)


def _element(root: Path, owner: str, names: dict[int, str]) -> Iterator[Entry]:
    path, lock = names.get(_ELEMENT_TAG), names.get(_LOCK_TAG)
    if path is None:
        yield from (Reported(each, Why.ORPHAN_LOCK, "being removed") for each in names.values())
        return
    stamp = tried(stamp_of, root, path)
    if isinstance(stamp, Reported):
        yield stamp
        if lock is not None:
            yield Reported(lock, Why.META_OF_BAD_PAYLOAD)
        return
    created = values.epoch_us(int(owner[-14:-6], 16), int(owner[-6:-1], 16))
    yield LegacyItem(
        source=(path,) if lock is None else (path, lock),
        stamp=stamp,
        state="pending",
        created_us=values.mtime_us(stamp) if created is None else created,
        legacy_id=owner,
        legacy={"locked": lock is not None},
    )


FORMAT = Format("dirq", _looks_like, _read)
