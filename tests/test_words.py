"""What pq says to people: what may have been meant, what happened, what to type next."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import Pq

from pq_cli.commands.table import COMMANDS, load
from pq_cli.help import _MEANT, near, unknown

MAN = Path(__file__).parents[1] / "man"

# -- what may have been meant --------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("push", "enqueue"), ("put", "enqueue"), ("add", "enqueue"), ("pop", "next"),
        ("get", "next"), ("take", "next"), ("unhold", "retry"), ("ack", "done"),
        ("status", "stats"), ("workers", "ls --state active"), ("list", "ls"),
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
    words = [word for words in _MEANT.values() for word in words.split()]
    assert len(words) == len(set(words))
    assert not set(words) & set(COMMANDS)
    assert {typed.split()[0] for typed in _MEANT} <= set(COMMANDS)


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
        "pq: ls: No such option: --stat; did you mean --state?\n"
    )
    for option in ("--limit", "-x"):
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
    assert (ran.out, ran.err) == (b"1\n", f"{said}nothing was queued\n")
    file = tmp_path / "file"
    file.write_bytes(b"third")
    assert pq("enqueue", "--key", "a", file).err == f"{said}nothing was queued\n"
    assert pq("enqueue", "--key", "a", "--move", file).err == f"{said}{file} stays\n"
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
        assert ran.err == "pq: 2 keys were taken already; new items: 0\n"
        return
    ran = pq("enqueue", "--jsonl", stdin=one % b"a")
    taken = "pq: key 'a' is taken by item 1, which is pending: nothing was queued for it\n"
    assert (ran.words, ran.err) == (["1"], taken)
    ran = pq("enqueue", "--jsonl", stdin=b"".join(one % key for key in (b"a", b"b", b"c", b"c")))
    assert ran.words == ["1", "2", "3", "3"]
    assert ran.err == "pq: 3 keys were taken already; new items: 1\n"


def test_a_bad_record_says_how_many_went_in(pq: Pq, tmp_path: Path) -> None:
    """What comes before a bad record stays queued, and it is said how much that is."""
    good, bad = b'{"payload": "x"}\n', b"nonsense\n"
    for count, told in ((0, "0 items were"), (1, "1 item was"), (12, "12 items were")):
        ran = pq("enqueue", "--jsonl", stdin=good * count + bad + good, expect=2)
        assert re.match(rf"pq: line {count + 1}: not JSON: .*; {told} queued before it\n$", ran.err)
        assert len(ran.words) == count
    file = tmp_path / "file"
    file.write_bytes(good + bad)
    ran = pq("enqueue", "--jsonl", file, "-", stdin=good * 2 + bad, expect=2)
    first, second = ran.err.splitlines()
    assert first.startswith(f"pq: {file}: line 2: not JSON")
    assert first.endswith("; 1 item was queued before it")
    assert second.endswith("; 2 items were queued before it")


@pytest.mark.parametrize("form", ["--lines", "-0"])
def test_a_full_queue_says_how_many_went_in(pq: Pq, form: str) -> None:
    """Whatever stops a stream of records, the number of those that are in is told."""
    pq("init")
    (pq.spool / "queue.toml").write_text("max_items = 2\n")
    end = b"\0" if form == "-0" else b"\n"
    ran = pq("enqueue", form, stdin=(b"x" + end) * 4, expect=75)
    assert ran.words == ["1", "2"]
    assert ran.err.endswith("; 2 items were queued before it\n")
