"""A real PostgreSQL of the tests' own: started when the first test needs it, gone with them."""

from __future__ import annotations

import atexit
import glob
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
from support import wait_until

_numbers = itertools.count(1)
SPEED = ("fsync=off", "full_page_writes=off", "shared_buffers=32MB", "listen_addresses=")
"""A killed process loses nothing by it, only a machine that loses its power."""


def _tool(name: str) -> str | None:
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else shutil.which(name)


def need_postgres() -> None:
    """Skip the test where there is no server to be started; fail it where CI is set."""
    missing = [name for name in ("initdb", "postgres") if _tool(name) is None]
    try:
        import psycopg  # noqa: F401
    except ImportError:
        missing.append("psycopg")
    if missing and os.environ.get("CI"):
        pytest.fail(f"{', '.join(missing)} missing; .ci/run installs it")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


class Server:
    """One server in a folder of its own, as another user where we are root; on a socket only."""

    def __init__(self, *settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pq-pg-"))
        self.settings = (*SPEED, f"unix_socket_directories={self.folder}", *settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 5432
        self.as_user: list[str] = []
        if os.geteuid() == 0:
            names = {user.pw_name: user for user in pwd.getpwall()}
            user = names.get("postgres") or names["nobody"]
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}")
            self.as_user = ["setpriv", *ids, "--clear-groups", "--pdeathsig", "QUIT"]
        self.folder.chmod(0o755)

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self.folder / "data"

    def make(self, *options: str) -> None:
        """Make its files."""
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "pq", "-E", "UTF8",
                 "--locale=C", "--no-sync", *options)  # fmt: skip

    def follow(self, primary: Server, name: str) -> None:
        """Make its files a copy of another server's, which it follows when it is started."""
        source = f"host={primary.folder} user=pq application_name={name}"
        self.run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast",
                 "--no-sync", "-d", source)  # fmt: skip

    def promote(self) -> None:
        """Let it be the primary from now on."""
        self.run("pg_ctl", "-D", self.data, "-w", "promote")

    def run(self, tool: str, *args: object) -> None:
        """Run one of PostgreSQL's own tools."""
        path = _tool(tool)
        assert path is not None
        argv = [*self.as_user, path, *map(str, args)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        path = _tool("postgres")
        assert path is not None
        options = [word for setting in self.settings for word in ("-c", setting)]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.as_user, path, "-D", str(self.data), *options],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        wait_until(self.answers, "the server answers")

    def answers(self) -> bool:
        """Tell whether somebody can connect."""
        import psycopg

        try:
            psycopg.connect(self.conninfo, connect_timeout=5).close()
        except psycopg.OperationalError:
            assert self.process is not None and self.process.poll() is None, self.log()
            return False
        return True

    def log(self) -> str:
        """What the server has said."""
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT is "immediate", as a crash; SIGINT ends its sessions; then it is gone."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def remove(self) -> None:
        """Stop it, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def conninfo(self) -> str:
        """The URL of its database."""
        return f"postgresql:///postgres?host={self.folder}&port={self.port}&user=pq"

    def url(self, queue: str | None = None) -> str:
        """Return the URL of a queue; without a name, of one that nobody has used."""
        name = f"q{os.getpid()}-{next(_numbers)}" if queue is None else queue
        return f"{self.conninfo}#{name}"

    def sql(self, text: str, *values: object) -> list[tuple[object, ...]]:
        """Run SQL as its owner, and return the rows."""
        import psycopg

        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []


def new_server(*settings: str) -> Server:
    """Return a server that has been started and has pq's tables; the caller removes it."""
    need_postgres()
    server = Server(*settings)
    try:
        server.make()
        server.start()
        from pq_cli.postgres.schema import set_up

        set_up(server.conninfo)
    except BaseException:
        server.remove()
        raise
    return server


@cache
def server() -> Server:
    """Return the server of this test process, started at the first call."""
    made = new_server()
    me = os.getpid()
    atexit.register(lambda: made.remove() if os.getpid() == me else None)
    return made
