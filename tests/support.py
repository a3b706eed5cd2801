"""Helpers that tests of every area share."""

from __future__ import annotations

import os
import shutil

import pytest


def need_tool(name: str) -> str:
    """Return the path of a tool; without it skip, but fail where CI is set."""
    found = shutil.which(name)
    if found is not None:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{name} is missing; .ci/run installs it")
    return pytest.skip(f"{name} is not installed")
