"""pyWATS AsyncPendingQueue: `NAME.STATE` of any bytes, with up to two sidecars to a NAME.

`NAME.error.info` tells of the last failure, `NAME.meta.json` gives the priority.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from pq_cli.migrate.model import (
    META_OF_BAD_PAYLOAD,
    ORPHAN_META,
    Entry,
    Json,
    LegacyItem,
    Reported,
    Stamp,
    Verbatim,
    Warned,
)
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import (
    ending_classifier,
    evidence,
    fill,
    state_of,
    try_object,
    try_stamp,
)
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Format, Traces

STATES = ("queued", "processing", "error", "completed")
_ERROR = STATES.index("error")
_INFO, _META = len(STATES), len(STATES) + 1
_SHARED = (".processing", ".error", ".completed")
_OWN = (".queued", ".error.info")
ENDINGS = frozenset((*_SHARED, *_OWN, ".meta.json"))

_classify = ending_classifier(
    {f".{state}": tag for tag, state in enumerate(STATES)}
    | {".error.info": _INFO, ".meta.json": _META}
)
_Sidecar = tuple[str, Json]


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    own, shared = traces.count(*_OWN), traces.count(*_SHARED)
    metas = traces.count(".meta.json") if own else 0
    return evidence(traces, own, shared + metas, "NAME.STATE/.error.info")


def read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    """See Format; no time of this format needs `tz`."""
    with NameIndex() as index:
        yield from fill(index, root, _classify)
        for owner, members in index.groups():
            yield from _group(root, owner, members)


def _group(root: Path, owner: str, members: dict[int, str]) -> Iterator[Entry]:
    sidecars = {tag: members.pop(tag) for tag in (_INFO, _META) if tag in members}
    served = {
        _INFO: {_ERROR} if _ERROR in members else set(members),
        _META: set(members),
    }
    good: dict[int, Stamp] = {}
    for tag, path in members.items():
        stamp = try_stamp(root, path)
        if isinstance(stamp, Reported):
            yield stamp
        else:
            good[tag] = stamp
    contents: dict[int, _Sidecar] = {}
    for tag, path in sidecars.items():
        if not served[tag] & set(good):
            yield Reported(path, META_OF_BAD_PAYLOAD if members else ORPHAN_META)
            continue
        found = try_object(root, path)
        if isinstance(found, Reported):
            yield found
        else:
            contents[tag] = (path, found[0])
    for tag, stamp in good.items():
        mine = {side: got for side, got in contents.items() if tag in served[side]}
        yield _item(owner, members[tag], STATES[tag], stamp, mine)


def _item(
    owner: str, path: str, word: str, stamp: Stamp, sidecars: dict[int, _Sidecar]
) -> LegacyItem:
    state = state_of(word)
    warnings: list[Warned] = []
    info_path, info = sidecars.get(_INFO, (path, {}))
    meta_path, meta = sidecars.get(_META, (path, {}))
    legacy: Json = {}
    if _INFO in sidecars:
        legacy["error_info"] = info
    if _META in sidecars:
        legacy["meta"] = meta
    return LegacyItem(
        source=(path, *(sidecar for sidecar, _ in sidecars.values())),
        payload=Verbatim(path),
        payload_size=stamp.size,
        stamp=stamp,
        state=state,
        created_us=values.mtime_us(stamp),
        legacy_id=owner,
        priority=values.priority(meta, meta_path, warnings),
        attempts=values.attempts(info, state, info_path, warnings),
        last_error=values.error_text(info, "error"),
        legacy=legacy,
        warnings=tuple(warnings),
    )


FORMAT = Format("async_pending", looks_like, read)
