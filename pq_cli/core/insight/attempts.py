"""The attempts that have ended, one by one, as the log tells of them. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

ENDS = ("done", "failed", "deferred", "lost", "released", "cancelled")
"""The events that end an attempt; of `failed`, the state says whether it was the last one."""
FIELDS = (
    "number", "id", "claim", "name", "how", "state", "exit", "waited", "took", "at", "by", "error",
)  # fmt: skip


def attempts(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what is known of each attempt, in the order of their ends: FIELDS, None for unknown.

    waited: seconds from enqueue to its claim. took: seconds from the claim to its end.
    """
    waited: dict[str, Any] = {}
    for record in records:
        event, claim = record.get("event"), record.get("claim")
        if not isinstance(claim, str):
            continue
        if event == "claimed":
            waited[claim] = record.get("waited")
        elif event in ENDS:
            known = {**record, "how": event, "waited": waited.pop(claim, None)}
            yield {field: known.get(field) for field in FIELDS}
