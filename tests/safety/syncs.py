"""What strace sees of a command: how often it waits for the disk, and whether others do with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

SYNCS = ("fsync", "fdatasync", "syncfs", "sync", "sync_file_range", "msync")


class Trace:
    """What strace saw of one command: syncs, folders made, and syncs by the thread with the lock.

    check: whether it must end with status 0. more: a call that is to be in the `text`, too.
    """

    def __init__(
        self, root: Path, arguments: list[str], stdin: bytes = b"x", *, check: bool = True,
        more: str = "flock",
    ) -> None:  # fmt: skip
        log = root.parent / "strace.log"
        calls = ",".join((*SYNCS, "mkdir", "flock", more))
        command = ["strace", "-f", "-y", "-o", str(log), f"--trace={calls}"]
        command += [sys.executable, "-m", "pq_cli", *arguments]
        subprocess.run(
            command, input=stdin, check=check, timeout=60, stdout=subprocess.DEVNULL,
            env={**os.environ, "PQ_SPOOL": str(root)},
        )  # fmt: skip
        self.syncs = self.made = self.under_the_lock = 0
        self.text = log.read_text(errors="replace")
        holders = set()
        for line in self.text.splitlines():
            match = re.match(r"(\d+) +(\w+)\((.*)", line)
            if match is None:
                continue
            thread, call, rest = match.groups()
            if call == "flock" and f"{root}/lock>" in rest:
                if "LOCK_UN" in rest:
                    holders.discard(thread)
                elif "LOCK_EX" in rest and rest.endswith("= 0"):
                    holders.add(thread)
            elif call == "mkdir":
                self.made += rest.endswith("= 0") and f"{root}/" in rest
            elif call in SYNCS:
                self.syncs += 1
                self.under_the_lock += thread in holders


def past() -> float:
    """Return a time at which what was put off for some minutes is due by now."""
    return time.time() - 1000
