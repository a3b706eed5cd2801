"""Who may know whom, and who may write: held by the import graph and the syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pq_cli

PACKAGE = Path(pq_cli.__file__).parent
ROOT = Path(__file__).parents[1]
WRITES = {"rename", "replace", "renames", "unlink", "remove", "rmdir", "fsync", "fdatasync", "sync",
          "link", "symlink", "truncate", "ftruncate", "write", "pwrite", "writev"}  # fmt: skip


def test_imports_go_only_downwards():
    """The contract in pyproject.toml is kept: layers, and where typer, rich and files may be."""
    code = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "8 kept, 0 broken" in done.stdout


def os_calls(path):
    """Return the names of the functions of `os` that a file mentions."""
    nodes = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute))
    return {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "os"}


def imported(path):
    """Return the top names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_one_file_chooses_how_json_is_read_and_written():
    """Only core/jsonio.py knows the libraries; so nobody's number is lost by another choice."""
    found = {p.name for p in PACKAGE.rglob("*.py") if {"json", "orjson"} & set(imported(p))}
    assert found == {"jsonio.py"}


def test_one_file_makes_a_parser_of_what_commands_declare():
    """Only commands/typed.py knows typer; so no command can declare an option a second time."""
    found = {p.name for p in PACKAGE.rglob("*.py") if {"typer", "click"} & set(imported(p))}
    assert found == {"typed.py"}


def test_stdout_is_the_screens():
    """Only screen.py has sys.stdout in its hands, and nobody sys.stderr: it is handed in."""
    found = {
        p.name
        for p in PACKAGE.rglob("*.py")
        for n in ast.walk(ast.parse(p.read_text()))
        if isinstance(n, ast.Attribute) and n.attr in ("stdout", "stderr")
        if isinstance(n.value, ast.Name) and n.value.id == "sys"
    }
    assert found == {"screen.py"}


def test_one_file_writes_syncs_renames_and_unlinks():
    """In spool/ only durable.py does; so the order of writes can be read in one place."""
    found = {p.name for p in (PACKAGE / "spool").rglob("*.py") if os_calls(p) & WRITES}
    assert found == {"durable.py"}


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")
}


def modules_used(path):
    """Return the modules of the package that a file imports, also only for types."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pq_cli"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from {n for n in names if n in MODULES} or {node.module}


def test_no_modules_know_each_other_in_a_circle():
    """Each file can be read after those that it uses, what it imports for types included."""
    rooms = (name for name in MODULES if not name.startswith("pq_cli.queue."))
    uses = {name: set(modules_used(MODULES[name])) for name in rooms}
    TopologicalSorter(uses).prepare()  # raises CycleError, which names them


def test_one_file_spells_the_names_of_items_and_folders():
    """Zero-padded numbers are written in layout.py alone (and in the record that is `counter`)."""
    padded = {
        path.name
        for path in (PACKAGE / "spool").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None
        if re.search("'0[0-9]+d'", ast.unparse(node.format_spec))
    }
    assert padded == {"layout.py", "state.py"}
