"""Completion in the three real shells, driven by the keyboard; and what they ask of `pq`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import need_tool

from pq_cli import Spool
from pq_cli.commands.complete import complete
from pq_cli.commands.table import COMMANDS, load
from pq_cli.screen import Screen

SCRIPTS = Path(__file__).parents[2] / "pq_cli" / "completions"
FILES = {"bash": "pq.bash", "zsh": "_pq", "fish": "pq.fish"}


def run(*words, **env):
    """Run pq in a process of its own."""
    command = [sys.executable, "-m", "pq_cli", *words]
    environ = {**os.environ, **env}
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)


@pytest.mark.parametrize("shell", FILES)
def test_the_script_that_is_printed_is_the_one_that_packages_install(shell):
    """`pq completion` prints the file; it is short, for all that it knows it asks of `pq`."""
    script = (SCRIPTS / FILES[shell]).read_text(encoding="utf-8")
    assert run("completion", shell).stdout == script
    assert len(script.splitlines()) <= 80


def test_an_unknown_shell_is_refused():
    """Only the three; the error names them."""
    done = run("completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bash, zsh, fish" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_offered_with_its_help(name, capsys):
    """By its long name, and what says the contrary too; in the words of `--help`."""
    complete([name, "-"], "/nowhere", Screen())
    told = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    options = [p for p in load(name).params if p.opts[0].startswith("-")]
    names = [names for p in options for names in (p.opts, p.secondary_opts) if names]
    assert list(told) == [max(spellings, key=len) for spellings in names]
    assert all(told.values())


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("enq", ["enqueue"]), ("help expl", ["explain"]), ("--ver", ["--version"]),
        ("-s ", "dirs"), ("ls --spool=", "dirs"), ("enqueue ", "files"), ("run ", []),
        ("run -j 2 -- gre", "command 4"), ("-s x run -- a b", "command 4"),
        ("next --wait -- ", "command 3"), ("run -s -- -- a", "command 4"),
        ("ls --state fai", ["failed"]), ("purge --state=re", ["removed"]),
        ("enqueue --if-exists=re", ["replace"]), ("ls --color a", ["auto", "always"]),
        ("enqueue -p 1", ["1", "10"]), ("completion z", ["zsh"]), ("stats ", []),
        ("set --of-priority 1", ["1", "10"]), ("hold --state hel", ["held"]),
        ("enqueue --delay ", []), ("what ", []), ("run --no-p", ["--no-progress"]),
    ],
)  # fmt: skip
def test_a_word_is_completed_by_what_it_stands_for(words, wanted, capsys):
    """Commands, options, values that are known beforehand; or what the shell is to complete."""
    complete(words.split(" "), "/nowhere", Screen())
    out = capsys.readouterr().out.splitlines()
    told = out[0] if out and "\t" not in out[0] else [line.partition("\t")[0] for line in out]
    assert told == wanted


@pytest.fixture
def spool(tmp_path):
    """A spool with a claim, a few names and keys; the terminal's PQ_SPOOL leads to it."""
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"", name="claimed.xml", priority=1)
    assert spool.claim(bound=False) is not None
    spool.enqueue(b"", name="report.xml", priority=2)
    spool.enqueue(b"", key="photos-of-spring", priority=7)
    spool.fail(spool.claim(bound=False), "HTTP 500", dead=True)
    return spool


@pytest.fixture(params=FILES)
def shell(request, terminal, tmp_path):
    """A terminal in which a shell has loaded its script as a package would install it."""
    name = request.param
    need_tool(name)
    script = SCRIPTS / FILES[name]
    screen = terminal(110, 30, HOME=str(tmp_path))
    start = {
        "bash": f"bash --norc --noprofile; PS1='$ '; . {script}",
        "zsh": f"zsh -f; PS1='$ '; fpath=({SCRIPTS} $fpath); autoload -U compinit;"
        f" compinit -u -d {tmp_path}/dump",
        "fish": f"fish --no-config; function fish_prompt; echo '$ '; end; source {script}",
    }[name].split("; ", 1)
    screen.type(start[0], "Enter")
    screen.type(start[1], "Enter")
    screen.type(f"cd {tmp_path}; clear; echo REA''DY", "Enter")
    screen.wait_for(lambda lines: "READY" in lines)
    return screen


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("bash", "bash --norc --noprofile"),
        ("zsh", "zsh -f"),
        ("zsh", "zsh -f; autoload -Uz compinit; compinit -u"),
        ("zsh", "zsh -f; . <(pq completion zsh); PROMPT='$ '"),
        ("fish", "fish --no-config"),
    ],
)
def test_a_line_in_the_rc_file_is_enough(terminal, spool, tmp_path, name, begin):
    """`eval "$(pq completion SHELL)"` works in a bare shell, and in zsh also after compinit."""
    need_tool(name)
    screen = terminal(110, 30, HOME=str(tmp_path))
    for line in begin.split("; "):
        screen.type(line, "Enter")
    read = "pq completion fish | source" if name == "fish" else f'eval "$(pq completion {name})"'
    screen.type(read, "Enter")
    screen.type("clear; echo REA''DY", "Enter")
    screen.wait_for(lambda lines: "READY" in lines)
    completed(screen, "pq retry ", "pq retry 2")
    completed(screen, "pq expl", "pq explain")


def completed(shell, typed, wanted, keys=("Tab",)):
    """Type, press Tab, and wait until `wanted` stands on the screen; then empty the line."""
    shell.type(typed, *keys)
    lines = shell.wait_for(lambda lines: any(wanted in line for line in lines))
    shell.type("", "C-u")
    shell.type("clear; echo REA''DY", "Enter")
    shell.wait_for(lambda now: "READY" in now and len(now) < 4)
    return lines


def test_commands_options_and_values_are_completed(shell, spool):
    """A command, a long option, a fixed value after a space and after `=`, a file, a key."""
    (Path(spool.path).parent / "measured.dat").touch()
    completed(shell, "pq expl", "pq explain")
    completed(shell, "pq ls --older", "pq ls --older-than")
    completed(shell, "pq ls --state fai", "pq ls --state failed")
    completed(shell, "pq enqueue --if-exists=rep", "--if-exists=replace")
    completed(shell, "pq enqueue measu", "pq enqueue measured.dat")
    completed(shell, "pq ls --key pho", "pq ls --key photos-of-spring")


def test_items_are_completed_with_a_description(shell, spool):
    """Claims for done, all items for show with state and name, dead letters for retry."""
    completed(shell, "pq done ", "pq done 1.1")
    completed(shell, "pq retry ", "pq retry 2")
    lines = completed(shell, "pq show ", "photos-of-spring", keys=("Tab", "Tab"))
    shown = "\n".join(lines)
    assert "active, priority 1, claimed.xml" in shown
    assert "failed, priority 2, report.xml" in shown


def test_the_spool_of_the_line_counts(shell, spool, tmp_path):
    """Items come from the spool that -s names, not from $PQ_SPOOL."""
    other = Spool(tmp_path / "other")
    for _ in range(4):
        other.enqueue(b"")
    other.hold(4)
    completed(shell, "pq retry -s other ", "pq retry -s other 4")


def answer(spool, *words):
    """Return what `pq __complete` prints, as (value, description)."""
    done = run("__complete", *words, PQ_SPOOL=spool.path)
    assert (done.returncode, done.stderr) == (0, "")
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def test_a_missing_spool_or_strange_words_complete_to_nothing(tmp_path):
    """Tab never fails, never makes a spool, and never prints an error into the line."""
    for words in (["rm", "x"], ["ls", "--key", ""], ["show", ""], ["what", "", "", "", ""]):
        done = run("__complete", *words, PQ_SPOOL=str(tmp_path / "none"))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words
    assert not (tmp_path / "none").exists()


def test_candidates_begin_with_what_was_typed_and_are_few(tmp_path):
    """Of many items only a hundred are offered, and of them only those that fit."""
    spool = Spool(tmp_path / "s")
    from pq_cli.queue.request import Request

    for _ in range(3):
        spool.enqueue_many([(b"", Request(priority=n % 10 + 1)) for n in range(500)])
    assert len(answer(spool, "show", "")) == 100
    assert [value for value, _ in answer(spool, "show", "1234")] == ["1234"]
    fitting = [value for value, _ in answer(spool, "rm", "14")]
    assert len(fitting) == 100
    assert all(value.startswith("14") for value in fitting)
    assert answer(spool, "done", "") == []


def test_keys_come_back_as_they_were_given(tmp_path):
    """Spaces, percent signs and letters of any script survive; control never reaches the shell."""
    spool = Spool(tmp_path / "s")
    keys = ["a b", "100%", ".hidden", "Übung", "日本"]
    for key in keys:
        spool.enqueue(b"", key=key)
    spool.enqueue(b"", key="x" * 200)
    spool.enqueue(b"", key="ü" * 100)
    told = [value for value, _ in answer(spool, "ls", "--key", "")]
    assert sorted(told) == sorted([*keys, "x" * 200])
    for option in ("--name", "--error"):  # patterns, too, but of what nobody can guess
        assert list(answer(spool, "ls", option, "")) == []
    removed = spool.remove(1)
    assert answer(spool, "undo", "")[0][0] == str(removed.id)


def test_completing_loads_no_more_than_the_options_of_one_command(spool):
    """`pq __complete` is quick: it imports one command, no parser, no rich and no event loop."""
    code = (
        "import sys, json\n"
        "from pq_cli import cli\n"
        "try: cli.main(['__complete', 'show', ''])\n"
        "except SystemExit: print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PQ_SPOOL": spool.path},
    )  # fmt: skip
    modules = json.loads(done.stdout.splitlines()[-1])
    assert "pq_cli.commands.complete" in modules
    assert not {"typer", "click", "rich", "asyncio", "tomllib"} & set(modules)
    loaded = {name.removeprefix("pq_cli.commands.") for name in modules if "pq_cli.comm" in name}
    assert loaded & set(COMMANDS) == {"show"}


def test_a_key_with_spaces_stays_one_word(shell, spool):
    """What is inserted is quoted as the shell needs it."""
    spool.enqueue(b"", key="my own key", name="the one with spaces")
    completed(shell, "pq ls --key my", "the one with spaces", keys=("Tab", "Enter"))
