"""Whether a folder of the spool is a folder: no symbolic link inside a spool is ever followed."""

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
