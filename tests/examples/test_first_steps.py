"""The sessions in docs/: who types what they print sees what they show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import HANG

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"first-steps.md": 12, "comparison.md": 5}
"""The pages, and how many commands there are at least: none at all would pass."""
END = "\036"


def session(page):
    """Return [command, what it prints] of a whole page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S)
    steps: list[list[str]] = []
    for line in "".join(blocks).splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append([line[2:].rstrip("\n"), ""])
        else:
            steps[-1][1] += line
    return steps


def same(text):
    """Return a text without what differs from run to run."""
    text = re.sub(r"(waited|took) [\d.]+s", r"\1 N", text)
    return re.sub(r"by \S+:\d+", "by HOST:PID", text).rstrip("\n")


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_true(tmp_path, page):
    """One shell runs a page from its first command to its last; a killed worker costs nothing."""
    steps = session(page)
    assert len(steps) >= PAGES[page]
    script = "".join(f"{command}\nprintf '{END}'\n" for command, _ in steps)
    mine = ("PQ_", "XDG_", "PYTHON")
    env = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    env["PATH"] = os.path.dirname(sys.executable) + os.pathsep + env["PATH"]
    done = subprocess.run(
        ["sh"], input=script, cwd=tmp_path, env=env, timeout=HANG, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed = done.stdout.split(END)[:-1]
    assert len(printed) == len(steps), done.stdout
    for (command, wanted), got in zip(steps, printed, strict=True):
        assert same(got) == same(wanted), command


def test_it_ends_with_a_killed_worker():
    """The page's point is there, after in and out: `kill -9`, and the item is served again."""
    commands = [command for command, _ in session("first-steps.md")]
    killed = next(n for n, command in enumerate(commands) if command.startswith("kill -9"))
    assert any(command.startswith("pq next --wait") for command in commands[killed:])
