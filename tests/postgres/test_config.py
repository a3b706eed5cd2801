"""`pq config edit`, and who changes the policy at the same time: on a folder and in a database."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from database import server
from support import wait_until

from pq_cli import QueueConfig, open_queue
from pq_cli.postgres.schema import LOCK, set_up


@pytest.fixture(params=["folder", "database"])
def place(request, pq):
    """Where the queue is that `pq` works at."""
    if request.param == "folder":
        pq.env["PQ_SPOOL"] = str(pq.spool)
    return pq.env["PQ_SPOOL"]


@pytest.fixture
def editor(pq, tmp_path):
    """Return what makes a shell script the editor; `$1` is the file that it is given."""

    def use(script, variable="EDITOR"):
        path = tmp_path / f"my {variable}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        pq.env[variable] = f"'{path}' --wait"
        return path

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pq.env["TMPDIR"] = str(scratch)
    return use


def left(tmp_path):
    """Return the texts that were kept for who wrote them."""
    return [
        path.read_text(errors="replace") for path in (tmp_path / "scratch").glob("*/queue.toml")
    ]


def test_what_was_edited_holds(pq, place, editor, tmp_path):
    """$VISUAL before $EDITOR, with its options; what there is to set is explained; then it holds.

    The file that the editor is given is nobody else's, and is gone at the end.
    """
    editor("exit 9")
    editor('test "$1" = --wait; stat -c %a "$2" "${2%/*}" >&2; cat "$2" >&2\n'
           'echo "max_attempts = 7" >"$2.new"; mv "$2.new" "$2"', "VISUAL")  # fmt: skip
    said = pq("config", "edit")
    assert said.out == b"" and "#lease = " in said.err and said.err.startswith("600\n700\n")
    with open_queue(place) as queue:
        assert queue.config == QueueConfig(max_attempts=7)
        assert queue.policy_text() == "max_attempts = 7\n"
    assert list((tmp_path / "scratch").iterdir()) == []
    editor("cat >&2", "VISUAL")
    assert "nothing was changed" in pq("config", "edit").err


def test_what_is_wrong_is_not_taken_and_not_lost(pq, place, editor, tmp_path):
    """A field that is unknown, what is no text: status 2, nothing changed, the text is kept."""
    pq("config", "set", "lease=10m")
    editor("printf 'leas = 1\\n\\377' >\"$2\"")
    assert "UTF-8" in pq("config", "edit", expect=2).err
    editor("echo 'leas = 1' >\"$2\"")
    said = pq("config", "edit", expect=2)
    assert "leas" in said.err and str(tmp_path / "scratch") in said.err
    assert sorted(left(tmp_path)) == ["leas = 1\n", "leas = 1\n\ufffd"]
    with open_queue(place) as queue:
        assert queue.config == QueueConfig(lease=600.0)


def test_an_editor_that_cannot_edit(pq, editor, tmp_path):
    """One that fails 6, one that is not there 127, one that is no command line 2; no litter."""
    editor("exit 3")
    assert "status 3" in pq("config", "edit", expect=6).err
    for status, wrong in ((127, "/no/such/editor"), (2, "'")):
        pq.env["EDITOR"] = wrong
        pq("config", "edit", expect=status)
    assert left(tmp_path) == []


def test_people_may_edit_it_once_more(pq, place, editor):
    """On a terminal: what was wrong is said, and the same text offered again; `n` gives up."""
    pq("config", "set", "lease=10m")
    editor('if grep -q keep "$2"; then echo "keep_done = \\"5m\\"" >"$2"\n'
           'else echo "keep_done = nonsense" >"$2"; fi')  # fmt: skip
    shown = pq.on_terminal("config", "edit", typed=b"y\n")
    assert "Edit it again?" in shown
    with open_queue(place) as queue:
        assert queue.config == QueueConfig(keep_done=300.0)
    editor('echo "nonsense = 1" >"$2"')
    assert "what you wrote is in" in pq.on_terminal("config", "edit", typed=b"n\n", expect=2)


def test_somebody_else_was_faster(pq, place, editor, tmp_path):
    """What came while the editor was open is not overwritten: status 4, and the text is kept."""
    inside = " ".join(f"'{word}'" for word in pq.argv("config", "set", "max_attempts=9"))
    editor(f'{inside}; echo "max_attempts = 2" >"$2"')
    assert "somebody else" in pq("config", "edit", expect=4).err
    assert left(tmp_path) == ["max_attempts = 2\n"]
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in Path(pq.env["TMPDIR"]).iterdir()} == {
        0o700
    }
    with open_queue(place) as queue:
        assert queue.config == QueueConfig(max_attempts=9)


def test_who_sets_something_else_meanwhile_is_heard_too(place):
    """Several set a field of their own at once, again and again: none is forgotten."""
    with open_queue(place):
        pass
    fields = ("max_attempts", "max_items", "default_priority", "max_priority_boost")
    start = threading.Barrier(len(fields))

    def change(field):
        with open_queue(place) as queue:
            for value in range(1, 9):
                start.wait(60)
                queue.change_policy({field: str(value)})

    threads = [threading.Thread(target=change, args=(field,)) for field in fields]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_queue(place) as queue:
        assert {field: getattr(queue.config, field) for field in fields} == dict.fromkeys(fields, 8)


WAITING = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and pid <> any(%s)"


@contextmanager
def at_once(*statements):
    """Let somebody else be within a transaction that has run these; it ends well afterwards."""
    before = [pid for (pid,) in server().sql("select pid from pg_stat_activity")]
    with psycopg.connect(server().conninfo) as other:
        for text, *values in statements:
            other.execute(text, values)
        yield lambda: wait_until(lambda: server().sql(WAITING, before), "it waits for the other")


def test_who_sets_something_reads_what_another_has_just_set(url):
    """It waits for him, and then his text is what it changes: both hold."""
    with open_queue(url) as queue:
        mine = (
            "update pq.queue set policy = %s where name = %s",
            "max_items = 5",
            url.partition("#")[2],
        )
        change = threading.Thread(target=queue.change_policy, args=({"max_attempts": "7"},))
        with at_once(mine) as waits:
            change.start()
            waits()
        change.join()
    with open_queue(url) as queue:
        assert (queue.config.max_items, queue.config.max_attempts) == (5, 7)


def test_two_who_set_up_come_one_after_the_other(url):
    """Whoever makes or upgrades the tables: the second waits, and finds them as they are to be."""
    setting_up = threading.Thread(target=set_up, args=(url,))
    with at_once(("select pg_advisory_xact_lock(%s)", LOCK)) as waits:
        setting_up.start()
        waits()
    setting_up.join()
    with open_queue(url, create=False) as queue:
        assert len(queue) == 0


def test_who_only_works_at_a_queue_is_told_whose_the_policy_is(pq, url):
    """A role that was let in is not told to be let in: policy and tables are their owner's (77)."""
    server().sql("create role hand login")
    try:
        pq("init", "--grant", "hand", url)
        pq.env["PQ_SPOOL"] = url.replace("user=pq", "user=hand")
        pq("enqueue", stdin=b"x")
        for words in (("config", "set", "lease=9m"), ("init",)):
            said = pq(*words, expect=77).err
            assert "who owns the tables" in said and "--grant" not in said
    finally:
        server().sql("drop owned by hand; drop role hand")
