"""Behind a pooler that has no session of ours: leases and looks, instead of locks and news."""

from __future__ import annotations

import subprocess

import pytest
from database import need_postgres, server
from support import Pq, need_tool, wait_until

SETTINGS = """
[databases]
postgres = host={server} user=pq
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 6543
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


@pytest.fixture
def pooled(pq: Pq):
    """The command `pq` on a queue behind pgbouncer in transaction mode."""
    need_postgres()
    tool = need_tool("pgbouncer")
    folder = server().folder / "pooler"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    (folder / "ini").write_text(SETTINGS.format(server=server().folder, folder=folder))
    with subprocess.Popen([*server().as_user, tool, "-q", str(folder / "ini")]) as pooler:
        try:
            wait_until((folder / ".s.PGSQL.6543").exists, "the pooler listens")
            name = pq.env["PQ_SPOOL"].partition("#")[2]
            pq.env["PQ_SPOOL"] = f"postgresql:///postgres?host={folder}&port=6543&user=pq#{name}"
            yield pq
        finally:
            pooler.terminate()


def test_work_goes_on_behind_a_pooler(pooled):
    """In and out, several at once, large payloads, and waiting: all but the locks of sessions."""
    pooled("enqueue", "--lines", stdin=b"".join(b"%d\n" % n for n in range(30)))
    done = pooled("run", "-j3", "--", "sh", "-c", "cat; echo").out.split()
    assert sorted(map(int, done)) == list(range(30))
    pooled("enqueue", stdin=bytes(range(256)) * 12_000)
    assert pooled("cat", "31").out == bytes(range(256)) * 12_000
    pooled("rm", "31")
    with pooled.start("next", "--wait") as waiting:
        pooled("enqueue", stdin=b"late")
        assert waiting.wait(60) == 0 and waiting.stdout.read() == b"late"
    assert server().sql("select count(*) from pq.worker where pid = %s", waiting.pid)[0][0] == 0
