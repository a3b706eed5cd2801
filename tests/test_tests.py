"""The tests' own page is true: what it names is there, and what is there it names."""

from __future__ import annotations

import re
from pathlib import Path

from subset import QUICK

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
