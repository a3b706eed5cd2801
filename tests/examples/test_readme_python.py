"""The README's Python does what it says, as printed."""

from __future__ import annotations

import re
from pathlib import Path

from pq_cli import Spool
from pq_cli.core.item import State

ROOT = Path(__file__).parents[2]


def test_the_two_pieces_of_python_work_off_a_queue(tmp_path):
    """The loop uploads what it enqueued; `work` uploads the rest, and puts off what cannot go."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    loop, worker = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert "/var/spool/reports" in loop
    uploads = []
    exec(loop.replace("/var/spool/reports", str(tmp_path)), {"upload": uploads.append})
    assert uploads == [b"payload"]

    spool = Spool(tmp_path)
    ids = [spool.enqueue(data).id for data in (b"goes", b"busy")]

    def uploaded(path):
        with open(path, "rb") as payload:
            return payload.read() == b"goes"

    names = {"spool": spool, "uploaded": uploaded}
    exec(worker, names)
    assert names["summary"].done == 1
    [left] = spool.items()
    assert left.id == ids[1] and left.state is State.DELAYED
    assert left.last_error == "the server is busy"
