"""docs/architecture.md is the map of this house, not of another one."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pq_cli

PACKAGE = Path(pq_cli.__file__).parent
PAGE = (PACKAGE.parent / "docs" / "architecture.md").read_text()
TABLE = [line for line in PAGE.splitlines() if line.startswith("| `")]


def test_every_room_is_on_the_map():
    """The folders of the package and those that the page names are the same."""
    rooms = {
        str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("__init__.py")
    } - {"."}  # fmt: skip
    named = {name for line in TABLE for name in re.findall(r"`([a-z_/]+)/`", line.split("|")[1])}
    assert named == rooms


def test_every_file_beside_the_rooms_is_on_the_map():
    """So are the modules that have no room."""
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    named = {name for line in TABLE for name in re.findall(r"`([a-z_]+\.py)`", line.split("|")[1])}
    assert named == modules


def test_what_the_page_names_is_there():
    """Each file that is named anywhere on the page exists."""
    root = PACKAGE.parent
    for name in set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.(?:py|md))`", PAGE)):
        places = [root / name, PACKAGE / name, PACKAGE / "spool" / name]
        inner = list(PACKAGE.rglob(name.rpartition("/")[2]))
        assert any(place.is_file() for place in places) or inner, name


def test_rooms_can_be_taken_in_at_a_glance():
    """No folder holds more than 16 files; `commands` holds one a command."""
    rooms = Counter(path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    assert {room for room, n in rooms.items() if n > 16} == {"commands"}


def test_files_and_functions_are_short():
    """No file has more than 400 lines, no function more than 50 below its docstring."""
    texts = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    assert [p.name for p, text in texts.items() if text.count("\n") > 400] == []
    functions = [
        node
        for text in texts.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [f.name for f in functions if f.body[-1].end_lineno - f.body[0].end_lineno > 50]
    assert long == []


BEHIND_THE_SEAM = {"Arrivals", "Attendance", "Followers", "Received", "Staged"}
"""What each backend has of its own, under the name that `queue.store` or its neighbour gives it."""


def test_a_class_name_means_one_thing():
    """No two classes are called the same, but what is the same behind the seam of the backends."""
    names = Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, n in names.items() if n > 1} == BEHIND_THE_SEAM
