"""What pq says to people: what may have been meant, what happened, what to type next."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from support import Pq

import pq_cli
from pq_cli import errors
from pq_cli.commands.table import COMMANDS, load
from pq_cli.help import MEANT, near, unknown

MAN = Path(__file__).parents[1] / "man"

# -- what may have been meant --------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("push", "enqueue"), ("put", "enqueue"), ("add", "enqueue"), ("pop", "next"),
        ("get", "next"), ("take", "next"), ("unhold", "retry"), ("ack", "done"),
        ("status", "stats"), ("active", "ls --state active"), ("list", "ls"),
        ("watch", "ls --watch"),
        ("enqeue", "enqueue"), ("dne", "done"), ("explian", "explain"), ("lst", "ls"),
        ("purg", "purge"), ("complet", "completion"),
    ],
)  # fmt: skip
def test_another_word_or_a_slip_finds_its_command(word: str, meant: str) -> None:
    """What other queues call it, the beginning of a name, and a name with one slip are known."""
    assert f"did you mean `pq {meant}`?" in unknown(word)


@pytest.mark.parametrize(
    "word", ["kill", "stop", "abort", "clear", "flush", "rn", "mv", "rum", "x"]
)
def test_a_wrong_guess_is_not_made(word: str) -> None:
    """What could mean several things, or throws work away, gets a pointer to the list only."""
    assert "did you mean" not in unknown(word)
    assert "`pq help` lists them" in unknown(word)


def test_the_other_words_lead_to_commands_that_there_are() -> None:
    """Each leads to one command, and none of them is a command itself."""
    words = [word for words in MEANT.values() for word in words.split()]
    assert len(words) == len(set(words))
    assert not set(words) & set(COMMANDS)
    assert {typed.split()[0] for typed in MEANT} <= set(COMMANDS)


def test_near_is_one_slip_and_no_more() -> None:
    """One letter wrong, missing, too many or two swapped; two slips or candidates are none."""
    known = ["pause", "resume"]
    assert [near(w, known) for w in ("pausse", "puse", "pauze", "pasue", "res")] == [
        "pause", "pause", "pause", "pause", "resume",
    ]  # fmt: skip
    assert [near(w, known) for w in ("push", "remove", "paaues", "pa")] == [None] * 4
    assert near("rus", ["rust", "ruse"]) is None


def test_an_option_is_guessed_by_the_same_rule(pq: Pq) -> None:
    """A slip finds its option; otherwise the command's help is named, and nothing is guessed."""
    assert pq("ls", "--stat", expect=2).err == (
        "pq: ls: No such option: --stat; did you mean `pq ls --state`?\n"
    )
    for option in ("--bound", "-x"):
        said = f"pq: ls: No such option: {option}; `pq help ls` tells what there is\n"
        assert pq("ls", option, expect=2).err == said


# -- help ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help_speaks_as_the_manual_does(name: str) -> None:
    """Each option and operand is explained, with the placeholder that the manual has for it."""
    with load(name).make_context(f"pq {name}", [], resilient_parsing=True) as context:
        text = load(name).get_help(context)
    manual = (MAN / f"pq-{name}.1").read_text(encoding="utf-8").split(".Bl -tag", 1)[-1]
    assert not re.search(r"<(str|int|text)|\{[^}]", text)
    operands = [p.metavar for p in load(name).params if not p.opts[0].startswith("-")]
    assert text.splitlines()[0] == " ".join(["Usage: pq", name, "[OPTIONS]", *operands])
    for parameter in load(name).params:
        assert parameter.help, parameter.name
        if parameter.opts[0].startswith("-") and not parameter.is_flag:
            value = re.search(r"\w+(=\w)?", parameter.metavar)[0]
            head = rf"^\.It Fl .*{parameter.opts[-1][1:]}\b.* Ar {value}\b"
            assert re.search(head, manual, re.M), head


# -- what went in, and what did not --------------------------------------------------


def test_a_taken_key_is_noted(pq: Pq, tmp_path: Path) -> None:
    """Whoever enqueues under a taken key gets its item's id, and is told that nothing was added."""
    pq.fill(b"first", key="a")
    said = "pq: key 'a' is taken by item 1, which is pending: "
    ran = pq("enqueue", "--key", "a", stdin=b"second")
    assert (ran.out, ran.err) == (b"1\n", f"{said}nothing was queued; its payload differs\n")
    assert pq("enqueue", "--key", "a", stdin=b"first").err == f"{said}nothing was queued\n"
    file = tmp_path / "file"
    file.write_bytes(b"third")
    differs = "; its payload differs\n"
    assert pq("enqueue", "--key", "a", file).err == f"{said}nothing was queued{differs}"
    assert pq("enqueue", "--key", "a", "--move", file).err == f"{said}{file} stays{differs}"
    ran = pq("enqueue", "--key", "a", "--if-exists", "raise", "-p2", stdin=b"first")
    raised = "key 'a' is taken by item 1, which is pending, with priority 2 now: nothing was queued"
    assert (ran.out, ran.err) == (b"1\n", f"pq: {raised}\n")
    assert file.exists()
    assert pq("enqueue", "--key", "b", stdin=b"new").err == ""
    assert pq("enqueue", "--key", "b", "--if-exists", "replace", stdin=b"newer").err == ""
    pq("next", "--claim")
    assert "which is being worked on" in pq("enqueue", "--key", "a", stdin=b"late").err


@pytest.mark.parametrize("form", ["--lines", "-0", "--jsonl"])
def test_taken_keys_of_records_are_summed_up(pq: Pq, form: str) -> None:
    """One is named; of many there is one line that counts them, however many records there are."""
    pq.fill(b"first", key="a")
    pq.fill(b"first", key="b")
    one = b'{"payload": "x", "key": "%b"}\n'
    if form != "--jsonl":
        end = b"\0" if form == "-0" else b"\n"
        ran = pq("enqueue", form, "--key", "a", stdin=b"1" + end + b"2" + end)
        assert ran.words == ["1", "1"]
        assert ran.err == "pq: 2 keys were taken already, 2 by other payloads; new items: 0\n"
        return
    ran = pq("enqueue", "--jsonl", stdin=one % b"a")
    taken = "pq: key 'a' is taken by item 1, which is pending: nothing was queued for it"
    taken += "; its payload differs\n"
    assert (ran.words, ran.err) == (["1"], taken)
    ran = pq("enqueue", "--jsonl", stdin=b"".join(one % key for key in (b"a", b"b", b"c", b"c")))
    assert ran.words == ["1", "2", "3", "3"]
    assert ran.err == "pq: 3 keys were taken already, 2 by other payloads; new items: 1\n"


def test_a_bad_record_says_how_many_went_in(pq: Pq, tmp_path: Path) -> None:
    """What comes before a bad record stays queued, and it is said how much that is."""
    good, bad = b'{"payload": "x"}\n', b"nonsense\n"
    for count, told in ((0, "0 items were"), (1, "1 item was"), (12, "12 items were")):
        ran = pq("enqueue", "--jsonl", stdin=good * count + bad + good, expect=2)
        assert re.match(
            rf"pq: line {count + 1}: not JSON: .*; {told} queued before it; `pq help", ran.err
        )
        assert len(ran.words) == count
    file = tmp_path / "file"
    file.write_bytes(good + bad)
    ran = pq("enqueue", "--jsonl", file, "-", stdin=good * 2 + bad, expect=2)
    first, second = ran.err.splitlines()
    assert first.startswith(f"pq: {file}: line 2: not JSON")
    assert "; 1 item was queued before it; `pq" in first
    assert "; 2 items were queued before it; `pq" in second


@pytest.mark.parametrize("form", ["--lines", "-0"])
def test_a_full_queue_says_how_many_went_in(pq: Pq, form: str) -> None:
    """Whatever stops a stream of records, the number of those that are in is told."""
    pq("init")
    (pq.spool / "queue.toml").write_text("max_items = 2\n")
    end = b"\0" if form == "-0" else b"\n"
    ran = pq("enqueue", form, stdin=(b"x" + end) * 4, expect=75)
    assert ran.words == ["1", "2"]
    assert "; 2 items were queued before it; `pq" in ran.err


# -- items that are not there any more, and claims -----------------------------------

NAMING = (
    "done",
    "fail",
    "release",
    "renew",
    "show",
    "cat",
    "retry",
    "set -p 3",
    "hold",
    "rm",
    "explain",
)
"""Every command that names an item; undo does, too."""


@pytest.mark.parametrize("command", [*NAMING, "undo"])
def test_an_item_that_is_gone_says_what_became_of_it(pq: Pq, command: str) -> None:
    """Done or removed for good, and when, as the log has it."""
    pq.fill(b"", b"", b"")
    pq("next", "--ack")
    pq("rm", "2")
    at = r"at (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d"
    gone = pq(*command.split(), "1", expect=3)
    said = rf"pq: there is no item 1: it was done {at}; `pq log 1` tells of it\n"
    assert re.fullmatch(said, gone.err)
    assert re.search(r"no item 99|item 99 is not", pq(*command.split(), "99", expect=3).err)
    pq("purge", "--state", "removed")
    gone = pq(*command.split(), "2", expect=3)
    said = rf"pq: there is no item 2: it was removed {at}; `pq log 2` tells of it\n"
    assert re.fullmatch(said, gone.err)


def test_a_lost_or_damaged_log_tells_nothing_and_harms_nothing(pq: Pq) -> None:
    """Without the log it is only said that there is no such item."""
    pq.fill(b"")
    pq("next", "--ack")
    nothing = f"pq: there is no item 1 in {pq.spool}; `pq ls` lists those that are there\n"
    for text in ('{"event":"done","id":[1]}\n', '{"event":"done","id":1,"at":7}\n', "{\n", ""):
        (pq.spool / "log").write_text(text)
        assert pq("show", 1, expect=3).err == nothing
    (pq.spool / "log").unlink()
    assert pq("show", 1, expect=3).err == nothing


def test_what_an_item_went_through_is_told_by_claims(pq: Pq) -> None:
    """`explain` names an attempt as all other commands do: by its claim."""
    pq.fill(b"")
    pq("next", "--", "false", expect=6)
    assert "\n  claim 1.1 failed at " in pq("explain", 1).text
    assert "attempt 1.1" not in pq("explain", 1).text


# -- on a terminal -------------------------------------------------------------------


def test_next_on_a_terminal_says_how_it_goes_on(pq: Pq) -> None:
    """The claim, what ends it, and when the item is back otherwise, below a line that has ended."""
    pq.fill(b"no end of line", b"line\n", b"3", b"")
    lease = ("--lease", "1h30m")
    assert pq.on_terminal("next").splitlines() == [
        "no end of line", "pq: claimed 1.1: `pq done 1.1`, else it is back in 5m",
    ]  # fmt: skip
    assert pq.on_terminal("next", *lease).splitlines() == [
        "line", "pq: claimed 2.1: `pq done 2.1`, else it is back in 1h30m",
    ]  # fmt: skip
    assert pq.on_terminal("next", "--claim").splitlines() == [
        "3.1", "pq: claimed 3.1: `pq done 3.1`, else it is back in 5m",
    ]  # fmt: skip
    assert pq.on_terminal("next").splitlines()[0].startswith("pq: claimed 4.1: ")


BINARY = [b"\x00", b"\xff\xfe", b"ELF \x1b[31m red", "caf\u0085".encode(), b"text\n" * 3 + b"\x07"]


@pytest.mark.parametrize("payload", BINARY)
def test_a_terminal_gets_no_binary_unless_asked(pq: Pq, payload: bytes) -> None:
    """next only claims, next --ack gives back, cat refuses; --raw prints, and so does a pipe."""
    pq.fill(payload)
    shown = pq.on_terminal("next", "--ack", expect=2)
    assert "item 1 is not text, and this is a terminal; --raw prints it" in shown
    assert pq.states() == {1: "pending"}
    (shown,) = pq.on_terminal("next").splitlines()
    assert shown == (
        "pq: claimed 1.2, not text, and this is a terminal: `pq cat 1.2 >FILE`, then "
        "`pq done 1.2`, else it is back in 5m"
    )
    assert "not text" in pq.on_terminal("cat", 1, expect=2)
    assert pq("cat", 1).out == payload
    raw = payload.decode(errors="replace").replace("\n", "\r\n")
    assert raw in pq.on_terminal("cat", 1, "--raw")
    pq("release", 1)
    assert raw in pq.on_terminal("next", "--ack", "--raw")
    assert pq("next", "--raw", "--claim", expect=2).out == b""


def test_text_of_any_script_is_text(pq: Pq) -> None:
    """UTF-8 with tabs, form feeds and line ends, also where the part that is looked at cuts it."""
    long = "日本語\t\f".encode() * 7000
    pq.fill(long)
    assert "日本語" in pq.on_terminal("cat", 1)
    assert "日本語" in pq.on_terminal("next")


def test_nothing_to_do_says_why_on_a_terminal_only(pq: Pq) -> None:
    """Items at work elsewhere, delayed, held or failed are counted; under cron nothing is said."""
    pq("init")
    for command in (("next",), ("run", "--", "true")):
        shown = pq.on_terminal(*command, expect=int(command[0] == "next"))
        assert "pq: nothing to do: the queue is empty\r\n" in shown
        assert "0 done" not in shown
    pq.fill(b"", b"")
    pq.fill(b"", delay=3600)
    pq("next", "--claim")
    pq("next", "--claim")
    pq("hold", pq.fill(b"")[0])
    said = "pq: nothing to do now: 2 at work elsewhere, 1 delayed, 1 held; `pq ls` tells more\r\n"
    for command in (("next",), ("next", "--claim"), ("run", "--no-progress", "--", "true")):
        status = int(command[0] == "next")
        assert said in pq.on_terminal(*command, expect=status)
        assert pq(*command, expect=status)[:2] == (b"", "")
    pq("pause")
    assert "nothing to do" not in pq.on_terminal("next", expect=75)
    assert "nothing to do" not in pq.on_terminal("run", "--", "true", expect=75)


def test_an_error_ends_with_the_command_to_type_next() -> None:
    """What the message does not say, its class does."""
    for module in pkgutil.walk_packages(pq_cli.__path__, "pq_cli."):
        importlib.import_module(module.name)
    kinds = errors.PqError.__subclasses__()
    for kind in kinds:
        kinds += kind.__subclasses__()
    for kind in kinds:
        assert kind.__name__.startswith("_") or "`" in kind("item 7: it is so").told("set"), kind
    said = errors.UsageError("-p 0").told("enqueue")
    assert said == "-p 0; `pq help enqueue` tells what it takes"
    assert errors.UsageError("-p 0").told() == "-p 0"
    assert errors.ConflictError("item 7: so").told() == (
        "item 7: so; `pq show 7` tells how it stands"
    )
    assert errors.ConflictError("so").told() == "so"
    assert errors.ConflictError("so: `pq a` ends item 7").told() == "so: `pq a` ends item 7"
