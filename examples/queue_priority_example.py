"""Priorities, lanes and aging from Python, without a disk and with a clock that we turn.

Run it: `python examples/queue_priority_example.py`. `Spool(path)` in the place of `MemoryQueue()`
does the same on disk, among many processes.
"""

from pq_cli import MemoryQueue, QueueConfig

HOUR = 3600.0


def main() -> None:
    """Show who is served when bulk and live work share a queue."""
    now = 0.0
    queue = MemoryQueue(QueueConfig(max_priority_boost=9), clock=lambda: now)
    for year in (2019, 2020):
        queue.enqueue(f"import {year}".encode(), priority=8)
    queue.enqueue(b"live report", priority=2)

    print("In the order they would be served:")
    for item in queue.items():
        print(f"  {queue.payload(item).decode()}, priority {item.priority}")

    first = queue.claim()
    assert first is not None
    print(f"claimed: {queue.payload(first).decode()}; it failed, and waits for its second attempt")
    queue.fail(first, "HTTP 503")

    now = HOUR
    queue.enqueue(b"live report of an hour later", priority=2)
    print("An hour later the imports have aged past what is new:")
    while (item := queue.claim()) is not None:
        print(f"  {queue.payload(item).decode()}")
        queue.done(item)


if __name__ == "__main__":
    main()
