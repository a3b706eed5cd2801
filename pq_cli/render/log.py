"""A line of `pq log`; and the logs of attempts, as `pq run --log` left them."""

from __future__ import annotations

from typing import Any, BinaryIO

from pq_cli.core.item import printable
from pq_cli.core.jsonio import parse_own
from pq_cli.core.timefmt import format_duration
from pq_cli.opened import Reading


def log_line(record: dict[str, Any]) -> str:
    """Return time, event, id, priority and words of a log record, tab-separated, escaped."""
    return "\t".join(log_columns(record))


def log_columns(record: dict[str, Any]) -> list[str]:
    """Return time, event, id, priority and words of a log record, escaped."""
    columns = [str(record.get(name, "")) for name in ("at", "event", "id", "priority")]
    return [printable(text) for text in [*columns, _words(record)]]


def attempt_line(attempt: dict[str, Any]) -> str:
    """Return what is known of an attempt, tab-separated: seconds as numbers, unknown as nothing.

    Id, name, how it ended, exit status, waited, took, when, by whom, and the error.
    """
    names = ("id", "name", "how", "exit", "waited", "took", "at", "by", "error")
    return "\t".join("" if attempt[n] is None else printable(str(attempt[n])) for n in names)


def attempt_columns(attempt: dict[str, Any]) -> list[str]:
    """Return the same for people, escaped: durations as they are read."""
    spans = {
        name: format_duration(attempt[name])
        for name in ("waited", "took")
        if isinstance(attempt[name], int | float)
    }
    return attempt_line(attempt | {"waited": None, "took": None} | spans).split("\t")


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


def log_text(log: BinaryIO) -> str:
    """Return a log as text: a line about the attempt, then its output, safe for a terminal.

    It is closed.
    """
    head, output = _parts(log)
    words = (f"{name} {printable(str(head[name]))}" for name in head if name != "claim")
    title = f"== {printable(str(head.get('claim', '?')))}: {', '.join(words)}"
    lines = (printable(line.replace("\t", "    ")) for line in output.rstrip("\n").split("\n"))
    return "\n".join([title, *lines] if output else [title])


def log_json(log: BinaryIO) -> dict[str, Any]:
    """Return a log as JSON values: claim, exit, started_at, ended_at, host, pid, output.

    It is closed.
    """
    head, output = _parts(log)
    return {**head, "output": output}


def _parts(log: BinaryIO) -> tuple[dict[str, Any], str]:
    """Return (what is known of the attempt, what it wrote); a torn log gives what it can."""
    with log as file, Reading(file):
        first, _, rest = file.read().partition(b"\n")
    try:
        head = parse_own(first)
    except ValueError:
        head = None
    known = head if isinstance(head, dict) else {}
    return known, rest.decode("utf-8", "replace")
