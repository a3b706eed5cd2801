"""The quick parser and typer must read a command line alike."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pq_cli import cli
from pq_cli.commands.table import find, load
from pq_cli.errors import UsageError
from pq_cli.options import grammar, options_of

NAMES = ["enqueue", "next", "done"]
DEFAULT = "/the/default/spool"
VALUES = st.sampled_from(
    ["", "5", "high", "x y", "a=b", "-", "--", "-5", "1742.2", "5m", "/tmp/x", "é", "--key", "-p"]
)


def words(name: str) -> st.SearchStrategy[list[str]]:
    """Command lines made of the command's own options, glued and apart, and of noise."""
    known = grammar(options_of(find(name)))
    options = sorted(set(known) - {""})
    valued = sorted(word for word in options if known[word][1].metavar)
    unknown = st.sampled_from(["--help", "-h", "-x", "--nope", "-p5", "-s/tmp", "--wait", "-m"])
    glued = st.builds(lambda o, v: f"{o}={v}", st.sampled_from(valued), VALUES)
    return st.lists(
        st.one_of(st.sampled_from(options), st.sampled_from(options), VALUES, glued, unknown),
        max_size=7,
    )


def by_typer(name: str, arguments: list[str]) -> object:
    """Return the options that typer makes of the arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PQ_SPOOL", raising=False)
        return load(name).main(
            arguments, standalone_mode=False, prog_name="pq", default_map={"spool": DEFAULT}
        )


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_what_the_quick_parser_takes_typer_reads_the_same(name: str, data: st.DataObject) -> None:
    """The quick way gives exactly the options of the full way, or the same error."""
    arguments = data.draw(words(name))
    try:
        planned = cli.plan(name, arguments, {}, DEFAULT)
    except UsageError as error:
        with pytest.raises(UsageError) as also:
            by_typer(name, arguments)
        assert str(also.value) == str(error)
        return
    if planned is not None:
        assert planned[1] == by_typer(name, arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("enqueue", []),
        ("enqueue", ["-p", "2"]),
        ("enqueue", ["--priority=2", "--key", "k", "a file", "-"]),
        ("enqueue", ["--lines", "-s", "/tmp/q"]),
        ("next", []),
        ("next", ["--claim"]),
        ("next", ["--ack", "--lease", "10m"]),
        ("done", ["1742.2"]),
        ("done", ["-", "-s", "/tmp/q"]),
    ],
)
def test_the_plain_forms_go_the_quick_way(name: str, arguments: list[str]) -> None:
    """The forms that scripts use are plain; else the start-up that is promised is not had."""
    planned = cli.plan(name, arguments, {}, DEFAULT)
    assert planned is not None
    assert planned[1] == by_typer(name, arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("enqueue", ["--help"]),
        ("enqueue", ["-p"]),
        ("enqueue", ["--", "-file"]),
        ("next", ["--", "cat"]),
        ("next", ["--wait"]),
        ("next", ["stray"]),
        ("done", []),
        ("ls", []),
    ],
)
def test_whatever_is_not_plain_goes_the_full_way(name: str, arguments: list[str]) -> None:
    """Help, errors, commands behind `--` and everything unusual are left to typer."""
    assert cli.plan(name, arguments, {}, DEFAULT) is None


@given(spool=st.sampled_from([None, "", "/from/environment"]))
@example(spool="")
def test_the_environment_names_the_spool_as_typer_would(spool: str | None) -> None:
    """PQ_SPOOL counts when -s is not given, and an empty one does not count."""
    environ = {} if spool is None else {"PQ_SPOOL": spool}
    planned = cli.plan("next", [], environ, DEFAULT)
    assert planned is not None
    assert planned[1].spool == (spool or DEFAULT)
