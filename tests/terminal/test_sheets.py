"""show, log, age, doctor, check and undo on a terminal: columns that line up; in a pipe tabs."""

from __future__ import annotations

import pytest

from pq_cli import Spool

ERROR = "the server at the other end of the line said that it could not take this just now"


@pytest.fixture
def spool(tmp_path):
    """A spool with a dead letter that has a history, and an old item."""
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"", name="report.xml", priority=1)
    claimed = spool.claim()
    assert claimed is not None
    spool.fail(claimed, ERROR, dead=True)
    Spool(tmp_path / "s", clock=lambda: 1.0e9).enqueue(b"", priority=7)
    return spool


def test_show_wraps_and_tells_the_history_in_words(terminal, spool):
    """Fields and values stand in two columns at any width; no JSON is left for people to read."""
    lines = terminal(60).run("pq show 1")
    edge = lines[0].index("1")
    assert lines[0].split() == ["id", "1"]
    assert all(line[edge - 1] == " " and line[edge] != " " for line in lines)
    text = " ".join(line.strip() for line in lines)
    assert f"last_error {ERROR}" in " ".join(text.split())
    assert "history 1.1 failed at 20" in " ".join(text.split())
    assert "{" not in text


def test_the_log_shows_the_time_of_the_wall_in_columns(terminal, spool):
    """Time, event, item and priority line up below their titles; other days have their date."""
    lines = terminal(80).run("pq log")
    assert lines[0].split() == ["TIME", "EVENT", "ITEM", "PRI"]
    columns = {line[lines[0].index("EVENT") :].split()[0] for line in lines[1:] if line[0] != " "}
    assert {"enqueued", "claimed", "failed"} <= columns
    assert any(line.startswith("2001-09-09 ") for line in lines)
    assert "for good" in " ".join(" ".join(lines).split())


def test_age_says_what_rose_to_what(terminal, spool):
    """Aged lanes show as in `ls`; an empty answer is said to be one."""
    screen = terminal(80)
    assert [line.split() for line in screen.run("pq age")] == [
        ["PRI", "COUNT", "OLDEST"], ["7→3", "1", "item", "2"],
    ]  # fmt: skip
    assert screen.run("pq rm 2; pq age") == ["pq: nothing has aged"]


def test_doctor_lines_up_and_names_what_is_wrong(terminal, spool):
    """Facts stand in two columns; what is wrong stands below its fact."""
    spool.pause("moving house")
    lines = terminal(80).run("pq doctor")
    [at] = [number for number, line in enumerate(lines) if line.startswith("paused")]
    assert lines[at].split(maxsplit=1) == ["paused", "moving house"]
    assert lines[at + 1].strip() == "WRONG: `pq resume` ends it"
    assert lines[at + 1].index("WRONG") == lines[at].index("moving")


def test_check_lines_up_and_wraps_what_it_found(terminal, spool):
    """Severity, kind and id stand in columns, and what is wrong beside them at any width."""
    spool.enqueue(b"x")
    damage(spool)
    lines = terminal(60).run("pq check")
    assert lines[0].split()[:3] == ["damage", "torn", "3"]
    edge = lines[0].index("pending/")
    below = lines[1 : next(n for n, line in enumerate(lines) if line.startswith("pq: "))]
    assert below and all(line[:edge].strip() == "" and line[edge] != " " for line in below)
    assert "has 2 bytes, should have 1" in " ".join(" ".join(lines).split())


def damage(spool):
    """Make the payload of item 3 longer than its meta says."""
    with open(spool.get(3).path, "ab") as payload:
        payload.write(b"y")


def test_undo_list_shows_each_removal_with_its_items(terminal, spool):
    """A removal is one line, ids in a row are one range; where there is none it says so."""
    screen = terminal(80)
    assert screen.run("pq undo --list") == [
        "pq: nothing to undo: nothing was removed, or it is gone for good"
    ]
    for _ in range(4):
        spool.enqueue(b"")
    screen.run("pq rm 1; pq rm 3 4 6 >/dev/null")
    lines = screen.run("pq undo --list")
    assert lines[0].split() == ["KEPT", "UNTIL", "COUNT", "ITEMS"]
    assert [line.split(maxsplit=3)[2:] for line in lines[1:]] == [["3", "3-4, 6"], ["1", "1"]]


@pytest.mark.parametrize("command", ["show 1", "log", "age", "doctor", "check", "undo --list"])
def test_in_a_pipe_there_are_tabs(terminal, spool, command):
    """What programs read has no titles, no padding and no colour."""
    spool.enqueue(b"x")
    damage(spool)
    spool.remove(spool.enqueue(b""))
    screen = terminal(250)
    assert screen.run(f"pq {command} 2>&- | cat -A | grep -v '\\^I'; echo END") == ["END"]
    assert screen.run(f"pq {command} 2>&- | grep -c .") != ["0"]
