"""Files that stay in the drop box: said once, whoever asks, and in nobody's way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Pq

from pq_cli import Spool


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _folder(path: Path) -> None:
    path.mkdir()


def _bad_sidecar(path: Path) -> None:
    path.with_name(path.name + ".meta.json").write_text("{")
    path.write_text("x")


KINDS: dict[str, Callable[[Path], None]] = {
    "link": _link, "folder": _folder, "sidecar": _bad_sidecar,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_taken_is_said_once(pq: Pq, kind: str) -> None:
    """Cron runs `pq run` every five minutes: one mail, and another only when it is another file."""
    pq("init")
    KINDS[kind](pq.spool / "new" / "bad")
    said = pq("run", "--", "true").err
    assert "new/bad is left there" in said and "; `man pq-drop` tells" in said
    for command in (("run", "--", "true"), ("next", "--ack")):
        assert "new/bad" not in pq(*command, expect=int("next" in command)).err
    pq("check")
    os.rename(pq.spool / "new" / "bad", pq.spool / "new" / "worse")
    if kind == "sidecar":
        os.rename(pq.spool / "new" / "bad.meta.json", pq.spool / "new" / "worse.meta.json")
    assert "new/worse is left there" in pq("run", "--", "true").err
    _folder(pq.spool / "new" / "more")
    said = pq("run", "--", "true").err
    assert "new/more is left there" in said and "worse" not in said


def test_a_file_that_may_not_be_read_is_said_once(pq: Pq, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each of three processes in turn, only the first; and again when its mode was changed."""
    pq("init")
    file = pq.spool / "new" / "secret"
    file.write_text("x")
    real = os.open

    def refuse(path: str, *args: int, **options: int) -> int:
        if str(path).endswith("new/secret"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **options)

    monkeypatch.setattr("os.open", refuse)
    said: list[str] = []
    for _ in range(3):
        with Spool(pq.spool, report=lambda error: said.append(str(error))) as queue:
            assert queue.claim() is None and queue.claim() is None
    assert said == ["new/secret is left there: Permission denied"]
    file.chmod(0o400)
    with Spool(pq.spool, report=lambda error: said.append(str(error))) as queue:
        assert queue.claim() is None
    assert len(said) == 2


def test_a_key_that_others_take_again_and_again_is_said_once(pq: Pq) -> None:
    """A file waits for its key, item after item has it: no word beyond the first."""
    pq("init")
    (pq.spool / "new" / "a.meta.json").write_text('{"key": "k"}')
    (pq.spool / "new" / "a").write_bytes(b"a")
    said = []
    for _ in range(3):
        pq("enqueue", "--key", "k", stdin=b"x")
        said.append("new/a is left" in pq("next", "--ack").err)
    assert said == [True, False, False]


def test_files_that_stay_are_in_nobodys_way(pq: Pq, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many older files cannot be taken, those behind them are."""
    monkeypatch.setattr("pq_cli.spool.doors.dropbox.MOST", 3)
    pq("init")
    for number in range(5):
        _bad_sidecar(pq.spool / "new" / f"bad{number}")
    (pq.spool / "new" / "good").write_bytes(b"good")
    item = Spool(pq.spool).claim()
    assert item is not None and item.name == "good"
