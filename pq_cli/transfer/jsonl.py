"""Items as JSON Lines, payloads inline as base64: what `pq export` writes by default.

Metadata of older queues may hold NaN and integers beyond 64 bits, names may hold bytes that are not
UTF-8, and all of it comes through: see `jsonio`.
"""

from __future__ import annotations

import io
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Any, BinaryIO

from pq_cli.core.jsonio import JsonError, parse_kept, to_safe_json
from pq_cli.errors import DataError
from pq_cli.transfer.stream import Sent, Source, read_header

MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes of the largest payload on a line: a line is held in memory. Bigger ones need --tar."""
_MAX_LINE = MAX_PAYLOAD * 4 // 3 + 2 * 1024 * 1024


class JsonWriter:
    """Writes a stream of lines."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def header(self, header: dict[str, Any]) -> None:
        """See Writer."""
        self._out.write(to_safe_json(header) + b"\n")

    def item(self, values: dict[str, Any], payload: BinaryIO, size: int) -> None:
        """See Writer."""
        if size > MAX_PAYLOAD:
            raise DataError(f"item {values['id']}: {size} bytes are too many for a line: use --tar")
        encoded = b2a_base64(payload.read(), newline=False).decode("ascii")
        self.header({**values, "payload_base64": encoded})

    def end(self, count: int) -> None:
        """See Writer."""
        self.header({"pq_end": count})
        self._out.flush()


def read_lines(stream: BinaryIO) -> Source:
    """Read streams of lines."""
    count, inside, begun = 0, False, False
    for number, line in enumerate(iter(lambda: stream.readline(_MAX_LINE), b""), 1):
        if not line.strip():
            continue
        values = _parse(line, number)
        if "pq_export" in values:
            if inside:
                raise DataError(f"line {number}: a stream begins before the last one ended")
            count, inside, begun = 0, True, True
            yield read_header(values)
        elif not inside:
            raise DataError(f"line {number}: this is not a stream of pq export")
        elif "pq_end" in values:
            if values["pq_end"] != count:
                raise DataError(f"line {number}: {count} items came of {values['pq_end']}")
            inside = False
        else:
            count += 1
            yield Sent(values, io.BytesIO(_payload(values, number)))
    if inside or not begun:
        raise DataError(f"the stream is cut short after {count} items: send it again")


def _parse(line: bytes, number: int) -> dict[str, Any]:
    try:
        values = parse_kept(line)
    except JsonError as error:
        if not line.endswith(b"\n"):
            what = "is cut short (or too long): send the stream again"
            raise DataError(f"line {number} {what}") from None
        raise DataError(f"line {number}: {error}") from None
    if not isinstance(values, dict):
        raise DataError(f"line {number} is not a JSON object")
    return values


def _payload(values: dict[str, Any], number: int) -> bytes:
    encoded = values.pop("payload_base64", None)
    try:
        return a2b_base64(encoded, strict_mode=True)
    except (Base64Error, ValueError, TypeError):
        raise DataError(f"line {number}: payload_base64 is missing or not base64") from None
