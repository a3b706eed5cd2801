"""Records on a stream: lines, NUL-ended, or JSON Lines; in batches as they arrive.

A batch is what can be read without waiting, so that on a slow pipe each record is queued at once,
and on a fast one many share a sync.
"""

from __future__ import annotations

from binascii import a2b_base64

from pq_cli.core.item import printable
from pq_cli.core.jsonio import JsonError, parse_strict
from pq_cli.core.timefmt import parse_duration, parse_time
from pq_cli.errors import UsageError
from pq_cli.opened import read_part
from pq_cli.queue.request import Request, checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pq_cli.opened import About

    Payload = tuple[bytes, Request]

MAX_RECORD = 64 * 1024 * 1024
"""The longest record in bytes: one record is held in memory; bigger payloads go in as files."""
_MOST = 1000
_MOST_BYTES = 768 * 1024
"""Records, and bytes, after which a batch is full: others wait while it is let in."""


def split_records(source: About, end: bytes, request: Request) -> Iterator[list[Payload]]:
    """Yield batches of the records that `end` ends; the last one may lack it.

    source: what is open and, for errors, how it is called. Raises UsageError for a record that is
    too long, behind those before it.
    """
    for raw in _raw_batches(source, end):
        yield [(record, request) for record in raw]


def json_records(source: About, request: Request) -> Iterator[list[Payload]]:
    """Yield batches of JSON records; a malformed one is a UsageError that names its line.

    source: as for `split_records`.
    """
    number = 0
    for raw in _raw_batches(source, b"\n"):
        records: list[Payload] = []
        for line in raw:
            number += 1
            if not line.strip():
                continue
            try:
                records.append(parse_record(line, request))
            except UsageError as error:
                yield records
                raise UsageError(f"line {number}: {error}") from None
        yield records


def _raw_batches(source: About, end: bytes) -> Iterator[list[bytes]]:
    rest = bytearray()
    waiting: list[bytes] = []
    number = size = 0
    while chunk := read_part(source):
        first, *more = chunk.split(end)
        rest += first
        if more:
            waiting += (bytes(rest), *more[:-1])
            number += len(more)
            rest = bytearray(more[-1])
            size += len(chunk)
        while len(waiting) >= _MOST:
            yield waiting[:_MOST]
            del waiting[:_MOST]
            size = sum(map(len, waiting))
        if waiting and (size >= _MOST_BYTES or len(rest) > MAX_RECORD or not _more_at_hand(source)):
            yield waiting
            waiting, size = [], 0
        if len(rest) > MAX_RECORD:
            raise UsageError(f"line {number + 1} is longer than {MAX_RECORD} bytes")
    if rest:
        waiting.append(bytes(rest))
    if waiting:
        yield waiting


def _more_at_hand(source: About) -> bool:
    """Tell whether a read would not wait: there is more, or it is the end."""
    import select

    poll = select.poll()
    with source as fd:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


_FIELDS = (
    "priority", "key", "delay", "at", "max_attempts", "timeout", "limit", "after", "if_failed",
    "name", "metadata",
)  # fmt: skip


def parse_record(line: bytes, defaults: Request) -> Payload:
    """Return (payload, request) of one JSON record; the command line gives the defaults.

    Raises UsageError saying what is wrong and what is allowed.
    """
    try:
        values = parse_strict(line)
    except JsonError as error:
        raise UsageError(str(error)) from None
    if not isinstance(values, dict):
        raise UsageError("not a JSON object")
    payload = _payload(values)
    unknown = [k for k in values if k not in (*_FIELDS, "payload", "payload_base64")]
    if unknown:
        raise UsageError(
            f"unknown field '{printable(unknown[0], 60)}'; known: {', '.join(_FIELDS)}"
        )
    fields: dict[str, Any] = {k: values[k] for k in _FIELDS if values.get(k) is not None}
    kinds = dict.fromkeys(("key", "limit", "if_failed", "name"), str)
    for name, kind in (kinds | dict.fromkeys(("max_attempts", "priority"), int)).items():
        value = fields.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise UsageError(f"{name} must be {'a text' if kind is str else 'a whole number'}")
    for name in ("delay", "timeout"):
        if name in fields:
            fields[name] = parse_duration(str(fields[name]))
    if type(fields.get("after")) is int:
        fields["after"] = [fields["after"]]
    if "at" in fields:
        if not isinstance(fields["at"], str):
            raise UsageError("at must be a text, e.g. 2026-02-24T18:30:00Z")
        fields["at"] = parse_time(fields["at"])
    if ("delay" in fields) != ("at" in fields):
        defaults = defaults.replace(delay=None, at=None)
    return payload, checked(defaults.replace(**fields))


def _payload(values: dict[str, Any]) -> bytes:
    text, encoded = values.get("payload"), values.get("payload_base64")
    if ("payload" in values) == ("payload_base64" in values):
        raise UsageError('give either "payload" or "payload_base64"')
    if "payload" in values:
        if not isinstance(text, str):
            raise UsageError("payload must be a text; use payload_base64 for bytes")
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise UsageError("payload holds half a character; use payload_base64") from None
    try:
        if isinstance(encoded, str):
            return a2b_base64(encoded, strict_mode=True)
    except ValueError:
        pass
    raise UsageError("payload_base64 is not base64")
