"""Opening and making a spool: is it one, is it ours, is it safe to follow the path there."""

from __future__ import annotations

import os
import stat

from pq_cli.core.arguments import wrong
from pq_cli.core.item import printable
from pq_cli.core.policy import QueueConfig, valid_config
from pq_cli.errors import (
    CannotCreateError,
    ConfigError,
    NoSpoolError,
    PermissionDeniedError,
    UsageError,
)
from pq_cli.opened import beginning
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import SpoolLock
from pq_cli.spool.disk.spare import Spare
from pq_cli.spool.disk.state import SpoolState, new_state, read_state, write_state

_MOST_LINKS = 40
"""As many as Linux follows."""


def absolute(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a spool's folder.

    Raises UsageError for what is no path, or an empty one: that would mean the current folder,
    which nobody named.
    """
    text: object = path
    if not isinstance(path, str) and hasattr(path, "__fspath__"):
        text = path.__fspath__()
    if text == "":
        raise UsageError("--spool: give a directory; the path is empty")
    if not isinstance(text, str) or "\0" in text:
        raise wrong("path", path, "a directory")
    return os.path.abspath(text)


def check_path(path: str) -> None:
    """Raise PermissionDeniedError if a symbolic link in a world-writable folder leads to `path`.

    Anybody could have put it there, to make us write elsewhere. Links elsewhere are followed,
    and where they lead is looked at in the same way.
    """
    parts = absolute(path).split("/")[1:]
    walked, links = "/", 0
    while parts:
        part = parts.pop(0)
        parent, walked = walked, os.path.normpath(os.path.join(walked, part))
        try:
            info = os.lstat(walked)
            if not stat.S_ISLNK(info.st_mode):
                continue
            target, links = os.readlink(walked), links + 1
        except OSError:
            return
        if os.stat(parent).st_mode & stat.S_IWOTH:
            raise PermissionDeniedError(
                f"{printable(walked)} is a symbolic link in a world-writable folder: not followed"
            )
        if links > _MOST_LINKS:
            return  # opening it will say so
        parts = [part for part in target.split("/") if part] + parts
        walked = "/" if target.startswith("/") else parent


def opened(
    path: str | os.PathLike[str], config: QueueConfig | None, *, create: bool, lock_timeout: float
) -> tuple[str, SpoolState, QueueConfig]:
    """Return root, state and policy of a spool, which is made if it may be. Raises as below.

    config: instead of what its queue.toml says.
    """
    config = None if config is None else valid_config(config)
    root = absolute(path)
    state = make(root, lock_timeout) if create else open_state(root)
    return root, state, config or read_config(root)


def open_state(path: str) -> SpoolState:
    """Return the state of the spool at `path`.

    Raises NoSpoolError when there is none yet, CannotCreateError when something else is there.
    """
    check_path(path)
    try:
        state = read_state(path)
    except NotADirectoryError:
        raise CannotCreateError(f"{printable(path)} is not a directory") from None
    except PermissionError:
        raise PermissionDeniedError(
            f"{printable(path)}: permission denied; run pq as the owner of the spool,"
            " or name another with -s"
        ) from None
    if state is not None:
        return state
    try:
        found = os.listdir(path)
    except FileNotFoundError:
        raise NoSpoolError(
            f"there is no spool at {printable(path)}; `pq enqueue` or `pq init` makes one"
        ) from None
    if _foreign(found):
        raise CannotCreateError(
            f"{printable(path)} is not a pq spool: it holds {printable(_foreign(found)[0], 60)!r}"
        )
    raise NoSpoolError(f"the spool at {printable(path)} is not made yet; `pq init` makes it")


def _foreign(names: list[str]) -> list[str]:
    """Return the names that do not belong in a spool that is just being made."""
    return sorted(name for name in names if name not in layout.OURS)


def make(path: str, lock_timeout: float) -> SpoolState:
    """Make the spool at `path` unless it is there, durably; return its state.

    Its folder is 0700. `state.json` comes last: before it there is no spool. Safe against
    others who make it at the same time.
    """
    try:
        return open_state(path)
    except NoSpoolError:
        pass
    _make_root(path)
    disk = Disk(path, sync=True)
    lock = SpoolLock(f"{path}/{layout.LOCK}", lock_timeout)
    try:
        with lock:
            state = read_state(path)
            if state is None:
                for folder in layout.FOLDERS:
                    disk.make_dir(folder)
                Spare(disk).keep()
                state = new_state()
                write_state(disk, state)
            return state
    finally:
        lock.close()


def _make_root(path: str) -> None:
    missing = []
    parent = os.path.abspath(path)
    while not os.path.lexists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            continue
        except NotADirectoryError:
            raise CannotCreateError(f"{printable(path)}: a part of it is not a directory") from None
        Disk(os.path.dirname(folder), sync=True).sync_dir("")
    if not missing:
        os.chmod(path, 0o700)


def read_config(path: str) -> QueueConfig:
    """Return the policy in the spool's queue.toml, or the defaults when there is none.

    Raises ConfigError naming the file, the key and what is allowed.
    """
    text = read_policy(path)
    if not text:
        return QueueConfig()
    from pq_cli.queue.policytext import parse_policy  # start-up: most spools have no queue.toml

    return parse_policy(text, f"{path}/{layout.CONFIG}")


def read_policy(path: str) -> str:
    """Return the text of the spool's queue.toml, empty when there is none. Raises ConfigError."""
    file_name = f"{path}/{layout.CONFIG}"
    try:
        if not stat.S_ISREG(os.lstat(file_name).st_mode):
            raise ConfigError(f"{file_name} is a link or no regular file: not followed")
        text = beginning(file_name, 1_000_001)
    except FileNotFoundError:
        return ""
    if len(text) > 1_000_000:
        raise ConfigError(f"{file_name} is over 1 MB")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file_name}: {printable(str(error))}") from None
