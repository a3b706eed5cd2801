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
