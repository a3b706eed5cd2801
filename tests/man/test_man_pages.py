"""The man pages say what the code does: options, statuses, fields and examples, both ways."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support import need_tool

from pq_cli import QueueConfig, Spool, errors
from pq_cli.commands.table import COMMANDS, load
from pq_cli.core.events import EVENTS
from pq_cli.core.item import Holder
from pq_cli.core.policy import config_from
from pq_cli.worker.events import SHARED

MAN = Path(__file__).parents[2] / "man"
PAGES = sorted(MAN.glob("*.[1-8]"))
OUTSIDE_THE_TABLE = {0, 70, 130, 141, 143}
"""Statuses that no error class has: done, a fault in pq itself, and signals."""


DRAWING = {"age", "check", "doctor", "log", "ls", "show", "stats", "undo", "workers"}
"""Commands that draw with colours on a terminal."""


def page(name):
    """Return the source of a page."""
    return (MAN / name).read_text(encoding="utf-8")


def page_options(name):
    """Return the options that a page explains: those in the heads of its lists."""
    heads = [line for line in page(name).splitlines() if line.startswith(".It Fl ")]
    return {"-" + option for head in heads for option in re.findall(r"Fl (\S+)", head)}


def options_of(command):
    """Return the options that a command has, without -h/--help, which pq(1) explains."""
    params = load(command).params
    found = {o for p in params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")}
    return found - {"-h", "--help"}


def help_of(command):
    """Return what `pq help COMMAND` prints."""
    run = [sys.executable, "-m", "pq_cli", "help", command]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_explains_exactly_the_options_that_there_are(command):
    """Every option stands in the page and in --help, and neither has one that does not exist."""
    options = options_of(command)
    assert page_options(f"pq-{command}.1") == options
    shown = set(
        re.findall(r"(?<![\w-])--?[a-zA-Z0-9][\w-]*", help_of(command).split("Options:")[1])
    )
    assert options <= shown
    synopsis = page(f"pq-{command}.1").split(".Sh SYNOPSIS")[1].split(".Sh ")[0]
    named = {"-" + option for option in re.findall(r"Fl (\S+)", synopsis)} - {"--"}
    assert named <= options
    for parameter in load(command).params:
        if parameter.opts[0].startswith("-") and parameter.name != "help":
            assert named & set(parameter.opts), f"the synopsis lacks {parameter.opts}"


@pytest.mark.parametrize("command", COMMANDS)
def test_page_and_table_name_the_command_alike(command):
    """The line in NAME, the line in pq(1) and the line in `pq help` say the same."""
    name_line = re.search(r"^\.Nd (.*)$", page(f"pq-{command}.1"), re.M)
    wanted = COMMANDS[command]
    assert name_line is not None
    assert name_line[1] == wanted.replace("`", "")
    in_pq1 = page("pq.1").split(f".It Cm {command}\n")[1].split("\n.It ")[0].split("\n.El")[0]
    words = re.sub(r"^\.Ql ", "", in_pq1, flags=re.M).replace('"', "").replace("\n", " ")
    assert words.rstrip(" .").lower() == wanted.replace("`", "").lower()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_names_the_environment_and_has_examples(command):
    """PQ_SPOOL stands where there is -s, NO_COLOR where a terminal gets columns."""
    text = page(f"pq-{command}.1")
    assert ("\n.It Ev PQ_SPOOL\n" in text) == ("--spool" in options_of(command))
    assert ("\n.It Ev NO_COLOR " in text) == (command in DRAWING)
    assert "\n.Sh EXAMPLES\n" in text


def test_every_page_belongs_to_something_that_exists():
    """There is no page for a command that is gone, and pq(1) refers to every other page."""
    pages = {path.name for path in PAGES}
    others = {
        "pq.1",
        "pq-queue.toml.5",
        "pq-spool.5",
        "pq-drop.7",
        "pq-postgres.7",
        "pq-priority.7",
    }
    assert pages == {f"pq-{command}.1" for command in COMMANDS} | others
    see_also = page("pq.1").split(".Sh SEE ALSO")[1]
    referred = {".".join(found) for found in re.findall(r"\.Xr (\S+) (\d)", see_also)}
    assert referred == pages - {"pq.1"}
    listed = re.findall(r"^\.It Cm (\S+)$", page("pq.1"), re.M)
    assert listed == list(COMMANDS)


def test_what_a_spool_holds_stands_in_its_page(tmp_path):
    """Every name in a meta and in state.json is there, and which of them a claim overwrites."""
    spool = Spool(tmp_path / "spool")
    spool.enqueue(b"x", after=[spool.enqueue(b"y").id])
    spool.pause()
    item = spool.get(1)
    text = Path(f"{item.path}.meta.json").read_text(encoding="utf-8")
    state = json.loads(Path(spool.path, "state.json").read_text(encoding="utf-8"))
    lines = re.findall(r"^\.(?:Li|It Li|Pq Li) (.*)$", page("pq-spool.5"), re.M)
    named = {word for line in lines for word in re.findall(r"[a-z_]+", line)}
    assert {*json.loads(text), *Holder.FIELDS, *state} <= named
    second = page("pq-spool.5").split("The second has")[1].split(".Pq Li ")[1].split("\n")[0]
    assert second.split(" , ") == list(json.loads("{" + text.splitlines()[1].lstrip(",")))


@pytest.mark.parametrize("name", ["pq-run.1", "pq-spool.5"])
def test_how_long_an_end_waits_for_its_sync_is_told(name):
    """What a power loss may run again is what has ended in so many milliseconds."""
    assert f"at most {SHARED * 1000:.0f} milliseconds" in page(name)


def test_every_reference_leads_to_a_page():
    """What a page refers to is one of ours, or one of the system's that we name here."""
    ours = {path.name for path in PAGES}
    system = {"flock.2", "fsync.2", "rename.2", "syncfs.2"}
    for path in PAGES:
        for found in re.findall(r"^\.Xr (\S+) (\d)", path.read_text(encoding="utf-8"), re.M):
            assert ".".join(found) in ours | system, f"{path.name} refers to {found}"


def statuses(name):
    """Return {status: text} of the section EXIT STATUS of a page."""
    section = page(name).split(".Sh EXIT STATUS")[1].split("\n.Sh ")[0]
    found = {}
    for head, text in re.findall(r"^\.It ([\d ,]+)\n(.*?)(?=^\.It|^\.El)", section, re.M | re.S):
        words = re.sub(r"^\.(?:Ql|Ar|Xr|Pa) ", "", text, flags=re.M)
        for number in re.findall(r"\d+", head):
            found[int(number)] = " ".join(words.split())
    return found


def test_the_exit_statuses_are_those_of_the_code():
    """pq(1) has the table of errors.py, number by number and word by word, and nothing else."""
    table = dict(errors.exit_table())
    told = statuses("pq.1")
    assert set(told) == set(table) | OUTSIDE_THE_TABLE
    for number, meaning in table.items():
        assert told[number].replace(" ,", ",").replace('"', "") == meaning.replace("`", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_page_lists_only_statuses_that_exist(command):
    """A command's page names 0, 2 and others of the table."""
    told = set(statuses(f"pq-{command}.1"))
    assert {0, 2} <= told <= {number for number, _ in errors.exit_table()} | OUTSIDE_THE_TABLE


def test_the_fields_and_defaults_of_queue_toml_are_those_of_the_code():
    """pq-queue.toml(5) has every field once, with its default, and no field that is gone."""
    heads = re.findall(r"^\.It Li (.*)$", page("pq-queue.toml.5"), re.M)
    text = "\n".join(head.replace("\\(dq", '"') for head in heads)
    values = tomllib.loads(text)
    assert sorted(values) == sorted(QueueConfig.FIELDS)
    assert config_from(values, "pq-queue.toml.5") == QueueConfig()


def test_the_events_of_the_log_are_those_of_the_code():
    """pq-log(1) names every event once, and none that cannot happen."""
    text = page("pq-log.1").split("Events are\n")[1].split(".Pp")[0]
    assert re.findall(r'^\.Ql "(\w+)"', text, re.M) == list(EVENTS)


def literal_blocks(text):
    """Return the literal blocks of a page as a person reads them."""
    blocks = re.findall(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed$", text, re.M | re.S)
    return [block.replace("\\e", "\\").replace("\\(dq", '"').replace("\\&", "") for block in blocks]


def test_the_example_of_queue_toml_is_accepted():
    """What the page shows can be copied."""
    [block] = literal_blocks(page("pq-queue.toml.5"))
    assert config_from(tomllib.loads(block), "example").max_priority_boost == 9


EXAMPLES = [block for block in literal_blocks(page("pq-priority.7")) if block.startswith("$ ")]


def test_pq_priority_has_examples():
    """The extractor finds them: an empty list would pass every test below."""
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.split("\n")[0][2:40])
def test_the_examples_of_pq_priority_come_out_as_printed(tmp_path, block):
    """Each command of an example is run in a shell, in turn; its output is what the page shows."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env = {**os.environ, "PATH": path, "PQ_SPOOL": str(tmp_path / "spool"), "LC_ALL": "C.UTF-8"}
    commands: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], ""))
        else:
            command, output = commands[-1]
            commands[-1] = (command, output + line + "\n")
    for command, wanted in commands:
        done = subprocess.run(
            ["sh", "-c", command], env=env, capture_output=True, text=True, timeout=60
        )
        printed = done.stdout + done.stderr
        ended = printed if not printed or printed.endswith("\n") else printed + "\n"
        assert ended == wanted, command


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_mandoc_finds_nothing_wrong(path):
    """Every page is clean mdoc."""
    mandoc = need_tool("mandoc")
    done = subprocess.run(
        [mandoc, "-T", "lint", "-W", "warning", str(path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_literal_ends_with_its_line():
    """What is quoted goes to the end of the line: `No` or another `Ql` there would stand in it."""
    for path in MAN.iterdir():
        assert not re.findall(r"^\.(?:.* )?Ql .*\b(?:No|Ql) .*", path.read_text(), re.M), path


def test_man_shows_a_page(tmp_path):
    """`man pq-enqueue` finds the page where the wheel puts it, and renders it."""
    man = need_tool("man")
    (tmp_path / "man1").mkdir()
    shutil.copy(MAN / "pq-enqueue.1", tmp_path / "man1")
    env = {**os.environ, "MANPATH": str(tmp_path), "MANWIDTH": "78", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([man, "pq-enqueue"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "EXIT STATUS" in re.sub(".\b", "", done.stdout)
