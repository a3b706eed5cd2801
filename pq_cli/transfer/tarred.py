"""Items as a tar stream: for payloads of any size. Members in order:

`pq-export.json` the header, then for each item `ID.meta.json` and `ID`, and `pq-end.json`. Nothing
is ever extracted by its name: a member that is not expected ends the reading.
"""

from __future__ import annotations

import io
import tarfile
from typing import Any, BinaryIO

from pq_cli.core.item import printable
from pq_cli.core.jsonio import JsonError, parse_kept, to_json
from pq_cli.core.meta import MAX_META_BYTES
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import DataError
from pq_cli.transfer.stream import Sent, Source, read_header

_HEADER, _END, _META = "pq-export.json", "pq-end.json", ".meta.json"


class TarWriter:
    """Writes a tar stream."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._tar = tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def header(self, header: dict[str, Any]) -> None:
        """See Writer."""
        self._add(_HEADER, to_json(header), str(header["at"]))

    def item(self, values: dict[str, Any], payload: BinaryIO, size: int) -> None:
        """See Writer."""
        name = f"{values['id']:010d}"
        at = str(values["created_at"])
        self._add(name + _META, to_json(values), at)
        self._tar.addfile(_info(name, size, at), payload)
        _forget_members(self._tar)

    def end(self, count: int) -> None:
        """See Writer."""
        self._add(_END, to_json({"pq_end": count}), "1970-01-01T00:00:00Z")
        self._tar.close()
        self._out.flush()

    def _add(self, name: str, text: bytes, at: str) -> None:
        self._tar.addfile(_info(name, len(text), at), io.BytesIO(text))


def _forget_members(tar: tarfile.TarFile) -> None:
    """Keep memory flat: tarfile remembers every member, and nothing here asks for one again."""
    tar.members = []  # type: ignore[attr-defined]


def _info(name: str, size: int, at: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, max(0, int(parse_time(at)))
    return info


def read_tar(stream: BinaryIO) -> Source:
    """Read one tar stream."""
    count, ended = 0, False
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            while (member := tar.next()) is not None:
                if count == 0 and member.name == _HEADER:
                    yield read_header(_object(tar, member))
                elif member.name == _END:
                    ended = _object(tar, member).get("pq_end") == count
                elif member.name.endswith(_META) and not ended:
                    count += 1
                    yield _sent(tar, member)
                else:
                    shown = printable(member.name, 60)
                    raise DataError(f"{shown!r} does not belong into a stream of pq export")
                _forget_members(tar)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"the tar stream is damaged or cut short: {error}") from None
    if not ended:
        raise DataError(f"the stream is cut short after {count} items: send it again")


def _sent(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Sent:
    values = _object(tar, member)
    payload = tar.next()
    if payload is None or payload.name != member.name.removesuffix(_META) or not payload.isreg():
        raise DataError(f"{printable(member.name, 60)!r}: its payload does not follow")
    stream = tar.extractfile(payload)
    assert stream is not None  # isreg
    return Sent(values, stream)  # type: ignore[arg-type]


def _object(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    name = printable(member.name, 60)
    if not member.isreg() or member.size > 2 * MAX_META_BYTES:
        raise DataError(f"{name!r} is not a meta")
    stream = tar.extractfile(member)
    assert stream is not None  # isreg
    try:
        values = parse_kept(stream.read())
    except JsonError as error:
        raise DataError(f"{name!r}: {error}") from None
    if not isinstance(values, dict):
        raise DataError(f"{name!r} is not a JSON object")
    return values
