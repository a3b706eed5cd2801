"""What the readers of flat folders share: sorting file names by their ends, reading sidecars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from pq_cli.migrate.model import (
    BAD_PAYLOAD,
    NOT_A_FILE,
    TMP_LEFTOVER,
    UNKNOWN_FILE,
    FileProblemError,
    Json,
    LegacyState,
    Reported,
    Stamp,
)
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
    return Reported(path, TMP_LEFTOVER if path.endswith(".tmp") else UNKNOWN_FILE)


def folders_in(root: Path, wanted: Callable[[str], object]) -> Iterator[str | Reported]:
    """Yield the folders of a source whose names are wanted, and a report for everything else."""
    for name, kind in scan(root):
        if kind is FileKind.OTHER:
            yield Reported(name, NOT_A_FILE, "a link or special file")
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
        check_json(data, BAD_PAYLOAD)
    except FileProblemError as error:
        return Reported(path, error.reason, error.detail)
    return stamp
