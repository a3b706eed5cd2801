"""pyWATS AsyncPendingQueue: `NAME.STATE` of any bytes, with up to two sidecars to a NAME.

`NAME.error.info` tells of the last failure, `NAME.meta.json` gives the priority.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from pq_cli.migrate.model import Entry, LegacyItem, Reported, Verbatim, Warned
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import (
    Member,
    ending_classifier,
    evidence,
    fill,
    members_of,
    state_of,
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
_SIDECARS: dict[int, int | None] = {_INFO: _ERROR, _META: None}


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    own, shared = traces.count(*_OWN), traces.count(*_SHARED)
    metas = traces.count(".meta.json") if own else 0
    return evidence(traces, own, shared + metas, "NAME.STATE/.error.info")


def read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    """See Format; no time of this format needs `tz`."""
    with NameIndex() as index:
        yield from fill(index, root, _classify)
        for owner, names in index.groups():
            for member in members_of(root, names, _SIDECARS, try_stamp):
                yield member if isinstance(member, Reported) else _item(owner, member)


def _item(owner: str, member: Member) -> LegacyItem:
    state = state_of(STATES[member.tag])
    warnings: list[Warned] = []
    sidecars = member.sidecars
    info_path, info = sidecars.get(_INFO, (member.path, {}))
    meta_path, meta = sidecars.get(_META, (member.path, {}))
    called = {_INFO: "error_info", _META: "meta"}
    return LegacyItem(
        source=(member.path, *(path for path, _ in sidecars.values())),
        payload=Verbatim(member.path),
        payload_size=member.stamp.size,
        stamp=member.stamp,
        state=state,
        created_us=values.mtime_us(member.stamp),
        legacy_id=owner,
        priority=values.priority(meta, meta_path, warnings),
        attempts=values.attempts(info, state, info_path, warnings),
        last_error=values.error_text(info, "error"),
        legacy={called[tag]: content for tag, (_, content) in sidecars.items()},
        warnings=tuple(warnings),
    )


FORMAT = Format("async_pending", looks_like, read)
