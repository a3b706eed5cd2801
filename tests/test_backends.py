"""open_queue: a queue is opened by what it is called."""

from __future__ import annotations

import pytest
from support import Pq

from pq_cli import NoSpoolError, Queue, Spool, UsageError, open_queue


def test_a_directory_is_a_spool(tmp_path):
    """Text or path, made when missing unless it must be there; it is the same queue as `Spool`."""
    with pytest.raises(NoSpoolError):
        open_queue(tmp_path / "s", create=False)
    with open_queue(tmp_path / "s") as queue:
        assert isinstance(queue, Queue) and queue.enqueue(b"x").id == 1
    assert Spool(str(tmp_path / "s")).claim().id == 1


@pytest.mark.parametrize("url", ["mysql://user@host/db#reports", "redis://localhost", "s3://b"])
def test_a_url_is_no_directory(tmp_path, monkeypatch, url):
    """It is refused, and no folder of that name is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="directory"):
        open_queue(url)
    assert list(tmp_path.iterdir()) == []


def test_commands_refuse_a_url(pq: Pq):
    """Status 2, one line, nothing made; a secret in the URL is not repeated."""
    for command in (("enqueue",), ("ls",), ("doctor",), ("init",), ("run", "--", "true")):
        url = ("-s", "mysql://u:secret@h/d")
        said = pq(command[0], *url, *command[1:], stdin=b"x", cwd=pq.folder, expect=2)
        assert "directory" in said.err and "secret" not in said.err + said.text
    assert list(pq.folder.iterdir()) == []


@pytest.mark.parametrize(
    "command", [("check", "--repair"), ("check", "--restore", "x"), ("next", "--path")]
)
def test_what_is_about_a_folder_refuses_a_url_in_one_sentence(pq: Pq, command):
    """Status 2, and it is told which command it is that has nothing to do there."""
    said = pq(*command, "-s", "postgresql://u:secret@h/d", cwd=pq.folder, expect=2)
    assert said.err.startswith(f"pq: pq {command[0]}") and "in a directory" in said.err
    assert "secret" not in said.err and len(said.err.splitlines()) == 1


@pytest.mark.parametrize("name", [None, 5, b"spool", ["s"]])
def test_a_name_is_text_or_a_path(name):
    """Anything else is a UsageError that says so."""
    with pytest.raises(UsageError, match="name"):
        open_queue(name)
