"""A full disk below the server: who was told an id finds it again when there is room."""

from __future__ import annotations

import os
import subprocess

import psycopg
import pytest
from crowd import Crowd
from database import Server, need_postgres
from support import Pq, need_tool, wait_until
from survived import TALLY

from pq_cli.postgres.schema import set_up


class Small(Server):
    """A server whose files are on a disk of 64 MiB."""

    @property
    def data(self):
        """Where its files are."""
        return self.folder / "disk" / "data"

    def mount(self):
        """Make the disk, or skip the test where that is not allowed."""
        (self.folder / "disk").mkdir()
        disk = self.folder / "disk"
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0777", "tmpfs", disk],
                              capture_output=True, check=False)  # fmt: skip
        if made.returncode:
            pytest.skip("mounting is not allowed here")

    def fill(self):
        """Leave no room."""
        with open(self.folder / "disk" / "filler", "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(64 * 1024))
            except OSError:
                pass

    def room(self):
        """Make room again; start the server if it has stopped for that."""
        (self.folder / "disk" / "filler").unlink()
        wait_until(self.up, "the server answers")

    def up(self):
        """Tell whether it answers; it may still be about to stop."""
        if self.process.poll() is not None:
            self.process = None
            self.start()
        try:
            return self.sql("select 1")
        except psycopg.Error:
            return False

    def remove(self):
        """Stop it, and leave nothing behind."""
        self.stop()
        subprocess.run(["umount", "-l", self.folder / "disk"], capture_output=True, check=False)
        super().remove()


def test_a_full_disk_below_the_server(tmp_path):
    """Nothing told is lost, no claim is two's; a command says so in a line, 74 or 75; all go on.

    It is the tables that have no room, or the log: then the server stops and must be started.
    """
    need_postgres()
    need_tool("mount")
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    own = Small("fsync=on", "full_page_writes=on", "min_wal_size=2MB", "max_wal_size=8MB",
                "checkpoint_timeout=30s")  # fmt: skip
    pq = Pq(tmp_path)
    pq.env["PQ_SPOOL"] = own.url("q")
    try:
        own.mount()
        own.make("--wal-segsize=1")
        own.start()
        set_up(own.conninfo)
        with Crowd(own.url("q"), producers=2, workers=2) as crowd:
            own.fill()
            crowd.refused.clear()
            wait_until(lambda: crowd.refused, "somebody is refused")
            own.fill()
            argv = pq.argv("enqueue", "--lock-timeout", "1s")
            refused = subprocess.run(argv, env=pq.env, input=os.urandom(9_000_000),
                                     capture_output=True, check=False)  # fmt: skip
            assert refused.returncode in (74, 75) and refused.stderr.count(b"\n") == 1
            TALLY["disks full below a database"] += 1
            own.room()
            done, told = len(crowd.done), len(crowd.told)
            wait_until(lambda: len(crowd.done) > done and len(crowd.told) > told, "work goes on")
        crowd.settle()
        assert "no damage" in pq("check").err
    finally:
        own.remove()
