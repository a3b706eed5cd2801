"""The tests' own page is true: what it names is there, and what is there it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from subset import QUICK

import pq_cli

TESTS = Path(__file__).parent
PAGE = (TESTS / "README.md").read_text(encoding="utf-8")


def named() -> set[str]:
    """Return what the page names in backticks that looks like a file or a folder of tests."""
    words = set(re.findall(r"`([\w/*]+(?:\.py|/))`", PAGE))
    return words | set(re.findall(r"\]\((.+?)\)", PAGE))


def test_each_file_that_the_page_names_exists() -> None:
    """tests/README.md names files, patterns and folders; all of them are there."""
    assert len(named()) > 20
    assert [name for name in sorted(named()) if not list(TESTS.glob(name))] == []


def test_each_folder_is_on_the_page() -> None:
    """A new folder of tests says on the page what it promises."""
    folders = {p.name + "/" for p in TESTS.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders - named() == set()


def test_quick_takes_in_what_is_there() -> None:
    """The list of quick modules names modules, the door among them."""
    assert [name for name in QUICK if not (TESTS / name).is_file()] == []
    assert "test_contract.py" in QUICK


def private(name: str) -> bool:
    """Tell whether a name is a room's own."""
    return name.startswith("_") and not name.startswith("__")


def private_names(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that a file gives to something: functions, classes, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id


def reaches(text: str, rooms: set[str]) -> list[str]:
    """Return what a test reaches into: names of `rooms`, as attributes, imports or in a text."""
    tree = ast.parse(text)
    foreign = rooms - set(private_names(tree))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.append(node.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pq_cli"):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            found += [str(text).rpartition(".")[2] for text in texts]
    return sorted(foreign & set(found))


def test_no_test_knows_what_is_private_to_a_room() -> None:
    """Tests use what is public: so a room can be refurnished without touching a test."""
    package = Path(pq_cli.__file__).parent
    trees = [ast.parse(path.read_text("utf-8")) for path in package.rglob("*.py")]
    rooms = {name for tree in trees for name in private_names(tree) if private(name)}
    assert "_store" in rooms
    assert reaches("import pq_cli\npq_cli.Spool('q')._store.files", rooms) == ["_store"]
    assert reaches("patch.setattr('pq_cli.spool.Spool._store', 1)", rooms) == ["_store"]
    found = {
        path.relative_to(TESTS).as_posix(): names
        for path in TESTS.rglob("*.py")
        if (names := reaches(path.read_text("utf-8"), rooms))
    }
    assert found == {}
