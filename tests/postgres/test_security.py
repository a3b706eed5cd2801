"""Passwords, TLS, and what others wrote: nothing of it gets out, or drives a terminal."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress

import psycopg
import pytest
from database import Server, need_postgres, server
from support import need_tool

from pq_cli import PostgresQueue
from pq_cli.cli import main
from pq_cli.commands.table import COMMANDS

SECRET = "hunter2"
RULES = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
LINES = [
    "init", "enqueue --key k", "enqueue --lines", "enqueue --jsonl", "enqueue FILE", "next",
    "next --claim", "next --json", "next --ack", "next -- true", "enqueue FILE", "run --log -- cat",
    "enqueue FILE", "run --json -- true", "run --dry-run -- true", "submit -- true", "enqueue FILE",
    "ls", "ls --json", "ls --all", "show 1", "show 1 --json", "show 1 --log", "cat 6", "explain 6",
    "stats", "stats --json", "stats --prometheus", "log", "log --json", "check", "check --json",
    "check --repair", "check --restore x", "doctor", "export", "export --tar",
    "export --move -- cat", "hold 6", "retry 6", "set 6 -p 3", "cancel 6", "retry 6", "rm 6",
    "undo", "undo --list", "renew 2.1", "done 2.1", "fail 2.1", "release 2.1",
    "purge --state failed", "pause", "next", "resume", "age", "wait 1 --timeout 0", "wait 999",
    "import", "migrate SRC", "migrate --dry-run SRC", "config", "config --json",
    "config set lease=9m", "config set lease=no", "config edit", "init --drop-mode 1730",
    "selftest /nowhere", "show 99", "show x", "ls --state nothing", "nothing", "cat /nowhere/1",
]  # fmt: skip
"""Command lines, tried in this order; a command that is not among them is tried without options."""


@pytest.fixture(scope="module")
def guarded():
    """A server with TLS and passwords: {"server", "ca" and "other" (files), "url" of a queue}."""
    need_postgres()
    openssl = need_tool("openssl")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = Server("ssl=on", "listen_addresses=127.0.0.1", f"port={port}")
    own.port = port
    try:
        own.make()
        for name, host in (("server", "localhost"), ("other", "elsewhere")):
            made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
                    "-keyout", f"{name}.key", "-out", f"{name}.crt"]  # fmt: skip
            subprocess.run(made, check=True, capture_output=True, cwd=own.data)
            for end in ("key", "crt"):
                path = own.data / f"{name}.{end}"
                path.chmod(0o600 if end == "key" else 0o644)
                os.chown(path, own.data.stat().st_uid, own.data.stat().st_gid)
        (own.data / "pg_hba.conf").write_text(RULES)
        own.data.parent.chmod(0o755)
        own.data.chmod(0o750)
        own.start()
        from pq_cli.postgres.schema import set_up

        set_up(own.conninfo)
        own.sql(f"create role robot superuser login password '{SECRET}'")
        yield own
    finally:
        own.remove()


def address(own, password=SECRET, more="sslmode=require", queue="q"):
    """Return a URL by TCP, with a password in it."""
    return f"postgresql://robot:{password}@localhost:{own.port}/postgres?{more}#{queue}"


def said(pq, words):
    """Run a command in a forked child; return its status, and all that it wrote."""
    with tempfile.TemporaryFile() as out:
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                os.environ.clear()
                os.environ.update(pq.env)
                os.chdir(pq.folder)
                os.dup2(os.open("FILE", os.O_RDONLY), 0)
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
                main(words)
            except SystemExit as end:
                sys.stdout.flush()
                status = end.code or 0
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        return status, out.read().decode(errors="replace")


@pytest.fixture
def lines(pq, tmp_path):
    """The command lines, as words; each command of pq is among them."""
    (tmp_path / "FILE").write_bytes(b'{"payload": "x"}\n')
    (tmp_path / "SRC").mkdir()
    (tmp_path / "SRC" / "data.txt").write_bytes(b"x")
    pq.env["EDITOR"] = "true"
    known = {line.split()[0] for line in LINES}
    return [line.split() for line in LINES] + [[name] for name in COMMANDS if name not in known]


def test_no_command_shows_a_password(guarded, pq, lines):
    """Whatever is done with a URL that has one, and fails or not: it is nowhere in what is said.

    Nor in what is kept in the database, its log among it.
    """
    statuses = set()
    for way in ("address", "option"):
        url = address(guarded, SECRET.replace("2", "%32"))
        if way == "option":
            url = url.replace(f":{SECRET[:-1]}%32@", "@").replace("?", f"?password={SECRET}&")
        pq.env["PQ_SPOOL"] = url
        for words in lines if way == "address" else lines[:4]:
            status, text = said(pq, words)
            assert status not in (70, 99) and "Traceback" not in text, (words, text)
            assert SECRET[:-1] not in text, (words, text)
            statuses.add(status)
    assert {0, 1, 2, 3, 75} <= statuses
    tables = guarded.sql("select relname from pg_class where relkind = 'r'"
                         " and relnamespace = 'pq'::regnamespace")  # fmt: skip
    for (table,) in tables:
        kept = guarded.sql(f"select count(*) from pq.{table} as line where line::text like %s",
                           f"%{SECRET[:-1]}%")  # fmt: skip
        assert kept == [(0,)], table
    assert SECRET not in guarded.log()


def test_no_command_shows_a_password_that_is_refused(guarded, pq, lines):
    """A wrong password, an unknown role: 77 and one line, whatever the command; none is shown."""
    for url in (address(guarded, "swordfish"), address(guarded, "swordfish").replace("robot", "x")):
        pq.env["PQ_SPOOL"] = url
        statuses = set()
        for words in lines[::5]:
            status, text = said(pq, words)
            statuses.add(status)
            assert "swordfish" not in text and "Traceback" not in text, (words, text)
            if status not in (0, 2) and words != ["doctor"]:  # what asks no server, or is wrong
                assert status == 77 and text.count("\n") == 1, (words, status, text)
        assert 77 in statuses


def test_tls_is_as_the_url_says(guarded, pq):
    """`require` is encrypted, `verify-full` trusts one authority, one name; `disable` fails here.

    What is refused is refused at once and in one line, with 77; a missing file is 78.
    """
    (pq.folder / "FILE").write_bytes(b"x")
    folder = guarded.data
    for status, more in (
        (0, "sslmode=require"),
        (0, f"sslmode=verify-full&sslrootcert={folder}/server.crt"),
        (77, f"sslmode=verify-full&sslrootcert={folder}/other.crt"),
        (78, f"sslmode=verify-full&sslrootcert={folder}/missing.crt"),
        (77, "sslmode=disable"),
    ):
        found, text = said(pq, ["enqueue", "-s", address(guarded, more=more, queue="tls")])
        assert found == status and text.count("\n") == 1 and SECRET not in text, (more, text)
    by_address = address(guarded, more=f"sslmode=verify-full&sslrootcert={folder}/server.crt")
    found, text = said(pq, ["enqueue", "-s", by_address.replace("localhost", "127.0.0.1")])
    assert found == 77 and "127.0.0.1" in text
    found, text = said(pq, ["ls", "-s", address(guarded, queue="tls")])
    assert [line[:2] for line in text.splitlines()] == ["1\t", "2\t"]
    with psycopg.connect(address(guarded).partition("#")[0]) as plain:
        row = plain.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
        assert row == (True,)


DRIVES = ("\x1b[2J", "\x1b]", "\x07", "\x9b31", "\x7f", "\u202e", "\x08")


@pytest.fixture
def foreign():
    """The URL of a database on a server of which nobody knows the language."""

    def pass_on(come, go):
        with suppress(OSError):
            while said := come.recv(65536):
                before, fatal, words = said.partition(b"SFATAL\0")
                go.sendall(before + fatal + re.sub(rb"[a-z]", b"x", words))

    def plug():
        with suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.socket(socket.AF_UNIX)
                far.connect(f"{server().folder}/.s.PGSQL.{server().port}")
                for way in ((near, far), (far, near)):
                    threading.Thread(target=pass_on, args=way, daemon=True).start()

    need_postgres()
    server().sql("create role asleep; create role outside login")
    server().sql("revoke connect on database postgres from public")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=plug, daemon=True).start()
        yield f"postgresql://127.0.0.1:{listener.getsockname()[1]}/postgres?user=pq&sslmode=disable"
        listener.shutdown(socket.SHUT_RDWR)  # who waits at it wakes up
    server().sql("grant connect on database postgres to public; drop role asleep, outside")


def test_who_is_not_let_in_is_told_apart_in_any_language(foreign, pq):
    """An unknown role, one that may not log in or connect: 77; no database: 78; not 75, later."""
    for status, there, instead in (
        (77, "user=pq", "user=nobody"), (77, "user=pq", "user=asleep"),
        (77, "user=pq", "user=outside"), (78, "/postgres?", "/nowhere?"),
    ):  # fmt: skip
        bad = foreign.replace(there, instead)
        said = pq("next", "-s", bad, "--lock-timeout", "0", expect=status).err
        assert "FATAL: " in said and "exist" not in said
        assert "LOCATION" not in said and said.count("\n") == 1


def test_nothing_from_a_database_drives_the_terminal(pq):
    """A name, an error, metadata and a payload with sequences in them: shown, escaped."""
    evil = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u202e\x08\r\nname"
    pq("enqueue", "--name", evil, "-m", f"k={evil}", stdin=evil.encode())
    pq("enqueue", "--name", evil, stdin=b"x")
    pq("fail", "--dead", "--error", evil, pq("next", "--claim").text.strip())
    name = pq.env["PQ_SPOOL"].partition("#")[2]
    mine = "queue = (select number from pq.queue where name = %s)"
    server().sql(f"update pq.item set limited_by = %s where {mine} and id = 2", evil, name)
    for args in (("ls", "--all"), ("show", 1), ("log",), ("stats",), ("export",),
                 ("stats", "--prometheus")):  # fmt: skip
        shown = pq.on_terminal(*args)
        assert "owned" in shown
        assert all(sign not in shown for sign in DRIVES), args
    assert "\x1b]" not in pq.on_terminal("cat", 1, expect=2)
    assert "\x1b" not in pq.on_terminal("explain", 2, expect=74)
    server().sql(
        f"update pq.item set state = %s, limited_by = '' where {mine} and id = 2", evil, name
    )
    for args in (("show", 2), ("explain", 2)):
        assert "its row" in pq(*args, expect=74).err
    assert "meta" in pq("check", expect=5).text


@pytest.mark.parametrize("nonsense", ["\x1b[2J{", "[1]", '{"event": 5}'])
def test_what_others_wrote_into_rows_harms_nothing_beside_them(pq, nonsense):
    """Events and what workers tell of themselves: what makes no sense there is passed over."""
    pq("enqueue", stdin=b"x")
    number = f"(select number from pq.queue where name = '{pq.env['PQ_SPOOL'].partition('#')[2]}')"
    server().sql(f"insert into pq.event (queue, said) values ({number}, %s)", nonsense)
    server().sql(
        f"insert into pq.worker (queue, number, host, pid, command, duty) values"
        f" ({number}, -{10 + len(nonsense)}, 'h', 1, %s, %s)", nonsense, nonsense,
    )  # fmt: skip
    assert [line.split("\t")[1] for line in pq("log").text.splitlines()] == ["enqueued"]
    assert "1 item" in pq("stats").text
    pq("workers", expect=1)  # it is gone, and held nothing
    server().sql(f"update pq.queue set paused = %s where number = {number}", nonsense)
    assert "makes no sense" in pq("next", expect=75).err and pq("ls").text
    pq("resume")
    assert pq("next").out == b"x"


@pytest.mark.parametrize("wrong", ["NaN", "infinity"])
def test_times_in_rows_that_no_calendar_has_are_told(pq, wrong):
    """What cannot be written down is damage: `check` names it, and no look is an internal error."""
    pq("enqueue", "--lines", stdin=b"a\nb\nc\nd\ne\n")
    pq("rm", "4")
    name = pq.env["PQ_SPOOL"].partition("#")[2]
    number = server().sql("select number from pq.queue where name = %s", name)[0][0]
    where = f"where queue = {number} and id ="
    server().sql(f"update pq.item set created_at = '{wrong}' {where} 1")
    server().sql(f"update pq.item set not_before = '{wrong}', state = 'delayed' {where} 2")
    server().sql(f"update pq.item set lease_until = '{wrong}', state = 'active' {where} 3")
    server().sql(f"update pq.item set kept_until = '{wrong}' {where} 4")
    server().sql(f"update pq.item set id = -5 {where} 5")
    found = pq("check", expect=5).text
    assert [line.split("\t")[1:3] for line in found.splitlines()] == [
        ["meta", str(n)] for n in (-5, 1, 2, 3, 4)
    ]
    for looks in ("stats", "stats --json", "explain 1", "ls --json", "show 1", "doctor"):
        pq(*looks.split())
    assert "out of range" in pq("show", "4", expect=74).err
    assert "item -5" in pq("export").err
    with PostgresQueue(pq.env["PQ_SPOOL"]) as queue:
        queue.claim()
        server().sql(f"update pq.worker set since = '{wrong}' where queue = {number}")
        assert "1970-01-01" in pq("workers").text


@pytest.mark.parametrize("wrong", ["[1]", '{"a": null}'])
def test_limits_in_a_row_that_make_no_sense_are_told(pq, wrong):
    """What counts limits says what is wrong there, and what to type; then all is well again."""
    pq("enqueue", "--limit", "a", stdin=b"x")
    name = pq.env["PQ_SPOOL"].partition("#")[2]
    server().sql("update pq.queue set limits = %s where name = %s", wrong, name)
    for looks in ("stats", "stats --json", "stats --prometheus", "explain 1"):
        assert "pq config set limits." in pq(*looks.split(), expect=78).err
    assert pq("ls").text
    pq("config", "set", "limits.a=2")
    assert pq("stats").text and pq("next").out == b"x"
