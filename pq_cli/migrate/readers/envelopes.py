"""Queues that keep one JSON envelope an item, in a folder named after its state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from pq_cli.core.jsonio import canonical_json
from pq_cli.migrate.files import (
    MAX_DOCUMENT,
    check_depth,
    files_in,
    join,
    parse_json,
    read_file,
)
from pq_cli.migrate.model import (
    Embedded,
    Entry,
    FileProblemError,
    Json,
    LegacyItem,
    Reported,
    Stamp,
    Warned,
    Why,
)
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import folders_in, state_of, unnamed
from pq_cli.migrate.readers.index import NameIndex

_ENDING = ".json"


@dataclass(frozen=True, slots=True)
class Layout:
    """How one such queue names things; `folders` in the order in which copies of an id win."""

    folders: tuple[str, ...]
    payload_key: str
    created_key: str


@dataclass(frozen=True, slots=True)
class _Copy:
    """A good envelope: its metadata without the payload, and the payload's canonical bytes."""

    folder: str
    path: str
    metadata: Json
    payload: bytes
    stamp: Stamp


def read_envelopes(layout: Layout, root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    """Yield the entries of such a queue; see Format."""
    with NameIndex() as index:
        yield from _fill(index, root, layout)
        for owner, members in index.groups():
            copies: list[_Copy] = []
            for tag, path in members.items():
                try:
                    copies.append(_read(root, layout, layout.folders[tag], path))
                except FileProblemError as error:
                    yield Reported(path, error.reason, error.detail)
            if copies:
                yield _item(owner, copies, layout, tz)


def _fill(index: NameIndex, root: Path, layout: Layout) -> Iterator[Reported]:
    for folder in folders_in(root, layout.folders.__contains__):
        if isinstance(folder, Reported):
            yield folder
        else:
            yield from _fill_state(index, root, folder, layout.folders.index(folder))


def _fill_state(index: NameIndex, root: Path, folder: str, tag: int) -> Iterator[Reported]:
    for name in files_in(root, folder):
        if isinstance(name, Reported):
            yield name
        elif name.endswith(_ENDING) and len(name) > len(_ENDING):
            index.add(name[: -len(_ENDING)], tag, join(folder, name))
        else:
            yield unnamed(join(folder, name))


def _read(root: Path, layout: Layout, folder: str, path: str) -> _Copy:
    data, stamp = read_file(root, path, MAX_DOCUMENT)
    envelope: Any = parse_json(data, Why.BAD_ENVELOPE)
    if not isinstance(envelope, dict) or layout.payload_key not in envelope:
        raise FileProblemError(Why.BAD_ENVELOPE, f"not an object with {layout.payload_key!r}")
    payload = envelope.pop(layout.payload_key)
    check_depth(envelope, Why.BAD_ENVELOPE)
    try:
        return _Copy(folder, path, envelope, canonical_json(payload), stamp)
    except (ValueError, RecursionError) as error:
        raise FileProblemError(Why.BAD_ENVELOPE, f"payload cannot be written: {error}") from error


def _item(owner: str, copies: list[_Copy], layout: Layout, tz: tzinfo | None) -> LegacyItem:
    best, *others = copies
    state = state_of(best.folder)
    # A losing copy with another payload is a fact that the import would drop in silence.
    warnings = [
        Warned(copy.path, layout.payload_key, "another payload than the copy that counts")
        for copy in others
        if copy.payload != best.payload
    ]
    content = best.metadata
    created = values.recorded_us(content, layout.created_key, tz, best.path, warnings)
    return LegacyItem(
        source=tuple(copy.path for copy in copies),
        payload=Embedded(best.path, layout.payload_key),
        payload_size=len(best.payload),
        stamp=best.stamp,
        state=state,
        created_us=values.mtime_us(best.stamp) if created is None else created,
        legacy_id=owner,
        priority=values.priority(content, best.path, warnings),
        attempts=values.attempts(content, state, best.path, warnings),
        max_attempts=values.max_attempts(content, best.path, warnings),
        last_error=values.error_text(content, "error"),
        legacy=content,
        earlier=tuple(copy.metadata for copy in others),
        warnings=tuple(warnings),
    )
