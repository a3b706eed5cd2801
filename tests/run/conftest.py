"""Shared by the tests of the worker pool: a spool of its own, and `pq` as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import HANG, heed_signals, wait_until

from pq_cli import MemoryQueue, QueueConfig, Spool


class Bench:
    """A spool, and commands on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "spool"
        self.started: list[subprocess.Popen[bytes]] = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PQ_")}
        self.env |= {"PQ_SPOOL": str(self.path), "D": str(root)}

    def spool(self, **policy: object) -> Spool:
        """Return the spool; with a policy, one that this policy is written for."""
        spool = Spool(self.path)
        if policy:
            text = "".join(f"{k} = {json.dumps(v)}\n" for k, v in policy.items())
            (self.path / "queue.toml").write_text(text)
            spool = Spool(self.path)
        assert isinstance(spool.config, QueueConfig)
        return spool

    def fill(self, count: int, **fields: object) -> list[int]:
        """Enqueue items whose payloads are their numbers; return the ids."""
        spool = self.spool()
        return [spool.enqueue(b"%d\n" % n, **fields).id for n in range(count)]

    def start(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        """Start `pq WORDS`."""
        argv = [sys.executable, "-m", "pq_cli", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(
            argv, env=self.env, cwd=self.root, preexec_fn=heed_signals, **pipes
        )
        self.started.append(process)
        return process

    def pq(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run `pq WORDS` to its end."""
        process = self.start(*words, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin, timeout=HANG)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def events(self, *words: str) -> list[dict[str, object]]:
        """Run `pq run --json WORDS`; return its events."""
        return [json.loads(line) for line in self.pq("run", "--json", *words).stdout.splitlines()]

    def states(self) -> dict[int, str]:
        """Return the state of every item."""
        return {item.id: str(item.state) for item in Spool(self.path).items()}

    def wait_for(self, name: str) -> str:
        """Wait until a file under the root has content; return it."""
        file = self.root / name
        wait_until(lambda: file.exists() and file.read_text().endswith("\n"), f"{name} is written")
        return file.read_text().strip()

    def clean_up(self) -> None:
        """End what a failed test has left running."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def _hung(*_: object) -> None:
    raise AssertionError("the test hung")


@pytest.fixture
def bench(tmp_path: Path):
    """Give a spool and commands on it; nothing that was started stays."""
    made = Bench(tmp_path)
    before = signal.signal(signal.SIGALRM, _hung)
    signal.alarm(int(3 * HANG))
    try:
        yield made
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        made.clean_up()


@pytest.fixture(params=["spool", "memory"])
def make(request, tmp_path):
    """Give a maker of queues with a policy: each promise holds on disk and in memory."""

    def made(**policy):
        config = QueueConfig(durability="fast", **policy)
        if request.param == "memory":
            return MemoryQueue(config)
        return Spool(tmp_path / "spool", config=config)

    return made
