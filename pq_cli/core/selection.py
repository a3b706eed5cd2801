"""Which items are meant, when they are chosen by what they are instead of by their ids. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase

from pq_cli.core.arguments import valid_duration, valid_states, valid_text, wrong
from pq_cli.core.item import NO_LIMIT, Item, State, valid_limit, valid_priority
from pq_cli.core.jsonio import to_strict_json
from pq_cli.core.record import Record
from pq_cli.core.transitions import awaits_retry
from pq_cli.errors import NoLongerFitsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Selection(Record):
    """A choice among items: those that fit all that is said. None says nothing.

    states: one of these; empty: any. priority: the base priority. older_than: seconds since it was
    created, at least. key, name, error: globs. metadata: its metadata have these values, compared
    as text. limit: it has this one, or none if it says "none". failing: of delayed
    items those alone that wait for a retry.
    """

    states: tuple[State, ...] = ()
    priority: int | None = None
    older_than: float | None = None
    key: str | None = None
    name: str | None = None
    error: str | None = None
    metadata: dict[str, Any] | None = None
    limit: str | None = None
    failing: bool = False

    @property
    def picks(self) -> bool:
        """Whether not all items of these states are meant."""
        return self.replace(states=()) != EVERYTHING

    def fits(self, item: Item, now: float) -> bool:
        """Tell whether an item is meant, as it stands `now` (Unix seconds)."""
        return (
            (not self.states or item.state in self.states)
            and (self.priority is None or item.priority == self.priority)
            and (self.older_than is None or now - item.created_at >= self.older_than)
            and _like(item.key, self.key)
            and _like(item.name, self.name)
            and _like(item.last_error, self.error)
            and (self.limit is None or (item.limit or NO_LIMIT) == self.limit)
            and all(_has(item.metadata, k, v) for k, v in (self.metadata or {}).items())
            and (not self.failing or item.state is not State.DELAYED or awaits_retry(item))
        )


EVERYTHING = Selection()
"""The choice that nothing was said of."""


def valid_selection(only: Selection, name: str = "only") -> Selection:
    """Return a selection, if it is one. Raises UsageError."""
    if not isinstance(only, Selection):
        raise wrong(name, only, "a Selection")
    valid_states(only.states)
    if only.priority is not None:
        valid_priority(only.priority)
    if only.older_than is not None:
        valid_duration("older_than", only.older_than)
    for field in ("key", "name", "error", "limit"):
        valid_text(field, getattr(only, field))
    if only.limit not in (None, NO_LIMIT):
        valid_limit(only.limit)
    return only


def check(item: Item, only: Selection, now: float) -> None:
    """Raise NoLongerFitsError unless an item is (still) meant."""
    if not valid_selection(only).fits(item, now):
        raise NoLongerFitsError(f"item {item.id} is {item.state} now and no longer fits")


def _like(text: str | None, glob: str | None) -> bool:
    return glob is None or fnmatchcase(text or "", glob)


def _has(metadata: dict[str, Any], name: str, wanted: Any) -> bool:
    if name not in metadata:
        return False
    value = metadata[name]
    return value == wanted or _as_text(value) == _as_text(wanted)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else to_strict_json(value)
