"""A sync that begins while there is more to write, so that the disk works meanwhile."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.spool.disk.durable import Disk

MANY = 500
"""Items from which on it pays. With few, they would wait for the disk twice."""


def begin_sync(disk: Disk) -> Callable[[], None]:
    """Begin to sync the file system; return what awaits the end.

    That raises OSError if it has failed: the kernel tells only those of it who had begun by then,
    so the next sync may know nothing of what this one has lost.
    """
    import threading  # start-up: well spent on so many

    failed: list[OSError] = []

    def sync() -> None:
        try:
            disk.sync_file_system()
        except OSError as error:
            failed.append(error)

    def wait() -> None:
        thread.join()
        if failed:
            raise failed[0]

    thread = threading.Thread(target=sync)
    try:
        thread.start()
    except RuntimeError:  # there may be no more threads: the sync at the end does it all
        return lambda: None
    return wait
