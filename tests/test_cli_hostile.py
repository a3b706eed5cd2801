"""Names that drive terminals, links that lead elsewhere, files that are not what they seem."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

from support import HANG, Pq

ESCAPE = "\x1b[2J\x1b]0;pwned\x07"
DRIVES = ("\x1b", "\x07", "\x9b", "\x7f", "\u202e", "\x08")
"""What must never reach a terminal from names, keys, errors or metadata."""


def test_nothing_drives_the_terminal(pq: Pq, tmp_path: Path) -> None:
    """Names, errors and metadata full of escapes are shown escaped by every command that shows."""
    evil = f"{ESCAPE}\x9b31m\x7f\u202e\x08\r\nname"
    source = tmp_path / "".join(c for c in evil if c != "/")
    source.write_bytes(b"payload")
    pq("enqueue", source)
    pq("enqueue", "--name", evil, "-m", f"k{ESCAPE}={evil}", stdin=b"x")
    pq("fail", "--dead", "--error", evil, pq("next", "--claim").text.strip())
    for args in (("ls",), ("ls", "--json"), ("show", 1, 2), ("show", "--json", 1, 2), ("log",),
                 ("explain", 1), ("stats",), ("export",)):  # fmt: skip
        ran = pq(*args)
        assert all(sign not in ran.text for sign in DRIVES), args
        shown = pq.on_terminal(*args, "--color=never") if args == ("ls",) else pq.on_terminal(*args)
        hostile = ("\x1b[2J", "\x1b]", "\x07", "\x9b31", "\x7f", "\u202e", "\x08")
        assert all(sign not in shown for sign in hostile), args
    json_names = [json.loads(line)["name"] for line in pq("ls", "--json").out.splitlines()]
    assert json_names == [evil, source.name]
    events = pq("run", "--json", "--", "true").text
    assert "name" in events and all(sign not in events for sign in DRIVES)


def test_error_messages_escape_what_they_quote(pq: Pq) -> None:
    """What the caller typed is quoted with its control characters escaped, on one line."""
    for args in ((f"x{ESCAPE}\n",), ("ls", f"--x{ESCAPE}"), ("show", f"1{ESCAPE}\n"),
                 ("enqueue", "-p", ESCAPE), ("ls", "--state", ESCAPE), ("ls", "-n", ESCAPE),
                 ("ls", "--older-than", ESCAPE), ("enqueue", "--if-exists", ESCAPE),
                 ("next", "--", f"no{ESCAPE}")):  # fmt: skip
        pq.fill(b"x")
        ran = subprocess.run(
            pq.argv(*args), env=pq.env, input=b"x", capture_output=True, timeout=HANG, check=False
        )
        text = ran.stderr.decode()
        assert ran.returncode in (2, 127), text
        assert text.count("\n") == 1
        assert all(sign not in text for sign in DRIVES), args


def test_name_that_is_not_utf8(pq: Pq, tmp_path: Path) -> None:
    """A FILE whose name is not UTF-8 keeps it: shown escaped, and given to CMD byte for byte."""
    name = b"caf\xe9"
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(b"x")
    pq("enqueue", os.fsdecode(path))
    assert pq("ls").text.rstrip("\n").endswith("\tcaf\\xe9")
    ran = pq("next", "--", "sh", "-c", 'printf %s "$PQ_NAME"')
    assert ran.out == name


def test_symbolic_link_in_a_world_writable_place(pq: Pq, tmp_path: Path) -> None:
    """A link in a folder that all may write is never followed, nor one behind another link."""
    public, target, home = tmp_path / "public", tmp_path / "target", tmp_path / "home"
    for folder in (public, target, home):
        folder.mkdir()
    public.chmod(0o1777)
    (public / "spool").symlink_to(target)
    (home / "link").symlink_to(public / "spool")
    for path in (public / "spool", public / "spool" / "deeper", home / "link"):
        for command in (("enqueue",), ("init",), ("ls",), ("next",)):
            ran = pq(*command, "-s", path, stdin=b"x", expect=77)
            assert "symbolic link in a world-writable folder" in ran.err
            assert ran.err.count("\n") == 1
    assert list(target.iterdir()) == []


def test_symbolic_link_of_our_own(pq: Pq, tmp_path: Path) -> None:
    """A link in a folder that only we may write is followed, as everywhere in Unix."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    pq("enqueue", "-s", tmp_path / "link" / "spool", stdin=b"x")
    assert (tmp_path / "real" / "spool" / "state.json").exists()
    (tmp_path / "loop").symlink_to("loop")
    assert pq("ls", "-s", tmp_path / "loop" / "spool", expect=74).err.count("\n") == 1


def test_spool_in_a_world_writable_place_is_private(pq: Pq, tmp_path: Path) -> None:
    """A spool made where all may write is 0700, whatever the umask."""
    tmp_path.chmod(0o1777)
    old = os.umask(0)
    try:
        pq("enqueue", "-s", tmp_path / "a" / "b", stdin=b"x")
    finally:
        os.umask(old)
    for folder in ("a", "a/b"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_payload_replaced_by_a_link(pq: Pq, tmp_path: Path) -> None:
    """A payload or meta that somebody made a symbolic link is never read through."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"bad")
    pq.fill(b"bad", b"good")
    with pq.api() as spool:
        path = Path(spool.get(1).path or "")
    path.unlink()
    path.symlink_to(secret)
    ran = pq("next", "--ack")
    assert ran.out == b"good"
    assert ran.err.count("\n") == 1
    pq("cat", 1, expect=74)
