"""Queues that keep one JSON envelope an item, in a folder named after its state.

pyWATS ReportQueueService: `{pending,failed,completed}/UUID.json`; the queue of the pyWATS UI
framework: `{pending,failed,sent}/ID.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path

from pq_cli.core.jsonio import canonical_json, check_depth
from pq_cli.migrate.files import MAX_DOCUMENT, read_json, refusing
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
from pq_cli.migrate.readers.flat import by_owner, state_of
from pq_cli.migrate.traces import Evidence, Format, Traces


@dataclass(frozen=True, slots=True)
class _Layout:
    """How one such queue names things.

    folders: in the order in which copies of an id win. keys: what only its envelopes have; the
    first holds the payload, the last tells the queue.
    """

    folders: tuple[str, ...]
    keys: tuple[str, ...]
    created_key: str


@dataclass(frozen=True, slots=True)
class _Copy:
    """A good envelope: its metadata without the payload, and the payload's canonical bytes."""

    path: str
    metadata: Json
    payload: bytes
    stamp: Stamp


def _looks_like(layout: _Layout, traces: Traces) -> Evidence | None:
    folders = sorted(traces.known_folders & set(layout.folders))
    objects = (obj for name in folders for obj in traces.peek_objects(name))
    if any(obj.keys() >= set(layout.keys) for obj in objects):
        return Evidence(True, f"envelopes with {layout.keys[-1]} in {', '.join(folders)}")
    if {"pending", layout.folders[0]} <= traces.known_folders:
        return Evidence(False, f"folders {', '.join(folders)}")
    return None


def _read(layout: _Layout, root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    def classify(path: str) -> tuple[str, int] | None:
        folder, _, name = path.partition("/")
        owner = name.removesuffix(".json")
        return (owner, layout.folders.index(folder)) if owner not in ("", name) else None

    def entries(owner: str, names: dict[int, str]) -> Iterator[Entry]:
        copies: list[_Copy] = []
        for path in names.values():
            try:
                copies.append(_copy(root, layout, path))
            except FileProblemError as error:
                yield Reported(path, error.reason, error.detail)
        if copies:
            yield _item(owner, copies, layout, tz)

    return by_owner(root, classify, entries, layout.folders.__contains__)


def _copy(root: Path, layout: _Layout, path: str) -> _Copy:
    envelope, stamp = read_json(root, path, MAX_DOCUMENT, Why.BAD_ENVELOPE)
    key = layout.keys[0]
    if not isinstance(envelope, dict) or key not in envelope:
        raise FileProblemError(Why.BAD_ENVELOPE, f"not an object with {key!r}")
    payload = envelope.pop(key)
    with refusing(Why.BAD_ENVELOPE):
        check_depth(envelope)
    with refusing(Why.BAD_ENVELOPE, "payload cannot be written: "):
        return _Copy(path, envelope, canonical_json(payload), stamp)


def _item(owner: str, copies: list[_Copy], layout: _Layout, tz: tzinfo | None) -> LegacyItem:
    best, *others = copies
    state = state_of(best.path.partition("/")[0])
    # A losing copy with another payload is a fact that the import would drop in silence.
    warnings = [
        Warned(copy.path, layout.keys[0], "another payload than the copy that counts")
        for copy in others
        if copy.payload != best.payload
    ]
    content = best.metadata
    created = values.recorded_us(content, layout.created_key, tz, best.path, warnings)
    return LegacyItem(
        source=tuple(copy.path for copy in copies),
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
        embedded=Embedded(layout.keys[0], len(best.payload)),
    )


def _format(name: str, folders: tuple[str, ...], keys: tuple[str, ...], created_key: str) -> Format:
    layout = _Layout(folders, keys, created_key)
    return Format(name, partial(_looks_like, layout), partial(_read, layout))


FORMATS = (
    _format("report_queue", ("completed", "failed", "pending"), ("report_data",), "created_at"),
    # Envelopes of report_queue may hold a stray `data` as well, but never this pair.
    _format("ui_queue", ("sent", "failed", "pending"), ("data", "operation_type"), "created"),
)
