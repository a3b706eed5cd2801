"""What `pq doctor` says of a spool's folder: whose it is, on what it lies, who holds its lock."""

from __future__ import annotations

import os
import stat

from pq_cli.core.insight.fact import Fact
from pq_cli.core.insight.words import counted, human_size, lie_in_quarantine
from pq_cli.host import user_name
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.lock import is_locked
from pq_cli.spool.files import Files
from pq_cli.spool.quarantine import count_asides

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DOUBTFUL = frozenset(("nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "9p", "fuse.sshfs"))
"""File systems that may break what pq-spool(5) assumes about locks, renames or syncs."""
_LITTLE, _FEW = 100 * 1024 * 1024, 1000


def facts(files: Files) -> Iterator[Fact]:
    """Yield what should be known of the folder. Looks only."""
    info = os.stat(files.root)
    owner = user_name(info.st_uid)
    mine = os.geteuid() in (info.st_uid, 0)
    yield Fact(
        name="owner",
        value=f"{owner}, mode {stat.S_IMODE(info.st_mode):04o}",
        wrong=None if mine else f"it is not yours: you may look, {owner} may change it",
    )
    kind = _file_system(files.root)
    doubt = "see ASSUMPTIONS in pq-spool(5); a local file system is safer"
    yield Fact(name="file system", value=kind, wrong=doubt if kind in _DOUBTFUL else None)
    disk = os.statvfs(files.root)
    free = disk.f_bavail * disk.f_frsize
    full = "the disk is nearly full" if free < _LITTLE else None
    if disk.f_files and disk.f_favail < _FEW:  # some file systems have no number of them
        full = "the disk has nearly no inodes left: `df -i`"
    yield Fact(name="free", value=human_size(free), wrong=full)
    held = is_locked(f"{files.root}/{layout.LOCK}")
    yield Fact(name="lock", value="held by somebody just now" if held else "free")
    aside = count_asides(files.reader)
    wrong = lie_in_quarantine(aside) if aside else None
    yield Fact(name="quarantine", value=counted(aside, "thing") if aside else "empty", wrong=wrong)


def _file_system(path: str) -> str:
    """Return the type of the file system that holds `path`, or "unknown"."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                fields, _, rest = line.partition(" - ")
                if fields.split()[2] == wanted:
                    return rest.split()[0]
    except (OSError, IndexError):
        pass
    return "unknown"
