"""Frozen value objects without the start-up cost of `dataclasses`.

`dataclasses` imports `inspect`, which costs more than all of the interpreter's own
start (measure: ``python -X importtime -c "import dataclasses"``). A command that runs a
million times a day should not pay for that, so values derive from `Record` instead;
type checkers see an ordinary frozen, keyword-only dataclass (PEP 681).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_):
        """Do nothing at run time: PEP 681 is for type checkers."""
        return lambda cls: cls


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record:
    """Base of frozen, keyword-only values: annotated names are fields, assignments defaults."""

    FIELDS: ClassVar[tuple[str, ...]] = ()
    """The names of the fields, in order."""
    _defaults: dict[str, Any] = {}

    def __init_subclass__(cls) -> None:
        own = tuple(n for n in cls.__annotations__ if not n.startswith("_"))
        cls.FIELDS = cls.FIELDS + tuple(n for n in own if n not in cls.FIELDS)
        cls._defaults = cls._defaults | {n: cls.__dict__[n] for n in own if n in cls.__dict__}

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(self._defaults, **values)
        self._check()

    def _check(self) -> None:
        if len(self.__dict__) != len(self.FIELDS):
            wrong = ", ".join(sorted(set(self.FIELDS).symmetric_difference(self.__dict__)))
            raise TypeError(f"{type(self).__name__}: missing or unknown fields: {wrong}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    __delattr__ = __setattr__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(self.__dict__[name]) for name in self.FIELDS)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{n}={getattr(self, n)!r}" for n in self.FIELDS)
        return f"{type(self).__name__}({fields})"

    def replace(self, **changes: Any) -> Self:
        """Return a copy with `changes` applied; an unknown field is a TypeError."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, **changes)
        new._check()
        return new


def _hashable(value: object) -> object:
    """Return what has the same hash for equal values, whatever JSON or a caller may hold.

    By the values, never by their texts: 5, 5.0 and True are equal, and so are dictionaries
    whose members stand in another order.
    """
    if isinstance(value, dict):
        return frozenset((key, _hashable(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, bytearray):
        return bytes(value)
    try:
        hash(value)
    except TypeError:
        return None  # equal to whatever it may be: only speed suffers
    return value
