"""A folder of files, each an item, some with a `.meta.json` sidecar that gives a priority."""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from pq_cli.core.unfinished import looks_unfinished, marks
from pq_cli.migrate.files import files_in, read_object, stamp_of, tried
from pq_cli.migrate.model import Entry, Json, LegacyItem, Reported, Warned, Why
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Format, Traces

_SIDECAR = ".meta.json"
_FILE_TAG, _SIDECAR_TAG, _MARK_TAG = 0, 1, 2


def _looks_like(traces: Traces) -> Evidence | None:
    # Any file is a payload, so this never counts as strong.
    return Evidence(False, f"{traces.visible} files") if traces.visible else None


def _read(root: Path, _: tzinfo | None) -> Iterator[Entry]:
    with NameIndex() as index:
        yield from _fill(index, root)
        for name, members in index.groups():
            if _FILE_TAG in members and _MARK_TAG in members:
                mark = f"{members[_MARK_TAG]} marks it as not finished"
                yield Reported(name, Why.TMP_LEFTOVER, mark)
            elif _FILE_TAG in members:
                yield from _one(index, root, name)
        for sidecar in index.unmarked(_SIDECAR_TAG):
            yield Reported(sidecar, Why.ORPHAN_META, "no file uses it")


def _fill(index: NameIndex, root: Path) -> Iterator[Reported]:
    for name in files_in(root):
        if isinstance(name, Reported):
            yield name
        elif name.startswith("."):
            yield Reported(name, Why.HIDDEN_FILE)
        elif looks_unfinished(name):
            yield Reported(name, Why.TMP_LEFTOVER, "by its name it is not finished")
            if (whole := marks(name)) is not None:
                index.add(whole, _MARK_TAG, name)
        elif name.endswith(_SIDECAR):
            index.add(name[: -len(_SIDECAR)], _SIDECAR_TAG, name)
        else:
            index.add(name, _FILE_TAG, name)


def _one(index: NameIndex, root: Path, name: str) -> Iterator[Entry]:
    stamp = tried(stamp_of, root, name)
    if isinstance(stamp, Reported):
        yield stamp
        return
    sidecar: tuple[str, Json] | None = None
    for owner in dict.fromkeys((name, os.path.splitext(name)[0])):
        path = index.find(owner, _SIDECAR_TAG)
        if path is None:
            continue
        first_use = index.mark(path)
        found = tried(read_object, root, path)
        if not isinstance(found, Reported):
            sidecar = (path, found[0])
            break
        if first_use:
            yield found
    warnings: list[Warned] = []
    path, content = sidecar if sidecar else (name, {})
    yield LegacyItem(
        source=(name, path) if sidecar else (name,),
        stamp=stamp,
        state="pending",
        created_us=values.mtime_us(stamp),
        legacy_id=name,
        priority=values.priority(content, path, warnings),
        legacy=content,
        warnings=tuple(warnings),
    )


FORMAT = Format("plain", _looks_like, _read)
