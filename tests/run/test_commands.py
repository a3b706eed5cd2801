"""A queue of commands: `pq enqueue --command -- CMD`, worked off by `pq run --commands`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from database import need_postgres, server
from hypothesis import given
from hypothesis import strategies as st
from support import Pq

from pq_cli import errors
from pq_cli.worker.contract import Order

SHOW = 'import os,sys; print(ascii([os.getcwd(), os.environ["PWD"], *sys.argv[1:]]), flush=True)'


@pytest.fixture(params=["spool", "postgres"])
def any_pq(request, tmp_path):
    """The command `pq` on a queue of its own, of each kind that lasts."""
    pq = Pq(tmp_path)
    if request.param == "postgres":
        need_postgres()
        pq.env["PQ_SPOOL"] = server().url()
    return pq


def test_a_command_runs_where_it_was_queued_as_it_was_typed(any_pq, tmp_path):
    """Words of any bytes, in order, none read by a shell or replaced; in the folder of then."""
    where = tmp_path / os.fsdecode(b"a \xff\n\"'folder")
    where.mkdir()
    words = ["", "-", "--", "-C", "a\nb", "$HOME; {} *", os.fsdecode(b"\xff\xfe"), "ä"]
    any_pq("enqueue", "--command", "--", sys.executable, "-c", SHOW, *words, cwd=where)
    any_pq("enqueue", "--command", "cat", cwd=where)
    ran = any_pq("run", "--commands", cwd="/", stdin=b"not theirs")
    assert ran.text == ascii([str(where), str(where), *words]) + "\n"
    assert any_pq("ls", "--json").out == b""


@given(argv=st.lists(st.binary().filter(lambda b: b"\0" not in b), min_size=1, max_size=5))
def test_what_a_payload_says_is_what_was_given(argv):
    """Any words but an empty first one come back as they were; what is cut is no command."""
    words = [os.fsdecode(word) for word in argv]
    order = Order(argv=words, cwd="/tmp")
    if not words[0]:
        with pytest.raises(errors.DataError):
            Order.of_payload(order.payload())
        return
    assert Order.of_payload(order.payload()) == order
    if words[-1]:
        with pytest.raises(errors.DataError):
            Order.of_payload(order.payload()[:-1])


def test_what_is_no_command_fails_for_good_and_says_so(any_pq):
    """It runs nothing, is not tried again, and does not stop the commands behind it."""
    torn = (b"pq-command 1\n", b"pq-command 1\n/\0", b"pq-command 1\nx\0y\0")
    for payload in (b"", b"rm -rf /", *torn):
        any_pq("enqueue", stdin=payload)
    any_pq("enqueue", "--command", "echo", "behind")
    ran = any_pq("run", "--commands", expect=6)
    assert ran.text == "behind\n"
    failed = [json.loads(line) for line in any_pq("ls", "--json").text.splitlines()]
    assert [(item["state"], item["attempts"]) for item in failed] == [("failed", 1)] * 5
    assert {item["last_error"] for item in failed} == {
        "it is no command: `pq enqueue --command -- CMD` queues one"
    }


def test_the_status_of_a_command_is_the_worker_contract(pq: Pq, tmp_path) -> None:
    """100 is for good, 75 is later, the rest is tried again; so are a folder or program gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    for words in (["sh", "-c", "exit 100"], ["sh", "-c", "exit 75"], ["sh", "-c", "exit 127"],
                  ["pq-none-such"], ["/"], ["true"]):  # fmt: skip
        pq("enqueue", "--command", "--", *words)
    pq("enqueue", "--command", "true", cwd=gone)
    gone.rmdir()
    pq("run", "--commands", expect=6)
    items = [json.loads(line) for line in pq("ls", "--json").text.splitlines()]
    told = {item["id"]: (item["state"], item["attempts"], item["last_error"]) for item in items}
    assert told == {
        1: ("failed", 1, "exit 100"),
        2: ("delayed", 0, "exit 75"),
        3: ("delayed", 1, "exit 127"),
        4: ("delayed", 1, "pq-none-such: command not found"),
        5: ("delayed", 1, "/: Permission denied"),
        7: ("delayed", 1, f"cannot work in {gone}: No such file or directory"),
    }


def test_a_command_is_stopped_and_logged_like_any(pq: Pq) -> None:
    """The item's --timeout counts, --log keeps the output, PQ_ID and stdin are what they are."""
    script = 'echo "item $PQ_ID"; read -r x || echo nothing; echo bad >&2; exec sleep 60'
    pq("enqueue", "--timeout", "0.5", "--max-attempts", 1, "--command", "--", "sh", "-c", script)
    pq("run", "--commands", "--log", expect=6)
    log = pq("show", 1, "--log").text
    assert "item 1\n" in log and "nothing\n" in log and "bad" in log
    assert "exit 124" in pq("show", 1).text


def test_ls_shows_the_command_line(pq: Pq) -> None:
    """As it would be typed, escaped; --name stands instead, and a long one is cut."""
    pq("enqueue", "--command", "--", "make", "-C", "a b", "x\n\x1b[31m")
    pq("enqueue", "--command", "--name", "night", "make")
    pq("enqueue", "--command", "echo", "ä" * 3000)
    names = [json.loads(line)["name"] for line in pq("ls", "--json").text.splitlines()]
    assert names[:2] == ["make -C 'a b' 'x\n\x1b[31m'", "night"]
    assert names[2].startswith("echo 'ää") and names[2].endswith("...")
    shown = pq("ls")
    assert "make -C 'a b'" in shown.text and b"\x1b" not in shown.out
    dry = pq("run", "--commands", "--dry-run").text.splitlines()
    assert dry[1] == "2\tmake" and dry[0].startswith("1\tmake -C 'a b' 'x") and len(dry) == 3


def test_what_makes_no_sense_is_refused(pq: Pq, tmp_path) -> None:
    """Exit 2, with what to type; nothing is queued."""
    for words, said in (
        (["--command"], "give the command to queue: pq enqueue --command -- CMD..."),
        (["--command", "--", ""], "give the command to queue"),
        (["--command", "--", "make && make install"], "sh -c 'make && make install'"),
        (["--command", "--lines", "x"], "--command takes one command"),
        (["--command", "--move", "x"], "--command takes one command"),
    ):
        assert said in pq("enqueue", *words, expect=2).err
    assert "exclude each other" in pq("run", "--commands", "--", "true", expect=2).err
    assert "exclude each other" in pq("run", "--commands", "--batch", 2, expect=2).err
    gone = tmp_path / "gone"
    script = f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && exec "$@"'
    env = pq.env | {"PYTHONPATH": os.getcwd(), "PYTHONSAFEPATH": "1"}
    for words in (["enqueue", "--command", "true"], ["ls", "-s", "here"]):
        argv = ["sh", "-c", script, "sh", *pq.argv(*words)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "the present folder is gone" in done.stderr, done.stderr
    assert not pq.spool.exists()
