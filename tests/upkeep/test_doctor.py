"""doctor: the facts of a bug report, and what is plainly wrong, with what to do."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from pq_cli import Spool, __version__
from pq_cli.errors import PermissionDeniedError
from pq_cli.spool.disk.lock import is_locked

NOBODY = 65534


def doctor(path, **options):
    """Return (status, {name: (value, trouble)}) of `pq doctor`."""
    command = [sys.executable, "-m", "pq_cli", "doctor", "-s", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.stderr == ""
    facts = {}
    for line in done.stdout.splitlines():
        name, value, *wrong = line.split("\t")
        facts[name] = (value, wrong[0] if wrong else None)
    return done.returncode, facts


def test_a_sound_spool_has_nothing_wrong(tmp_path):
    """Versions, spool, owner, lock, policy and counts are told; the status is 0."""
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"x")
    status, facts = doctor(spool.path)
    assert status == 0
    assert facts["pq"][0].startswith(__version__)
    assert {"python", "system", "typer", "rich", "orjson", "file system", "free"} <= set(facts)
    assert facts["spool"][0] == spool.path
    assert facts["owner"][0].endswith("mode 0700")
    assert "1 pending" in facts["items"][0]
    assert facts["policy"][0] == "the defaults"


def test_a_spool_that_is_not_there_yet_is_no_trouble_where_it_can_be_made(tmp_path):
    """And nothing is made by asking."""
    status, facts = doctor(tmp_path / "none")
    assert (status, facts["state"]) == (0, ("none yet", None))
    assert not (tmp_path / "none").exists()


def test_what_is_wrong_is_named_with_what_to_do(tmp_path):
    """A pause, a bad policy, a foreign folder: exit 1, and the line says what to do."""
    spool = Spool(tmp_path / "s")
    spool.pause("server\x1b[2J moves")
    status, facts = doctor(spool.path)
    assert status == 1
    assert facts["paused"] == ("server\\x1b[2J moves", "WRONG: `pq resume` ends it")
    (tmp_path / "s" / "queue.toml").write_text("max_attempts = 0\n")
    status, facts = doctor(spool.path)
    assert status == 1
    assert "max_attempts" in facts["state"][1]
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    status, facts = doctor(tmp_path / "foreign")
    assert status == 1
    assert "thesis.txt" in facts["state"][1]


@pytest.mark.others
def test_a_spool_that_may_not_be_read_says_what_to_do(tmp_path, capsysbinary):
    """Permission denied comes with what to do next; doctor tells it as a fact and goes on."""
    from pq_cli.commands.doctor import DoctorOptions, command
    from pq_cli.screen import Screen

    spool = Spool(tmp_path / "s")
    assert (
        command(DoctorOptions(spool=spool.path), Screen()) == 0
    )  # all is imported: nobody may not read the interpreter
    os.chmod(spool.path, 0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionDeniedError, match="run pq as the owner of the spool"):
            Spool(spool.path, create=False)
        assert command(DoctorOptions(spool=spool.path), Screen()) == 1
    finally:
        if was == 0:
            os.seteuid(0)
        os.chmod(spool.path, 0o700)
    assert b"WRONG: " in capsysbinary.readouterr().out


def test_the_lock_is_looked_at_without_waiting(tmp_path):
    """is_locked is true only while somebody holds the lock, and does not take it from anybody."""
    spool = Spool(tmp_path / "s")
    path = f"{spool.path}/lock"
    assert not is_locked(path)
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_locked(path)
    assert not is_locked(path)
    assert not is_locked(f"{spool.path}/none")
    spool.enqueue(b"x")


def program(folder, text):
    """Put an executable `pq` with this text into a folder; return its path."""
    folder.mkdir()
    path = folder / "pq"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


OURS = "#!/usr/bin/python3\nfrom pq_cli.cli import main\nmain()\n"
OTHER = "#!/usr/bin/python3\nfrom pq import main\nmain()\n"


def test_another_program_called_pq_is_named(tmp_path):
    """What runs when `pq` is typed, and what else has the name: wrong only where it hides this."""
    mine, other = program(tmp_path / "a", OURS), program(tmp_path / "b", OTHER)
    paths = {
        f"{tmp_path}/a:{tmp_path}/b": (f"{mine}, behind it {other} (another program)", None),
        f"{tmp_path}/a:{tmp_path}/none": (mine, None),
        f"{tmp_path}/none": (f"no pq; {sys.executable} -m pq_cli runs it", None),
    }
    for path, told in paths.items():
        status, facts = doctor(tmp_path / "s", env={**os.environ, "PATH": path})
        assert (status, facts["on PATH"]) == (0, told)


def test_what_to_type_where_another_pq_comes_first(tmp_path):
    """The other is named, with words that run this one."""
    mine, other = program(tmp_path / "a", OURS), program(tmp_path / "b", OTHER)
    for path, words in {
        f"{tmp_path}/b:{tmp_path}/a": mine,
        f"{tmp_path}/b": f"{sys.executable} -m pq_cli",
    }.items():
        status, facts = doctor(tmp_path / "s", env={**os.environ, "PATH": path})
        assert status == 1
        assert f"{other} is another program of that name: type {words}," in facts["on PATH"][1]


def test_a_program_is_known_by_what_it_is_not_by_its_folder(tmp_path):
    """A link to pq is pq, told once; what may not be run is no program."""
    mine = program(tmp_path / "a", OURS)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "pq").symlink_to(mine)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "pq").write_text(OTHER)
    path = ":".join(f"{tmp_path}/{name}" for name in "cba")
    _, facts = doctor(tmp_path / "s", env={**os.environ, "PATH": path})
    assert facts["on PATH"] == (f"{tmp_path}/b/pq", None)
