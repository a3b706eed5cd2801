"""An uploader that survives being offline: takes reports from a queue and posts them over HTTP.

    python examples/uploader.py SPOOL URL

Uploads four at a time, the most urgent first. A report that the server refuses for good (4xx) goes
to the dead letters; while the server is away reports are put off, uncounted; anything else is
retried until max_attempts. After a few failures in a row all goes more slowly, until one ends well.
Ctrl-C lets the uploads under way finish.
"""

from __future__ import annotations

import signal
import sys
import urllib.error
import urllib.request

from pq_cli import GiveUp, Item, RetryLater, Spool, Stop, work


def post(url: str, body: bytes, item: Item) -> None:
    """Post one report; the id makes it recognisable, should it ever arrive twice."""
    headers = {"Idempotency-Key": f"{item.id}", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30):
            pass
    except urllib.error.HTTPError as error:
        if 400 <= error.code < 500 and error.code not in (408, 425, 429):
            raise GiveUp(f"refused: {error.code} {error.reason}") from None
        raise
    except OSError as error:  # no route, no name, connection refused, timeout
        raise RetryLater(f"offline: {error}") from None


def main(path: str, url: str) -> int:
    """Upload everything that is pending; return the exit status."""
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.request())
    with Spool(path) as spool:

        def upload(item: Item) -> None:
            post(url, spool.payload(item), item)

        summary = work(spool, upload, concurrency=4, stop=stop)
    print(f"{summary.done} uploaded, {summary.deferred} put off, {summary.dead} refused")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
