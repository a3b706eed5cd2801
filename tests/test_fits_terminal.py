"""Whatever pq draws fits 40 and 80 columns, line by line, and nothing of it is cut off."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from rich.cells import cell_len
from support import Pq

from pq_cli import Spool
from pq_cli.commands.table import COMMANDS
from pq_cli.render.fold import fold

NAME = "a-report-with-a-name-that-is-longer-than-forty-columns.xml"
WIDE = "日本語のレポート" * 6 + ".xml"
ERROR = "the server said: HTTP 500 for /a/very/long/path/without/any/space/in/it/at/all サーバー"


@pytest.fixture
def full(pq: Pq, tmp_path: Path) -> Pq:
    """A spool with long and wide names and errors, old items, damage, removed ones, a claim."""
    past = Spool(pq.spool, clock=lambda: time.time() - 5000)
    past.enqueue(b"", priority=7, name=WIDE, metadata={"note": "no-spaces" * 20})
    with pq.api() as spool:
        for name in (NAME, WIDE, NAME):
            spool.enqueue(b"", priority=1, name=name)
            claimed = spool.claim(bound=False)
            assert claimed is not None
            if claimed.id != 4:
                spool.fail(claimed, ERROR, dead=claimed.id == 2)
        torn = spool.enqueue(b"", name=NAME)
        for _ in range(3):
            spool.remove(spool.enqueue(b""))
        spool.hold(spool.enqueue(b"", key="k" * 60))
        spool.pause("moving to another house, and taking very much time to do so")
    with open(torn.path or "", "ab") as payload:
        payload.write(b"y")
    for folder in ("new", "cur", "tmp"):
        (tmp_path / "maildir" / folder).mkdir(parents=True)
    (tmp_path / "maildir" / "new" / f"1700000000.M1P1.{NAME}").write_text("Subject: x\n")
    return pq


def lines_of(shown: str) -> list[str]:
    """Return the lines without colours, and without the messages: those are one line each."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
    return [line.rpartition("\r")[2] for line in plain if not line.startswith("pq: ")]


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize(
    "command",
    [
        "ls", "stats", "age", "doctor", "check", "undo --list", "log", "show 1", "show 2",
        "show 3", "explain 1", "explain 2", "explain 3", "explain 4", "explain 5", "explain 9",
        "migrate --dry-run -s SPOOL MAILDIR",
    ],
)  # fmt: skip
def test_every_sheet_fits(full: Pq, columns: int, command: str) -> None:
    """No line is wider than the terminal; what is told is told to its end."""
    other, maildir = full.folder / "other", full.folder / "maildir"
    words = command.replace("SPOOL", str(other)).replace("MAILDIR", str(maildir))
    status = {"doctor": 1, "check": 5}.get(command, 0)
    lines = lines_of(full.on_terminal(*words.split(), size=(60, columns), expect=status))
    assert lines
    assert [line for line in lines if cell_len(line) > columns] == []
    told = "".join("".join(lines).split())
    assert "".join(ERROR.split()) in told or command not in {"show 2", "explain 2", "log"}
    assert WIDE in told or command not in {"show 1", "show 3", "explain 1", "log"}
    assert "`pqresume`endsit" in told or command not in {"ls", "stats"}
    assert NAME in told or command.split()[0] not in {"migrate", "log"}


@pytest.mark.parametrize("columns", [40, 80])
def test_every_help_fits(pq: Pq, columns: int) -> None:
    """Help of pq and of each command has no line that is wider than the terminal."""
    for command in ([], ["help"], *([name, "--help"] for name in COMMANDS)):
        lines = lines_of(pq.on_terminal(*command, size=(24, columns)))
        assert len(lines) > 5
        assert [line for line in lines if cell_len(line) > columns] == [], command


@pytest.mark.parametrize("width", [20, 33, 80])
@pytest.mark.parametrize("text", [ERROR, WIDE, "", "a", "two  spaces stay " * 5, NAME, "x" * 200])
def test_folded_text_is_the_text(text: str, width: int) -> None:
    """Lines are as wide as allowed and no wider, and hold every letter in its order."""
    lines = fold(text, width, "- ", "    ")
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(f"- {text}".split())
    assert lines[0].startswith("- ")
    assert all(line.startswith("    ") for line in lines[1:])
    assert fold("two  spaces", width) == ["two  spaces"]
