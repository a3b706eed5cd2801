"""The README's picture is made from a real session, and can be made anew."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]


def words(path):
    """Return the text of a picture, without its drawing."""
    ElementTree.parse(path)
    text = html.unescape(re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8")))
    return text.replace("\xa0", " ")


def test_the_picture_can_be_made_anew(tmp_path):
    """The script succeeds, and what it draws are the commands' own words, no errors among them."""
    target = tmp_path / "session.svg"
    command = [sys.executable, str(ROOT / "docs" / "session.py"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for picture in (target, ROOT / "docs" / "session.svg"):
        text = words(picture)
        assert "pending" in text
        assert "it is the next to be served" in text or "ahead of it" in text
        assert "server moves" in text
        assert "internal error" not in text
        assert "not found" not in text


def test_the_readme_shows_it():
    """The picture that is checked in is the one that the README names."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/session.svg" in readme
