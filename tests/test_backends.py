"""open_queue: a queue is opened by what it is called."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support import Pq, wait_until

from pq_cli import NoSpoolError, Queue, Spool, UsageError, open_queue
from pq_cli.core.urls import without_secrets
from pq_cli.postgres.address import Address


def test_a_directory_is_a_spool(tmp_path):
    """Text or path, made when missing unless it must be there; it is the same queue as `Spool`."""
    with pytest.raises(NoSpoolError):
        open_queue(tmp_path / "s", create=False)
    with open_queue(tmp_path / "s") as queue:
        assert isinstance(queue, Queue) and queue.enqueue(b"x").id == 1
    assert Spool(str(tmp_path / "s")).claim().id == 1


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user@host/db#reports", "redis://localhost", "s3://b",
        "postgresql:/host/db", "postgres:u@h/db", "postgresql:",
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h/d?sslmode=require#q", "postgresql://u@h/d?sslmode=require#q"),
        ("postgres://u:hunter2@h:1,i:2/d", "postgres://u@h:1,i:2/d#default"),
        ("postgresql://h1:1,h2:2/d?application_name=a:b#q@r", None),
        ("postgresql://[::1]:5432/d", "postgresql://[::1]:5432/d#default"),
        ("postgresql:///d?passfile=/p&user=u#q", "postgresql:///d?passfile=/p&user=u#q"),
        ("postgresql:///d?password=hunter2&a=b", "postgresql:///d?password=...&a=b#default"),
        ("postgresql:///d?sslpassword=hunter2#q", "postgresql:///d?sslpassword=...#q"),
        ("postgresql:///d?oauth_client_secret=hunter2", None),
        ("postgresql:///d?scram_client_key=hunter2&scram_server_key=hunter2", None),
        ("postgresql:///d?a=b&%70assword=hunter2#q", "postgresql:///d?a=b&%70assword=...#q"),
        ("postgresql://h:1/d?password=a@hunter2", None),
        ("postgresql://u:a/hunter2/?x@h/d", "postgresql://u@h/d#default"),
        ("postgresql://u:a#hunter2@h/d", None),
        ("postgresql://u:hun?password=ter2@h/d", None),
        ("postgresql://u:47?password=11@h/d", "postgresql://u@#default"),
        ("postgresql://u:hunter2", "postgresql://u..."),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown):
    """Every secret that libpq knows, its name encoded or not; in doubt more is left out."""
    said = Address(url).shown
    assert "hun" not in said and "ter2" not in said and without_secrets(said) == said
    if shown is not None:
        assert said == shown


def refused(pq, *words):
    """Return the status of a command that fails, and all that it says."""
    said = subprocess.run(pq.argv(*words), env=pq.env, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert said.returncode not in (0, 70) and "Traceback" not in said.stdout
    return said.returncode, said.stdout


def test_no_message_repeats_the_password_of_a_url(pq: Pq):
    """Not where it stands in a wrong place, is cut short, or is taken for something else."""
    for url in (
        f"postgresql://user:{'hunter2' * 9}@h/d",
        f"postgresql:///?sslpassword={'hun' * 20}",
    ):
        for words in (
            (url, "ls"), ("help", url), ("ls", url), ("ls", "--", url), (f"--{url}",),
            ("enqueue", url), ("enqueue", "-p", url), ("show", url), ("migrate", url),
            ("completion", url), ("next", "--lease", url), ("submit", "--", url),
        ):  # fmt: skip
            err = refused(pq, *words)[1]
            assert "postgres" in err and "hun" not in err, words


@pytest.mark.parametrize(
    "password", ["a@hunter2", "a@5:hunter2", "a/hunter2", "1/hunter2", "a#hunter2"]
)
def test_what_libpq_says_of_a_password_it_took_for_a_host_is_not_repeated(pq: Pq, password):
    """`@`, `/` and `#` in it must be encoded; who forgot that is told so, and it is not shown."""
    pytest.importorskip("psycopg")
    url = f"postgresql://u:{password}@127.0.0.1:1/d?connect_timeout=2"
    status, err = refused(pq, "next", "-s", url, "--lock-timeout", "0.1s")
    assert status in (2, 75) and "hunter" not in err and "postgresql://u@127" in err, err


def test_workers_tell_no_password(pq: Pq):
    """Neither `ps` nor `pq workers` nor `pq ls` shows that of a URL that is for their command."""
    pq("enqueue", stdin=b"x")
    url = "postgresql://u:hunter2@h/d"
    with pq.start("run", "--", "sh", "-c", "sleep 600", url) as worker:
        wait_until(lambda: "active" in pq("ls").text, "it is at work")
        (told,) = pq("workers", "--json").text.splitlines()
        assert json.loads(told)["command"][-1] == "postgresql://u@h/d"
        shown = Path(f"/proc/{worker.pid}/cmdline").read_bytes()
        assert b"postgresql://u@h/d" in shown and b"hunter" not in shown
        assert "hunter" not in pq("show", 1).text + pq("ls", "--json").text
