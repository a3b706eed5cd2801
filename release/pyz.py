"""Make `pq.pyz`: pq and all that it needs in one file, for any machine with Python 3.11 or later.

    .venv/bin/pip install -q packaging && .venv/bin/python release/pyz.py dist/pq.pyz

What goes in is what is installed beside the Python that runs this: so what was tested is what is
shipped. It is a plain zip that Python runs as it is: nothing is unpacked, no folder is written, and
it runs on every processor, because nothing in it is compiled for one. So orjson stays out; pq reads
its log with the standard library then. Beside each module lies what this version of Python makes of
it; another version takes the source, and starts more slowly.
"""

from __future__ import annotations

import importlib.util
import marshal
import sys
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {"orjson"}
"""Compiled, and not needed."""
COMPILED = {".so", ".pyd"}
NOBODYS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
"""Files about the installation here, not about the package."""
SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = """\
import sys

if sys.version_info < (3, 11):
    have = "%d.%d" % sys.version_info[:2]
    sys.exit("pq: this is Python %s, pq.pyz needs 3.11 or later: `python3.11 pq.pyz`" % have)
from pq_cli.cli import main

main()
"""


def needed(name: str, found: dict[str, metadata.Distribution]) -> None:
    """Add a package and all that it needs, by name."""
    if name in found or name in LEFT_OUT:
        return
    found[name] = metadata.distribution(name)
    for line in found[name].requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(canonicalize_name(requirement.name), found)


def contents() -> dict[str, bytes]:
    """Return what goes in: name in the zip -> bytes."""
    found: dict[str, metadata.Distribution] = {}
    needed("pq-cli", found)
    files = {"__main__.py": MAIN.encode()}
    for package in found.values():
        for file in package.files or ():
            name = PurePosixPath(file)
            elsewhere = ".." in name.parts or name.is_absolute() or "__pycache__" in name.parts
            if elsewhere or name.name in NOBODYS or name.suffix == ".pth":  # a link to this tree
                continue
            if name.suffix in COMPILED:
                raise SystemExit(f"{name} is compiled: pq.pyz would run on machines like this only")
            files[str(name)] = Path(str(file.locate())).read_bytes()
    for path in (ROOT / "pq_cli").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            files[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    return files


def compiled(name: str, source: bytes) -> bytes:
    """Return a module as this Python reads it, without a look at the source's time."""
    code = compile(source, name, "exec", dont_inherit=True)
    unchecked = (1).to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + unchecked + bytes(8) + marshal.dumps(code)


def write(target: Path) -> None:
    """Write the file: the same bytes from the same contents."""
    files = contents()
    sources = {name: data for name, data in files.items() if name.endswith(".py")}
    files |= {f"{name}c": compiled(name, data) for name, data in sources.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(files):
                member = zipfile.ZipInfo(name)  # of 1980: the time of making it is nobody's matter
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, files[name])
    target.chmod(0o755)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python release/pyz.py FILE")
    write(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: {Path(sys.argv[1]).stat().st_size:,} bytes")
