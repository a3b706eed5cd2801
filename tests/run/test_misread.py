"""Lines written for a shell where none reads them: what to type is said, and no gate opens."""

from __future__ import annotations

import shlex

import pytest

from pq_cli.commands.run import RunOptions
from pq_cli.core.shellwords import as_command, quoted, shell_only, through_shell, typed
from pq_cli.errors import UsageError

ONLY_SHELL = {
    "true && false": "&&",
    "true||false": "||",
    "true; false": ";",
    "true ;false": ";",
    "true & false": "&",
    "cat /dev/null > online": ">",
    "cat >>online": ">>",
    "cat <online": "<",
    "true | false": "|",
    "true\nfalse": "\n",
    "(false)": "(",
    "test -n `false`": "`",
    "test -n $(false)": "$(",
    "test -n $ONLINE": "$ONLINE",
    "test -n ${ONLINE}": "${",
    'test -n "$ONLINE"': "$ONLINE",
    'test -n "`false`"': "`",
    "test -n ~/online": "~",
    "~/bin/online": "~",
    "! false": "!",
    "true # && false": "#",
    "echo 'a' && false": "&&",
    r"echo \\ && false": "&&",
    "sh -c 'true' && false": "&&",
}
PLAIN = [
    "ping -c1 -W2 example.org",
    "sh -c 'true && false'",
    'sh -c "true && test -n $X"',
    "test '$X' = \"&&\"",
    r"grep \; file\&name",
    "curl -fsS https://example.org/a?b=c#d",
    "[ -e online ]",
    "grep -q [0-9]* file~ a!b",
    "test 5 = 5$",
    "",
]


@pytest.mark.parametrize(("line", "what"), ONLY_SHELL.items(), ids=map(repr, ONLY_SHELL))
def test_a_gate_that_only_a_shell_understands_is_refused(line, what):
    """No operator, expansion or comment becomes an argument of the gate; the error names it."""
    assert shell_only(line) == what
    with pytest.raises(UsageError, match=r"^--when") as error:
        RunOptions.of_words({"cmd": ("true",), "when": line})
    assert "\n" not in str(error.value)
    assert "write --when" in str(error.value)


@pytest.mark.parametrize("line", PLAIN)
def test_what_needs_no_shell_is_taken(line):
    """Quoted operators, another shell's line, and characters that mean nothing where they stand."""
    assert shell_only(line) is None


@pytest.mark.parametrize("line", [*ONLY_SHELL, 'say "it\'s"', "a \"b\" 'c' $d"])
def test_what_is_said_can_be_typed(line):
    """The words shown give, once a shell has read them, a gate that is just that line."""
    [word] = shlex.split(quoted(through_shell(line)))
    assert shlex.split(word) == ["sh", "-c", line]
    assert shell_only(word) is None


@pytest.mark.parametrize("when", ["true && false", "true > /dev/null; false", 'test -n "$NO"'])
@pytest.mark.parametrize("more", [(), ("--follow",), ("--dry-run",)])
def test_no_gate_opens_by_a_misread_operator(bench, when, more):
    """`pq run` refuses it (exit 2) before anything is claimed; by a shell the gate is closed."""
    bench.fill(1)
    done = bench.pq("run", *more, "--when", when, "--", "true")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert bench.pq("run", "--when", through_shell(when), "--", "true").returncode == 75
    assert bench.spool().get(1).claims == 0


MISPLACED = {
    ("run", "cat", "{}"): "pq run -- cat {}",
    ("run", "-j2", "curl", "-fsS", "-T", "-", "{}"): "pq run -j2 -- curl -fsS -T - {}",
    ("run", "cat", "-j", "2"): "pq run -- cat -j 2",
    ("run", "cat", "--", "a b"): "pq run -- cat 'a b'",
    ("run", "cat {}"): "pq run -- cat {}",
    ("run", "cat | wc"): "pq run -- sh -c 'cat | wc'",
    ("run", "it's {}"): """pq run -- sh -c 'it'"'"'s {}'""",
    ("next", "cat"): "pq next -- cat",
    ("next", "--wait=5", "cat"): "pq next --wait=5 -- cat",
    ("submit", "--key", "k", "curl", "-f"): "pq submit --key k -- curl -f",
}


@pytest.mark.parametrize(("words", "typed_"), MISPLACED.items(), ids=map(" ".join, MISPLACED))
def test_a_command_without_dashes(bench, words, typed_):
    """It is not run; what is said is what to type, whatever options the command itself has."""
    bench.fill(1)
    done = bench.pq(*words, stdin=b"x")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"pq: put the command after --: `{typed_}`\n"
    assert bench.states() == {1: "pending"}


def test_a_value_without_equals(bench):
    """`next --wait 3` is about the value, not about a command called 3."""
    bench.fill(1)
    done = bench.pq("next", "--wait", "3")
    assert (done.returncode, done.stderr) == (
        2,
        b"pq: '3' belongs to no option: write `--wait=3`\n",
    )


@pytest.mark.parametrize("command", ["run", "next", "submit"])
@pytest.mark.parametrize(("line", "shown"), [("a | b", "sh -c 'a | b'"), ("cat {}", "cat {}")])
def test_a_line_as_one_word(bench, command, line, shown):
    """A line that was given as the name of a command is not found, and costs no attempt."""
    bench.fill(1)
    done = bench.pq(command, "--", line, stdin=b"x")
    assert done.returncode == 127
    assert f"no shell reads it: `-- {shown}`\n" in done.stderr.decode()
    assert [item.attempts for item in bench.spool().items()][:1] == [0]


def test_a_command_with_a_space_in_its_name_runs(bench):
    """Nothing is refused for what it looks like: a file of that name is run."""
    bench.fill(1)
    script = bench.root / "do & run"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    assert bench.pq("run", "--", str(script)).returncode == 0


def test_words_to_type():
    """Braces stand as they are; everything else that a shell would read is quoted."""
    assert typed(["a", "{}", "x/{}.y", "b c", "", "$d"]) == "a {} x/{}.y 'b c' '' '$d'"
    assert as_command(["one", "two three"]) == "one 'two three'"
