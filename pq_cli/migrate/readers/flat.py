"""What the readers of flat folders share: sorting file names by their ends, reading sidecars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pq_cli.migrate.files import (
    MAX_DOCUMENT,
    FileKind,
    check_json,
    files_in,
    read_file,
    read_object,
    report_tree,
    scan,
    stamp_of,
)
from pq_cli.migrate.model import FileProblemError, Json, LegacyState, Reported, Stamp, Why
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Traces

Classify = Callable[[str], tuple[str, int] | None]
"""(owner, tag) of a file name, or None if no rule names it."""


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


def unnamed(path: str) -> Reported:
    """Return the report of a regular file that no rule names."""
    return Reported(path, Why.TMP_LEFTOVER if path.endswith(".tmp") else Why.UNKNOWN_FILE)


def folders_in(root: Path, wanted: Callable[[str], object]) -> Iterator[str | Reported]:
    """Yield the folders of a source whose names are wanted, and a report for everything else."""
    for name, kind in scan(root):
        if kind is FileKind.OTHER:
            yield Reported(name, Why.NOT_A_FILE, "a link or special file")
        elif kind is FileKind.FILE:
            yield unnamed(name)
        elif wanted(name):
            yield name
        else:
            yield from report_tree(root, name)


def try_stamp(root: Path, path: str) -> Stamp | Reported:
    """Return the stamp of a payload of any bytes, or the report of why it cannot be read."""
    try:
        return stamp_of(root, path)
    except FileProblemError as error:
        return Reported(path, error.reason, error.detail)


def fill(index: NameIndex, root: Path, classify: Classify) -> Iterator[Reported]:
    """Put the names of a flat folder into the index; yield what no rule names."""
    for name in files_in(root):
        if isinstance(name, Reported):
            yield name
        elif (found := classify(name)) is None:
            yield unnamed(name)
        else:
            index.add(*found, name)


@dataclass(frozen=True, slots=True)
class Member:
    """A payload that can be read, one of those of a name, with the sidecars that tell of it.

    tag: which of the name's files it is. sidecars: path and content by their tags.
    """

    tag: int
    path: str
    stamp: Stamp
    sidecars: dict[int, tuple[str, Json]]


def members_of(
    root: Path,
    names: dict[int, str],
    sidecars: dict[int, int | None],
    stamped: Callable[[Path, str], Stamp | Reported],
) -> Iterator[Member | Reported]:
    """Yield the payloads among the files of one name, and a report for each that is no use.

    names: the files by tag. sidecars: which tags are no payloads, and of which payload each tells;
    without that one, or where None, of all there are. stamped: checks a payload.
    """
    payloads = {tag: path for tag, path in names.items() if tag not in sidecars}
    good: dict[int, Stamp] = {}
    for tag, path in payloads.items():
        stamp = stamped(root, path)
        if isinstance(stamp, Reported):
            yield stamp
        else:
            good[tag] = stamp
    told: dict[int, dict[int, tuple[str, Json]]] = {tag: {} for tag in good}
    for side, only in sidecars.items():
        if side not in names:
            continue
        served = [only] if only in payloads else list(payloads)
        if not any(tag in good for tag in served):
            yield Reported(names[side], Why.META_OF_BAD_PAYLOAD if payloads else Why.ORPHAN_META)
        elif isinstance(found := try_object(root, names[side]), Reported):
            yield found
        else:
            for tag in filter(good.__contains__, served):
                told[tag][side] = (names[side], found[0])
    for tag, stamp in good.items():
        yield Member(tag, payloads[tag], stamp, told[tag])


def evidence(traces: Traces, own: int, shared: int, seen: str) -> Evidence | None:
    """Return what files of a format's own names say, and those it shares with another.

    It is weak without any of its own, and when most files of the folder are something else.
    """
    if not own and not shared:
        return None
    strong = own > 0 and 2 * (own + shared) >= traces.visible
    return Evidence(strong, f"{own + shared} of {traces.visible} files named {seen}")


def try_object(root: Path, path: str) -> tuple[Json, Stamp] | Reported:
    """Return a sidecar's object and stamp, or the report of why there is none."""
    try:
        return read_object(root, path)
    except FileProblemError as error:
        return Reported(path, error.reason, error.detail)


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


def checked_payload(root: Path, path: str) -> Stamp | Reported:
    """Return the stamp of a `.wsjf` payload, or why it is none: it must be JSON for Python."""
    try:
        data, stamp = read_file(root, path, MAX_DOCUMENT)
        check_json(data, Why.BAD_PAYLOAD)
    except FileProblemError as error:
        return Reported(path, error.reason, error.detail)
    return stamp
