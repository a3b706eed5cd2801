"""What was said of files that stay in the drop box, so that it is said once and not at every run.

`imports/left` holds a line for each: 32 hexadecimal digits, a digest of its name, of the file as it
is, and of why it stays. Derived and never synced: without it, it is said again.
"""

from __future__ import annotations

import os

from pq_cli.core.origin import digest
from pq_cli.opened import beginning
from pq_cli.spool.disk import layout
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = f"{layout.IMPORTS}/left"
_MOST_BYTES = 16 * 1024 * 1024


class Told:
    """What was said of the drop box of one spool, by whichever process."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: set[bytes] = set()

    def unsaid(self, lines: Iterable[bytes], *, all_of_them: bool) -> set[bytes]:
        """Return those of the lines (see `line`) that were not said, and hold all for said.

        all_of_them: the lines tell of every file that stays, so others can be forgotten. Takes the
        lock itself, so that two processes do not say the same.
        """
        now = set(lines)
        if now <= self._known:
            return set()
        with self._files:
            before = self._read()
            known = now if all_of_them else now | before
            if now - before:
                self._write(known)
        self._known = known
        return now - before

    def _read(self) -> set[bytes]:
        try:
            return set(beginning(f"{self._files.root}/{PATH}", _MOST_BYTES).split())
        except OSError:
            return set()

    def _write(self, lines: set[bytes]) -> None:
        disk, text = self._files.disk, b"".join(line + b"\n" for line in sorted(lines))
        try:
            disk.make_dir(layout.IMPORTS)
            disk.replace(layout.tmp_name("left"), PATH, text, sync=False)
        except OSError:
            pass  # a full disk: it will be said again


def line(name: str, info: os.stat_result, why: str) -> bytes:
    """Return what stands for saying of this file why it stays."""
    return digest(f"{name}\0{info.st_ino}\0{info.st_ctime_ns}\0{why}")
