"""`pq.pyz`: the whole of pq in one file, which a bare Python runs."""

from __future__ import annotations

import ast
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import HANG, Ran, wait_until

from pq_cli import __version__
from pq_cli.commands.completion import SHELLS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "release" / "pyz.py"


def make(target):
    """Make a pq.pyz as a release does."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(target)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The pq.pyz of this tree."""
    return make(tmp_path_factory.mktemp("pyz") / "pq.pyz")


def bare(file, folder, *words):
    """Return the argument vector and environment of a Python that has no packages at all."""
    env = {"PATH": os.defpath, "HOME": str(folder), "PQ_SPOOL": str(folder / "spool")}
    return [sys._base_executable, "-I", "-S", str(file), *words], env


@pytest.fixture
def pyz(file, tmp_path):
    """A function that runs the file on a bare Python, on a spool of its own."""

    def run(*words, stdin="", expect=0):
        argv, env = bare(file, tmp_path, *words)
        done = subprocess.run(
            argv, env=env, input=stdin, capture_output=True, text=True, timeout=HANG
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == expect, done.stderr
        return Ran(done.stdout.encode(), done.stderr, done.returncode)

    return run


def test_it_does_pq_s_work_on_a_bare_python(pyz, tmp_path):
    """In, a look, out, the log: with no package installed; nothing is unpacked or written."""
    assert pyz("--version").text == f"pq {__version__}\n"
    pyz("enqueue", "--lines", "-p", "8", stdin="one\ntwo\n")
    pyz("enqueue", "-p", "2", "--name", "live", stdin="live\n")
    assert [line.split("\t")[0] for line in pyz("ls").text.splitlines()] == ["3", "1", "2"]
    assert pyz("run", "--", "cat").text == "live\nonetwo"
    assert '"event":"done"' in pyz("log", "--json").text.replace(" ", "")
    assert "DONE/h" in pyz("stats").text
    assert "3" in pyz("stats", "--json").text
    assert {path.name for path in tmp_path.iterdir()} == {"spool"}


def test_it_brings_its_scripts_and_its_manual(pyz):
    """Completion scripts come out of the file, and so does the help of each command."""
    for shell, script in SHELLS.items():
        wanted = (ROOT / "pq_cli" / "completions" / script).read_text()
        assert pyz("completion", shell).text == wanted.rstrip("\n") + "\n"
    assert "--priority" in pyz("help", "enqueue").text


def test_doctor_finds_nothing_wrong_with_it(pyz):
    """What is left out on purpose is told, and is no fault."""
    facts = dict(line.split("\t", 1) for line in pyz("doctor").text.splitlines())
    assert facts["orjson"] == "none: the standard library reads JSON"
    assert facts["pq"].endswith("pq.pyz/pq_cli")


def test_a_killed_worker_leaves_no_command_behind(file, tmp_path):
    """The guard starts out of the file, too: SIGKILL of `run` ends what it had started."""
    pid = tmp_path / "pid"
    argv, env = bare(file, tmp_path, "enqueue")
    subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, check=True, capture_output=True)
    work = f"echo $$ > {pid}.tmp && mv {pid}.tmp {pid} && exec sleep 1000"
    argv, env = bare(file, tmp_path, "run", "--", "sh", "-c", work)
    with subprocess.Popen(argv, env=env) as worker:
        wait_until(pid.exists, "the command runs")
        worker.send_signal(signal.SIGKILL)
    running = Path(f"/proc/{pid.read_text().strip()}/cmdline")
    wait_until(lambda: not running.exists() or not running.read_bytes(), "the command is gone")


def test_an_older_python_is_told_what_is_needed():
    """The first lines can be read by any Python 3, and say what to type."""
    start = runpy.run_path(str(SCRIPT))["MAIN"]
    ast.parse(start, feature_version=(3, 4))
    faked = f"import sys\nsys.version_info = (3, 9, 2)\nexec({start!r})"
    done = subprocess.run([sys.executable, "-c", faked], capture_output=True, text=True)
    assert done.returncode == 1
    assert "this is Python 3.9, pq.pyz needs 3.11 or later" in done.stderr


def test_the_same_tree_makes_the_same_file(file, tmp_path):
    """A release can be made again by whoever wants to check it: byte for byte."""
    assert make(tmp_path / "again.pyz").read_bytes() == file.read_bytes()
