"""pyWATS SimpleQueue: `NAME.STATE.wsjf`, and `NAME.error.meta.json` after a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path

from pq_cli.migrate.model import Entry, LegacyItem, Reported, Stamp, Verbatim, Warned
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import (
    Member,
    checked_payload,
    ending_classifier,
    evidence,
    fill,
    members_of,
    state_of,
)
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Format, Traces

STATES = ("pending", "submitting", "error", "completed")
_ERROR = STATES.index("error")
_META = len(STATES)
_META_ENDING = ".error.meta.json"
_SHARED = (".pending.wsjf", ".completed.wsjf")
_OWN = (".submitting.wsjf", ".error.wsjf")
ENDINGS = frozenset((*_SHARED, *_OWN, _META_ENDING))
_TIMED_NAME = re.compile(r"report_([0-9]{8}_[0-9]{6}_[0-9]{6})")

_classify = ending_classifier(
    {f".{state}.wsjf": tag for tag, state in enumerate(STATES)} | {_META_ENDING: _META}
)


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    shared = traces.count(*_SHARED)
    metas = traces.count(_META_ENDING)
    own = traces.count(*_OWN) + (metas if shared else 0)
    return evidence(traces, own, shared + (0 if shared else metas), "NAME.STATE.wsjf")


def read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    """See Format."""
    with NameIndex() as index:
        yield from fill(index, root, _classify)
        for owner, names in index.groups():
            # The meta tells of the failed one; only without that of whatever became of it.
            for member in members_of(root, names, {_META: _ERROR}, checked_payload):
                yield member if isinstance(member, Reported) else _item(owner, member, tz)


def created_us(name: str, stamp: Stamp, tz: tzinfo | None) -> int:
    """Return the time in a name like `report_20260124_101501_250010`, else the file's mtime."""
    match = _TIMED_NAME.fullmatch(name)
    if match:
        try:
            us = values.to_us(datetime.strptime(match[1], "%Y%m%d_%H%M%S_%f"), tz)
        except ValueError:
            us = None
        if us is not None:
            return us
    return values.mtime_us(stamp)


def _item(owner: str, member: Member, tz: tzinfo | None) -> LegacyItem:
    state = state_of(STATES[member.tag])
    warnings: list[Warned] = []
    meta_path, content = member.sidecars.get(_META, (member.path, {}))
    return LegacyItem(
        source=(member.path, *(path for path, _ in member.sidecars.values())),
        payload=Verbatim(member.path),
        payload_size=member.stamp.size,
        stamp=member.stamp,
        state=state,
        created_us=created_us(owner, member.stamp, tz),
        legacy_id=owner,
        attempts=values.attempts(content, state, meta_path, warnings),
        last_error=values.error_text(content, "last_error"),
        legacy=content,
        warnings=tuple(warnings),
    )


FORMAT = Format("simple_queue", looks_like, read)
