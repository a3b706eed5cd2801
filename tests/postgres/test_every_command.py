"""Every command does on a URL what it does on a folder; what is about folders says so."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from database import server
from support import readable, wait_until

from pq_cli import QueueConfig, open_queue

SECRET = "hunter2/?x"


def states(pq):
    """Return {id: state} as `ls` lists them."""
    lines = pq("ls", "--all").text.splitlines()
    return {int(line.split("\t")[0]): line.split("\t")[1] for line in lines}


def test_items_go_in_in_every_form(pq, tmp_path):
    """stdin, FILEs, --move, --lines and --jsonl: the ids in order, the payloads byte for byte."""
    file = tmp_path / "report"
    file.write_bytes(bytes(range(256)) * 20_000)  # more than four rows
    assert pq("enqueue", "-p", "2", stdin=b"\0\xff").words == ["1"]
    assert pq("enqueue", file, "--key", "k", "-m", "a=b").words == ["2"]
    assert pq("enqueue", "--lines", stdin=b"a\nb\n").words == ["3", "4"]
    assert pq("enqueue", "--jsonl", stdin=b'{"payload": "x", "priority": 1}\n').words == ["5"]
    assert pq("enqueue", "--move", file).words == ["6"] and not file.exists()
    assert pq("cat", "1").out == b"\0\xff" and pq("cat", "2").out == bytes(range(256)) * 20_000
    assert pq("cat", "6", "5").out == bytes(range(256)) * 20_000 + b"x"
    said = json.loads(pq("show", "--json", "2").out)
    assert (said["key"], said["metadata"], said["size"]) == ("k", {"a": "b"}, 5_120_000)
    assert pq("enqueue", "--key", "k", "--if-exists", "fail", expect=4).words == []
    assert [line.split("\t")[0] for line in pq("ls").text.splitlines()] == list("512346")


def test_items_are_worked_off_in_every_form(pq):
    """Printed, claimed, given to a command, by `run` and `submit`; statuses are obeyed."""
    pq("enqueue", "--lines", stdin=b"a\nb\nc\nd\ne\nf\n")
    assert pq("next").out == b"a"
    claim = pq("next", "--claim").text.strip()
    assert pq("renew", claim, "--lease", "1h").status == 0
    pq("done", claim)
    pq("done", claim, expect=3)
    assert pq("next", "--", "sh", "-c", 'cat "$PQ_FILE"; echo $PQ_ID').out == b"c3\n"
    pq("next", "--", "sh", "-c", "exit 100", expect=6)
    assert states(pq)[4] == "failed"
    assert sorted(pq("run", "-j2", "--", "sh", "-c", "cat; echo").out.split()) == [b"e", b"f"]
    assert pq("submit", "--", "cat", stdin=b"now").out == b"now"
    pq("next", expect=1)
    assert states(pq) == {1: "active", 4: "failed"}
    assert "claimed" in pq("log").text


def test_items_are_changed_by_people(pq):
    """hold, retry, set, rm, undo, purge, pause, resume and age."""
    pq("enqueue", "--lines", stdin=b"a\nb\nc\n")
    pq("hold", "1")
    pq("retry", "1")
    pq("set", "3", "-p", "1")
    pq("rm", "2")
    assert states(pq) == {3: "pending", 1: "pending"}
    pq("undo")
    assert states(pq) == {3: "pending", 1: "pending", 2: "pending"}
    pq("pause", "lunch")
    assert "lunch" in pq("next", expect=75).err
    pq("resume")
    pq("age")
    pq("fail", pq("next", "--claim").text.strip(), "--dead", "--error", "no")
    pq("purge", "--state", "failed", "--older-than", "0s")
    assert states(pq) == {1: "pending", 2: "pending"}


def test_looking(pq):
    """explain, stats, doctor and what Tab asks; nothing is changed by it."""
    pq("enqueue", "--key", "one", stdin=b"a")
    pq("enqueue", stdin=b"b")
    assert "1 item is ahead" in pq("explain", "2").text
    assert "2 items" in pq("stats").text
    assert 'state="pending"} 2' in pq("stats", "--prometheus").text
    told = pq("doctor").text
    assert all(each in told for each in ("PostgreSQL", "round trip", "dead rows", "replication"))
    assert pq("__complete", "rm", "").text.splitlines()[0].startswith("1\t")
    assert pq("__complete", "ls", "--key", "o").text == "one\t\n"
    nothing = (
        f"pq: there is no item 99 in {pq.env['PQ_SPOOL']}; `pq ls` lists those that are there\n"
    )
    assert pq("show", "99", expect=3).err == nothing


def test_tab_does_not_wait_for_a_server(pq):
    """One that takes the connection and says nothing: completion gives up, quietly."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pq.env |= {"PGCONNECT_TIMEOUT": "600", "PGSSLMODE": "disable"}
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/db"
        said = pq("__complete", "rm", "-s", url, "")
        assert (said.out, said.err) == (b"", "")


def test_attempts_leave_their_output(pq):
    """`run --log` keeps what a command wrote, and `show --log` shows it."""
    pq("config", "set", "keep_done=1h")
    pq("enqueue", stdin=b"x")
    pq("run", "--log", "--", "sh", "-c", "echo said; cat")
    assert "said" in pq("show", "--log", "1").text


def test_a_queue_moves_up_and_down_again(pq, tmp_path, url):
    """From a folder into the database and back: what is known of the items stays."""
    folder = str(tmp_path / "spool")
    pq("enqueue", "-s", folder, "--key", "k", "-p", "3", stdin=b"payload")
    pq("enqueue", "-s", folder, "--delay", "1h", stdin=os.urandom(3_000_000))
    whole = pq("cat", "-s", folder, "2").out
    pq("export", "-s", folder, "--move", "--", *pq.argv("import", "-s", url))
    assert pq("ls", "-s", folder).text == ""
    assert states(pq) == {1: "pending", 2: "delayed"} and pq("cat", "2").out == whole
    back = str(tmp_path / "back")
    pq("export", "--move", "--", *pq.argv("import", "-s", back))
    assert states(pq) == {} and pq("cat", "-s", back, "2").out == whole
    pq("import", stdin=pq("export", "-s", back).out)
    pq("import", stdin=pq("export", "-s", back).out)
    assert states(pq) == {3: "pending", 4: "delayed"}


def test_what_is_about_folders_says_so(pq, url):
    """Status 2 and one sentence about what was typed: `check` alone is about databases, too."""
    for words, named in {
        ("check", "--repair"): "pq check --repair is about",
        ("check", "--restore", "x"): "pq check --restore is about",
        ("init", "--drop-mode", "1730"): "--drop-mode",
        ("selftest", url): "pq selftest is about",
        ("cat", "/spool/pending/05/0000001/0000000001"): "/spool/pending",
    }.items():
        said = pq(*words, expect=2).err
        assert said.count("\n") == 1 and named in said


def test_tables_are_looked_at_for_damage(pq):
    """`check` names rows that cannot be read and payloads that are missing or torn: exit 5."""
    pq("enqueue", "--lines", stdin=b"a\nbb\nccc\nd\n")
    assert "no damage" in pq("check").err
    name = pq.env["PQ_SPOOL"].partition("#")[2]
    number = server().sql("select number from pq.queue where name = %s", name)[0][0]
    blob = "(select blob from pq.item where queue = %s and id = %s)"
    server().sql(f"delete from pq.payload where blob = {blob}", number, 1)
    server().sql(f"update pq.payload set data = 'xyz' where blob = {blob}", number, 2)
    server().sql("update pq.item set fixed = '{no' where queue = %s and id = 3", number)
    server().sql("delete from pq.item where queue = %s and id = 4", number)
    said = pq("check", expect=5)
    found = [line.split("\t")[:3] for line in said.text.splitlines()]
    assert found == [["damage", "missing", "1"], ["damage", "torn", "2"], ["damage", "meta", "3"],
                     ["harmless", "orphan", ""]]  # fmt: skip
    assert json.loads(pq("check", "--json", expect=5).out.splitlines()[0])["kind"] == "missing"


def test_waiting_ends_when_something_comes(pq):
    """`next --wait` and `run --follow` wake up; the latter goes on."""
    with pq.start("next", "--wait") as waiting:
        pq("enqueue", stdin=b"a")
        assert waiting.wait(60) == 0 and waiting.stdout.read() == b"a"
    with pq.start("run", "--follow", "--", "cat") as run:
        for payload in (b"b", b"c"):
            pq("enqueue", stdin=payload)
            assert readable(run.stdout.fileno()) and os.read(run.stdout.fileno(), 9) == payload
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143


def test_a_killed_worker_gives_its_item_back_at_once(pq):
    """SIGKILL of `pq run`: its command is stopped, and the next worker has the item, fenced."""
    pq("enqueue", stdin=b"x")
    with pq.start("run", "--", "sh", "-c", "echo began; sleep 600") as run:
        assert readable(run.stdout.fileno())
        run.kill()
        run.wait()
    with open_queue(pq.env["PQ_SPOOL"]) as queue:
        item = wait_until(queue.claim, "the item is free again")
        assert item.claim == "1.2" and "died" in item.last_error


def test_the_policy_is_shown_and_set(pq, url):
    """`config` on both kinds of queue; what people wrote there stays; nonsense changes nothing."""
    folder = str(pq.spool)
    for place in (url, folder):
        if place == folder:
            pq("init", "-s", folder)
        pq("config", "set", "-s", place, "lease=10m", "max_attempts=7", "aging_clock=manual")
        assert 'lease = "10m"' in pq("config", "-s", place).text
        assert json.loads(pq("config", "show", "--json", "-s", place).out)["max_attempts"] == 7
        for wrong in ("leas=5m", "lease=soon", "max_attempts=0", "lease"):
            assert pq("config", "set", "-s", place, wrong, expect=2).err.count("\n") == 1
        with open_queue(place) as queue:
            wanted = QueueConfig(lease=600.0, max_attempts=7, aging_clock="manual")
            assert queue.config == wanted
    assert "# Waiting items gain" in (pq.spool / "queue.toml").read_text()


def test_bad_urls_have_their_status(pq, url):
    """A wrong URL 2, a long name 2, no server 75, no database 78; a password is never shown."""
    base = server().conninfo
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for status, bad in (
            (2, f"postgresql://u:{SECRET}@h/db?nonsense=1"),
            (2, f"{base}#{'q' * 300}"),
            (2, f"{base}#a\x1b[31m"),
            (75, f"postgresql://u:hunter2@127.0.0.1:{port}/db"),
            (78, base.replace("/postgres?", "/nowhere?")),
        ):
            said = pq("enqueue", "-s", bad, "--lock-timeout", "0.2s", stdin=b"x", expect=status)
            assert (
                said.err.count("\n") == 1 and "hunter2" not in said.err and "\x1b" not in said.err
            )


def hidden(shown):
    """Return a command line as others are shown it, once there is no password in it."""
    return b"next" in shown and b"=h&" not in shown and b"hunter" not in shown and shown


def test_a_password_does_not_stay_in_the_process_list(pq, url):
    """Wherever a URL stands on the command line: it is gone from there at once, and still used."""
    named = url.replace("postgresql:///", "postgresql://pq:hunter%32@/")
    hosts = named.replace("host=", f"host={server().folder},").replace("5432", "5432,5432")
    options = [url.replace("?", f"?{option}&") for option in (
        "password=hunter%32", "sslpassword=hunter2", "pass%77ord=hunter2", "password=hunter@2",
        "password=h")]  # fmt: skip
    many = [f"--spool={hosts}", *(word for option in options for word in ("-s", option))]
    behind = ("--", "sh", "-c", f"true && : {options[1]}", named)
    for words in ((*many, *behind), ("-s", options[-1])):
        with pq.start("next", "--wait", *words) as waiting:
            here = Path(f"/proc/{waiting.pid}/cmdline")
            shown = wait_until(lambda here=here: hidden(here.read_bytes()), words)
            assert b"PATH=" not in shown and shown.endswith(b"\0")
            pq("enqueue", stdin=b"x")
            assert waiting.wait(60) == 0, words


def test_tables_that_are_not_ours(pq):
    """None, older and newer ones: status 78, and what to do; a role without rights: 77."""
    server().sql("create database empty_one")
    empty = server().conninfo.replace("/postgres?", "/empty_one?")
    assert "pq init" in pq("enqueue", "-s", empty, stdin=b"x", expect=78).err
    pq("init", empty)
    pq("enqueue", "-s", empty, stdin=b"x")
    server().sql("create role stranger login")
    stranger = empty.replace("user=pq", "user=stranger")
    pq("enqueue", "-s", stranger, stdin=b"x", expect=77)
    import psycopg

    for version, word in ((0, "pq init"), (99, "newer")):
        with psycopg.connect(empty, autocommit=True) as connection:
            connection.execute("update pq.version set version = %s", (version,))
        said = pq("ls", "-s", empty, expect=78).err
        assert word in said and said.count("`") == 2
    server().sql("create database latin template template0 encoding 'LATIN1'")
    latin = server().conninfo.replace("/postgres?", "/latin?")
    assert "; pq needs UTF8: `createdb" in pq("init", latin, expect=78).err


def test_tables_of_an_older_pq_are_brought_up(pq):
    """Nothing works at them until `pq init`, and then all that was there goes on."""
    server().sql("create database of_old")
    old = server().conninfo.replace("/postgres?", "/of_old?")
    pq("init", old)
    assert pq("enqueue", "-s", old, stdin=b"x").text == "1\n"
    import psycopg

    with psycopg.connect(old, autocommit=True) as connection:
        connection.execute("alter table pq.event drop column item")
        connection.execute("alter table pq.item drop column called")
        connection.execute("update pq.version set version = 1")
    assert "pq init" in pq("enqueue", "-s", old, stdin=b"x", expect=78).err
    pq("init", old)
    pq("init", old)
    assert pq("enqueue", "-s", old, stdin=b"x").text == "2\n"
    last = json.loads(pq("log", "--json", "-s", old).text.splitlines()[-1])
    assert (last["event"], last["id"]) == ("enqueued", 2)
    assert pq("next", "-s", old).out == b"x"


def test_a_server_that_only_shows(pq):
    """On a standby looking goes on, and a change is for later: status 75."""
    pq("enqueue", stdin=b"x")
    pq.env["PGOPTIONS"] = "-c default_transaction_read_only=on"
    assert states(pq) == {1: "pending"}
    assert "has not ended" in pq("wait", "1", "--timeout", "0s", expect=75).err
    for form in ([], ["--key", "k"], ["--after", "1"], ["--key", "k", "--if-exists", "raise"]):
        told = pq("enqueue", "--lock-timeout", "0.2s", *form, stdin=b"y", expect=75).err
        assert "read-only" in told and told.count("\n") == 1
    assert "read-only" in pq("next", "--lock-timeout", "0.2s", expect=75).err


def test_a_worker_role_sees_one_queue_and_changes_no_rules(pq, url):
    """Let in to one queue, it works there; other queues, the policy and the tables are not its."""
    other = server().url()
    role = f"worker_{os.getpid()}_{time.monotonic_ns()}"
    pq("init", "--grant", role, expect=2)
    server().sql(f'create role "{role}" login')
    pq("init", url, "--grant", role)
    pq("enqueue", "-s", other, stdin=b"not yours")
    pq("enqueue", stdin=b"yours")
    mine, foreign = (place.replace("user=pq", f"user={role}") for place in (url, other))
    assert pq("ls", "-s", mine).text.startswith("1\t")
    assert pq("run", "-s", mine, "--", "cat").out == b"yours"
    pq("pause", "-s", mine)
    pq("resume", "-s", mine)
    pq("enqueue", "-s", foreign, stdin=b"x", expect=77)
    pq("ls", "-s", foreign, expect=1)
    pq("config", "set", "lease=1m", "-s", mine, expect=77)
    pq("init", mine, expect=77)
    import psycopg

    with psycopg.connect(server().conninfo.replace("user=pq", f"user={role}")) as connection:
        seen = connection.execute("select count(*) from pq.payload").fetchone()
        assert seen == (0,)
        for statement in ("drop table pq.item", "update pq.queue set policy = ''",
                          "insert into pq.access select number, 10 from pq.queue",
                          "update pq.version set version = 5",
                          "alter table pq.item disable row level security",
                          "create function pq.harm() returns int language sql as 'select 1'",
                          "delete from pq.queue", "update pq.queue set name = 'mine'",
                          "select setval('pq.blob', 1)", "truncate pq.item"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_a_worker_role_cannot_touch_rows_of_others(pq, url):
    """In every table that has rows of queues: none is seen, changed, moved or made elsewhere.

    Nor can it write what is read with an item of others, knowing the number of its payload.
    """
    other = server().url()
    role = f"worker_{os.getpid()}_{time.monotonic_ns()}"
    server().sql(f'create role "{role}" login')
    pq("init", url, "--grant", role)
    pq("enqueue", stdin=b"mine")
    pq("enqueue", "-s", other, stdin=bytes(3_000_000))
    number = "select number from pq.queue where name = %s"
    theirs = server().sql(number, other.partition("#")[2])[0][0]
    mine = server().sql(number, url.partition("#")[2])[0][0]
    for table, values in {
        "follower (queue, item, follower)": "1, 2", "staging (queue, blob, touched)": "0, 2e9",
        "output (queue, id, claim, data)": "1, 1, ''", "origin (queue, realm, name)": "'r', 'n'",
        "realm (queue, realm, reader)": "'r', 'n'",
    }.items():  # fmt: skip
        server().sql(f"insert into pq.{table} values ({theirs}, {values}), ({mine}, {values})")
    tables = server().sql(
        "select relname, (select string_agg(attname, ', ') from pg_attribute where attrelid = c.oid"
        " and attnum > 0 and attname <> 'queue' and attidentity = '') from pg_class as c"
        " where relkind = 'r' and relnamespace = 'pq'::regnamespace"
        " and exists (select 1 from pg_attribute where attrelid = c.oid and attname = 'queue')"
    )
    assert {"item", "payload", "event", "counter", "access"} <= {name for name, _ in tables}
    import psycopg

    denied = psycopg.errors.InsufficientPrivilege
    with psycopg.connect(server().conninfo.replace("user=pq", f"user={role}")) as connection:
        for table, rest in tables:
            for statement in (
                f"update pq.{table} set queue = queue where queue = {theirs}",
                f"delete from pq.{table} where queue = {theirs}",
                f"update pq.{table} set queue = {theirs}",
                f"insert into pq.{table} (queue, {rest}) select {theirs}, {rest} from pq.{table}",
            ):
                try:
                    assert connection.execute(statement).rowcount == 0, statement
                except denied:
                    pass
                connection.rollback()
        for change in ("pq.counter set last_id = 7", "pq.queue set aged_at = 7"):
            assert connection.execute(f"update {change}").rowcount == 1, change
            connection.rollback()
        blob = server().sql("select blob from pq.item where queue = %s", theirs)[0][0]
        for number in range(9):
            connection.execute(
                "insert into pq.payload (queue, blob, no, data) values (%s, %s, %s, 'x')",
                (mine, blob, number),
            )
        connection.execute("delete from pq.payload where queue = %s and no > 3", (mine,))
    assert pq("cat", "-s", other, "1").out == bytes(3_000_000)
    assert "no damage" in pq("check", "-s", other).err
