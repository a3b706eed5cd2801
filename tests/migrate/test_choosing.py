"""Choosing a reader by looking, and refusing to guess."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Pq, tree

from pq_cli.migrate.detect import FORMATS, choose, spool_format
from pq_cli.migrate.model import MigrateError
from pq_cli.migrate.readers import async_pending, pywats_persistent, simple_queue

Fill = Callable[[dict[str, str | bytes]], Path]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.pending.wsjf"], {"pywats_persistent", "simple_queue", "plain"}),
        (["a.failed.wsjf", "a.error.wsjf"], {"pywats_persistent", "simple_queue"}),
        (["a.error", "b.completed"], {"async_pending", "plain"}),
        (["a.queued", "b.json", "c.json"], {"async_pending", "plain"}),
        (["69f88a40/69f88a57011d67", "new/1.x", "cur/2.x", "tmp/3.x"], {"dirq", "maildir"}),
    ],
)
def test_ambiguous_folders_are_refused(fill: Fill, files: list[str], names: set[str]) -> None:
    """A folder that could be two things is not guessed at: the message says what to pass."""
    root = fill(dict.fromkeys(files, "{}"))
    with pytest.raises(MigrateError, match="more than one thing") as caught:
        choose(root)
    assert set(re.findall(r"--from (\w+)", str(caught.value))) == names
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("files", [[], ["sub/a.json"], [".hidden"]])
def test_unknown_folders_are_refused(fill: Fill, files: list[str]) -> None:
    """A folder in which nothing is recognised is refused, with all names that can be passed."""
    root = fill(dict.fromkeys(files, "{}"))
    with pytest.raises(MigrateError, match="--from NAME") as caught:
        choose(root)
    assert all(name in str(caught.value) for name in FORMATS)
    assert ("it is empty" in str(caught.value)) is (not files)


def test_a_stray_envelope_does_not_confuse(fill: Fill) -> None:
    """One damaged envelope that has another format's key does not make the folder ambiguous."""
    root = fill({"pending/a.json": '{"report_data": 1}', "pending/b.json": '{"data": 1}'})
    assert choose(root).name == "report_queue"


def test_endings_are_unmistakable() -> None:
    """No reader has an ending that is the end of another of its endings."""
    for module in (pywats_persistent, simple_queue, async_pending):
        for one in module.ENDINGS:
            assert not [other for other in module.ENDINGS if other != one and other.endswith(one)]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_from_overrides_looking(fill: Fill, name: str, read: Callable[..., Any]) -> None:
    """`--from NAME` is obeyed, with - or _, and every reader takes an empty folder."""
    root = fill({})
    assert choose(root, name.replace("_", "-")).name == name
    assert read(root, name).items == []


def test_unknown_name_is_refused(fill: Fill) -> None:
    """A NAME that is no reader is refused with those that are."""
    with pytest.raises(MigrateError, match=r"no reader .* maildir"):
        choose(fill({}), "mbox")


def test_missing_source_is_refused(tmp_path: Path) -> None:
    """A source that is missing or a file is refused by its name."""
    (tmp_path / "file").write_text("")
    for name in ("file", "missing"):
        with pytest.raises(MigrateError, match=f"{name}' is not a folder"):
            choose(tmp_path / name)


@pytest.mark.parametrize("name", [None, "plain"])
def test_a_pq_spool_is_recognised(fill: Fill, name: str | None) -> None:
    """A pq spool is never taken for a queue of payloads, not even when told so."""
    root = fill({"state.json": '{"format": 1, "last_id": 2}', "a.json": "{}"})
    with pytest.raises(MigrateError, match=r"is a pq spool itself \(format 1\)"):
        choose(root, name)


@pytest.mark.parametrize("text", ["", "[]", '{"format": true}', '{"format": "1"}', "{}"])
def test_another_state_json_is_no_spool(fill: Fill, text: str) -> None:
    """A `state.json` of some other program is an ordinary file."""
    root = fill({"state.json": text})
    assert spool_format(root) is None
    assert choose(root).name == "plain"


def test_nothing_is_read_through_a_link(fill: Fill, tmp_path: Path) -> None:
    """A linked `pending/` is not looked into when choosing."""
    root = fill({"a.txt": "x"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.json").write_text('{"report_data": {}}')
    (root / "pending").symlink_to(elsewhere)
    assert choose(root).name == "plain"


def test_a_pq_spool_as_source_stays_as_it_is(pq: Pq) -> None:
    """`pq migrate SPOOL` says that there is nothing to do, and does nothing."""
    pq.fill(b"x")
    before = tree(pq.spool)
    assert "nothing to do" in pq("migrate", pq.spool).err
    assert tree(pq.spool) == before
