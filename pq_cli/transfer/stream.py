"""What goes over the wire between two spools, whatever the wire: pq-export(1) documents it.

A stream begins with a header, holds items, and ends with their number, so that one that was cut
short is known. Streams may follow one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from pq_cli.core.item import MAX_METADATA_BYTES, Item, State, printable, valid_key
from pq_cli.core.jsonio import MAX_DEPTH, JsonError, check_depth, to_json
from pq_cli.core.meta import as_dict, decode
from pq_cli.errors import DamagedItemError, DataError, UsageError
from pq_cli.queue.request import Request, checked

VERSION = 1
_LOCAL = ("claim", "holder", "lease_until", "path", "written_boot", "claims")


@dataclass(frozen=True, slots=True)
class Header:
    """The beginning of a stream: whose items these are."""

    spool: str


@dataclass(frozen=True, slots=True)
class Sent:
    """An item on the wire: its meta's values, and its payload, to be read before the next one."""

    values: dict[str, Any]
    payload: BinaryIO


class Writer(Protocol):
    """Writes one stream."""

    def header(self, header: dict[str, Any]) -> None:
        """Begin."""

    def item(self, values: dict[str, Any], payload: BinaryIO, size: int) -> None:
        """Send an item. Raises DataError when it does not fit into this kind of stream."""

    def end(self, count: int) -> None:
        """End, after `count` items."""


Source = Iterator[Header | Sent]
"""What comes, as it is read. Raises DataError where it is cut short or makes no sense."""


def header_values(spool: str, host: str, at: str) -> dict[str, Any]:
    """Return the values of a header."""
    return {"pq_export": VERSION, "spool": spool, "host": host, "at": at}


def item_values(item: Item) -> dict[str, Any]:
    """Return the values of an item that mean something on another host."""
    return {name: value for name, value in as_dict(item).items() if name not in _LOCAL}


def read_header(values: dict[str, Any]) -> Header:
    """Return the header of these values. Raises DataError."""
    if values.get("pq_export") != VERSION:
        said = printable(str(values.get("pq_export")), 40)
        raise DataError(f"the stream has version {said}; this pq knows {VERSION}: use a newer pq")
    spool = values.get("spool")
    if not isinstance(spool, str) or not spool.isalnum() or len(spool) > 64:
        raise DataError("the stream's header does not name its spool")
    return Header(spool)


def read_item(values: dict[str, Any], where: str) -> Item:
    """Return the item of values that came over the wire. Raises DataError saying what is wrong."""
    state, item_id = values.get("state"), values.get("id")
    allowed = [str(each) for each in State if each is not State.ACTIVE]
    if state not in allowed:
        raise DataError(
            f"{where}: state {printable(str(state), 40)!r}: one of {', '.join(allowed)}"
        )
    if not isinstance(item_id, int) or isinstance(item_id, bool) or not 0 <= item_id < 10**18:
        raise DataError(f"{where}: id {printable(str(item_id), 40)!r} is not one")
    try:
        check_depth(values, 2 * MAX_DEPTH)  # an older queue's lies deeper than its own did
        text = to_json(values)
        item = decode(text, item_id=item_id, state=State(str(state)), priority=None, where=where)
        if item.key is not None:
            valid_key(item.key)
        checked(Request(max_attempts=item.max_attempts, timeout=item.timeout, name=item.name))
        # Its metadata may hold NaN, which an older queue had and `enqueue` refuses.
        if len(to_json(item.metadata)) > MAX_METADATA_BYTES:
            raise UsageError(f"its metadata has more than {MAX_METADATA_BYTES} bytes")
    except (DamagedItemError, UsageError, JsonError) as error:
        raise DataError(f"{where}: {error}") from None
    return item
