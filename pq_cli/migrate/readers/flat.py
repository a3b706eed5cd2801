"""What the readers share: sorting file names by the item they belong to, reading sidecars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pq_cli.core.jsonio import parse_python
from pq_cli.migrate.files import (
    MAX_DOCUMENT,
    files_in,
    read_file,
    read_object,
    refusing,
    tried,
    unnamed,
)
from pq_cli.migrate.model import Entry, Json, LegacyItem, LegacyState, Reported, Stamp, Why
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Traces

Classify = Callable[[str], tuple[str, int] | None]
"""(owner, tag) of a file's path, or None if no rule names it."""


def ending_classifier(endings: dict[str, int]) -> Classify:
    """Return a Classify by the end of the name; an owner is not empty.

    No ending may be the end of another one: which of them counts would be chance.
    """

    def classify(name: str) -> tuple[str, int] | None:
        for ending, tag in endings.items():
            if name.endswith(ending) and len(name) > len(ending):
                return name[: -len(ending)], tag
        return None

    return classify


def by_owner(
    root: Path,
    classify: Classify,
    entries: Callable[[str, dict[int, str]], Iterator[Entry]],
    wanted: Callable[[str], object] | None = None,
    *,
    apart: bool = False,
) -> Iterator[Entry]:
    """Yield what `entries` makes of each owner's files (by tag), and a report of all others.

    wanted, apart: see `files_in`.
    """
    with NameIndex() as index:
        for path in files_in(root, wanted, apart=apart):
            if isinstance(path, Reported):
                yield path
            elif (found := classify(path)) is None:
                yield unnamed(path)
            else:
                index.add(*found, path)
        for owner, names in index.groups():
            yield from entries(owner, names)


@dataclass(frozen=True, slots=True)
class Member:
    """A payload that can be read, one of those of a name, with the sidecars that tell of it.

    tag: which of the name's files it is. sidecars: path and content by their tags.
    """

    tag: int
    path: str
    stamp: Stamp
    sidecars: dict[int, tuple[str, Json]]


def members(
    root: Path,
    sidecars: Mapping[int, int | None],
    look: Callable[[Path, str], Stamp],
    item: Callable[[str, Member], LegacyItem],
    owner: str,
    names: dict[int, str],
) -> Iterator[Entry]:
    """Yield the items of the payloads among the files of one name, and what is no use.

    sidecars: which tags are no payloads, and of which payload each tells; without that one, or
    where None, of all there are. look: checks a payload. names: the files by tag.
    """
    payloads = {tag: path for tag, path in names.items() if tag not in sidecars}
    good: dict[int, Member] = {}
    for tag, path in payloads.items():
        stamp = tried(look, root, path)
        if isinstance(stamp, Reported):
            yield stamp
        else:
            good[tag] = Member(tag, path, stamp, {})
    for side, only in sidecars.items():
        if side not in names:
            continue
        served = good.keys() & ({only} if only in payloads else payloads)
        if not served:
            yield Reported(names[side], Why.META_OF_BAD_PAYLOAD if payloads else Why.ORPHAN_META)
        elif isinstance(found := tried(read_object, root, names[side]), Reported):
            yield found
        else:
            for tag in served:
                good[tag].sidecars[side] = (names[side], found[0])
    for member in good.values():
        yield item(owner, member)


def evidence(traces: Traces, own: int, shared: int, seen: str) -> Evidence | None:
    """Return what files of a format's own names say, and those it shares with another.

    It is weak without any of its own, and when most files of the folder are something else.
    """
    if not own and not shared:
        return None
    strong = own > 0 and 2 * (own + shared) >= traces.visible
    return Evidence(strong, f"{own + shared} of {traces.visible} files named {seen}")


def state_of(word: str) -> LegacyState:
    """Return our state for an old queue's word for it; interrupted work is pending."""
    states: dict[str, LegacyState] = {
        "suspended": "held",
        "failed": "failed",
        "error": "failed",
        "completed": "done",
        "sent": "done",
    }
    return states.get(word, "pending")


def json_stamp(root: Path, path: str) -> Stamp:
    """Return the stamp of a `.wsjf` payload: JSON for Python. Raises FileProblemError."""
    data, stamp = read_file(root, path, MAX_DOCUMENT)
    # Decoded here, not by json: it would take UTF-16 and UTF-32 as well.
    with refusing(Why.BAD_PAYLOAD, "not JSON in UTF-8: "):
        parse_python(data.decode("utf-8-sig"))
    return stamp
