"""pyWATS SimpleQueue: `NAME.STATE.wsjf`, and `NAME.error.meta.json` after a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, tzinfo
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
    checked_payload,
    ending_classifier,
    evidence,
    fill,
    state_of,
    try_object,
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
        for owner, members in index.groups():
            yield from _group(root, tz, owner, members)


def _group(root: Path, tz: tzinfo | None, owner: str, members: dict[int, str]) -> Iterator[Entry]:
    good: dict[int, Stamp] = {}
    bad = False
    meta_path = members.pop(_META, None)
    # The meta tells of the failed one; only without that of whatever became of it.
    served = {_ERROR} if _ERROR in members else set(members)
    for tag, path in members.items():
        stamp = checked_payload(root, path)
        if isinstance(stamp, Reported):
            yield stamp
            bad = bad or tag in served
        else:
            good[tag] = stamp
    content: Json | None = None
    if meta_path is not None and not served & set(good):
        yield Reported(meta_path, META_OF_BAD_PAYLOAD if bad else ORPHAN_META)
    elif meta_path is not None:
        found = try_object(root, meta_path)
        if isinstance(found, Reported):
            yield found
        else:
            content = found[0]
    for tag, stamp in good.items():
        mine = (meta_path, content) if tag in served and content is not None else None
        yield _item(owner, members[tag], STATES[tag], stamp, mine, tz)


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


def _item(
    owner: str,
    path: str,
    word: str,
    stamp: Stamp,
    meta: tuple[str | None, Json] | None,
    tz: tzinfo | None,
) -> LegacyItem:
    state = state_of(word)
    warnings: list[Warned] = []
    meta_path, content = meta if meta else (None, {})
    return LegacyItem(
        source=(path, meta_path) if meta_path else (path,),
        payload=Verbatim(path),
        payload_size=stamp.size,
        stamp=stamp,
        state=state,
        created_us=created_us(owner, stamp, tz),
        legacy_id=owner,
        attempts=values.attempts(content, state, meta_path or path, warnings),
        last_error=values.error_text(content, "last_error"),
        legacy=content,
        warnings=tuple(warnings),
    )


FORMAT = Format("simple_queue", looks_like, read)
