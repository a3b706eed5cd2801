"""Which programs are called `pq` on this machine: other projects have that name, too."""

from __future__ import annotations

import os
import sys
import zipfile

from pq_cli.core.shellwords import typed

OURS = b"pq_cli"
"""Stands in every script that an installer writes for pq, and in what `pq.pyz` is made of."""
_MOST = 64 * 1024


def programs() -> list[tuple[str, bool]]:
    """Return (path, whether it is this project's) of every `pq` on PATH, the one that runs first.

    One file that several folders lead to is told once.
    """
    found: dict[str, tuple[str, bool]] = {}
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or ".", "pq")
        if os.path.isfile(path) and os.access(path, os.X_OK):
            found.setdefault(os.path.realpath(path), (path, is_ours(path)))
    return list(found.values())


def is_ours(path: str) -> bool:
    """Tell whether a program is pq; one that may not be read is taken for another."""
    try:
        with open(path, "rb") as file:
            if OURS in file.read(_MOST):
                return True
        with zipfile.ZipFile(path) as archive:
            return "pq_cli/__init__.py" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def what_to_type() -> str:
    """Return what runs this pq at a shell, wherever `pq` leads."""
    started = os.path.abspath(sys.argv[0])
    for path in [started, *(path for path, ours in programs() if ours)]:
        if os.access(path, os.X_OK) and is_ours(path):
            return typed([path])
    return typed([sys.executable, "-m", "pq_cli"])
