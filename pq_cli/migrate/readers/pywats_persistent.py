"""pyWATS PersistentQueue: `ID.STATE.wsjf` beside `ID.STATE.meta.json`, in one flat folder.

Its versions differ in whether a meta has a priority, and in whether payloads were renamed
when the state changed; the rules below hold for all of them. A state change that was
interrupted, or a queue that never renamed, leaves several metas to one payload: the newest
one tells what happened last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from pq_cli.migrate.model import Entry, Json, LegacyItem, Reported, Stamp, Verbatim, Warned, Why
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import (
    checked_payload,
    ending_classifier,
    evidence,
    fill,
    state_of,
    try_object,
)
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Format, Traces

# In the order in which a tie of two metas is decided: the later one wins.
STATES = ("pending", "processing", "suspended", "failed", "completed")
_META = len(STATES)
_SHARED = (".pending.wsjf", ".completed.wsjf")
_OWN = (".processing.wsjf", ".suspended.wsjf", ".failed.wsjf")
_METAS = tuple(f".{state}.meta.json" for state in STATES)
ENDINGS = frozenset((*_SHARED, *_OWN, *_METAS))

_classify = ending_classifier(
    {f".{state}.wsjf": tag for tag, state in enumerate(STATES)}
    | {ending: _META + tag for tag, ending in enumerate(_METAS)}
)


@dataclass(frozen=True, slots=True)
class _Meta:
    """A readable meta: `rank` is its state's place in STATES, `updated_us` for comparing."""

    path: str
    rank: int
    content: Json
    updated_us: int


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    shared = traces.count(*_SHARED)
    metas = traces.count(*_METAS)
    own = traces.count(*_OWN) + (metas if shared else 0)
    return evidence(traces, own, shared + (0 if shared else metas), "ID.STATE.wsjf/.meta.json")


def read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    """See Format."""
    with NameIndex() as index:
        yield from fill(index, root, _classify)
        for owner, members in index.groups():
            yield from _group(root, tz, owner, members)


def _group(root: Path, tz: tzinfo | None, owner: str, members: dict[int, str]) -> Iterator[Entry]:
    payloads = {tag: path for tag, path in members.items() if tag < _META}
    metas: dict[int, dict[int, str]] = {tag: {} for tag in payloads}
    for tag, path in members.items():
        rank = tag - _META
        if rank in payloads:
            metas[rank][rank] = path
        elif rank >= 0 and len(payloads) == 1:
            metas[next(iter(payloads))][rank] = path
        elif rank >= 0:
            yield Reported(path, Why.ORPHAN_META, "no payload of this id, or more than one")
    for rank, path in payloads.items():
        stamp = checked_payload(root, path)
        if isinstance(stamp, Reported):
            yield stamp
            yield from (Reported(meta, Why.META_OF_BAD_PAYLOAD) for meta in metas[rank].values())
            continue
        warnings: list[Warned] = []
        readable: list[_Meta] = []
        for meta in _read_metas(root, tz, metas[rank], warnings):
            if isinstance(meta, Reported):
                yield meta
            else:
                readable.append(meta)
        yield _item(owner, path, rank, stamp, readable, tz, warnings)


def _read_metas(
    root: Path, tz: tzinfo | None, paths: dict[int, str], warnings: list[Warned]
) -> Iterator[_Meta | Reported]:
    for rank, path in sorted(paths.items()):
        found = try_object(root, path)
        if isinstance(found, Reported):
            yield found
            continue
        content, stamp = found
        updated = values.recorded_us(content, "updated_at", tz, path, warnings)
        # Without a time of its own a meta is as new as its file.
        fallback = values.mtime_us(stamp)
        yield _Meta(path, rank, content, fallback if updated is None else updated)


def _rank_now(own_rank: int, metas: list[_Meta], newest: _Meta | None) -> int:
    """Return the place in STATES of the state that counts."""
    if newest is not None and any(meta.rank == own_rank for meta in metas):
        return newest.rank
    completed = STATES.index("completed")
    return completed if any(meta.rank == completed for meta in metas) else own_rank


def _item(
    owner: str,
    path: str,
    own_rank: int,
    stamp: Stamp,
    metas: list[_Meta],
    tz: tzinfo | None,
    warnings: list[Warned],
) -> LegacyItem:
    newest = max(metas, key=lambda meta: (meta.updated_us, meta.rank), default=None)
    state = state_of(STATES[_rank_now(own_rank, metas, newest)])
    created = [
        us
        for meta in metas
        if (us := values.recorded_us(meta.content, "created_at", tz, meta.path, warnings))
        is not None
    ]
    content: Json = newest.content if newest else {}
    where = newest.path if newest else path
    return LegacyItem(
        source=(path, *(meta.path for meta in metas)),
        payload=Verbatim(path),
        payload_size=stamp.size,
        stamp=stamp,
        state=state,
        created_us=min(created, default=values.mtime_us(stamp)),
        legacy_id=owner,
        priority=values.priority(content, where, warnings),
        attempts=values.attempts(content, state, where, warnings),
        max_attempts=values.max_attempts(content, where, warnings),
        last_error=values.error_text(content, "last_error"),
        legacy=content,
        earlier=tuple(meta.content for meta in metas if meta is not newest),
        warnings=tuple(warnings),
    )


FORMAT = Format("pywats_persistent", looks_like, read)
