"""Values on the wire, both ways, in the binary forms of PostgreSQL."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Dumped = tuple[int, int, bytes | None]

_BOOL, _BYTEA, _INT8, _TEXT, _FLOAT8, _NUMERIC = 16, 17, 20, 25, 701, 1700
_TEXT_FORM, _BINARY_FORM = 0, 1
_ARRAY_OF = {_BOOL: 1000, _BYTEA: 1001, _INT8: 1016, _TEXT: 1009, _FLOAT8: 1022}
_int8, _float8, _size = Struct(">q"), Struct(">d"), Struct(">i")
_head, _dimension = Struct(">iiI"), Struct(">ii")


def dumped(value: object) -> Dumped:
    """Return a parameter as (type's oid, form, bytes); what is one already, as it is.

    Of None, bool, int, float, str, bytes or a list of one of them. Raises UnicodeEncodeError for a
    text that is none.
    """
    return DUMPERS.get(type(value), _subclass_dumped)(value)


def _subclass_dumped(value: object) -> Dumped:
    return next(dump for kind, dump in DUMPERS.items() if isinstance(value, kind))(value)


def _integer_dumped(value: int) -> Dumped:
    if -(2**63) <= value < 2**63:
        return _INT8, _BINARY_FORM, _int8.pack(value)
    return _NUMERIC, _TEXT_FORM, b"%d" % value  # equal to no bigint, but no error


def _array(values: Sequence[object]) -> Dumped:
    if any(isinstance(value, float) for value in values):
        values = [float(value) if isinstance(value, int) else value for value in values]
    parts = [dumped(value) for value in values]
    kind = next((part[0] for part in parts if part[2] is not None), 0)
    if not kind:  # of what nothing is known: the statement says of what type it is
        return 0, _TEXT_FORM, b"{" + b",".join([b"NULL"] * len(parts)) + b"}"
    out = [
        _head.pack(1, any(part[2] is None for part in parts), kind),
        _dimension.pack(len(parts), 1),
    ]
    for _, _, content in parts:
        if content is None:
            out.append(b"\xff\xff\xff\xff")
        else:
            out.append(_size.pack(len(content)))
            out.append(content)
    return _ARRAY_OF[kind], _BINARY_FORM, b"".join(out)


DUMPERS: dict[type, Callable[[Any], Dumped]] = {
    type(None): lambda _: (0, _BINARY_FORM, None),
    bool: lambda value: (_BOOL, _BINARY_FORM, b"\1" if value else b"\0"),
    int: _integer_dumped,
    float: lambda value: (_FLOAT8, _BINARY_FORM, _float8.pack(value)),
    str: lambda value: (_TEXT, _BINARY_FORM, value.encode()),
    bytes: lambda value: (_BYTEA, _BINARY_FORM, value),
    list: _array,
    tuple: tuple,
}


def _integer(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)


def _list(content: bytes) -> list[Any]:
    dimensions, _, kind = _head.unpack_from(content)
    if not dimensions:
        return []
    count, _ = _dimension.unpack_from(content, _head.size)
    load, at = LOADERS[kind], _head.size + _dimension.size
    found: list[Any] = []
    for _ in range(count):
        (size,) = _size.unpack_from(content, at)
        at += _size.size
        found.append(None if size < 0 else load(content[at : at + size]))
        at += max(0, size)
    return found


LOADERS: dict[int, Callable[[bytes], Any]] = {
    _BOOL: lambda content: content == b"\1",
    _BYTEA: bytes,
    19: bytes.decode,  # name
    _INT8: _integer,
    21: _integer,  # smallint
    23: _integer,  # int
    _TEXT: bytes.decode,
    26: lambda content: int.from_bytes(content, "big"),  # oid
    _FLOAT8: lambda content: _float8.unpack(content)[0],
    2278: lambda _: None,  # void
    **dict.fromkeys((*_ARRAY_OF.values(), 1005, 1007, 1028), _list),
}
"""What makes a value of a result's bytes, by the oid of its type."""
