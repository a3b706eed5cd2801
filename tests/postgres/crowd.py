"""Producers and workers of a queue in a database, to whom things happen."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time

from support import wait_until
from survived import TALLY

from pq_cli import open_queue

LONG = bool(os.environ.get("PQ_LONG"))
PRODUCE = """
import sys
from pq_cli import *
while True:
    try:
        item = open_queue(sys.argv[1]).enqueue(b"x", priority=3 + ord(sys.stdin.read(1)) % 3)
        print(item.id, flush=True)
    except (PqError, OSError) as error:
        print("-", type(error).__name__, flush=True)
"""
WORK = """
import os, sys, time
from pq_cli import *
q = None
while True:
    try:
        q = q or open_queue(sys.argv[1])
        item = q.claim(wait=1)
        if item is None: continue
        print(item.claim, "began", flush=True)
        q.done(item)
        print(item.claim, "done", flush=True)
    except (PqError, OSError) as error:
        print("-", type(error).__name__, flush=True)
"""


class Crowd:
    """Producers and workers, each started anew whenever it is killed; what they told is kept.

    within: words before each command, as of a program that runs it elsewhere.
    """

    def __init__(self, url, producers=3, workers=3, within=()):
        self.url, self.within = url, within
        self.refused = []
        self.told, self.began, self.done = [], [], []
        self.ending = False
        self.running = {}
        self.threads = [
            threading.Thread(target=self.keep, args=(script, number))
            for number, script in enumerate([PRODUCE] * producers + [WORK] * workers)
        ]

    def keep(self, script, number):
        """Run a script again and again, and take down its lines."""
        while not self.ending:
            argv = [*self.within, sys.executable, "-c", script, self.url]
            with open("/dev/urandom", "rb") as chance, subprocess.Popen(
                argv, stdin=chance, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as process:  # fmt: skip
                self.running[number] = process
                for line in process.stdout:
                    words = line.split()
                    told = script is PRODUCE and words[:1] != ["-"]
                    if not line.endswith("\n") or len(words) != (1 if told else 2):
                        continue  # a piece of what it was about to tell when it was killed
                    if told:
                        self.told.append(int(words[0]))
                    elif words[0] == "-":
                        self.refused.append(words[1])
                    else:
                        (self.began if words[1] == "began" else self.done).append(words[0])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.told and self.done, "work goes on")
        return self

    def __exit__(self, *_):
        self.ending = True
        while any(thread.is_alive() for thread in self.threads):
            for process in list(self.running.values()):
                with contextlib.suppress(OSError):
                    process.kill()
            time.sleep(0.05)

    def kill_one(self, chance):
        """SIGKILL of one of them."""
        process = self.running.get(chance.randrange(len(self.threads)))
        if process is not None:
            process.kill()
            TALLY["database clients killed under load"] += 1

    def settle(self):
        """Work off what is left, and check what was promised of every id that was told."""
        with open_queue(self.url) as queue:
            while len(queue):
                item = queue.claim(wait=5)
                if item is not None:
                    self.began.append(item.claim)
                    queue.done(item)
                    self.done.append(item.claim)
            seen = {int(claim.partition(".")[0]) for claim in self.began}
            assert set(self.told) <= seen, "an id that was told was never served"
            assert len(set(self.told)) == len(self.told)
            assert len(set(self.began)) == len(self.began), "two had one claim"
            assert list(queue.items()) == []
        TALLY["items told by a database and served"] += len(self.told)
