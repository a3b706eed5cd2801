"""A line of `pq log`."""

from __future__ import annotations

from pq_cli.core.item import printable
from pq_cli.core.timefmt import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def log_line(record: dict[str, Any]) -> str:
    """Return time, event, id, priority and words of a log record, tab-separated, escaped."""
    return "\t".join(log_columns(record))


def log_columns(record: dict[str, Any]) -> list[str]:
    """Return time, event, id, priority and words of a log record, escaped."""
    columns = [str(record.get(name, "")) for name in ("at", "event", "id", "priority")]
    return [printable(text) for text in [*columns, _words(record)]]


def _words(record: dict[str, Any]) -> str:
    parts = [str(record["name"])] if "name" in record else []
    if "reason" in record:
        parts.append(str(record["reason"]))
    for name in ("waited", "took"):
        if isinstance(record.get(name), int | float):
            parts.append(f"{name} {format_duration(record[name])}")
    if "by" in record:
        parts.append(f"by {record['by']}")
    if record.get("event") == "failed":
        parts.append("for good" if record.get("state") == "failed" else "to be retried")
    if "error" in record:
        parts.append(f"({record['error']})")
    return " ".join(parts)
