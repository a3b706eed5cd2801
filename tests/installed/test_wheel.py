"""The wheel installs what a package of the system would, where it would, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pq_cli import __version__
from pq_cli.commands.table import COMMANDS

ROOT = Path(__file__).parents[2]
PLACES = (
    r"bin/pq",
    r"share/man/man(\d)/pq[\w.-]*\.\1",
    r"share/bash-completion/completions/pq",
    r"share/zsh/site-functions/_pq",
    r"share/fish/vendor_completions\.d/pq\.fish",
    r"lib/pq_cli/(?:[a-z_]+/)*[a-z_0-9]+\.py",
    r"lib/pq_cli/py\.typed",
    r"lib/pq_cli/completions/(?:pq\.bash|_pq|pq\.fish)",
    r"lib/pq_cli-[\d.]+\.dist-info/(?:METADATA|WHEEL|RECORD|INSTALLER|REQUESTED|direct_url\.json)",
    r"lib/pq_cli-[\d.]+\.dist-info/(?:entry_points\.txt|licenses/LICENSE)",
)
"""Where a file of pq may be, below a prefix; lib stands for the folder of Python's packages."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    make = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def prefix(wheel, tmp_path_factory):
    """A folder into which pip has installed the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("prefix")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    words = ["--no-deps", "--no-index", "--no-compile", "--ignore-installed", "--prefix"]
    subprocess.run([*pip, *words, str(folder), str(wheel)], check=True)
    return folder


def installed(prefix):
    """Return {place: path} of every file below the prefix."""
    files = [path for path in prefix.rglob("*") if not path.is_dir()]
    return {
        re.sub(r"^lib/python[\d.]+/site-packages/", "lib/", str(path.relative_to(prefix))): path
        for path in files
    }


def test_every_file_is_where_such_files_belong(prefix):
    """Programs, manuals, completions, the package, its licence: there is no stray file."""
    strays = [
        place for place in installed(prefix) if not any(re.fullmatch(p, place) for p in PLACES)
    ]
    assert strays == []


def test_what_belongs_to_a_package_is_there(prefix):
    """A manual for the program and each command, completions for three shells, the licence."""
    places = set(installed(prefix))
    manuals = {f"share/man/man{page.suffix[1:]}/{page.name}" for page in (ROOT / "man").iterdir()}
    assert {f"share/man/man1/pq-{command}.1" for command in COMMANDS} <= manuals <= places
    wanted = {
        "bin/pq",
        f"lib/pq_cli-{__version__}.dist-info/licenses/LICENSE",
        "lib/pq_cli/py.typed",
    }
    assert wanted <= places
    assert sum(place.startswith("share/") for place in places) == len(manuals) + 3


def test_modes_are_those_of_a_package(prefix):
    """Only the program may be run, everybody may read, nothing is a link, nobody else may write."""
    for place, path in installed(prefix).items():
        assert not path.is_symlink(), place
        mode = path.stat().st_mode & 0o777
        assert mode & 0o022 == 0, f"{place}: {mode:o}"
        assert bool(mode & 0o111) == (place == "bin/pq"), f"{place}: {mode:o}"


def test_the_modules_are_those_of_the_tree(wheel):
    """No module is missing from the wheel, and none is in it that is gone from the tree."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("pq_cli/")}
    tree = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pq_cli").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == tree
