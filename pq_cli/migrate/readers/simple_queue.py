"""pyWATS SimpleQueue: `NAME.STATE.wsjf`, and `NAME.error.meta.json` after a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from pathlib import Path

from pq_cli.migrate.model import Entry, LegacyItem, Warned
from pq_cli.migrate.readers import flat, values
from pq_cli.migrate.traces import Evidence, Format, Traces

_STATES = ("pending", "submitting", "error", "completed")
_META = len(_STATES)
_META_ENDING = ".error.meta.json"
_SHARED = (".pending.wsjf", ".completed.wsjf")
_OWN = (".submitting.wsjf", ".error.wsjf")
ENDINGS = frozenset((*_SHARED, *_OWN, _META_ENDING))
_TIMED_NAME = re.compile(r"report_([0-9]{8})_([0-9]{6})_([0-9]{6})")

_classify = flat.ending_classifier(
    {f".{state}.wsjf": tag for tag, state in enumerate(_STATES)} | {_META_ENDING: _META}
)


def _looks_like(traces: Traces) -> Evidence | None:
    shared = traces.count(*_SHARED)
    metas = traces.count(_META_ENDING)
    own = traces.count(*_OWN) + (metas if shared else 0)
    return flat.evidence(traces, own, shared + (0 if shared else metas), "NAME.STATE.wsjf")


def _read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    # The meta tells of the failed one; only without that of whatever became of it.
    sidecars = {_META: _STATES.index("error")}
    entries = partial(flat.members, root, sidecars, flat.json_stamp, partial(_item, tz))
    return flat.by_owner(root, _classify, entries)


def _item(tz: tzinfo | None, owner: str, member: flat.Member) -> LegacyItem:
    state = flat.state_of(_STATES[member.tag])
    warnings: list[Warned] = []
    meta_path, content = member.sidecars.get(_META, (member.path, {}))
    timed = _TIMED_NAME.fullmatch(owner)
    created = values.parsed_us("{}T{}.{}".format(*timed.groups()), tz) if timed else None
    return LegacyItem(
        source=(member.path, *(path for path, _ in member.sidecars.values())),
        stamp=member.stamp,
        state=state,
        created_us=values.mtime_us(member.stamp) if created is None else created,
        legacy_id=owner,
        attempts=values.attempts(content, state, meta_path, warnings),
        last_error=values.error_text(content, "last_error"),
        legacy=content,
        warnings=tuple(warnings),
    )


FORMAT = Format("simple_queue", _looks_like, _read)
