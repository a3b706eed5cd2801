"""The examples do what they say, against a real HTTP server and a real shell."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted; refuses what says so."""

    def do_POST(self):
        """Take one report."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = {b"bad": 422, b"broken": 500}.get(body, 204)
        if answer == 204:
            self.server.got.append(body)
        self.send_response(answer)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    """An HTTP server on a port of its own."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    made.got = []
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def upload(bench, port):
    url = f"http://127.0.0.1:{port}/"
    argv = [sys.executable, str(EXAMPLES / "uploader.py"), str(bench.path), url]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_uploader_delivers(bench, server):
    """Everything arrives; what is refused for good is a dead letter, a server error is retried."""
    spool = bench.spool()
    for body in (b"one", b"bad", b"two", b"broken"):
        spool.enqueue(body)
    done = upload(bench, server.server_address[1])
    assert done.stdout == "2 uploaded, 0 put off, 1 refused\n", done.stderr
    assert done.returncode == 1
    assert sorted(server.got) == [b"one", b"two"]
    assert bench.states() == {2: "failed", 4: "delayed"}


def test_uploader_offline(bench, server):
    """While nobody listens reports are put off, uncounted; later they arrive."""
    spool = bench.spool(backoff="0s")
    spool.enqueue(b"one")
    spool.hold(spool.enqueue(b"two"))
    port = server.server_address[1]
    closed = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    nobody = closed.server_address[1]
    closed.server_close()
    bench.spool(backoff="1h")
    done = upload(bench, nobody)
    assert done.stdout == "0 uploaded, 1 put off, 0 refused\n", done.stderr
    assert spool.get(1).attempts == 0
    spool.retry(1)
    assert upload(bench, port).returncode == 0
    assert server.got == [b"one"]


def test_station(bench, tmp_path):
    """The shell example goes offline and comes back, and every report is on the server."""
    (tmp_path / "bin").mkdir()
    pq = tmp_path / "bin" / "pq"
    pq.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pq_cli "$@"\n')
    pq.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", str(EXAMPLES / "offline-upload.sh")],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == "1"
    assert lines[lines.index("3\tpending\t2") + 1] == "2\tpending\t8"
    assert "exit 75" in lines
    assert lines[-4:] == ["0", "old report", "report of 10:00", "report of 10:05"]
