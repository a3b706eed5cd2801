"""pyWATS PersistentQueue: `ID.STATE.wsjf` beside `ID.STATE.meta.json`, in one flat folder.

Its versions differ in whether a meta has a priority, and in whether payloads were renamed
when the state changed; the rules below hold for all of them. A state change that was
interrupted, or a queue that never renamed, leaves several metas to one payload: the newest
one tells what happened last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pq_cli.migrate.files import read_object, tried
from pq_cli.migrate.model import Entry, Json, LegacyItem, Reported, Stamp, Warned, Why
from pq_cli.migrate.readers import flat, values
from pq_cli.migrate.traces import Evidence, Format, Traces

# In the order in which a tie of two metas is decided: the later one wins.
_STATES = ("pending", "processing", "suspended", "failed", "completed")
_META = len(_STATES)
_SHARED = (".pending.wsjf", ".completed.wsjf")
_OWN = (".processing.wsjf", ".suspended.wsjf", ".failed.wsjf")
_METAS = tuple(f".{state}.meta.json" for state in _STATES)
ENDINGS = frozenset((*_SHARED, *_OWN, *_METAS))

_classify = flat.ending_classifier(
    {f".{state}.wsjf": tag for tag, state in enumerate(_STATES)}
    | {ending: _META + tag for tag, ending in enumerate(_METAS)}
)


class _Meta(NamedTuple):
    """A readable meta: of several the greatest is the newest. rank: of its state in _STATES."""

    updated_us: int
    rank: int
    path: str
    content: Json


def _looks_like(traces: Traces) -> Evidence | None:
    shared = traces.count(*_SHARED)
    metas = traces.count(*_METAS)
    own = traces.count(*_OWN) + (metas if shared else 0)
    return flat.evidence(traces, own, shared + (0 if shared else metas), "ID.STATE.wsjf/.meta.json")


def _read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    return flat.by_owner(root, _classify, partial(_group, root, tz))


def _group(root: Path, tz: tzinfo | None, owner: str, names: dict[int, str]) -> Iterator[Entry]:
    payloads = {tag: path for tag, path in names.items() if tag < _META}
    metas: dict[int, dict[int, str]] = {tag: {} for tag in payloads}
    for tag, path in names.items():
        rank = tag - _META
        if rank in payloads:
            metas[rank][rank] = path
        elif rank >= 0 and len(payloads) == 1:
            metas[next(iter(payloads))][rank] = path
        elif rank >= 0:
            yield Reported(path, Why.ORPHAN_META, "no payload of this id, or more than one")
    for rank, path in payloads.items():
        stamp = tried(flat.json_stamp, root, path)
        if isinstance(stamp, Reported):
            yield stamp
            yield from (Reported(meta, Why.META_OF_BAD_PAYLOAD) for meta in metas[rank].values())
            continue
        warnings: list[Warned] = []
        readable: list[_Meta] = []
        for meta_rank, meta_path in metas[rank].items():
            found = tried(read_object, root, meta_path)
            if isinstance(found, Reported):
                yield found
                continue
            content, file = found
            updated = values.recorded_us(content, "updated_at", tz, meta_path, warnings)
            # Without a time of its own a meta is as new as its file.
            updated = values.mtime_us(file) if updated is None else updated
            readable.append(_Meta(updated, meta_rank, meta_path, content))
        yield _item(owner, path, rank, stamp, readable, tz, warnings)


def _rank_now(own_rank: int, metas: list[_Meta], newest: _Meta | None) -> int:
    """Return the place in _STATES of the state that counts."""
    if newest is not None and any(meta.rank == own_rank for meta in metas):
        return newest.rank
    completed = _STATES.index("completed")
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
    newest = max(metas, default=None)  # no two of an item are of one state
    state = flat.state_of(_STATES[_rank_now(own_rank, metas, newest)])
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


FORMAT = Format("pywats_persistent", _looks_like, _read)
