"""The wheel installs man pages and completions where the systems look for them."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_every_page_and_script_in_its_place():
    """No page and no script is forgotten, none is gone, each goes where man and shell look."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        build = tomllib.load(file)["tool"]["hatch"]["build"]
    wanted = {
        "pq_cli/completions/pq.bash": "share/bash-completion/completions/pq",
        "pq_cli/completions/_pq": "share/zsh/site-functions/_pq",
        "pq_cli/completions/pq.fish": "share/fish/vendor_completions.d/pq.fish",
    }
    for page in (ROOT / "man").iterdir():
        wanted[f"man/{page.name}"] = f"share/man/man{page.suffix[1:]}/{page.name}"
    assert build["targets"]["wheel"]["shared-data"] == wanted
    assert all((ROOT / name).is_file() for name in wanted)
