"""What the guard runs; see guard.py. A script of its own, so that it starts fast and stays small.

Arguments: the descriptor of a pipe from the worker, that of the table of what to kill, and the
worker's name. The end of the pipe means that the worker was killed: one that ends in peace kills
its guard before.
"""

import os
import signal
import struct
import sys
import time

_ROUNDS = 100
_NAP = 0.02


def main() -> None:
    """Wait until the worker was killed; kill what it has left running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    life, table, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.read(life, 1)
    for (target,) in struct.iter_unpack("q", os.pread(table, os.fstat(table).st_size, 0)):
        if target:
            _kill(target)
    # A child may have been started so late that it did not get into the table; others may have
    # left their group.
    kill_marked(f"PQ_WORKER={name}".encode())


def kill_marked(*marks: bytes) -> None:
    """Kill who has all of this (NAME=VALUE) in its environment, until none comes any more."""
    for _ in range(_ROUNDS):
        marked = _marked(marks)
        if not marked:
            return
        for pid in marked:
            _kill(pid)
        time.sleep(_NAP)


def _marked(marks: tuple[bytes, ...]) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit():
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if set(marks) <= set(file.read().split(b"\0")):
                        found.append(int(entry))
        except OSError:
            continue  # gone, or somebody else's
    return found


def _kill(target: int) -> None:
    try:
        os.kill(target, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    main()
