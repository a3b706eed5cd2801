"""`pq enqueue` as a real process: pipes, files, records, keys."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support import HANG, Pq, need_tool, readable, tree, wait_until

MIB = 1024 * 1024


def peak_memory(pq: Pq, size: int) -> int:
    """Enqueue `size` bytes from a pipe; return the most memory that pq needed, in bytes.

    Measured by a small process between, whose only child is pq.
    """
    script = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdin=0)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(used, file=sys.stderr)\n"
        "sys.exit(done.returncode)\n"
    )
    argv = [sys.executable, "-c", script, *pq.argv("enqueue")]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=pq.env) as process:
        assert process.stdin is not None
        block = bytes(MIB)
        for start in range(0, size, MIB):
            process.stdin.write(block[: min(MIB, size - start)])
        process.stdin.close()
        process.stdin = None
        out, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, err
    with pq.api() as spool:
        assert spool.get(int(out)).size == size
    return int(err) * 1024


def test_memory_does_not_grow_with_the_payload(pq: Pq) -> None:
    """A large payload from a pipe needs no more memory than 4 bytes do (4 GiB with PQ_LONG=1)."""
    (pq.spool).mkdir()
    (pq.spool / "queue.toml").write_text('durability = "fast"\n')
    small = peak_memory(pq, 4)
    large = peak_memory(pq, 4096 * MIB if os.environ.get("PQ_LONG") else 256 * MIB)
    assert large - small < 8 * MIB


@pytest.mark.parametrize("size", [0, 1, 4096, MIB, MIB + 1, 5 * MIB + 17])
def test_file_is_copied_whole(pq: Pq, tmp_path: Path, size: int) -> None:
    """A FILE of any size arrives byte for byte, under its name, and stays where it was."""
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(size))
    assert pq("enqueue", source).text == "1\n"
    assert pq("cat", 1).out == source.read_bytes()
    with pq.api() as spool:
        assert (spool.get(1).name, spool.get(1).size) == ("source.bin", size)


def test_big_file_is_copied_in_the_kernel(pq: Pq, tmp_path: Path) -> None:
    """A big FILE is copied by copy_file_range: its bytes do not pass through pq."""
    strace = need_tool("strace")
    source = tmp_path / "big"
    source.write_bytes(os.urandom(4 * MIB))
    trace = tmp_path / "trace"
    calls = "trace=copy_file_range,read,pread64,write,pwrite64"
    argv = [strace, "-f", "-qq", "-o", str(trace), "-e", calls, *pq.argv("enqueue", source)]
    done = subprocess.run(argv, env=pq.env, capture_output=True, timeout=HANG, check=True)
    lines = trace.read_text().splitlines()
    copied = [line for line in lines if "copy_file_range" in line]
    through = [line for line in lines if "write" in line and line.split("= ")[-1].strip("\n ")
               .isdigit() and int(line.split("= ")[-1]) > 100_000]  # fmt: skip
    assert copied
    assert not through
    assert pq("cat", done.stdout.decode().strip()).out == source.read_bytes()


def test_sparse_file_over_the_limit_of_one_call(pq: Pq, tmp_path: Path) -> None:
    """A FILE of more than one call copies (1 GiB) arrives whole; with PQ_LONG=1, beyond 4 GiB."""
    whole = (4096 if os.environ.get("PQ_LONG") else 1024) * MIB
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(whole + 4097)
        file.seek(whole + 4096)
        file.write(b"!")
    pq("enqueue", source)
    with pq.api() as spool:
        item = spool.get(1)
        assert item.size == whole + 4097
        with open(item.path or "", "rb") as payload:
            payload.seek(-2, os.SEEK_END)
            assert payload.read() == b"\0!"


def test_move_is_a_rename(pq: Pq, tmp_path: Path) -> None:
    """`--move` on one file system keeps the inode: nothing is copied, the source is gone, 0600."""
    source = tmp_path / "moved"
    source.write_bytes(b"content")
    source.chmod(0o644)
    inode = source.stat().st_ino
    pq("enqueue", "--move", source)
    assert not source.exists()
    with pq.api() as spool:
        info = os.stat(spool.get(1).path or "")
    assert (info.st_ino, stat.S_IMODE(info.st_mode), info.st_nlink) == (inode, 0o600, 1)
    assert pq("cat", 1).out == b"content"


def other_file_system(beside: Path) -> Path:
    """Return a new folder on another file system, or skip."""
    for place in ("/dev/shm", "/run", "/var/tmp", "/tmp"):
        if not (os.path.isdir(place) and os.access(place, os.W_OK)):
            continue
        if os.stat(place).st_dev != beside.stat().st_dev:
            return Path(tempfile.mkdtemp(dir=place))
    if os.environ.get("CI"):
        pytest.fail("no second file system, not even /dev/shm")
    return pytest.skip("there is only one file system")


def test_move_across_file_systems(pq: Pq, tmp_path: Path) -> None:
    """`--move` from another file system copies the whole, and removes the source after that."""
    elsewhere = other_file_system(tmp_path)
    try:
        source = elsewhere / "far"
        source.write_bytes(os.urandom(3 * MIB))
        content = source.read_bytes()
        pq("enqueue", "--move", source)
        assert not source.exists()
        assert pq("cat", 1).out == content
    finally:
        shutil.rmtree(elsewhere)


def test_move_spares_what_is_no_item(pq: Pq, tmp_path: Path) -> None:
    """`--move` leaves a file alone, mode and all, when its content did not become an item."""
    source = tmp_path / "precious"
    source.write_bytes(b"precious")
    source.chmod(0o640)
    pq("enqueue", "--key", "k", stdin=b"first")
    before = tree(tmp_path, without=("spool", "spool/counter"))["precious"]
    assert pq("enqueue", "--move", "--key", "k", source).text == "1\n"
    pq("enqueue", "--move", "--key", "k", "--if-exists", "fail", source, expect=4)
    (pq.spool / "queue.toml").write_text("max_items = 1\n")
    pq("enqueue", "--move", source, expect=75)
    assert tree(tmp_path, without=("spool", "spool/counter"))["precious"] == before
    assert pq.states() == {1: "pending"}


def test_move_of_links(pq: Pq, tmp_path: Path) -> None:
    """`--move` of a file with other names, or of a symbolic link, leaves those others intact."""
    one, other, link = tmp_path / "one", tmp_path / "other", tmp_path / "link"
    one.write_bytes(b"content")
    one.chmod(0o644)
    os.link(one, other)
    link.symlink_to(other)
    pq("enqueue", "--move", one, link)
    assert not one.exists()
    assert not link.is_symlink()
    assert (other.read_bytes(), stat.S_IMODE(other.stat().st_mode)) == (b"content", 0o644)
    assert pq("cat", 1, 2).out == b"contentcontent"


def test_one_bad_file_does_not_stop_the_others(pq: Pq, tmp_path: Path) -> None:
    """Of several FILEs the good ones are queued; the exit status is that of the first bad one."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    ran = pq("enqueue", tmp_path / "a", tmp_path / "none", tmp_path, tmp_path / "b", expect=74)
    assert ran.words == ["1", "2"]
    assert ran.err.splitlines() == [
        f"pq: {tmp_path}/none: No such file or directory; `ls {tmp_path}` lists what is there",
        f"pq: {tmp_path}: Is a directory; `ls {tmp_path}` lists what is in it",
        "pq: 2 of 4 FILEs were queued",
    ]
    assert pq("cat", 1, 2).out == b"ab"


def test_lines(pq: Pq) -> None:
    """`--lines`: every line is an item without its end, the last one also when it lacks it."""
    ran = pq("enqueue", "--lines", "-p", 3, stdin=b"one\n\ntwo \xff\nlast")
    assert ran.words == ["1", "2", "3", "4"]
    assert [pq("cat", number).out for number in (1, 2, 3, 4)] == [b"one", b"", b"two \xff", b"last"]
    with pq.api() as spool:
        assert {item.priority for item in spool.items()} == {3}


def test_null_records(pq: Pq, tmp_path: Path) -> None:
    """`-0`: NUL ends a record, so that a name may hold a newline; FILEs hold records too."""
    (tmp_path / "names").write_bytes(b"with\nnewline\0second\0")
    assert pq("enqueue", "-0", tmp_path / "names").words == ["1", "2"]
    assert pq("cat", 1).out == b"with\nnewline"


def test_jsonl(pq: Pq) -> None:
    """`--jsonl`: every field arrives; the command line gives what a record leaves out."""
    records = [
        {"payload": "grüß\u0000", "priority": 1, "key": "k", "name": "n", "metadata": {"a": [1]}},
        {"payload_base64": "/wA=", "delay": "1h", "max_attempts": 7},
        {"payload": "", "at": "2099-01-01T00:00:00Z"},
    ]
    text = "\n\n".join(json.dumps(record) for record in records)
    pq("enqueue", "--jsonl", "-p", 9, "-m", "from=cli", stdin=text.encode())
    shown = [json.loads(line) for line in pq("show", "--json", 1, 2, 3).out.splitlines()]
    assert [item["priority"] for item in shown] == [1, 9, 9]
    assert [item["state"] for item in shown] == ["pending", "delayed", "delayed"]
    assert shown[0]["metadata"] == {"a": [1]}
    assert shown[1]["metadata"] == {"from": "cli"}
    assert (shown[0]["key"], shown[0]["name"], shown[1]["max_attempts"]) == ("k", "n", 7)
    assert shown[2]["not_before"].startswith("2099-01-01T00:00:00")
    assert pq("cat", 1).out == "grüß\0".encode()
    assert pq("cat", 2).out == b"\xff\x00"


BAD_RECORDS = {
    b"{nonsense": "not JSON",
    b"[1]": "not a JSON object",
    b'{"payload": "a", "payload_base64": "YQ=="}': "either",
    b"{}": "either",
    b'{"payload": 1}': "payload must be a text",
    b'{"payload_base64": "%"}': "base64",
    b'{"payload": "a", "prio": 1}': "unknown field 'prio'",
    b'{"payload": "a", "priority": 11}': "priority '11'",
    b'{"payload": "a", "priority": true}': "priority",
    b'{"payload": "a", "priority": 1e400}': "'1e400' is larger than a number can be",
    b'{"payload": "a", "metadata": {"n": NaN}}': "not JSON: NaN",
    b'{"payload": "a", "metadata": {"n": 12345678901234567.89}}': "more digits",
    b'{"payload": "a", "metadata": {"k": 1, "k": 2}}': "'k' comes twice",
    b'{"payload": "a", "payload": "b"}': "'payload' comes twice",
    b'{"payload": "a", "metadata": {"n": ' + b"9" * 5000 + b"}}": "has 5000 digits",
    b'{"payload": "a", "metadata": {"n": ' + b"[" * 150 + b"]" * 150 + b"}}": "deeper than 100",
    b'{"payload": "a", "at": 20990101}': "at must be a text",
    b'{"payload": "a", "key": ""}': "key",
    b'{"payload": "a", "key": "a\\u001bb"}': "control characters",
    b'{"payload": "a", "delay": "soon"}': "'soon' is not a duration",
    b'{"payload": "a", "at": "noon"}': "'noon' is not a time",
    b'{"payload": "a", "delay": 1, "at": "2099-01-01"}': "exclude each other",
    b'{"payload": "a", "max_attempts": 0}': "max_attempts",
    b'{"payload": "a", "metadata": []}': "metadata",
    b'{"payload": "\xff"}': "not JSON",
    b'{"payload": "\\ud800"}': "half a character",
    b"[" * 100_000: "JSON",
}


@pytest.mark.parametrize("record", BAD_RECORDS, ids=lambda record: record[:40].decode("latin-1"))
def test_malformed_record(pq: Pq, record: bytes) -> None:
    """A malformed record: exit 2, one line with its number; earlier ones are queued and printed."""
    text = b'{"payload": "first"}\n\n' + record + b'\n{"payload": "never"}\n'
    ran = pq("enqueue", "--jsonl", stdin=text, expect=2)
    assert ran.text == "1\n"
    (line,) = ran.err.splitlines()
    assert line.startswith("pq: line 3: ")
    assert BAD_RECORDS[record] in line
    assert "\x1b" not in line
    assert pq.states() == {1: "pending"}


def test_malformed_first_record_changes_nothing(pq: Pq, tmp_path: Path) -> None:
    """A FILE whose first record is bad is named with the line, and leaves the spool as it was."""
    pq("init")
    before = tree(pq.spool)
    (tmp_path / "records").write_text("?\n")
    ran = pq("enqueue", "--jsonl", tmp_path / "records", expect=2)
    assert ran.err.startswith(f"pq: {tmp_path}/records: line 1: not JSON")
    assert tree(pq.spool) == before


@pytest.mark.parametrize(
    ("option", "record"),
    [("--lines", b"a line\n"), ("-0", b"x\0"), ("--jsonl", b'{"payload":""}\n')],
)
def test_ids_stream_out_while_the_pipe_is_open(pq: Pq, option: str, record: bytes) -> None:
    """A record is queued and its id printed as soon as it is there, not when the pipe closes."""
    with pq.start("enqueue", option, stdin=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        for number in (b"1\n", b"2\n"):
            process.stdin.write(record)
            process.stdin.flush()
            assert readable(process.stdout.fileno()), "the id does not come"
            assert process.stdout.readline() == number
        process.stdin.close()
        assert process.wait(HANG) == 0


def test_terminal_on_stdin_is_a_usage_error(pq: Pq) -> None:
    """Without a FILE and with a terminal on stdin: one line and exit 2, and no wait for typing."""
    assert "terminal" in pq.on_terminal("enqueue", expect=2)
    assert "terminal" in pq.on_terminal("enqueue", "-", expect=2)
    assert "terminal" in pq.on_terminal("enqueue", "--lines", expect=2)


def test_stdin_that_is_no_input(pq: Pq) -> None:
    """Closed stdin is a usage error and queues nothing."""
    pq("init")
    assert "closed" in pq.shell("pq enqueue <&-", expect=2).err
    assert "closed" in pq.shell("pq enqueue - <&-", expect=2).err
    assert pq.states() == {}


def _sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.iterdir()]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_killed_sender_leaves_nothing_half_done(pq: Pq) -> None:
    """TERM while the payload is still coming in: nothing is queued, and no part is left behind."""
    pq("init")
    with pq.start("enqueue", stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(bytes(200_000))
        process.stdin.flush()
        # Until it is in read(2): a signal between Python's last look for one and that call is heard
        # only when the pipe says something.
        wait_until(lambda: _sizes(pq.spool / "tmp") == [200_000], "the payload so far")
        wait_until(lambda: _state(process.pid) == "S", "waiting for more")
        process.terminate()
        assert process.wait(HANG) == 143
    assert pq.states() == {}
    assert os.listdir(pq.spool / "tmp") == []


def test_key_of_a_live_item(pq: Pq) -> None:
    """A key names one live item: skip prints its id, fail is exit 4, replace puts a new one in."""
    assert pq("enqueue", "--key", "k", stdin=b"old").text == "1\n"
    assert pq("enqueue", "--key", "k", stdin=b"second").text == "1\n"
    ran = pq("enqueue", "--key", "k", "--if-exists", "fail", stdin=b"x", expect=4)
    then = "`pq show 1` tells how it stands"
    assert (ran.out, ran.err) == (b"", f"pq: key 'k' is taken by item 1, pending; {then}\n")
    new = pq("enqueue", "--key", "k", "--if-exists", "replace", stdin=b"new").text.strip()
    assert pq.states() == {int(new): "pending"}
    assert pq("next", "--ack").out == b"new"
    assert pq("enqueue", "--key", "k", stdin=b"again").text.strip() != new


def test_key_that_an_active_item_has(pq: Pq) -> None:
    """An item that somebody works on is not replaced (exit 4); its key is skipped as any."""
    pq("enqueue", "--key", "k", stdin=b"at work")
    pq("next")
    before = pq.tree()
    pq("enqueue", "--key", "k", "--if-exists", "replace", stdin=b"new", expect=4)
    assert pq.tree() == before
    assert pq("enqueue", "--key", "k", stdin=b"new").text == "1\n"


def test_one_winner_for_a_key(pq: Pq) -> None:
    """Of many processes that want the same key at the same time exactly one gets it."""
    pq("init")
    args = ("enqueue", "--key", "same", "--if-exists", "fail")
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen(pq.argv(*args), stdin=pipe, stdout=pipe, stderr=pipe, env=pq.env)
        for _ in range(12)
    ]
    for number, racer in enumerate(racers):
        assert racer.stdin
        racer.stdin.write(b"%d" % number)
    results = [(racer.communicate(timeout=HANG)[0], racer.returncode) for racer in racers]
    assert sorted(status for _, status in results) == [0] + [4] * 11
    winner = next(i for i, (_, status) in enumerate(results) if status == 0)
    assert pq("cat", results[winner][0].decode().strip()).out == b"%d" % winner
    assert list(pq.states().values()) == ["pending"]


SKIPPED = "2027-03-28T02:30:00"
"""A time that Berlin's clocks skip; with the offset before the change it is 01:30Z."""


def test_a_time_that_the_clocks_skip_is_read_alike_everywhere(pq: Pq) -> None:
    """`--at`, `at` of a record and an older queue's time without a zone: the offset before."""
    pq.env["TZ"] = "Europe/Berlin"
    pq("enqueue", "--at", SKIPPED)
    pq("enqueue", "--jsonl", stdin=f'{{"payload": "", "at": "{SKIPPED}"}}\n'.encode())
    old = pq.folder / "old"
    old.mkdir()
    (old / "a.failed.wsjf").write_text("{}")
    (old / "a.failed.meta.json").write_text(json.dumps({"created_at": SKIPPED}))
    pq("migrate", "--force", old)
    items = [json.loads(line) for line in pq("ls", "--json").text.splitlines()]
    at = [each["created_at"] if each["state"] == "failed" else each["not_before"] for each in items]
    assert at == ["2027-03-28T01:30:00.000000Z"] * 3


def test_delay_and_at(pq: Pq) -> None:
    """`--delay` and `--at` keep an item back until then; a time that is over does not."""
    for args in (("--delay", "1h"), ("--at", "2099-01-01T00:00:00Z"), ("--at", "2001-01-01"),
                 ("--delay", "0")):  # fmt: skip
        pq("enqueue", *args, stdin=b"x")
    assert list(pq.states().items()) == [(3, "pending"), (4, "pending"), (1, "delayed"),
                                         (2, "delayed")]  # fmt: skip


def test_everything_is_private(pq: Pq) -> None:
    """Under umask 000 the spool is 0700, its folders too, and all its files 0600."""
    args = ["enqueue", "--key", "k"]
    old = os.umask(0)
    try:
        pq(*args, stdin=b"x")
        pq("init")
        pq("enqueue", stdin=b"y", cwd=pq.folder)
        pq("next", "--claim")
        pq("fail", 1)
        pq("rm", 2)
    finally:
        os.umask(old)
    assert stat.S_IMODE(pq.spool.stat().st_mode) == 0o700
    for name, (mode, _) in tree(pq.spool).items():
        if not stat.S_ISLNK(mode):
            assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), name


def test_an_open_spool_is_made_private_when_it_begins(pq: Pq) -> None:
    """A folder that was there, empty and open to all, is 0700 once it is a spool."""
    pq.spool.mkdir()
    pq.spool.chmod(0o777)
    pq("enqueue", stdin=b"x")
    assert stat.S_IMODE(pq.spool.stat().st_mode) == 0o700
