"""pyWATS AsyncPendingQueue: `NAME.STATE` of any bytes, with up to two sidecars to a NAME.

`NAME.error.info` tells of the last failure, `NAME.meta.json` gives the priority.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from pathlib import Path

from pq_cli.migrate.files import stamp_of
from pq_cli.migrate.model import Entry, LegacyItem, Warned
from pq_cli.migrate.readers import flat, values
from pq_cli.migrate.traces import Evidence, Format, Traces

_STATES = ("queued", "processing", "error", "completed")
_INFO, _META = len(_STATES), len(_STATES) + 1
_SIDECARS = {_INFO: _STATES.index("error"), _META: None}
_SHARED = (".processing", ".error", ".completed")
_OWN = (".queued", ".error.info")
ENDINGS = frozenset((*_SHARED, *_OWN, ".meta.json"))

_classify = flat.ending_classifier(
    {f".{state}": tag for tag, state in enumerate(_STATES)}
    | {".error.info": _INFO, ".meta.json": _META}
)


def _looks_like(traces: Traces) -> Evidence | None:
    own, shared = traces.count(*_OWN), traces.count(*_SHARED)
    metas = traces.count(".meta.json") if own else 0
    return flat.evidence(traces, own, shared + metas, "NAME.STATE/.error.info")


def _read(root: Path, _: tzinfo | None) -> Iterator[Entry]:
    return flat.by_owner(root, _classify, partial(flat.members, root, _SIDECARS, stamp_of, _item))


def _item(owner: str, member: flat.Member) -> LegacyItem:
    state = flat.state_of(_STATES[member.tag])
    warnings: list[Warned] = []
    sidecars = member.sidecars
    info_path, info = sidecars.get(_INFO, (member.path, {}))
    meta_path, meta = sidecars.get(_META, (member.path, {}))
    called = {_INFO: "error_info", _META: "meta"}
    return LegacyItem(
        source=(member.path, *(path for path, _ in sidecars.values())),
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


FORMAT = Format("async_pending", _looks_like, _read)
