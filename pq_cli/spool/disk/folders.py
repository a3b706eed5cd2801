"""Whether a folder of a spool is one, for no link inside is ever followed; and whose it is."""

from __future__ import annotations

import os
import stat


class Folders:
    """The folders of one spool that were looked at; each is looked at once by a process.

    known: those that were found to be folders; callers on a hot path ask it first.

    Guards against a spool that came with links in it, not against its owner changing it under
    our hands: who may write in a spool may do with it what he likes.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self.known = {""}

    def is_real(self, folder: str) -> bool:
        """Tell whether no part of `folder` (relative) is anything but a folder, or missing."""
        if folder in self.known:
            return True
        if not self.is_real(os.path.dirname(folder)):
            return False
        try:
            info = os.lstat(f"{self._root}/{folder}")
        except (FileNotFoundError, NotADirectoryError):
            return True
        if stat.S_ISDIR(info.st_mode):
            self.known.add(folder)
            return True
        return False


def owner_to_keep(root: str) -> tuple[int, int] | None:
    """Return (uid, gid) that new files get when root works in somebody else's spool, else None."""
    if os.geteuid() != 0:
        return None
    info = os.stat(root)
    return (info.st_uid, info.st_gid) if info.st_uid else None
