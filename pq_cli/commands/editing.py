"""A text in somebody's editor: what they wrote is kept until it was taken."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

from pq_cli.core.item import printable
from pq_cli.errors import CommandFailedError, PqError, UsageError
from pq_cli.screen import Screen
from pq_cli.worker.contract import not_runnable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def edited(text: str, name: str, take: Callable[[str], None], screen: Screen) -> bool:
    """Let a person edit a text and `take` what they make of it; False: they left it as it was.

    name: of the file that the editor is given. take: raises a PqError for what it does not take;
    then a person on a terminal is asked whether to edit it again, and what they wrote is kept in a
    file that the error names. Raises what `take` raised last, CommandFailedError,
    CommandNotFoundError, NotExecutableError, UsageError for an $EDITOR that is no command line.
    """
    folder = tempfile.mkdtemp(prefix="pq-edit-")  # the editor may leave files beside
    path = os.path.join(folder, name)
    _write(path, text)
    keep = False
    try:
        while True:
            _edit(path)
            keep, now = True, _read(path)
            if now is not None and now == text:
                keep = False
                return False
            try:
                if now is None:
                    raise UsageError(f"{name}: what was written is no text in UTF-8")
                take(now)
            except (PqError, OSError) as error:
                if not isinstance(error, UsageError) or not _again(error, screen):
                    screen.warn(f"nothing was changed; what you wrote is in {path}")
                    raise
                continue
            keep = False
            return True
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _edit(path: str) -> None:
    """Run the editor to its end. It has the terminal: Ctrl-C is for it to heed, not for us."""
    said = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        argv = shlex.split(said)
    except ValueError as error:
        raise UsageError(f"$VISUAL or $EDITOR {printable(said)!r}: {error}") from None
    if not argv:
        raise UsageError("$VISUAL or $EDITOR is empty: EDITOR=vi")
    try:
        process = subprocess.Popen([*argv, path])
    except OSError as error:
        raise not_runnable(argv[0], error) from None
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        raise CommandFailedError(
            f"{printable(argv[0])} ended with status {status}: nothing was changed"
        )


def _again(error: PqError, screen: Screen) -> bool:
    """Tell whether there is somebody who wants to edit it once more."""
    if sys.stdin is None or not (os.isatty(0) and os.isatty(2)):
        return False
    screen.warn(error)
    os.write(2, b"Edit it again? [Y/n] ")
    answer = sys.stdin.readline()
    return bool(answer) and not answer.strip().lower().startswith("n")


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8", newline="", opener=_private) as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: str) -> str | None:
    with open(path, "rb") as file:  # by its name: many editors put another file in its place
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            return None
